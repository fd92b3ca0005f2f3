//! The loop that does the jobs: it claims what is due, runs it with a time limit, keeps the claim while it
//! runs, and notes how it ended. A job may be done twice (a crash after the work and before the note): what it
//! does must bear that.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gateway_store::{Claim, ClaimedJob, Retry, Store, StoreError};
use gateway_types::JobId;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::job::Job;

/// How often what is long done is forgotten.
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);

/// What [`Handler::handle`] returns.
pub type Handling<'a> = Pin<Box<dyn Future<Output = Result<(), JobFailure>> + Send + 'a>>;

/// Whoever does jobs.
pub trait Handler: fmt::Debug + Send + Sync {
    /// Does a job. It may have been begun, or even done, before: `id` is the same each time.
    fn handle<'a>(&'a self, id: JobId, job: &'a Job) -> Handling<'a>;
}

/// How a job failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFailure {
    /// Why, for people; without secrets.
    pub error: String,
    /// Whether another try can help.
    pub retry: Retry,
}

/// How the worker works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerOptions {
    /// How often it looks for due jobs when nobody wakes it.
    pub poll: Duration,
    /// How many jobs it does at one time.
    pub at_once: usize,
    /// How long a job may take.
    pub limit: Duration,
    /// How long a claim holds without being renewed; it is renewed three times as often.
    pub lease: Duration,
    /// How long jobs in hand may go on after it was told to stop; then they are given back.
    pub grace: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(5),
            at_once: 4,
            limit: Duration::from_secs(60),
            lease: Duration::from_secs(60),
            grace: Duration::from_secs(5),
        }
    }
}

/// Does the jobs of one instance.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Where the jobs are.
    pub store: Arc<Store>,
    /// What does them.
    pub handler: Arc<dyn Handler>,
    /// Wakes the worker when a job was put into the queue by this process.
    pub wake: Arc<Notify>,
    /// How it works.
    pub options: WorkerOptions,
}

/// How one try ended.
enum Ended {
    Done,
    Failed(JobFailure),
    /// The job was taken over or called off.
    Lost,
    /// The worker stops.
    GivenBack,
}

impl Worker {
    /// Works until `stop` is cancelled, and then until no job is in hand.
    pub async fn run(self, stop: CancellationToken) {
        let give_back = CancellationToken::new();
        let mut in_hand = JoinSet::new();
        let mut poll = tokio::time::interval(self.options.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_prune = Instant::now();
        let mut reachable = true;
        while !stop.is_cancelled() {
            reachable = self.claim_what_is_due(&mut in_hand, &give_back, reachable).await;
            if reachable && Instant::now() >= next_prune {
                self.prune().await;
                next_prune = Instant::now() + PRUNE_INTERVAL;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                Some(_ended) = in_hand.join_next() => {}
                _ = poll.tick() => {}
            }
        }
        if tokio::time::timeout(self.options.grace, drain(&mut in_hand)).await.is_err() {
            give_back.cancel();
            drain(&mut in_hand).await;
        }
    }

    /// Claims until the hands are full or nothing is due; returns whether the database answered.
    async fn claim_what_is_due(
        &self,
        in_hand: &mut JoinSet<()>,
        give_back: &CancellationToken,
        was_reachable: bool,
    ) -> bool {
        while in_hand.len() < self.options.at_once {
            match self.store.jobs().claim(Job::KINDS, self.options.lease).await {
                Ok(Some(claimed)) => {
                    let (worker, give_back) = (self.clone(), give_back.clone());
                    in_hand.spawn(async move { worker.work(claimed, &give_back).await });
                }
                Ok(None) => return true,
                Err(error) => {
                    if was_reachable {
                        tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for jobs");
                    }
                    return false;
                }
            }
        }
        true
    }

    async fn prune(&self) {
        match self.store.jobs().prune().await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "forgot jobs that were long done"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget old jobs");
            }
        }
    }

    async fn work(&self, claimed: ClaimedJob, give_back: &CancellationToken) {
        let ended = match Job::from_row(&claimed.job.kind, &claimed.payload) {
            Ok(job) => self.attempt(&claimed.claim, job, give_back).await,
            Err(error) => Ended::Failed(JobFailure { error: error.to_string(), retry: Retry::Never }),
        };
        let jobs = self.store.jobs();
        let (id, kind) = (claimed.job.id, &claimed.job.kind);
        let noted = match ended {
            Ended::Done => jobs.complete(&claimed.claim).await,
            Ended::GivenBack => jobs.release(&claimed.claim).await,
            Ended::Lost => Err(StoreError::Conflict),
            Ended::Failed(failure) => {
                let noted = jobs.fail(&claimed.claim, &failure.error, failure.retry).await;
                noted.map(|state| {
                    tracing::warn!(job = %id, kind, tries = claimed.job.tries, error = failure.error, %state, "a job failed");
                })
            }
        };
        match noted {
            Ok(()) => {}
            Err(StoreError::Conflict) => {
                tracing::info!(job = %id, kind, "a job was taken over or called off while it ran");
            }
            // The lease ends by itself, and somebody does the job again.
            Err(error) => {
                tracing::warn!(job = %id, kind, error = &error as &dyn std::error::Error, "the end of a job was not noted");
            }
        }
    }

    /// Runs the handler in a task of its own, so that its panic ends the try and not the worker.
    async fn attempt(&self, claim: &Claim, job: Job, give_back: &CancellationToken) -> Ended {
        let (handler, id) = (Arc::clone(&self.handler), claim.id());
        let mut task = AbortOnDropHandle::new(tokio::spawn(async move { handler.handle(id, &job).await }));
        let limit = tokio::time::sleep(self.options.limit);
        tokio::pin!(limit);
        let every = (self.options.lease / 3).max(Duration::from_millis(1));
        let mut renewal = tokio::time::interval_at(Instant::now() + every, every);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = &mut task => return match ended {
                    Ok(Ok(())) => Ended::Done,
                    Ok(Err(failure)) => Ended::Failed(failure),
                    Err(_panic) => failed("the job panicked; the log of the gateway says where".to_owned()),
                },
                () = &mut limit => return failed(format!("the job took longer than {:?}", self.options.limit)),
                () = give_back.cancelled() => return Ended::GivenBack,
                _ = renewal.tick() => match self.store.jobs().renew(claim, self.options.lease).await {
                    Ok(()) => {}
                    Err(StoreError::Conflict) => return Ended::Lost,
                    // The claim may still hold; if it does not, the fence says so at the end.
                    Err(error) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "a claim was not renewed");
                    }
                },
            }
        }
    }
}

fn failed(error: String) -> Ended {
    Ended::Failed(JobFailure { error, retry: Retry::Later })
}

async fn drain(in_hand: &mut JoinSet<()>) {
    while in_hand.join_next().await.is_some() {}
}
