//! The check of a peer: its chain leads to a root of the zone, nothing on it is distrusted, it is not banned, and it is
//! exactly one of those who may. "Anyone in the zone" cannot be asked for.

use std::fmt;

use gateway_types::{Timestamp, ZoneMemberId};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::bundle::Bundle;
use crate::der::{self, KeyId};
use crate::id::SpiffeId;

/// A peer whose chain was verified. Only [`check`] makes one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    id: SpiffeId,
    member: ZoneMemberId,
    issuer: KeyId,
    serial: String,
    not_after: Timestamp,
}

impl Peer {
    /// Who it is.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Which member.
    pub fn member(&self) -> ZoneMemberId {
        self.member
    }

    /// The key that issued its leaf.
    pub fn issuer(&self) -> &KeyId {
        &self.issuer
    }

    /// The serial number of its leaf.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Until when its leaf holds. A connection lives no longer.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether it is still one by this bundle: for connections that were opened before.
    pub fn holds(&self, bundle: &Bundle, now: Timestamp) -> bool {
        now <= self.not_after
            && self.id.domain() == &bundle.domain
            && !bundle.banned.contains(&self.member)
            && !bundle.distrusted.contains(&self.issuer)
    }
}

/// What the peer did in the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It called.
    Client,
    /// It was called.
    Server,
}

/// Whose connections are taken.
#[derive(Clone, Copy, Debug)]
pub enum Allowed<'a> {
    /// Exactly these.
    Exactly(&'a [SpiffeId]),
    /// Every member: only for the authority itself, which looks at the member afterwards.
    Members,
}

/// Why a peer is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PeerFault {
    /// It showed no certificate.
    #[error("it showed no certificate")]
    NoCertificate,
    /// Its certificate is not one of a zone's.
    #[error("its certificate is not a leaf of a zone")]
    NotALeaf,
    /// It is of another zone.
    #[error("it is of another zone")]
    OtherZone {
        /// Who it says it is.
        claimed: SpiffeId,
    },
    /// Its chain leads to no root of this zone.
    #[error("its chain leads to no root of this zone ({reason})")]
    Untrusted {
        /// Who it says it is.
        claimed: SpiffeId,
        /// What the verifier said.
        reason: webpki::Error,
    },
    /// It is banned.
    #[error("it is banned")]
    Banned {
        /// Who it is.
        id: SpiffeId,
    },
    /// It is a member, and not one of those who may.
    #[error("it is a member of the zone that may not call here")]
    NotAllowed {
        /// Who it is.
        id: SpiffeId,
    },
}

impl PeerFault {
    /// Who it is, or says it is.
    pub fn claimed(&self) -> Option<&SpiffeId> {
        match self {
            PeerFault::NoCertificate | PeerFault::NotALeaf => None,
            PeerFault::OtherZone { claimed } | PeerFault::Untrusted { claimed, .. } => Some(claimed),
            PeerFault::Banned { id } | PeerFault::NotAllowed { id } => Some(id),
        }
    }

    /// A short name for events and counts.
    pub const fn code(&self) -> &'static str {
        match self {
            PeerFault::NoCertificate => "no_certificate",
            PeerFault::NotALeaf => "not_a_leaf",
            PeerFault::OtherZone { .. } => "other_zone",
            PeerFault::Untrusted { .. } => "untrusted",
            PeerFault::Banned { .. } => "banned",
            PeerFault::NotAllowed { .. } => "not_allowed",
        }
    }
}

/// Checks a peer by the chain that it showed.
///
/// # Errors
/// [`PeerFault`].
///
/// # Security
/// That it has the private key is the handshake's to prove.
pub fn check(
    chain: &[CertificateDer<'_>],
    role: Role,
    allowed: Allowed<'_>,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<Peer, PeerFault> {
    let (leaf, rest) = chain.split_first().ok_or(PeerFault::NoCertificate)?;
    let facts = der::leaf(leaf).ok_or(PeerFault::NotALeaf)?;
    if facts.id.domain() != &bundle.domain {
        return Err(PeerFault::OtherZone { claimed: facts.id });
    }
    let issuer = match verified(leaf, rest, role, bundle, now) {
        Ok(issuer) => issuer,
        Err(reason) => return Err(PeerFault::Untrusted { claimed: facts.id, reason }),
    };
    if bundle.banned.contains(&facts.member) {
        return Err(PeerFault::Banned { id: facts.id });
    }
    match allowed {
        Allowed::Exactly(ids) if !ids.contains(&facts.id) => {
            return Err(PeerFault::NotAllowed { id: facts.id });
        }
        Allowed::Exactly(_) | Allowed::Members => {}
    }
    Ok(Peer { id: facts.id, member: facts.member, issuer, serial: facts.serial, not_after: facts.not_after })
}

/// Builds the path; the key of the leaf's issuer.
fn verified(
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    role: Role,
    bundle: &Bundle,
    now: Timestamp,
) -> Result<KeyId, webpki::Error> {
    let anchors: Vec<TrustAnchor<'_>> =
        bundle.roots.iter().map(anchor_from_trusted_cert).collect::<Result<_, webpki::Error>>()?;
    let usage = match role {
        Role::Client => KeyUsage::client_auth(),
        Role::Server => KeyUsage::server_auth(),
    };
    let seconds = u64::try_from(now.micros().div_euclid(1_000_000)).unwrap_or(0);
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let certificate = EndEntityCert::try_from(leaf)?;
    let is_fine = |path: &VerifiedPath<'_>| {
        let distrusted = path
            .intermediate_certificates()
            .any(|authority| bundle.distrusted.contains(&KeyId::of(&authority.subject_public_key_info())));
        if distrusted { Err(webpki::Error::CertRevoked) } else { Ok(()) }
    };
    let path = certificate.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        rest,
        time,
        usage,
        None,
        Some(&is_fine),
    )?;
    // A root issues no leaves: what is directly under one was not made by this zone's profiles.
    let issuer = path.intermediate_certificates().next().ok_or(webpki::Error::UnknownIssuer)?;
    Ok(KeyId::of(&issuer.subject_public_key_info()))
}

/// The key that issued the leaf of a chain of one's own.
pub fn issuer_of(chain: &[CertificateDer<'_>]) -> Option<KeyId> {
    let issuer = chain.get(1)?;
    der::authority(issuer).ok().map(|facts| facts.key)
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Client => "client",
            Role::Server => "server",
        })
    }
}
