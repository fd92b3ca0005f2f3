//! Environments of apps, and their values: `/apps/{app}/env`, `/apps/{app}/env/reveal`, `/reveals`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An app's environment, with handles for what is secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct AppEnvironment {
    /// The app.
    pub app: String,
    /// The release that it is of: what a change names as its `base`. Absent while the app has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The release that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The release that it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<String>,
    /// Its variables.
    pub variables: Vec<EnvironmentVariable>,
    /// Variables that only the one it is compared with has.
    pub removed: Vec<String>,
}

/// A variable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: String,
    /// Its value, or the handle of a secret one.
    pub value: String,
    /// Whether the value is hidden behind a handle.
    pub hidden: bool,
    /// Whether nobody changes it through the gateway.
    pub protected: bool,
    /// Against the one it is compared with: `same`, `changed` or `added`.
    pub difference: String,
    /// Other secret variables of this environment with the same value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_as: Vec<String>,
}

/// `PUT /apps/{app}/env`: what is different. All that is not named stays.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEnvironment {
    /// Variables that get a value; a handle keeps what it stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Variables that are removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<String>,
    /// The release that the change was made of: refused with 409 when somebody changed one of the same variables
    /// since. Absent = of whatever is newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

impl std::fmt::Debug for ChangeEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.set.keys().collect();
        f.debug_struct("ChangeEnvironment")
            .field("set", &names)
            .field("unset", &self.unset)
            .field("base", &self.base)
            .finish()
    }
}

/// A change that was made.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangedEnvironment {
    /// The release that has it.
    pub release: String,
    /// Whether it is a new one; nothing was different otherwise.
    pub created: bool,
    /// The variables that are different from the release before.
    pub changed: Vec<String>,
}

/// `POST /apps/{app}/env/reveal`: values in plaintext, now or for a while.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealValues {
    /// Which variables; none = all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Of which release; absent = of the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Instead: this credential reads the app's values through the rack proxy for so long, `5m`; at most what the
    /// setting `reveal_longest` says.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub length: Option<String>,
    /// Why, in 1 to 500 characters.
    pub reason: String,
}

/// What was revealed: values, or a time.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revealed {
    /// The release whose values these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The values, in plaintext.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<RevealedValue>,
    /// The time that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<RevealTime>,
}

impl std::fmt::Debug for Revealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.values.iter().map(|value| &value.name).collect();
        f.debug_struct("Revealed")
            .field("release", &self.release)
            .field("values", &names)
            .field("time", &self.time)
            .finish()
    }
}

/// A value in plaintext.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevealedValue {
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for RevealedValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RevealedValue({}, …)", self.name)
    }
}

/// A time in which one credential reads an app's values.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevealTime {
    /// Id.
    pub id: String,
    /// Who holds the credential.
    pub holder: String,
    /// The app.
    pub app: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created: String,
    /// When it ends by itself.
    pub expires: String,
    /// Whether it is of the credential that asks.
    pub mine: bool,
}
