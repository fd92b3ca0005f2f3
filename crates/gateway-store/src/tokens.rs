//! API tokens: what machines present. Only the SHA-256 of a token is kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{CredentialDigest, Grant, RoleSet, Secret, Timestamp, TokenId, TokenKind, UserId};
use ipnet::IpNet;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::{StoreError, is_duplicate};
use crate::row::{Page, moment, optional_moment, optional_parsed, page_size, parsed, storable};
use crate::secrets::{credential_digest, digest_text};
use crate::statement::Statement;
use crate::store::Core;
use crate::trust_rules;

/// An API token's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiToken {
    /// The row; never the secret.
    pub id: TokenId,
    /// Its name, as its creator chose it.
    pub name: String,
    /// The roles it was given.
    pub roles: RoleSet,
    /// What it was granted.
    pub grants: Vec<Grant>,
    /// Who made it.
    pub creator: UserId,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself; `None` = never.
    pub expires: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used: Option<Timestamp>,
    /// From which address it was last used.
    pub last_used_ip: Option<IpAddr>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// Until when the secret before its last rotation is good too; may be past.
    pub overlap_ends: Option<Timestamp>,
    /// What it is presented by.
    pub presented_by: PresentedBy,
    /// From where it may be used; none = from everywhere.
    pub networks: Vec<IpNet>,
    /// Grows with each change; what a change is compared against.
    pub version: i64,
}

/// What a machine presents to be taken for an API token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PresentedBy {
    /// Its secret.
    Secret,
    /// A client certificate, by its key.
    Certificate,
}

impl ApiToken {
    /// Whether it is neither revoked nor past its end.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}

/// A change of an API token's row; what is `None` stays. Whether it only takes away is not known here.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenChange {
    /// Another name.
    pub name: Option<String>,
    /// Other roles.
    pub roles: Option<RoleSet>,
    /// Other grants.
    pub grants: Option<Vec<Grant>>,
    /// Another end.
    pub expires: Option<Timestamp>,
    /// Other networks.
    pub networks: Option<Vec<IpNet>>,
}

/// An API token to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// The roles it gets.
    pub roles: RoleSet,
    /// What it is granted.
    pub grants: Vec<Grant>,
    /// Who makes it.
    pub creator: UserId,
    /// When it ends by itself; `None` = never.
    pub expires: Option<Timestamp>,
    /// From where it may be used; none = from everywhere.
    pub networks: Vec<IpNet>,
}

/// Which tokens a listing holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenFilter {
    /// Only those this person made.
    pub creator: Option<UserId>,
    /// Only those whose name contains this.
    pub search: Option<String>,
    /// Only those that are neither revoked nor expired.
    pub live_only: bool,
    /// Where the page begins: [`Page::next`] of the page before.
    pub cursor: Option<String>,
    /// Rows of one page, at most 1000.
    pub limit: u32,
}

impl Default for TokenFilter {
    fn default() -> Self {
        Self { creator: None, search: None, live_only: false, cursor: None, limit: 100 }
    }
}

/// The API tokens of this gateway.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub(crate) core: Arc<Core>,
}

const SELECT: &str = "SELECT id, name, roles, grants, creator, created, expires, last_used, last_used_ip, \
     revoked, previous_until, of_certificate, networks, version FROM api_tokens";

const RETURNING: &str = " RETURNING id, name, roles, grants, creator, created, expires, last_used, \
     last_used_ip, revoked, previous_until, of_certificate, networks, version";

impl Tokens {
    /// Makes a token. The secret is returned here and never again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the creator has no row.
    pub async fn create(&self, new: NewToken) -> Result<(ApiToken, Secret<String>), StoreError> {
        let secret = TokenKind::Api.generate(&*self.core.entropy);
        let digest = credential_digest(secret.expose());
        Ok((self.insert(new, digest, PresentedBy::Secret).await?, secret))
    }

