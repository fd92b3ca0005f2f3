//! From what a session says to chunks: the writer of a recording. It must not know where chunks go, and it never reads
//! the clock: each call says when it is.

use std::time::Duration;

use crate::cast::{Header, Kind, Size, write_event};
use crate::chunk::{Chunk, Digest, chained};
use crate::utf8::Utf8Joiner;

/// A chunk is due when its bytes are as many.
pub const MOST_CHUNK_BYTES: usize = 64 * 1024;

/// The longest text of one event, in bytes: so a chunk is at most a little larger than it should be.
const MOST_EVENT_BYTES: usize = 8 * 1024;

/// What comes within this time is one event. Shells echo in single characters; nobody sees the difference.
const TOGETHER: Duration = Duration::from_millis(10);

/// Writes one recording.
///
/// Two calls with the same moment give the same bytes as one call with both texts, wherever a character is cut.
#[derive(Debug)]
pub struct Recorder {
    id: String,
    /// Lines that no chunk has yet.
    lines: Vec<u8>,
    sequence: u64,
    before: Digest,
    output: Utf8Joiner,
    input: Utf8Joiner,
    /// The event that may still grow.
    open: Option<Open>,
    /// The latest moment so far.
    now: Duration,
}

#[derive(Debug)]
struct Open {
    at: Duration,
    kind: Kind,
    text: String,
}

impl Recorder {
    /// Begins the recording `id`.
    pub fn begin(id: &str, header: &Header) -> Self {
        Self {
            id: id.to_owned(),
            lines: header.line().into_bytes(),
            sequence: 0,
            before: Digest::NONE,
            output: Utf8Joiner::default(),
            input: Utf8Joiner::default(),
            open: None,
            now: Duration::ZERO,
        }
    }

    /// The session showed these bytes.
    pub fn output(&mut self, at: Duration, bytes: &[u8]) {
        let mut text = String::new();
        self.output.push(bytes, &mut text);
        self.add(at, Kind::Output, &text);
    }

    /// These bytes were typed.
    pub fn input(&mut self, at: Duration, bytes: &[u8]) {
        let mut text = String::new();
        self.input.push(bytes, &mut text);
        self.add(at, Kind::Input, &text);
    }

    /// The terminal got another size.
    pub fn resize(&mut self, at: Duration, size: Size) {
        self.single(at, Kind::Resize, &format!("{}x{}", size.columns(), size.rows()));
    }

    /// A note of the gateway's.
    pub fn marker(&mut self, at: Duration, text: &str) {
        self.single(at, Kind::Marker, text);
    }

    /// How many bytes no chunk has yet.
    pub fn waiting_bytes(&self) -> usize {
        self.lines.len() + self.open.as_ref().map_or(0, |open| open.text.len())
    }

    /// What there is so far as a chunk; `None` when there is nothing.
    pub fn cut(&mut self) -> Option<Chunk> {
        self.close();
        (!self.lines.is_empty()).then(|| self.chunk(false))
    }

    /// The end of the session: the last chunk, with a marker that says how it ended.
    pub fn finish(mut self, at: Duration, ending: &str) -> Chunk {
        let mut rest = String::new();
        self.output.finish(&mut rest);
        self.add(at, Kind::Output, &rest);
        rest.clear();
        self.input.finish(&mut rest);
        self.add(at, Kind::Input, &rest);
        self.single(at, Kind::Marker, ending);
        self.chunk(true)
    }

    fn chunk(&mut self, is_last: bool) -> Chunk {
        let plain = std::mem::take(&mut self.lines);
        let digest = chained(&self.id, self.sequence, is_last, &self.before, &plain);
        let chunk = Chunk { sequence: self.sequence, is_last, plain, digest };
        self.sequence += 1;
        self.before = digest;
        chunk
    }

    /// A clock that went back stands still here.
    fn moment(&mut self, at: Duration) -> Duration {
        self.now = self.now.max(at);
        self.now
    }

    fn single(&mut self, at: Duration, kind: Kind, text: &str) {
        let at = self.moment(at);
        self.close();
        write_event(&mut self.lines, at, kind, text);
    }

    fn add(&mut self, at: Duration, kind: Kind, mut text: &str) {
        let at = self.moment(at);
        while let Some(first) = text.chars().next() {
            let open = match self.open.as_mut() {
                Some(open)
                    if open.kind == kind
                        && at.saturating_sub(open.at) <= TOGETHER
                        && open.text.len() + first.len_utf8() <= MOST_EVENT_BYTES =>
                {
                    open
                }
                Some(_) | None => {
                    self.close();
                    self.open.insert(Open { at, kind, text: String::new() })
                }
            };
            let room = MOST_EVENT_BYTES.saturating_sub(open.text.len());
            let (fits, rest) = text.split_at(text.floor_char_boundary(room));
            open.text.push_str(fits);
            text = rest;
        }
    }

    fn close(&mut self) {
        if let Some(Open { at, kind, text }) = self.open.take() {
            write_event(&mut self.lines, at, kind, &text);
        }
    }
}

#[cfg(test)]
mod tests;
