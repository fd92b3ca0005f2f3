//! Requests as traces of OpenTelemetry.
//!
//! Source: OTLP 1.x over HTTP, JSON encoding (ids are hexadecimal, 64-bit integers are texts, enumerations are numbers);
//! semantic conventions for HTTP spans 1.23.

use std::time::Duration;

use data_encoding::HEXLOWER;
use gateway_proxy::{RequestSpan, StageSpan};
use gateway_types::Timestamp;
use serde_json::{Value, json};

/// Where collectors take traces.
pub(super) const PATH: &str = "/v1/traces";

/// What the body is.
pub(super) const CONTENT_TYPE: &str = "application/json";

/// Kinds of spans.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// The status of a span that went wrong.
const ERROR: u8 = 2;

/// The body of one post.
pub(super) fn body(spans: &[RequestSpan], instance: &str) -> Vec<u8> {
    let spans: Vec<Value> =
        spans.iter().flat_map(|one| std::iter::once(whole(one)).chain(stages(one))).collect();
    let document = json!({
        "resourceSpans": [{
            "resource": { "attributes": [
                text("service.name", "rack-gateway"),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("service.instance.id", instance),
            ] },
            "scopeSpans": [{ "scope": { "name": "rack-gateway.requests" }, "spans": spans }],
        }],
    });
    document.to_string().into_bytes()
}

/// How many of them an answer of status 200 says were refused.
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return 0 };
    match answer.get("partialSuccess").and_then(|partial| partial.get("rejectedSpans")) {
        Some(Value::String(text)) => text.parse().unwrap_or(u64::MAX),
        Some(Value::Number(number)) => number.as_u64().unwrap_or(u64::MAX),
        Some(_) | None => 0,
    }
}

fn whole(one: &RequestSpan) -> Value {
    let mut attributes = vec![
        text("rack_gateway.action", &one.action),
        text("rack_gateway.channel", one.channel.name()),
        text("rack_gateway.end", one.end.name()),
        text("rack_gateway.request_id", &one.request.to_string()),
    ];
    // A row of the route table, with its method, and never the path that a client sent.
    if let Some((method, route)) = one.route.as_deref().and_then(|route| route.split_once(' ')) {
        attributes.push(text("http.request.method", method));
        attributes.push(text("http.route", route));
    }
    if let Some(status) = one.status {
        let status = json!({ "intValue": status.to_string() });
        attributes.push(json!({ "key": "http.response.status_code", "value": status }));
    }
    if let Some(class) = one.class {
        attributes.push(text("rack_gateway.class", class.name()));
    }
    if let Some(app) = &one.app {
        attributes.push(text("rack_gateway.app", app));
    }
    if let Some(layer) = one.layer {
        attributes.push(text("rack_gateway.layer", layer.name()));
    }
    let links: Vec<Value> = one
        .linked
        .iter()
        .map(|linked| {
            json!({ "traceId": HEXLOWER.encode(&linked.trace), "spanId": HEXLOWER.encode(&linked.span) })
        })
        .collect();
    // What the gateway says no to is no error of its own.
    let went_wrong = one.status.is_some_and(|status| status >= 500);
    json!({
        "traceId": HEXLOWER.encode(&one.trace),
        "spanId": HEXLOWER.encode(&one.span),
        "name": one.route.as_deref().unwrap_or(&one.action),
        "kind": SERVER,
        "startTimeUnixNano": nanoseconds(one.began, Duration::ZERO),
        "endTimeUnixNano": nanoseconds(one.began, one.took),
        "attributes": attributes,
        "links": links,
        "status": if went_wrong { json!({ "code": ERROR }) } else { json!({}) },
    })
}

fn stages(one: &RequestSpan) -> impl Iterator<Item = Value> {
    one.stages.iter().map(|StageSpan { span, name, after, took }| {
        json!({
            "traceId": HEXLOWER.encode(&one.trace),
            "spanId": HEXLOWER.encode(span),
            "parentSpanId": HEXLOWER.encode(&one.span),
            "name": name,
            "kind": if *name == "upstream" { CLIENT } else { INTERNAL },
            "startTimeUnixNano": nanoseconds(one.began, *after),
            "endTimeUnixNano": nanoseconds(one.began, *after + *took),
        })
    })
}

fn nanoseconds(began: Timestamp, after: Duration) -> String {
    let began = i128::from(began.micros()) * 1000;
    (began.max(0).unsigned_abs() + after.as_nanos()).to_string()
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}
