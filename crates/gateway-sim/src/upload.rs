//! A body that came in: its length and digest always, its bytes while it is small. A gibibyte is never held.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;

/// The longest body whose bytes are kept.
pub(crate) const KEPT: u64 = 8 << 20;

/// What is known of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Upload {
    /// Its bytes, unless it is longer than [`KEPT`].
    pub(crate) bytes: Option<Vec<u8>>,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its SHA-256, hexadecimal.
    pub(crate) sha256: String,
}

impl Upload {
    /// A body that is here whole.
    pub(crate) fn whole(bytes: &[u8]) -> Self {
        let mut sink = Sink::default();
        sink.take(bytes);
        sink.finish()
    }
}

/// Takes a body piece by piece.
pub(crate) struct Sink {
    bytes: Option<Vec<u8>>,
    length: u64,
    hash: digest::Context,
}

impl Default for Sink {
    fn default() -> Self {
        Self { bytes: Some(Vec::new()), length: 0, hash: digest::Context::new(&digest::SHA256) }
    }
}

impl Sink {
    /// Takes the next piece.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        self.hash.update(piece);
        if self.length > KEPT {
            self.bytes = None;
        } else if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(piece);
        }
    }

    /// That was all.
    pub(crate) fn finish(self) -> Upload {
        Upload {
            bytes: self.bytes,
            length: self.length,
            sha256: HEXLOWER.encode(self.hash.finish().as_ref()),
        }
    }
}
