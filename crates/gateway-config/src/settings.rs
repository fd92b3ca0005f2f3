//! Settings: what an operator may change while the gateway runs. This registry knows their names,
//! types and defaults; a value in the database comes before one in the environment or file.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::duration::{format_duration, parse_duration};
use crate::fault::Origin;

/// One setting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SettingKey {
    /// Whether people need a second factor for what changes, executes or reveals.
    MfaStepUp,
    /// Whether everybody must have a second factor.
    MfaRequired,
    /// How long a second factor counts.
    StepUpWindow,
    /// Whether the rates of `limits` are enforced.
    RateLimits,
    /// Whether apps may be deleted.
    DestructiveActions,
    /// Whether builds outside the rack may be started.
    ExternalBuilds,
}

/// Whether an app may have its own value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SettingScope {
    /// One value for the whole gateway.
    Gateway,
    /// One value for the gateway, which an app's own value replaces.
    GatewayOrApp,
}

/// A setting's value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SettingValue {
    /// On or off.
    Switch(bool),
    /// A length of time.
    Duration(Duration),
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingValue::Switch(on) => write!(f, "{on}"),
            SettingValue::Duration(duration) => f.write_str(&format_duration(*duration)),
        }
    }
}

/// A text that is no value of a setting.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingFault {
    /// Not a switch.
    #[error("`{text}` is not true, false, on or off")]
    NotASwitch {
        /// What was given.
        text: String,
    },
    /// Not a duration.
    #[error("`{text}` is not a duration such as 10m")]
    NotADuration {
        /// What was given.
        text: String,
    },
    /// A duration outside the setting's range.
    #[error("{text} is out of range; write a value from {least} to {most}")]
    OutOfRange {
        /// What was given.
        text: String,
        /// The least allowed.
        least: String,
        /// The most allowed.
        most: String,
    },
}

const LEAST_WINDOW: Duration = Duration::from_secs(60);
const MOST_WINDOW: Duration = Duration::from_secs(12 * 3600);

impl SettingKey {
    /// Every setting.
    pub const ALL: [SettingKey; 6] = [
        SettingKey::MfaStepUp,
        SettingKey::MfaRequired,
        SettingKey::StepUpWindow,
        SettingKey::RateLimits,
        SettingKey::DestructiveActions,
        SettingKey::ExternalBuilds,
    ];

    /// The name in the file, the API and the log.
    pub const fn name(self) -> &'static str {
        match self {
            SettingKey::MfaStepUp => "mfa_step_up",
            SettingKey::MfaRequired => "mfa_required",
            SettingKey::StepUpWindow => "step_up_window",
            SettingKey::RateLimits => "rate_limits",
            SettingKey::DestructiveActions => "destructive_actions",
            SettingKey::ExternalBuilds => "external_builds",
        }
    }

    /// The setting of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// The environment variable that sets it for the gateway.
    pub fn variable(self) -> String {
        format!("{}{}", crate::keys::variables::SETTING_PREFIX, self.name().to_ascii_uppercase())
    }

    /// The environment variable that sets it for `app`. Apps whose names differ only in case or in
    /// `-` and `_` share it; the file tells them apart.
    pub fn app_variable(self, app: &str) -> String {
        format!(
            "{}{}_SETTING_{}",
            crate::keys::variables::APP_SETTING_PREFIX,
            variable_form(app),
            self.name().to_ascii_uppercase()
        )
    }

    /// Whether an app may have its own value.
    pub const fn scope(self) -> SettingScope {
        match self {
            SettingKey::MfaStepUp
            | SettingKey::MfaRequired
            | SettingKey::StepUpWindow
            | SettingKey::RateLimits => SettingScope::Gateway,
            SettingKey::DestructiveActions | SettingKey::ExternalBuilds => SettingScope::GatewayOrApp,
        }
    }

    /// What holds when nobody gives a value.
    pub const fn default_value(self) -> SettingValue {
        match self {
            SettingKey::MfaStepUp | SettingKey::RateLimits => SettingValue::Switch(true),
            SettingKey::StepUpWindow => SettingValue::Duration(Duration::from_secs(600)),
            SettingKey::MfaRequired | SettingKey::DestructiveActions | SettingKey::ExternalBuilds => {
                SettingValue::Switch(false)
            }
        }
    }

    /// What it means, for people.
    pub const fn describe(self) -> &'static str {
        match self {
            SettingKey::MfaStepUp => {
                "Whether people need a second factor for what changes, executes or reveals. Off is for trying things out."
            }
            SettingKey::MfaRequired => {
                "Whether everybody must have a second factor: whoever has none can enrol one and sign out, and nothing else."
            }
            SettingKey::StepUpWindow => {
                "How long a second factor counts for the credential that gave it, from 1m to 12h. What is hard to undo needs a fresh one each time."
            }
            SettingKey::RateLimits => "Whether the rates under [limits] are enforced.",
            SettingKey::DestructiveActions => {
                "Whether apps may be deleted. While it is off, not even an admin can; a role is still needed when it is on."
            }
            SettingKey::ExternalBuilds => {
                "Whether builds may be made outside the rack and imported, so that the rack runs what it did not build."
            }
        }
    }

    /// Reads a value as it stands in a variable, the API or the database.
    ///
    /// # Errors
    /// [`SettingFault`] for a text of another type or a value outside the range.
    pub fn parse(self, text: &str) -> Result<SettingValue, SettingFault> {
        match self.default_value() {
            SettingValue::Switch(_) => match text {
                "true" | "on" => Ok(SettingValue::Switch(true)),
                "false" | "off" => Ok(SettingValue::Switch(false)),
                _ => Err(SettingFault::NotASwitch { text: text.to_owned() }),
            },
            SettingValue::Duration(_) => {
                let window = parse_duration(text)
                    .ok_or_else(|| SettingFault::NotADuration { text: text.to_owned() })?;
                if (LEAST_WINDOW..=MOST_WINDOW).contains(&window) {
                    Ok(SettingValue::Duration(window))
                } else {
                    Err(SettingFault::OutOfRange {
                        text: text.to_owned(),
                        least: format_duration(LEAST_WINDOW),
                        most: format_duration(MOST_WINDOW),
                    })
                }
            }
        }
    }
}

