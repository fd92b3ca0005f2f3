//! Step-ups: which session gave a second factor when, that each code is spent once, and how many were
//! tried in vain. Whether a code is right, and what a step-up is needed for, is not known here.
//!
//! A window belongs to one session and ends with it. Start at [`StepUps::spend`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{FactorId, SessionId, Timestamp, UserId};
use moka::sync::Cache;
use sqlx::Row;
use tokio::sync::OwnedMutexGuard;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::factors::{FactorKind, SealedKey};
use crate::leases::LocalNames;
use crate::row::{moment, optional_moment, optional_parsed, parsed};
use crate::secrets::sha256_hex;
use crate::store::Core;

/// The most open windows kept in memory.
const MOST_WINDOWS: u64 = 20_000;

/// How far the clock of another instance may be ahead and its windows still count.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(30);

/// What a window was opened with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UsedFactor {
    /// A code of this authenticator, or an answer of this key.
    Factor(FactorKind, FactorId),
    /// A backup code.
    BackupCode,
}

impl fmt::Display for UsedFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsedFactor::Factor(kind, id) => write!(f, "{}:{id}", kind.name()),
            UsedFactor::BackupCode => f.write_str("backup_code"),
        }
    }
}

/// The text names no factor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no factor is written so")]
pub struct NotAFactor;

impl FromStr for UsedFactor {
    type Err = NotAFactor;

    fn from_str(text: &str) -> Result<Self, NotAFactor> {
        if text == "backup_code" {
            return Ok(UsedFactor::BackupCode);
        }
        let (kind, id) = text.split_once(':').ok_or(NotAFactor)?;
        let kind = kind.parse().map_err(|_bad| NotAFactor)?;
        id.parse().map(|id| UsedFactor::Factor(kind, id)).map_err(|_bad| NotAFactor)
    }
}

/// When a window was opened, and with what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenWindow {
    /// When.
    pub opened: Timestamp,
    /// With what.
    pub factor: UsedFactor,
}

/// What is known of a person's second factor and of one session's window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FactorStanding {
    /// The person has a confirmed factor.
    pub enrolled: bool,
    /// The session's window, when it is open.
    pub window: Option<OpenWindow>,
}

/// A code that was found to be right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RightCode {
    /// The one-time code of this authenticator and step.
    Totp {
        /// Which authenticator.
        factor: FactorId,
        /// Which step of 30 s.
        step: i64,
    },
    /// Whatever backup code has this keyed digest; whether there is one is seen when it is spent.
    Backup {
        /// The digest.
        digest: String,
    },
    /// The answer of this key.
    Key {
        /// Which kind of key.
        kind: FactorKind,
        /// Which key.
        factor: FactorId,
        /// Its counter, which must have gone up, or always be 0.
        counter: i64,
        /// What is kept of the key from now on, sealed; `None` when it is as it was.
        sealed: Option<SealedKey>,
        /// What names this very answer.
        answer: String,
    },
}

impl RightCode {
    fn factor(&self) -> UsedFactor {
        match self {
            RightCode::Totp { factor, .. } => UsedFactor::Factor(FactorKind::Totp, *factor),
            RightCode::Backup { .. } => UsedFactor::BackupCode,
            RightCode::Key { kind, factor, .. } => UsedFactor::Factor(*kind, *factor),
        }
    }

    /// What is kept to know the same code again. A code is fully named by its authenticator and step.
    fn digest(&self) -> String {
        match self {
            RightCode::Totp { factor, step } => sha256_hex(format!("totp:{factor}:{step}").as_bytes()),
            RightCode::Backup { digest } => sha256_hex(format!("backup:{digest}").as_bytes()),
            RightCode::Key { kind, answer, .. } => answer_digest(*kind, answer),
        }
    }
}

/// What is kept to know the same answer of a key again.
fn answer_digest(kind: FactorKind, answer: &str) -> String {
    sha256_hex(format!("{}:{answer}", kind.name()).as_bytes())
}

/// What became of a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spent {
    /// Spent by this call, which opened the session's window: good for one bound action too.
    Fresh(OpenWindow),
    /// This very session spent it before; its window is what counts.
    Before(OpenWindow),
    /// It was spent by another session, is older than one that was spent, or is none.
    Refused,
}

