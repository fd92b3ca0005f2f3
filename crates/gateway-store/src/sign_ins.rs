//! Sign-ins that wait for the identity provider to send the browser back: each used once, by the browser
//! that began it, within ten minutes. What is kept of one is sealed; what it means is not known here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Secret, SignInId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, parsed};
use crate::sealing::Sealer;
use crate::secrets::sha256_hex;
use crate::store::Core;

/// What the key of what is kept is derived for.
pub(crate) const SEALING_KEY: &str = "sign-in-sealing/v1";

/// How long a person has at the provider.
pub const SIGN_IN_TIME: Duration = Duration::from_secs(600);

/// The most sign-ins that one source may begin within [`SIGN_IN_TIME`].
pub const MOST_SIGN_INS_OF_A_SOURCE: i64 = 2_000;

/// The same of all sources together: what the table can grow to.
const MOST_SIGN_INS: i64 = 50_000;

/// A sign-in to be begun.
#[derive(Clone, Copy, Debug)]
pub struct NewSignIn<'a> {
    /// The state that the provider sends back.
    pub state: &'a str,
    /// The secret of the browser that begins it.
    pub browser: &'a str,
    /// What is kept of it.
    pub kept: &'a Secret<Vec<u8>>,
    /// From which address.
    pub source_ip: IpAddr,
}

/// Whether something new was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Admission {
    /// It was.
    Admitted,
    /// It was not: this source, or all together, have too many that are not over yet.
    TooMany,
}

/// Why a sign-in cannot be finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignInFault {
    /// None has this state.
    Unknown,
    /// Another browser began it.
    OtherBrowser,
    /// It took too long.
    Expired,
    /// It was finished, or tried, before.
    Used,
}

/// The sign-ins of this gateway.
#[derive(Clone, Debug)]
pub struct SignIns {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

impl SignIns {
    /// Keeps a sign-in for [`SIGN_IN_TIME`], and forgets those that are long over.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn begin(&self, new: NewSignIn<'_>) -> Result<Admission, StoreError> {
        let now = self.core.clock.now();
        let id = SignInId::new(now, &*self.core.entropy);
        let sealed = self.sealer.seal(new.kept, &owner(id), &*self.core.entropy)?;
        let over = now.micros().saturating_sub(micros(SIGN_IN_TIME));
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM sign_ins WHERE expires < $1").bind(over).execute(tx.connection()).await?;
        let inserted = sqlx::query(
            "INSERT INTO sign_ins \
             (id, state_digest, browser_digest, sealed, key_id, source, created, expires) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
             WHERE (SELECT count(*) FROM sign_ins AS other WHERE other.source = $6 AND other.expires > $7) < $9 \
             AND (SELECT count(*) FROM sign_ins AS every WHERE every.expires > $7) < $10",
        )
        .bind(id.to_string())
        .bind(sha256_hex(new.state.as_bytes()))
        .bind(sha256_hex(new.browser.as_bytes()))
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(source(new.source_ip))
        .bind(now.micros())
        .bind(now.saturating_add(SIGN_IN_TIME).micros())
        .bind(MOST_SIGN_INS_OF_A_SOURCE)
        .bind(MOST_SIGN_INS)
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(if inserted.rows_affected() == 1 { Admission::Admitted } else { Admission::TooMany })
    }

    /// Takes the sign-in of this state, if this browser began it: of any number that ask at once, on any
    /// number of instances, one gets it, and nobody after.
    ///
    /// # Errors
    /// When the database cannot be written, or [`StoreError::Corrupt`] when what was kept does not open.
    ///
    /// # Security
    /// A state that another browser brings stays with the browser that began it.
    pub async fn take(
        &self,
        state: &str,
        browser: &str,
    ) -> Result<Result<Secret<Vec<u8>>, SignInFault>, StoreError> {
        let now = self.core.clock.now().micros();
        let state = sha256_hex(state.as_bytes());
        let turn = self.core.database.write_turn().await;
        let row = sqlx::query(
            "UPDATE sign_ins SET used = $1 WHERE state_digest = $2 AND browser_digest = $3 \
             AND used IS NULL AND expires > $1 RETURNING id, sealed, key_id",
        )
        .bind(now)
        .bind(state.clone())
        .bind(sha256_hex(browser.as_bytes()))
        .fetch_optional(self.core.database.pool())
        .await?;
        drop(turn);
        match row {
            Some(row) => Ok(Ok(self.open(&row)?)),
            None => Ok(Err(self.fault(&state, browser, now).await?)),
        }
    }

    /// What is kept of the sign-in of this state, if this browser began it, which stays to be taken.
    ///
    /// # Errors
    /// As [`SignIns::take`].
    pub async fn peek(
        &self,
        state: &str,
        browser: &str,
    ) -> Result<Result<Secret<Vec<u8>>, SignInFault>, StoreError> {
        let now = self.core.clock.now().micros();
        let state = sha256_hex(state.as_bytes());
        let row = sqlx::query(
            "SELECT id, sealed, key_id FROM sign_ins WHERE state_digest = $1 AND browser_digest = $2 \
             AND used IS NULL AND expires > $3",
        )
        .bind(state.clone())
        .bind(sha256_hex(browser.as_bytes()))
        .bind(now)
        .fetch_optional(self.core.database.pool())
        .await?;
        match row {
            Some(row) => Ok(Ok(self.open(&row)?)),
            None => Ok(Err(self.fault(&state, browser, now).await?)),
        }
    }

    fn open(&self, row: &AnyRow) -> Result<Secret<Vec<u8>>, StoreError> {
        let id: SignInId = parsed(row, "id", "sign-in id")?;
        let (sealed, key_id): (String, String) = (row.try_get("sealed")?, row.try_get("key_id")?);
        self.sealer.open(&sealed, &key_id, &owner(id))
    }

    async fn fault(&self, state: &str, browser: &str, now: i64) -> Result<SignInFault, StoreError> {
        let row = sqlx::query("SELECT browser_digest, expires, used FROM sign_ins WHERE state_digest = $1")
            .bind(state.to_owned())
            .fetch_optional(self.core.database.pool())
            .await?;
        let Some(row) = row else { return Ok(SignInFault::Unknown) };
        if row.try_get::<String, _>("browser_digest")? != sha256_hex(browser.as_bytes()) {
            return Ok(SignInFault::OtherBrowser);
        }
        let over = moment(&row, "expires")?.micros() <= now;
        Ok(if over { SignInFault::Expired } else { SignInFault::Used })
    }
}

/// What a sign-in is sealed for.
fn owner(id: SignInId) -> String {
    format!("sign-in:{id}")
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// What an address counts as when things are counted by source: an IPv6 address is its /64, because one
/// host has all of that.
pub(crate) fn source(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            format!("{}/64", std::net::Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_addresses() {
        let check = |ip: &str, expected: &str| assert_eq!(source(ip.parse().unwrap()), expected);
        check("192.0.2.7", "192.0.2.7");
        check("::ffff:192.0.2.7", "192.0.2.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("2001:db8:1:2::", "2001:db8:1:2::/64");
    }
}
