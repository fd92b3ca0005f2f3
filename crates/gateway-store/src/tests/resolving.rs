use std::time::Duration;

use gateway_types::{Clock, CredentialKind, Grant, Principal, Role, RoleSet, TokenKind};

use gateway_audit::Phase;

use super::{Place, TestClock, add_session, add_user, event, verified};
use crate::{Access, Adoption, CallerFault, NewToken, RackClaim, ResolveError, Store, StoreError};

/// The bound on what a revocation can miss is the operator's to set (`limits.known_callers_timeout`).
#[tokio::test]
async fn the_time_that_callers_are_known_for_is_the_operators() {
    for place in Place::both() {
        let claim = RackClaim { rack: "rack:443".to_owned(), adoption: Adoption::Refuse };
        let known_for = Duration::from_millis(50);
        let store = Store::open_for(place.options(Access::Serve), claim, known_for).await.unwrap();
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let (_session, secret) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        store.callers().resolve(&secret, place.clock.now()).await.unwrap();
        store.core_for_tests().database.pool().close().await;
        let forgotten = tokio::time::timeout(Duration::from_secs(20), async {
            while store.callers().resolve(&secret, place.clock.now()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        });
        assert!(forgotten.await.is_ok(), "it is known for 15 minutes");
    }
}

async fn fault(store: &Store, credential: &str, clock: &TestClock) -> Option<CallerFault> {
    match store.callers().resolve(credential, clock.now()).await {
        Ok(_known) => None,
        Err(ResolveError::Refused(fault)) => Some(fault),
        Err(ResolveError::Store(error)) => panic!("{error:?}"),
    }
}

/// Waits for the other instance to learn of a change: two poll intervals at the most.
async fn learns(store: &Store, credential: &str, clock: &TestClock, expected: CallerFault) {
    let mut changes = store.callers().subscribe_changes();
    let waited = tokio::time::timeout(Duration::from_secs(4), async {
        while fault(store, credential, clock).await != Some(expected) {
            changes.changed().await.unwrap();
        }
    });
    assert!(waited.await.is_ok(), "the other instance did not learn of it: {expected}");
}

#[tokio::test]
async fn a_revoked_locked_or_demoted_caller_is_known_at_once_here_and_soon_elsewhere() {
    for place in Place::both() {
        // The one that learns must be a serve: a tool does not listen.
        let (there, here) = place.open_two().await;
        let clock = &place.clock;
        let ann = add_user(&here, "ann@example.com", &[Role::Admin]).await;
        add_user(&here, "root@example.com", &[Role::Admin]).await;
        let (session, secret) = add_session(&here, &place, ann.id, CredentialKind::CliSession).await;
        let new = NewToken {
            name: "ci".into(),
            roles: RoleSet::of(Role::Cicd),
            grants: vec![Grant::everything()],
            creator: ann.id,
            expires: None,
            networks: Vec::new(),
        };
        let (token, token_secret) = here.tokens().create(new).await.unwrap();
        let token_secret = token_secret.expose();
        for store in [&here, &there] {
            let known = store.callers().resolve(&secret, clock.now()).await.unwrap();
            assert!(
                matches!(&known.principal, Principal::User { email, .. } if &**email == "ann@example.com")
            );
            let known = store.callers().resolve(token_secret, clock.now()).await.unwrap();
            let Principal::ApiToken { creator_roles, .. } = &known.principal else { panic!("{known:?}") };
            assert!(creator_roles.contains(Role::Admin));
        }

        let ann = here.users().set_roles(ann.id, RoleSet::of(Role::Viewer), ann.version).await.unwrap();
        let known = here.callers().resolve(token_secret, clock.now()).await.unwrap();
        let Principal::ApiToken { creator_roles, .. } = &known.principal else { panic!("{known:?}") };
        assert_eq!(*creator_roles, RoleSet::of(Role::Viewer));

        here.users().set_locked(ann.id, true, ann.version).await.unwrap();
        for credential in [&secret, token_secret] {
            assert_eq!(fault(&here, credential, clock).await, Some(CallerFault::Locked));
            learns(&there, credential, clock, CallerFault::Locked).await;
        }
        here.users().set_locked(ann.id, false, ann.version + 1).await.unwrap();
        assert_eq!(fault(&here, &secret, clock).await, None);

        here.sessions().revoke(session.id).await.unwrap();
        here.tokens().revoke(token.id).await.unwrap();
        for credential in [&secret, token_secret] {
            assert_eq!(fault(&here, credential, clock).await, Some(CallerFault::Revoked));
            learns(&there, credential, clock, CallerFault::Revoked).await;
        }
    }
}

#[tokio::test]
async fn notification_is_faster_than_the_poll() {
    let place = Place::postgres();
    let (here, there) = place.open_two().await;
    let mut changes = there.callers().subscribe_changes();
    // A change is heard before the poll could have noticed it: the fastest of ten is far below it.
    let mut fastest = Duration::MAX;
    for n in 0..10 {
        changes.mark_unchanged();
        let started = tokio::time::Instant::now();
        add_user(&here, &format!("u{n}@example.com"), &[]).await;
        tokio::time::timeout(Duration::from_secs(4), changes.changed()).await.unwrap().unwrap();
        fastest = fastest.min(started.elapsed());
    }
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

/// A listener that loses its connection opens it again: hearing is fast again, and nothing is missed between.
#[tokio::test]
async fn a_lost_listener_listens_again() {
    let place = Place::postgres();
    let (here, there) = place.open_two().await;
    let mut changes = there.callers().subscribe_changes();
    let listeners = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let listening = || gateway_testdb::sql(&place.url, &format!("SELECT count(*) {listeners}")).unwrap();
    let until_both_listen = async {
        while listening().trim() != "2" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), until_both_listen).await.unwrap();
    gateway_testdb::sql(&place.url, &format!("SELECT pg_terminate_backend(pid) {listeners}")).unwrap();
    // Whatever changes while nobody listens is noticed by the look that follows, or by the poll.
    changes.mark_unchanged();
    add_user(&here, "meanwhile@example.com", &[]).await;
    tokio::time::timeout(Duration::from_secs(8), changes.changed()).await.unwrap().unwrap();
    let mut fastest = Duration::MAX;
    let until_fast = async {
        let mut n = 0;
        while fastest > Duration::from_millis(500) || listening().trim() != "2" {
            changes.mark_unchanged();
            let started = tokio::time::Instant::now();
            n += 1;
            add_user(&here, &format!("u{n}@example.com"), &[]).await;
            changes.changed().await.unwrap();
            fastest = fastest.min(started.elapsed());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), until_fast).await.unwrap();
}

#[tokio::test]
async fn sessions_end_by_time_and_by_rest() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let clock = &place.clock;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let (_idle, idle_secret) = add_session(&store, &place, ann.id, CredentialKind::WebSession).await;
        let (_used, used_secret) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        assert_eq!(fault(&store, &idle_secret, clock).await, None);
        // Used every 20 minutes, a session with 30 minutes of rest lives for its 12 hours.
        for _twenty_minutes in 0..35 {
            clock.advance(Duration::from_secs(20 * 60));
            assert_eq!(fault(&store, &used_secret, clock).await, None);
        }
        assert_eq!(fault(&store, &idle_secret, clock).await, Some(CallerFault::Idle));
        clock.advance(Duration::from_secs(20 * 60));
        assert_eq!(fault(&store, &used_secret, clock).await, Some(CallerFault::Expired));
    }
}

