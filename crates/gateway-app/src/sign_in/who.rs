//! From an identity that a provider vouches for to a person of this gateway.
//!
//! # Security
//! Issuer and subject are the key. An e-mail address counts once, to find the person who was listed or
//! invited, and only while that person has no other subject of the issuer: whoever gets an old address later
//! does not get the old person.

use gateway_identity::oidc::{Identity, Provider};
use gateway_store::{NewIdentityLink, NewUser, RolesFrom, StoreError, User};
use gateway_types::{Role, RoleSet};

use super::{SignInError, events, roles};
use crate::notify::Notice;
use crate::people::Sight;
use crate::{App, Operator, people, record};

/// The person that this identity is, linked or made where the rules say so.
pub(super) async fn person(
    app: &App,
    operator: &Operator<'_>,
    provider: &Provider,
    identity: &Identity,
) -> Result<User, SignInError> {
    let may_come = allowed(app, provider, identity)?;
    let groups = roles::of_groups(app, provider, identity).await?;
    let identities = app.store.identities();
    if let Some(link) = identities.by_subject(&identity.issuer, &identity.subject).await? {
        let user = app.store.users().by_id(link.user).await?.ok_or(SignInError::NotInvited)?;
        let user = unlocked(user)?;
        let had = user.roles;
        let user = roles::follow(app, &events::known(operator, &user), user, &link, groups).await?;
        let are_believed = identity.groups_fault.is_none();
        let given = roles::remembered(link.group_roles, groups, had, user.roles, are_believed);
        identities.seen(&identity.issuer, &identity.subject, &identity.email, given).await?;
        app.store.role_grants().set_groups(user.id, &identity.groups).await?;
        return Ok(user);
    }
    let (user, roles_from) = match app.store.users().by_email(&identity.email).await? {
        Some(user) => {
            let user = unlocked(user)?;
            only_once(app, identity, &user).await?;
            (user, RolesFrom::People)
        }
        None => first_seen(app, operator, identity, may_come, groups).await?,
    };
    let given = if roles_from == RolesFrom::Groups { groups } else { RoleSet::EMPTY };
    link(app, operator, identity, &user, roles_from, given).await?;
    app.store.role_grants().set_groups(user.id, &identity.groups).await?;
    Ok(user)
}

/// An address links a person once: who signs in at one provider of this gateway already must not be taken
/// over by whoever has the same address at another.
async fn only_once(app: &App, identity: &Identity, user: &User) -> Result<(), SignInError> {
    let known = app.store.identities().of_user(user.id).await?;
    let elsewhere = |link: &&gateway_store::IdentityLink| {
        link.issuer != identity.issuer
            && app.identity.providers.iter().any(|provider| provider.issuer == link.issuer)
    };
    match known.iter().find(elsewhere) {
        None => Ok(()),
        Some(_) => Err(SignInError::OtherIdentity),
    }
}

fn unlocked(user: User) -> Result<User, SignInError> {
    if user.locked { Err(SignInError::Locked) } else { Ok(user) }
}

/// Whether the provider's people may sign in unlisted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unlisted {
    /// This one may: everything that is asked of its people holds for them.
    Welcome,
    /// Only listed or invited people.
    Refused,
}

/// Holds somebody to the domains and groups of which people must be to come from this provider. Who is of all that
/// are asked for, of at least one kind, may come unlisted.
fn allowed(app: &App, provider: &Provider, identity: &Identity) -> Result<Unlisted, SignInError> {
    let (by_domain, by_group) = (restricts_domains(app, provider), provider.restricts_groups());
    if by_domain && !provider.domain_allowed(&identity.email) {
        return Err(SignInError::DomainNotAllowed);
    }
    if by_group && !provider.group_allowed(&identity.groups) {
        return Err(SignInError::GroupNotAllowed);
    }
    let is_own = provider.domain_allowed(&identity.email) || by_group;
    Ok(if is_own { Unlisted::Welcome } else { Unlisted::Refused })
}

