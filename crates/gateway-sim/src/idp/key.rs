//! The provider's key, and tokens signed with it.

use std::fmt;
use std::io;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// What the DER form of a public key of 2048 bits starts with: the headers of the pair and of the modulus,
/// whose 256 bytes follow. Source: RFC 8017, appendix A.1.1.
const MODULUS_FOLLOWS: [u8; 9] = [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];

/// 65537, as a JSON Web Key writes it.
const EXPONENT: &str = "AQAB";

/// An RSA key of 2048 bits.
pub(super) struct SigningKey {
    number: u32,
    pair: KeyPair,
    modulus: Vec<u8>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.number).finish()
    }
}

impl SigningKey {
    pub(super) fn generate(number: u32) -> io::Result<Self> {
        let failed = || io::Error::other("no RSA key can be made");
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed())?;
        let der = pair.public_key().as_ref();
        let modulus =
            der.strip_prefix(&MODULUS_FOLLOWS).and_then(|rest| rest.get(..256)).ok_or_else(failed)?;
        Ok(Self { number, modulus: modulus.to_vec(), pair })
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn id(&self) -> String {
        format!("dev-{}", self.number)
    }

    /// The public half. Source: RFC 7517; RFC 7518, section 6.3.
    pub(super) fn jwk(&self) -> Value {
        let modulus = BASE64URL_NOPAD.encode(&self.modulus);
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id(), "n": modulus, "e": EXPONENT})
    }

    /// Another key that nobody has the private half of, under the same id.
    pub(super) fn double(&self) -> Value {
        let mut modulus = self.modulus.clone();
        if let Some(byte) = modulus.last_mut() {
            *byte ^= 2;
        }
        let mut jwk = self.jwk();
        if let Some(fields) = jwk.as_object_mut() {
            fields.insert("n".to_owned(), BASE64URL_NOPAD.encode(&modulus).into());
        }
        jwk
    }

    /// RS256. Source: RFC 7518, section 3.3.
    pub(super) fn sign(&self, message: &str) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        match self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature) {
            Ok(()) => signature,
            // Without a signature the token is refused by whoever verifies it.
            Err(_) => Vec::new(),
        }
    }
}

/// HS256 under a shared secret, which no relying party may accept here.
pub(super) fn hs256(secret: &str, message: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

/// The signed part of a token. Source: RFC 7515, section 3.1.
pub(super) fn message(header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    format!("{}.{}", encode(header), encode(claims))
}

/// The whole token.
pub(super) fn compact(message: &str, signature: &[u8]) -> String {
    format!("{message}.{}", BASE64URL_NOPAD.encode(signature))
}
