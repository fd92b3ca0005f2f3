//! Keys that sign tokens, and tokens of any shape.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// A key that signs.
pub(super) enum TestKey {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl TestKey {
    /// The same RSA key for all tests: making one takes long.
    pub(super) fn rsa() -> &'static TestKey {
        static KEY: OnceLock<TestKey> = OnceLock::new();
        KEY.get_or_init(|| TestKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// Another RSA key.
    pub(super) fn other_rsa() -> &'static TestKey {
        static KEY: OnceLock<TestKey> = OnceLock::new();
        KEY.get_or_init(|| TestKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(super) fn ec() -> TestKey {
        TestKey::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn ed() -> TestKey {
        TestKey::Ed(Ed25519KeyPair::generate().unwrap())
    }

    /// The public half as a JSON Web Key.
    pub(super) fn jwk(&self, kid: Option<&str>) -> Value {
        let mut jwk = match self {
            // The DER form of a 2048-bit key with exponent 65537 has its modulus at a fixed place.
            TestKey::Rsa(key) => {
                let modulus = &key.public_key().as_ref()[9..265];
                json!({"kty": "RSA", "use": "sig", "n": BASE64URL_NOPAD.encode(modulus), "e": "AQAB"})
            }
            TestKey::Ec(key) => {
                let point = key.public_key().as_ref();
                let (x, y) = (BASE64URL_NOPAD.encode(&point[1..33]), BASE64URL_NOPAD.encode(&point[33..65]));
                json!({"kty": "EC", "use": "sig", "crv": "P-256", "x": x, "y": y})
            }
            TestKey::Ed(key) => {
                let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
                json!({"kty": "OKP", "use": "sig", "crv": "Ed25519", "x": x})
            }
        };
        if let Some(kid) = kid {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            TestKey::Rsa(key) => {
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            TestKey::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            TestKey::Ed(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of this header and this text of claims.
    pub(super) fn token(&self, header: &Value, claims: &str) -> String {
        let algorithm = header["alg"].as_str().unwrap_or_default();
        let message = message(header, claims);
        let signature = self.sign(algorithm, message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

/// The part of a token that is signed.
pub(super) fn message(header: &Value, claims: &str) -> String {
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    format!("{}.{}", encode(&header.to_string()), encode(claims))
}
