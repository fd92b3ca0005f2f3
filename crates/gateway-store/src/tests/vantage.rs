use gateway_types::Timestamp;

use super::Place;
use crate::{Access, StoreError, VantagePoint, ZoneKnock};

fn point(revision: i64, seen: &str) -> VantagePoint {
    VantagePoint {
        name: "office".to_owned(),
        reporter: "token:1".to_owned(),
        reporter_name: "probe".to_owned(),
        reported: Timestamp::from_micros(5),
        revision,
        seen: seen.to_owned(),
    }
}

#[tokio::test]
async fn nobody_overwrites_what_they_did_not_read() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let points = store.vantage_points();
        assert_eq!(points.one("office").await.unwrap(), None);
        points.keep(&point(0, "a")).await.unwrap();
        assert!(matches!(points.keep(&point(0, "b")).await, Err(StoreError::Conflict)));
        points.keep(&point(1, "b")).await.unwrap();
        assert!(matches!(points.keep(&point(1, "c")).await, Err(StoreError::Conflict)));
        assert_eq!(points.one("office").await.unwrap(), Some(point(2, "b")));
        assert_eq!(points.list().await.unwrap(), [point(2, "b")]);
        points.remove("office").await.unwrap();
        assert!(matches!(points.remove("office").await, Err(StoreError::NotFound)));
        store.close().await;
    }
}

#[tokio::test]
async fn the_last_tries_at_a_service_are_kept() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let points = store.vantage_points();
        assert_eq!(points.knock("dns").await.unwrap(), None);
        let knock = |source: &str, tries, at| ZoneKnock {
            service: "dns".to_owned(),
            source: source.parse().unwrap(),
            tries,
            at: Timestamp::from_micros(at),
        };
        let here = "10.0.0.1";
        // What was tried, after when that still counts, and what is then there.
        for (tried, since, kept) in [
            (knock(here, 1, 10), 0, knock(here, 1, 10)),
            (knock(here, 2, 20), 10, knock(here, 3, 20)),
            (knock(here, 1, 30), 21, knock(here, 1, 30)),
            (knock("::1", 1, 40), 0, knock("::1", 1, 40)),
            (knock("::1", 9, 50), 0, knock("::1", 10, 50)),
            (knock("::1", 1, 60), 0, knock("::1", 1, 60)),
        ] {
            points.note_knock(&tried, Timestamp::from_micros(since)).await.unwrap();
            assert_eq!(points.knock("dns").await.unwrap(), Some(kept));
        }
        assert!(points.spend_knocks("dns", 1).await.unwrap());
        assert!(!points.spend_knocks("dns", 1).await.unwrap(), "there are no more");
        assert_eq!(points.knock("dns").await.unwrap(), Some(knock("::1", 0, 60)));
        store.close().await;
    }
}
