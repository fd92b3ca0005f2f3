//! Reading a large log: searches take bounded time, and what leaves are found by is what they say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_audit::Phase;
use gateway_types::Decision;

use super::{Place, event};
use crate::{Access, EventFilter, MOST_SCANNED, Store};

/// How large the log is: above a hundred thousand.
const LARGE: u64 = 1 << 17;

async fn alter(store: &Store, statement: &'static str) {
    sqlx::raw_sql(statement).execute(store.users().core.database.pool()).await.unwrap();
}

/// A log of [`LARGE`] entries: a rare one at the beginning, then alike ones. Made by copying rows, since writing as
/// many is another test's. Its head is its size only: nothing here verifies it.
async fn large(place: &Place) -> Arc<Store> {
    let store = place.open(Access::Tool).await;
    for action in ["gateway:user:list", "convox:app:list"] {
        store.audit().append(event(place, action, Phase::Single)).await.unwrap();
    }
    alter(&store, "UPDATE audit_leaves SET actor = 'rare', app = 'rare', decision = 'refuse' WHERE idx = 0")
        .await;
    for _doubling in 0..LARGE.ilog2() {
        alter(
            &store,
            "INSERT INTO audit_leaves (idx, hash, bytes, time, request_id, actor, action, resource, app, phase, decision) \
             SELECT l.idx + (SELECT max(idx) FROM audit_leaves), l.hash, l.bytes, l.time, l.request_id, l.actor, l.action, \
             l.resource, l.app, l.phase, l.decision FROM audit_leaves l WHERE l.idx > 0",
        )
        .await;
    }
    alter(&store, "UPDATE audit_head SET size = (SELECT max(idx) + 1 FROM audit_leaves)").await;
    alter(&store, "ANALYZE").await;
    store
}

#[tokio::test]
async fn searches_of_a_large_log_take_bounded_time() {
    for place in Place::both() {
        let store = large(&place).await;
        let size = store.events().head().await.unwrap().size;
        assert!(size > 100_000, "{size}");
        let all = EventFilter::default;
        let actor = event(&place, "x:y", Phase::Single).actor.name;
        // What is asked for, and in how many pages the one match at the very beginning, or all of them, is found.
        let check = async |filter: EventFilter, most_pages: u64, matches: usize| {
            let (mut before, mut pages, mut found) = (None, 0, 0);
            loop {
                let began = Instant::now();
                let page = store.events().search(&filter, before, 50).await.unwrap();
                let took = began.elapsed();
                assert!(took < Duration::from_secs(3), "{filter:?} took {took:?}");
                (pages, found) = (pages + 1, found + page.items.len());
                before = page.next.map(|next| next.parse().unwrap());
                if before.is_none() || found >= 100 {
                    break;
                }
            }
            assert!(pages <= most_pages, "{filter:?} took {pages} pages");
            assert_eq!(found, matches, "{filter:?}");
        };
        let steps = size.div_ceil(MOST_SCANNED) + 1;
        let text = |text: &str| Some(text.to_owned());
        check(all(), 2, 100).await;
        check(EventFilter { actor: text("rare"), ..all() }, 1, 1).await;
        check(EventFilter { app: text("rare"), ..all() }, 1, 1).await;
        check(EventFilter { action: text("gateway:user:list"), ..all() }, 1, 1).await;
        check(EventFilter { decision: Some(Decision::Refuse), ..all() }, 1, 1).await;
        check(EventFilter { actor: text(&actor), ..all() }, 2, 100).await;
        check(EventFilter { action: text("gateway:*"), ..all() }, steps, 1).await;
        check(EventFilter { text: text("nowhere"), ..all() }, steps, 0).await;
        // An actor of all entries, and a text that none of them has: the index alone would read them all.
        check(EventFilter { actor: text(&actor), text: text("nowhere"), ..all() }, steps, 0).await;
        let beginning = EventFilter { until: Some(gateway_types::Timestamp::from_micros(0)), ..all() };
        check(beginning, 1, 0).await;
    }
}

