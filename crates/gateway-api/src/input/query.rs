//! Queries as typed values: `?limit=50&cursor=…` into a struct that refuses what it does not know.

use std::fmt;

use gateway_app::control::OwnRequest;
use gateway_types::Problem;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::bad;

/// The query as `T`, which must refuse unknown members (`deny_unknown_fields`). Numbers and switches are
/// written plainly (`limit=50`, `mine=true`); an optional one is left out, not empty.
///
/// # Errors
/// [`ProblemKind::BadParameter`](gateway_types::ProblemKind::BadParameter) for a parameter that is unknown,
/// twice, not of its type, not UTF-8, or holds control characters.
pub(crate) fn query<T: DeserializeOwned>(request: &OwnRequest) -> Result<T, Problem> {
    let mut pairs: Vec<(String, Text)> = Vec::new();
    for (name, value) in form_urlencoded::parse(request.head.query.as_deref().unwrap_or("").as_bytes()) {
        // What was not UTF-8 has become the replacement character.
        if [&name, &value].iter().any(|text| text.contains(|c: char| c.is_control() || c == '\u{fffd}')) {
            return Err(bad("the query holds control characters or is not UTF-8"));
        }
        if pairs.iter().any(|(earlier, _)| *earlier == name) {
            return Err(refused(&format!("parameter `{name}` stands twice")));
        }
        pairs.push((name.into_owned(), Text(value.into_owned())));
    }
    T::deserialize(MapDeserializer::<_, Fault>::new(pairs.into_iter())).map_err(|fault| refused(&fault.0))
}

fn refused(said: &str) -> Problem {
    let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    bad(format!("the query is not what this operation takes: {said}"))
}

/// What serde says of a query.
#[derive(Debug)]
struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

impl Error for Fault {
    fn custom<T: fmt::Display>(said: T) -> Self {
        Self(said.to_string().replace("unknown field", "unknown parameter"))
    }
}

/// One value of a query.
struct Text(String);

impl IntoDeserializer<'_, Fault> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Text {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => Err(Fault::custom(format_args!("`{other}` is neither true nor false"))),
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let plain = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_digit());
        match self.0.parse::<u64>() {
            Ok(number) if plain => visitor.visit_u64(number),
            _ => Err(Fault::custom(format_args!("`{}` is not a whole number", self.0))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    /// Of a list of names, one each: `verdict=refuse`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
