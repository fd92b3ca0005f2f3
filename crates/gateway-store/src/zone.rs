//! The trust zone: its authorities, which services may join it, who did, and join tokens as digests. What a
//! certificate says and when which authority may take over is not known here.

mod members;
mod registrations;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use gateway_types::{Secret, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::sealing::Sealer;
use crate::store::Core;

pub use members::{ZoneJoin, ZoneMember};
pub use registrations::ZoneRegistration;

/// What issuers' keys are sealed for.
pub(crate) const SEALING_KEY: &str = "zone-issuer-sealing/v1";

/// The zone of this gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneRecord {
    /// Its trust domain.
    pub domain: String,
    /// The sequence of its bundle; grows with each change that members must know.
    pub sequence: u64,
    /// How long leaves live.
    pub leaf_life: Duration,
    /// When it was made.
    pub created: Timestamp,
}

/// An authority of the zone.
#[derive(Clone)]
pub struct ZoneAuthority {
    /// The name of its key.
    pub name: String,
    /// The name of its root's key; `None` for a root.
    pub root: Option<String>,
    /// Where it stands in a rotation.
    pub phase: String,
    /// The sequence of the bundle that told of it.
    pub since: u64,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// The same key under the root before, DER; only roots have it.
    pub cross_signed: Option<Vec<u8>>,
    /// Its private key.
    pub key: ZoneKey,
    /// When it was made.
    pub created: Timestamp,
    /// Until when it holds.
    pub expires: Timestamp,
}

impl fmt::Debug for ZoneAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneAuthority")
            .field("name", &self.name)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

/// Where the private key of an authority is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ZoneKey {
    /// In somebody's custody: the text of what was sealed. Nothing of the gateway's opens it.
    Custody(String),
    /// Here.
    Online(Secret<Vec<u8>>),
    /// Nowhere any more.
    Gone,
}

/// A service that may join.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneService {
    /// Its name.
    pub name: String,
    /// Its listeners, as JSON.
    pub listeners: String,
    /// Who may call it, as JSON.
    pub callers: String,
    /// When it was last written.
    pub updated: Timestamp,
    /// By whom.
    pub updated_by: String,
}

/// What a zone is made of.
#[derive(Clone, Debug)]
pub struct ZoneContent {
    /// The zone.
    pub zone: ZoneRecord,
    /// Its authorities, oldest first.
    pub authorities: Vec<ZoneAuthority>,
    /// The services that may join, by name.
    pub services: Vec<ZoneService>,
}

/// The zone in the database.
#[derive(Clone, Debug)]
pub struct Zones {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

impl Zones {
    /// The zone; `None` when there is none.
    ///
    /// # Errors
    /// When the database cannot be read, or a key was sealed under another app secret key.
    pub async fn read(&self) -> Result<Option<ZoneContent>, StoreError> {
        let pool = self.core.database.pool();
        let row = sqlx::query("SELECT domain, sequence, leaf_micros, created FROM zones WHERE id = 1")
            .fetch_optional(pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let zone = ZoneRecord {
            domain: row.try_get("domain")?,
            sequence: count(&row, "sequence")?,
            leaf_life: Duration::from_micros(count(&row, "leaf_micros")?),
            created: moment(&row, "created")?,
        };
        let authorities = sqlx::query("SELECT * FROM zone_authorities ORDER BY created, name")
            .fetch_all(pool)
            .await?
            .iter()
            .map(|row| self.authority(row))
            .collect::<Result<Vec<ZoneAuthority>, StoreError>>()?;
        let services = sqlx::query(
            "SELECT name, listeners, callers, updated, updated_by FROM zone_services ORDER BY name",
        )
        .fetch_all(pool)
        .await?
        .iter()
        .map(service)
        .collect::<Result<Vec<ZoneService>, StoreError>>()?;
        Ok(Some(ZoneContent { zone, authorities, services }))
    }

    /// Makes the zone, with members where it comes out of a backup.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one.
    pub async fn create(&self, new: &ZoneContent, members: &[ZoneMember]) -> Result<(), StoreError> {
        storable("the trust domain", &new.zone.domain)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let made = sqlx::query(
            "INSERT INTO zones (id, domain, sequence, leaf_micros, created) VALUES (1, $1, $2, $3, $4) \
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(new.zone.domain.clone())
        .bind(stored(new.zone.sequence))
        .bind(stored(u64::try_from(new.zone.leaf_life.as_micros()).unwrap_or(u64::MAX)))
        .bind(new.zone.created.micros())
        .execute(tx.connection())
        .await?;
        if made.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::Exists);
        }
        for authority in &new.authorities {
            self.insert_authority(&mut tx, authority).await?;
        }
        for service in &new.services {
            write_service(&mut tx, service).await?;
        }
        for member in members {
            members::insert(&mut tx, member).await?;
        }
        self.core.changes.commit(tx, version).await
    }

