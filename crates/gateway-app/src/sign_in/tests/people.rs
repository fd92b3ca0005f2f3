//! Who becomes whom.

use std::sync::Arc;
use std::time::Duration;

use gateway_store::RolesFrom;
use gateway_types::Role;
use serde_json::json;

use super::super::{Finished, SignInError, begin_web, finish, sign_out};
use super::world::{Browser, Place, World, account, email, here, on_both, roles};
use crate::notify::Notice;

#[tokio::test]
async fn listed_invited_and_own_people_come_in_and_nobody_else() {
    on_both(async |world| {
        // Who comes by the configuration or the provider's word is told of as whoever was invited, once.
        let invited = || -> Vec<(String, String)> {
            let told = std::mem::take(&mut *world.told.0.lock().unwrap());
            let invited = |notice| {
                if let Notice::Invited { email, by, .. } = notice { Some((email, by)) } else { None }
            };
            told.into_iter().filter_map(invited).collect()
        };
        let one = |email: &str, by: &str| vec![(email.to_owned(), by.to_owned())];
        let admin = world.sign_in(account("a1", "Admin@Example.com")).await.unwrap();
        assert_eq!(invited(), one("admin@example.com", "the configuration"));
        world.sign_in(account("a1", "Admin@Example.com")).await.unwrap();
        assert_eq!(invited(), []);
        assert_eq!((email(&admin), roles(&admin).as_str()), ("admin@example.com", "admin"));
        world.invite("ann@example.com", &[Role::Ops]).await;
        let ann = world.sign_in(account("a2", "ann@example.com")).await.unwrap();
        assert_eq!(roles(&ann), "ops");
        // An address in the organisation's own domain.
        assert_eq!(invited(), [], "an admin's invitation is told of when it is made");
        let new = world.sign_in(account("n1", "new@example.com")).await.unwrap();
        assert_eq!(roles(&new), "viewer");
        assert_eq!(invited(), one("new@example.com", "the identity provider"));
        world.sign_in(account("n1", "new@example.com")).await.unwrap();
        assert_eq!(invited(), []);
        // Listed, but the organisation's provider is for its own people.
        let listed = world.sign_in(account("l1", "listed@elsewhere.test")).await;
        assert!(matches!(listed, Err(SignInError::DomainNotAllowed)), "{listed:?}");
        let browser = &mut Browser::new();
        let (secret, page) =
            world.sign_in_at("public", browser, account("l1", "listed@elsewhere.test")).await.unwrap();
        assert_eq!((roles(&world.caller(&secret).await).as_str(), page.as_str()), ("viewer", "/app/audit"));
        let stranger = world.sign_in_at("public", browser, account("s1", "stranger@example.com")).await;
        assert!(matches!(stranger, Err(SignInError::NotInvited)), "{stranger:?}");
        assert_eq!(invited(), one("listed@elsewhere.test", "the configuration"), "and of no stranger");
        assert!(world.app.store.users().by_email("stranger@example.com").await.unwrap().is_none());
        assert!(world.refusals().await[0].contains("ask an admin to invite you"));
    })
    .await;
}

