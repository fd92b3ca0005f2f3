//! The audit log's reading side: events for people, leaves for those who check. Who may read is not
//! decided here.

use std::sync::Arc;

use gateway_audit::{Event, Hash, Head};
use gateway_types::{Decision, RequestId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::audit::{column, from_column, read_head, to_column};
use crate::error::StoreError;
use crate::row::{Page, page_size};
use crate::statement::Statement;
use crate::store::Core;

/// The most leaves of one answer.
pub const MOST_LEAVES: u64 = 1000;
/// The most hashes of one answer.
pub const MOST_HASHES: u64 = 65_536;

/// Which events a listing holds. Everything left out matches all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventFilter {
    /// By exactly this actor's display name.
    pub actor: Option<String>,
    /// Of exactly this action, or of those beginning with what stands before a final `*`.
    pub action: Option<String>,
    /// On this app.
    pub app: Option<String>,
    /// At this moment or later.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Allowed, or refused.
    pub decision: Option<Decision>,
    /// With this text in actor, action, resource or request id.
    pub text: Option<String>,
}

/// A leaf as it is stored: exactly what was hashed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafRow {
    /// Its place in the log.
    pub index: u64,
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// The leaf hash, as stored: to be recomputed by whoever verifies.
    pub hash: Hash,
}

/// A checkpoint as it was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCheckpoint {
    /// The number of leaves it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
    /// When it was stored.
    pub time: Timestamp,
}

/// The audit log, for reading.
#[derive(Clone, Debug)]
pub struct Events {
    pub(crate) core: Arc<Core>,
}

impl Events {
    /// All events of one request, in the order of the log.
    ///
    /// # Errors
    /// When the database or a leaf cannot be read.
    pub async fn by_request(&self, request: RequestId) -> Result<Vec<(u64, Event)>, StoreError> {
        let mut statement = Statement::new("SELECT idx, bytes FROM audit_leaves WHERE request_id = ");
        statement.text(&request.to_string()).sql(" ORDER BY idx LIMIT 1000");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(event).collect()
    }

    /// One page of events, newest first.
    ///
    /// # Errors
    /// When the database or a leaf cannot be read.
    pub async fn page(
        &self,
        filter: &EventFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<(u64, Event)>, StoreError> {
        let limit = page_size(limit);
        let mut statement = Statement::new("SELECT idx, bytes FROM audit_leaves WHERE 1 = 1");
        if let Some(before) = cursor.and_then(|cursor| cursor.parse::<u64>().ok()) {
            statement.sql(" AND idx < ").number(to_column(before)?);
        }
        narrow(&mut statement, filter);
        statement.sql(" ORDER BY idx DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let events = rows.iter().map(event).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(events, limit, |(index, _event)| index.to_string()))
    }

    /// The leaves from index `from` up to, not including, `to`; at most [`MOST_LEAVES`] of them, so
    /// ask again from after the last one until none comes.
    ///
    /// # Errors
    /// When the database or a row cannot be read.
    pub async fn leaves(&self, from: u64, to: u64) -> Result<Vec<LeafRow>, StoreError> {
        let to = to.min(from.saturating_add(MOST_LEAVES));
        let rows = sqlx::query(
            "SELECT idx, bytes, hash FROM audit_leaves WHERE idx >= $1 AND idx < $2 ORDER BY idx",
        )
        .bind(to_column(from)?)
        .bind(to_column(to)?)
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LeafRow {
                    index: from_column(row.try_get(0)?)?,
                    bytes: row.try_get(1)?,
                    hash: hash(row, 2)?,
                })
            })
            .collect()
    }

    /// The leaf hashes from index `from` up to, not including, `to`; at most [`MOST_HASHES`] of them.
    /// What proofs are made of.
    ///
    /// # Errors
    /// When the database or a row cannot be read.
    pub async fn hashes(&self, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        let to = to.min(from.saturating_add(MOST_HASHES));
        let rows = sqlx::query("SELECT hash FROM audit_leaves WHERE idx >= $1 AND idx < $2 ORDER BY idx")
            .bind(to_column(from)?)
            .bind(to_column(to)?)
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(|row| hash(row, 0)).collect()
    }

    /// The index of the leaf with this hash.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn index_of(&self, leaf: &Hash) -> Result<Option<u64>, StoreError> {
        let row = sqlx::query("SELECT idx FROM audit_leaves WHERE hash = $1")
            .bind(leaf.as_bytes().to_vec())
            .fetch_optional(self.core.database.pool())
            .await?;
        row.map(|row| from_column(row.try_get(0)?)).transpose()
    }

    /// The newest published checkpoints, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn checkpoints(&self, limit: u32) -> Result<Vec<StoredCheckpoint>, StoreError> {
        let rows = sqlx::query("SELECT size, note, time FROM audit_checkpoints ORDER BY size DESC LIMIT $1")
            .bind(i64::from(page_size(limit)))
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredCheckpoint {
                    size: from_column(row.try_get(0)?)?,
                    note: row.try_get(1)?,
                    time: Timestamp::from_micros(row.try_get(2)?),
                })
            })
            .collect()
    }

    /// The present head.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn head(&self) -> Result<Head, StoreError> {
        read_head(&self.core.database).await
    }

    /// A body that did not fit into its leaf, by its SHA-256.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn blob(&self, digest: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT bytes FROM audit_blobs WHERE hash = $1")
            .bind(digest.as_bytes().to_vec())
            .fetch_optional(self.core.database.pool())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

fn narrow(statement: &mut Statement, filter: &EventFilter) {
    if let Some(actor) = &filter.actor {
        statement.sql(" AND actor = ").text(&column(actor));
    }
    match filter.action.as_deref().map(|action| (action, action.strip_suffix('*'))) {
        None => {}
        Some((action, None)) => {
            statement.sql(" AND action = ").text(&column(action));
        }
        Some((_pattern, Some(prefix))) => {
            statement.sql(" AND ").begins_with("action", &column(prefix));
        }
    }
    if let Some(app) = &filter.app {
        statement.sql(" AND app = ").text(&column(app));
    }
    if let Some(since) = filter.since {
        statement.sql(" AND time >= ").number(since.micros());
    }
    if let Some(until) = filter.until {
        statement.sql(" AND time < ").number(until.micros());
    }
    if let Some(decision) = filter.decision {
        statement.sql(match decision {
            Decision::Allow => " AND decision = 'allow'",
            Decision::Refuse => " AND decision = 'refuse'",
        });
    }
    if let Some(text) = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let text = column(text);
        statement.sql(" AND (").contains("lower(actor)", &text).sql(" OR ").contains("lower(action)", &text);
        statement.sql(" OR ").contains("lower(resource)", &text);
        statement.sql(" OR ").contains("request_id", &text).sql(")");
    }
}

fn event(row: &AnyRow) -> Result<(u64, Event), StoreError> {
    let index = from_column(row.try_get(0)?)?;
    let bytes: Vec<u8> = row.try_get(1)?;
    let (event, _nonce) =
        Event::from_leaf(&bytes).map_err(|_bad| StoreError::Corrupt { what: "leaf of the audit log" })?;
    Ok((index, event))
}

fn hash(row: &AnyRow, column: usize) -> Result<Hash, StoreError> {
    Hash::from_slice(&row.try_get::<Vec<u8>, _>(column)?).ok_or(StoreError::Corrupt { what: "leaf hash" })
}
