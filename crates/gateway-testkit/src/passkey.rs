//! A passkey in software, with the browser round it: makes keys and answers challenges as Web Authentication says,
//! and can be told to do it wrong.
//!
//! Source: W3C Web Authentication, level 2, sections 5.8.1 and 6.1.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const HAS_KEY: u8 = 0x40;

/// A passkey.
#[derive(Debug)]
pub struct SoftPasskey {
    key: EcdsaKeyPair,
    id: [u8; 16],
    /// What it signs with next; 0 for a key that does not count.
    pub counter: u32,
    /// How much the counter goes up with each answer.
    pub step: u32,
    /// Whether it checks who holds it.
    pub verifies: bool,
    /// The origin that its browser says the page is of.
    pub origin: String,
    /// What its browser says that it did, such as `webauthn.get`; `None` = what it did.
    pub kind: Option<&'static str>,
}

impl SoftPasskey {
    /// A new one, in a browser that is at `origin`.
    pub fn new(origin: &str) -> Self {
        let id = uuid_bytes();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self { key, id, counter: 1, step: 1, verifies: true, origin: origin.to_owned(), kind: None }
    }

    /// What `navigator.credentials.create` answers, as JSON.
    pub fn create(&mut self, options: &Value) -> Value {
        let options = &options["publicKey"];
        let client_data = self.client_data("webauthn.create", options);
        let mut data = self.authenticator_data(options["rp"]["id"].as_str().expect("an rp"), HAS_KEY);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&[0, 16]);
        data.extend_from_slice(&self.id);
        data.extend_from_slice(&self.cose_key());
        // {"fmt": "none", "attStmt": {}, "authData": bytes}, in CBOR.
        let mut attestation = vec![0xa3, 0x63];
        attestation.extend_from_slice(b"fmt\x64none\x67attStmt\xa0\x68authData\x58");
        attestation.push(u8::try_from(data.len()).expect("fewer than 256 bytes"));
        attestation.extend_from_slice(&data);
        json!({
            "id": BASE64URL_NOPAD.encode(&self.id),
            "rawId": BASE64URL_NOPAD.encode(&self.id),
            "type": "public-key",
            "extensions": {},
            "response": {
                "clientDataJSON": BASE64URL_NOPAD.encode(client_data.as_bytes()),
                "attestationObject": BASE64URL_NOPAD.encode(&attestation),
            },
        })
    }

    /// What `navigator.credentials.get` answers, as JSON.
    pub fn get(&mut self, options: &Value) -> Value {
        let options = &options["publicKey"];
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(options["rpId"].as_str().expect("an rp"), 0);
        let mut signed = data.clone();
        signed.extend_from_slice(digest::digest(&digest::SHA256, client_data.as_bytes()).as_ref());
        let signature = self.key.sign(&SystemRandom::new(), &signed).expect("a signature");
        json!({
            "id": BASE64URL_NOPAD.encode(&self.id),
            "rawId": BASE64URL_NOPAD.encode(&self.id),
            "type": "public-key",
            "extensions": {},
            "response": {
                "clientDataJSON": BASE64URL_NOPAD.encode(client_data.as_bytes()),
                "authenticatorData": BASE64URL_NOPAD.encode(&data),
                "signature": BASE64URL_NOPAD.encode(signature.as_ref()),
                "userHandle": null,
            },
        })
    }

    /// The same as it stands in a field for codes or behind a credential.
    pub fn inline(&mut self, options: &Value) -> String {
        BASE64URL_NOPAD.encode(self.get(options).to_string().as_bytes())
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        let kind = self.kind.unwrap_or(kind);
        json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false })
            .to_string()
    }

    fn authenticator_data(&mut self, rp: &str, more: u8) -> Vec<u8> {
        let mut data = digest::digest(&digest::SHA256, rp.as_bytes()).as_ref().to_vec();
        data.push(PRESENT | more | if self.verifies { VERIFIED } else { 0 });
        data.extend_from_slice(&self.counter.to_be_bytes());
        self.counter += self.step;
        data
    }

    /// {1: 2, 3: -7, -1: 1, -2: x, -3: y}, in CBOR (RFC 9053, section 7.1).
    fn cose_key(&self) -> Vec<u8> {
        let point = self.key.public_key().as_ref();
        let mut key = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
        key.extend_from_slice(&point[1..33]);
        key.extend_from_slice(&[0x22, 0x58, 0x20]);
        key.extend_from_slice(&point[33..65]);
        key
    }
}

fn uuid_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("random bytes");
    bytes
}
