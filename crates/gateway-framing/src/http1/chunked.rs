//! The framing of a chunked body: sizes, data, and nothing else.
//!
//! No extensions and no trailers: nobody who talks to the gateway sends them, and both have carried
//! smuggled bytes. Source: RFC 9112, section 7.1.

use std::num::NonZeroU64;

use super::take;
use super::violation::ViolationKind;

/// 15 hexadecimal digits: sizes stay below 2^60, so no sum of them with anything else overflows.
const MAX_SIZE_DIGITS: usize = 15;

/// What comes next in the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Chunked {
    /// A chunk's size and CRLF.
    Size,
    /// Data of a chunk.
    Data { remaining: NonZeroU64 },
    /// The CRLF after a chunk's data.
    DataEnd,
    /// The CRLF that ends the body.
    End,
}

impl Chunked {
    /// How many bytes to release, and what comes next; `None` when the body is over. Lines are
    /// released whole, data as it comes.
    pub(super) fn advance(self, bytes: &[u8]) -> Result<(usize, Option<Chunked>), ViolationKind> {
        match self {
            Chunked::Size => Ok(match size_line(bytes)? {
                None => (0, Some(self)),
                Some((length, size)) => (
                    length,
                    Some(NonZeroU64::new(size).map_or(Chunked::End, |remaining| Chunked::Data { remaining })),
                ),
            }),
            Chunked::Data { remaining } => {
                let (count, left) = take(remaining, bytes);
                Ok((count, Some(left.map_or(Chunked::DataEnd, |remaining| Chunked::Data { remaining }))))
            }
            Chunked::DataEnd => Ok(match line_end(bytes, ViolationKind::BadChunkEnd)? {
                0 => (0, Some(self)),
                count => (count, Some(Chunked::Size)),
            }),
            Chunked::End => Ok(match line_end(bytes, ViolationKind::Trailer)? {
                0 => (0, Some(self)),
                count => (count, None),
            }),
        }
    }
}

/// The length of a chunk's size line with its CRLF, and the size. `None`: not complete yet.
fn size_line(bytes: &[u8]) -> Result<Option<(usize, u64)>, ViolationKind> {
    let digits = bytes.iter().take(MAX_SIZE_DIGITS + 1).take_while(|byte| byte.is_ascii_hexdigit()).count();
    if digits > MAX_SIZE_DIGITS {
        return Err(ViolationKind::ChunkSizeTooLong);
    }
    let (size, rest) = bytes.split_at_checked(digits).unwrap_or((bytes, &[]));
    match rest {
        [] => Ok(None),
        [_, ..] if digits == 0 => Err(ViolationKind::BadChunkSize),
        [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some((digits + 2, hexadecimal(size)))),
        [b'\r', ..] => Err(ViolationKind::BareCr),
        [b'\n', ..] => Err(ViolationKind::BareLf),
        [b';', ..] => Err(ViolationKind::ChunkExtension),
        [_, ..] => Err(ViolationKind::BadChunkSize),
    }
}

/// The number that at most [`MAX_SIZE_DIGITS`] hexadecimal digits mean.
fn hexadecimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |size, byte| {
        let digit = char::from(*byte).to_digit(16).unwrap_or_default();
        size << 4 | u64::from(digit)
    })
}

/// 2 when `bytes` begin with CRLF, 0 when they may yet.
fn line_end(bytes: &[u8], otherwise: ViolationKind) -> Result<usize, ViolationKind> {
    match bytes {
        [] | [b'\r'] => Ok(0),
        [b'\r', b'\n', ..] => Ok(2),
        [_, ..] => Err(otherwise),
    }
}
