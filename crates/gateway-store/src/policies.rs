//! Policy documents as raw text, by id. What they say, and whether it can be loaded, is not known here.

use std::sync::Arc;

use gateway_types::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::statement::Statement;
use crate::store::Core;

/// A stored document of policies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyDocument {
    /// Its name.
    pub id: String,
    /// Cedar text.
    pub text: String,
    /// What a change is compared against. Never given out twice, also not after a removal.
    pub version: i64,
    /// Who wrote it last, as a display name.
    pub updated_by: String,
    /// When it was written last.
    pub updated: Timestamp,
}

/// The policy documents kept in the database.
#[derive(Clone, Debug)]
pub struct Policies {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "id, text, version, updated_by, updated";

impl Policies {
    /// All documents, by id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<PolicyDocument>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" FROM policies ORDER BY id");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(document).collect()
    }

    /// Writes a document, if it still has `expected_version`; `None` = if there is none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version, is there, or is gone.
    pub async fn set(
        &self,
        id: &str,
        text: &str,
        expected_version: Option<i64>,
        updated_by: &str,
    ) -> Result<PolicyDocument, StoreError> {
        for (field, value) in [("the id", id), ("the text", text), ("the actor", updated_by)] {
            storable(field, value)?;
        }
        let now = self.core.clock.now().micros();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let statement = match expected_version {
            None => {
                let mut insert = Statement::new("INSERT INTO policies (");
                insert.sql(COLUMNS).sql(") VALUES (").text(id).sql(", ").text(text).sql(", ").number(version);
                insert.sql(", ").text(updated_by).sql(", ").number(now);
                insert.sql(") ON CONFLICT (id) DO NOTHING RETURNING ").sql(COLUMNS);
                insert
            }
            Some(expected) => {
                let mut update = Statement::new("UPDATE policies SET text = ");
                update.text(text).sql(", version = ").number(version);
                update.sql(", updated_by = ").text(updated_by).sql(", updated = ").number(now);
                update.sql(" WHERE id = ").text(id).sql(" AND version = ").number(expected);
                update.sql(" RETURNING ").sql(COLUMNS);
                update
            }
        };
        let row = statement.query().fetch_optional(tx.connection()).await?;
        let changed = row.as_ref().map(document).transpose()?.ok_or(StoreError::Conflict);
        self.core.changes.commit_if(tx, version, changed.is_ok()).await?;
        changed
    }

    /// Removes a document, if it still has `expected_version`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version or is gone.
    pub async fn remove(&self, id: &str, expected_version: i64) -> Result<(), StoreError> {
        storable("the id", id)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let removed = sqlx::query("DELETE FROM policies WHERE id = $1 AND version = $2")
            .bind(id.to_owned())
            .bind(expected_version)
            .execute(tx.connection())
            .await?;
        self.core.changes.commit_if(tx, version, removed.rows_affected() > 0).await
    }
}

fn document(row: &AnyRow) -> Result<PolicyDocument, StoreError> {
    Ok(PolicyDocument {
        id: row.try_get("id")?,
        text: row.try_get("text")?,
        version: row.try_get("version")?,
        updated_by: row.try_get("updated_by")?,
        updated: moment(row, "updated")?,
    })
}
