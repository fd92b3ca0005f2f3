//! Elevations: a role for a while, asked for by one person and approved by others. Who may ask and approve, and
//! what a role means, is not known here; that nobody approves their own, and that a person counts once, is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{ElevationId, Role, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::row::{Page, moment, optional_moment, page_size, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// Where an elevation stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ElevationState {
    /// It waits for approvals.
    Waiting,
    /// It gives its role.
    Live,
    /// Somebody said no.
    Rejected,
    /// Somebody ended it before its time.
    Ended,
    /// Its time, or that for an answer, is over.
    Expired,
}

impl ElevationState {
    /// All of them.
    pub const ALL: [ElevationState; 5] = [
        ElevationState::Waiting,
        ElevationState::Live,
        ElevationState::Rejected,
        ElevationState::Ended,
        ElevationState::Expired,
    ];

    /// The name in the database, the API and the log.
    pub const fn name(self) -> &'static str {
        match self {
            ElevationState::Waiting => "waiting",
            ElevationState::Live => "live",
            ElevationState::Rejected => "rejected",
            ElevationState::Ended => "ended",
            ElevationState::Expired => "expired",
        }
    }
}

impl fmt::Display for ElevationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an elevation is waiting, live, rejected, ended or expired")]
pub struct NotAState;

impl FromStr for ElevationState {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        ElevationState::ALL.into_iter().find(|state| state.name() == text).ok_or(NotAState)
    }
}

/// An elevation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elevation {
    /// Its id.
    pub id: ElevationId,
    /// Who asked.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// The role.
    pub role: Role,
    /// On which app; `None` = on the rack and every app.
    pub app: Option<String>,
    /// Why.
    pub reason: String,
    /// For how long, from the last approval on.
    pub length: Duration,
    /// Where it stands at the moment it was read.
    pub state: ElevationState,
    /// When it was asked for.
    pub created: Timestamp,
    /// When a waiting one is void.
    pub answer_by: Timestamp,
    /// Since when it is live, or was.
    pub begins: Option<Timestamp>,
    /// When it is over by itself.
    pub expires: Option<Timestamp>,
    /// When it was rejected, ended or found to be over.
    pub closed: Option<Timestamp>,
    /// Who rejected or ended it.
    pub closed_by: Option<String>,
    /// Names of those who approved it.
    pub approved_by: Vec<String>,
}

/// A draft of an elevation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewElevation {
    /// Its id, which is in the log before it is here.
    pub id: ElevationId,
    /// Who asks.
    pub user: UserId,
    /// The role.
    pub role: Role,
    /// On which app; `None` = on the rack and every app.
    pub app: Option<String>,
    /// Why.
    pub reason: String,
    /// For how long.
    pub length: Duration,
    /// How long it waits for approvals.
    pub waits: Duration,
}

/// Which elevations are listed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ElevationFilter {
    /// Only this person's.
    pub user: Option<UserId>,
    /// Only those that wait or are live.
    pub open_only: bool,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// The most of one page.
    pub limit: u32,
}

/// An elevation that gives its role now, with when that ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveElevation {
    /// Whose.
    pub user: UserId,
    /// The role.
    pub role: Role,
    /// On which app; `None` = on the rack and every app.
    pub app: Option<String>,
    /// When it is over.
    pub expires: Timestamp,
}

/// The elevations of this gateway.
#[derive(Clone, Debug)]
pub struct Elevations {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "e.id, e.user_id, u.email, e.role, e.app, e.reason, e.length, e.state, e.created, e.answer_by, \
                       e.begins, e.expires, e.closed, e.closed_by FROM elevations AS e \
                       JOIN users AS u ON u.id = e.user_id";

impl Elevations {
    /// Keeps a request.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the person is gone.
    pub async fn create(&self, new: NewElevation) -> Result<Elevation, StoreError> {
        storable("the reason", &new.reason)?;
        storable("the app", new.app.as_deref().unwrap_or_default())?;
        let now = self.core.clock.now();
        let length = i64::try_from(new.length.as_micros()).unwrap_or(i64::MAX);
        let mut tx = self.core.database.begin().await?;
        let mut insert = Statement::new(
            "INSERT INTO elevations (id, user_id, role, app, reason, length, state, created, answer_by) SELECT ",
        );
        insert.text(&new.id.to_string()).sql(", id, ").text(new.role.name()).sql(", ");
        insert.optional_text(new.app.as_deref()).sql(", ").text(&new.reason).sql(", ").number(length);
        insert.sql(", 'waiting', ").number(now.micros()).sql(", ");
        insert.number(now.saturating_add(new.waits).micros());
        insert.sql(" FROM users WHERE id = ").text(&new.user.to_string());
        let inserted = insert.query().execute(tx.connection()).await?.rows_affected();
        if inserted == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        let created = read(&mut tx, new.id, now).await?.ok_or(StoreError::NotFound)?;
        tx.commit().await?;
        Ok(created)
    }

    /// The elevation of this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: ElevationId) -> Result<Option<Elevation>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE e.id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        let Some(row) = row else { return Ok(None) };
        let mut found = [elevation(&row, self.core.clock.now())?];
        self.name_approvers(&mut found).await?;
        let [found] = found;
        Ok(Some(found))
    }

