//! Elevations: somebody asks for a role for a while, others approve, and it ends by itself.
//!
//! Whether the caller may ask, approve or end at all is the verdict's business before any of these is called; here
//! are the rules that hold for whoever asks: for how long, how many approve, and never one's own.

mod error;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gateway_audit::{Event, bounded};
use gateway_config::duration::format_duration;
use gateway_store::{
    Elevation, ElevationFilter, ElevationState, NewElevation, Page, Store, StoreError, User,
};
use gateway_types::{Caller, Channel, ElevationId, Principal, Resource, Role, UserId};
use serde_json::{Value, json};

use crate::rights::beyond;
use crate::users::by;
use crate::{App, Notice, Operator, explain, record};

pub use error::ElevationError;

/// The shortest elevation.
pub const SHORTEST: Duration = Duration::from_secs(60);

/// How long a request waits for its approvals.
pub const ANSWER_TIME: Duration = Duration::from_secs(24 * 3600);

/// The most of one person's that wait or are live.
pub const MOST_OPEN: u32 = 10;

/// The most requests of one person in an hour.
pub const MOST_IN_AN_HOUR: u32 = 20;

/// The roles that an elevation can give, to somebody who is a viewer at least.
pub const ROLES: [Role; 3] = [Role::Ops, Role::Deployer, Role::Admin];

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The role.
    pub role: Role,
    /// On which app; `None` = on the rack and every app.
    pub app: Option<String>,
    /// For how long.
    pub length: Duration,
    /// Why.
    pub reason: String,
}

/// A page of elevations, newest first.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App, filter: &ElevationFilter) -> Result<Page<Elevation>, ElevationError> {
    Ok(app.store.elevations().list(filter).await?)
}

/// An elevation.
///
/// # Errors
/// [`ElevationError::Unknown`], or the store's.
pub async fn read(app: &App, id: ElevationId) -> Result<Elevation, ElevationError> {
    app.store.elevations().by_id(id).await?.ok_or(ElevationError::Unknown)
}

/// Asks for a role for a while, for oneself.
///
/// # Errors
/// [`ElevationError`]; when it cannot be recorded, nothing was asked for.
pub async fn request(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    asked: Request,
) -> Result<Elevation, ElevationError> {
    let user = asker(app, caller).await?;
    check(app, &user, &asked)?;
    let open = ElevationFilter {
        user: Some(user.id),
        open_only: true,
        limit: MOST_OPEN,
        ..ElevationFilter::default()
    };
    let open = app.store.elevations().list(&open).await?.items;
    if open.len() >= usize::try_from(MOST_OPEN).unwrap_or(usize::MAX) {
        return Err(ElevationError::TooManyOpen);
    }
    not_too_often(app, operator, user.id).await?;
    let id = ElevationId::new(operator.clock.now(), operator.entropy);
    let new = NewElevation {
        id,
        user: user.id,
        role: asked.role,
        app: asked.app.clone(),
        reason: asked.reason.clone(),
        length: asked.length,
        waits: ANSWER_TIME,
    };
    let mut event = event(operator, "gateway:elevation:request", id, asked.role, asked.app.as_deref());
    event.parameters.insert("for".to_owned(), format_duration(asked.length));
    event.reason = Some(bounded(&asked.reason));
    event.before = Some(Value::Null);
    event.after = Some(json!({ "state": ElevationState::Waiting.name() }));
    record(&app.store, event).await?;
    let created = app.store.elevations().create(new).await?;
    app.notices
        .notify(Notice::ElevationAsked {
            email: user.email,
            role: asked.role,
            app: asked.app,
            length: format_duration(asked.length),
            reason: asked.reason,
        })
        .await;
    Ok(created)
}

/// Each request mails every admin.
async fn not_too_often(app: &App, operator: &Operator<'_>, user: UserId) -> Result<(), ElevationError> {
    let filter = ElevationFilter { user: Some(user), limit: MOST_IN_AN_HOUR, ..ElevationFilter::default() };
    let lately = app.store.elevations().list(&filter).await?.items;
    let within_the_hour = |one: &Elevation| {
        let age = operator.clock.now().checked_since(one.created);
        age.is_none_or(|age| age < Duration::from_secs(3600))
    };
    let full = lately.len() >= usize::try_from(MOST_IN_AN_HOUR).unwrap_or(usize::MAX);
    if full && lately.last().is_some_and(within_the_hour) { Err(ElevationError::TooOften) } else { Ok(()) }
}

