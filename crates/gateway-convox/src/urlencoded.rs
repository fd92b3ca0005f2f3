//! `application/x-www-form-urlencoded` text: strict reading, and writing.
//!
//! Lenient readers drop what they cannot read; then the gateway and the rack would see different
//! parameters. Here everything odd is an error.

use crate::error::EncodingFault;
use crate::path::escape;

/// Which bytes may stand in the text unencoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RawBytes {
    /// Visible ASCII: query strings and header values.
    Ascii,
    /// Also bytes beyond ASCII, which hand-written clients send in bodies.
    Utf8,
}

/// The decoded pairs of `text`, in order, duplicates kept. Empty text has none.
///
/// A plus sign is a blank. Every pair needs a name and an equals sign.
///
/// # Errors
/// See [`EncodingFault`].
pub fn pairs(text: &[u8], raw: RawBytes) -> Result<Vec<(String, String)>, EncodingFault> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(|byte| *byte == b'&').map(|pair| read_pair(pair, raw)).collect()
}

fn read_pair(pair: &[u8], raw: RawBytes) -> Result<(String, String), EncodingFault> {
    if pair.is_empty() {
        return Err(EncodingFault::EmptyPair);
    }
    let mut halves = pair.splitn(2, |byte| *byte == b'=');
    let name = decode(halves.next().unwrap_or_default(), raw)?;
    let value = decode(halves.next().ok_or(EncodingFault::MissingEquals)?, raw)?;
    if name.is_empty() {
        return Err(EncodingFault::EmptyName);
    }
    Ok((name, value))
}

fn decode(text: &[u8], raw: RawBytes) -> Result<String, EncodingFault> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => escape(bytes.next(), bytes.next()).ok_or(EncodingFault::BadEscape)?,
            b'+' => b' ',
            // A raw semicolon separates pairs for some parsers, so it is never taken as it is.
            b';' | 0x00..=0x20 | 0x7f => return Err(EncodingFault::RawByte),
            0x80..=0xff if raw == RawBytes::Ascii => return Err(EncodingFault::RawByte),
            fine => fine,
        });
    }
    String::from_utf8(decoded).map_err(|_| EncodingFault::NotUtf8)
}

/// Writes pairs the way Go and browsers read them back.
pub fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests;