/// Whether one more code may be tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Try {
    /// Yes; it counts as tried in vain until [`StepUps::succeeded`].
    Allowed,
    /// No, too many were wrong; again at this moment.
    TooMany(Timestamp),
}

/// How many codes may be wrong before no more are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TryLimit {
    /// This many.
    pub most: i64,
    /// Within this time.
    pub within: Duration,
}

/// The statements that count tries in one of the two tables.
#[derive(Clone, Copy)]
struct Count {
    read: &'static str,
    first: &'static str,
    next: &'static str,
    take_back: &'static str,
    uncount: &'static str,
    tell: &'static str,
}

const BY_SESSION: Count = Count {
    read: "SELECT since, tries, failed FROM step_up_tries WHERE credential_id = $1",
    first: "INSERT INTO step_up_tries (credential_id, since, tries, failed) VALUES ($1, $2, 1, 1) \
            ON CONFLICT (credential_id) DO NOTHING",
    next: "UPDATE step_up_tries SET since = $2, tries = $3, failed = $4 \
           WHERE credential_id = $1 AND since = $5 AND tries = $6 AND failed = $7",
    take_back: "UPDATE step_up_tries SET tries = tries - 1, failed = 0 WHERE credential_id = $1 AND tries > 0",
    uncount: "UPDATE step_up_tries SET tries = tries - 1, failed = failed - 1 \
              WHERE credential_id = $1 AND tries > 0 AND failed > 0",
    tell: "UPDATE step_up_tries SET told = since WHERE credential_id = $1 AND tries >= $2 \
           AND (told IS NULL OR told <> since)",
};

const BY_PERSON: Count = Count {
    read: "SELECT since, tries, failed FROM person_tries WHERE user_id = $1",
    first: "INSERT INTO person_tries (user_id, since, tries, failed) VALUES ($1, $2, 1, 1) \
            ON CONFLICT (user_id) DO NOTHING",
    next: "UPDATE person_tries SET since = $2, tries = $3, failed = $4 \
           WHERE user_id = $1 AND since = $5 AND tries = $6 AND failed = $7",
    take_back: "UPDATE person_tries SET tries = tries - 1, failed = 0 WHERE user_id = $1 AND tries > 0",
    uncount: "UPDATE person_tries SET tries = tries - 1, failed = failed - 1 \
              WHERE user_id = $1 AND tries > 0 AND failed > 0",
    tell: "UPDATE person_tries SET told = since WHERE user_id = $1 AND tries >= $2 \
           AND (told IS NULL OR told <> since)",
};

/// How often a try is counted anew because another was counted at the same moment.
const COUNT_ATTEMPTS: usize = 50;

/// The longest that a round of tries can become.
const LONGEST_ROUND: Duration = Duration::from_secs(24 * 3600);

impl TryLimit {
    /// How long a round lasts after so many wrong codes in a row: twice as long for each round that was used up,
    /// whether at once or bit by bit, to a day at most.
    fn round(self, failed: i64) -> Duration {
        let used_up = failed.saturating_sub(1).checked_div(self.most.max(1)).unwrap_or_default();
        let doubled = u32::try_from(used_up.clamp(0, 16)).unwrap_or_default();
        self.within.saturating_mul(2_u32.saturating_pow(doubled)).min(LONGEST_ROUND.max(self.within))
    }
}

/// What this process remembers of step-ups.
pub(crate) struct Remembered {
    windows: Cache<SessionId, (u64, OpenWindow)>,
    /// Who was found to have a factor, and under which generation: removing one makes a new generation.
    enrolled: Cache<UserId, u64>,
    turns: LocalNames,
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").field("windows", &self.windows.entry_count()).finish_non_exhaustive()
    }
}

impl Remembered {
    /// Nothing yet; what will be is forgotten after `known_for`.
    pub(crate) fn new(known_for: Duration) -> Self {
        let windows = Cache::builder().max_capacity(MOST_WINDOWS).time_to_live(known_for).build();
        let enrolled = Cache::builder().max_capacity(MOST_WINDOWS).time_to_live(known_for).build();
        Self { windows, enrolled, turns: LocalNames::default() }
    }
}