    /// Moves authorities to other phases and adds new ones, if the bundle's sequence is still `expected`. Those that
    /// are now `retired` lose their keys. Returns the new sequence, which is also the `since` of everything changed.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something changed meanwhile.
    pub async fn move_on(
        &self,
        expected: u64,
        moves: &[(String, String)],
        added: &[ZoneAuthority],
        retired: &str,
    ) -> Result<u64, StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let next = expected.saturating_add(1);
        let moved = sqlx::query("UPDATE zones SET sequence = $1 WHERE id = 1 AND sequence = $2")
            .bind(stored(next))
            .bind(stored(expected))
            .execute(tx.connection())
            .await?;
        if moved.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::Conflict);
        }
        for (name, phase) in moves {
            sqlx::query("UPDATE zone_authorities SET phase = $1, since = $2 WHERE name = $3")
                .bind(phase.clone())
                .bind(stored(next))
                .bind(name.clone())
                .execute(tx.connection())
                .await?;
        }
        sqlx::query(
            "UPDATE zone_authorities SET custody = NULL, sealed = NULL, key_id = NULL WHERE phase = $1",
        )
        .bind(retired.to_owned())
        .execute(tx.connection())
        .await?;
        for authority in added {
            self.insert_authority(&mut tx, &ZoneAuthority { since: next, ..authority.clone() }).await?;
        }
        self.core.changes.commit(tx, version).await?;
        Ok(next)
    }

    /// Writes which listeners a service has and who may call it.
    ///
    /// # Errors
    /// Only the store's.
    pub async fn put_service(&self, service: &ZoneService) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        write_service(&mut tx, service).await?;
        self.core.changes.commit(tx, version).await
    }

    /// Forgets a service: its members are banned, and its join tokens are worth nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove_service(&self, name: &str, by: &str) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let removed = sqlx::query("DELETE FROM zone_services WHERE name = $1")
            .bind(name.to_owned())
            .execute(tx.connection())
            .await?;
        if removed.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        sqlx::query("DELETE FROM zone_join_tokens WHERE service = $1")
            .bind(name.to_owned())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "UPDATE zone_members SET banned = $1, banned_by = $2 WHERE service = $3 AND banned IS NULL",
        )
        .bind(self.core.clock.now().micros())
        .bind(by.to_owned())
        .bind(name.to_owned())
        .execute(tx.connection())
        .await?;
        next_bundle(&mut tx).await?;
        self.core.changes.commit(tx, version).await
    }

    async fn insert_authority(&self, tx: &mut WriteTx, new: &ZoneAuthority) -> Result<(), StoreError> {
        let (custody, sealed) = match &new.key {
            ZoneKey::Custody(text) => (Some(text.clone()), None),
            ZoneKey::Online(key) => {
                (None, Some(self.sealer.seal(key, &owner(&new.name), &*self.core.entropy)?))
            }
            ZoneKey::Gone => (None, None),
        };
        let key_id = sealed.is_some().then(|| self.sealer.key_id().to_owned());
        sqlx::query(
            "INSERT INTO zone_authorities \
             (name, root, phase, since, certificate, cross_signed, custody, sealed, key_id, created, expires) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(new.name.clone())
        .bind(new.root.clone())
        .bind(new.phase.clone())
        .bind(stored(new.since))
        .bind(BASE64.encode(&new.certificate))
        .bind(new.cross_signed.as_ref().map(|der| BASE64.encode(der)))
        .bind(custody)
        .bind(sealed)
        .bind(key_id)
        .bind(new.created.micros())
        .bind(new.expires.micros())
        .execute(tx.connection())
        .await?;
        Ok(())
    }

    fn authority(&self, row: &AnyRow) -> Result<ZoneAuthority, StoreError> {
        let name: String = row.try_get("name")?;
        let sealed: Option<String> = row.try_get("sealed")?;
        let key_id: Option<String> = row.try_get("key_id")?;
        let custody: Option<String> = row.try_get("custody")?;
        let key = match (custody, sealed, key_id) {
            (Some(text), None, None) => ZoneKey::Custody(text),
            (None, Some(sealed), Some(key_id)) => {
                ZoneKey::Online(self.sealer.open(&sealed, &key_id, &owner(&name))?)
            }
            (None, None, None) => ZoneKey::Gone,
            (Some(_), _, _) | (None, Some(_), None) | (None, None, Some(_)) => {
                return Err(StoreError::Corrupt { what: "key of an authority" });
            }
        };
        let der = |text: String| {
            BASE64
                .decode(text.as_bytes())
                .map_err(|_bad| StoreError::Corrupt { what: "certificate of an authority" })
        };
        Ok(ZoneAuthority {
            root: row.try_get("root")?,
            phase: row.try_get("phase")?,
            since: count(row, "since")?,
            certificate: der(row.try_get("certificate")?)?,
            cross_signed: row.try_get::<Option<String>, _>("cross_signed")?.map(der).transpose()?,
            key,
            created: moment(row, "created")?,
            expires: moment(row, "expires")?,
            name,
        })
    }
}