#[tokio::test]
async fn what_leaves_are_found_by_is_compared_with_what_they_say() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        for n in 0..30 {
            let action = if n % 3 == 0 { "gateway:user:list" } else { "convox:app:list" };
            store.audit().append(event(&place, action, Phase::Single)).await.unwrap();
        }
        let wrong = async |from, to| store.events().compare_columns(from, to).await.unwrap();
        let clean = wrong(0, 30).await;
        assert_eq!((clean.next, clean.first_wrong), (30, None));
        for (statement, back) in [
            (
                "UPDATE audit_leaves SET actor = 'somebody' WHERE idx = 17",
                "UPDATE audit_leaves SET actor = (SELECT actor FROM audit_leaves WHERE idx = 16) WHERE idx = 17",
            ),
            (
                "UPDATE audit_leaves SET app = NULL WHERE idx = 17",
                "UPDATE audit_leaves SET app = (SELECT app FROM audit_leaves WHERE idx = 16) WHERE idx = 17",
            ),
            (
                "UPDATE audit_leaves SET decision = 'other' WHERE idx = 17",
                "UPDATE audit_leaves SET decision = (SELECT decision FROM audit_leaves WHERE idx = 16) WHERE idx = 17",
            ),
        ] {
            alter(&store, statement).await;
            assert_eq!(wrong(0, 30).await.first_wrong, Some(17), "{statement}");
            assert_eq!(wrong(18, 30).await.first_wrong, None);
            alter(&store, back).await;
            assert_eq!(wrong(0, 30).await.first_wrong, None, "{back}");
        }
        let following = store.events().following(&EventFilter::default(), 28, 10).await.unwrap();
        assert_eq!(following.iter().map(|(index, _event)| *index).collect::<Vec<_>>(), [28, 29]);
    }
}

#[tokio::test]
async fn every_entry_is_counted_once() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let day = Duration::from_secs(24 * 3600);
        for n in 0..12 {
            let mut event =
                event(&place, if n % 2 == 0 { "convox:app:list" } else { "convox:app:read" }, Phase::Single);
            event.layer = Some(gateway_types::Layer::Authorization);
            if n % 3 == 0 {
                event.resource = gateway_types::Resource::app("other");
            }
            store.audit().append(event).await.unwrap();
            if n == 5 {
                place.clock.advance(day);
            }
        }
        // Neither decided nor refused: no request.
        store.audit().append(event(&place, "convox:app:list", Phase::Single)).await.unwrap();
        let tallies = store.audit_tallies();
        let sum = |counts: &crate::AuditCounts| counts.counts.iter().map(|count| count.number).sum::<u64>();
        assert_eq!(tallies.of_all(None, None).await.unwrap().to, 0);
        let both = tokio::join!(tallies.tend(), tallies.tend());
        assert_eq!((both.0.unwrap(), both.1.unwrap()), (false, false));
        assert!(!tallies.tend().await.unwrap());
        let all = tallies.of_all(None, None).await.unwrap();
        assert_eq!((all.to, sum(&all), all.counts.len()), (13, 12, 4), "{all:?}");
        assert!(all.counts.iter().all(|count| count.number == 3 && count.decision == Decision::Refuse));
        let now = gateway_types::Clock::now(&*place.clock);
        assert_eq!(sum(&tallies.of_all(Some(now), None).await.unwrap()), 6);
        let midnight = gateway_types::Timestamp::from_micros(now.micros() / 86_400_000_000 * 86_400_000_000);
        assert_eq!(sum(&tallies.of_all(None, Some(midnight)).await.unwrap()), 6);
        assert_eq!(sum(&tallies.of_some(Some("other"), None).await.unwrap()), 4);
        assert_eq!(sum(&tallies.of_some(None, Some("tester")).await.unwrap()), 12);
        assert_eq!(sum(&tallies.of_some(Some("other"), Some("nobody")).await.unwrap()), 0);
        let mut late = event(&place, "convox:app:list", Phase::Single);
        late.layer = Some(gateway_types::Layer::Authorization);
        store.audit().append(late).await.unwrap();
        tallies.tend().await.unwrap();
        assert_eq!(sum(&tallies.of_all(None, None).await.unwrap()), 13);
    }
}
