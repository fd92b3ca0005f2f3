//! The Merkle tree of RFC 6962: hashes, heads, the frontier a writer keeps, and proofs.
//!
//! Knows nothing of events: a leaf is some bytes. Start at [`Frontier`] (appending) and
//! [`verify_inclusion`] / [`verify_consistency`] (checking).

mod frontier;
mod proof;
mod range;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest as sha;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

pub use frontier::{BadFrontier, Frontier};
pub use proof::{
    NodeSource, ProofError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};
pub use range::{RangeProof, RangeVerifier, range_proof};

/// The length of a hash in bytes.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash. Printed and serialised as standard base64 with padding, as checkpoints have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// A hash of these bytes.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Self {
        Self(bytes)
    }

    /// A hash of these bytes, as a store returns them; `None` unless there are exactly 32.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// Lower-case hexadecimal, as `sha256sum` prints it.
    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads lower-case hexadecimal, as [`Hash::to_hex`] writes it.
    pub fn from_hex(text: &str) -> Option<Self> {
        Self::from_slice(&HEXLOWER.decode(text.as_bytes()).ok()?)
    }

    /// Standard base64 with padding.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", self.to_hex())
    }
}

/// A text that is not the base64 of 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a hash: 44 characters of padded standard base64 are expected")]
pub struct NotAHash;

impl FromStr for Hash {
    type Err = NotAHash;

    /// Reads base64. Each hash has exactly one spelling: stray bits and missing padding are refused.
    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let bytes = STANDARD.decode(text).map_err(|_| NotAHash)?;
        Hash::from_slice(&bytes).ok_or(NotAHash)
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A tree head: how many leaves, and the root over them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The number of leaves.
    pub size: u64,
    /// The root hash at that size.
    pub root: Hash,
}

fn hash_of(digest: &sha::Digest) -> Hash {
    let mut bytes = [0; HASH_BYTES];
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    Hash(bytes)
}

/// Plain SHA-256 of `bytes`, as blobs are named by. Never a node of the tree.
pub fn digest(bytes: &[u8]) -> Hash {
    hash_of(&sha::digest(&sha::SHA256, bytes))
}

/// The hash of a leaf: `SHA-256(0x00 || bytes)`.
///
/// Source: RFC 6962, section 2.1.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    let mut context = sha::Context::new(&sha::SHA256);
    context.update(&[0x00]);
    context.update(bytes);
    hash_of(&context.finish())
}

/// The hash of an inner node: `SHA-256(0x01 || left || right)`.
///
/// Source: RFC 6962, section 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [0x01; 1 + 2 * HASH_BYTES];
    let children = left.0.iter().chain(&right.0);
    for (to, from) in input.iter_mut().skip(1).zip(children) {
        *to = *from;
    }
    digest(&input)
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    digest(&[])
}

/// The root over perfect subtrees given largest first: each smaller one is the right child of the
/// join so far to its right.
fn join_peaks(peaks: &[Hash]) -> Option<Hash> {
    peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}
