//! A zone in memory: a root, an issuer, and members with leaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use gateway_pki::tls::{Callers, LiveLeaf, LiveTrust, client_settings, provider, server_settings};
use gateway_pki::{
    Bundle, Issuer, IssuerScope, Leaf, LeafRequest, RequestedKey, RootAuthority, SpiffeId, TrustDomain,
    request,
};
use gateway_types::{Clock as _, OsEntropy, Secret, SystemClock, Timestamp, ZoneMemberId};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::kx_group::X25519;
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::CertificateDer;

/// How long leaves live, as by default.
pub(crate) const LEAF_LIFE: Duration = Duration::from_secs(3600);

/// Which key exchange members agree on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KeyExchange {
    /// The zone's own: hybrid with a lattice.
    Hybrid,
    /// What every openssl has, so that both can be compared.
    Classical,
}

/// A zone.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) domain: TrustDomain,
    pub(crate) root: RootAuthority,
    pub(crate) issuer: Issuer,
    pub(crate) bundle: Arc<Bundle>,
}

/// A member's key and leaf.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: SpiffeId,
    /// The leaf and its issuer.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Secret<Vec<u8>>,
}

impl Zone {
    pub(crate) fn make() -> Result<Self> {
        let domain: TrustDomain = "bench.internal".parse()?;
        let now = now();
        let root = RootAuthority::make(&domain, now, Duration::from_secs(10 * 365 * 86_400), &OsEntropy)?;
        let issuer = root.issuer(IssuerScope::Zone, now, Duration::from_secs(90 * 86_400), &OsEntropy)?;
        let bundle = Bundle {
            domain: domain.clone(),
            sequence: 1,
            refresh: Duration::from_secs(5),
            roots: vec![root.certificate().clone()],
            tainted: BTreeSet::new(),
            distrusted: BTreeSet::new(),
            banned: BTreeSet::new(),
        };
        Ok(Self { domain, root, issuer, bundle: Arc::new(bundle) })
    }

    /// What the authority does for one request, short of the log: the request is read and its signature checked, and a leaf
    /// signed.
    pub(crate) fn issue(&self, id: &SpiffeId, member: ZoneMemberId, csr: &[u8]) -> Result<Leaf> {
        let key = RequestedKey::take(csr, id)?;
        let asked = LeafRequest { id, member, key: &key, life: LEAF_LIFE };
        Ok(self.issuer.issue(&asked, now(), &OsEntropy)?)
    }

    pub(crate) fn member(&self, id: SpiffeId) -> Result<Member> {
        let (key, csr) = request::make()?;
        let leaf = self.issue(&id, ZoneMemberId::new(now(), &OsEntropy), &csr)?;
        Ok(Member { id, chain: leaf.chain, key })
    }

    pub(crate) fn server(&self, of: &Member, exchange: KeyExchange) -> Result<Arc<ServerConfig>> {
        let provider = provider_of(exchange);
        let leaf = shown(&provider, of)?;
        Ok(Arc::new(server_settings(provider, leaf, Callers::Show)?))
    }

    pub(crate) fn client(
        &self,
        of: &Member,
        to: &SpiffeId,
        exchange: KeyExchange,
    ) -> Result<Arc<ClientConfig>> {
        let provider = provider_of(exchange);
        let leaf = shown(&provider, of)?;
        let trust = Arc::new(LiveTrust::default());
        trust.set(Some(Arc::clone(&self.bundle)));
        let clock = Arc::new(SystemClock);
        Ok(Arc::new(client_settings(provider, trust, to.clone(), Some(leaf), clock)?))
    }
}

fn shown(provider: &CryptoProvider, of: &Member) -> Result<Arc<LiveLeaf>> {
    let leaf = Arc::new(LiveLeaf::default());
    leaf.show(provider, of.chain.clone(), &of.key)?;
    Ok(leaf)
}

fn provider_of(exchange: KeyExchange) -> Arc<CryptoProvider> {
    match exchange {
        KeyExchange::Hybrid => provider(),
        KeyExchange::Classical => {
            Arc::new(CryptoProvider { kx_groups: vec![X25519], ..provider().as_ref().clone() })
        }
    }
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}
