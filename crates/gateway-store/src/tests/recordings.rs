use gateway_recording::{Header, Recorder, Size, Verifier};
use gateway_types::{Clock as _, OsEntropy, RecordingId, RequestId, UserId};

use super::{Place, TestClock};
use crate::{NewRecording, Part, RecordingFilter, SecondPerson, SessionEnd, SessionState, StoreError};

fn draft(clock: &TestClock) -> NewRecording {
    NewRecording {
        id: RecordingId::new(clock.now(), &OsEntropy),
        request_id: RequestId::new(clock.now(), &OsEntropy),
        action: "convox:process:exec".to_owned(),
        app: Some("web".to_owned()),
        target: "web-1".to_owned(),
        command: None,
        user: None,
        actor: "ann@example.com".to_owned(),
        source_ip: "192.0.2.1".to_owned(),
        mode: "strict",
        wants_second: false,
    }
}

fn recorder(id: RecordingId) -> Recorder {
    let header = Header { size: Size::default(), began: 0, title: String::new(), command: None };
    Recorder::begin(&id.to_string(), &header)
}

#[tokio::test]
async fn pieces_are_kept_sealed_once_and_in_their_order() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let new = draft(&place.clock);
        let id = new.id;
        let mut open = first.recordings().begin(new).await.unwrap();
        let mut recorder = recorder(id);
        let head = recorder.cut().unwrap();
        open.add(&head, 0).await.unwrap();
        // Whose fate is not known is added again.
        open.add(&head, 0).await.unwrap();
        let end = recorder.finish(std::time::Duration::from_secs(1), "exit code 0");
        open.add(&end, 7).await.unwrap();
        open.end(SessionEnd { ending: "exit code 0", lost_bytes: 7 }).await.unwrap();
        let listing = second.recordings();
        let found = listing.by_id(id).await.unwrap().unwrap();
        assert_eq!((found.state, found.chunks, found.lost_bytes), (SessionState::Ended, 2, 7));
        assert_eq!(found.digest, end.digest.to_string());
        let chunks = listing.chunks(id, 0).await.unwrap();
        assert_eq!(chunks, [head, end]);
        let mut verifier = Verifier::new(&id.to_string());
        chunks.iter().for_each(|chunk| verifier.take(chunk).unwrap());
        assert!(verifier.end().is_whole);
        assert_eq!(listing.chunks(id, 2).await.unwrap(), []);
        for (filter, count) in [
            (
                RecordingFilter {
                    app: Some("web".to_owned()),
                    recorded_only: true,
                    ..RecordingFilter::default()
                },
                1,
            ),
            (RecordingFilter { app: Some("api".to_owned()), ..RecordingFilter::default() }, 0),
            (RecordingFilter { actor: Some("ANN".to_owned()), ..RecordingFilter::default() }, 1),
        ] {
            assert_eq!(listing.list(&filter).await.unwrap().items.len(), count, "{filter:?}");
        }
        listing.forget(id).await.unwrap();
        assert!(matches!(listing.chunks(id, 0).await, Err(StoreError::NotFound)));
        first.close().await;
        second.close().await;
    }
}

#[tokio::test]
async fn a_live_session_is_stopped_once_and_its_instance_learns_of_it() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let new = draft(&place.clock);
        let id = new.id;
        let open = first.recordings().begin(new).await.unwrap();
        first.recordings().beat(&[id]).await.unwrap();
        assert_eq!(second.recordings().live().await.unwrap().len(), 1);
        second.recordings().stop(id, "enough", "bob").await.unwrap();
        assert!(matches!(second.recordings().stop(id, "again", "bob").await, Err(StoreError::Conflict)));
        let orders = first.recordings().stops().await.unwrap();
        assert_eq!((orders.len(), orders[0].reason.as_str()), (1, "enough"));
        open.end(SessionEnd { ending: "bob ended this session: enough", lost_bytes: 0 }).await.unwrap();
        assert_eq!(second.recordings().live().await.unwrap(), []);
        assert!(matches!(second.recordings().stop(id, "late", "bob").await, Err(StoreError::NotFound)));
        first.close().await;
        second.close().await;
    }
}

#[tokio::test]
async fn whoever_is_at_a_session_is_known_while_they_give_signs_of_life() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let alone = draft(&place.clock);
        let alone_id = alone.id;
        first.recordings().begin(alone).await.unwrap();
        let new = NewRecording { wants_second: true, ..draft(&place.clock) };
        let (id, user) = (new.id, UserId::new(place.clock.now(), &OsEntropy));
        let open = first.recordings().begin(new).await.unwrap();
        let there = second.recordings();
        assert_eq!(there.by_id(id).await.unwrap().unwrap().second, Some(SecondPerson::Waits));
        assert!(matches!(there.join(alone_id, user, "bo").await, Err(StoreError::NotFound)));
        assert_eq!(first.recordings().company().await.unwrap(), []);
        there.attend(id, "other:machine", "machine").await.unwrap();
        there.attend(id, &user.to_string(), "bo").await.unwrap();
        there.join(id, user, "bo").await.unwrap();
        there.attend(id, &user.to_string(), "bo").await.unwrap();
        let company = first.recordings().company().await.unwrap();
        let parts: Vec<_> = company.iter().map(|one| (one.name.as_str(), one.part, one.recording)).collect();
        assert!(parts.contains(&("bo", Part::Second, id)) && parts.contains(&("machine", Part::Watch, id)));
        assert_eq!(parts.len(), 2, "{parts:?}");
        first.recordings().accompanied(id).await.unwrap();
        assert_eq!(there.by_id(id).await.unwrap().unwrap().second, Some(SecondPerson::There));
        open.end(SessionEnd { ending: "over", lost_bytes: 0 }).await.unwrap();
        assert_eq!(first.recordings().company().await.unwrap(), []);
        assert!(matches!(there.join(id, user, "bo").await, Err(StoreError::NotFound)));
        first.recordings().forget(id).await.unwrap();
        assert_eq!(there.by_id(id).await.unwrap(), None);
    }
}
