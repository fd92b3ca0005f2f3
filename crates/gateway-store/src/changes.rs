//! How an instance learns that somebody changed who may do what: from its own writes at once, from
//! other instances by notification, and from anybody at latest by the poll. Knows nothing of what
//! changed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use crate::database::{CHANGES_CHANNEL, Database, WriteTx};
use crate::error::StoreError;

/// How old another process's change can be at most before it is noticed here, while the database answers.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long one look at the version may take: a database that stands still answers nothing, and breaks nothing off.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// The most ends of generations that are remembered.
const MOST_ENDS: usize = 4096;

/// The count of changes noticed. It belongs to this process and only ever grows, so that a cached
/// value from before a change can never count as fresh again, not even when a restored backup
/// takes the database's own version back.
#[derive(Debug)]
pub(crate) struct Changes {
    seen: Mutex<Seen>,
    generation: watch::Sender<u64>,
}

/// What this process knows of the database, and since when.
#[derive(Debug)]
struct Seen {
    version: i64,
    /// When the last generations ended, the newest last.
    ends: VecDeque<Instant>,
    /// When the database last answered.
    answered: Instant,
    /// Whether it answered when it was last asked.
    answers: bool,
}

impl Changes {
    pub(crate) fn new(version: i64) -> Self {
        let seen = Seen { version, ends: VecDeque::new(), answered: Instant::now(), answers: true };
        Self { seen: Mutex::new(seen), generation: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Counts a change if `version` is another one than the last seen.
    pub(crate) fn saw(&self, version: i64) {
        let mut seen = self.lock();
        if seen.version != version {
            seen.version = version;
            if seen.ends.len() == MOST_ENDS {
                seen.ends.pop_front();
            }
            seen.ends.push_back(Instant::now());
            self.generation.send_modify(|generation| *generation += 1);
        }
    }

    /// Notes whether the database answered.
    pub(crate) fn asked(&self, answered: bool) {
        let mut seen = self.lock();
        seen.answers = answered;
        if answered {
            seen.answered = Instant::now();
        }
    }

    /// Whether it answered when it was last asked.
    pub(crate) fn database_answers(&self) -> bool {
        self.lock().answers
    }

    /// Whether this generation was the present one at some moment of the last `limit` in which the database answered.
    pub(crate) fn was_present_within(&self, limit: Duration, generation: u64) -> bool {
        let seen = self.lock();
        // Counted from the newest: how many generations ended after this one did.
        let Some(since) = self.generation().checked_sub(generation) else { return false };
        let Some(place) = usize::try_from(since).ok().and_then(|since| seen.ends.len().checked_sub(since))
        else {
            return false;
        };
        // The present one has no end yet.
        seen.ends.get(place).is_none_or(|end| seen.answered.saturating_duration_since(*end) <= limit)
    }

    /// Commits a change of this instance and counts it before anybody here can read on.
    pub(crate) async fn commit(&self, tx: WriteTx, version: i64) -> Result<(), StoreError> {
        let committed = tx.commit().await;
        if committed.is_ok() {
            self.asked(true);
        }
        // Also when the commit failed: its answer may have been lost after it was done.
        self.saw(version);
        committed
    }

    /// The same for a change of a row that had to be of an expected version: commits when there was one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there was none; then nothing was changed.
    pub(crate) async fn commit_if(&self, tx: WriteTx, version: i64, found: bool) -> Result<(), StoreError> {
        if found {
            return self.commit(tx, version).await;
        }
        tx.rollback().await?;
        Err(StoreError::Conflict)
    }
}

/// Watches for changes of others until it is dropped.
pub(crate) async fn watch(database: Database, changes: std::sync::Arc<Changes>, listen_url: Option<String>) {
    // Not at once: a tick would break off the first attempt to listen, and the next one comes with the next poll.
    let mut poll = tokio::time::interval_at(Instant::now() + POLL_INTERVAL, POLL_INTERVAL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ears = Ears { url: listen_url, listener: None, next_try: Instant::now() };
    let mut reachable = true;
    loop {
        tokio::select! {
            _ = poll.tick() => {}
            () = ears.hear() => {}
        }
        let late = |_elapsed| StoreError::TimedOut { doing: "looking for changes", limit: LOOK_LIMIT };
        let version = timeout(LOOK_LIMIT, database.version()).await.map_err(late).flatten();
        changes.asked(version.is_ok());
        match version {
            Ok(version) => {
                changes.saw(version);
                reachable = true;
            }
            Err(error) => {
                if reachable {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot learn of changes");
                }
                reachable = false;
            }
        }
    }
}

/// The notification side, where there is one.
struct Ears {
    url: Option<String>,
    listener: Option<PgListener>,
    next_try: Instant,
}

impl Ears {
    /// Returns when something may have changed. Never returns where there are no notifications.
    async fn hear(&mut self) {
        let Some(url) = self.url.as_deref() else { return std::future::pending().await };
        loop {
            if let Some(listener) = self.listener.as_mut() {
                // A lost connection reads as `None`: something may have been missed, so look.
                if listener.try_recv().await.is_err() {
                    self.listener = None;
                    self.next_try = Instant::now() + POLL_INTERVAL;
                }
                return;
            }
            tokio::time::sleep_until(self.next_try).await;
            self.next_try = Instant::now() + POLL_INTERVAL;
            match listen(url).await {
                Ok(listener) => {
                    self.listener = Some(listener);
                    return;
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "cannot listen for changes");
                }
            }
        }
    }
}

async fn listen(url: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANGES_CHANNEL).await?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_counts_for_a_while_after_the_change_that_ended_it() {
        let (long, none) = (Duration::from_secs(3600), Duration::ZERO);
        let changes = Changes::new(1);
        assert!(changes.was_present_within(none, 0), "it is the present one");
        assert!(!changes.was_present_within(long, 1), "that one is to come");
        changes.saw(2);
        let ended = Instant::now();
        changes.asked(false);
        assert!(!changes.database_answers());
        assert!(changes.was_present_within(none, 0), "time alone makes nothing old: the database is away");
        while Instant::now() == ended {}
        changes.asked(true);
        assert!(changes.database_answers());
        assert!(!changes.was_present_within(none, 0), "it answered after the change");
        assert!(changes.was_present_within(long, 0), "not long after");
        assert!(changes.was_present_within(none, 1));
        for version in 3..5000 {
            changes.saw(version);
        }
        assert!(!changes.was_present_within(long, 1), "of so many ends none is remembered");
        assert!(changes.was_present_within(long, 4997));
    }
}
