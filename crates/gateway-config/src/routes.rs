//! `[[rack.route]]`: further rows for the table of rack routes, written as tables in the file. The shape
//! is checked here; what the columns mean is `gateway-convox`'s, whose table each row is tried in.

use std::collections::BTreeMap;

use gateway_convox::{RouteTable, TableError};

use crate::document::{Located, Raw};
use crate::fault::{Fault, FaultKind, Origin};
use crate::nearest::nearest;

/// One `[[rack.route]]` as the file has it.
#[derive(Clone, Debug)]
pub(crate) struct RawRoute {
    pub(crate) origin: Origin,
    pub(crate) fields: BTreeMap<String, Located>,
}

/// A field of `[[rack.route]]`, in the order of the columns of `routes.tsv`.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
    default: Option<&'static str>,
    shape: Shape,
}

enum Shape {
    OneOf(&'static [&'static str], &'static str),
    Path,
    Action,
    Words(&'static str),
    Note,
}

pub(crate) const FIELDS: [Field; 10] = [
    Field {
        name: "method",
        meaning: "`GET`, `POST`, `PUT`, `PATCH`, `DELETE`, `HEAD`, `OPTIONS`, or `socket` for a WebSocket",
        default: None,
        shape: Shape::OneOf(
            &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "socket"],
            "a method: GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS or socket",
        ),
    },
    Field {
        name: "path",
        meaning: "its path, with `{name}` for one segment",
        default: None,
        shape: Shape::Path,
    },
    Field { name: "action", meaning: "its action, such as `app:read`", default: None, shape: Shape::Action },
    Field {
        name: "class",
        meaning: "`read`, `reveal`, `change`, `execute` or `critical`",
        default: None,
        shape: Shape::OneOf(
            &["read", "reveal", "change", "execute", "critical"],
            "a class: read, reveal, change, execute or critical",
        ),
    },
    Field {
        name: "role",
        meaning: "the lowest role that may: `viewer`, `ops`, `deployer` or `admin` (the default)",
        default: Some("admin"),
        shape: Shape::OneOf(
            &["viewer", "ops", "deployer", "admin"],
            "a role: viewer, ops, deployer or admin",
        ),
    },
    Field {
        name: "cicd",
        meaning: "whether machines that deploy may: `yes`, `approval` or `no` (the default)",
        default: Some("no"),
        shape: Shape::OneOf(&["yes", "approval", "no"], "yes, approval or no"),
    },
    Field {
        name: "secrets",
        meaning: "fields of the reply that are secret",
        default: Some(""),
        shape: Shape::Words(","),
    },
    Field {
        name: "params",
        meaning: "parameters, such as `name*@form:string`",
        default: Some(""),
        shape: Shape::Words(" "),
    },
    Field {
        name: "request_secrets",
        meaning: "parameters that are secret",
        default: Some(""),
        shape: Shape::Words(","),
    },
    Field { name: "notes", meaning: "a note for people", default: Some(""), shape: Shape::Note },
];

/// The built-in table with the operator's rows, one after the other, so that each fault has its line.
pub(crate) struct Extended {
    table: Option<RouteTable>,
    rows: String,
}

impl Extended {
    /// The built-in table without further rows.
    pub(crate) fn builtin() -> Self {
        Self { table: RouteTable::builtin().ok(), rows: String::new() }
    }

    /// Adds one row; what is wrong with it goes to `faults`.
    pub(crate) fn add(&mut self, route: &RawRoute, faults: &mut Vec<Fault>) {
        let before = faults.len();
        unknown_fields(route, faults);
        let cells: Vec<String> = FIELDS.iter().map(|field| cell(route, field, faults)).collect();
        if faults.len() > before {
            return;
        }
        let row = cells.join("\t") + "\n";
        match self.table.clone().map(|table| table.with_rows(&row)) {
            Some(Ok(table)) => {
                self.table = Some(table);
                self.rows.push_str(&row);
            }
            refused => {
                let kind = FaultKind::Route { reason: reason(refused.and_then(Result::err)) };
                faults.push(Fault { key: "rack.route".to_owned(), origin: route.origin.clone(), kind });
            }
        }
    }

