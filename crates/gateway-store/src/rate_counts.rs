//! What instances tell each other of the limits, so that all together let through what one would. It knows keys
//! and sums; what they are of, and what follows, is not known here.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Row;

use crate::database::Engine;
use crate::error::StoreError;
use crate::row::storable;
use crate::statement::Statement;
use crate::store::Core;

/// Sums that were told within this time are read. Instances read each second; one that was away for longer finds
/// the rest in the next sum, since sums only grow.
const NEWS: Duration = Duration::from_secs(10);

/// Sums that were not told for this long are forgotten.
const MEMORY: Duration = Duration::from_secs(600);

/// Rows of one statement.
const BATCH: usize = 500;

/// The most rows that are read at one time, the newest first.
const MOST_READ: i64 = 20_000;

/// What another instance has let through of one limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OthersCount {
    /// The limit's key.
    pub key: String,
    /// The instance.
    pub instance: String,
    /// All that it let through since it first told.
    pub used: i64,
}

/// The counts of the limits.
#[derive(Clone, Debug)]
pub struct RateCounts {
    pub(crate) core: Arc<Core>,
}

impl RateCounts {
    /// Whether there can be other instances at all: SQLite has one.
    pub fn are_shared(&self) -> bool {
        match self.core.database.engine() {
            Engine::Sqlite => false,
            Engine::Postgres => true,
        }
    }

    /// Tells the sums of these keys.
    ///
    /// # Errors
    /// When the database cannot be written; some of them may have been told.
    pub async fn put(&self, sums: &[(String, i64)]) -> Result<(), StoreError> {
        let now = self.core.database.now_sql();
        for batch in sums.chunks(BATCH) {
            let mut statement =
                Statement::new("INSERT INTO rate_counts (bucket, instance, used, told) VALUES ");
            for (n, (key, used)) in batch.iter().enumerate() {
                storable("the key of a limit", key)?;
                statement.sql(if n == 0 { "(" } else { ", (" });
                statement.text(key).sql(", ").text(self.instance()).sql(", ").number(*used);
                statement.sql(", ").sql(now).sql(")");
            }
            statement.sql(
                " ON CONFLICT (bucket, instance) DO UPDATE SET used = excluded.used, told = excluded.told",
            );
            let _turn = self.core.database.write_turn().await;
            statement.query().execute(self.core.database.pool()).await?;
        }
        Ok(())
    }

    /// The sums that other instances told lately.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of_others(&self) -> Result<Vec<OthersCount>, StoreError> {
        let mut statement =
            Statement::new("SELECT bucket, instance, used FROM rate_counts WHERE instance <> ");
        statement.text(self.instance()).sql(" AND told >= ").sql(self.core.database.now_sql());
        statement.sql(" - ").number(micros(NEWS)).sql(" ORDER BY told DESC LIMIT ").number(MOST_READ);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter()
            .map(|row| {
                Ok(OthersCount {
                    key: row.try_get("bucket")?,
                    instance: row.try_get("instance")?,
                    used: row.try_get("used")?,
                })
            })
            .collect()
    }

    /// Forgets what was not told for long, and so is of nobody who still calls.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn tidy(&self) -> Result<(), StoreError> {
        let mut statement = Statement::new("DELETE FROM rate_counts WHERE told < ");
        statement.sql(self.core.database.now_sql()).sql(" - ").number(micros(MEMORY));
        let _turn = self.core.database.write_turn().await;
        statement.query().execute(self.core.database.pool()).await?;
        Ok(())
    }

    fn instance(&self) -> &str {
        self.core.run_id.get().map_or("tool", String::as_str)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
