//! How much of something is open at one time, by key. The table holds only keys of which something is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

type Counts = Arc<Mutex<HashMap<Arc<str>, u32>>>;

/// What is open.
#[derive(Debug, Default)]
pub(super) struct Open(Counts);

/// One open thing; its place is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    counts: Counts,
    key: Arc<str>,
}

impl Open {
    /// A place for one more of this key, unless `most` are open.
    pub(super) fn hold(&self, key: String, most: u32) -> Option<Held> {
        let key: Arc<str> = key.into();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&key) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None => drop(counts.insert(key.clone(), 1)),
        }
        Some(Held { counts: self.0.clone(), key })
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
