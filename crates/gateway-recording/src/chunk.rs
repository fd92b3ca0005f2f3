//! The pieces a recording is kept in, and the chain that ties them together. It must not know what is in them.
//!
//! The digest of a chunk covers the id of its recording, its place, whether it is the last, the digest before it and
//! its bytes. So a chunk that was changed, left out, put elsewhere, or taken from another recording has another digest,
//! and a recording whose end was cut off lacks its last chunk.

use std::fmt;
use std::io::{Read as _, Write as _};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::recorder::MOST_CHUNK_BYTES;

/// What separates these digests from all others that are made with SHA-256.
const DOMAIN: &[u8] = b"rack-gateway recording chunk v1\n";

/// SHA-256. `Display` and [`Digest::parse`] use lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What stands before the first chunk.
    pub const NONE: Digest = Digest([0; 32]);

    /// The digest of these bytes, outside of any chain.
    pub fn of(bytes: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(bytes);
        Self::end(context)
    }

    /// Reads 64 lower-case hexadecimal characters.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    fn end(context: Context) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A piece of a recording. Its bytes are whole lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its place, from 0 on.
    pub sequence: u64,
    /// Whether the recording ends with it.
    pub is_last: bool,
    /// Its bytes.
    pub plain: Vec<u8>,
    /// The digest of it and of all before it.
    pub digest: Digest,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, is_last, plain, digest } = self;
        write!(f, "Chunk({sequence}, last: {is_last}, {} bytes, {digest})", plain.len())
    }
}

/// A packed chunk that cannot be unpacked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a piece of the recording cannot be unpacked")]
pub struct PackError;

impl Chunk {
    /// The chunk's bytes, compressed (RFC 1951): what a terminal shows is mostly repetition.
    ///
    /// # Errors
    /// [`PackError`], for completeness: a vector takes all bytes.
    pub fn pack(&self) -> Result<Vec<u8>, PackError> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&self.plain).map_err(|_full| PackError)?;
        encoder.finish().map_err(|_full| PackError)
    }

    /// The bytes that were packed: at most twice [`MOST_CHUNK_BYTES`], so that nothing small unpacks to something huge.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, PackError> {
        let limit = 2 * MOST_CHUNK_BYTES;
        let mut plain = Vec::new();
        let mut decoder = DeflateDecoder::new(packed).take(limit as u64 + 1);
        decoder.read_to_end(&mut plain).map_err(|_damaged| PackError)?;
        if plain.len() > limit { Err(PackError) } else { Ok(plain) }
    }
}

/// The digest of a chunk at its place.
pub(crate) fn chained(
    recording: &str,
    sequence: u64,
    is_last: bool,
    before: &Digest,
    plain: &[u8],
) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    context.update(&(recording.len() as u64).to_be_bytes());
    context.update(recording.as_bytes());
    context.update(&sequence.to_be_bytes());
    context.update(&[u8::from(is_last)]);
    context.update(&before.0);
    context.update(&Digest::of(plain).0);
    Digest::end(context)
}
