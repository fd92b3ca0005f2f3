//! What can go wrong in the store, as facts. How it is shown to people is decided at the edge.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A refusal or failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or answered with an error of its own.
    #[error("the database is unavailable")]
    Unavailable {
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The database did not finish in time; whether it did the work is not known.
    #[error("the database did not finish {doing} within {limit:?}")]
    TimedOut {
        /// What was being done.
        doing: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// Too many callers wait for the same thing; this one was turned away instead of queued.
    #[error("too many {of} are waiting for the database")]
    Overloaded {
        /// What is waiting.
        of: &'static str,
    },
    /// The audit log could not be written; whatever was to be recorded must not happen.
    #[error("the audit log could not be written")]
    NotRecorded {
        /// Why: shared by all events of one transaction.
        #[source]
        cause: Arc<StoreError>,
    },
    /// What was kept on disk until it can be written cannot be read or emptied.
    #[error("the events that were kept on disk cannot be read")]
    Spool {
        /// What the system said.
        source: std::io::Error,
    },
    /// The tree head in the database is older than what this process wrote: the database was taken
    /// back to an earlier state, or replaced.
    #[error(
        "the audit log went back from {written} to {found} entries; the database was restored or replaced"
    )]
    LogWentBack {
        /// The size this process knows was committed.
        written: u64,
        /// The size found.
        found: u64,
    },
    /// The audit writer has been stopped; nothing can be recorded any more.
    #[error("the audit log is closed")]
    AuditClosed,
    /// A thing with this name or id is there already.
    #[error("it exists already")]
    Exists,
    /// There is no such thing.
    #[error("there is no such thing")]
    NotFound,
    /// Somebody else changed it since it was read: the version expected is not the present one.
    #[error("it was changed by somebody else since it was read; read it again and repeat the change")]
    Conflict,
    /// The change would leave nobody who is an admin and not locked.
    #[error("this is the last unlocked admin; make another admin first")]
    LastAdmin,
    /// Another `serve` holds this SQLite database.
    #[error(
        "another `rack-gateway serve` is using {path}; stop it first, or use PostgreSQL to run several",
        path = .path.display()
    )]
    Locked {
        /// The database file.
        path: PathBuf,
    },
    /// The lease is held by somebody else and was not freed while we waited.
    #[error("`{name}` is held by another request; try again")]
    LeaseHeld {
        /// The lease's name.
        name: String,
    },
    /// The database belongs to another secret key.
    #[error(
        "APP_SECRET_KEY is not the one this database was first used with: give that key, or another database"
    )]
    WrongSecretKey,
    /// The database belongs to the gateway of another rack.
    #[error(
        "this database was first used before another rack than RACK_HOST: its people, tokens and log are that one's"
    )]
    OtherRack,
    /// The database was made with an `APP_SECRET_KEY`, and none is given now.
    #[error("this database was first used with an APP_SECRET_KEY, and none is set: set it to that key")]
    SecretKeyMissing,
    /// A gateway runs on this database.
    #[error("a gateway serves from this database: stop every instance first")]
    Serving,
    /// The new key is too short.
    #[error(
        "the new APP_SECRET_KEY has fewer than {shortest} characters; make one with `openssl rand -hex 32`"
    )]
    WeakKey {
        /// The least.
        shortest: usize,
    },
    /// The database URL cannot be used.
    #[error("the database URL cannot be used: {problem}")]
    Url {
        /// What is wrong with it, without the URL itself (it may hold a password).
        problem: &'static str,
    },
    /// A file or directory of the database could not be made or opened.
    #[error("cannot prepare {path}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A migration failed; the database is as it was before.
    #[error("migration {stamp} ({name}) failed; nothing was changed")]
    Migration {
        /// Its stamp, `YYYYMMDDHHMMSS`.
        stamp: i64,
        /// Its name.
        name: &'static str,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// A migration that was applied has another text in this program.
    #[error("migration {stamp} was applied with another text; this program does not belong to this database")]
    MigrationChanged {
        /// Its stamp.
        stamp: i64,
    },
    /// Rows refer to rows that are not there.
    #[error("table {table} has rows that refer to missing rows; restore a backup")]
    ForeignKeyCheck {
        /// The table with the dangling rows.
        table: String,
    },
    /// A text holds a NUL character, which PostgreSQL cannot keep.
    #[error("{field} holds a NUL character")]
    NotStorable {
        /// Which value.
        field: &'static str,
    },
    /// A number is outside of what the database keeps.
    #[error("{field} is out of range")]
    OutOfRange {
        /// Which value.
        field: &'static str,
    },
    /// An event could not be encoded as a leaf.
    #[error("the audit event cannot be encoded")]
    Encode {
        /// Why.
        source: gateway_audit::EncodeError,
    },
    /// Grants could not be written as JSON.
    #[error("the grants cannot be written as JSON")]
    Json {
        /// Why.
        source: serde_json::Error,
    },
    /// A stored value is not what this program writes.
    #[error("the database holds a {what} that cannot be read")]
    Corrupt {
        /// Which kind of value.
        what: &'static str,
    },
    /// A crypto primitive refused to work.
    #[error("the crypto provider failed at {doing}")]
    Crypto {
        /// What was being done.
        doing: &'static str,
    },
}

impl StoreError {
    /// Whether the fault is that the database cannot be used just now, so that trying later can help.
    pub const fn is_unavailable(&self) -> bool {
        match self {
            StoreError::Unavailable { .. }
            | StoreError::TimedOut { .. }
            | StoreError::Overloaded { .. }
            | StoreError::NotRecorded { .. }
            | StoreError::Spool { .. }
            | StoreError::AuditClosed => true,
            StoreError::LogWentBack { .. }
            | StoreError::Exists
            | StoreError::NotFound
            | StoreError::Conflict
            | StoreError::LastAdmin
            | StoreError::Locked { .. }
            | StoreError::LeaseHeld { .. }
            | StoreError::WrongSecretKey
            | StoreError::Serving
            | StoreError::WeakKey { .. }
            | StoreError::OtherRack
            | StoreError::SecretKeyMissing
            | StoreError::Url { .. }
            | StoreError::File { .. }
            | StoreError::Migration { .. }
            | StoreError::MigrationChanged { .. }
            | StoreError::ForeignKeyCheck { .. }
            | StoreError::NotStorable { .. }
            | StoreError::OutOfRange { .. }
            | StoreError::Encode { .. }
            | StoreError::Json { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Crypto { .. } => false,
        }
    }
}

impl StoreError {
    /// Whether the database cannot be reached now, or does not take connections yet: what waiting may mend. A wrong
    /// password, or a database that is another's, is not that.
    pub fn is_away(&self) -> bool {
        let (StoreError::Unavailable { source } | StoreError::Migration { source, .. }) = self else {
            return matches!(self, StoreError::TimedOut { .. });
        };
        match source {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut => true,
            // Class 57 but for a cancelled statement: it starts up, shuts down, or recovers; 53300: it has no
            // connection left; 55000: it takes none (PostgreSQL 17, appendix A).
            sqlx::Error::Database(error) => error
                .code()
                .is_some_and(|code| ["57P01", "57P02", "57P03", "53300", "55000"].contains(&code.as_ref())),
            _ => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        match source {
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                StoreError::Corrupt { what: "column" }
            }
            source => StoreError::Unavailable { source },
        }
    }
}

/// Whether the database refused a row because one with the same key is there.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
