//! Signing heads: with which key, and how one key follows another.
//!
//! The generation of the key stands in the row of the head and is read with it, so that every instance signs
//! a head with the same key from the moment of the exchange on. The first key is derived; those that follow
//! are random and kept sealed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gateway_audit::{Checkpoint, KeyChain, LogKey, NoteSigner, NoteVerifier, cosign, origin_of};
use gateway_types::{GatewayId, Secret, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::CHECKPOINT_INTERVAL;
use super::chunk::{self, StoredHead, from_column, to_column};
use crate::error::StoreError;
use crate::sealing::Sealer;
use crate::store::Core;

/// What the keys are sealed for.
pub(crate) const SEALING_KEY: &str = "audit-key-sealing/v1";

/// When a checkpoint is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Only if none was stored for [`CHECKPOINT_INTERVAL`].
    AfterInterval,
    /// In any case.
    Now,
}

/// What it takes to sign and publish heads.
pub(super) struct Signing {
    pub(super) core: Arc<Core>,
    gateway_id: GatewayId,
    sealer: Arc<Sealer>,
    first: Arc<NoteSigner>,
    /// Keys that were opened, by generation.
    opened: Mutex<BTreeMap<i64, Arc<NoteSigner>>>,
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing").field("gateway_id", &self.gateway_id).finish_non_exhaustive()
    }
}

impl Signing {
    /// Whose log it is.
    pub(super) const fn gateway_id(&self) -> GatewayId {
        self.gateway_id
    }

    pub(super) fn new(
        core: Arc<Core>,
        gateway_id: GatewayId,
        first: NoteSigner,
        sealer: Arc<Sealer>,
    ) -> Self {
        Self { core, gateway_id, sealer, first: Arc::new(first), opened: Mutex::default() }
    }

    /// The newest key that this process knows.
    pub(super) fn known_verifier(&self) -> NoteVerifier {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.last_key_value().map_or_else(|| self.first.verifier(), |(_, signer)| signer.verifier())
    }

    /// The key of this generation.
    pub(super) async fn signer(&self, generation: i64) -> Result<Arc<NoteSigner>, StoreError> {
        if generation == 0 {
            return Ok(Arc::clone(&self.first));
        }
        if let Some(signer) = self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(&generation) {
            return Ok(Arc::clone(signer));
        }
        let row = sqlx::query("SELECT vkey, sealed, key_id FROM audit_keys WHERE generation = $1")
            .bind(generation)
            .fetch_optional(self.core.database.pool())
            .await?
            .ok_or(StoreError::Corrupt { what: "key of the audit log" })?;
        let (vkey, sealed, key_id): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let seed = self.sealer.open(&sealed, &key_id, &owner(&vkey))?;
        let signer = Arc::new(self.of_seed(&seed)?);
        if signer.verifier().to_string() != vkey {
            return Err(StoreError::Corrupt { what: "key of the audit log" });
        }
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(generation, Arc::clone(&signer));
        Ok(signer)
    }

    fn of_seed(&self, seed: &Secret<Vec<u8>>) -> Result<NoteSigner, StoreError> {
        NoteSigner::from_seed(&origin_of(self.gateway_id), seed)
            .map_err(|_bad| StoreError::Crypto { doing: "the checkpoint signing key" })
    }

    /// Every key, oldest first.
    pub(super) async fn chain(&self) -> Result<KeyChain, StoreError> {
        let mut keys = vec![LogKey { verifier: self.first.verifier(), from: 0, handover: None }];
        let rows = sqlx::query("SELECT vkey, from_size, handover FROM audit_keys ORDER BY generation")
            .fetch_all(self.core.database.pool())
            .await?;
        let corrupt = || StoreError::Corrupt { what: "key of the audit log" };
        for row in rows {
            let vkey: String = row.try_get(0)?;
            keys.push(LogKey {
                verifier: vkey.parse().map_err(|_bad| corrupt())?,
                from: from_column(row.try_get(1)?)?,
                handover: Some(row.try_get(2)?),
            });
        }
        KeyChain::new(keys).map_err(|_broken| corrupt())
    }

    /// Makes a new key that signs from now on, handed over by the one in force.
    pub(super) async fn exchange(&self) -> Result<NoteVerifier, StoreError> {
        let mut seed = vec![0u8; 32];
        self.core.entropy.fill(&mut seed);
        let seed = Secret::new(seed);
        let new = self.of_seed(&seed)?;
        let vkey = new.verifier().to_string();
        let sealed = self.sealer.seal(&seed, &owner(&vkey), &*self.core.entropy)?;
        let now = self.core.clock.now();
        // Known before the lock is taken: under it nothing else may be asked for on SQLite.
        let before = chunk::read_head(&self.core.database).await?;
        let old = self.signer(before.key).await?;
        let mut tx = self.core.database.begin().await?;
        let locked = chunk::lock_head(tx.connection()).await?;
        if locked.key != before.key {
            tx.rollback().await?;
            return Err(StoreError::Conflict);
        }
        let head = locked.frontier.head();
        let handover = cosign(&old, &new, &Checkpoint::new(self.gateway_id, &head, now));
        let generation = locked.key + 1;
        sqlx::query(
            "INSERT INTO audit_keys (generation, vkey, sealed, key_id, from_size, handover, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(generation)
        .bind(vkey)
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(to_column(head.size)?)
        .bind(handover)
        .bind(now.micros())
        .execute(tx.connection())
        .await?;
        sqlx::query("UPDATE audit_head SET key_generation = $1 WHERE id = 1")
            .bind(generation)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(self.signer(generation).await?.verifier())
    }

    pub(super) fn sign(&self, signer: &NoteSigner, head: &gateway_audit::Head, now: Timestamp) -> String {
        signer.sign(&Checkpoint::new(self.gateway_id, head, now))
    }

    /// Signs a committed head, and stores the note when it is due.
    pub(super) async fn publish(&self, stored: &StoredHead, due: Due) -> Result<String, StoreError> {
        let now = self.core.clock.now();
        let note = self.sign(&*self.signer(stored.key).await?, &stored.head, now);
        let interval = i64::try_from(CHECKPOINT_INTERVAL.as_micros()).unwrap_or(i64::MAX);
        let stored_since = match due {
            Due::AfterInterval => now.micros().saturating_sub(interval),
            Due::Now => i64::MAX,
        };
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO audit_checkpoints (size, note, time) SELECT $1, $2, $3 \
             WHERE (SELECT count(*) FROM audit_checkpoints WHERE time > $4) = 0 \
             ON CONFLICT (size) DO NOTHING",
        )
        .bind(to_column(stored.head.size)?)
        .bind(note.clone())
        .bind(now.micros())
        .bind(stored_since)
        .execute(self.core.database.pool())
        .await?;
        Ok(note)
    }
}

fn owner(vkey: &str) -> String {
    format!("audit-key:{vkey}")
}

/// The same of a whole row.
pub(crate) fn owner_of(row: &AnyRow) -> Result<String, StoreError> {
    Ok(owner(&row.try_get::<String, _>("vkey")?))
}
