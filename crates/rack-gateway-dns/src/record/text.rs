//! Values from texts and back.

use std::fmt;
use std::str::FromStr;

use super::{RecordType, Value};
use crate::name::{DnsName, NameFault};

/// The longest text of a TXT record, in characters.
const LONGEST_TEXT: usize = 4096;

/// Why a text is no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueFault {
    /// It is no address of the kind.
    #[error("it is no address of this kind")]
    Address,
    /// A name in it is none.
    #[error("{0}")]
    Name(NameFault),
    /// It has a character that is not printable ASCII, or none at all.
    #[error("a text has 1 to {LONGEST_TEXT} printable ASCII characters")]
    Text,
    /// It has other parts than the type has.
    #[error("it must be `{0}`, with one space between two parts")]
    Parts(&'static str),
}

impl Value {
    /// Reads a value of this type.
    ///
    /// # Errors
    /// [`ValueFault`].
    pub fn parse(record_type: RecordType, text: &str) -> Result<Self, ValueFault> {
        Ok(match record_type {
            RecordType::A => Value::A(text.parse().map_err(|_| ValueFault::Address)?),
            RecordType::Aaaa => Value::Aaaa(text.parse().map_err(|_| ValueFault::Address)?),
            RecordType::Cname => {
                let name = DnsName::parse(text)?;
                let is_full = name.as_str().contains('.') && !name.has_star();
                Value::Cname(if is_full { name } else { return Err(NameFault::NoHost.into()) })
            }
            RecordType::Txt => text_value(text)?,
            RecordType::Srv => service(text)?,
            RecordType::Mx => mail(text)?,
            RecordType::Ptr => Value::Ptr(DnsName::parse_host(text)?),
            RecordType::Ns => Value::Ns(DnsName::parse_host(text)?),
        })
    }

    /// As it stands in a zone file: names absolute, texts quoted in pieces of 255 characters.
    pub(crate) fn zone_text(&self) -> String {
        match self {
            Value::A(address) => address.to_string(),
            Value::Aaaa(address) => address.to_string(),
            Value::Txt(text) => {
                let piece = |piece: &[u8]| format!("\"{}\"", quoted(piece));
                text.as_bytes().chunks(255).map(piece).collect::<Vec<_>>().join(" ")
            }
            Value::Cname(_) | Value::Srv { .. } | Value::Mx { .. } | Value::Ptr(_) | Value::Ns(_) => {
                format!("{self}.")
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::A(address) => address.fmt(f),
            Value::Aaaa(address) => address.fmt(f),
            Value::Cname(name) | Value::Ptr(name) | Value::Ns(name) => name.fmt(f),
            Value::Txt(text) => f.write_str(text),
            Value::Srv { priority, weight, port, target } => {
                write!(f, "{priority} {weight} {port} {target}")
            }
            Value::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
        }
    }
}

fn text_value(text: &str) -> Result<Value, ValueFault> {
    let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.is_empty() || text.len() > LONGEST_TEXT || !is_printable {
        return Err(ValueFault::Text);
    }
    Ok(Value::Txt(text.to_owned()))
}

fn service(text: &str) -> Result<Value, ValueFault> {
    const SHAPE: ValueFault = ValueFault::Parts("PRIORITY WEIGHT PORT TARGET");
    let parts: Vec<&str> = text.split(' ').collect();
    let [priority, weight, port, target] = parts.as_slice() else { return Err(SHAPE) };
    Ok(Value::Srv {
        priority: number(priority).ok_or(SHAPE)?,
        weight: number(weight).ok_or(SHAPE)?,
        port: number(port).ok_or(SHAPE)?,
        target: DnsName::parse_host(target)?,
    })
}

fn mail(text: &str) -> Result<Value, ValueFault> {
    const SHAPE: ValueFault = ValueFault::Parts("PREFERENCE EXCHANGE");
    let (preference, exchange) = text.split_once(' ').ok_or(SHAPE)?;
    Ok(Value::Mx { preference: number(preference).ok_or(SHAPE)?, exchange: DnsName::parse_host(exchange)? })
}

/// Digits only: Rust also takes a plus sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| u16::from_str(text).ok()).flatten()
}

/// Printable ASCII with everything else, and the backslash itself, escaped, so that two texts never look alike.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
    text
}

fn quoted(bytes: &[u8]) -> String {
    escaped(bytes).replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_spelling() {
        use RecordType::{A, Aaaa, Cname, Mx, Ns, Ptr, Srv, Txt};
        let check = |record_type: RecordType, text: &str, expected: Option<&str>| {
            let value = Value::parse(record_type, text).ok();
            assert_eq!(value.as_ref().map(Value::to_string).as_deref(), expected, "{record_type} {text:?}");
        };
        check(A, "192.0.2.1", Some("192.0.2.1"));
        for bad in ["192.0.2.01", "192.0.2", "::1", " 192.0.2.1", "192.0.2.1\n", "0x7f.1", "3221225985", ""] {
            check(A, bad, None);
        }
        check(Aaaa, "2001:DB8:0:0::1", Some("2001:db8::1"));
        for bad in ["192.0.2.1", "fe80::1%eth0", "[::1]", "1::2::3"] {
            check(Aaaa, bad, None);
        }
        check(Cname, "Other.Test.", Some("other.test"));
        check(Cname, "_acme.other.test", Some("_acme.other.test"));
        for bad in ["other", ".", "*.other.test", "a b.test", "other.test\nevil 1 IN A 1.1.1.1"] {
            check(Cname, bad, None);
        }
        check(Mx, "10 Mail.Test", Some("10 mail.test"));
        for bad in
            ["mail.test", "+1 mail.test", "65536 mail.test", "10  mail.test", "10 mail", "-1 mail.test"]
        {
            check(Mx, bad, None);
        }
        check(Srv, "0 5 443 web.test.", Some("0 5 443 web.test"));
        for bad in ["0 5 web.test", "0 5 443 web.test x", "0 5 70000 web.test", "0 5 443 _web.test"] {
            check(Srv, bad, None);
        }
        check(Ptr, "host.test", Some("host.test"));
        check(Ns, "ns1.test", Some("ns1.test"));
        check(Txt, "v=spf1 -all; \"x\" \\", Some("v=spf1 -all; \"x\" \\"));
        for bad in ["", "a\nb", "a\tb", "ü", "a\0"] {
            check(Txt, bad, None);
        }
        check(Txt, &"a".repeat(4097), None);
    }

    #[test]
    fn zone_files_take_no_text_for_more_than_text() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Value::parse(RecordType::Txt, text).unwrap().zone_text(), expected, "{text:?}");
        };
        check("plain", r#""plain""#);
        check(r#"a"b\c; $INCLUDE (x"#, r#""a\"b\\c; $INCLUDE (x""#);
        check(&"x".repeat(256), &format!("\"{}\" \"x\"", "x".repeat(255)));
        assert_eq!(escaped(b"\xff\\"), "\\255\\\\");
    }
}
