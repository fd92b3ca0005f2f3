//! One transaction of the log: lock the head, add leaves, write the new head.

use std::collections::HashSet;

use gateway_audit::{Frontier, Hash, Head};
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::nodes;
use super::pending::Pending;
use crate::database::{Database, Engine};
use crate::error::StoreError;

/// How many columns a leaf's row has.
const LEAF_COLUMNS: usize = 11;

/// What a chunk of events became: an index for each (`None` when an earlier attempt had already
/// written it), and the head after them.
pub(super) struct Written {
    pub(super) indices: Vec<Option<u64>>,
    pub(super) head: Head,
    /// The generation of the key that signs this head.
    pub(super) key: i64,
}

/// The head as it is stored.
pub(crate) struct StoredHead {
    /// Size and root.
    pub(crate) head: Head,
    /// The generation of the key that signs it.
    pub(crate) key: i64,
}

/// The head, locked.
pub(super) struct LockedHead {
    pub(super) frontier: Frontier,
    /// The generation of the key that signs it.
    pub(super) key: i64,
}

/// A count of leaves as a column has it.
pub(crate) fn to_column(size: u64) -> Result<i64, StoreError> {
    i64::try_from(size).map_err(|_huge| StoreError::OutOfRange { field: "the log's size" })
}

/// A count of leaves as read from a column.
pub(crate) fn from_column(size: i64) -> Result<u64, StoreError> {
    u64::try_from(size).map_err(|_negative| StoreError::Corrupt { what: "log size" })
}

/// The head as committed.
pub(crate) async fn read_head(database: &Database) -> Result<StoredHead, StoreError> {
    let row = sqlx::query("SELECT size, root, key_generation FROM audit_head WHERE id = 1")
        .fetch_optional(database.pool())
        .await?
        .ok_or(StoreError::Corrupt { what: "tree head" })?;
    let root =
        Hash::from_slice(&row.try_get::<Vec<u8>, _>(1)?).ok_or(StoreError::Corrupt { what: "tree head" })?;
    let head = Head { size: from_column(row.try_get(0)?)?, root };
    Ok(StoredHead { head, key: row.try_get(2)? })
}

/// Makes the head of an empty log where there is none, and checks that it has as many leaves as it says.
pub(super) async fn prepare_head(database: &Database) -> Result<Head, StoreError> {
    let empty = Frontier::new();
    let mut tx = database.begin().await?;
    sqlx::query(
        "INSERT INTO audit_head (id, size, root, frontier) VALUES (1, 0, $1, $2) ON CONFLICT (id) DO NOTHING",
    )
    .bind(empty.root().as_bytes().to_vec())
    .bind(empty.to_bytes())
    .execute(tx.connection())
    .await?;
    let frontier = lock_head(tx.connection()).await?.frontier;
    let row =
        sqlx::query("SELECT COALESCE(max(idx) + 1, 0) FROM audit_leaves").fetch_one(tx.connection()).await?;
    if from_column(row.try_get(0)?)? != frontier.size() {
        return Err(StoreError::Corrupt { what: "tree head" });
    }
    tx.commit().await?;
    Ok(frontier.head())
}

/// Writes the events after whatever is in the log now. `after`: the head must be at least this.
/// `perhaps_written`: an earlier attempt may have committed, so look before writing again.
pub(super) async fn write(
    database: &Database,
    events: &[Pending],
    after: &Head,
    perhaps_written: bool,
) -> Result<Written, StoreError> {
    let mut tx = database.begin().await?;
    let LockedHead { mut frontier, key } = lock_head(tx.connection()).await?;
    let found = frontier.head();
    if found.size < after.size || (found.size == after.size && found.root != after.root) {
        return Err(StoreError::LogWentBack { written: after.size, found: found.size });
    }
    let written =
        if perhaps_written { written_before(tx.connection(), after.size).await? } else { HashSet::new() };
    let mut indices = Vec::with_capacity(events.len());
    let mut rows = Vec::with_capacity(events.len());
    let mut completed = Vec::new();
    for event in events {
        if written.contains(&event.leaf.hash) {
            indices.push(None);
            continue;
        }
        let index = frontier.size();
        frontier
            .push_noting(event.leaf.hash, |height, root| nodes::note(&mut completed, index, height, root));
        indices.push(Some(index));
        rows.push((to_column(index)?, event));
    }
    insert_leaves(tx.connection(), database.engine(), &rows).await?;
    insert_blobs(tx.connection(), &rows).await?;
    nodes::insert(tx.connection(), &completed).await?;
    let head = frontier.head();
    sqlx::query("UPDATE audit_head SET size = $1, root = $2, frontier = $3 WHERE id = 1")
        .bind(to_column(head.size)?)
        .bind(head.root.as_bytes().to_vec())
        .bind(frontier.to_bytes())
        .execute(tx.connection())
        .await?;
    tx.commit().await?;
    Ok(Written { indices, head, key })
}

