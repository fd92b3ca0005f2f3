use std::net::{IpAddr, Ipv4Addr};

use gateway_types::{ActionName, Channel, Class, CredentialKind, Resource, SessionId, TokenId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn set(names: &str) -> RoleSet {
    names.parse().unwrap()
}

fn person(roles: &str) -> Caller {
    caller(Principal::User {
        id: UserId::from(Uuid::nil()),
        email: "a@example.com".into(),
        roles: set(roles),
        session: SessionId::from(Uuid::nil()),
        kind: CredentialKind::WebSession,
    })
}

fn machine(roles: &str, creator_roles: &str) -> Caller {
    caller(Principal::ApiToken {
        id: TokenId::from(Uuid::nil()),
        name: "ci".into(),
        roles: set(roles),
        grants: Vec::new().into(),
        creator: UserId::from(Uuid::nil()),
        creator_email: "a@example.com".into(),
        creator_roles: set(creator_roles),
    })
}

fn caller(principal: Principal) -> Caller {
    Caller { principal, channel: Channel::Api, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

/// L6: what is given away is had.
#[test]
fn giving() {
    let check = |caller: &Caller, wanted: &str, beyond: &str| {
        assert_eq!(beyond_giving(caller, set(wanted)), set(beyond), "{caller:?} {wanted}");
    };
    check(&person("admin"), "viewer,ops,deployer,admin,auditor,cicd", "");
    check(&person("deployer"), "viewer,ops,deployer", "");
    check(&person("deployer"), "admin,auditor,viewer", "admin,auditor");
    check(&person("viewer,auditor"), "auditor,ops", "ops");
    check(&person(""), "viewer", "viewer");
    check(&machine("admin", "admin"), "admin", "");
    check(&machine("admin", "ops"), "admin,ops", "admin");
    check(&machine("ops", "admin"), "admin,ops", "admin");
    check(&caller(Principal::Anonymous), "viewer", "viewer");
}

/// L6: a token's roles are within its owner's.
#[test]
fn owning() {
    let check = |owner: &str, wanted: &str, beyond: &str| {
        assert_eq!(beyond_owner(set(owner), set(wanted)), set(beyond), "{owner} {wanted}");
    };
    check("admin", "viewer,ops,deployer,admin,cicd", "");
    check("admin", "auditor", "auditor");
    check("admin,auditor", "auditor", "");
    check("deployer", "cicd,admin", "admin");
    check("ops", "cicd", "cicd");
    check("auditor", "viewer,auditor", "viewer");
}

#[test]
fn grants_within_grants() {
    let grant = |actions: &str, apps: &[&str], critical| Grant {
        actions: actions.to_owned(),
        apps: apps.iter().map(|app| (*app).to_owned()).collect(),
        critical,
    };
    let check = |new: &[Grant], old: &[Grant], within| {
        assert_eq!(are_within(new, old), within, "{new:?} {old:?}");
    };
    let all = [grant("*", &[], false)];
    let web = [grant("convox:app:*", &["web"], false)];
    let api = [grant("convox:app:*", &["api"], false)];
    check(&all, &all, true);
    check(&web, &all, true);
    check(&all, &web, false);
    check(&[grant("*", &[], true)], &all, false);
    check(&all, &[grant("*", &[], true)], true);
    check(&[grant("convox:app:list", &["web"], false)], &web, true);
    check(&[grant("convox:app:list", &[], false)], &web, false);
    check(&[grant("convox:app*", &["web"], false)], &web, false);
    check(&[grant("convox:app:*", &["web", "api"], false)], &web, false);
    let both = [web.clone(), api.clone()].concat();
    check(&[grant("convox:app:list", &["web", "api"], false)], &both, true);
    check(&[], &web, true);
    check(&web, &[], false);
    check(&[grant("convox:app:list*", &[], false)], &[grant("convox:app:list", &[], false)], false);
}

fn a_grant() -> impl Strategy<Value = Grant> {
    let actions = prop_oneof![
        Just("*"),
        Just("a:*"),
        Just("a:b:*"),
        Just("a:b"),
        Just("a:b:c"),
        Just("a:bc"),
        Just("b:*"),
        Just("b:c")
    ];
    let apps = prop::collection::vec(prop_oneof![Just("x"), Just("y"), Just("z")], 0..3);
    (actions, apps, any::<bool>()).prop_map(|(actions, apps, critical)| Grant {
        actions: actions.to_owned(),
        apps: apps.into_iter().map(str::to_owned).collect(),
        critical,
    })
}

/// Everything that could be asked of such grants.
fn questions() -> Vec<(ActionName, Class, Resource)> {
    let actions = ["a", "a:b", "a:b:c", "a:b:d", "a:bc", "b", "b:c", "b:d", "c:d"].map(ActionName::new);
    let resources = [
        Resource::rack(),
        Resource::gateway(),
        Resource::app("x"),
        Resource::app("y"),
        Resource::app("z"),
        Resource::app("w"),
    ];
    let classes = [Class::Read, Class::Critical];
    let mut questions = Vec::new();
    for action in &actions {
        for resource in &resources {
            questions.extend(classes.map(|class| (action.clone(), class, resource.clone())));
        }
    }
    questions
}

proptest! {
    /// L6: whatever the narrower grants cover, the wider ones do.
    #[test]
    fn narrower_covers_no_more(
        new in prop::collection::vec(a_grant(), 0..4),
        old in prop::collection::vec(a_grant(), 0..4),
    ) {
        prop_assert!(are_within(&old, &old));
        if are_within(&new, &old) {
            for (action, class, resource) in questions() {
                let covers = |grants: &[Grant]| grants.iter().any(|g| g.covers(&action, class, &resource));
                prop_assert!(!covers(&new) || covers(&old), "{action} {class} {resource}");
            }
        }
    }
}
