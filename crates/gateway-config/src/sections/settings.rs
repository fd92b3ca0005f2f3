//! Settings given by the file and by `RGW_SETTING_*` and `RGW_APP_<APP>_SETTING_*`.

use crate::config::Explained;
use crate::document::{LocatedSetting, Raw};
use crate::fault::{Fault, FaultKind, Origin};
use crate::keys::variables::{APP_SETTING_PREFIX, SETTING_PREFIX};
use crate::nearest::nearest;
use crate::resolver::Resolver;
use crate::settings::{Setting, SettingFault, SettingKey, SettingScope, SettingValue, Settings};

/// What stands between the app's name and the setting's in a variable.
const INFIX: &str = "_SETTING_";

pub(crate) fn settings(resolver: &mut Resolver<'_>) -> Settings {
    let mut settings = Settings::default();
    for located in &resolver.document.settings {
        from_file(located, &mut settings, &mut resolver.faults);
    }
    for (name, value) in resolver.environment {
        if name.starts_with(SETTING_PREFIX) {
            from_variable(name, value, &mut settings, &mut resolver.faults);
        } else if let Some(rest) = name.strip_prefix(APP_SETTING_PREFIX) {
            from_app_variable(name, rest, value, &mut settings, &mut resolver.faults);
        }
    }
    explain(&settings, &mut resolver.explained);
    settings
}

fn from_file(located: &LocatedSetting, settings: &mut Settings, faults: &mut Vec<Fault>) {
    let LocatedSetting { app, key, value } = located;
    let label = match app {
        Some(app) => format!("settings.app.{app}.{}", key.name()),
        None => format!("settings.{}", key.name()),
    };
    let origin = value.origin.clone();
    let parsed = match (&value.raw, key.default_value()) {
        (Raw::Switch(on), SettingValue::Switch(_)) => Ok(SettingValue::Switch(*on)),
        (Raw::Text(text), _) => key.parse(text).map_err(fault_kind),
        (other, SettingValue::Switch(_)) => {
            Err(FaultKind::WrongType { expected: "true or false", found: other.type_name() })
        }
        (other, SettingValue::Duration(_)) => Err(FaultKind::WrongType {
            expected: "a duration in double quotes, such as \"10m\"",
            found: other.type_name(),
        }),
        (Raw::Integer(text), SettingValue::Number(_)) => key.parse(text).map_err(fault_kind),
        (other, SettingValue::Number(_)) => {
            Err(FaultKind::WrongType { expected: "a whole number", found: other.type_name() })
        }
        (
            other,
            SettingValue::TimeZone(_)
            | SettingValue::Labels(_)
            | SettingValue::Word(_)
            | SettingValue::Images(_)
            | SettingValue::KeyPatterns(_)
            | SettingValue::Text(_),
        ) => Err(FaultKind::WrongType { expected: "a text in double quotes", found: other.type_name() }),
    };
    match (parsed, app) {
        (Err(kind), _) => faults.push(Fault { key: label, origin, kind }),
        (Ok(_), Some(_)) if key.scope() == SettingScope::Gateway => {
            faults.push(Fault { key: label, origin, kind: not_per_app(*key) });
        }
        (Ok(value), Some(app)) => {
            settings.apps.insert((app.clone(), *key), Setting { value, origin });
        }
        (Ok(value), None) => {
            settings.gateway.insert(*key, Setting { value, origin });
        }
    }
}

fn from_variable(name: &str, text: &str, settings: &mut Settings, faults: &mut Vec<Fault>) {
    let origin = Origin::Variable(name.to_owned());
    let result = match SettingKey::ALL.into_iter().find(|key| key.variable() == name) {
        Some(key) => parse(key, text).map(|value| (key, value)),
        None => {
            let known: Vec<String> = SettingKey::ALL.iter().map(|key| key.variable()).collect();
            Err(FaultKind::Unknown { nearest: nearest(name, known.iter().map(String::as_str)) })
        }
    };
    match result {
        Ok((key, value)) => {
            settings.gateway.insert(key, Setting { value, origin });
        }
        Err(kind) => faults.push(Fault { key: name.to_owned(), origin, kind }),
    }
}

