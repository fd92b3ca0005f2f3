//! Masking what a terminal shows: as [`StreamMasker`](crate::StreamMasker), but a value is found although colours and
//! cursor moves stand between its characters, and nothing waits longer than it has to.
//!
//! Control sequences (ECMA-48: CSI, and escapes of two bytes) are taken out before the search and put back behind it,
//! where they were; within a value they come behind its handle. Strings that command a terminal (titles and the like)
//! are searched like text. It must not know who reads the result.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use zeroize::Zeroize as _;

use crate::known::Masking;
use crate::stream::Masker;

/// The longest control sequence; a longer one is searched like text.
const LONGEST_SEQUENCE: usize = 64;

const ESCAPE: u8 = 0x1b;

/// Masks what one session shows. Dropped without [`TerminalMasker::finish`], what waits is lost, and wiped.
///
/// It goes over the text twice: as it is, so that a value is found also where it happens to continue a sequence, and
/// then without sequences.
#[derive(Debug)]
pub struct TerminalMasker {
    raw: Pass,
    drawn: Pass,
}

impl TerminalMasker {
    /// Begins a session.
    pub fn new(masker: Arc<Masker>) -> Self {
        Self {
            raw: Pass::new(Arc::clone(&masker), Sequences::Text),
            drawn: Pass::new(masker, Sequences::Apart),
        }
    }

    /// Takes a chunk, and hands out what is decided: all but what may be the beginning of a value.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        if self.raw.masker.is_empty() {
            out.extend_from_slice(chunk);
            return;
        }
        let mut between = Vec::new();
        self.raw.push(chunk, &mut between);
        self.drawn.push(&between, out);
        between.zeroize();
    }

    /// The end of the session: hands out what waits.
    pub fn finish(self, out: &mut Vec<u8>) {
        let Self { raw, mut drawn } = self;
        let mut between = Vec::new();
        raw.finish(&mut between);
        drawn.push(&between, out);
        drawn.finish(out);
        between.zeroize();
    }
}

/// What becomes of control sequences.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sequences {
    /// They are searched like text.
    Text,
    /// They are not looked at, and stay where they are.
    Apart,
}

/// One pass over the text.
struct Pass {
    masker: Arc<Masker>,
    treats: Sequences,
    /// Text that is not handed out yet.
    waiting: Vec<u8>,
    /// How many places of that are decided.
    decided: usize,
    masking: Masking,
    /// Sequences, and before which place of the text each stands.
    sequences: VecDeque<(usize, Vec<u8>)>,
    /// The beginning of a sequence.
    begun: Vec<u8>,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pass({} bytes wait)", self.waiting.len())
    }
}

