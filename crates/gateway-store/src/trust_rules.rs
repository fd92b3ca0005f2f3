//! Trust rules: which tokens of CI systems and which client certificates sign a machine in, and with what rights.
//! What their conditions mean is not known here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Grant, RoleSet, Timestamp};
use ipnet::IpNet;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, optional_moment, optional_parsed, parsed, storable};
use crate::statement::Statement;
use crate::store::Core;
use crate::tokens;

/// What a claim may be: every name must hold, with one of its values.
pub type ClaimValues = BTreeMap<String, Vec<String>>;

/// A trust rule that is to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTrustRule {
    /// Its name.
    pub name: String,
    /// Whose word it takes: the name of a CI system, or of certificates.
    pub kind: String,
    /// The issuer of tokens; empty for certificates.
    pub issuer: String,
    /// Its conditions.
    pub claims: ClaimValues,
    /// Certificates in PEM that must have signed a client's, where the kind asks for that.
    pub authority: Option<String>,
    /// The roles it gives.
    pub roles: RoleSet,
    /// What it grants.
    pub grants: Vec<Grant>,
    /// From where what it gives may be used; none = from everywhere.
    pub networks: Vec<IpNet>,
    /// How long what it gives lives.
    pub lifetime: Duration,
}

/// A trust rule as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrustRule {
    /// What it says.
    pub rule: NewTrustRule,
    /// What a change is compared against. Never given out twice, also not after a removal.
    pub version: i64,
    /// When it was first written.
    pub created: Timestamp,
    /// Who wrote it last, as a display name.
    pub updated_by: String,
    /// When it was written last.
    pub updated: Timestamp,
    /// When it last signed a machine in, or one it signed in was seen, to about a minute.
    pub last_used: Option<Timestamp>,
    /// From which address.
    pub last_used_ip: Option<std::net::IpAddr>,
}

/// The trust rules.
#[derive(Clone, Debug)]
pub struct TrustRules {
    pub(crate) core: Arc<Core>,
}

const COLUMNS: &str = "name, kind, issuer, claims, authority, roles, grants, networks, lifetime, version, \
     created, updated_by, updated, last_used, last_used_ip";

impl TrustRules {
    /// All of them, by name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<TrustRule>, StoreError> {
        list(&self.core.database, None).await
    }

    /// Those of one issuer, by name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn of_issuer(&self, issuer: &str) -> Result<Vec<TrustRule>, StoreError> {
        if issuer.is_empty() || storable("the issuer", issuer).is_err() {
            return Ok(Vec::new());
        }
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" FROM trust_rules WHERE issuer = ").text(issuer).sql(" ORDER BY name");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(rule).collect()
    }

    /// The one of this name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn by_name(&self, name: &str) -> Result<Option<TrustRule>, StoreError> {
        if storable("the name", name).is_err() {
            return Ok(None);
        }
        let mut statement = Statement::new("SELECT ");
        statement.sql(COLUMNS).sql(" FROM trust_rules WHERE name = ").text(name);
        let row = statement.query().fetch_optional(self.core.database.pool()).await?;
        row.as_ref().map(rule).transpose()
    }

    /// Writes a rule, if it still has `expected_version`; `None` = if there is none. What was given out under the
    /// rule as it was before is refused from now on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version, is there, or is gone.
    pub async fn set(
        &self,
        new: NewTrustRule,
        expected_version: Option<i64>,
        updated_by: &str,
    ) -> Result<TrustRule, StoreError> {
        let written = Written::of(&new)?;
        storable("the actor", updated_by)?;
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let statement = match expected_version {
            None => insert(&new, &written, version, updated_by, now),
            Some(expected) => update(&new, &written, version, updated_by, now, expected),
        };
        let row = statement.query().fetch_optional(tx.connection()).await?;
        let changed = row.as_ref().map(rule).transpose()?.ok_or(StoreError::Conflict);
        self.core.changes.commit_if(tx, version, changed.is_ok()).await?;
        changed
    }

    /// Removes a rule, if it still has `expected_version`, and with it all that was given out under it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has another version or is gone.
    pub async fn remove(&self, name: &str, expected_version: i64) -> Result<(), StoreError> {
        storable("the name", name)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let removed = sqlx::query("DELETE FROM trust_rules WHERE name = $1 AND version = $2")
            .bind(name.to_owned())
            .bind(expected_version)
            .execute(tx.connection())
            .await?;
        self.core.changes.commit_if(tx, version, removed.rows_affected() > 0).await
    }
}

/// All rules, or those of one kind.
pub(crate) async fn list(
    database: &crate::database::Database,
    kind: Option<&str>,
) -> Result<Vec<TrustRule>, StoreError> {
    let mut statement = Statement::new("SELECT ");
    statement.sql(COLUMNS).sql(" FROM trust_rules");
    if let Some(kind) = kind {
        statement.sql(" WHERE kind = ").text(kind);
    }
    statement.sql(" ORDER BY name");
    let rows = statement.query().fetch_all(database.pool()).await?;
    rows.iter().map(rule).collect()
}

