//! People, as admins see and change them. Each change is an event before it is made, with what was and
//! what will be, and the person is told afterwards.
//!
//! Whether the caller may do it at all is the verdict's business before any of these is called; here are
//! the rules that hold for whoever asks.

use gateway_audit::{Event, bounded};
use gateway_config::canonical_email;
use gateway_store::{NewUser, Page, StoreError, User, UserChange, UserFilter};
use gateway_types::{Caller, Role, RoleSet, UserId};
use serde_json::{Value, json};

use crate::error::PeopleError;
use crate::rights::{Expected, beyond_giving, person_behind};
use crate::{App, Notice, Operator, record};

/// A person to be invited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invitation {
    /// E-mail address in any spelling.
    pub email: String,
    /// The name shown to people; `None` = the address.
    pub name: Option<String>,
    /// First roles.
    pub roles: RoleSet,
}

/// One page of people by address, those that the filter lets through.
///
/// # Errors
/// Only the store's.
pub async fn find(
    app: &App,
    filter: &UserFilter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<User>, PeopleError> {
    Ok(app.store.users().find(filter, cursor, limit).await?)
}

/// A person.
///
/// # Errors
/// [`PeopleError::NoSuchPerson`], or the store's.
pub async fn read(app: &App, id: UserId) -> Result<User, PeopleError> {
    app.store.users().by_id(id).await?.ok_or(PeopleError::NoSuchPerson)
}

/// Adds a person, who can sign in from now on. Never changes one who is there.
///
/// # Errors
/// [`PeopleError::PersonExists`], [`PeopleError::BadEmail`], [`PeopleError::BadName`], what
/// [`update`] says of roles, or the store's.
pub async fn invite(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    invitation: Invitation,
) -> Result<User, PeopleError> {
    let email = canonical_email(&invitation.email)?;
    let name = invitation.name.unwrap_or_else(|| email.clone());
    check_name(&name)?;
    check_roles(caller, invitation.roles)?;
    if app.store.users().by_email(&email).await?.is_some() {
        return Err(PeopleError::PersonExists(email));
    }
    let mut event = operator.event("gateway:user:invite");
    event.parameters.insert("email".to_owned(), email.clone());
    event.parameters.insert("roles".to_owned(), invitation.roles.to_string());
    event.before = Some(Value::Null);
    event.after = Some(shown(&email, &name, invitation.roles, false));
    record(&app.store, event).await?;
    let new = NewUser { email: email.clone(), name, roles: invitation.roles };
    let user = app.store.users().create(new).await.map_err(|error| match error {
        // Another request added the person at the same moment.
        StoreError::Exists => PeopleError::PersonExists(email),
        other => other.into(),
    })?;
    let notice = Notice::Invited { email: user.email.clone(), roles: user.roles, by: by(operator) };
    app.notices.notify(notice).await;
    Ok(user)
}

/// Changes a person's name and roles. Other roles end the person's web sessions; CLI sessions go on with
/// the new ones.
///
/// # Errors
/// [`PeopleError::Oneself`] for one's own roles, [`PeopleError::NoRole`], [`PeopleError::MachineRole`],
/// [`PeopleError::AboveOwn`], [`PeopleError::BadName`], [`PeopleError::NoSuchPerson`], or the store's:
/// [`StoreError::Conflict`] when somebody changed the person since, [`StoreError::LastAdmin`].
pub async fn update(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: UserId,
    expected: Expected,
    change: UserChange,
) -> Result<User, PeopleError> {
    let before = read(app, id).await?;
    let version = expected.version(before.version);
    if version != before.version {
        return Err(StoreError::Conflict.into());
    }
    let change = UserChange {
        name: change.name.filter(|name| *name != before.name),
        roles: change.roles.filter(|roles| *roles != before.roles),
    };
    if let Some(name) = &change.name {
        check_name(name)?;
    }
    if let Some(roles) = change.roles {
        if person_behind(caller) == Some(id) {
            return Err(PeopleError::Oneself("change your own roles"));
        }
        check_roles(caller, roles)?;
    }
    if change == UserChange::default() {
        return Ok(before);
    }
    let mut event = event(operator, "gateway:user:update", &before);
    let name = change.name.as_deref().unwrap_or(&before.name);
    let roles = change.roles.unwrap_or(before.roles);
    event.after = Some(shown(&before.email, name, roles, before.locked));
    record(&app.store, event).await?;
    let after = app.store.users().update(id, &change, version).await.map_err(gone)?;
    if after.roles != before.roles {
        app.notices
            .notify(Notice::RolesChanged {
                email: after.email.clone(),
                before: before.roles,
                after: after.roles,
                by: by(operator),
            })
            .await;
    }
    Ok(after)
}

/// Locks a person out: their sessions and API tokens end at once, for good.
///
/// # Errors
/// [`PeopleError::Oneself`], [`PeopleError::NoSuchPerson`], or the store's: [`StoreError::LastAdmin`].
pub async fn lock(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: UserId,
    reason: Option<&str>,
) -> Result<User, PeopleError> {
    let before = read(app, id).await?;
    if person_behind(caller) == Some(id) {
        return Err(PeopleError::Oneself("lock yourself out"));
    }
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty()).map(bounded);
    let mut event = event(operator, "gateway:user:lock", &before);
    event.reason.clone_from(&reason);
    event.after = Some(shown(&before.email, &before.name, before.roles, true));
    record(&app.store, event).await?;
    let after = app.store.users().lock(id).await.map_err(gone)?;
    if !before.locked {
        app.notices.notify(Notice::Locked { email: after.email.clone(), reason, by: by(operator) }).await;
    }
    Ok(after)
}

