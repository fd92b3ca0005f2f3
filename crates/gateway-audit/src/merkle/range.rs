//! Range proofs: that these leaves are *all* leaves from one index to another, and in that order.
//!
//! The tree is cut into the perfect subtrees left of the range, the leaves of the range, and the perfect subtrees right of it.
//! The roots on both sides with the leaves between them give the root of the whole tree, and nothing else does. An inclusion
//! proof for each leaf shows that it is in the log; this shows also that none is left out.
//!
//! Source: RFC 9162, section 2.1 (the tree); *compact ranges*, as they are called in Trillian's documentation.

use super::{Frontier, Hash, Head, NodeSource, ProofError};

/// What stands beside the leaves of a range: roots of perfect subtrees, each side from left to right.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RangeProof {
    /// Over the leaves before the range.
    pub left: Vec<Hash>,
    /// Over the leaves after it.
    pub right: Vec<Hash>,
}

/// Height and place of the perfect subtrees over the leaves `start..end`, the largest that begin where they do.
fn subtrees(start: u64, end: u64) -> impl Iterator<Item = (u32, u64)> {
    let mut at = start;
    std::iter::from_fn(move || {
        let room = end.saturating_sub(at).checked_ilog2()?;
        let level = at.trailing_zeros().min(room);
        let found = (level, at >> level);
        at += 1 << level;
        Some(found)
    })
}

/// The proof that the leaves `start..end` are those of the tree of the first `size` leaves.
///
/// # Errors
/// When the range is not in the tree, or the source lacks a node.
pub fn range_proof<S: NodeSource + ?Sized>(
    source: &S,
    start: u64,
    end: u64,
    size: u64,
) -> Result<RangeProof, ProofError> {
    if start > end || end > size {
        return Err(ProofError::IndexOutOfRange { index: start.max(end), size });
    }
    let roots = |start, end| {
        subtrees(start, end)
            .map(|(level, index)| source.node(level, index).ok_or(ProofError::MissingNode { level, index }))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(RangeProof { left: roots(0, start)?, right: roots(end, size)? })
}

/// Checks a range, leaf by leaf: however long it is, a few hashes are remembered.
#[derive(Debug)]
pub struct RangeVerifier {
    so_far: Frontier,
}

impl RangeVerifier {
    /// One for a range that begins at `start`.
    ///
    /// # Errors
    /// When these are not as many hashes as stand left of it.
    pub fn new(start: u64, left: &[Hash]) -> Result<Self, ProofError> {
        let mut so_far = Frontier::new();
        append(&mut so_far, start, left)?;
        Ok(Self { so_far })
    }

    /// Takes the next leaf, given its [`leaf_hash`](super::leaf_hash).
    pub fn push(&mut self, leaf: Hash) {
        self.so_far.push(leaf);
    }

    /// Whether the leaves were all of them up to here, in the tree of this head.
    ///
    /// # Errors
    /// When they were not, or these are not as many hashes as stand right of them.
    pub fn finish(mut self, head: &Head, right: &[Hash]) -> Result<(), ProofError> {
        append(&mut self.so_far, head.size, right)?;
        if self.so_far.root() == head.root {
            Ok(())
        } else {
            Err(ProofError::RootMismatch { size: head.size })
        }
    }
}

/// Appends the perfect subtrees from where the tree ends up to the leaf `end`.
fn append(tree: &mut Frontier, end: u64, roots: &[Hash]) -> Result<(), ProofError> {
    let start = tree.size();
    if start > end {
        return Err(ProofError::SizesReversed { old: start, new: end });
    }
    let mut given = roots.iter();
    for (level, _index) in subtrees(start, end) {
        let root = given.next().ok_or(ProofError::WrongLength { found: roots.len() })?;
        tree.push_perfect(level, *root);
    }
    if given.next().is_some() { Err(ProofError::WrongLength { found: roots.len() }) } else { Ok(()) }
}
