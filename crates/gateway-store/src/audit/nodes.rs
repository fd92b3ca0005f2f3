//! Roots of full subtrees, stored so that a tile above the leaves is read and not computed.
//!
//! The writer adds each with the leaf that completes it. [`complete`] makes what is missing: of a log that is
//! older than the table, or that an older program wrote meanwhile.

use std::collections::BTreeMap;

use gateway_audit::tiles::{TILE_HEIGHT, TILE_WIDTH, TOP_LEVEL};
use gateway_audit::{Frontier, Hash, TileId};
use sqlx::{AnyConnection, Row};

use super::chunk::{from_column, read_head, to_column};
use crate::database::Database;
use crate::error::StoreError;

/// A node above the leaves.
pub(super) struct Node {
    level: u8,
    index: u64,
    hash: Hash,
}

/// The nodes that tiles have, of those completed by appending leaf `leaf_index`.
pub(super) fn note(nodes: &mut Vec<Node>, leaf_index: u64, height: u32, hash: &Hash) {
    let level = height / TILE_HEIGHT;
    if height.is_multiple_of(TILE_HEIGHT)
        && let Ok(level) = u8::try_from(level)
        && level <= TOP_LEVEL
    {
        nodes.push(Node { level, index: leaf_index >> height, hash: *hash });
    }
}

/// Adds nodes; one that is there stays, for there is only one that is right.
pub(super) async fn insert(connection: &mut AnyConnection, nodes: &[Node]) -> Result<(), StoreError> {
    for node in nodes {
        sqlx::query(
            "INSERT INTO audit_nodes (level, idx, hash) VALUES ($1, $2, $3) ON CONFLICT (level, idx) DO NOTHING",
        )
        .bind(i64::from(node.level))
        .bind(to_column(node.index)?)
        .bind(node.hash.as_bytes().to_vec())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The first `width` hashes of a tile, as far as they are stored: those before the first that is missing.
pub(crate) async fn read(database: &Database, tile: TileId, width: u64) -> Result<Vec<Hash>, StoreError> {
    let first = tile.index.saturating_mul(TILE_WIDTH);
    let end = first.saturating_add(width);
    let text = match tile.level {
        0 => "SELECT idx, hash FROM audit_leaves WHERE $1 = 0 AND idx >= $2 AND idx < $3 ORDER BY idx",
        _above => {
            "SELECT idx, hash FROM audit_nodes WHERE level = $1 AND idx >= $2 AND idx < $3 ORDER BY idx"
        }
    };
    let rows = sqlx::query(text)
        .bind(i64::from(tile.level))
        .bind(to_column(first)?)
        .bind(to_column(end)?)
        .fetch_all(database.pool())
        .await?;
    let mut hashes = Vec::with_capacity(rows.len());
    for (row, expected) in rows.iter().zip(first..) {
        if from_column(row.try_get(0)?)? != expected {
            break;
        }
        hashes.push(
            Hash::from_slice(&row.try_get::<Vec<u8>, _>(1)?).ok_or(StoreError::Corrupt { what: "hash" })?,
        );
    }
    Ok(hashes)
}

/// Makes what is missing, level by level; returns how many nodes that were.
pub(crate) async fn complete(database: &Database) -> Result<u64, StoreError> {
    let size = read_head(database).await?.head.size;
    let mut made = 0;
    for level in 1..=TOP_LEVEL {
        let expected = size >> (TILE_HEIGHT * u32::from(level));
        if expected == 0 || count(database, level, expected).await? == expected {
            continue;
        }
        for first in (0..expected).step_by(usize::try_from(TILE_WIDTH).unwrap_or(usize::MAX)) {
            made += fill(database, level, first, expected.min(first + TILE_WIDTH)).await?;
        }
    }
    Ok(made)
}

async fn count(database: &Database, level: u8, below: u64) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT count(*) FROM audit_nodes WHERE level = $1 AND idx < $2")
        .bind(i64::from(level))
        .bind(to_column(below)?)
        .fetch_one(database.pool())
        .await?;
    from_column(row.try_get(0)?)
}

/// Makes what is missing of the nodes `first..end` of a level.
async fn fill(database: &Database, level: u8, first: u64, end: u64) -> Result<u64, StoreError> {
    let rows = sqlx::query("SELECT idx FROM audit_nodes WHERE level = $1 AND idx >= $2 AND idx < $3")
        .bind(i64::from(level))
        .bind(to_column(first)?)
        .bind(to_column(end)?)
        .fetch_all(database.pool())
        .await?;
    let mut there = BTreeMap::new();
    for row in &rows {
        there.insert(from_column(row.try_get(0)?)?, ());
    }
    let mut missing = Vec::new();
    for index in (first..end).filter(|index| !there.contains_key(index)) {
        let below = TileId { level: level.saturating_sub(1), index };
        let hashes = read(database, below, TILE_WIDTH).await?;
        if hashes.len() as u64 != TILE_WIDTH {
            return Err(StoreError::Corrupt { what: "tree of the audit log" });
        }
        let mut frontier = Frontier::new();
        hashes.into_iter().for_each(|hash| frontier.push(hash));
        missing.push(Node { level, index, hash: frontier.root() });
    }
    if missing.is_empty() {
        return Ok(0);
    }
    let mut tx = database.begin().await?;
    insert(tx.connection(), &missing).await?;
    tx.commit().await?;
    Ok(missing.len() as u64)
}
