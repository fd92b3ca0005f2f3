//! What an admin does with the zone: make it, register services, make join tokens, ban members, rotate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_pki::rotation::{Kind, MemberStanding, Phase, Plan, Standing, Step, plan};
use gateway_pki::{
    Cost, Custody, IssuerScope, JoinToken, KeyId, Passphrase, PkiError, RootAuthority, Sealed, TrustDomain,
};
use gateway_store::{
    StoreError, ZoneAuthority, ZoneContent, ZoneJoin, ZoneKey, ZoneMember, ZoneRecord, ZoneService,
};
use gateway_types::{Entropy, Secret, Timestamp, ZoneMemberId};
use rustls_pki_types::CertificateDer;
use serde_json::json;

use super::{Registration, Zone, ZoneError, key_of, phase_of};
use crate::{App, Operator, record};

/// How long a root lives.
const ROOT_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);

/// How long an issuer lives. It is replaced before, by a rotation that an admin begins.
const ISSUER_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a join token is good.
pub const JOIN_TIME: Duration = Duration::from_secs(600);

/// What roots' keys are sealed for.
const ROOT_PURPOSE: &str = "rack-gateway zone root v1";

/// A zone as it is asked for.
#[derive(Clone, Debug)]
pub struct NewZone {
    /// Its trust domain; one is made of the gateway's id unless given.
    pub trust_domain: Option<String>,
    /// How long leaves live; between 5 s and 24 h.
    pub leaf_life: Duration,
    /// What seals the root's key.
    pub passphrase: Secret<String>,
    /// What opening it costs.
    pub cost: Cost,
}

/// What is shown of a zone.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What it is made of.
    pub content: ZoneContent,
    /// The services as they are read.
    pub services: Vec<(ZoneService, Registration)>,
    /// Its members, newest first.
    pub members: Vec<ZoneMember>,
    /// Its trust domain.
    pub domain: TrustDomain,
}

/// What a step did, or would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stepped {
    /// What.
    pub plan: Plan,
    /// The sequence of the bundle then.
    pub sequence: u64,
}

/// The zone.
///
/// # Errors
/// [`ZoneError::NoZone`], or the store's.
pub async fn show(app: &App) -> Result<Shown, ZoneError> {
    let content = app.store.zone().read().await?.ok_or(ZoneError::NoZone)?;
    let domain: TrustDomain =
        content.zone.domain.parse().map_err(|_bad| ZoneError::Kept { what: "trust domain" })?;
    let services = content
        .services
        .iter()
        .map(|kept| Ok((kept.clone(), Registration::read(&domain, kept)?)))
        .collect::<Result<_, ZoneError>>()?;
    Ok(Shown { members: app.store.zone().members().await?, services, domain, content })
}

/// Makes the zone: a root, whose key is sealed at once, and an issuer.
///
/// # Errors
/// [`ZoneError::Exists`], [`ZoneError::Name`], [`ZoneError::Pki`], or the store's.
pub async fn init(app: &App, operator: &Operator<'_>, new: NewZone) -> Result<(), ZoneError> {
    let _turn = app.zone.turn.lock().await;
    let (shortest, longest) = gateway_pki::authority::LEAF_LIFE;
    if new.leaf_life < shortest || new.leaf_life > longest {
        return Err(ZoneError::LeafLife);
    }
    let id = app.store.gateway_id().to_string();
    let short = id.rsplit('-').next().unwrap_or_default();
    let domain: TrustDomain =
        new.trust_domain.clone().unwrap_or_else(|| format!("zone-{short}.internal")).parse()?;
    if app.store.zone().read().await?.is_some() {
        return Err(ZoneError::Exists);
    }
    let custody = Passphrase::new(new.passphrase, new.cost)?;
    let now = operator.clock.now();
    let made = {
        let (domain, entropy) = (domain.clone(), Arc::clone(&app.entropy));
        beside(move || {
            let root = RootAuthority::make(&domain, now, ROOT_LIFE, &*entropy)?;
            let sealed = custody.seal(&root.private_key(), ROOT_PURPOSE, &*entropy)?;
            authorities(&root, &sealed, None, Phase::Active, now, &*entropy)
        })
        .await?
    };
    let mut event = operator.event("gateway:zone:init");
    event.after = Some(json!({
        "trust_domain": domain.to_string(),
        "authorities": made.iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
    }));
    record(&app.store, event).await?;
    let zone = ZoneRecord { domain: domain.to_string(), sequence: 1, leaf_life: new.leaf_life, created: now };
    let content = ZoneContent { zone, authorities: made, services: Vec::new() };
    app.store.zone().create(&content, &[]).await.map_err(|error| match error {
        StoreError::Exists => ZoneError::Exists,
        other => other.into(),
    })?;
    in_force(app).await
}