/// The step-ups of this gateway.
#[derive(Clone, Debug)]
pub struct StepUps {
    pub(crate) core: Arc<Core>,
}

impl StepUps {
    /// What is known of `user`'s second factor and of the window of `session`, where windows are open
    /// for `length`. An open window is answered from memory, so a burst of changes asks once.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn standing(
        &self,
        user: UserId,
        session: SessionId,
        length: Duration,
    ) -> Result<FactorStanding, StoreError> {
        let now = self.core.clock.now();
        let remembered = &self.core.step_ups.windows;
        // Read before the row: what a change overtakes is remembered under a generation that is past.
        let generation = self.core.changes.generation();
        if let Some((_, window)) = remembered
            .get(&session)
            .filter(|(of, window)| *of == generation && is_open(window.opened, now, length))
        {
            return Ok(FactorStanding { enrolled: true, window: Some(window) });
        }
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM factors WHERE factors.user_id = users.id \
                     AND factors.confirmed IS NOT NULL) AS confirmed, w.opened, w.factor \
             FROM users LEFT JOIN step_ups AS w ON w.credential_id = $2 WHERE users.id = $1",
        )
        .bind(user.to_string())
        .bind(session.to_string())
        .fetch_optional(self.core.database.pool())
        .await?;
        let Some(row) = row else { return Ok(FactorStanding { enrolled: false, window: None }) };
        let enrolled = row.try_get::<i64, _>("confirmed")? > 0;
        let opened = optional_moment(&row, "opened")?;
        let factor: Option<UsedFactor> = optional_parsed(&row, "factor", "factor of a step-up")?;
        let window = opened
            .zip(factor)
            .map(|(opened, factor)| OpenWindow { opened, factor })
            .filter(|window| enrolled && is_open(window.opened, now, length));
        if let Some(window) = window {
            remembered.insert(session, (generation, window));
        }
        Ok(FactorStanding { enrolled, window })
    }

    /// Whether `user` has a second factor that counts. A yes is answered from memory.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn is_enrolled(&self, user: UserId) -> Result<bool, StoreError> {
        let generation = self.core.changes.generation();
        let remembered = &self.core.step_ups.enrolled;
        if remembered.get(&user) == Some(generation) {
            return Ok(true);
        }
        let row = sqlx::query("SELECT count(*) FROM factors WHERE user_id = $1 AND confirmed IS NOT NULL")
            .bind(user.to_string())
            .fetch_one(self.core.database.pool())
            .await?;
        let enrolled = row.try_get::<i64, _>(0)? > 0;
        if enrolled {
            remembered.insert(user, generation);
        }
        Ok(enrolled)
    }

    /// Waits until no other request of this process tries a code of this session: requests of one
    /// command that come at once carry the same code, and the first one opens the window for all.
    pub async fn turn(&self, session: SessionId) -> OwnedMutexGuard<()> {
        self.core.step_ups.turns.of(&session.to_string()).lock_owned().await
    }

    /// Asks to try one more code of `user` with `session`, and counts it at once: codes that are tried side by
    /// side, here or on other instances, or with many sessions, do not get around the limits.
    ///
    /// A session that gave a right code before, or was signed in to with one, is held to its own limit only: whoever tries in vain with other
    /// sessions cannot keep the person from confirming with theirs.
    ///
    /// # Errors
    /// Only when the database cannot be written; then no code may be tried.
    pub async fn begin_try(
        &self,
        user: UserId,
        session: SessionId,
        of_session: TryLimit,
        of_person: TryLimit,
    ) -> Result<Try, StoreError> {
        if let refused @ Try::TooMany(_) =
            self.count_try(BY_SESSION, &session.to_string(), of_session).await?
        {
            return Ok(refused);
        }
        // Of a sign-in with a factor only the first session: whoever stole that can let in devices without end.
        let proven = sqlx::query(
            "SELECT credential_id FROM step_ups WHERE credential_id = $1 \
             UNION ALL SELECT sessions.id FROM sessions JOIN provider_sessions AS p \
             ON p.id = sessions.provider_session WHERE sessions.id = $1 AND p.proven IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM sessions AS elder \
             WHERE elder.provider_session = p.id AND elder.created < sessions.created)",
        )
        .bind(session.to_string())
        .fetch_optional(self.core.database.pool())
        .await?;
        if proven.is_some() {
            return Ok(Try::Allowed);
        }
        let counted = self.begin_try_of_person(user, of_person).await?;
        if counted == Try::Allowed {
            let _turn = self.core.database.write_turn().await;
            sqlx::query("UPDATE step_up_tries SET of_person = of_person + 1 WHERE credential_id = $1")
                .bind(session.to_string())
                .execute(self.core.database.pool())
                .await?;
        }
        Ok(counted)
    }

    /// The same where there is no session yet.
    ///
    /// # Errors
    /// As there.
    pub async fn begin_try_of_person(&self, user: UserId, limit: TryLimit) -> Result<Try, StoreError> {
        self.count_try(BY_PERSON, &user.to_string(), limit).await
    }

    async fn count_try(&self, count: Count, whose: &str, limit: TryLimit) -> Result<Try, StoreError> {
        for _attempt in 0..COUNT_ATTEMPTS {
            let now = self.core.clock.now();
            let _turn = self.core.database.write_turn().await;
            let pool = self.core.database.pool();
            let row = sqlx::query(count.read).bind(whose.to_owned()).fetch_optional(pool).await?;
            let Some(row) = row else {
                let first = sqlx::query(count.first).bind(whose.to_owned()).bind(now.micros());
                if first.execute(pool).await?.rows_affected() == 1 {
                    return Ok(Try::Allowed);
                }
                continue;
            };
            let since = moment(&row, "since")?;
            let (tries, failed): (i64, i64) = (row.try_get("tries")?, row.try_get("failed")?);
            let ends = since.saturating_add(limit.round(failed));
            let is_over = ends <= now;
            if !is_over && tries >= limit.most {
                return Ok(Try::TooMany(ends));
            }
            // After a day without a try it is as it was in the beginning.
            let is_forgotten = since.saturating_add(LONGEST_ROUND.max(limit.within)) <= now;
            let next_failed = if is_forgotten { 1 } else { failed.saturating_add(1) };
            let (next_since, next_tries) = if is_over { (now, 1) } else { (since, tries.saturating_add(1)) };
            let counted = sqlx::query(count.next)
                .bind(whose.to_owned())
                .bind(next_since.micros())
                .bind(next_tries)
                .bind(next_failed)
                .bind(since.micros())
                .bind(tries)
                .bind(failed)
                .execute(pool)
                .await?;
            if counted.rows_affected() == 1 {
                return Ok(Try::Allowed);
            }
        }
        Ok(Try::TooMany(self.core.clock.now().saturating_add(Duration::from_secs(1))))
    }

    /// Takes back one count of [`StepUps::begin_try`]: the code was right.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn succeeded(&self, user: UserId, session: SessionId) -> Result<(), StoreError> {
        self.take_back(user, session, |count| count.take_back).await
    }

    /// Takes back one count of [`StepUps::begin_try`]: the code could not be checked. What was wrong before it
    /// stays counted.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn unchecked(&self, user: UserId, session: SessionId) -> Result<(), StoreError> {
        self.take_back(user, session, |count| count.uncount).await
    }

    async fn take_back(
        &self,
        user: UserId,
        session: SessionId,
        how: fn(Count) -> &'static str,
    ) -> Result<(), StoreError> {
        let turn = self.core.database.write_turn().await;
        let pool = self.core.database.pool();
        sqlx::query(how(BY_SESSION)).bind(session.to_string()).execute(pool).await?;
        let of_person = sqlx::query(
            "UPDATE step_up_tries SET of_person = of_person - 1 WHERE credential_id = $1 AND of_person > 0",
        )
        .bind(session.to_string())
        .execute(pool)
        .await?;
        drop(turn);
        if of_person.rows_affected() == 0 { Ok(()) } else { self.take_back_of_person(user, how).await }
    }

    /// Takes back one count of [`StepUps::begin_try_of_person`]: the code was right.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn succeeded_of_person(&self, user: UserId) -> Result<(), StoreError> {
        self.take_back_of_person(user, |count| count.take_back).await
    }

    /// Takes back one count of [`StepUps::begin_try_of_person`]: the code could not be checked.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn unchecked_of_person(&self, user: UserId) -> Result<(), StoreError> {
        self.take_back_of_person(user, |count| count.uncount).await
    }

    async fn take_back_of_person(
        &self,
        user: UserId,
        how: fn(Count) -> &'static str,
    ) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query(how(BY_PERSON)).bind(user.to_string()).execute(self.core.database.pool()).await?;
        Ok(())
    }

    /// Whether the person is to be told that no more codes of theirs are looked at: true once for each round that
    /// was used up, of this session or of all together, on whichever instance.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn tell_once(
        &self,
        user: UserId,
        session: Option<SessionId>,
        of_session: TryLimit,
        of_person: TryLimit,
    ) -> Result<bool, StoreError> {
        let _turn = self.core.database.write_turn().await;
        let session = session.map(|session| (BY_SESSION.tell, session.to_string(), of_session.most));
        let person = (BY_PERSON.tell, user.to_string(), of_person.most);
        let mut is_first = false;
        for (tell, whose, most) in session.into_iter().chain([person]) {
            let told = sqlx::query(tell).bind(whose).bind(most).execute(self.core.database.pool()).await?;
            is_first |= told.rows_affected() == 1;
        }
        Ok(is_first)
    }

    /// Spends a right code where there is no session yet, and opens no window; true if nobody spent it before.
    ///
    /// # Errors
    /// Only when the database cannot be written; whether the code is spent is then not known.
    pub async fn spend_alone(&self, user: UserId, code: &RightCode) -> Result<bool, StoreError> {
        let mut tx = self.core.database.begin().await?;
        let taken = take(&mut tx, user, code, self.core.clock.now()).await?;
        tx.commit().await?;
        Ok(taken)
    }

    /// Spends a right code for `session` and opens its window, if nobody spent it before.
    ///
    /// # Errors
    /// Only when the database cannot be written; whether the code is spent is then not known.
    ///
    /// # Security
    /// One statement compares and sets, so that of any number of uses at once, on any number of
    /// instances, one succeeds. A code older than one that was spent is refused too
    /// (RFC 6238, section 5.2).
    pub async fn spend(
        &self,
        user: UserId,
        session: SessionId,
        code: &RightCode,
    ) -> Result<Spent, StoreError> {
        let generation = self.core.changes.generation();
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        if !take(&mut tx, user, code, now).await? {
            let before = spent_before(tx.connection(), session, code.digest()).await?;
            tx.rollback().await?;
            return Ok(before.map_or(Spent::Refused, Spent::Before));
        }
        let window = OpenWindow { opened: now, factor: code.factor() };
        sqlx::query(
            "INSERT INTO step_ups (credential_id, opened, factor, code_digest) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (credential_id) DO UPDATE SET opened = excluded.opened, \
             factor = excluded.factor, code_digest = excluded.code_digest",
        )
        .bind(session.to_string())
        .bind(now.micros())
        .bind(window.factor.to_string())
        .bind(code.digest())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        self.core.step_ups.windows.insert(session, (generation, window));
        Ok(Spent::Fresh(window))
    }
}

