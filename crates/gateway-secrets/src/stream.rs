//! Masking a stream: known values, in whatever spelling, become handles, however the stream is cut into chunks. It must
//! not know where the bytes come from or where they go.
//!
//! Whether a value stands at a place is decided once as many bytes after it are there as the longest piece of a value
//! has. So at most that many bytes wait, and the output of any cut is that of the whole.

use std::fmt;

use zeroize::Zeroize as _;

use crate::known::{KnownValues, LONGEST, Masking, Scanner};

/// Masks one stream. Dropped without [`StreamMasker::finish`], what waits is lost, and wiped.
pub struct StreamMasker<'k> {
    masker: &'k Masker,
    /// What is not handed out yet.
    waiting: Vec<u8>,
    /// How many places of that are decided.
    decided: usize,
    masking: Masking,
}

/// Finds known values in texts and streams: as they are, and as base64, percent encoded and escaped for JSON.
///
/// `Debug` shows the number of spellings; they are wiped when it is dropped.
pub struct Masker {
    scanner: Scanner<'static>,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Masker({})", self.scanner.len())
    }
}

impl fmt::Debug for StreamMasker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamMasker({} bytes wait)", self.waiting.len())
    }
}

impl Masker {
    /// What finds these values.
    pub fn new(known: &KnownValues) -> Self {
        Self { scanner: known.in_all_spellings() }
    }

    pub(crate) const fn scanner(&self) -> &Scanner<'static> {
        &self.scanner
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.scanner.len() == 0
    }

    /// The text with each occurrence replaced by its handle.
    pub fn mask(&self, text: &str) -> String {
        self.scanner.mask(text).map_or_else(|| text.to_owned(), |masked| masked.text)
    }

    /// Begins a stream.
    pub fn stream(&self) -> StreamMasker<'_> {
        StreamMasker { masker: self, waiting: Vec::new(), decided: 0, masking: Masking::default() }
    }
}

impl StreamMasker<'_> {
    /// Takes a chunk, and hands out what is decided.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.masker.is_empty() {
            out.extend_from_slice(chunk);
            return;
        }
        self.waiting.extend_from_slice(chunk);
        // A place is decided when the longest piece could stand there.
        self.decide((self.waiting.len() + 1).saturating_sub(LONGEST), out);
        let free = self.masking.run.as_ref().map_or(self.decided, |run| run.start);
        let copied = self.masking.copied.max(free);
        out.extend_from_slice(self.waiting.get(self.masking.copied..copied).unwrap_or_default());
        self.forget(copied);
    }

    /// The end of the stream: hands out what waits.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.decide(self.waiting.len(), out);
        self.masking.finish(&self.masker.scanner, &self.waiting, out);
    }

    fn decide(&mut self, end: usize, out: &mut Vec<u8>) {
        for place in self.decided..end {
            self.masking.step(&self.masker.scanner, &self.waiting, place, out);
        }
        self.decided = self.decided.max(end);
    }

    /// Drops what was handed out. It may end behind the last place that is decided: a run was longer than that.
    fn forget(&mut self, copied: usize) {
        let from = copied.min(self.waiting.len());
        let kept = self.waiting.len() - from;
        self.waiting.copy_within(from.., 0);
        if let Some(rest) = self.waiting.get_mut(kept..) {
            rest.zeroize();
        }
        self.waiting.truncate(kept);
        self.decided = self.decided.saturating_sub(copied);
        self.masking.copied = 0;
        if let Some(run) = &mut self.masking.run {
            run.start -= copied.min(run.start);
            run.end -= copied.min(run.end);
        }
    }
}

impl Drop for StreamMasker<'_> {
    fn drop(&mut self) {
        self.waiting.zeroize();
    }
}

#[cfg(test)]
mod tests;
