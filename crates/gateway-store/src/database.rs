//! The connection pool: what is told to each connection, and how a writing transaction begins.
//! Knows nothing of any table but `versions`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Row, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::StoreError;

/// How long a request waits for a free connection before the database counts as unavailable.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);

/// The channel that PostgreSQL instances tell each other on that `versions` was bumped.
pub(crate) const CHANGES_CHANNEL: &str = "rack_gateway_changes";

/// Which database is behind the pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// A parsed database URL. No `Debug`: it may hold a password.
#[derive(Clone)]
pub(crate) enum Location {
    /// One file on this machine.
    Sqlite { url: String, path: PathBuf },
    /// A server.
    Postgres { url: String },
}

impl Location {
    /// Reads a database URL. In-memory SQLite is refused: an audit log in memory is none.
    pub(crate) fn parse(url: &str) -> Result<Location, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Location::Postgres { url: url.to_owned() });
        }
        if !url.starts_with("sqlite://") {
            return Err(StoreError::Url { problem: "it begins with neither sqlite:// nor postgres://" });
        }
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::Url { problem: "a database in memory cannot keep an audit log" });
        }
        let options = sqlx::sqlite::SqliteConnectOptions::from_str(url)
            .map_err(|_cause| StoreError::Url { problem: "it is not a valid sqlite:// URL" })?;
        let path = options.get_filename().to_path_buf();
        if path.as_os_str().is_empty() {
            return Err(StoreError::Url { problem: "it names no file" });
        }
        Ok(Location::Sqlite { url: url.to_owned(), path })
    }

    pub(crate) const fn engine(&self) -> Engine {
        match self {
            Location::Sqlite { .. } => Engine::Sqlite,
            Location::Postgres { .. } => Engine::Postgres,
        }
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Location::Sqlite { url, .. } | Location::Postgres { url } => url,
        }
    }
}

/// The pool, and the gate that lets one SQLite write of this process through at a time.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: AnyPool,
    engine: Engine,
    /// SQLite's own lock is taken by polling with sleeps; queueing here first is fair and fast.
    write_gate: Arc<Mutex<()>>,
}

/// A transaction that holds the database's write lock (SQLite) or will take row locks (PostgreSQL).
pub(crate) struct WriteTx {
    tx: Transaction<'static, Any>,
    _gate: Option<OwnedMutexGuard<()>>,
}

impl WriteTx {
    pub(crate) fn connection(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.tx.commit().await?)
    }

    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.tx.rollback().await?)
    }
}

impl Database {
    pub(crate) async fn connect(location: &Location, max_connections: u32) -> Result<Database, StoreError> {
        sqlx::any::install_default_drivers();
        let engine = location.engine();
        let options = AnyConnectOptions::from_str(location.url())
            .map_err(|_cause| StoreError::Url { problem: "it is not a valid URL" })?;
        let pool = AnyPoolOptions::new()
            // One for the audit writer and one for everything else, at the least.
            .max_connections(max_connections.max(2))
            .acquire_timeout(ACQUIRE_LIMIT)
            .after_connect(move |connection, _meta| Box::pin(prepare_connection(connection, engine)))
            .connect_with(options)
            .await?;
        Ok(Database { pool, engine, write_gate: Arc::default() })
    }

    pub(crate) const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub(crate) const fn engine(&self) -> Engine {
        self.engine
    }

    /// Takes this process's turn to write, where that matters.
    pub(crate) async fn write_turn(&self) -> Option<OwnedMutexGuard<()>> {
        match self.engine {
            Engine::Sqlite => Some(Arc::clone(&self.write_gate).lock_owned().await),
            Engine::Postgres => None,
        }
    }

    /// Begins a transaction. Its first statement must be a write: on SQLite a transaction that
    /// reads first cannot become a writer once somebody else has written.
    pub(crate) async fn begin(&self) -> Result<WriteTx, StoreError> {
        let gate = self.write_turn().await;
        Ok(WriteTx { tx: self.pool.begin().await?, _gate: gate })
    }

    /// Begins a transaction that changes who may do what: bumps `versions` first, which also puts
    /// all such transactions of all instances one behind the other until they commit.
    /// Returns the new version.
    pub(crate) async fn begin_change(&self) -> Result<(WriteTx, i64), StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query("UPDATE versions SET version = version + 1 WHERE id = 1 RETURNING version")
            .fetch_one(tx.connection())
            .await?;
        let version: i64 = row.try_get(0)?;
        if self.engine == Engine::Postgres {
            // Delivered by PostgreSQL at commit, and only then.
            sqlx::query("NOTIFY rack_gateway_changes").execute(tx.connection()).await?;
        }
        Ok((tx, version))
    }

    /// The present version, as far as it is committed.
    pub(crate) async fn version(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT version FROM versions WHERE id = 1").fetch_one(&self.pool).await?;
        Ok(row.try_get(0)?)
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// The database's own clock in microseconds, as SQL: what leases of several machines are measured by.
    pub(crate) const fn now_sql(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS BIGINT)",
            Engine::Postgres => "CAST(extract(epoch from clock_timestamp()) * 1000000 AS BIGINT)",
        }
    }
}

async fn prepare_connection(connection: &mut AnyConnection, engine: Engine) -> Result<(), sqlx::Error> {
    let statements: &[&'static str] = match engine {
        Engine::Sqlite => &[
            "PRAGMA busy_timeout = 10000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
            "PRAGMA trusted_schema = OFF",
        ],
        Engine::Postgres => &[
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
            "SET lock_timeout = '10s'",
            // An instance that froze in the middle of an append must not hold the head for ever.
            "SET idle_in_transaction_session_timeout = '30s'",
            // Only `off` is changed: a stronger choice than `on` is the operator's to make.
            "SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'",
        ],
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    Ok(())
}
