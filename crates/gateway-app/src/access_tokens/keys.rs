//! The keys of one issuer: read, kept, read again when it is time or when a token names one that is not
//! among them.

use std::sync::Arc;
use std::time::Duration;

use gateway_identity::oidc::Fetch;
use gateway_types::Timestamp;
use http::header::ACCEPT;
use http::{Request, StatusCode};
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::{Signing, TokenFault};

/// How long a set of keys is used before it is read again.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// How much longer one is used while the issuer does not answer.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long an issuer that could not be read is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(10);

/// How long apart keys are read again because a token names one that is not among them.
const AGAIN: Duration = Duration::from_secs(30);

/// The most keys that are taken.
const MOST_KEYS: usize = 100;

/// The smallest RSA modulus, in characters of base64url: 2048 bits.
const SMALLEST_MODULUS: usize = 342;

/// The keys of an issuer.
pub(super) struct Keys {
    issuer: String,
    url: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<Arc<Vec<Jwk>>>,
    read_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    again_at: Option<Timestamp>,
}

/// The part of a discovery document that counts here.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(super) fn new(issuer: &str, url: Option<String>) -> Self {
        Self { issuer: issuer.to_owned(), url, state: Mutex::default() }
    }

    /// Checks a signature.
    pub(super) async fn verify(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        signing: Signing,
        id: Option<&str>,
        signed: &str,
        signature: &str,
    ) -> Result<(), TokenFault> {
        let keys = self.known(fetch, now).await?;
        let found = match chosen(&keys, signing, id) {
            Some(key) => Some(key.clone()),
            None => {
                let again = self.read_again(fetch, now, &keys).await;
                again.and_then(|keys| chosen(&keys, signing, id).cloned())
            }
        };
        let key = found.ok_or(TokenFault::Key)?;
        let key = DecodingKey::from_jwk(&key).map_err(|_| TokenFault::Key)?;
        match crypto::verify(signature, signed.as_bytes(), &key, signing.algorithm()) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(TokenFault::Signature),
        }
    }

    /// The keys. Of many that ask at once one reads, and the others wait for it.
    async fn known(&self, fetch: &dyn Fetch, now: Timestamp) -> Result<Arc<Vec<Jwk>>, TokenFault> {
        let mut state = self.state.lock().await;
        let is_within = |then: Option<Timestamp>, limit| then.is_some_and(|then| within(then, now, limit));
        if let Some(keys) = state.keys.as_ref().filter(|_| is_within(state.read_at, MAX_AGE)) {
            return Ok(Arc::clone(keys));
        }
        let stale = state.keys.clone().filter(|_| is_within(state.read_at, MAX_AGE + STALE));
        if is_within(state.failed_at, LEFT_ALONE) {
            return stale.ok_or(TokenFault::Unavailable);
        }
        match self.read(fetch).await {
            Some(keys) => {
                let keys = Arc::new(keys);
                *state = State { keys: Some(Arc::clone(&keys)), read_at: Some(now), ..State::default() };
                Ok(keys)
            }
            None => {
                state.failed_at = Some(now);
                stale.ok_or(TokenFault::Unavailable)
            }
        }
    }

    /// The keys, read again for one that is not among `known`; `None` when that was tried a moment ago.
    async fn read_again(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        known: &Arc<Vec<Jwk>>,
    ) -> Option<Arc<Vec<Jwk>>> {
        let mut state = self.state.lock().await;
        if state.again_at.is_some_and(|then| within(then, now, AGAIN)) {
            // Somebody else may have read them since.
            return state.keys.clone().filter(|keys| !Arc::ptr_eq(keys, known));
        }
        state.again_at = Some(now);
        let keys = Arc::new(self.read(fetch).await?);
        state.keys = Some(Arc::clone(&keys));
        state.read_at = Some(now);
        Some(keys)
    }

    async fn read(&self, fetch: &dyn Fetch) -> Option<Vec<Jwk>> {
        let read = self.read_set(fetch).await;
        if let Err(reason) = &read {
            tracing::warn!(issuer = %self.issuer, reason, "the keys of an issuer of access tokens cannot be read");
        }
        read.ok()
    }

    async fn read_set(&self, fetch: &dyn Fetch) -> Result<Vec<Jwk>, &'static str> {
        let address = match &self.url {
            Some(url) => url.clone(),
            None => {
                let place = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
                let found: Discovery = self.document(fetch, &place).await?;
                if found.issuer != self.issuer {
                    return Err("the discovery document is of another issuer");
                }
                found.jwks_uri
            }
        };
        // Keys of kinds that are not known here are no error, as a whole set of them would be.
        let set: LenientSet = self.document(fetch, &address).await?;
        if set.keys.len() > MOST_KEYS {
            return Err("there are too many keys");
        }
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        Ok(JwkSet { keys: keys.collect() }.keys)
    }

    async fn document<T: serde::de::DeserializeOwned>(
        &self,
        fetch: &dyn Fetch,
        address: &str,
    ) -> Result<T, &'static str> {
        if !self.permits(address) {
            return Err("the address is neither https nor, for an issuer on this machine, on this machine");
        }
        let request = Request::get(address)
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| "the address is malformed")?;
        let answer = fetch.fetch(request).await.map_err(|_| "there was no answer")?;
        if answer.status() != StatusCode::OK {
            return Err("the answer was not 200");
        }
        serde_json::from_slice(answer.body()).map_err(|_| "the answer is not the document that it should be")
    }

    /// Plain HTTP is for issuers on this machine alone, whose own address says so.
    fn permits(&self, address: &str) -> bool {
        let scheme = |text: &str| Url::parse(text).ok().map(|url| url.scheme().to_owned());
        match scheme(address).as_deref() {
            Some("https") => true,
            // To which hosts plain HTTP goes is the fetcher's rule: loopback only.
            Some("http") => scheme(&self.issuer).as_deref() == Some("http"),
            Some(_) | None => false,
        }
    }
}

