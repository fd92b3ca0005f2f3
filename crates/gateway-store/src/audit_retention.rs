//! From which entry on the log has bodies, the legal hold that keeps them all, and the removal of those before.
//!
//! A pruned leaf keeps its row with index, hash and time, so that tiles, proofs and the recomputing of the root need no
//! body. Whether something may be pruned (age, anchors) and that it is recorded first is not known here; what would lose
//! something that others still need (sinks, counts, the hold) is refused here, in the transaction that prunes.

use std::sync::Arc;

use gateway_types::Timestamp;
use sqlx::{AnyConnection, Row};

use crate::audit::{from_column, to_column};
use crate::audit_sinks::FIRST_READ;
use crate::error::StoreError;
use crate::row::storable;
use crate::statement::Statement;
use crate::store::Core;

/// The most bodies that are removed in one transaction.
pub const MOST_PRUNED: u64 = 2048;

/// A condition of statements over `audit_leaves`: those that have their body. Read in the statement itself, so that no
/// leaf is found that is pruned a moment later.
pub(crate) const HAS_BODY: &str = " AND idx >= (SELECT first_kept FROM audit_retention WHERE id = 1)";

/// A legal hold: nothing is pruned while there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LegalHold {
    /// Why, in words for people.
    pub reason: String,
    /// Who said so, as a display name.
    pub set_by: String,
    /// Since when.
    pub since: Timestamp,
}

/// What the log still has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Retained {
    /// The index of the first entry that has its body.
    pub first_kept: u64,
    /// What keeps the others.
    pub hold: Option<LegalHold>,
}

/// Up to which entry others can do without bodies; each is the first that it still needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needed {
    /// The first entry at or after the moment asked about; `None` when all are older.
    pub by_age: Option<u64>,
    /// The first that is not in the counts of charts.
    pub by_counts: u64,
    /// The sink that is least far, with its position.
    pub by_sink: Option<(String, u64)>,
    /// The first of a session that goes on, or whose recording is kept.
    pub by_recordings: Option<u64>,
}

/// The retention of the log.
#[derive(Clone, Debug)]
pub struct AuditRetention {
    pub(crate) core: Arc<Core>,
}

impl AuditRetention {
    /// What the log still has.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn retained(&self) -> Result<Retained, StoreError> {
        let row = sqlx::query(
            "SELECT first_kept, hold_reason, hold_by, hold_since FROM audit_retention WHERE id = 1",
        )
        .fetch_one(self.core.database.pool())
        .await?;
        let (reason, set_by): (Option<String>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
        let since = row.try_get::<Option<i64>, _>(3)?.map(Timestamp::from_micros);
        let hold = match (reason, set_by, since) {
            (Some(reason), Some(set_by), Some(since)) => Some(LegalHold { reason, set_by, since }),
            (None, None, None) => None,
            _ => return Err(StoreError::Corrupt { what: "legal hold" }),
        };
        Ok(Retained { first_kept: from_column(row.try_get(0)?)?, hold })
    }