/// The parts of a rule that are kept as JSON.
struct Written {
    claims: String,
    grants: String,
    networks: String,
    lifetime: i64,
}

impl Written {
    fn of(new: &NewTrustRule) -> Result<Self, StoreError> {
        let json = |source| StoreError::Json { source };
        let written = Self {
            claims: serde_json::to_string(&new.claims).map_err(json)?,
            grants: serde_json::to_string(&new.grants).map_err(json)?,
            networks: serde_json::to_string(&new.networks).map_err(json)?,
            lifetime: i64::try_from(new.lifetime.as_micros())
                .map_err(|_| StoreError::OutOfRange { field: "the lifetime" })?,
        };
        let authority = new.authority.as_deref().unwrap_or_default();
        for (field, text) in [
            ("the name", new.name.as_str()),
            ("the kind", &new.kind),
            ("the issuer", &new.issuer),
            ("the claims", &written.claims),
            ("the grants", &written.grants),
            ("the authority", authority),
        ] {
            storable(field, text)?;
        }
        Ok(written)
    }
}

fn insert(
    new: &NewTrustRule,
    written: &Written,
    version: i64,
    updated_by: &str,
    now: Timestamp,
) -> Statement {
    let mut insert = Statement::new("INSERT INTO trust_rules (");
    insert.sql(COLUMNS).sql(") VALUES (").text(&new.name).sql(", ").text(&new.kind);
    insert.sql(", ").text(&new.issuer).sql(", ").text(&written.claims);
    insert.sql(", ").optional_text(new.authority.as_deref()).sql(", ").text(&new.roles.to_string());
    insert.sql(", ").text(&written.grants).sql(", ").text(&written.networks);
    insert.sql(", ").number(written.lifetime).sql(", ").number(version);
    insert.sql(", ").number(now.micros()).sql(", ").text(updated_by).sql(", ").number(now.micros());
    insert.sql(", NULL, NULL) ON CONFLICT (name) DO NOTHING RETURNING ").sql(COLUMNS);
    insert
}

fn update(
    new: &NewTrustRule,
    written: &Written,
    version: i64,
    updated_by: &str,
    now: Timestamp,
    expected: i64,
) -> Statement {
    let mut update = Statement::new("UPDATE trust_rules SET kind = ");
    update.text(&new.kind).sql(", issuer = ").text(&new.issuer);
    update.sql(", claims = ").text(&written.claims);
    update.sql(", authority = ").optional_text(new.authority.as_deref());
    update.sql(", roles = ").text(&new.roles.to_string()).sql(", grants = ").text(&written.grants);
    update.sql(", networks = ").text(&written.networks).sql(", lifetime = ").number(written.lifetime);
    update.sql(", version = ").number(version).sql(", updated_by = ").text(updated_by);
    update.sql(", updated = ").number(now.micros()).sql(" WHERE name = ").text(&new.name);
    update.sql(" AND version = ").number(expected).sql(" RETURNING ").sql(COLUMNS);
    update
}

fn rule(row: &AnyRow) -> Result<TrustRule, StoreError> {
    let corrupt = |what| move |_bad| StoreError::Corrupt { what };
    let claims: String = row.try_get("claims")?;
    let lifetime: i64 = row.try_get("lifetime")?;
    Ok(TrustRule {
        rule: NewTrustRule {
            name: row.try_get("name")?,
            kind: row.try_get("kind")?,
            issuer: row.try_get("issuer")?,
            claims: serde_json::from_str(&claims).map_err(corrupt("list of claims"))?,
            authority: row.try_get("authority")?,
            roles: parsed(row, "roles", "set of roles")?,
            grants: tokens::grants(&row.try_get::<String, _>("grants")?)?,
            networks: networks(&row.try_get::<String, _>("networks")?)?,
            lifetime: Duration::from_micros(
                u64::try_from(lifetime).map_err(|_| StoreError::Corrupt { what: "lifetime" })?,
            ),
        },
        version: row.try_get("version")?,
        created: moment(row, "created")?,
        updated_by: row.try_get("updated_by")?,
        updated: moment(row, "updated")?,
        last_used: optional_moment(row, "last_used")?,
        last_used_ip: optional_parsed(row, "last_used_ip", "address")?,
    })
}

/// Reads stored networks. Unreadable ones are a fault, never an empty list, which would mean everywhere.
pub(crate) fn networks(text: &str) -> Result<Vec<IpNet>, StoreError> {
    serde_json::from_str(text).map_err(|_bad| StoreError::Corrupt { what: "list of networks" })
}