/// Takes the lock that keeps one order: a row lock on PostgreSQL, the write lock on SQLite, where
/// this must be the transaction's first statement.
pub(super) async fn lock_head(connection: &mut AnyConnection) -> Result<LockedHead, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "tree head" };
    let row = sqlx::query(
        "UPDATE audit_head SET size = size WHERE id = 1 RETURNING size, root, frontier, key_generation",
    )
    .fetch_optional(connection)
    .await?
    .ok_or_else(corrupt)?;
    let frontier = Frontier::from_bytes(&row.try_get::<Vec<u8>, _>(2)?).map_err(|_bad| corrupt())?;
    let size_agrees = from_column(row.try_get(0)?)? == frontier.size();
    let root_agrees = row.try_get::<Vec<u8>, _>(1)? == frontier.root().as_bytes();
    if !size_agrees || !root_agrees {
        return Err(corrupt());
    }
    Ok(LockedHead { frontier, key: row.try_get(3)? })
}

/// The same in a transaction of its own, behind whatever is still being written.
pub(super) async fn written_since(database: &Database, since: u64) -> Result<HashSet<Hash>, StoreError> {
    let mut tx = database.begin().await?;
    lock_head(tx.connection()).await?;
    let written = written_before(tx.connection(), since).await?;
    tx.rollback().await?;
    Ok(written)
}

/// What was written since the log had `since` leaves, by whomever: events of an attempt whose answer was lost
/// are among them.
async fn written_before(connection: &mut AnyConnection, since: u64) -> Result<HashSet<Hash>, StoreError> {
    let rows = sqlx::query("SELECT hash FROM audit_leaves WHERE idx >= $1")
        .bind(to_column(since)?)
        .fetch_all(connection)
        .await?;
    let mut written = HashSet::new();
    for row in rows {
        written.extend(Hash::from_slice(&row.try_get::<Vec<u8>, _>(0)?));
    }
    Ok(written)
}

/// Inserts in groups whose sizes are powers of two, so that few different statements are ever prepared.
async fn insert_leaves(
    connection: &mut AnyConnection,
    engine: Engine,
    rows: &[(i64, &Pending)],
) -> Result<(), StoreError> {
    let mut rest = rows;
    while let Some(exponent) = rest.len().checked_ilog2() {
        let (group, after) = rest.split_at(1 << exponent);
        // Safe: made of fixed pieces and numbers only.
        let mut query = sqlx::query(AssertSqlSafe(insert_text(engine, group.len())));
        for (index, event) in group {
            let columns = &event.columns;
            query = query
                .bind(*index)
                .bind(event.leaf.hash.as_bytes().to_vec())
                .bind(event.leaf.bytes.clone())
                .bind(columns.time)
                .bind(columns.request_id.clone())
                .bind(columns.actor.clone())
                .bind(columns.action.clone())
                .bind(columns.resource.clone())
                .bind(columns.app.clone())
                .bind(columns.phase)
                .bind(columns.decision);
        }
        query.execute(&mut *connection).await?;
        rest = after;
    }
    Ok(())
}

/// The statement that inserts so many leaves.
///
/// SQLite finds a parameter with a name, and `$1` is one to it, by looking through all of them, so that binding a
/// statement of many rows took most of the time of a read: there they have none.
fn insert_text(engine: Engine, rows: usize) -> String {
    let mut text = String::from(
        "INSERT INTO audit_leaves \
         (idx, hash, bytes, time, request_id, actor, action, resource, app, phase, decision) VALUES ",
    );
    let mut parameter = 0;
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..LEAF_COLUMNS {
            text.push_str(if column == 0 { "" } else { ", " });
            parameter += 1;
            match engine {
                Engine::Sqlite => text.push('?'),
                Engine::Postgres => text.push_str(&format!("${parameter}")),
            }
        }
        text.push(')');
    }
    text
}

async fn insert_blobs(connection: &mut AnyConnection, rows: &[(i64, &Pending)]) -> Result<(), StoreError> {
    for (index, event) in rows {
        for (hash, bytes) in &event.leaf.blobs {
            sqlx::query(
                "INSERT INTO audit_blobs (hash, bytes, last_idx) VALUES ($1, $2, $3) \
                 ON CONFLICT (hash) DO UPDATE SET last_idx = excluded.last_idx",
            )
            .bind(hash.as_bytes().to_vec())
            .bind(bytes.clone())
            .bind(*index)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(())
}