fn from_app_variable(name: &str, rest: &str, text: &str, settings: &mut Settings, faults: &mut Vec<Fault>) {
    let origin = Origin::Variable(name.to_owned());
    match app_setting(rest).and_then(|(app, key)| parse(key, text).map(|value| (app, key, value))) {
        Ok((app, key, value)) => {
            settings.app_variables.insert((app, key), Setting { value, origin });
        }
        Err(kind) => faults.push(Fault { key: name.to_owned(), origin, kind }),
    }
}

/// Splits `MYAPP_SETTING_DESTRUCTIVE_ACTIONS`. An app's own name may hold `_SETTING_`, so the known
/// settings are looked for at the end.
fn app_setting(rest: &str) -> Result<(String, SettingKey), FaultKind> {
    let named = SettingKey::ALL.into_iter().find_map(|key| {
        let setting = key.name().to_ascii_uppercase();
        let app = rest.strip_suffix(&setting)?.strip_suffix(INFIX)?;
        is_app_form(app).then(|| (app.to_owned(), key))
    });
    match named {
        Some((_, key)) if key.scope() == SettingScope::Gateway => Err(not_per_app(key)),
        Some(found) => Ok(found),
        None => {
            let app = rest.rsplit_once(INFIX).map_or("<APP>", |(app, _)| app);
            let known: Vec<String> = SettingKey::ALL.iter().map(|key| key.app_variable(app)).collect();
            let name = format!("{APP_SETTING_PREFIX}{rest}");
            Err(FaultKind::Unknown { nearest: nearest(&name, known.iter().map(String::as_str)) })
        }
    }
}

fn is_app_form(app: &str) -> bool {
    !app.is_empty() && app.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn parse(key: SettingKey, text: &str) -> Result<SettingValue, FaultKind> {
    match text.trim() {
        "" => Err(FaultKind::Empty),
        text => key.parse(text).map_err(fault_kind),
    }
}

fn fault_kind(fault: SettingFault) -> FaultKind {
    match fault {
        SettingFault::NotASwitch { text } => {
            FaultKind::Malformed { value: text, expected: "true, false, on or off" }
        }
        SettingFault::NotADuration { text } => {
            FaultKind::Malformed { value: text, expected: "a duration such as 10m" }
        }
        SettingFault::NotANumber { text } => FaultKind::Malformed { value: text, expected: "a whole number" },
        SettingFault::NotATimeZone { text } => FaultKind::Malformed {
            value: text,
            expected: "a time zone of the IANA database, such as Europe/Berlin",
        },
        SettingFault::NotLabels { text } => FaultKind::Malformed {
            value: text,
            expected: "labels separated by commas: small letters, digits and dashes, at most 32",
        },
        SettingFault::NotAWord { text, words } => FaultKind::Malformed {
            value: text,
            expected: if words.contains(&"commit") {
                "commit or artefact"
            } else {
                "branch_or_pull_request, branch, branch_head, pull_request or open_pull_request"
            },
        },
        SettingFault::NotOfForm { text, expected } => FaultKind::Malformed { value: text, expected },
        SettingFault::NotImages { text } => FaultKind::Malformed {
            value: text,
            expected: "patterns of images separated by blanks: SERVICE=PATTERN or *=PATTERN, at most 50",
        },
        SettingFault::NotKeyPatterns { text } => FaultKind::Malformed {
            value: text,
            expected: "environment keys separated by commas, such as DATABASE_URL,STRIPE_* (one * at the start or the end, with at least two other characters)",
        },
        SettingFault::OutOfRange { text, least, most } => FaultKind::OutOfRange { value: text, least, most },
    }
}

fn not_per_app(key: SettingKey) -> FaultKind {
    FaultKind::NotPerApp { setting: key.name(), variable: key.variable() }
}

fn explain(settings: &Settings, explained: &mut Vec<Explained>) {
    for key in SettingKey::ALL {
        let setting = settings.gateway(key);
        let name = format!("settings.{}", key.name());
        explained.push(entry(name, key.variable(), key, &setting));
    }
    for ((app, key), setting) in settings.apps.iter().chain(&settings.app_variables) {
        let name = format!("settings.app.{app}.{}", key.name());
        explained.push(entry(name, key.app_variable(app), *key, setting));
    }
}

fn entry(name: String, variable: String, key: SettingKey, setting: &Setting) -> Explained {
    Explained {
        key: name,
        variable: Some(variable),
        value: Some(setting.value.to_string()),
        origin: setting.origin.clone(),
        default: Some(key.default_value().to_string()),
    }
}
