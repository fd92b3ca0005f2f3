//! Challenges that passkeys were given: kept on the server, each for one asker and one purpose, taken once.
//! What is in them, and whether an answer is right, is not known here.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{SessionId, Timestamp};
use sqlx::Row;

use crate::error::StoreError;
use crate::row::storable;
use crate::secrets::sha256_hex;
use crate::store::Core;

/// The most open ceremonies of one asker; the oldest give way.
const MOST_OPEN: i64 = 20;

/// Who asks a passkey: nobody else may bring its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker<'a> {
    /// A session.
    Session(SessionId),
    /// A sign-in that waits for its second factor, by its state.
    SignIn(&'a str),
}

impl Asker<'_> {
    fn kept(self) -> String {
        match self {
            Asker::Session(id) => id.to_string(),
            Asker::SignIn(state) => format!("sign-in:{}", sha256_hex(state.as_bytes())),
        }
    }
}

/// A ceremony to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewCeremony<'a> {
    /// Who asks.
    pub asker: Asker<'a>,
    /// What its answer will be good for, and nothing else.
    pub purpose: String,
    /// SHA-256 of the challenge, in hexadecimal.
    pub challenge: String,
    /// What the answer is checked with.
    pub state: String,
    /// How long it waits.
    pub life: Duration,
}

/// The ceremonies of this gateway.
#[derive(Clone, Debug)]
pub struct Ceremonies {
    pub(crate) core: Arc<Core>,
}

impl Ceremonies {
    /// Keeps a ceremony; until when.
    ///
    /// # Errors
    /// When the database cannot be written, or [`StoreError::NotStorable`] for a purpose that cannot be kept.
    pub async fn open(&self, new: &NewCeremony<'_>) -> Result<Timestamp, StoreError> {
        storable("the purpose", &new.purpose)?;
        let now = self.core.clock.now();
        let expires = now.saturating_add(new.life);
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM webauthn_ceremonies WHERE expires <= $1")
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "INSERT INTO webauthn_ceremonies (challenge, asker, purpose, state, created, expires) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.challenge.clone())
        .bind(new.asker.kept())
        .bind(new.purpose.clone())
        .bind(new.state.clone())
        .bind(now.micros())
        .bind(expires.micros())
        .execute(tx.connection())
        .await?;
        sqlx::query(
            "DELETE FROM webauthn_ceremonies WHERE asker = $1 AND challenge NOT IN \
             (SELECT challenge FROM webauthn_ceremonies AS kept WHERE kept.asker = $1 \
              ORDER BY kept.created DESC, kept.challenge DESC LIMIT $2)",
        )
        .bind(new.asker.kept())
        .bind(MOST_OPEN)
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(expires)
    }

    /// Takes the ceremony of this challenge, when it is of this asker, for this purpose, and did not end;
    /// what its answer is checked with.
    ///
    /// # Errors
    /// Only when the database cannot be written; whether it is taken is then not known.
    ///
    /// # Security
    /// One statement finds and deletes, so that of any number of answers at once, on any number of instances,
    /// one gets it. An answer that then turns out to be wrong has used it up too.
    pub async fn take(
        &self,
        asker: Asker<'_>,
        purpose: &str,
        challenge: &str,
    ) -> Result<Option<String>, StoreError> {
        if storable("the purpose", purpose).is_err() || storable("the challenge", challenge).is_err() {
            return Ok(None);
        }
        let _turn = self.core.database.write_turn().await;
        let row = sqlx::query(
            "DELETE FROM webauthn_ceremonies WHERE challenge = $1 AND asker = $2 AND purpose = $3 \
             AND expires > $4 RETURNING state",
        )
        .bind(challenge.to_owned())
        .bind(asker.kept())
        .bind(purpose.to_owned())
        .bind(self.core.clock.now().micros())
        .fetch_optional(self.core.database.pool())
        .await?;
        Ok(row.map(|row| row.try_get::<String, _>("state")).transpose()?)
    }
}
