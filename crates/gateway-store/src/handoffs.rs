//! Browsers on their way from a service's host to the gateway, where they sign in, and back: each way
//! bound to the browser that began it, its code good once, for seconds, at that host. What a code becomes
//! is another secret of the same web session. Who may use which service is not known here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Secret, SessionId};
use sqlx::Row;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::row::{optional_moment, parsed, storable};
use crate::secrets::{credential_digest, digest_text, random_text, sha256_hex};
use crate::sign_ins::{Admission, MOST_SIGN_INS_OF_A_SOURCE, micros, source};
use crate::store::Core;

/// How long a person has to sign in before the way back is forgotten.
pub const HANDOFF_TIME: Duration = Duration::from_secs(900);

/// How long a code is good.
pub const HANDOFF_CODE_TIME: Duration = Duration::from_secs(30);

/// The most that all sources together may have under way.
const MOST_HANDOFFS: i64 = 50_000;

/// How long an older secret of the same session at the same host is still good: two tabs that come back at
/// once each get one, and the browser keeps either.
const OVERLAP: Duration = Duration::from_secs(60);

/// A way to be begun.
#[derive(Clone, Copy, Debug)]
pub struct NewHandoff<'a> {
    /// The random name that the browser carries to the gateway.
    pub id: &'a str,
    /// The secret of the browser at the service's host.
    pub browser: &'a str,
    /// The origin to come back to, as the browser spells it.
    pub origin: &'a str,
    /// Its host, lower case, without port.
    pub host: &'a str,
    /// Path and query to come back to.
    pub target: &'a str,
    /// From which address.
    pub source_ip: IpAddr,
}

/// Where a browser goes back to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WayBack {
    /// The origin.
    pub origin: String,
    /// Path and query.
    pub target: String,
}

/// A code that was turned into a session at a host.
#[derive(Debug)]
pub struct HostSession {
    /// The session that it belongs to.
    pub session: SessionId,
    /// Its secret there.
    pub secret: Secret<String>,
    /// Path and query to go to.
    pub target: String,
}

/// Why a code is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandoffFault {
    /// None was made like this.
    Unknown,
    /// Another browser began it.
    OtherBrowser,
    /// It is for another host.
    OtherHost,
    /// It took too long.
    Expired,
    /// It was used before.
    Used,
    /// The session ended meanwhile.
    Ended,
}

/// The ways that are under way.
#[derive(Clone, Debug)]
pub struct Handoffs {
    pub(crate) core: Arc<Core>,
}

