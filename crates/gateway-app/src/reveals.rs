//! Plaintext, by its one door: values shown once to whoever asks, or for a while to one credential through the rack
//! proxy.
//!
//! Whether the caller may ask at all is the verdict's business (class *reveal*, a second factor for this very action);
//! here are the rules that hold for whoever asks: a reason, an end, and the names in the log before anybody sees a
//! value.
//!
//! # Security
//! A time in which a credential reads plaintext belongs to that credential alone. Each read under it asks policy
//! again, in the data plane, and is recorded before the rack hears of it.

mod error;

use std::sync::Arc;
use std::time::Duration;

use gateway_audit::{Event, bounded};
use gateway_config::duration::format_duration;
use gateway_store::{NewReveal, Reveal, Store, StoreError};
use gateway_types::{Caller, Principal, Problem, Resource, RevealId};
use serde_json::json;

use crate::environments::{RackEnvironment, Values, is_key, note_names, person};
use crate::users::by;
use crate::{App, Notice, Operator, record};

pub use error::RevealError;

/// The shortest time.
pub const SHORTEST: Duration = Duration::from_secs(10);

/// The most keys that are named at once.
pub const MOST_KEYS: usize = 1000;

/// The most times of one credential that are open at once.
pub const MOST_OPEN: usize = 20;

const ACTION: &str = "gateway:secret:reveal";

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// Which app's values.
    pub app: String,
    /// Which of them; none = all.
    pub keys: Vec<String>,
    /// Of which release; `None` = of the newest.
    pub release: Option<String>,
    /// Why.
    pub reason: String,
}

/// Values, once. Their names are in the log before they are returned.
///
/// # Errors
/// [`RevealError`] as a problem, or what the rack says; nothing is shown then.
pub async fn once(
    app: &App,
    operator: &Operator<'_>,
    rack: &Arc<dyn RackEnvironment>,
    caller: &Caller,
    asked: &Request,
) -> Result<Values, Problem> {
    check_reason(&asked.reason)?;
    if asked.keys.len() > MOST_KEYS {
        return Err(RevealError::TooManyKeys.into());
    }
    if let Some(bad) = asked.keys.iter().find(|key| !is_key(key)) {
        return Err(RevealError::BadKey { key: bounded(bad) }.into());
    }
    let values = rack.values(caller, &asked.app, asked.release.as_deref(), &asked.keys).await?;
    let names: Vec<&str> = values.values.iter().map(|(name, _)| name.as_str()).collect();
    let mut event = event(operator, ACTION, &asked.app);
    note_names(&mut event, "keys", &names);
    event.parameters.insert("values".to_owned(), names.len().to_string());
    event.parameters.insert("release".to_owned(), bounded(&values.release));
    event.reason = Some(bounded(&asked.reason));
    record(&app.store, event).await.map_err(RevealError::Record)?;
    tell(app, caller, &asked.app, bounded(&names.join(", ")), None, &asked.reason).await;
    Ok(values)
}

/// Lets the credential that asks read the app's values through the rack proxy for a while.
///
/// # Errors
/// [`RevealError`]; when it cannot be recorded, nothing was begun.
pub async fn begin(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    asked: &Request,
    length: Duration,
) -> Result<Reveal, RevealError> {
    check_reason(&asked.reason)?;
    if !asked.keys.is_empty() || asked.release.is_some() {
        return Err(RevealError::WholeApp);
    }
    let longest = app.settings.reveal_longest();
    if length > longest {
        return Err(RevealError::TooLong { longest });
    }
    if length < SHORTEST {
        return Err(RevealError::TooShort);
    }
    let credential = caller.principal.credential_id().ok_or(RevealError::NoCredential)?;
    let live = app.store.reveals().live().await?;
    if live.iter().filter(|one| one.credential == credential).count() >= MOST_OPEN {
        return Err(RevealError::TooManyOpen);
    }
    let id = RevealId::new(operator.clock.now(), operator.entropy);
    let mut event = event(operator, ACTION, &asked.app);
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("for".to_owned(), format_duration(length));
    event.reason = Some(bounded(&asked.reason));
    event.after = Some(json!({ "state": "live" }));
    record(&app.store, event).await?;
    let new = NewReveal {
        id,
        credential,
        user: person(&caller.principal),
        holder: caller.principal.display_name(),
        app: asked.app.clone(),
        reason: asked.reason.clone(),
        length,
    };
    let begun = app.store.reveals().create(new).await?;
    app.reveal_times.refresh(&app.store).await?;
    let what = "everything, through the rack proxy".to_owned();
    tell(app, caller, &asked.app, what, Some(format_duration(length)), &asked.reason).await;
    Ok(begun)
}

