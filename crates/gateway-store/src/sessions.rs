//! Sessions of people, on the web and of the CLI. Only the SHA-256 of a session's secret is kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{CredentialKind, ProviderSessionId, Secret, SessionId, Timestamp, TokenKind, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::provider_sessions::{end_all_but, end_all_of, end_waiting_of};
use crate::row::{moment, optional_moment, optional_parsed, parsed, storable};
use crate::secrets::{credential_digest, digest_text, random_text};
use crate::sign_ins::micros;
use crate::statement::Statement;
use crate::store::Core;
use crate::trusted_devices::forget;

/// How long the row of an ended session is kept for people to look at.
const KEPT_AFTER_END: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most sessions one listing holds.
const MOST_LISTED: i64 = 500;

/// A session's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// The row; never the secret.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Web or CLI.
    pub kind: CredentialKind,
    /// When it began.
    pub created: Timestamp,
    /// When it ends, used or not.
    pub expires: Timestamp,
    /// How long it may rest unused.
    pub idle_limit: Duration,
    /// When it was last used, to about a minute.
    pub last_seen: Timestamp,
    /// What it was opened with, as the client told it.
    pub device: String,
    /// From which address it was opened.
    pub ip: Option<IpAddr>,
    /// The program that opened it, as it says; empty when it said nothing.
    pub client: String,
    /// From which address it was last used, when it is another.
    pub last_ip: Option<IpAddr>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A session to be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewSession {
    /// Whose.
    pub user: UserId,
    /// [`CredentialKind::WebSession`] or [`CredentialKind::CliSession`]; nothing else is a session.
    pub kind: CredentialKind,
    /// When it ends, used or not.
    pub expires: Timestamp,
    /// How long it may rest unused.
    pub idle_limit: Duration,
    /// What it is opened with.
    pub device: String,
    /// From which address.
    pub ip: Option<IpAddr>,
}

/// What a session comes of, besides a person.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SessionSource {
    /// The session at an identity provider: once that ended, no session comes of it.
    pub provider_session: Option<ProviderSessionId>,
    /// The program that opens it, as it says.
    pub client: String,
}

/// The sessions of this gateway.
#[derive(Clone, Debug)]
pub struct Sessions {
    pub(crate) core: Arc<Core>,
}

const SELECT: &str = "SELECT id, user_id, kind, created, expires, idle_limit, last_seen, device, ip, client, last_ip, \
     revoked FROM sessions";

