//! A certificate with its key, checked to belong together.

use std::fmt;
use std::sync::Arc;

use gateway_types::Timestamp;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::error::PairError;

/// A certificate chain and the key of its leaf.
#[derive(Clone)]
pub struct Pair {
    pub(crate) certified: Arc<CertifiedKey>,
    /// The DNS names it is for, in lower case.
    pub names: Vec<String>,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("names", &self.names).field("not_after", &self.not_after).finish()
    }
}

impl Pair {
    /// Reads a chain, the leaf first, and a private key, both PEM.
    ///
    /// # Errors
    /// [`PairError`]; in particular when the key is not the leaf's.
    pub fn from_pem(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Self, PairError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(PairError::CertificatePem)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(PairError::KeyPem)?;
        Self::new(chain, key, provider)
    }

    /// Takes a chain, the leaf first, and a private key.
    ///
    /// # Errors
    /// As [`Pair::from_pem`].
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<Self, PairError> {
        let leaf = chain.first().ok_or(PairError::NoCertificate)?;
        let (names, not_before, not_after) = facts(leaf)?;
        let key = provider.key_provider.load_private_key(key).map_err(PairError::Key)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(PairError::Key)?;
        Ok(Self { certified: Arc::new(certified), names, not_before, not_after })
    }

    /// Whether it is for this name, in lower case: exactly, or by a wildcard for one label (RFC 6125,
    /// section 6.4.3).
    pub fn is_for(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|own| own == name || (parent.is_some() && own.strip_prefix("*.") == parent))
    }

    pub(crate) fn leaf(&self) -> Option<&CertificateDer<'static>> {
        self.certified.cert.first()
    }
}

fn facts(leaf: &CertificateDer<'_>) -> Result<(Vec<String>, Timestamp, Timestamp), PairError> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_bad| PairError::Certificate)?;
    let alternatives = certificate.subject_alternative_name().map_err(|_bad| PairError::Certificate)?;
    let names = alternatives
        .map(|extension| extension.value.general_names.iter())
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _other_kinds => None,
        })
        .collect();
    let validity = certificate.validity();
    Ok((names, moment(validity.not_before), moment(validity.not_after)))
}

fn moment(time: ASN1Time) -> Timestamp {
    Timestamp::from_micros(time.timestamp().saturating_mul(1_000_000))
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Chain and key in PEM, signed by itself, for these names.
    pub(crate) fn pem(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub(crate) fn pair(names: &[&str]) -> Pair {
        let (chain, key) = pem(names);
        Pair::from_pem(chain.as_bytes(), key.as_bytes(), &crate::provider()).unwrap()
    }

    #[test]
    fn names() {
        let pair = pair(&["Gateway.example.com", "*.apps.example.com"]);
        let check = |name: &str, expected: bool| assert_eq!(pair.is_for(name), expected, "{name}");
        check("gateway.example.com", true);
        check("a.apps.example.com", true);
        check("apps.example.com", false);
        check("a.b.apps.example.com", false);
        check(".apps.example.com", true);
        check("example.com", false);
        check("", false);
    }

    #[test]
    fn what_is_no_pair() {
        let provider = crate::provider();
        let ((chain, key), (_, other)) = (pem(&["a.example.com"]), pem(&["a.example.com"]));
        let check = |chain: &str, key: &str, expected: &str| {
            let error = Pair::from_pem(chain.as_bytes(), key.as_bytes(), &provider).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&chain, &other, "cannot be used with the certificate");
        check("", &key, "no certificate in it");
        check(&key, &key, "no certificate in it");
        check(&chain, "", "not a readable PEM private key");
        check(&chain, &chain, "not a readable PEM private key");
        check(&chain[..chain.len() / 2], &key, "not readable PEM");
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(garbage, &key, "first certificate cannot be read");
    }
}