    /// A page of them, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, filter: &ElevationFilter) -> Result<Page<Elevation>, StoreError> {
        let now = self.core.clock.now();
        let limit = page_size(filter.limit);
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE 1 = 1");
        if let Some(user) = filter.user {
            statement.sql(" AND e.user_id = ").text(&user.to_string());
        }
        if filter.open_only {
            statement.sql(" AND ((e.state = 'waiting' AND e.answer_by > ").number(now.micros());
            statement.sql(") OR (e.state = 'live' AND e.expires > ").number(now.micros()).sql("))");
        }
        if let Some(cursor) = &filter.cursor {
            statement.sql(" AND e.id < ").text(cursor);
        }
        // Ids are UUIDv7: their order is that of their time.
        statement.sql(" ORDER BY e.id DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let items = rows.iter().map(|row| elevation(row, now)).collect::<Result<Vec<_>, _>>()?;
        let mut page = Page::cut(items, limit, |last: &Elevation| last.id.to_string());
        self.name_approvers(&mut page.items).await?;
        Ok(page)
    }

    /// Those that give their role now.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn live(&self) -> Result<Vec<LiveElevation>, StoreError> {
        let now = self.core.clock.now();
        let rows = sqlx::query(
            "SELECT user_id, role, app, expires FROM elevations WHERE state = 'live' AND expires > $1",
        )
        .bind(now.micros())
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(LiveElevation {
                    user: parsed(row, "user_id", "id of a person")?,
                    role: parsed(row, "role", "role")?,
                    app: row.try_get("app")?,
                    expires: moment(row, "expires")?,
                })
            })
            .collect()
    }

    /// Counts an approval; with the `quorum`th of people who are not locked out it is live.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it does not wait any more, when `by` asked for it or
    /// has approved it before, or when whoever asked is locked out.
    pub async fn approve(
        &self,
        id: ElevationId,
        by: UserId,
        name: &str,
        quorum: u32,
    ) -> Result<Elevation, StoreError> {
        storable("the name", name)?;
        let now = self.core.clock.now();
        // All changes of all instances stand in one line, so that no two approvals can both be the first.
        let (mut tx, version) = self.core.database.begin_change().await?;
        let counted = count(&mut tx, id, by, name, now).await;
        let approvals = match counted {
            Ok(approvals) => approvals,
            Err(error) => {
                tx.rollback().await?;
                return Err(error);
            }
        };
        if approvals >= i64::from(quorum.max(1)) {
            sqlx::query(
                "UPDATE elevations SET state = 'live', begins = $1, expires = $1 + length WHERE id = $2",
            )
            .bind(now.micros())
            .bind(id.to_string())
            .execute(tx.connection())
            .await?;
        }
        let changed = read(&mut tx, id, now).await?.ok_or(StoreError::NotFound)?;
        self.core.changes.commit(tx, version).await?;
        Ok(changed)
    }

    /// The people whose approvals count towards one.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn approvers(&self, id: ElevationId) -> Result<Vec<UserId>, StoreError> {
        let rows = sqlx::query("SELECT user_id FROM elevation_approvals WHERE elevation_id = $1")
            .bind(id.to_string())
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(|row| parsed(row, "user_id", "id of a person")).collect()
    }

    /// Takes back the approval of somebody who may not approve any more, while it waits.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn discount(&self, id: ElevationId, approver: UserId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "DELETE FROM elevation_approvals WHERE elevation_id = $1 AND user_id = $2 AND EXISTS \
             (SELECT 1 FROM elevations WHERE id = $1 AND state = 'waiting')",
        )
        .bind(id.to_string())
        .bind(approver.to_string())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// Says no to one that waits.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it does not wait any more.
    pub async fn reject(&self, id: ElevationId, by: &str) -> Result<Elevation, StoreError> {
        self.close(id, by, ElevationState::Rejected, &[ElevationState::Waiting]).await
    }

    /// Ends one that waits or is live.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it is over.
    pub async fn end(&self, id: ElevationId, by: &str) -> Result<Elevation, StoreError> {
        self.close(id, by, ElevationState::Ended, &[ElevationState::Waiting, ElevationState::Live]).await
    }

    async fn close(
        &self,
        id: ElevationId,
        by: &str,
        to: ElevationState,
        from: &[ElevationState],
    ) -> Result<Elevation, StoreError> {
        storable("the name", by)?;
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let fault = match read(&mut tx, id, now).await? {
            None => Some(StoreError::NotFound),
            Some(present) if !from.contains(&present.state) => Some(StoreError::Conflict),
            Some(_) => None,
        };
        if let Some(fault) = fault {
            tx.rollback().await?;
            return Err(fault);
        }
        sqlx::query("UPDATE elevations SET state = $1, closed = $2, closed_by = $3 WHERE id = $4")
            .bind(to.name())
            .bind(now.micros())
            .bind(by.to_owned())
            .bind(id.to_string())
            .execute(tx.connection())
            .await?;
        let changed = read(&mut tx, id, now).await?.ok_or(StoreError::NotFound)?;
        self.core.changes.commit(tx, version).await?;
        Ok(changed)
    }

    /// Marks those whose time is over, and returns those that were live, each to one caller only.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn expire(&self) -> Result<Vec<Elevation>, StoreError> {
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        sqlx::query(
            "UPDATE elevations SET state = 'expired', closed = answer_by WHERE state = 'waiting' AND answer_by <= $1",
        )
        .bind(now.micros())
        .execute(tx.connection())
        .await?;
        let over = sqlx::query(
            "UPDATE elevations SET state = 'expired', closed = expires WHERE state = 'live' AND expires <= $1 \
             RETURNING id",
        )
        .bind(now.micros())
        .fetch_all(tx.connection())
        .await?;
        let mut expired = Vec::new();
        for row in &over {
            expired.extend(read(&mut tx, parsed(row, "id", "id of an elevation")?, now).await?);
        }
        tx.commit().await?;
        Ok(expired)
    }

    async fn name_approvers(&self, items: &mut [Elevation]) -> Result<(), StoreError> {
        if items.is_empty() {
            return Ok(());
        }
        let mut statement =
            Statement::new("SELECT elevation_id, name FROM elevation_approvals WHERE elevation_id IN (");
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                statement.sql(", ");
            }
            statement.text(&item.id.to_string());
        }
        statement.sql(") ORDER BY approved, user_id");
        for row in statement.query().fetch_all(self.core.database.pool()).await? {
            let id: ElevationId = parsed(&row, "elevation_id", "id of an elevation")?;
            if let Some(item) = items.iter_mut().find(|item| item.id == id) {
                item.approved_by.push(row.try_get("name")?);
            }
        }
        Ok(())
    }
}

