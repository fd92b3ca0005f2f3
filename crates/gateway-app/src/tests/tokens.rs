use std::time::Duration;

use gateway_store::TokenFilter;
use gateway_types::{Caller, Clock, Facts, Grant, Principal, ProblemKind, Role, Secret};
use serde_json::json;

use super::{Person, World, bound, refused, roles};
use crate::error::PeopleError;
use crate::rights::Expected;
use crate::tokens::{Expiry, Issue, Narrowing, OwnedToken, Scope, end, issue, narrow, page, rotate};
use crate::{Notice, users};

fn asked(names: &str) -> Issue {
    Issue {
        name: "ci".to_owned(),
        roles: roles(names),
        grants: Vec::new(),
        expiry: Expiry::Usual,
        owner: None,
        networks: Vec::new(),
    }
}

fn grant(actions: &str, apps: &[&str]) -> Grant {
    let apps = apps.iter().map(|app| (*app).to_owned()).collect();
    Grant { actions: actions.to_owned(), apps, critical: false }
}

async fn made(
    world: &World,
    person: &Person,
    facts: &Facts,
    asked: Issue,
) -> Result<(OwnedToken, Secret<String>), PeopleError> {
    let operator = world.operator(&person.caller);
    issue(&world.app, &operator, &person.caller, facts, asked).await
}

#[tokio::test]
async fn a_token_is_made_recorded_and_told() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Deployer]).await;
        let wanted = Issue { grants: vec![grant("convox:build:*", &["web"])], ..asked("cicd") };
        let (owned, secret) = made(&world, &ann, &bound(), wanted).await.unwrap();
        assert_eq!(owned.owner_email.as_deref(), Some("ann@example.com"));
        let ninety = world.clock.now().saturating_add(Duration::from_secs(90 * 86_400));
        assert_eq!(owned.token.expires, Some(ninety));
        let (action, was, is) = world.last().await;
        assert_eq!((action.as_str(), was), ("gateway:token:create", json!(null)));
        assert_eq!(is["grants"][0]["actions"], "convox:build:*");
        assert!(!format!("{:?}", world.events().await).contains(secret.expose().as_str()), "F5");
        assert!(matches!(&world.told()[..], [Notice::TokenCreated { for_somebody_else: false, .. }]));
        assert!(world.caller(secret.expose()).await.is_ok());
    }
}

/// L6: a token is never more than whoever makes it.
#[tokio::test]
async fn no_token_is_above_its_owner() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Deployer]).await;
        let ops = world.person("ops", &[Role::Ops, Role::Auditor]).await;
        for (person, names) in [(&ann, "admin"), (&ann, "auditor"), (&ops, "deployer"), (&ops, "cicd")] {
            let result = made(&world, person, &bound(), asked(names)).await;
            refused(result, ProblemKind::Refused, "cannot be more than its owner");
        }
        for (person, names) in [(&ann, "viewer"), (&ann, "deployer,cicd"), (&ops, "ops,auditor")] {
            assert!(made(&world, person, &bound(), asked(names)).await.is_ok(), "{names}");
        }
        refused(made(&world, &ann, &bound(), asked("")).await, ProblemKind::BadParameter, "role");
    }
}

/// F7: the rights of a token follow its owner's.
#[tokio::test]
async fn a_token_follows_its_owner() {
    for world in World::both().await {
        let root = world.person("root", &[Role::Admin]).await;
        let ann = world.person("ann", &[Role::Deployer]).await;
        let wanted = Issue { grants: vec![grant("convox:*", &[])], ..asked("deployer") };
        let (_, secret) = made(&world, &ann, &bound(), wanted).await.unwrap();
        let could = async |action: &str| {
            let caller = world.caller(secret.expose()).await.unwrap();
            let web = gateway_types::Resource::app("web");
            world.app.could(&caller, action, &web, false)
        };
        assert!(could("convox:release:promote").await && could("convox:app:list").await);
        let demoted = gateway_store::UserChange { name: None, roles: Some(roles("viewer")) };
        let operator = world.operator(&root.caller);
        let id = ann.user.id;
        users::update(&world.app, &operator, &root.caller, id, Expected::Any, demoted).await.unwrap();
        assert!(!could("convox:release:promote").await && could("convox:app:list").await);
        users::lock(&world.app, &operator, &root.caller, id, None).await.unwrap();
        assert!(world.caller(secret.expose()).await.is_err());
    }
}

#[tokio::test]
async fn for_others_means_what_the_verdict_was_about() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Viewer]).await;
        let others = Facts { own_object: false, ..bound() };
        for name in ["bo@example.com".to_owned(), " BO@example.com".to_owned(), bo.user.id.to_string()] {
            let wanted = Issue { owner: Some(name), ..asked("viewer") };
            let result = made(&world, &ann, &bound(), wanted.clone()).await;
            refused(result, ProblemKind::Refused, "not your own");
            let (owned, _) = made(&world, &ann, &others, wanted).await.unwrap();
            assert_eq!(owned.token.creator, bo.user.id);
            assert!(
                matches!(&world.told()[..], [Notice::TokenCreated { owner, by, for_somebody_else: true, .. }]
                if owner == "bo@example.com" && by == "ann@example.com")
            );
        }
        let wanted = Issue { owner: Some("bo@example.com".to_owned()), ..asked("ops") };
        let above = made(&world, &ann, &others, wanted).await;
        refused(above, ProblemKind::Refused, "bo@example.com has not the rights of ops");
        let wanted = Issue { owner: Some("cy@example.com".to_owned()), ..asked("viewer") };
        refused(made(&world, &ann, &others, wanted).await, ProblemKind::BadParameter, "cy@example.com");
    }
}

