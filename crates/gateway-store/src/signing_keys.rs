//! Keys that sign request tokens for services: one follows the other, and each is made once. What is signed with
//! them, and when the next one is due, is not known here.

use std::fmt;
use std::sync::Arc;

use gateway_types::{Secret, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::sealing::Sealer;
use crate::store::Core;

/// What the keys are sealed for.
pub(crate) const SEALING_KEY: &str = "signing-key-sealing/v1";

/// A key that signs.
#[derive(Clone)]
pub struct SigningKey {
    /// Which one it is, counted from 1.
    pub generation: i64,
    /// Its name in tokens.
    pub id: String,
    /// The public key, as text.
    pub public: String,
    /// The private key.
    pub private: Secret<Vec<u8>>,
    /// From when on it signs.
    pub active_from: Timestamp,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("generation", &self.generation)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The signing keys of this gateway.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

impl SigningKeys {
    /// Every key, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read, or a key was sealed under another app secret key.
    pub async fn all(&self) -> Result<Vec<SigningKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT generation, id, public, sealed, key_id, active_from FROM signing_keys ORDER BY generation",
        )
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(|row| self.key(row)).collect()
    }

    /// Keeps a key unless there is one of its generation; says whether it was kept. Of any number that are offered
    /// at once, on any number of instances, one is kept.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn keep(&self, new: &SigningKey) -> Result<bool, StoreError> {
        storable("the key's name", &new.id)?;
        storable("the public key", &new.public)?;
        let sealed = self.sealer.seal(&new.private, &owner(&new.id), &*self.core.entropy)?;
        let _turn = self.core.database.write_turn().await;
        let done = sqlx::query(
            "INSERT INTO signing_keys (generation, id, public, sealed, key_id, created, active_from) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (generation) DO NOTHING",
        )
        .bind(new.generation)
        .bind(new.id.clone())
        .bind(new.public.clone())
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(self.core.clock.now().micros())
        .bind(new.active_from.micros())
        .execute(self.core.database.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Forgets a key; one that is not there is no error.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn forget(&self, generation: i64) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query("DELETE FROM signing_keys WHERE generation = $1")
            .bind(generation)
            .execute(self.core.database.pool())
            .await?;
        Ok(())
    }

    fn key(&self, row: &AnyRow) -> Result<SigningKey, StoreError> {
        let id: String = row.try_get("id")?;
        let sealed: String = row.try_get("sealed")?;
        let key_id: String = row.try_get("key_id")?;
        Ok(SigningKey {
            generation: row.try_get("generation")?,
            public: row.try_get("public")?,
            private: self.sealer.open(&sealed, &key_id, &owner(&id))?,
            active_from: moment(row, "active_from")?,
            id,
        })
    }
}

fn owner(id: &str) -> String {
    format!("signing-key:{id}")
}

/// The same of a whole row.
pub(crate) fn owner_of(row: &AnyRow) -> Result<String, StoreError> {
    Ok(owner(&row.try_get::<String, _>("id")?))
}
