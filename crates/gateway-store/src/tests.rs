//! Every test runs on SQLite and on a real PostgreSQL.

mod aggregates;
mod audit_sinks;
mod backup;
mod certificates;
mod concurrency;
mod elevations;
mod factors;
mod handoffs;
mod imports;
mod integrations;
mod jobs;
mod log;
mod log_keys;
mod log_reading;
mod log_retention;
mod log_tiles;
mod machines;
mod modes;
mod opening;
mod people;
mod policies;
mod providers;
mod rate_counts;
mod recordings;
mod resolving;
mod reveals;
mod rotation;
mod sign_in;
mod vantage;
mod zone;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gateway_audit::{Actor, Event, Frontier, Phase, leaf_hash};
use gateway_types::{
    ActionName, Clock, CredentialKind, EventId, OsEntropy, Resource, Role, RoleSet, Secret, Timestamp, UserId,
};
use tempfile::TempDir;

use crate::{Access, NewSession, NewUser, Session, Store, StoreError, StoreOptions, User};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(super) struct TestClock(AtomicI64);

impl TestClock {
    pub(super) fn new() -> Arc<TestClock> {
        Arc::new(TestClock(AtomicI64::new(1_795_000_000_000_000)))
    }

    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// One empty database.
pub(super) struct Place {
    pub(super) url: String,
    pub(super) clock: Arc<TestClock>,
    directory: TempDir,
}

impl Place {
    pub(super) fn sqlite() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("data/gateway.db").display());
        Place { url, clock: TestClock::new(), directory }
    }

    pub(super) fn postgres() -> Place {
        let base = gateway_testdb::postgres().unwrap();
        let url = gateway_testdb::fresh_database(base).unwrap();
        Place { url, clock: TestClock::new(), directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn both() -> [Place; 2] {
        [Place::sqlite(), Place::postgres()]
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite")
    }

    pub(super) fn database_file(&self) -> std::path::PathBuf {
        self.directory.path().join("data/gateway.db")
    }

    pub(super) fn options(&self, access: Access) -> StoreOptions {
        StoreOptions {
            url: self.url.clone(),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(OsEntropy),
            max_connections: 8,
            access,
            app_secret_key: Some(Secret::new("a key for tests, long enough".to_owned())),
        }
    }

    pub(super) async fn open(&self, access: Access) -> Arc<Store> {
        Store::open(self.options(access)).await.unwrap()
    }

    /// A `serve`, and what may run beside it: another one, on SQLite a tool.
    pub(super) async fn open_two(&self) -> (Arc<Store>, Arc<Store>) {
        let first = self.open(Access::Serve).await;
        let second = self.open(if self.is_sqlite() { Access::Tool } else { Access::Serve }).await;
        (first, second)
    }
}

pub(super) async fn add_user(store: &Store, email: &str, roles: &[Role]) -> User {
    let roles: RoleSet = roles.iter().copied().collect();
    store.users().create(NewUser { email: email.to_owned(), name: "Name".to_owned(), roles }).await.unwrap()
}

pub(super) async fn add_session(
    store: &Store,
    place: &Place,
    user: UserId,
    kind: CredentialKind,
) -> (Session, String) {
    let new = NewSession {
        user,
        kind,
        expires: place.clock.now().saturating_add(Duration::from_secs(12 * 3600)),
        idle_limit: Duration::from_secs(1800),
        device: "test".to_owned(),
        ip: Some("192.0.2.7".parse().unwrap()),
    };
    let (session, secret) = store.sessions().create(new).await.unwrap();
    (session, secret.expose().clone())
}

pub(super) fn event(place: &Place, action: &str, phase: Phase) -> Event {
    let now = place.clock.now();
    let mut event = Event::new(
        now,
        EventId::new(now, &OsEntropy),
        ActionName::new(action),
        Resource::app("myapp"),
        Actor::local_operator("tester"),
    );
    event.phase = phase;
    event
}

/// Reads the whole log, recomputes every hash, and compares with the head. Returns the events.
pub(super) async fn verified(store: &Store) -> Vec<Event> {
    let head = store.events().head().await.unwrap();
    let mut frontier = Frontier::new();
    let mut events = Vec::new();
    loop {
        let leaves = store.events().leaves(frontier.size(), head.size).await.unwrap();
        if leaves.is_empty() {
            break;
        }
        for leaf in leaves {
            assert_eq!(leaf.index, frontier.size(), "a gap");
            assert_eq!(leaf.hash, leaf_hash(&leaf.bytes), "leaf {}", leaf.index);
            frontier.push(leaf.hash);
            events.push(Event::from_leaf(&leaf.bytes).unwrap().0);
        }
    }
    assert_eq!(frontier.head(), head);
    events
}

pub(super) fn is_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict))
}
