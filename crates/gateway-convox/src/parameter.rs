//! Parameters: where they live, what type they have, and the check of a value against its type.

use std::fmt;

use crate::error::{ParameterError, shown};
use crate::urlencoded::{self, RawBytes};

/// Where a parameter lives in a request. Each has exactly one place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// A part of the path.
    Path,
    /// The query string.
    Query,
    /// The urlencoded body.
    Form,
    /// A header; its name is compared without regard to case.
    Header,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Form => "form",
            Place::Header => "header",
        })
    }
}

/// How secret a parameter's value is in the request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Secrecy {
    /// Not at all.
    Plain,
    /// The whole value.
    Secret,
    /// To be scanned for known secret values.
    Scanned,
    /// A map of which every value is secret, unless its name is known to be harmless.
    SecretValues,
}

/// The type of a value. Source: the header comment of `routes.tsv`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueType {
    /// `true` or `false`.
    Bool,
    /// Decimal, may be negative, at most 18 digits.
    Int,
    /// Go duration text such as `2m0s`.
    Duration,
    /// `20060102.150405.000000000`.
    Time,
    /// Items joined by commas in one value.
    List,
    /// An urlencoded query string inside the one value.
    Map,
    /// One JSON document.
    Json,
    /// Any text.
    Text,
}

impl ValueType {
    pub(crate) fn parse(word: &str) -> Option<ValueType> {
        match word {
            "bool" => Some(ValueType::Bool),
            "int" => Some(ValueType::Int),
            "duration" => Some(ValueType::Duration),
            "time" => Some(ValueType::Time),
            "list" => Some(ValueType::List),
            "map" => Some(ValueType::Map),
            "json" => Some(ValueType::Json),
            "string" => Some(ValueType::Text),
            _ => None,
        }
    }

    const fn expected(self, place: Place) -> &'static str {
        match self {
            ValueType::Bool => "true or false",
            ValueType::Int => "a decimal number of at most 18 digits, without a plus sign or leading zeros",
            ValueType::Duration => "a duration such as 90s or 2m0s",
            ValueType::Time => "a time such as 20060102.150405.000000000",
            ValueType::Json => "one JSON document of at most 64 KiB",
            ValueType::Map => "an urlencoded map without control characters",
            ValueType::List | ValueType::Text => match place {
                Place::Header => "text that is not empty, without control characters",
                Place::Form => "text without control characters other than tab and line ends",
                Place::Query | Place::Path => "text without control characters",
            },
        }
    }
}

/// One parameter that a row takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParameterSpec {
    /// Its name; for a header, the canonical spelling.
    pub name: String,
    /// Its one place.
    pub place: Place,
    /// Its type.
    pub value_type: ValueType,
    /// Whether the rack refuses or fails without it.
    pub required: bool,
    /// Whether the client sends it there but the rack ignores it: checked, then dropped.
    pub ignored: bool,
    /// Whether only v2 racks read it.
    pub v2_only: bool,
    /// How secret its value is.
    pub secrecy: Secrecy,
}

impl ParameterSpec {
    /// Whether `name` names this parameter.
    pub fn is_named(&self, name: &str) -> bool {
        match self.place {
            Place::Header => self.name.eq_ignore_ascii_case(name),
            Place::Path | Place::Query | Place::Form => self.name == name,
        }
    }

    /// The one spelling of `value`, when it is of this parameter's type.
    ///
    /// # Errors
    /// Names the parameter and its type; never holds the value.
    pub fn canonical(&self, value: &str) -> Result<String, ParameterError> {
        let bad = || self.bad_value();
        let fits = match self.value_type {
            ValueType::Bool => matches!(value, "true" | "false"),
            ValueType::Int => is_int(value),
            ValueType::Duration => is_duration(value),
            ValueType::Time => is_time(value),
            ValueType::List | ValueType::Text => is_text(value, self.place),
            ValueType::Json => return canonical_json(value).ok_or_else(bad),
            ValueType::Map => return self.map(value).map(|pairs| write_map(&pairs)),
        };
        if fits { Ok(value.to_owned()) } else { Err(bad()) }
    }

