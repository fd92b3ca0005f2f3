//! A new, empty database of either kind.

use std::sync::Arc;

use anyhow::Result;
use gateway_store::{Access, Store, StoreOptions};
use gateway_types::{OsEntropy, Secret, SystemClock};
use tempfile::TempDir;

/// Which database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub(crate) const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Where it is. Dropping it removes an SQLite file; PostgreSQL's go with this program.
pub(crate) struct Place {
    pub(crate) engine: Engine,
    pub(crate) url: String,
    _directory: TempDir,
}

impl Place {
    pub(crate) fn new(engine: Engine) -> Result<Self> {
        let directory = TempDir::new()?;
        let url = match engine {
            Engine::Sqlite => {
                format!("sqlite://{}?mode=rwc", directory.path().join("gateway.db").display())
            }
            Engine::Postgres => gateway_testdb::fresh_database(gateway_testdb::postgres()?)?,
        };
        Ok(Self { engine, url, _directory: directory })
    }

    /// Has a server put in its place what was written so far, so that it has segments to write into again, as one has that
    /// has run for a while: making new ones holds up whoever waits.
    pub(crate) fn settle(&self) -> Result<()> {
        match self.engine {
            Engine::Sqlite => Ok(()),
            Engine::Postgres => gateway_testdb::sql(&self.url, "CHECKPOINT").map(drop),
        }
    }

    /// Opens it as the gateway does.
    pub(crate) async fn open(&self) -> Result<Arc<Store>> {
        let options = StoreOptions {
            url: self.url.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            max_connections: 8,
            access: Access::Serve,
            app_secret_key: Some(Secret::new("a key for measurements".to_owned())),
        };
        Ok(Store::open(options).await?)
    }
}
