//! Which runs of `serve` there were, and whether they ended cleanly: what the start event says.
//! On PostgreSQL a run is alive while its session holds an advisory lock, so that a dead instance
//! is told from one that still runs. A session that is lost is opened again, so that an instance which
//! starts after a restart of the database does not take its neighbours for dead.

use std::sync::Arc;
use std::time::Duration;

use gateway_audit::PreviousShutdown;
use gateway_types::{Entropy, SessionId, Timestamp};
use sqlx::{AnyConnection, Connection, Row};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::database::{Database, Location};
use crate::error::StoreError;
use crate::leases;

/// How many ended runs are remembered.
const KEPT_RUNS: i64 = 1000;
/// How often the session that says that this run is alive is looked after.
const PRESENCE_INTERVAL: Duration = Duration::from_secs(10);

/// This run of `serve`.
pub(crate) struct Run {
    id: String,
    /// `None` on SQLite, where the file lock says that nobody else runs.
    presence: Option<Arc<Presence>>,
    keeper: Option<JoinHandle<()>>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

/// The session whose advisory lock says that this run is alive.
pub(crate) struct Presence {
    database: Database,
    url: String,
    run_id: String,
    lock_key: i64,
    /// `None` once the run has ended.
    connection: Mutex<Option<AnyConnection>>,
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
        let mut connection = match location {
            Location::Sqlite { .. } => None,
            Location::Postgres { url } => Some(AnyConnection::connect(url).await?),
        };
        // The lock first: a run that can be seen must already count as alive.
        if let Some(connection) = connection.as_mut() {
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
        let previous = bury_dead(database, connection.as_mut(), &id).await?;
        let presence = match (location, connection) {
            (Location::Postgres { url }, Some(connection)) => Some(Arc::new(Presence {
                database: database.clone(),
                url: url.clone(),
                run_id: id.clone(),
                lock_key,
                connection: Mutex::new(Some(connection)),
            })),
            (Location::Postgres { .. } | Location::Sqlite { .. }, _) => None,
        };
        let keeper = presence.clone().map(|presence| tokio::spawn(keep(presence)));
        Ok((Run { id, presence, keeper }, previous))
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
        if let Some(presence) = &self.presence {
            drop(presence.connection.lock().await.take());
        }
        Ok(())
    }

    /// The session that says that this run is alive.
    #[cfg(test)]
    pub(crate) fn presence(&self) -> Option<&Presence> {
        self.presence.as_deref()
    }
}

/// Looks after a presence until it is dropped.
async fn keep(presence: Arc<Presence>) {
    let mut whole = true;
    loop {
        tokio::time::sleep(PRESENCE_INTERVAL).await;
        match presence.restore().await {
            Ok(()) => whole = true,
            Err(error) => {
                if whole {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "others cannot see that this instance is alive"
                    );
                }
                whole = false;
            }
        }
    }
}

impl Presence {
    /// Opens the session again when it was lost.
    pub(crate) async fn restore(&self) -> Result<(), StoreError> {
        let mut held = self.connection.lock().await;
        let Some(connection) = held.as_mut() else { return Ok(()) };
        if connection.ping().await.is_ok() {
            return Ok(());
        }
        let mut fresh = AnyConnection::connect(&self.url).await?;
        // The database may not have noticed yet that the old session is gone: then the next look gets it.
        if !try_lock(&mut fresh, self.lock_key).await? {
            return Err(StoreError::LeaseHeld { name: format!("run {}", self.run_id) });
        }
        *held = Some(fresh);
        // Somebody may have started meanwhile and taken this run for dead.
        sqlx::query("UPDATE runs SET ended = NULL WHERE id = $1 AND ended = 'unclean'")
            .bind(self.run_id.clone())
            .execute(self.database.pool())
            .await?;
        tracing::info!("the session that says that this instance is alive was opened again");
        Ok(())
    }
}

/// Whether some instance serves. On SQLite the file lock, which the caller holds, says that none does.
/// The runs are read on `asking`, which may hold them locked.
pub(crate) async fn is_anybody_alive(
    asking: &mut AnyConnection,
    location: &Location,
) -> Result<bool, StoreError> {
    let Location::Postgres { url } = location else { return Ok(false) };
    let mut trying = AnyConnection::connect(url).await?;
    let open = sqlx::query("SELECT lock_key FROM runs WHERE ended IS NULL OR ended = 'unclean'");
    for row in open.fetch_all(asking).await? {
        let lock_key: i64 = row.try_get(0)?;
        if !try_lock(&mut trying, lock_key).await? {
            return Ok(true);
        }
    }
    // The locks go with the connection.
    trying.close().await?;
    Ok(false)
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
