//! Sessions: `/me/sessions`, `/users/{id}/sessions`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A live session; its secret is known to nobody but its holder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Id.
    pub id: String,
    /// `web_session` or `cli_session`.
    pub kind: String,
    /// What it was opened with, as the client told it.
    pub device: String,
    /// From which address it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The program that opened it, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// From which address it was last used, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ip: Option<String>,
    /// When it began.
    pub created: String,
    /// When it was last used, to about a minute.
    pub last_seen: String,
    /// When it ends, used or not.
    pub expires: String,
    /// How long it may rest unused, in seconds.
    pub idle_limit_seconds: u64,
    /// It is the session that asks.
    pub current: bool,
}

/// How many sessions ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionsEnded {
    /// That were live.
    pub ended: u64,
}

/// A browser that needs no second factor to sign in; it never stands in for a step-up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrustedDevice {
    /// Id.
    pub id: String,
    /// What kind of browser it is, as it said.
    pub name: String,
    /// From which address it was trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Since when.
    pub created: String,
    /// When it last stood in for a second factor.
    pub last_used: String,
    /// Until when.
    pub expires: String,
}
