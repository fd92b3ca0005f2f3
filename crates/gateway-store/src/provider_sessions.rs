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
use crate::statement::Statement;
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

    /// Ends sessions because their provider says so, and those that could still come of them, with a logout token
    /// that is used up thereby: of any number that bring it at once, on any number of instances, one ends them.
    /// `None` = it was used before. `over` is when nobody would take it any more.
    ///
    /// # Errors
    /// Only when the database cannot be written; then the token is not used and nothing has ended.
    pub async fn end(
        &self,
        issuer: &str,
        ending: Ending<'_>,
        jti: &str,
        over: Timestamp,
    ) -> Result<Option<Vec<EndedSession>>, StoreError> {
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        sqlx::query("DELETE FROM logout_tokens WHERE expires < $1")
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        let used = sqlx::query(
            "INSERT INTO logout_tokens (digest, expires) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(token_digest(issuer, jti))
        .bind(over.micros())
        .execute(tx.connection())
        .await?;
        if used.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(None);
        }
        let ended = end_of(&mut tx, issuer, ending, now).await?;
        self.core.changes.commit(tx, version).await?;
        Ok(Some(ended))
    }

    /// Whether a logout token was used.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn token_is_used(&self, issuer: &str, jti: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT expires FROM logout_tokens WHERE digest = $1")
            .bind(token_digest(issuer, jti))
            .fetch_optional(self.core.database.pool())
            .await?;
        Ok(row.is_some())
    }

    /// Notes that whoever signed in so gave a second factor.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn prove(&self, id: ProviderSessionId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query("UPDATE provider_sessions SET proven = $1 WHERE id = $2")
            .bind(self.core.clock.now().micros())
            .bind(id.to_string())
            .execute(self.core.database.pool())
            .await?;
        Ok(())
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

    /// At most `most` that are due and of which a session is still live, but none of the providers `but_of`; each
    /// is pushed back to `next` by this call, on whichever instance, so that it is asked about once.
    ///
    /// # Errors
    /// Only when the database cannot be used. One that does not open is skipped with a line in the log.
    pub async fn take_due(
        &self,
        next: Timestamp,
        most: i64,
        but_of: &[String],
    ) -> Result<Vec<DueProviderSession>, StoreError> {
        let now = self.core.clock.now().micros();
        let mut statement =
            Statement::new("SELECT id, refresh_at FROM provider_sessions WHERE refresh_at <= ");
        statement.number(now).sql(" AND ended IS NULL AND sealed IS NOT NULL");
        for provider in but_of {
            statement.sql(" AND provider <> ").text(provider);
        }
        statement.sql(" AND id IN (SELECT provider_session FROM sessions WHERE provider_session IS NOT NULL");
        statement.sql(" AND revoked IS NULL AND expires > ").number(now);
        statement.sql(" AND last_seen + idle_limit >= ").number(now);
        statement.sql(") ORDER BY refresh_at LIMIT ").number(most);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
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
}

fn token_digest(issuer: &str, jti: &str) -> String {
    sha256_hex(format!("{}:{issuer}:{jti}", issuer.len()).as_bytes())
}

/// Ends what a provider says is over, in a change that is under way. Which of its sessions one here came of is not
/// always known: what names the person too ends those of theirs as well.
async fn end_of(
    tx: &mut WriteTx,
    issuer: &str,
    ending: Ending<'_>,
    now: Timestamp,
) -> Result<Vec<EndedSession>, StoreError> {
    let (sid, subject) = match ending {
        Ending::Session { sid, subject } => (Some(sid), subject),
        Ending::Subject(subject) => (None, Some(subject)),
    };
    let texts = [Some(issuer), sid, subject];
    if texts.into_iter().flatten().any(|text| storable("it", text).is_err()) {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new("UPDATE provider_sessions SET ended = ");
    statement.number(now.micros()).sql(", sealed = NULL, refresh_at = NULL WHERE ended IS NULL");
    statement.sql(" AND issuer = ").text(issuer);
    if let Some(subject) = subject {
        statement.sql(" AND subject = ").text(subject);
    }
    if let Some(sid) = sid {
        statement.sql(" AND (sid = ").text(sid);
        statement.sql(if subject.is_some() { " OR sid IS NULL)" } else { ")" });
    }
    statement.sql(" RETURNING id");
    let mut ended = Vec::new();
    for row in statement.query().fetch_all(tx.connection()).await? {
        ended.extend(end_sessions(tx, &row.try_get::<String, _>("id")?, now).await?);
    }
    Ok(ended)
}

/// Lets no session come any more of what a person signed in with so far, in a change that is under way.
pub(crate) async fn end_all_of(tx: &mut WriteTx, user: UserId, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE provider_sessions SET ended = COALESCE(ended, $1), sealed = NULL, refresh_at = NULL \
         WHERE user_id = $2",
    )
    .bind(now.micros())
    .bind(user.to_string())
    .execute(tx.connection())
    .await?;
    end_waiting(tx, user).await
}

/// The same short of what the session `kept` came of.
pub(crate) async fn end_all_but(
    tx: &mut WriteTx,
    user: UserId,
    kept: SessionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE provider_sessions SET ended = COALESCE(ended, $1), sealed = NULL, refresh_at = NULL \
         WHERE user_id = $2 AND id NOT IN \
         (SELECT provider_session FROM sessions WHERE id = $3 AND provider_session IS NOT NULL)",
    )
    .bind(now.micros())
    .bind(user.to_string())
    .bind(kept.to_string())
    .execute(tx.connection())
    .await?;
    end_waiting(tx, user).await
}

/// Devices that a person let in and that did not come for their session yet, and codes of command lines that nobody
/// took, become none.
async fn end_waiting(tx: &mut WriteTx, user: UserId) -> Result<(), StoreError> {
    for statement in [
        "UPDATE device_sign_ins SET state = 'denied' WHERE user_id = $1 AND state = 'approved'",
        "DELETE FROM cli_codes WHERE user_id = $1 AND used IS NULL",
    ] {
        sqlx::query(statement).bind(user.to_string()).execute(tx.connection()).await?;
    }
    Ok(())
}

/// The same of what came of one session's session at the provider.
pub(crate) async fn end_waiting_of(tx: &mut WriteTx, session: SessionId) -> Result<(), StoreError> {
    for statement in [
        "UPDATE device_sign_ins SET state = 'denied' WHERE state = 'approved' \
         AND provider_session = (SELECT provider_session FROM sessions WHERE id = $1)",
        "DELETE FROM cli_codes WHERE used IS NULL \
         AND provider_session = (SELECT provider_session FROM sessions WHERE id = $1)",
    ] {
        sqlx::query(statement).bind(session.to_string()).execute(tx.connection()).await?;
    }
    Ok(())
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

/// The same of a whole row.
pub(crate) fn owner_of(row: &AnyRow) -> Result<String, StoreError> {
    Ok(owner(parsed(row, "id", "id of a provider session")?))
}
