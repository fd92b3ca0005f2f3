//! What admins do to people and tokens, and that what they hold ends with it at once.

use std::time::Duration;

use gateway_types::{
    Clock, CredentialKind, Grant, OsEntropy, Principal, Role, RoleSet, Secret, TokenId, UserId,
};

use super::{Place, TestClock, add_session, add_user, is_conflict};
use crate::{
    Access, ApiToken, CallerFault, NewToken, Remaining, ResolveError, Standing, Store, StoreError,
    TokenChange, UserChange, UserFilter,
};

async fn fault(store: &Store, credential: &str, clock: &TestClock) -> Option<CallerFault> {
    match store.callers().resolve(credential, clock.now()).await {
        Ok(_known) => None,
        Err(ResolveError::Refused(fault)) => Some(fault),
        Err(ResolveError::Store(error)) => panic!("{error:?}"),
    }
}

async fn add_token(store: &Store, creator: UserId, life: Option<Duration>) -> (ApiToken, String) {
    let new = NewToken {
        name: "ci".to_owned(),
        roles: RoleSet::of(Role::Deployer),
        grants: vec![Grant::everything()],
        creator,
        expires: life.map(|life| store.users().core.clock.now().saturating_add(life)),
        networks: Vec::new(),
    };
    let (token, secret) = store.tokens().create(new).await.unwrap();
    (token, secret.expose().clone())
}

/// E2: also what is remembered in memory, and also after the lock is taken off again.
#[tokio::test]
async fn sessions_and_tokens_of_somebody_locked_or_removed_are_refused_at_once() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let clock = &place.clock;
        add_user(&store, "root@example.com", &[Role::Admin]).await;
        for remove in [false, true] {
            let ann = add_user(&store, &format!("ann-{remove}@example.com"), &[Role::Admin]).await;
            let (_, web) = add_session(&store, &place, ann.id, CredentialKind::WebSession).await;
            let (_, cli) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
            let (_, token) = add_token(&store, ann.id, None).await;
            let held = [web, cli, token];
            for credential in &held {
                assert_eq!(fault(&store, credential, clock).await, None);
            }
            if remove {
                store.users().remove(ann.id).await.unwrap();
            } else {
                let locked = store.users().lock(ann.id).await.unwrap();
                assert!(locked.locked && locked.version == ann.version + 1, "{locked:?}");
            }
            for credential in &held {
                assert!(fault(&store, credential, clock).await.is_some(), "{remove}");
            }
            if !remove {
                assert!(!store.users().unlock(ann.id).await.unwrap().locked);
                for credential in &held {
                    assert_eq!(fault(&store, credential, clock).await, Some(CallerFault::Revoked));
                }
            }
        }
        let nobody = UserId::new(clock.now(), &OsEntropy);
        assert!(matches!(store.users().lock(nobody).await, Err(StoreError::NotFound)));
        assert!(matches!(store.users().unlock(nobody).await, Err(StoreError::NotFound)));
    }
}

/// E1, E2: a change of rights needs a new web session; the command line goes on with the new ones.
#[tokio::test]
async fn other_roles_end_web_sessions_and_reach_the_others() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let clock = &place.clock;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let (_, web) = add_session(&store, &place, ann.id, CredentialKind::WebSession).await;
        let (_, cli) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        for credential in [&web, &cli] {
            assert_eq!(fault(&store, credential, clock).await, None);
        }
        let named = UserChange { name: Some("Ann".to_owned()), roles: None };
        let ann = store.users().update(ann.id, &named, ann.version).await.unwrap();
        assert_eq!((ann.name.as_str(), fault(&store, &web, clock).await), ("Ann", None));
        let ops = UserChange { name: None, roles: Some(RoleSet::of(Role::Ops)) };
        assert!(is_conflict(store.users().update(ann.id, &ops, ann.version - 1).await));
        assert_eq!(fault(&store, &web, clock).await, None, "nothing ends when nothing changes");
        store.users().update(ann.id, &ops, ann.version).await.unwrap();
        assert_eq!(fault(&store, &web, clock).await, Some(CallerFault::Revoked));
        let known = store.callers().resolve(&cli, clock.now()).await.unwrap();
        assert!(matches!(&known.principal, Principal::User { roles, .. } if roles.contains(Role::Ops)));
    }
}

