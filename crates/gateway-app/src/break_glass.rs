//! Breaking the glass: when nobody can sign in, enough keepers of offline codes together get in, for half an hour, with
//! one scope, loudly, and somebody looks at it afterwards.
//!
//! [`init`] makes codes, [`redeem`] spends them, [`drill`] shows that they are good; [`end`] and [`review`] are for
//! admins; [`tell_ended`] is called now and then by whoever runs.
//!
//! # Security
//! Codes are checked in the gateway's own store and need no identity provider. Each is good once; one that is given
//! twice counts once; all that are given are spent for one use or none is. The event stands in the log, and the admins
//! are told, before anything is given.

mod code;
mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use gateway_audit::{Actor, ActorKind, End, Event, bounded};
use gateway_store::{BreakGlassSet, BreakGlassUse, NewBreakGlassUse, Page, Redeemed, Store, StoreError};
use gateway_types::{BreakGlassId, Caller, EventId, Grant, Layer, Principal, Role, RoleSet, Secret};
use serde_json::{Value, json};

use crate::notify::{Notice, Notices};
use crate::{App, Operator, record};

pub use code::{Code, read_codes};
pub use error::BreakGlassError;

/// How long what the codes give lasts.
pub const FUSE: Duration = Duration::from_secs(30 * 60);

/// How many codes one use takes.
pub const THRESHOLDS: std::ops::RangeInclusive<u32> = 2..=10;

/// The most codes of a set.
pub const MOST_CODES: u32 = 20;

/// How often one address may try, and within what time. Codes cannot be guessed; this keeps the log readable, and by
/// address it cannot be used to keep others out.
const MOST_TRIES: u32 = 10;
const TRY_PERIOD: Duration = Duration::from_secs(15 * 60);

/// Who tells of ends, and the longest that it takes.
const TELLING: &str = "break-glass-ends";
const TELLING_TTL: Duration = Duration::from_secs(60);

/// The shortest and the longest reason or review, in characters.
const REASON: std::ops::RangeInclusive<usize> = 10..=1000;

/// What the codes are to give. One of them, never both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All that a role may.
    Role(Role),
    /// All that a deployer may with one app, short of what is critical.
    App(String),
}

impl Scope {
    /// Reads what was asked for.
    ///
    /// # Errors
    /// [`BreakGlassError::BadScope`] unless it is exactly one, and something that the codes give.
    pub fn read(role: Option<&str>, app: Option<&str>) -> Result<Self, BreakGlassError> {
        let is_app = |app: &str| {
            (1..=100).contains(&app.len())
                && app.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        match (role, app) {
            (Some(role), None) => match role.parse() {
                Ok(role @ (Role::Viewer | Role::Ops | Role::Deployer | Role::Admin)) => Ok(Scope::Role(role)),
                Ok(Role::Auditor | Role::Cicd) | Err(_) => Err(BreakGlassError::BadScope),
            },
            (None, Some(app)) if is_app(app) => Ok(Scope::App(app.to_owned())),
            (Some(_), Some(_)) | (None, Some(_) | None) => Err(BreakGlassError::BadScope),
        }
    }

    /// The same in words, as it stands in the log and in mails.
    pub fn in_words(&self) -> String {
        match self {
            Scope::Role(role) => format!("the role {role}"),
            Scope::App(app) => format!("the app {app}"),
        }
    }

    fn rights(&self) -> (RoleSet, Vec<Grant>) {
        match self {
            // The codes of several keepers stand in for the second factor of one person.
            Scope::Role(role) => (RoleSet::of(*role), vec![Grant { critical: true, ..Grant::everything() }]),
            Scope::App(app) => {
                let grant =
                    Grant { actions: "convox:*".to_owned(), apps: vec![app.clone()], critical: false };
                (RoleSet::of(Role::Deployer), vec![grant])
            }
        }
    }
}

/// What is asked for with codes.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The codes, each once.
    pub codes: BTreeSet<Code>,
    /// Who does it: an address of a person that the gateway knows.
    pub person: String,
    /// Why.
    pub reason: String,
    /// For what.
    pub scope: Scope,
}

/// What is shown to admins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The codes in force.
    pub codes: Option<BreakGlassSet>,
    /// The uses, newest first.
    pub uses: Page<BreakGlassUse>,
}

