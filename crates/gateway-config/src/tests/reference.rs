//! The two generated documents are up to date, complete, and true.

use std::collections::BTreeSet;

use super::*;
use crate::keys::{self, Fallback, variables};
use crate::reference::{EXAMPLE, example_text, markdown};
use crate::{SettingKey, SettingValue};

const CONFIG_MD: &str = include_str!("../../../../docs/config.md");
const HOW: &str = "run `cargo run -p gateway-config --example reference`";

#[test]
fn the_generated_documents_are_up_to_date() {
    assert!(EXAMPLE == example_text(), "rack-gateway.toml.example is out of date: {HOW}");
    assert!(CONFIG_MD == markdown(), "docs/config.md is out of date: {HOW}");
}

#[test]
fn the_example_parses_to_the_defaults() {
    assert_eq!(values(&config(&[], EXAMPLE)), values(&config(&[], "")));
}

/// The example with the lines of these keys, and their continued lines, uncommented.
fn uncommented(keep: impl Fn(&str) -> bool) -> (String, usize) {
    let mut section = String::new();
    let mut kept = false;
    let mut count = 0;
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        if let Some(name) = line.trim_start_matches('#').strip_prefix('[') {
            section = format!("{}.", name.trim_matches(['[', ']']));
        }
        let body = line.strip_prefix('#').unwrap_or_default();
        if let Some((key, _)) = body.split_once(" = ").filter(|_| !body.starts_with([' ', '['])) {
            kept = keep(&format!("{section}{key}"));
            count += usize::from(kept);
        } else if !body.starts_with("    ") {
            kept = false;
        }
        text.push_str(if kept { body } else { line });
        text.push('\n');
    }
    (text, count)
}

#[test]
fn every_default_in_the_example_is_the_default() {
    let defaults: BTreeSet<&str> = keys::ALL
        .iter()
        .filter(|key| matches!(key.fallback, Fallback::Value(_)))
        .filter_map(|key| key.name)
        .collect();
    let settings = |name: &str| name.starts_with("settings.");
    let (text, count) = uncommented(|name| defaults.contains(name));
    assert_eq!(count, defaults.len());
    let written = config(&[], &text);
    assert_eq!(values(&written), values(&config(&[], "")));
    for name in defaults {
        assert!(matches!(origin(&written, name), Origin::File { .. }), "{name}");
    }
    // The gateway's settings come before those of the example's app.
    let (text, _) = uncommented(settings);
    let text = text.replace("#[settings.app.myapp]", "[settings.app.myapp]");
    let config = config(&[], &text);
    assert_eq!(
        config.settings.app_own(SettingKey::ExternalBuilds, "myapp").unwrap().value,
        SettingValue::Switch(false)
    );
    assert!(SettingKey::ALL.iter().all(|key| config.settings.gateway(*key).value == key.default_value()));
}

#[test]
fn every_example_in_the_example_is_valid() {
    for key in keys::ALL {
        let Fallback::Absent { .. } = key.fallback else { continue };
        let Some(name) = key.name else { continue };
        let (text, count) = uncommented(|other| other == name);
        assert_eq!(count, 1, "{name}");
        // An example may refer to a file that is not here, or need another key: nothing else may be wrong.
        if let Err(faults) = parse(sources(&REQUIRED, &text)) {
            let text = faults.to_string();
            let expected = text.contains("refers to /run/secrets/") || text.contains(" needs ");
            assert!(text.contains("1 fault:") && expected, "{text}");
        }
    }
    let route = EXAMPLE.lines().skip_while(|line| *line != "#[[rack.route]]");
    let route: Vec<&str> = route.map(|line| line.trim_start_matches('#')).collect();
    assert!(!config(&[], &route.join("\n")).routes.extra_rows.is_empty());
}

#[test]
fn every_variable_is_documented() {
    for variable in variables::ALL {
        assert!(CONFIG_MD.contains(&format!("`{variable}`")), "{variable}");
    }
    for key in SettingKey::ALL {
        assert!(CONFIG_MD.contains(&format!("`{}`", key.variable())), "{key:?}");
        assert!(EXAMPLE.contains(&format!("Variable {}.", key.variable())), "{key:?}");
    }
    for key in keys::ALL.iter().filter(|key| key.name.is_some()) {
        assert!(EXAMPLE.contains(&format!("Variable {}", key.variable)), "{}", key.variable);
    }
}

#[test]
fn names_are_unique_and_explained() {
    let labels: BTreeSet<&str> = keys::ALL.iter().map(|key| key.label()).collect();
    let names: BTreeSet<&&str> = variables::ALL.iter().collect();
    assert_eq!(labels.len(), keys::ALL.len());
    assert_eq!(names.len(), variables::ALL.len());
    let explained: BTreeSet<String> = config(&[], "").sources.into_iter().map(|entry| entry.key).collect();
    for label in labels {
        assert!(explained.contains(label), "{label} is in the table but nothing reads it");
    }
}

#[test]
fn the_example_of_a_provider_is_valid() {
    let start = EXAMPLE.find("#[[identity.provider]]").unwrap();
    let table: String = EXAMPLE[start..]
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    let table = table.replace("file:/run/secrets/okta-client-secret", "s3cret");
    let [okta] = config(&[], &table).identity.providers.try_into().unwrap();
    assert_eq!(okta.email_verified_claim, None, "the standard's name is the default");
    assert!(okta.groups_claim.is_some() && okta.role_map.len() == 2 && !okta.allowed_domains.is_empty());
}
