//! Who may give which roles and grants away. Pure: nothing here asks a store, and none of it takes the
//! place of the verdict, which decides whether somebody may give anything at all.
//!
//! # Security
//! Whoever may make others more than they are themselves is an admin in all but name.

use gateway_types::{Caller, Grant, Principal, Role, RoleSet, UserId};

/// Which state a change is a change of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// Exactly this version.
    Version(i64),
}

impl Expected {
    /// The version that a change is compared against, when the object has `present` now.
    pub const fn version(self, present: i64) -> i64 {
        match self {
            Expected::Any => present,
            Expected::Version(version) => version,
        }
    }
}

/// The person who asks, or whose token asks.
///
/// # Security
/// What nobody may do to themselves, their token may not do to them either.
pub fn person_behind(caller: &Caller) -> Option<UserId> {
    person_of(&caller.principal)
}

/// The same of a principal.
pub fn person_of(principal: &Principal) -> Option<UserId> {
    match principal {
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => None,
        Principal::User { id, .. } => Some(*id),
        Principal::ApiToken { creator, .. } => Some(*creator),
    }
}

/// Where a role stands on the ladder viewer < ops < deployer < admin; the two beside it have no place.
const fn rank(role: Role) -> Option<u8> {
    match role {
        Role::Viewer => Some(0),
        Role::Ops => Some(1),
        Role::Deployer => Some(2),
        Role::Admin => Some(3),
        Role::Auditor | Role::Cicd => None,
    }
}

fn highest(roles: RoleSet) -> Option<u8> {
    roles.iter().filter_map(rank).max()
}

/// Whether holding `own` includes `role`.
fn includes(own: RoleSet, role: Role) -> bool {
    own.contains(role) || rank(role).is_some_and(|rank| highest(own) >= Some(rank))
}

/// The roles among `wanted` that `own` does not include: what of a set is more than another one.
pub fn beyond(own: RoleSet, wanted: RoleSet) -> RoleSet {
    wanted.iter().filter(|role| !includes(own, *role)).collect()
}

/// The roles among `wanted` that a token of somebody with the roles `owner` must not have. From deployer
/// up people may have tokens that deploy.
pub fn beyond_owner(owner: RoleSet, wanted: RoleSet) -> RoleSet {
    let deploys = includes(owner, Role::Deployer);
    wanted.iter().filter(|role| !(includes(owner, *role) || (*role == Role::Cicd && deploys))).collect()
}

/// The roles among `wanted` that `caller` must not give to anybody. An admin gives all.
pub fn beyond_giving(caller: &Caller, wanted: RoleSet) -> RoleSet {
    let beyond = |own: RoleSet| if own.contains(Role::Admin) { RoleSet::EMPTY } else { beyond(own, wanted) };
    match &caller.principal {
        Principal::Anonymous | Principal::AccessToken { .. } | Principal::Workload { .. } => wanted,
        Principal::User { roles, .. } => beyond(*roles),
        Principal::ApiToken { roles, creator_roles, .. } => {
            beyond(*roles).iter().chain(beyond(*creator_roles).iter()).collect()
        }
    }
}

/// Whether whatever `new` covers, `old` covers too.
pub fn are_within(new: &[Grant], old: &[Grant]) -> bool {
    new.iter().all(|new| {
        let covers = |app: Option<&String>| old.iter().any(|old| includes_grant(old, new, app));
        if new.apps.is_empty() { covers(None) } else { new.apps.iter().all(|app| covers(Some(app))) }
    })
}

/// Whether `old` includes `new` on one app, or on everything.
fn includes_grant(old: &Grant, new: &Grant, app: Option<&String>) -> bool {
    let actions = match (old.actions.strip_suffix('*'), new.actions.strip_suffix('*')) {
        (Some(old), Some(new)) => new.starts_with(old),
        (Some(beginning), None) => new.actions.starts_with(beginning),
        (None, Some(_)) => false,
        (None, None) => old.actions == new.actions,
    };
    let apps = old.apps.is_empty() || app.is_some_and(|app| old.apps.contains(app));
    actions && apps && (old.critical || !new.critical)
}

#[cfg(test)]
mod tests;
