//! A look over a JSON text for members that stand twice.
//!
//! serde refuses them in structs but not in maps, and other readers of the same bytes take the first one or
//! the last one: what is decided, recorded and done must be the same (RFC 8259, section 4).

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whether the text is JSON in which no object has a member twice.
pub(super) fn check(body: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<Once>(body).map(|_seen| ())
}

/// Any value, looked at and dropped.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _value: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        while items.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if names.contains(&name) {
                // The rest of the value is not looked at, but has to be read past for the place to be right.
                members.next_value::<IgnoredAny>()?;
                return Err(A::Error::custom(format_args!("member `{name}` stands twice")));
            }
            members.next_value::<Once>()?;
            names.insert(name);
        }
        Ok(Once)
    }
}
