//! Second factors of people: authenticators, keys and backup codes. Seeds are sealed, backup codes are keyed
//! digests. Whether a code is right is not decided here; that it is spent once is, see [`crate::step_ups`].

use std::str::FromStr;
use std::sync::Arc;

use gateway_types::{FactorId, Secret, SessionId, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::database::WriteTx;
use crate::error::StoreError;
use crate::provider_sessions::end_all_of;
use crate::row::{moment, optional_moment, parsed, storable};
use crate::sealing::Sealer;
use crate::sessions::end_others;
use crate::store::Core;
use crate::trusted_devices::forget;

/// What the key of sealed seeds is derived for.
pub(crate) const SEALING_KEY: &str = "factor-sealing/v1";

/// The most factors of one person, of all kinds together.
pub const MOST_FACTORS: i64 = 10;

/// `last_step` of an authenticator whose codes are all unspent: before every step there is.
const NO_STEP: i64 = -1;

/// What kind of thing a factor is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FactorKind {
    /// An authenticator that shows one-time codes.
    Totp,
    /// A passkey or security key.
    Webauthn,
    /// A key that types one-time passwords of Yubico's kind.
    Yubico,
}

impl FactorKind {
    /// All of them.
    pub const ALL: [FactorKind; 3] = [FactorKind::Totp, FactorKind::Webauthn, FactorKind::Yubico];

    /// The name in the store, in paths and in events.
    pub const fn name(self) -> &'static str {
        match self {
            FactorKind::Totp => "totp",
            FactorKind::Webauthn => "webauthn",
            FactorKind::Yubico => "yubico",
        }
    }
}

/// The text names no kind of factor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no kind of factor is called so")]
pub struct NotAKind;

impl FromStr for FactorKind {
    type Err = NotAKind;

    fn from_str(text: &str) -> Result<Self, NotAKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(NotAKind)
    }
}

/// A key that was shown to work, and counts at once.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// Which kind.
    pub kind: FactorKind,
    /// What its owner calls it.
    pub name: &'a str,
    /// How it names itself.
    pub credential: &'a str,
    /// What its answers are checked with.
    pub material: &'a Secret<Vec<u8>>,
    /// Its counter.
    pub counter: i64,
}

/// A key that counts, with what its answers are checked with.
#[derive(Clone, Debug)]
pub struct KeptKey {
    /// Its row.
    pub factor: Factor,
    /// How it names itself.
    pub credential: String,
    /// What its answers are checked with.
    pub material: Secret<Vec<u8>>,
}

/// What is kept of a key, sealed for its row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedKey {
    pub(crate) sealed: String,
    pub(crate) key_id: String,
}

/// A factor's row, without its seed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Factor {
    /// The row.
    pub id: FactorId,
    /// Which kind.
    pub kind: FactorKind,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When its owner showed that it works; until then it counts for nothing.
    pub confirmed: Option<Timestamp>,
    /// When a code of it was last spent.
    pub last_used: Option<Timestamp>,
}

/// Whether a person still has an authenticator that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remaining {
    /// At least one.
    Some,
    /// None: nothing can be confirmed any more.
    None,
}

