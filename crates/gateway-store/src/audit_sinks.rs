//! How far each sink of the audit log is. The log itself is what waits: a sink is a number in it.
//!
//! What a sink is, and how it is delivered to, is not known here.

use std::sync::Arc;

use gateway_types::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::audit::{from_column, to_column};
use crate::database::Engine;
use crate::error::StoreError;
use crate::row::storable;
use crate::store::Core;

/// How far one sink is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkPosition {
    /// Its name.
    pub name: String,
    /// The index of the next entry for it.
    pub position: u64,
    /// When it last got on, or began.
    pub moved: Timestamp,
}

/// What a sink still reads of the log: from its position on, or from the beginning of the window that it is in the middle of.
pub(crate) const FIRST_READ: &str = "CASE WHEN window_end > position THEN window_start ELSE position END";

/// A stretch of the log that is sent as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SinkWindow {
    /// Its first entry.
    pub start: u64,
    /// The entry behind its last one.
    pub end: u64,
}

/// The positions of sinks.
#[derive(Clone, Debug)]
pub struct AuditSinks {
    pub(crate) core: Arc<Core>,
}

impl AuditSinks {
    /// Whether other instances can deliver too, so that one must be chosen: SQLite has one instance.
    pub fn are_shared(&self) -> bool {
        match self.core.database.engine() {
            Engine::Sqlite => false,
            Engine::Postgres => true,
        }
    }

    /// The index of the next entry for this sink; for one that was never heard of it is `first` from now on.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin(&self, name: &str, first: u64) -> Result<u64, StoreError> {
        storable("the sink's name", name)?;
        {
            let _turn = self.core.database.write_turn().await;
            sqlx::query(
                "INSERT INTO audit_sinks (name, position, moved) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
            )
            .bind(name.to_owned())
            .bind(to_column(first)?)
            .bind(self.core.clock.now().micros())
            .execute(self.core.database.pool())
            .await?;
        }
        self.position(name).await
    }

    /// The same from the first entry on that has its body. Nothing is pruned between the look for it and the note.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_at_first_kept(&self, name: &str) -> Result<u64, StoreError> {
        storable("the sink's name", name)?;
        let mut tx = self.core.database.begin().await?;
        let row = sqlx::query(
            "UPDATE audit_retention SET first_kept = first_kept WHERE id = 1 RETURNING first_kept",
        )
        .fetch_one(tx.connection())
        .await?;
        sqlx::query(
            "INSERT INTO audit_sinks (name, position, moved) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name.to_owned())
        .bind(row.try_get::<i64, _>(0)?)
        .bind(self.core.clock.now().micros())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        self.position(name).await
    }

    /// The index of the next entry for a sink that has begun.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be read.
    pub async fn position(&self, name: &str) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT position FROM audit_sinks WHERE name = $1")
            .bind(name.to_owned())
            .fetch_optional(self.core.database.pool())
            .await?
            .ok_or(StoreError::NotFound)?;
        from_column(row.try_get(0)?)
    }

    /// The window that the sink is in the middle of: remembered, and not sent to its end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or when the database cannot be read.
    pub async fn window(&self, name: &str) -> Result<Option<SinkWindow>, StoreError> {
        let row = sqlx::query("SELECT position, window_start, window_end FROM audit_sinks WHERE name = $1")
            .bind(name.to_owned())
            .fetch_optional(self.core.database.pool())
            .await?
            .ok_or(StoreError::NotFound)?;
        let position = from_column(row.try_get(0)?)?;
        let (start, end): (Option<i64>, Option<i64>) = (row.try_get(1)?, row.try_get(2)?);
        let Some((start, end)) = start.zip(end) else { return Ok(None) };
        let window = SinkWindow { start: from_column(start)?, end: from_column(end)? };
        Ok(Some(window).filter(|window| window.end > position))
    }

    /// Remembers that the sink, at the window's start, sends this window next, and says whether it was still there: if not,
    /// another instance delivered meanwhile, and nothing is changed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn open_window(&self, name: &str, window: SinkWindow) -> Result<bool, StoreError> {
        let _turn = self.core.database.write_turn().await;
        let opened = sqlx::query(
            "UPDATE audit_sinks SET window_start = $1, window_end = $2 WHERE name = $3 AND position = $4",
        )
        .bind(to_column(window.start)?)
        .bind(to_column(window.end)?)
        .bind(name.to_owned())
        .bind(to_column(window.start)?)
        .execute(self.core.database.pool())
        .await?;
        Ok(opened.rows_affected() == 1)
    }

    /// Forgets a sink that stands at this position, and says whether it did: one that got on meanwhile is in use.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget(&self, name: &str, position: u64) -> Result<bool, StoreError> {
        let _turn = self.core.database.write_turn().await;
        let forgotten = sqlx::query("DELETE FROM audit_sinks WHERE name = $1 AND position = $2")
            .bind(name.to_owned())
            .bind(to_column(position)?)
            .execute(self.core.database.pool())
            .await?;
        Ok(forgotten.rows_affected() == 1)
    }

    /// Every sink that has begun, those that are no longer declared too, by name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn all(&self) -> Result<Vec<SinkPosition>, StoreError> {
        let rows = sqlx::query("SELECT name, position, moved FROM audit_sinks ORDER BY name")
            .fetch_all(self.core.database.pool())
            .await?;
        let position = |row: &AnyRow| {
            Ok(SinkPosition {
                name: row.try_get(0)?,
                position: from_column(row.try_get(1)?)?,
                moved: Timestamp::from_micros(row.try_get(2)?),
            })
        };
        rows.iter().map(position).collect()
    }

    /// Notes that a sink has everything before `to`, and says whether it was still at `from`: if not, another
    /// instance delivered meanwhile, and nothing is changed.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn advance(&self, name: &str, from: u64, to: u64) -> Result<bool, StoreError> {
        let _turn = self.core.database.write_turn().await;
        let moved =
            sqlx::query("UPDATE audit_sinks SET position = $1, moved = $2 WHERE name = $3 AND position = $4")
                .bind(to_column(to)?)
                .bind(self.core.clock.now().micros())
                .bind(name.to_owned())
                .bind(to_column(from)?)
                .execute(self.core.database.pool())
                .await?;
        Ok(moved.rows_affected() == 1)
    }
}
