//! The mode of the gateway: `/mode`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /mode`: read-only on purpose, or as usual again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetMode {
    /// `read-only` or `normal`.
    pub mode: String,
    /// Why, for everybody who is refused; with `read-only` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The mode that all instances are in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ModeState {
    /// `read-only` or `normal`.
    pub mode: String,
    /// Why it is read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}
