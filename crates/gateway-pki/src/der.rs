//! What is read from certificates.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use gateway_types::{Timestamp, ZoneMemberId};
use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::error::PkiError;
use crate::id::SpiffeId;

/// The name of a key: the first 20 bytes of the SHA-256 of its SubjectPublicKeyInfo, in hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(String);

impl KeyId {
    /// Of this DER encoded SubjectPublicKeyInfo.
    pub fn of(spki: &[u8]) -> Self {
        let whole = digest(&SHA256, spki);
        let short: Vec<u8> = whole.as_ref().iter().copied().take(20).collect();
        Self(HEXLOWER.encode(&short))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no name of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the name of a key has 40 hexadecimal digits")]
pub struct KeyIdFault;

impl FromStr for KeyId {
    type Err = KeyIdFault;

    fn from_str(text: &str) -> Result<Self, KeyIdFault> {
        let is_name = text.len() == 40 && HEXLOWER.decode(text.as_bytes()).is_ok();
        if is_name { Ok(Self(text.to_owned())) } else { Err(KeyIdFault) }
    }
}

/// The SHA-256 of a certificate.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(digest(&SHA256, certificate).as_ref()) {
        *to = *from;
    }
    bytes
}

/// A certificate, with nothing behind it.
pub(crate) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PkiError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(PkiError::Certificate),
    }
}

/// What an authority's certificate says of itself.
pub(crate) struct AuthorityFacts {
    pub(crate) key: KeyId,
    pub(crate) not_after: Timestamp,
    pub(crate) spki: Vec<u8>,
    /// The point of its key, uncompressed.
    pub(crate) point: Vec<u8>,
}

pub(crate) fn authority(der: &CertificateDer<'_>) -> Result<AuthorityFacts, PkiError> {
    let certificate = parse(der)?;
    if !certificate.is_ca() {
        return Err(PkiError::Certificate);
    }
    let not_after = not_after(&certificate);
    let spki = certificate.public_key();
    Ok(AuthorityFacts {
        key: KeyId::of(spki.raw),
        not_after,
        spki: spki.raw.to_vec(),
        point: spki.subject_public_key.data.to_vec(),
    })
}

/// What a leaf says of itself. Believed only after its chain was verified.
pub(crate) struct LeafFacts {
    pub(crate) id: SpiffeId,
    pub(crate) member: ZoneMemberId,
    pub(crate) not_after: Timestamp,
    pub(crate) serial: String,
}

/// Reads a leaf as strictly as leaves are made: exactly one URI, the DNS name that belongs to it and no other name, no
/// authority, one member. `None` = it is none of the zone's leaves.
pub(crate) fn leaf(der: &CertificateDer<'_>) -> Option<LeafFacts> {
    let certificate = parse(der).ok()?;
    if certificate.is_ca() || certificate.key_usage().ok()?.is_some_and(|usage| usage.value.key_cert_sign()) {
        return None;
    }
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let id: SpiffeId = match names.as_slice() {
        [GeneralName::URI(uri), GeneralName::DNSName(dns)]
        | [GeneralName::DNSName(dns), GeneralName::URI(uri)] => {
            let id: SpiffeId = uri.parse().ok()?;
            if id.dns_name() != *dns {
                return None;
            }
            id
        }
        _ => return None,
    };
    let mut members = certificate.subject().iter_by_oid(&x509_parser::oid_registry::OID_X509_SERIALNUMBER);
    let member = members.next()?.as_str().ok()?.parse().ok()?;
    if members.next().is_some() {
        return None;
    }
    Some(LeafFacts {
        id,
        member,
        not_after: not_after(&certificate),
        serial: HEXLOWER.encode(certificate.raw_serial()),
    })
}

fn not_after(certificate: &X509Certificate<'_>) -> Timestamp {
    Timestamp::from_micros(certificate.validity().not_after.timestamp().saturating_mul(1_000_000))
}

/// A moment as certificates hold it: whole seconds.
pub(crate) fn date(at: Timestamp) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(at.micros().div_euclid(1_000_000)).map_err(|_range| PkiError::Date)
}
