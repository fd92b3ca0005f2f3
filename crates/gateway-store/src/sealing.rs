//! Long-lived secrets at rest: AES-256-GCM under a key derived from the app secret key. Knows no table.
//!
//! A sealed text is bound to what it belongs to: moved to another row it does not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use data_encoding::{BASE64_NOPAD, HEXLOWER};
use gateway_types::{Entropy, Secret};
use zeroize::Zeroize;

use crate::error::StoreError;
use crate::secrets::{Stamp, sha256};

/// Seals and opens with one key.
pub(crate) struct Sealer {
    key: LessSafeKey,
    key_id: String,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Sealer {
    /// The sealer for this purpose.
    pub(crate) fn new(stamp: &Stamp, purpose: &str) -> Result<Self, StoreError> {
        let key = UnboundKey::new(&AES_256_GCM, stamp.derive_for_sealing(purpose).expose())
            .map_err(|_unspecified| StoreError::Crypto { doing: "the sealing key" })?;
        // A digest of another derived key: it names the key and tells nothing about it.
        let name = sha256(stamp.derive_for_sealing(&format!("{purpose}/key-id")).expose());
        let short: Vec<u8> = name.iter().copied().take(8).collect();
        Ok(Self { key: LessSafeKey::new(key), key_id: HEXLOWER.encode(&short) })
    }

    /// The name of the key that it seals with.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Seals `secret` for `owner`.
    pub(crate) fn seal(
        &self,
        secret: &Secret<Vec<u8>>,
        owner: &str,
        entropy: &dyn Entropy,
    ) -> Result<String, StoreError> {
        let mut nonce = [0u8; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = secret.expose().clone();
        let done = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(owner.as_bytes()),
            &mut sealed,
        );
        if done.is_err() {
            sealed.zeroize();
            return Err(StoreError::Crypto { doing: "sealing" });
        }
        let whole: Vec<u8> = nonce.iter().copied().chain(sealed).collect();
        Ok(BASE64_NOPAD.encode(&whole))
    }

    /// Opens what was sealed for `owner` under the key of this name.
    pub(crate) fn open(
        &self,
        sealed: &str,
        key_id: &str,
        owner: &str,
    ) -> Result<Secret<Vec<u8>>, StoreError> {
        if key_id != self.key_id {
            return Err(StoreError::Corrupt { what: "sealed secret of another key" });
        }
        let corrupt = || StoreError::Corrupt { what: "sealed secret" };
        let whole = BASE64_NOPAD.decode(sealed.as_bytes()).map_err(|_bad| corrupt())?;
        let (nonce, rest) = whole.split_at_checked(NONCE_LEN).ok_or_else(corrupt)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_length| corrupt())?;
        let mut bytes = rest.to_vec();
        let length = self
            .key
            .open_in_place(nonce, Aad::from(owner.as_bytes()), &mut bytes)
            .map_err(|_unspecified| corrupt())?
            .len();
        bytes.truncate(length);
        Ok(Secret::new(bytes))
    }
}

/// Seals many pieces with one key of their own, which whoever has the pieces keeps sealed.
pub(crate) struct PieceSealer {
    key: LessSafeKey,
}

impl fmt::Debug for PieceSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PieceSealer(…)")
    }
}

impl PieceSealer {
    /// The length of a key.
    pub(crate) const KEY_BYTES: usize = 32;

    /// The sealer of this key.
    pub(crate) fn new(key: &Secret<Vec<u8>>) -> Result<Self, StoreError> {
        let key = UnboundKey::new(&AES_256_GCM, key.expose())
            .map_err(|_unspecified| StoreError::Crypto { doing: "the key of a recording" })?;
        Ok(Self { key: LessSafeKey::new(key) })
    }

    /// Seals a piece for its place: a random nonce, then the sealed bytes.
    pub(crate) fn seal(
        &self,
        mut piece: Vec<u8>,
        place: &str,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0u8; NONCE_LEN];
        entropy.fill(&mut nonce);
        let aad = Aad::from(place.as_bytes());
        if self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut piece).is_err() {
            piece.zeroize();
            return Err(StoreError::Crypto { doing: "sealing" });
        }
        Ok(nonce.iter().copied().chain(piece).collect())
    }

    /// Opens what was sealed for this place.
    pub(crate) fn open(&self, sealed: &[u8], place: &str) -> Result<Vec<u8>, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "sealed piece" };
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or_else(corrupt)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_length| corrupt())?;
        let mut bytes = rest.to_vec();
        let length = self
            .key
            .open_in_place(nonce, Aad::from(place.as_bytes()), &mut bytes)
            .map_err(|_unspecified| corrupt())?
            .len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;

    fn sealer(fill: u8) -> Sealer {
        let key = UnboundKey::new(&AES_256_GCM, &[fill; 32]).unwrap();
        Sealer { key: LessSafeKey::new(key), key_id: format!("key{fill}") }
    }

    #[test]
    fn what_was_sealed_opens_for_its_owner_only() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        let sealed = sealer(1).seal(&secret, "factor:a", &OsEntropy).unwrap();
        assert_eq!(sealer(1).open(&sealed, "key1", "factor:a").unwrap(), secret);
        assert_ne!(sealed, sealer(1).seal(&secret, "factor:a", &OsEntropy).unwrap());
        for (key, id, owner) in [(1, "key1", "factor:b"), (2, "key2", "factor:a"), (1, "key2", "factor:a")] {
            assert!(sealer(key).open(&sealed, id, owner).is_err(), "{key} {id} {owner}");
        }
        for damaged in ["", "AAAA", &sealed[1..], &sealed[..sealed.len() - 4], "not base64!"] {
            assert!(sealer(1).open(damaged, "key1", "factor:a").is_err(), "{damaged}");
        }
    }
}