/// Approves somebody else's request. With the last approval that it takes it is live.
///
/// # Errors
/// [`ElevationError::Oneself`], [`ElevationError::Over`], [`ElevationError::ApprovedBefore`], or the store's.
pub async fn approve(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: ElevationId,
) -> Result<Elevation, ElevationError> {
    let Principal::User { id: approver, .. } = caller.principal else {
        return Err(ElevationError::NotAPerson);
    };
    if !app.settings.elevations() {
        return Err(ElevationError::Off);
    }
    let before = waiting(app, id).await?;
    if before.user == approver {
        return Err(ElevationError::Oneself);
    }
    let longest = app.settings.elevation_longest();
    if before.length > longest {
        return Err(ElevationError::TooLong { longest });
    }
    let quorum = app.settings.elevation_quorum();
    let void = void(app, &before).await?;
    let mut event = of(operator, "gateway:elevation:approve", &before);
    event.parameters.insert("answer".to_owned(), "approve".to_owned());
    event.parameters.insert("quorum".to_owned(), quorum.to_string());
    event.before = Some(shown(&before));
    if !void.is_empty() {
        event.parameters.insert("discounted".to_owned(), void.len().to_string());
    }
    let approvals = before.approved_by.len().saturating_sub(void.len()) + 1;
    event.after = Some(json!({ "approvals": approvals, "of": quorum }));
    record(&app.store, event).await?;
    for approver in void {
        app.store.elevations().discount(id, approver).await?;
    }
    let name = by(operator);
    let approved = match app.store.elevations().approve(id, approver, &name, quorum).await {
        Ok(approved) => approved,
        // It does not wait any more, or this person has approved it before.
        Err(StoreError::Conflict) => {
            waiting(app, id).await?;
            return Err(ElevationError::ApprovedBefore);
        }
        Err(error) => return Err(error.into()),
    };
    if approved.state == ElevationState::Live {
        app.entitlements.refresh(&app.store).await?;
        decided(app, &approved, true, name).await;
    }
    Ok(approved)
}

/// Those who approved it and may not approve any more, by the policies and roles of now, from whatever network.
async fn void(app: &App, before: &Elevation) -> Result<Vec<UserId>, ElevationError> {
    let resource = Resource::gateway();
    let mut void = Vec::new();
    for approver in app.store.elevations().approvers(before.id).await? {
        let may = app.store.users().by_id(approver).await?.is_some_and(|user| {
            let caller = Caller { channel: Channel::Api, ..explain::person(&user) };
            app.could_from_anywhere(&caller, "gateway:elevation:approve", &resource)
        });
        if !may {
            void.push(approver);
        }
    }
    Ok(void)
}

/// Says no to somebody's request; one's own is ended instead.
///
/// # Errors
/// [`ElevationError::Over`], or the store's.
pub async fn reject(
    app: &App,
    operator: &Operator<'_>,
    id: ElevationId,
    reason: Option<&str>,
) -> Result<Elevation, ElevationError> {
    let before = waiting(app, id).await?;
    let mut event = of(operator, "gateway:elevation:approve", &before);
    event.parameters.insert("answer".to_owned(), "reject".to_owned());
    event.reason = reason.map(bounded);
    event.before = Some(shown(&before));
    event.after = Some(json!({ "state": ElevationState::Rejected.name() }));
    record(&app.store, event).await?;
    let name = by(operator);
    let rejected = app.store.elevations().reject(id, &name).await.map_err(over)?;
    decided(app, &rejected, false, name).await;
    Ok(rejected)
}

