//! The ways in which a secret is written inside another text: as base64 wherever it stands in what is encoded, percent
//! encoded, escaped for JSON. Knows nothing of how they are looked for.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding};

/// The shortest piece of base64 that is looked for, in characters: shorter ones occur by chance.
const SHORTEST_BASE64: usize = 10;

/// The value in each of these spellings, without those that are the value itself.
pub(crate) fn encodings(value: &str) -> Vec<String> {
    let mut spellings = Vec::with_capacity(12);
    for encoding in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
        spellings.extend((0..3).filter_map(|shift| inside(encoding, value.as_bytes(), shift)));
    }
    for blank in [Blank::Plus, Blank::Percent] {
        let upper = percent(value, blank, Unreserved::Uri);
        spellings.push(lower_escapes(&upper));
        spellings.push(upper);
        spellings.push(percent(value, blank, Unreserved::Everything));
    }
    // Go writes three characters as code points that nobody else does.
    let json = json(value);
    spellings.push(json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e"));
    // A JSON text inside a JSON text.
    spellings.push(self::json(&json));
    spellings.push(json);
    spellings.sort_unstable();
    spellings.dedup();
    spellings.retain(|spelling| spelling != value);
    spellings
}

/// The characters of base64 that depend on the value alone, when `shift` bytes stand before it in its first group of
/// three.
fn inside(encoding: &Encoding, value: &[u8], shift: usize) -> Option<String> {
    let mut whole = vec![0; shift];
    whole.extend_from_slice(value);
    let encoded = encoding.encode(&whole);
    let (first, last) = ((shift * 8).div_ceil(6), whole.len() * 8 / 6);
    encoded.get(first..last).filter(|text| text.len() >= SHORTEST_BASE64).map(str::to_owned)
}

/// How a blank is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blank {
    /// As in a form.
    Plus,
    /// As in a path.
    Percent,
}

/// Which characters stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unreserved {
    /// Those of RFC 3986, section 2.3.
    Uri,
    /// Also those that a careless program leaves (JavaScript's `encodeURI`).
    Everything,
}

fn percent(value: &str, blank: Blank, unreserved: Unreserved) -> String {
    let stays = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || (unreserved == Unreserved::Everything && b"!#$&'()*+,/:;=?@".contains(&byte))
    };
    let mut text = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        match byte {
            b' ' if blank == Blank::Plus => text.push('+'),
            byte if stays(byte) => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The same with small hexadecimal digits in its escapes.
fn lower_escapes(text: &str) -> String {
    let mut lower = String::with_capacity(text.len());
    let mut left = 0;
    for c in text.chars() {
        lower.push(if left > 0 { c.to_ascii_lowercase() } else { c });
        left = if c == '%' { 2 } else { usize::saturating_sub(left, 1) };
    }
    lower
}

/// As it stands between the quotes of a JSON string.
fn json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, text: &str) {
        let found = encodings(value).iter().any(|spelling| text.contains(spelling.as_str()));
        assert!(found, "{value:?} in {text:?}");
    }

    #[test]
    fn a_value_is_found_wherever_it_stands_in_base64() {
        let value = "pass word/<&>\"1234";
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "x", "xy", "xyz"] {
                let whole = format!("{before}{value}{after}");
                check(value, &data_encoding::BASE64.encode(whole.as_bytes()));
                check(value, &data_encoding::BASE64URL_NOPAD.encode(whole.as_bytes()));
            }
        }
    }

    #[test]
    fn a_value_is_found_in_addresses_and_json() {
        let value = "pass word/<&>\"1234";
        check(value, "a=pass+word%2F%3C%26%3E%221234&b");
        check(value, "a=pass%20word%2F%3C%26%3E%221234&b");
        check(value, "a=pass%20word%2f%3c%26%3e%221234&b");
        check(value, "a=pass%20word/%3C&%3E%221234&b");
        check(value, r#"{"a":"pass word/<&>\"1234"}"#);
        check(value, r#"{"a":"pass word/\u003c\u0026\u003e\"1234"}"#);
        check(value, r#"{"a":"{\"b\":\"pass word/<&>\\\"1234\"}"}"#);
        assert!(encodings("plain").iter().all(|spelling| spelling != "plain"));
        assert!(encodings("short").iter().all(|spelling| spelling.len() > 5));
    }
}
