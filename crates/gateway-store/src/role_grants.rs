//! Grants of roles, to a person or to the members of a group, on one app or everywhere; and who is in which
//! group. What a role may is not known here.

use std::sync::Arc;

use gateway_types::{RoleGrantId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, parsed, storable};
use crate::store::Core;

/// Who holds a grant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GrantHolder {
    /// A person.
    Person(UserId),
    /// The members of this group of the identity provider.
    Group(String),
}

impl GrantHolder {
    const fn kind(&self) -> &'static str {
        match self {
            GrantHolder::Person(_) => "person",
            GrantHolder::Group(_) => "group",
        }
    }

    fn subject(&self) -> String {
        match self {
            GrantHolder::Person(id) => id.to_string(),
            GrantHolder::Group(name) => name.clone(),
        }
    }
}

/// A grant of a role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleGrant {
    /// Its id.
    pub id: RoleGrantId,
    /// Who holds it.
    pub holder: GrantHolder,
    /// The role: a built-in one, or a name that policies give a meaning.
    pub role: String,
    /// On which app; `None` = on the rack and every app.
    pub app: Option<String>,
    /// Who granted it, as a display name.
    pub granted_by: String,
    /// When.
    pub created: Timestamp,
}

/// One role that one person holds by grants, once for each way to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldRole {
    /// Who.
    pub user: UserId,
    /// The role.
    pub role: String,
    /// On which app; `None` = on the rack and every app.
    pub app: Option<String>,
}

/// The grants of roles of this gateway.
#[derive(Clone, Debug)]
pub struct RoleGrants {
    pub(crate) core: Arc<Core>,
}

impl RoleGrants {
    /// All grants, oldest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<RoleGrant>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, kind, subject, role, app, granted_by, created FROM role_grants ORDER BY id",
        )
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(grant).collect()
    }

    /// Every role that a person holds by a grant of their own or of one of their groups.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn held(&self) -> Result<Vec<HeldRole>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.id AS user_id, g.role, g.app FROM role_grants AS g JOIN users AS u ON u.id = g.subject \
             WHERE g.kind = 'person' \
             UNION ALL \
             SELECT m.user_id AS user_id, g.role, g.app FROM role_grants AS g \
             JOIN user_groups AS m ON m.group_id = g.subject WHERE g.kind = 'group'",
        )
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HeldRole {
                    user: parsed(row, "user_id", "id of a person")?,
                    role: row.try_get("role")?,
                    app: app(row)?,
                })
            })
            .collect()
    }

    /// Grants a role.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the holder has it there already.
    pub async fn create(
        &self,
        id: RoleGrantId,
        holder: &GrantHolder,
        role: &str,
        app: Option<&str>,
        granted_by: &str,
    ) -> Result<RoleGrant, StoreError> {
        let subject = holder.subject();
        let app = app.unwrap_or_default();
        for (field, value) in [
            ("the holder", subject.as_str()),
            ("the role", role),
            ("the app", app),
            ("the actor", granted_by),
        ] {
            storable(field, value)?;
        }
        let (mut tx, version) = self.core.database.begin_change().await?;
        let row = sqlx::query(
            "INSERT INTO role_grants (id, kind, subject, role, app, granted_by, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, subject, role, app) DO NOTHING \
             RETURNING id, kind, subject, role, app, granted_by, created",
        )
        .bind(id.to_string())
        .bind(holder.kind())
        .bind(subject)
        .bind(role.to_owned())
        .bind(app.to_owned())
        .bind(granted_by.to_owned())
        .bind(self.core.clock.now().micros())
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else {
            tx.rollback().await?;
            return Err(StoreError::Exists);
        };
        let created = grant(&row)?;
        self.core.changes.commit(tx, version).await?;
        Ok(created)
    }

    /// Takes a grant back.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove(&self, id: RoleGrantId) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let removed = sqlx::query("DELETE FROM role_grants WHERE id = $1")
            .bind(id.to_string())
            .execute(tx.connection())
            .await?;
        if removed.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        self.core.changes.commit(tx, version).await
    }

    /// Remembers the groups of a person as the provider named them; those before are forgotten.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn set_groups(&self, user: UserId, groups: &[String]) -> Result<(), StoreError> {
        let mut wanted: Vec<&str> = groups.iter().map(String::as_str).collect();
        wanted.sort_unstable();
        wanted.dedup();
        for group in &wanted {
            storable("the group", group)?;
        }
        if self.groups_of(user).await? == wanted {
            return Ok(());
        }
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query("DELETE FROM user_groups WHERE user_id = $1")
            .bind(user.to_string())
            .execute(tx.connection())
            .await?;
        for group in wanted {
            sqlx::query(
                "INSERT INTO user_groups (user_id, group_id) SELECT id, $2 FROM users WHERE id = $1 \
                 ON CONFLICT (user_id, group_id) DO NOTHING",
            )
            .bind(user.to_string())
            .bind(group.to_owned())
            .execute(tx.connection())
            .await?;
        }
        self.core.changes.commit(tx, version).await
    }

    /// The groups of a person, sorted.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn groups_of(&self, user: UserId) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT group_id FROM user_groups WHERE user_id = $1")
            .bind(user.to_string())
            .fetch_all(self.core.database.pool())
            .await?;
        let mut groups =
            rows.iter().map(|row| row.try_get("group_id")).collect::<Result<Vec<String>, sqlx::Error>>()?;
        // The two databases do not sort text alike.
        groups.sort_unstable();
        Ok(groups)
    }
}

fn app(row: &AnyRow) -> Result<Option<String>, StoreError> {
    Ok(Some(row.try_get::<String, _>("app")?).filter(|app| !app.is_empty()))
}

fn grant(row: &AnyRow) -> Result<RoleGrant, StoreError> {
    let kind: String = row.try_get("kind")?;
    let holder = if kind == "group" {
        GrantHolder::Group(row.try_get("subject")?)
    } else {
        GrantHolder::Person(parsed(row, "subject", "id of a person")?)
    };
    Ok(RoleGrant {
        id: parsed(row, "id", "id of a grant")?,
        holder,
        role: row.try_get("role")?,
        app: app(row)?,
        granted_by: row.try_get("granted_by")?,
        created: moment(row, "created")?,
    })
}
