//! Backups: what the database holds as one sealed file, which either kind of database takes back. Written from one
//! snapshot while gateways serve; read whole and verified before anything is touched; restored in one transaction.
//!
//! Start reading at `contents` (which tables), then `dump`, `verified` and `restore`; `sealed` is the file.
//!
//! # Security
//! The file is sealed as a whole: names, counts and the gateway's own key are in it. Sessions and what hangs on them
//! are left out, so that no session that was ended since comes to life with a restore.

mod contents;
mod dump;
mod form;
mod restore;
pub(crate) mod sealed;
mod verified;

use std::collections::BTreeMap;
use std::io;

use gateway_types::Secret;
use serde::{Deserialize, Serialize};

pub use dump::{Dump, dump};
pub use restore::{Restoration, Restored, Standing, restore, standing};
pub use sealed::SHORTEST_PASSPHRASE;
pub use verified::{Verified, verified};

use crate::error::StoreError;

/// What a backup is sealed with.
#[derive(Clone)]
pub enum BackupKey {
    /// `APP_SECRET_KEY`.
    AppSecretKey(Secret<String>),
    /// A passphrase of its own.
    Passphrase(Secret<String>),
}

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BackupKey::AppSecretKey(_) => "AppSecretKey(…)",
            BackupKey::Passphrase(_) => "Passphrase(…)",
        })
    }
}

/// What a backup says about itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// When it was made, in microseconds since 1970 UTC.
    pub made: i64,
    /// The version of the program that made it.
    pub program: String,
    /// `sqlite` or `postgres`: where it was made.
    pub engine: String,
    /// The gateway whose database it was.
    pub gateway_id: String,
    /// Stamps of the migrations that the database had.
    pub schema: Vec<i64>,
    /// How many entries the audit log has.
    pub log_size: u64,
    /// The root of the log's tree, in hexadecimal.
    pub log_root: String,
    /// The newest signed checkpoint of the log.
    pub checkpoint: Option<String>,
    /// Tables that were left out.
    pub left_out: Vec<String>,
    /// Whether the database keeps a key of its own, because no `APP_SECRET_KEY` was given.
    pub own_secret_key: bool,
    /// Tells whether a key is the one of the database.
    pub key_check: String,
}

/// How many rows a table has.
pub type Rows = BTreeMap<String, u64>;

/// Told while rows are read and written: the table, and how many rows of all were handled.
pub type Progress<'a> = dyn FnMut(&str, u64) + Send + 'a;

/// What keeps a backup from being made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be read or written.
    #[error("the backup cannot be read or written")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("this is no backup of a rack-gateway, or one of a newer form")]
    NotABackup,
    /// The file is a backup of a database.
    #[error("this is no appendix of another gateway's audit rows, or one of a newer form")]
    NotAnAppendix,
    /// It was sealed with another key.
    #[error("the backup was sealed with another {with}")]
    WrongKey {
        /// `APP_SECRET_KEY` or `passphrase`.
        with: &'static str,
    },
    /// It is sealed by the other way.
    #[error("the backup is sealed with {with}, which was not given")]
    OtherWay {
        /// `APP_SECRET_KEY` or `a passphrase`.
        with: &'static str,
    },
    /// A part of it is not as it was written.
    #[error("the backup was altered: a part of it does not open")]
    Altered,
    /// It ends too early.
    #[error("the backup is cut off")]
    Truncated,
    /// It holds what no backup holds.
    #[error("the backup holds {what} that cannot be read")]
    Malformed {
        /// What it is.
        what: &'static str,
    },
    /// It is of a newer program.
    #[error(
        "the backup has the migration {stamp}, which this program does not know; use a newer rack-gateway"
    )]
    NewerSchema {
        /// Which.
        stamp: i64,
    },
    /// The database was used by a newer program.
    #[error(
        "the database has the migration {stamp}, which this program does not know; restore with the newer rack-gateway, or into an empty database"
    )]
    NewerDatabase {
        /// Which.
        stamp: i64,
    },
    /// Nothing was backed up yet that could be.
    #[error("the database was never used by a gateway, so there is nothing to back up")]
    NothingThere,
    /// The passphrase is too short.
    #[error("the passphrase has fewer than {least} characters")]
    ShortPassphrase {
        /// The least.
        least: usize,
    },
    /// The key given is not the one that the restored database needs.
    #[error("APP_SECRET_KEY is not the one of the gateway that was backed up, which alone opens its secrets")]
    NotItsKey,
    /// There is something in the database.
    #[error("the database is in use by a gateway, with {log_size} entries in its log")]
    NotEmpty {
        /// How many.
        log_size: u64,
    },
    /// Another program's tables are in the database.
    #[error(
        "the database has a table `{table}` that no rack-gateway made; restore into a database of its own"
    )]
    Foreign {
        /// Which.
        table: &'static str,
    },
    /// What was restored is not what the manifest says.
    #[error("what was restored is not what the backup says of itself; nothing was changed")]
    Different,
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        BackupError::Store(error.into())
    }
}
