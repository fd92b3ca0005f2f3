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
}

/// A second factor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Six digits of an authenticator, or a backup code.
    pub code: String,
}
