//! The keys that request tokens for services are signed with: made, published before they sign, and kept until the
//! last token of theirs has expired. Does not know what a token says.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use gateway_audit::Event;
use gateway_store::{SigningKey, Store};
use gateway_types::{Clock, Entropy, EventId, Secret, Timestamp};

use crate::error::AppError;
use crate::record;

/// How long a key signs.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long a key is published before it signs: longer than anybody keeps the list.
const LEAD: Duration = Duration::from_secs(24 * 3600);

/// How long a key is published after the next one has taken over: longer than any token of its lives.
const AFTERLIFE: Duration = Duration::from_secs(3600);

/// What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The keys of this gateway, remembered.
#[derive(Debug)]
pub struct SigningKeys {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    known: ArcSwapOption<Vec<Signer>>,
    turn: tokio::sync::Mutex<()>,
}

/// A key that may sign.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Its name in tokens, `kid`: the thumbprint of the key (RFC 7638).
    pub id: String,
    /// From when on it signs.
    pub active_from: Timestamp,
    /// The private key as PKCS #8.
    pub pkcs8: Secret<Vec<u8>>,
}

impl SigningKeys {
    /// The keys in this store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, clock, entropy, known: ArcSwapOption::empty(), turn: tokio::sync::Mutex::new(()) }
    }

    /// The key that signs now. The first one is made when it is first asked for.
    ///
    /// # Errors
    /// When there is none yet and the store cannot be read or written.
    pub async fn current(&self) -> Result<Signer, AppError> {
        if let Some(signer) = self.remembered() {
            return Ok(signer);
        }
        self.keep_up().await?;
        self.remembered().ok_or(AppError::Store(gateway_store::StoreError::NotFound))
    }

    fn remembered(&self) -> Option<Signer> {
        let known = self.known.load();
        let now = self.clock.now();
        let keys = known.as_ref()?;
        keys.iter().rev().find(|key| key.active_from <= now).or(keys.first()).cloned()
    }

    /// Reads the keys again, makes the next one when it is due, and forgets those that nothing is signed with any
    /// more. Called each minute by whoever signs.
    ///
    /// # Errors
    /// When the store cannot be read or written; what is remembered holds.
    pub async fn keep_up(&self) -> Result<(), AppError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        let mut keys = self.store.signing_keys().all().await?;
        let plan = plan(&keys, now);
        if let Some((generation, active_from)) = plan.make {
            let key = make(generation, active_from, &*self.entropy)?;
            self.record("gateway:signing-key:make", &key).await?;
            self.store.signing_keys().keep(&key).await?;
        }
        for generation in &plan.forget {
            if let Some(key) = keys.iter().find(|key| key.generation == *generation) {
                self.record("gateway:signing-key:forget", key).await?;
                self.store.signing_keys().forget(*generation).await?;
            }
        }
        if plan.make.is_some() || !plan.forget.is_empty() {
            keys = self.store.signing_keys().all().await?;
        }
        self.known.store(Some(Arc::new(keys.iter().map(signer).collect())));
        Ok(())
    }

    async fn record(&self, action: &str, key: &SigningKey) -> Result<(), AppError> {
        let now = self.clock.now();
        let mut event = Event::of_system(now, EventId::new(now, &*self.entropy), action);
        event.parameters.insert("key".to_owned(), key.id.clone());
        event.parameters.insert("active_from".to_owned(), key.active_from.to_rfc3339());
        record(&self.store, event).await
    }
}

/// The public keys, as services read them (RFC 7517): those that sign, that will, and that did a moment ago. `issuer`
/// stands beside them, so that nobody has to guess what tokens name as theirs.
///
/// # Errors
/// When the store cannot be read.
pub async fn published(store: &Store, issuer: &str) -> Result<serde_json::Value, AppError> {
    let keys = store.signing_keys().all().await?;
    let keys: Vec<serde_json::Value> = keys
        .iter()
        .map(|key| {
            serde_json::json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": key.public,
                "kid": key.id,
                "alg": "EdDSA",
                "use": "sig",
            })
        })
        .collect();
    Ok(serde_json::json!({ "issuer": issuer, "keys": keys }))
}

/// What is due.
#[derive(PartialEq, Eq, Debug)]
struct Plan {
    /// Generation, and from when on it signs.
    make: Option<(i64, Timestamp)>,
    forget: Vec<i64>,
}

/// `keys` oldest first.
fn plan(keys: &[SigningKey], now: Timestamp) -> Plan {
    let make = match keys.last() {
        None => Some((1, now)),
        Some(newest) => {
            let end = newest.active_from.saturating_add(LIFETIME);
            let is_due = now.saturating_add(LEAD) >= end;
            is_due.then(|| (newest.generation + 1, end.max(now.saturating_add(LEAD))))
        }
    };
    let forget = keys
        .iter()
        .zip(keys.iter().skip(1))
        .filter(|(_, next)| next.active_from.saturating_add(AFTERLIFE) <= now)
        .map(|(key, _)| key.generation)
        .collect();
    Plan { make, forget }
}

fn make(generation: i64, active_from: Timestamp, entropy: &dyn Entropy) -> Result<SigningKey, AppError> {
    let mut seed = vec![0u8; 32];
    entropy.fill(&mut seed);
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_rejected| AppError::SigningKey)?;
    let public = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
    let thumbprint = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{public}"}}"#);
    let id = BASE64URL_NOPAD.encode(digest(&SHA256, thumbprint.as_bytes()).as_ref());
    Ok(SigningKey { generation, id, public, private: Secret::new(seed), active_from })
}

fn signer(key: &SigningKey) -> Signer {
    let pkcs8 = PKCS8_HEAD.iter().chain(key.private.expose()).copied().collect();
    Signer { id: key.id.clone(), active_from: key.active_from, pkcs8: Secret::new(pkcs8) }
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;

    const DAY: i64 = 24 * 3600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn key(generation: i64, active_from: i64) -> SigningKey {
        make(generation, at(active_from), &OsEntropy).unwrap()
    }

    #[test]
    fn the_next_key_is_published_a_day_before_it_signs() {
        let check = |keys: &[(i64, i64)], now: i64, make: Option<(i64, i64)>, forget: &[i64]| {
            let keys: Vec<_> = keys.iter().map(|(generation, from)| key(*generation, *from)).collect();
            let make = make.map(|(generation, from)| (generation, at(from)));
            assert_eq!(plan(&keys, at(now)), Plan { make, forget: forget.to_vec() }, "{now}");
        };
        check(&[], 100, Some((1, 100)), &[]);
        check(&[(1, 0)], 28 * DAY, None, &[]);
        check(&[(1, 0)], 29 * DAY, Some((2, 30 * DAY)), &[]);
        check(&[(1, 0)], 90 * DAY, Some((2, 91 * DAY)), &[]);
        check(&[(1, 0), (2, 30 * DAY)], 30 * DAY, None, &[]);
        check(&[(1, 0), (2, 30 * DAY)], 30 * DAY + 3599, None, &[]);
        check(&[(1, 0), (2, 30 * DAY)], 30 * DAY + 3600, None, &[1]);
    }

    #[test]
    fn a_key_can_be_used_to_sign() {
        let key = key(1, 0);
        let pair = Ed25519KeyPair::from_pkcs8(signer(&key).pkcs8.expose()).unwrap();
        assert_eq!(BASE64URL_NOPAD.encode(pair.public_key().as_ref()), key.public);
        assert_eq!(key.id.len(), 43);
    }
}
