//! What members ask: to join, to renew, to know what changed. Who asks is shown by a join token, or by a leaf that
//! holds; the names that a leaf says are the registration's.

use std::sync::Arc;

use gateway_audit::{End, Event, bounded};
use gateway_pki::peer::Allowed;
use gateway_pki::{Bundle, Detail, JoinToken, Leaf, LeafRequest, Peer, PeerFault, RequestedKey, Role, check};
use gateway_services::{Claim, ClaimFault};
use gateway_store::{StoreError, ZoneMember};
use gateway_types::ZoneMemberId;
use rustls_pki_types::CertificateDer;

use super::{Registration, Zone, ZoneError, issued, registry};
use crate::{App, Operator, record, vantage};

/// What a member gets.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Which member it is.
    pub member: ZoneMemberId,
    /// Its leaf.
    pub leaf: Leaf,
    /// What it is registered as.
    pub registration: Registration,
    /// What it trusts.
    pub bundle: Arc<Bundle>,
}

/// Connections of one kind that a member refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedThere {
    /// From which address.
    pub peer: String,
    /// Who the other end said it is.
    pub claimed: Option<String>,
    /// Why.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// The most kinds of refused connections of one report that are recorded one by one.
const MOST_REFUSED: usize = 20;

/// Lets a new member in by a join token. The token is spent with the first request that holds it.
///
/// # Errors
/// [`ZoneError::Token`], [`ZoneError::OtherKey`], [`ZoneError::Request`]; each try with what was once a join token
/// that comes to nothing is an event.
pub async fn enrol(app: &App, operator: &Operator<'_>, token: &str, csr: &[u8]) -> Result<Joined, ZoneError> {
    let tried = try_to_join(app, operator, token, csr).await;
    if let Err(error) = &tried
        && was_given_out(app, token).await
    {
        refused(app, operator.event("gateway:zone:enrol"), error).await;
    }
    tried
}

/// Whether this was ever a join token. Who shows none is one of the strangers whom the data plane counts: nobody fills
/// the log by guessing.
async fn was_given_out(app: &App, token: &str) -> bool {
    match JoinToken::parse(token) {
        Ok(token) => app.store.zone().gave_out(&token.digest()).await.unwrap_or(true),
        Err(_no_token) => false,
    }
}

async fn try_to_join(
    app: &App,
    operator: &Operator<'_>,
    token: &str,
    csr: &[u8],
) -> Result<Joined, ZoneError> {
    let zone = app.zone.zone().ok_or(ZoneError::NoZone)?;
    let token = JoinToken::parse(token)?;
    let known = app.store.zone().join_token(&token.digest()).await?.ok_or(ZoneError::Token)?;
    let registration = zone.services.get(&known.service).cloned().ok_or(ZoneError::Token)?;
    let key = RequestedKey::take(csr, &registration.id)?;
    if known.key_pin.as_deref().is_some_and(|pin| pin != key.id().as_str()) {
        return Err(ZoneError::OtherKey);
    }
    let now = operator.clock.now();
    let member = ZoneMemberId::new(now, operator.entropy);
    let life = zone.record.leaf_life;
    let asked = LeafRequest { id: &registration.id, member, key: &key, life };
    let leaf = zone.issuer.issue(&asked, now, operator.entropy)?;
    let mut event = operator.event("gateway:zone:enrol");
    event.parameters.extend(issued(&registration.id, member, &leaf, &zone.issuer));
    event.parameters.insert("key".to_owned(), key.id().to_string());
    event.parameters.insert("token_of".to_owned(), known.created_by);
    record(&app.store, event).await?;
    let new = ZoneMember {
        id: member,
        service: known.service,
        issuer: zone.issuer.key().to_string(),
        serial: leaf.serial.clone(),
        seen: zone.bundle.sequence,
        enrolled: now,
        last_seen: now,
        expires: leaf.not_after,
        banned: None,
        banned_by: None,
    };
    app.store.zone().enrol(&token.digest(), &new).await.map_err(|error| match error {
        StoreError::NotFound => ZoneError::Token,
        other => other.into(),
    })?;
    Ok(Joined { member, leaf, registration, bundle: Arc::clone(&zone.bundle) })
}

/// Who a client is, by the leaf that it proved to hold: a member that is still one.
async fn who(
    app: &App,
    leaf: Option<&[u8]>,
) -> Result<(Arc<Zone>, Peer, ZoneMember, Registration), ZoneError> {
    let zone = app.zone.zone().ok_or(ZoneError::NoZone)?;
    let leaf = leaf.ok_or(PeerFault::NoCertificate)?;
    let chain: Vec<CertificateDer<'_>> =
        std::iter::once(CertificateDer::from(leaf)).chain(zone.intermediates.iter().cloned()).collect();
    let peer = check(&chain, Role::Client, Allowed::Members, &zone.bundle, app.clock.now())?;
    let known = app.store.zone().member(peer.member()).await?;
    let member = known.filter(|member| member.banned.is_none()).ok_or(ZoneError::NoMember)?;
    let registration = zone.services.get(&member.service).cloned().ok_or(ZoneError::NoMember)?;
    // The registration decides who the member is, and may have come to name somebody else since.
    if registration.id != *peer.id() {
        return Err(ZoneError::NoMember);
    }
    Ok((zone, peer, member, registration))
}