impl Handoffs {
    /// Keeps a way back for [`HANDOFF_TIME`], and forgets those that are over.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn begin(&self, new: NewHandoff<'_>) -> Result<Admission, StoreError> {
        storable("the address", new.target)?;
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM handoffs WHERE expires < $1")
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        let inserted = sqlx::query(
            "INSERT INTO handoffs (digest, browser_digest, origin, host, target, source, created, expires) \
             SELECT $1, $2, $3, $4, $5, $6, $7, $8 \
             WHERE (SELECT count(*) FROM handoffs AS other WHERE other.source = $6 AND other.expires > $7) < $9 \
             AND (SELECT count(*) FROM handoffs AS every WHERE every.expires > $7) < $10",
        )
        .bind(sha256_hex(new.id.as_bytes()))
        .bind(sha256_hex(new.browser.as_bytes()))
        .bind(new.origin.to_owned())
        .bind(new.host.to_owned())
        .bind(new.target.to_owned())
        .bind(source(new.source_ip))
        .bind(now.micros())
        .bind(now.saturating_add(HANDOFF_TIME).micros())
        .bind(MOST_SIGN_INS_OF_A_SOURCE)
        .bind(MOST_HANDOFFS)
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(if inserted.rows_affected() == 1 { Admission::Admitted } else { Admission::TooMany })
    }

    /// Makes the code of a way that is under way, in the name of `session`; an earlier one that was not used
    /// is good no longer. `None` when there is no such way, or it is over.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn issue(
        &self,
        id: &str,
        session: SessionId,
    ) -> Result<Option<(Secret<String>, WayBack)>, StoreError> {
        let code = random_text(&*self.core.entropy);
        let now = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        let row = sqlx::query(
            "UPDATE handoffs SET code_digest = $1, code_expires = $2, session_id = $3 \
             WHERE digest = $4 AND used IS NULL AND expires > $5 RETURNING origin, target",
        )
        .bind(sha256_hex(code.expose().as_bytes()))
        .bind(now.saturating_add(HANDOFF_CODE_TIME).micros())
        .bind(session.to_string())
        .bind(sha256_hex(id.as_bytes()))
        .bind(now.micros())
        .fetch_optional(self.core.database.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((code, WayBack { origin: row.try_get("origin")?, target: row.try_get("target")? })))
    }

    /// Where a way leads back to; `None` when it is over.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn way_back(&self, id: &str) -> Result<Option<WayBack>, StoreError> {
        let row = sqlx::query("SELECT origin, target FROM handoffs WHERE digest = $1 AND expires > $2")
            .bind(sha256_hex(id.as_bytes()))
            .bind(self.core.clock.now().micros())
            .fetch_optional(self.core.database.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(WayBack { origin: row.try_get("origin")?, target: row.try_get("target")? }))
    }

    /// Whose session a code stands for, without using it: for the event that is written before.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn session_of(&self, code: &str) -> Result<Option<SessionId>, StoreError> {
        let row =
            sqlx::query("SELECT session_id FROM handoffs WHERE code_digest = $1 AND session_id IS NOT NULL")
                .bind(sha256_hex(code.as_bytes()))
                .fetch_optional(self.core.database.pool())
                .await?;
        row.as_ref().map(|row| parsed(row, "session_id", "session id")).transpose()
    }

    /// Turns a code into a secret of its session at `host`: of any number that bring it at once, on any
    /// number of instances, one gets it, and nobody after.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    ///
    /// # Security
    /// A code that another browser brings, or that is brought to another host, stays with the one it is for.
    pub async fn take(
        &self,
        code: &str,
        browser: &str,
        host: &str,
    ) -> Result<Result<HostSession, HandoffFault>, StoreError> {
        let now = self.core.clock.now().micros();
        let digest = sha256_hex(code.as_bytes());
        let (mut tx, version) = self.core.database.begin_change().await?;
        let row = sqlx::query(
            "UPDATE handoffs SET used = $1 WHERE code_digest = $2 AND browser_digest = $3 AND host = $4 \
             AND used IS NULL AND code_expires > $1 AND session_id IS NOT NULL RETURNING session_id, target",
        )
        .bind(now)
        .bind(digest.clone())
        .bind(sha256_hex(browser.as_bytes()))
        .bind(host.to_owned())
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else {
            tx.rollback().await?;
            return Ok(Err(self.fault(&digest, browser, host, now).await?));
        };
        let session: SessionId = parsed(&row, "session_id", "session id")?;
        let target: String = row.try_get("target")?;
        let secret = random_text(&*self.core.entropy);
        if !open(&mut tx, session, &secret, host, now).await? {
            tx.rollback().await?;
            return Ok(Err(HandoffFault::Ended));
        }
        self.core.changes.commit(tx, version).await?;
        Ok(Ok(HostSession { session, secret, target }))
    }

    async fn fault(
        &self,
        digest: &str,
        browser: &str,
        host: &str,
        now: i64,
    ) -> Result<HandoffFault, StoreError> {
        let row = sqlx::query(
            "SELECT browser_digest, host, code_expires, used FROM handoffs WHERE code_digest = $1",
        )
        .bind(digest.to_owned())
        .fetch_optional(self.core.database.pool())
        .await?;
        let Some(row) = row else { return Ok(HandoffFault::Unknown) };
        if row.try_get::<String, _>("host")? != host {
            return Ok(HandoffFault::OtherHost);
        }
        if row.try_get::<String, _>("browser_digest")? != sha256_hex(browser.as_bytes()) {
            return Ok(HandoffFault::OtherBrowser);
        }
        if optional_moment(&row, "used")?.is_some() {
            return Ok(HandoffFault::Used);
        }
        let over = optional_moment(&row, "code_expires")?.is_none_or(|end| end.micros() <= now);
        Ok(if over { HandoffFault::Expired } else { HandoffFault::Ended })
    }
}

/// Adds a secret to a live web session, in place of those that it had at this host; false when it ended.
///
/// It is never older than the session's last second factor, also when that was given at an instance whose clock is
/// ahead: a secret made after a factor has to count as such, or its browser would be sent here again and again.
async fn open(
    tx: &mut WriteTx,
    session: SessionId,
    secret: &Secret<String>,
    host: &str,
    now: i64,
) -> Result<bool, StoreError> {
    sqlx::query("DELETE FROM host_sessions WHERE session_id = $1 AND host = $2 AND created < $3")
        .bind(session.to_string())
        .bind(host.to_owned())
        .bind(now.saturating_sub(micros(OVERLAP)))
        .execute(tx.connection())
        .await?;
    let inserted = sqlx::query(
        "INSERT INTO host_sessions (digest, session_id, host, created) \
         SELECT $1, sessions.id, $3, COALESCE((SELECT MAX(step_ups.opened) FROM step_ups \
         WHERE step_ups.credential_id = sessions.id AND step_ups.opened > $4), $4) FROM sessions \
         WHERE sessions.id = $2 AND sessions.kind = 'web_session' AND sessions.revoked IS NULL AND sessions.expires > $4",
    )
    .bind(digest_text(&credential_digest(secret.expose())))
    .bind(session.to_string())
    .bind(host.to_owned())
    .bind(now)
    .execute(tx.connection())
    .await?;
    Ok(inserted.rows_affected() == 1)
}