    /// Makes a token without a secret: whoever proves to hold the key of this digest is it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when the creator has no row, [`StoreError::Exists`] when the key is bound to
    /// a token, also to one that was revoked, or was until its last rotation: a key never stands for two tokens.
    pub async fn create_for_certificate(
        &self,
        new: NewToken,
        key: CredentialDigest,
    ) -> Result<ApiToken, StoreError> {
        self.insert(new, key, PresentedBy::Certificate).await
    }

    async fn insert(
        &self,
        new: NewToken,
        digest: CredentialDigest,
        presented_by: PresentedBy,
    ) -> Result<ApiToken, StoreError> {
        storable("the name", &new.name)?;
        let grants = written(&new.grants)?;
        let networks = written_networks(&new.networks)?;
        let now = self.core.clock.now();
        let id = TokenId::new(now, &*self.core.entropy);
        let (mut tx, version) = self.core.database.begin_change().await?;
        let inserted = sqlx::query(
            "INSERT INTO api_tokens (id, digest, name, roles, grants, creator, created, expires, of_certificate, networks) \
             SELECT $1, $2, $3, $4, $5, users.id, $7, $8, $9, $10 FROM users WHERE users.id = $6 \
             AND NOT EXISTS (SELECT 1 FROM api_tokens AS other WHERE other.previous_digest = $2) \
             ON CONFLICT (digest) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(digest_text(&digest))
        .bind(new.name.clone())
        .bind(new.roles.to_string())
        .bind(grants)
        .bind(new.creator.to_string())
        .bind(now.micros())
        .bind(new.expires.map(Timestamp::micros))
        .bind(i64::from(presented_by == PresentedBy::Certificate))
        .bind(networks)
        .execute(tx.connection())
        .await?;
        if inserted.rows_affected() == 0 {
            let creator = sqlx::query("SELECT 1 FROM users WHERE id = $1")
                .bind(new.creator.to_string())
                .fetch_optional(tx.connection())
                .await?;
            tx.rollback().await?;
            return Err(if creator.is_some() { StoreError::Exists } else { StoreError::NotFound });
        }
        self.core.changes.commit(tx, version).await?;
        let token = ApiToken {
            id,
            name: new.name,
            roles: new.roles,
            grants: new.grants,
            creator: new.creator,
            created: now,
            expires: new.expires,
            last_used: None,
            last_used_ip: None,
            revoked: None,
            overlap_ends: None,
            presented_by,
            networks: new.networks,
            version: 1,
        };
        Ok(token)
    }

    /// One page of tokens, newest first.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self, filter: &TokenFilter) -> Result<Page<ApiToken>, StoreError> {
        let limit = page_size(filter.limit);
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE 1 = 1");
        if let Some(creator) = filter.creator {
            statement.sql(" AND creator = ").text(&creator.to_string());
        }
        if let Some(search) = filter.search.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            statement.sql(" AND ").contains("lower(name)", &search.replace('\0', ""));
        }
        if filter.live_only {
            statement.sql(" AND revoked IS NULL AND (expires IS NULL OR expires > ");
            statement.number(self.core.clock.now().micros()).sql(")");
        }
        if let Some(cursor) = filter.cursor.as_deref().and_then(|cursor| cursor.parse::<TokenId>().ok()) {
            statement.sql(" AND id < ").text(&cursor.to_string());
        }
        // Ids are UUIDv7: their order is the order of creation.
        statement.sql(" ORDER BY id DESC LIMIT ").number(i64::from(limit) + 1);
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let tokens = rows.iter().map(token).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(tokens, limit, |token| token.id.to_string()))
    }

    /// The token with this id.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_id(&self, id: TokenId) -> Result<Option<ApiToken>, StoreError> {
        let mut statement = Statement::new(SELECT);
        statement.sql(" WHERE id = ").text(&id.to_string());
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(token).transpose()
    }

    /// Changes a live token, if nobody changed the row since `expected_version` was read.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such token that is live, [`StoreError::Conflict`].
    pub async fn update(
        &self,
        id: TokenId,
        change: &TokenChange,
        expected_version: i64,
    ) -> Result<ApiToken, StoreError> {
        let mut statement = Statement::new("UPDATE api_tokens SET version = version + 1");
        if let Some(name) = &change.name {
            storable("the name", name)?;
            statement.sql(", name = ").text(name);
        }
        if let Some(roles) = change.roles {
            statement.sql(", roles = ").text(&roles.to_string());
        }
        if let Some(grants) = &change.grants {
            statement.sql(", grants = ").text(&written(grants)?);
        }
        if let Some(expires) = change.expires {
            // Whoever was warned of the end before is warned of this one too.
            statement.sql(", expires = ").number(expires.micros()).sql(", warned_of = NULL");
        }
        if let Some(networks) = &change.networks {
            statement.sql(", networks = ").text(&written_networks(networks)?);
        }
        self.change(statement, id, expected_version).await
    }

    /// Gives a live token a new secret, which is returned here and never again, if nobody changed the
    /// row since `expected_version` was read. The secret, or certificate's key, that it had is good for `overlap`
    /// more; one from before an earlier rotation is refused from now on.
    ///
    /// # Errors
    /// As [`Tokens::update`].
    pub async fn rotate(
        &self,
        id: TokenId,
        overlap: Duration,
        expected_version: i64,
    ) -> Result<(ApiToken, Secret<String>), StoreError> {
        let secret = TokenKind::Api.generate(&*self.core.entropy);
        let digest = credential_digest(secret.expose());
        let statement = self.rotation(&digest, PresentedBy::Secret, overlap);
        Ok((self.change(statement, id, expected_version).await?, secret))
    }

    /// Binds a live token to another key of a certificate; otherwise as [`Tokens::rotate`].
    ///
    /// # Errors
    /// As [`Tokens::update`]; [`StoreError::Exists`] when the key is, or was, bound to a token.
    pub async fn rotate_to_certificate(
        &self,
        id: TokenId,
        key: CredentialDigest,
        overlap: Duration,
        expected_version: i64,
    ) -> Result<ApiToken, StoreError> {
        let statement = self.rotation(&key, PresentedBy::Certificate, overlap);
        match self.change_unless_bound(statement, Some(&key), id, expected_version).await {
            // Bound at this very moment, by somebody else.
            Err(StoreError::Unavailable { source }) if is_duplicate(&source) => Err(StoreError::Exists),
            other => other,
        }
    }

    fn rotation(&self, digest: &CredentialDigest, presented_by: PresentedBy, overlap: Duration) -> Statement {
        let mut statement = Statement::new("UPDATE api_tokens SET version = version + 1");
        if overlap.is_zero() {
            statement.sql(", previous_digest = NULL, previous_until = NULL");
        } else {
            let until = self.core.clock.now().saturating_add(overlap);
            statement.sql(", previous_digest = digest, previous_until = ").number(until.micros());
        }
        statement.sql(", digest = ").text(&digest_text(digest));
        statement.sql(", of_certificate = ").number(i64::from(presented_by == PresentedBy::Certificate));
        statement
    }

    /// The live tokens that end before `by`, of whose life a quarter or less is left, and whose owners were not
    /// warned of that end, which [`Tokens::warned`] says. Whoever warns holds a lease, so that no other instance does.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn ending(&self, by: Timestamp) -> Result<Vec<ApiToken>, StoreError> {
        let now = self.core.clock.now();
        let mut ending = Statement::new(SELECT);
        ending.sql(" WHERE revoked IS NULL AND expires > ").number(now.micros());
        ending.sql(" AND expires <= ").number(by.micros());
        ending.sql(" AND (expires - ").number(now.micros()).sql(") * 4 <= expires - created");
        ending.sql(" AND (warned_of IS NULL OR warned_of < expires) ORDER BY id LIMIT 1000");
        let rows = ending.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(token).collect()
    }

    /// The owner of this token was warned of its end at `expires`.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn warned(&self, id: TokenId, expires: Timestamp) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "UPDATE api_tokens SET warned_of = $1 \
             WHERE id = $2 AND expires = $1 AND (warned_of IS NULL OR warned_of < $1)",
        )
        .bind(expires.micros())
        .bind(id.to_string())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    async fn change(
        &self,
        statement: Statement,
        id: TokenId,
        expected_version: i64,
    ) -> Result<ApiToken, StoreError> {
        self.change_unless_bound(statement, None, id, expected_version).await
    }

    /// [`Tokens::change`], unless `key` is, or was, bound to a token; asked in the transaction that changes it.
    async fn change_unless_bound(
        &self,
        mut statement: Statement,
        key: Option<&CredentialDigest>,
        id: TokenId,
        expected_version: i64,
    ) -> Result<ApiToken, StoreError> {
        let now = self.core.clock.now();
        statement.sql(" WHERE id = ").text(&id.to_string());
        statement.sql(" AND version = ").number(expected_version);
        statement.sql(" AND revoked IS NULL AND (expires IS NULL OR expires > ").number(now.micros());
        statement.sql(")").sql(RETURNING);
        let (mut tx, version) = self.core.database.begin_change().await?;
        if let Some(key) = key {
            let bound = sqlx::query("SELECT 1 FROM api_tokens WHERE digest = $1 OR previous_digest = $1")
                .bind(digest_text(key))
                .fetch_optional(tx.connection())
                .await?;
            if bound.is_some() {
                tx.rollback().await?;
                return Err(StoreError::Exists);
            }
        }
        let Some(row) = statement.query().fetch_optional(tx.connection()).await? else {
            tx.rollback().await?;
            let live = self.by_id(id).await?.filter(|token| token.is_live(now));
            return Err(if live.is_some() { StoreError::Conflict } else { StoreError::NotFound });
        };
        let changed = token(&row)?;
        self.core.changes.commit(tx, version).await?;
        Ok(changed)
    }

    /// Ends a token. Ending it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke(&self, id: TokenId) -> Result<(), StoreError> {
        let (mut tx, version) = self.core.database.begin_change().await?;
        let revoked = sqlx::query("UPDATE api_tokens SET revoked = COALESCE(revoked, $1) WHERE id = $2")
            .bind(self.core.clock.now().micros())
            .bind(id.to_string())
            .execute(tx.connection())
            .await?;
        if revoked.rows_affected() == 0 {
            tx.rollback().await?;
            return Err(StoreError::NotFound);
        }
        self.core.changes.commit(tx, version).await
    }
}

