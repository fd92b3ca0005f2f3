//! The built-in roles, in words and in actions.

use std::net::{IpAddr, Ipv4Addr};

use gateway_types::{Caller, Channel, CredentialKind, Principal, Role, RoleSet, SessionId, UserId};
use uuid::Uuid;

use crate::App;
use crate::me::{OwnObjects, permissions};

/// A role, as people read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleInfo {
    /// The role.
    pub role: Role,
    /// What it is for.
    pub description: &'static str,
    /// The roles whose rights it has as well.
    pub includes: &'static [Role],
    /// The actions that it permits, with every factor given; not those about one's own objects, which
    /// everybody may.
    pub actions: Vec<String>,
}

/// All roles, lowest first, then the two that stand beside.
pub fn list(app: &App) -> Vec<RoleInfo> {
    Role::ALL
        .into_iter()
        .map(|role| RoleInfo {
            role,
            description: description(role),
            includes: includes(role),
            actions: permissions(app, &holder(role), OwnObjects::Ignore),
        })
        .collect()
}

/// What a role is for.
pub const fn description(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Reads what holds no secret.",
        Role::Ops => "Operates running apps: logs, processes, exec, restarts.",
        Role::Deployer => "Changes apps: builds, releases, promotions, scale.",
        Role::Admin => "Everything, with a second factor where it matters.",
        Role::Auditor => "Reads the audit log and recordings; may be held beside another role.",
        Role::Cicd => "A machine that deploys; held by tokens and workloads only.",
    }
}

const fn includes(role: Role) -> &'static [Role] {
    match role {
        Role::Viewer | Role::Auditor | Role::Cicd => &[],
        Role::Ops => &[Role::Viewer],
        Role::Deployer => &[Role::Viewer, Role::Ops],
        Role::Admin => &[Role::Viewer, Role::Ops, Role::Deployer],
    }
}

/// Somebody with this role and no other, whom no policy names.
fn holder(role: Role) -> Caller {
    let principal = Principal::User {
        id: UserId::from(Uuid::nil()),
        email: "nobody@invalid".into(),
        roles: RoleSet::of(role),
        session: SessionId::from(Uuid::nil()),
        kind: CredentialKind::CliSession,
    };
    Caller { principal, channel: Channel::Api, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}