/// Gives a member its next leaf.
///
/// # Errors
/// [`ZoneError::Peer`], [`ZoneError::NoMember`], [`ZoneError::Request`]; what comes to nothing is an event.
pub async fn renew(
    app: &App,
    operator: &Operator<'_>,
    leaf: Option<&[u8]>,
    csr: &[u8],
) -> Result<Joined, ZoneError> {
    let tried = try_to_renew(app, operator, leaf, csr).await;
    if let Err(error) = &tried {
        let mut event = operator.event("gateway:zone:renew");
        if let ZoneError::Peer(fault) = error
            && let Some(claimed) = fault.claimed()
        {
            event.parameters.insert("spiffe_id".to_owned(), claimed.to_string());
        }
        refused(app, event, error).await;
    }
    tried
}

async fn try_to_renew(
    app: &App,
    operator: &Operator<'_>,
    leaf: Option<&[u8]>,
    csr: &[u8],
) -> Result<Joined, ZoneError> {
    let (zone, peer, _, registration) = who(app, leaf).await?;
    let key = RequestedKey::take(csr, &registration.id)?;
    let life = zone.record.leaf_life;
    let member = peer.member();
    let asked = LeafRequest { id: &registration.id, member, key: &key, life };
    let leaf = zone.issuer.issue(&asked, operator.clock.now(), operator.entropy)?;
    let mut event = operator.event("gateway:zone:renew");
    event.parameters.extend(issued(&registration.id, member, &leaf, &zone.issuer));
    event.parameters.insert("instead_of".to_owned(), peer.serial().to_owned());
    record(&app.store, event).await?;
    let issuer = zone.issuer.key().as_str();
    let kept = app.store.zone().renewed(member, issuer, &leaf.serial, leaf.not_after).await;
    kept.map_err(|error| match error {
        StoreError::NotFound => ZoneError::NoMember,
        other => other.into(),
    })?;
    Ok(Joined { member, leaf, registration, bundle: Arc::clone(&zone.bundle) })
}

/// What a member tells of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The newest bundle that it has.
    pub sequence: u64,
    /// Whom it refused.
    pub refused: Vec<RefusedThere>,
    /// Where it is as an instance of its service; `None` = it is none, or none any more.
    pub claim: Option<Claim>,
}

/// What a member must know after its report.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What it trusts.
    pub bundle: Arc<Bundle>,
    /// What it is registered as.
    pub registration: Registration,
    /// Why it is no instance as it wants to be one.
    pub claim_fault: Option<ClaimFault>,
}

/// Takes a member's report: which bundle it has, whom it refused, and where it is. Returns what it must know now.
///
/// # Errors
/// [`ZoneError::Peer`], [`ZoneError::NoMember`], or the store's.
pub async fn report(
    app: &App,
    operator: &Operator<'_>,
    leaf: Option<&[u8]>,
    report: &Report,
) -> Result<Standing, ZoneError> {
    let (zone, peer, member, registration) = who(app, leaf).await?;
    let now = operator.clock.now();
    let refused = vantage::without_own_knocks(&app.store, &member.service, &report.refused, now).await?;
    let (told, rest) = refused.split_at(refused.len().min(MOST_REFUSED));
    for one in told {
        let mut event = direct_access(operator, &peer, one.count);
        event.parameters.insert("peer".to_owned(), bounded(&one.peer));
        event.parameters.insert("reason".to_owned(), bounded(&one.reason));
        if let Some(claimed) = &one.claimed {
            event.parameters.insert("claimed".to_owned(), bounded(claimed));
        }
        record(&app.store, event).await?;
    }
    if !rest.is_empty() {
        let count = rest.iter().fold(0u64, |sum, one| sum.saturating_add(one.count));
        let mut event = direct_access(operator, &peer, count);
        event.parameters.insert("reason".to_owned(), "others".to_owned());
        record(&app.store, event).await?;
    }
    // A member cannot acknowledge what it was never told.
    let seen = report.sequence.min(zone.bundle.sequence);
    if seen != member.seen || is_long_ago(operator, &member) {
        app.store.zone().heard(peer.member(), seen).await?;
    }
    let claim = report.claim.as_ref();
    let claim_fault = registry::take(app, operator, &peer, &registration, &member.service, claim).await?;
    Ok(Standing { bundle: Arc::clone(&zone.bundle), registration, claim_fault })
}

fn is_long_ago(operator: &Operator<'_>, member: &ZoneMember) -> bool {
    let since = operator.clock.now().checked_since(member.last_seen).unwrap_or_default();
    since >= std::time::Duration::from_secs(60)
}

fn direct_access(operator: &Operator<'_>, at: &Peer, count: u64) -> Event {
    let mut event = operator.event("gateway:zone:direct_access_refused");
    event.parameters.insert("at".to_owned(), at.id().to_string());
    event.parameters.insert("member".to_owned(), at.member().to_string());
    event.parameters.insert("count".to_owned(), count.to_string());
    event.end = Some(End::Refused);
    event
}

/// The bundle: with who is banned for members, the public roots for everybody else.
///
/// # Errors
/// [`ZoneError::NoZone`].
pub async fn bundle(app: &App, leaf: Option<&[u8]>) -> Result<String, ZoneError> {
    let zone = app.zone.zone().ok_or(ZoneError::NoZone)?;
    let detail = match who(app, leaf).await {
        Ok(_member) => Detail::Members,
        Err(_nobody_known) => Detail::Roots,
    };
    Ok(zone.bundle.to_json(detail)?)
}

async fn refused(app: &App, mut event: Event, error: &ZoneError) {
    event.reason = Some(bounded(&error.to_string()));
    event.end = Some(End::Refused);
    if let Err(error) = record(&app.store, event).await {
        tracing::error!(error = &error as &dyn std::error::Error, "a refusal in the zone was not recorded");
    }
}
