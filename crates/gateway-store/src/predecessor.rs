//! Reading the PostgreSQL database of the Go project of this name, in one read-only transaction that sees one state.
//! Rows come as JSON, so that columns that one version of it has and another has not are no fault here. What they
//! mean, and what is taken of them, is not known here; nothing in that database is ever changed.
//!
//! Start reading at [`Predecessor::open`]; `appendix` keeps its audit rows in a sealed file.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use crate::backup::BackupError;

pub mod appendix;

/// The name of that program as a source, in the database and the log.
pub const GO_PROJECT: &str = "rack-gateway-go";

/// What it must have to be that project's.
const NEEDED: [&str; 3] = ["users", "api_tokens", "settings"];

/// What is counted and never read: secrets of sign-in, sessions, work under way.
const COUNTED: [&str; 7] = [
    "mfa_methods",
    "mfa_backup_codes",
    "trusted_devices",
    "user_sessions",
    "deploy_approval_requests",
    "user_resources",
    "slack_integration",
];

/// Where its audit rows are.
const AUDIT: &str = "audit.audit_event";

/// The longest that a statement waits for a lock that the other program holds.
const LOCK_LIMIT: &str = "SET LOCAL lock_timeout = '10s'";

/// A row, by column.
pub type RawRow = Map<String, Value>;

/// What keeps that database from being read.
#[derive(Debug, thiserror::Error)]
pub enum PredecessorError {
    /// Not an address of a PostgreSQL.
    #[error("the database to import from is not named by a postgres:// URL")]
    Url,
    /// It did not answer, or not as asked.
    #[error("the database to import from cannot be read")]
    Unavailable {
        /// What the driver said.
        source: sqlx::Error,
    },
    /// A table is missing.
    #[error("the database to import from has no table `{table}`, so it is not one of the Go project's")]
    NotItsDatabase {
        /// Which.
        table: &'static str,
    },
    /// A row is no JSON object.
    #[error("a row of `{table}` cannot be read")]
    Row {
        /// Of which table.
        table: &'static str,
    },
    /// The file of its audit rows.
    #[error(transparent)]
    Appendix(#[from] BackupError),
}

impl From<sqlx::Error> for PredecessorError {
    fn from(source: sqlx::Error) -> Self {
        PredecessorError::Unavailable { source }
    }
}

/// The database of the Go project, as it was at one moment.
#[derive(Debug)]
pub struct Predecessor {
    connection: PgConnection,
}

impl Predecessor {
    /// Connects, and begins the one transaction in which everything is read.
    ///
    /// # Errors
    /// [`PredecessorError::Url`], [`PredecessorError::NotItsDatabase`], or when it does not answer.
    pub async fn open(url: &str) -> Result<Self, PredecessorError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(PredecessorError::Url);
        }
        let options = PgConnectOptions::from_str(url).map_err(|_bad| PredecessorError::Url)?;
        let mut connection = PgConnection::connect_with(&options.disable_statement_logging()).await?;
        connection.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        connection.execute("SET LOCAL TIME ZONE 'UTC'").await?;
        connection.execute(LOCK_LIMIT).await?;
        let mut opened = Self { connection };
        for table in NEEDED {
            if !opened.has(table).await? {
                return Err(PredecessorError::NotItsDatabase { table });
            }
        }
        Ok(opened)
    }

    async fn has(&mut self, table: &'static str) -> Result<bool, PredecessorError> {
        let row = sqlx::query("SELECT to_regclass($1)::text AS found")
            .bind(table)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(row.try_get::<Option<String>, _>("found")?.is_some())
    }

    /// Its people.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn users(&mut self) -> Result<Vec<RawRow>, PredecessorError> {
        self.rows("users", "SELECT to_jsonb(t)::text AS line FROM users t ORDER BY id").await
    }

    /// Its API tokens; of their secrets it has digests alone.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn tokens(&mut self) -> Result<Vec<RawRow>, PredecessorError> {
        self.rows("api_tokens", "SELECT to_jsonb(t)::text AS line FROM api_tokens t ORDER BY id").await
    }

    /// Its settings.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn settings(&mut self) -> Result<Vec<RawRow>, PredecessorError> {
        self.rows("settings", "SELECT to_jsonb(t)::text AS line FROM settings t ORDER BY id").await
    }

    async fn rows(
        &mut self,
        table: &'static str,
        statement: &'static str,
    ) -> Result<Vec<RawRow>, PredecessorError> {
        let rows = sqlx::query(statement).fetch_all(&mut self.connection).await?;
        let object =
            |text: String| serde_json::from_str(&text).map_err(|_bad| PredecessorError::Row { table });
        rows.iter().map(|row| object(row.try_get("line")?)).collect()
    }

    /// How many rows each table has of which none is taken; tables that are not there are not in it.
    ///
    /// # Errors
    /// When they cannot be counted.
    pub async fn left_behind(&mut self) -> Result<BTreeMap<&'static str, u64>, PredecessorError> {
        let mut counts = BTreeMap::new();
        for table in COUNTED {
            if self.has(table).await? {
                // Safe: one of the names above.
                let statement = AssertSqlSafe(format!("SELECT count(*) AS rows FROM {table}"));
                let row = sqlx::query(statement).fetch_one(&mut self.connection).await?;
                counts.insert(table, u64::try_from(row.try_get::<i64, _>("rows")?).unwrap_or_default());
            }
        }
        Ok(counts)
    }

    /// Hands over its audit rows, each as one line of JSON, in the order of its chain. Returns whether it has such a table.
    ///
    /// # Errors
    /// When they cannot be read, or what `each` says.
    pub async fn audit_rows(
        &mut self,
        mut each: impl FnMut(&str) -> Result<(), PredecessorError> + Send,
    ) -> Result<bool, PredecessorError> {
        if !self.has(AUDIT).await? {
            return Ok(false);
        }
        let mut rows = sqlx::query(
            "SELECT to_jsonb(t)::text AS line FROM audit.audit_event t ORDER BY chain_index NULLS FIRST, id",
        )
        .fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            each(&row.try_get::<String, _>("line")?)?;
        }
        Ok(true)
    }

    #[cfg(test)]
    pub(crate) async fn execute_for_test(&mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.connection.execute(statement).await.map(drop)
    }
}