impl Sessions {
    /// When any session of a person was last used, to about a minute; `None` = they never had one that is remembered.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn last_seen_of(&self, user: UserId) -> Result<Option<Timestamp>, StoreError> {
        let row =
            sqlx::query("SELECT last_seen FROM sessions WHERE user_id = $1 ORDER BY last_seen DESC LIMIT 1")
                .bind(user.to_string())
                .fetch_optional(self.core.database.pool())
                .await?;
        row.map(|row| moment(&row, "last_seen")).transpose()
    }

    /// Opens a session. The secret is returned here and never again: an `rgs_…` token for the CLI,
    /// 43 base64url characters for the web.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn create(&self, new: NewSession) -> Result<(Session, Secret<String>), StoreError> {
        self.create_from(new, SessionSource::default()).await
    }

    /// The same, of a session at an identity provider.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person, or the session at the provider ended.
    pub async fn create_from(
        &self,
        new: NewSession,
        source: SessionSource,
    ) -> Result<(Session, Secret<String>), StoreError> {
        storable("the device", &new.device)?;
        storable("the client", &source.client)?;
        let secret = match new.kind {
            CredentialKind::CliSession => TokenKind::CliSession.generate(&*self.core.entropy),
            CredentialKind::WebSession => random_text(&*self.core.entropy),
            CredentialKind::None
            | CredentialKind::ApiToken
            | CredentialKind::AccessToken
            | CredentialKind::Workload => {
                return Err(StoreError::OutOfRange { field: "the kind of session" });
            }
        };
        let now = self.core.clock.now();
        let session = Session {
            id: SessionId::new(now, &*self.core.entropy),
            user: new.user,
            kind: new.kind,
            created: now,
            expires: new.expires,
            idle_limit: new.idle_limit,
            last_seen: now,
            device: new.device,
            ip: new.ip,
            client: source.client,
            last_ip: None,
            revoked: None,
        };
        self.insert(&session, &secret, source.provider_session).await?;
        Ok((session, secret))
    }

    async fn insert(
        &self,
        session: &Session,
        secret: &Secret<String>,
        of: Option<ProviderSessionId>,
    ) -> Result<(), StoreError> {
        let idle_limit = i64::try_from(session.idle_limit.as_micros())
            .map_err(|_large| StoreError::OutOfRange { field: "the idle limit" })?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let inserted = sqlx::query(
            "INSERT INTO sessions (id, digest, user_id, kind, created, expires, idle_limit, last_seen, device, ip, \
             client, provider_session) \
             SELECT $1, $2, users.id, $4, $5, $6, $7, $5, $8, $9, $10, $11 FROM users WHERE users.id = $3 \
             AND $12 = (SELECT count(*) FROM provider_sessions AS p WHERE p.id = $11 AND p.ended IS NULL)",
        )
        .bind(session.id.to_string())
        .bind(digest_text(&credential_digest(secret.expose())))
        .bind(session.user.to_string())
        .bind(session.kind.name())
        .bind(session.created.micros())
        .bind(session.expires.micros())
        .bind(idle_limit)
        .bind(session.device.clone())
        .bind(session.ip.map(|ip| ip.to_string()))
        .bind(session.client.clone())
        .bind(of.map(|id| id.to_string()))
        .bind(i64::from(of.is_some()))
        .execute(tx.connection())
        .await?;
        if inserted.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        let kept_micros = i64::try_from(KEPT_AFTER_END.as_micros()).unwrap_or(i64::MAX);
        sqlx::query("DELETE FROM sessions WHERE expires < $1")
            .bind(session.created.micros().saturating_sub(kept_micros))
            .execute(tx.connection())
            .await?;
        self.core.changes.commit(tx, version).await
    }

    /// A person's sessions that are neither revoked nor past their end, newest first, at most 500.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list_for_user(&self, user: UserId) -> Result<Vec<Session>, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE user_id = ").text(&user.to_string());
        statement.sql(" AND revoked IS NULL AND expires > ").number(self.core.clock.now().micros());
        statement.sql(" ORDER BY id DESC LIMIT ").number(MOST_LISTED);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(session).collect()
    }

    /// The session with this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: SessionId) -> Result<Option<Session>, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(session).transpose()
    }

    /// Gives a live web session another secret, in place of the one it had; the session itself stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such web session, or it ended.
    pub async fn renew(&self, id: SessionId) -> Result<Secret<String>, StoreError> {
        let secret = random_text(&*self.core.entropy);
        let (mut tx, version) = self.core.database.begin_change().await?;
        let renewed = sqlx::query(
            "UPDATE sessions SET digest = $1 WHERE id = $2 AND kind = $3 AND revoked IS NULL AND expires > $4",
        )
        .bind(digest_text(&credential_digest(secret.expose())))
        .bind(id.to_string())
        .bind(CredentialKind::WebSession.name())
        .bind(self.core.clock.now().micros())
        .execute(tx.connection())
        .await?;
        if renewed.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        self.core.changes.commit(tx, version).await?;
        Ok(secret)
    }

    /// Ends a session, and what it let in that has no session yet. Ending it again changes nothing more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke(&self, id: SessionId) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let revoked = sqlx::query("UPDATE sessions SET revoked = COALESCE(revoked, $1) WHERE id = $2")
            .bind(self.core.clock.now().micros())
            .bind(id.to_string())
            .execute(tx.connection())
            .await?;
        if revoked.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        end_waiting_of(&mut tx, id).await?;
        self.core.changes.commit(tx, version).await
    }

    /// Brings the live sessions of a kind within these limits: a limit that became shorter holds for them too, one
    /// that became longer does not. Returns how many it concerned.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn shorten(
        &self,
        kind: CredentialKind,
        idle_limit: Duration,
        longest: Duration,
    ) -> Result<u64, StoreError> {
        let (idle_limit, longest) = (micros(idle_limit), micros(longest));
        let (mut tx, version) = self.core.database.begin_change().await?;
        let shortened = sqlx::query(
            "UPDATE sessions SET idle_limit = CASE WHEN idle_limit > $1 THEN $1 ELSE idle_limit END, \
             expires = CASE WHEN expires > created + $2 THEN created + $2 ELSE expires END \
             WHERE kind = $3 AND revoked IS NULL AND expires > $4 \
             AND (idle_limit > $1 OR expires > created + $2)",
        )
        .bind(idle_limit)
        .bind(longest)
        .bind(kind.name())
        .bind(self.core.clock.now().micros())
        .execute(tx.connection())
        .await?;
        self.core.changes.commit(tx, version).await?;
        Ok(shortened.rows_affected())
    }

    /// Ends all sessions of a person but one, with what could still become one; returns how many were live.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn revoke_others(&self, user: UserId, kept: SessionId) -> Result<u64, StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let ended = end_others(&mut tx, user, kept, self.core.clock.now()).await?;
        self.core.changes.commit(tx, version).await?;
        Ok(ended)
    }

    /// Ends all sessions of a person, with what could still become one, and trusts none of their devices any longer;
    /// returns how many were live.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn revoke_all(&self, user: UserId) -> Result<u64, StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let now = self.core.clock.now();
        let revoked = sqlx::query(
            "UPDATE sessions SET revoked = $1 WHERE user_id = $2 AND revoked IS NULL AND expires > $1",
        )
        .bind(now.micros())
        .bind(user.to_string())
        .execute(tx.connection())
        .await?;
        end_all_of(&mut tx, user, now).await?;
        forget(&mut tx, user).await?;
        self.core.changes.commit(tx, version).await?;
        Ok(revoked.rows_affected())
    }
}