impl StepUps {
    /// The window that this session opened with this very answer of a key.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn answered_before(
        &self,
        session: SessionId,
        kind: FactorKind,
        answer: &str,
    ) -> Result<Option<OpenWindow>, StoreError> {
        let mut connection = self.core.database.pool().acquire().await?;
        spent_before(&mut connection, session, answer_digest(kind, answer)).await
    }
}

/// The one statement that can succeed only once for each code.
async fn take(tx: &mut WriteTx, user: UserId, code: &RightCode, now: Timestamp) -> Result<bool, StoreError> {
    let taken = match code {
        RightCode::Totp { factor, step } => {
            sqlx::query(
                "UPDATE factors SET last_step = $1, last_used = $2 \
                 WHERE id = $3 AND user_id = $4 AND confirmed IS NOT NULL AND last_step < $1",
            )
            .bind(*step)
            .bind(now.micros())
            .bind(factor.to_string())
            .bind(user.to_string())
            .execute(tx.connection())
            .await?
        }
        RightCode::Backup { digest } => {
            sqlx::query(
                "UPDATE backup_codes SET used = $1 WHERE user_id = $2 AND digest = $3 AND used IS NULL",
            )
            .bind(now.micros())
            .bind(user.to_string())
            .bind(digest.clone())
            .execute(tx.connection())
            .await?
        }
        RightCode::Key { kind, factor, counter, sealed, answer: _ } => {
            // That the answer itself is used once is the ceremony's, or the validation server's, to hold.
            sqlx::query(
                "UPDATE factors SET last_step = $1, last_used = $2, sealed = COALESCE($3, sealed), \
                 key_id = COALESCE($4, key_id) \
                 WHERE id = $5 AND user_id = $6 AND kind = $7 AND confirmed IS NOT NULL \
                 AND (last_step < $1 OR ($1 = 0 AND last_step = 0))",
            )
            .bind(*counter)
            .bind(now.micros())
            .bind(sealed.as_ref().map(|key| key.sealed.clone()))
            .bind(sealed.as_ref().map(|key| key.key_id.clone()))
            .bind(factor.to_string())
            .bind(user.to_string())
            .bind(kind.name())
            .execute(tx.connection())
            .await?
        }
    };
    Ok(taken.rows_affected() == 1)
}

