//! Who people are at identity providers: (issuer, subject) → person. Whether somebody may be linked is not
//! known here; that each subject is one person, and each person one subject of an issuer, is.

use std::sync::Arc;

use gateway_types::{RoleSet, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, is_duplicate};
use crate::row::{moment, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// Whether a person's roles follow the groups that the provider names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RolesFrom {
    /// The person was listed or invited; groups change nothing.
    People,
    /// The person was made at first sight; what groups gave follows the groups.
    Groups,
}

/// A link between a subject of an issuer and a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityLink {
    /// The issuer, exactly as it stands in its tokens.
    pub issuer: String,
    /// The subject, exactly as it stands in the issuer's tokens.
    pub subject: String,
    /// The person.
    pub user: UserId,
    /// The canonical e-mail address at the last sign-in; it may differ from the person's.
    pub email: String,
    /// Whether roles follow groups.
    pub roles_from: RolesFrom,
    /// The roles that groups gave at the last sign-in; empty unless roles follow groups.
    pub group_roles: RoleSet,
    /// When it was made.
    pub linked: Timestamp,
    /// When the person last signed in so.
    pub last_seen: Timestamp,
}

/// A link to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewIdentityLink {
    /// The issuer.
    pub issuer: String,
    /// The subject.
    pub subject: String,
    /// The person.
    pub user: UserId,
    /// The canonical e-mail address.
    pub email: String,
    /// Whether roles follow groups.
    pub roles_from: RolesFrom,
    /// The roles that groups give.
    pub group_roles: RoleSet,
}

/// The links of this gateway.
#[derive(Clone, Debug)]
pub struct Identities {
    pub(crate) core: Arc<Core>,
}

const SELECT: &str =
    "SELECT issuer, subject, user_id, email, managed, group_roles, linked, last_seen FROM identities";

impl Identities {
    /// The link of this subject.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_subject(&self, issuer: &str, subject: &str) -> Result<Option<IdentityLink>, StoreError> {
        if storable("the subject", subject).is_err() || storable("the issuer", issuer).is_err() {
            return Ok(None);
        }
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE issuer = ").text(issuer).sql(" AND subject = ").text(subject);
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(link).transpose()
    }

    /// The links of a person, by issuer.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn of_user(&self, user: UserId) -> Result<Vec<IdentityLink>, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE user_id = ").text(&user.to_string()).sql(" ORDER BY issuer");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(link).collect()
    }

    /// Links a person.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the subject is linked, or the person has another subject of the issuer;
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn link(&self, new: &NewIdentityLink) -> Result<(), StoreError> {
        storable("the issuer", &new.issuer)?;
        storable("the subject", &new.subject)?;
        let now = self.core.clock.now().micros();
        let _turn = self.core.database.write_turn().await;
        let inserted = sqlx::query(
            "INSERT INTO identities \
             (issuer, subject, user_id, email, managed, group_roles, linked, last_seen) \
             SELECT $1, $2, users.id, $4, $5, $6, $7, $7 FROM users WHERE users.id = $3",
        )
        .bind(new.issuer.clone())
        .bind(new.subject.clone())
        .bind(new.user.to_string())
        .bind(new.email.clone())
        .bind(i64::from(new.roles_from == RolesFrom::Groups))
        .bind(new.group_roles.to_string())
        .bind(now)
        .execute(self.core.database.pool())
        .await
        .map_err(|error| if is_duplicate(&error) { StoreError::Exists } else { error.into() })?;
        if inserted.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Lets the roles of a person whom this subject is follow groups from now on.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn follow_groups(
        &self,
        issuer: &str,
        subject: &str,
        user: UserId,
        group_roles: RoleSet,
    ) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "UPDATE identities SET managed = 1, group_roles = $1 \
             WHERE issuer = $2 AND subject = $3 AND user_id = $4 AND managed = 0",
        )
        .bind(group_roles.to_string())
        .bind(issuer.to_owned())
        .bind(subject.to_owned())
        .bind(user.to_string())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// Notes a sign-in: the address and the roles that groups give now.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such link.
    pub async fn seen(
        &self,
        issuer: &str,
        subject: &str,
        email: &str,
        group_roles: RoleSet,
    ) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        let updated = sqlx::query(
            "UPDATE identities SET email = $1, group_roles = $2, last_seen = $3 \
             WHERE issuer = $4 AND subject = $5",
        )
        .bind(email.to_owned())
        .bind(group_roles.to_string())
        .bind(self.core.clock.now().micros())
        .bind(issuer.to_owned())
        .bind(subject.to_owned())
        .execute(self.core.database.pool())
        .await?;
        if updated.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Whether a person opened a session with this device from this address before, as far as sessions are
    /// kept.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn knows_place(&self, user: UserId, device: &str, ip: &str) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM sessions WHERE user_id = $1 AND device = $2) AS devices, \
             (SELECT count(*) FROM sessions WHERE user_id = $1 AND ip = $3) AS addresses",
        )
        .bind(user.to_string())
        .bind(device.to_owned())
        .bind(ip.to_owned())
        .fetch_one(self.core.database.pool())
        .await?;
        Ok(row.try_get::<i64, _>("devices")? > 0 && row.try_get::<i64, _>("addresses")? > 0)
    }
}

fn link(row: &AnyRow) -> Result<IdentityLink, StoreError> {
    let managed = row.try_get::<i64, _>("managed")? != 0;
    Ok(IdentityLink {
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        user: parsed(row, "user_id", "user id")?,
        email: row.try_get("email")?,
        roles_from: if managed { RolesFrom::Groups } else { RolesFrom::People },
        group_roles: parsed(row, "group_roles", "set of roles")?,
        linked: moment(row, "linked")?,
        last_seen: moment(row, "last_seen")?,
    })
}
