//! That this database was restored from a backup and no event says so yet. Written in the transaction that restores, so
//! that a program that is killed right after it leaves the news for whoever opens the database next.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{AnyConnection, Row as _};

use crate::error::StoreError;
use crate::store::Core;

/// What an event is to say of a restore, by name.
pub type RestorationNews = BTreeMap<String, String>;

/// What is to be told of the last restore.
#[derive(Clone, Debug)]
pub struct Restorations {
    pub(crate) core: Arc<Core>,
}

impl Restorations {
    /// What no event says yet.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], or when the database cannot be read.
    pub async fn untold(&self) -> Result<Option<RestorationNews>, StoreError> {
        let row = sqlx::query("SELECT said FROM restorations WHERE id = 1")
            .fetch_optional(self.core.database.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let said = serde_json::from_str(&row.try_get::<String, _>("said")?);
        said.map(Some).map_err(|_bad| StoreError::Corrupt { what: "news of a restore" })
    }

    /// An event says it now.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn told(&self) -> Result<(), StoreError> {
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM restorations WHERE id = 1").execute(tx.connection()).await?;
        tx.commit().await
    }
}

/// Notes it in the transaction that restores, in place of anything that the backup itself had to tell.
pub(crate) async fn note(connection: &mut AnyConnection, news: &RestorationNews) -> Result<(), StoreError> {
    let said =
        serde_json::to_string(news).map_err(|_never| StoreError::Corrupt { what: "news of a restore" })?;
    sqlx::query(
        "INSERT INTO restorations (id, said) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET said = excluded.said",
    )
    .bind(said)
    .execute(connection)
    .await?;
    Ok(())
}
