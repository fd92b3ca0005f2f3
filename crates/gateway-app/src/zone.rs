//! The trust zone: made, told of, joined, rotated, kept. What a certificate says is `gateway-pki`'s; here is who may
//! have one, and what the log says of it.
//!
//! [`ZoneInForce`] is the zone in memory, the same on every instance; [`authority`] is what an admin does;
//! [`members`] is what members ask.
//!
//! # Security
//! Every leaf stands in the log before it is given out. The root's key is opened for one step and forgotten.

pub mod authority;
mod error;
pub mod kept;
pub mod members;
mod registration;
pub mod registry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gateway_pki::rotation::Phase;
use gateway_pki::tls::{LiveLeaf, LiveTrust, client_settings, provider};
use gateway_pki::{
    Bundle, Issuer, IssuerScope, KeyId, LeafRequest, RequestedKey, SpiffeId, TrustDomain, renewal, request,
};
use gateway_store::{Store, ZoneAuthority, ZoneContent, ZoneKey, ZoneRecord, ZoneService};
use gateway_types::{Clock, Entropy, SystemClock, Timestamp, ZoneMemberId};
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;

pub use error::ZoneError;
pub use registration::Registration;
pub use registry::Registry;

use crate::{Operator, record};

/// How often members report and ask for the bundle: a ban reaches them within this and the time of one request.
pub const REFRESH: Duration = Duration::from_secs(5);

/// The zone as it is in force on this instance.
#[derive(Debug)]
pub struct ZoneInForce {
    zone: ArcSwapOption<Zone>,
    /// What the gateway trusts when it calls services in the zone.
    pub trust: Arc<LiveTrust>,
    /// What the gateway shows to services and members.
    pub leaf: Arc<LiveLeaf>,
    /// Members that are instances of services.
    pub registry: Registry,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    own: Mutex<Option<Own>>,
    /// One step of an admin at a time: opening the root takes much memory.
    turn: tokio::sync::Mutex<()>,
}

impl Default for ZoneInForce {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl ZoneInForce {
    /// None is in force yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            zone: ArcSwapOption::empty(),
            trust: Arc::default(),
            leaf: Arc::default(),
            registry: Registry::default(),
            provider: provider(),
            own: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }
}

/// The gateway's own leaf.
#[derive(Clone, Debug)]
struct Own {
    issuer: KeyId,
    renew: Timestamp,
}

/// A zone.
#[derive(Debug)]
pub struct Zone {
    pub(crate) record: ZoneRecord,
    pub(crate) domain: TrustDomain,
    pub(crate) issuer: Issuer,
    /// What members may leave out of the chain that they show: every issuer that is trusted, and cross-signed roots.
    pub(crate) intermediates: Vec<CertificateDer<'static>>,
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) services: BTreeMap<String, Registration>,
    /// The active root: shown to whoever joins, who knows it by its fingerprint.
    root: CertificateDer<'static>,
    kept_services: Vec<ZoneService>,
}

impl Zone {
    /// Its trust domain.
    pub fn domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// What members trust.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }
}

impl ZoneInForce {
    /// The zone; `None` when there is none.
    pub fn zone(&self) -> Option<Arc<Zone>> {
        self.zone.load_full()
    }

    /// The name by which members ask for the gateway in a handshake.
    pub fn is_gateways_name(&self, name: &str) -> bool {
        self.zone.load().as_ref().is_some_and(|zone| zone.domain.gateway().dns_name() == name)
    }

    /// How the member is called that is registered as `service`: exactly it, showing that this is the gateway. And its
    /// name for the handshake. `None` when there is no zone.
    ///
    /// # Errors
    /// When the provider refuses the settings.
    pub fn way_to(&self, service: &str) -> Result<Option<(ClientConfig, String)>, rustls::Error> {
        let Some(id) = self.member(service) else { return Ok(None) };
        let (provider, clock) = (Arc::clone(&self.provider), Arc::clone(&self.clock));
        let settings =
            client_settings(provider, self.trust.clone(), id.clone(), Some(Arc::clone(&self.leaf)), clock)?;
        Ok(Some((settings, id.dns_name())))
    }

    /// The id of the member that is called so; `None` when there is no zone.
    pub fn member(&self, service: &str) -> Option<SpiffeId> {
        self.zone.load().as_ref().and_then(|zone| zone.domain.service(service).ok())
    }

    /// Reads the zone again.
    ///
    /// # Errors
    /// When the store cannot be read or holds what cannot be used; what was in force stays.
    pub async fn reload(&self, store: &Store) -> Result<(), ZoneError> {
        let Some(content) = store.zone().read().await? else {
            self.zone.store(None);
            self.trust.set(None);
            self.leaf.clear();
            *self.own.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Ok(());
        };
        let is_same = self
            .zone
            .load()
            .as_ref()
            .is_some_and(|zone| zone.record == content.zone && zone.kept_services == content.services);
        if !is_same {
            let banned = store.zone().banned().await?;
            let zone = read(content, banned)?;
            self.trust.set(Some(Arc::clone(&zone.bundle)));
            self.zone.store(Some(Arc::new(zone)));
        }
        Ok(())
    }