#[tokio::test]
async fn a_locked_person_stays_out() {
    on_both(async |world| {
        world.sign_in(account("a1", "admin@example.com")).await.unwrap();
        let ann = world.invite("ann@example.com", &[Role::Viewer]).await;
        world.sign_in(account("a2", "ann@example.com")).await.unwrap();
        let ann = world.app.store.users().by_id(ann.id).await.unwrap().unwrap();
        world.app.store.users().set_locked(ann.id, true, ann.version).await.unwrap();
        let again = world.sign_in(account("a2", "ann@example.com")).await;
        assert!(matches!(again, Err(SignInError::Locked)), "{again:?}");
        // Nor as somebody who was not seen before.
        let bob = world.invite("bob@example.com", &[Role::Viewer]).await;
        world.app.store.users().set_locked(bob.id, true, bob.version).await.unwrap();
        let first = world.sign_in(account("b1", "bob@example.com")).await;
        assert!(matches!(first, Err(SignInError::Locked)), "{first:?}");
        assert!(world.app.store.identities().of_user(bob.id).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn d6_the_subject_is_the_person_and_an_address_is_not() {
    on_both(async |world| {
        world.invite("boss@example.com", &[Role::Admin]).await;
        let ann = world.sign_in(account("s-ann", "ann@example.com")).await.unwrap();
        assert_eq!(roles(&ann), "viewer");
        // Her address becomes the one of an invited admin who was never here: she stays who she is.
        let renamed = world.sign_in(account("s-ann", "boss@example.com")).await.unwrap();
        assert_eq!((email(&renamed), roles(&renamed).as_str()), ("ann@example.com", "viewer"));
        // Her old address is given to another account: not her.
        let heir = world.sign_in(account("s-heir", "ann@example.com")).await;
        assert!(matches!(heir, Err(SignInError::OtherIdentity)), "{heir:?}");
        // The invited admin comes, once; another account with the address does not.
        let boss = world.sign_in(account("s-boss", "boss@example.com")).await.unwrap();
        assert_eq!((email(&boss), roles(&boss).as_str()), ("boss@example.com", "admin"));
        let second = world.sign_in(account("s-boss2", "boss@example.com")).await;
        assert!(matches!(second, Err(SignInError::OtherIdentity)), "{second:?}");
        // The same subject at another issuer is another person.
        let public =
            world.sign_in_at("public", &mut Browser::new(), account("s-boss", "x@example.com")).await;
        assert!(matches!(public, Err(SignInError::NotInvited)), "{public:?}");
        let links = world.events("gateway:auth:link").await;
        assert!(links.iter().all(|event| event.parameters["issuer"] == "https://corp.test"));
    })
    .await;
}

#[tokio::test]
async fn d6_addresses_that_only_look_right_are_nobody() {
    let world = World::new(Place::Sqlite).await;
    for bad in [
        "admin@example.com.",
        "admin@example.com ",
        " admin@example.com",
        "admin@evil.test@example.com",
        "admin\0@example.com",
        "аdmin@example.com",
        "admin@example.com\n",
        "admin@sub.example.com",
        "admin@notexample.com",
        "admin@example.com.evil.test",
        "admin@ｅxample.com",
    ] {
        let refused = world.sign_in(account("s", bad)).await;
        assert!(
            matches!(refused, Err(SignInError::Provider(_) | SignInError::DomainNotAllowed)),
            "{bad:?} {refused:?}"
        );
    }
    for verified in [json!(false), json!("false"), json!(null), json!(0), json!("true")] {
        let mut claims = account("s", "admin@example.com");
        claims["email_verified"] = verified.clone();
        // A text is not a truth value; whether it is one that is believed is not guessed.
        let refused = world.sign_in(claims).await;
        assert!(matches!(refused, Err(SignInError::Provider(_))), "{verified} {refused:?}");
    }
    let tagged = world.sign_in(account("s-tag", "admin+x@example.com")).await.unwrap();
    assert_eq!((email(&tagged), roles(&tagged).as_str()), ("admin+x@example.com", "viewer"));
}

#[tokio::test]
async fn d7_groups_give_through_the_map_and_take_back_what_they_gave() {
    on_both(async |world| {
        let with = |groups: serde_json::Value| {
            let mut claims = account("g1", "gina@example.com");
            claims["groups"] = groups;
            claims
        };
        let check = async |groups: serde_json::Value, expected: &str| {
            let caller = world.sign_in(with(groups.clone())).await.unwrap();
            assert_eq!(roles(&caller), expected, "{groups}");
        };
        check(json!(["deployers", "unknown", "robots"]), "viewer,deployer").await;
        check(json!(["deployers", "operators"]), "viewer,ops,deployer").await;
        // One name as a text is one group, not several.
        check(json!("deployers,operators"), "viewer").await;
        check(json!("deployers"), "viewer,deployer").await;
        for nothing in [json!(null), json!([]), json!({"deployers": true}), json!([["deployers"]]), json!(7)]
        {
            check(json!(["deployers"]), "viewer,deployer").await;
            check(nothing, "viewer").await;
        }
        let many: Vec<String> =
            (0..10_000).map(|n| format!("g{n}")).chain(["deployers".to_owned()]).collect();
        check(json!(many), "viewer").await;
        assert!(world.events("gateway:user:update").await.iter().all(|event| event.before != event.after));
        // Somebody whom people invited has what people gave.
        world.invite("ann@example.com", &[Role::Viewer]).await;
        let mut claims = account("a1", "ann@example.com");
        claims["groups"] = json!(["deployers"]);
        assert_eq!(roles(&world.sign_in(claims.clone()).await.unwrap()), "viewer");
        assert_eq!(roles(&world.sign_in(claims).await.unwrap()), "viewer");
        // The database's entry is before the configuration's.
        world
            .app
            .store
            .groups()
            .set("deployers", [Role::Ops].into_iter().collect(), None, "x")
            .await
            .unwrap();
        check(json!(["deployers"]), "viewer,ops").await;
    })
    .await;
}

async fn concurrently(place: Place, sign_ins: usize) {
    let world = Arc::new(World::new(place).await);
    // More at once only wait for the database, and on a busy machine too long.
    let places = Arc::new(tokio::sync::Semaphore::new(64));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..sign_ins {
        let (world, places) = (Arc::clone(&world), Arc::clone(&places));
        tasks.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let (subject, address) =
                if n % 2 == 0 { ("even", "even@example.com") } else { ("odd", "odd@example.com") };
            let (secret, _page) =
                world.sign_in_at("corp", &mut Browser::new(), account(subject, address)).await.unwrap();
            assert_eq!(email(&world.caller(&secret).await), address);
            secret
        });
    }
    let mut secrets = tasks.join_all().await;
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), sign_ins, "each sign-in has a session of its own");
    let people = world.app.store.users().list(None, None, 10).await.unwrap().items;
    assert_eq!(people.len(), 2, "{people:?}");
    for person in people {
        let links = world.app.store.identities().of_user(person.id).await.unwrap();
        let froms: Vec<RolesFrom> = links.iter().map(|link| link.roles_from).collect();
        assert_eq!(froms, [RolesFrom::Groups], "made at first sight, whichever tab was first");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_a_thousand_sign_ins_at_once_swap_nobody() {
    concurrently(Place::Sqlite, 1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d5_the_same_with_several_writers() {
    concurrently(Place::Postgres, 300).await;
}

#[tokio::test]
async fn e1_each_sign_in_is_a_new_session_with_no_window_and_its_limits() {
    on_both(async |world| {
        let browser = &mut Browser::new();
        let claims = || account("a1", "admin@example.com");
        let (first, _) = world.sign_in_at("corp", browser, claims()).await.unwrap();
        let before = browser.cookie.clone().unwrap();
        let (second, _) = world.sign_in_at("corp", browser, claims()).await.unwrap();
        assert!(first != second && first != before && second != before);
        assert!(!world.is_live(&before).await, "what a browser had before it signed in is no session");
        let caller = world.caller(&second).await;
        let user = world.app.store.users().by_email("admin@example.com").await.unwrap().unwrap();
        let sessions = world.app.store.sessions().list_for_user(user.id).await.unwrap();
        assert_eq!(sessions.len(), 2);
        for session in &sessions {
            assert_eq!(session.expires, session.created.saturating_add(Duration::from_secs(12 * 3600)));
            assert_eq!(session.idle_limit, Duration::from_secs(30 * 60));
            let window = Duration::from_secs(600);
            let standing = world.app.store.step_ups().standing(user.id, session.id, window).await.unwrap();
            assert_eq!(standing.window, None);
        }
        sign_out(&world.app, &caller, browser.visitor().request_id).await.unwrap();
        assert!(!world.is_live(&second).await && world.is_live(&first).await);
        assert_eq!(world.events("gateway:auth:logout").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_new_device_or_address_is_told() {
    let world = World::new(Place::Sqlite).await;
    let told = async |agent: &str, ip: &str| {
        let mut browser = Browser { agent: agent.to_owned(), ..Browser::new() };
        let begun = begin_web(&world.app, "corp", None, &here(), browser.visitor()).await.unwrap();
        browser.keep(&begun);
        let query = world.idp.sign_in(&begun.location, account("a1", "admin@example.com"));
        let mut visitor = browser.visitor();
        visitor.source_ip = ip.parse().unwrap();
        let Finished::Web { .. } = finish(&world.app, "corp", &query, visitor).await.unwrap() else {
            panic!()
        };
        std::mem::take(&mut *world.told.0.lock().unwrap())
    };
    let first = told("Firefox", "192.0.2.1").await;
    assert!(
        matches!(&first[..], [Notice::Invited { .. }, Notice::NewSignIn { device, .. }] if device == "Firefox"),
        "{first:?}"
    );
    assert!(told("Firefox", "192.0.2.1").await.is_empty());
    assert_eq!(told("Chromium", "192.0.2.1").await.len(), 1);
    assert_eq!(told("Firefox", "192.0.2.9").await.len(), 1);
    assert!(told("Chromium", "192.0.2.9").await.is_empty());
    // The log has the same, once for each, and names who it was.
    let admin = world.app.store.users().by_email("admin@example.com").await.unwrap().unwrap();
    let events = world.events("gateway:auth:new_device").await;
    let mut places: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event.parameters["device"].as_str(), event.parameters["ip"].as_str()))
        .collect();
    places.sort_unstable();
    assert_eq!(places, [("Chromium", "192.0.2.1"), ("Firefox", "192.0.2.1"), ("Firefox", "192.0.2.9")]);
    for event in events {
        assert_eq!(event.parameters["user"], admin.id.to_string());
        assert_eq!(event.actor.name, "admin@example.com");
    }
}