/// Ends all sessions of a person but one, with what could still become one, in a change that is under way.
pub(crate) async fn end_others(
    tx: &mut WriteTx,
    user: UserId,
    kept: SessionId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let ended = sqlx::query(
        "UPDATE sessions SET revoked = $1 \
         WHERE user_id = $2 AND id <> $3 AND revoked IS NULL AND expires > $1",
    )
    .bind(now.micros())
    .bind(user.to_string())
    .bind(kept.to_string())
    .execute(tx.connection())
    .await?;
    end_all_but(tx, user, kept, now).await?;
    Ok(ended.rows_affected())
}

/// The kind of session a stored name stands for.
pub(crate) fn kind(name: &str) -> Result<CredentialKind, StoreError> {
    [CredentialKind::WebSession, CredentialKind::CliSession]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or(StoreError::Corrupt { what: "kind of session" })
}

/// A stored idle limit.
pub(crate) fn idle_limit(row: &AnyRow) -> Result<Duration, StoreError> {
    u64::try_from(row.try_get::<i64, _>("idle_limit")?)
        .map(Duration::from_micros)
        .map_err(|_negative| StoreError::Corrupt { what: "idle limit" })
}

fn session(row: &AnyRow) -> Result<Session, StoreError> {
    Ok(Session {
        id: parsed(row, "id", "session id")?,
        user: parsed(row, "user_id", "user id")?,
        kind: kind(&row.try_get::<String, _>("kind")?)?,
        created: moment(row, "created")?,
        expires: moment(row, "expires")?,
        idle_limit: idle_limit(row)?,
        last_seen: moment(row, "last_seen")?,
        device: row.try_get("device")?,
        ip: optional_parsed(row, "ip", "address")?,
        client: row.try_get("client")?,
        last_ip: optional_parsed(row, "last_ip", "address")?,
        revoked: optional_moment(row, "revoked")?,
    })
}
