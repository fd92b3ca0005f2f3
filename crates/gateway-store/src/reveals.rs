//! Times in which one credential reads an app's values in plaintext. Who may have one, and what is read, is not known
//! here; that each ends is.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{RevealId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, optional_moment, optional_parsed, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// A time in which one credential reads an app's values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reveal {
    /// Its id.
    pub id: RevealId,
    /// Which credential.
    pub credential: String,
    /// Whose; `None` for a machine's.
    pub user: Option<UserId>,
    /// The shown name of whoever holds the credential.
    pub holder: String,
    /// Which app's values.
    pub app: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created: Timestamp,
    /// When it is over by itself.
    pub expires: Timestamp,
    /// When it was ended, or found to be over.
    pub closed: Option<Timestamp>,
}

/// A draft of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewReveal {
    /// Its id, which is in the log before it is here.
    pub id: RevealId,
    /// Which credential.
    pub credential: String,
    /// Whose; `None` for a machine's.
    pub user: Option<UserId>,
    /// The shown name of whoever holds the credential.
    pub holder: String,
    /// Which app's values.
    pub app: String,
    /// Why.
    pub reason: String,
    /// For how long, from now on.
    pub length: Duration,
}

/// The times of this gateway.
#[derive(Clone, Debug)]
pub struct Reveals {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str =
    "id, credential_id, user_id, holder, app, reason, created, expires, closed FROM reveals";

impl Reveals {
    /// Begins one.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn create(&self, new: NewReveal) -> Result<Reveal, StoreError> {
        for (field, text) in
            [("the credential id", &new.credential), ("the reason", &new.reason), ("the name", &new.holder)]
        {
            storable(field, text)?;
        }
        storable("the app", &new.app)?;
        let now = self.core.clock.now();
        let expires = now.saturating_add(new.length);
        let (mut tx, version) = self.core.database.begin_change().await?;
        let mut insert = Statement::new(
            "INSERT INTO reveals (id, credential_id, user_id, holder, app, reason, created, expires) VALUES (",
        );
        insert.text(&new.id.to_string()).sql(", ").text(&new.credential).sql(", ");
        insert.optional_text(new.user.map(|user| user.to_string()).as_deref()).sql(", ");
        insert.text(&new.holder).sql(", ").text(&new.app).sql(", ").text(&new.reason).sql(", ");
        insert.number(now.micros()).sql(", ").number(expires.micros()).sql(")");
        insert.query().execute(tx.connection()).await?;
        self.core.changes.commit(tx, version).await?;
        Ok(Reveal {
            id: new.id,
            credential: new.credential,
            user: new.user,
            holder: new.holder,
            app: new.app,
            reason: new.reason,
            created: now,
            expires,
            closed: None,
        })
    }

    /// The one of this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: RevealId) -> Result<Option<Reveal>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(reveal).transpose()
    }

    /// Those that are not over, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn live(&self) -> Result<Vec<Reveal>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE closed IS NULL AND expires > ");
        statement.number(self.core.clock.now().micros()).sql(" ORDER BY id DESC");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(reveal).collect()
    }

    /// Ends one before its time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is over already.
    pub async fn end(&self, id: RevealId, by: &str) -> Result<(), StoreError> {
        storable("the name", by)?;
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let ended = sqlx::query(
            "UPDATE reveals SET closed = $1, closed_by = $2 WHERE id = $3 AND closed IS NULL AND expires > $1",
        )
        .bind(now.micros())
        .bind(by.to_owned())
        .bind(id.to_string())
        .execute(tx.connection())
        .await?
        .rows_affected();
        if ended == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        self.core.changes.commit(tx, version).await?;
        Ok(())
    }

    /// Marks those whose time is over, and returns them, each to one caller only.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn expire(&self) -> Result<Vec<Reveal>, StoreError> {
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        let over = sqlx::query(
            "UPDATE reveals SET closed = expires WHERE closed IS NULL AND expires <= $1 RETURNING id, \
             credential_id, user_id, holder, app, reason, created, expires, closed",
        )
        .bind(now.micros())
        .fetch_all(tx.connection())
        .await?;
        let over = over.iter().map(reveal).collect::<Result<Vec<_>, _>>()?;
        tx.commit().await?;
        Ok(over)
    }
}

fn reveal(row: &AnyRow) -> Result<Reveal, StoreError> {
    Ok(Reveal {
        id: parsed(row, "id", "id of a reveal")?,
        credential: row.try_get("credential_id")?,
        user: optional_parsed(row, "user_id", "id of a person")?,
        holder: row.try_get("holder")?,
        app: row.try_get("app")?,
        reason: row.try_get("reason")?,
        created: moment(row, "created")?,
        expires: moment(row, "expires")?,
        closed: optional_moment(row, "closed")?,
    })
}
