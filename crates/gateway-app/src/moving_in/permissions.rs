//! What a permission of the Go project is here: the actions of the same routes, never more. What cannot be said without
//! allowing more is refused, so that somebody decides about it.

use std::collections::{BTreeMap, BTreeSet};

use gateway_types::{Grant, Role, RoleSet};

/// One permission of the Go project that had a route there.
pub(super) struct Permission {
    /// Its name there.
    pub(super) theirs: &'static str,
    /// The actions here that are its routes, or part of them.
    pub(super) ours: &'static [&'static str],
    /// The lowest role here that may do all of them.
    pub(super) role: Role,
    /// What becomes of it for a machine that deploys with approvals.
    pub(super) cicd: Reach,
}

/// How far the role `cicd` reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// Always.
    Always,
    /// Only within an approved deploy.
    Approved,
    /// Not at all.
    Never,
}

const fn row(theirs: &'static str, ours: &'static [&'static str], role: Role, cicd: Reach) -> Permission {
    Permission { theirs, ours, role, cicd }
}

/// Those that can be said here. A test compares each with the tables of routes.
pub(super) const SAID: &[Permission] = &[
    row("convox:app:list", &["convox:app:list"], Role::Viewer, Reach::Always),
    row("convox:app:read", &["convox:app:read", "convox:service:list"], Role::Viewer, Reach::Always),
    row("convox:app:create", &["convox:app:create"], Role::Admin, Reach::Never),
    row("convox:app:update", &["convox:app:update", "convox:service:update"], Role::Deployer, Reach::Never),
    row("convox:process:list", &["convox:process:list"], Role::Viewer, Reach::Always),
    row("convox:process:read", &["convox:process:read"], Role::Viewer, Reach::Always),
    // A restart of a service was a start of a process there.
    row(
        "convox:process:start",
        &["convox:process:start", "convox:service:restart"],
        Role::Ops,
        Reach::Approved,
    ),
    row("convox:process:exec", &["convox:process:exec"], Role::Ops, Reach::Approved),
    row("convox:process:terminate", &["convox:process:terminate"], Role::Ops, Reach::Approved),
    row("convox:log:read", &["convox:log:read"], Role::Viewer, Reach::Approved),
    row("convox:build:list", &["convox:build:list"], Role::Viewer, Reach::Approved),
    row("convox:build:read", &["convox:build:read"], Role::Viewer, Reach::Approved),
    row("convox:build:create", &["convox:build:create"], Role::Deployer, Reach::Approved),
    row("convox:build:update", &["convox:build:update"], Role::Admin, Reach::Never),
    row("convox:object:create", &["convox:object:create"], Role::Deployer, Reach::Approved),
    row("convox:release:list", &["convox:release:list"], Role::Ops, Reach::Approved),
    row("convox:release:read", &["convox:release:read"], Role::Ops, Reach::Approved),
    row("convox:release:create", &["convox:release:create"], Role::Deployer, Reach::Never),
    row("convox:release:promote", &["convox:release:promote"], Role::Deployer, Reach::Approved),
    row("convox:instance:list", &["convox:instance:list"], Role::Viewer, Reach::Always),
    row("convox:rack:read", &["convox:rack:read"], Role::Ops, Reach::Always),
    row("convox:env:read", &["gateway:env:read"], Role::Ops, Reach::Never),
    row("convox:env:set", &["gateway:env:set"], Role::Deployer, Reach::Never),
    row(
        "gateway:deploy_approval_request:create",
        &["gateway:approval:request"],
        Role::Deployer,
        Reach::Always,
    ),
    row(
        "gateway:deploy_approval_request:read",
        &["gateway:approval:list", "gateway:approval:read"],
        Role::Viewer,
        Reach::Always,
    ),
];

/// The one that stands for a deploy within an approval.
const DEPLOY: &str = "convox:deploy:deploy_with_approval";

/// Those that had a route there and cannot be said here, and why.
const NOT_SAID: &[(&str, &str)] = &[
    ("convox:app:delete", "it is critical here: give it to a token with a step-up of its owner"),
    ("convox:app:restart", "the rack has no such route; restarts of services come with convox:process:start"),
    ("convox:env:unset", "environments are changed with convox:env:set"),
    ("convox:instance:read", "the rack has no such route; convox:instance:list has the instances"),
    ("convox:rack:update", "it is critical here: give it to a token with a step-up of its owner"),
    ("convox:secret:read", "secrets are revealed to people, with a second factor"),
    ("convox:secret:set", "secrets are changed by whoever may change the environment, as env_secret says"),
];

/// What a token of the Go project may do here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Rights {
    /// The fewest roles with which it may do it.
    pub(super) roles: RoleSet,
    /// The actions, one by one.
    pub(super) grants: Vec<Grant>,
    /// What is refused, and why.
    pub(super) refused: BTreeMap<String, String>,
    /// What is narrower than it was.
    pub(super) narrower: BTreeSet<String>,
}

