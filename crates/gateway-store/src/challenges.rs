//! Step-up challenges: what a session was refused for want of a second factor, kept so that its person
//! can confirm exactly that elsewhere. Whether a code is right is not known here.
//!
//! A bound one lets one request through, once, see [`Challenges::take`].

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{ChallengeId, SessionId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, optional_moment, optional_parsed, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// How long a challenge waits to be confirmed, and then, when it is bound, to be used.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(5 * 60);

/// The most open challenges of one session; the oldest give way.
const MOST_OPEN: i64 = 50;

/// A challenge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// The row.
    pub id: ChallengeId,
    /// The session that was refused.
    pub session: SessionId,
    /// Whose session that is.
    pub user: UserId,
    /// The action's full name.
    pub action: String,
    /// What it is done to, as people read it.
    pub resource: String,
    /// Method and path that were asked for.
    pub target: String,
    /// For this very action, once; else it opens the session's window.
    pub bound: bool,
    /// From which address it was asked for.
    pub ip: Option<IpAddr>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When its person confirmed it.
    pub confirmed: Option<Timestamp>,
}

/// A challenge to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewChallenge {
    /// See [`Challenge::session`].
    pub session: SessionId,
    /// See [`Challenge::user`].
    pub user: UserId,
    /// See [`Challenge::action`].
    pub action: String,
    /// See [`Challenge::resource`].
    pub resource: String,
    /// See [`Challenge::target`].
    pub target: String,
    /// See [`Challenge::bound`].
    pub bound: bool,
    /// See [`Challenge::ip`].
    pub ip: Option<IpAddr>,
}

/// The challenges of this gateway.
#[derive(Clone, Debug)]
pub struct Challenges {
    pub(crate) core: Arc<Core>,
}

const SELECT: &str = "SELECT id, session_id, user_id, action, resource, target, bound, ip, created, \
     expires, confirmed FROM step_up_challenges";

impl Challenges {
    /// The open challenge of this session, action and target: the one that is there, or a new one. Asking
    /// again prints the same address again.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn open(&self, new: &NewChallenge) -> Result<ChallengeId, StoreError> {
        storable("the target", &new.target)?;
        let now = self.core.clock.now();
        let id = ChallengeId::new(now, &*self.core.entropy);
        let mut tx = self.core.database.begin().await?;
        sqlx::query(
            // One of a window that was confirmed has done its work: a window that ended needs another. One that asks for
            // something else is of policies that are others now.
            "DELETE FROM step_up_challenges WHERE expires <= $1 OR \
             (session_id = $2 AND action = $3 AND target = $4 AND \
              (used IS NOT NULL OR bound <> $5 OR (bound = 0 AND confirmed IS NOT NULL)))",
        )
        .bind(now.micros())
        .bind(new.session.to_string())
        .bind(new.action.clone())
        .bind(new.target.clone())
        .bind(i64::from(new.bound))
        .execute(tx.connection())
        .await?;
        sqlx::query(
            "INSERT INTO step_up_challenges \
             (id, session_id, user_id, action, resource, target, bound, ip, created, expires) \
             SELECT $1, sessions.id, $3, $4, $5, $6, $7, $8, $9, $10 FROM sessions WHERE sessions.id = $2 \
             ON CONFLICT (session_id, action, target) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(new.session.to_string())
        .bind(new.user.to_string())
        .bind(new.action.clone())
        .bind(new.resource.clone())
        .bind(new.target.clone())
        .bind(i64::from(new.bound))
        .bind(new.ip.map(|ip| ip.to_string()))
        .bind(now.micros())
        .bind(now.saturating_add(CHALLENGE_LIFE).micros())
        .execute(tx.connection())
        .await?;
        sqlx::query(
            "DELETE FROM step_up_challenges WHERE session_id = $1 AND id NOT IN \
             (SELECT id FROM step_up_challenges AS kept WHERE kept.session_id = $1 \
              ORDER BY kept.id DESC LIMIT $2)",
        )
        .bind(new.session.to_string())
        .bind(MOST_OPEN)
        .execute(tx.connection())
        .await?;
        let row = sqlx::query(
            "SELECT id FROM step_up_challenges WHERE session_id = $1 AND action = $2 AND target = $3",
        )
        .bind(new.session.to_string())
        .bind(new.action.clone())
        .bind(new.target.clone())
        .fetch_optional(tx.connection())
        .await?;
        let open = row.as_ref().map(|row| parsed(row, "id", "challenge id")).transpose()?;
        tx.commit().await?;
        open.ok_or(StoreError::NotFound)
    }

