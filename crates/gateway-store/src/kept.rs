//! What the gateway learnt about itself: names with a value that is set once and then holds.

use std::sync::Arc;

use sqlx::Row;

use crate::error::StoreError;
use crate::row::storable;
use crate::store::Core;

/// The kept values of this gateway.
#[derive(Clone, Debug)]
pub struct Kept {
    pub(crate) core: Arc<Core>,
}

impl Kept {
    /// The value of this name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn value(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT value FROM kept WHERE name = $1")
            .bind(name.to_owned())
            .fetch_optional(self.core.database.pool())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Keeps `value` unless there is one; returns the one that holds. Of any number that are offered at
    /// once, on any number of instances, one holds.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn keep(&self, name: &str, value: &str) -> Result<String, StoreError> {
        storable("the name", name)?;
        storable("the value", value)?;
        let turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO kept (name, value, created) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name.to_owned())
        .bind(value.to_owned())
        .bind(self.core.clock.now().micros())
        .execute(self.core.database.pool())
        .await?;
        drop(turn);
        self.value(name).await?.ok_or(StoreError::NotFound)
    }
}
