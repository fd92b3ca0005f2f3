//! One event, one spelling: round trips, the order, nasty text, refused spellings, oversize.

use std::collections::BTreeMap;

use gateway_types::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::event::tests::{event, full_event};
use crate::merkle::digest;
use crate::text::is_hazard;

const NONCE: Nonce = [0xab; 16];

/// What a hostile client sends in every field that is logged (J1).
const NASTY: &[&str] = &[
    "a\r\nb",
    "\r\n\r\nHTTP/1.1 200 OK",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m",
    "nul\0nul",
    "\u{202e}gnp.exe",
    "\u{2066}isolate\u{2069}",
    "zero\u{200b}width\u{feff}",
    "line\u{2028}sep\u{2029}par",
    "\",\"admin\":true,\"x\":\"",
    "\\\",\"v\":2",
    "\\u0000 already escaped \\",
    "{\"v\":1}",
    "\u{7f}\u{80}\u{ad}",
    "tag\u{e0041}\u{e007f}",
    "\u{10ffff}\u{fffe}",
    "😀 Grüße, 日本 — “quotes” …",
    "</script><script>alert(1)</script>",
    "${jndi:ldap://x}%00%n$(id)`id`",
];

fn check_round_trip(event: &Event) -> Leaf {
    let leaf = event.to_leaf(NONCE).unwrap();
    let (again, nonce) = Event::from_leaf(&leaf.bytes).unwrap();
    assert_eq!((&again, nonce), (event, NONCE));
    assert_eq!(again.to_leaf(nonce).unwrap(), leaf, "encode(decode(b)) == b");
    assert_eq!(leaf.hash, leaf_hash(&leaf.bytes));
    leaf
}

fn text_of(leaf: &Leaf) -> &str {
    std::str::from_utf8(&leaf.bytes).unwrap()
}

/// Whether the members of every object are sorted and not repeated, apart from the first two of a leaf.
fn is_sorted(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            let names: Vec<_> =
                members.keys().filter(|name| !matches!(name.as_str(), "v" | "nonce")).collect();
            names.is_sorted() && members.values().all(is_sorted)
        }
        Value::Array(items) => items.iter().all(is_sorted),
        _ => true,
    }
}

#[test]
fn the_smallest_leaf_is_known() {
    let leaf = check_round_trip(&event(1));
    assert_eq!(
        text_of(&leaf),
        r#"{"v":1,"nonce":"abababababababababababababababab","action":"convox:app:list","#.to_owned()
            + r#""actor":{"kind":"anonymous","name":"anonymous"},"id":"01900000-0000-7000-8000-000000000001","#
            + r#""phase":"single","resource":{"id":"rack","kind":"Rack"},"time":1000000}"#
    );
    assert!(leaf.blobs.is_empty());
}

#[test]
fn the_fullest_leaf_is_known() {
    let leaf = check_round_trip(&full_event());
    insta::assert_snapshot!(text_of(&leaf).replace(",\"", ",\n\""));
    let value: Value = serde_json::from_slice(&leaf.bytes).unwrap();
    assert!(is_sorted(&value), "members are declared in another order than they are sorted in");
}

#[test]
fn absent_and_null_differ() {
    let mut event = event(1);
    let absent = check_round_trip(&event);
    event.after = Some(Value::Null);
    assert_ne!(check_round_trip(&event).bytes, absent.bytes);
}

