//! Who joined the zone, and the tokens by which one joins.

use gateway_types::{Timestamp, ZoneMemberId};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Zones, count, next_bundle, stored};
use crate::database::WriteTx;
use crate::error::StoreError;
use crate::row::{moment, optional_moment, parsed, storable};

/// A member: one enrolment of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneMember {
    /// Its id.
    pub id: ZoneMemberId,
    /// Which service it is of.
    pub service: String,
    /// The name of the key that issued its last leaf.
    pub issuer: String,
    /// The serial number of that leaf.
    pub serial: String,
    /// The newest bundle that it acknowledged.
    pub seen: u64,
    /// When it joined.
    pub enrolled: Timestamp,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// Until when its last leaf holds.
    pub expires: Timestamp,
    /// Since when it is banned.
    pub banned: Option<Timestamp>,
    /// By whom.
    pub banned_by: Option<String>,
}

/// A join token, as far as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneJoin {
    /// The digest of the token.
    pub digest: String,
    /// Which service it lets in.
    pub service: String,
    /// The name of the only key that it lets in, when there is one.
    pub key_pin: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// How many members a listing shows.
const MOST_SHOWN: i64 = 10_000;

/// How long a member is remembered after its last leaf ended.
const REMEMBERED_MICROS: i64 = 30 * 24 * 3600 * 1_000_000;

