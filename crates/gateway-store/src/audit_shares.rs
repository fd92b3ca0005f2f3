//! Links by which somebody without an account reads a part of the log for a while. What a filter means, and who may make
//! one, is not known here.

use std::sync::Arc;

use gateway_types::{AuditShareId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, optional_moment, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// How many are listed, the newest ones.
const MOST_LISTED: i64 = 500;

/// A link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditShare {
    /// Its id.
    pub id: AuditShareId,
    /// For whom it is, as whoever made it wrote.
    pub label: String,
    /// The filter, as JSON.
    pub filter: String,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it, as a display name.
    pub created_by: String,
    /// When it ends.
    pub expires: Timestamp,
    /// When somebody ended it before, and who.
    pub revoked: Option<(Timestamp, String)>,
    /// How often it was opened.
    pub openings: u64,
    /// When it was opened last.
    pub last_opened: Option<Timestamp>,
}

impl AuditShare {
    /// Whether it opens anything at this moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.expires
    }
}

/// A new one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAuditShare {
    /// Its id.
    pub id: AuditShareId,
    /// The digest of its secret, in hexadecimal.
    pub digest: String,
    /// For whom it is.
    pub label: String,
    /// The filter, as JSON.
    pub filter: String,
    /// Who makes it, as a display name.
    pub created_by: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// The links.
#[derive(Clone, Debug)]
pub struct AuditShares {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "id, label, filter, created, created_by, expires, revoked, revoked_by, openings, \
     last_opened FROM audit_shares";

impl AuditShares {
    /// Keeps a new one.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn create(&self, new: &NewAuditShare) -> Result<(), StoreError> {
        for (field, text) in
            [("the label", &new.label), ("the filter", &new.filter), ("the name", &new.created_by)]
        {
            storable(field, text)?;
        }
        let now = self.core.clock.now().micros();
        let mut insert = Statement::new(
            "INSERT INTO audit_shares (id, digest, label, filter, created, created_by, expires, openings) VALUES (",
        );
        insert.text(&new.id.to_string()).sql(", ").text(&new.digest).sql(", ").text(&new.label);
        insert.sql(", ").text(&new.filter).sql(", ").number(now).sql(", ").text(&new.created_by);
        insert.sql(", ").number(new.expires.micros()).sql(", 0)");
        let mut tx = self.core.database.begin().await?;
        insert.query().execute(tx.connection()).await?;
        tx.commit().await
    }

    /// Those that are live, and after them those that are over; each newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<AuditShare>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" ORDER BY CASE WHEN revoked IS NULL AND expires > ");
        statement.number(self.core.clock.now().micros());
        statement.sql(" THEN 0 ELSE 1 END, id DESC LIMIT ").number(MOST_LISTED);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(share).collect()
    }

    /// The one of this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: AuditShareId) -> Result<Option<AuditShare>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(share).transpose()
    }

    /// The one whose secret has this digest, when it still opens something.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn live(&self, digest: &str) -> Result<Option<AuditShare>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE digest = ").text(digest);
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        let found = row.as_ref().map(share).transpose()?;
        Ok(found.filter(|share| share.is_live(self.core.clock.now())))
    }

    /// Counts an opening.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn opened(&self, id: AuditShareId) -> Result<(), StoreError> {
        let mut tx = self.core.database.begin().await?;
        sqlx::query("UPDATE audit_shares SET openings = openings + 1, last_opened = $1 WHERE id = $2")
            .bind(self.core.clock.now().micros())
            .bind(id.to_string())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Forgets those that were over before this moment; how many there were.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.core.database.begin().await?;
        let gone = sqlx::query("DELETE FROM audit_shares WHERE expires < $1")
            .bind(before.micros())
            .execute(tx.connection())
            .await?
            .rows_affected();
        tx.commit().await?;
        Ok(gone)
    }

    /// Ends one before its time.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is over already.
    pub async fn revoke(&self, id: AuditShareId, by: &str) -> Result<(), StoreError> {
        storable("the name", by)?;
        let mut tx = self.core.database.begin().await?;
        let ended = sqlx::query(
            "UPDATE audit_shares SET revoked = $1, revoked_by = $2 WHERE id = $3 AND revoked IS NULL AND expires > $1",
        )
        .bind(self.core.clock.now().micros())
        .bind(by.to_owned())
        .bind(id.to_string())
        .execute(tx.connection())
        .await?
        .rows_affected();
        if ended == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        tx.commit().await
    }
}

fn share(row: &AnyRow) -> Result<AuditShare, StoreError> {
    let by: Option<String> = row.try_get("revoked_by")?;
    let openings: i64 = row.try_get("openings")?;
    Ok(AuditShare {
        id: parsed(row, "id", "id of a shared part of the log")?,
        label: row.try_get("label")?,
        filter: row.try_get("filter")?,
        created: moment(row, "created")?,
        created_by: row.try_get("created_by")?,
        expires: moment(row, "expires")?,
        revoked: optional_moment(row, "revoked")?.zip(by),
        openings: u64::try_from(openings).map_err(|_negative| StoreError::Corrupt { what: "openings" })?,
        last_opened: optional_moment(row, "last_opened")?,
    })
}
