use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_audit::{Head, leaf_hash};
use gateway_types::Secret;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{WebhookKey, cloudevents, otlp, syslog};

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// Whoever has the line can compute the hash again, without any reader of events.
#[test]
fn a_line_holds_the_leaf_byte_for_byte() {
    let record = record(&change());
    let line = record.line(&source()).unwrap();
    assert!(!line.contains('\n'));
    let entry = line.split_once("\"entry\":").unwrap().1.strip_suffix('}').unwrap();
    assert_eq!(leaf_hash(entry.as_bytes()), record.hash);
    let read = json(line.as_bytes());
    assert_eq!(read["hash"], record.hash.to_hex());
    assert_eq!(read["id"], record.event.id.to_string());
    assert_eq!(read["index"], 4711);
    assert!(read.get("one_in").is_none());
    assert_eq!(crate::record::index_of_line(line.as_bytes()), Some(4711));
    assert_eq!(crate::record::index_of_line(b"{\"index\":"), None);
}

#[test]
fn what_is_no_leaf_is_a_fault() {
    let hash = leaf_hash(b"x");
    let fault = Record::read(7, b"{\"v\":2}".to_vec(), hash, &Sampling::default()).unwrap_err();
    assert_eq!(fault.to_string(), "entry 7 of the log cannot be read; a later gateway may have written it");
}

#[test]
fn syslog_has_its_form() {
    let record = record(&change());
    let message = syslog::message(&record, &source()).unwrap();
    let head = format!(
        "<109>1 {} gateway.example.com rack-gateway - intent [rackGateway@32473 id=\"{}\" index=\"4711\" \
         actor=\"ada@example.com\" action=\"convox:process:list\" resource=\"{}\" phase=\"intent\"] {{",
        record.event.time, record.event.id, record.event.resource
    );
    assert!(message.starts_with(&head), "{message}");
    assert_eq!(record.event.time.to_rfc3339(), "2026-11-18T11:06:40.123456Z");
    let frame = String::from_utf8(syslog::frame(&record, &source()).unwrap()).unwrap();
    assert_eq!(frame, format!("{} {message}", message.len()));
    let mut refused = poll(&numbers());
    refused.end = Some(End::Refused);
    assert!(syslog::message(&self::record(&refused), &source()).unwrap().starts_with("<108>1 "));
    let sampled = syslog::message(&sampled(), &source()).unwrap();
    assert!(sampled.starts_with("<110>1 ") && sampled.contains(" oneIn=\"100\"]"), "{sampled}");
    let nameless = Source { host: String::new(), ..source() };
    assert!(syslog::message(&record, &nameless).unwrap().contains("Z - rack-gateway - "));
}

proptest! {
    /// Whatever somebody is called, a message is one line of printable ASCII, its structured data ends where it should,
    /// and the text behind it is the line of JSON.
    #[test]
    fn no_name_breaks_out_of_a_syslog_message(name: String, host: String) {
        let mut event = poll(&numbers());
        event.actor.name = gateway_audit::bounded(&name);
        let source = Source { host, ..source() };
        let record = record(&event);
        let message = syslog::message(&record, &source).unwrap();
        prop_assert!(message.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        let (mut at, mut is_quoted, mut is_escaped) = (message.find('[').unwrap(), false, false);
        for byte in message.bytes().skip(at) {
            match (is_quoted, is_escaped, byte) {
                (true, true, _) => is_escaped = false,
                (true, false, b'\\') => is_escaped = true,
                (_, false, b'"') => is_quoted = !is_quoted,
                (false, _, b']') => break,
                _ => {}
            }
            at += 1;
        }
        let text = message.get(at + 2..).unwrap();
        prop_assert_eq!(json(text.as_bytes()), json(record.line(&source).unwrap().as_bytes()));
    }
}

#[test]
fn otlp_has_its_form() {
    let (change, sampled) = (record(&change()), sampled());
    let body = json(&otlp::body(&[change.clone(), sampled], &source()).unwrap());
    let logs = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array().unwrap();
    assert_eq!(logs[0]["timeUnixNano"], "1795000000123456000");
    assert_eq!((&logs[0]["severityNumber"], &logs[0]["severityText"]), (&10.into(), &"INFO2".into()));
    assert_eq!(logs[1]["severityNumber"], 9);
    let attribute = |log: &Value, key: &str| -> Option<Value> {
        let found = log["attributes"].as_array()?.iter().find(|attribute| attribute["key"] == key)?;
        Some(found["value"].clone())
    };
    assert_eq!(attribute(&logs[0], "log.record.uid").unwrap()["stringValue"], change.event.id.to_string());
    assert_eq!(attribute(&logs[0], "rack_gateway.one_in"), None);
    assert_eq!(attribute(&logs[1], "rack_gateway.one_in").unwrap()["intValue"], "100");
    let line = json(logs[0]["body"]["stringValue"].as_str().unwrap().as_bytes());
    assert_eq!(line["index"], 4711);
    let resource = &body["resourceLogs"][0]["resource"];
    assert_eq!(attribute(resource, "service.name").unwrap()["stringValue"], "rack-gateway");
}

#[test]
fn a_partial_success_is_none() {
    let check =
        |answer: &str, expected: u64| assert_eq!(otlp::rejected(answer.as_bytes()), expected, "{answer}");
    check("{}", 0);
    check("", 0);
    check("{\"partialSuccess\":{}}", 0);
    check("{\"partialSuccess\":{\"rejectedLogRecords\":\"3\",\"errorMessage\":\"x\"}}", 3);
    check("{\"partialSuccess\":{\"rejectedLogRecords\":4}}", 4);
    check("{\"partialSuccess\":{\"rejectedLogRecords\":\"many\"}}", u64::MAX);
}

#[test]
fn cloud_events_have_their_form() {
    let record = record(&change());
    let body = json(&cloudevents::body(&record, &source()).unwrap());
    assert_eq!(body["specversion"], "1.0");
    assert_eq!(body["id"], record.event.id.to_string());
    assert_eq!(body["source"], "urn:uuid:0190a0b0-0000-7000-8000-000000000001");
    assert_eq!(body["type"], "rack-gateway.audit.entry.v1");
    assert_eq!(body["sequence"], "00000000000000004711");
    assert_eq!(body["time"], "2026-11-18T11:06:40.123456Z");
    assert_eq!(body["data"]["index"], 4711);
    assert!(body.get("sampledrate").is_none());
    assert_eq!(json(&cloudevents::body(&sampled(), &source()).unwrap())["sampledrate"], 100);
}

#[test]
fn a_checkpoint_is_a_cloud_event_too() {
    let head = Head { size: 7, root: leaf_hash(b"x") };
    let now = Timestamp::from_micros(1_795_000_000_123_456);
    let body = json(&cloudevents::checkpoint(source().gateway, &head, "the note\n", now).unwrap());
    assert_eq!(body["id"], format!("checkpoint-7-{}", head.root.to_hex()));
    assert_eq!(body["type"], "rack-gateway.audit.checkpoint.v1");
    assert_eq!((&body["data"]["size"], &body["data"]["note"]), (&7.into(), &"the note\n".into()));
}

/// The example of the specification.
#[test]
fn signatures_are_those_of_standard_webhooks() {
    // `whsec_` and this.
    let key = Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
    let signature =
        WebhookKey::new(key).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
