//! What other instances told: sums that only grow, so that what is read twice or late is counted once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gateway_store::OthersCount;
use tokio::time::Instant;

/// How long a sum is remembered that was not told again. Whoever tells it has begun anew by then.
const MEMORY: Duration = Duration::from_secs(3600);

/// The most sums that are remembered; with more, those that were not told for longest are forgotten. A key that is
/// told again after that counts in full, which a bucket bounds by its longest debt.
const MOST_SUMS: usize = 100_000;

/// The last sum of each key and instance.
#[derive(Debug, Default)]
pub(super) struct Others(Mutex<Option<Sums>>);

/// A sum and when it was last read, by key and instance.
type Sums = HashMap<(String, String), (i64, Instant)>;

impl Others {
    /// What was taken since the last time, by key. The first time there is nothing new: the sums are of a past
    /// in which this instance did not run.
    pub(super) fn news(&self, rows: Vec<OthersCount>) -> Vec<(String, i64)> {
        let now = Instant::now();
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = sums.is_none();
        let sums = sums.get_or_insert_default();
        let mut news = Vec::new();
        for OthersCount { key, instance, used } in rows {
            let before = sums.insert((key.clone(), instance), (used, now)).map_or(0, |(used, _)| used);
            // A smaller sum is of an instance that forgot the key meanwhile and began anew.
            let taken = if used < before { used } else { used - before };
            if taken > 0 && !is_first {
                news.push((key, taken));
            }
        }
        sums.retain(|_, (_, read)| now.duration_since(*read) < MEMORY);
        if sums.len() > MOST_SUMS {
            let mut moments: Vec<Instant> = sums.values().map(|(_, read)| *read).collect();
            let surplus = moments.len() - MOST_SUMS;
            let (_, latest_forgotten, _) = moments.select_nth_unstable(surplus);
            let latest_forgotten = *latest_forgotten;
            sums.retain(|_, (_, read)| *read > latest_forgotten);
        }
        news
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().as_ref().map_or(0, Sums::len)
    }
}