/// The codes in force and one page of their uses.
///
/// # Errors
/// Only the store's.
pub async fn standing(
    store: &Store,
    open_only: bool,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Standing, BreakGlassError> {
    let codes = store.break_glass().in_force().await?;
    Ok(Standing { codes, uses: store.break_glass().uses(open_only, cursor, limit).await? })
}

/// Makes codes and puts them in force in place of `instead_of`. They are returned here and never again.
///
/// # Errors
/// [`BreakGlassError::BadNumbers`], [`BreakGlassError::OthersInForce`], or the store's.
pub async fn init(
    store: &Store,
    operator: &Operator<'_>,
    threshold: u32,
    codes: u32,
    instead_of: Option<BreakGlassId>,
) -> Result<(BreakGlassSet, Vec<Secret<String>>), BreakGlassError> {
    if !THRESHOLDS.contains(&threshold) || !(threshold..=MOST_CODES).contains(&codes) {
        return Err(BreakGlassError::BadNumbers);
    }
    let present = store.break_glass().in_force().await?;
    if present.as_ref().map(|set| set.id) != instead_of {
        return Err(BreakGlassError::OthersInForce);
    }
    let made: Vec<Code> = (0..codes).map(|_| Code::generate(operator.entropy)).collect();
    let mut event = operator.event("gateway:breakglass:init");
    event.before = Some(present.map_or(
        Value::Null,
        |set| json!({ "id": set.id.to_string(), "threshold": set.threshold, "codes": set.codes, "left": set.left }),
    ));
    event.after = Some(json!({ "threshold": threshold, "codes": codes }));
    record(store, event).await?;
    let canonical: Vec<Secret<String>> = made.iter().map(Code::canonical).collect();
    let set = store.break_glass().init(threshold, &canonical, &operator.actor.name, instead_of).await;
    let set = set.map_err(|error| match error {
        StoreError::Conflict => BreakGlassError::OthersInForce,
        other => other.into(),
    })?;
    Ok((set, made.iter().map(Code::written).collect()))
}

/// Spends codes and gives a token for them. `operator` is nobody known, or somebody on the server's own machine.
///
/// # Errors
/// [`BreakGlassError`]; each try that comes to nothing is an event.
pub async fn redeem(
    store: &Store,
    notices: &dyn Notices,
    operator: &Operator<'_>,
    asked: Asked,
) -> Result<(BreakGlassUse, Secret<String>), BreakGlassError> {
    let parameters = [
        ("person", bounded(&asked.person)),
        ("scope", asked.scope.in_words()),
        ("why", bounded(&asked.reason)),
    ];
    // Each its own, with its own id: a try can be recorded as begun and then come to nothing.
    let event = || {
        let mut event = operator.event("gateway:auth:break_glass");
        let named = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        event.parameters.extend(named);
        event
    };
    match attempt(store, notices, operator, asked, event()).await {
        Ok(opened) => Ok(opened),
        // What comes after too many tries is not worth a line each: whoever floods would fill the log.
        Err(error @ BreakGlassError::TooManyTries { .. }) => Err(error),
        Err(error) => {
            refused(store, event(), &error).await;
            Err(error)
        }
    }
}

async fn attempt(
    store: &Store,
    notices: &dyn Notices,
    operator: &Operator<'_>,
    asked: Asked,
    mut event: Event,
) -> Result<(BreakGlassUse, Secret<String>), BreakGlassError> {
    may_try(store, operator.source_ip).await?;
    check_reason(&asked.reason)?;
    let set = store.break_glass().in_force().await?.ok_or(BreakGlassError::NotSetUp)?;
    let codes: BTreeSet<String> = asked.codes.iter().map(|code| code.canonical().expose().clone()).collect();
    if codes.len() != usize::try_from(set.threshold).unwrap_or(usize::MAX) {
        return Err(BreakGlassError::HowMany { given: codes.len(), threshold: set.threshold });
    }
    let good = store.break_glass().good(&codes).await?;
    if good.len() < codes.len() {
        return Err(too_few(good.len(), set.threshold));
    }
    // Only keepers of codes learn who has an account.
    let person = known_person(store, &asked.person).await?;
    let (roles, grants) = asked.scope.rights();
    let ends = operator.clock.now().saturating_add(FUSE);
    event.actor = Actor {
        credential_id: None,
        id: None,
        kind: ActorKind::BreakGlass,
        name: bounded(&format!("break-glass:{person}")),
        on_behalf_of: (operator.actor.kind == ActorKind::LocalOperator).then(|| operator.actor.name.clone()),
    };
    let numbers: Vec<String> = good.iter().map(ToString::to_string).collect();
    event.parameters.insert("codes".to_owned(), numbers.join(", "));
    event.after = Some(json!({ "roles": roles.to_string(), "grants": grants, "ends": ends.to_rfc3339() }));
    record(store, event).await?;
    // Also when nothing comes of it: somebody has the codes and wants in.
    let scope = asked.scope.in_words();
    let reason = asked.reason.clone();
    let told = Notice::GlassBroken {
        person: person.clone(),
        reason,
        scope: scope.clone(),
        ends,
        ip: operator.source_ip,
    };
    tracing::error!(person = %person, scope, ends = %ends.to_rfc3339(), "the glass was broken");
    notices.notify(told).await;
    let new = NewBreakGlassUse {
        person,
        reason: asked.reason,
        scope,
        roles,
        grants,
        source_ip: operator.source_ip,
        fuse: FUSE,
    };
    match store.break_glass().redeem(&codes, new).await? {
        Redeemed::Opened(used, secret) => Ok((*used, secret)),
        Redeemed::TooFew { good, threshold } => {
            Err(too_few(usize::try_from(good).unwrap_or(usize::MAX), threshold))
        }
        Redeemed::NotSetUp => Err(BreakGlassError::NotSetUp),
    }
}

fn too_few(good: usize, threshold: u32) -> BreakGlassError {
    BreakGlassError::TooFew { good, threshold }
}

/// Which of these codes are good. None is spent, nothing is given.
///
/// # Errors
/// [`BreakGlassError::NotSetUp`], [`BreakGlassError::TooManyTries`], or the store's.
pub async fn drill(
    store: &Store,
    operator: &Operator<'_>,
    codes: &BTreeSet<Code>,
) -> Result<(BreakGlassSet, BTreeSet<u32>), BreakGlassError> {
    may_try(store, operator.source_ip).await?;
    let set = store.break_glass().in_force().await?.ok_or(BreakGlassError::NotSetUp)?;
    let canonical: BTreeSet<String> = codes.iter().map(|code| code.canonical().expose().clone()).collect();
    let good = store.break_glass().good(&canonical).await?;
    let mut event = operator.event("gateway:breakglass:drill");
    let numbers: Vec<String> = good.iter().map(ToString::to_string).collect();
    event.parameters.insert("good".to_owned(), numbers.join(", "));
    event.parameters.insert("bad".to_owned(), canonical.len().saturating_sub(good.len()).to_string());
    record(store, event).await?;
    Ok((set, good))
}

/// Ends what codes gave, before its time.
///
/// # Errors
/// [`BreakGlassError::NoSuchUse`], or the store's.
pub async fn end(app: &App, operator: &Operator<'_>, id: BreakGlassId) -> Result<(), BreakGlassError> {
    let used = app.store.break_glass().by_id(id).await?.ok_or(BreakGlassError::NoSuchUse)?;
    if !used.is_live(app.clock.now()) {
        return Err(BreakGlassError::Over);
    }
    let mut event = operator.event("gateway:breakglass:end");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("person".to_owned(), bounded(&used.person));
    record(&app.store, event).await?;
    let ended = app.store.break_glass().end(id, &operator.actor.name).await;
    ended.map_err(|error| match error {
        StoreError::NotFound => BreakGlassError::Over,
        other => other.into(),
    })?;
    tell_ended(app).await;
    Ok(())
}

/// Closes the task of looking at a use that is over.
///
/// # Errors
/// [`BreakGlassError::NoSuchUse`], [`BreakGlassError::StillLive`], [`BreakGlassError::Reviewed`],
/// [`BreakGlassError::OwnUse`] for whoever used the codes, while there is another admin, [`BreakGlassError::BadReason`],
/// or the store's.
pub async fn review(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: BreakGlassId,
    found: &str,
) -> Result<BreakGlassUse, BreakGlassError> {
    check_reason(found)?;
    let used = app.store.break_glass().by_id(id).await?.ok_or(BreakGlassError::NoSuchUse)?;
    if used.reviewed.is_some() {
        return Err(BreakGlassError::Reviewed);
    }
    if used.is_live(app.clock.now()) {
        return Err(BreakGlassError::StillLive);
    }
    if let Principal::User { email, .. } = &caller.principal
        && **email == *used.person
        && has_another_admin(&app.store, &used.person).await?
    {
        return Err(BreakGlassError::OwnUse);
    }
    let mut event = operator.event("gateway:breakglass:review");
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("person".to_owned(), bounded(&used.person));
    event.parameters.insert("review".to_owned(), bounded(found));
    record(&app.store, event).await?;
    app.store.break_glass().review(id, &operator.actor.name, found).await.map_err(|error| match error {
        StoreError::NotFound => BreakGlassError::Reviewed,
        other => other.into(),
    })?;
    app.store.break_glass().by_id(id).await?.ok_or(BreakGlassError::NoSuchUse)
}

async fn has_another_admin(store: &Store, person: &str) -> Result<bool, StoreError> {
    let mut cursor = None;
    loop {
        let page = store.users().list(None, cursor.as_deref(), 1000).await?;
        let another = |user: &gateway_store::User| {
            !user.locked && user.roles.contains(Role::Admin) && user.email != person
        };
        if page.items.iter().any(another) {
            return Ok(true);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(false);
        }
    }
}

/// Records and tells the end of uses that are over; by one instance at a time, and again when it is killed before that
/// is noted. Called every few seconds.
pub async fn tell_ended(app: &App) {
    let told = async {
        let lease = app.store.leases().acquire(TELLING, TELLING_TTL, Duration::ZERO).await?;
        tell(app, app.store.break_glass().untold_ends().await?).await?;
        lease.release().await
    };
    match told.await {
        // Another instance does it.
        Ok(()) | Err(StoreError::LeaseHeld { .. }) => {}
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "ends of break-glass uses cannot be told"
            );
        }
    }
}

