//! Settings from the file and from variables.

use std::time::Duration;

use super::*;
use crate::{SettingKey, SettingValue};

#[test]
fn defaults() {
    let settings = config(&[], "").settings;
    assert!(settings.mfa_step_up() && settings.rate_limits());
    assert!(!settings.destructive_actions("a") && !settings.external_builds("a"));
    assert_eq!(settings.step_up_window(), Duration::from_secs(600));
    for key in SettingKey::ALL {
        let default = key.default_value();
        assert_eq!(key.parse(&default.to_string()), Ok(default), "{key:?}");
        assert_eq!(SettingKey::from_name(key.name()), Some(key));
    }
}

#[test]
fn variables_come_before_the_file_and_apps_before_the_gateway() {
    let file = "\
[settings]
step_up_window = \"5m\"
rate_limits = \"off\"
destructive_actions = true
[settings.app.my-app]
destructive_actions = false
[settings.app.other]
external_builds = true
";
    let environment = [
        ("RGW_SETTING_STEP_UP_WINDOW", "2m"),
        ("RGW_APP_OTHER_SETTING_EXTERNAL_BUILDS", "false"),
        ("RGW_APP_A_SETTING_B_SETTING_EXTERNAL_BUILDS", "on"),
    ];
    let config = config(&environment, file);
    let settings = &config.settings;
    assert_eq!(settings.step_up_window(), Duration::from_secs(120));
    assert!(!settings.rate_limits());
    assert!(settings.destructive_actions("anything") && !settings.destructive_actions("my-app"));
    // Only a variable cannot tell these two apart.
    assert!(settings.destructive_actions("my_app"));
    assert!(!settings.external_builds("other") && !settings.external_builds("a"));
    assert!(settings.external_builds("a-setting-b"));
    assert!(values(&config).contains(&("settings.step_up_window".to_owned(), Some("2m".to_owned()))));
    assert!(
        values(&config)
            .contains(&("settings.app.my-app.destructive_actions".to_owned(), Some("false".to_owned())))
    );
}

#[test]
fn values_are_typed() {
    let check = |key: SettingKey, text: &str, expected: Option<SettingValue>| {
        assert_eq!(key.parse(text).ok(), expected, "{key:?} {text:?}");
    };
    check(SettingKey::MfaStepUp, "on", Some(SettingValue::Switch(true)));
    check(SettingKey::MfaStepUp, "FALSE", None);
    check(SettingKey::MfaStepUp, "0", None);
    check(SettingKey::MfaStepUp, "", None);
    check(SettingKey::StepUpWindow, "12h", Some(SettingValue::Duration(Duration::from_secs(43_200))));
    check(SettingKey::StepUpWindow, "12h1s", None);
    check(SettingKey::StepUpWindow, "59s", None);
    check(SettingKey::StepUpWindow, "10", None);
    check(SettingKey::ElevationQuorum, "2", Some(SettingValue::Number(2)));
    for no_number in ["0", "6", "+1", "1.5", "", "4294967296"] {
        check(SettingKey::ElevationQuorum, no_number, None);
    }
    check(SettingKey::TimeZone, "Europe/Berlin", Some(SettingValue::TimeZone("Europe/Berlin".to_owned())));
    for no_zone in ["Mars/Olympus", "", "../etc/passwd", "+02:00"] {
        check(SettingKey::TimeZone, no_zone, None);
    }
    let labels = ["eu", "pci"].map(str::to_owned).into();
    check(SettingKey::AppLabels, "pci, eu,pci", Some(SettingValue::Labels(labels)));
    for no_labels in ["a b", "A", "a,,b", "é"] {
        check(SettingKey::AppLabels, no_labels, None);
    }
}

#[test]
fn wrong_settings_are_refused() {
    refused(
        &[("RGW_SETTING_MFA_STEP_UP", "maybe")],
        "",
        "variable RGW_SETTING_MFA_STEP_UP: `maybe` is not true, false, on or off",
    );
    refused(
        &[("RGW_SETTING_MFA_STEP_UP", "")],
        "",
        "variable RGW_SETTING_MFA_STEP_UP: is set but empty; give it a value or remove it",
    );
    refused(
        &[("RGW_APP_X_SETTING_MFA_STEP_UP", "false")],
        "",
        "variable RGW_APP_X_SETTING_MFA_STEP_UP: cannot differ between apps; write it as settings.mfa_step_up or RGW_SETTING_MFA_STEP_UP",
    );
    refused(
        &[("RGW_APP_X_SETTING_EXTERNAL_BUILD", "true")],
        "",
        "variable RGW_APP_X_SETTING_EXTERNAL_BUILD: does not exist; did you mean `RGW_APP_X_SETTING_EXTERNAL_BUILDS`?; docs/config.md lists all names",
    );
    refused(&[("RGW_APP_X", "")], "", "variable RGW_APP_X: does not exist; docs/config.md lists all names");
    refused(
        &[],
        "[settings.app.x]\nrate_limits = false\n",
        "settings.app.x.rate_limits (rack-gateway.toml line 2): cannot differ between apps; write it as settings.rate_limits or RGW_SETTING_RATE_LIMITS",
    );
    refused(
        &[],
        "[settings]\nstep_up_window = 10\n",
        "settings.step_up_window (rack-gateway.toml line 2): must be a duration in double quotes, such as \"10m\", not an integer",
    );
    refused(
        &[],
        "[settings.app.\"a b\"]\nexternal_builds = true\n",
        "settings.app.a b (rack-gateway.toml line 1): `a b` is not an app's name: letters, digits and hyphens",
    );
    refused(
        &[],
        "settings = 3\n",
        "settings (rack-gateway.toml line 1): must be a table, written in brackets on its own line, not an integer",
    );
}
