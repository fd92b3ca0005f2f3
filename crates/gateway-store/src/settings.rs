//! Settings as raw text, by scope and key. Which keys exist, and what their values mean, is not known here.

use std::sync::Arc;

use gateway_types::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::statement::Statement;
use crate::store::Core;

/// What a setting applies to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SettingScope {
    /// The whole gateway.
    Global,
    /// The app of this name.
    App(String),
}

impl SettingScope {
    pub(crate) fn stored(&self) -> String {
        match self {
            SettingScope::Global => "global".to_owned(),
            SettingScope::App(name) => format!("app:{name}"),
        }
    }

    fn parse(stored: &str) -> Result<SettingScope, StoreError> {
        match stored.split_once(':') {
            None if stored == "global" => Ok(SettingScope::Global),
            Some(("app", name)) => Ok(SettingScope::App(name.to_owned())),
            _ => Err(StoreError::Corrupt { what: "setting scope" }),
        }
    }
}

/// A stored setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// What it applies to.
    pub scope: SettingScope,
    /// Its name.
    pub key: String,
    /// Its value, as text.
    pub value: String,
    /// What a change is compared against. Never given out twice, also not after a deletion.
    pub version: i64,
    /// Who set it last, as a display name.
    pub updated_by: String,
    /// When it was set last.
    pub updated: Timestamp,
}

/// The settings kept in the database.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "scope, key, value, version, updated_by, updated";

impl Settings {
    /// One setting.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn get(&self, scope: &SettingScope, key: &str) -> Result<Option<Setting>, StoreError> {
        let stored = scope.stored();
        if storable("the scope", &stored).and(storable("the key", key)).is_err() {
            return Ok(None);
        }
        let mut statement = Statement::new("SELECT ");
        statement
            .sql(COLUMNS)
            .sql(" FROM settings WHERE scope = ")
            .text(&stored)
            .sql(" AND key = ")
            .text(key);
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(setting).transpose()
    }

    /// All settings of one scope, or of all scopes, by scope and key.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, scope: Option<&SettingScope>) -> Result<Vec<Setting>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" FROM settings");
        if let Some(scope) = scope {
            statement.sql(" WHERE scope = ").text(&scope.stored().replace('\0', ""));
        }
        statement.sql(" ORDER BY scope, key");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(setting).collect()
    }

    /// Sets a value, if the setting still has `expected_version`; `None` = if it is not set.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version, is set, or is gone.
    pub async fn set(
        &self,
        scope: &SettingScope,
        key: &str,
        value: &str,
        expected_version: Option<i64>,
        updated_by: &str,
    ) -> Result<Setting, StoreError> {
        let stored = scope.stored();
        for (field, text) in [
            ("the scope", stored.as_str()),
            ("the key", key),
            ("the value", value),
            ("the actor", updated_by),
        ] {
            storable(field, text)?;
        }
        let now = self.core.clock.now().micros();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let statement = match expected_version {
            None => {
                let mut insert = Statement::new("INSERT INTO settings (");
                insert.sql(COLUMNS).sql(") VALUES (").text(&stored).sql(", ").text(key);
                insert.sql(", ").text(value).sql(", ").number(version).sql(", ").text(updated_by);
                insert
                    .sql(", ")
                    .number(now)
                    .sql(") ON CONFLICT (scope, key) DO NOTHING RETURNING ")
                    .sql(COLUMNS);
                insert
            }
            Some(expected) => {
                let mut update = Statement::new("UPDATE settings SET value = ");
                update.text(value).sql(", version = ").number(version);
                update.sql(", updated_by = ").text(updated_by).sql(", updated = ").number(now);
                update.sql(" WHERE scope = ").text(&stored).sql(" AND key = ").text(key);
                update.sql(" AND version = ").number(expected).sql(" RETURNING ").sql(COLUMNS);
                update
            }
        };
        let Some(row) = statement.query().fetch_optional(tx.connection()).await? else {
            tx.rollback().await?;
            return Err(StoreError::Conflict);
        };
        let changed = setting(&row)?;
        self.core.changes.commit(tx, version).await?;
        Ok(changed)
    }

    /// Removes a setting, if it still has `expected_version`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version or is gone.
    pub async fn delete(
        &self,
        scope: &SettingScope,
        key: &str,
        expected_version: i64,
    ) -> Result<(), StoreError> {
        let stored = scope.stored();
        storable("the scope", &stored)?;
        storable("the key", key)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let deleted = sqlx::query("DELETE FROM settings WHERE scope = $1 AND key = $2 AND version = $3")
            .bind(stored)
            .bind(key.to_owned())
            .bind(expected_version)
            .execute(tx.connection())
            .await?;
        self.core.changes.commit_if(tx, version, deleted.rows_affected() > 0).await
    }
}

fn setting(row: &AnyRow) -> Result<Setting, StoreError> {
    Ok(Setting {
        scope: SettingScope::parse(&row.try_get::<String, _>("scope")?)?,
        key: row.try_get("key")?,
        value: row.try_get("value")?,
        version: row.try_get("version")?,
        updated_by: row.try_get("updated_by")?,
        updated: moment(row, "updated")?,
    })
}