/// The times that are open: of the credential that asks, or everybody's.
///
/// # Errors
/// Only the store's.
pub async fn live(app: &App, of: Option<&Principal>) -> Result<Vec<Reveal>, RevealError> {
    let mut live = app.store.reveals().live().await?;
    if let Some(principal) = of {
        live.retain(|one| is_of(one, principal));
    }
    Ok(live)
}

/// Whether a time belongs to this person, or to this machine's credential.
pub(crate) fn is_of(reveal: &Reveal, principal: &Principal) -> bool {
    match person(principal) {
        Some(user) => reveal.user == Some(user),
        None => principal.credential_id().is_some_and(|credential| credential == reveal.credential),
    }
}

/// Ends a time early.
///
/// # Errors
/// [`RevealError::Unknown`], [`RevealError::Over`], or the store's.
pub async fn end(app: &App, operator: &Operator<'_>, id: RevealId) -> Result<(), RevealError> {
    let before = app.store.reveals().by_id(id).await?.ok_or(RevealError::Unknown)?;
    if before.closed.is_some() || before.expires <= operator.clock.now() {
        return Err(RevealError::Over);
    }
    let mut event = of(operator, &before);
    event.before = Some(json!({ "state": "live" }));
    event.after = Some(json!({ "state": "ended" }));
    record(&app.store, event).await?;
    match app.store.reveals().end(id, &by(operator)).await {
        // Somebody was faster, or the clock was.
        Err(StoreError::NotFound) => return Err(RevealError::Over),
        ended => ended?,
    }
    Ok(app.reveal_times.refresh(&app.store).await?)
}

/// Puts the end of what is over into the log. What it gave ended by the clock before.
///
/// # Errors
/// Only the store's.
pub async fn tidy(store: &Store, operator: &Operator<'_>) -> Result<(), RevealError> {
    for over in store.reveals().expire().await? {
        let mut event = of(operator, &over);
        event.reason = Some("its time is over".to_owned());
        event.before = Some(json!({ "state": "live" }));
        event.after = Some(json!({ "state": "expired" }));
        record(store, event).await?;
    }
    Ok(())
}

fn of(operator: &Operator<'_>, reveal: &Reveal) -> Event {
    let mut event = event(operator, "gateway:secret:end_reveal", &reveal.app);
    event.parameters.insert("id".to_owned(), reveal.id.to_string());
    event.parameters.insert("holder".to_owned(), bounded(&reveal.holder));
    event
}

fn event(operator: &Operator<'_>, action: &str, app: &str) -> Event {
    let mut event = operator.event(action);
    event.resource = Resource::app(app);
    event
}

fn check_reason(reason: &str) -> Result<(), RevealError> {
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    if reason.trim().is_empty() || reason.chars().count() > 500 || reason.chars().any(is_hazard) {
        return Err(RevealError::BadReason);
    }
    Ok(())
}

/// Tells the admins, where that is switched on.
async fn tell(app: &App, caller: &Caller, name: &str, what: String, length: Option<String>, reason: &str) {
    if !app.settings.reveal_notice() {
        return;
    }
    let email = match &caller.principal {
        Principal::ApiToken { creator_email, .. } => creator_email.to_string(),
        Principal::User { .. }
        | Principal::Anonymous
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => caller.principal.display_name(),
    };
    let notice = Notice::ValuesRevealed {
        email,
        by: caller.principal.display_name(),
        app: name.to_owned(),
        what,
        length,
        reason: reason.to_owned(),
    };
    app.notices.notify(notice).await;
}
