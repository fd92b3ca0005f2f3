//! Why, can, who-can: the same engine that decides requests, asked about one that was, or one that might be.

use std::net::{IpAddr, Ipv4Addr};

use gateway_audit::Event;
use gateway_policy::{PolicyEngine, can as engine_can, who_can as engine_who_can};
use gateway_store::{ApiToken, Store, TokenFilter, TrustRule, User};
use gateway_types::{
    Caller, Channel, CredentialKind, Facts, Principal, RequestId, Resource, SessionId, Verdict,
    WorkloadOrigin,
};
use uuid::Uuid;

use crate::circumstances::Circumstances;
use crate::error::AppError;
use crate::workloads::Kind;
use crate::{App, tokens};

/// Everything the log has of one request, in order.
///
/// # Errors
/// [`AppError::UnknownRequest`] when it has nothing.
pub async fn why(store: &Store, request: RequestId) -> Result<Vec<(u64, Event)>, AppError> {
    let events = store.events().by_request(request).await?;
    if events.is_empty() { Err(AppError::UnknownRequest(request.to_string())) } else { Ok(events) }
}

/// What `caller` may see of [`why`]: all of it when it is their own, or when they may read of others.
///
/// # Errors
/// [`AppError::UnknownRequest`], in the same words for a request that is not there and one that is not
/// the caller's.
///
/// # Security
/// Own means the same credential in every event: what another session of the same person did may be what a
/// thief of that session did.
pub async fn why_for(app: &App, caller: &Caller, request: RequestId) -> Result<Vec<(u64, Event)>, AppError> {
    let mut events = why(&app.store, request).await?;
    if app.could(caller, "gateway:policy:why", &Resource::gateway(), false) {
        return Ok(events);
    }
    let credential = caller.principal.credential_id();
    let is_own = |event: &Event| credential.is_some() && event.actor.credential_id == credential;
    if !events.iter().all(|(_, event)| is_own(event)) {
        return Err(AppError::UnknownRequest(request.to_string()));
    }
    // The caller knows what it sent; what became of it in the log could tell more than that.
    events.iter_mut().for_each(|(_, event)| event.parameters.clear());
    Ok(events)
}

/// Who a question is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The person with this address.
    Person(String),
    /// The token with this id or name.
    Token(String),
    /// Whatever signs in by the trust rule of this name.
    Workload(String),
}

/// Whether `subject` may do `action` on `resource`, if they asked now.
///
/// # Errors
/// [`AppError::UnknownPerson`], [`AppError::UnknownToken`], [`AppError::UnknownTrustRule`],
/// [`AppError::UnknownAction`].
pub async fn can(
    store: &Store,
    engine: &PolicyEngine,
    circumstances: Circumstances<'_>,
    subject: &Subject,
    action: &str,
    resource: &Resource,
    facts: &Facts,
) -> Result<Verdict, AppError> {
    let caller = match subject {
        Subject::Person(email) => {
            let user = store.users().by_email(email).await?;
            person(&user.ok_or_else(|| AppError::UnknownPerson { email: email.clone() })?)
        }
        Subject::Token(name) => {
            let token = tokens::find(store, name).await?;
            machine(store, &token).await?
        }
        Subject::Workload(rule) => {
            let found = store.trust_rules().by_name(rule).await?;
            workload(&found.ok_or_else(|| AppError::UnknownTrustRule(rule.clone()))?)
        }
    };
    asked(engine, circumstances, &caller, action, resource, facts)
}

/// The answer with what the caller holds at this moment, and for a no whether an elevation would help.
fn asked(
    engine: &PolicyEngine,
    circumstances: Circumstances<'_>,
    caller: &Caller,
    action: &str,
    resource: &Resource,
    facts: &Facts,
) -> Result<Verdict, AppError> {
    let mut facts = circumstances.of(&caller.principal, resource, facts.clone());
    let ask = |facts: &Facts| {
        engine_can(engine, caller, action, resource, facts).map_err(|_| unknown_action(engine, action))
    };
    let verdict = ask(&facts)?;
    if verdict.is_allowed() || !circumstances.elevation_possible(engine, caller, resource, &facts) {
        return Ok(verdict);
    }
    facts.elevation_possible = true;
    ask(&facts)
}

/// Whether the caller may do `action` on `resource`: as on the rack proxy or, for the gateway's own actions,
/// as they ask now. Returns their name with the verdict.
///
/// # Errors
/// [`AppError::UnknownAction`].
pub fn can_i(
    engine: &PolicyEngine,
    circumstances: Circumstances<'_>,
    caller: &Caller,
    action: &str,
    resource: &Resource,
    facts: &Facts,
) -> Result<(String, Verdict), AppError> {
    let channel = if action.starts_with("gateway:") { caller.channel } else { Channel::RackProxy };
    let asking = Caller { channel, ..caller.clone() };
    let verdict = asked(engine, circumstances, &asking, action, resource, facts)?;
    Ok((caller.principal.display_name(), verdict))
}

