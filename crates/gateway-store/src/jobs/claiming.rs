//! How a worker gets a job and gives it back. A claim is a lease: who lets it run out loses the job to
//! whoever claims it next, and by the fence (`attempt`) can no longer finish it.

use std::time::Duration;

use gateway_types::{Entropy, JobId, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Job, JobState, Jobs, columns, job};
use crate::error::StoreError;
use crate::row::parsed;
use crate::secrets::random_text;
use crate::statement::Statement;

/// How many due jobs are looked at in one go: enough that claimers who ask at once find different ones.
const LOOKED_AT: i64 = 16;
/// The longest error text kept, in bytes.
const MAX_ERROR_BYTES: usize = 500;
/// How long after the first failure the second try is.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What jobs can be claimed by: due, or left behind by a worker whose lease ran out. `$1` is now.
macro_rules! claimable {
    () => {
        "((state = 'waiting' AND run_at <= $1) OR (state = 'running' AND lease_until <= $1))"
    };
}

/// The right to finish a job. It holds until the job is taken over or called off.
#[derive(Clone, Debug)]
pub struct Claim {
    id: JobId,
    attempt: i64,
    tries: u32,
    most_tries: u32,
}

impl Claim {
    /// The job.
    pub const fn id(&self) -> JobId {
        self.id
    }
}

/// A job that this worker, and nobody else, may do now.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// Its row.
    pub job: Job,
    /// What it is to be done with.
    pub payload: String,
    /// The right to finish it.
    pub claim: Claim,
}

/// Whether a failed job is worth another try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retry {
    /// Later, unless it was tried often enough.
    Later,
    /// The same, and not before this time has passed: whoever was asked said so.
    NotBefore(Duration),
    /// Never: it would fail the same way.
    Never,
}

/// A row that could be claimed when it was looked at.
struct Candidate {
    id: JobId,
    attempt: i64,
    exhausted: bool,
}

impl Jobs {
    /// Takes a due job of one of these kinds for `lease`, about the one that is due longest; `None` when there
    /// is none. A job whose worker let its lease run out is taken over, or is dead when it had its last try.
    ///
    /// The end of a lease is measured by the clocks of the instances: set them. The fence holds without.
    ///
    /// # Errors
    /// Only when the database cannot be used.
    pub async fn claim(&self, kinds: &[&str], lease: Duration) -> Result<Option<ClaimedJob>, StoreError> {
        if kinds.is_empty() {
            return Ok(None);
        }
        // Each round that comes out empty-handed saw others take every job it looked at: it comes to an end.
        loop {
            let now = self.core.clock.now();
            let mut candidates = self.claimable(kinds, now).await?;
            if candidates.is_empty() {
                return Ok(None);
            }
            let start = usize::from(random_byte(&*self.core.entropy)) % candidates.len();
            candidates.rotate_left(start);
            for candidate in candidates {
                if candidate.exhausted {
                    self.bury(&candidate, now).await?;
                } else if let Some(claimed) = self.take(&candidate, now, lease).await? {
                    return Ok(Some(claimed));
                }
            }
        }
    }

    async fn claimable(&self, kinds: &[&str], now: Timestamp) -> Result<Vec<Candidate>, StoreError> {
        let mut statement = Statement::new("SELECT id, attempt, state, tries, most_tries FROM jobs WHERE ");
        statement.sql("((state = 'waiting' AND run_at <= ").number(now.micros());
        statement.sql(") OR (state = 'running' AND lease_until <= ").number(now.micros());
        statement.sql(")) AND kind IN (");
        for (place, kind) in kinds.iter().enumerate() {
            statement.sql(if place == 0 { "" } else { ", " }).text(kind);
        }
        statement.sql(") ORDER BY run_at, id LIMIT ").number(LOOKED_AT);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(candidate).collect()
    }

