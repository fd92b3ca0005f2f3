//! Elevations, grants of roles, and who can do what: `/elevations`, `/grants`, `/access/review`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A role for a while.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Elevation {
    /// Id.
    pub id: String,
    /// Whose: an e-mail address.
    pub person: String,
    /// The role.
    pub role: String,
    /// On which app; absent = on the rack and every app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Why.
    pub reason: String,
    /// For how long, from the last approval on: `1h`.
    #[serde(rename = "for")]
    pub length: String,
    /// `waiting`, `live`, `rejected`, `ended` or `expired`.
    pub state: String,
    /// When it was asked for.
    pub created: String,
    /// Until when it waits for approvals.
    pub answer_by: String,
    /// Since when it is live, or was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins: Option<String>,
    /// When it ends by itself, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Who approved it.
    pub approved_by: Vec<String>,
    /// How many have to approve one that waits.
    pub quorum: u32,
    /// Who rejected or ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
}

/// `POST /elevations`: a role for a while, for oneself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestElevation {
    /// `ops`, `deployer` or `admin`.
    pub role: String,
    /// On which app; absent = on the rack and every app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// For how long, `1h` or `30m`; at most what the setting `elevation_longest` says.
    #[serde(rename = "for")]
    pub length: String,
    /// Why, in 1 to 500 characters.
    pub reason: String,
}

/// `POST /elevations/{id}/reject`; the body may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectElevation {
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A role of a person, or of the members of a group, on one app or everywhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RoleGrant {
    /// Id.
    pub id: String,
    /// The person's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The role: a built-in one, or a name that policies give a meaning.
    pub role: String,
    /// On which app; absent = on the rack and every app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Who granted it.
    pub granted_by: String,
    /// When.
    pub created: String,
}

/// `POST /grants`: exactly one of person and group.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRoleGrant {
    /// The person's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `viewer`, `ops`, `deployer`, `admin`, or a name that policies give a meaning.
    pub role: String,
    /// On which app; absent = on the rack and every app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
}

/// What one person, token or trust rule can do, and when they last did anything: one line of the review.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccessLine {
    /// Who: an e-mail address, `token:NAME`, or `workload:RULE`.
    pub subject: String,
    /// `person`, `token` or `workload`.
    pub kind: String,
    /// Whether they are locked out, or the token is over.
    pub locked: bool,
    /// Of a token: whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The roles.
    pub roles: Vec<String>,
    /// Live elevations and grants of roles; of a token or a trust rule its grants.
    pub grants: Vec<String>,
    /// Where: `everywhere`, or an app on which they can do more than that.
    pub place: String,
    /// The actions that they can do there once they gave every factor; on an app, those beyond `everywhere`.
    pub actions: Vec<String>,
    /// When they, or it, last did anything; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
}
