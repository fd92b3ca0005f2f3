//! People. The rules that must hold in the database itself are here: one row for an e-mail address,
//! and always one unlocked admin. Who may call what is not known here.

use std::sync::Arc;

use gateway_types::{Role, RoleSet, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::{StoreError, is_duplicate};
use crate::provider_sessions::end_all_of;
use crate::row::{Page, moment, page_size, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;
use crate::trusted_devices::forget;

/// A person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The row.
    pub id: UserId,
    /// Canonical e-mail address, see [`canonical_email`].
    pub email: String,
    /// The name shown to people.
    pub name: String,
    /// Present roles.
    pub roles: RoleSet,
    /// A locked person's credentials are all refused.
    pub locked: bool,
    /// When the row was made.
    pub created: Timestamp,
    /// When the row was last changed.
    pub updated: Timestamp,
    /// Grows with each change; what a change is compared against.
    pub version: i64,
}

/// A person to be added.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewUser {
    /// E-mail address in any spelling.
    pub email: String,
    /// The name shown to people.
    pub name: String,
    /// First roles.
    pub roles: RoleSet,
}

/// A change of a person's row; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserChange {
    /// Another name.
    pub name: Option<String>,
    /// Other roles. Ends the person's web sessions: a change of rights needs a new session id.
    pub roles: Option<RoleSet>,
}

/// What else ends when a row changes.
#[derive(Clone, Copy)]
enum Ends {
    Nothing,
    WebSessions,
    Everything,
}

/// The one spelling of an e-mail address: trimmed and in lower case.
pub fn canonical_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Whether a person's credentials are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// They are.
    Active,
    /// They are all refused.
    Locked,
}

/// Which people a listing holds. Everything left out matches all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserFilter {
    /// Those whose address or name contains this.
    pub search: Option<String>,
    /// Those who hold this very role.
    pub role: Option<Role>,
    /// Those who are locked, or are not.
    pub standing: Option<Standing>,
}

/// The people of this gateway.
#[derive(Clone, Debug)]
pub struct Users {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "id, email, name, roles, locked, created, updated, version";

impl Users {
    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the address has a row already.
    pub async fn create(&self, new: NewUser) -> Result<User, StoreError> {
        let email = canonical_email(&new.email);
        storable("the e-mail address", &email)?;
        storable("the name", &new.name)?;
        let now = self.core.clock.now();
        let id = UserId::new(now, &*self.core.entropy);
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query(
            "INSERT INTO users (id, email, name, roles, is_admin, locked, created, updated, version) \
             VALUES ($1, $2, $3, $4, $5, 0, $6, $6, 1)",
        )
        .bind(id.to_string())
        .bind(email.clone())
        .bind(new.name.clone())
        .bind(new.roles.to_string())
        .bind(i64::from(new.roles.contains(Role::Admin)))
        .bind(now.micros())
        .execute(tx.connection())
        .await
        .map_err(|error| if is_duplicate(&error) { StoreError::Exists } else { error.into() })?;
        self.core.changes.commit(tx, version).await?;
        Ok(User {
            id,
            email,
            name: new.name,
            roles: new.roles,
            locked: false,
            created: now,
            updated: now,
            version: 1,
        })
    }

    /// The person with this address, in any spelling.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_email(&self, email: &str) -> Result<Option<User>, StoreError> {
        let email = canonical_email(email);
        if storable("the e-mail address", &email).is_err() {
            return Ok(None);
        }
        let mut statement = select();
        statement.sql(" WHERE email = ").text(&email);
        self.first(statement).await
    }