/// L6, also when two admins do it to each other at once.
#[tokio::test]
async fn of_two_admins_who_lock_or_demote_each_other_one_stays() {
    for place in Place::both() {
        let (first, second) = place.open_two().await;
        let ann = add_user(&first, "ann@example.com", &[Role::Admin]).await;
        let bo = add_user(&first, "bo@example.com", &[Role::Admin]).await;
        let demoted = UserChange { name: None, roles: Some(RoleSet::of(Role::Viewer)) };
        let (first_users, second_users) = (first.users(), second.users());
        let (locked, demoted) =
            tokio::join!(first_users.lock(ann.id), second_users.update(bo.id, &demoted, bo.version));
        let results = [locked.map(drop), demoted.map(drop)];
        let refused = results.iter().filter(|result| matches!(result, Err(StoreError::LastAdmin))).count();
        assert_eq!((refused, results.iter().filter(|result| result.is_ok()).count()), (1, 1), "{results:?}");
        second.close().await;
        first.close().await;
    }
}

/// F6: to the second, in memory as in the database.
#[tokio::test]
async fn a_rotated_secret_is_good_until_its_overlap_ends() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let clock = &place.clock;
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let (token, first) = add_token(&store, ann.id, None).await;
        assert_eq!(fault(&store, &first, clock).await, None);
        let hour = Duration::from_secs(3600);
        let (rotated, second) = store.tokens().rotate(token.id, hour, token.version).await.unwrap();
        let second: &Secret<String> = &second;
        assert_eq!((rotated.id, rotated.version), (token.id, token.version + 1));
        assert_eq!(rotated.overlap_ends, Some(clock.now().saturating_add(hour)));
        assert!(is_conflict(store.tokens().rotate(token.id, hour, token.version).await));
        clock.advance(hour - Duration::from_secs(1));
        for good in [&first, second.expose()] {
            assert_eq!(fault(&store, good, clock).await, None);
        }
        clock.advance(Duration::from_secs(1));
        assert_eq!(fault(&store, &first, clock).await, Some(CallerFault::Expired));
        assert_eq!(fault(&store, second.expose(), clock).await, None);

        // Each rotation keeps one secret back: the last one, or none.
        let (rotated, third) = store.tokens().rotate(token.id, hour, rotated.version).await.unwrap();
        assert_eq!(fault(&store, &first, clock).await, Some(CallerFault::Unknown));
        assert_eq!(fault(&store, second.expose(), clock).await, None);
        let (_, fourth) = store.tokens().rotate(token.id, Duration::ZERO, rotated.version).await.unwrap();
        for bad in [&first, second.expose(), third.expose()] {
            assert_eq!(fault(&store, bad, clock).await, Some(CallerFault::Unknown));
        }
        assert_eq!(fault(&store, fourth.expose(), clock).await, None);
    }
}

/// F6: the end and the revocation of a token are those of both its secrets.
#[tokio::test]
async fn no_overlap_outlives_its_token() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let clock = &place.clock;
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let hour = Duration::from_secs(3600);
        let (short, old) = add_token(&store, ann.id, Some(hour / 2)).await;
        let (_, new) = store.tokens().rotate(short.id, hour, short.version).await.unwrap();
        clock.advance(hour / 2 - Duration::from_secs(1));
        for credential in [&old, new.expose()] {
            assert_eq!(fault(&store, credential, clock).await, None);
        }
        clock.advance(Duration::from_secs(1));
        for credential in [&old, new.expose()] {
            assert_eq!(fault(&store, credential, clock).await, Some(CallerFault::Expired));
        }
        let ended = store.tokens().rotate(short.id, hour, short.version + 1).await;
        assert!(matches!(ended, Err(StoreError::NotFound)), "{ended:?}");

        let (token, old) = add_token(&store, ann.id, None).await;
        let (token, new) = store.tokens().rotate(token.id, hour, token.version).await.unwrap();
        store.tokens().revoke(token.id).await.unwrap();
        for credential in [&old, new.expose()] {
            assert_eq!(fault(&store, credential, clock).await, Some(CallerFault::Revoked));
        }
        let change = TokenChange { name: Some("x".to_owned()), ..TokenChange::default() };
        let ended = store.tokens().update(token.id, &change, token.version).await;
        assert!(matches!(ended, Err(StoreError::NotFound)), "{ended:?}");
    }
}

