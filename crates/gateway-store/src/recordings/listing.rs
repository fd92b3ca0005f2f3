//! Sessions as they are listed, ended from elsewhere, found to be dead, and forgotten.

use gateway_types::{RecordingId, RequestId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Recordings;
use crate::error::StoreError;
use crate::row::{Page, moment, optional_moment, optional_parsed, page_size, parsed, storable};
use crate::statement::Statement;

/// How old the sign of life of a session's instance may be, in microseconds by the database's clock.
const STALE_MICROS: i64 = 60_000_000;

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// It goes on.
    Live,
    /// It ended, and how is known.
    Ended,
    /// Its instance died: what was written until then is there.
    Cut,
}

impl SessionState {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            SessionState::Live => "live",
            SessionState::Ended => "ended",
            SessionState::Cut => "cut",
        }
    }
}

/// A session as it is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedSession {
    /// Its id.
    pub id: RecordingId,
    /// The request that it began with.
    pub request_id: RequestId,
    /// The operation.
    pub action: String,
    /// Which app, when it is in one.
    pub app: Option<String>,
    /// What it is in.
    pub target: String,
    /// The command, masked.
    pub command: Option<String>,
    /// Which person.
    pub user: Option<UserId>,
    /// The shown name of whoever it is of.
    pub actor: String,
    /// From where.
    pub source_ip: String,
    /// How it is recorded.
    pub mode: String,
    /// Where it stands.
    pub state: SessionState,
    /// Since when.
    pub began: Timestamp,
    /// Until when.
    pub ended: Option<Timestamp>,
    /// How it ended.
    pub ending: Option<String>,
    /// How many pieces there are.
    pub chunks: u64,
    /// How many bytes they have, before they were packed.
    pub plain_bytes: u64,
    /// How many bytes of the session are in no piece.
    pub lost_bytes: u64,
    /// The digest of the last piece, in hexadecimal; empty while there is none.
    pub digest: String,
    /// Whether a second person is waited for, or there; `None` when it needs none.
    pub second: Option<SecondPerson>,
    /// Since when its client is away; `None` while it is there.
    pub detached: Option<Timestamp>,
}

/// How it stands with the second person of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecondPerson {
    /// Nobody has joined yet.
    Waits,
    /// Somebody has.
    There,
}

impl SecondPerson {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            SecondPerson::Waits => "waits",
            SecondPerson::There => "there",
        }
    }
}

/// Which sessions are asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecordingFilter {
    /// Of this app.
    pub app: Option<String>,
    /// Of this person.
    pub user: Option<UserId>,
    /// Whose name contains this.
    pub actor: Option<String>,
    /// Only those of which something was recorded.
    pub recorded_only: bool,
    /// How many.
    pub limit: u32,
    /// Those after this one.
    pub cursor: Option<String>,
}

/// A session of this instance that somebody wants to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StopOrder {
    /// Which.
    pub id: RecordingId,
    /// Why, for the person.
    pub reason: String,
    /// Who.
    pub by: String,
}

const COLUMNS: &str = "id, request_id, action, app, target, command, user_id, actor, source_ip, mode, state, began, \
                       ended, ending, chunks, plain_bytes, lost_bytes, digest, second, detached FROM recordings";

