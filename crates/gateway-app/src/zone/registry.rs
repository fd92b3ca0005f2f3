//! Members that are instances of services by their own word, held to the operator's declaration: `instances =
//! "registered"` names the service, its place and its actions; the member's entry in the zone names its listeners. What a
//! member says comes with each report; one that says nothing any more, or is not heard of, is no instance.
//!
//! # Security
//! The declaration is looked at twice: when a member speaks, and each time instances are put in force. A claim that is
//! refused changes nothing: what the member had stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use gateway_audit::{End, Event, bounded};
use gateway_pki::{Exposure, Peer};
use gateway_services::{Claim, ClaimFault, RegisteredInstances, ServiceTable, admit, registered_address};
use gateway_store::ZoneRegistration;
use gateway_types::{Timestamp, ZoneMemberId};
use serde_json::{Value, json};

use super::{Registration, ZoneError};
use crate::services::discovery;
use crate::{App, Operator, record};

/// How long a member is an instance after it was last heard of, in microseconds: 20 s, three reports and some.
const EXPIRY_MICROS: i64 = 20 * 1_000_000;

/// How old what is kept of a member's last report may be before it is written again.
const HEARD: Duration = Duration::from_secs(4);

/// The most members whose last refusal is remembered, so that it is recorded once.
const MOST_REMEMBERED: usize = 10_000;

/// What is known of registrations on this instance.
#[derive(Debug, Default)]
pub struct Registry {
    live: ArcSwap<Vec<ZoneRegistration>>,
    refused: Mutex<BTreeMap<ZoneMemberId, Claim>>,
}

impl Registry {
    /// The instances that are registered for these services.
    pub(crate) fn instances(&self, app: &App, table: &ServiceTable) -> RegisteredInstances {
        instances(app, table, &self.live.load())
    }

    /// Whether a refusal is another one than the last of this member.
    fn is_news(&self, member: ZoneMemberId, claim: &Claim) -> bool {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MOST_REMEMBERED && !refused.contains_key(&member) {
            refused.clear();
        }
        refused.insert(member, claim.clone()).as_ref() != Some(claim)
    }

    fn forget_refusal(&self, member: ZoneMemberId) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(&member);
    }
}

/// The instances of these services: what is registered and allowed now. Of several members at one address the last that
/// came counts: it is who listens there.
fn instances(app: &App, table: &ServiceTable, live: &[ZoneRegistration]) -> RegisteredInstances {
    let Some(zone) = app.zone.zone() else { return RegisteredInstances::new() };
    let mut found = RegisteredInstances::new();
    for kept in live {
        let Some(registration) = zone.services.get(&kept.service) else { continue };
        let Ok(instance) = allowed(table, registration, &kept.service, &claim_of(kept)) else { continue };
        let of = found.entry(kept.service.clone()).or_default();
        of.retain(|other| other.address.authority() != instance.address.authority());
        of.push(instance);
    }
    found
}

/// Holds a claim to both declarations: the service's, and that of the member in the zone.
fn allowed(
    table: &ServiceTable,
    registration: &Registration,
    service: &str,
    claim: &Claim,
) -> Result<gateway_services::Registered, ClaimFault> {
    let declared =
        table.named(service).ok_or_else(|| ClaimFault::NotDeclared { name: service.to_owned() })?;
    let instance = admit(declared, claim)?;
    let port = instance.address.port;
    let is_gateways = |one: &gateway_pki::Listener| one.exposure == Exposure::Gateway && one.port == port;
    match registration.listeners.iter().any(is_gateways) {
        true => Ok(instance),
        false => Err(ClaimFault::Listener { port }),
    }
}

/// What is kept, as it was claimed. Of capabilities that cannot be read nothing is understood: then each action is refused there.
pub fn claim_of(kept: &ZoneRegistration) -> Claim {
    let read = |text: &String| serde_json::from_str::<BTreeSet<String>>(text).unwrap_or_default();
    Claim {
        address: kept.address.clone(),
        prefix: kept.prefix.clone(),
        version: kept.version.clone(),
        is_healthy: kept.is_healthy,
        capabilities: kept.capabilities.as_ref().map(read),
    }
}

/// Takes what a member says of itself: `None` = it is no instance, or none any more. Returns why it is none although it
/// wants to be.
///
/// # Errors
/// Only the store's; nothing changed then.
pub(super) async fn take(
    app: &App,
    operator: &Operator<'_>,
    peer: &Peer,
    registration: &Registration,
    service: &str,
    claim: Option<&Claim>,
) -> Result<Option<ClaimFault>, ZoneError> {
    let member = peer.member();
    let before = app.store.zone().registration(member).await?;
    let Some(claim) = claim else {
        app.zone.registry.forget_refusal(member);
        if let Some(before) = before {
            leave(app, operator, &before, operator.clock.now(), "it said so").await?;
            follow(app).await?;
        }
        return Ok(None);
    };
    let now = operator.clock.now();
    if let Err(fault) = is_free(app, registration, service, claim, now).await? {
        if app.zone.registry.is_news(member, claim) {
            let mut event = about(operator, "gateway:zone:instance_refused", member, service);
            event.parameters.insert("address".to_owned(), bounded(&claim.address));
            event.reason = Some(bounded(&fault.to_string()));
            event.end = Some(End::Refused);
            record(&app.store, event).await?;
        }
        // It lives, and what it was allowed before goes on.
        if before.is_some_and(|before| is_long_ago(before.seen, now)) {
            app.store.zone().registration_heard(member).await?;
        }
        return Ok(Some(fault));
    }
    app.zone.registry.forget_refusal(member);
    let new = ZoneRegistration {
        member,
        service: service.to_owned(),
        address: claim.address.clone(),
        prefix: claim.prefix.clone(),
        version: claim.version.clone(),
        is_healthy: claim.is_healthy,
        capabilities: claim.capabilities.as_ref().map(|names| json!(names).to_string()),
        registered: now,
        seen: now,
    };
    match before {
        Some(before) if before.says_the_same(&new) => {
            if is_long_ago(before.seen, now) {
                app.store.zone().registration_heard(member).await?;
            }
        }
        before => {
            let mut event = about(operator, "gateway:zone:instance_registered", member, service);
            event.before = before.as_ref().map(shown);
            event.after = Some(shown(&new));
            record(&app.store, event).await?;
            app.store.zone().register(&new).await?;
            follow(app).await?;
        }
    }
    Ok(None)
}

