//! Sigstore bundles: whether somebody whom one trusts signed that this very archive was built from this very commit.
//!
//! Nothing is fetched here. A bundle brings all that it needs but trust: the certificates of the authority and the key
//! of the transparency log are configured. Start reading at [`Sigstore::verify`].
//!
//! What is checked, each of it before the next is believed: the log's promise about the entry (`log.rs`), which gives the
//! moment; the certificate at that moment, and whose it is (`certificate.rs`); the signature over the envelope; and
//! only then what the envelope says (`provenance.rs`).
//!
//! Sources: Sigstore bundle format 0.1 to 0.3; DSSE 1.0; in-toto attestation framework 1.0; SLSA provenance 1.0;
//! RFC 5280; Fulcio's certificate extensions (`oid-info.md`).
//!
//! # Security
//! The certificate lives for minutes, so that the moment of the signature is as good as the signature. It is taken from
//! the log alone, never from this machine's clock and never from the bundle's own word (ADR 0028).

mod bundle;
mod certificate;
mod log;
mod provenance;
#[cfg(test)]
mod tests;

use data_encoding::BASE64;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use webpki::EndEntityCert;

use self::bundle::Bundle;
use self::log::TransparencyLog;

pub use self::bundle::PAYLOAD_TYPE;
pub use self::provenance::{PREDICATE_TYPE, STATEMENT_TYPE};

/// Whom one believes.
#[derive(Clone, Debug)]
pub struct Sigstore {
    /// Certificates of the authority that end a chain.
    roots: Vec<CertificateDer<'static>>,
    /// Certificates of the authority that stand between: a bundle need not bring them.
    between: Vec<CertificateDer<'static>>,
    log: TransparencyLog,
    issuer: String,
}

/// Why what is configured cannot be trusted. The texts hold nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrustFault {
    /// No certificate, or one that cannot be read.
    #[error("the certificates of the attestation authority are not certificates in PEM")]
    Certificates,
    /// None of the certificates is a root.
    #[error("no certificate of the attestation authority is signed by itself, so that no chain ends")]
    NoRoot,
    /// Not the log's key.
    #[error("the key of the transparency log is not an ECDSA P-256 public key in PEM")]
    LogKey,
}

/// What must be true of a build.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// SHA-256 of what was built, in small hexadecimal digits.
    pub sha256: &'a str,
    /// The page of the repository, such as `https://github.com/acme/shop`.
    pub repository: &'a str,
    /// The whole id of the commit.
    pub commit: &'a str,
    /// Who may have built it: whole identities, such as
    /// `https://github.com/acme/shop/.github/workflows/build.yml@refs/heads/main`. An empty list refuses.
    pub builders: &'a [String],
}

/// A build that was shown to be as expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attested {
    /// Who built it.
    pub builder: String,
    /// When the log took it, in seconds since 1970.
    pub logged_seconds: u64,
    /// Its number in the log.
    pub log_index: u64,
}

/// Why a bundle shows nothing. The texts hold short, bounded pieces of the bundle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BundleFault {
    /// Another form than is known.
    #[error("the bundle cannot be read: {part}")]
    Form {
        /// What of it.
        part: &'static str,
    },
    /// No promise of the configured log.
    #[error(
        "no entry of the configured transparency log with a signed time is in the bundle; a time that nobody signed does not count"
    )]
    NotLogged,
    /// The log's signature is not right.
    #[error("the transparency log did not sign this entry")]
    LogSignature,
    /// The entry is about something else.
    #[error("the entry of the transparency log is about another {part}")]
    OtherEntry {
        /// What is another.
        part: &'static str,
    },
    /// The certificate does not lead to a root, or was not good at that moment.
    #[error("its certificate is not good at the time of the log: {cause}")]
    Certificate {
        /// Why.
        cause: webpki::Error,
    },
    /// Somebody else let the builder sign in.
    #[error("its certificate was given by the word of {found}, not of {expected}")]
    OtherIssuer {
        /// Who vouched.
        found: String,
        /// Who should.
        expected: String,
    },
    /// Another builder.
    #[error("it was built by {found}, which the setting attestation_builders does not name")]
    OtherBuilder {
        /// Who.
        found: String,
    },
    /// The envelope was not signed by that certificate.
    #[error("the envelope was not signed with the key of its certificate")]
    Signature,
    /// It is no provenance.
    #[error("it is a {found}, not {PREDICATE_TYPE}")]
    OtherPredicate {
        /// What it is.
        found: String,
    },
    /// Another archive.
    #[error("it is not about the SHA-256 of this archive")]
    OtherSubject,
    /// Another repository.
    #[error("it was built from {found}, not from {expected}")]
    OtherRepository {
        /// From where.
        found: String,
        /// From where it should be.
        expected: String,
    },
    /// Another commit.
    #[error("it was built from the commit {found}, not from the one that is approved")]
    OtherCommit {
        /// From which.
        found: String,
    },
}

