//! What the store makes out of secrets: digests of credentials, keys derived from the app secret
//! key, and the stamp that ties a database to both. Knows no tables but `gateway`.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use gateway_types::{CredentialDigest, Entropy, GatewayId, Secret, Timestamp};
use sqlx::Row;

use crate::database::Database;
use crate::error::StoreError;
use crate::sealing::Sealer;
use crate::store::{Adoption, RackClaim};

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

/// The digest of a whole credential.
pub(crate) fn credential_digest(credential: &str) -> CredentialDigest {
    let mut bytes = [0u8; 32];
    for (to, from) in bytes.iter_mut().zip(digest(&SHA256, credential.as_bytes()).as_ref()) {
        *to = *from;
    }
    CredentialDigest(bytes)
}

/// How a credential's digest is stored.
pub(crate) fn digest_text(digest: &CredentialDigest) -> String {
    HEXLOWER.encode(&digest.0)
}

/// 32 random bytes as 43 base64url characters: a web session's cookie value, or a key.
pub(crate) fn random_text(entropy: &dyn Entropy) -> Secret<String> {
    let mut random = [0u8; 32];
    entropy.fill(&mut random);
    Secret::new(BASE64URL_NOPAD.encode(&random))
}

struct ThirtyTwo;

impl KeyType for ThirtyTwo {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA256 with the gateway's id as salt and the purpose as info: two gateways that were given
/// the same key by mistake still have different derived keys. Source: RFC 5869.
fn derive(secret: &Secret<String>, gateway: GatewayId, purpose: &str) -> Secret<Vec<u8>> {
    let prk = Salt::new(HKDF_SHA256, gateway.uuid().as_bytes()).extract(secret.expose().as_bytes());
    let info = [purpose.as_bytes()];
    let mut key = vec![0u8; 32];
    if prk.expand(&info, ThirtyTwo).and_then(|okm| okm.fill(&mut key)).is_err() {
        // HKDF fails only for more than 8160 bytes. A key of zeros must never leave this function.
        std::process::abort();
    }
    Secret::new(key)
}

/// What the kept root is sealed with, and for.
pub(crate) const ROOT_KEY: &str = "root-sealing/v1";
pub(crate) const ROOT_OWNER: &str = "gateway:root";

impl Stamp {
    /// 32 bytes for this purpose, the same ones whatever `APP_SECRET_KEY` becomes.
    pub(crate) fn derive(&self, purpose: &str) -> Secret<Vec<u8>> {
        derive(self.root.as_ref().unwrap_or(&self.secret), self.gateway_id, purpose)
    }

    /// 32 bytes to seal with: others once `APP_SECRET_KEY` is another one.
    pub(crate) fn derive_for_sealing(&self, purpose: &str) -> Secret<Vec<u8>> {
        derive(&self.secret, self.gateway_id, purpose)
    }

    /// The same gateway with another key.
    pub(crate) fn with_secret(&self, secret: Secret<String>) -> Stamp {
        let root = self.root.clone().unwrap_or_else(|| self.secret.clone());
        Stamp { gateway_id: self.gateway_id, secret, root: Some(root), own_secret: false }
    }

    /// What is kept, sealed, when the key is exchanged.
    pub(crate) fn root_bytes(&self) -> Secret<Vec<u8>> {
        Secret::new(self.root.as_ref().unwrap_or(&self.secret).expose().as_bytes().to_vec())
    }

