//! Cuts a head into lines, remembering how far it looked, and holds the sizes to their limits.
//!
//! Knows what a line is; what is in it is for `request_line` and `fields`.

use memchr::memchr;

use super::Limits;
use super::fields::{Fields, Framing};
use super::request_line::{self, RequestLine};
use super::violation::ViolationKind;

/// A head on its way in. Offsets count from its first byte.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where the line that is not complete yet begins.
    line_start: usize,
    /// Up to here no line end is left to find.
    scanned: usize,
    request: Option<RequestLine>,
    fields: Fields,
}

impl Head {
    /// Whether no byte of it was seen.
    pub(super) fn is_untouched(&self) -> bool {
        self.scanned == 0
    }

    #[cfg(test)]
    pub(super) fn scanned_bytes(&self) -> usize {
        self.scanned
    }

    /// Looks at `bytes`, which begin with the head's first byte. `None`: not complete yet; else its
    /// length and what follows it.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(usize, Framing)>, ViolationKind> {
        if self.is_untouched()
            && let Some(first) = bytes.first()
        {
            check_first_byte(*first)?;
        }
        loop {
            let unscanned = bytes.get(self.scanned..).unwrap_or_default();
            let line_feed = memchr(b'\n', unscanned).map(|offset| self.scanned + offset);
            self.scanned = line_feed.map_or(bytes.len(), |offset| offset + 1);
            // Sizes come first, complete line or not: so the verdict is the same for every segmentation.
            self.check_size(limits)?;
            let Some(line_feed) = line_feed else { return Ok(None) };
            let line = bytes.get(self.line_start..line_feed).unwrap_or_default();
            self.line_start = self.scanned;
            if let Some(framing) = self.take_line(line, limits)? {
                return Ok(Some((self.scanned, framing)));
            }
        }
    }

    /// Takes one line, without its LF. `Some` when it was the last one.
    fn take_line(&mut self, line: &[u8], limits: &Limits) -> Result<Option<Framing>, ViolationKind> {
        let line = line.strip_suffix(b"\r").ok_or(ViolationKind::BareLf)?;
        match &self.request {
            None => self.request = Some(request_line::parse(line)?),
            Some(request) if line.is_empty() => return self.fields.finish(request).map(Some),
            Some(_) => self.fields.add(line, limits.header_count)?,
        }
        Ok(None)
    }

    fn check_size(&self, limits: &Limits) -> Result<(), ViolationKind> {
        let (line_limit, too_long) = match self.request {
            None => (limits.request_line_bytes, ViolationKind::RequestLineTooLong),
            Some(_) => (limits.header_line_bytes, ViolationKind::HeaderLineTooLong),
        };
        let line_end = self.line_start.saturating_add(line_limit);
        // Of two limits that are broken, the one that a slower sender would have met first.
        if self.scanned > line_end && line_end <= limits.head_bytes {
            Err(too_long)
        } else if self.scanned > limits.head_bytes {
            Err(ViolationKind::HeadTooLarge)
        } else {
            Ok(())
        }
    }
}

/// Refuses at once what can never become a request, such as a TLS handshake on a plain port: it may
/// hold no LF, and would else wait for one until the limit or a timeout.
fn check_first_byte(first: u8) -> Result<(), ViolationKind> {
    match first {
        b'\r' | b'\n' => Err(ViolationKind::LeadingEmptyLine),
        _ if request_line::is_token_byte(first) => Ok(()),
        _ => Err(ViolationKind::MethodSyntax),
    }
}
