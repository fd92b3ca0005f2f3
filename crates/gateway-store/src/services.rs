//! Declared services as raw text, by name. What they say, and whether they go together, is not known here.

use std::sync::Arc;

use gateway_types::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::statement::Statement;
use crate::store::Core;

/// A stored declaration of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceDocument {
    /// Its name.
    pub name: String,
    /// The declaration, as JSON.
    pub declaration: String,
    /// What a change is compared against. Never given out twice, also not after a removal.
    pub version: i64,
    /// Who wrote it last, as a display name.
    pub updated_by: String,
    /// When it was written last.
    pub updated: Timestamp,
}

/// The services kept in the database.
#[derive(Clone, Debug)]
pub struct Services {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "name, declaration, version, updated_by, updated";

impl Services {
    /// All declarations, by name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<ServiceDocument>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" FROM services ORDER BY name");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(document).collect()
    }

    /// Writes a declaration, if it still has `expected_version`; `None` = if there is none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version, is there, or is gone.
    pub async fn set(
        &self,
        name: &str,
        declaration: &str,
        expected_version: Option<i64>,
        updated_by: &str,
    ) -> Result<ServiceDocument, StoreError> {
        for (field, value) in
            [("the name", name), ("the declaration", declaration), ("the actor", updated_by)]
        {
            storable(field, value)?;
        }
        let now = self.core.clock.now().micros();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let statement = match expected_version {
            None => {
                let mut insert = Statement::new("INSERT INTO services (");
                insert.sql(COLUMNS).sql(") VALUES (").text(name).sql(", ").text(declaration);
                insert.sql(", ").number(version).sql(", ").text(updated_by).sql(", ").number(now);
                insert.sql(") ON CONFLICT (name) DO NOTHING RETURNING ").sql(COLUMNS);
                insert
            }
            Some(expected) => {
                let mut update = Statement::new("UPDATE services SET declaration = ");
                update.text(declaration).sql(", version = ").number(version);
                update.sql(", updated_by = ").text(updated_by).sql(", updated = ").number(now);
                update.sql(" WHERE name = ").text(name).sql(" AND version = ").number(expected);
                update.sql(" RETURNING ").sql(COLUMNS);
                update
            }
        };
        let row = statement.query().fetch_optional(tx.connection()).await?;
        let changed = row.as_ref().map(document).transpose()?.ok_or(StoreError::Conflict);
        self.core.changes.commit_if(tx, version, changed.is_ok()).await?;
        changed
    }

    /// Removes a declaration, if it still has `expected_version`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version or is gone.
    pub async fn remove(&self, name: &str, expected_version: i64) -> Result<(), StoreError> {
        storable("the name", name)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let removed = sqlx::query("DELETE FROM services WHERE name = $1 AND version = $2")
            .bind(name.to_owned())
            .bind(expected_version)
            .execute(tx.connection())
            .await?;
        self.core.changes.commit_if(tx, version, removed.rows_affected() > 0).await
    }
}

fn document(row: &AnyRow) -> Result<ServiceDocument, StoreError> {
    Ok(ServiceDocument {
        name: row.try_get("name")?,
        declaration: row.try_get("declaration")?,
        version: row.try_get("version")?,
        updated_by: row.try_get("updated_by")?,
        updated: moment(row, "updated")?,
    })
}
