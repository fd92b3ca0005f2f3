use std::time::Duration;

use gateway_types::{ElevationId, OsEntropy, Role, RoleGrantId, UserId};

use super::{Place, TestClock, add_user, is_conflict};
use crate::{Access, ElevationFilter, ElevationState, GrantHolder, NewElevation, Store, StoreError};

fn draft(place: &Place, user: UserId) -> NewElevation {
    NewElevation {
        id: ElevationId::new(now(&place.clock), &OsEntropy),
        user,
        role: Role::Deployer,
        app: Some("web".to_owned()),
        reason: "a fix".to_owned(),
        length: Duration::from_secs(3600),
        waits: Duration::from_secs(7200),
    }
}

fn now(clock: &TestClock) -> gateway_types::Timestamp {
    gateway_types::Clock::now(clock)
}

#[tokio::test]
async fn an_elevation_is_live_with_its_quorum_and_over_by_the_clock() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let asker = add_user(&first, "asker@example.com", &[Role::Viewer]).await;
        let ann = add_user(&first, "ann@example.com", &[Role::Admin]).await;
        let bo = add_user(&first, "bo@example.com", &[Role::Admin]).await;
        let elevations = first.elevations();
        let made = elevations.create(draft(&place, asker.id)).await.unwrap();
        assert_eq!((made.state, made.email.as_str()), (ElevationState::Waiting, "asker@example.com"));
        assert!(is_conflict(elevations.approve(made.id, asker.id, "asker", 1).await), "nobody their own");
        let once = elevations.approve(made.id, ann.id, "ann", 2).await.unwrap();
        assert_eq!(
            (once.state, once.approved_by.as_slice()),
            (ElevationState::Waiting, &["ann".to_owned()][..])
        );
        assert!(is_conflict(elevations.approve(made.id, ann.id, "ann", 2).await), "a person counts once");
        assert!(elevations.live().await.unwrap().is_empty());
        let live = second.elevations().approve(made.id, bo.id, "bo", 2).await.unwrap();
        assert_eq!(live.state, ElevationState::Live);
        assert_eq!(live.expires, Some(now(&place.clock).saturating_add(Duration::from_secs(3600))));
        assert_eq!(elevations.live().await.unwrap().len(), 1);
        assert!(is_conflict(elevations.approve(made.id, bo.id, "bo", 1).await), "it does not wait any more");
        place.clock.advance(Duration::from_secs(3600));
        assert!(elevations.live().await.unwrap().is_empty());
        assert_eq!(elevations.by_id(made.id).await.unwrap().unwrap().state, ElevationState::Expired);
        assert!(is_conflict(elevations.end(made.id, "ann").await));
        // Its end is told to one instance only.
        let told = first.elevations().expire().await.unwrap().len()
            + second.elevations().expire().await.unwrap().len();
        assert_eq!(told, 1);
    }
}

#[tokio::test]
async fn approvals_of_who_is_locked_out_do_not_count() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let asker = add_user(&store, "asker@example.com", &[Role::Viewer]).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let bo = add_user(&store, "bo@example.com", &[Role::Admin]).await;
        let made = store.elevations().create(draft(&place, asker.id)).await.unwrap();
        store.elevations().approve(made.id, ann.id, "ann", 2).await.unwrap();
        store.users().set_locked(ann.id, true, ann.version).await.unwrap();
        let still = store.elevations().approve(made.id, bo.id, "bo", 2).await.unwrap();
        assert_eq!(still.state, ElevationState::Waiting);
        // Nor does anything for who is locked out, whose elevations end for good.
        let cy = add_user(&store, "cy@example.com", &[Role::Admin]).await;
        store.users().set_locked(asker.id, true, asker.version).await.unwrap();
        assert!(is_conflict(store.elevations().approve(made.id, cy.id, "cy", 1).await));
        store.users().unlock(asker.id).await.unwrap();
        assert_eq!(
            store.elevations().approve(made.id, cy.id, "cy", 1).await.unwrap().state,
            ElevationState::Live
        );
        let waiting = store.elevations().create(draft(&place, asker.id)).await.unwrap();
        store.users().lock(asker.id).await.unwrap();
        store.users().unlock(asker.id).await.unwrap();
        for id in [made.id, waiting.id] {
            assert_eq!(store.elevations().by_id(id).await.unwrap().unwrap().state, ElevationState::Ended);
        }
        assert!(store.elevations().live().await.unwrap().is_empty());
    }
}