#[tokio::test]
async fn tokens_are_compared_and_changed() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let clock = &place.clock;
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let (token, secret) = add_token(&store, ann.id, None).await;
        assert_eq!(fault(&store, &secret, clock).await, None);
        let end = clock.now().saturating_add(Duration::from_secs(60));
        let change = TokenChange {
            networks: None,
            name: Some("less".to_owned()),
            roles: Some(RoleSet::of(Role::Viewer)),
            grants: Some(vec![Grant { actions: "convox:app:*".into(), apps: vec![], critical: false }]),
            expires: Some(end),
        };
        let changed = store.tokens().update(token.id, &change, token.version).await.unwrap();
        assert_eq!((changed.name.as_str(), changed.expires, changed.version), ("less", Some(end), 2));
        let read = store.tokens().by_id(token.id).await.unwrap().unwrap();
        // That it was used is written down some time after it was used.
        assert_eq!(ApiToken { last_used: changed.last_used, ..read }, changed);
        assert!(is_conflict(store.tokens().update(token.id, &change, token.version).await));
        let known = store.callers().resolve(&secret, clock.now()).await.unwrap();
        let Principal::ApiToken { roles, grants, .. } = &known.principal else { panic!("{known:?}") };
        assert_eq!((*roles, grants[0].actions.as_str()), (RoleSet::of(Role::Viewer), "convox:app:*"));
        clock.advance(Duration::from_secs(60));
        assert_eq!(fault(&store, &secret, clock).await, Some(CallerFault::Expired));
        let unknown = TokenId::new(clock.now(), &OsEntropy);
        let unknown = store.tokens().update(unknown, &change, 1).await;
        assert!(matches!(unknown, Err(StoreError::NotFound)), "{unknown:?}");
    }
}

#[tokio::test]
async fn the_last_factor_takes_backup_codes_and_other_sessions_with_it() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let clock = &place.clock;
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await.id;
        let seed = Secret::new(b"12345678901234567890".to_vec());
        let mut ids = Vec::new();
        for _ in 0..2 {
            let id = store.factors().create_totp(ann, "phone", &seed).await.unwrap().id;
            store.factors().confirm(ann, id, None).await.unwrap();
            ids.push(id);
        }
        store.factors().replace_backup_codes(ann, &["a".to_owned()]).await.unwrap();
        let (kept, here) = add_session(&store, &place, ann, CredentialKind::WebSession).await;
        let (_, there) = add_session(&store, &place, ann, CredentialKind::CliSession).await;
        let waiting = store.factors().create_totp(ann, "tablet", &seed).await.unwrap().id;
        assert_eq!(store.factors().remove_from(ann, waiting, kept.id).await.unwrap(), Remaining::Some);
        assert_eq!(store.factors().remove_from(ann, ids[0], kept.id).await.unwrap(), Remaining::Some);
        assert_eq!(store.factors().backup_codes_left(ann).await.unwrap(), 1);
        assert_eq!(fault(&store, &there, clock).await, None);
        assert_eq!(store.factors().remove_from(ann, ids[1], kept.id).await.unwrap(), Remaining::None);
        assert_eq!(store.factors().backup_codes_left(ann).await.unwrap(), 0);
        assert_eq!(fault(&store, &here, clock).await, None);
        assert_eq!(fault(&store, &there, clock).await, Some(CallerFault::Revoked));

        let id = store.factors().create_totp(ann, "phone", &seed).await.unwrap().id;
        store.factors().confirm(ann, id, None).await.unwrap();
        store.factors().replace_backup_codes(ann, &["b".to_owned()]).await.unwrap();
        store.factors().reset(ann).await.unwrap();
        assert!(store.factors().list(ann).await.unwrap().is_empty());
        assert_eq!(store.factors().backup_codes_left(ann).await.unwrap(), 0);
        assert_eq!(fault(&store, &here, clock).await, Some(CallerFault::Revoked));
        let nobody = UserId::new(clock.now(), &OsEntropy);
        assert!(matches!(store.factors().reset(nobody).await, Err(StoreError::NotFound)));
    }
}