/// Ends an elevation, or takes a request back.
///
/// # Errors
/// [`ElevationError::Over`], or the store's.
pub async fn end(app: &App, operator: &Operator<'_>, id: ElevationId) -> Result<Elevation, ElevationError> {
    let before = read(app, id).await?;
    match before.state {
        ElevationState::Waiting | ElevationState::Live => {}
        ElevationState::Rejected | ElevationState::Ended | ElevationState::Expired => {
            return Err(ElevationError::Over { state: before.state });
        }
    }
    let mut event = of(operator, "gateway:elevation:end", &before);
    event.before = Some(shown(&before));
    event.after = Some(json!({ "state": ElevationState::Ended.name() }));
    record(&app.store, event).await?;
    let ended = app.store.elevations().end(id, &by(operator)).await.map_err(over)?;
    app.entitlements.refresh(&app.store).await?;
    Ok(ended)
}

/// Marks what is over, and puts the end of what was live into the log. What it gave ended by the clock before.
///
/// # Errors
/// Only the store's.
pub async fn tidy(store: &Store, operator: &Operator<'_>) -> Result<(), ElevationError> {
    for over in store.elevations().expire().await? {
        let mut event = of(operator, "gateway:elevation:end", &over);
        event.reason = Some("its time is over".to_owned());
        event.before = Some(json!({ "state": ElevationState::Live.name() }));
        event.after = Some(json!({ "state": ElevationState::Expired.name() }));
        record(store, event).await?;
    }
    Ok(())
}

/// The person who asks: with their own session, since an elevation is theirs and not their tokens'.
async fn asker(app: &App, caller: &Caller) -> Result<User, ElevationError> {
    let Principal::User { id, .. } = &caller.principal else { return Err(ElevationError::NotAPerson) };
    person(app, *id).await
}

async fn person(app: &App, id: UserId) -> Result<User, ElevationError> {
    app.store.users().by_id(id).await?.ok_or(ElevationError::NotAPerson)
}

fn check(app: &App, user: &User, asked: &Request) -> Result<(), ElevationError> {
    if !app.settings.elevations() {
        return Err(ElevationError::Off);
    }
    if !ROLES.contains(&asked.role) {
        return Err(ElevationError::NotARoleForThis(asked.role));
    }
    if beyond(user.roles, [asked.role].into_iter().collect()).is_empty() {
        return Err(ElevationError::HeldAlready(asked.role));
    }
    if asked.app.as_deref().is_some_and(|app| !is_app(app)) {
        return Err(ElevationError::BadApp);
    }
    let longest = app.settings.elevation_longest();
    if asked.length > longest {
        return Err(ElevationError::TooLong { longest });
    }
    if asked.length < SHORTEST {
        return Err(ElevationError::TooShort);
    }
    let letters = asked.reason.chars().count();
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    if asked.reason.trim().is_empty() || letters > 500 || asked.reason.chars().any(is_hazard) {
        return Err(ElevationError::BadReason);
    }
    Ok(())
}

/// Whether this can be an app's name.
pub(crate) fn is_app(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

async fn waiting(app: &App, id: ElevationId) -> Result<Elevation, ElevationError> {
    let found = read(app, id).await?;
    if found.state == ElevationState::Waiting {
        Ok(found)
    } else {
        Err(ElevationError::Over { state: found.state })
    }
}

/// It was waiting when it was looked at; somebody was faster.
fn over(error: StoreError) -> ElevationError {
    match error {
        StoreError::NotFound => ElevationError::Unknown,
        other => other.into(),
    }
}

fn of(operator: &Operator<'_>, action: &str, elevation: &Elevation) -> Event {
    let mut event = event(operator, action, elevation.id, elevation.role, elevation.app.as_deref());
    event.parameters.insert("user".to_owned(), elevation.user.to_string());
    event.parameters.insert("email".to_owned(), bounded(&elevation.email));
    event
}

fn event(operator: &Operator<'_>, action: &str, id: ElevationId, role: Role, app: Option<&str>) -> Event {
    let mut event = operator.event(action);
    if let Some(app) = app {
        event.resource = Resource::app(app);
    }
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("role".to_owned(), role.to_string());
    event
}

fn shown(elevation: &Elevation) -> Value {
    json!({ "state": elevation.state.name(), "approvals": elevation.approved_by.len() })
}

async fn decided(app: &App, elevation: &Elevation, approved: bool, by: String) {
    app.notices
        .notify(Notice::ElevationDecided {
            email: elevation.email.clone(),
            role: elevation.role,
            app: elevation.app.clone(),
            approved,
            ends: elevation.expires,
            by,
        })
        .await;
}
