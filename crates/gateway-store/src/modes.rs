//! Whether the gateway is read-only on purpose, on all instances: a row, or none. What that means for a request is not
//! known here.

use std::sync::Arc;

use gateway_types::Timestamp;
use sqlx::Row;

use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::store::Core;

/// Read-only on purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadOnly {
    /// Why, in words for people.
    pub reason: String,
    /// Who said so, as a display name.
    pub set_by: String,
    /// Since when.
    pub since: Timestamp,
}

/// The mode of this gateway.
#[derive(Clone, Debug)]
pub struct Modes {
    pub(crate) core: Arc<Core>,
}

impl Modes {
    /// Why it is read-only; `None` while it is not.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn read_only(&self) -> Result<Option<ReadOnly>, StoreError> {
        let row = sqlx::query("SELECT reason, set_by, since FROM read_only WHERE id = 1")
            .fetch_optional(self.core.database.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (reason, set_by) = (row.try_get("reason")?, row.try_get("set_by")?);
        Ok(Some(ReadOnly { reason, set_by, since: moment(&row, "since")? }))
    }

    /// Makes it read-only from now on. When it is already, reason and person are exchanged.
    ///
    /// # Errors
    /// Only when the database cannot be written, or the text not be kept.
    pub async fn set_read_only(&self, reason: &str, set_by: &str) -> Result<ReadOnly, StoreError> {
        for (field, value) in [("the reason", reason), ("the actor", set_by)] {
            storable(field, value)?;
        }
        let since = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query(
            "INSERT INTO read_only (id, reason, set_by, since) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO UPDATE \
             SET reason = excluded.reason, set_by = excluded.set_by, since = excluded.since",
        )
        .bind(reason.to_owned())
        .bind(set_by.to_owned())
        .bind(since.micros())
        .execute(tx.connection())
        .await?;
        self.core.changes.commit(tx, version).await?;
        Ok(ReadOnly { reason: reason.to_owned(), set_by: set_by.to_owned(), since })
    }

    /// Makes it as usual again.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn set_normal(&self) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query("DELETE FROM read_only").execute(tx.connection()).await?;
        self.core.changes.commit(tx, version).await
    }
}
