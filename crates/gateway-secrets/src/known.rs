//! Known secret values, and how their occurrences in free texts are masked. It must not know where the
//! values or the texts come from.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use zeroize::Zeroize;

use crate::encodings::encodings;
use crate::env::{EnvText, is_hidden};
use crate::handle::{HANDLE_PREFIX, HandleKey, is_handle};
use crate::plain::PlainKeys;

/// Shorter values are not looked for, in bytes: they occur by chance, and masking them would tell them.
const SHORTEST: usize = 6;

/// Longer values are looked for in pieces, in bytes. It bounds what one position of a text can cost, so
/// that no text and no value, however they are made, take more than time linear in the text.
pub(crate) const LONGEST: usize = 128;

/// Secret values with their handles. `Debug` shows their number; the values are wiped when it is dropped.
#[derive(Clone, Default)]
pub struct KnownValues {
    handles: HashMap<String, String>,
}

impl KnownValues {
    /// Adds a value and the handle to show instead. Values shorter than 6 bytes, handles, and parts of
    /// what all handles begin with are ignored; a value that is known already keeps its handle.
    ///
    /// Of a value of several lines each line is looked for, without the frame lines of a PEM block.
    pub fn insert(&mut self, value: &str, handle: &str) {
        self.insert_one(value, handle);
        if value.contains('\n') {
            let lines = value.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
            for line in lines {
                self.insert_one(line, handle);
            }
        }
    }

    fn insert_one(&mut self, value: &str, handle: &str) {
        if value.len() < SHORTEST || is_handle(value) || HANDLE_PREFIX.contains(value) {
            return;
        }
        if !self.handles.contains_key(value) {
            self.handles.insert(value.to_owned(), handle.to_owned());
        }
    }

    /// Adds all secret values of an environment.
    pub fn insert_env(&mut self, env: &EnvText, key: &HandleKey, plain: &PlainKeys) {
        for (name, value) in env.entries().iter().filter(|(name, value)| is_hidden(plain, name, value)) {
            self.insert(value, &key.handle(name, value));
        }
    }

    /// Adds all values of another set; a value that is known already keeps its handle.
    #[expect(clippy::map_entry, reason = "an entry would keep the second copy, which must be wiped")]
    pub fn extend(&mut self, mut more: KnownValues) {
        for (mut value, handle) in more.handles.drain() {
            if self.handles.contains_key(&value) {
                value.zeroize();
            } else {
                self.handles.insert(value, handle);
            }
        }
    }

    /// How many values are looked for.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Whether no value is looked for.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// The text with each occurrence of a known value replaced by its handle.
    pub fn mask(&self, text: &str) -> String {
        self.scanner(&KnownValues::default()).mask(text).map_or_else(|| text.to_owned(), |masked| masked.text)
    }

    /// What finds the values of both sets.
    pub(crate) fn scanner<'a>(&'a self, more: &'a KnownValues) -> Scanner<'a> {
        let all = more.handles.iter().chain(&self.handles);
        Scanner::new(all.flat_map(|(value, handle)| {
            pieces_of(value).map(move |piece| (Cow::Borrowed(piece), Cow::Borrowed(handle.as_str())))
        }))
    }

    /// What finds the values as they are and in every other spelling.
    pub(crate) fn in_all_spellings(&self) -> Scanner<'static> {
        let mut spelt: Vec<(Cow<'static, str>, Cow<'static, str>)> = Vec::new();
        for (value, handle) in &self.handles {
            for spelling in encodings(value).iter().chain([value]) {
                let long_enough = |piece: &&str| piece.len() >= SHORTEST || spelling == value;
                for piece in pieces_of(spelling).filter(long_enough) {
                    spelt.push((Cow::Owned(piece.to_owned()), Cow::Owned(handle.clone())));
                }
            }
        }
        Scanner::new(spelt.into_iter())
    }
}

impl fmt::Debug for KnownValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownValues({})", self.handles.len())
    }
}