    /// As it stands in the database.
    pub(crate) fn key_check(&self) -> String {
        key_check(&self.secret, self.gateway_id)
    }
}

/// What the database is stamped with.
pub(crate) struct Stamp {
    pub(crate) gateway_id: GatewayId,
    secret: Secret<String>,
    /// What else is derived from, when the key was exchanged.
    root: Option<Secret<String>>,
    /// The key was made here and lives in the database.
    pub(crate) own_secret: bool,
}

/// Stamps an unstamped database, then checks that the key given is the one of the stamp.
pub(crate) async fn stamp(
    database: &Database,
    given: Option<Secret<String>>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Stamp, StoreError> {
    let given = given.filter(|key| !key.expose().is_empty());
    if let Some(stamp) = read(database, given.as_ref()).await? {
        return Ok(stamp);
    }
    let gateway_id = GatewayId::new(now, entropy);
    let own = given.is_none().then(|| random_text(entropy));
    let Some(secret) = given.as_ref().or(own.as_ref()) else {
        return Err(StoreError::SecretKeyMissing);
    };
    let check = key_check(secret, gateway_id);
    let turn = database.write_turn().await;
    // Of two instances that start at once one stamps; the other then checks itself against it.
    sqlx::query(
        "INSERT INTO gateway (id, gateway_id, created, key_check, own_secret_key) \
         VALUES (1, $1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
    )
    .bind(gateway_id.to_string())
    .bind(now.micros())
    .bind(check)
    .bind(own.as_ref().map(|key| key.expose().clone()))
    .execute(database.pool())
    .await?;
    drop(turn);
    read(database, given.as_ref()).await?.ok_or(StoreError::Corrupt { what: "gateway stamp" })
}

/// Stamps the database with the rack of this gateway, or checks that it is the one of the stamp; true when it was
/// another one's and was adopted.
pub(crate) async fn claim(database: &Database, claim: &RackClaim) -> Result<bool, StoreError> {
    let rack = sha256_hex(claim.rack.as_bytes());
    let turn = database.write_turn().await;
    // Of two instances that start at once one stamps; the other then checks itself against it.
    let own = sqlx::query("UPDATE gateway SET rack = $1 WHERE id = 1 AND (rack IS NULL OR rack = $1)")
        .bind(rack.clone())
        .execute(database.pool())
        .await?;
    if own.rows_affected() == 1 {
        return Ok(false);
    }
    match claim.adoption {
        Adoption::Refuse => Err(StoreError::OtherRack),
        Adoption::Adopt => {
            sqlx::query("UPDATE gateway SET rack = $1 WHERE id = 1")
                .bind(rack)
                .execute(database.pool())
                .await?;
            drop(turn);
            Ok(true)
        }
    }
}

async fn read(database: &Database, given: Option<&Secret<String>>) -> Result<Option<Stamp>, StoreError> {
    let row =
        sqlx::query("SELECT gateway_id, key_check, own_secret_key, kept_root FROM gateway WHERE id = 1")
            .fetch_optional(database.pool())
            .await?;
    let Some(row) = row else { return Ok(None) };
    let gateway_id: GatewayId =
        row.try_get::<String, _>(0)?.parse().map_err(|_bad| StoreError::Corrupt { what: "gateway id" })?;
    let check: String = row.try_get(1)?;
    let own: Option<String> = row.try_get(2)?;
    let (secret, own_secret) = match (given, own) {
        (Some(given), _) => (given.clone(), false),
        (None, Some(own)) => (Secret::new(own), true),
        (None, None) => return Err(StoreError::SecretKeyMissing),
    };
    if key_check(&secret, gateway_id) != check {
        return Err(StoreError::WrongSecretKey);
    }
    let mut stamp = Stamp { gateway_id, secret, root: None, own_secret };
    if let Some(kept) = row.try_get::<Option<String>, _>(3)? {
        let sealer = Sealer::new(&stamp, ROOT_KEY)?;
        let root = sealer.open(&kept, sealer.key_id(), ROOT_OWNER)?;
        let root =
            std::str::from_utf8(root.expose()).map_err(|_bad| StoreError::Corrupt { what: "kept root" })?;
        stamp.root = Some(Secret::new(root.to_owned()));
    }
    Ok(Some(stamp))
}

/// Whether a key is the one of the gateway that this value was made for.
pub(crate) fn is_key_of(secret: &Secret<String>, gateway: GatewayId, check: &str) -> bool {
    key_check(secret, gateway) == check
}

/// A value that tells whether a key is the right one and nothing else about it.
fn key_check(secret: &Secret<String>, gateway: GatewayId) -> String {
    HEXLOWER.encode(derive(secret, gateway, "key-check/v1").expose())
}
