//! People, as admins and operators see them: `/users`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RoleSet;

/// A person. The `ETag` of a reply with one person is the version in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Id.
    pub id: String,
    /// Canonical e-mail address.
    pub email: String,
    /// The name shown to people.
    pub name: String,
    /// What they may be.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
    /// A locked person's credentials are all refused.
    pub locked: bool,
    /// When they were added.
    pub created: String,
    /// When they were last changed.
    pub updated: String,
    /// What `If-Match` is compared against.
    pub version: i64,
}

/// `POST /users`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteUser {
    /// E-mail address; nobody may have it yet.
    pub email: String,
    /// The name shown to people; absent = the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At least one of viewer, ops, deployer, admin, auditor.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
}

/// `PUT /users/{id}`; what is absent stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Other roles, at least one. Ends the person's web sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub roles: Option<RoleSet>,
}

/// `POST /users/{id}/lock`; the body may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LockUser {
    /// Why: stands in the log and in the mail to the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A built-in role: `GET /roles`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RoleInfo {
    /// Its name.
    pub role: String,
    /// What it is for.
    pub description: String,
    /// The roles whose rights it has as well.
    pub includes: Vec<String>,
    /// Only tokens and workloads may have it.
    pub machines_only: bool,
    /// The actions that it permits, whatever else they ask for.
    pub actions: Vec<String>,
}
