//! Paths: strict decoding, once, segment by segment, and the encoding back.
//!
//! The rack routes on the percent-decoded path without cleaning it (API.md 0.7), so a gateway that
//! matched on other bytes than the rack could be walked around. Here every spelling that two parsers
//! could read differently is refused, and what is left is re-encoded from the decoded segments.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::PathFault;

/// The longest path that is looked at, in bytes as sent.
pub const MAX_PATH_BYTES: usize = 4096;

/// What is percent-encoded within a segment: all but unreserved characters and the few that Go's
/// decoder and ours leave alone.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'+')
    .remove(b'=')
    .remove(b',')
    .remove(b'(')
    .remove(b')');

/// Splits a path as sent into its decoded segments. `/` has none; `/a/` has `a` and an empty one.
///
/// Exactly one extra leading slash is dropped, because the client makes one of a RACK_URL that ends in
/// a slash (API.md 2.4). Empty segments are kept: whether they are acceptable depends on the template.
///
/// # Errors
/// Everything that two parsers could read differently; see [`PathFault`].
pub fn decode(raw: &str) -> Result<Vec<String>, PathFault> {
    if raw.len() > MAX_PATH_BYTES {
        return Err(PathFault::TooLong);
    }
    let rest = raw.strip_prefix('/').ok_or(PathFault::NotAbsolute)?;
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.split('/').map(decode_segment).collect()
}

fn decode_segment(raw: &str) -> Result<String, PathFault> {
    let mut decoded = String::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => acceptable_escape(escape(bytes.next(), bytes.next()).ok_or(PathFault::BadEscape)?)?,
            raw => acceptable_raw(raw)?,
        };
        decoded.push(char::from(byte));
    }
    match decoded.as_str() {
        "." | ".." => Err(PathFault::DotSegment),
        _ => Ok(decoded),
    }
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn escape(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn acceptable_escape(byte: u8) -> Result<u8, PathFault> {
    match byte {
        b'/' => Err(PathFault::EncodedSeparator),
        b'%' => Err(PathFault::DoubleEncoded),
        other => acceptable(other),
    }
}

fn acceptable_raw(byte: u8) -> Result<u8, PathFault> {
    match byte {
        b' ' | b'"' | b'#' | b'<' | b'>' | b'?' | b'^' | b'`' | b'{' | b'|' | b'}' => Err(PathFault::RawByte),
        other => acceptable(other),
    }
}

fn acceptable(byte: u8) -> Result<u8, PathFault> {
    match byte {
        b'\\' => Err(PathFault::Backslash),
        b';' => Err(PathFault::Semicolon),
        0x00..=0x1f | 0x7f => Err(PathFault::Control),
        0x80..=0xff => Err(PathFault::NonAscii),
        fine => Ok(fine),
    }
}

/// Appends `segment` percent-encoded; slashes in it are encoded too.
pub(crate) fn push_encoded(target: &mut String, segment: &str) {
    target.extend(utf8_percent_encode(segment, SEGMENT));
}

#[cfg(test)]
mod tests;
