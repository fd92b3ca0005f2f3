//! Retention: which bodies go, what keeps them, and what is read of a log without its oldest ones.

use gateway_audit::{Event, Hash, Phase, TileId, digest};
use gateway_types::{Clock, RequestId, Timestamp};

use super::{Place, event};
use crate::{Access, EventFilter, MOST_PRUNED, SinkWindow, Store};

/// A log of so many entries, all counted for charts; of the first two and the last one a part stands beside the log, the
/// same one of the second and the last.
async fn log_of(place: &Place, size: u64) -> (std::sync::Arc<Store>, RequestId, [Hash; 2]) {
    let store = place.open(Access::Tool).await;
    let request = RequestId::new(place.clock.now(), &gateway_types::OsEntropy);
    let large = |letter: &str| {
        let mut large = event(place, "convox:app:update", Phase::Single);
        large.request_id = Some(request);
        large.after = Some(serde_json::json!({ "manifest": letter.repeat(100_000) }));
        large
    };
    let blobs = |event: &Event| event.to_leaf([0; 16]).unwrap().blobs.remove(0).0;
    let names = [blobs(&large("a")), blobs(&large("b"))];
    store.audit().append(large("a")).await.unwrap();
    store.audit().append(large("b")).await.unwrap();
    for _entry in 3..size {
        store.audit().queue(event(place, "convox:app:list", Phase::Single));
    }
    store.audit().append(large("b")).await.unwrap();
    assert_eq!(store.events().head().await.unwrap().size, size);
    while store.audit_tallies().tend().await.unwrap() {}
    (store, request, names)
}

async fn prune(store: &Store, to: u64) -> u64 {
    let mut reached = store.audit_retention().first_kept().await.unwrap();
    loop {
        let next = store.audit_retention().prune(to).await.unwrap();
        if next == reached {
            return reached;
        }
        assert!(next > reached && next - reached <= MOST_PRUNED);
        reached = next;
    }
}

#[tokio::test]
async fn bodies_go_and_hashes_stay() {
    for place in Place::both() {
        let (store, request, [gone, shared]) = log_of(&place, 600).await;
        let events = store.events();
        let before = events.leaves(0, 600).await.unwrap();
        assert_eq!(events.by_request(request).await.unwrap().len(), 3);
        assert!(events.blob(&gone).await.unwrap().is_some());
        let tile = TileId { level: 0, index: 1 };
        let hashes = events.tile(tile, 256).await.unwrap();

        assert_eq!(prune(&store, 512).await, 512);
        let after = events.leaves(0, 600).await.unwrap();
        assert_eq!(after.len(), 600);
        for (old, new) in before.iter().zip(&after) {
            assert_eq!((old.index, old.hash), (new.index, new.hash));
            assert_eq!(new.has_no_body(), new.index < 512, "{}", new.index);
        }
        assert_eq!(events.tile(tile, 256).await.unwrap(), hashes);
        assert_eq!(events.hashes(0, 2).await.unwrap(), [before[0].hash, before[1].hash]);
        // The part that a kept entry names too is kept with it.
        assert!(events.blob(&gone).await.unwrap().is_none());
        assert_eq!(digest(&events.blob(&shared).await.unwrap().unwrap()), shared);

        let all = EventFilter::default();
        let found = events.search(&all, None, 200).await.unwrap();
        assert_eq!((found.items.len(), found.next), (88, None));
        assert!(events.search(&all, Some(512), 50).await.unwrap().items.is_empty());
        let of_app = EventFilter { app: Some("myapp".to_owned()), ..all.clone() };
        assert_eq!(events.search(&of_app, None, 200).await.unwrap().items.len(), 88);
        let recent = EventFilter { since: Some(Timestamp::from_micros(0)), ..all.clone() };
        assert_eq!(events.search(&recent, None, 200).await.unwrap().items.len(), 88);
        assert_eq!(events.page(&all, None, 200).await.unwrap().items.len(), 88);
        assert_eq!(events.following(&all, 0, 1).await.unwrap()[0].0, 512);
        assert_eq!(events.by_request(request).await.unwrap().len(), 1);
        let counted = store.audit_tallies().of_some(Some("myapp"), None).await.unwrap();
        assert_eq!(counted.from, 512);
        for (from, to) in [(0, 600), (0, 512), (100, 520), (590, 600)] {
            let compared = events.compare_columns(from, to).await.unwrap();
            assert_eq!((compared.next, compared.first_wrong), (to, None), "{from} to {to}");
        }
        // The log goes on, and opens again.
        store.audit().append(event(&place, "convox:app:delete", Phase::Single)).await.unwrap();
        store.close().await;
        let again = place.open(Access::Tool).await;
        assert_eq!(again.audit_retention().first_kept().await.unwrap(), 512);
    }
}

