//! Codes that a command line turns into a session, once, within a minute. A code that comes again ends the
//! session that came of it (RFC 6749, section 4.1.2). What a code must be presented with is not known here.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{ProviderSessionId, Secret, SessionId, Timestamp, UserId};
use sqlx::Row;

use crate::error::StoreError;
use crate::row::{optional_parsed, parsed, storable};
use crate::secrets::{random_text, sha256_hex};
use crate::sign_ins::micros;
use crate::store::Core;

/// How long a command line has to present its code.
pub const CODE_TIME: Duration = Duration::from_secs(60);

/// How long a code is known after its end, so that one that comes again is noticed.
const KEPT_AFTER_END: Duration = Duration::from_secs(24 * 3600);

/// A code to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewCliCode {
    /// Who signed in.
    pub user: UserId,
    /// The SHA-256 of what must be presented with it, in base64url (RFC 7636).
    pub code_challenge: String,
    /// Where it is sent to.
    pub redirect_uri: String,
    /// The device that asked.
    pub device: String,
    /// The session at the identity provider that it comes of.
    pub provider_session: Option<ProviderSessionId>,
}

/// What a code stands for.
pub type CliCode = NewCliCode;

/// What became of a presented code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TakenCode {
    /// It is spent by this call.
    Taken(CliCode),
    /// It was spent before; the session that came of it, when it was made by then.
    Replayed(Option<SessionId>),
    /// There is none, or it is over.
    Refused,
}

/// The codes of this gateway.
#[derive(Clone, Debug)]
pub struct CliCodes {
    pub(crate) core: Arc<Core>,
}

impl CliCodes {
    /// Makes a code. It is returned here and never again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn create(&self, new: &NewCliCode) -> Result<Secret<String>, StoreError> {
        storable("the device", &new.device)?;
        let code = random_text(&*self.core.entropy);
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM cli_codes WHERE expires < $1")
            .bind(now.micros().saturating_sub(micros(KEPT_AFTER_END)))
            .execute(tx.connection())
            .await?;
        let inserted = sqlx::query(
            "INSERT INTO cli_codes (digest, user_id, code_challenge, redirect_uri, device, created, expires, \
             provider_session) SELECT $1, users.id, $3, $4, $5, $6, $7, $8 FROM users WHERE users.id = $2",
        )
        .bind(sha256_hex(code.expose().as_bytes()))
        .bind(new.user.to_string())
        .bind(new.code_challenge.clone())
        .bind(new.redirect_uri.clone())
        .bind(new.device.clone())
        .bind(now.micros())
        .bind(now.saturating_add(CODE_TIME).micros())
        .bind(new.provider_session.map(|id| id.to_string()))
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        if inserted.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(code) }
    }

    /// Spends a code: of any number that present it at once, on any number of instances, one gets it.
    ///
    /// # Errors
    /// Only when the database cannot be written; whether the code is spent is then not known.
    pub async fn take(&self, code: &str) -> Result<TakenCode, StoreError> {
        let digest = sha256_hex(code.as_bytes());
        let now: Timestamp = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        let taken = sqlx::query(
            "UPDATE cli_codes SET used = $1 WHERE digest = $2 AND used IS NULL AND expires > $1 \
             RETURNING user_id, code_challenge, redirect_uri, device, provider_session",
        )
        .bind(now.micros())
        .bind(digest.clone())
        .fetch_optional(self.core.database.pool())
        .await?;
        if let Some(row) = taken {
            return Ok(TakenCode::Taken(CliCode {
                user: parsed(&row, "user_id", "user id")?,
                code_challenge: row.try_get("code_challenge")?,
                redirect_uri: row.try_get("redirect_uri")?,
                device: row.try_get("device")?,
                provider_session: optional_parsed(&row, "provider_session", "provider session id")?,
            }));
        }
        let replayed = sqlx::query(
            "UPDATE cli_codes SET replayed = COALESCE(replayed, $1) WHERE digest = $2 AND used IS NOT NULL \
             RETURNING session_id",
        )
        .bind(now.micros())
        .bind(digest)
        .fetch_optional(self.core.database.pool())
        .await?;
        Ok(match replayed {
            Some(row) => TakenCode::Replayed(optional_parsed(&row, "session_id", "session id")?),
            None => TakenCode::Refused,
        })
    }

    /// Notes which session came of a code that was taken.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the code came again meanwhile: the session must end.
    pub async fn opened(&self, code: &str, session: SessionId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        let noted = sqlx::query(
            "UPDATE cli_codes SET session_id = $1 WHERE digest = $2 AND used IS NOT NULL AND replayed IS NULL",
        )
        .bind(session.to_string())
        .bind(sha256_hex(code.as_bytes()))
        .execute(self.core.database.pool())
        .await?;
        if noted.rows_affected() == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }
}
