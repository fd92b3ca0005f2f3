//! Roles that follow the groups of an identity provider: of people who were made at first sight, and only
//! what groups gave.
//!
//! A listed or invited person has the roles that people gave; groups never change those. Each change is an
//! event with before and after, so that nothing widens silently. A role that an admin took away stays away
//! until the groups themselves give it anew.

use gateway_identity::oidc::{Identity, Provider};
use gateway_store::{IdentityLink, RolesFrom, StoreError, User};
use gateway_types::{Role, RoleSet};

use super::SignInError;
use crate::notify::Notice;
use crate::{App, Operator, record};

/// The roles that a person's groups give now. What the database says of a group is before what the
/// configuration says.
///
/// # Security
/// Groups that the provider did not tell, or not in a form that is believed, are no groups. `cicd` is a role of
/// machines; no group gives it to a person.
pub(super) async fn of_groups(
    app: &App,
    provider: &Provider,
    identity: &Identity,
) -> Result<RoleSet, SignInError> {
    if identity.groups.is_empty() {
        return Ok(RoleSet::EMPTY);
    }
    let rows = app.store.groups().list().await?;
    let mut roles = RoleSet::EMPTY;
    for group in &identity.groups {
        let given = match rows.iter().find(|row| row.id == *group) {
            Some(row) => row.roles,
            None => provider.roles_of(std::slice::from_ref(group)),
        };
        roles = given.iter().filter(|role| *role != Role::Cicd).fold(roles, RoleSet::with);
    }
    Ok(roles)
}

/// Brings a person's roles after their groups, when they follow groups; returns the person as they are now.
pub(super) async fn follow(
    app: &App,
    operator: &Operator<'_>,
    user: User,
    link: &IdentityLink,
    now: RoleSet,
) -> Result<User, SignInError> {
    if link.roles_from != RolesFrom::Groups {
        return Ok(user);
    }
    let roles = moved(user.roles, link.group_roles, now);
    if roles == user.roles {
        return Ok(user);
    }
    let mut event = operator.event("gateway:user:update");
    event.parameters.insert("user".to_owned(), user.id.to_string());
    event.parameters.insert("email".to_owned(), gateway_audit::bounded(&user.email));
    event.reason = Some("the groups that the identity provider names are others now".to_owned());
    event.before = Some(serde_json::json!({ "roles": user.roles }));
    event.after = Some(serde_json::json!({ "roles": roles }));
    record(&app.store, event).await?;
    let changed = match app.store.users().set_roles(user.id, roles, user.version).await {
        Ok(changed) => changed,
        Err(StoreError::Conflict) => return Err(SignInError::Changed),
        // Nobody could undo it: the last admin stays one, and the log says what should have been.
        Err(StoreError::LastAdmin) => {
            tracing::warn!(user = %user.id, "groups take the admin role from the last admin; it stays");
            return Ok(user);
        }
        Err(error) => return Err(error.into()),
    };
    app.notices
        .notify(Notice::RolesChanged {
            email: changed.email.clone(),
            before: user.roles,
            after: changed.roles,
            by: "the identity provider's groups".to_owned(),
        })
        .await;
    Ok(changed)
}

/// `present` without what groups gave `before` and give no more, and with what they give anew. `viewer` came
/// with the domain and goes with the person.
fn moved(present: RoleSet, before: RoleSet, now: RoleSet) -> RoleSet {
    let lost = |role: Role| role != Role::Viewer && before.contains(role) && !now.contains(role);
    let kept: RoleSet = present.iter().filter(|role| !lost(*role)).collect();
    now.iter().filter(|role| !before.contains(*role)).fold(kept, RoleSet::with)
}

/// What is remembered of what groups gave: what they give `now`, and of what they gave `before`
///
/// - what could not be taken away (the last admin's role), so that it is taken at the next sign-in;
/// - when the groups were not believed, what an admin had taken away: the person did not have it (`had`), and
///   it must not come back as given anew once the groups are readable again.
pub(super) fn remembered(
    before: RoleSet,
    now: RoleSet,
    had: RoleSet,
    after: RoleSet,
    are_believed: bool,
) -> RoleSet {
    before
        .iter()
        .filter(|role| after.contains(*role) || (!are_believed && !had.contains(*role)))
        .fold(now, RoleSet::with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d7_what_groups_gave_is_not_forgotten() {
        let check = |before: &str, now: &str, had: &str, after: &str, are_believed: bool, expected: &str| {
            let set = |text: &str| text.parse::<RoleSet>().unwrap();
            let found = remembered(set(before), set(now), set(had), set(after), are_believed);
            assert_eq!(found, set(expected), "{before} → {now}, {had} → {after}");
        };
        check("deployer", "deployer", "deployer", "deployer", true, "deployer");
        check("deployer", "", "deployer", "", true, "");
        check("", "ops", "", "ops", true, "ops");
        // The last admin stays one for now.
        check("admin", "", "admin", "admin", true, "admin");
        // Unreadable groups take the role; readable again, they give it again.
        check("deployer", "", "deployer", "", false, "");
        // But not what an admin had taken away before.
        check("deployer", "", "viewer", "viewer", false, "deployer");
    }

    fn check(present: &str, before: &str, now: &str, expected: &str) {
        let set = |text: &str| text.parse::<RoleSet>().unwrap();
        let found = moved(set(present), set(before), set(now));
        assert_eq!(found, set(expected), "{present} / {before} → {now}");
    }

    #[test]
    fn d7_roles_follow_groups_and_nothing_else() {
        check("viewer", "", "", "viewer");
        check("viewer", "", "deployer", "viewer,deployer");
        check("viewer,deployer", "deployer", "", "viewer");
        check("viewer,deployer", "deployer", "ops", "viewer,ops");
        // What an admin gave stays; what an admin took away does not come back by itself.
        check("viewer,admin", "", "", "viewer,admin");
        check("viewer", "deployer", "deployer", "viewer");
        check("viewer", "viewer", "", "viewer");
    }
}
