//! The queue of jobs: work that is done later, by one worker at a time, and again until it succeeds.
//!
//! It knows when a job may run, who holds it and how often it was tried; what a kind of job does, and what its
//! payload means, is the business of gateway-jobs. Start reading at [`Jobs::claim`].

mod claiming;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{JobId, Timestamp};
use sqlx::AnyConnection;
use sqlx::Row;
use sqlx::any::AnyRow;

pub use claiming::{Claim, ClaimedJob, Retry};

use crate::error::StoreError;
use crate::row::{Page, moment, optional_moment, page_size, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;

/// The longest payload, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024;
/// How often a job is tried before it is dead, when nobody says otherwise.
pub const DEFAULT_TRIES: u32 = 10;
/// How long the row of a job that is done or cancelled is kept; so long its unique key is taken.
const KEPT_DONE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long the row of a dead job waits for somebody to look at it.
const KEPT_DEAD: Duration = Duration::from_secs(90 * 24 * 3600);

/// Where a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JobState {
    /// It runs as soon as its time has come.
    Waiting,
    /// It is held back until somebody retries it.
    Paused,
    /// A worker has it.
    Running,
    /// It succeeded.
    Done,
    /// It failed for good: nobody tries it again by themselves.
    Dead,
    /// Somebody called it off.
    Cancelled,
}

impl JobState {
    /// All states, in the order of a job's life.
    pub const ALL: [JobState; 6] = [
        JobState::Waiting,
        JobState::Paused,
        JobState::Running,
        JobState::Done,
        JobState::Dead,
        JobState::Cancelled,
    ];

    /// The name in the database and the API.
    pub const fn name(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Paused => "paused",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Dead => "dead",
            JobState::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no state of a job.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no state of a job; states are waiting, paused, running, done, dead, cancelled")]
pub struct UnknownJobState(pub String);

impl FromStr for JobState {
    type Err = UnknownJobState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        JobState::ALL
            .into_iter()
            .find(|state| state.name() == text)
            .ok_or_else(|| UnknownJobState(text.to_owned()))
    }
}

/// A job's row, without its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// The row.
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    /// Where it stands.
    pub state: JobState,
    /// Not before this.
    pub run_at: Timestamp,
    /// How often it was begun since it was made, or since it was last retried by hand.
    pub tries: u32,
    /// After how many tries it is dead.
    pub most_tries: u32,
    /// Why the last try failed.
    pub error: Option<String>,
    /// Until when the worker that has it is believed to be alive; only while it runs.
    pub lease_until: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When it became done, dead or cancelled.
    pub finished: Option<Timestamp>,
}

/// A job to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewJob {
    /// What is to be done.
    pub kind: &'static str,
    /// With what: JSON of at most 16 KiB. Never a secret.
    pub payload: String,
    /// While a job of this kind and key has a row (a done one for seven days), another is not made.
    pub unique_key: Option<String>,
    /// Not before this; `None` = now.
    pub run_at: Option<Timestamp>,
    /// After how many tries it is dead, at least 1.
    pub most_tries: u32,
}

impl NewJob {
    /// A job that may run now, tried [`DEFAULT_TRIES`] times.
    pub const fn now(kind: &'static str, payload: String) -> Self {
        Self { kind, payload, unique_key: None, run_at: None, most_tries: DEFAULT_TRIES }
    }
}

/// Puts a job into the queue, within whatever the connection is in the middle of.
pub(crate) async fn insert(
    core: &Core,
    connection: &mut AnyConnection,
    new: NewJob,
) -> Result<Option<JobId>, StoreError> {
    if new.payload.len() > MAX_PAYLOAD_BYTES {
        return Err(StoreError::OutOfRange { field: "the size of the payload" });
    }
    storable("the payload", &new.payload)?;
    storable("the unique key", new.unique_key.as_deref().unwrap_or_default())?;
    let now = core.clock.now();
    let id = JobId::new(now, &*core.entropy);
    let inserted = sqlx::query(
        "INSERT INTO jobs (id, kind, payload, unique_key, state, run_at, attempt, tries, most_tries, created) \
         VALUES ($1, $2, $3, $4, 'waiting', $5, 0, 0, $6, $7) ON CONFLICT (kind, unique_key) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(new.kind)
    .bind(new.payload)
    .bind(new.unique_key)
    .bind(new.run_at.unwrap_or(now).micros())
    .bind(i64::from(new.most_tries.max(1)))
    .bind(now.micros())
    .execute(connection)
    .await?;
    Ok((inserted.rows_affected() == 1).then_some(id))
}

/// Which jobs a listing holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFilter {
    /// Only those in this state.
    pub state: Option<JobState>,
    /// Only those of this kind.
    pub kind: Option<String>,
    /// Where the page begins: [`Page::next`] of the page before.
    pub cursor: Option<String>,
    /// Rows of one page, at most 1000.
    pub limit: u32,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self { state: None, kind: None, cursor: None, limit: 100 }
    }
}

/// How the jobs of one state stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobStanding {
    /// Which state.
    pub state: JobState,
    /// How many there are.
    pub count: u64,
    /// When the one that was to run first was to.
    pub oldest: Timestamp,
}

/// The jobs of this gateway.
#[derive(Clone, Debug)]
pub struct Jobs {
    pub(crate) core: Arc<Core>,
}

/// The columns of a [`Job`].
macro_rules! columns {
    () => {
        "id, kind, state, run_at, tries, most_tries, error, lease_until, created, finished"
    };
}
use columns;

