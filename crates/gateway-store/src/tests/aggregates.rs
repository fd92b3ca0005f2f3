use std::time::Duration;

use gateway_types::{Clock, CredentialKind, Grant, OsEntropy, Role, RoleSet, SessionId, TokenId, UserId};

use super::{Place, add_session, add_user, is_conflict};
use crate::{Access, NewToken, NewUser, SettingScope, StoreError, TokenFilter};

#[tokio::test]
async fn people_are_found_listed_and_changed() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let users = store.users();
        let ann = add_user(&store, " Ann@Example.com ", &[Role::Admin]).await;
        assert_eq!(ann.email, "ann@example.com");
        let twice = NewUser { email: "ANN@example.com".into(), name: String::new(), roles: RoleSet::EMPTY };
        assert!(matches!(users.create(twice).await, Err(StoreError::Exists)));
        let nul = NewUser { email: "a\0@example.com".into(), name: String::new(), roles: RoleSet::EMPTY };
        assert!(matches!(users.create(nul).await, Err(StoreError::NotStorable { .. })));
        assert_eq!(users.by_email("ann@EXAMPLE.com").await.unwrap(), Some(ann.clone()));
        assert_eq!(users.by_email("a\0").await.unwrap(), None);
        assert_eq!(users.by_id(ann.id).await.unwrap(), Some(ann.clone()));
        for name in ["bo", "cy", "d_e", "dxe"] {
            add_user(&store, &format!("{name}@example.com"), &[Role::Viewer]).await;
        }
        let page = users.list(None, None, 2).await.unwrap();
        assert_eq!(
            page.items.iter().map(|u| u.email.as_str()).collect::<Vec<_>>(),
            ["ann@example.com", "bo@example.com"]
        );
        let rest = users.list(None, page.next.as_deref(), 9).await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (3, None));
        let literal = users.list(Some("D_E"), None, 9).await.unwrap();
        assert_eq!(literal.items.len(), 1, "wildcards stand for themselves");

        let bo = users.by_email("bo@example.com").await.unwrap().unwrap();
        let both = RoleSet::of(Role::Ops).with(Role::Auditor);
        let changed = users.set_roles(bo.id, both, bo.version).await.unwrap();
        assert_eq!((changed.roles, changed.version), (both, bo.version + 1));
        assert!(is_conflict(users.set_locked(bo.id, true, bo.version).await));
        assert!(users.set_locked(bo.id, true, changed.version).await.unwrap().locked);
        let nobody = UserId::new(ann.created, &OsEntropy);
        assert!(matches!(users.set_locked(nobody, true, 1).await, Err(StoreError::NotFound)));
        assert!(matches!(users.remove(nobody).await, Err(StoreError::NotFound)));
        users.remove(bo.id).await.unwrap();
        assert_eq!(users.by_id(bo.id).await.unwrap(), None);
    }
}