/// The second factors of this gateway.
#[derive(Clone, Debug)]
pub struct Factors {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

impl Factors {
    /// Adds an authenticator that is not confirmed yet, in place of one that its owner never confirmed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person, [`StoreError::Conflict`] when they have
    /// [`MOST_FACTORS`] already.
    pub async fn create_totp(
        &self,
        user: UserId,
        name: &str,
        seed: &Secret<Vec<u8>>,
    ) -> Result<Factor, StoreError> {
        storable("the factor's name", name)?;
        let now = self.core.clock.now();
        let id = FactorId::new(now, &*self.core.entropy);
        let sealed = self.sealer.seal(seed, &owner(FactorKind::Totp, id, user), &*self.core.entropy)?;
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM factors WHERE user_id = $1 AND confirmed IS NULL")
            .bind(user.to_string())
            .execute(tx.connection())
            .await?;
        let inserted = sqlx::query(
            "INSERT INTO factors (id, user_id, kind, name, sealed, key_id, created, last_step) \
             SELECT $1, users.id, 'totp', $3, $4, $5, $6, $7 FROM users WHERE users.id = $2 \
             AND (SELECT count(*) FROM factors AS other WHERE other.user_id = $2) < $8",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .bind(name.to_owned())
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(now.micros())
        .bind(NO_STEP)
        .bind(MOST_FACTORS)
        .execute(tx.connection())
        .await?;
        if inserted.rows_affected() == 0 {
            let known = sqlx::query("SELECT id FROM users WHERE id = $1")
                .bind(user.to_string())
                .fetch_optional(tx.connection())
                .await?;
            tx.rollback().await?;
            return Err(if known.is_some() { StoreError::Conflict } else { StoreError::NotFound });
        }
        tx.commit().await?;
        Ok(Factor {
            id,
            kind: FactorKind::Totp,
            user,
            name: name.to_owned(),
            created: now,
            confirmed: None,
            last_used: None,
        })
    }

    /// Adds a key that was shown to work, and counts at once.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person, [`StoreError::Conflict`] when they have
    /// [`MOST_FACTORS`] already, [`StoreError::Exists`] when this very key is somebody's already.
    pub async fn create_key(&self, user: UserId, new: NewKey<'_>) -> Result<Factor, StoreError> {
        storable("the factor's name", new.name)?;
        let now = self.core.clock.now();
        let id = FactorId::new(now, &*self.core.entropy);
        let sealed = self.sealer.seal(new.material, &owner(new.kind, id, user), &*self.core.entropy)?;
        let mut tx = self.core.database.begin().await?;
        // One that waits for its first code does not stand in the way.
        sqlx::query("DELETE FROM factors WHERE user_id = $1 AND confirmed IS NULL")
            .bind(user.to_string())
            .execute(tx.connection())
            .await?;
        let inserted = sqlx::query(
            "INSERT INTO factors (id, user_id, kind, name, sealed, key_id, created, confirmed, last_step, \
             credential) SELECT $1, users.id, $3, $4, $5, $6, $7, $7, $8, $9 FROM users WHERE users.id = $2 \
             AND (SELECT count(*) FROM factors AS other WHERE other.user_id = $2) < $10 \
             ON CONFLICT (credential) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .bind(new.kind.name())
        .bind(new.name.to_owned())
        .bind(sealed)
        .bind(self.sealer.key_id().to_owned())
        .bind(now.micros())
        .bind(new.counter)
        .bind(new.credential.to_owned())
        .bind(MOST_FACTORS)
        .execute(tx.connection())
        .await?;
        if inserted.rows_affected() == 0 {
            let row = sqlx::query(
                "SELECT (SELECT count(*) FROM factors WHERE credential = $2) AS taken FROM users WHERE id = $1",
            )
            .bind(user.to_string())
            .bind(new.credential.to_owned())
            .fetch_optional(tx.connection())
            .await?;
            tx.rollback().await?;
            let taken = row.map(|row| row.try_get::<i64, _>("taken")).transpose()?;
            return Err(match taken {
                None => StoreError::NotFound,
                Some(0) => StoreError::Conflict,
                Some(_) => StoreError::Exists,
            });
        }
        tx.commit().await?;
        let name = new.name.to_owned();
        Ok(Factor { id, kind: new.kind, user, name, created: now, confirmed: Some(now), last_used: None })
    }

    /// A person's keys of one kind that count, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read, or [`StoreError::Corrupt`] when one does not open.
    pub async fn keys(&self, user: UserId, kind: FactorKind) -> Result<Vec<KeptKey>, StoreError> {
        let mut keys = Vec::new();
        for row in self.rows(user).await? {
            let factor = factor(&row)?;
            if factor.kind == kind && factor.confirmed.is_some() {
                let credential = row.try_get::<Option<String>, _>("credential")?.unwrap_or_default();
                let material = self.opened(&row, &factor)?;
                keys.push(KeptKey { factor, credential, material });
            }
        }
        Ok(keys)
    }

    /// What is kept of a key after it answered, sealed for its row: see [`RightCode::Key`](crate::RightCode).
    ///
    /// # Errors
    /// Only when it cannot be sealed.
    pub fn seal_key(&self, factor: &Factor, material: &Secret<Vec<u8>>) -> Result<SealedKey, StoreError> {
        let owner = owner(factor.kind, factor.id, factor.user);
        let sealed = self.sealer.seal(material, &owner, &*self.core.entropy)?;
        Ok(SealedKey { sealed, key_id: self.sealer.key_id().to_owned() })
    }

    fn opened(&self, row: &AnyRow, factor: &Factor) -> Result<Secret<Vec<u8>>, StoreError> {
        let sealed: String = row.try_get("sealed")?;
        let key_id: String = row.try_get("key_id")?;
        self.sealer.open(&sealed, &key_id, &owner(factor.kind, factor.id, factor.user))
    }

    /// Makes an authenticator count, after its owner gave the code of `step`, which is thereby spent;
    /// `None` when nobody gave one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such factor of this person that waits for it.
    pub async fn confirm(&self, user: UserId, id: FactorId, step: Option<i64>) -> Result<Factor, StoreError> {
        let now = self.core.clock.now().micros();
        let _turn = self.core.database.write_turn().await;
        let row = sqlx::query(
            "UPDATE factors SET confirmed = $1, last_step = $2 \
             WHERE id = $3 AND user_id = $4 AND confirmed IS NULL \
             RETURNING id, user_id, kind, name, created, confirmed, last_used",
        )
        .bind(now)
        .bind(step.unwrap_or(NO_STEP))
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(self.core.database.pool())
        .await?;
        row.as_ref().map(factor).transpose()?.ok_or(StoreError::NotFound)
    }

    /// A person's factors, oldest first, also the authenticator that is not confirmed.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, user: UserId) -> Result<Vec<Factor>, StoreError> {
        self.rows(user).await?.iter().map(factor).collect()
    }

    /// Those that are authenticators, with their seeds.
    ///
    /// # Errors
    /// When the database cannot be read, or [`StoreError::Corrupt`] when a seed does not open.
    ///
    /// # Security
    /// Seeds are for checking a code against and for nothing else.
    pub async fn seeds(&self, user: UserId) -> Result<Vec<(Factor, Secret<Vec<u8>>)>, StoreError> {
        let mut seeds = Vec::new();
        for row in self.rows(user).await? {
            let factor = factor(&row)?;
            if factor.kind == FactorKind::Totp {
                let seed = self.opened(&row, &factor)?;
                seeds.push((factor, seed));
            }
        }
        Ok(seeds)
    }

    async fn rows(&self, user: UserId) -> Result<Vec<AnyRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, user_id, kind, name, created, confirmed, last_used, sealed, key_id, credential \
             FROM factors WHERE user_id = $1 ORDER BY id",
        )
        .bind(user.to_string())
        .fetch_all(self.core.database.pool())
        .await?;
        Ok(rows)
    }

