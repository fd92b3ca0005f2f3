//! Sessions of people at identity providers: which sessions here came of which, what a provider is asked again
//! with (sealed), and which logout tokens were used. What a provider says, and when it is asked, is not known
//! here.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{ProviderSessionId, Secret, SessionId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::row::{parsed, storable};
use crate::sealing::Sealer;
use crate::secrets::sha256_hex;
use crate::sign_ins::micros;
use crate::store::Core;

/// What the key of what is kept is derived for.
pub(crate) const SEALING_KEY: &str = "provider-session-sealing/v1";

/// How long the row of one from which no session is left is kept: as long as a command line has for its code.
const KEPT_UNUSED: Duration = Duration::from_secs(24 * 3600);

/// A session at a provider, to be noted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProviderSession {
    /// Whose.
    pub user: UserId,
    /// The provider's name here.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// The person there.
    pub subject: String,
    /// What the provider calls its session.
    pub sid: Option<String>,
    /// What the provider is asked again with, and when that is due.
    pub again: Option<(Secret<Vec<u8>>, Timestamp)>,
}

/// One that is due to be asked about. It was pushed back by whoever got this, so that nobody else asks too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DueProviderSession {
    /// The row.
    pub id: ProviderSessionId,
    /// Whose.
    pub user: UserId,
    /// The provider's name here.
    pub provider: String,
    /// Its issuer.
    pub issuer: String,
    /// The person there.
    pub subject: String,
    /// What the provider is asked with.
    pub kept: Secret<Vec<u8>>,
}

/// Whose sessions a provider ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending<'a> {
    /// All that came of this session of the provider.
    Session {
        /// Its name there.
        sid: &'a str,
        /// Whose it must be, when the provider says so.
        subject: Option<&'a str>,
    },
    /// All of this person there.
    Subject(&'a str),
}

/// A session here that ended because the provider's did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndedSession {
    /// Which.
    pub session: SessionId,
    /// Whose.
    pub user: UserId,
}

/// Whether a logout token is used for the first time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenUse {
    /// Yes.
    First,
    /// No.
    Again,
}

