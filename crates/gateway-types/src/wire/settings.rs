//! Settings with their source: `/settings`, `/apps/{app}/settings`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SettingSource {
    /// `database`, `environment`, `file`, `flag` or `default`.
    pub kind: String,
    /// The variable, the flag, or the file and line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Who set it, when it is from the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was set, when it is from the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// A setting. Its `ETag` is the version in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// The value in force.
    pub value: String,
    /// Where that comes from.
    pub source: SettingSource,
    /// What holds when nobody gives a value.
    pub default: String,
    /// What it would be without the database: what a reset goes back to.
    pub without_database: String,
    /// Which values it takes.
    pub range: String,
    /// What it means.
    pub description: String,
    /// Whether an app may have its own value.
    pub per_app: bool,
    /// Of an app's settings: whether the value is the app's own, not the gateway's.
    pub own: bool,
    /// The environment variable that sets it here when the database does not.
    pub variable: String,
    /// What `If-Match` is compared against; 0 while the database has no value here.
    pub version: i64,
}

/// `PUT /settings`: one setting of the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSetting {
    /// Its name.
    pub key: String,
    /// The new value.
    pub value: String,
}

/// `PUT /apps/{app}/settings`: one setting of the app.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeAppSetting {
    /// Its name.
    pub key: String,
    /// The new value; `null` takes the app's own value out of the database.
    #[schema(required = true)]
    pub value: Option<String>,
}
