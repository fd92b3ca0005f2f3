//! What a writer must remember to append: the roots of the perfect subtrees, O(log n) hashes.

use super::{HASH_BYTES, Hash, Head, empty_root, join_peaks, node_hash};

/// The compact range `[0, size)` of a tree: enough to append and to know the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frontier {
    size: u64,
    /// Roots of the perfect subtrees, largest first; one for each bit set in `size`.
    hashes: Vec<Hash>,
}

/// Stored bytes that are no frontier.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadFrontier {
    /// Fewer than the eight bytes of the size.
    #[error("a stored frontier begins with its size in 8 bytes, found {found} bytes")]
    NoSize {
        /// Bytes found.
        found: usize,
    },
    /// The number of hashes does not follow from the size.
    #[error("a frontier of {size} leaves takes {expected} bytes of hashes, found {found}")]
    WrongLength {
        /// The size it says it has.
        size: u64,
        /// Bytes of hashes that this size takes.
        expected: usize,
        /// Bytes of hashes found.
        found: usize,
    },
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Self {
        // A tree of 64-bit size never has more than 64 peaks, so appending never allocates again.
        Self { size: 0, hashes: Vec::with_capacity(64) }
    }

    /// Appends a leaf, given its [`leaf_hash`](super::leaf_hash).
    pub fn push(&mut self, leaf: Hash) {
        self.push_noting(leaf, |_height, _root| {});
    }

    /// The same, telling height and root of each perfect subtree that this leaf completes, lowest first.
    pub fn push_noting(&mut self, leaf: Hash, mut completed: impl FnMut(u32, &Hash)) {
        let mut peak = leaf;
        // Each low bit set in the size is a perfect subtree of the same height waiting for its right half.
        for height in 1..=self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                peak = node_hash(&left, &peak);
                completed(height, &peak);
            }
        }
        self.hashes.push(peak);
        self.size += 1;
    }

    /// Appends a perfect subtree of this height, given its root. The tree so far ends where such a one may begin.
    pub(super) fn push_perfect(&mut self, height: u32, root: Hash) {
        let mut peak = root;
        for _ in 0..self.size.unbounded_shr(height).trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                peak = node_hash(&left, &peak);
            }
        }
        self.hashes.push(peak);
        self.size = self.size.saturating_add(1u64.unbounded_shl(height));
    }

    /// The root over all leaves so far.
    pub fn root(&self) -> Hash {
        join_peaks(&self.hashes).unwrap_or_else(empty_root)
    }

    /// The number of leaves so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Size and root together.
    pub fn head(&self) -> Head {
        Head { size: self.size, root: self.root() }
    }

    /// The form kept in the store: the size as 8 bytes big-endian, then the hashes, largest subtree first.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.hashes.len() * HASH_BYTES);
        bytes.extend_from_slice(&self.size.to_be_bytes());
        for hash in &self.hashes {
            bytes.extend_from_slice(hash.as_bytes());
        }
        bytes
    }

    /// Reads what [`Frontier::to_bytes`] wrote.
    ///
    /// # Errors
    /// When the length does not follow from the size. That the hashes are the right ones only the
    /// leaves or a checkpoint can tell.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadFrontier> {
        let (size, rest) =
            bytes.split_first_chunk::<8>().ok_or(BadFrontier::NoSize { found: bytes.len() })?;
        let size = u64::from_be_bytes(*size);
        let expected = size.count_ones() as usize * HASH_BYTES;
        if rest.len() != expected {
            return Err(BadFrontier::WrongLength { size, expected, found: rest.len() });
        }
        let mut frontier = Frontier::new();
        frontier.size = size;
        frontier.hashes.extend(rest.chunks_exact(HASH_BYTES).filter_map(Hash::from_slice));
        Ok(frontier)
    }
}
