//! A passkey's signature over a statement, as anybody can check it again: with the public key, and without the
//! gateway.
//!
//! Source: W3C Web Authentication, level 2, sections 6.1 (authenticator data) and 7.2 (verifying an assertion);
//! RFC 7517 and RFC 8037 for the form of keys.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::statement;

/// The bit of the authenticator data's flags that says somebody was there.
const USER_PRESENT: u8 = 1;

/// The bit that says it was checked who.
const USER_VERIFIED: u8 = 1 << 2;

/// A passkey's public key, as a JSON Web Key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kty", deny_unknown_fields)]
pub enum PublicKey {
    /// A key on an elliptic curve: `P-256` with SHA-256, `P-384` with SHA-384.
    #[serde(rename = "EC")]
    Ec {
        /// The curve's name.
        crv: String,
        /// The point's first coordinate, base64url.
        x: String,
        /// The point's second coordinate, base64url.
        y: String,
    },
    /// An Edwards key: `Ed25519`.
    #[serde(rename = "OKP")]
    Okp {
        /// The curve's name.
        crv: String,
        /// The key, base64url.
        x: String,
    },
    /// An RSA key, for PKCS #1 signatures with SHA-256.
    #[serde(rename = "RSA")]
    Rsa {
        /// The modulus, base64url.
        n: String,
        /// The exponent, base64url.
        e: String,
    },
}

/// What a passkey answered, with the key that it can be checked with. All byte strings are base64url without padding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The id that the key gave itself.
    pub credential: String,
    /// The key.
    pub key: PublicKey,
    /// The host that the key was asked at.
    pub rp_id: String,
    /// What the key says of itself and of its person.
    pub authenticator_data: String,
    /// What the browser says that it asked.
    pub client_data: String,
    /// The signature over both.
    pub signature: String,
}

/// Why a proof shows nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofFault {
    /// Not base64url, or not of its form.
    #[error("the {part} of the proof cannot be read")]
    Unreadable {
        /// Which part.
        part: &'static str,
    },
    /// It signs another statement.
    #[error("the passkey signed something else than this statement")]
    OtherStatement,
    /// It is no answer to a question but the making of a key.
    #[error("the passkey was not asked to confirm anything")]
    NotAnAssertion,
    /// It was made for another host.
    #[error("the passkey was asked at another host than {rp_id}")]
    OtherHost {
        /// The host that the proof names.
        rp_id: String,
    },
    /// The key did not check who holds it.
    #[error("the passkey did not check who held it")]
    NotVerified,
    /// A kind of key that is not known here.
    #[error("keys on the curve {curve} are not known here")]
    UnknownCurve {
        /// Its name.
        curve: String,
    },
    /// The signature is not of this key.
    #[error("the signature is not of this key")]
    Signature,
}

#[derive(Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
}

impl Proof {
    /// Whether the key signed exactly this statement, given as the text that was kept.
    ///
    /// # Errors
    /// [`ProofFault`]: the first thing that is not right.
    pub fn verify(&self, statement: &str) -> Result<(), ProofFault> {
        let client_data = decoded("client data", &self.client_data)?;
        let asked: ClientData = serde_json::from_slice(&client_data)
            .map_err(|_bad| ProofFault::Unreadable { part: "client data" })?;
        if asked.kind != "webauthn.get" {
            return Err(ProofFault::NotAnAssertion);
        }
        if decoded("challenge", &asked.challenge)? != statement::challenge(statement) {
            return Err(ProofFault::OtherStatement);
        }
        let data = decoded("authenticator data", &self.authenticator_data)?;
        let (Some(host), Some(flags)) = (data.get(..32), data.get(32)) else {
            return Err(ProofFault::Unreadable { part: "authenticator data" });
        };
        if host != digest::digest(&digest::SHA256, self.rp_id.as_bytes()).as_ref() {
            return Err(ProofFault::OtherHost { rp_id: self.rp_id.clone() });
        }
        if flags & USER_PRESENT == 0 || flags & USER_VERIFIED == 0 {
            return Err(ProofFault::NotVerified);
        }
        let mut signed = data;
        signed.extend_from_slice(digest::digest(&digest::SHA256, &client_data).as_ref());
        self.key.verify(&signed, &decoded("signature", &self.signature)?)
    }
}

impl PublicKey {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), ProofFault> {
        let check = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key)
                .verify(message, signature)
                .map_err(|_wrong| ProofFault::Signature)
        };
        match self {
            PublicKey::Ec { crv, x, y } => {
                let (algorithm, width): (&'static dyn signature::VerificationAlgorithm, usize) =
                    match crv.as_str() {
                        "P-256" => (&ECDSA_P256_SHA256_ASN1, 32),
                        "P-384" => (&ECDSA_P384_SHA384_ASN1, 48),
                        _ => return Err(ProofFault::UnknownCurve { curve: crv.clone() }),
                    };
                let (x, y) = (decoded("key", x)?, decoded("key", y)?);
                if x.len() != width || y.len() != width {
                    return Err(ProofFault::Unreadable { part: "key" });
                }
                // SEC 1, section 2.3.3: an uncompressed point.
                let mut point = vec![4];
                point.extend_from_slice(&x);
                point.extend_from_slice(&y);
                check(algorithm, &point)
            }
            PublicKey::Okp { crv, x } if crv == "Ed25519" => check(&ED25519, &decoded("key", x)?),
            PublicKey::Okp { crv, .. } => Err(ProofFault::UnknownCurve { curve: crv.clone() }),
            PublicKey::Rsa { n, e } => {
                let (n, e) = (decoded("key", n)?, decoded("key", e)?);
                RsaPublicKeyComponents { n: &n, e: &e }
                    .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                    .map_err(|_wrong| ProofFault::Signature)
            }
        }
    }
}