impl Drop for KnownValues {
    fn drop(&mut self) {
        for (mut value, _) in self.handles.drain() {
            value.zeroize();
        }
    }
}

/// A text with secrets masked.
pub(crate) struct Masked {
    pub(crate) text: String,
    pub(crate) count: usize,
}

/// Finds many values in a text at once.
pub(crate) struct Scanner<'a> {
    /// Sorted by value, so that the values a text can begin with are found by a binary search.
    patterns: Vec<Pattern<'a>>,
    /// Which first bytes some value has. Almost every position of a text is dismissed by this alone.
    beginnings: Beginnings,
}

struct Pattern<'a> {
    value: Cow<'a, str>,
    handle: Cow<'a, str>,
    /// The longest other value that this one begins with.
    shorter: Option<usize>,
}

impl Drop for Pattern<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(value) = &mut self.value {
            value.zeroize();
        }
    }
}

impl<'a> Scanner<'a> {
    /// Of equal pieces the handle that sorts first counts, so that a text always looks the same.
    fn new(pieces: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Self {
        let mut pairs: Vec<(Cow<'a, str>, Cow<'a, str>)> = pieces.collect();
        pairs.sort_unstable();
        pairs.dedup_by(|(later, _), (first, _)| later == first);
        let mut beginnings = Beginnings::default();
        let mut patterns: Vec<Pattern<'a>> = Vec::with_capacity(pairs.len());
        for (value, handle) in pairs {
            beginnings.add(value.as_bytes());
            let mut shorter = patterns.len().checked_sub(1);
            while let Some(pattern) = shorter.and_then(|position| patterns.get(position)) {
                if value.starts_with(&*pattern.value) {
                    break;
                }
                shorter = pattern.shorter;
            }
            patterns.push(Pattern { value, handle, shorter });
        }
        Self { patterns, beginnings }
    }

    /// How many pieces are looked for.
    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// The text with each occurrence replaced, or `None` when there is none. Occurrences that overlap are
    /// replaced together by the handle of the longest, so that no piece of a secret is left over.
    pub(crate) fn mask(&self, text: &str) -> Option<Masked> {
        let (mut masking, mut out) = (Masking::default(), Vec::new());
        for place in 0..text.len() {
            masking.step(self, text.as_bytes(), place, &mut out);
        }
        masking.finish(self, text.as_bytes(), &mut out);
        if masking.count == 0 {
            return None;
        }
        // Pieces are texts, so what is cut out of a text leaves a text.
        let text = String::from_utf8(out)
            .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned());
        Some(Masked { text, count: masking.count })
    }

    /// Whether more bytes behind the text could make a value, or a longer one, of what stands at this position.
    pub(crate) fn may_grow(&self, text: &[u8], start: usize) -> bool {
        let Some(rest) = text.get(start..).filter(|rest| rest.len() < LONGEST) else { return false };
        if rest.len() >= 4 && !self.beginnings.may_begin(rest) {
            return false;
        }
        // Values that begin with the rest and are longer sort right behind it.
        let after = self.patterns.partition_point(|pattern| pattern.value.as_bytes() <= rest);
        self.patterns.get(after).is_some_and(|pattern| pattern.value.as_bytes().starts_with(rest))
    }

    /// The longest value that stands at this position.
    fn longest_at(&self, text: &[u8], start: usize) -> Option<usize> {
        let rest = text.get(start..)?;
        if !self.beginnings.may_begin(rest) {
            return None;
        }
        // Every value the rest begins with sorts at or before the rest, and is a beginning of the last
        // value that does. So they are that value and those it leads to.
        let after = self.patterns.partition_point(|pattern| pattern.value.as_bytes() <= rest);
        let mut position = after.checked_sub(1)?;
        let mut candidate = self.patterns.get(position)?;
        if rest.starts_with(candidate.value.as_bytes()) {
            return Some(position);
        }
        let alike = |(value, text): &(u8, &u8)| value == *text;
        let shared = candidate.value.bytes().zip(rest).take_while(alike).count();
        while candidate.value.len() > shared {
            position = candidate.shorter?;
            candidate = self.patterns.get(position)?;
        }
        Some(position)
    }
}

