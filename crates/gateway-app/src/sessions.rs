//! Sessions of people: listed, ended, and opened by somebody else than a sign-in page; each change an
//! event before it is made.

use std::time::Duration;

use gateway_audit::bounded;
use gateway_store::{NewSession, Page, Session, Store, StoreError, TrustedDevice};
use gateway_types::{Caller, Principal, Secret, SessionId, TrustedDeviceId, UserId};
use serde_json::{Value, json};

use crate::error::{AppError, PeopleError};
use crate::rights::person_behind;
use crate::{App, Operator, record};

/// Opens a session; its secret is shown once.
///
/// # Errors
/// The store's; nothing is opened when it cannot be recorded.
///
/// # Security
/// Whoever calls this vouches for the person. Only commands on the server's own machine may.
pub async fn open(
    store: &Store,
    operator: &Operator<'_>,
    new: NewSession,
) -> Result<(Session, Secret<String>), AppError> {
    let mut event = operator.event("gateway:session:open");
    event.parameters.insert("user".to_owned(), new.user.to_string());
    event.parameters.insert("kind".to_owned(), new.kind.name().to_owned());
    event.parameters.insert("expires".to_owned(), new.expires.to_rfc3339());
    record(store, event).await?;
    Ok(store.sessions().create(new).await?)
}

/// How much later than its row says a session may have been used: uses are written down once a minute.
const WRITTEN_LATE: Duration = Duration::from_secs(60);

/// A live session, and whether it is the one that asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedSession {
    /// The session.
    pub session: Session,
    /// It is the one that asks.
    pub current: bool,
}

/// One page of a person's live sessions, newest first.
///
/// # Errors
/// [`PeopleError::NoSuchPerson`], or the store's.
pub async fn of_person(
    app: &App,
    caller: &Caller,
    user: UserId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<ListedSession>, PeopleError> {
    if app.store.users().by_id(user).await?.is_none() {
        return Err(PeopleError::NoSuchPerson);
    }
    let now = app.clock.now();
    let before = cursor.and_then(|cursor| cursor.parse::<SessionId>().ok());
    let mut live = app.store.sessions().list_for_user(user).await?.into_iter().filter(|session| {
        let idle = now.checked_since(session.last_seen).unwrap_or_default();
        idle <= session.idle_limit.saturating_add(WRITTEN_LATE)
            && before.is_none_or(|before| session.id < before)
    });
    let most = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let items: Vec<ListedSession> = live
        .by_ref()
        .take(most)
        .map(|session| ListedSession { current: current(caller) == Some(session.id), session })
        .collect();
    let more = live.next().is_some();
    let next = items.last().filter(|_last| more).map(|last| last.session.id.to_string());
    Ok(Page { items, next })
}

/// The session that asks.
pub fn current(caller: &Caller) -> Option<SessionId> {
    match &caller.principal {
        Principal::User { session, .. } => Some(*session),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => None,
    }
}

/// Ends a session of this person, at once.
///
/// # Errors
/// [`PeopleError::NoSuchSession`] when it is somebody else's or over, or the store's.
pub async fn revoke(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    user: UserId,
    id: SessionId,
) -> Result<(), PeopleError> {
    let session = app.store.sessions().by_id(id).await?.filter(|session| session.user == user);
    let session = session.filter(|session| session.revoked.is_none() && app.clock.now() < session.expires);
    let session = session.ok_or(PeopleError::NoSuchSession)?;
    let own = person_behind(caller) == Some(user);
    let action = if own { "gateway:session:revoke" } else { "gateway:session:revoke_any" };
    let mut event = operator.event(action);
    event.parameters.insert("user".to_owned(), user.to_string());
    event.parameters.insert("session".to_owned(), id.to_string());
    event.before = Some(json!({
        "kind": session.kind.name(),
        "device": bounded(&session.device),
        "created": session.created.to_rfc3339(),
    }));
    event.after = Some(Value::Null);
    record(&app.store, event).await?;
    Ok(app.store.sessions().revoke(id).await?)
}

/// Ends all sessions of the person who asks but the one they ask with; returns how many were live.
///
/// # Errors
/// [`PeopleError::NotOwn`] for a token, or the store's.
pub async fn revoke_others(app: &App, operator: &Operator<'_>, caller: &Caller) -> Result<u64, PeopleError> {
    let Principal::User { id, session, .. } = &caller.principal else { return Err(PeopleError::NotOwn) };
    let mut event = operator.event("gateway:session:revoke");
    event.parameters.insert("user".to_owned(), id.to_string());
    event.parameters.insert("all_but".to_owned(), session.to_string());
    record(&app.store, event).await?;
    Ok(app.store.sessions().revoke_others(*id, *session).await?)
}

/// Ends all sessions of the person who asks, also the one they ask with; returns how many were live.
///
/// # Errors
/// [`PeopleError::NotOwn`] for a token, or the store's.
pub async fn revoke_all(app: &App, operator: &Operator<'_>, caller: &Caller) -> Result<u64, PeopleError> {
    let Principal::User { id, .. } = &caller.principal else { return Err(PeopleError::NotOwn) };
    all(app, operator, "gateway:session:revoke", *id).await
}

/// Ends all sessions of this person; returns how many were live.
///
/// # Errors
/// [`PeopleError::NoSuchPerson`], or the store's.
pub async fn revoke_all_of(app: &App, operator: &Operator<'_>, user: UserId) -> Result<u64, PeopleError> {
    if app.store.users().by_id(user).await?.is_none() {
        return Err(PeopleError::NoSuchPerson);
    }
    all(app, operator, "gateway:session:revoke_any", user).await
}

async fn all(app: &App, operator: &Operator<'_>, action: &str, user: UserId) -> Result<u64, PeopleError> {
    let mut event = operator.event(action);
    event.parameters.insert("user".to_owned(), user.to_string());
    event.parameters.insert("which".to_owned(), "all".to_owned());
    record(&app.store, event).await?;
    Ok(app.store.sessions().revoke_all(user).await?)
}

/// A person's own trusted devices, newest first.
///
/// # Errors
/// [`PeopleError::NotOwn`] for a token, or the store's.
pub async fn trusted_devices(app: &App, caller: &Caller) -> Result<Vec<TrustedDevice>, PeopleError> {
    let Principal::User { id, .. } = &caller.principal else { return Err(PeopleError::NotOwn) };
    Ok(app.store.trusted_devices().list(*id).await?)
}

/// Trusts one of one's own devices no longer: the next sign-in with it asks for a second factor.
///
/// # Errors
/// [`PeopleError::NotOwn`] for a token; [`PeopleError::NoSuchDevice`] when it is somebody else's or over; or the
/// store's.
pub async fn forget_device(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: TrustedDeviceId,
) -> Result<(), PeopleError> {
    let devices = trusted_devices(app, caller).await?;
    let device = devices.into_iter().find(|device| device.id == id).ok_or(PeopleError::NoSuchDevice)?;
    let mut event = operator.event("gateway:factor:remove_device");
    event.parameters.insert("device".to_owned(), id.to_string());
    event.before = Some(json!({
        "name": bounded(&device.name),
        "created": device.created.to_rfc3339(),
        "expires": device.expires.to_rfc3339(),
    }));
    event.after = Some(Value::Null);
    record(&app.store, event).await?;
    match app.store.trusted_devices().remove(device.user, id).await {
        Ok(()) => Ok(()),
        Err(StoreError::NotFound) => Err(PeopleError::NoSuchDevice),
        Err(error) => Err(error.into()),
    }
}