/// The window that this session opened with this very code.
async fn spent_before(
    connection: &mut sqlx::AnyConnection,
    session: SessionId,
    digest: String,
) -> Result<Option<OpenWindow>, StoreError> {
    let row =
        sqlx::query("SELECT opened, factor FROM step_ups WHERE credential_id = $1 AND code_digest = $2")
            .bind(session.to_string())
            .bind(digest)
            .fetch_optional(connection)
            .await?;
    let window = |row| {
        Ok(OpenWindow {
            opened: moment(row, "opened")?,
            factor: parsed(row, "factor", "factor of a step-up")?,
        })
    };
    row.as_ref().map(window).transpose()
}

/// Whether a window of this length is open. Its end is not part of it, so a length of nothing is never
/// open. One from the future is of an instance whose clock is a little ahead, or was opened before
/// this clock moved back, and then it is over.
fn is_open(opened: Timestamp, now: Timestamp, length: Duration) -> bool {
    match now.checked_since(opened) {
        Some(age) => age < length,
        None => opened.checked_since(now).is_some_and(|ahead| ahead <= CLOCK_DIFFERENCE.min(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_up_to_its_end() {
        let second = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let check = |opened, now, length, open| {
            let length = Duration::from_secs(length);
            assert_eq!(is_open(second(opened), second(now), length), open, "{opened} {now} {length:?}");
        };
        check(100, 100, 600, true);
        check(100, 699, 600, true);
        check(100, 700, 600, false);
        check(100, 100, 0, false);
        check(130, 100, 600, true);
        check(131, 100, 600, false);
        check(101, 100, 0, false);
    }

    #[test]
    fn g2_each_round_that_is_used_up_makes_the_next_twice_as_long() {
        let limit = TryLimit { most: 5, within: Duration::from_secs(300) };
        let check = |failed, minutes: u64| {
            assert_eq!(limit.round(failed), Duration::from_secs(minutes * 60), "after {failed}");
        };
        for (failed, minutes) in [(0, 5), (1, 5), (5, 5), (6, 10), (10, 10), (11, 20), (16, 40), (41, 1280)] {
            check(failed, minutes);
        }
        check(46, 24 * 60);
        check(i64::MAX, 24 * 60);
    }

    #[test]
    fn factors_read_back() {
        let id = FactorId::new(Timestamp::from_micros(0), &gateway_types::OsEntropy);
        let factors = FactorKind::ALL.map(|kind| UsedFactor::Factor(kind, id));
        for factor in factors.into_iter().chain([UsedFactor::BackupCode]) {
            assert_eq!(factor.to_string().parse(), Ok(factor));
        }
        for bad in ["totp:", "totp", "other:x", ""] {
            assert_eq!(bad.parse::<UsedFactor>(), Err(NotAFactor), "{bad}");
        }
    }
}
