//! Refusals of callers without a credential, counted for each source and minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gateway_audit::{Event, EventId};
use gateway_types::{Entropy, Timestamp};

/// How long refusals of one source are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// How many sources are told apart; further ones are counted together.
const SOURCES: usize = 4096;

/// Counts refusals so that a scan leaves a few events, not millions.
#[derive(Debug, Default)]
pub(crate) struct RefusalCounter(Mutex<HashMap<Option<IpAddr>, Counted>>);

#[derive(Debug)]
struct Counted {
    since: Timestamp,
    /// How many came after the first, which was written at once.
    further: u64,
    /// The newest of them stands for all.
    newest: Option<Event>,
}

impl RefusalCounter {
    /// Counts one refusal. The first of a source in each minute comes back to be written at once.
    pub(crate) fn count(&self, source: IpAddr, now: Timestamp, event: Event) -> Option<Event> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key =
            if sources.len() < SOURCES || sources.contains_key(&Some(source)) { Some(source) } else { None };
        match sources.get_mut(&key) {
            Some(counted) => {
                counted.further += 1;
                counted.newest = Some(event);
                None
            }
            None => {
                sources.insert(key, Counted { since: now, further: 0, newest: None });
                Some(event)
            }
        }
    }

    /// Takes out the sources whose minute is over (`everything`: all of them), as one event each with
    /// its count.
    pub(crate) fn drain(&self, now: Timestamp, entropy: &dyn Entropy, everything: bool) -> Vec<Event> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        sources.retain(|_, counted| {
            let over = everything || now.checked_since(counted.since).is_none_or(|age| age >= WINDOW);
            if over && let Some(mut event) = counted.newest.take() {
                event.id = EventId::new(now, entropy);
                event.count = Some(counted.further);
                events.push(event);
            }
            !over
        });
        events
    }
}