    /// Gives an authenticator another name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn rename(&self, user: UserId, id: FactorId, name: &str) -> Result<(), StoreError> {
        storable("the factor's name", name)?;
        let _turn = self.core.database.write_turn().await;
        let renamed = sqlx::query("UPDATE factors SET name = $1 WHERE id = $2 AND user_id = $3")
            .bind(name.to_owned())
            .bind(id.to_string())
            .bind(user.to_string())
            .execute(self.core.database.pool())
            .await?;
        if renamed.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Removes an authenticator, and ends the windows that it opened, on every instance. The backup
    /// codes go with the last one that counts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove(&self, user: UserId, id: FactorId) -> Result<(), StoreError> {
        self.remove_with(user, id, None).await.map(drop)
    }

    /// The same, and when the person then has none that counts, all their sessions but `kept` end.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove_from(
        &self,
        user: UserId,
        id: FactorId,
        kept: SessionId,
    ) -> Result<Remaining, StoreError> {
        self.remove_with(user, id, Some(kept)).await
    }

    async fn remove_with(
        &self,
        user: UserId,
        id: FactorId,
        kept: Option<SessionId>,
    ) -> Result<Remaining, StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let removed =
            sqlx::query("DELETE FROM factors WHERE id = $1 AND user_id = $2 RETURNING confirmed, kind")
                .bind(id.to_string())
                .bind(user.to_string())
                .fetch_optional(tx.connection())
                .await?;
        let Some(removed) = removed else {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        };
        // What was opened with it is void with it, and what was confirmed with it and waits to be used.
        let kind: FactorKind = parsed(&removed, "kind", "kind of a factor")?;
        let used = crate::step_ups::UsedFactor::Factor(kind, id).to_string();
        for statement in
            ["DELETE FROM step_ups WHERE factor = $1", "DELETE FROM step_up_challenges WHERE factor = $1"]
        {
            sqlx::query(statement).bind(used.clone()).execute(tx.connection()).await?;
        }
        let counted = optional_moment(&removed, "confirmed")?.is_some();
        let left = sqlx::query("SELECT count(*) FROM factors WHERE user_id = $1 AND confirmed IS NOT NULL")
            .bind(user.to_string())
            .fetch_one(tx.connection())
            .await?
            .try_get::<i64, _>(0)?;
        let remaining = if left == 0 { Remaining::None } else { Remaining::Some };
        // One that never counted leaves everything as it was.
        if counted && left == 0 {
            delete_backup_codes(&mut tx, user).await?;
            forget(&mut tx, user).await?;
            if let Some(kept) = kept {
                end_others(&mut tx, user, kept, self.core.clock.now()).await?;
            }
        }
        self.core.changes.commit(tx, version).await?;
        Ok(remaining)
    }

    /// Takes all second factors and backup codes from a person, and ends all their sessions, with what could still
    /// become one: whoever waited for that would enrol the first factor.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn reset(&self, user: UserId) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let known = sqlx::query("SELECT id FROM users WHERE id = $1")
            .bind(user.to_string())
            .fetch_optional(tx.connection())
            .await?;
        if known.is_none() {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        delete_backup_codes(&mut tx, user).await?;
        forget(&mut tx, user).await?;
        sqlx::query("DELETE FROM factors WHERE user_id = $1")
            .bind(user.to_string())
            .execute(tx.connection())
            .await?;
        let now = self.core.clock.now();
        end_all_of(&mut tx, user, now).await?;
        sqlx::query("UPDATE sessions SET revoked = $1 WHERE user_id = $2 AND revoked IS NULL")
            .bind(now.micros())
            .bind(user.to_string())
            .execute(tx.connection())
            .await?;
        self.core.changes.commit(tx, version).await
    }

    /// Gives a person these backup codes, as keyed digests, in place of all they had.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such person.
    pub async fn replace_backup_codes(&self, user: UserId, digests: &[String]) -> Result<(), StoreError> {
        let mut tx = self.core.database.begin().await?;
        delete_backup_codes(&mut tx, user).await?;
        for digest in digests {
            let inserted = sqlx::query(
                "INSERT INTO backup_codes (user_id, digest, created) \
                 SELECT users.id, $2, $3 FROM users WHERE users.id = $1",
            )
            .bind(user.to_string())
            .bind(digest.clone())
            .bind(self.core.clock.now().micros())
            .execute(tx.connection())
            .await?;
            if inserted.rows_affected() == 0 {
                tx.rollback().await?;
                return Err(StoreError::NotFound);
            }
        }
        tx.commit().await
    }

    /// How many backup codes a person has left.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn backup_codes_left(&self, user: UserId) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM backup_codes WHERE user_id = $1 AND used IS NULL")
            .bind(user.to_string())
            .fetch_one(self.core.database.pool())
            .await?;
        Ok(row.try_get(0)?)
    }
}

async fn delete_backup_codes(tx: &mut WriteTx, user: UserId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM backup_codes WHERE user_id = $1")
        .bind(user.to_string())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// What a seed is sealed for. With the person, so that a row given to somebody else does not open.
fn owner(kind: FactorKind, id: FactorId, user: UserId) -> String {
    format!("{}:{id}:{user}", kind.name())
}

/// The same of a whole row.
pub(crate) fn owner_of(row: &AnyRow) -> Result<String, StoreError> {
    let factor = factor(row)?;
    Ok(owner(factor.kind, factor.id, factor.user))
}

fn factor(row: &AnyRow) -> Result<Factor, StoreError> {
    Ok(Factor {
        id: parsed(row, "id", "factor id")?,
        kind: parsed(row, "kind", "kind of a factor")?,
        user: parsed(row, "user_id", "user id")?,
        name: row.try_get("name")?,
        created: moment(row, "created")?,
        confirmed: optional_moment(row, "confirmed")?,
        last_used: optional_moment(row, "last_used")?,
    })
}