impl Recordings {
    /// The session of this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: RecordingId) -> Result<Option<RecordedSession>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(session).transpose()
    }

    /// A page of sessions, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, filter: &RecordingFilter) -> Result<Page<RecordedSession>, StoreError> {
        let limit = page_size(filter.limit);
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE 1 = 1");
        if let Some(app) = &filter.app {
            statement.sql(" AND app = ").text(app);
        }
        if let Some(user) = filter.user {
            statement.sql(" AND user_id = ").text(&user.to_string());
        }
        if let Some(actor) = &filter.actor {
            statement.sql(" AND ").contains("lower(actor)", actor);
        }
        if filter.recorded_only {
            statement.sql(" AND chunks > 0");
        }
        if let Some(cursor) = &filter.cursor {
            statement.sql(" AND id < ").text(cursor);
        }
        // Ids are UUIDv7: their order is that of their time.
        statement.sql(" ORDER BY id DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let items = rows.iter().map(session).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(items, limit, |last: &RecordedSession| last.id.to_string()))
    }

    /// Notes whether the client of a session of this instance is away.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_detached(&self, id: RecordingId, is_away: bool) -> Result<(), StoreError> {
        let mut update = Statement::new("UPDATE recordings SET detached = ");
        match is_away {
            true => update.number(self.core.clock.now().micros()),
            false => update.sql("NULL"),
        };
        update.sql(" WHERE state = 'live' AND id = ").text(&id.to_string());
        let _turn = self.core.database.write_turn().await;
        update.query().execute(self.core.database.pool()).await?;
        Ok(())
    }

    /// Sessions that go on, on any instance, oldest first; at most 1000.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn live(&self) -> Result<Vec<RecordedSession>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE state = 'live' AND beat > ");
        statement.sql(self.core.database.now_sql()).sql(" - ").number(STALE_MICROS);
        statement.sql(" ORDER BY id LIMIT 1000");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(session).collect()
    }

    /// Says that these sessions go on.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn beat(&self, ids: &[RecordingId]) -> Result<(), StoreError> {
        for some in ids.chunks(200) {
            let mut statement = Statement::new("UPDATE recordings SET beat = ");
            statement.sql(self.core.database.now_sql()).sql(" WHERE state = 'live' AND id IN (''");
            for id in some {
                statement.sql(", ").text(&id.to_string());
            }
            statement.sql(")");
            let _turn = self.core.database.write_turn().await;
            statement.query().execute(self.core.database.pool()).await?;
        }
        Ok(())
    }

    /// Asks the instance that holds a session to end it. All instances learn of it at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it does not go on; [`StoreError::Conflict`] when it was asked for already.
    pub async fn stop(&self, id: RecordingId, reason: &str, by: &str) -> Result<(), StoreError> {
        storable("the reason", reason)?;
        storable("the name", by)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let mut update = Statement::new("UPDATE recordings SET stop_reason = ");
        update
            .text(reason)
            .sql(", stop_by = ")
            .text(by)
            .sql(" WHERE state = 'live' AND stop_reason IS NULL AND id = ");
        update.text(&id.to_string());
        if update.query().execute(tx.connection()).await?.rows_affected() == 1 {
            return self.core.changes.commit(tx, version).await;
        }
        tx.rollback().await?;
        match self.by_id(id).await? {
            Some(RecordedSession { state: SessionState::Live, .. }) => Err(StoreError::Conflict),
            Some(_) | None => Err(StoreError::NotFound),
        }
    }

    /// Sessions of this instance that somebody wants to end.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn stops(&self) -> Result<Vec<StopOrder>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, stop_reason, stop_by FROM recordings WHERE state = 'live' AND run_id = $1 \
             AND stop_reason IS NOT NULL",
        )
        .bind(self.run().to_owned())
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(StopOrder {
                    id: parsed(row, "id", "id of a recording")?,
                    reason: row.try_get("stop_reason")?,
                    by: row.try_get::<Option<String>, _>("stop_by")?.unwrap_or_default(),
                })
            })
            .collect()
    }

    /// Marks the sessions whose instance died or forgot them, and returns them, each to one caller only. When they
    /// ended is not known; they count as of when they began.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn bury(&self) -> Result<Vec<RecordedSession>, StoreError> {
        let now = self.core.database.now_sql();
        let mut tx = self.core.database.begin().await?;
        let mut update = Statement::new(
            "UPDATE recordings SET state = 'cut', ended = began WHERE state = 'live' AND (beat <= ",
        );
        update.sql(now).sql(" - ").number(STALE_MICROS).sql(" OR (run_id <> ").text(self.run()).sql(
            " AND run_id NOT IN (SELECT id FROM runs WHERE ended IS NULL))) RETURNING id, request_id, action, app, \
             target, command, user_id, actor, source_ip, mode, state, began, ended, ending, chunks, plain_bytes, \
             lost_bytes, digest, second, detached",
        );
        let rows = update.query().fetch_all(tx.connection()).await?;
        let cut = rows.iter().map(session).collect::<Result<Vec<_>, _>>()?;
        tx.commit().await?;
        Ok(cut)
    }

    /// Sessions that ended before a moment, at most 100 of them.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn ended_before(&self, moment: Timestamp) -> Result<Vec<RecordedSession>, StoreError> {
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" WHERE state <> 'live' AND ended < ").number(moment.micros());
        statement.sql(" ORDER BY ended LIMIT 100");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(session).collect()
    }

    /// Forgets a session that is over, with all its pieces.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn forget(&self, id: RecordingId) -> Result<(), StoreError> {
        let mut tx = self.core.database.begin().await?;
        for delete in [
            "DELETE FROM session_company WHERE recording_id = $1 \
             AND recording_id IN (SELECT id FROM recordings WHERE state <> 'live')",
            "DELETE FROM recording_chunks WHERE recording_id = $1 \
             AND recording_id IN (SELECT id FROM recordings WHERE state <> 'live')",
            "DELETE FROM recordings WHERE id = $1 AND state <> 'live'",
        ] {
            sqlx::query(delete).bind(id.to_string()).execute(tx.connection()).await?;
        }
        tx.commit().await
    }

    pub(super) fn run(&self) -> &str {
        self.core.run_id.get().map_or("", String::as_str)
    }
}

fn session(row: &AnyRow) -> Result<RecordedSession, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "session" };
    let count = |column: &str| -> Result<u64, StoreError> {
        u64::try_from(row.try_get::<i64, _>(column)?).map_err(|_| corrupt())
    };
    let state = match row.try_get::<String, _>("state")?.as_str() {
        "live" => SessionState::Live,
        "ended" => SessionState::Ended,
        "cut" => SessionState::Cut,
        _ => return Err(corrupt()),
    };
    Ok(RecordedSession {
        id: parsed(row, "id", "id of a recording")?,
        request_id: parsed(row, "request_id", "id of a request")?,
        action: row.try_get("action")?,
        app: row.try_get("app")?,
        target: row.try_get("target")?,
        command: row.try_get("command")?,
        user: optional_parsed(row, "user_id", "id of a person")?,
        actor: row.try_get("actor")?,
        source_ip: row.try_get("source_ip")?,
        mode: row.try_get("mode")?,
        state,
        began: moment(row, "began")?,
        ended: optional_moment(row, "ended")?,
        ending: row.try_get("ending")?,
        chunks: count("chunks")?,
        plain_bytes: count("plain_bytes")?,
        lost_bytes: count("lost_bytes")?,
        digest: row.try_get("digest")?,
        second: match row.try_get::<Option<String>, _>("second")?.as_deref() {
            None => None,
            Some("waits") => Some(SecondPerson::Waits),
            Some("there") => Some(SecondPerson::There),
            Some(_) => return Err(corrupt()),
        },
        detached: optional_moment(row, "detached")?,
    })
}
