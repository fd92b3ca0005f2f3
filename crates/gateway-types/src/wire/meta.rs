//! What the gateway says about itself: `/.well-known/rack-gateway`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where people and their programs sign in. Paths below the gateway's own origin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuthPaths {
    /// The page that a browser is sent to.
    pub login: String,
    /// Where a device code is asked for (RFC 8628).
    pub device: String,
    /// The page that a device code is confirmed at.
    pub device_page: String,
    /// Where codes are turned into a session (RFC 6749, section 3.2).
    pub token: String,
}

/// How to connect with which client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClientHints {
    /// The value of `RACK_URL` for an unmodified Convox client; `TOKEN` stands for an API token.
    pub convox_rack_url: String,
    /// The command that signs in here.
    pub login_command: String,
}

/// What a client needs to know before it signs in. Members that are not known are ignored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Discovery {
    /// Which gateway it is: the audience of its tokens, sessions, receipts and checkpoints.
    pub gateway_id: String,
    /// The rack's name for people.
    pub rack: String,
    /// The gateway's version.
    pub version: String,
    /// Where the rack's own API is.
    pub rack_proxy: String,
    /// Where the gateway's API is.
    pub api: String,
    /// Its description (OpenAPI 3.1).
    pub openapi: String,
    /// The audit log's newest checkpoint.
    pub checkpoint: String,
    /// The key that signs the checkpoints, as a signed note's verifier.
    pub checkpoint_key: String,
    /// Every key that signs or signed them, each handed over by the one before.
    pub log_keys: String,
    /// Where to sign in.
    pub auth: AuthPaths,
    /// How to connect.
    pub clients: ClientHints,
}

/// A refusal or failure (RFC 9457, `application/problem+json`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    /// `/problems/KIND`: a page that says what it means and what to do.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in one sentence.
    pub detail: String,
    /// The request's id: what `/policy/why/{request_id}` takes.
    pub instance: String,
    /// The layer that decided: `network`, `authentication`, `authorization`, `mfa` or `audit`.
    pub layer: String,
    /// Ids of the policies that decided.
    #[serde(default)]
    pub rules: Vec<String>,
    /// What would turn it into a yes.
    #[serde(default)]
    pub remedies: Vec<ProblemRemedy>,
}

/// One thing that would turn a refusal into a yes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemRemedy {
    /// `step_up`, `step_up_bound`, `enrol`, `approval`, `elevation`, `role` or `setting`.
    pub kind: String,
    /// A page that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A command that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}
