//! Tests over the whole crate: from sources to a configuration or its faults.

mod book;
mod documents;
mod mail;
mod reference;
mod secrets;
mod sections;
mod settings;
mod sinks;
mod tls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Config, Flags, Origin, Sources, parse};

/// The two values without which nothing parses.
const REQUIRED: [(&str, &str); 2] = [("RACK_HOST", "rack.example.com"), ("RACK_TOKEN", "t0ken")];

fn sources(environment: &[(&str, &str)], file: &str) -> Sources {
    Sources {
        file: (!file.is_empty()).then(|| (PathBuf::from("rack-gateway.toml"), file.to_owned())),
        environment: map(environment),
        flags: Flags::default(),
    }
}

fn map(environment: &[(&str, &str)]) -> BTreeMap<String, String> {
    environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The configuration of the required values, these variables and this file.
fn config(environment: &[(&str, &str)], file: &str) -> Config {
    parse(sources(&[&REQUIRED, environment].concat(), file)).unwrap()
}

/// What is wrong with these variables and this file, one fault a line; the required values are given.
fn faults(environment: &[(&str, &str)], file: &str) -> String {
    let faults = parse(sources(&[&REQUIRED, environment].concat(), file)).unwrap_err();
    faults.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// One fault is enough to refuse: the text must be in it.
fn refused(environment: &[(&str, &str)], file: &str, expected: &str) {
    let faults = faults(environment, file);
    assert_eq!(faults, expected, "{environment:?} {file:?}");
}

/// Key and value of everything, without where it came from.
fn values(config: &Config) -> Vec<(String, Option<String>)> {
    config.sources.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
}

fn origin(config: &Config, key: &str) -> Origin {
    config.sources.iter().find(|entry| entry.key == key).unwrap().origin.clone()
}
