//! Signing in: each waiting thing is taken by one of many, and nothing grows without bound.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, CredentialKind, Role, RoleSet, Secret, UserId};
use sqlx::Row;

use super::{Place, add_session, add_user};
use crate::{
    Access, Admission, DeviceDecision, NewCliCode, NewDevice, NewIdentityLink, NewSignIn, Poll, RolesFrom,
    SIGN_IN_TIME, SignInFault, Store, StoreError, TakenCode,
};

async fn begun(store: &Store, state: &str, browser: &str) {
    assert_eq!(begin(store, state, browser, "192.0.2.7").await, Admission::Admitted);
}

async fn begin(store: &Store, state: &str, browser: &str, ip: &str) -> Admission {
    let kept = Secret::new(format!("kept of {state}").into_bytes());
    let new = NewSignIn { state, browser, kept: &kept, source_ip: ip.parse().unwrap() };
    store.sign_ins().begin(new).await.unwrap()
}

async fn rows(store: &Store, table: &'static str) -> i64 {
    let mut statement = crate::statement::Statement::new("SELECT count(*) FROM ");
    statement.sql(table);
    statement.query().fetch_one(store.kept().core.database.pool()).await.unwrap().try_get(0).unwrap()
}

fn link_of(user: UserId, subject: &str) -> NewIdentityLink {
    NewIdentityLink {
        issuer: "https://idp.test".to_owned(),
        subject: subject.to_owned(),
        user,
        email: "ann@example.com".to_owned(),
        roles_from: RolesFrom::Groups,
        group_roles: RoleSet::of(Role::Ops),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_that_take_a_sign_in_on_two_instances_one_gets_it() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        assert_eq!(begin(&first, "state", "browser", "192.0.2.7").await, Admission::Admitted);
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&first, &second].into_iter().cycle().take(50) {
            let sign_ins = store.sign_ins();
            tasks.spawn(async move { sign_ins.take("state", "browser").await.unwrap() });
        }
        let (won, lost): (Vec<_>, Vec<_>) = tasks.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 49));
        assert_eq!(won[0].as_ref().unwrap().expose(), b"kept of state");
        assert!(lost.iter().all(|fault| *fault.as_ref().unwrap_err() == SignInFault::Used));
    }
}