impl Sigstore {
    /// `certificates` are the authority's in PEM, roots and those between; `log_key` is the public key of its
    /// transparency log in PEM; `issuer` is who vouches for builders, such as
    /// `https://token.actions.githubusercontent.com`.
    ///
    /// # Errors
    /// [`TrustFault`].
    pub fn new(certificates: &str, log_key: &str, issuer: &str) -> Result<Self, TrustFault> {
        let all: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_bad| TrustFault::Certificates)?;
        if all.is_empty() {
            return Err(TrustFault::Certificates);
        }
        let (mut roots, mut between) = (Vec::new(), Vec::new());
        for one in all {
            if certificate::is_root(&one).ok_or(TrustFault::Certificates)? {
                roots.push(one);
            } else {
                between.push(one);
            }
        }
        if roots.is_empty() {
            return Err(TrustFault::NoRoot);
        }
        let log = TransparencyLog::from_pem(log_key).ok_or(TrustFault::LogKey)?;
        Ok(Self { roots, between, log, issuer: issuer.to_owned() })
    }

    /// Whether the bundle shows what is expected.
    ///
    /// # Errors
    /// [`BundleFault`]: whatever was not read and found good is a no.
    pub fn verify(&self, bundle: &Value, expected: &Expected<'_>) -> Result<Attested, BundleFault> {
        let bundle = Bundle::parse(bundle)?;
        let logged = self.log.entry(&bundle)?;
        let leaf = CertificateDer::from(bundle.certificate.as_slice());
        let parsed = EndEntityCert::try_from(&leaf).map_err(|cause| BundleFault::Certificate { cause })?;
        let between: Vec<CertificateDer<'_>> = self
            .between
            .iter()
            .cloned()
            .chain(bundle.between.iter().map(|der| CertificateDer::from(der.as_slice())))
            .collect();
        certificate::check(&parsed, &self.roots, &between, logged.seconds)?;
        let identity = certificate::Identity::of(&leaf)?;
        if identity.issuer != self.issuer {
            let (found, expected) = (shown(&identity.issuer), self.issuer.clone());
            return Err(BundleFault::OtherIssuer { found, expected });
        }
        if !expected.builders.contains(&identity.builder) {
            return Err(BundleFault::OtherBuilder { found: shown(&identity.builder) });
        }
        parsed
            .verify_signature(webpki::aws_lc_rs::ECDSA_P256_SHA256, &bundle.signed(), &bundle.signature)
            .map_err(|_bad| BundleFault::Signature)?;
        // From here on it is the builder's word.
        provenance::check(&bundle.payload, &identity, expected)?;
        Ok(Attested { builder: identity.builder, logged_seconds: logged.seconds, log_index: logged.index })
    }
}

/// A short piece of somebody else's text.
fn shown(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn base64(text: &str, part: &'static str) -> Result<Vec<u8>, BundleFault> {
    BASE64.decode(text.as_bytes()).map_err(|_bad| BundleFault::Form { part })
}