#[tokio::test]
async fn removing_a_person_ends_what_they_made() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let (_session, secret) = add_session(&store, &place, ann.id, CredentialKind::WebSession).await;
        let new = NewToken {
            name: "ci".into(),
            roles: RoleSet::of(Role::Cicd),
            grants: vec![],
            creator: ann.id,
            expires: Some(place.clock.now().saturating_add(Duration::from_secs(60))),
            networks: Vec::new(),
        };
        let (_token, token) = store.tokens().create(new).await.unwrap();
        assert_eq!(fault(&store, token.expose(), &place.clock).await, None);
        place.clock.advance(Duration::from_secs(60));
        assert_eq!(fault(&store, token.expose(), &place.clock).await, Some(CallerFault::Expired));
        store.users().remove(ann.id).await.unwrap();
        assert_eq!(fault(&store, &secret, &place.clock).await, Some(CallerFault::Unknown));
        assert_eq!(fault(&store, token.expose(), &place.clock).await, Some(CallerFault::Revoked));
    }
}

#[tokio::test]
async fn what_is_not_ours_is_unknown() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let made_up = TokenKind::Api.generate(&gateway_types::OsEntropy);
        let join = TokenKind::Join.generate(&gateway_types::OsEntropy);
        let no_bits = "A".repeat(43);
        for credential in ["", "rgw_", "x", made_up.expose(), join.expose(), &no_bits, "rgw_\0"] {
            assert_eq!(
                fault(&store, credential, &place.clock).await,
                Some(CallerFault::Unknown),
                "{credential}"
            );
        }
    }
}

#[tokio::test]
async fn a_use_is_written_down_with_its_address() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let new = NewToken {
            name: "ci".into(),
            roles: RoleSet::of(Role::Cicd),
            grants: vec![],
            creator: ann.id,
            expires: None,
            networks: Vec::new(),
        };
        let (token, secret) = store.tokens().create(new).await.unwrap();
        let from = "192.0.2.9".parse().unwrap();
        store.callers().resolve_from(secret.expose(), Some(from), place.clock.now()).await.unwrap();
        let written = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let token = store.tokens().by_id(token.id).await.unwrap().unwrap();
                if token.last_used.is_some() {
                    return token;
                }
                tokio::task::yield_now().await;
            }
        });
        let written = written.await.unwrap();
        assert_eq!(written.last_used, Some(place.clock.now()));
        assert_eq!(written.last_used_ip, Some(from));
    }
}

