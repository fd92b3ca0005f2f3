//! Which events are shown, and exports that verify.

use std::sync::Arc;

use gateway_audit::Actor;
use gateway_store::{Access, StoreOptions};
use gateway_types::{ActionName, Clock as _, EventId, OsEntropy, Resource, SystemClock};

use super::*;

async fn store(directory: &tempfile::TempDir) -> Arc<Store> {
    let options = StoreOptions {
        url: format!("sqlite://{}", directory.path().join("t.db").display()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        max_connections: 2,
        access: Access::Tool,
        app_secret_key: None,
    };
    Store::open(options).await.unwrap()
}

async fn append(store: &Store, action: &str) {
    let now = SystemClock.now();
    let id = EventId::new(now, &OsEntropy);
    let event = Event::new(now, id, ActionName::new(action), Resource::gateway(), Actor::system());
    store.audit().append(event).await.unwrap();
}

fn indices(events: &[(u64, Event)]) -> Vec<u64> {
    events.iter().map(|(index, _)| *index).collect()
}

#[tokio::test]
async fn the_newest_come_in_the_order_of_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    for n in 0..6 {
        append(&store, if n % 2 == 0 { "gateway:even:one" } else { "gateway:odd:one" }).await;
    }
    let all = EventFilter::default();
    let even = EventFilter { action: Some("gateway:even:*".to_owned()), ..EventFilter::default() };
    assert_eq!(indices(&before(&store, &all, 6, 3).await.unwrap()), [3, 4, 5]);
    assert_eq!(indices(&before(&store, &all, 4, 100).await.unwrap()), [0, 1, 2, 3]);
    assert_eq!(indices(&before(&store, &even, 6, 2).await.unwrap()), [2, 4]);
    assert_eq!(indices(&before(&store, &all, 6, 0).await.unwrap()), [0u64; 0]);
    assert_eq!(indices(&since(&store, &all, 3, 6).await.unwrap()), [3, 4, 5]);
    assert_eq!(indices(&since(&store, &even, 1, 5).await.unwrap()), [2, 4]);
    assert_eq!(indices(&since(&store, &all, 6, 6).await.unwrap()), [0u64; 0]);
    store.close().await;
}