    /// The person with this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let mut statement = select();
        statement.sql(" WHERE id = ").text(&id.to_string());
        self.first(statement).await
    }

    async fn first(&self, statement: Statement) -> Result<Option<User>, StoreError> {
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(user).transpose()
    }

    /// One page of people by address, those whose address or name contains `search`.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(
        &self,
        search: Option<&str>,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<User>, StoreError> {
        let filter = UserFilter { search: search.map(str::to_owned), ..UserFilter::default() };
        self.find(&filter, cursor, limit).await
    }

    /// One page of people by address, those that the filter lets through.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn find(
        &self,
        filter: &UserFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<User>, StoreError> {
        let limit = page_size(limit);
        let mut statement = select();
        statement.sql(" WHERE email > ").text(&cursor.unwrap_or_default().replace('\0', ""));
        if let Some(search) = filter.search.as_deref().map(str::trim).filter(|search| !search.is_empty()) {
            let search = search.replace('\0', "");
            statement.sql(" AND (").contains("email", &search);
            statement.sql(" OR ").contains("lower(name)", &search).sql(")");
        }
        if let Some(role) = filter.role {
            // No role's name is part of another one's.
            statement.sql(" AND ").contains("roles", role.name());
        }
        if let Some(standing) = filter.standing {
            statement.sql(" AND locked = ").number(i64::from(standing == Standing::Locked));
        }
        statement.sql(" ORDER BY email LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let users = rows.iter().map(user).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(users, limit, |user| user.email.clone()))
    }

    /// Changes a person's name and roles, if nobody changed the row since `expected_version` was read.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Conflict`], or [`StoreError::LastAdmin`] when it
    /// would leave no unlocked admin.
    pub async fn update(
        &self,
        id: UserId,
        change: &UserChange,
        expected_version: i64,
    ) -> Result<User, StoreError> {
        let mut statement = Statement::new("UPDATE users SET name = ");
        match &change.name {
            Some(name) => {
                storable("the name", name)?;
                statement.text(name);
            }
            None => {
                statement.sql("name");
            }
        }
        if let Some(roles) = change.roles {
            statement.sql(", roles = ").text(&roles.to_string());
            statement.sql(", is_admin = ").number(i64::from(roles.contains(Role::Admin)));
        }
        let keeps_admin = change.roles.is_none_or(|roles| roles.contains(Role::Admin));
        let ends = if change.roles.is_some() { Ends::WebSessions } else { Ends::Nothing };
        self.change(statement, id, Some(expected_version), keeps_admin, ends).await
    }

    /// [`Users::update`] of the roles alone.
    ///
    /// # Errors
    /// As there.
    pub async fn set_roles(
        &self,
        id: UserId,
        roles: RoleSet,
        expected_version: i64,
    ) -> Result<User, StoreError> {
        self.update(id, &UserChange { name: None, roles: Some(roles) }, expected_version).await
    }

    /// Locks or unlocks a person, if nobody changed the row since `expected_version` was read.
    /// Locking takes effect on the next request of any of their credentials, on every instance; what
    /// they hold is good again after unlocking.
    ///
    /// # Errors
    /// As [`Users::update`].
    pub async fn set_locked(
        &self,
        id: UserId,
        locked: bool,
        expected_version: i64,
    ) -> Result<User, StoreError> {
        let mut change = Statement::new("UPDATE users SET locked = ");
        change.number(i64::from(locked));
        self.change(change, id, Some(expected_version), !locked, Ends::Nothing).await
    }

    /// Locks a person whatever the row's version is, and ends their sessions, their elevations and the API tokens they
    /// made, for good. Locking again changes nothing but the version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::LastAdmin`].
    pub async fn lock(&self, id: UserId) -> Result<User, StoreError> {
        let statement = Statement::new("UPDATE users SET locked = 1");
        self.change(statement, id, None, false, Ends::Everything).await
    }

    /// Unlocks a person whatever the row's version is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn unlock(&self, id: UserId) -> Result<User, StoreError> {
        self.change(Statement::new("UPDATE users SET locked = 0"), id, None, true, Ends::Nothing).await
    }

    async fn change(
        &self,
        mut statement: Statement,
        id: UserId,
        expected_version: Option<i64>,
        keeps_admin: bool,
        ends: Ends,
    ) -> Result<User, StoreError> {
        let now = self.core.clock.now().micros();
        statement.sql(", version = version + 1, updated = ").number(now);
        statement.sql(" WHERE id = ").text(&id.to_string());
        if let Some(expected_version) = expected_version {
            statement.sql(" AND version = ").number(expected_version);
        }
        if !keeps_admin {
            unless_last_admin(&mut statement, id);
        }
        statement.sql(" RETURNING ").sql(COLUMNS);
        let (mut tx, version) = self.core.database.begin_change().await?;
        match statement.query().fetch_optional(tx.connection()).await? {
            Some(row) => {
                let changed = user(&row)?;
                end(&mut tx, id, ends, now).await?;
                self.core.changes.commit(tx, version).await?;
                Ok(changed)
            }
            None => Err(refusal(tx, id, expected_version).await),
        }
    }

    /// Removes a person: their sessions go with them, the API tokens they made are revoked.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::LastAdmin`].
    pub async fn remove(&self, id: UserId) -> Result<(), StoreError> {
        let mut statement = Statement::new("DELETE FROM users WHERE id = ");
        statement.text(&id.to_string());
        unless_last_admin(&mut statement, id);
        let (mut tx, version) = self.core.database.begin_change().await?;
        if statement.query().execute(tx.connection()).await?.rows_affected() == 0 {
            return Err(refusal(tx, id, None).await);
        }
        end_tokens(&mut tx, id, self.core.clock.now().micros()).await?;
        self.core.changes.commit(tx, version).await
    }
}

