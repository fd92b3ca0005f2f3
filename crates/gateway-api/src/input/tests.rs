use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use gateway_app::control::{OwnHead, OwnRequest};
use gateway_app::origin::{Origin, Scheme};
use gateway_types::{
    ActionName, Caller, Channel, Cicd, Class, Facts, LowestRole, Operation, OsEntropy, Principal,
    ProblemKind, RequestId, StepUp, Timestamp,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use super::*;

fn request(headers: &[(&str, &str)], query: Option<&str>, body: &[u8]) -> OwnRequest {
    let operation = Operation {
        route: "PUT /things".into(),
        action: ActionName::new("gateway:thing:update"),
        class: Class::Change,
        lowest_role: LowestRole::Own,
        cicd: Cicd::No,
        people_only: false,
        step_up: StepUp::None,
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    OwnRequest {
        operation: Arc::new(operation),
        page: None,
        parameters: Vec::new(),
        head: OwnHead {
            method: http::Method::PUT,
            path: "/api/v1/things".to_owned(),
            query: query.map(str::to_owned),
            origin: Origin { scheme: Scheme::Https, authority: "gateway.example".to_owned() },
            headers: map,
            client_certificate: None,
            arrived: None,
        },
        form: Vec::new(),
        body: Bytes::copy_from_slice(body),
        rack_reply: None,
        caller: Caller {
            principal: Principal::Anonymous,
            channel: Channel::Api,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        },
        facts: Facts::default(),
        csrf: None,
        request_id: RequestId::new(Timestamp::from_micros(0), &OsEntropy),
        rack: Arc::new(gateway_app::environments::NoRack),
    }
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(deny_unknown_fields)]
struct Thing {
    name: String,
    #[serde(default)]
    more: Option<Value>,
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn check_body(headers: &[(&str, &str)], body: &[u8], expected: Result<&str, (ProblemKind, &str)>) {
    match (json::<Thing>(&request(headers, None, body)), expected) {
        (Ok(thing), Ok(name)) => assert_eq!(thing.name, name),
        (Err(problem), Err((kind, words))) => {
            assert_eq!(problem.kind, kind, "{}", problem.detail);
            assert!(problem.detail.contains(words), "{}", problem.detail);
        }
        (got, expected) => panic!("{}: {got:?} instead of {expected:?}", String::from_utf8_lossy(body)),
    }
}

#[test]
fn bodies_are_strict_json() {
    let bad = |words| Err((ProblemKind::BadParameter, words));
    check_body(&JSON, br#"{"name":"a"}"#, Ok("a"));
    check_body(&[("content-type", "Application/JSON; charset=UTF-8")], br#"{"name":"a"}"#, Ok("a"));
    check_body(&[], br#"{"name":"a"}"#, bad("Content-Type"));
    check_body(&[("content-type", "text/plain")], br#"{"name":"a"}"#, bad("Content-Type"));
    check_body(&[("content-type", "application/json; charset=utf-16")], br#"{"name":"a"}"#, bad("JSON"));
    check_body(&[("content-type", "application/jsonx")], br#"{"name":"a"}"#, bad("Content-Type"));
    check_body(&[JSON[0], JSON[0]], br#"{"name":"a"}"#, bad("Content-Type"));
    check_body(&JSON, b"", bad("EOF"));
    check_body(&JSON, br#"{"name":"a"} x"#, bad("trailing"));
    check_body(&JSON, br#"{"name":"a","roles":[]}"#, bad("unknown field `roles`"));
    check_body(&JSON, br#"{"name":1}"#, bad("line 1 column 9"));
    check_body(&JSON, br#" ["a", null]"#, bad("one JSON object"));
    check_body(&JSON, b"{\"name\":\"a\xff\"}", bad("body"));
    check_body(&JSON, "{\"na\u{1b}me\":1}".as_bytes(), bad("control character"));
}

/// CVE-2017-12635 (CouchDB): one reader of a body takes the first of two members, the other one the last.
#[test]
fn no_member_stands_twice_at_any_depth() {
    let twice = Err((ProblemKind::BadParameter, "stands twice"));
    check_body(&JSON, br#"{"name":"a","name":"b"}"#, twice);
    check_body(&JSON, br#"{"name":"a","n\u0061me":"b"}"#, twice);
    check_body(&JSON, br#"{"name":"a","more":{"x":[1,{"y":1,"y":2}]}}"#, twice);
    check_body(&JSON, br#"{"name":"a","more":{"x":[{"y":1},{"y":2}]}}"#, Ok("a"));
    let deep = format!(r#"{{"name":"a","more":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    check_body(&JSON, deep.as_bytes(), Err((ProblemKind::BadParameter, "recursion limit")));
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(MOST_BYTES));
    check_body(&JSON, large.as_bytes(), Err((ProblemKind::TooLarge, "bytes")));
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Colour {
    Red,
}

#[derive(Deserialize, PartialEq, Debug, Default)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    mine: bool,
    #[serde(default)]
    colour: Option<Colour>,
}

fn check_query(text: &str, expected: Result<Asked, &str>) {
    match (query::<Asked>(&request(&[], Some(text), b"")), expected) {
        (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{text}"),
        (Err(problem), Err(words)) => assert!(problem.detail.contains(words), "{text}: {}", problem.detail),
        (got, expected) => panic!("{text}: {got:?} instead of {expected:?}"),
    }
}

#[test]
fn queries_are_typed() {
    check_query("", Ok(Asked::default()));
    let all = Asked { text: Some("a b".to_owned()), limit: Some(5), mine: true, colour: Some(Colour::Red) };
    check_query("text=a+b&limit=5&mine=true&colour=red", Ok(all));
    check_query("limit=", Err("`` is not a whole number"));
    check_query("limit=%2B5", Err("is not a whole number"));
    check_query("limit=99999999999", Err("invalid value"));
    check_query("mine=1", Err("neither true nor false"));
    check_query("colour=blue", Err("unknown variant `blue`"));
    check_query("other=1", Err("unknown parameter `other`"));
    check_query("text=a&text=b", Err("`text` stands twice"));
    check_query("text=%ff", Err("UTF-8"));
    check_query("text=%00", Err("control"));
    check_query("Limit=1", Err("unknown parameter"));
}

fn check_if_match(values: &[&str], expected: Result<Expected, ProblemKind>) {
    let headers: Vec<(&str, &str)> = values.iter().map(|value| ("if-match", *value)).collect();
    assert_eq!(
        if_match(&request(&headers, None, b"")).map_err(|problem| problem.kind),
        expected,
        "{values:?}"
    );
}

#[test]
fn changes_say_which_state_they_change() {
    check_if_match(&["\"42\""], Ok(Expected::Version(42)));
    check_if_match(&["*"], Ok(Expected::Any));
    check_if_match(&[], Err(ProblemKind::PreconditionRequired));
    for wrong in
        ["42", "W/\"42\"", "\"42\", \"43\"", "\"\"", "\"-1\"", "\"x\"", "\"99999999999999999999\"", ""]
    {
        check_if_match(&[wrong], Err(ProblemKind::BadParameter));
    }
    check_if_match(&["\"42\"", "*"], Err(ProblemKind::BadParameter));
    let none =
        |value| if_match(&request(&[("if-none-match", value)], None, b"")).map_err(|problem| problem.kind);
    assert_eq!(none("*"), Ok(Expected::Version(0)));
    assert_eq!(none("\"1\""), Err(ProblemKind::PreconditionRequired));
    let both = request(&[("if-match", "\"1\""), ("if-none-match", "*")], None, b"");
    assert_eq!(if_match(&both).map_err(|problem| problem.kind), Err(ProblemKind::BadParameter));
}
