//! Labels of a compose file's services, as they stand there. What they mean is not known here.
//!
//! Source: the Compose Specification (services, `labels`; interpolation).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::lint::{self, LintFault};

/// A service of a compose file that has labels with a prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labelled {
    /// Its name in the file, which is also its host name for others in its networks.
    pub container: String,
    /// Its labels by name, without the prefix; or why they cannot be read.
    pub labels: Result<BTreeMap<String, String>, LabelFault>,
}

/// Why labels cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LabelFault {
    /// It is neither a map nor a list of `NAME=VALUE`.
    #[error("`labels` is neither a map nor a list of NAME=VALUE")]
    Form,
    /// It has another value wherever the file is used.
    #[error("the label `{label}` has a variable in it: give what `docker compose config` writes")]
    Variable {
        /// Which.
        label: String,
    },
    /// It stands there twice.
    #[error("the label `{label}` stands there twice")]
    Twice {
        /// Which.
        label: String,
    },
}

/// The services of a compose file that have labels which begin with `prefix`, by name.
///
/// # Errors
/// [`LintFault`] when it is no compose file, or one that takes parts from others: labels could stand there.
pub fn labelled(text: &str, prefix: &str) -> Result<Vec<Labelled>, LintFault> {
    let file = lint::read(text)?;
    let services = file.get("services").and_then(Value::as_object).ok_or(LintFault::NoServices)?;
    if file.get("include").is_some() || services.values().any(|service| service.get("extends").is_some()) {
        return Err(LintFault::Elsewhere);
    }
    let of_service = |(container, service): (&String, &Value)| {
        let labels = match service.get("labels").map(|labels| read(labels, prefix)) {
            None => return None,
            Some(Ok(labels)) if labels.is_empty() => return None,
            Some(labels) => labels,
        };
        Some(Labelled { container: container.clone(), labels })
    };
    let mut found: Vec<Labelled> = services.iter().filter_map(of_service).collect();
    found.sort_by(|one, other| one.container.cmp(&other.container));
    Ok(found)
}

fn read(labels: &Value, prefix: &str) -> Result<BTreeMap<String, String>, LabelFault> {
    let mut found = BTreeMap::new();
    let mut take = |label: &str, value: String| {
        let Some(name) = label.strip_prefix(prefix) else { return Ok(()) };
        let value = plain(&value).ok_or_else(|| LabelFault::Variable { label: label.to_owned() })?;
        match found.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(LabelFault::Twice { label: label.to_owned() }),
        }
    };
    match labels {
        Value::Null => {}
        Value::Object(map) => {
            for (label, value) in map {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    Value::Bool(_) | Value::Number(_) => value.to_string(),
                    Value::Array(_) | Value::Object(_) => return Err(LabelFault::Form),
                };
                take(label, value)?;
            }
        }
        Value::Array(list) => {
            for item in list {
                let item = item.as_str().ok_or(LabelFault::Form)?;
                let (label, value) = item.split_once('=').unwrap_or((item, ""));
                take(label, value.to_owned())?;
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(LabelFault::Form),
    }
    Ok(found)
}

/// The text without interpolation; `None` when it has a variable. `$$` is a `$`.
fn plain(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split("$$").collect();
    (!parts.iter().any(|part| part.contains('$'))).then(|| parts.join("$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let told = match labelled(text, "rack-gateway.") {
            Err(fault) => fault.to_string(),
            Ok(found) => {
                let of = |one: &Labelled| match &one.labels {
                    Ok(labels) => format!("{} {labels:?}", one.container),
                    Err(fault) => format!("{} {fault}", one.container),
                };
                found.iter().map(of).collect::<Vec<_>>().join("; ")
            }
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn labels_are_read_in_both_forms() {
        let map = "services:\n  web:\n    labels:\n      rack-gateway.service: wiki\n      rack-gateway.port: 8080\n      other: x\n  \
                   db:\n    labels: { other: x }\n  none: {}\n";
        check(map, r#"web {"port": "8080", "service": "wiki"}"#);
        let list = "services:\n  web:\n    labels: [rack-gateway.service=wiki, 'rack-gateway.host=a.example=b', rack-gateway.x]\n";
        check(list, r#"web {"host": "a.example=b", "service": "wiki", "x": ""}"#);
        let merged =
            "x-all: &all\n  labels: { rack-gateway.service: wiki }\nservices:\n  web:\n    <<: *all\n";
        check(merged, r#"web {"service": "wiki"}"#);
        check("services:\n  web:\n    labels: { rack-gateway.title: 5 $$ }\n", r#"web {"title": "5 $"}"#);
    }

    #[test]
    fn what_cannot_be_read_for_sure_is_said() {
        let variable = "services:\n  web:\n    labels: { rack-gateway.role: '${ROLE}' }\n";
        check(
            variable,
            "web the label `rack-gateway.role` has a variable in it: give what `docker compose config` writes",
        );
        check(
            "services:\n  web:\n    labels: text\n",
            "web `labels` is neither a map nor a list of NAME=VALUE",
        );
        let twice = "services:\n  web:\n    labels: [rack-gateway.a=1, rack-gateway.a=2]\n";
        check(twice, "web the label `rack-gateway.a` stands there twice");
        let elsewhere =
            "the file takes parts from others; give what `docker compose config` writes, which is the whole";
        check("include: [b.yaml]\nservices: {}\n", elsewhere);
        check("services:\n  web:\n    extends: { service: b }\n", elsewhere);
        check("a: 1\n", "the file is no compose file: it has no map `services`");
    }
}
