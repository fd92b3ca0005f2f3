use std::time::Duration;

use gateway_types::{OsEntropy, RevealId, UserId};

use super::{Place, TestClock};
use crate::{NewReveal, StoreError};

fn now(clock: &TestClock) -> gateway_types::Timestamp {
    gateway_types::Clock::now(clock)
}

fn draft(place: &Place, credential: &str) -> NewReveal {
    NewReveal {
        id: RevealId::new(now(&place.clock), &OsEntropy),
        credential: credential.to_owned(),
        user: Some(UserId::new(now(&place.clock), &OsEntropy)),
        holder: "ann@example.com".to_owned(),
        app: "web".to_owned(),
        reason: "a look".to_owned(),
        length: Duration::from_secs(300),
    }
}

#[tokio::test]
async fn a_reveal_is_over_by_the_clock_or_when_it_is_ended() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let (first, second) = (first.reveals(), second.reveals());
        let one = first.create(draft(&place, "a")).await.unwrap();
        place.clock.advance(Duration::from_millis(1));
        let other = first.create(draft(&place, "b")).await.unwrap();
        let live = second.live().await.unwrap();
        assert_eq!(live, [other.clone(), one.clone()]);
        assert_eq!(second.by_id(one.id).await.unwrap(), Some(one.clone()));
        second.end(one.id, "ann").await.unwrap();
        assert!(matches!(first.end(one.id, "ann").await, Err(StoreError::NotFound)), "it is over");
        assert_eq!(first.live().await.unwrap(), std::slice::from_ref(&other));
        place.clock.advance(Duration::from_secs(300));
        assert!(first.live().await.unwrap().is_empty());
        assert!(matches!(first.end(other.id, "ann").await, Err(StoreError::NotFound)));
        // Its end is told to one instance only; what was ended early is told by whoever ended it.
        let told = first.expire().await.unwrap().len() + second.expire().await.unwrap().len();
        assert_eq!(told, 1);
    }
}
