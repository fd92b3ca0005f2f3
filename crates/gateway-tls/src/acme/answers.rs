//! The answers to challenges, as they are given: over plain HTTP, and by a certificate.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use gateway_store::{ChallengeAnswer, ChallengeKind};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::AcmeError;
use crate::error::PairError;

/// Where ACME servers ask (RFC 8555, section 8.3).
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Answers to HTTP-01 challenges.
#[derive(Debug, Default)]
pub struct HttpAnswers(ArcSwap<HashMap<String, String>>);

impl HttpAnswers {
    /// The answer to who asks for this path.
    pub fn to(&self, path: &str) -> Option<String> {
        self.0.load().get(path.strip_prefix(PREFIX)?).cloned()
    }

    pub(super) fn set(&self, answers: &[ChallengeAnswer]) {
        let http = answers.iter().filter(|answer| answer.kind == ChallengeKind::Http01);
        let map = http.map(|answer| (answer.token.clone(), answer.key_authorization.clone())).collect();
        self.0.store(Arc::new(map));
    }
}

/// The certificate that proves a name over TLS: signed by itself, with the digest of the key authorization in
/// a critical extension (RFC 8737, section 3).
pub(super) fn certificate(
    answer: &ChallengeAnswer,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, AcmeError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![answer.name.clone()])?;
    params.distinguished_name = DistinguishedName::new();
    let proof = digest(&SHA256, answer.key_authorization.as_bytes());
    params.custom_extensions.push(CustomExtension::new_acme_identifier(proof.as_ref()));
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider.key_provider.load_private_key(key).map_err(PairError::Key)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    fn answer(kind: ChallengeKind) -> ChallengeAnswer {
        ChallengeAnswer {
            kind,
            token: "token".to_owned(),
            name: "gateway.example.com".to_owned(),
            key_authorization: "token.thumbprint".to_owned(),
        }
    }

    #[test]
    fn only_its_own_path_is_answered() {
        let answers = HttpAnswers::default();
        answers.set(&[answer(ChallengeKind::Http01)]);
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(answers.to(path).as_deref(), expected, "{path}");
        };
        check("/.well-known/acme-challenge/token", Some("token.thumbprint"));
        check("/.well-known/acme-challenge/", None);
        check("/.well-known/acme-challenge/token/", None);
        check("/.well-known/acme-challenge/../acme-challenge/token", None);
        check("/.well-known/acme-challenge/Token", None);
        check("token", None);
        answers.set(&[answer(ChallengeKind::TlsAlpn01), answer(ChallengeKind::Dns01)]);
        check("/.well-known/acme-challenge/token", None);
    }

    #[test]
    fn the_certificate_holds_the_proof() {
        let made = certificate(&answer(ChallengeKind::TlsAlpn01), &crate::provider()).unwrap();
        let (_, read) = X509Certificate::from_der(made.cert.first().unwrap()).unwrap();
        let proof = read.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(proof.critical);
        let expected = digest(&SHA256, b"token.thumbprint");
        assert_eq!(proof.value, [&[0x04, 0x20], expected.as_ref()].concat());
        assert_eq!(read.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
    }
}
