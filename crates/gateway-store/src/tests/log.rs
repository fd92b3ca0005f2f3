use std::time::Duration;

use gateway_audit::{Phase, digest};
use gateway_types::{Clock, Decision, OsEntropy, RequestId};

use super::{Place, event, verified};
use crate::audit::CHECKPOINT_INTERVAL;
use crate::{Access, EventFilter, Store, StoreError};

async fn behind_its_back(store: &Store, statement: &'static str) {
    sqlx::raw_sql(statement).execute(store.users().core.database.pool()).await.unwrap();
}

#[tokio::test]
async fn an_append_is_there_when_it_returns_and_its_receipt_holds() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let receipt = store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap();
        // Nothing is closed or flushed: as after kill -9, only what is committed counts.
        let reader = place.open(Access::Tool).await;
        let leaf = reader.events().leaves(receipt.index, receipt.index + 1).await.unwrap().remove(0);
        assert_eq!(leaf.hash, receipt.leaf_hash);
        let checkpoint = reader.audit().verifier().verify(&receipt.checkpoint.unwrap()).unwrap();
        assert_eq!(checkpoint.head(), reader.audit().head().await.unwrap());
        assert!(checkpoint.size > receipt.index);
    }
}

#[tokio::test]
async fn what_is_queued_comes_soon_without_a_flush() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let before = store.audit().head().await.unwrap().size;
        for _read in 0..50 {
            store.audit().queue(event(&place, "convox:app:list", Phase::Single));
        }
        let arrived = tokio::time::timeout(Duration::from_secs(10), async {
            while store.audit().head().await.unwrap().size < before + 50 {
                tokio::task::yield_now().await;
            }
        });
        arrived.await.unwrap();
        // The writer counts after it has committed: let it come to that.
        store.audit().flush().await.unwrap();
        assert_eq!(store.audit().health().queued, 0);
        assert!(store.audit().health().commits <= 4, "50 reads need few transactions");
    }
}

#[tokio::test]
async fn a_full_queue_drops_reads_and_says_so_but_never_outcomes() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        // This test has one thread: the writer cannot run before the loop is over.
        for _read in 0..5000 {
            store.audit().queue(event(&place, "convox:app:list", Phase::Single));
        }
        for _outcome in 0..100 {
            store.audit().queue(event(&place, "convox:app:update", Phase::Outcome));
        }
        let dropped = store.audit().health().dropped_reads;
        assert!(dropped > 0);
        store.close().await;
        let reader = place.open(Access::Tool).await;
        let events = verified(&reader).await;
        let count = |action: &str| events.iter().filter(|e| e.action.as_str() == action).count() as u64;
        assert_eq!(count("convox:app:update"), 100);
        let marked: u64 = events.iter().filter_map(|e| e.count).sum();
        assert_eq!(marked, dropped);
        assert_eq!(count("convox:app:list") + marked, 5000);
    }
}

#[tokio::test]
async fn a_close_writes_everything_and_nothing_comes_after() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        store.audit().queue(event(&place, "convox:app:list", Phase::Single));
        store.audit().close().await.unwrap();
        store.audit().close().await.unwrap();
        let events = verified(&store).await;
        assert_eq!(events.len(), 3);
        assert_eq!(events[2].action.as_str(), "gateway:stop");
        let last = store.events().checkpoints(1).await.unwrap().remove(0);
        assert_eq!(last.size, 3);
        let refused = store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await;
        assert!(matches!(refused, Err(StoreError::AuditClosed)), "{refused:?}");
        assert!(!store.audit().health().writable);
    }
}