/// What a question about `action` is about: an app, or else the gateway or the rack, whose action it is.
pub fn resource(action: &str, app: Option<&str>) -> Resource {
    match app {
        Some(app) => Resource::app(app),
        None if action.starts_with("gateway:") => Resource::gateway(),
        None => Resource::rack(),
    }
}

/// The facts about somebody who has a second factor and has not given it: the answer then names it where it is needed.
pub fn facts(app: &App, resource: &Resource) -> Facts {
    Facts {
        mfa_enrolled: true,
        mfa_off: !app.settings.mfa_step_up(),
        mfa_required: app.settings.mfa_required(),
        destructive_allowed: app.settings.destructive_actions(resource.app_name()),
        external_builds_allowed: app.settings.external_builds(resource.app_name()),
        ..Facts::default()
    }
}

/// Everybody who may do `action` on `resource`, with the verdict each gets; those who may after a
/// second factor are among them.
///
/// # Errors
/// [`AppError::UnknownAction`].
pub async fn who_can(
    store: &Store,
    engine: &PolicyEngine,
    circumstances: Circumstances<'_>,
    action: &str,
    resource: &Resource,
    facts: &Facts,
) -> Result<Vec<(Caller, Verdict)>, AppError> {
    if engine.operation(action).is_none() {
        return Err(unknown_action(engine, action));
    }
    let mut found = Vec::new();
    for caller in candidates(store).await? {
        // What each holds for a while, or here, is their own.
        let facts = circumstances.of(&caller.principal, resource, facts.clone());
        let able = engine_who_can(engine, std::slice::from_ref(&caller), action, resource, &facts).pop();
        found.extend(able.map(|(_place, verdict)| (caller, verdict)));
    }
    Ok(found)
}

async fn candidates(store: &Store) -> Result<Vec<Caller>, AppError> {
    let mut candidates = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.users().list(None, cursor.as_deref(), 1000).await?;
        candidates.extend(page.items.iter().filter(|user| !user.locked).map(person));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let mut filter = TokenFilter { live_only: true, limit: 1000, ..TokenFilter::default() };
    loop {
        let page = store.tokens().list(&filter).await?;
        for token in &page.items {
            candidates.push(machine(store, token).await?);
        }
        filter.cursor = page.next;
        if filter.cursor.is_none() {
            break;
        }
    }
    candidates.extend(store.trust_rules().list().await?.iter().map(workload));
    Ok(candidates)
}

fn unknown_action(engine: &PolicyEngine, action: &str) -> AppError {
    let names = || engine.operations().iter().map(|operation| operation.action.as_str());
    let ends_with = |tail: &str| names().find(|name| name.ends_with(&format!(":{tail}")));
    // Somebody who left out the beginning is nearer than somebody who got only the verb right.
    let verb = action.rsplit(':').next().filter(|verb| !verb.is_empty());
    let near = ends_with(action).or_else(|| verb.and_then(ends_with));
    let hint = near.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    AppError::UnknownAction { action: action.to_owned(), hint }
}

pub(crate) fn person(user: &User) -> Caller {
    asking(Principal::User {
        id: user.id,
        email: user.email.as_str().into(),
        roles: user.roles,
        session: SessionId::from(Uuid::nil()),
        kind: CredentialKind::CliSession,
    })
}

pub(crate) async fn machine(store: &Store, token: &ApiToken) -> Result<Caller, AppError> {
    let creator = store.users().by_id(token.creator).await?.filter(|creator| !creator.locked);
    Ok(asking(Principal::ApiToken {
        id: token.id,
        name: token.name.as_str().into(),
        roles: token.roles,
        grants: token.grants.clone().into(),
        creator: token.creator,
        creator_email: creator.as_ref().map(|creator| creator.email.as_str()).unwrap_or_default().into(),
        creator_roles: creator.map(|creator| creator.roles).unwrap_or_default(),
    }))
}

/// Any machine of a trust rule.
pub(crate) fn workload(rule: &TrustRule) -> Caller {
    let rule = &rule.rule;
    let is_certificate = rule.kind == Kind::Certificate.name();
    asking(Principal::Workload {
        id: rule.name.as_str().into(),
        name: rule.name.as_str().into(),
        subject: "".into(),
        origin: if is_certificate { WorkloadOrigin::Certificate } else { WorkloadOrigin::Exchange },
        roles: rule.roles,
        grants: rule.grants.clone().into(),
    })
}

/// A caller as policy would see it on the rack proxy. The address is not a fact that any default rule reads.
fn asking(principal: Principal) -> Caller {
    Caller { principal, channel: Channel::RackProxy, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}
