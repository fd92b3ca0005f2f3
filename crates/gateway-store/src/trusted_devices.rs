//! Browsers that need no second factor to sign in: each a secret of its own, of which only the SHA-256 is kept.
//! What a sign-in needs, and that none of them ever counts as a step-up, is not decided here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Secret, Timestamp, TrustedDeviceId, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::row::{moment, optional_parsed, parsed, storable};
use crate::secrets::{random_text, sha256_hex};
use crate::sign_ins::micros;
use crate::statement::Statement;
use crate::store::Core;

/// The most of one person; the one that was used longest ago goes for a new one.
pub const MOST_TRUSTED_DEVICES: i64 = 20;

/// A trusted device's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustedDevice {
    /// The row; never the secret.
    pub id: TrustedDeviceId,
    /// Whose it is.
    pub user: UserId,
    /// What kind of browser it is, as it said.
    pub name: String,
    /// From which address it was trusted.
    pub ip: Option<IpAddr>,
    /// Since when.
    pub created: Timestamp,
    /// When it last stood in for a second factor.
    pub last_used: Timestamp,
    /// Until when.
    pub expires: Timestamp,
}

/// The trusted devices of this gateway.
#[derive(Clone, Debug)]
pub struct TrustedDevices {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "id, user_id, name, ip, created, last_used, expires";

impl TrustedDevices {
    /// Trusts a browser for `life`; its secret is returned here and never again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn trust(
        &self,
        user: UserId,
        name: &str,
        ip: Option<IpAddr>,
        life: Duration,
    ) -> Result<(TrustedDevice, Secret<String>), StoreError> {
        storable("the device", name)?;
        let now = self.core.clock.now();
        let secret = random_text(&*self.core.entropy);
        let device = TrustedDevice {
            id: TrustedDeviceId::new(now, &*self.core.entropy),
            user,
            name: name.to_owned(),
            ip,
            created: now,
            last_used: now,
            expires: now.saturating_add(life),
        };
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM trusted_devices WHERE expires <= $1")
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        // The newest stay, one fewer than there may be.
        sqlx::query(
            "DELETE FROM trusted_devices WHERE user_id = $1 AND id NOT IN (SELECT id FROM trusted_devices \
             WHERE user_id = $1 ORDER BY last_used DESC, id DESC LIMIT $2)",
        )
        .bind(user.to_string())
        .bind(MOST_TRUSTED_DEVICES - 1)
        .execute(tx.connection())
        .await?;
        let inserted = sqlx::query(
            "INSERT INTO trusted_devices (id, user_id, digest, name, ip, created, last_used, expires) \
             SELECT $1, users.id, $3, $4, $5, $6, $6, $7 FROM users WHERE users.id = $2",
        )
        .bind(device.id.to_string())
        .bind(user.to_string())
        .bind(sha256_hex(secret.expose().as_bytes()))
        .bind(device.name.clone())
        .bind(ip.map(|ip| ip.to_string()))
        .bind(now.micros())
        .bind(device.expires.micros())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        if inserted.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok((device, secret)) }
    }

    /// Whether this secret is of a device that this person trusts, of this kind of browser; notes the use. It was trusted
    /// for as long as was usual then, and is trusted no longer than `life`, which is usual now.
    ///
    /// # Errors
    /// Only when the database cannot be written; then it is not trusted.
    ///
    /// # Security
    /// The kind of browser is no secret; that it must be the same only makes a stolen cookie a little harder to
    /// use, and a copied profile visible.
    pub async fn is_trusted(
        &self,
        user: UserId,
        secret: &str,
        name: &str,
        life: Duration,
    ) -> Result<bool, StoreError> {
        if storable("the device", name).is_err() {
            return Ok(false);
        }
        let now = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        let used = sqlx::query(
            "UPDATE trusted_devices SET last_used = $1 \
             WHERE user_id = $2 AND digest = $3 AND name = $4 AND expires > $1 AND created > $5",
        )
        .bind(now.micros())
        .bind(user.to_string())
        .bind(sha256_hex(secret.as_bytes()))
        .bind(name.to_owned())
        .bind(now.micros().saturating_sub(micros(life)))
        .execute(self.core.database.pool())
        .await?;
        Ok(used.rows_affected() == 1)
    }

    /// A person's trusted devices, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, user: UserId) -> Result<Vec<TrustedDevice>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" FROM trusted_devices WHERE user_id = ").text(&user.to_string());
        statement.sql(" AND expires > ").number(self.core.clock.now().micros()).sql(" ORDER BY id DESC");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(device).collect()
    }

    /// Trusts a device no longer.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when this person has none of this id.
    pub async fn remove(&self, user: UserId, id: TrustedDeviceId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        let removed = sqlx::query("DELETE FROM trusted_devices WHERE id = $1 AND user_id = $2")
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(self.core.database.pool())
            .await?;
        if removed.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }
}

/// Forgets all trusted devices of a person, in a change that is under way.
pub(crate) async fn forget(tx: &mut WriteTx, user: UserId) -> Result<u64, StoreError> {
    let removed = sqlx::query("DELETE FROM trusted_devices WHERE user_id = $1")
        .bind(user.to_string())
        .execute(tx.connection())
        .await?;
    Ok(removed.rows_affected())
}

fn device(row: &AnyRow) -> Result<TrustedDevice, StoreError> {
    Ok(TrustedDevice {
        id: parsed(row, "id", "trusted device id")?,
        user: parsed(row, "user_id", "user id")?,
        name: row.try_get("name")?,
        ip: optional_parsed(row, "ip", "address")?,
        created: moment(row, "created")?,
        last_used: moment(row, "last_used")?,
        expires: moment(row, "expires")?,
    })
}
