//! What was taken over from another gateway's database: each thing once, together with a note that it was, so that
//! nothing that was since revoked, removed or reset here comes back with the next run. What is worth taking is not
//! known here.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_types::{CredentialDigest, Role, Timestamp, TokenId, UserId};
use sqlx::Row as _;

use crate::database::WriteTx;
use crate::error::{StoreError, is_duplicate};
use crate::row::storable;
use crate::secrets::digest_text;
use crate::settings::SettingScope;
use crate::store::Core;
use crate::tokens::NewToken;
use crate::users::{NewUser, Standing, canonical_email};

/// What kind of thing was taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ImportKind {
    /// A person, by e-mail address.
    User,
    /// An API token, by its digest.
    Token,
    /// A setting, by its scope and key.
    Setting,
    /// The audit rows, by the digest of all of them.
    Appendix,
}

impl ImportKind {
    /// The word for it in the database and the log.
    pub const fn word(self) -> &'static str {
        match self {
            ImportKind::User => "user",
            ImportKind::Token => "token",
            ImportKind::Setting => "setting",
            ImportKind::Appendix => "appendix",
        }
    }
}

/// A person to take over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakenUser {
    /// Who.
    pub new: NewUser,
    /// Whether their credentials are accepted; somebody locked is never unlocked, not even for a moment.
    pub standing: Standing,
}

/// A token to take over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TakenToken {
    /// What it may.
    pub new: NewToken,
    /// The digest of its secret, which stays as it is.
    pub digest: CredentialDigest,
    /// When it was made.
    pub created: Timestamp,
}

/// What was taken over.
#[derive(Clone, Debug)]
pub struct Imports {
    pub(crate) core: Arc<Core>,
}

impl Imports {
    /// What was taken from `source` of this kind, by what names it there.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn taken(&self, source: &str, kind: ImportKind) -> Result<BTreeSet<String>, StoreError> {
        let rows = sqlx::query("SELECT key FROM imports WHERE source = $1 AND kind = $2")
            .bind(source.to_owned())
            .bind(kind.word())
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(|row| Ok(row.try_get("key")?)).collect()
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the address has a row already, or the person was taken before.
    pub async fn take_user(&self, source: &str, taken: TakenUser) -> Result<UserId, StoreError> {
        let email = canonical_email(&taken.new.email);
        storable("the e-mail address", &email)?;
        storable("the name", &taken.new.name)?;
        let now = self.core.clock.now();
        let id = UserId::new(now, &*self.core.entropy);
        let (mut tx, version) = self.core.database.begin_change().await?;
        self.note(&mut tx, source, ImportKind::User, &email).await?;
        sqlx::query(
            "INSERT INTO users (id, email, name, roles, is_admin, locked, created, updated, version) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 1)",
        )
        .bind(id.to_string())
        .bind(email)
        .bind(taken.new.name)
        .bind(taken.new.roles.to_string())
        .bind(i64::from(taken.new.roles.contains(Role::Admin)))
        .bind(i64::from(taken.standing == Standing::Locked))
        .bind(now.micros())
        .execute(tx.connection())
        .await
        .map_err(exists)?;
        self.core.changes.commit(tx, version).await?;
        Ok(id)
    }

    /// Adds a token that is presented by the secret it has.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the secret is, or was, that of a token here, or the token was taken before;
    /// [`StoreError::NotFound`] when its creator has no row.
    pub async fn take_token(&self, source: &str, taken: TakenToken) -> Result<TokenId, StoreError> {
        storable("the name", &taken.new.name)?;
        let digest = digest_text(&taken.digest);
        let grants = crate::tokens::written(&taken.new.grants)?;
        let networks = crate::tokens::written_networks(&taken.new.networks)?;
        let id = TokenId::new(self.core.clock.now(), &*self.core.entropy);
        let (mut tx, version) = self.core.database.begin_change().await?;
        self.note(&mut tx, source, ImportKind::Token, &digest).await?;
        let inserted = sqlx::query(
            "INSERT INTO api_tokens (id, digest, name, roles, grants, creator, created, expires, of_certificate, networks) \
             SELECT $1, $2, $3, $4, $5, users.id, $7, $8, 0, $9 FROM users WHERE users.id = $6 \
             AND NOT EXISTS (SELECT 1 FROM api_tokens AS other WHERE other.digest = $2 OR other.previous_digest = $2)",
        )
        .bind(id.to_string())
        .bind(digest.clone())
        .bind(taken.new.name)
        .bind(taken.new.roles.to_string())
        .bind(grants)
        .bind(taken.new.creator.to_string())
        .bind(taken.created.micros())
        .bind(taken.new.expires.map(Timestamp::micros))
        .bind(networks)
        .execute(tx.connection())
        .await
        .map_err(exists)?;
        if inserted.rows_affected() == 0 {
            let known = sqlx::query("SELECT 1 FROM api_tokens WHERE digest = $1 OR previous_digest = $1")
                .bind(digest)
                .fetch_optional(tx.connection())
                .await?;
            tx.rollback().await?;
            return Err(if known.is_some() { StoreError::Exists } else { StoreError::NotFound });
        }
        self.core.changes.commit(tx, version).await?;
        Ok(id)
    }

    /// Sets a setting that the database has no value of.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when it has one, or the setting was taken before.
    pub async fn take_setting(
        &self,
        source: &str,
        scope: &SettingScope,
        key: &str,
        value: &str,
        by: &str,
    ) -> Result<(), StoreError> {
        let stored = scope.stored();
        for (field, text) in [("the scope", stored.as_str()), ("the value", value), ("the actor", by)] {
            storable(field, text)?;
        }
        let now = self.core.clock.now().micros();
        let (mut tx, version) = self.core.database.begin_change().await?;
        self.note(&mut tx, source, ImportKind::Setting, &setting_name(scope, key)).await?;
        sqlx::query(
            "INSERT INTO settings (scope, key, value, version, updated_by, updated) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(stored)
        .bind(key.to_owned())
        .bind(value.to_owned())
        .bind(version)
        .bind(by.to_owned())
        .bind(now)
        .execute(tx.connection())
        .await
        .map_err(exists)?;
        self.core.changes.commit(tx, version).await
    }

    /// Notes that the audit rows of this digest are kept in a file.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when that is noted already.
    pub async fn take_appendix(&self, source: &str, digest: &str) -> Result<(), StoreError> {
        let mut tx = self.core.database.begin().await?;
        self.note(&mut tx, source, ImportKind::Appendix, digest).await?;
        tx.commit().await
    }

    async fn note(
        &self,
        tx: &mut WriteTx,
        source: &str,
        kind: ImportKind,
        key: &str,
    ) -> Result<(), StoreError> {
        storable("what is taken over", key)?;
        sqlx::query("INSERT INTO imports (source, kind, key, taken) VALUES ($1, $2, $3, $4)")
            .bind(source.to_owned())
            .bind(kind.word())
            .bind(key.to_owned())
            .bind(self.core.clock.now().micros())
            .execute(tx.connection())
            .await
            .map_err(exists)?;
        Ok(())
    }
}

/// What names a setting among what was taken.
pub fn setting_name(scope: &SettingScope, key: &str) -> String {
    format!("{} {key}", scope.stored())
}

fn exists(error: sqlx::Error) -> StoreError {
    if is_duplicate(&error) { StoreError::Exists } else { error.into() }
}
