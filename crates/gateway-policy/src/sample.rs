//! Callers, operations and engines for the tests of this crate.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use gateway_types::id::{SessionId, TokenId, UserId};
use gateway_types::{
    Caller, Channel, CredentialKind, Facts, Grant, Operation, Principal, Resource, Role, RoleSet, Timestamp,
    Verdict, WorkloadOrigin,
};

use crate::{OwnTable, PolicyEngine, PolicySource};

/// The rows of both tables.
pub(crate) fn operations() -> Vec<Operation> {
    let rack = gateway_convox::RouteTable::builtin().unwrap();
    let own = OwnTable::builtin().unwrap();
    rack.operations().iter().cloned().chain(own.operations()).collect()
}

/// The default policies over both tables.
pub(crate) static ENGINE: LazyLock<PolicyEngine> = LazyLock::new(|| engine(""));

/// The default policies and some more.
pub(crate) fn engine(extra: &str) -> PolicyEngine {
    PolicyEngine::new(operations(), &[source(extra)]).unwrap()
}

pub(crate) fn source(text: &str) -> PolicySource {
    PolicySource { name: "extra.cedar".to_owned(), text: text.to_owned() }
}

/// The one operation of this route.
pub(crate) fn row(route: &str) -> Operation {
    let mut found = ENGINE.operations().iter().filter(|operation| &*operation.route == route);
    let operation = found.next().unwrap_or_else(|| panic!("no row {route}"));
    assert_eq!(found.next(), None, "{route} is in both tables");
    operation.clone()
}

pub(crate) const ALICE: &str = "018f0000-0000-7000-8000-00000000000a";
pub(crate) const BOB: &str = "018f0000-0000-7000-8000-00000000000b";

pub(crate) fn user_id(text: &str) -> UserId {
    text.parse().unwrap()
}

fn caller(principal: Principal) -> Caller {
    Caller { principal, channel: Channel::RackProxy, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

pub(crate) fn anonymous() -> Caller {
    caller(Principal::Anonymous)
}

/// Alice with a CLI session.
pub(crate) fn person(roles: RoleSet) -> Caller {
    person_with(CredentialKind::CliSession, roles)
}

pub(crate) fn person_with(kind: CredentialKind, roles: RoleSet) -> Caller {
    let session: SessionId = "018f0000-0000-7000-8000-000000000001".parse().unwrap();
    caller(Principal::User { id: user_id(ALICE), email: "alice@example.com".into(), roles, session, kind })
}

/// A token that Bob made.
pub(crate) fn token(roles: RoleSet, grants: &[Grant], creator_roles: RoleSet) -> Caller {
    let id: TokenId = "018f0000-0000-7000-8000-000000000002".parse().unwrap();
    caller(Principal::ApiToken {
        id,
        name: "ci".into(),
        roles,
        grants: grants.into(),
        creator: user_id(BOB),
        creator_email: "bob@example.com".into(),
        creator_roles,
    })
}

/// Somebody whom an issuer that the service `wiki` lists vouches for.
pub(crate) fn access_token(role: Role) -> Caller {
    caller(Principal::AccessToken {
        issuer: "https://issuer.example.com".into(),
        subject: "robot-7".into(),
        service: "wiki".into(),
        role,
        expires: Timestamp::from_micros(0),
    })
}

/// A machine by the trust rule `ci`.
pub(crate) fn workload(roles: RoleSet, grants: &[Grant]) -> Caller {
    caller(Principal::Workload {
        id: "018f0000-0000-7000-8000-000000000009".into(),
        name: "ci".into(),
        subject: "repo:acme/shop".into(),
        origin: WorkloadOrigin::Exchange,
        roles,
        grants: grants.into(),
    })
}

pub(crate) fn role(role: Role) -> RoleSet {
    RoleSet::of(role)
}

/// Every action, critical ones too, everywhere.
pub(crate) fn critical_grant() -> Grant {
    Grant { critical: true, ..Grant::everything() }
}

/// A person who has a factor and has just given it for this very action.
pub(crate) fn stepped_up() -> Facts {
    Facts { mfa_enrolled: true, mfa_window: true, mfa_bound: true, ..Facts::default() }
}

/// A person who has a factor and has not given it.
pub(crate) fn enrolled() -> Facts {
    Facts { mfa_enrolled: true, ..Facts::default() }
}

/// What a row is usually about.
pub(crate) fn resource_of(operation: &Operation) -> Resource {
    if operation.route.contains("{app}") {
        Resource::app("myapp")
    } else if operation.action.as_str().starts_with("convox:") {
        Resource::rack()
    } else {
        Resource::gateway()
    }
}

/// A verdict in one word: `allow`, or what is missing.
pub(crate) fn word(verdict: &Verdict) -> String {
    if verdict.is_allowed() {
        return "allow".to_owned();
    }
    if verdict.layer == gateway_types::Layer::Authentication {
        return "signin".to_owned();
    }
    let kinds: Vec<&str> = verdict.remedies.iter().map(|remedy| remedy.kind.name()).collect();
    kinds.join("+")
}
