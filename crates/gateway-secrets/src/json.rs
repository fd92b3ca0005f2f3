//! JSON as it stands in a body: values as slices of it, so that a change touches nothing else.
//! It must not know which values are secret.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What kind of value a slice is, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(crate) fn of(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

/// A whole document. A list is read into its items at once, which saves reading everything twice.
pub(crate) enum Top<'a> {
    List(Vec<&'a RawValue>),
    Value(&'a RawValue),
}

impl<'a> Top<'a> {
    /// Reads a document of exactly one value, however deep it is nested.
    pub(crate) fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        match text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
            true => serde_json::from_str(text).map(Top::List),
            false => serde_json::from_str(text).map(Top::Value),
        }
    }
}

/// Where a value begins in the body it is a slice of.
pub(crate) fn offset_in(body: &str, value: &RawValue) -> usize {
    (value.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize)
}

/// The members of an object, in order, equal names too.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A string, borrowed from the body where it has no escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Writes a string the way Go's encoder does, so that the parts of a text that did not change look as
/// the rack wrote them.
pub(crate) fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + text.len() / 16 + 2);
    json.push('"');
    let mut copied = 0;
    for position in
        text.bytes().enumerate().filter(|(_, byte)| may_need_escape(*byte)).map(|(position, _)| position)
    {
        let Some(character) = text.get(position..).and_then(|rest| rest.chars().next()) else { continue };
        let escape = match character {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                &format!("\\u{:04x}", u32::from(character))
            }
            _ => continue,
        };
        json.push_str(text.get(copied..position).unwrap_or_default());
        json.push_str(escape);
        copied = position + character.len_utf8();
    }
    json.push_str(text.get(copied..).unwrap_or_default());
    json.push('"');
    json
}

/// Whether a character that begins with this byte may have to be escaped.
fn may_need_escape(first: u8) -> bool {
    matches!(first, 0..=0x1f | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_keep_order_and_doubles() {
        let Members(members) =
            serde_json::from_str(r#"{"b": 1 , "a":[ 2],"b" :"\u0041","c\n":null}"#).unwrap();
        let members: Vec<(&str, &str)> =
            members.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(members, [("b", "1"), ("a", "[ 2]"), ("b", r#""\u0041""#), ("c\n", "null")]);
    }

    #[test]
    fn strings_are_written_as_go_does() {
        assert_eq!(
            quoted("a\"\\\n\r\t\u{8}\u{1f}<&>ä\u{2028}/"),
            r#""a\"\\\n\r\t\u0008\u001f\u003c\u0026\u003eä\u2028/""#
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in any::<String>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        }
    }
}