/// Adds the approval and counts.
async fn count(
    tx: &mut WriteTx,
    id: ElevationId,
    by: UserId,
    name: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let present = read(tx, id, now).await?.ok_or(StoreError::NotFound)?;
    if present.state != ElevationState::Waiting || present.user == by {
        return Err(StoreError::Conflict);
    }
    let locked = sqlx::query("SELECT locked FROM users WHERE id = $1")
        .bind(present.user.to_string())
        .fetch_one(tx.connection())
        .await?;
    if locked.try_get::<i64, _>("locked")? != 0 {
        return Err(StoreError::Conflict);
    }
    let added = sqlx::query(
        "INSERT INTO elevation_approvals (elevation_id, user_id, name, approved) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (elevation_id, user_id) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(by.to_string())
    .bind(name.to_owned())
    .bind(now.micros())
    .execute(tx.connection())
    .await?
    .rows_affected();
    if added == 0 {
        return Err(StoreError::Conflict);
    }
    let row = sqlx::query(
        "SELECT count(*) AS approvals FROM elevation_approvals AS a JOIN users AS u ON u.id = a.user_id \
         WHERE a.elevation_id = $1 AND u.locked = 0",
    )
    .bind(id.to_string())
    .fetch_one(tx.connection())
    .await?;
    Ok(row.try_get("approvals")?)
}

/// The row with its approvers, inside a change.
async fn read(tx: &mut WriteTx, id: ElevationId, now: Timestamp) -> Result<Option<Elevation>, StoreError> {
    let mut statement = Statement::new("SELECT ");
    statement.sql(COLUMNS).sql(" WHERE e.id = ").text(&id.to_string());
    let Some(row) = statement.query().fetch_optional(tx.connection()).await? else { return Ok(None) };
    let mut found = elevation(&row, now)?;
    let names = sqlx::query(
        "SELECT name FROM elevation_approvals WHERE elevation_id = $1 ORDER BY approved, user_id",
    )
    .bind(id.to_string())
    .fetch_all(tx.connection())
    .await?;
    for row in &names {
        found.approved_by.push(row.try_get("name")?);
    }
    Ok(Some(found))
}

fn elevation(row: &AnyRow, now: Timestamp) -> Result<Elevation, StoreError> {
    let written: ElevationState = parsed(row, "state", "state of an elevation")?;
    let (answer_by, expires) = (moment(row, "answer_by")?, optional_moment(row, "expires")?);
    let is_over = match written {
        ElevationState::Waiting => answer_by <= now,
        ElevationState::Live => expires.is_none_or(|expires| expires <= now),
        ElevationState::Rejected | ElevationState::Ended | ElevationState::Expired => false,
    };
    let length: i64 = row.try_get("length")?;
    Ok(Elevation {
        id: parsed(row, "id", "id of an elevation")?,
        user: parsed(row, "user_id", "id of a person")?,
        email: row.try_get("email")?,
        role: parsed(row, "role", "role")?,
        app: row.try_get("app")?,
        reason: row.try_get("reason")?,
        length: Duration::from_micros(u64::try_from(length).unwrap_or_default()),
        state: if is_over { ElevationState::Expired } else { written },
        created: moment(row, "created")?,
        answer_by,
        begins: optional_moment(row, "begins")?,
        expires,
        closed: optional_moment(row, "closed")?,
        closed_by: row.try_get("closed_by")?,
        approved_by: Vec::new(),
    })
}