#[tokio::test]
async fn the_last_unlocked_admin_stays() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let users = store.users();
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let bo = add_user(&store, "bo@example.com", &[Role::Admin]).await;
        let bo = users.set_locked(bo.id, true, bo.version).await.unwrap();
        let viewer = RoleSet::of(Role::Viewer);
        assert!(matches!(users.set_roles(ann.id, viewer, ann.version).await, Err(StoreError::LastAdmin)));
        assert!(matches!(users.set_locked(ann.id, true, ann.version).await, Err(StoreError::LastAdmin)));
        assert!(matches!(users.remove(ann.id).await, Err(StoreError::LastAdmin)));
        users.set_locked(bo.id, false, bo.version).await.unwrap();
        users.remove(ann.id).await.unwrap();
    }
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Admin]).await;
        let new = |name: &str, creator| NewToken {
            name: name.to_owned(),
            roles: RoleSet::of(Role::Cicd),
            grants: vec![Grant { actions: "convox:*".into(), apps: vec!["web".into()], critical: false }],
            creator,
            expires: None,
            networks: Vec::new(),
        };
        let nobody = UserId::new(ann.created, &OsEntropy);
        assert!(matches!(store.tokens().create(new("x", nobody)).await, Err(StoreError::NotFound)));
        let (first, secret) = store.tokens().create(new("Deploy", ann.id)).await.unwrap();
        assert!(secret.expose().starts_with("rgw_"));
        place.clock.advance(Duration::from_millis(5));
        let (second, _secret) = store.tokens().create(new("other", ann.id)).await.unwrap();
        assert_eq!(store.tokens().by_id(first.id).await.unwrap(), Some(first.clone()));

        let one = TokenFilter { limit: 1, ..TokenFilter::default() };
        let page = store.tokens().list(&one).await.unwrap();
        assert_eq!(page.items, std::slice::from_ref(&second));
        let next = store.tokens().list(&TokenFilter { cursor: page.next, ..one }).await.unwrap();
        assert_eq!((next.items, next.next), (vec![first.clone()], None));
        let found = TokenFilter { search: Some("depl".into()), ..TokenFilter::default() };
        assert_eq!(store.tokens().list(&found).await.unwrap().items, std::slice::from_ref(&first));

        store.tokens().revoke(first.id).await.unwrap();
        store.tokens().revoke(first.id).await.unwrap();
        let unknown = TokenId::new(ann.created, &OsEntropy);
        assert!(matches!(store.tokens().revoke(unknown).await, Err(StoreError::NotFound)));
        let live = TokenFilter { live_only: true, creator: Some(ann.id), ..TokenFilter::default() };
        assert_eq!(store.tokens().list(&live).await.unwrap().items, [second]);
    }
}

#[tokio::test]
async fn sessions_are_opened_and_ended() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let ann = add_user(&store, "ann@example.com", &[Role::Viewer]).await;
        let (cli, secret) = add_session(&store, &place, ann.id, CredentialKind::CliSession).await;
        assert!(secret.starts_with("rgs_"));
        let (web, secret) = add_session(&store, &place, ann.id, CredentialKind::WebSession).await;
        assert_eq!(secret.len(), 43);
        assert_eq!(store.sessions().by_id(web.id).await.unwrap(), Some(web.clone()));
        assert_eq!(store.sessions().list_for_user(ann.id).await.unwrap().len(), 2);
        store.sessions().revoke(cli.id).await.unwrap();
        assert_eq!(store.sessions().list_for_user(ann.id).await.unwrap(), [web]);
        assert_eq!(store.sessions().revoke_all(ann.id).await.unwrap(), 1);
        assert_eq!(store.sessions().revoke_all(ann.id).await.unwrap(), 0);
        let unknown = SessionId::new(ann.created, &OsEntropy);
        assert!(matches!(store.sessions().revoke(unknown).await, Err(StoreError::NotFound)));
    }
}

#[tokio::test]
async fn settings_are_compared_and_set() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let settings = store.settings();
        let app = SettingScope::App("web".into());
        assert_eq!(settings.get(&app, "mode").await.unwrap(), None);
        let first = settings.set(&app, "mode", "a", None, "ann").await.unwrap();
        assert!(is_conflict(settings.set(&app, "mode", "b", None, "bo").await));
        let second = settings.set(&app, "mode", "b", Some(first.version), "bo").await.unwrap();
        assert!(is_conflict(settings.set(&app, "mode", "c", Some(first.version), "ann").await));
        assert_eq!(settings.get(&app, "mode").await.unwrap(), Some(second.clone()));
        assert_eq!((second.value.as_str(), second.updated_by.as_str()), ("b", "bo"));
        settings.set(&SettingScope::Global, "mode", "g", None, "ann").await.unwrap();
        assert_eq!(settings.list(Some(&app)).await.unwrap(), std::slice::from_ref(&second));
        assert_eq!(settings.list(None).await.unwrap().len(), 2);
        assert!(is_conflict(settings.delete(&app, "mode", first.version).await));
        settings.delete(&app, "mode", second.version).await.unwrap();
        let third = settings.set(&app, "mode", "d", None, "ann").await.unwrap();
        assert!(third.version > second.version, "a version is never given out twice");
        assert!(matches!(
            settings.set(&app, "mode", "\0", None, "ann").await,
            Err(StoreError::NotStorable { field: "the value" })
        ));
    }
}

