//! Finds each key's value: flag before variable before file before default. Keeps every fault and
//! where every value came from. It knows no key by name; the sections do.

use std::collections::BTreeMap;

use gateway_types::Secret;

use crate::config::{Explained, Warning};
use crate::document::{Document, Located, Raw};
use crate::duration::{format_duration, parse_duration};
use crate::fault::{Fault, FaultKind, Origin};
use crate::keys::{Fallback, Key, Kind};
use crate::secret_ref::{self, SecretFiles, Shape};
use gateway_services::SecretRef;

/// What a secret looks like in every listing.
const HIDDEN: &str = "(hidden)";

/// A value as text, before its check.
#[derive(Clone, Debug)]
struct Found {
    /// One text, or the elements of a list.
    texts: Vec<String>,
    origin: Origin,
}

pub(crate) struct Resolver<'a> {
    pub(crate) document: &'a Document,
    pub(crate) environment: &'a BTreeMap<String, String>,
    pub(crate) flags: &'a BTreeMap<&'static str, String>,
    pub(crate) files: &'a dyn SecretFiles,
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) explained: Vec<Explained>,
    /// Every secret that was read.
    pub(crate) hidden: Vec<Secret<String>>,
}

impl Resolver<'_> {
    /// The value of a key that always has one. `None` = a fault was noted.
    pub(crate) fn one<T>(&mut self, key: &Key, parse: impl Fn(&str) -> Result<T, FaultKind>) -> Option<T> {
        let optional = self.optional(key, parse)?;
        self.required(key, optional)
    }

    /// The value, or a note that a key without which the gateway cannot run has none.
    pub(crate) fn required<T>(&mut self, key: &Key, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.missing(key);
        }
        value
    }

    /// The value of a key that may have none. The outer `None` = a fault was noted.
    pub(crate) fn optional<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, FaultKind>,
    ) -> Option<Option<T>> {
        let found = match self.find(key) {
            Ok(found) => found,
            Err(()) => return None,
        };
        self.explain(key, &found);
        let Some(found) = found else { return Some(None) };
        let text = found.texts.first().map(String::as_str).unwrap_or_default();
        let parsed = if text.is_empty() { Err(FaultKind::Empty) } else { parse(text) };
        match parsed {
            Ok(value) => Some(Some(value)),
            Err(kind) => {
                self.fault(key, found.origin, kind);
                None
            }
        }
    }

    /// The values of a list. `None` = a fault was noted; every bad element is.
    pub(crate) fn many<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, FaultKind>,
    ) -> Option<Vec<T>> {
        let found = match self.find(key) {
            Ok(found) => found,
            Err(()) => return None,
        };
        self.explain(key, &found);
        let Some(found) = found else { return Some(Vec::new()) };
        let (values, faults): (Vec<_>, Vec<_>) =
            found.texts.iter().map(|text| parse(text.trim())).partition(Result::is_ok);
        let faulty = !faults.is_empty();
        for kind in faults.into_iter().filter_map(Result::err) {
            self.fault(key, found.origin.clone(), kind);
        }
        if faulty { None } else { Some(values.into_iter().filter_map(Result::ok).collect()) }
    }

    /// A secret, its reference followed. The outer `None` = a fault was noted.
    pub(crate) fn secret(&mut self, key: &Key) -> Option<Option<Secret<String>>> {
        self.secret_of(key, Shape::Line)
    }

    /// The same for a text of several lines: a key or certificates in PEM.
    pub(crate) fn secret_text(&mut self, key: &Key) -> Option<Option<Secret<String>>> {
        self.secret_of(key, Shape::Lines)
    }

    fn secret_of(&mut self, key: &Key, shape: Shape) -> Option<Option<Secret<String>>> {
        let (environment, files) = (self.environment, self.files);
        let resolved = self.optional(key, |text| secret_ref::resolve(text, shape, environment, files))?;
        Some(resolved.map(|resolved| {
            if let Some(path) = resolved.world_readable {
                self.warnings.push(Warning::SecretFileWorldReadable { key: key.label().to_owned(), path });
            }
            self.hidden.push(resolved.secret.clone());
            resolved.secret
        }))
    }

    /// A secret that is followed while the gateway runs: its value, empty when only Vault or AWS can tell it, and where it is
    /// kept, unless that is the configuration itself. The outer `None` = a fault was noted.
    pub(crate) fn followed_secret(
        &mut self,
        key: &Key,
    ) -> Option<Option<(Secret<String>, Option<SecretRef>)>> {
        let kept = self.optional(key, |text| Ok(SecretRef::parse(text)))?.flatten();
        match kept {
            Some(store @ (SecretRef::Vault { .. } | SecretRef::Aws { .. })) => {
                Some(Some((Secret::new(String::new()), Some(store))))
            }
            Some(file @ SecretRef::File(_)) => Some(self.secret(key)?.map(|secret| (secret, Some(file)))),
            // A variable of this process never changes.
            Some(SecretRef::Env(_)) | None => Some(self.secret(key)?.map(|secret| (secret, None))),
        }
    }

    /// A whole number within a range.
    pub(crate) fn integer<T>(&mut self, key: &Key, least: T, most: T) -> Option<T>
    where
        T: Copy + PartialOrd + std::str::FromStr + std::fmt::Display,
    {
        self.one(key, |text| in_range(text, text.parse().ok(), least, most, "a whole number", T::to_string))
    }

    /// A length of time within a range.
    pub(crate) fn duration(
        &mut self,
        key: &Key,
        least: std::time::Duration,
        most: std::time::Duration,
    ) -> Option<std::time::Duration> {
        self.one(key, |text| {
            let expected = "a duration such as 10s or 5m";
            in_range(text, parse_duration(text), least, most, expected, |d| format_duration(*d))
        })
    }

    /// `true` or `false`.
    pub(crate) fn switch(&mut self, key: &Key) -> Option<bool> {
        self.one(key, |text| match text {
            "true" | "on" => Ok(true),
            "false" | "off" => Ok(false),
            _ => Err(FaultKind::Malformed { value: text.to_owned(), expected: "true or false" }),
        })
    }

    /// Where a key's value comes from.
    pub(crate) fn origin(&self, key: &Key) -> Origin {
        self.explained
            .iter()
            .find(|entry| entry.key == key.label())
            .map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// Shows `value` for a key in `config explain`, instead of what was found.
    pub(crate) fn show(&mut self, key: &Key, value: String) {
        if let Some(entry) = self.explained.iter_mut().find(|entry| entry.key == key.label()) {
            entry.value = Some(value);
        }
    }

    pub(crate) fn fault(&mut self, key: &Key, origin: Origin, kind: FaultKind) {
        self.faults.push(Fault { key: key.label().to_owned(), origin, kind });
    }

    fn missing(&mut self, key: &Key) {
        let example = match key.fallback {
            Fallback::Required { example } | Fallback::Absent { example, .. } => example,
            Fallback::Value(text) => text,
        };
        let variable = key.variable;
        let write = match key.name.and_then(|name| name.rsplit_once('.')) {
            Some((section, last)) => {
                format!("set the variable {variable} or write `{last} = \"{example}\"` under [{section}]")
            }
            None => format!("set the variable {variable}, such as {variable}={example}"),
        };
        self.fault(key, Origin::Default, FaultKind::Missing { write });
    }

    fn find(&mut self, key: &Key) -> Result<Option<Found>, ()> {
        if let Some(flag) = key.flag
            && let Some(text) = self.flags.get(flag)
        {
            return Ok(Some(Found { texts: vec![text.clone()], origin: Origin::Flag(flag) }));
        }
        if let Some(text) = self.environment.get(key.variable) {
            let origin = Origin::Variable(key.variable.to_owned());
            return Ok(Some(Found { texts: split(key.kind, text), origin }));
        }
        if let Some(located) = key.name.and_then(|name| self.document.values.get(name)) {
            return self.typed(key, located).map(Some);
        }
        let default = key.default_text();
        Ok(default.map(|text| Found { texts: split(key.kind, text), origin: Origin::Default }))
    }

    /// The file's value, if it has the key's type.
    fn typed(&mut self, key: &Key, located: &Located) -> Result<Found, ()> {
        let (texts, expected) = match (key.kind, &located.raw) {
            (Kind::Text | Kind::Duration | Kind::Secret, Raw::Text(text)) => (Some(vec![text.clone()]), ""),
            (Kind::Integer, Raw::Integer(number)) => (Some(vec![number.clone()]), ""),
            (Kind::Switch, Raw::Switch(on)) => (Some(vec![on.to_string()]), ""),
            (Kind::List, Raw::List(items)) => (Some(items.clone()), ""),
            (Kind::Text | Kind::Secret, _) => (None, "a string in double quotes"),
            (Kind::Duration, _) => (None, "a duration in double quotes, such as \"10m\""),
            (Kind::Integer, _) => (None, "a whole number without quotes"),
            (Kind::Switch, _) => (None, "true or false, without quotes"),
            (Kind::List, _) => (None, "an array of strings, such as [\"one\", \"two\"]"),
        };
        if let Some(texts) = texts {
            return Ok(Found { texts, origin: located.origin.clone() });
        }
        let kind = FaultKind::WrongType { expected, found: located.raw.type_name() };
        self.fault(key, located.origin.clone(), kind);
        Err(())
    }

    fn explain(&mut self, key: &Key, found: &Option<Found>) {
        let shown = |found: &Found| match key.kind {
            Kind::Secret => HIDDEN.to_owned(),
            _ => found.texts.join(","),
        };
        self.explained.push(Explained {
            key: key.label().to_owned(),
            variable: Some(key.variable.to_owned()),
            value: found.as_ref().map(shown),
            origin: found.as_ref().map_or(Origin::Default, |found| found.origin.clone()),
            default: key.default_text().map(str::to_owned),
        });
    }
}

/// A list's variable is joined by commas; an empty one is the empty list.
fn split(kind: Kind, text: &str) -> Vec<String> {
    match kind {
        Kind::List => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
        // Blanks at the ends of a secret may belong to it.
        Kind::Secret => vec![text.to_owned()],
        Kind::Text | Kind::Integer | Kind::Switch | Kind::Duration => vec![text.trim().to_owned()],
    }
}

fn in_range<T: Copy + PartialOrd>(
    text: &str,
    parsed: Option<T>,
    least: T,
    most: T,
    expected: &'static str,
    show: impl Fn(&T) -> String,
) -> Result<T, FaultKind> {
    let malformed = || FaultKind::Malformed { value: text.to_owned(), expected };
    let out_of_range =
        || FaultKind::OutOfRange { value: text.to_owned(), least: show(&least), most: show(&most) };
    match parsed {
        Some(value) if (least..=most).contains(&value) => Ok(value),
        Some(_) => Err(out_of_range()),
        // A number too large for its type is out of range, not malformed.
        None if text.strip_prefix('-').unwrap_or(text).chars().all(|c| c.is_ascii_digit()) => {
            Err(out_of_range())
        }
        None => Err(malformed()),
    }
}
