//! Authorities: a root that is opened only to make issuers, and issuers that are online and make leaves. All profiles
//! are in this file; nothing else decides what stands in a certificate.
//!
//! - root: P-384, path length 2 (a cross-signed root and an issuer below it).
//! - issuer: P-256, path length 0; may sign only DNS names below the zone's domain, and no address at all.
//! - leaf: valid X.509-SVID: one URI, no authority, digital signature only, server and client.
//!
//! Source: SPIFFE X.509-SVID, sections 2 to 5; RFC 5280, sections 4.1 and 4.2.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use data_encoding::HEXLOWER;
use gateway_types::{Entropy, Secret, Timestamp, ZoneMemberId};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use crate::der::{self, KeyId};
use crate::error::PkiError;
use crate::id::{SpiffeId, TrustDomain};
use crate::request::RequestedKey;

/// How far the clocks of a zone's members may be apart: a certificate begins so far before now.
pub const CLOCKS_APART: Duration = Duration::from_secs(120);

/// The shortest and the longest life of a leaf. Deployments choose between 5 minutes and 24 hours; tests less.
pub const LEAF_LIFE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(24 * 3600));

/// The serialNumber attribute of a subject (X.520), which holds the member.
const MEMBER: &[u64] = &[2, 5, 4, 5];

/// The root of a zone with its key, opened.
pub struct RootAuthority {
    domain: TrustDomain,
    certificate: CertificateDer<'static>,
    key: KeyId,
    not_after: Timestamp,
    pair: KeyPair,
}

impl std::fmt::Debug for RootAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootAuthority").field("key", &self.key).finish_non_exhaustive()
    }
}

impl RootAuthority {
    /// A new root.
    ///
    /// # Errors
    /// When the crypto provider fails, or the dates are out of range.
    pub fn make(
        domain: &TrustDomain,
        now: Timestamp,
        life: Duration,
        entropy: &dyn Entropy,
    ) -> Result<Self, PkiError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
        let not_after = now.saturating_add(life);
        let key = KeyId::of(&rcgen::PublicKeyData::subject_public_key_info(&pair));
        let params = root_params(domain, &key, 2, now, not_after, entropy)?;
        let certificate = params.self_signed(&pair)?.der().clone();
        Ok(Self { domain: domain.clone(), certificate, key, not_after, pair })
    }

    /// The root of this certificate and key.
    ///
    /// # Errors
    /// [`PkiError::OtherKey`] when they do not belong together.
    pub fn open(
        domain: &TrustDomain,
        certificate: CertificateDer<'static>,
        key: &Secret<Vec<u8>>,
    ) -> Result<Self, PkiError> {
        let facts = der::authority(&certificate)?;
        let pair = pair_of(key, &PKCS_ECDSA_P384_SHA384)?;
        if rcgen::PublicKeyData::subject_public_key_info(&pair) != facts.spki {
            return Err(PkiError::OtherKey);
        }
        Ok(Self { domain: domain.clone(), certificate, key: facts.key, not_after: facts.not_after, pair })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The name of its key.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Until when it holds.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Its private key, PKCS #8, for whoever seals it.
    pub fn private_key(&self) -> Secret<Vec<u8>> {
        Secret::new(self.pair.serialize_der())
    }

    /// The next root's key under this one, so that members that know only this one take what the next one issued.
    ///
    /// # Errors
    /// As [`RootAuthority::make`].
    pub fn cross_sign(
        &self,
        next: &RootAuthority,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<CertificateDer<'static>, PkiError> {
        let until = next.not_after.min(self.not_after);
        let params = root_params(&self.domain, &next.key, 1, now, until, entropy)?;
        let issuer = rcgen::Issuer::from_ca_cert_der(&self.certificate, &self.pair)?;
        Ok(params.signed_by(&next.pair, &issuer)?.der().clone())
    }

    /// A new issuer under this root, which lives no longer than the root.
    ///
    /// # Errors
    /// [`PkiError::AuthorityDates`] when the root is over.
    pub fn issuer(
        &self,
        scope: IssuerScope,
        now: Timestamp,
        life: Duration,
        entropy: &dyn Entropy,
    ) -> Result<Issuer, PkiError> {
        if now >= self.not_after {
            return Err(PkiError::AuthorityDates);
        }
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let not_after = now.saturating_add(life).min(self.not_after);
        let key = KeyId::of(&rcgen::PublicKeyData::subject_public_key_info(&pair));
        let mut params = common(now, not_after, entropy)?;
        let short: String = key.as_str().chars().take(8).collect();
        params.distinguished_name = subject(&format!("{} issuer {short}", scope.suffix(&self.domain)));
        params.subject_alt_names = vec![uri(&format!("spiffe://{}", self.domain))?];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(scope.suffix(&self.domain))],
            excluded_subtrees: vec![
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv4Addr::UNSPECIFIED.into(), 0)),
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(Ipv6Addr::UNSPECIFIED.into(), 0)),
            ],
        });
        let root = rcgen::Issuer::from_ca_cert_der(&self.certificate, &self.pair)?;
        let certificate = params.signed_by(&pair, &root)?.der().clone();
        let domain = self.domain.clone();
        Ok(Issuer { domain, scope, chain: vec![certificate], key, not_after, pair })
    }
}

