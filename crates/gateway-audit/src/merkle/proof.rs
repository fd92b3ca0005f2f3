//! Inclusion and consistency proofs: making them from any source of nodes, and checking them.
//!
//! Source: RFC 9162, sections 2.1.3 and 2.1.4 (the tree of RFC 6962, with the checks spelled out).

use super::{Frontier, Hash, Head, empty_root, join_peaks, node_hash};

/// Where roots of perfect subtrees come from: leaf hashes in memory, or stored tiles.
pub trait NodeSource {
    /// The root over the leaves `index << level .. (index + 1) << level`; `None` when the source
    /// does not have all of them.
    fn node(&self, level: u32, index: u64) -> Option<Hash>;
}

impl NodeSource for [Hash] {
    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let width = 1usize.checked_shl(level)?;
        let start = usize::try_from(index).ok()?.checked_mul(width)?;
        let mut frontier = Frontier::new();
        for leaf in self.get(start..start.checked_add(width)?)? {
            frontier.push(*leaf);
        }
        Some(frontier.root())
    }
}

impl NodeSource for Vec<Hash> {
    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        self.as_slice().node(level, index)
    }
}

/// Why a proof could not be made, or does not hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// The leaf asked for is not in the tree.
    #[error("the log has {size} entries; there is none with index {index}")]
    IndexOutOfRange {
        /// The index asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("the older tree has {old} entries and the newer one only {new}: the log was rolled back")]
    SizesReversed {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// The source lacks a node.
    #[error("the hash of level {level}, index {index} is not at hand")]
    MissingNode {
        /// Height of the perfect subtree.
        level: u32,
        /// Its index at that height.
        index: u64,
    },
    /// The proof has too few or too many hashes.
    #[error("the proof has {found} hashes, which is not the number for these sizes")]
    WrongLength {
        /// Hashes found.
        found: usize,
    },
    /// The proof leads to another root than the one trusted.
    #[error("the proof leads to another root than that of the tree of {size} entries")]
    RootMismatch {
        /// Size of the tree whose root differs.
        size: u64,
    },
}

/// The root over the leaves `start..end`, where `start` is a multiple of the largest power of two
/// not above the width: so it is for every subtree that RFC 6962 splits off.
fn subtree<S: NodeSource + ?Sized>(source: &S, start: u64, end: u64) -> Result<Hash, ProofError> {
    let (mut at, mut peaks) = (start, Vec::with_capacity(64));
    while let Some(level) = end.saturating_sub(at).checked_ilog2() {
        let index = at >> level;
        peaks.push(source.node(level, index).ok_or(ProofError::MissingNode { level, index })?);
        at += 1 << level;
    }
    Ok(join_peaks(&peaks).unwrap_or_else(empty_root))
}

/// The point where RFC 6962 splits the leaves `low..high`: after the largest power of two below the width.
fn split(low: u64, high: u64) -> u64 {
    (high - low).checked_sub(1).and_then(u64::checked_ilog2).map_or(high, |level| low + (1 << level))
}

/// The audit path of leaf `index` in the tree of the first `size` leaves, lowest sibling first.
///
/// # Errors
/// When the leaf is not in that tree, or the source lacks a node.
pub fn inclusion_proof<S: NodeSource + ?Sized>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProofError> {
    if index >= size {
        return Err(ProofError::IndexOutOfRange { index, size });
    }
    let (mut low, mut high, mut path) = (0, size, Vec::new());
    while high - low > 1 {
        let middle = split(low, high);
        if index < middle {
            path.push(subtree(source, middle, high)?);
            high = middle;
        } else {
            path.push(subtree(source, low, middle)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Checks that a leaf of this hash is entry `index` of the tree of `head`.
///
/// # Errors
/// [`ProofError`] says what does not hold; there is no partial trust.
pub fn verify_inclusion(leaf: &Hash, index: u64, head: &Head, path: &[Hash]) -> Result<(), ProofError> {
    let wrong_length = ProofError::WrongLength { found: path.len() };
    if index >= head.size {
        return Err(ProofError::IndexOutOfRange { index, size: head.size });
    }
    let (mut at, mut last, mut root) = (index, head.size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(wrong_length);
        }
        if at & 1 == 1 || at == last {
            root = node_hash(sibling, &root);
            // At the right edge the node rises past the levels where it has no sibling.
            let rise = if at == 0 { 0 } else { at.trailing_zeros() };
            at >>= rise;
            last >>= rise;
        } else {
            root = node_hash(&root, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    if root != head.root { Err(ProofError::RootMismatch { size: head.size }) } else { Ok(()) }
}

/// The proof that the tree of the first `old` leaves is a prefix of that of the first `new`.
///
/// Empty when `old` is 0 or equals `new`.
///
/// # Errors
/// When `old` is larger than `new`, or the source lacks a node.
pub fn consistency_proof<S: NodeSource + ?Sized>(
    source: &S,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, ProofError> {
    if old > new {
        return Err(ProofError::SizesReversed { old, new });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let (mut low, mut high, mut proof) = (0, new, Vec::new());
    while old < high {
        let middle = split(low, high);
        if old <= middle {
            proof.push(subtree(source, middle, high)?);
            high = middle;
        } else {
            proof.push(subtree(source, low, middle)?);
            low = middle;
        }
    }
    // The whole old tree is one of the new tree's nodes: the checker has that root already.
    if low != 0 {
        proof.push(subtree(source, low, high)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the tree of `old` is a prefix of the tree of `new`: nothing rewritten, removed or reordered.
///
/// # Errors
/// [`ProofError`] says what does not hold. An older head that is larger is a rollback.
pub fn verify_consistency(old: &Head, new: &Head, proof: &[Hash]) -> Result<(), ProofError> {
    let wrong_length = ProofError::WrongLength { found: proof.len() };
    if old.size > new.size {
        return Err(ProofError::SizesReversed { old: old.size, new: new.size });
    }
    if old.size == new.size || old.size == 0 {
        let known = if old.size == 0 { empty_root() } else { new.root };
        let empty_is_whole = new.size != 0 || new.root == empty_root();
        return match (proof.is_empty(), old.root == known && empty_is_whole) {
            (false, _) => Err(wrong_length),
            (true, false) => Err(ProofError::RootMismatch { size: old.size }),
            (true, true) => Ok(()),
        };
    }
    let old_is_a_node = old.size.is_power_of_two();
    let mut path = old_is_a_node.then_some(&old.root).into_iter().chain(proof);
    let Some(seed) = path.next() else { return Err(wrong_length) };
    let (mut at, mut last) = (old.size - 1, new.size - 1);
    let rise = at.trailing_ones();
    (at, last) = (at >> rise, last >> rise);
    let (mut old_root, mut new_root) = (*seed, *seed);
    for sibling in path {
        if last == 0 {
            return Err(wrong_length);
        }
        if at & 1 == 1 || at == last {
            old_root = node_hash(sibling, &old_root);
            new_root = node_hash(sibling, &new_root);
            let rise = if at == 0 { 0 } else { at.trailing_zeros() };
            at >>= rise;
            last >>= rise;
        } else {
            new_root = node_hash(&new_root, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last == 0, old_root == old.root, new_root == new.root) {
        (false, _, _) => Err(wrong_length),
        (true, false, _) => Err(ProofError::RootMismatch { size: old.size }),
        (true, true, false) => Err(ProofError::RootMismatch { size: new.size }),
        (true, true, true) => Ok(()),
    }
}
