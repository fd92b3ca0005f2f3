//! The transparency log: what it promised of an entry, and whether that entry is about this bundle.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use serde::Deserialize;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};

use super::bundle::{Bundle, Entry};
use super::{BundleFault, base64};

/// A log, by its key.
#[derive(Clone, Debug)]
pub(super) struct TransparencyLog {
    /// The SHA-256 of its key, by which entries name it.
    id: Vec<u8>,
    /// The point of its key.
    point: Vec<u8>,
}

/// What the log promised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logged {
    /// When, in seconds since 1970.
    pub(super) seconds: u64,
    /// The entry's number.
    pub(super) index: u64,
}

/// The body of an entry of the kind `dsse`, version 0.0.1.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "apiVersion")]
    version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    payload_hash: Hash,
    signatures: Vec<LoggedSignature>,
}

#[derive(Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
struct LoggedSignature {
    signature: String,
    verifier: String,
}

impl TransparencyLog {
    /// `None` = not an ECDSA key on P-256.
    pub(super) fn from_pem(pem: &str) -> Option<Self> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok()?;
        let (rest, parsed) = SubjectPublicKeyInfo::from_der(&spki).ok()?;
        let point = parsed.subject_public_key.data.to_vec();
        let is_p256 = point.len() == 65 && point.first() == Some(&4);
        (rest.is_empty() && is_p256).then(|| Self { id: digest(&SHA256, &spki).as_ref().to_vec(), point })
    }

    /// The promise about this very bundle.
    pub(super) fn entry(&self, bundle: &Bundle) -> Result<Logged, BundleFault> {
        let of_log = |entry: &&Entry| entry.log == self.id && entry.seconds > 0;
        let found =
            bundle.entries.iter().filter(of_log).find_map(|entry| Some((entry, entry.promise.as_ref()?)));
        let (entry, promise) = found.ok_or(BundleFault::NotLogged)?;
        // The form that the log signs: these four, sorted, without blanks (RFC 8785). No text in it needs escaping.
        if BASE64.decode(entry.body.as_bytes()).is_err() {
            return Err(BundleFault::Form { part: "the body of the log's entry" });
        }
        let signed = format!(
            r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
            entry.body,
            entry.seconds,
            HEXLOWER.encode(&entry.log),
            entry.index
        );
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
            .verify(signed.as_bytes(), promise)
            .map_err(|_bad| BundleFault::LogSignature)?;
        is_about(&entry.body, bundle)?;
        Ok(Logged { seconds: entry.seconds, index: entry.index })
    }
}

/// Whether the entry is about this payload, this signature and this certificate: another one's time proves nothing.
fn is_about(body: &str, bundle: &Bundle) -> Result<(), BundleFault> {
    let form = |part| BundleFault::Form { part };
    let body: Body = serde_json::from_slice(&base64(body, "the body of the log's entry")?)
        .map_err(|_bad| form("the log's entry is not one of a signed envelope"))?;
    if (body.kind.as_str(), body.version.as_str()) != ("dsse", "0.0.1") {
        return Err(form("the log's entry is not of the kind dsse, version 0.0.1"));
    }
    let payload = HEXLOWER.encode(digest(&SHA256, &bundle.payload).as_ref());
    let Hash { algorithm, value } = body.spec.payload_hash;
    if algorithm != "sha256" || value != payload {
        return Err(BundleFault::OtherEntry { part: "payload" });
    }
    let [signature] = body.spec.signatures.as_slice() else {
        return Err(form("the log's entry does not have exactly one signature"));
    };
    if base64(&signature.signature, "the signature of the log's entry")? != bundle.signature {
        return Err(BundleFault::OtherEntry { part: "signature" });
    }
    let verifier = base64(&signature.verifier, "the certificate of the log's entry")?;
    match CertificateDer::from_pem_slice(&verifier) {
        Ok(certificate) if certificate.as_ref() == bundle.certificate.as_slice() => Ok(()),
        Ok(_) | Err(_) => Err(BundleFault::OtherEntry { part: "certificate" }),
    }
}
