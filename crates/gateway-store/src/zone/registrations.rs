//! Where members say that they are. Whether they may be there is not known here.

use gateway_types::{Timestamp, ZoneMemberId};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Zones;
use crate::error::StoreError;
use crate::row::{moment, parsed, storable};

/// The most registrations that are read.
const MOST_READ: i64 = 10_000;

/// A member that says that it is an instance of its service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneRegistration {
    /// Which member.
    pub member: ZoneMemberId,
    /// Of which service it is.
    pub service: String,
    /// Where it is, `HOST:PORT`.
    pub address: String,
    /// The prefix that it named.
    pub prefix: Option<String>,
    /// The version that it serves.
    pub version: Option<String>,
    /// Whether it says that it is well.
    pub is_healthy: bool,
    /// What it understands, as JSON.
    pub capabilities: Option<String>,
    /// Since when it says exactly this.
    pub registered: Timestamp,
    /// When it last said so.
    pub seen: Timestamp,
}

impl ZoneRegistration {
    /// Whether another one says the same, whenever it did.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let (registered, seen) = (self.registered, self.seen);
        *self == Self { registered, seen, ..other.clone() }
    }
}

impl Zones {
    /// Registrations that were heard of after `since`, of members that are not banned, oldest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn registrations(&self, since: Timestamp) -> Result<Vec<ZoneRegistration>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.* FROM zone_registrations r JOIN zone_members m ON m.id = r.member \
             WHERE m.banned IS NULL AND r.seen > $1 ORDER BY r.registered, r.member LIMIT $2",
        )
        .bind(since.micros())
        .bind(MOST_READ)
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(registration).collect()
    }

    /// The registration of a member.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn registration(&self, member: ZoneMemberId) -> Result<Option<ZoneRegistration>, StoreError> {
        let row = sqlx::query("SELECT * FROM zone_registrations WHERE member = $1")
            .bind(member.to_string())
            .fetch_optional(self.core.database.pool())
            .await?;
        row.as_ref().map(registration).transpose()
    }

    /// Writes what a member says, over what it said before. Every instance hears of it.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn register(&self, new: &ZoneRegistration) -> Result<(), StoreError> {
        storable("the address", &new.address)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query(
            "INSERT INTO zone_registrations \
             (member, service, address, prefix, version, healthy, capabilities, registered, seen) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (member) DO UPDATE SET service = excluded.service, address = excluded.address, \
             prefix = excluded.prefix, version = excluded.version, healthy = excluded.healthy, \
             capabilities = excluded.capabilities, registered = excluded.registered, seen = excluded.seen",
        )
        .bind(new.member.to_string())
        .bind(new.service.clone())
        .bind(new.address.clone())
        .bind(new.prefix.clone())
        .bind(new.version.clone())
        .bind(i64::from(new.is_healthy))
        .bind(new.capabilities.clone())
        .bind(new.registered.micros())
        .bind(new.seen.micros())
        .execute(tx.connection())
        .await?;
        self.core.changes.commit(tx, version).await
    }

    /// Notes that a member said the same again.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn registration_heard(&self, member: ZoneMemberId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query("UPDATE zone_registrations SET seen = $1 WHERE member = $2")
            .bind(self.core.clock.now().micros())
            .bind(member.to_string())
            .execute(self.core.database.pool())
            .await?;
        Ok(())
    }

    /// Forgets the registration of a member, if it was last heard of before `before`. Of any number of instances that do
    /// so, one is told that it was it. Every instance hears of it.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn forget_registration(
        &self,
        member: ZoneMemberId,
        before: Timestamp,
    ) -> Result<bool, StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let gone = sqlx::query("DELETE FROM zone_registrations WHERE member = $1 AND seen <= $2")
            .bind(member.to_string())
            .bind(before.micros())
            .execute(tx.connection())
            .await?;
        if gone.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        self.core.changes.commit(tx, version).await?;
        Ok(true)
    }

    /// Registrations that were not heard of since `before`; at most a hundred at once.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn silent_registrations(&self, before: Timestamp) -> Result<Vec<ZoneRegistration>, StoreError> {
        let rows = sqlx::query("SELECT * FROM zone_registrations WHERE seen <= $1 ORDER BY seen LIMIT 100")
            .bind(before.micros())
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(registration).collect()
    }
}

fn registration(row: &AnyRow) -> Result<ZoneRegistration, StoreError> {
    Ok(ZoneRegistration {
        member: parsed(row, "member", "id of a member")?,
        service: row.try_get("service")?,
        address: row.try_get("address")?,
        prefix: row.try_get("prefix")?,
        version: row.try_get("version")?,
        is_healthy: row.try_get::<i64, _>("healthy")? != 0,
        capabilities: row.try_get("capabilities")?,
        registered: moment(row, "registered")?,
        seen: moment(row, "seen")?,
    })
}
