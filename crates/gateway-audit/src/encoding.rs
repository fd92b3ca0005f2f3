//! The canonical encoding of events, version 1: one event has one spelling, and one spelling is one event.
//!
//! JSON in the style of RFC 8785: no whitespace, members sorted by code point, integers only. It
//! differs in three points: `"v":1` and `"nonce":"…"` come first; integers are exact to 64 bits; and
//! every control, bidirectional, format and invisible character is written as `\uXXXX`, so that a
//! leaf is safe to print. Members that are empty are left out.
//!
//! The nonce keeps a short event from being guessed from its hash. Start at [`Event::to_leaf`].

mod canonical;
pub(crate) mod members;
mod shed;
#[cfg(test)]
mod tests;

use crate::event::Event;
use crate::merkle::{Hash, leaf_hash};
use data_encoding::HEXLOWER;

/// The largest leaf, in bytes. The C2SP tile format would allow 65,535.
pub const MAX_LEAF_BYTES: usize = 16 * 1024;

/// How deep arrays and objects may be nested in `before` and `after`.
pub const MAX_DEPTH: usize = 64;

/// The version written into each leaf.
const VERSION: u8 = 1;

/// What every leaf of this version begins with; the nonce and the members of the event follow.
const PREFIX: &[u8] = b"{\"v\":1,\"nonce\":\"";

/// The random bytes that make a leaf unguessable from its hash.
pub type Nonce = [u8; 16];

/// An event as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// The canonical encoding; exactly these bytes are stored and hashed.
    pub bytes: Vec<u8>,
    /// [`leaf_hash`] of the bytes.
    pub hash: Hash,
    /// Bodies that did not fit, each under its plain SHA-256, for the store to keep. In the leaf
    /// their digest and length stand for them.
    pub blobs: Vec<(Hash, Vec<u8>)>,
}

/// Why an event has no leaf. It must then be refused that what it records takes place.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// `before` or `after` holds a number that is not an integer.
    #[error("`{member}` holds a number with a fraction or beyond 64 bits; the log takes integers only")]
    NotAnInteger {
        /// `before` or `after`.
        member: &'static str,
    },
    /// `before` or `after` is nested too deeply.
    #[error("`{member}` is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// `before` or `after`.
        member: &'static str,
    },
    /// Too large even with every large member replaced by its digest.
    #[error("the event takes {bytes} bytes; a leaf has at most {MAX_LEAF_BYTES}")]
    TooLarge {
        /// The size it would have.
        bytes: usize,
    },
    /// A value that JSON cannot express.
    #[error("the event cannot be written as JSON")]
    Json {
        /// What the serialiser said.
        #[source]
        source: serde_json::Error,
    },
}

/// Why bytes are no leaf.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Larger than a leaf may be.
    #[error("{bytes} bytes; a leaf has at most {MAX_LEAF_BYTES}")]
    TooLarge {
        /// How many bytes there are.
        bytes: usize,
    },
    /// Not of version 1: written by a later gateway, or not a leaf at all.
    #[error("the bytes do not begin like a leaf of version {VERSION}; a later gateway may have written them")]
    UnknownVersion,
    /// Not the JSON of an event.
    #[error("the bytes are not an event")]
    Malformed {
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// An event, but in another spelling than its canonical one.
    #[error("not the canonical spelling of the event: byte {offset} differs")]
    NotCanonical {
        /// The first byte that differs.
        offset: usize,
    },
}

impl Event {
    /// The event's leaf. `nonce` must be fresh random bytes.
    ///
    /// An event larger than a leaf is made to fit: its largest bodies and texts are replaced by their
    /// digests, and come back in [`Leaf::blobs`].
    ///
    /// # Errors
    /// [`EncodeError`]; what the event records must then not happen.
    pub fn to_leaf(&self, nonce: Nonce) -> Result<Leaf, EncodeError> {
        for (member, value) in [("before", &self.before), ("after", &self.after)] {
            value.as_ref().map_or(Ok(()), |value| canonical::check(member, value, MAX_DEPTH))?;
        }
        let bytes = self.encode(&nonce)?;
        if bytes.len() > MAX_LEAF_BYTES {
            return shed::fit(self, &nonce);
        }
        Ok(Leaf { hash: leaf_hash(&bytes), bytes, blobs: Vec::new() })
    }

    /// Reads a leaf back.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but the canonical spelling of an event.
    pub fn from_leaf(bytes: &[u8]) -> Result<(Event, Nonce), DecodeError> {
        if bytes.len() > MAX_LEAF_BYTES {
            return Err(DecodeError::TooLarge { bytes: bytes.len() });
        }
        let nonced = bytes.strip_prefix(PREFIX).ok_or(DecodeError::UnknownVersion)?;
        let not_canonical = |offset| DecodeError::NotCanonical { offset };
        let (nonce, rest) =
            nonced.split_at_checked(2 * size_of::<Nonce>()).ok_or(not_canonical(PREFIX.len()))?;
        let nonce = HEXLOWER.decode(nonce).ok().and_then(|nonce| Nonce::try_from(nonce).ok());
        let nonce = nonce.ok_or(not_canonical(PREFIX.len()))?;
        let members = rest.strip_prefix(b"\",").ok_or(not_canonical(bytes.len() - rest.len()))?;
        // The event's own text is what follows, as an object of its own.
        let text = [b"{", members].concat();
        let event: Event =
            serde_json::from_slice(&text).map_err(|source| DecodeError::Malformed { source })?;
        let again = event.encode(&nonce).map_err(|_| not_canonical(0))?;
        if again != bytes {
            return Err(not_canonical(again.iter().zip(bytes).take_while(|(a, b)| a == b).count()));
        }
        Ok((event, nonce))
    }

    fn encode(&self, nonce: &Nonce) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(PREFIX);
        bytes.extend_from_slice(HEXLOWER.encode(nonce).as_bytes());
        bytes.extend_from_slice(b"\"");
        // The members follow in the same object: the event's own brace becomes a comma.
        let brace = bytes.len();
        canonical::write(&mut bytes, self).map_err(|source| EncodeError::Json { source })?;
        if let Some(brace) = bytes.get_mut(brace) {
            *brace = b',';
        }
        Ok(bytes)
    }
}