/// Whom an issuer may issue to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IssuerScope {
    /// To the whole zone.
    Zone,
    /// To the services of one site, `spiffe://DOMAIN/svc/SITE/NAME`, so that the site works through a cut link.
    Site(SiteName),
}

/// The name of a site: a label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SiteName(String);

impl SiteName {
    /// `None` = not a label.
    pub fn parse(text: &str) -> Option<Self> {
        crate::id::is_label(text).then(|| Self(text.to_owned()))
    }
}

impl IssuerScope {
    /// Below which DNS name everything is that may be issued.
    fn suffix(&self, domain: &TrustDomain) -> String {
        match self {
            IssuerScope::Zone => domain.to_string(),
            IssuerScope::Site(SiteName(site)) => format!("{site}.svc.{domain}"),
        }
    }

    fn covers(&self, domain: &TrustDomain, id: &SpiffeId) -> bool {
        let below = format!(".{}", self.suffix(domain));
        id.domain() == domain && id.dns_name().ends_with(&below)
    }
}

/// An online issuer.
pub struct Issuer {
    domain: TrustDomain,
    scope: IssuerScope,
    /// Its own certificate, then those that lead to older roots.
    chain: Vec<CertificateDer<'static>>,
    key: KeyId,
    not_after: Timestamp,
    pair: KeyPair,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("key", &self.key).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// What is issued: the names come from the registration, only the key from the request.
#[derive(Clone, Debug)]
pub struct LeafRequest<'a> {
    /// For whom.
    pub id: &'a SpiffeId,
    /// Which member it is.
    pub member: ZoneMemberId,
    /// Its key.
    pub key: &'a RequestedKey,
    /// For how long.
    pub life: Duration,
}

/// A leaf.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The leaf, then its issuer, then what leads to older roots.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// From when on it holds.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

impl Issuer {
    /// The issuer of this chain (its own certificate first) and key.
    ///
    /// # Errors
    /// [`PkiError::OtherKey`] when they do not belong together.
    pub fn open(
        domain: &TrustDomain,
        scope: IssuerScope,
        chain: Vec<CertificateDer<'static>>,
        key: &Secret<Vec<u8>>,
    ) -> Result<Self, PkiError> {
        let facts = der::authority(chain.first().ok_or(PkiError::Certificate)?)?;
        let pair = pair_of(key, &PKCS_ECDSA_P256_SHA256)?;
        if rcgen::PublicKeyData::subject_public_key_info(&pair) != facts.spki {
            return Err(PkiError::OtherKey);
        }
        let (key, not_after) = (facts.key, facts.not_after);
        Ok(Self { domain: domain.clone(), scope, chain, key, not_after, pair })
    }

    /// The same, showing also this certificate of its root under an older root.
    #[must_use]
    pub fn with_cross_signed(mut self, certificate: CertificateDer<'static>) -> Self {
        self.chain.push(certificate);
        self
    }

