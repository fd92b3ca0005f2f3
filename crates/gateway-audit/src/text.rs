//! Text from outside, made fit for the log: cut with a mark, and escaped so that no terminal, log
//! viewer or page can be steered by it (CVE-2025-58160, CVE-2024-45808).
//!
//! Knows nothing of JSON or events. Nothing is ever dropped silently.

mod hazard;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::merkle::{Hash, digest};

pub use hazard::is_hazard;

/// The longest text kept whole, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 1024;

/// `text` itself when at most 1 KiB, else its beginning and a mark: `…(+N bytes, sha256:…)`.
///
/// N counts the bytes cut off; the digest is that of the whole text, so that anyone who has the
/// original can show that it is the one meant.
pub fn bounded(text: &str) -> String {
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    cut(text, MAX_TEXT_BYTES)
}

/// [`bounded`] for bytes that may not be UTF-8: each stray byte becomes `\xNN`.
pub fn bounded_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    bounded(&text)
}

/// The first `keep` bytes of `text` (fewer when that would split a character) and the mark.
fn cut(text: &str, keep: usize) -> String {
    let kept = text.get(..text.floor_char_boundary(keep)).unwrap_or_default();
    format!("{kept}{}", mark(text.len() - kept.len(), &digest(text.as_bytes())))
}

/// The mark alone, for bytes that are kept elsewhere.
pub(crate) fn mark_of(bytes: &[u8]) -> String {
    mark(bytes.len(), &digest(bytes))
}

fn mark(removed_bytes: usize, whole: &Hash) -> String {
    format!("…(+{removed_bytes} bytes, sha256:{})", whole.to_hex())
}

/// `text` as one word for a line of text: as it is when plain, else as a JSON string in which every
/// character that could steer a terminal or hide is escaped.
pub fn word(text: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\\') && !is_hazard(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_hazard(c) || (c.is_whitespace() && c != ' ') => push_escaped(&mut quoted, c),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// `text` with every hazardous character as `\uXXXX`; everything else stays as it is.
pub(crate) fn disarmed(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hazard(c) { push_escaped(&mut safe, c) } else { safe.push(c) }
    }
    safe
}

/// Appends `c` as JSON escapes of its UTF-16 units, in lower-case hexadecimal.
pub(crate) fn push_escaped(text: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(text, "\\u{unit:04x}");
    }
}
