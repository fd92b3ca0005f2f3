//! Groups of identity providers and the roles their members get. What the configuration says of them, and
//! who is in which, is not known here.

use std::sync::Arc;

use gateway_types::{RoleSet, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// A group's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its name, as the provider writes it.
    pub id: String,
    /// What its members get.
    pub roles: RoleSet,
    /// What a change is compared against.
    pub version: i64,
    /// Who set it last, as a display name.
    pub updated_by: String,
    /// When it was set last.
    pub updated: Timestamp,
}

/// The groups kept in the database.
#[derive(Clone, Debug)]
pub struct Groups {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "id, roles, version, updated_by, updated";

impl Groups {
    /// All groups that have a row, by name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<Group>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" FROM groups ORDER BY id");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let mut groups = rows.iter().map(group).collect::<Result<Vec<_>, _>>()?;
        // The two databases do not sort text alike.
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// Sets what a group's members get, if the row still has `expected_version`; `None` = if there is none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version, or is there.
    pub async fn set(
        &self,
        id: &str,
        roles: RoleSet,
        expected_version: Option<i64>,
        updated_by: &str,
    ) -> Result<Group, StoreError> {
        storable("the group", id)?;
        storable("the actor", updated_by)?;
        let now = self.core.clock.now().micros();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let mut statement = match expected_version {
            None => {
                let mut insert = Statement::new("INSERT INTO groups (");
                insert.sql(COLUMNS).sql(") VALUES (").text(id).sql(", ").text(&roles.to_string());
                insert.sql(", ").number(version).sql(", ").text(updated_by).sql(", ").number(now);
                insert.sql(") ON CONFLICT (id) DO NOTHING");
                insert
            }
            Some(expected) => {
                let mut update = Statement::new("UPDATE groups SET roles = ");
                update.text(&roles.to_string()).sql(", version = ").number(version);
                update.sql(", updated_by = ").text(updated_by).sql(", updated = ").number(now);
                update.sql(" WHERE id = ").text(id).sql(" AND version = ").number(expected);
                update
            }
        };
        statement.sql(" RETURNING ").sql(COLUMNS);
        let Some(row) = statement.query().fetch_optional(tx.connection()).await? else {
            tx.rollback().await?;
            return Err(StoreError::Conflict);
        };
        let changed = group(&row)?;
        self.core.changes.commit(tx, version).await?;
        Ok(changed)
    }
}

fn group(row: &AnyRow) -> Result<Group, StoreError> {
    Ok(Group {
        id: row.try_get("id")?,
        roles: parsed(row, "roles", "set of roles")?,
        version: row.try_get("version")?,
        updated_by: row.try_get("updated_by")?,
        updated: moment(row, "updated")?,
    })
}