/// An app's name as it stands inside a variable's name.
pub(crate) fn variable_form(app: &str) -> String {
    app.to_ascii_uppercase().replace('-', "_")
}

/// A value with where it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The value.
    pub value: SettingValue,
    /// Where it came from.
    pub origin: Origin,
}

/// The settings given by environment and file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    pub(crate) gateway: BTreeMap<SettingKey, Setting>,
    pub(crate) apps: BTreeMap<(String, SettingKey), Setting>,
    /// Given by variables, which know an app only in [`variable_form`].
    pub(crate) app_variables: BTreeMap<(String, SettingKey), Setting>,
}

impl Settings {
    /// The value for the whole gateway.
    pub fn gateway(&self, key: SettingKey) -> Setting {
        self.gateway
            .get(&key)
            .cloned()
            .unwrap_or(Setting { value: key.default_value(), origin: Origin::Default })
    }

    /// The value for one app: its own (variable before file), else the gateway's.
    pub fn app(&self, key: SettingKey, app: &str) -> Setting {
        self.app_own(key, app).cloned().unwrap_or_else(|| self.gateway(key))
    }

    /// The value given for exactly this app, if there is one.
    pub fn app_own(&self, key: SettingKey, app: &str) -> Option<&Setting> {
        self.app_variables.get(&(variable_form(app), key)).or_else(|| self.apps.get(&(app.to_owned(), key)))
    }

    /// Whether people need a second factor at all.
    pub fn mfa_step_up(&self) -> bool {
        is_on(self.gateway(SettingKey::MfaStepUp).value)
    }

    /// How long a second factor counts.
    pub fn step_up_window(&self) -> Duration {
        match self.gateway(SettingKey::StepUpWindow).value {
            SettingValue::Duration(window) => window,
            SettingValue::Switch(_) => Duration::ZERO,
        }
    }

    /// Whether rates are enforced.
    pub fn rate_limits(&self) -> bool {
        is_on(self.gateway(SettingKey::RateLimits).value)
    }

    /// Whether this app may be deleted.
    pub fn destructive_actions(&self, app: &str) -> bool {
        is_on(self.app(SettingKey::DestructiveActions, app).value)
    }

    /// Whether this app may import builds.
    pub fn external_builds(&self, app: &str) -> bool {
        is_on(self.app(SettingKey::ExternalBuilds, app).value)
    }
}

const fn is_on(value: SettingValue) -> bool {
    match value {
        SettingValue::Switch(on) => on,
        // No switch is ever a duration: `SettingKey::parse` decides the type by the key.
        SettingValue::Duration(_) => false,
    }
}