#[tokio::test]
async fn a_read_after_a_list_is_of_the_newest_and_is_forgotten_after_a_day() {
    for place in Place::both() {
        let store = place.open(Access::Tool).await;
        let bases = store.bases();
        let now = || place.clock.now();
        // Two clients of one credential side by side: list, list, read, read.
        bases.listed("cred", "web", "R1", now()).await.unwrap();
        bases.listed("cred", "web", "R1", now()).await.unwrap();
        bases.read("cred", "web", "R1", now()).await.unwrap();
        bases.read("cred", "web", "R1", now()).await.unwrap();
        // A roll-back reads without a list before it, and so does one long after a list.
        bases.read("cred", "web", "R1", now()).await.unwrap();
        bases.listed("cred", "web", "R1", now()).await.unwrap();
        place.clock.advance(Duration::from_secs(11));
        bases.read("cred", "web", "R1", now()).await.unwrap();
        let served = bases.served("cred", "web").await.unwrap();
        assert_eq!(served.len(), 2, "{served:?}");
        assert!(served.iter().all(|base| base.release == "R1"));
        assert_eq!((served[0].newest, served[1].newest), (false, true), "the last read is first");
        assert_eq!(bases.served("other", "web").await.unwrap(), []);
        // Two reads of each kind were made, so two writes can be made of each.
        for base in &served {
            let taken = tokio::join!(bases.consume(base), bases.consume(base), bases.consume(base));
            let taken = [taken.0.unwrap(), taken.1.unwrap(), taken.2.unwrap()];
            assert_eq!(taken.iter().filter(|taken| **taken).count(), 2, "{taken:?}");
        }
        assert_eq!(bases.served("cred", "web").await.unwrap(), []);
        for n in 0..50 {
            bases.read("busy", "web", &format!("R{n}"), now()).await.unwrap();
        }
        assert_eq!(bases.served("busy", "web").await.unwrap().len(), 32);
        bases.read("cred", "web", "R2", now()).await.unwrap();
        place.clock.advance(Duration::from_secs(24 * 3600 + 1));
        assert_eq!(bases.served("cred", "web").await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_signing_key_of_a_generation_is_kept_once_and_sealed() {
    for place in Place::both() {
        let store = place.open(Access::Serve).await;
        let keys = store.signing_keys();
        let key = |generation, id: &str| crate::SigningKey {
            generation,
            id: id.to_owned(),
            public: format!("public of {id}"),
            private: gateway_types::Secret::new(id.as_bytes().to_vec()),
            active_from: place.clock.now(),
        };
        assert!(keys.all().await.unwrap().is_empty());
        let (one, other) = (key(1, "one"), key(1, "other"));
        let (first, second) = tokio::join!(keys.keep(&one), keys.keep(&other));
        assert!(first.unwrap() != second.unwrap(), "one of two");
        assert!(keys.keep(&key(2, "next")).await.unwrap());
        let all = keys.all().await.unwrap();
        assert_eq!(all.iter().map(|key| key.generation).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(all[1].private.expose(), b"next");
        assert!(!format!("{all:?}").contains("private"));
        let sealed: String = sqlx::query_scalar("SELECT sealed FROM signing_keys WHERE generation = 2")
            .fetch_one(store.signing_keys().core.database.pool())
            .await
            .unwrap();
        assert!(!sealed.contains("next"));
        keys.forget(1).await.unwrap();
        keys.forget(1).await.unwrap();
        assert_eq!(keys.all().await.unwrap().len(), 1);
        store.close().await;
    }
}
