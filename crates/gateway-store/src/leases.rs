//! Named mutual exclusion that holds across instances: a row with a holder and an end. A lease
//! whose holder died ends when the next run starts, and at the latest by itself; work under a lease
//! must fit into its time to live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::database::Database;
use crate::error::StoreError;
use crate::row::storable;
use crate::secrets::random_text;
use crate::statement::Statement;
use crate::store::Core;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The names this process wants or holds: only one of its tasks at a time asks the database.
#[derive(Debug, Default)]
pub(crate) struct LocalNames(Mutex<HashMap<String, Arc<AsyncMutex<()>>>>);

impl LocalNames {
    pub(crate) fn of(&self, name: &str) -> Arc<AsyncMutex<()>> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_name, mutex| Arc::strong_count(mutex) > 1);
        Arc::clone(names.entry(name.to_owned()).or_default())
    }
}

/// The leases of this gateway.
#[derive(Clone, Debug)]
pub struct Leases {
    pub(crate) core: Arc<Core>,
}

/// A held lease. Release it; a dropped one is released in the background, and in the worst case
/// ends with its time to live.
#[derive(Debug)]
pub struct Lease {
    row: Option<Row>,
    _local: OwnedMutexGuard<()>,
}

#[derive(Debug)]
struct Row {
    database: Database,
    name: String,
    holder: String,
}

impl Leases {
    /// Takes the lease `name` for at most `ttl`, waiting at most `wait_at_most` for whoever has it.
    ///
    /// The end is measured by the database's clock, so instances whose clocks differ agree on it.
    ///
    /// # Errors
    /// [`StoreError::LeaseHeld`] when it was not freed in time.
    pub async fn acquire(
        &self,
        name: &str,
        ttl: Duration,
        wait_at_most: Duration,
    ) -> Result<Lease, StoreError> {
        storable("the lease's name", name)?;
        let ttl_micros = i64::try_from(ttl.as_micros())
            .map_err(|_large| StoreError::OutOfRange { field: "the time to live" })?;
        let deadline = Instant::now() + wait_at_most;
        let held = || StoreError::LeaseHeld { name: name.to_owned() };
        let local = tokio::time::timeout_at(deadline, self.core.lease_names.of(name).lock_owned())
            .await
            .map_err(|_elapsed| held())?;
        let row = Row { database: self.core.database.clone(), name: name.to_owned(), holder: self.holder() };
        // Made before the row is asked for: whoever stops waiting for us frees what we may have got.
        let lease = Lease { row: Some(row), _local: local };
        let mut pause = FIRST_PAUSE;
        while !lease.take(ttl_micros).await? {
            let now = Instant::now();
            if now >= deadline {
                return Err(held());
            }
            tokio::time::sleep_until(deadline.min(now + pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        Ok(lease)
    }
}

impl Leases {
    /// A name for one holder. It begins with the run's id, so that a run that died can be cleared away.
    fn holder(&self) -> String {
        let random = random_text(&*self.core.entropy);
        match self.core.run_id.get() {
            Some(run) => format!("{run}/{}", random.expose()),
            None => random.expose().clone(),
        }
    }
}

/// Frees what a run held that died.
pub(crate) async fn free_all_of(database: &Database, run: &str) -> Result<(), StoreError> {
    let mut statement = Statement::new("DELETE FROM leases WHERE ");
    statement.begins_with("holder", &format!("{run}/"));
    statement.query().execute(database.pool()).await?;
    Ok(())
}

impl Lease {
    async fn take(&self, ttl_micros: i64) -> Result<bool, StoreError> {
        match &self.row {
            Some(row) => row.take(ttl_micros).await,
            None => Ok(false),
        }
    }

    /// Frees the lease.
    ///
    /// # Errors
    /// Only when the database cannot be written; the lease then ends with its time to live.
    pub async fn release(mut self) -> Result<(), StoreError> {
        match self.row.take() {
            Some(row) => row.free().await,
            None => Ok(()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(row), Ok(runtime)) = (self.row.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = row.free().await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a lease was left to expire");
                }
            });
        }
    }
}

impl Row {
    async fn take(&self, ttl_micros: i64) -> Result<bool, StoreError> {
        let now = self.database.now_sql();
        let mut statement = Statement::new("INSERT INTO leases (name, holder, expires) VALUES (");
        statement.text(&self.name).sql(", ").text(&self.holder).sql(", ");
        statement.sql(now).sql(" + ").number(ttl_micros);
        statement.sql(
            ") ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires \
             WHERE leases.expires <= ",
        );
        statement.sql(now);
        let _turn = self.database.write_turn().await;
        Ok(statement.query().execute(self.database.pool()).await?.rows_affected() == 1)
    }

    async fn free(&self) -> Result<(), StoreError> {
        let _turn = self.database.write_turn().await;
        sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(self.name.clone())
            .bind(self.holder.clone())
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}
