use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use gateway_audit::Phase;
use gateway_types::Secret;

use super::{Place, event, verified};
use crate::{Access, Adoption, RackClaim, Store, StoreError};

#[tokio::test]
async fn a_database_keeps_its_gateway_and_its_key() {
    for place in Place::both() {
        let first = place.open(Access::Serve).await;
        let (id, key) = (first.gateway_id(), first.derive_key("purpose/v1"));
        assert!(!first.made_its_own_secret());
        assert_ne!(first.derive_key("purpose/v2"), key);
        assert_eq!(key.expose().len(), 32);
        first.close().await;

        let second = place.open(Access::Serve).await;
        assert_eq!((second.gateway_id(), second.derive_key("purpose/v1")), (id, key));
        second.close().await;

        let mut other = place.options(Access::Serve);
        other.app_secret_key = Some(Secret::new("another key, also long enough".to_owned()));
        assert!(matches!(Store::open(other).await, Err(StoreError::WrongSecretKey)));
        let mut none = place.options(Access::Serve);
        none.app_secret_key = None;
        assert!(matches!(Store::open(none).await, Err(StoreError::SecretKeyMissing)));
    }
}

/// With no key on either side it is the rack alone that tells one gateway's database from another's.
#[tokio::test]
async fn a_database_keeps_its_rack_until_it_is_adopted() {
    for place in Place::both() {
        let mut options = place.options(Access::Serve);
        options.app_secret_key = None;
        let open = async |rack: &str, adoption: Adoption| {
            let claim = RackClaim { rack: rack.to_owned(), adoption };
            Store::open_for(options.clone(), claim, crate::callers::KNOWN_FOR).await
        };
        // One that a tool made is nobody's yet.
        let mut tool = options.clone();
        tool.access = Access::Tool;
        Store::open(tool.clone()).await.unwrap().close().await;
        let first = open("rack.example.com:443", Adoption::Refuse).await.unwrap();
        assert!(!first.is_adopted());
        let (id, size) = (first.gateway_id(), first.audit().head().await.unwrap().size);
        first.close().await;
        let other = open("other.example.com:443", Adoption::Refuse).await;
        assert!(matches!(other, Err(StoreError::OtherRack)), "{other:?}");
        let again = open("rack.example.com:443", Adoption::Adopt).await.unwrap();
        assert!(!again.is_adopted(), "it is its own");
        assert_eq!(
            again.audit().head().await.unwrap().size,
            size + 2,
            "its stop and its start, and nothing of whoever was refused"
        );
        again.close().await;
        let moved = open("other.example.com:443", Adoption::Adopt).await.unwrap();
        assert!(moved.is_adopted() && moved.gateway_id() == id);
        moved.close().await;
        let late = open("rack.example.com:443", Adoption::Refuse).await;
        assert!(matches!(late, Err(StoreError::OtherRack)), "{late:?}");
        // Tools on the server's machine name no rack.
        Store::open(tool).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn without_a_key_one_is_made_and_kept() {
    for place in Place::both() {
        let mut options = place.options(Access::Serve);
        options.app_secret_key = None;
        let store = Store::open(options.clone()).await.unwrap();
        assert!(store.made_its_own_secret());
        let key = store.derive_key("purpose/v1");
        store.close().await;
        let again = Store::open(options).await.unwrap();
        assert!(again.made_its_own_secret());
        assert_eq!(again.derive_key("purpose/v1"), key);
        again.close().await;
        let other_key = Store::open(place.options(Access::Serve)).await;
        assert!(matches!(other_key, Err(StoreError::WrongSecretKey)), "{other_key:?}");
    }
}

#[tokio::test]
async fn migrations_apply_once() {
    for place in Place::both() {
        let applied = Store::migrate(&place.url, &*place.clock).await.unwrap();
        let names = [
            "initial",
            "audit",
            "factors",
            "jobs",
            "sign_in",
            "people",
            "policies",
            "step_up_challenges",
            "person_tries",
            "certificates",
            "rate_counts",
            "signing_keys",
            "services",
            "webauthn",
            "providers",
            "machines",
            "entitlements",
            "proven",
            "approvals",
            "approval_moves",
            "reveals",
            "rotation",
            "rack",
            "recordings",
            "log_tiles",
            "approval_findings",
            "zone",
            "integrations",
            "audit_sinks",
            "session_company",
            "operations",
            "audit_reading",
            "detached_sessions",
            "sentinel",
            "audit_retention",
            "imports",
            "vantage_points",
            "zone_registrations",
            "audit_shares",
        ];
        assert_eq!(applied.iter().map(|m| m.name).collect::<Vec<_>>(), names);
        assert_eq!(Store::migrate(&place.url, &*place.clock).await.unwrap(), []);
    }
}

#[tokio::test]
async fn several_may_open_a_new_postgres_at_once() {
    let place = Place::postgres();
    let opened = tokio::join!(
        Store::open(place.options(Access::Serve)),
        Store::open(place.options(Access::Serve)),
        Store::open(place.options(Access::Tool)),
    );
    let (a, b, c) = (opened.0.unwrap(), opened.1.unwrap(), opened.2.unwrap());
    assert_eq!(a.gateway_id(), b.gateway_id());
    assert_eq!(a.gateway_id(), c.gateway_id());
    assert_eq!(verified(&a).await.len(), 2, "two starts");
}

#[tokio::test]
async fn a_second_serve_on_one_file_is_refused_until_the_first_ends() {
    let place = Place::sqlite();
    let first = place.open(Access::Serve).await;
    let refused = Store::open(place.options(Access::Serve)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused:?}");
    assert!(refused.to_string().contains("gateway.db"), "{refused}");
    place.open(Access::Tool).await.close().await;
    first.close().await;
    place.open(Access::Serve).await.close().await;
}

#[tokio::test]
async fn the_file_is_for_its_owner_only() {
    let place = Place::sqlite();
    let store = place.open(Access::Serve).await;
    let file = place.database_file();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    for beside in std::fs::read_dir(file.parent().unwrap()).unwrap() {
        assert_eq!(mode(&beside.unwrap().path()), 0o600);
    }
    store.close().await;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    place.open(Access::Serve).await.close().await;
    assert_eq!(mode(&file), 0o600);
}

#[tokio::test]
async fn urls_that_cannot_hold_a_log_are_refused() {
    for url in
        ["sqlite::memory:", "sqlite://:memory:", "sqlite:///x.db?mode=memory", "mysql://h/d", "", "sqlite://"]
    {
        let place = Place::sqlite();
        let mut options = place.options(Access::Tool);
        options.url = url.to_owned();
        assert!(matches!(Store::open(options).await, Err(StoreError::Url { .. })), "{url}");
    }
}

#[tokio::test]
async fn the_start_tells_how_the_run_before_ended() {
    for place in Place::both() {
        let first = place.open(Access::Serve).await;
        first.audit().append(event(&place, "convox:app:delete", Phase::Intent)).await.unwrap();
        first.close().await;
        let second = place.open(Access::Serve).await;
        // Dropped as by a crash: no stop, and its locks are free.
        drop(second);
        let third = open_when_free(&place).await;
        third.close().await;
        let reader = place.open(Access::Tool).await;
        let actions: Vec<_> = verified(&reader)
            .await
            .into_iter()
            .map(|event| (event.action.as_str().to_owned(), event.reason.is_some()))
            .collect();
        let expected = [
            ("gateway:start", false),
            ("convox:app:delete", false),
            ("gateway:stop", false),
            ("gateway:start", false),
            ("gateway:start", true),
            ("gateway:stop", false),
        ];
        assert_eq!(actions, expected.map(|(action, unclean)| (action.to_owned(), unclean)), "{}", place.url);
    }
}

#[tokio::test]
async fn what_a_dead_run_held_is_free_for_the_next() {
    for place in Place::both() {
        let (long, at_once) = (Duration::from_secs(3600), Duration::ZERO);
        let first = place.open(Access::Serve).await;
        let held = first.leases().acquire("environment:web", long, at_once).await.unwrap();
        let tool = place.open(Access::Tool).await;
        let kept = tool.leases().acquire("kept", long, at_once).await.unwrap();
        // As by a crash: neither is released.
        std::mem::forget(held);
        drop(first);
        let second = open_when_free(&place).await;
        second.leases().acquire("environment:web", long, at_once).await.unwrap().release().await.unwrap();
        let still_held = second.leases().acquire("kept", long, at_once).await;
        assert!(matches!(still_held, Err(StoreError::LeaseHeld { .. })), "{still_held:?}");
        kept.release().await.unwrap();
        tool.close().await;
        second.close().await;
    }
}

/// An instance that lost its session, as when the database restarts, is not taken for dead by the next one.
#[tokio::test]
async fn a_lost_presence_is_taken_up_again() {
    let place = Place::postgres();
    let first = place.open(Access::Serve).await;
    let presence = first.run().unwrap().presence().unwrap();
    let holders = "FROM pg_locks WHERE locktype = 'advisory' AND \
         database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let count = || gateway_testdb::sql(&place.url, &format!("SELECT count(*) {holders}")).unwrap();
    presence.restore().await.unwrap();
    assert_eq!(count(), "1", "a whole one is left alone");
    for taken_for_dead in [false, true] {
        gateway_testdb::sql(&place.url, &format!("SELECT pg_terminate_backend(pid) {holders}")).unwrap();
        while count() != "0" {
            tokio::task::yield_now().await;
        }
        if taken_for_dead {
            let hasty = place.open(Access::Serve).await;
            hasty.close().await;
        }
        presence.restore().await.unwrap();
        assert_eq!(count(), "1");
        let next = place.open(Access::Serve).await;
        next.close().await;
    }
    let reader = place.open(Access::Tool).await;
    let starts: Vec<bool> = verified(&reader)
        .await
        .into_iter()
        .filter(|event| event.action.as_str() == "gateway:start")
        .map(|event| event.reason.is_some())
        .collect();
    // Only who started while nobody could see that the first is alive says that a run died.
    assert_eq!(starts, [false, false, true, false]);
    first.close().await;
    presence.restore().await.unwrap();
    assert_eq!(count(), "0", "a run that has ended stays so");
}

/// On PostgreSQL a dropped connection is noticed by the server a moment later: the run counts as
/// alive until then.
async fn open_when_free(place: &Place) -> std::sync::Arc<Store> {
    if !place.is_sqlite() {
        while gateway_testdb::sql(
            &place.url,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND \
             database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .unwrap()
            != "0"
        {
            tokio::task::yield_now().await;
        }
    }
    place.open(Access::Serve).await
}