/// What the permissions of a token are here. Wildcards stand for what had a route there, and for nothing else.
pub(super) fn rights(permissions: &[String]) -> Rights {
    let mut rights = Rights::default();
    let mut wanted = BTreeSet::new();
    for asked in permissions {
        let known = said_or_not().filter(|name| matches(asked, name)).collect::<Vec<_>>();
        if known.is_empty() {
            rights.refused.insert(asked.clone(), "nothing here is like it".to_owned());
        }
        wanted.extend(known);
    }
    for (theirs, why) in NOT_SAID {
        if wanted.contains(theirs) {
            rights.refused.insert((*theirs).to_owned(), (*why).to_owned());
        }
    }
    let said = SAID.iter().filter(|permission| wanted.contains(permission.theirs));
    if wanted.contains(DEPLOY) && !permissions.iter().any(|asked| asked == "convox:*:*" || asked == "*:*:*") {
        deploying(said, &mut rights);
    } else {
        directly(said, &mut rights);
    }
    rights
}

fn said_or_not() -> impl Iterator<Item = &'static str> {
    let said = SAID.iter().map(|permission| permission.theirs);
    said.chain(NOT_SAID.iter().map(|(theirs, _why)| *theirs)).chain([DEPLOY])
}

/// Whether `asked` names this permission: exactly, or with `*` for whole parts, of as many parts.
fn matches(asked: &str, name: &str) -> bool {
    let (asked, name) = (asked.split(':').collect::<Vec<_>>(), name.split(':').collect::<Vec<_>>());
    asked.len() == name.len() && asked.iter().zip(&name).all(|(asked, name)| *asked == "*" || asked == name)
}

fn grant(action: &str) -> Grant {
    Grant { actions: action.to_owned(), apps: Vec::new(), critical: false }
}

/// Of a token that deploys as it likes.
fn directly<'a>(said: impl Iterator<Item = &'a Permission>, rights: &mut Rights) {
    let mut highest: Option<Role> = None;
    for permission in said {
        rights.grants.extend(permission.ours.iter().map(|action| grant(action)));
        highest = highest.max(Some(permission.role));
    }
    rights.roles = highest.map_or(RoleSet::EMPTY, RoleSet::of);
}

/// Of a token that deploys within approvals. It gets the role `cicd` and no other: beside another role the same grants
/// would let it deploy without an approval.
fn deploying<'a>(said: impl Iterator<Item = &'a Permission>, rights: &mut Rights) {
    rights.roles = RoleSet::of(Role::Cicd);
    let mut actions: BTreeSet<&str> = SAID
        .iter()
        .filter(|permission| permission.cicd == Reach::Approved)
        .flat_map(|permission| permission.ours)
        .copied()
        .collect();
    for permission in said {
        match permission.cicd {
            Reach::Always => actions.extend(permission.ours),
            Reach::Approved => {
                rights.narrower.insert(format!("{} only within an approved deploy", permission.theirs));
            }
            Reach::Never => {
                let why = "a token that deploys with approvals has the role cicd alone, which may not";
                rights.refused.insert(permission.theirs.to_owned(), why.to_owned());
            }
        }
    }
    rights.grants = actions.into_iter().map(grant).collect();
}