impl Jobs {
    /// Puts a job into the queue, durably. `None`: one with the same kind and unique key is there already.
    ///
    /// # Errors
    /// [`StoreError::OutOfRange`] for a payload of more than 16 KiB; otherwise only when the database cannot
    /// be written.
    pub async fn enqueue(&self, new: NewJob) -> Result<Option<JobId>, StoreError> {
        let _turn = self.core.database.write_turn().await;
        let mut connection = self.core.database.pool().acquire().await?;
        insert(&self.core, &mut connection, new).await
    }

    /// How many jobs there are in each state, and since when the oldest of those that wait has been due.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn standing(&self) -> Result<Vec<JobStanding>, StoreError> {
        let rows = sqlx::query("SELECT state, count(*), min(run_at) FROM jobs GROUP BY state ORDER BY state")
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter()
            .map(|row| {
                let state: String = row.try_get(0)?;
                Ok(JobStanding {
                    state: state.parse().map_err(|_unknown| StoreError::Corrupt { what: "job state" })?,
                    count: u64::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default(),
                    oldest: Timestamp::from_micros(row.try_get(2)?),
                })
            })
            .collect()
    }

    /// One page of jobs, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, filter: &JobFilter) -> Result<Page<Job>, StoreError> {
        let limit = page_size(filter.limit);
        let mut statement = Statement::new(concat!("SELECT ", columns!(), " FROM jobs WHERE 1 = 1"));
        if let Some(state) = filter.state {
            statement.sql(" AND state = ").text(state.name());
        }
        if let Some(kind) = filter.kind.as_deref() {
            statement.sql(" AND kind = ").text(&kind.replace('\0', ""));
        }
        if let Some(cursor) = filter.cursor.as_deref().and_then(|cursor| cursor.parse::<JobId>().ok()) {
            statement.sql(" AND id < ").text(&cursor.to_string());
        }
        // Ids are UUIDv7: their order is the order of creation.
        statement.sql(" ORDER BY id DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let jobs = rows.iter().map(job).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(jobs, limit, |job| job.id.to_string()))
    }

    /// The job with this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let mut statement = Statement::new(concat!("SELECT ", columns!(), " FROM jobs WHERE id = "));
        statement.text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(job).transpose()
    }

    /// Lets a job run now, with all its tries before it: one that waits, is paused, dead or cancelled.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and [`StoreError::Conflict`] for one that runs or is done.
    pub async fn retry(&self, id: JobId) -> Result<Job, StoreError> {
        let mut statement = Statement::new("UPDATE jobs SET state = 'waiting', tries = 0, finished = NULL");
        statement.sql(", run_at = ").number(self.core.clock.now().micros());
        statement.sql(" WHERE state IN ('waiting', 'paused', 'dead', 'cancelled') AND id = ");
        self.change(statement, id).await
    }

    /// Calls a job off: one that waits, is paused, runs or is dead. Who runs it learns when it next renews or
    /// finishes; what was done by then stays done.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and [`StoreError::Conflict`] for one that is done or cancelled.
    pub async fn cancel(&self, id: JobId) -> Result<Job, StoreError> {
        let mut statement =
            Statement::new("UPDATE jobs SET state = 'cancelled', holder = NULL, lease_until = NULL");
        statement.sql(", finished = ").number(self.core.clock.now().micros());
        statement.sql(" WHERE state IN ('waiting', 'paused', 'running', 'dead') AND id = ");
        self.change(statement, id).await
    }

    /// Holds a waiting job back until it is retried.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], and [`StoreError::Conflict`] for one that does not wait.
    pub async fn pause(&self, id: JobId) -> Result<Job, StoreError> {
        let statement = Statement::new("UPDATE jobs SET state = 'paused' WHERE state = 'waiting' AND id = ");
        self.change(statement, id).await
    }

    /// Runs an update that ends in `id = `.
    async fn change(&self, mut statement: Statement, id: JobId) -> Result<Job, StoreError> {
        statement.text(&id.to_string());
        statement.sql(concat!(" RETURNING ", columns!()));
        let mut tx = self.core.database.begin().await?;
        let row = statement.query().fetch_optional(tx.connection()).await?;
        let changed = row.as_ref().map(job).transpose()?;
        tx.commit().await?;
        match changed {
            Some(job) => Ok(job),
            None if self.by_id(id).await?.is_some() => Err(StoreError::Conflict),
            None => Err(StoreError::NotFound),
        }
    }

    /// Forgets jobs that are done or cancelled for seven days, and dead ones after ninety; returns how many.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let now = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        let pruned = sqlx::query(
            "DELETE FROM jobs WHERE (state IN ('done', 'cancelled') AND finished < $1) \
             OR (state = 'dead' AND finished < $2)",
        )
        .bind(before(now, KEPT_DONE))
        .bind(before(now, KEPT_DEAD))
        .execute(self.core.database.pool())
        .await?;
        Ok(pruned.rows_affected())
    }
}

fn before(now: Timestamp, age: Duration) -> i64 {
    now.micros().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

fn job(row: &AnyRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: parsed(row, "id", "job id")?,
        kind: row.try_get("kind")?,
        state: parsed(row, "state", "state of a job")?,
        run_at: moment(row, "run_at")?,
        tries: count(row, "tries")?,
        most_tries: count(row, "most_tries")?,
        error: row.try_get("error")?,
        lease_until: optional_moment(row, "lease_until")?,
        created: moment(row, "created")?,
        finished: optional_moment(row, "finished")?,
    })
}

fn count(row: &AnyRow, column: &str) -> Result<u32, StoreError> {
    u32::try_from(row.try_get::<i64, _>(column)?)
        .map_err(|_negative| StoreError::Corrupt { what: "count of tries" })
}
