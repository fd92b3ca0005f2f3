//! Whether a connection is at work, and since when it is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a connection is at. Clones are of the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    open: usize,
    idle_since: Instant,
    was_asked: bool,
}

/// One request that is open, until this is dropped.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { open: 0, idle_since: Instant::now(), was_asked: false })))
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> Busy {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open += 1;
        state.was_asked = true;
        Busy(self.clone())
    }

    /// How long no request has been open; `None` while one is.
    pub(crate) fn idle_for(&self) -> Option<Duration> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.open == 0).then(|| state.idle_since.elapsed())
    }

    /// Whether there ever was a request.
    pub(crate) fn was_asked(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).was_asked
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open = state.open.saturating_sub(1);
        state.idle_since = Instant::now();
    }
}