#[tokio::test]
async fn while_the_log_cannot_be_written_changes_are_refused_and_outcomes_are_kept() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        behind_its_back(&store, "ALTER TABLE audit_leaves RENAME TO hidden").await;
        let refused =
            store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap_err();
        assert!(refused.is_unavailable(), "{refused:?}");
        store.audit().queue(event(&place, "convox:app:update", Phase::Outcome));
        assert!(matches!(store.audit().flush().await, Err(StoreError::NotRecorded { .. })));
        let health = store.audit().health();
        assert!(!health.writable);
        assert_eq!(health.queued, 1);
        assert!(health.last_error.unwrap().contains("audit_leaves"));

        behind_its_back(&store, "ALTER TABLE hidden RENAME TO audit_leaves").await;
        store.audit().flush().await.unwrap();
        let health = store.audit().health();
        assert_eq!((health.writable, health.queued, health.last_error), (true, 0, None));
        let actions: Vec<_> = verified(&store).await.iter().map(|e| e.action.as_str().to_owned()).collect();
        assert_eq!(actions, ["gateway:start", "convox:app:update"]);
    }
}

#[tokio::test]
async fn a_log_that_went_back_or_was_altered_is_not_written_to() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap();
        behind_its_back(&store, "UPDATE audit_head SET size = size - 1").await;
        let refused =
            store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap_err();
        assert!(refused.is_unavailable());
        behind_its_back(&store, "UPDATE audit_head SET size = size + 1").await;
        store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap();

        // A whole older state, as restored from a backup under a running gateway.
        behind_its_back(&store, "CREATE TABLE backup AS SELECT * FROM audit_head").await;
        store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap();
        behind_its_back(&store, "DELETE FROM audit_leaves WHERE idx = 3").await;
        behind_its_back(&store, "DELETE FROM audit_head").await;
        behind_its_back(&store, "INSERT INTO audit_head SELECT * FROM backup").await;
        let refused =
            store.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap_err();
        let StoreError::NotRecorded { cause } = refused else { panic!("{refused:?}") };
        assert!(matches!(*cause, StoreError::LogWentBack { written: 4, found: 3 }), "{cause:?}");
    }
}

#[tokio::test]
async fn leaves_missing_at_the_start_are_noticed() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        behind_its_back(&store, "DELETE FROM audit_leaves").await;
        let refused = Store::open(place.options(Access::Tool)).await.unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt { what: "tree head" }), "{refused:?}");
    }
}

#[tokio::test]
async fn checkpoints_are_stored_at_most_each_minute() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        for _again in 0..3 {
            let note = store.audit().checkpoint().await.unwrap();
            store.audit().verifier().verify(&note).unwrap();
            store.audit().append(event(&place, "convox:app:update", Phase::Intent)).await.unwrap();
        }
        assert_eq!(store.events().checkpoints(10).await.unwrap().len(), 1);
        place.clock.advance(CHECKPOINT_INTERVAL);
        let note = store.audit().checkpoint().await.unwrap();
        let stored = store.events().checkpoints(10).await.unwrap();
        assert_eq!((stored.len(), &stored[0].note), (2, &note));
    }
}

