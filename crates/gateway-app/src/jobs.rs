//! The queue of jobs as people see and steer it: listed without payloads; each change an event before it is
//! made.

use std::fmt;
use std::str::FromStr;

use gateway_store::{Job, JobFilter, JobState, Page, Store, StoreError};
use gateway_types::{JobId, Layer, Problem, ProblemKind};

use crate::{AppError, Operator, problems, record};

/// What a person can do to a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobVerb {
    /// Let it run now, with all its tries before it.
    Retry,
    /// Call it off.
    Cancel,
    /// Hold it back until it is retried.
    Pause,
}

impl JobVerb {
    /// All of them.
    pub const ALL: [JobVerb; 3] = [JobVerb::Retry, JobVerb::Cancel, JobVerb::Pause];

    /// The name in paths and events.
    pub const fn name(self) -> &'static str {
        match self {
            JobVerb::Retry => "retry",
            JobVerb::Cancel => "cancel",
            JobVerb::Pause => "pause",
        }
    }

    /// As a button.
    pub const fn title(self) -> &'static str {
        match self {
            JobVerb::Retry => "Retry",
            JobVerb::Cancel => "Cancel",
            JobVerb::Pause => "Pause",
        }
    }

    /// What comes of it, in a sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            JobVerb::Retry => "It runs now, with all its tries before it.",
            JobVerb::Cancel => "It is not done any more; what was done of it stays done.",
            JobVerb::Pause => "It is held back until somebody retries it.",
        }
    }

    /// Where a job stands after it; `None` when it cannot be done to a job that stands at `state`.
    pub const fn leads_to(self, state: JobState) -> Option<JobState> {
        match (self, state) {
            (JobVerb::Retry, JobState::Waiting | JobState::Paused | JobState::Dead | JobState::Cancelled) => {
                Some(JobState::Waiting)
            }
            (JobVerb::Cancel, JobState::Waiting | JobState::Paused | JobState::Running | JobState::Dead) => {
                Some(JobState::Cancelled)
            }
            (JobVerb::Pause, JobState::Waiting) => Some(JobState::Paused),
            (JobVerb::Retry, JobState::Running | JobState::Done)
            | (JobVerb::Cancel, JobState::Done | JobState::Cancelled)
            | (
                JobVerb::Pause,
                JobState::Paused | JobState::Running | JobState::Done | JobState::Dead | JobState::Cancelled,
            ) => None,
        }
    }
}

impl fmt::Display for JobVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that nothing can be done by.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` cannot be done to a job; it is one of retry, cancel, pause")]
pub struct UnknownJobVerb(pub String);

impl FromStr for JobVerb {
    type Err = UnknownJobVerb;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        JobVerb::ALL
            .into_iter()
            .find(|verb| verb.name() == text)
            .ok_or_else(|| UnknownJobVerb(text.to_owned()))
    }
}

/// Why a job was not changed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// There is no such job.
    #[error("there is no job {0}; jobs that are done are forgotten after seven days")]
    UnknownJob(JobId),
    /// This cannot be done to a job that stands where this one does.
    #[error("a job that is {state} cannot be changed by `{verb}`")]
    NotPossible {
        /// What was asked.
        verb: JobVerb,
        /// Where the job stands.
        state: JobState,
    },
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        let kind = match error {
            JobError::Store(error) => return problems::of_store(&error),
            JobError::Record(error) => return error.into(),
            JobError::UnknownJob(_) => ProblemKind::NotFound,
            JobError::NotPossible { .. } => ProblemKind::NotPossible,
        };
        Problem::new(kind, Layer::Authorization, error.to_string())
    }
}

/// One page of jobs, newest first, without their payloads.
///
/// # Errors
/// Only the store's.
pub async fn list(store: &Store, filter: &JobFilter) -> Result<Page<Job>, JobError> {
    Ok(store.jobs().list(filter).await?)
}

/// Changes a job; returns it as it is then.
///
/// # Errors
/// [`JobError::UnknownJob`], [`JobError::NotPossible`], or the store's.
pub async fn update(
    store: &Store,
    operator: &Operator<'_>,
    id: JobId,
    verb: JobVerb,
) -> Result<Job, JobError> {
    let job = store.jobs().by_id(id).await?.ok_or(JobError::UnknownJob(id))?;
    let state = job.state;
    let next = verb.leads_to(state).ok_or(JobError::NotPossible { verb, state })?;
    let mut event = operator.event("gateway:job:update");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("kind".to_owned(), job.kind);
    event.parameters.insert("verb".to_owned(), verb.to_string());
    event.before = Some(serde_json::json!({ "state": state.name() }));
    event.after = Some(serde_json::json!({ "state": next.name() }));
    record(store, event).await?;
    let jobs = store.jobs();
    let changed = match verb {
        JobVerb::Retry => jobs.retry(id).await,
        JobVerb::Cancel => jobs.cancel(id).await,
        JobVerb::Pause => jobs.pause(id).await,
    };
    match changed {
        Ok(job) => Ok(job),
        Err(StoreError::NotFound) => Err(JobError::UnknownJob(id)),
        // It went on between the look and the change.
        Err(StoreError::Conflict) => {
            let state = jobs.by_id(id).await?.ok_or(JobError::UnknownJob(id))?.state;
            Err(JobError::NotPossible { verb, state })
        }
        Err(error) => Err(error.into()),
    }
}
