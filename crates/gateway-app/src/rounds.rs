//! What the gateway does by the clock, beside requests: how often, when it was last done, how long that took. Each
//! instance does its own rounds; work that only one may do at a time takes a lease within its round.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gateway_types::Timestamp;

/// One kind of periodic work of this instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Round {
    /// What is done.
    pub name: &'static str,
    /// How long it rests between two times, at the least.
    pub every: Duration,
    /// How often it was done since the start.
    pub done: u64,
    /// When it was last begun; absent before the first time.
    pub began: Option<Timestamp>,
    /// How long the last one took that came to its end.
    pub took: Option<Duration>,
    /// Whether one goes on.
    pub running: bool,
}

impl Round {
    /// When the next one is due; `None` while one goes on, and before the first.
    pub fn next(&self) -> Option<Timestamp> {
        self.began.filter(|_| !self.running).map(|began| began.saturating_add(self.every))
    }
}

/// The rounds of this instance.
#[derive(Debug, Default)]
pub struct Rounds(Mutex<BTreeMap<&'static str, Round>>);

impl Rounds {
    /// There is such work from now on.
    pub fn expect(&self, name: &'static str, every: Duration) {
        self.with(|rounds| {
            let fresh = Round { name, every, done: 0, began: None, took: None, running: false };
            rounds.entry(name).or_insert(fresh);
        });
    }

    /// It is begun.
    pub fn begin(&self, name: &'static str, now: Timestamp) {
        self.with(|rounds| {
            if let Some(round) = rounds.get_mut(name) {
                (round.began, round.running) = (Some(now), true);
            }
        });
    }

    /// It is at its end.
    pub fn end(&self, name: &'static str, took: Duration) {
        self.with(|rounds| {
            if let Some(round) = rounds.get_mut(name) {
                round.done += 1;
                (round.took, round.running) = (Some(took), false);
            }
        });
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Round> {
        self.with(|rounds| rounds.values().copied().collect())
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<&'static str, Round>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_tells_when_it_was_done_and_when_it_is_due() {
        let (rounds, every) = (Rounds::default(), Duration::from_secs(60));
        rounds.expect("tidy", every);
        let before = rounds.all();
        assert_eq!((before[0].done, before[0].began, before[0].next()), (0, None, None));

        let now = Timestamp::from_micros(1_700_000_000_000_000);
        rounds.begin("tidy", now);
        assert!(rounds.all()[0].running);
        assert_eq!(rounds.all()[0].next(), None);
        rounds.end("tidy", Duration::from_millis(3));
        let after = rounds.all()[0];
        assert_eq!((after.done, after.took), (1, Some(Duration::from_millis(3))));
        assert_eq!(after.next(), Some(now.saturating_add(every)));

        // Nobody expects it, so nobody waits for it.
        rounds.begin("unknown", now);
        rounds.end("unknown", every);
        assert_eq!(rounds.all().len(), 1);
        // Said again, it keeps what was counted.
        rounds.expect("tidy", every);
        assert_eq!(rounds.all()[0].done, 1);
    }
}
