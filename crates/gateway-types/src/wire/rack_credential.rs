//! What the gateway signs in to the rack with: `/rack-credential`. Never the credential.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /rack-credential`, as it stands on the instance that answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RackCredential {
    /// Where it is kept: `file:/path`, `vault:mount/path#key` or `aws:secretsmanager:NAME#key`; absent when it is in the
    /// configuration itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What it looks like: 16 hexadecimal digits, equal on all instances that have the same one; empty while there is
    /// none yet. It is keyed, so that guesses cannot be tried against it.
    pub fingerprint: String,
    /// Since when this instance has it.
    pub since: String,
    /// For how long this instance has it, in seconds.
    pub age_seconds: u64,
    /// When it was last read where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<String>,
    /// When it is read next; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_read: Option<String>,
    /// Why it cannot be read now; the last one holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_since: Option<String>,
    /// When the rack last refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What Vault or AWS is asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<CredentialAccess>,
    /// The short-lived tokens in its place; absent when requests are signed with it itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<RackTokens>,
}

/// What Vault or AWS is asked with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CredentialAccess {
    /// `Vault token`, or where the credentials for AWS come from: `web identity`, `container credentials`, `instance
    /// profile`, `assumed role`, `static keys of the environment`.
    pub kind: String,
    /// Until when it is good; absent = for ever, or not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it is renewed; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<String>,
}

/// Short-lived tokens in place of the password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RackTokens {
    /// Those at hand, at most one for each role.
    pub roles: Vec<RackToken>,
    /// Why the last one could not be minted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A token of the rack.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RackToken {
    /// Its role at the rack: `read`, `write` or `admin`.
    pub role: String,
    /// When it was minted.
    pub minted: String,
    /// When another is minted, at the next use from then on.
    pub renews: String,
    /// Until when it is good.
    pub expires: String,
}
