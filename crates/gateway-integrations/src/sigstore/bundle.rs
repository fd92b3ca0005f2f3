//! The parts of a bundle, out of its JSON.

use serde::Deserialize;
use serde_json::Value;

use super::{BundleFault, base64};

/// What an envelope holds: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The versions whose form is known.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
];

/// A bundle with everything decoded and nothing checked.
#[derive(Debug)]
pub(super) struct Bundle {
    /// The signer's certificate.
    pub(super) certificate: Vec<u8>,
    /// Further certificates that it brings.
    pub(super) between: Vec<Vec<u8>>,
    /// Entries of logs.
    pub(super) entries: Vec<Entry>,
    /// What is signed, without its type.
    pub(super) payload: Vec<u8>,
    /// The one signature.
    pub(super) signature: Vec<u8>,
}

/// An entry of a log, as the bundle tells it.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which log: the SHA-256 of its key.
    pub(super) log: Vec<u8>,
    /// Its number there.
    pub(super) index: u64,
    /// When it was taken, in seconds since 1970.
    pub(super) seconds: u64,
    /// The log's signature over number, time and body.
    pub(super) promise: Option<Vec<u8>>,
    /// The body, as it was signed: base64.
    pub(super) body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BundleDocument {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(default)]
    certificate: Option<Certificate>,
    #[serde(default)]
    x509_certificate_chain: Option<Chain>,
    #[serde(default)]
    tlog_entries: Vec<EntryDocument>,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    raw_bytes: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryDocument {
    log_index: Number,
    log_id: LogId,
    #[serde(default)]
    integrated_time: Option<Number>,
    #[serde(default)]
    inclusion_promise: Option<Promise>,
    canonicalized_body: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: String,
}

/// The JSON form of Protocol Buffers writes 64 bits as text, and reads both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

impl Number {
    fn value(self) -> Result<u64, BundleFault> {
        match self {
            Number::Number(number) => Ok(number),
            Number::Text(text) => {
                text.parse().map_err(|_bad| BundleFault::Form { part: "a number of the log's entry" })
            }
        }
    }
}

impl EntryDocument {
    fn decoded(self) -> Result<Entry, BundleFault> {
        let promise = self.inclusion_promise.map(|promise| promise.signed_entry_timestamp);
        Ok(Entry {
            log: base64(&self.log_id.key_id, "the name of the log")?,
            index: self.log_index.value()?,
            seconds: self.integrated_time.map_or(Ok(0), Number::value)?,
            promise: promise.map(|text| base64(&text, "the promise of the log")).transpose()?,
            body: self.canonicalized_body,
        })
    }
}

impl Bundle {
    pub(super) fn parse(document: &Value) -> Result<Self, BundleFault> {
        let document = BundleDocument::deserialize(document).map_err(|_bad| BundleFault::Form {
            part: "it is no bundle of a signed envelope with a certificate",
        })?;
        if !MEDIA_TYPES.contains(&document.media_type.as_str()) {
            return Err(BundleFault::Form { part: "its version is not 0.1, 0.2 or 0.3" });
        }
        let Material { certificate, x509_certificate_chain, tlog_entries } = document.verification_material;
        let certificates = match (certificate, x509_certificate_chain) {
            (Some(one), None) => vec![one],
            (None, Some(chain)) => chain.certificates,
            (None, None) | (Some(_), Some(_)) => Vec::new(),
        };
        let mut certificates = certificates.into_iter().map(|one| base64(&one.raw_bytes, "a certificate"));
        let certificate = certificates
            .next()
            .ok_or(BundleFault::Form { part: "it does not hold one signer's certificate" })??;
        let envelope = document.dsse_envelope;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(BundleFault::Form { part: "its envelope holds no in-toto statement" });
        }
        // Of several signatures nobody could say which one the log's entry is about.
        let [signature] = envelope.signatures.as_slice() else {
            return Err(BundleFault::Form { part: "its envelope does not have exactly one signature" });
        };
        Ok(Self {
            certificate,
            between: certificates.collect::<Result<_, _>>()?,
            entries: tlog_entries.into_iter().map(EntryDocument::decoded).collect::<Result<_, _>>()?,
            payload: base64(&envelope.payload, "the payload")?,
            signature: base64(&signature.sig, "the signature")?,
        })
    }

    /// What the signature is over (DSSE 1.0, pre-authentication encoding): lengths first, so that no type runs over into
    /// a payload.
    pub(super) fn signed(&self) -> Vec<u8> {
        let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), self.payload.len());
        [head.as_bytes(), &self.payload].concat()
    }
}
