//! What labels on a container ask for, as a part of a declaration. Labels never put anything in force: they become a
//! candidate, and somebody who may change services decides.
//!
//! Labels say only what is listed here; everything else of a declaration (routes, credentials, what is signed in with) is the
//! operator's, and stays as it is. The address is the container's own name: a label leads to no other machine.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use url::{Host, Url};

/// What the names of labels begin with.
pub const LABEL_PREFIX: &str = "rack-gateway.";

/// What labels ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Overlay {
    /// The service's name.
    pub name: String,
    /// The fields that they set, each whole, as a declaration has them.
    pub fields: Map<String, Value>,
}

/// What is wrong with labels.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OverlayFault {
    /// It must be given.
    #[error("the label `{LABEL_PREFIX}{label}` must be given: {wanted}")]
    Missing {
        /// Without the prefix.
        label: &'static str,
        /// What should stand there.
        wanted: &'static str,
    },
    /// It is not what it should be.
    #[error("the label `{LABEL_PREFIX}{label}`: `{found}` is not {wanted}")]
    Malformed {
        /// Without the prefix.
        label: String,
        /// What stands there.
        found: String,
        /// What should stand there.
        wanted: &'static str,
    },
    /// There is no such label.
    #[error(
        "there is no label `{LABEL_PREFIX}{label}`; what it is to say is declared with `rack-gateway services put`"
    )]
    Unknown {
        /// Without the prefix.
        label: String,
    },
    /// The container's name is an address.
    #[error("`{container}` is no host name")]
    Container {
        /// Its name.
        container: String,
    },
}

/// How the value of a label is read.
#[derive(Clone, Copy)]
enum Form {
    /// As it stands.
    Text,
    /// Several, between commas.
    List,
    /// `true` or `false`.
    Switch,
}

/// Each label that is a field, how it is read, and the field.
const FIELDS: [(&str, Form, &str); 12] = [
    ("title", Form::Text, "title"),
    ("host", Form::List, "hosts"),
    ("path", Form::Text, "prefix"),
    ("strip-path", Form::Switch, "strip_prefix"),
    ("protocol", Form::Text, "protocol"),
    ("keep-host", Form::Switch, "host"),
    ("trust", Form::Text, "trust"),
    ("role", Form::Text, "role"),
    ("step-up", Form::Text, "step_up"),
    ("websocket", Form::Switch, "websocket"),
    ("identity", Form::Text, "identity"),
    ("health", Form::Text, "health"),
];

/// What the labels of a container ask for. `labels`: by name, without the prefix.
///
/// # Errors
/// Every [`OverlayFault`] that there is.
pub fn overlay(container: &str, labels: &BTreeMap<String, String>) -> Result<Overlay, Vec<OverlayFault>> {
    let mut faults = Vec::new();
    let mut fields = Map::new();
    let mut left: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
    let mut taken = |label: &str| {
        left.remove(label);
        labels.get(label).map(|value| value.trim())
    };
    let name = taken("service").map(str::to_owned);
    let (port, scheme) = (taken("port"), taken("scheme"));
    for (label, form, field) in FIELDS {
        let Some(value) = taken(label) else { continue };
        match read(label, form, value) {
            Ok(value) => drop(fields.insert(field.to_owned(), value)),
            Err(fault) => faults.push(fault),
        }
    }
    faults.extend(left.into_iter().map(|label| OverlayFault::Unknown { label: label.to_owned() }));
    let is_zone = fields.get("trust").is_some_and(|trust| trust == "zone");
    match address(container, scheme.unwrap_or(if is_zone { "https" } else { "http" }), port) {
        Ok(url) => {
            let kind = if url.starts_with("tcp:") { "tcp" } else { "http" };
            fields.insert("kind".to_owned(), json!(kind));
            fields.insert("upstreams".to_owned(), json!([{ "url": url }]));
        }
        Err(fault) => faults.push(fault),
    }
    let wanted = "the name that the service has at the gateway";
    let Some(name) = name else {
        faults.insert(0, OverlayFault::Missing { label: "service", wanted });
        return Err(faults);
    };
    if faults.is_empty() { Ok(Overlay { name, fields }) } else { Err(faults) }
}