impl Zones {
    /// Members, newest first; at most 10,000.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn members(&self) -> Result<Vec<ZoneMember>, StoreError> {
        let rows = sqlx::query("SELECT * FROM zone_members ORDER BY id DESC LIMIT $1")
            .bind(MOST_SHOWN)
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(member).collect()
    }

    /// One member.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn member(&self, id: ZoneMemberId) -> Result<Option<ZoneMember>, StoreError> {
        let row = sqlx::query("SELECT * FROM zone_members WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.core.database.pool())
            .await?;
        row.as_ref().map(member).transpose()
    }

    /// Members that are banned and whose leaf would still hold.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn banned(&self) -> Result<Vec<ZoneMemberId>, StoreError> {
        let rows = sqlx::query("SELECT id FROM zone_members WHERE banned IS NOT NULL AND expires >= $1")
            .bind(self.core.clock.now().micros())
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(|row| parsed(row, "id", "id of a member")).collect()
    }

    /// Keeps a join token.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn keep_join_token(&self, new: &ZoneJoin) -> Result<(), StoreError> {
        storable("the service", &new.service)?;
        storable("the actor", &new.created_by)?;
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO zone_join_tokens (digest, service, key_pin, created, created_by, expires) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.digest.clone())
        .bind(new.service.clone())
        .bind(new.key_pin.clone())
        .bind(self.core.clock.now().micros())
        .bind(new.created_by.clone())
        .bind(new.expires.micros())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// The join token of this digest, if it is still good.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn join_token(&self, digest: &str) -> Result<Option<ZoneJoin>, StoreError> {
        let row = sqlx::query(
            "SELECT digest, service, key_pin, created_by, expires FROM zone_join_tokens \
             WHERE digest = $1 AND used IS NULL AND expires > $2",
        )
        .bind(digest.to_owned())
        .bind(self.core.clock.now().micros())
        .fetch_optional(self.core.database.pool())
        .await?;
        row.map(|row| {
            Ok(ZoneJoin {
                digest: row.try_get("digest")?,
                service: row.try_get("service")?,
                key_pin: row.try_get("key_pin")?,
                created_by: row.try_get("created_by")?,
                expires: moment(&row, "expires")?,
            })
        })
        .transpose()
    }

    /// Whether this was ever a join token, good or not; those that are long over are forgotten.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn gave_out(&self, digest: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM zone_join_tokens WHERE digest = $1")
            .bind(digest.to_owned())
            .fetch_one(self.core.database.pool())
            .await?;
        Ok(row.try_get::<i64, _>(0)? > 0)
    }

    /// Spends a join token for a new member. Of any number that come with one token, on any number of instances, one
    /// is let in.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the token is not good any more.
    pub async fn enrol(&self, digest: &str, new: &ZoneMember) -> Result<(), StoreError> {
        let mut tx = self.core.database.begin().await?;
        let spent = sqlx::query(
            "UPDATE zone_join_tokens SET used = $1 WHERE digest = $2 AND used IS NULL AND expires > $1",
        )
        .bind(self.core.clock.now().micros())
        .bind(digest.to_owned())
        .execute(tx.connection())
        .await?;
        if spent.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        insert(&mut tx, new).await?;
        tx.commit().await
    }

    /// Writes down a member's new leaf.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for a member that is not known, or banned.
    pub async fn renewed(
        &self,
        id: ZoneMemberId,
        issuer: &str,
        serial: &str,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        let done = sqlx::query(
            "UPDATE zone_members SET issuer = $1, serial = $2, expires = $3, last_seen = $4 \
             WHERE id = $5 AND banned IS NULL",
        )
        .bind(issuer.to_owned())
        .bind(serial.to_owned())
        .bind(expires.micros())
        .bind(self.core.clock.now().micros())
        .bind(id.to_string())
        .execute(self.core.database.pool())
        .await?;
        if done.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Writes down which bundle a member has.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn heard(&self, id: ZoneMemberId, sequence: u64) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query("UPDATE zone_members SET seen = $1, last_seen = $2 WHERE id = $3")
            .bind(stored(sequence))
            .bind(self.core.clock.now().micros())
            .bind(id.to_string())
            .execute(self.core.database.pool())
            .await?;
        Ok(())
    }

    /// Bans a member.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for one that is not known, or banned already.
    pub async fn ban(&self, id: ZoneMemberId, by: &str) -> Result<(), StoreError> {
        storable("the actor", by)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let banned = sqlx::query(
            "UPDATE zone_members SET banned = $1, banned_by = $2 WHERE id = $3 AND banned IS NULL",
        )
        .bind(self.core.clock.now().micros())
        .bind(by.to_owned())
        .bind(id.to_string())
        .execute(tx.connection())
        .await?;
        if banned.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        next_bundle(&mut tx).await?;
        self.core.changes.commit(tx, version).await
    }

    /// Forgets members whose last leaf ended a month ago, and join tokens that are over.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn tidy(&self) -> Result<(), StoreError> {
        let now = self.core.clock.now().micros();
        let _turn = self.core.database.write_turn().await;
        for (statement, before) in [
            ("DELETE FROM zone_members WHERE expires < $1", now.saturating_sub(REMEMBERED_MICROS)),
            ("DELETE FROM zone_join_tokens WHERE expires < $1", now),
        ] {
            sqlx::query(statement).bind(before).execute(self.core.database.pool()).await?;
        }
        Ok(())
    }
}

pub(super) async fn insert(tx: &mut WriteTx, new: &ZoneMember) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO zone_members \
         (id, service, issuer, serial, seen, enrolled, last_seen, expires, banned, banned_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(new.id.to_string())
    .bind(new.service.clone())
    .bind(new.issuer.clone())
    .bind(new.serial.clone())
    .bind(stored(new.seen))
    .bind(new.enrolled.micros())
    .bind(new.last_seen.micros())
    .bind(new.expires.micros())
    .bind(new.banned.map(Timestamp::micros))
    .bind(new.banned_by.clone())
    .execute(tx.connection())
    .await?;
    Ok(())
}

fn member(row: &AnyRow) -> Result<ZoneMember, StoreError> {
    Ok(ZoneMember {
        id: parsed(row, "id", "id of a member")?,
        service: row.try_get("service")?,
        issuer: row.try_get("issuer")?,
        serial: row.try_get("serial")?,
        seen: count(row, "seen")?,
        enrolled: moment(row, "enrolled")?,
        last_seen: moment(row, "last_seen")?,
        expires: moment(row, "expires")?,
        banned: optional_moment(row, "banned")?,
        banned_by: row.try_get("banned_by")?,
    })
}