impl Pass {
    fn new(masker: Arc<Masker>, treats: Sequences) -> Self {
        Self {
            masker,
            treats,
            waiting: Vec::new(),
            decided: 0,
            masking: Masking::default(),
            sequences: VecDeque::new(),
            begun: Vec::new(),
        }
    }

    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        match self.treats {
            Sequences::Text => self.waiting.extend_from_slice(chunk),
            Sequences::Apart => self.split(chunk),
        }
        while self.decided < self.waiting.len()
            && !self.masker.scanner().may_grow(&self.waiting, self.decided)
        {
            self.step(out);
        }
        let free = self.masking.run.as_ref().map_or(self.decided, |run| run.start);
        self.hand_out(free, out);
        self.forget();
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        self.is_text();
        while self.decided < self.waiting.len() {
            self.step(out);
        }
        let end = self.masking.run.as_ref().map(|run| (run.start, run.end));
        if let Some((start, end)) = end {
            let (copied, mut written) = (self.masking.copied, Vec::new());
            self.masking.close(self.masker.scanner(), &self.waiting, &mut written);
            self.replaced(copied, start, end, &written, out);
        }
        self.hand_out(self.waiting.len(), out);
    }

    /// Takes the sequences out of a chunk.
    fn split(&mut self, mut chunk: &[u8]) {
        while let Some((first, after)) = chunk.split_first() {
            if self.begun.is_empty() {
                let until = memchr::memchr(ESCAPE, chunk).unwrap_or(chunk.len());
                let (text, rest) = chunk.split_at_checked(until).unwrap_or((chunk, &[]));
                self.waiting.extend_from_slice(text);
                if let Some((escape, rest)) = rest.split_first() {
                    self.begun.push(*escape);
                    chunk = rest;
                } else {
                    chunk = rest;
                }
            } else if self.goes_on_with(*first) {
                chunk = after;
            } else {
                // What was begun is no sequence, and this byte is looked at again.
                self.is_text();
            }
        }
    }

    /// Adds a byte to the sequence that was begun; `false` when it is none then.
    fn goes_on_with(&mut self, byte: u8) -> bool {
        let is_csi = self.begun.len() > 1;
        match byte {
            b'[' if !is_csi => self.begun.push(byte),
            b' '..=b'?' if is_csi && self.begun.len() < LONGEST_SEQUENCE => self.begun.push(byte),
            b'@'..=b'~' if is_csi => self.is_sequence(byte),
            // The escapes of two bytes that programs draw with. Others begin strings, which are searched.
            b'7' | b'8' | b'=' | b'>' | b'D' | b'E' | b'M' if !is_csi => self.is_sequence(byte),
            _ => return false,
        }
        true
    }

    fn is_text(&mut self) {
        self.waiting.append(&mut self.begun);
    }

    fn is_sequence(&mut self, last: u8) {
        self.begun.push(last);
        self.sequences.push_back((self.waiting.len(), std::mem::take(&mut self.begun)));
    }

    /// Decides about one place.
    fn step(&mut self, out: &mut Vec<u8>) {
        let before = self.masking.run.as_ref().map(|run| (run.start, run.end));
        let (copied, mut written) = (self.masking.copied, Vec::new());
        self.masking.step(self.masker.scanner(), &self.waiting, self.decided, &mut written);
        self.decided += 1;
        if let Some((start, end)) = before.filter(|_| self.masking.copied != copied) {
            self.replaced(copied, start, end, &written, out);
        }
        written.zeroize();
    }

    /// A value stood from `start` to `end`. `written` is the text before it from `copied` on, and its handle; here
    /// the sequences that stand in that text come between.
    fn replaced(&mut self, copied: usize, start: usize, end: usize, written: &[u8], out: &mut Vec<u8>) {
        self.masking.copied = copied;
        self.hand_out(start, out);
        out.extend_from_slice(written.get(start.saturating_sub(copied)..).unwrap_or_default());
        self.masking.copied = end;
    }

    /// Hands out the text up to `end`, with the sequences that stand in it.
    fn hand_out(&mut self, end: usize, out: &mut Vec<u8>) {
        let mut from = self.masking.copied;
        while let Some((place, _)) = self.sequences.front()
            && *place <= end
        {
            let place = (*place).max(from);
            out.extend_from_slice(self.waiting.get(from..place).unwrap_or_default());
            from = place;
            if let Some((_, sequence)) = self.sequences.pop_front() {
                out.extend_from_slice(&sequence);
            }
        }
        out.extend_from_slice(self.waiting.get(from..end).unwrap_or_default());
        self.masking.copied = self.masking.copied.max(end);
    }

    /// Drops what was handed out.
    fn forget(&mut self) {
        let copied = self.masking.copied.min(self.waiting.len());
        let kept = self.waiting.len() - copied;
        self.waiting.copy_within(copied.., 0);
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
        for (place, _) in &mut self.sequences {
            *place = place.saturating_sub(copied);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.waiting.zeroize();
        self.begun.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::known::KnownValues;

    fn masker(values: &[&str]) -> Arc<Masker> {
        let mut known = KnownValues::default();
        for (position, value) in values.iter().enumerate() {
            known.insert(value, &format!("<{position}>"));
        }
        Arc::new(Masker::new(&known))
    }

    fn streamed(masker: &Arc<Masker>, text: &[u8], lengths: &[usize]) -> Vec<u8> {
        let (mut stream, mut out, mut rest) = (TerminalMasker::new(Arc::clone(masker)), Vec::new(), text);
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at((*length).clamp(1, rest.len()));
            stream.push(chunk, &mut out);
            rest = after;
        }
        stream.finish(&mut out);
        out
    }

    fn check(values: &[&str], text: &str, expected: &str) {
        let masker = masker(values);
        for length in [1, 2, 3, 7, 127, 128, 1000] {
            let out = String::from_utf8(streamed(&masker, text.as_bytes(), &[length])).unwrap();
            assert_eq!(out, expected, "{values:?} in {text:?} by {length}");
        }
    }

    #[test]
    fn values_are_found_across_colours_and_cursor_moves() {
        check(&["topsecret"], "a topsecret b", "a <0> b");
        check(&["topsecret"], "\u{1b}[1mtop\u{1b}[0msecret\u{1b}[2K.", "\u{1b}[1m<0>\u{1b}[0m\u{1b}[2K.");
        check(
            &["topsecret"],
            "t\u{1b}[31mo\u{1b}[32mp\u{1b}7s\u{1b}[33;1mecret",
            "<0>\u{1b}[31m\u{1b}[32m\u{1b}7\u{1b}[33;1m",
        );
        check(&["topsecret"], "\u{1b}]0;topsecret\u{7}x", "\u{1b}]0;<0>\u{7}x");
        check(&["topsecret"], "\u{1b}[1mno\u{1b}[0m secret\u{1b}[", "\u{1b}[1mno\u{1b}[0m secret\u{1b}[");
        check(&["topsecret"], "\u{1b}\u{1b}\u{1b}[\u{1b}topsecret", "\u{1b}\u{1b}\u{1b}[\u{1b}<0>");
        check(&["topsecret"], "\u{1b}[topsecret \u{1b}[1;topsecret", "\u{1b}[<0> \u{1b}[1;<0>");
        check(&["topsecret"], "x\u{1b}[1m\u{1b}[1mtopsecrettopsecret", "x\u{1b}[1m\u{1b}[1m<0><0>");
        let encoded = data_encoding::BASE64.encode(b"user:topsecretvalue");
        let out = streamed(&masker(&["topsecretvalue"]), encoded.as_bytes(), &[3]);
        assert!(String::from_utf8(out).unwrap().contains("<0>"));
    }

    #[test]
    fn nothing_waits_that_cannot_be_a_value() {
        let mut stream = TerminalMasker::new(masker(&["topsecret"]));
        let mut out = Vec::new();
        stream.push(b"$ ls -l t", &mut out);
        assert_eq!(out, b"$ ls -l ");
        stream.push(b"m", &mut out);
        assert_eq!(out, b"$ ls -l tm");
        stream.push(b"topsecre", &mut out);
        assert_eq!(out, b"$ ls -l tm");
        stream.push(b"t", &mut out);
        stream.finish(&mut out);
        assert_eq!(out, b"$ ls -l tm<0>");
    }

    proptest! {
        #[test]
        fn any_cut_masks_the_same_and_leaves_no_value(
            values in proptest::collection::vec("[ab]{6,9}", 1..5),
            text in "([abc]|\u{1b}\\[1m|\\[){0,60}",
            lengths in proptest::collection::vec(1usize..9, 1..6),
        ) {
            let known: Vec<&str> = values.iter().map(String::as_str).collect();
            let masker = masker(&known);
            let whole = streamed(&masker, text.as_bytes(), &[1000]);
            prop_assert_eq!(&whole, &streamed(&masker, text.as_bytes(), &lengths));
            let shown = String::from_utf8(whole).unwrap().replace("\u{1b}[1m", "");
            prop_assert!(values.iter().all(|value| !shown.contains(value.as_str())), "{}", shown);
        }

        #[test]
        fn text_without_sequences_is_masked_as_ever(
            values in proptest::collection::vec("[ab]{6,9}", 1..5),
            text in "[abc]{0,60}",
        ) {
            let known: Vec<&str> = values.iter().map(String::as_str).collect();
            let masker = masker(&known);
            let out = streamed(&masker, text.as_bytes(), &[2]);
            prop_assert_eq!(String::from_utf8(out).unwrap(), masker.mask(&text));
        }
    }
}