/// The sessions at providers.
#[derive(Clone, Debug)]
pub struct ProviderSessions {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

impl ProviderSessions {
    /// Notes one; forgets those of which nothing is left.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn open(&self, new: &NewProviderSession) -> Result<ProviderSessionId, StoreError> {
        for (field, text) in [("the subject", &new.subject), ("the issuer", &new.issuer)] {
            storable(field, text)?;
        }
        storable("the provider's session", new.sid.as_deref().unwrap_or_default())?;
        let now = self.core.clock.now();
        let id = ProviderSessionId::new(now, &*self.core.entropy);
        let sealed = new
            .again
            .as_ref()
            .map(|(kept, _)| self.sealer.seal(kept, &owner(id), &*self.core.entropy))
            .transpose()?;
        let mut tx = self.core.database.begin().await?;
        sqlx::query(
            "DELETE FROM provider_sessions WHERE created < $1 AND NOT EXISTS \
             (SELECT 1 FROM sessions WHERE sessions.provider_session = provider_sessions.id)",
        )
        .bind(now.micros().saturating_sub(micros(KEPT_UNUSED)))
        .execute(tx.connection())
        .await?;
        let inserted = sqlx::query(
            "INSERT INTO provider_sessions \
             (id, user_id, provider, issuer, subject, sid, sealed, key_id, created, refresh_at) \
             SELECT $1, users.id, $3, $4, $5, $6, $7, $8, $9, $10 FROM users WHERE users.id = $2",
        )
        .bind(id.to_string())
        .bind(new.user.to_string())
        .bind(new.provider.clone())
        .bind(new.issuer.clone())
        .bind(new.subject.clone())
        .bind(new.sid.clone())
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(now.micros())
        .bind(new.again.as_ref().map(|(_, due)| due.micros()))
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        if inserted.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(id) }
    }

    /// The provider, by its name here, from which a session came.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn provider_of(&self, session: SessionId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT p.provider FROM sessions AS s JOIN provider_sessions AS p ON p.id = s.provider_session \
             WHERE s.id = $1",
        )
        .bind(session.to_string())
        .fetch_optional(self.core.database.pool())
        .await?;
        row.map(|row| Ok(row.try_get("provider")?)).transpose()
    }

    /// Ends sessions because their provider says so, and those that could still come of them.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn end(&self, issuer: &str, ending: Ending<'_>) -> Result<Vec<EndedSession>, StoreError> {
        let (column, value, subject) = match ending {
            Ending::Session { sid, subject } => ("sid", sid, subject),
            Ending::Subject(subject) => ("subject", subject, None),
        };
        if [issuer, value, subject.unwrap_or_default()].iter().any(|text| storable("it", text).is_err()) {
            return Ok(Vec::new());
        }
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let sql = match (column, subject) {
            ("sid", Some(_)) => {
                "UPDATE provider_sessions SET ended = $1, sealed = NULL, refresh_at = NULL \
                 WHERE issuer = $2 AND sid = $3 AND subject = $4 AND ended IS NULL RETURNING id"
            }
            ("sid", None) => {
                "UPDATE provider_sessions SET ended = $1, sealed = NULL, refresh_at = NULL \
                 WHERE issuer = $2 AND sid = $3 AND ended IS NULL RETURNING id"
            }
            _ => {
                "UPDATE provider_sessions SET ended = $1, sealed = NULL, refresh_at = NULL \
                 WHERE issuer = $2 AND subject = $3 AND ended IS NULL RETURNING id"
            }
        };
        let mut query = sqlx::query(sql).bind(now.micros()).bind(issuer.to_owned()).bind(value.to_owned());
        if let Some(subject) = subject {
            query = query.bind(subject.to_owned());
        }
        let mut ended = Vec::new();
        for row in query.fetch_all(tx.connection()).await? {
            ended.extend(end_sessions(&mut tx, &row.try_get::<String, _>("id")?, now).await?);
        }
        self.core.changes.commit(tx, version).await?;
        Ok(ended)
    }

    /// Ends one, with the sessions that came of it.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn end_one(&self, id: ProviderSessionId) -> Result<Vec<EndedSession>, StoreError> {
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query(
            "UPDATE provider_sessions SET ended = COALESCE(ended, $1), sealed = NULL, refresh_at = NULL \
             WHERE id = $2",
        )
        .bind(now.micros())
        .bind(id.to_string())
        .execute(tx.connection())
        .await?;
        let ended = end_sessions(&mut tx, &id.to_string(), now).await?;
        self.core.changes.commit(tx, version).await?;
        Ok(ended)
    }

    /// At most `most` that are due and of which a session is still live; each is pushed back to `next` by this
    /// call, on whichever instance, so that it is asked about once.
    ///
    /// # Errors
    /// Only when the database cannot be used. One that does not open is skipped with a line in the log.
    pub async fn take_due(&self, next: Timestamp, most: i64) -> Result<Vec<DueProviderSession>, StoreError> {
        let now = self.core.clock.now().micros();
        let rows = sqlx::query(
            "SELECT id, refresh_at FROM provider_sessions WHERE refresh_at <= $1 AND ended IS NULL \
             AND sealed IS NOT NULL AND id IN (SELECT provider_session FROM sessions \
             WHERE provider_session IS NOT NULL AND revoked IS NULL AND expires > $1 \
             AND last_seen + idle_limit >= $1) ORDER BY refresh_at LIMIT $2",
        )
        .bind(now)
        .bind(most)
        .fetch_all(self.core.database.pool())
        .await?;
        let mut due = Vec::new();
        for row in rows {
            let (id, was): (String, i64) = (row.try_get("id")?, row.try_get("refresh_at")?);
            let _turn = self.core.database.write_turn().await;
            let taken = sqlx::query(
                "UPDATE provider_sessions SET refresh_at = $1 WHERE id = $2 AND refresh_at = $3 \
                 RETURNING id, user_id, provider, issuer, subject, sealed, key_id",
            )
            .bind(next.micros())
            .bind(id)
            .bind(was)
            .fetch_optional(self.core.database.pool())
            .await?;
            match taken.as_ref().map(|row| self.due(row)).transpose() {
                Ok(taken) => due.extend(taken),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "what a provider is asked with cannot be read"
                    );
                }
            }
        }
        Ok(due)
    }

    fn due(&self, row: &AnyRow) -> Result<DueProviderSession, StoreError> {
        let id: ProviderSessionId = parsed(row, "id", "provider session id")?;
        let (sealed, key_id): (String, String) = (row.try_get("sealed")?, row.try_get("key_id")?);
        Ok(DueProviderSession {
            id,
            user: parsed(row, "user_id", "user id")?,
            provider: row.try_get("provider")?,
            issuer: row.try_get("issuer")?,
            subject: row.try_get("subject")?,
            kept: self.sealer.open(&sealed, &key_id, &owner(id))?,
        })
    }

    /// Keeps what the provider is asked with next, in place of what was spent.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn keep(&self, id: ProviderSessionId, kept: &Secret<Vec<u8>>) -> Result<(), StoreError> {
        let sealed = self.sealer.seal(kept, &owner(id), &*self.core.entropy)?;
        let _turn = self.core.database.write_turn().await;
        sqlx::query("UPDATE provider_sessions SET sealed = $1, key_id = $2 WHERE id = $3 AND ended IS NULL")
            .bind(sealed)
            .bind(self.sealer.key_id().to_owned())
            .bind(id.to_string())
            .execute(self.core.database.pool())
            .await?;
        Ok(())
    }

    /// Uses a logout token: of any number that bring it at once, on any number of instances, one is first.
    /// `over` is when nobody would take it any more.
    ///
    /// # Errors
    /// Only when the database cannot be written; then nothing may be done for the token.
    pub async fn use_token(&self, issuer: &str, jti: &str, over: Timestamp) -> Result<TokenUse, StoreError> {
        let digest = sha256_hex(format!("{}:{issuer}:{jti}", issuer.len()).as_bytes());
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM logout_tokens WHERE expires < $1")
            .bind(self.core.clock.now().micros())
            .execute(tx.connection())
            .await?;
        let used = sqlx::query(
            "INSERT INTO logout_tokens (digest, expires) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(digest)
        .bind(over.micros())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(if used.rows_affected() == 1 { TokenUse::First } else { TokenUse::Again })
    }
}

async fn end_sessions(tx: &mut WriteTx, id: &str, now: Timestamp) -> Result<Vec<EndedSession>, StoreError> {
    let rows = sqlx::query(
        "UPDATE sessions SET revoked = $1 WHERE provider_session = $2 AND revoked IS NULL AND expires > $1 \
         RETURNING id, user_id",
    )
    .bind(now.micros())
    .bind(id.to_owned())
    .fetch_all(tx.connection())
    .await?;
    let ended = |row: &AnyRow| {
        Ok(EndedSession {
            session: parsed(row, "id", "session id")?,
            user: parsed(row, "user_id", "user id")?,
        })
    };
    rows.iter().map(ended).collect()
}

/// What it is sealed for.
fn owner(id: ProviderSessionId) -> String {
    format!("provider-session:{id}")
}