/// How far a text is masked. Places are decided one after the other, and each by the bytes from it on alone.
#[derive(Debug, Default)]
pub(crate) struct Masking {
    /// Everything before this was handed out.
    pub(crate) copied: usize,
    /// The run that may go on.
    pub(crate) run: Option<Run>,
    /// How many runs were replaced.
    pub(crate) count: usize,
}

/// Occurrences that overlap, or pieces of one value that follow each other.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) end: usize,
    longest: usize,
}

impl Run {
    fn goes_on_with(&self, scanner: &Scanner<'_>, found: &Pattern<'_>, place: usize) -> bool {
        let of_same =
            scanner.patterns.get(self.longest).is_some_and(|longest| longest.handle == found.handle);
        let next_piece = found.value.len() >= LONGEST - 3 && of_same;
        place < self.end || (place == self.end && next_piece)
    }
}

impl Masking {
    /// Decides about one place.
    pub(crate) fn step(&mut self, scanner: &Scanner<'_>, text: &[u8], place: usize, out: &mut Vec<u8>) {
        let found = scanner.longest_at(text, place);
        let pattern = found.and_then(|position| scanner.patterns.get(position));
        if let Some(run) = &mut self.run {
            match pattern {
                Some(pattern) if run.goes_on_with(scanner, pattern, place) => {
                    run.end = run.end.max(place + pattern.value.len());
                    let longest = scanner.patterns.get(run.longest).map_or(0, |longest| longest.value.len());
                    if pattern.value.len() > longest {
                        run.longest = found.unwrap_or(run.longest);
                    }
                    return;
                }
                Some(_) | None if place >= run.end => self.close(scanner, text, out),
                Some(_) | None => return,
            }
        }
        if let (Some(position), Some(pattern)) = (found, pattern) {
            self.run = Some(Run { start: place, end: place + pattern.value.len(), longest: position });
        }
    }

    pub(crate) fn close(&mut self, scanner: &Scanner<'_>, text: &[u8], out: &mut Vec<u8>) {
        let Some(run) = self.run.take() else { return };
        out.extend_from_slice(text.get(self.copied..run.start).unwrap_or_default());
        if let Some(longest) = scanner.patterns.get(run.longest) {
            out.extend_from_slice(longest.handle.as_bytes());
        }
        self.count += 1;
        self.copied = run.end;
    }

    /// After the last place: hands out the rest.
    pub(crate) fn finish(&mut self, scanner: &Scanner<'_>, text: &[u8], out: &mut Vec<u8>) {
        self.close(scanner, text, out);
        out.extend_from_slice(text.get(self.copied..).unwrap_or_default());
        self.copied = text.len();
    }
}

/// The value in pieces of at most [`LONGEST`] bytes, which together cover it. The last one ends with it.
fn pieces_of(value: &str) -> impl Iterator<Item = &str> {
    let last = value.ceil_char_boundary(value.len().saturating_sub(LONGEST));
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?.min(last);
        let end = value.floor_char_boundary(from + LONGEST);
        start = (from < last).then_some(end);
        value.get(from..end)
    })
}

/// A small set of hashed first bytes, with false positives.
struct Beginnings([u64; 128]);

impl Default for Beginnings {
    fn default() -> Self {
        Self([0; 128])
    }
}

impl Beginnings {
    fn add(&mut self, value: &[u8]) {
        if let Some((word, bit)) = Self::place(value)
            && let Some(word) = self.0.get_mut(word)
        {
            *word |= bit;
        }
    }

    fn may_begin(&self, text: &[u8]) -> bool {
        Self::place(text).is_some_and(|(word, bit)| self.0.get(word).is_some_and(|word| word & bit != 0))
    }

