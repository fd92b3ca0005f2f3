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
        for (tries, at) in [(1, 10), (2, 20)] {
            let source = "10.0.0.1".parse().unwrap();
            let at = Timestamp::from_micros(at);
            let knock = ZoneKnock { service: "dns".to_owned(), source, tries, at };
            points.note_knock(&knock).await.unwrap();
            assert_eq!(points.knock("dns").await.unwrap(), Some(knock));
        }
        store.close().await;
    }
}