#[tokio::test]
async fn while_the_rows_cannot_be_read_only_known_callers_are_answered() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let (_known, known) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        let (_other, other) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        assert_eq!(fault(&store, &known, &place.clock).await, None);
        let pool = store.users().core.database.pool().clone();
        sqlx::raw_sql("ALTER TABLE sessions RENAME TO hidden").execute(&pool).await.unwrap();
        assert_eq!(fault(&store, &known, &place.clock).await, None);
        let refused = store.callers().resolve(&other, place.clock.now()).await;
        assert!(matches!(&refused, Err(ResolveError::Store(e)) if e.is_unavailable()), "{refused:?}");
    }
}

/// Where the database is gone, in the way that a crash of it is seen.
async fn hide(store: &Store) {
    let pool = store.core_for_tests().database.pool().clone();
    sqlx::raw_sql("ALTER TABLE sessions RENAME TO hidden").execute(&pool).await.unwrap();
}

/// Whoever signs in, is invited or changes a setting must not make everybody else a stranger when the database goes
/// away in the very next moment.
#[tokio::test]
async fn a_change_just_before_the_database_goes_away_makes_nobody_unknown() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let (_session, secret) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        assert_eq!(fault(&store, &secret, &place.clock).await, None);
        let generation = *store.callers().subscribe_changes().borrow();
        add_user(&store, "eve@example.com", &[Role::Viewer]).await;
        assert!(*store.callers().subscribe_changes().borrow() > generation, "a change was counted");
        hide(&store).await;
        for _ in 0..3 {
            assert_eq!(fault(&store, &secret, &place.clock).await, None);
        }
    }
}

/// After a change everybody who was here lately is looked up again, whether or not they come: what was taken from them
/// holds although the database goes away long before their next request.
#[tokio::test]
async fn whoever_was_here_lately_is_looked_up_again_after_a_change() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let (kept, kept_secret) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        let (ended, ended_secret) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        for secret in [&kept_secret, &ended_secret] {
            assert_eq!(fault(&store, secret, &place.clock).await, None);
        }
        store.sessions().revoke(ended.id).await.unwrap();
        let is_current = async || {
            let now = place.clock.now();
            let digest = crate::secrets::credential_digest(&kept_secret);
            while store.callers().remembered_for_tests(&digest, now).is_none() {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), is_current()).await;
        assert!(waited.is_ok(), "nobody looked {} up again", kept.id);
        // The other one is looked up in the same round, before or after this one.
        tokio::time::sleep(Duration::from_millis(300)).await;
        hide(&store).await;
        assert_eq!(fault(&store, &kept_secret, &place.clock).await, None);
        let ended = store.callers().resolve(&ended_secret, place.clock.now()).await;
        assert!(ended.is_err(), "{ended:?}");
    }
}

/// N5: two instances whose clocks differ by two minutes know each other's sessions, learn of each other's revocations,
/// never hold one lease together, and write one log.
#[tokio::test]
async fn n5_instances_whose_clocks_differ_by_two_minutes_agree() {
    let place = Place::postgres();
    let late = Place { url: place.url.clone(), ..Place::postgres() };
    late.clock.advance(Duration::from_secs(120));
    let (first, second) = (place.open(Access::Serve).await, late.open(Access::Serve).await);
    let ann = add_user(&first, "ann@example.com", &[Role::Viewer]).await;
    let (_session, by_first) = add_session(&first, &place, ann.id, CredentialKind::CliSession).await;
    let (_session, by_second) = add_session(&second, &late, ann.id, CredentialKind::CliSession).await;
    for secret in [&by_first, &by_second] {
        // One of them was made in the future of one of the two.
        assert_eq!(fault(&first, secret, &place.clock).await, None);
        assert_eq!(fault(&second, secret, &late.clock).await, None);
        assert_eq!(
            fault(&first, secret, &place.clock).await,
            None,
            "and what the other noted of its use ends it not"
        );
    }

    // Leases are measured by the database's clock: to neither is the other's over.
    let (a_minute, at_once) = (Duration::from_secs(60), Duration::from_millis(50));
    for (holder, other) in [(&first, &second), (&second, &first)] {
        let held = holder.leases().acquire("work", a_minute, at_once).await.unwrap();
        let refused = other.leases().acquire("work", a_minute, at_once).await;
        assert!(matches!(refused, Err(StoreError::LeaseHeld { .. })), "{refused:?}");
        held.release().await.unwrap();
    }

    for (store, place) in [(&first, &place), (&second, &late), (&first, &place)] {
        store.audit().append(event(place, "convox:app:list", Phase::Single)).await.unwrap();
    }
    verified(&first).await;

    second.users().lock(ann.id).await.unwrap();
    for secret in [&by_first, &by_second] {
        assert!(fault(&second, secret, &late.clock).await.is_some());
        let ended = tokio::time::timeout(Duration::from_secs(4), async {
            let mut changes = first.callers().subscribe_changes();
            while fault(&first, secret, &place.clock).await.is_none() {
                changes.changed().await.unwrap();
            }
        });
        assert!(ended.await.is_ok(), "the other instance did not learn of it");
    }
    first.close().await;
    second.close().await;
}