/// Puts what was written in force here; others follow by themselves.
pub(super) async fn in_force(app: &App) -> Result<(), ZoneError> {
    app.zone.reload(&app.store).await?;
    app.zone.tend(&app.store, &*app.clock, &*app.entropy).await
}

/// Work that takes a core for a while.
pub(super) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PkiError> + Send + 'static,
) -> Result<T, ZoneError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_panicked_or_stopping) => Err(ZoneError::BrokeOff),
    }
}

/// A root and an issuer under it, as they are kept.
fn authorities(
    root: &RootAuthority,
    sealed: &Sealed,
    cross_signed: Option<CertificateDer<'static>>,
    phase: Phase,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Vec<ZoneAuthority>, PkiError> {
    let custody = serde_json::to_string(sealed).map_err(|_bad| PkiError::SealedForm)?;
    let kept = ZoneAuthority {
        name: root.key().to_string(),
        root: None,
        phase: phase.name().to_owned(),
        since: 1,
        certificate: root.certificate().to_vec(),
        cross_signed: cross_signed.map(|der| der.to_vec()),
        key: ZoneKey::Custody(custody),
        created: now,
        expires: root.not_after(),
    };
    Ok(vec![kept, issuer(root, phase, now, entropy)?])
}

fn issuer(
    root: &RootAuthority,
    phase: Phase,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<ZoneAuthority, PkiError> {
    let issuer = root.issuer(IssuerScope::Zone, now, ISSUER_LIFE, entropy)?;
    let certificate = issuer.chain().first().ok_or(PkiError::Certificate)?.to_vec();
    Ok(ZoneAuthority {
        name: issuer.key().to_string(),
        root: Some(root.key().to_string()),
        phase: phase.name().to_owned(),
        since: 1,
        certificate,
        cross_signed: None,
        key: ZoneKey::Online(issuer.private_key()),
        created: now,
        expires: issuer.not_after(),
    })
}

fn zone_of(app: &App) -> Result<Arc<Zone>, ZoneError> {
    app.zone.zone().ok_or(ZoneError::NoZone)
}

/// Registers a service, or writes anew what it is.
///
/// # Errors
/// [`ZoneError::NoZone`], what [`Registration::check`] says, or the store's.
pub async fn register(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    listeners: &[String],
    callers: &[String],
) -> Result<(ZoneService, Registration), ZoneError> {
    let zone = zone_of(app)?;
    let checked = Registration::check(&zone.domain, name, listeners, callers)?;
    let shown =
        |one: &Registration| json!({ "listeners": one.listeners_text(), "callers": one.callers_text() });
    let mut event = operator.event("gateway:zone:register");
    event.parameters.insert("name".to_owned(), name.to_owned());
    event.before = zone.services.get(name).map(shown);
    event.after = Some(shown(&checked));
    record(&app.store, event).await?;
    let kept = ZoneService {
        name: name.to_owned(),
        listeners: json!(checked.listeners_text()).to_string(),
        callers: json!(checked.callers_text()).to_string(),
        updated: operator.clock.now(),
        updated_by: operator.actor.name.clone(),
    };
    app.store.zone().put_service(&kept).await?;
    in_force(app).await?;
    Ok((kept, checked))
}

/// Forgets a service; its members are banned.
///
/// # Errors
/// [`ZoneError::UnknownService`], or the store's.
pub async fn unregister(app: &App, operator: &Operator<'_>, name: &str) -> Result<(), ZoneError> {
    let unknown = || ZoneError::UnknownService { name: name.chars().take(100).collect() };
    if !zone_of(app)?.services.contains_key(name) {
        return Err(unknown());
    }
    let mut event = operator.event("gateway:zone:unregister");
    event.parameters.insert("name".to_owned(), name.to_owned());
    record(&app.store, event).await?;
    let removed = app.store.zone().remove_service(name, &operator.actor.name).await;
    removed.map_err(|error| match error {
        StoreError::NotFound => unknown(),
        other => other.into(),
    })?;
    in_force(app).await
}

/// Makes a join token for a service. It is returned here and never again.
///
/// # Errors
/// [`ZoneError::UnknownService`], [`ZoneError::KeyPin`], or the store's.
pub async fn join_token(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    key: Option<&str>,
) -> Result<(JoinToken, Registration, Timestamp), ZoneError> {
    let zone = zone_of(app)?;
    let unknown = || ZoneError::UnknownService { name: name.chars().take(100).collect() };
    let registration = zone.services.get(name).cloned().ok_or_else(unknown)?;
    let key = key.map(|key| key.parse::<KeyId>().map_err(|_bad| ZoneError::KeyPin)).transpose()?;
    // The newest root that is trusted for the next ten minutes: the active one.
    let root = app.store.zone().read().await?.ok_or(ZoneError::NoZone)?;
    let root = root
        .authorities
        .iter()
        .find(|one| one.root.is_none() && one.phase == Phase::Active.name())
        .ok_or(ZoneError::Kept { what: "active root" })?;
    let token =
        JoinToken::make(&zone.domain, &CertificateDer::from(root.certificate.clone()), operator.entropy);
    let expires = operator.clock.now().saturating_add(JOIN_TIME);
    let mut event = operator.event("gateway:zone:join_token");
    event.parameters.insert("name".to_owned(), name.to_owned());
    event.parameters.insert("expires".to_owned(), expires.to_rfc3339());
    if let Some(key) = &key {
        event.parameters.insert("key".to_owned(), key.to_string());
    }
    record(&app.store, event).await?;
    let kept = ZoneJoin {
        digest: token.digest(),
        service: name.to_owned(),
        key_pin: key.map(|key| key.to_string()),
        created_by: operator.actor.name.clone(),
        expires,
    };
    app.store.zone().keep_join_token(&kept).await?;
    Ok((token, registration, expires))
}

/// Bans a member: its leaf is refused from the next bundle on, and it gets no other.
///
/// # Errors
/// [`ZoneError::UnknownMember`], or the store's.
pub async fn ban(app: &App, operator: &Operator<'_>, id: ZoneMemberId) -> Result<(), ZoneError> {
    zone_of(app)?;
    let member = app.store.zone().member(id).await?.ok_or(ZoneError::UnknownMember)?;
    let mut event = operator.event("gateway:zone:ban");
    event.parameters.insert("member".to_owned(), id.to_string());
    event.parameters.insert("service".to_owned(), member.service);
    record(&app.store, event).await?;
    app.store.zone().ban(id, &operator.actor.name).await.map_err(|error| match error {
        StoreError::NotFound => ZoneError::UnknownMember,
        other => other.into(),
    })?;
    in_force(app).await
}

/// Takes one step of a rotation, or says what it would do.
///
/// # Errors
/// [`ZoneError::Rotation`] when it cannot be taken, [`ZoneError::PassphraseNeeded`], [`ZoneError::Pki`] for a wrong
/// passphrase, [`ZoneError::Changed`], or the store's.
pub async fn rotate(
    app: &App,
    operator: &Operator<'_>,
    kind: Kind,
    step: Step,
    passphrase: Option<Secret<String>>,
    rehearsal: Rehearsal,
) -> Result<Stepped, ZoneError> {
    let _turn = app.zone.turn.lock().await;
    let content = app.store.zone().read().await?.ok_or(ZoneError::NoZone)?;
    let members = app.store.zone().members().await?;
    let now = operator.clock.now();
    let plan = planned(&content, &members, kind, step, now)?;
    let sequence = content.zone.sequence.saturating_add(1);
    match rehearsal {
        Rehearsal::Only => return Ok(Stepped { plan, sequence }),
        Rehearsal::No => {}
    }
    let added = match (plan.makes, passphrase) {
        (false, _) => Vec::new(),
        (true, None) => return Err(ZoneError::PassphraseNeeded),
        (true, Some(passphrase)) => {
            let made = next(&content, kind, Passphrase::new(passphrase, Cost::default())?, app, now)?;
            beside(made).await?
        }
    };
    let mut event = operator.event("gateway:zone:rotate");
    let kind = match kind {
        Kind::Issuer => "issuer",
        Kind::Root => "root",
    };
    event.parameters.insert("kind".to_owned(), kind.to_owned());
    event.parameters.insert("step".to_owned(), step.to_string());
    let moves: BTreeMap<String, &str> =
        plan.moves.iter().map(|(key, phase)| (key.to_string(), phase.name())).collect();
    let made: Vec<&str> = added.iter().map(|one| one.name.as_str()).collect();
    event.after = Some(json!({ "moves": moves, "made": made, "sequence": sequence }));
    record(&app.store, event).await?;
    let moves: Vec<(String, String)> =
        plan.moves.iter().map(|(key, phase)| (key.to_string(), phase.name().to_owned())).collect();
    let moved = app.store.zone().move_on(content.zone.sequence, &moves, &added, Phase::Retired.name()).await;
    let sequence = moved.map_err(|error| match error {
        StoreError::Conflict => ZoneError::Changed,
        other => other.into(),
    })?;
    in_force(app).await?;
    Ok(Stepped { plan, sequence })
}

/// Whether a step is only rehearsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rehearsal {
    /// It is.
    Only,
    /// It is taken.
    No,
}

fn planned(
    content: &ZoneContent,
    members: &[ZoneMember],
    kind: Kind,
    step: Step,
    now: Timestamp,
) -> Result<Plan, ZoneError> {
    let standing = |one: &ZoneAuthority| {
        Ok(Standing {
            key: key_of(&one.name)?,
            root: one.root.as_deref().map(key_of).transpose()?,
            phase: phase_of(one)?,
            since: one.since,
        })
    };
    let authorities = content.authorities.iter().map(standing).collect::<Result<Vec<_>, ZoneError>>()?;
    let member = |one: &ZoneMember| {
        Ok(MemberStanding {
            member: one.id,
            seen: one.seen,
            issuer: key_of(&one.issuer)?,
            not_after: one.expires,
        })
    };
    // Banned members are refused in any case and acknowledge nothing any more.
    let members = members.iter().filter(|one| one.banned.is_none());
    let members = members.map(member).collect::<Result<Vec<_>, ZoneError>>()?;
    Ok(plan(kind, step, &authorities, &members, now)?)
}

/// How the next authorities are made: with the active root, opened for that.
fn next(
    content: &ZoneContent,
    kind: Kind,
    custody: Passphrase,
    app: &App,
    now: Timestamp,
) -> Result<impl FnOnce() -> Result<Vec<ZoneAuthority>, PkiError> + Send + 'static, ZoneError> {
    let domain: TrustDomain = content.zone.domain.parse()?;
    let root = content.authorities.iter().find(|one| one.root.is_none() && one.phase == Phase::Active.name());
    let root = root.cloned().ok_or(ZoneError::Kept { what: "active root" })?;
    let ZoneKey::Custody(sealed) = root.key else {
        return Err(ZoneError::Kept { what: "key of the active root" });
    };
    let sealed: Sealed =
        serde_json::from_str(&sealed).map_err(|_bad| ZoneError::Kept { what: "key of the active root" })?;
    let entropy = Arc::clone(&app.entropy);
    Ok(move || {
        let key = custody.open(&sealed, ROOT_PURPOSE)?;
        let root = RootAuthority::open(&domain, CertificateDer::from(root.certificate), &key)?;
        match kind {
            Kind::Issuer => Ok(vec![issuer(&root, Phase::Prepared, now, &*entropy)?]),
            Kind::Root => {
                let next = RootAuthority::make(&domain, now, ROOT_LIFE, &*entropy)?;
                let cross_signed = root.cross_sign(&next, now, &*entropy)?;
                let sealed = custody.seal(&next.private_key(), ROOT_PURPOSE, &*entropy)?;
                authorities(&next, &sealed, Some(cross_signed), Phase::Prepared, now, &*entropy)
            }
        }
    })
}