/// A set whose keys are looked at one by one.
#[derive(Deserialize)]
struct LenientSet {
    keys: Vec<serde_json::Value>,
}

impl Signing {
    const fn algorithm(self) -> Algorithm {
        match self {
            Signing::Rs256 => Algorithm::RS256,
            Signing::Es256 => Algorithm::ES256,
            Signing::EdDsa => Algorithm::EdDSA,
        }
    }

    /// Whether a key is of the kind, and meant for this.
    fn takes(self, key: &Jwk) -> bool {
        let common = &key.common;
        let named = match self {
            Signing::Rs256 => KeyAlgorithm::RS256,
            Signing::Es256 => KeyAlgorithm::ES256,
            Signing::EdDsa => KeyAlgorithm::EdDSA,
        };
        let is_meant = common.key_algorithm.is_none_or(|algorithm| algorithm == named)
            && common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
            && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let is_kind = match (self, &key.algorithm) {
            (Signing::Rs256, AlgorithmParameters::RSA(key)) => key.n.len() >= SMALLEST_MODULUS,
            (Signing::Es256, AlgorithmParameters::EllipticCurve(key)) => key.curve == EllipticCurve::P256,
            (Signing::EdDsa, AlgorithmParameters::OctetKeyPair(key)) => key.curve == EllipticCurve::Ed25519,
            (Signing::Rs256 | Signing::Es256 | Signing::EdDsa, _) => false,
        };
        is_meant && is_kind
    }
}

/// The key that is meant: by its id, or, for a token without one, the only one that can be.
fn chosen<'a>(keys: &'a [Jwk], signing: Signing, id: Option<&str>) -> Option<&'a Jwk> {
    let mut fitting = keys.iter().filter(|key| signing.takes(key)).filter(|key| match id {
        Some(id) => key.common.key_id.as_deref() == Some(id),
        None => true,
    });
    let first = fitting.next();
    if fitting.next().is_some() { None } else { first }
}

/// Whether `then` is not longer ago than `limit`. After the clock moved back nothing is.
fn within(then: Timestamp, now: Timestamp, limit: Duration) -> bool {
    now.checked_since(then).is_some_and(|age| age < limit)
}