fn decoded(part: &'static str, text: &str) -> Result<Vec<u8>, ProofFault> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_bad| ProofFault::Unreadable { part })
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

    use super::{BASE64URL_NOPAD, Proof, ProofFault, PublicKey, digest};
    use crate::statement::challenge;

    fn encode(bytes: &[u8]) -> String {
        BASE64URL_NOPAD.encode(bytes)
    }

    fn asked(statement: &str, kind: &str, flags: u8) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let client_data = format!(
            r#"{{"type":"{kind}","challenge":"{}","origin":"https://gw.example"}}"#,
            encode(&challenge(statement))
        );
        let mut data = digest::digest(&digest::SHA256, b"gw.example").as_ref().to_vec();
        data.push(flags);
        data.extend([0, 0, 0, 1]);
        let mut signed = data.clone();
        signed.extend_from_slice(digest::digest(&digest::SHA256, client_data.as_bytes()).as_ref());
        (client_data.into_bytes(), data, signed)
    }

    /// What a passkey on P-256 answers when it is asked to sign `statement`.
    pub(crate) fn signed(statement: &str) -> Proof {
        made(statement, "webauthn.get", 5)
    }

    fn made(statement: &str, kind: &str, flags: u8) -> Proof {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
        let (client_data, data, signed) = asked(statement, kind, flags);
        let point = pair.public_key().as_ref().to_vec();
        Proof {
            credential: "key".to_owned(),
            key: PublicKey::Ec { crv: "P-256".to_owned(), x: encode(&point[1..33]), y: encode(&point[33..]) },
            rp_id: "gw.example".to_owned(),
            authenticator_data: encode(&data),
            client_data: encode(&client_data),
            signature: encode(pair.sign(&random, &signed).unwrap().as_ref()),
        }
    }

    #[test]
    fn a_signature_is_good_for_its_statement_alone() {
        let proof = signed("this");
        assert_eq!(proof.verify("this"), Ok(()));
        assert_eq!(proof.verify("that"), Err(ProofFault::OtherStatement));
    }

    #[test]
    fn an_edwards_key_signs_too() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let (client_data, data, signed) = asked("this", "webauthn.get", 5);
        let proof = Proof {
            credential: "key".to_owned(),
            key: PublicKey::Okp { crv: "Ed25519".to_owned(), x: encode(pair.public_key().as_ref()) },
            rp_id: "gw.example".to_owned(),
            authenticator_data: encode(&data),
            client_data: encode(&client_data),
            signature: encode(pair.sign(&signed).as_ref()),
        };
        assert_eq!(proof.verify("this"), Ok(()));
    }

    #[test]
    fn whatever_is_changed_shows() {
        let other = signed("this");
        type Change = fn(&mut Proof, &Proof);
        let cases: [(Change, ProofFault); 8] = [
            (|p, o| p.key = o.key.clone(), ProofFault::Signature),
            (|p, o| p.signature = o.signature.clone(), ProofFault::Signature),
            (
                |p, _| p.rp_id = "evil.example".to_owned(),
                ProofFault::OtherHost { rp_id: "evil.example".to_owned() },
            ),
            (|p, _| p.signature.clear(), ProofFault::Signature),
            (|p, _| p.signature.push('='), ProofFault::Unreadable { part: "signature" }),
            (|p, _| p.authenticator_data.truncate(8), ProofFault::Unreadable { part: "authenticator data" }),
            (|p, _| p.client_data = "e30".to_owned(), ProofFault::Unreadable { part: "client data" }),
            (
                |p, _| {
                    p.key = PublicKey::Ec { crv: "P-521".to_owned(), x: String::new(), y: String::new() };
                },
                ProofFault::UnknownCurve { curve: "P-521".to_owned() },
            ),
        ];
        for (change, fault) in cases {
            let mut proof = signed("this");
            change(&mut proof, &other);
            assert_eq!(proof.verify("this"), Err(fault));
        }
    }

    #[test]
    fn a_key_that_checked_nobody_or_was_only_made_shows_nothing() {
        assert_eq!(made("this", "webauthn.get", 1).verify("this"), Err(ProofFault::NotVerified));
        assert_eq!(made("this", "webauthn.get", 4).verify("this"), Err(ProofFault::NotVerified));
        assert_eq!(made("this", "webauthn.create", 5).verify("this"), Err(ProofFault::NotAnAssertion));
    }

    #[test]
    fn a_proof_is_read_as_it_is_written() {
        let proof = signed("this");
        let written = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<Proof>(&written).unwrap(), proof);
    }
}