#[tokio::test]
async fn critical_grants_take_a_fresh_factor_and_an_end() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let critical = vec![Grant { critical: true, ..grant("convox:app:delete", &["web"]) }];
        let wanted = Issue { grants: critical, ..asked("admin") };
        let window = Facts { mfa_bound: false, ..bound() };
        let result = made(&world, &ann, &window, wanted.clone()).await;
        refused(result, ProblemKind::Refused, "second factor given with this very request");
        let off = Facts { mfa_off: true, own_object: true, ..Facts::default() };
        refused(made(&world, &ann, &off, wanted.clone()).await, ProblemKind::Refused, "second factor");
        let forever = Issue { expiry: Expiry::Never, ..wanted.clone() };
        refused(made(&world, &ann, &bound(), forever).await, ProblemKind::BadParameter, "must end");
        let (owned, _) = made(&world, &ann, &bound(), wanted).await.unwrap();
        assert!(owned.token.grants[0].critical);
        let forever = Issue { expiry: Expiry::Never, ..asked("viewer") };
        assert_eq!(made(&world, &ann, &bound(), forever).await.unwrap().0.token.expires, None);
    }
}

#[tokio::test]
async fn a_grant_names_something() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bad = [
            grant("", &[]),
            grant("convox:app:lst", &[]),
            grant("nothing:*", &[]),
            grant("convox:*:list", &[]),
            grant("**", &[]),
            grant("convox:app:list", &[""]),
            grant("convox:app:list", &["Web"]),
            grant("convox:app:list", &["web,api"]),
        ];
        for grant in bad {
            let wanted = Issue { grants: vec![grant], ..asked("viewer") };
            refused(made(&world, &ann, &bound(), wanted).await, ProblemKind::BadParameter, "is no grant");
        }
        let many = Issue { grants: vec![grant("*", &[]); 51], ..asked("viewer") };
        refused(made(&world, &ann, &bound(), many).await, ProblemKind::BadParameter, "at most 50");
        for name in ["", " ci", "a\nb", "a\u{202e}b"] {
            let wanted = Issue { name: name.to_owned(), ..asked("viewer") };
            refused(made(&world, &ann, &bound(), wanted).await, ProblemKind::BadParameter, "name");
        }
    }
}

#[tokio::test]
async fn a_token_only_becomes_less() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let wanted = Issue { grants: vec![grant("convox:app:*", &["web", "api"])], ..asked("ops") };
        let (owned, _) = made(&world, &ann, &bound(), wanted).await.unwrap();
        let (id, first) = (owned.token.id, owned.token.version);
        let operator = world.operator(&ann.caller);
        let change = async |expected, asked| narrow(&world.app, &operator, id, expected, asked).await;
        let wider = [
            (Narrowing { roles: Some(roles("deployer")), ..Narrowing::default() }, "roles"),
            (Narrowing { roles: Some(roles("ops,auditor")), ..Narrowing::default() }, "roles"),
            (Narrowing { roles: Some(roles("cicd")), ..Narrowing::default() }, "roles"),
            (Narrowing { grants: Some(vec![grant("convox:*", &["web"])]), ..Narrowing::default() }, "grants"),
            (
                Narrowing { grants: Some(vec![grant("convox:app:list", &[])]), ..Narrowing::default() },
                "grants",
            ),
            (Narrowing { grants: Some(vec![]), ..Narrowing::default() }, "grants"),
            (Narrowing { expiry: Some(Expiry::Never), ..Narrowing::default() }, "life"),
            (Narrowing { expiry: Some("91d".parse().unwrap()), ..Narrowing::default() }, "life"),
        ];
        for (asked, what) in wider {
            refused(change(Expected::Any, asked).await, ProblemKind::Refused, what);
        }
        let less = Narrowing {
            networks: None,
            name: Some("less".to_owned()),
            roles: Some(roles("viewer")),
            grants: Some(vec![grant("convox:app:list", &["web"])]),
            expiry: Some("1d".parse().unwrap()),
        };
        let stale = change(Expected::Version(first + 1), less.clone()).await;
        refused(stale, ProblemKind::Stale, "changed");
        let changed = change(Expected::Version(first), less).await.unwrap().token;
        assert_eq!(
            (changed.name.as_str(), changed.roles, changed.version),
            ("less", roles("viewer"), first + 1)
        );
        let (action, was, is) = world.last().await;
        assert_eq!(
            (action.as_str(), &was["roles"], &is["roles"]),
            ("gateway:token:update", &json!("ops"), &json!("viewer"))
        );
        let back = Narrowing { roles: Some(roles("ops")), ..Narrowing::default() };
        refused(change(Expected::Any, back).await, ProblemKind::Refused, "roles");
        end(&world.app, &operator, id).await.unwrap();
        let ended = change(Expected::Any, Narrowing::default()).await;
        refused(ended, ProblemKind::NotPossible, "revoked");
    }
}