async fn tell(app: &App, ended: Vec<BreakGlassUse>) -> Result<(), StoreError> {
    for used in ended {
        let now = app.clock.now();
        let mut event = Event::of_system(now, EventId::new(now, &*app.entropy), "gateway:breakglass:ended");
        event.parameters.insert("id".to_owned(), used.id.to_string());
        event.parameters.insert("person".to_owned(), bounded(&used.person));
        event.parameters.insert("scope".to_owned(), bounded(&used.scope));
        if let Err(error) = record(&app.store, event).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the end of a break-glass use was not recorded; it is tried again"
            );
            continue;
        }
        let (id, ended) = (used.id, used.ended.unwrap_or(used.ends));
        let told = Notice::GlassEnded {
            person: used.person,
            scope: used.scope,
            opened: used.opened,
            ended,
            by: used.ended_by,
        };
        app.notices.notify(told).await;
        app.store.break_glass().end_told(id).await?;
    }
    Ok(())
}

async fn may_try(store: &Store, source: Option<IpAddr>) -> Result<(), BreakGlassError> {
    let Some(source) = source else { return Ok(()) };
    match store.break_glass().may_try(source, MOST_TRIES, TRY_PERIOD).await? {
        true => Ok(()),
        false => Err(BreakGlassError::TooManyTries { wait: TRY_PERIOD }),
    }
}

fn check_reason(text: &str) -> Result<(), BreakGlassError> {
    let is_plain = text.chars().all(|c| !c.is_control() || c == '\n');
    if REASON.contains(&text.trim().chars().count()) && is_plain {
        Ok(())
    } else {
        Err(BreakGlassError::BadReason)
    }
}

async fn known_person(store: &Store, address: &str) -> Result<String, BreakGlassError> {
    let unknown = || BreakGlassError::UnknownPerson;
    let email = gateway_config::canonical_email(address).map_err(|_bad| unknown())?;
    let user = store.users().by_email(&email).await?.filter(|user| !user.locked).ok_or_else(unknown)?;
    Ok(user.email)
}

/// Records that codes came to nothing. What goes wrong here is only logged: the try failed already.
async fn refused(store: &Store, mut event: Event, error: &BreakGlassError) {
    event.reason = Some(bounded(&error.to_string()));
    event.layer = Some(Layer::Authentication);
    event.end = Some(End::Refused);
    if let Err(error) = record(store, event).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a failed use of break-glass codes was not recorded"
        );
    }
}