#[tokio::test]
async fn a_sign_in_is_its_browsers_and_ends() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let fault = async |state: &str, browser: &str| {
            store.sign_ins().take(state, browser).await.unwrap().unwrap_err()
        };
        begun(&store, "one", "mine").await;
        assert_eq!(fault("two", "mine").await, SignInFault::Unknown);
        assert_eq!(fault("one", "theirs").await, SignInFault::OtherBrowser);
        assert_eq!(fault("", "").await, SignInFault::Unknown);
        place.clock.advance(SIGN_IN_TIME);
        assert_eq!(fault("one", "mine").await, SignInFault::Expired);
        // What is over is deleted when the next one begins.
        place.clock.advance(SIGN_IN_TIME + Duration::from_secs(1));
        begun(&store, "three", "mine").await;
        assert_eq!(rows(&store, "sign_ins").await, 1);
        assert!(store.sign_ins().take("three", "mine").await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn what_is_kept_is_sealed_for_its_own_row() {
    let place = Place::sqlite();
    let store = place.open(Access::Serve).await;
    begun(&store, "one", "mine").await;
    place.clock.advance(Duration::from_secs(1));
    begun(&store, "two", "mine").await;
    let row = sqlx::query("SELECT sealed FROM sign_ins ORDER BY id LIMIT 1")
        .fetch_one(store.kept().core.database.pool())
        .await
        .unwrap();
    let sealed: String = row.try_get(0).unwrap();
    assert!(!sealed.contains("kept"));
    sqlx::query("UPDATE sign_ins SET sealed = $1")
        .bind(sealed)
        .execute(store.kept().core.database.pool())
        .await
        .unwrap();
    assert!(store.sign_ins().take("one", "mine").await.unwrap().is_ok());
    let swapped = store.sign_ins().take("two", "mine").await;
    assert!(matches!(swapped, Err(StoreError::Corrupt { .. })), "{swapped:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_source_has_its_share_of_sign_ins() {
    let place = Place::sqlite();
    let store = place.open(Access::Serve).await;
    let now = place.clock.now().micros();
    // As many as one source may have, put there at once.
    sqlx::query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
         INSERT INTO sign_ins (id, state_digest, browser_digest, sealed, key_id, source, created, expires) \
         SELECT 'id' || i, 'state' || i, 'b', 's', 'k', '2001:db8::/64', $2, $3 FROM n",
    )
    .bind(crate::sign_ins::MOST_SIGN_INS_OF_A_SOURCE)
    .bind(now)
    .bind(now + 1)
    .execute(store.kept().core.database.pool())
    .await
    .unwrap();
    assert_eq!(begin(&store, "a", "b", "2001:db8::1").await, Admission::TooMany);
    assert_eq!(begin(&store, "b", "b", "2001:db8::ffff:1").await, Admission::TooMany);
    assert_eq!(begin(&store, "c", "b", "2001:db8:0:1::1").await, Admission::Admitted);
    place.clock.advance(Duration::from_micros(1));
    assert_eq!(begin(&store, "d", "b", "2001:db8::1").await, Admission::Admitted);
}

#[tokio::test]
async fn a_subject_is_one_person_and_a_person_one_subject_of_an_issuer() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let (ann, bob) = (
            add_user(&store, "ann@example.com", &[Role::Admin]).await,
            add_user(&store, "bob@example.com", &[]).await,
        );
        let identities = store.identities();
        identities.link(&link_of(ann.id, "s1")).await.unwrap();
        for second in [link_of(bob.id, "s1"), link_of(ann.id, "s2"), link_of(ann.id, "s1")] {
            assert!(matches!(identities.link(&second).await, Err(StoreError::Exists)), "{second:?}");
        }
        let elsewhere = NewIdentityLink { issuer: "https://other.test".to_owned(), ..link_of(ann.id, "s1") };
        identities.link(&elsewhere).await.unwrap();
        assert_eq!(identities.of_user(ann.id).await.unwrap().len(), 2);
        let found = identities.by_subject("https://idp.test", "s1").await.unwrap().unwrap();
        assert_eq!((found.user, found.roles_from), (ann.id, RolesFrom::Groups));
        assert_eq!(found.group_roles, RoleSet::of(Role::Ops));
        identities.seen("https://idp.test", "s1", "new@example.com", RoleSet::EMPTY).await.unwrap();
        let seen = identities.by_subject("https://idp.test", "s1").await.unwrap().unwrap();
        assert_eq!((seen.email.as_str(), seen.group_roles), ("new@example.com", RoleSet::EMPTY));
        // A subject is compared byte for byte.
        for other in ["S1", "s1 ", "", "s1\0"] {
            assert_eq!(identities.by_subject("https://idp.test", other).await.unwrap(), None, "{other:?}");
        }
        // Whoever is removed takes the link along, and can be invited anew.
        identities.link(&link_of(bob.id, "s3")).await.unwrap();
        store.users().remove(bob.id).await.unwrap();
        assert_eq!(identities.by_subject("https://idp.test", "s3").await.unwrap(), None);
        let gone = identities.link(&link_of(bob.id, "s3")).await;
        assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_value_is_kept() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        assert_eq!(first.kept().value("origin").await.unwrap(), None);
        let mut tasks = tokio::task::JoinSet::new();
        for (n, store) in [&first, &second].into_iter().cycle().take(20).enumerate() {
            let kept = store.kept();
            tasks.spawn(async move { kept.keep("origin", &format!("https://{n}.test")).await.unwrap() });
        }
        let mut held = tasks.join_all().await;
        held.dedup();
        assert_eq!(held.len(), 1, "{held:?}");
        assert_eq!(second.kept().value("origin").await.unwrap().as_ref(), held.first());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_that_present_a_code_one_gets_it_and_the_others_are_noticed() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let user = add_user(&first, "ann@example.com", &[Role::Admin]).await.id;
        let new = NewCliCode {
            user,
            code_challenge: "challenge".to_owned(),
            redirect_uri: "http://127.0.0.1:1234/callback".to_owned(),
            device: "laptop".to_owned(),
            provider_session: None,
        };
        let code = first.cli_codes().create(&new).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&first, &second].into_iter().cycle().take(50) {
            let (codes, code) = (store.cli_codes(), code.clone());
            tasks.spawn(async move { codes.take(code.expose()).await.unwrap() });
        }
        let taken = tasks.join_all().await;
        let count = |is: fn(&TakenCode) -> bool| taken.iter().filter(|taken| is(taken)).count();
        assert_eq!(count(|taken| matches!(taken, TakenCode::Taken(_))), 1);
        assert_eq!(count(|taken| matches!(taken, TakenCode::Replayed(None))), 49);
        assert!(taken.contains(&TakenCode::Taken(new.clone())));
        // It came again before its session was noted, so that session must end.
        let (session, _) =
            super::add_session(&first, &place, user, gateway_types::CredentialKind::CliSession).await;
        let noted = first.cli_codes().opened(code.expose(), session.id).await;
        assert!(matches!(noted, Err(StoreError::Conflict)), "{noted:?}");
        // Noted first, it is named when the code comes again.
        let code = first.cli_codes().create(&new).await.unwrap();
        first.cli_codes().take(code.expose()).await.unwrap();
        first.cli_codes().opened(code.expose(), session.id).await.unwrap();
        let again = second.cli_codes().take(code.expose()).await.unwrap();
        assert_eq!(again, TakenCode::Replayed(Some(session.id)));
        // Codes hold for a minute, and are forgotten after a day.
        let late = first.cli_codes().create(&new).await.unwrap();
        place.clock.advance(Duration::from_secs(60));
        assert_eq!(first.cli_codes().take(late.expose()).await.unwrap(), TakenCode::Refused);
        place.clock.advance(Duration::from_secs(24 * 3600 + 1));
        first.cli_codes().create(&new).await.unwrap();
        assert_eq!(rows(&first, "cli_codes").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_decided_once_and_taken_once() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let user = add_user(&first, "ann@example.com", &[Role::Admin]).await.id;
        let by = add_session(&first, &place, user, CredentialKind::WebSession).await.0.id;
        let new = NewDevice {
            user_code: "BCDFGHJK".to_owned(),
            device: "server".to_owned(),
            ip: "192.0.2.7".parse().unwrap(),
        };
        let code = first.devices().create(&new).await.unwrap().unwrap();
        assert!(matches!(second.devices().create(&new).await, Err(StoreError::Exists)));
        let waiting = second.devices().waiting("BCDFGHJK").await.unwrap().unwrap();
        let mut decisions = tokio::task::JoinSet::new();
        for n in 0..20 {
            let devices = if n % 2 == 0 { first.devices() } else { second.devices() };
            let decision = if n % 4 < 2 { DeviceDecision::Approve } else { DeviceDecision::Deny };
            decisions.spawn(async move {
                devices.decide(waiting.id, user, by, decision).await.ok().map(|()| decision)
            });
        }
        let decided: Vec<DeviceDecision> = decisions.join_all().await.into_iter().flatten().collect();
        assert_eq!(decided.len(), 1, "{decided:?}");
        assert_eq!(second.devices().waiting("BCDFGHJK").await.unwrap(), None);
        let mut polls = tokio::task::JoinSet::new();
        for n in 0..30 {
            let store: &Arc<Store> = if n % 2 == 0 { &first } else { &second };
            let (devices, code) = (store.devices(), code.clone());
            polls.spawn(async move { devices.poll(code.expose()).await.unwrap() });
        }
        let found = polls.join_all().await;
        let approved = found.iter().filter(|poll| matches!(poll, Poll::Approved { .. })).count();
        match decided[0] {
            DeviceDecision::Approve => assert_eq!(approved, 1, "{found:?}"),
            DeviceDecision::Deny => assert!(found.iter().all(|poll| *poll == Poll::Denied), "{found:?}"),
        }
        place.clock.advance(Duration::from_secs(2 * 600 + 1));
        let other = NewDevice { user_code: "CCCCCCCC".to_owned(), ..new };
        first.devices().create(&other).await.unwrap().unwrap();
        assert_eq!(rows(&first, "device_sign_ins").await, 1);
    }
}
