//! What the sentinel remembers of the rack, for whichever instance looks next. What it means is not known here.

use std::sync::Arc;

use sqlx::Row as _;

use crate::error::StoreError;
use crate::row::storable;
use crate::store::Core;

/// The sentinel's memory.
#[derive(Clone, Debug)]
pub struct Sentinel {
    pub(crate) core: Arc<Core>,
}

impl Sentinel {
    /// What was seen last, as JSON; `None` before the first look.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn seen(&self) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT seen FROM sentinel WHERE id = 1")
            .fetch_optional(self.core.database.pool())
            .await?;
        Ok(row.map(|row| row.try_get("seen")).transpose()?)
    }

    /// Keeps what was seen instead of what was before.
    ///
    /// # Errors
    /// Only when the database cannot be written, or the text not be kept.
    pub async fn keep(&self, seen: &str) -> Result<(), StoreError> {
        storable("what the sentinel saw", seen)?;
        sqlx::query(
            "INSERT INTO sentinel (id, seen) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
        )
        .bind(seen.to_owned())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }
}