/// Checklist E: two approvals at one moment are two, and one person's two are one.
#[tokio::test]
async fn approvals_at_one_moment_count_right() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let asker = add_user(&first, "asker@example.com", &[Role::Viewer]).await;
        let ann = add_user(&first, "ann@example.com", &[Role::Admin]).await;
        let made = first.elevations().create(draft(&place, asker.id)).await.unwrap();
        let (elevations, others) = (first.elevations(), second.elevations());
        let (one, other) = tokio::join!(
            elevations.approve(made.id, ann.id, "ann", 2),
            others.approve(made.id, ann.id, "ann", 2)
        );
        assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|ok| **ok).count(), 1);
        let now = elevations.by_id(made.id).await.unwrap().unwrap();
        assert_eq!((now.state, now.approved_by.len()), (ElevationState::Waiting, 1));
    }
}

#[tokio::test]
async fn elevations_are_listed_rejected_ended_and_void() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let asker = add_user(&store, "asker@example.com", &[Role::Viewer]).await;
        let other = add_user(&store, "other@example.com", &[Role::Viewer]).await;
        let elevations = store.elevations();
        let mut made = Vec::new();
        for user in [asker.id, asker.id, other.id] {
            place.clock.advance(Duration::from_millis(5));
            made.push(elevations.create(draft(&place, user)).await.unwrap().id);
        }
        assert_eq!(elevations.reject(made[0], "ann").await.unwrap().state, ElevationState::Rejected);
        assert!(is_conflict(elevations.reject(made[0], "ann").await));
        let all = ElevationFilter { limit: 2, ..ElevationFilter::default() };
        let page = elevations.list(&all).await.unwrap();
        assert_eq!(page.items.iter().map(|one| one.id).collect::<Vec<_>>(), [made[2], made[1]]);
        let rest = elevations.list(&ElevationFilter { cursor: page.next, ..all }).await.unwrap();
        assert_eq!(rest.items.len(), 1);
        let open = ElevationFilter { user: Some(asker.id), open_only: true, limit: 9, cursor: None };
        assert_eq!(elevations.list(&open).await.unwrap().items.len(), 1);
        assert_eq!(elevations.end(made[1], "asker").await.unwrap().state, ElevationState::Ended);
        place.clock.advance(Duration::from_secs(7200));
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        assert!(is_conflict(elevations.approve(made[2], ann.id, "ann", 1).await), "nobody answered in time");
        assert!(elevations.expire().await.unwrap().is_empty(), "what was never live has no end");
        let nobody = NewElevation { user: UserId::new(ann.created, &OsEntropy), ..draft(&place, ann.id) };
        assert!(matches!(elevations.create(nobody).await, Err(StoreError::NotFound)));
        store.users().remove(other.id).await.unwrap();
        assert_eq!(elevations.by_id(made[2]).await.unwrap(), None, "they go with their person");
    }
}

async fn held(store: &Store, user: UserId) -> Vec<(String, Option<String>)> {
    let held = store.role_grants().held().await.unwrap().into_iter();
    let mut held: Vec<_> = held.filter(|one| one.user == user).map(|one| (one.role, one.app)).collect();
    held.sort();
    held
}

#[tokio::test]
async fn roles_are_held_by_grants_of_ones_own_and_of_ones_groups() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let grants = store.role_grants();
        let id = || RoleGrantId::new(now(&place.clock), &OsEntropy);
        let (person, group) = (GrantHolder::Person(ann.id), GrantHolder::Group("Wéb".to_owned()));
        let own = grants.create(id(), &person, "ops", Some("web"), "bo").await.unwrap();
        assert!(matches!(
            grants.create(id(), &person, "ops", Some("web"), "bo").await,
            Err(StoreError::Exists)
        ));
        grants.create(id(), &group, "deployer", None, "bo").await.unwrap();
        assert_eq!(held(&store, ann.id).await, [("ops".to_owned(), Some("web".to_owned()))]);
        grants.set_groups(ann.id, &["x".to_owned(), "Wéb".to_owned(), "x".to_owned()]).await.unwrap();
        assert_eq!(grants.groups_of(ann.id).await.unwrap(), ["Wéb", "x"]);
        assert_eq!(held(&store, ann.id).await.len(), 2);
        grants.set_groups(ann.id, &[]).await.unwrap();
        grants.remove(own.id).await.unwrap();
        assert!(held(&store, ann.id).await.is_empty());
        assert!(matches!(grants.remove(own.id).await, Err(StoreError::NotFound)));
        assert_eq!(grants.list().await.unwrap().len(), 1);
    }
}
