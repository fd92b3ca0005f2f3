use super::*;
use crate::error::EncodingFault;

fn spec(value_type: ValueType, place: Place) -> ParameterSpec {
    ParameterSpec {
        name: "x".to_owned(),
        place,
        value_type,
        required: false,
        ignored: false,
        v2_only: false,
        secrecy: Secrecy::Plain,
    }
}

fn check(value_type: ValueType, place: Place, fine: &[&str], bad: &[&str]) {
    for value in fine {
        assert_eq!(spec(value_type, place).canonical(value).as_deref(), Ok(*value));
    }
    for value in bad {
        assert!(spec(value_type, place).canonical(value).is_err(), "{value_type:?} refuses {value:?}");
    }
}

#[test]
fn bools_and_numbers() {
    check(
        ValueType::Bool,
        Place::Form,
        &["true", "false"],
        &["", "TRUE", "True", "1", "yes", " true", "true\n"],
    );
    check(ValueType::Int, Place::Query, &["0", "-1", "42", "999999999999999999"], &[]);
    check(
        ValueType::Int,
        Place::Query,
        &[],
        &["", "-", "+1", "01", "-0", "1e0", "0x1", "1.0", "1 ", "１", "1000000000000000000"],
    );
}

#[test]
fn durations_and_times() {
    check(
        ValueType::Duration,
        Place::Header,
        &["0", "5s", "5m0s", "1h0m0s", "1.5h", ".5s", "-2m", "100ms", "1us2ns"],
        &[],
    );
    check(
        ValueType::Duration,
        Place::Header,
        &[],
        &["", "5", "s", "+5s", "5 s", "5d", "1h-2m", ".s", "5sx", "-", "00", "5µs"],
    );
    check(ValueType::Duration, Place::Header, &[], &[&"1s".repeat(40), "1111111111111s"]);
    check(ValueType::Time, Place::Form, &["20261122.001019.239563140"], &[]);
    check(
        ValueType::Time,
        Place::Form,
        &[],
        &["", "20261122.001019", "20261322.001019.239563140", "20261122.241019.000000000"],
    );
    check(
        ValueType::Time,
        Place::Form,
        &[],
        &[
            "20261122 001019.239563140",
            "2026112a.001019.239563140",
            "+0261122.001019.239563140",
            "é0261122.001019.23956314",
        ],
    );
}

#[test]
fn text_by_place() {
    check(
        ValueType::Text,
        Place::Form,
        &["", "a\nb\r\n\tc", "é 👍", "%s"],
        &["a\0b", "\u{1b}[31m", "\u{7f}", "\u{85}"],
    );
    check(ValueType::Text, Place::Query, &["", "/etc/motd", "é"], &["a\nb", "a\tb", "\0"]);
    check(
        ValueType::Text,
        Place::Header,
        &["echo hi", "a\tb", "~", "é"],
        &["", " a", "a ", "a\nb", "a\r", "\u{85}", "\0"],
    );
    check(ValueType::List, Place::Query, &["", "a,b", ","], &["a\nb"]);
}

#[test]
fn maps() {
    check(ValueType::Map, Place::Form, &["", "Foo=bar", "a=1&b=2", "Url=https%3A%2F%2Fx", "A=x%0Ay"], &[]);
    check(ValueType::Map, Place::Form, &[], &["a", "=1", "a=1&", "a=%00", "%0A=1", "a=1;b=2", "a=%zz"]);
    let map = spec(ValueType::Map, Place::Form);
    assert_eq!(map.canonical("a=%62+c").as_deref(), Ok("a=b+c"));
    let twice = ParameterError::DuplicateInner { name: "x".to_owned(), inner: "a".to_owned() };
    assert_eq!(map.canonical("a=1&b=2&%61=3"), Err(twice));
    let fault = ParameterError::MalformedMap { name: "x".to_owned(), fault: EncodingFault::MissingEquals };
    assert_eq!(map.canonical("a"), Err(fault));
}

#[test]
fn json_is_written_anew() {
    let json = spec(ValueType::Json, Place::Form);
    assert_eq!(
        json.canonical("{ \"b\": 1, \"a\": [1.5, null] }").as_deref(),
        Ok(r#"{"b":1,"a":[1.5,null]}"#)
    );
    assert_eq!(json.canonical(r#"{"a":1,"a":2}"#).as_deref(), Ok(r#"{"a":2}"#));
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    let long = format!("\"{}\"", "a".repeat(MAX_JSON_BYTES));
    for bad in ["", "{", "{} {}", "\u{feff}{}", "NaN", "1e999", "'a'", "\"\\ud800\"", &deep, &long] {
        assert!(json.canonical(bad).is_err(), "{}", &bad[..bad.len().min(20)]);
    }
}

#[test]
fn debug_hides_what_is_secret() {
    let parameter =
        |secrecy| Parameter { name: "env".into(), place: Place::Form, value: "A=s3cr3t".into(), secrecy };
    for secrecy in [Secrecy::Secret, Secrecy::Scanned, Secrecy::SecretValues] {
        assert_eq!(format!("{:?}", parameter(secrecy)), "env@form=\"…\"");
    }
    assert!(format!("{:?}", parameter(Secrecy::Plain)).contains("s3cr3t"));
}
