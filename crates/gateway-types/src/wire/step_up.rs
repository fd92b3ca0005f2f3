//! Step-up challenges: `/step-up/{id}`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was refused for want of a second factor, and waits to be confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Challenge {
    /// Its id; `window` for the window of the session that asks.
    pub id: String,
    /// The action's full name; empty for the window alone.
    pub action: String,
    /// What it would be done to.
    pub resource: String,
    /// Method and path that were asked for.
    pub target: String,
    /// For this very action, once; else it opens the window.
    pub bound: bool,
    /// What the session that was refused was opened with.
    pub device: String,
    /// From which address it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// When it ends.
    pub expires: String,
    /// It was confirmed, and waits to be used.
    pub confirmed: bool,
    /// How long the window is open once it was confirmed, in seconds.
    pub window_seconds: u64,
    /// With the id `window`: what this session was refused and nobody confirmed yet, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub waiting: Vec<Challenge>,
}

/// A second factor, or the wish to be asked for a passkey: `code` or `credential` alone confirms, `begin` alone asks.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Six digits of an authenticator, or a backup code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// With `code`: further challenges of the same session that it confirms as well, at most 49, so that one code
    /// confirms a list of changes that was shown as one. A passkey answers for one thing alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What a passkey answered, as the browser's JSON with byte strings in base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub credential: Option<serde_json::Value>,
    /// `passkey`: ask one; the reply is what `navigator.credentials.get` takes. `page`, with the id `window`: open a
    /// challenge that can be confirmed on its page in a browser; the reply is that challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<String>,
    /// With the id `request`: the method and path that the passkey's answer will be sent with, as in
    /// `DELETE /api/v1/rack-proxy/apps/web`.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_request: Option<String>,
}