/// F6: whoever holds the old secret cannot turn the holder of the new one out.
#[tokio::test]
async fn a_token_rotates_itself_once_at_a_time() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let (owned, first) = made(&world, &ann, &bound(), asked("viewer")).await.unwrap();
        let id = owned.token.id;
        let hour = Duration::from_secs(3600);
        let by = async |caller: &Caller| {
            let operator = world.operator(caller);
            let rotated = rotate(&world.app, &operator, caller, id, hour, None).await;
            rotated.map(|(owned, secret)| (owned, secret.expect("a secret")))
        };
        let itself = world.caller(first.expose()).await.unwrap();
        let (_, second) = by(&itself).await.unwrap();
        assert_eq!(world.last().await.0, "gateway:token:rotate");
        for secret in [&first, &second] {
            let caller = world.caller(secret.expose()).await.unwrap();
            refused(by(&caller).await, ProblemKind::NotPossible, "still good");
        }
        world.clock.advance(hour);
        assert!(world.caller(first.expose()).await.is_err(), "the overlap has ended");
        let itself = world.caller(second.expose()).await.unwrap();
        let (_, third) = by(&itself).await.unwrap();
        let (_, fourth) = by(&ann.caller).await.unwrap();
        assert!(world.caller(second.expose()).await.is_err(), "its owner can at any time");
        for secret in [&third, &fourth] {
            assert!(world.caller(secret.expose()).await.is_ok());
        }
        let operator = world.operator(&ann.caller);
        let long = rotate(&world.app, &operator, &ann.caller, id, hour * 25, None).await;
        refused(long, ProblemKind::BadParameter, "24h");
        let log = format!("{:?}", world.events().await);
        assert!([first, second, third, fourth].iter().all(|secret| !log.contains(secret.expose())), "F5");
    }
}

#[tokio::test]
async fn everybody_sees_their_own() {
    for world in World::both().await {
        let ann = world.person("ann", &[Role::Admin]).await;
        let bo = world.person("bo", &[Role::Deployer]).await;
        made(&world, &ann, &bound(), asked("viewer")).await.unwrap();
        let (bos, secret) = made(&world, &bo, &bound(), asked("deployer")).await.unwrap();
        let machine = world.caller(secret.expose()).await.unwrap();
        assert!(matches!(machine.principal, Principal::ApiToken { .. }));
        let own = Facts { own_object: true, ..Facts::default() };
        let all = Facts::default();
        let see = async |caller, facts, scope| {
            let seen = page(&world.app, caller, facts, scope, TokenFilter::default()).await;
            seen.map(|page| page.items.into_iter().map(|item| item.owner_email.unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(see(&bo.caller, &own, Scope::Own).await.unwrap(), ["bo@example.com"]);
        assert_eq!(see(&machine, &own, Scope::Own).await.unwrap(), ["bo@example.com"]);
        assert_eq!(see(&ann.caller, &all, Scope::All).await.unwrap().len(), 2);
        refused(see(&bo.caller, &own, Scope::All).await, ProblemKind::Refused, "not your own");
        let operator = world.operator(&ann.caller);
        end(&world.app, &operator, bos.token.id).await.unwrap();
        end(&world.app, &operator, bos.token.id).await.unwrap();
        assert_eq!(world.last().await.0, "gateway:token:revoke");
        assert!(world.caller(secret.expose()).await.is_err());
    }
}

#[tokio::test]
async fn an_owner_is_told_once_that_a_token_ends() {
    for world in World::both().await {
        let owner = world.person("owner", &[Role::Deployer]).await;
        let day = std::time::Duration::from_secs(86_400);
        let new = |name: &str, days: u32| gateway_store::NewToken {
            name: name.to_owned(),
            roles: roles("viewer"),
            grants: vec![grant("*", &[])],
            creator: owner.user.id,
            expires: Some(gateway_types::Clock::now(&*world.clock).saturating_add(day * days)),
            networks: Vec::new(),
        };
        for (name, days) in [("quarter", 90), ("week", 7)] {
            world.app.store.tokens().create(new(name, days)).await.unwrap();
        }
        let told = async || {
            crate::tokens::warn_of_ends(&world.app).await;
            let names = |notice| match notice {
                Notice::TokenEnding { token, owner, .. } => format!("{token} of {owner}"),
                other => format!("{other:?}"),
            };
            world.told().into_iter().map(names).collect::<Vec<_>>()
        };
        assert_eq!(told().await, [""; 0]);
        world.clock.advance(day * 6);
        assert_eq!(told().await, ["week of owner@example.com"], "a quarter of its life is left");
        assert_eq!(told().await, [""; 0], "once");
        world.clock.advance(day * 71);
        assert_eq!(told().await, ["quarter of owner@example.com"], "two weeks before");
        world.clock.advance(day * 20);
        assert_eq!(told().await, [""; 0]);
    }
}