    async fn take(
        &self,
        candidate: &Candidate,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<ClaimedJob>, StoreError> {
        let mut tx = self.core.database.begin().await?;
        let row = sqlx::query(concat!(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, tries = tries + 1, holder = $2, \
             lease_until = $3 WHERE id = $4 AND attempt = $5 AND ",
            claimable!(),
            " RETURNING attempt, payload, ",
            columns!()
        ))
        .bind(now.micros())
        .bind(self.holder())
        .bind(now.saturating_add(lease).micros())
        .bind(candidate.id.to_string())
        .bind(candidate.attempt)
        .fetch_optional(tx.connection())
        .await?;
        let claimed = row.as_ref().map(claimed).transpose()?;
        tx.commit().await?;
        Ok(claimed)
    }

    /// Ends a job that was left behind in its last try: it may well be what kills its workers.
    async fn bury(&self, candidate: &Candidate, now: Timestamp) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query(concat!(
            "UPDATE jobs SET state = 'dead', finished = $1, holder = NULL, lease_until = NULL, error = $2 \
             WHERE id = $3 AND attempt = $4 AND ",
            claimable!()
        ))
        .bind(now.micros())
        .bind("the gateway stopped while it did this job for the last time")
        .bind(candidate.id.to_string())
        .bind(candidate.attempt)
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// Keeps a claim for `lease` from now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the job was taken over or called off: stop doing it.
    pub async fn renew(&self, claim: &Claim, lease: Duration) -> Result<(), StoreError> {
        let until = self.core.clock.now().saturating_add(lease);
        let mut statement = Statement::new("UPDATE jobs SET lease_until = ");
        statement.number(until.micros());
        self.finish(statement, claim).await
    }

    /// Notes that the job succeeded.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the job was taken over or called off meanwhile; nothing is then changed.
    pub async fn complete(&self, claim: &Claim) -> Result<(), StoreError> {
        let mut statement =
            Statement::new("UPDATE jobs SET state = 'done', holder = NULL, lease_until = NULL, error = NULL");
        statement.sql(", finished = ").number(self.core.clock.now().micros());
        self.finish(statement, claim).await
    }

    /// Notes that the job failed, and why: `error` is cut at 500 bytes, freed of control characters, and must
    /// hold no secret. It is tried again after a pause that doubles from ten seconds to an hour, with up to half of
    /// it at random, or is dead. Returns which.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the job was taken over or called off meanwhile; nothing is then changed.
    pub async fn fail(&self, claim: &Claim, error: &str, retry: Retry) -> Result<JobState, StoreError> {
        let now = self.core.clock.now();
        let mut statement = Statement::new("UPDATE jobs SET holder = NULL, lease_until = NULL, error = ");
        statement.text(&error_text(error));
        let state = if retry == Retry::Never || claim.tries >= claim.most_tries {
            statement.sql(", state = 'dead', finished = ").number(now.micros());
            JobState::Dead
        } else {
            let usual = pause(claim.tries, &*self.core.entropy);
            let run_at = now.saturating_add(match retry {
                Retry::NotBefore(least) => usual.max(least),
                Retry::Later | Retry::Never => usual,
            });
            statement.sql(", state = 'waiting', run_at = ").number(run_at.micros());
            JobState::Waiting
        };
        self.finish(statement, claim).await?;
        Ok(state)
    }

    /// Gives a job back undone, as if it had not been tried: for a worker that is told to stop.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the job was taken over or called off meanwhile.
    pub async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let statement = Statement::new(
            "UPDATE jobs SET state = 'waiting', tries = tries - 1, holder = NULL, lease_until = NULL",
        );
        self.finish(statement, claim).await
    }

    /// Runs an update that only the holder of the claim may do.
    async fn finish(&self, mut statement: Statement, claim: &Claim) -> Result<(), StoreError> {
        statement.sql(" WHERE state = 'running' AND id = ").text(&claim.id.to_string());
        statement.sql(" AND attempt = ").number(claim.attempt);
        let _turn = self.core.database.write_turn().await;
        match statement.query().execute(self.core.database.pool()).await?.rows_affected() {
            0 => Err(StoreError::Conflict),
            _ => Ok(()),
        }
    }

    /// For people who look at the table: which run has the job. The fence is what counts.
    fn holder(&self) -> String {
        match self.core.run_id.get() {
            Some(run) => run.clone(),
            None => random_text(&*self.core.entropy).expose().clone(),
        }
    }
}

fn random_byte(entropy: &dyn Entropy) -> u8 {
    let mut byte = [0u8; 1];
    entropy.fill(&mut byte);
    let [byte] = byte;
    byte
}

/// The pause after this many tries: half of it is fixed, up to as much again is random, so that jobs that
/// failed together are not tried together.
fn pause(tries: u32, entropy: &dyn Entropy) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16));
    let half = doubled.min(LONGEST_PAUSE) / 2;
    half + half.mul_f64(f64::from(random_byte(entropy)) / 255.0)
}

/// The beginning of an error, on one line.
fn error_text(error: &str) -> String {
    let line: String = error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.get(..line.floor_char_boundary(MAX_ERROR_BYTES)).unwrap_or_default().to_owned()
}

fn candidate(row: &AnyRow) -> Result<Candidate, StoreError> {
    let left_behind = row.try_get::<String, _>("state")? == JobState::Running.name();
    let spent = row.try_get::<i64, _>("tries")? >= row.try_get::<i64, _>("most_tries")?;
    Ok(Candidate {
        id: parsed(row, "id", "job id")?,
        attempt: row.try_get("attempt")?,
        exhausted: left_behind && spent,
    })
}

fn claimed(row: &AnyRow) -> Result<ClaimedJob, StoreError> {
    let job = job(row)?;
    let claim =
        Claim { id: job.id, attempt: row.try_get("attempt")?, tries: job.tries, most_tries: job.most_tries };
    Ok(ClaimedJob { payload: row.try_get("payload")?, claim, job })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn pauses_double_up_to_an_hour() {
        let check = |tries, least: u64, most: u64| {
            assert_eq!(pause(tries, &Always(0)), Duration::from_secs(least), "{tries}");
            assert_eq!(pause(tries, &Always(255)), Duration::from_secs(most), "{tries}");
        };
        check(1, 5, 10);
        check(2, 10, 20);
        check(5, 80, 160);
        check(9, 1280, 2560);
        check(10, 1800, 3600);
        check(u32::MAX, 1800, 3600);
    }

    #[test]
    fn errors_are_one_bounded_line() {
        assert_eq!(error_text("no\r\nanswer\0\u{1b}"), "no  answer  ");
        assert_eq!(error_text(&"é".repeat(400)).len(), 500);
        assert_eq!(error_text(&format!("a{}", "é".repeat(400))).len(), 499);
    }
}
