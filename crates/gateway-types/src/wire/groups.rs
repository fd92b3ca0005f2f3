//! Groups of identity providers and what their members get: `/groups`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RoleSet;

/// A group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its name, as the provider writes it.
    pub id: String,
    /// What its members get when they sign in.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
    /// `configuration` or `database`; the database's entry takes the place of the configuration's.
    pub source: String,
    /// What `If-Match` is compared against; 0 while the database has no entry.
    pub version: i64,
    /// Who set it last; absent for the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// When it was set last; absent for the configuration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
}

/// `PUT /groups/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateGroup {
    /// What its members get; none = nothing, also when the configuration says something else.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
}