#[tokio::test]
async fn events_are_found() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let request = RequestId::new(place.clock.now(), &OsEntropy);
        for n in 0..5 {
            let mut event =
                event(&place, if n == 0 { "gateway:user:list" } else { "convox:app:list" }, Phase::Single);
            event.request_id = (n < 2).then_some(request);
            event.layer = (n == 4 || n == 2).then_some(gateway_types::Layer::Network);
            if n == 2 {
                // What became of an allowed request is not a refusal, though it names the layer.
                (event.phase, event.intent) = (Phase::Outcome, Some(1));
                event.end = Some(gateway_audit::End::Completed);
            }
            event.actor = gateway_audit::Actor::local_operator(if n == 3 { "Ann\0" } else { "bo" });
            store.audit().append(event).await.unwrap();
            place.clock.advance(Duration::from_secs(1));
        }
        let found = store.events().by_request(request).await.unwrap();
        assert_eq!(found.iter().map(|(index, _event)| *index).collect::<Vec<_>>(), [0, 1]);

        let indices = async |filter: EventFilter| {
            let page = store.events().page(&filter, None, 10).await.unwrap();
            page.items.into_iter().map(|(index, _event)| index).collect::<Vec<_>>()
        };
        let all = EventFilter::default;
        assert_eq!(indices(all()).await, [4, 3, 2, 1, 0]);
        assert_eq!(indices(EventFilter { action: Some("gateway:*".into()), ..all() }).await, [0]);
        assert_eq!(indices(EventFilter { action: Some("convox:app".into()), ..all() }).await, [0u64; 0]);
        assert_eq!(indices(EventFilter { decision: Some(Decision::Refuse), ..all() }).await, [4]);
        assert_eq!(indices(EventFilter { text: Some("ANN".into()), ..all() }).await, [3]);
        assert_eq!(indices(EventFilter { actor: Some("bo".into()), ..all() }).await, [4, 2, 1, 0]);
        assert_eq!(indices(EventFilter { app: Some("other".into()), ..all() }).await, [0u64; 0]);
        let until = Some(place.clock.now());
        assert_eq!(indices(EventFilter { until, since: until, ..all() }).await, [0u64; 0]);
        assert_eq!(indices(EventFilter { request: Some(request), ..all() }).await, [1, 0]);
        assert_eq!(indices(EventFilter { phase: Some(Phase::Outcome), ..all() }).await, [2]);
        let first = store.events().page(&all(), None, 2).await.unwrap();
        let second = store.events().page(&all(), first.next.as_deref(), 10).await.unwrap();
        assert_eq!((second.items.len(), second.next), (3, None));
        assert_eq!(store.events().hashes(1, 3).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_search_takes_bounded_steps_and_misses_nothing() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let day = Duration::from_secs(24 * 3600);
        let mut times = Vec::new();
        for n in 0..10 {
            let action = if n == 0 { "gateway:user:list" } else { "convox:app:list" };
            times.push(place.clock.now());
            store.audit().append(event(&place, action, Phase::Single)).await.unwrap();
            place.clock.advance(day);
        }
        let events = store.events();
        let rare = EventFilter { action: Some("gateway:user:*".into()), ..EventFilter::default() };
        let (mut before, mut steps, mut found) = (None, 0, Vec::new());
        loop {
            let page = events.search_among(&rare, before, 5, 3).await.unwrap();
            found.extend(page.items.into_iter().map(|(index, _event)| index));
            steps += 1;
            match page.next {
                Some(next) => before = Some(next.parse().unwrap()),
                None => break,
            }
        }
        assert_eq!((found, steps), (vec![0], 4));
        let exact = EventFilter { action: Some("gateway:user:list".into()), ..EventFilter::default() };
        let page = events.search_among(&exact, None, 5, 3).await.unwrap();
        assert_eq!((page.items.len(), page.next), (1, None), "an index alone needs no steps");
        let indexed = EventFilter { app: Some("myapp".into()), ..rare };
        let page = events.search_among(&indexed, None, 5, 3).await.unwrap();
        assert_eq!((page.items.len(), page.next.as_deref()), (0, Some("7")), "with more to look at it does");
        let page = events.search_among(&indexed, Some(3), 5, 3).await.unwrap();
        assert_eq!((page.items.len(), page.next), (1, None));
        for (since, until, expected) in
            [(Some(3), Some(6), vec![5, 4, 3]), (Some(8), None, vec![9, 8]), (None, Some(1), vec![0])]
        {
            let filter = EventFilter {
                since: since.map(|n: usize| times[n]),
                until: until.map(|n: usize| times[n]),
                ..EventFilter::default()
            };
            let page = events.search_among(&filter, None, 50, 5).await.unwrap();
            let indices: Vec<_> = page.items.into_iter().map(|(index, _event)| index).collect();
            assert_eq!(indices, expected, "{filter:?}");
        }
        let first = events.search(&EventFilter::default(), None, 4).await.unwrap();
        let second = events.search(&EventFilter::default(), Some(6), 40).await.unwrap();
        assert_eq!((first.next.as_deref(), second.items.len(), second.next), (Some("6"), 6, None));
    }
}