#[tokio::test]
async fn groups_are_compared_and_set() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let groups = store.groups();
        let ops = RoleSet::of(Role::Ops);
        let first = groups.set("sre@example.com", ops, None, "ann").await.unwrap();
        assert!(is_conflict(groups.set("sre@example.com", ops, None, "bo").await));
        assert!(is_conflict(groups.set("other", ops, Some(1), "bo").await));
        let none = groups.set("sre@example.com", RoleSet::EMPTY, Some(first.version), "bo").await.unwrap();
        assert!(is_conflict(groups.set("sre@example.com", ops, Some(first.version), "ann").await));
        assert_eq!((none.roles, none.updated_by.as_str()), (RoleSet::EMPTY, "bo"));
        assert_eq!(groups.list().await.unwrap(), [none]);
        let nul = groups.set("a\0b", ops, None, "ann").await;
        assert!(matches!(nul, Err(StoreError::NotStorable { .. })), "{nul:?}");
    }
}

#[tokio::test]
async fn others_end_and_one_stays() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await.id;
        let bo = add_user(&store, "bo@example.com", &[Role::Viewer]).await.id;
        let (kept, here) = add_session(&store, &place, ann, CredentialKind::WebSession).await;
        let (_, there) = add_session(&store, &place, ann, CredentialKind::CliSession).await;
        let (_, others) = add_session(&store, &place, bo, CredentialKind::CliSession).await;
        assert_eq!(store.sessions().revoke_others(ann, kept.id).await.unwrap(), 1);
        assert_eq!(store.sessions().revoke_others(ann, kept.id).await.unwrap(), 0);
        assert_eq!(fault(&store, &here, &place.clock).await, None);
        assert_eq!(fault(&store, &there, &place.clock).await, Some(CallerFault::Revoked));
        assert_eq!(fault(&store, &others, &place.clock).await, None);
    }
}

#[tokio::test]
async fn people_are_found_by_role_and_standing() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        add_user(&store, "root@example.com", &[Role::Admin]).await;
        add_user(&store, "ann@example.com", &[Role::Ops, Role::Auditor]).await;
        let bob = add_user(&store, "bob@example.com", &[Role::Ops]).await;
        store.users().lock(bob.id).await.unwrap();
        let check = async |role, standing, search: Option<&str>, expected: &[&str]| {
            let filter = UserFilter { search: search.map(str::to_owned), role, standing };
            let found = store.users().find(&filter, None, 10).await.unwrap().items;
            let found: Vec<&str> = found.iter().map(|user| user.email.as_str()).collect();
            assert_eq!(found, expected, "{filter:?}");
        };
        check(None, None, None, &["ann@example.com", "bob@example.com", "root@example.com"]).await;
        check(Some(Role::Ops), None, None, &["ann@example.com", "bob@example.com"]).await;
        check(Some(Role::Ops), Some(Standing::Active), None, &["ann@example.com"]).await;
        check(None, Some(Standing::Locked), None, &["bob@example.com"]).await;
        check(Some(Role::Auditor), None, Some("ANN"), &["ann@example.com"]).await;
        check(Some(Role::Admin), Some(Standing::Locked), None, &[]).await;
        let first = store.users().find(&UserFilter::default(), None, 1).await.unwrap();
        assert_eq!(first.next.as_deref(), Some("ann@example.com"));
    }
}