    /// The challenge with this id, when it is one of this person's and did not end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn of(&self, user: UserId, id: ChallengeId) -> Result<Challenge, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE id = ").text(&id.to_string());
        statement.sql(" AND user_id = ").text(&user.to_string());
        statement.sql(" AND used IS NULL AND expires > ").number(self.core.clock.now().micros());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(challenge).transpose()?.ok_or(StoreError::NotFound)
    }

    /// The challenges of this session that wait to be confirmed, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn waiting(&self, session: SessionId) -> Result<Vec<Challenge>, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE session_id = ").text(&session.to_string());
        statement.sql(" AND expires > ").number(self.core.clock.now().micros());
        statement.sql(" AND confirmed IS NULL AND used IS NULL ORDER BY id DESC");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(challenge).collect()
    }

    /// Notes that the person confirmed the challenge with this factor. From now on it has
    /// [`CHALLENGE_LIFE`] to be used.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it ended, or was confirmed before.
    pub async fn confirm(&self, user: UserId, id: ChallengeId, factor: &str) -> Result<(), StoreError> {
        let now = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        let confirmed = sqlx::query(
            "UPDATE step_up_challenges SET confirmed = $1, expires = $2, factor = $3 \
             WHERE id = $4 AND user_id = $5 AND expires > $1 AND confirmed IS NULL AND used IS NULL",
        )
        .bind(now.micros())
        .bind(now.saturating_add(CHALLENGE_LIFE).micros())
        .bind(factor.to_owned())
        .bind(id.to_string())
        .bind(user.to_string())
        .execute(self.core.database.pool())
        .await?;
        if confirmed.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Forgets the challenge of this session for exactly this action and target that nobody confirmed: the code came
    /// with the request instead.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn settle(&self, session: SessionId, action: &str, target: &str) -> Result<(), StoreError> {
        if storable("the target", target).is_err() {
            return Ok(());
        }
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "DELETE FROM step_up_challenges WHERE session_id = $1 AND action = $2 AND target = $3 \
             AND confirmed IS NULL",
        )
        .bind(session.to_string())
        .bind(action.to_owned())
        .bind(target.to_owned())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// Uses up the confirmed, bound challenge of this session for exactly this action and target, and
    /// says with which factor it was confirmed; `None` when there is none.
    ///
    /// # Errors
    /// Only when the database cannot be written; whether it is used is then not known.
    ///
    /// # Security
    /// One statement compares and sets, so that of any number of requests at once, on any number of
    /// instances, one gets it.
    pub async fn take(
        &self,
        session: SessionId,
        action: &str,
        target: &str,
    ) -> Result<Option<String>, StoreError> {
        let now = self.core.clock.now().micros();
        let _turn = self.core.database.write_turn().await;
        let row = sqlx::query(
            "UPDATE step_up_challenges SET used = $1 WHERE session_id = $2 AND action = $3 AND target = $4 \
             AND bound = 1 AND confirmed IS NOT NULL AND used IS NULL AND expires > $1 RETURNING factor",
        )
        .bind(now)
        .bind(session.to_string())
        .bind(action.to_owned())
        .bind(target.to_owned())
        .fetch_optional(self.core.database.pool())
        .await?;
        Ok(row.map(|row| row.try_get::<String, _>("factor")).transpose()?)
    }
}

fn challenge(row: &AnyRow) -> Result<Challenge, StoreError> {
    Ok(Challenge {
        id: parsed(row, "id", "challenge id")?,
        session: parsed(row, "session_id", "session id")?,
        user: parsed(row, "user_id", "user id")?,
        action: row.try_get("action")?,
        resource: row.try_get("resource")?,
        target: row.try_get("target")?,
        bound: row.try_get::<i64, _>("bound")? != 0,
        ip: optional_parsed(row, "ip", "address")?,
        created: moment(row, "created")?,
        expires: moment(row, "expires")?,
        confirmed: optional_moment(row, "confirmed")?,
    })
}
