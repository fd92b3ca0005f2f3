//! The log as tiles (C2SP tlog-tiles): the names of hash tiles and entry bundles, their bytes, and proofs
//! made from them.
//!
//! A hash tile of level L holds up to 256 nodes of height 8·L, so that a proof in a log of a million
//! entries needs a handful of tiles. Where the hashes are kept is not known here. Start at [`TilePath`]
//! (what a client asks for) and [`Tiles`] (what proofs are made from).

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::merkle::{
    Frontier, HASH_BYTES, Hash, NodeSource, ProofError, consistency_proof, inclusion_proof, range_proof,
};

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// How many levels of the tree one level of tiles spans.
pub const TILE_HEIGHT: u32 = 8;
/// The highest level whose nodes can cover leaves of a 64-bit log.
pub const TOP_LEVEL: u8 = 7;

/// A hash tile: its level, counted in tiles from the leaves, and its place in that level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TileId {
    /// The level: 0 holds leaf hashes.
    pub level: u8,
    /// Which tile of the level.
    pub index: u64,
}

impl TileId {
    /// How many of its hashes exist in a log of `size` entries.
    pub fn width_at(self, size: u64) -> u64 {
        let nodes = size >> (TILE_HEIGHT * u32::from(self.level));
        nodes.saturating_sub(self.index.saturating_mul(TILE_WIDTH)).min(TILE_WIDTH)
    }
}

/// What stands below `tile/`: hashes, or entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TilePath {
    /// Hashes.
    Hashes {
        /// Of which tile.
        tile: TileId,
        /// How many of them, 1 to 256.
        width: u64,
    },
    /// The entries under a tile of level 0.
    Entries {
        /// Which bundle: its first entry has 256 times this index.
        index: u64,
        /// How many of them, 1 to 256.
        width: u64,
    },
}

/// A text that names no tile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "not a tile: <L>/<N>, <L>/<N>.p/<W>, entries/<N> or entries/<N>.p/<W> is expected, with N in groups of three digits such as x001/234"
)]
pub struct NotATile;

impl FromStr for TilePath {
    type Err = NotATile;

    /// Reads the path after `tile/`. Each tile has exactly one spelling.
    fn from_str(path: &str) -> Result<Self, NotATile> {
        let (kind, rest) = path.split_once('/').ok_or(NotATile)?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, partial_width(width)?),
            None => (rest, TILE_WIDTH),
        };
        let index = index(number)?;
        let parsed = if kind == "entries" {
            TilePath::Entries { index, width }
        } else {
            TilePath::Hashes { tile: TileId { level: level(kind)?, index }, width }
        };
        // One spelling: `0001`, `x000/001` and `01` are other texts than what is printed.
        if parsed.to_string() == path { Ok(parsed) } else { Err(NotATile) }
    }
}

fn partial_width(text: &str) -> Result<u64, NotATile> {
    match text.parse() {
        Ok(width @ 1..TILE_WIDTH) => Ok(width),
        Ok(_) | Err(_) => Err(NotATile),
    }
}

fn level(text: &str) -> Result<u8, NotATile> {
    match text.parse() {
        Ok(level @ 0..=TOP_LEVEL) => Ok(level),
        Ok(_) | Err(_) => Err(NotATile),
    }
}

fn index(text: &str) -> Result<u64, NotATile> {
    text.split('/').try_fold(0u64, |sum, group| {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let is_digits = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| is_digits).ok_or(NotATile)?;
        sum.checked_mul(1000).and_then(|sum| sum.checked_add(number)).ok_or(NotATile)
    })
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match *self {
            TilePath::Hashes { tile, width } => {
                write!(f, "{}/", tile.level)?;
                (tile.index, width)
            }
            TilePath::Entries { index, width } => {
                f.write_str("entries/")?;
                (index, width)
            }
        };
        let mut groups = vec![index % 1000];
        let mut rest = index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            if groups.is_empty() { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if width < TILE_WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// The bytes of a tile: its hashes one after the other.
pub fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hashes.len() * HASH_BYTES);
    for hash in hashes {
        bytes.extend_from_slice(hash.as_bytes());
    }
    bytes
}

