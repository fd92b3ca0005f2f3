//! Client certificates as credentials of machines: which key one is for, whether it is in its dates, what it names,
//! and whether an authority signed it. For a token who issued it does not matter, because a token is bound to the key
//! itself; for what it names it does. That its holder has the private key is the handshake's to prove.

mod names;

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use gateway_types::{CredentialDigest, Timestamp};
use x509_parser::pem::Pem;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

pub use names::{Authority, MOST_AUTHORITIES, Names};

/// What the digest of a key begins with, so that no digest of anything else can be taken for one.
const DOMAIN: &[u8] = b"rack-gateway client certificate key v1\0";

/// What the digest of a whole certificate begins with.
const WHOLE: &[u8] = b"rack-gateway client certificate v1\0";

/// The largest PEM text that is read, in bytes.
const MOST_PEM_BYTES: usize = 64 * 1024;

/// Why something is no client certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateFault {
    /// It is no PEM, or holds something else than one certificate.
    #[error("it must be one certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")]
    NotPem,
    /// It is no X.509 certificate.
    #[error("it is not a certificate that can be read")]
    Malformed,
    /// It is no authority that client certificates can be checked against.
    #[error("it must be one to {MOST_AUTHORITIES} certificates of authorities in PEM")]
    NotAuthority,
}

/// A certificate, as far as it matters for who presents it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// What stands for its key.
    pub key: CredentialDigest,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// The whole of it, as it was presented.
    der: Arc<[u8]>,
}

impl ClientCertificate {
    /// Reads a DER-encoded certificate.
    ///
    /// # Errors
    /// [`CertificateFault::Malformed`], also for anything behind the certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateFault> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_bad| CertificateFault::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateFault::Malformed);
        }
        let validity = certificate.validity();
        Ok(Self {
            key: digest(DOMAIN, certificate.public_key().raw),
            not_before: moment(validity.not_before),
            not_after: moment(validity.not_after),
            der: Arc::from(der),
        })
    }

    /// Reads one certificate in PEM.
    ///
    /// # Errors
    /// [`CertificateFault::NotPem`] also for several, and for a private key, which must stay where it is.
    pub fn from_pem(text: &str) -> Result<Self, CertificateFault> {
        if text.len() > MOST_PEM_BYTES {
            return Err(CertificateFault::NotPem);
        }
        let mut blocks = Pem::iter_from_buffer(text.as_bytes());
        let block = blocks.next().and_then(Result::ok).ok_or(CertificateFault::NotPem)?;
        if block.label != "CERTIFICATE" || blocks.next().is_some() {
            return Err(CertificateFault::NotPem);
        }
        Self::from_der(&block.contents)
    }

    /// What stands for the whole certificate, not only for its key.
    pub fn whole(&self) -> CredentialDigest {
        digest(WHOLE, &self.der)
    }

    /// Whether it is in its dates, both included (RFC 5280, section 4.1.2.5).
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

/// SHA-256 over a fixed text and a DER encoding.
fn digest(domain: &[u8], der: &[u8]) -> CredentialDigest {
    let mut context = Context::new(&SHA256);
    context.update(domain);
    context.update(der);
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    CredentialDigest(bytes)
}

fn moment(time: ASN1Time) -> Timestamp {
    Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl req -x509 -newkey ed25519 -nodes -subj /CN=machine -days 36500`.
    const PEM: &str = include_str!("certificate/machine.pem");
    /// The same key in another certificate.
    const RENEWED: &str = include_str!("certificate/machine-renewed.pem");
    const OTHER: &str = include_str!("certificate/other.pem");

    fn read(text: &str) -> ClientCertificate {
        ClientCertificate::from_pem(text).unwrap()
    }

    #[test]
    fn the_key_counts_and_nothing_else() {
        assert_eq!(read(PEM).key, read(RENEWED).key);
        assert_ne!(read(PEM), read(RENEWED));
        assert_ne!(read(PEM).key, read(OTHER).key);
    }

    #[test]
    fn dates() {
        let certificate = read(PEM);
        let micro = std::time::Duration::from_micros(1);
        assert!(certificate.is_valid_at(certificate.not_before));
        assert!(certificate.is_valid_at(certificate.not_after));
        assert!(!certificate.is_valid_at(certificate.not_after.saturating_add(micro)));
        assert!(!certificate.is_valid_at(Timestamp::from_micros(certificate.not_before.micros() - 1)));
    }

    #[test]
    fn what_is_no_certificate() {
        let check = |text: &str, expected: CertificateFault| {
            assert_eq!(ClientCertificate::from_pem(text), Err(expected), "{text:.80}");
        };
        check("", CertificateFault::NotPem);
        check("nonsense", CertificateFault::NotPem);
        check(&format!("{PEM}{OTHER}"), CertificateFault::NotPem);
        check(&PEM.replace("CERTIFICATE", "PRIVATE KEY"), CertificateFault::NotPem);
        check(&" ".repeat(MOST_PEM_BYTES + 1), CertificateFault::NotPem);
        check("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", CertificateFault::Malformed);
        let mut der = Pem::iter_from_buffer(PEM.as_bytes()).next().unwrap().unwrap().contents;
        for length in 0..der.len() {
            assert!(ClientCertificate::from_der(&der[..length]).is_err(), "{length}");
        }
        der.push(0);
        assert_eq!(ClientCertificate::from_der(&der), Err(CertificateFault::Malformed));
    }
}
