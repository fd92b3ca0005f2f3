//! Where the root's key is while nobody needs it: sealed, by a [`Custody`]. The one that is here takes a passphrase;
//! a KMS or a PKCS #11 token would be another.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use data_encoding::BASE64;
use gateway_types::{Entropy, Secret};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::error::PkiError;

/// How many characters a passphrase has at least.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// The most that opening may be made to cost by what was sealed: 1 GiB, and 16 passes.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 16;

/// Seals and opens secrets. `purpose` is bound in: what was sealed for one does not open for another.
pub trait Custody: fmt::Debug + Send + Sync {
    /// Seals.
    ///
    /// # Errors
    /// [`PkiError`].
    fn seal(
        &self,
        secret: &Secret<Vec<u8>>,
        purpose: &str,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, PkiError>;

    /// Opens.
    ///
    /// # Errors
    /// [`PkiError::NotOpened`].
    fn open(&self, sealed: &Sealed, purpose: &str) -> Result<Secret<Vec<u8>>, PkiError>;
}

/// A sealed secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// By what: `argon2id-aes-256-gcm`.
    pub by: String,
    /// Memory of the derivation, in KiB.
    pub memory_kib: u32,
    /// Passes of the derivation.
    pub passes: u32,
    /// Salt of the derivation, base64.
    pub salt: String,
    /// Nonce and sealed secret, base64.
    pub sealed: String,
}

/// What deriving a key costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
}

impl Default for Cost {
    /// RFC 9106, section 4, second choice, with the memory of one gateway in mind: 64 MiB, 3 passes.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3 }
    }
}

/// Custody by a passphrase: Argon2id (RFC 9106), then AES-256-GCM.
#[derive(Clone, Debug)]
pub struct Passphrase {
    passphrase: Secret<String>,
    cost: Cost,
}

const BY_PASSPHRASE: &str = "argon2id-aes-256-gcm";

impl Passphrase {
    /// With this passphrase.
    ///
    /// # Errors
    /// [`PkiError::ShortPassphrase`].
    pub fn new(passphrase: Secret<String>, cost: Cost) -> Result<Self, PkiError> {
        if passphrase.expose().chars().count() < SHORTEST_PASSPHRASE {
            return Err(PkiError::ShortPassphrase { least: SHORTEST_PASSPHRASE });
        }
        Ok(Self { passphrase, cost })
    }

    fn key(&self, salt: &[u8], cost: Cost) -> Result<LessSafeKey, PkiError> {
        let params =
            Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(|_bad| PkiError::SealedForm)?;
        let mut key = Zeroizing::new([0u8; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.passphrase.expose().as_bytes(), salt, &mut *key)
            .map_err(|_bad| PkiError::SealedForm)?;
        let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_unspecified| PkiError::Crypto)?;
        Ok(LessSafeKey::new(key))
    }
}

impl Custody for Passphrase {
    fn seal(
        &self,
        secret: &Secret<Vec<u8>>,
        purpose: &str,
        entropy: &dyn Entropy,
    ) -> Result<Sealed, PkiError> {
        let (mut salt, mut nonce) = ([0u8; 16], [0u8; NONCE_LEN]);
        entropy.fill(&mut salt);
        entropy.fill(&mut nonce);
        let mut bytes = secret.expose().clone();
        let key = self.key(&salt, self.cost)?;
        let done = key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(purpose.as_bytes()),
            &mut bytes,
        );
        if done.is_err() {
            bytes.zeroize();
            return Err(PkiError::Crypto);
        }
        let whole: Vec<u8> = nonce.iter().copied().chain(bytes).collect();
        Ok(Sealed {
            by: BY_PASSPHRASE.to_owned(),
            memory_kib: self.cost.memory_kib,
            passes: self.cost.passes,
            salt: BASE64.encode(&salt),
            sealed: BASE64.encode(&whole),
        })
    }

    fn open(&self, sealed: &Sealed, purpose: &str) -> Result<Secret<Vec<u8>>, PkiError> {
        let is_known = sealed.by == BY_PASSPHRASE
            && sealed.memory_kib <= MOST_MEMORY_KIB
            && sealed.passes <= MOST_PASSES;
        if !is_known {
            return Err(PkiError::SealedForm);
        }
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_bad| PkiError::SealedForm);
        let (salt, whole) = (decode(&sealed.salt)?, decode(&sealed.sealed)?);
        let (nonce, rest) = whole.split_at_checked(NONCE_LEN).ok_or(PkiError::SealedForm)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_length| PkiError::SealedForm)?;
        let cost = Cost { memory_kib: sealed.memory_kib, passes: sealed.passes };
        let key = self.key(&salt, cost)?;
        let mut bytes = rest.to_vec();
        let length = key
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut bytes)
            .map_err(|_unspecified| PkiError::NotOpened)?
            .len();
        bytes.truncate(length);
        Ok(Secret::new(bytes))
    }
}