    /// The index of the first entry that has its body.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn first_kept(&self) -> Result<u64, StoreError> {
        Ok(self.retained().await?.first_kept)
    }

    /// Holds every body from now on. When there is a hold already, reason and person are exchanged.
    ///
    /// # Errors
    /// When the database cannot be written, or the text not be kept.
    pub async fn hold(&self, reason: &str, set_by: &str) -> Result<LegalHold, StoreError> {
        for (field, value) in [("the reason", reason), ("the actor", set_by)] {
            storable(field, value)?;
        }
        let since = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "UPDATE audit_retention SET hold_reason = $1, hold_by = $2, hold_since = $3 WHERE id = 1",
        )
        .bind(reason.to_owned())
        .bind(set_by.to_owned())
        .bind(since.micros())
        .execute(self.core.database.pool())
        .await?;
        Ok(LegalHold { reason: reason.to_owned(), set_by: set_by.to_owned(), since })
    }

    /// Lifts the hold.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn lift(&self) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "UPDATE audit_retention SET hold_reason = NULL, hold_by = NULL, hold_since = NULL WHERE id = 1",
        )
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// What others still need of the log, and the first entry of `since` or later.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn needed(&self, since: Timestamp) -> Result<Needed, StoreError> {
        let pool = self.core.database.pool();
        let mut by_age = Statement::new("SELECT idx FROM audit_leaves WHERE time >= ");
        by_age.number(since.micros()).sql(HAS_BODY).sql(" ORDER BY idx LIMIT 1");
        let by_age = by_age.query().fetch_optional(pool).await?;
        let counts = sqlx::query("SELECT next FROM audit_counted WHERE id = 1").fetch_one(pool).await?;
        let mut sink = Statement::new("SELECT name, ");
        sink.sql(FIRST_READ).sql(" AS first_read FROM audit_sinks ORDER BY first_read, name LIMIT 1");
        let sink = sink.query().fetch_optional(pool).await?;
        let mut recordings = Statement::new(
            "SELECT min(idx) FROM audit_leaves WHERE request_id IN (SELECT request_id FROM recordings)",
        );
        recordings.sql(HAS_BODY);
        let recordings = recordings.query().fetch_one(pool).await?;
        Ok(Needed {
            by_age: by_age.map(|row| from_column(row.try_get(0)?)).transpose()?,
            by_counts: from_column(counts.try_get(0)?)?,
            by_sink: sink
                .map(|row| Ok::<_, StoreError>((row.try_get(0)?, from_column(row.try_get(1)?)?)))
                .transpose()?,
            by_recordings: recordings.try_get::<Option<i64>, _>(0)?.map(from_column).transpose()?,
        })
    }

    /// Removes bodies before `to`, [`MOST_PRUNED`] at the most; the index of the first entry that has its body now. That
    /// does not move any more when `to` is reached, or there is a hold, or a sink or the counts still need it.
    ///
    /// # Errors
    /// When the database cannot be written; then nothing is changed.
    pub async fn prune(&self, to: u64) -> Result<u64, StoreError> {
        let mut tx = self.core.database.begin().await?;
        // Written before it is read: who sets a hold, or begins a sink, comes before this or after it.
        let row = sqlx::query(
            "UPDATE audit_retention SET first_kept = first_kept WHERE id = 1 RETURNING first_kept, hold_reason",
        )
        .fetch_one(tx.connection())
        .await?;
        let first = from_column(row.try_get(0)?)?;
        let is_held = row.try_get::<Option<String>, _>(1)?.is_some();
        let end = to.min(first.saturating_add(MOST_PRUNED)).min(needed_now(tx.connection()).await?);
        if is_held || end <= first {
            tx.rollback().await?;
            return Ok(first);
        }
        let (from, until) = (to_column(first)?, to_column(end)?);
        sqlx::query(
            "UPDATE audit_leaves SET bytes = $1, request_id = '', actor = '', action = '', resource = '', \
             app = NULL, phase = '', decision = NULL WHERE idx >= $2 AND idx < $3",
        )
        .bind(Vec::<u8>::new())
        .bind(from)
        .bind(until)
        .execute(tx.connection())
        .await?;
        sqlx::query("DELETE FROM audit_blobs WHERE last_idx < $1")
            .bind(until)
            .execute(tx.connection())
            .await?;
        sqlx::query("UPDATE audit_retention SET first_kept = $1 WHERE id = 1")
            .bind(until)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(end)
    }
}

/// The first entry that a sink or the counts still need.
async fn needed_now(connection: &mut AnyConnection) -> Result<u64, StoreError> {
    let mut needed = Statement::new("SELECT (SELECT next FROM audit_counted WHERE id = 1), (SELECT min(");
    needed.sql(FIRST_READ).sql(") FROM audit_sinks)");
    let row = needed.query().fetch_one(connection).await?;
    let counted = from_column(row.try_get(0)?)?;
    let sinks = row.try_get::<Option<i64>, _>(1)?.map(from_column).transpose()?;
    Ok(sinks.map_or(counted, |position| position.min(counted)))
}
