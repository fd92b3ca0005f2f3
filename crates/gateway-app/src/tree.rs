//! The log's tree as clients check it: tiles, entry bundles, proofs, keys.
//!
//! All of it is made from stored hashes, never from what the head says, so that a log that was rewritten
//! cannot answer with proofs that hold. Who may ask is the verdict's business.

#[cfg(test)]
mod tests;

use gateway_audit::tiles::{self, TILE_WIDTH, tiles_of_consistency, tiles_of_inclusion};
use gateway_audit::{Hash, TileId, TilePath, consistency_proof, inclusion_proof};
use gateway_store::Store;
use gateway_types::wire::log::{LogKey, LogKeys};

use crate::audit::{AuditError, pruned};

/// A proof.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The size of the tree.
    pub size: u64,
    /// Of an inclusion proof: the hash of the entry.
    pub leaf_hash: Option<Hash>,
    /// The hashes, lowest first.
    pub path: Vec<Hash>,
}

/// What stands at a tile's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tile {
    /// Hashes: the same for ever.
    Hashes(Vec<u8>),
    /// Entries: the same as long as they are kept.
    Entries(Vec<u8>),
}

/// Every key of the log, oldest first.
///
/// # Errors
/// Only the store's.
pub async fn keys(store: &Store) -> Result<LogKeys, AuditError> {
    let chain = store.audit().keys().await?;
    let ends = chain.keys().iter().skip(1).map(|next| Some(next.from)).chain([None]);
    let keys = chain.keys().iter().zip(ends).map(|(key, until)| LogKey {
        key: key.verifier.to_string(),
        from: key.from,
        until,
        handover: key.handover.clone(),
    });
    Ok(LogKeys { keys: keys.collect() })
}

/// That entry `index` is in the tree of `size` entries, or of all there are.
///
/// # Errors
/// [`AuditError::NoSuchEntry`] and [`AuditError::NoSuchTree`], or the store's.
pub async fn inclusion(store: &Store, index: u64, size: Option<u64>) -> Result<Proof, AuditError> {
    let size = known_size(store, size).await?;
    if index >= size {
        return Err(AuditError::NoSuchEntry { index });
    }
    let tiles = store.events().tiles(&tiles_of_inclusion(index, size)?, size).await?;
    let path = inclusion_proof(&tiles, index, size)?;
    let leaf_hash = store.events().hashes(index, index + 1).await?.first().copied();
    Ok(Proof { size, leaf_hash, path })
}

/// That the tree of `old` entries is the beginning of that of `size`, or of all there are.
///
/// # Errors
/// [`AuditError::NoSuchTree`], or the store's.
pub async fn consistency(store: &Store, old: u64, size: Option<u64>) -> Result<Proof, AuditError> {
    let size = known_size(store, size).await?;
    if old > size {
        return Err(AuditError::NoSuchTree { size: old, have: size });
    }
    let tiles = store.events().tiles(&tiles_of_consistency(old, size)?, size).await?;
    Ok(Proof { size, leaf_hash: None, path: consistency_proof(&tiles, old, size)? })
}

async fn known_size(store: &Store, asked: Option<u64>) -> Result<u64, AuditError> {
    let have = store.events().head().await?.size;
    match asked {
        Some(size) if size > have => Err(AuditError::NoSuchTree { size, have }),
        Some(size) => Ok(size),
        None => Ok(have),
    }
}

/// What stands at this name below `tile/`.
///
/// # Errors
/// [`AuditError::NoSuchTile`] for a name that is none, or of what the log does not have yet; [`AuditError::Pruned`] for
/// entries whose bodies retention removed (C2SP tlog-tiles, "Pruning": their hashes stay).
pub async fn tile(store: &Store, path: &str) -> Result<Tile, AuditError> {
    let absent = || AuditError::NoSuchTile { path: gateway_audit::bounded(path) };
    match path.parse().map_err(|_| absent())? {
        TilePath::Hashes { tile, width } => {
            let hashes = store.events().tile(tile, width).await?.ok_or_else(absent)?;
            Ok(Tile::Hashes(tiles::tile_bytes(&hashes)))
        }
        TilePath::Entries { index, width } => {
            let leaves = TileId { level: 0, index };
            if leaves.width_at(store.events().head().await?.size) < width {
                return Err(absent());
            }
            let first = index * TILE_WIDTH;
            let mut bundle = Vec::new();
            for row in store.events().leaves(first, first + width).await? {
                if row.has_no_body() {
                    pruned(store, row.index).await?;
                    return Err(unreadable());
                }
                tiles::push_entry(&mut bundle, &row.bytes).map_err(|_long| unreadable())?;
            }
            Ok(Tile::Entries(bundle))
        }
    }
}

fn unreadable() -> AuditError {
    AuditError::Store(gateway_store::StoreError::Corrupt { what: "leaf of the audit log" })
}
