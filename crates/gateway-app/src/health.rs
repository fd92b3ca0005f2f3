//! Whether the gateway can serve: what a balancer asks. Why not in detail is the second listener's to say.

use std::sync::atomic::{AtomicBool, Ordering};

use gateway_store::{AuditHealth, Store};

/// Whether this instance should be sent requests.
#[derive(Debug, Default)]
pub struct Health {
    draining: AtomicBool,
}

impl Health {
    /// Of an instance that serves.
    pub const fn new() -> Self {
        Self { draining: AtomicBool::new(false) }
    }

    /// The instance is stopping: balancers send nothing new from now on.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the instance is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether to send requests here: also when the store is away, since reads by known callers still
    /// work; not when the instance is stopping, its log is closed, or its disk is full.
    pub fn can_serve(&self, store: &Store) -> bool {
        !self.is_draining() && !is_out_of_disk(&store.audit().health())
    }
}

/// Whether the log cannot be written for want of room: what no waiting mends, and what only another
/// instance with another disk can serve around.
fn is_out_of_disk(health: &AuditHealth) -> bool {
    // The words of SQLite (SQLITE_FULL), of PostgreSQL (53100 disk_full) and of the operating system (ENOSPC).
    const WORDS: [&str; 3] = ["database or disk is full", "disk full", "No space left on device"];
    health.last_error.as_deref().is_some_and(|text| WORDS.iter().any(|words| text.contains(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(last_error: Option<&str>, full: bool) {
        let health = AuditHealth {
            writable: last_error.is_none(),
            queued: 0,
            last_error: last_error.map(str::to_owned),
            dropped_reads: 0,
            commits: 0,
        };
        assert_eq!(is_out_of_disk(&health), full, "{last_error:?}");
    }

    #[test]
    fn out_of_disk() {
        check(None, false);
        check(Some("the database is unavailable: connection refused"), false);
        check(Some("error returned from database: (code: 13) database or disk is full"), true);
        check(Some("could not extend file \"base/1/2\": No space left on device"), true);
    }

    #[test]
    fn draining_is_said() {
        let health = Health::new();
        assert!(!health.is_draining());
        health.set_draining();
        assert!(health.is_draining());
    }
}
