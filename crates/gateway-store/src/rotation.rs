//! Exchanging `APP_SECRET_KEY`, while nobody serves: what is sealed is opened with the old key and sealed with the new
//! one, in one transaction. What is derived and must stay the same (the key that signs checkpoints, those of handles
//! and of backup codes) goes on coming from the first key, which is kept, sealed under the one in force.
//!
//! # Security
//! Whoever knows the old key and has a copy of the database from before can still open that copy; and whoever knows
//! the very first key can still derive what must stay the same.

use std::sync::Arc;

use gateway_types::{Clock, Entropy, Secret};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::{Database, WriteTx};
use crate::error::StoreError;
use crate::sealing::Sealer;
use crate::secrets::{ROOT_KEY, ROOT_OWNER, Stamp};
use crate::store::prepare;
use crate::{
    audit, certificates, factors, integrations, migrate, provider_sessions, recordings, runs, secrets,
    signing_keys, zone,
};

/// The shortest key, in characters: 32 hexadecimal digits hold 128 bits.
pub const SHORTEST_KEY: usize = 32;

/// What to exchange.
pub struct Rotation {
    /// Where the database is.
    pub url: String,
    /// The key in force; `None` when the database keeps one of its own.
    pub present: Option<Secret<String>>,
    /// The key from now on.
    pub new: Secret<String>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Rotation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rotation(…)")
    }
}

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rotated {
    /// How many secrets were sealed anew.
    pub sealed: u64,
    /// How many sign-ins that were under way have to begin again.
    pub sign_ins: u64,
}

/// A table with sealed secrets.
struct Sealed {
    table: &'static str,
    /// What they are sealed for, as a purpose of the key.
    purpose: &'static str,
    /// The column that tells a row from all others.
    id: &'static str,
    owner: fn(&AnyRow) -> Result<String, StoreError>,
}

const TABLES: [Sealed; 10] = [
    Sealed { table: "factors", purpose: factors::SEALING_KEY, id: "id", owner: factors::owner_of },
    Sealed {
        table: "provider_sessions",
        purpose: provider_sessions::SEALING_KEY,
        id: "id",
        owner: provider_sessions::owner_of,
    },
    Sealed {
        table: "signing_keys",
        purpose: signing_keys::SEALING_KEY,
        id: "id",
        owner: signing_keys::owner_of,
    },
    Sealed { table: "audit_keys", purpose: audit::SEALING_KEY, id: "vkey", owner: audit::owner_of },
    Sealed {
        table: "acme_accounts",
        purpose: certificates::SEALING_KEY,
        id: "directory",
        owner: certificates::owner_of_account,
    },
    Sealed {
        table: "certificates",
        purpose: certificates::SEALING_KEY,
        id: "name",
        owner: certificates::owner_of_certificate,
    },
    Sealed {
        table: "acme_attempts",
        purpose: certificates::SEALING_KEY,
        id: "name",
        owner: certificates::owner_of_order,
    },
    Sealed { table: "recordings", purpose: recordings::SEALING_KEY, id: "id", owner: recordings::owner_of },
    Sealed {
        table: "integrations",
        purpose: integrations::SEALING_KEY,
        id: "kind",
        owner: integrations::owner_of,
    },
    Sealed { table: "zone_authorities", purpose: zone::SEALING_KEY, id: "name", owner: zone::owner_of },
];

/// Exchanges the key. Either everything is under the new one afterwards, or nothing.
///
/// # Errors
/// [`StoreError::Locked`] or [`StoreError::Serving`] while a gateway runs on the database, [`StoreError::WeakKey`],
/// [`StoreError::WrongSecretKey`] when `present` is not the key in force, [`StoreError::Corrupt`] for a secret that
/// does not open.
pub async fn rotate(rotation: Rotation) -> Result<Rotated, StoreError> {
    if rotation.new.expose().chars().count() < SHORTEST_KEY {
        return Err(StoreError::WeakKey { shortest: SHORTEST_KEY });
    }
    let (location, _lock) = prepare(&rotation.url, true)?;
    let database = Database::connect(&location, 2).await?;
    let done = async {
        let now = rotation.clock.now();
        migrate::run(&database, now.micros()).await?;
        if runs::is_anybody_alive(&mut *database.pool().acquire().await?, &location).await? {
            return Err(StoreError::Serving);
        }
        let old = secrets::stamp(&database, rotation.present, now, &*rotation.entropy).await?;
        exchange(&database, &old, &old.with_secret(rotation.new), &*rotation.entropy).await
    }
    .await;
    database.pool().close().await;
    done
}

async fn exchange(
    database: &Database,
    old: &Stamp,
    new: &Stamp,
    entropy: &dyn Entropy,
) -> Result<Rotated, StoreError> {
    let mut tx = database.begin().await?;
    let mut rotated = Rotated::default();
    for table in &TABLES {
        let (from, to) = (Sealer::new(old, table.purpose)?, Sealer::new(new, table.purpose)?);
        rotated.sealed += seal_anew(&mut tx, table, &from, &to, entropy).await?;
    }
    // They wait for minutes at most; whoever is at one signs in again.
    rotated.sign_ins = sqlx::query("DELETE FROM sign_ins").execute(tx.connection()).await?.rows_affected();
    let root = Sealer::new(new, ROOT_KEY)?.seal(&new.root_bytes(), ROOT_OWNER, entropy)?;
    let changed = sqlx::query(
        "UPDATE gateway SET key_check = $1, own_secret_key = NULL, kept_root = $2 WHERE id = 1 AND key_check = $3",
    )
    .bind(new.key_check())
    .bind(root)
    .bind(old.key_check())
    .execute(tx.connection())
    .await?
    .rows_affected();
    if changed != 1 {
        tx.rollback().await?;
        return Err(StoreError::Conflict);
    }
    tx.commit().await?;
    Ok(rotated)
}

async fn seal_anew(
    tx: &mut WriteTx,
    table: &Sealed,
    from: &Sealer,
    to: &Sealer,
    entropy: &dyn Entropy,
) -> Result<u64, StoreError> {
    let Sealed { table: name, id, owner, .. } = table;
    let read = format!("SELECT * FROM {name} WHERE sealed IS NOT NULL");
    let rows = sqlx::query(sqlx::AssertSqlSafe(read)).fetch_all(tx.connection()).await?;
    let write = format!("UPDATE {name} SET sealed = $1, key_id = $2 WHERE {id} = $3");
    for row in &rows {
        let (sealed, key_id): (String, String) = (row.try_get("sealed")?, row.try_get("key_id")?);
        let owner = owner(row)?;
        let anew = to.seal(&from.open(&sealed, &key_id, &owner)?, &owner, entropy)?;
        sqlx::query(sqlx::AssertSqlSafe(write.clone()))
            .bind(anew)
            .bind(to.key_id().to_owned())
            .bind(row.try_get::<String, _>(*id)?)
            .execute(tx.connection())
            .await?;
    }
    Ok(rows.len() as u64)
}