/// Holds a claim to the declarations, and to who is where already.
async fn is_free(
    app: &App,
    registration: &Registration,
    service: &str,
    claim: &Claim,
    now: Timestamp,
) -> Result<Result<(), ClaimFault>, ZoneError> {
    if let Err(fault) = allowed(&app.rules.services(), registration, service, claim) {
        return Ok(Err(fault));
    }
    let place = registered_address(&claim.address);
    let live = app.store.zone().registrations(forgotten(now)).await?;
    let other = live
        .into_iter()
        .find(|other| other.service != service && registered_address(&other.address) == place);
    Ok(match other {
        Some(other) => Err(ClaimFault::Taken { service: other.service, address: bounded(&claim.address) }),
        None => Ok(()),
    })
}

/// Whoever was last heard of then, or before, is no instance now.
fn forgotten(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.micros().saturating_sub(EXPIRY_MICROS))
}

fn is_long_ago(seen: Timestamp, now: Timestamp) -> bool {
    now.checked_since(seen).unwrap_or_default() >= HEARD
}

fn about(operator: &Operator<'_>, action: &str, member: ZoneMemberId, service: &str) -> Event {
    let mut event = operator.event(action);
    event.parameters.insert("member".to_owned(), member.to_string());
    event.parameters.insert("service".to_owned(), service.to_owned());
    event
}

fn shown(one: &ZoneRegistration) -> Value {
    let claim = claim_of(one);
    json!({
        "address": claim.address,
        "prefix": claim.prefix,
        "version": claim.version,
        "healthy": claim.is_healthy,
        "capabilities": claim.capabilities,
    })
}

/// Forgets a registration; the log tells of it once, whichever instance did.
async fn leave(
    app: &App,
    operator: &Operator<'_>,
    gone: &ZoneRegistration,
    before: Timestamp,
    why: &str,
) -> Result<(), ZoneError> {
    if app.store.zone().forget_registration(gone.member, before).await? {
        let mut event = about(operator, "gateway:zone:instance_left", gone.member, &gone.service);
        event.before = Some(shown(gone));
        event.reason = Some(why.to_owned());
        record(&app.store, event).await?;
    }
    Ok(())
}

/// Puts the instances in force that are registered now. Called each second, and when something changed.
///
/// # Errors
/// When the store cannot be read; those before stay in force.
pub async fn follow(app: &App) -> Result<(), ZoneError> {
    if app.zone.zone().is_none() {
        return Ok(());
    }
    // Held to the end, so that nobody puts an older table in force over this one.
    let _loaded = app.health.policies.lock().await;
    let rules = app.rules.load();
    let is_needed = rules.services.services().any(|service| service.takes_registrations());
    if !is_needed {
        return Ok(());
    }
    let since = forgotten(app.clock.now());
    let live = app.store.zone().registrations(since).await?;
    app.zone.registry.live.store(Arc::new(live));
    discovery::put(app).map_err(|_never| ZoneError::Kept { what: "instances of services" })
}

/// Forgets members that are not heard of any more, then [`follow`]s.
///
/// # Errors
/// As [`follow`].
pub async fn tend(app: &App) -> Result<(), ZoneError> {
    let before = forgotten(app.clock.now());
    for gone in app.store.zone().silent_registrations(before).await? {
        let operator = Operator::system(&*app.clock, &*app.entropy);
        leave(app, &operator, &gone, before, "it was not heard of any more").await?;
    }
    follow(app).await
}

/// What is shown of a member that registered.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What is kept.
    pub kept: ZoneRegistration,
    /// Why it is no instance all the same.
    pub fault: Option<ClaimFault>,
}

/// The members that are registered for a service, oldest first.
///
/// # Errors
/// Only the store's.
pub async fn of(app: &App, service: &str) -> Result<Vec<Shown>, ZoneError> {
    let Some(zone) = app.zone.zone() else { return Ok(Vec::new()) };
    let live = app.store.zone().registrations(forgotten(app.clock.now())).await?;
    let table = app.rules.services();
    let Some(registration) = zone.services.get(service) else { return Ok(Vec::new()) };
    let of_service = live.into_iter().filter(|one| one.service == service);
    Ok(of_service
        .map(|kept| Shown { fault: allowed(&table, registration, service, &claim_of(&kept)).err(), kept })
        .collect())
}
