//! A clock that moves when told.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gateway_types::{Clock, SystemClock, Timestamp};

/// A clock that starts at the present and moves only when told.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicI64::new(SystemClock.now().micros()))
    }
}

impl FakeClock {
    /// Moves the time on.
    pub fn advance(&self, duration: Duration) {
        let micros = i64::try_from(duration.as_micros()).expect("a duration of less than 292,000 years");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
