//! Which runs of `serve` there were, and whether they ended cleanly: what the start event says.
//! On PostgreSQL a run is alive while its session holds an advisory lock, so that a dead instance
//! is told from one that still runs.

use std::sync::{Mutex, PoisonError};

use gateway_audit::PreviousShutdown;
use gateway_types::{Entropy, SessionId, Timestamp};
use sqlx::{AnyConnection, Connection, Row};

use crate::database::{Database, Location};
use crate::error::StoreError;
use crate::leases;

/// How many ended runs are remembered.
const KEPT_RUNS: i64 = 1000;

/// This run of `serve`.
pub(crate) struct Run {
    id: String,
    /// Holds the advisory lock; `None` on SQLite, where the file lock says that nobody else runs.
    /// In a mutex only because a connection alone cannot be shared between threads.
    presence: Mutex<Option<AnyConnection>>,
}

impl Run {
    /// Notes that a run begins, and finds out how those before it ended.
    pub(crate) async fn begin(
        database: &Database,
        location: &Location,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Run, PreviousShutdown), StoreError> {
        let mut random = [0u8; 8];
        entropy.fill(&mut random);
        let lock_key = i64::from_be_bytes(random);
        let id = SessionId::new(now, entropy).to_string();
        let mut presence = match location {
            Location::Sqlite { .. } => None,
            Location::Postgres { url } => Some(AnyConnection::connect(url).await?),
        };
        // The lock first: a run that can be seen must already count as alive.
        if let Some(connection) = presence.as_mut() {
            try_lock(connection, lock_key).await?;
        }
        let turn = database.write_turn().await;
        sqlx::query("INSERT INTO runs (id, started, lock_key) VALUES ($1, $2, $3)")
            .bind(id.clone())
            .bind(now.micros())
            .bind(lock_key)
            .execute(database.pool())
            .await?;
        drop(turn);
        let previous = bury_dead(database, presence.as_mut(), &id).await?;
        Ok((Run { id, presence: Mutex::new(presence) }, previous))
    }

    /// The run's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Notes that everything was written, and lets go of the lock.
    pub(crate) async fn end(&self, database: &Database) -> Result<(), StoreError> {
        let _turn = database.write_turn().await;
        sqlx::query("UPDATE runs SET ended = 'clean' WHERE id = $1")
            .bind(self.id.clone())
            .execute(database.pool())
            .await?;
        sqlx::query(
            "DELETE FROM runs WHERE ended IS NOT NULL AND id NOT IN (SELECT id FROM runs ORDER BY id DESC LIMIT $1)",
        )
        .bind(KEPT_RUNS)
        .execute(database.pool())
        .await?;
        drop(self.presence.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }
}

/// Marks the runs that died; exactly one of several instances that start at once reports each.
async fn bury_dead(
    database: &Database,
    mut presence: Option<&mut AnyConnection>,
    own: &str,
) -> Result<PreviousShutdown, StoreError> {
    let open = sqlx::query("SELECT id, lock_key FROM runs WHERE ended IS NULL AND id <> $1")
        .bind(own.to_owned())
        .fetch_all(database.pool())
        .await?;
    let mut previous = PreviousShutdown::Clean;
    for row in open {
        let (id, lock_key): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(connection) = presence.as_deref_mut() {
            if !try_lock(connection, lock_key).await? {
                continue;
            }
            sqlx::query("SELECT pg_advisory_unlock($1)").bind(lock_key).execute(connection).await?;
        }
        let _turn = database.write_turn().await;
        // Nobody works under them any more; otherwise those who come after the crash would wait.
        leases::free_all_of(database, &id).await?;
        let marked = sqlx::query("UPDATE runs SET ended = 'unclean' WHERE id = $1 AND ended IS NULL")
            .bind(id)
            .execute(database.pool())
            .await?;
        if marked.rows_affected() == 1 {
            previous = PreviousShutdown::Unclean;
        }
    }
    Ok(previous)
}

async fn try_lock(connection: &mut AnyConnection, lock_key: i64) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(lock_key).fetch_one(connection).await?;
    Ok(row.try_get(0)?)
}