    /// An action to switch on, without the `convox:` prefix.
    ///
    /// # Errors
    /// A name that is no action of a refused row.
    pub(crate) fn switchable(&self, text: &str) -> Result<String, FaultKind> {
        let action = text.strip_prefix("convox:").unwrap_or(text).to_owned();
        match self.table.clone().map(|table| table.switched_on(std::slice::from_ref(&action))) {
            Some(Ok(_)) => Ok(action),
            refused => Err(FaultKind::Route { reason: reason(refused.and_then(Result::err)) }),
        }
    }

    /// The operator's rows as tab-separated text, each ended by a newline.
    pub(crate) fn into_rows(self) -> String {
        self.rows
    }
}

fn reason(error: Option<TableError>) -> String {
    match error {
        // Each row is read alone: its line within the table says nothing.
        Some(TableError::Row { fault, .. }) => fault.to_string(),
        Some(other @ (TableError::UnknownAction { .. } | TableError::NotRefused { .. })) => other.to_string(),
        None => {
            "the built-in route table cannot be read; this program is damaged, install it anew".to_owned()
        }
    }
}

fn unknown_fields(route: &RawRoute, faults: &mut Vec<Fault>) {
    for (name, value) in &route.fields {
        if !FIELDS.iter().any(|field| field.name == name) {
            let nearest = nearest(name, FIELDS.iter().map(|field| field.name));
            faults.push(fault(name, value.origin.clone(), FaultKind::Unknown { nearest }));
        }
    }
}

fn cell(route: &RawRoute, field: &Field, faults: &mut Vec<Fault>) -> String {
    let (result, origin) = match (route.fields.get(field.name), field.default) {
        (Some(value), _) => (read(field, &value.raw), value.origin.clone()),
        (None, Some(default)) => (Ok(default.to_owned()), route.origin.clone()),
        (None, None) => {
            let write = format!("write `{} = \"…\"`: {}", field.name, field.meaning);
            (Err(FaultKind::Missing { write }), route.origin.clone())
        }
    };
    result.unwrap_or_else(|kind| {
        faults.push(fault(field.name, origin, kind));
        String::new()
    })
}

fn fault(field: &str, origin: Origin, kind: FaultKind) -> Fault {
    Fault { key: format!("rack.route.{field}"), origin, kind }
}

fn read(field: &Field, raw: &Raw) -> Result<String, FaultKind> {
    match (&field.shape, raw) {
        (Shape::Words(separator), Raw::List(words)) => {
            for word in words {
                check(word, is_word(word), "one word without blanks, commas, tabs or line ends")?;
            }
            Ok(words.join(separator))
        }
        (Shape::Words(_), other) => {
            Err(FaultKind::WrongType { expected: "an array of strings", found: other.type_name() })
        }
        (shape, Raw::Text(text)) => {
            let (valid, expected) = match shape {
                Shape::OneOf(words, expected) => (words.contains(&text.as_str()), *expected),
                Shape::Path => (
                    text.starts_with('/') && is_word(text),
                    "a path from the root, such as /apps/{app}/things",
                ),
                Shape::Action => (is_action(text), "an action of two lower-case names, such as app:read"),
                Shape::Words(_) | Shape::Note => {
                    (!text.chars().any(char::is_control), "one line without tabs")
                }
            };
            check(text, valid, expected).map(|()| text.clone())
        }
        (_, other) => Err(FaultKind::WrongType { expected: "a string", found: other.type_name() }),
    }
}

fn check(value: &str, valid: bool, expected: &'static str) -> Result<(), FaultKind> {
    if valid {
        Ok(())
    } else {
        Err(FaultKind::Malformed { value: value.escape_debug().to_string(), expected })
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != ',')
}

/// Whether `text` is `noun:verb` in lower case, as actions are written in `routes.tsv`.
fn is_action(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    matches!(text.split_once(':'), Some((noun, verb)) if is_name(noun) && is_name(verb))
}