#[test]
fn facts_that_are_default_take_no_room() {
    let leaf = check_round_trip(&full_event());
    assert!(text_of(&leaf).contains(r#""facts":{"mfa_window":true,"sensitive_parameters":["image"]}"#));
}

#[test]
fn nasty_text_makes_one_well_formed_record_in_every_member() {
    for text in NASTY {
        let mut event = full_event();
        event.reason = Some((*text).to_owned());
        event.route = Some((*text).to_owned());
        event.actor.name = (*text).to_owned();
        event.actor.id = Some((*text).to_owned());
        event.resource.id = (*text).to_owned();
        event.action = gateway_types::ActionName::new(text);
        event.step_up = Some((*text).to_owned());
        event.parameters = BTreeMap::from([((*text).to_owned(), (*text).to_owned())]);
        event.after = Some(json!({ *text: [*text] }));
        let leaf = check_round_trip(&event);
        assert!(!text_of(&leaf).chars().any(is_hazard), "{}", text_of(&leaf));
        let value: Map<String, Value> = serde_json::from_slice(&leaf.bytes).unwrap();
        assert_eq!(value.get("reason"), Some(&json!(text)));
        assert_eq!(value.get("admin"), None);
        assert_eq!(value.len(), 26 + 1, "the same members as ever");
    }
}

#[test]
fn a_megabyte_of_user_agent_fits() {
    let mut event = event(1);
    let agent = "Mozilla/5.0 \u{1b}[31m".repeat(1 << 16);
    event.parameters.insert("user_agent".to_owned(), crate::text::bounded(&agent));
    let leaf = check_round_trip(&event);
    assert!(leaf.bytes.len() < 8 * 1024 && leaf.blobs.is_empty());
}

fn check_refused(bytes: &[u8], matches: impl Fn(&DecodeError) -> bool) {
    let error = Event::from_leaf(bytes).unwrap_err();
    assert!(matches(&error), "{}: {error:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn other_spellings_are_refused() {
    let leaf = full_event().to_leaf(NONCE).unwrap();
    let text = text_of(&leaf);
    let not_canonical = |error: &DecodeError| matches!(error, DecodeError::NotCanonical { .. });
    let respelled = [
        text.replacen(":42000000", ": 42000000", 1),
        text.replacen("ab", "AB", 1),
        text.replacen("because", "\\u0062ecause", 1),
        text.replacen(
            "\"a\":[1,null,{\"y\":\"x\",\"z\":true}],\"b\":2",
            "\"b\":2,\"a\":[1,null,{\"y\":\"x\",\"z\":true}]",
            1,
        ),
        text.replacen("\"status\":201", "\"status\":201,\"surplus\":1", 1),
        text.replacen("\"b\":2", "\"b\":2.0", 1),
        text.replacen("\"b\":2", "\"b\":18446744073709551616", 1),
        text.replacen("\"approval\":\"ap-1\"", "\"approval\":null", 1),
        text.replacen("\"mfa_window\":true", "\"mfa_bound\":false,\"mfa_window\":true", 1),
        text.replacen("\"b\":2", "\"b\":1,\"b\":2", 1),
        format!("{text}\n"),
    ];
    for other in &respelled {
        assert_ne!(other, text);
        check_refused(other.as_bytes(), not_canonical);
    }
}

#[test]
fn what_is_no_leaf_is_refused() {
    let leaf = event(1).to_leaf(NONCE).unwrap();
    let text = text_of(&leaf);
    let unknown = |error: &DecodeError| matches!(error, DecodeError::UnknownVersion);
    let malformed = |error: &DecodeError| matches!(error, DecodeError::Malformed { .. });
    let not_canonical = |error: &DecodeError| matches!(error, DecodeError::NotCanonical { .. });
    check_refused(b"", unknown);
    check_refused(text.replacen("\"v\":1", "\"v\":2", 1).as_bytes(), unknown);
    check_refused(&leaf.bytes[1..], unknown);
    check_refused(format!(" {text}").as_bytes(), unknown);
    check_refused(&leaf.bytes[..leaf.bytes.len() - 1], malformed);
    check_refused(format!("{text}{text}").as_bytes(), malformed);
    check_refused(text.replacen("\"time\"", "\"when\"", 1).as_bytes(), malformed);
    check_refused(text.replacen("\"time\":", "\"v\":1,\"time\":", 1).as_bytes(), not_canonical);
    check_refused(text.replacen("\"time\":", "\"time\":1,\"time\":", 1).as_bytes(), malformed);
    check_refused(text.replacen("abab", "ab", 1).as_bytes(), not_canonical);
    check_refused(text.replacen("\",\"action", "\" ,\"action", 1).as_bytes(), not_canonical);
    check_refused(&leaf.bytes[..40], not_canonical);
    let mut stray = leaf.bytes.clone();
    stray[70] = 0xff;
    check_refused(&stray, malformed);
    check_refused(
        &vec![b' '; MAX_LEAF_BYTES + 1],
        |error| matches!(error, DecodeError::TooLarge { bytes } if *bytes == MAX_LEAF_BYTES + 1),
    );
}

#[test]
fn fractions_and_towers_are_not_recorded() {
    let mut event = event(1);
    event.after = Some(json!({ "a": [1.5] }));
    assert!(matches!(event.to_leaf(NONCE), Err(EncodeError::NotAnInteger { member: "after" })));
    event.after = None;
    let tower = |levels| (1..levels).fold(json!([]), |inner, _| json!([inner]));
    event.before = Some(tower(MAX_DEPTH));
    check_round_trip(&event);
    event.before = Some(tower(MAX_DEPTH + 1));
    assert!(matches!(event.to_leaf(NONCE), Err(EncodeError::TooDeep { member: "before" })));
}

/// Checks that an oversized event fits, and that each blob is under its digest and named in the leaf.
fn check_shed(event: &Event, blobs: usize) -> Event {
    let leaf = event.to_leaf(NONCE).unwrap();
    assert!(leaf.bytes.len() <= MAX_LEAF_BYTES);
    assert_eq!(leaf.blobs.len(), blobs);
    for (hash, blob) in &leaf.blobs {
        assert_eq!(*hash, digest(blob));
        assert!(text_of(&leaf).contains(&hash.to_hex()), "every blob is named in the leaf");
    }
    let (slim, nonce) = Event::from_leaf(&leaf.bytes).unwrap();
    assert_eq!(slim.to_leaf(nonce).unwrap().bytes, leaf.bytes);
    slim
}

#[test]
fn large_bodies_become_digests_largest_first() {
    let mut event = full_event();
    let body = json!({ "z": "y".repeat(MAX_LEAF_BYTES), "a": 1 });
    event.after = Some(body);
    event.before = Some(json!({ "small": "x".repeat(1000) }));
    let slim = check_shed(&event, 1);
    assert_eq!(slim.before, event.before, "what fits stays");
    let whole = format!("{{\"a\":1,\"z\":\"{}\"}}", "y".repeat(MAX_LEAF_BYTES));
    let expected = json!({ "bytes": whole.len(), "sha256": digest(whole.as_bytes()).to_hex() });
    assert_eq!(slim.after, Some(expected));
}

#[test]
fn large_texts_become_digests() {
    let mut event = full_event();
    event.reason = Some("\u{1b}".repeat(MAX_LEAF_BYTES));
    event.actor.name = "n".repeat(MAX_LEAF_BYTES);
    event.resource.id = "r".repeat(MAX_LEAF_BYTES);
    event.before = Some(json!("b".repeat(MAX_LEAF_BYTES)));
    event.parameters.insert("big".to_owned(), "p".repeat(MAX_LEAF_BYTES));
    let slim = check_shed(&event, 5);
    assert_eq!(slim.parameters.get("app").map(String::as_str), Some("web"));
    assert!(slim.parameters.get("big").unwrap().starts_with("…(+16384 bytes, sha256:"));
}

#[test]
fn too_many_parameters_become_one_digest() {
    let mut event = full_event();
    event.parameters = (0..10_000).map(|n| (format!("key{n}"), "v".repeat(n % 600))).collect();
    let slim = check_shed(&event, 1);
    assert_eq!(slim.parameters.keys().collect::<Vec<_>>(), ["…"]);
}

#[test]
fn what_cannot_be_made_to_fit_is_refused() {
    let mut event = event(1);
    event.route = Some("r".repeat(MAX_LEAF_BYTES));
    assert!(matches!(event.to_leaf(NONCE), Err(EncodeError::TooLarge { bytes }) if bytes > MAX_LEAF_BYTES));
}

fn any_json() -> impl Strategy<Value = Value> {
    let plain = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    plain.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn any_event()(
        texts in prop::collection::vec(prop::option::of(any::<String>()), 6),
        numbers in prop::collection::vec(prop::option::of(any::<u64>()), 5),
        parameters in prop::collection::btree_map(any::<String>(), any::<String>(), 0..5),
        bodies in prop::collection::vec(prop::option::of(any_json()), 2),
        time in any::<i64>(), id in any::<u128>(), status in prop::option::of(any::<u16>()),
        ip in prop::option::of(any::<std::net::IpAddr>()), base in any::<bool>(),
    ) -> Event {
        let mut event = if base { full_event() } else { event(9) };
        event.time = Timestamp::from_micros(time);
        event.id = uuid::Uuid::from_u128(id).into();
        event.source_ip = ip;
        event.status = status;
        event.parameters = parameters;
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        (event.reason, event.route, event.step_up, event.approval) = (text(), text(), text(), text());
        event.actor.name = text().unwrap_or_default();
        event.resource.id = text().unwrap_or_default();
        let mut numbers = numbers.into_iter();
        let mut number = || numbers.next().flatten();
        (event.bytes_in, event.bytes_out, event.duration_us) = (number(), number(), number());
        (event.intent, event.count) = (number(), number());
        let mut bodies = bodies.into_iter().flatten();
        (event.before, event.after) = (bodies.next(), bodies.next());
        event
    }
}

proptest! {
    #[test]
    fn any_event_round_trips(event in any_event(), nonce in any::<Nonce>()) {
        let leaf = event.to_leaf(nonce).unwrap();
        prop_assert!(!text_of(&leaf).chars().any(is_hazard));
        if leaf.blobs.is_empty() {
            let (again, same) = Event::from_leaf(&leaf.bytes).unwrap();
            prop_assert_eq!(&again, &event);
            prop_assert_eq!(same, nonce);
            let value: Value = serde_json::from_slice(&leaf.bytes).unwrap();
            prop_assert!(is_sorted(&value));
        }
    }

    #[test]
    fn any_altered_byte_is_refused_or_another_event(event in any_event(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let leaf = event.to_leaf(NONCE).unwrap();
        let mut bytes = leaf.bytes.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok((other, nonce)) = Event::from_leaf(&bytes) {
            prop_assert_eq!(&other.to_leaf(nonce).unwrap().bytes, &bytes);
            prop_assert_eq!(bytes == leaf.bytes, (&other, nonce) == (&event, NONCE));
        }
    }

    #[test]
    fn garbage_is_refused_calmly(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Event::from_leaf(&bytes).is_err());
        prop_assert!(Event::from_leaf(&[PREFIX, &bytes].concat()).is_err());
    }
}