fn read(label: &str, form: Form, value: &str) -> Result<Value, OverlayFault> {
    let malformed = |wanted| OverlayFault::Malformed { label: label.to_owned(), found: short(value), wanted };
    Ok(match (form, label) {
        (Form::Text, "health") => json!({ "path": value }),
        (Form::Text, _) => json!(value),
        (Form::List, _) => json!(value.split(',').map(str::trim).collect::<Vec<_>>()),
        (Form::Switch, _) => {
            let is_on: bool = value.parse().map_err(|_| malformed("`true` or `false`"))?;
            match label {
                "keep-host" => json!(if is_on { "keep" } else { "upstream" }),
                _ => json!(is_on),
            }
        }
    })
}

/// Where the container is, for others in its networks.
fn address(container: &str, scheme: &str, port: Option<&str>) -> Result<String, OverlayFault> {
    if !["http", "https", "tcp"].contains(&scheme) {
        let (label, wanted) = ("scheme".to_owned(), "`http`, `https` or `tcp`");
        return Err(OverlayFault::Malformed { label, found: short(scheme), wanted });
    }
    let wanted = "the port that the container listens on";
    let port = port.ok_or(OverlayFault::Missing { label: "port", wanted })?;
    let malformed = || OverlayFault::Malformed { label: "port".to_owned(), found: short(port), wanted };
    let number: u16 = port.parse().map_err(|_| malformed())?;
    // Names of containers are letters, digits, `.`, `_` and `-`; but `169.254.169.254` is one too, and so is `2852039166`.
    let is_name = container.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && Url::parse(&format!("http://{container}/"))
            .is_ok_and(|url| matches!(url.host(), Some(Host::Domain(_))));
    match is_name {
        true => Ok(format!("{scheme}://{container}:{number}")),
        false => Err(OverlayFault::Container { container: short(container) }),
    }
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(container: &str, labels: &[(&str, &str)], expected: &str) {
        let given = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect();
        let told = match overlay(container, &given) {
            Ok(overlay) => format!("{} {}", overlay.name, Value::Object(overlay.fields)),
            Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        };
        assert_eq!(told, expected, "{labels:?}");
    }

    #[test]
    fn labels_are_fields_of_a_declaration() {
        check(
            "web",
            &[("service", "wiki"), ("host", "a.example, b.example"), ("port", "8080"), ("websocket", "true")],
            r#"wiki {"hosts":["a.example","b.example"],"websocket":true,"kind":"http","upstreams":[{"url":"http://web:8080"}]}"#,
        );
        check(
            "web",
            &[
                ("service", "wiki"),
                ("path", "/wiki"),
                ("strip-path", "true"),
                ("port", "80"),
                ("keep-host", "true"),
            ],
            r#"wiki {"prefix":"/wiki","strip_prefix":true,"host":"keep","kind":"http","upstreams":[{"url":"http://web:80"}]}"#,
        );
        check(
            "web",
            &[("service", "wiki"), ("trust", "zone"), ("port", "6754"), ("health", "/healthz")],
            r#"wiki {"trust":"zone","health":{"path":"/healthz"},"kind":"http","upstreams":[{"url":"https://web:6754"}]}"#,
        );
        check(
            "db_1",
            &[("service", "db"), ("scheme", "tcp"), ("port", "5432")],
            r#"db {"kind":"tcp","upstreams":[{"url":"tcp://db_1:5432"}]}"#,
        );
    }

    #[test]
    fn labels_that_say_nothing_or_too_much_are_faults() {
        check(
            "web",
            &[("port", "80")],
            "the label `rack-gateway.service` must be given: the name that the service has at the gateway",
        );
        check(
            "web",
            &[("service", "a")],
            "the label `rack-gateway.port` must be given: the port that the container listens on",
        );
        check(
            "web",
            &[("service", "a"), ("port", "80"), ("credential", "x"), ("websocket", "on")],
            "the label `rack-gateway.websocket`: `on` is not `true` or `false`; there is no label `rack-gateway.credential`; what it is to say is declared with `rack-gateway services put`",
        );
        for container in ["169.254.169.254", "2852039166", "0xa9fea9fe", "a/b", "u@h", ""] {
            check(container, &[("service", "a"), ("port", "80")], &format!("`{container}` is no host name"));
        }
        let port = "the port that the container listens on";
        for bad in ["0x50", "70000", "80/x", "-1"] {
            let fault = format!("the label `rack-gateway.port`: `{bad}` is not {port}");
            check("web", &[("service", "a"), ("port", bad)], &fault);
        }
        check(
            "web",
            &[("service", "a"), ("port", "80"), ("scheme", "file")],
            "the label `rack-gateway.scheme`: `file` is not `http`, `https` or `tcp`",
        );
    }
}
