//! Bundles: the roots of a zone, and what its members must know besides. As a SPIFFE bundle (a JWK set whose keys hold
//! certificates) and as PEM.
//!
//! The extra member `rack_gateway` is ignored by other readers (RFC 7517, section 5).
//! Source: SPIFFE Trust Domain and Bundle, sections 4 and 5.

use std::collections::BTreeSet;
use std::time::Duration;

use data_encoding::{BASE64, BASE64_MIME, BASE64URL_NOPAD};
use gateway_types::ZoneMemberId;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::der::{self, KeyId};
use crate::error::PkiError;
use crate::id::TrustDomain;

/// The most roots of one bundle.
const MOST_ROOTS: usize = 8;

/// What a member knows of its zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    /// The zone.
    pub domain: TrustDomain,
    /// Grows with every change.
    pub sequence: u64,
    /// How often members ask for it.
    pub refresh: Duration,
    /// The roots that are trusted.
    pub roots: Vec<CertificateDer<'static>>,
    /// Keys of issuers whose leaves are still taken, but whose members must renew at once.
    pub tainted: BTreeSet<KeyId>,
    /// Keys of issuers whose leaves are refused.
    pub distrusted: BTreeSet<KeyId>,
    /// Members that are refused.
    pub banned: BTreeSet<ZoneMemberId>,
}

/// How much of a bundle is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// To anyone: public roots.
    Roots,
    /// To members: also who is banned.
    Members,
}

#[derive(Serialize, Deserialize)]
struct Set {
    keys: Vec<Key>,
    spiffe_sequence: u64,
    spiffe_refresh_hint: u64,
    rack_gateway: Own,
}

#[derive(Serialize, Deserialize)]
struct Key {
    #[serde(rename = "use")]
    usage: String,
    kty: String,
    crv: String,
    x: String,
    y: String,
    x5c: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Own {
    trust_domain: String,
    tainted: BTreeSet<String>,
    distrusted: BTreeSet<String>,
    #[serde(default)]
    banned: BTreeSet<String>,
}

impl Bundle {
    /// As JSON.
    ///
    /// # Errors
    /// When a root is none of the zone's own kind.
    pub fn to_json(&self, detail: Detail) -> Result<String, PkiError> {
        let keys = self.roots.iter().map(key_of).collect::<Result<Vec<Key>, PkiError>>()?;
        let names = |ids: &BTreeSet<KeyId>| ids.iter().map(ToString::to_string).collect();
        let banned = match detail {
            Detail::Roots => BTreeSet::new(),
            Detail::Members => self.banned.iter().map(ToString::to_string).collect(),
        };
        let set = Set {
            keys,
            spiffe_sequence: self.sequence,
            spiffe_refresh_hint: self.refresh.as_secs().max(1),
            rack_gateway: Own {
                trust_domain: self.domain.to_string(),
                tainted: names(&self.tainted),
                distrusted: names(&self.distrusted),
                banned,
            },
        };
        serde_json::to_string(&set).map_err(|_bad| PkiError::Bundle("it cannot be written"))
    }

    /// Reads what [`Bundle::to_json`] wrote.
    ///
    /// # Errors
    /// [`PkiError::Bundle`].
    ///
    /// # Security
    /// That it is the zone's is not shown by reading it: it comes over a connection whose other end was checked, or one
    /// of its roots is the one of a join token.
    pub fn from_json(text: &str) -> Result<Self, PkiError> {
        let set: Set = serde_json::from_str(text).map_err(|_bad| PkiError::Bundle("it is no bundle"))?;
        if set.keys.is_empty() || set.keys.len() > MOST_ROOTS {
            return Err(PkiError::Bundle("it has no root, or too many"));
        }
        let mut roots = Vec::new();
        for key in &set.keys {
            let ("x509-svid", [certificate]) = (key.usage.as_str(), key.x5c.as_slice()) else {
                return Err(PkiError::Bundle("a key of it is not for X.509-SVIDs"));
            };
            let bytes = BASE64
                .decode(certificate.as_bytes())
                .map_err(|_bad| PkiError::Bundle("a certificate is not base64"))?;
            let certificate = CertificateDer::from(bytes);
            der::authority(&certificate)?;
            roots.push(certificate);
        }
        let keys = |names: &BTreeSet<String>| {
            names
                .iter()
                .map(|name| name.parse().map_err(|_bad| PkiError::Bundle("a key's name is malformed")))
                .collect::<Result<BTreeSet<KeyId>, PkiError>>()
        };
        let banned = set
            .rack_gateway
            .banned
            .iter()
            .map(|id| id.parse().map_err(|_bad| PkiError::Bundle("a member's id is malformed")))
            .collect::<Result<BTreeSet<ZoneMemberId>, PkiError>>()?;
        let domain = &set.rack_gateway.trust_domain;
        Ok(Self {
            domain: domain.parse().map_err(|_bad| PkiError::Bundle("the trust domain is malformed"))?,
            sequence: set.spiffe_sequence,
            refresh: Duration::from_secs(set.spiffe_refresh_hint.clamp(1, 3600)),
            roots,
            tainted: keys(&set.rack_gateway.tainted)?,
            distrusted: keys(&set.rack_gateway.distrusted)?,
            banned,
        })
    }

    /// The roots as PEM, for programs that read files.
    pub fn to_pem(&self) -> String {
        pem(&self.roots)
    }
}

/// Certificates as PEM, one after the other.
pub fn pem(certificates: &[CertificateDer<'_>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        let body = BASE64_MIME.encode(certificate).replace("\r\n", "\n");
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        // MIME lines have 76 characters; PEM readers take them (RFC 7468, section 2, "parsers … MUST ignore").
        text.push_str(&body);
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

fn key_of(root: &CertificateDer<'static>) -> Result<Key, PkiError> {
    let facts = der::authority(root)?;
    // An uncompressed point over P-384: 4, x, y (SEC 1, section 2.3.3).
    let (Some(4), 97) = (facts.point.first(), facts.point.len()) else {
        return Err(PkiError::Bundle("a root is not over P-384"));
    };
    let coordinate = |skipped: usize| {
        let bytes: Vec<u8> = facts.point.iter().skip(skipped).take(48).copied().collect();
        BASE64URL_NOPAD.encode(&bytes)
    };
    Ok(Key {
        usage: "x509-svid".to_owned(),
        kty: "EC".to_owned(),
        crv: "P-384".to_owned(),
        x: coordinate(1),
        y: coordinate(49),
        x5c: vec![BASE64.encode(root)],
    })
}