    /// The decoded pairs of a map value.
    pub(crate) fn map(&self, value: &str) -> Result<Vec<(String, String)>, ParameterError> {
        let pairs = urlencoded::pairs(value.as_bytes(), RawBytes::Utf8)
            .map_err(|fault| ParameterError::MalformedMap { name: self.name.clone(), fault })?;
        self.check_map(&pairs)?;
        Ok(pairs)
    }

    /// Checks the pairs of a map: names once each, no control characters but tab and line ends in values.
    pub(crate) fn check_map(&self, pairs: &[(String, String)]) -> Result<(), ParameterError> {
        let mut seen = std::collections::HashSet::new();
        for (inner, value) in pairs {
            if inner.is_empty() || inner.chars().any(char::is_control) || !is_text(value, Place::Form) {
                return Err(self.bad_value());
            }
            if !seen.insert(inner.as_str()) {
                return Err(ParameterError::DuplicateInner { name: self.name.clone(), inner: shown(inner) });
            }
        }
        Ok(())
    }

    fn bad_value(&self) -> ParameterError {
        ParameterError::BadValue { name: self.name.clone(), expected: self.value_type.expected(self.place) }
    }
}

/// A map's pairs as one urlencoded value.
pub(crate) fn write_map(pairs: &[(String, String)]) -> String {
    urlencoded::write(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn is_int(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let decimal = (1..=18).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    decimal && (value == "0" || !digits.starts_with('0'))
}

/// Go duration text: `0`, or an optional minus sign and one or more of number and unit.
fn is_duration(value: &str) -> bool {
    let magnitude = value.strip_prefix('-').unwrap_or(value);
    if magnitude == "0" {
        return true;
    }
    let mut rest = magnitude;
    while !rest.is_empty() {
        let Some(after) = after_duration_term(rest) else { return false };
        rest = after;
    }
    (1..=64).contains(&magnitude.len())
}

fn after_duration_term(text: &str) -> Option<&str> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.len() + fraction.len() == 0 || whole.len() > 12 || fraction.len() > 12 {
        return None;
    }
    // `ms` before `m`: a longer unit must win over its own first letter.
    ["ns", "us", "ms", "s", "m", "h"].iter().find_map(|unit| rest.strip_prefix(unit))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `20060102.150405.000000000` with numbers that can be a date and a time of day.
fn is_time(value: &str) -> bool {
    let number = |at: std::ops::Range<usize>| -> Option<u32> {
        let digits = value.get(at)?;
        digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let within = |at, range: std::ops::RangeInclusive<u32>| number(at).is_some_and(|n| range.contains(&n));
    let dots = value.get(8..9) == Some(".") && value.get(15..16) == Some(".");
    value.len() == 25
        && dots
        && number(0..4).is_some()
        && within(4..6, 1..=12)
        && within(6..8, 1..=31)
        && within(9..11, 0..=23)
        && within(11..13, 0..=59)
        && within(13..15, 0..=59)
        && number(16..25).is_some()
}

fn is_text(value: &str, place: Place) -> bool {
    match place {
        // The ends of a header value are trimmed on the wire, so blanks there would not survive.
        Place::Header => {
            !value.is_empty()
                && value.chars().all(|c| c == '\t' || !c.is_control())
                && value.trim_matches([' ', '\t']).len() == value.len()
        }
        Place::Form => !value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')),
        Place::Query | Place::Path => !value.chars().any(char::is_control),
    }
}

/// The longest JSON parameter, in bytes.
const MAX_JSON_BYTES: usize = 64 * 1024;

/// The document written anew, so that doubled members and odd spellings do not pass. serde_json
/// refuses more than 128 levels.
fn canonical_json(value: &str) -> Option<String> {
    let document: serde_json::Value =
        (value.len() <= MAX_JSON_BYTES).then(|| serde_json::from_str(value).ok())??;
    serde_json::to_string(&document).ok()
}

/// One parameter of one request, checked against its type.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; for a header, the canonical spelling.
    pub name: String,
    /// Its place.
    pub place: Place,
    /// Its value, decoded; for a map, urlencoded text.
    pub value: String,
    /// How secret the value is.
    pub secrecy: Secrecy,
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.secrecy {
            Secrecy::Plain => self.value.as_str(),
            Secrecy::Secret | Secrecy::Scanned | Secrecy::SecretValues => "…",
        };
        write!(f, "{}@{}={value:?}", self.name, self.place)
    }
}

#[cfg(test)]
mod tests;