#[tokio::test]
async fn a_large_body_becomes_a_blob() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let mut large = event(&place, "gateway:policy:update", Phase::Intent);
        let body = serde_json::Value::String("x".repeat(100_000));
        large.after = Some(body.clone());
        store.audit().append(large).await.unwrap();
        let bytes = serde_json::to_vec(&body).unwrap();
        let blob = store.events().blob(&digest(&bytes)).await.unwrap();
        assert_eq!(blob, Some(bytes));
        verified(&store).await;
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_kept_on_disk_and_merged_in_its_order() {
    for place in Place::both() {
        let spool = place.directory.path().join("spool");
        let store = place.open(Access::Serve).await;
        store.audit().keep_in(&spool).await.unwrap();
        behind_its_back(&store, "ALTER TABLE audit_leaves RENAME TO hidden").await;
        for action in ["convox:app:list", "convox:app:read"] {
            store.audit().queue(event(&place, action, Phase::Single));
            assert!(matches!(store.audit().flush().await, Err(StoreError::NotRecorded { .. })));
        }
        assert_eq!(store.audit().health().queued, 2);
        let kept: u64 =
            std::fs::read_dir(&spool).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(kept > 0, "on disk before the database is back");
        behind_its_back(&store, "ALTER TABLE hidden RENAME TO audit_leaves").await;
        store.audit().queue(event(&place, "convox:app:update", Phase::Outcome));
        store.audit().flush().await.unwrap();
        let events = verified(&store).await;
        let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
        let expected = [
            "gateway:start",
            "convox:app:list",
            "convox:app:read",
            "gateway:audit:merge",
            "convox:app:update",
        ];
        assert_eq!(actions, expected);
        assert_eq!(events[3].count, Some(2));
        let kept: u64 =
            std::fs::read_dir(&spool).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert_eq!((kept, store.audit().health().queued), (0, 0));
    }
}

#[tokio::test]
async fn what_a_killed_process_kept_is_written_by_the_next() {
    for place in Place::both() {
        let spool = place.directory.path().join("spool");
        let store = place.open(Access::Serve).await;
        store.audit().keep_in(&spool).await.unwrap();
        behind_its_back(&store, "ALTER TABLE audit_leaves RENAME TO hidden").await;
        for number in 0..300 {
            let mut read = event(&place, "convox:app:list", Phase::Single);
            read.count = Some(number);
            store.audit().queue(read);
        }
        assert!(store.audit().flush().await.is_err());
        // What is on disk is all that a killed process leaves.
        let left = place.directory.path().join("left");
        std::fs::create_dir(&left).unwrap();
        for file in std::fs::read_dir(&spool).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), left.join(file.file_name())).unwrap();
        }
        behind_its_back(&store, "ALTER TABLE hidden RENAME TO audit_leaves").await;
        // The killed one had written some of it before.
        store.audit().flush().await.unwrap();
        store.close().await;
        let size = store_size(&place).await;

        let store = place.open(Access::Serve).await;
        store.audit().keep_in(&left).await.unwrap();
        store.audit().flush().await.unwrap();
        let events = verified(&store).await;
        let counts: Vec<_> = events
            .iter()
            .filter(|event| event.action.as_str() == "convox:app:list")
            .map(|event| event.count.unwrap())
            .collect();
        assert_eq!(counts, (0..300).collect::<Vec<_>>(), "each once, in order");
        // Only the start, and the word that something was merged.
        assert_eq!(store.audit().head().await.unwrap().size, size + 2);
    }
}

async fn store_size(place: &Place) -> u64 {
    let store = place.open(Access::Tool).await;
    let size = store.audit().head().await.unwrap().size;
    store.close().await;
    size
}