/// An entry that is too long for a bundle, which the encoding of events never makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an entry of {bytes} bytes does not fit into a bundle, whose entries have at most 65535")]
pub struct EntryTooLong {
    /// How long it is.
    pub bytes: usize,
}

/// Adds an entry to a bundle: its length in two bytes, most significant first, and itself.
///
/// # Errors
/// [`EntryTooLong`].
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(entry.len()).map_err(|_long| EntryTooLong { bytes: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Bytes that are no entry bundle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the entry bundle ends in the middle of an entry")]
pub struct CutBundle;

/// The entries of a bundle, in order.
///
/// # Errors
/// When it ends in the middle of one.
pub fn entries_of(mut bundle: &[u8]) -> Result<Vec<&[u8]>, CutBundle> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>().ok_or(CutBundle)?;
        let (entry, rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(CutBundle)?;
        entries.push(entry);
        bundle = rest;
    }
    Ok(entries)
}

/// Hash tiles at hand: a source of nodes.
#[derive(Clone, Debug, Default)]
pub struct Tiles(BTreeMap<TileId, Vec<Hash>>);

impl Tiles {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what is there of a tile.
    pub fn insert(&mut self, tile: TileId, hashes: Vec<Hash>) {
        self.0.insert(tile, hashes);
    }
}

/// The tile that holds what the node of this height and place is made of, and where in it.
fn place(height: u32, index: u64) -> Option<(TileId, usize, usize)> {
    let level = height / TILE_HEIGHT;
    let within = height % TILE_HEIGHT;
    let first = index.checked_shl(within)?;
    let start = usize::try_from(first % TILE_WIDTH).ok()?;
    let tile = TileId { level: u8::try_from(level).ok()?, index: first / TILE_WIDTH };
    Some((tile, start, start.checked_add(1 << within)?))
}

impl NodeSource for Tiles {
    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let (tile, start, end) = place(level, index)?;
        let mut frontier = Frontier::new();
        for hash in self.0.get(&tile)?.get(start..end)? {
            frontier.push(*hash);
        }
        Some(frontier.root())
    }
}

/// Notes which tiles are asked for, and answers with no hash of worth.
#[derive(Default)]
struct Wanted(RefCell<BTreeSet<TileId>>);

impl NodeSource for Wanted {
    fn node(&self, level: u32, index: u64) -> Option<Hash> {
        let (tile, ..) = place(level, index)?;
        self.0.borrow_mut().insert(tile);
        Some(Hash::from_bytes([0; HASH_BYTES]))
    }
}

/// The tiles that an inclusion proof takes.
///
/// # Errors
/// When the leaf is not in the tree.
pub fn tiles_of_inclusion(index: u64, size: u64) -> Result<Vec<TileId>, ProofError> {
    let wanted = Wanted::default();
    inclusion_proof(&wanted, index, size)?;
    Ok(wanted.0.into_inner().into_iter().collect())
}

/// The tiles that a consistency proof takes.
///
/// # Errors
/// When the older tree is larger.
pub fn tiles_of_consistency(old: u64, new: u64) -> Result<Vec<TileId>, ProofError> {
    let wanted = Wanted::default();
    consistency_proof(&wanted, old, new)?;
    Ok(wanted.0.into_inner().into_iter().collect())
}

/// The tiles that a range proof takes.
///
/// # Errors
/// When the range is not in the tree.
pub fn tiles_of_range(start: u64, end: u64, size: u64) -> Result<Vec<TileId>, ProofError> {
    let wanted = Wanted::default();
    range_proof(&wanted, start, end, size)?;
    Ok(wanted.0.into_inner().into_iter().collect())
}

/// A proof that stands alone (C2SP tlog-proof): which entry, its audit path, and the checkpoint it leads to.
pub fn tlog_proof(index: u64, path: &[Hash], checkpoint: &str) -> String {
    let mut text = format!("c2sp.org/tlog-proof@v1\nindex {index}\n");
    for hash in path {
        text.push_str(&hash.to_base64());
        text.push('\n');
    }
    text.push('\n');
    text.push_str(checkpoint);
    text
}