    /// Its own certificate, then those that lead to older roots.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The name of its key.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Until when it holds.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Its private key, PKCS #8, for whoever seals it.
    pub fn private_key(&self) -> Secret<Vec<u8>> {
        Secret::new(self.pair.serialize_der())
    }

    /// Issues a leaf, which lives no longer than the issuer.
    ///
    /// # Errors
    /// [`PkiError::OutOfScope`], [`PkiError::Lifetime`], [`PkiError::AuthorityDates`].
    pub fn issue(
        &self,
        asked: &LeafRequest<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Leaf, PkiError> {
        if !self.scope.covers(&self.domain, asked.id) {
            return Err(PkiError::OutOfScope { id: asked.id.to_string() });
        }
        let (shortest, longest) = LEAF_LIFE;
        if asked.life < shortest || asked.life > longest {
            return Err(PkiError::Lifetime);
        }
        if now >= self.not_after {
            return Err(PkiError::AuthorityDates);
        }
        let not_after = now.saturating_add(asked.life).min(self.not_after);
        let mut params = common(now, not_after, entropy)?;
        params.distinguished_name = subject(&asked.id.dns_name().chars().take(64).collect::<String>());
        params.distinguished_name.push(DnType::from_oid(MEMBER), asked.member.to_string());
        let dns = asked.id.dns_name().try_into()?;
        params.subject_alt_names = vec![uri(&asked.id.to_string())?, SanType::DnsName(dns)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let own = self.chain.first().ok_or(PkiError::Certificate)?;
        let issuer = rcgen::Issuer::from_ca_cert_der(own, &self.pair)?;
        let key = SubjectPublicKeyInfo::from_der(asked.key.spki())?;
        let leaf = params.signed_by(&key, &issuer)?.der().clone();
        let serial = params.serial_number.as_ref().map(|serial| HEXLOWER.encode(&serial.to_bytes()));
        Ok(Leaf {
            chain: std::iter::once(leaf).chain(self.chain.iter().cloned()).collect(),
            serial: serial.unwrap_or_default(),
            not_before: moment(params.not_before),
            not_after: moment(params.not_after),
        })
    }
}

fn moment(date: time::OffsetDateTime) -> Timestamp {
    Timestamp::from_micros(date.unix_timestamp().saturating_mul(1_000_000))
}

/// A root's certificate: self-signed, or the same name and key under an older one.
fn root_params(
    domain: &TrustDomain,
    key: &KeyId,
    path_length: u8,
    now: Timestamp,
    not_after: Timestamp,
    entropy: &dyn Entropy,
) -> Result<CertificateParams, PkiError> {
    let mut params = common(now, not_after, entropy)?;
    let short: String = key.as_str().chars().take(8).collect();
    params.distinguished_name = subject(&format!("{domain} root {short}"));
    params.subject_alt_names = vec![uri(&format!("spiffe://{domain}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn common(
    now: Timestamp,
    not_after: Timestamp,
    entropy: &dyn Entropy,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    let begins = now.micros().saturating_sub(i64::try_from(CLOCKS_APART.as_micros()).unwrap_or_default());
    params.not_before = der::date(Timestamp::from_micros(begins))?;
    params.not_after = der::date(not_after)?;
    // 127 random bits, never negative and never zero (RFC 5280, section 4.1.2.2).
    let mut serial = [0u8; 16];
    entropy.fill(&mut serial);
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn subject(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Rack Gateway zone");
    name.push(DnType::CommonName, common_name);
    name
}

fn uri(text: &str) -> Result<SanType, PkiError> {
    Ok(SanType::URI(text.to_owned().try_into()?))
}

fn pair_of(
    key: &Secret<Vec<u8>>,
    algorithm: &'static rcgen::SignatureAlgorithm,
) -> Result<KeyPair, PkiError> {
    let pkcs8 = PrivatePkcs8KeyDer::from(key.expose().as_slice());
    KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, algorithm).map_err(|_bad| PkiError::OtherKey)
}