pub(crate) fn written_networks(networks: &[IpNet]) -> Result<String, StoreError> {
    serde_json::to_string(networks).map_err(|source| StoreError::Json { source })
}

pub(crate) fn written(grants: &[Grant]) -> Result<String, StoreError> {
    let text = serde_json::to_string(grants).map_err(|source| StoreError::Json { source })?;
    storable("the grants", &text)?;
    Ok(text)
}

/// Reads stored grants. Unreadable grants are a fault, never an empty or a full set.
pub(crate) fn grants(text: &str) -> Result<Vec<Grant>, StoreError> {
    serde_json::from_str(text).map_err(|_bad| StoreError::Corrupt { what: "list of grants" })
}

fn token(row: &AnyRow) -> Result<ApiToken, StoreError> {
    Ok(ApiToken {
        id: parsed(row, "id", "token id")?,
        name: row.try_get("name")?,
        roles: parsed(row, "roles", "set of roles")?,
        grants: grants(&row.try_get::<String, _>("grants")?)?,
        creator: parsed(row, "creator", "user id")?,
        created: moment(row, "created")?,
        expires: optional_moment(row, "expires")?,
        last_used: optional_moment(row, "last_used")?,
        last_used_ip: optional_parsed(row, "last_used_ip", "address")?,
        revoked: optional_moment(row, "revoked")?,
        overlap_ends: optional_moment(row, "previous_until")?,
        presented_by: match row.try_get::<i64, _>("of_certificate")? {
            0 => PresentedBy::Secret,
            _certificate => PresentedBy::Certificate,
        },
        networks: trust_rules::networks(&row.try_get::<String, _>("networks")?)?,
        version: row.try_get("version")?,
    })
}
