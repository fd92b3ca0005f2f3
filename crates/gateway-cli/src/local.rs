//! The store on this machine, opened by a command beside or instead of the server. Everything a
//! command does with it is in the log, under the name of whoever sits here.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use gateway_app::Operator;
use gateway_config::{Database, Flags, load_database, masked_database_url};
use gateway_store::{Access, Store, StoreOptions};
use gateway_types::{Clock as _, OsEntropy, Secret, SystemClock, Timestamp};

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::operator;

/// Connections of a command to the store.
const CONNECTIONS: u32 = 2;

/// Where the gateway's data are.
#[derive(Args, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct DataPlace {
    /// The gateway's directory [env: DATA_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Where the data are")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The gateway's database: sqlite:///path or postgres://… [env: DATABASE_URL]
    #[arg(long, value_name = "URL", help_heading = "Where the data are")]
    pub(crate) database_url: Option<String>,
}

impl DataPlace {
    /// As flags of the configuration.
    pub(crate) fn flags(&self) -> Flags {
        Flags { data_dir: self.data_dir.clone(), database_url: self.database_url.clone(), ..Flags::default() }
    }
}

/// The store, opened by a command.
#[derive(Debug)]
pub(crate) struct LocalStore {
    pub(crate) store: Arc<Store>,
    name: String,
}

impl LocalStore {
    /// Opens the store that the configuration and `place` name.
    ///
    /// # Errors
    /// When the configuration has faults, there is no database, or it cannot be used.
    pub(crate) async fn open(context: &Context, place: &DataPlace) -> Result<Self, Failure> {
        let Database { url, app_secret_key, .. } = load_database(context.config.clone(), place.flags())?;
        Self::open_url(url, app_secret_key).await
    }

    /// Opens the store at `url`.
    ///
    /// # Errors
    /// When there is no database, or it cannot be used.
    pub(crate) async fn open_url(
        url: String,
        app_secret_key: Option<Secret<String>>,
    ) -> Result<Self, Failure> {
        if !Store::is_there(&url)? {
            let what = format!("there is no database at {}", masked_database_url(&url));
            return Err(Failure::new(Exit::Failed, what).hint(
                "name the gateway's own with --data-dir or --database-url; `rack-gateway migrate` makes a new one",
            ));
        }
        let options = StoreOptions {
            url,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            max_connections: CONNECTIONS,
            access: Access::Tool,
            app_secret_key,
        };
        Ok(Self { store: Store::open(options).await?, name: operator::name() })
    }

    /// Whoever sits here, as the context of what is recorded.
    pub(crate) fn operator(&self) -> Operator<'_> {
        Operator::local(&self.name, &SystemClock, &OsEntropy)
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    /// Writes everything out.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}
