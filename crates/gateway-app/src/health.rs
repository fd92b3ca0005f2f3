//! How this instance is doing: what a balancer asks, and what an operator should know. Why in detail is the
//! second listener's to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use gateway_audit::Head;
use gateway_store::{AuditHealth, ReadOnly, Store};

use crate::policies::Loaded;
use crate::rounds::Rounds;

/// Whether this instance should be sent requests.
#[derive(Debug, Default)]
pub struct Health {
    draining: AtomicBool,
    replaced: AtomicBool,
    policy_fault: ArcSwapOption<String>,
    service_fault: ArcSwapOption<String>,
    file_fault: ArcSwapOption<String>,
    credential_fault: ArcSwapOption<String>,
    search_fault: ArcSwapOption<String>,
    retention_fault: ArcSwapOption<String>,
    sentinel_fault: ArcSwapOption<String>,
    discovery_fault: ArcSwapOption<String>,
    probe_fault: ArcSwapOption<String>,
    anchored: ArcSwapOption<Head>,
    read_only: ArcSwapOption<ReadOnly>,
    /// What this instance does by the clock.
    pub rounds: Rounds,
    /// Which of the database's policies and services are in force here; held while they are exchanged.
    pub(crate) policies: tokio::sync::Mutex<Loaded>,
}

impl Health {
    /// Of an instance that serves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The instance is stopping: balancers send nothing new from now on.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Another process takes what comes in from now on: this one ends with what it has in hand.
    pub fn set_replaced(&self) {
        self.replaced.store(true, Ordering::Relaxed);
    }

    /// Whether another process takes what comes in.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Relaxed)
    }

    /// Whether connections are to end with the reply in hand, since this process does.
    pub fn is_leaving(&self) -> bool {
        self.is_draining() || self.is_replaced()
    }

    /// Whether the instance is stopping.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why the policies in the database are not those in force here; `None` when they are.
    pub fn policy_fault(&self) -> Option<String> {
        self.policy_fault.load().as_deref().cloned()
    }

    pub(crate) fn set_policy_fault(&self, fault: Option<String>) {
        self.policy_fault.store(fault.map(std::sync::Arc::new));
    }

    /// Why the services as declared, in the database or in the configuration file, are not those in force here; `None`
    /// when they are.
    pub fn service_fault(&self) -> Option<String> {
        let (database, file) = (self.service_fault.load(), self.file_fault.load());
        let faults: Vec<&str> =
            [&database, &file].into_iter().filter_map(|fault| fault.as_deref()).map(String::as_str).collect();
        (!faults.is_empty()).then(|| faults.join("; "))
    }

    /// Notes why the database's services are not in force.
    pub(crate) fn set_service_fault(&self, fault: Option<String>) {
        self.service_fault.store(fault.map(std::sync::Arc::new));
    }

    /// Notes why the configuration file is not in force. Its own slot: a change of the database's services says
    /// nothing of the file. Whether this is news.
    pub fn set_file_fault(&self, fault: Option<String>) -> bool {
        let fault = fault.map(std::sync::Arc::new);
        self.file_fault.swap(fault.clone()) != fault
    }

    /// Why the rack's credential cannot be read where it is kept; `None` when it can.
    pub fn credential_fault(&self) -> Option<String> {
        self.credential_fault.load().as_deref().cloned()
    }

    /// Notes why the rack's credential cannot be read.
    pub fn set_credential_fault(&self, fault: Option<String>) {
        self.credential_fault.store(fault.map(std::sync::Arc::new));
    }

    /// Why searches of the log do not agree with the log; `None` while they do.
    pub fn search_fault(&self) -> Option<String> {
        self.search_fault.load().as_deref().cloned()
    }

    /// Notes whether searches agree with the log.
    pub(crate) fn set_search_fault(&self, fault: Option<String>) {
        self.search_fault.store(fault.map(std::sync::Arc::new));
    }

    /// What is wrong with the retention of the log; `None` while nothing is.
    pub fn retention_fault(&self) -> Option<String> {
        self.retention_fault.load().as_deref().cloned()
    }

    /// Notes what is wrong with the retention of the log.
    pub(crate) fn set_retention_fault(&self, fault: Option<String>) {
        self.retention_fault.store(fault.map(Arc::new));
    }

    /// Why this instance could not look up where services are; `None` while it can.
    pub fn discovery_fault(&self) -> Option<String> {
        self.discovery_fault.load().as_deref().cloned()
    }

    /// Notes why it could not be looked up where services are.
    pub(crate) fn set_discovery_fault(&self, fault: Option<String>) {
        self.discovery_fault.store(fault.map(Arc::new));
    }

    /// Why this instance could not compare the rack with the log; `None` while it can.
    pub fn sentinel_fault(&self) -> Option<String> {
        self.sentinel_fault.load().as_deref().cloned()
    }

    /// Notes why the rack could not be compared with the log.
    pub(crate) fn set_sentinel_fault(&self, fault: Option<String>) {
        self.sentinel_fault.store(fault.map(Arc::new));
    }

    /// Why this instance could not look whether anything answers past the gateway; `None` while it can.
    pub fn probe_fault(&self) -> Option<String> {
        self.probe_fault.load().as_deref().cloned()
    }

    /// Notes why this instance could not look whether anything answers past the gateway.
    pub fn set_probe_fault(&self, fault: Option<String>) {
        self.probe_fault.store(fault.map(Arc::new));
    }

    /// The newest anchor that this instance kept where it can be read again, and held against the log; `None` while it has
    /// none, or anchors raise an alarm.
    pub fn anchored(&self) -> Option<Head> {
        self.anchored.load().as_deref().copied()
    }

    /// Notes the newest anchor.
    pub fn set_anchored(&self, anchor: Option<Head>) {
        self.anchored.store(anchor.map(Arc::new));
    }

    /// Why nothing can be changed on purpose; `None` while it can.
    pub fn read_only(&self) -> Option<Arc<ReadOnly>> {
        self.read_only.load_full()
    }

    /// Notes whether, and why, nothing can be changed on purpose.
    pub fn set_read_only(&self, read_only: Option<ReadOnly>) {
        self.read_only.store(read_only.map(Arc::new));
    }

    /// Whether to send requests here: also when the store is away, since reads by known callers still
    /// work; not when the instance is stopping or its disk is full.
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

    /// A balancer that asks over a connection of before must not take the address out: another process serves it.
    #[test]
    fn who_was_replaced_leaves_and_does_not_drain() {
        let health = Health::new();
        health.set_replaced();
        assert!(health.is_leaving() && !health.is_draining());
    }

    #[test]
    fn a_fault_of_the_file_outlives_changes_of_the_database() {
        let health = Health::new();
        assert!(health.set_file_fault(Some("line 3".to_owned())));
        assert!(!health.set_file_fault(Some("line 3".to_owned())), "known already");
        health.set_service_fault(Some("wiki".to_owned()));
        assert_eq!(health.service_fault().as_deref(), Some("wiki; line 3"));
        health.set_service_fault(None);
        assert_eq!(health.service_fault().as_deref(), Some("line 3"));
        assert!(health.set_file_fault(None));
        assert_eq!(health.service_fault(), None);
    }

    #[test]
    fn draining_is_said() {
        let health = Health::new();
        assert!(!health.is_draining());
        health.set_draining();
        assert!(health.is_draining() && health.is_leaving());
    }
}