    fn place(text: &[u8]) -> Option<(usize, u64)> {
        let first = u32::from_le_bytes(*text.first_chunk::<4>()?);
        let hash = first.wrapping_mul(0x9E37_79B1) >> 19;
        Some(((hash >> 6) as usize, 1 << (hash & 63)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(values: &[&str], text: &str, expected: &str) {
        let mut known = KnownValues::default();
        for (position, value) in values.iter().enumerate() {
            known.insert(value, &format!("<{position}>"));
        }
        assert_eq!(known.mask(text), expected, "{values:?} in {text:?}");
    }

    #[test]
    fn occurrences_are_replaced() {
        check(&[], "some text", "some text");
        check(&["secret"], "", "");
        check(&["secret"], "secret", "<0>");
        check(&["secret"], "a secret, a secret", "a <0>, a <0>");
        check(&["secret"], "secretsecret", "<0><0>");
        check(&["secret"], "secre", "secre");
        check(&["short", "longer"], "short longer", "short <1>");
        check(&["pässwörd"], "ä pässwörd ä", "ä <0> ä");
    }

    #[test]
    fn the_longest_counts() {
        check(&["secret", "secret-key", "secret-key-2"], "secret-key-2", "<2>");
        check(&["secret", "secret-key", "secret-key-2"], "secret-key-3 secret-kez", "<1>-3 <0>-kez");
        check(&["abcdef", "abcdeg", "abcdefgh"], "abcdefgg", "<0>gg");
        check(&["abcdef12", "cdef12345678"], "xabcdef12345678x", "x<1>x");
        check(&["aaaaaa"], "aaaaaaaaa", "<0>");
    }

    #[test]
    fn some_values_are_not_looked_for() {
        check(&["", "12345"], "12345", "12345");
        check(&["hidden", "-hidden"], "hidden rgw-hidden-x", "hidden rgw-hidden-x");
        check(&["rgw-hidden-abcdefghijklmn27"], "rgw-hidden-abcdefghijklmn27", "rgw-hidden-abcdefghijklmn27");
    }

    #[test]
    fn each_line_of_a_value_is_looked_for() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B==\n-----END PRIVATE KEY-----";
        check(&[key], "key: |\n  MIIEvQIBADAN\n  BgkqhkiG9w0B==\n", "key: |\n  <0>\n  <0>\n");
        check(&[key], "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----");
        check(&[key], key, "<0>");
    }

    #[test]
    fn long_values_are_found_in_pieces() {
        let long: String = (0..200).map(|n| format!("{n:03}ä")).collect();
        check(&[&long], &format!("<{long}>"), "<<0>>");
        check(&[&long], &format!("{long}{long}"), "<0>");
        for length in [6, 127, 128, 129, 130, 133, 134, 255, 256, 257, 300] {
            let value = &long[..long.floor_char_boundary(length)];
            check(&[value], &format!("x{value}y"), "x<0>y");
            assert_eq!(pieces_of(value).last().map(|piece| value.ends_with(piece)), Some(true), "{length}");
        }
        let (start, end) = long.split_at(500);
        check(
            &[&long],
            &format!("{}.{}", &start[..100], &end[end.len() - 100..]),
            &format!("{}.{}", &start[..100], &end[end.len() - 100..]),
        );
    }

    #[test]
    fn no_text_is_slow() {
        let a = "a".repeat(50_000);
        check(&[&format!("{a}b"), &a[..40_000]], &a, "<0>");
        check(&[&format!("{}b", &a[..100])], &a, &a);
    }

    #[test]
    fn debug_shows_no_value() {
        let mut known = KnownValues::default();
        known.insert("topsecret", "<0>");
        assert_eq!(format!("{known:?}"), "KnownValues(1)");
    }

    proptest! {
        #[test]
        fn no_value_is_left(
            values in proptest::collection::vec("[ab]{6,9}", 1..6),
            text in "[abc]{0,60}",
        ) {
            let mut known = KnownValues::default();
            for value in &values {
                known.insert(value, "#");
            }
            let masked = known.mask(&text);
            prop_assert!(values.iter().all(|value| !masked.contains(value.as_str())), "{masked}");
            prop_assert_eq!(masked.contains('#'), values.iter().any(|value| text.contains(value.as_str())));
        }
    }
}
