//! How values become canonical JSON text: the escapes, the order of members, the numbers allowed.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;
use serde_json::ser::Formatter;

use super::EncodeError;
use crate::text::{is_hazard, push_escaped};

/// Compact JSON in which hazardous characters are escaped. ASCII controls, quotes and backslashes
/// are already escaped by `serde_json`, in the spelling of RFC 8785.
struct Canonical;

impl Formatter for Canonical {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|byte| byte < 0x7F) {
            return writer.write_all(fragment.as_bytes());
        }
        let (mut rest, mut escape) = (fragment, String::new());
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hazard(*c)) {
            let (before, from) = rest.split_at(at);
            escape.clear();
            push_escaped(&mut escape, c);
            writer.write_all(before.as_bytes())?;
            writer.write_all(escape.as_bytes())?;
            rest = from.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_f32<W: ?Sized + Write>(&mut self, _: &mut W, _: f32) -> io::Result<()> {
        Err(io::ErrorKind::InvalidData.into())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, _: &mut W, _: f64) -> io::Result<()> {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// Adds the canonical text of `value`, whose structs must declare their members in order. A number that
/// is no integer is an error.
pub(super) fn write<T: Serialize>(bytes: &mut Vec<u8>, value: &T) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(bytes, Canonical))
}

/// A JSON value that serialises with the members of each object sorted by code point.
pub(super) struct Sorted<'a>(pub(super) &'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, &Sorted(value))?;
                }
                map.end()
            }
            plain => plain.serialize(serializer),
        }
    }
}

/// Whether a leaf can hold `value` and read it back: integers only, at most `depth` levels.
pub(super) fn check(member: &'static str, value: &Value, depth: usize) -> Result<(), EncodeError> {
    let Some(below) = depth.checked_sub(1) else { return Err(EncodeError::TooDeep { member }) };
    match value {
        Value::Number(number) if number.is_f64() => Err(EncodeError::NotAnInteger { member }),
        Value::Array(items) => items.iter().try_for_each(|item| check(member, item, below)),
        Value::Object(members) => members.values().try_for_each(|item| check(member, item, below)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}
