//! The gateway's public keys.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};

/// The most keys that are taken.
const MOST: usize = 64;

/// Why a list of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is no JWKS (RFC 7517).
    #[error("the list of keys is no JWKS")]
    Malformed(#[from] serde_json::Error),
    /// A key cannot be used.
    #[error("a key of the list cannot be used")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// More keys than any gateway has.
    #[error("the list has more than {MOST} keys")]
    TooMany,
}

/// What a key signs with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signs {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA over P-256 with SHA-256 (RFC 7518, section 3.4).
    Es256,
}

impl Signs {
    /// Its name in tokens.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Signs::EdDsa => "EdDSA",
            Signs::Es256 => "ES256",
        }
    }

    pub(crate) const fn algorithm(self) -> Algorithm {
        match self {
            Signs::EdDsa => Algorithm::EdDSA,
            Signs::Es256 => Algorithm::ES256,
        }
    }
}

/// The gateway's public keys; clones share them.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<HashMap<String, (Signs, DecodingKey)>>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(keys.keys()).finish()
    }
}

impl Keys {
    /// The keys of a JWKS document, such as the gateway's `/.well-known/jwks.json`.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn from_jwks(json: &str) -> Result<Self, KeysError> {
        Ok(Self(Arc::new(RwLock::new(parse(json)?))))
    }

    /// Takes these keys instead of those from before, for all clones.
    ///
    /// # Errors
    /// [`KeysError`]; the keys from before stay.
    pub fn replace(&self, json: &str) -> Result<(), KeysError> {
        let keys = parse(json)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Whether there are none, as at a gateway that has signed nothing yet.
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The key of this name and what it signs with.
    pub(crate) fn find(&self, id: &str) -> Option<(Signs, DecodingKey)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// Keys without a name, and of other kinds than the gateway has, are left out: a token can name none of them.
fn parse(json: &str) -> Result<HashMap<String, (Signs, DecodingKey)>, KeysError> {
    let set: JwkSet = serde_json::from_str(json)?;
    if set.keys.len() > MOST {
        return Err(KeysError::TooMany);
    }
    let mut keys = HashMap::new();
    for jwk in &set.keys {
        if let (Some(id), Some(signs)) = (&jwk.common.key_id, signs(jwk)) {
            keys.insert(id.clone(), (signs, DecodingKey::from_jwk(jwk)?));
        }
    }
    Ok(keys)
}

/// What a key signs with: decided by the key, and never by a token.
fn signs(jwk: &Jwk) -> Option<Signs> {
    if let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm {
        return (pair.curve == EllipticCurve::Ed25519).then_some(Signs::EdDsa);
    }
    if let AlgorithmParameters::EllipticCurve(point) = &jwk.algorithm {
        return (point.curve == EllipticCurve::P256).then_some(Signs::Es256);
    }
    None
}
