//! Short tokens of workloads, and which tokens of CI systems were exchanged already. Only digests are kept.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Secret, Timestamp, TokenKind, WorkloadId};

use crate::error::StoreError;
use crate::row::storable;
use crate::secrets::{credential_digest, digest_text, sha256_hex};
use crate::store::Core;

/// What is over for this long is forgotten: until then its use is told apart from a guess.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The workloads that hold short tokens.
#[derive(Clone, Debug)]
pub struct Workloads {
    pub(crate) core: Arc<Core>,
}

/// A token that a workload is given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewWorkload {
    /// The trust rule.
    pub rule: String,
    /// The rule's version whose conditions were met.
    pub rule_version: i64,
    /// Whom the issuer names.
    pub subject: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// What identifies a token of a CI system for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenIdentity {
    /// Its issuer.
    pub issuer: String,
    /// Its id there (`jti`), or what stands in for one.
    pub id: String,
    /// Until when its issuer would have it be good; it is remembered at least as long.
    pub expires: Timestamp,
}

impl Workloads {
    /// An id for a token that is about to be given.
    pub fn new_id(&self) -> WorkloadId {
        WorkloadId::new(self.core.clock.now(), &*self.core.entropy)
    }

    /// Spends a token of a CI system, for all instances and for ever.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when it was spent before.
    pub async fn spend(&self, token: &TokenIdentity) -> Result<(), StoreError> {
        let now = self.core.clock.now();
        // The length of the issuer goes first, so that no two pairs read the same.
        let name = format!("{} {} {}", token.issuer.len(), token.issuer, token.id);
        let mut tx = self.core.database.begin().await?;
        let spent = sqlx::query(
            "INSERT INTO exchanged_tokens (digest, expires) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(sha256_hex(name.as_bytes()))
        .bind(token.expires.max(now).saturating_add(KEPT).micros())
        .execute(tx.connection())
        .await?;
        if spent.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::Exists);
        }
        sqlx::query("DELETE FROM exchanged_tokens WHERE expires < $1")
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Gives a workload a token. The secret is returned here and never again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the rule was changed or removed since it was read.
    pub async fn create(&self, id: WorkloadId, new: &NewWorkload) -> Result<Secret<String>, StoreError> {
        storable("the subject", &new.subject)?;
        let secret = TokenKind::Workload.generate(&*self.core.entropy);
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        let inserted = sqlx::query(
            "INSERT INTO workloads (id, digest, rule, rule_version, subject, created, expires) \
             SELECT $1, $2, name, version, $5, $6, $7 FROM trust_rules WHERE name = $3 AND version = $4",
        )
        .bind(id.to_string())
        .bind(digest_text(&credential_digest(secret.expose())))
        .bind(new.rule.clone())
        .bind(new.rule_version)
        .bind(new.subject.clone())
        .bind(now.micros())
        .bind(new.expires.micros())
        .execute(tx.connection())
        .await?;
        if inserted.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::Conflict);
        }
        let over = Timestamp::from_micros(now.micros().saturating_sub(micros(KEPT)));
        sqlx::query("DELETE FROM workloads WHERE expires < $1")
            .bind(over.micros())
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(secret)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
