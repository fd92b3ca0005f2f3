//! The caller themselves: `/me`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::RoleSet;

/// Who asks, and what they can do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// Id of the person or token.
    pub id: String,
    /// The name for people: an e-mail address, or `token:NAME`.
    pub name: String,
    /// `web_session`, `cli_session` or `api_token`.
    pub credential: String,
    /// Present roles.
    #[schema(value_type = Vec<String>)]
    pub roles: RoleSet,
    /// For a token: whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Every action that the caller could do on something, once they gave every factor they can.
    pub permissions: Vec<String>,
    /// For a person: what they can confirm with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_factor: Option<SecondFactor>,
    /// For a person: the session that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<CurrentSession>,
    /// When the credential ends by itself; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The rack's name for people.
    pub rack: String,
    /// Id of the gateway.
    pub gateway_id: String,
}

/// What a person can confirm with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecondFactor {
    /// Second factors are asked for at all (the setting `mfa_step_up`).
    pub asked_for: bool,
    /// At least one counts.
    pub enrolled: bool,
    /// How many count.
    pub factors: u64,
    /// Backup codes that are not used yet.
    pub backup_codes_left: u64,
    /// How long a step-up counts, in seconds.
    pub window_seconds: u64,
    /// How old the step-up of this session is, in seconds; absent when none counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_up_age_seconds: Option<u64>,
}

/// The session that asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CurrentSession {
    /// Id.
    pub id: String,
    /// When it began.
    pub created: String,
    /// What it was opened with.
    pub device: String,
    /// How long it may rest unused, in seconds.
    pub idle_limit_seconds: u64,
}