    /// Renews the gateway's own leaf when it is due, or when another issuer took over. Called each second.
    ///
    /// # Errors
    /// When it cannot be issued or recorded; the one before holds until its end.
    pub async fn tend(
        &self,
        store: &Store,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<(), ZoneError> {
        let Some(zone) = self.zone() else { return Ok(()) };
        let now = clock.now();
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if own.is_some_and(|own| own.issuer == *zone.issuer.key() && now < own.renew) {
            return Ok(());
        }
        let id = zone.domain.gateway();
        let (private, csr) = request::make()?;
        let key = RequestedKey::take(&csr, &id)?;
        let member = ZoneMemberId::from(store.gateway_id().uuid());
        let life = zone.record.leaf_life;
        let leaf = zone.issuer.issue(&LeafRequest { id: &id, member, key: &key, life }, now, entropy)?;
        let operator = Operator::system(clock, entropy);
        let mut event = operator.event("gateway:zone:issue");
        event.parameters.extend(issued(&id, member, &leaf, &zone.issuer));
        record(store, event).await?;
        let shown = leaf.chain.iter().cloned().chain([zone.root.clone()]).collect();
        self.leaf.show(&self.provider, shown, &private).map_err(ZoneError::OwnLeaf)?;
        let renew = renewal::due(leaf.not_before.max(now), leaf.not_after, entropy);
        let own = Own { issuer: zone.issuer.key().clone(), renew };
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        Ok(())
    }
}

/// What the log says of a leaf.
fn issued(
    id: &SpiffeId,
    member: ZoneMemberId,
    leaf: &gateway_pki::Leaf,
    issuer: &Issuer,
) -> [(String, String); 5] {
    [
        ("spiffe_id", id.to_string()),
        ("member", member.to_string()),
        ("serial", leaf.serial.clone()),
        ("issuer", issuer.key().to_string()),
        ("not_after", leaf.not_after.to_rfc3339()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

pub(crate) fn phase_of(authority: &ZoneAuthority) -> Result<Phase, ZoneError> {
    authority.phase.parse().map_err(|_bad| ZoneError::Kept { what: "phase of an authority" })
}

pub(crate) fn key_of(name: &str) -> Result<KeyId, ZoneError> {
    name.parse().map_err(|_bad| ZoneError::Kept { what: "name of an authority" })
}

/// From what is kept to what is in force.
fn read(content: ZoneContent, banned: Vec<ZoneMemberId>) -> Result<Zone, ZoneError> {
    let domain: TrustDomain =
        content.zone.domain.parse().map_err(|_bad| ZoneError::Kept { what: "trust domain" })?;
    let der = |authority: &ZoneAuthority| CertificateDer::from(authority.certificate.clone());
    let mut bundle = Bundle {
        domain: domain.clone(),
        sequence: content.zone.sequence,
        refresh: REFRESH,
        roots: Vec::new(),
        tainted: std::collections::BTreeSet::new(),
        distrusted: std::collections::BTreeSet::new(),
        banned: banned.into_iter().collect(),
    };
    let (mut active, mut root) = (None, None);
    let mut intermediates = Vec::new();
    for authority in &content.authorities {
        let (phase, key) = (phase_of(authority)?, key_of(&authority.name)?);
        let is_root = authority.root.is_none();
        match phase {
            Phase::Retired if is_root => {}
            Phase::Retired => {
                bundle.distrusted.insert(key);
            }
            Phase::Prepared | Phase::Active | Phase::Outgoing | Phase::Tainted => {
                if is_root {
                    if phase == Phase::Active {
                        root = Some(der(authority));
                    }
                    bundle.roots.push(der(authority));
                    intermediates.extend(authority.cross_signed.clone().map(CertificateDer::from));
                } else {
                    intermediates.push(der(authority));
                }
                if phase == Phase::Tainted && !is_root {
                    bundle.tainted.insert(key);
                }
                if phase == Phase::Active && !is_root {
                    active = Some(authority);
                }
            }
        }
    }
    let active = active.ok_or(ZoneError::Kept { what: "active issuer" })?;
    let issuer = open_issuer(&domain, active, &content.authorities)?;
    let services = content
        .services
        .iter()
        .map(|kept| Ok((kept.name.clone(), Registration::read(&domain, kept)?)))
        .collect::<Result<_, ZoneError>>()?;
    Ok(Zone {
        domain,
        issuer,
        intermediates,
        bundle: Arc::new(bundle),
        services,
        root: root.ok_or(ZoneError::Kept { what: "active root" })?,
        record: content.zone,
        kept_services: content.services,
    })
}

fn open_issuer(
    domain: &TrustDomain,
    kept: &ZoneAuthority,
    all: &[ZoneAuthority],
) -> Result<Issuer, ZoneError> {
    let ZoneKey::Online(key) = &kept.key else {
        return Err(ZoneError::Kept { what: "key of the active issuer" });
    };
    let chain = vec![CertificateDer::from(kept.certificate.clone())];
    let issuer = Issuer::open(domain, IssuerScope::Zone, chain, key)?;
    // Whoever knows only the root before takes it by way of the cross-signed one.
    let root = all.iter().find(|one| Some(&one.name) == kept.root.as_ref());
    let cross_signed = root.and_then(|root| root.cross_signed.clone());
    Ok(match cross_signed {
        Some(der) => issuer.with_cross_signed(CertificateDer::from(der)),
        None => issuer,
    })
}