/// Holds a person whom the provider still knows to the same.
pub(super) fn may_stay(app: &App, provider: &Provider, identity: &Identity) -> Result<(), SignInError> {
    allowed(app, provider, identity).map(|_unlisted| ())
}

/// Whether only people of certain domains may come from this provider. One that the configuration does not
/// know is held to its list, whatever that is.
fn restricts_domains(app: &App, provider: &Provider) -> bool {
    let configured = app.identity.providers.iter().find(|known| known.name == provider.name());
    configured.is_none_or(|known| !known.allowed_domains.is_empty())
}

/// Makes somebody whom a list names, or who is of the provider's own domains or groups.
async fn first_seen(
    app: &App,
    operator: &Operator<'_>,
    identity: &Identity,
    unlisted: Unlisted,
    groups: RoleSet,
) -> Result<(User, RolesFrom), SignInError> {
    let listed = app.users.roles_of(&identity.email);
    if !listed.is_empty() {
        let sight = people::at_first_sight(&app.store, operator, &identity.email, listed).await?;
        if let Sight::First(user) = &sight {
            tell_of(app, user, "the configuration").await;
        }
        return Ok((unlocked(sight.into_user())?, RolesFrom::People));
    }
    if unlisted == Unlisted::Refused {
        return Err(SignInError::NotInvited);
    }
    let roles = groups.with(Role::Viewer);
    let mut event = events::event(operator, "gateway:user:invite", &[("email", &identity.email)]);
    event.parameters.insert("roles".to_owned(), roles.to_string());
    event.reason =
        Some("of the identity provider's own domains or groups, seen for the first time".to_owned());
    record(&app.store, event).await?;
    let name = identity.name.clone().unwrap_or_else(|| identity.email.clone());
    match app.store.users().create(NewUser { email: identity.email.clone(), name, roles }).await {
        Ok(user) => {
            tell_of(app, &user, "the identity provider").await;
            Ok((user, RolesFrom::Groups))
        }
        // The same person came in two tabs, or an admin invited them at this moment: theirs is the row.
        Err(StoreError::Exists) => {
            let user = app.store.users().by_email(&identity.email).await?;
            Ok((unlocked(user.ok_or(SignInError::Changed)?)?, RolesFrom::People))
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells the person, and the admins, of whoever has access without an invitation of anybody's.
async fn tell_of(app: &App, user: &User, by: &str) {
    let invited = Notice::Invited { email: user.email.clone(), roles: user.roles, by: by.to_owned() };
    app.notices.notify(invited).await;
}

async fn link(
    app: &App,
    operator: &Operator<'_>,
    identity: &Identity,
    user: &User,
    roles_from: RolesFrom,
    group_roles: RoleSet,
) -> Result<(), SignInError> {
    let parameters = [
        ("issuer", identity.issuer.as_str()),
        ("subject", identity.subject.as_str()),
        ("email", identity.email.as_str()),
    ];
    record(&app.store, events::event(&events::known(operator, user), "gateway:auth:link", &parameters))
        .await?;
    let new = NewIdentityLink {
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        user: user.id,
        email: identity.email.clone(),
        roles_from,
        group_roles,
    };
    match app.store.identities().link(&new).await {
        Ok(()) => Ok(()),
        Err(StoreError::Exists) => {
            // Linked by another tab at this moment, or the person is somebody else at this provider.
            let now = app.store.identities().by_subject(&identity.issuer, &identity.subject).await?;
            if now.is_none_or(|link| link.user != user.id) {
                return Err(SignInError::OtherIdentity);
            }
            // The other tab found a person who was there already; this one made them.
            if roles_from == RolesFrom::Groups {
                let (issuer, subject) = (&identity.issuer, &identity.subject);
                app.store.identities().follow_groups(issuer, subject, user.id, group_roles).await?;
            }
            Ok(())
        }
        Err(StoreError::NotFound) => Err(SignInError::NotInvited),
        Err(error) => Err(error.into()),
    }
}