#[tokio::test]
async fn a_body_that_is_missing_behind_the_pruned_ones_is_found() {
    for place in Place::both() {
        let (store, _request, _blobs) = log_of(&place, 300).await;
        prune(&store, 256).await;
        sqlx::raw_sql(
            "UPDATE audit_leaves SET bytes = (SELECT bytes FROM audit_leaves WHERE idx = 0) WHERE idx = 270",
        )
        .execute(store.users().core.database.pool())
        .await
        .unwrap();
        let compared = store.events().compare_columns(0, 300).await.unwrap();
        assert_eq!(compared.first_wrong, Some(270));
        assert!(store.events().leaves(270, 271).await.unwrap()[0].has_no_body());
    }
}

#[tokio::test]
async fn a_hold_a_sink_and_the_counts_keep_bodies() {
    for place in Place::both() {
        let (store, _request, _blobs) = log_of(&place, 400).await;
        let retention = store.audit_retention();
        let hold = retention.hold("case 4711", "ann@example.com").await.unwrap();
        assert_eq!(retention.retained().await.unwrap().hold, Some(hold));
        assert_eq!(prune(&store, 300).await, 0);
        retention.lift().await.unwrap();
        assert_eq!(retention.retained().await.unwrap().hold, None);

        store.audit_sinks().begin("siem", 100).await.unwrap();
        let needed = retention.needed(place.clock.now()).await.unwrap();
        assert_eq!((needed.by_sink, needed.by_counts), (Some(("siem".to_owned(), 100)), 400));
        assert_eq!(prune(&store, 300).await, 100);
        // A sink that begins now has nothing to give of what is gone.
        assert_eq!(store.audit_sinks().begin_at_first_kept("late").await.unwrap(), 100);
        assert_eq!(store.audit_sinks().begin_at_first_kept("siem").await.unwrap(), 100);
        for name in ["siem", "late"] {
            assert!(store.audit_sinks().advance(name, 100, 400).await.unwrap());
        }
        for _more in 0..100 {
            store.audit().queue(event(&place, "convox:app:list", Phase::Single));
        }
        store.audit().flush().await.unwrap();
        for name in ["siem", "late"] {
            assert!(store.audit_sinks().advance(name, 400, 500).await.unwrap());
        }
        assert_eq!(prune(&store, 500).await, 400, "the rest is not counted yet");
    }
}

#[tokio::test]
async fn a_window_that_a_sink_is_in_the_middle_of_is_kept_whole() {
    for place in Place::both() {
        let (store, _request, _blobs) = log_of(&place, 400).await;
        let sinks = store.audit_sinks();
        sinks.begin("siem", 100).await.unwrap();
        assert_eq!(sinks.window("siem").await.unwrap(), None);
        let window = SinkWindow { start: 100, end: 350 };
        assert!(sinks.open_window("siem", window).await.unwrap());
        assert!(
            !sinks.open_window("siem", SinkWindow { start: 90, end: 350 }).await.unwrap(),
            "it is at 100"
        );
        assert!(sinks.advance("siem", 100, 300).await.unwrap());
        // After a restart it is the same, and so are its counts: nothing of it is pruned.
        let again = place.open(Access::Tool).await;
        assert_eq!(again.audit_sinks().window("siem").await.unwrap(), Some(window));
        let needed = store.audit_retention().needed(place.clock.now()).await.unwrap();
        assert_eq!(needed.by_sink, Some(("siem".to_owned(), 100)));
        assert_eq!(prune(&store, 400).await, 100);
        assert!(sinks.advance("siem", 300, 350).await.unwrap());
        assert_eq!(sinks.window("siem").await.unwrap(), None);
        assert_eq!(prune(&store, 400).await, 350);
    }
}

#[tokio::test]
async fn age_is_a_prefix() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let begin = place.clock.now();
        let mut times = [0, 3, 1, 4, 5].map(|second| {
            let mut one = event(&place, "convox:app:list", Phase::Single);
            one.time = begin.saturating_add(std::time::Duration::from_secs(second));
            one
        });
        for one in &mut times {
            store.audit().append(one.clone()).await.unwrap();
        }
        let since = async |second| {
            let since = begin.saturating_add(std::time::Duration::from_secs(second));
            store.audit_retention().needed(since).await.unwrap().by_age
        };
        // The second entry is younger than the third, which stays with it.
        assert_eq!((since(0).await, since(2).await, since(4).await), (Some(0), Some(1), Some(3)));
        assert_eq!(since(6).await, None);
    }
}