/// Lets a locked person in again. What they held stays ended.
///
/// # Errors
/// [`PeopleError::NoSuchPerson`], or the store's.
pub async fn unlock(app: &App, operator: &Operator<'_>, id: UserId) -> Result<User, PeopleError> {
    let before = read(app, id).await?;
    let mut event = event(operator, "gateway:user:unlock", &before);
    event.after = Some(shown(&before.email, &before.name, before.roles, false));
    record(&app.store, event).await?;
    let after = app.store.users().unlock(id).await.map_err(gone)?;
    if before.locked {
        app.notices.notify(Notice::Unlocked { email: after.email.clone(), by: by(operator) }).await;
    }
    Ok(after)
}

/// Takes all second factors and backup codes from a person who lost them, and ends their sessions: they
/// sign in and enrol anew.
///
/// # Errors
/// [`PeopleError::Oneself`], [`PeopleError::NoSuchPerson`], or the store's.
///
/// # Security
/// Not for oneself, nor by one's token: one's own factors are removed one by one, by giving one of them.
pub async fn reset_factors(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: UserId,
) -> Result<(), PeopleError> {
    let person = read(app, id).await?;
    if person_behind(caller) == Some(id) {
        return Err(PeopleError::Oneself("reset your own second factors"));
    }
    let factors = app.store.factors().list(id).await?;
    let names: Vec<String> = factors.iter().map(|factor| bounded(&factor.name)).collect();
    let mut event = event(operator, "gateway:user:reset_factors", &person);
    event.before = Some(json!({
        "factors": names,
        "backup_codes_left": app.store.factors().backup_codes_left(id).await?,
    }));
    event.after = Some(json!({ "factors": [], "backup_codes_left": 0 }));
    record(&app.store, event).await?;
    app.store.factors().reset(id).await.map_err(gone)?;
    app.notices.notify(Notice::FactorsReset { email: person.email, by: by(operator) }).await;
    Ok(())
}

/// Removes a person: their sessions go with them, their API tokens are revoked, at once.
///
/// # Errors
/// [`PeopleError::Oneself`], [`PeopleError::NoSuchPerson`], or the store's: [`StoreError::LastAdmin`].
pub async fn remove(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: UserId,
) -> Result<(), PeopleError> {
    let before = read(app, id).await?;
    if person_behind(caller) == Some(id) {
        return Err(PeopleError::Oneself("remove yourself"));
    }
    let mut event = event(operator, "gateway:user:remove", &before);
    event.after = Some(Value::Null);
    record(&app.store, event).await?;
    app.store.users().remove(id).await.map_err(gone)?;
    app.notices.notify(Notice::Removed { email: before.email, by: by(operator) }).await;
    Ok(())
}

/// Whether a text can be shown as a name.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || gateway_audit::text::is_hazard(c))
}

fn check_name(name: &str) -> Result<(), PeopleError> {
    if is_name(name) { Ok(()) } else { Err(PeopleError::BadName) }
}

/// The roles that `caller` may give to a person.
pub(crate) fn check_roles(caller: &Caller, roles: RoleSet) -> Result<(), PeopleError> {
    if roles.is_empty() {
        return Err(PeopleError::NoRole);
    }
    if roles.contains(Role::Cicd) {
        return Err(PeopleError::MachineRole);
    }
    let beyond = beyond_giving(caller, roles);
    if beyond.is_empty() { Ok(()) } else { Err(PeopleError::AboveOwn(beyond)) }
}

/// Whoever changes something, for those who are told of it.
pub(crate) fn by(operator: &Operator<'_>) -> String {
    operator.actor.name.clone()
}

fn event(operator: &Operator<'_>, action: &str, person: &User) -> Event {
    let mut event = operator.event(action);
    event.parameters.insert("user".to_owned(), person.id.to_string());
    event.parameters.insert("email".to_owned(), person.email.clone());
    event.before = Some(shown(&person.email, &person.name, person.roles, person.locked));
    event
}

fn shown(email: &str, name: &str, roles: RoleSet, locked: bool) -> Value {
    json!({ "email": email, "name": bounded(name), "roles": roles.to_string(), "locked": locked })
}

fn gone(error: StoreError) -> PeopleError {
    if matches!(error, StoreError::NotFound) { PeopleError::NoSuchPerson } else { error.into() }
}
