//! Makes back ends have what is desired, and says where they do not.
//!
//! One task for each zone. It reads what is desired from the store, which is durable; all that it knows itself it can
//! find out again. So a kill at any moment costs a look at the back end, and no record.

mod difference;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::backend::{Backend, BackendError, Observed, Refused};
use crate::config::Pace;
use crate::store::{ZoneState, ZoneStore};

pub use difference::Drift;
pub use status::{Failure, Standing, ZoneStatus};

/// The most names that are listed of those that the shim does not hold.
const MOST_FOREIGN: usize = 100;

/// Keeps one zone.
#[derive(Debug)]
pub struct Reconciler {
    store: ZoneStore,
    backend: Arc<dyn Backend>,
    pace: Pace,
    clock: Arc<dyn Clock>,
    status: watch::Sender<Arc<ZoneStatus>>,
}

impl Reconciler {
    /// One that has not looked yet.
    pub fn new(store: ZoneStore, backend: Arc<dyn Backend>, pace: Pace, clock: Arc<dyn Clock>) -> Self {
        Self { store, backend, pace, clock, status: watch::Sender::new(Arc::default()) }
    }

    /// How the zone stands, now and after each look.
    pub fn watch(&self) -> watch::Receiver<Arc<ZoneStatus>> {
        self.status.subscribe()
    }

    /// Works until it is dropped.
    pub async fn run(self) {
        let mut changes = self.store.watch();
        let mut failures = 0u32;
        loop {
            changes.mark_unchanged();
            failures = if self.pass().await { 0 } else { failures.saturating_add(1) };
            let wait = if failures == 0 { self.pace.sweep } else { backoff(self.pace, failures) };
            let next = Instant::now() + wait;
            self.status.send_modify(|status| {
                Arc::make_mut(status).retry_at =
                    (failures > 0).then(|| self.clock.now().saturating_add(wait));
            });
            tokio::select! {
                () = sleep_until(next) => {}
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // A server that is away is not asked once for each change that waits for it.
                    if failures > 0 {
                        sleep(self.pace.retry_first).await;
                    }
                }
            }
        }
    }

    /// Looks, corrects, and looks again. Whether all is as desired then.
    async fn pass(&self) -> bool {
        let state = self.store.state();
        match self.try_pass(&state).await {
            Ok(is_done) => is_done,
            Err(error) => {
                let text = chain(&error);
                let zone = self.store.zone();
                tracing::warn!(%zone, error = text, "the zone could not be reconciled; it is tried again");
                let failure = Failure { at: self.clock.now(), error: text };
                self.status.send_modify(|status| {
                    let status = Arc::make_mut(status);
                    status.failure = Some(failure);
                    status.failures = status.failures.saturating_add(1);
                });
                false
            }
        }
    }

    async fn try_pass(&self, state: &ZoneState) -> Result<bool, BackendError> {
        let before = self.backend.observe(&state.names).await?;
        let edits = difference::edits(self.store.zone(), &state.names, &before.actual);
        let repaired = self.repaired(state, &edits);
        if edits.is_empty() && before.stale.is_none() {
            self.publish(state, &before, Refused::new(), repaired).await;
            return Ok(true);
        }
        self.show(state, &before);
        let refused = self.backend.apply(&edits, &state.names).await?;
        let after = self.backend.observe(&state.names).await?;
        let is_done = self.publish(state, &after, refused, repaired).await;
        Ok(is_done && after.stale.is_none())
    }

    /// How many names had been as desired and are no longer: somebody else wrote there.
    fn repaired(&self, state: &ZoneState, edits: &[crate::backend::NameEdit]) -> u64 {
        let status = Arc::clone(&self.status.borrow());
        let was_right = |edit: &&crate::backend::NameEdit| {
            let held = state.names.get(&edit.name).map(|held| held.revision);
            held.is_some() && status.applied.get(&edit.name).copied() == held
        };
        let count = edits.iter().filter(was_right).inspect(|edit| {
            tracing::warn!(zone = %self.store.zone(), name = %edit.name, "somebody else changed a name; it is put back");
        });
        u64::try_from(count.count()).unwrap_or(u64::MAX)
    }

    /// Tells the drift before it is corrected, which may take long or fail.
    fn show(&self, state: &ZoneState, observed: &Observed) {
        let drift = difference::drift(self.store.zone(), &state.names, &observed.actual, &Refused::new());
        let stale = observed.stale.clone();
        self.status.send_modify(|status| {
            let status = Arc::make_mut(status);
            let wrong: BTreeSet<&str> = drift.iter().map(|drift| drift.name.as_str()).collect();
            status.applied.retain(|name, _| !wrong.contains(name.as_str()));
            (status.drift, status.stale, status.looked) = (drift, stale, true);
        });
    }

    /// Tells how it stands, and forgets removals that are done. Whether all is as desired.
    async fn publish(&self, state: &ZoneState, observed: &Observed, refused: Refused, repaired: u64) -> bool {
        let zone = self.store.zone();
        let drift = difference::drift(zone, &state.names, &observed.actual, &refused);
        let foreign = difference::foreign(&state.names, &observed.actual);
        let wrong: BTreeSet<&str> = drift.iter().map(|drift| drift.name.as_str()).collect();
        let applied: BTreeMap<_, _> = state
            .names
            .iter()
            .filter(|(name, _)| !wrong.contains(name.as_str()))
            .map(|(name, held)| (name.clone(), held.revision))
            .collect();
        let gone =
            state.names.iter().filter(|(name, held)| held.sets.is_empty() && applied.contains_key(name));
        let gone: Vec<_> = gone.map(|(name, held)| (name.clone(), held.revision)).collect();
        let is_done = drift.is_empty();
        let now = self.clock.now();
        self.status.send_modify(|status| {
            let status = Arc::make_mut(status);
            status.looked = true;
            status.applied = applied;
            status.foreign_count = foreign.len();
            status.foreign = foreign.into_iter().take(MOST_FOREIGN).collect();
            status.repaired = status.repaired.saturating_add(repaired);
            status.stale = observed.stale.clone();
            status.failure = (!is_done).then(|| Failure { at: now, error: status::NOT_TAKEN.to_owned() });
            status.failures = status.failures.saturating_add(u64::from(!is_done));
            status.drift = drift;
            status.succeeded_at = if is_done { Some(now) } else { status.succeeded_at };
        });
        if !gone.is_empty()
            && let Err(error) = self.store.forget(gone).await
        {
            tracing::error!(%zone, error = chain(&error), "removals that are done could not be forgotten");
        }
        is_done
    }
}

/// How long to wait after so many failures in a row: doubled each time, a quarter more or less by chance.
fn backoff(pace: Pace, failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures.saturating_sub(1).min(20)).unwrap_or(u32::MAX);
    let wait = pace.retry_first.saturating_mul(factor).min(pace.retry_longest);
    let mut chance = [128u8];
    // Without randomness it is the middle.
    let _ignored = getrandom::fill(&mut chance);
    let [chance] = chance;
    wait.mul_f64(0.75 + f64::from(chance) / 512.0)
}

/// An error and all its causes, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// Seconds since 1970.
pub(crate) fn seconds(at: Timestamp) -> i64 {
    at.micros() / 1_000_000
}
