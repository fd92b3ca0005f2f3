//! How an instance learns that somebody changed who may do what: from its own writes at once, from
//! other instances by notification, and from anybody at latest by the poll. Knows nothing of what
//! changed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::database::{CHANGES_CHANNEL, Database, WriteTx};
use crate::error::StoreError;

/// How old another process's change can be at most before it is noticed here, while the database answers.
pub const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The count of changes noticed. It belongs to this process and only ever grows, so that a cached
/// value from before a change can never count as fresh again, not even when a restored backup
/// takes the database's own version back.
#[derive(Debug)]
pub(crate) struct Changes {
    seen_version: Mutex<i64>,
    generation: watch::Sender<u64>,
}

impl Changes {
    pub(crate) fn new(version: i64) -> Self {
        Self { seen_version: Mutex::new(version), generation: watch::Sender::new(0) }
    }

    pub(crate) fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Counts a change if `version` is another one than the last seen.
    pub(crate) fn saw(&self, version: i64) {
        let mut seen = self.seen_version.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen != version {
            *seen = version;
            self.generation.send_modify(|generation| *generation += 1);
        }
    }

    /// Commits a change of this instance and counts it before anybody here can read on.
    pub(crate) async fn commit(&self, tx: WriteTx, version: i64) -> Result<(), StoreError> {
        let committed = tx.commit().await;
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
        match database.version().await {
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