/// Members must learn of something.
async fn next_bundle(tx: &mut WriteTx) -> Result<(), StoreError> {
    sqlx::query("UPDATE zones SET sequence = sequence + 1 WHERE id = 1").execute(tx.connection()).await?;
    Ok(())
}

async fn write_service(tx: &mut WriteTx, service: &ZoneService) -> Result<(), StoreError> {
    for (field, value) in [
        ("the name", &service.name),
        ("the listeners", &service.listeners),
        ("the callers", &service.callers),
        ("the actor", &service.updated_by),
    ] {
        storable(field, value)?;
    }
    sqlx::query(
        "INSERT INTO zone_services (name, listeners, callers, updated, updated_by) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (name) DO UPDATE SET listeners = excluded.listeners, callers = excluded.callers, \
         updated = excluded.updated, updated_by = excluded.updated_by",
    )
    .bind(service.name.clone())
    .bind(service.listeners.clone())
    .bind(service.callers.clone())
    .bind(service.updated.micros())
    .bind(service.updated_by.clone())
    .execute(tx.connection())
    .await?;
    Ok(())
}

fn service(row: &AnyRow) -> Result<ZoneService, StoreError> {
    Ok(ZoneService {
        name: row.try_get("name")?,
        listeners: row.try_get("listeners")?,
        callers: row.try_get("callers")?,
        updated: moment(row, "updated")?,
        updated_by: row.try_get("updated_by")?,
    })
}

fn count(row: &AnyRow, column: &str) -> Result<u64, StoreError> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_negative| StoreError::Corrupt { what: "count of the zone" })
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn owner(name: &str) -> String {
    format!("zone-issuer:{name}")
}

/// The same of a whole row.
pub(crate) fn owner_of(row: &AnyRow) -> Result<String, StoreError> {
    Ok(owner(&row.try_get::<String, _>("name")?))
}