async fn end(tx: &mut WriteTx, id: UserId, ends: Ends, now: i64) -> Result<(), StoreError> {
    let sessions = match ends {
        Ends::Nothing => return Ok(()),
        Ends::WebSessions => {
            "UPDATE sessions SET revoked = $1 \
             WHERE user_id = $2 AND revoked IS NULL AND kind = 'web_session'"
        }
        Ends::Everything => {
            end_tokens(tx, id, now).await?;
            end_elevations(tx, id, now).await?;
            end_all_of(tx, id, Timestamp::from_micros(now)).await?;
            forget(tx, id).await?;
            "UPDATE sessions SET revoked = $1 WHERE user_id = $2 AND revoked IS NULL"
        }
    };
    sqlx::query(sessions).bind(now).bind(id.to_string()).execute(tx.connection()).await?;
    Ok(())
}

async fn end_elevations(tx: &mut WriteTx, user: UserId, now: i64) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE elevations SET state = 'ended', closed = $1 \
         WHERE user_id = $2 AND ((state = 'waiting' AND answer_by > $1) OR (state = 'live' AND expires > $1))",
    )
    .bind(now)
    .bind(user.to_string())
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn end_tokens(tx: &mut WriteTx, creator: UserId, now: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE api_tokens SET revoked = $1 WHERE creator = $2 AND revoked IS NULL")
        .bind(now)
        .bind(creator.to_string())
        .execute(tx.connection())
        .await?;
    Ok(())
}

fn select() -> Statement {
    let mut statement = Statement::new("SELECT ");
    statement.sql(COLUMNS).sql(" FROM users");
    statement
}

/// Adds the rule to a change that takes an admin away. It cannot be raced: all changes of all
/// instances stand one behind the other at the `versions` row.
fn unless_last_admin(statement: &mut Statement, id: UserId) {
    statement
        .sql(
            " AND (is_admin = 0 OR locked = 1 OR \
             (SELECT count(*) FROM users AS other WHERE other.is_admin = 1 AND other.locked = 0 AND other.id <> ",
        )
        .text(&id.to_string())
        .sql(") > 0)");
}

/// Why a change touched no row, seen from inside its transaction, which is undone.
async fn refusal(mut tx: WriteTx, id: UserId, expected_version: Option<i64>) -> StoreError {
    let row = sqlx::query("SELECT version FROM users WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(tx.connection())
        .await;
    let refusal = match row {
        Err(error) => error.into(),
        Ok(None) => StoreError::NotFound,
        Ok(Some(row)) => match row.try_get::<i64, _>(0) {
            Err(error) => error.into(),
            Ok(present) if expected_version.is_some_and(|expected| expected != present) => {
                StoreError::Conflict
            }
            Ok(_present) => StoreError::LastAdmin,
        },
    };
    match tx.rollback().await {
        Ok(()) => refusal,
        Err(error) => error,
    }
}

fn user(row: &AnyRow) -> Result<User, StoreError> {
    Ok(User {
        id: parsed(row, "id", "user id")?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        roles: parsed(row, "roles", "set of roles")?,
        locked: row.try_get::<i64, _>("locked")? != 0,
        created: moment(row, "created")?,
        updated: moment(row, "updated")?,
        version: row.try_get("version")?,
    })
}
