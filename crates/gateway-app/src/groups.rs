//! Groups of identity providers, and the roles that their members get. An entry of the database takes the
//! place of the configuration's of the same name.

use std::collections::BTreeMap;

use gateway_store::{Group, StoreError};
use gateway_types::{Caller, RoleSet, Timestamp};
use serde_json::{Value, json};

use crate::error::PeopleError;
use crate::rights::Expected;
use crate::users::{by, check_roles};
use crate::{App, Operator, record};

/// The version of a group that has no row.
const NO_ROW: i64 = 0;

/// Where an entry comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupSource {
    /// `role_map` of an identity provider.
    Configuration,
    /// The database.
    Database,
}

impl GroupSource {
    /// The name shown to people.
    pub const fn name(self) -> &'static str {
        match self {
            GroupSource::Configuration => "configuration",
            GroupSource::Database => "database",
        }
    }
}

/// A group in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupInForce {
    /// Its name, as the provider writes it.
    pub id: String,
    /// What its members get.
    pub roles: RoleSet,
    /// Where the entry comes from.
    pub source: GroupSource,
    /// What a change is compared against; 0 while there is no row.
    pub version: i64,
    /// Who set it, and when; `None` for the configuration's.
    pub updated: Option<(String, Timestamp)>,
}

impl From<Group> for GroupInForce {
    fn from(row: Group) -> Self {
        Self {
            id: row.id,
            roles: row.roles,
            source: GroupSource::Database,
            version: row.version,
            updated: Some((row.updated_by, row.updated)),
        }
    }
}

/// All groups that give something or are kept from it, by name.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App) -> Result<Vec<GroupInForce>, PeopleError> {
    let mut groups = configured(app);
    for row in app.store.groups().list().await? {
        groups.insert(row.id.clone(), row.into());
    }
    Ok(groups.into_values().collect())
}

fn configured(app: &App) -> BTreeMap<String, GroupInForce> {
    let mut groups: BTreeMap<String, GroupInForce> = BTreeMap::new();
    for (id, role) in app.identity.providers.iter().flat_map(|provider| &provider.role_map) {
        let entry = groups.entry(id.clone()).or_insert_with(|| GroupInForce {
            id: id.clone(),
            roles: RoleSet::EMPTY,
            source: GroupSource::Configuration,
            version: NO_ROW,
            updated: None,
        });
        entry.roles = entry.roles.with(*role);
    }
    groups
}

/// The group of this name; one that nobody said anything about gives nothing.
///
/// # Errors
/// [`PeopleError::BadGroup`], or the store's.
pub async fn read(app: &App, id: &str) -> Result<GroupInForce, PeopleError> {
    if !is_group(id) {
        return Err(PeopleError::BadGroup);
    }
    let known = list(app).await?.into_iter().find(|group| group.id == id);
    Ok(known.unwrap_or_else(|| GroupInForce {
        id: id.to_owned(),
        roles: RoleSet::EMPTY,
        source: GroupSource::Database,
        version: NO_ROW,
        updated: None,
    }))
}

/// Says what the members of a group get when they sign in. No roles means nothing, also where the
/// configuration says something else.
///
/// # Errors
/// [`PeopleError::BadGroup`], [`PeopleError::MachineRole`], [`PeopleError::AboveOwn`], or the store's:
/// [`StoreError::Conflict`] when somebody changed it since.
pub async fn update(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: &str,
    expected: Expected,
    roles: RoleSet,
) -> Result<GroupInForce, PeopleError> {
    let before = read(app, id).await?;
    let version = expected.version(before.version);
    if version != before.version {
        return Err(StoreError::Conflict.into());
    }
    if !roles.is_empty() {
        check_roles(caller, roles)?;
    }
    let mut event = operator.event("gateway:group:update");
    event.parameters.insert("group".to_owned(), gateway_audit::bounded(id));
    event.parameters.insert("roles".to_owned(), roles.to_string());
    event.before = Some(if before.version == NO_ROW && before.source == GroupSource::Database {
        Value::Null
    } else {
        json!({ "roles": before.roles.to_string(), "source": before.source.name() })
    });
    event.after = Some(json!({ "roles": roles.to_string(), "source": GroupSource::Database.name() }));
    record(&app.store, event).await?;
    let row_version = Some(version).filter(|version| *version != NO_ROW);
    Ok(app.store.groups().set(id, roles, row_version, &by(operator)).await?.into())
}

fn is_group(id: &str) -> bool {
    (1..=200).contains(&id.chars().count())
        && !id.chars().any(|c| c.is_control() || gateway_audit::text::is_hazard(c))
}
