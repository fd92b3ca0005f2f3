//! Searches of the log that people kept under a name. What a filter means, and who may see which, is not known here.

use std::sync::Arc;

use gateway_types::{SavedSearchId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// A search that somebody kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SavedSearch {
    /// Its id.
    pub id: SavedSearchId,
    /// Whose it is.
    pub user: UserId,
    /// The e-mail address of whose it is.
    pub owner: String,
    /// Its name, unique among those of one person.
    pub name: String,
    /// The filter, as JSON.
    pub filter: String,
    /// Whether everybody sees it.
    pub shared: bool,
    /// When it was kept last.
    pub saved: Timestamp,
}

/// A draft of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSavedSearch {
    /// Its id, unless its owner has one of this name: that keeps its own.
    pub id: SavedSearchId,
    /// Whose it is.
    pub user: UserId,
    /// Its name.
    pub name: String,
    /// The filter, as JSON.
    pub filter: String,
    /// Whether everybody sees it.
    pub shared: bool,
}

/// The searches that people kept.
#[derive(Clone, Debug)]
pub struct SavedSearches {
    pub(crate) core: Arc<Core>,
}

const SELECT: &str = "SELECT s.id, s.user_id, u.email, s.name, s.filter, s.shared, s.saved \
     FROM saved_searches s JOIN users u ON u.id = s.user_id";

impl SavedSearches {
    /// Those of a person, and those that are shared, by name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn visible_to(&self, user: UserId) -> Result<Vec<SavedSearch>, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE s.shared = 1 OR s.user_id = ").text(&user.to_string());
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let mut found = rows.iter().map(search).collect::<Result<Vec<_>, _>>()?;
        // The two databases do not sort text alike.
        found.sort_by(|a, b| (&a.name, &a.owner).cmp(&(&b.name, &b.owner)));
        Ok(found)
    }

    /// The one of this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: SavedSearchId) -> Result<Option<SavedSearch>, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE s.id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(search).transpose()
    }

    /// Keeps one, in the place of its owner's of the same name.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn keep(&self, new: &NewSavedSearch) -> Result<(), StoreError> {
        storable("the name", &new.name)?;
        storable("the filter", &new.filter)?;
        let now = self.core.clock.now().micros();
        let mut statement =
            Statement::new("INSERT INTO saved_searches (id, user_id, name, filter, shared, saved) VALUES (");
        statement.text(&new.id.to_string()).sql(", ").text(&new.user.to_string()).sql(", ").text(&new.name);
        statement.sql(", ").text(&new.filter).sql(", ").number(new.shared.into()).sql(", ").number(now);
        statement.sql(
            ") ON CONFLICT (user_id, name) DO UPDATE SET filter = excluded.filter, shared = excluded.shared, \
             saved = excluded.saved",
        );
        let mut tx = self.core.database.begin().await?;
        statement.query().execute(tx.connection()).await?;
        tx.commit().await
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn remove(&self, id: SavedSearchId) -> Result<(), StoreError> {
        let mut tx = self.core.database.begin().await?;
        let mut statement = Statement::new("DELETE FROM saved_searches WHERE id = ");
        statement.text(&id.to_string());
        if statement.query().execute(tx.connection()).await?.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        tx.commit().await
    }
}

fn search(row: &AnyRow) -> Result<SavedSearch, StoreError> {
    Ok(SavedSearch {
        id: parsed(row, "id", "id of a saved search")?,
        user: parsed(row, "user_id", "id of a person")?,
        owner: row.try_get("email")?,
        name: row.try_get("name")?,
        filter: row.try_get("filter")?,
        shared: row.try_get::<i64, _>("shared")? != 0,
        saved: moment(row, "saved")?,
    })
}
