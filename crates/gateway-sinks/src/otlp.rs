//! Entries as logs of OpenTelemetry.
//!
//! Source: OTLP 1.x over HTTP, JSON encoding (64-bit integers are texts, enumerations are numbers); the logs data model.

use serde_json::{Value, json};

use crate::record::{Record, RecordFault, Source, Weight};

/// Where collectors take logs.
pub const PATH: &str = "/v1/logs";

/// What the body is.
pub const CONTENT_TYPE: &str = "application/json";

/// The body of one request.
///
/// # Errors
/// [`RecordFault::Json`].
pub fn body(records: &[Record], source: &Source) -> Result<Vec<u8>, RecordFault> {
    let logs: Vec<Value> = records.iter().map(|record| log(record, source)).collect::<Result<_, _>>()?;
    let request = json!({
        "resourceLogs": [{
            "resource": { "attributes": [
                text("service.name", "rack-gateway"),
                text("service.instance.id", &source.gateway.to_string()),
                text("host.name", &source.host),
            ] },
            "scopeLogs": [{ "scope": { "name": "rack-gateway.audit" }, "logRecords": logs }],
        }],
    });
    let index = records.first().map_or(0, |record| record.index);
    serde_json::to_vec(&request).map_err(|source| RecordFault::Json { index, source })
}

fn log(record: &Record, source: &Source) -> Result<Value, RecordFault> {
    let event = &record.event;
    let (number, word) = match record.weight() {
        Weight::Read => (9, "INFO"),
        Weight::Change => (10, "INFO2"),
        Weight::Refusal => (13, "WARN"),
    };
    let nanoseconds = (i128::from(event.time.micros()) * 1000).max(0).to_string();
    let mut attributes = vec![
        // The same at each attempt: what repetitions are known by.
        text("log.record.uid", &event.id.to_string()),
        text("rack_gateway.index", &record.index.to_string()),
        text("rack_gateway.actor", &event.actor.name),
        text("rack_gateway.action", event.action.as_str()),
        text("rack_gateway.resource", &event.resource.to_string()),
        text("rack_gateway.phase", event.phase.name()),
    ];
    if let Some(address) = event.source_ip {
        attributes.push(text("client.address", &address.to_string()));
    }
    if record.one_in > 1 {
        attributes.push(
            json!({ "key": "rack_gateway.one_in", "value": { "intValue": record.one_in.to_string() } }),
        );
    }
    if let Some(together) = record.together {
        attributes.push(
            json!({ "key": "rack_gateway.count", "value": { "intValue": together.count.to_string() } }),
        );
        attributes.push(text("rack_gateway.first", &together.first.to_rfc3339()));
        attributes.push(text("rack_gateway.last", &together.last.to_rfc3339()));
    }
    Ok(json!({
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": number,
        "severityText": word,
        "eventName": event.action.as_str(),
        "body": { "stringValue": record.line(source)? },
        "attributes": attributes,
    }))
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// How many records an answer of status 200 says were refused; 0 when it says nothing of it.
pub fn rejected(answer: &[u8]) -> u64 {
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else { return 0 };
    let rejected = answer.get("partialSuccess").and_then(|partial| partial.get("rejectedLogRecords"));
    match rejected {
        Some(Value::String(text)) => text.parse().unwrap_or(u64::MAX),
        Some(Value::Number(number)) => number.as_u64().unwrap_or(u64::MAX),
        Some(_) | None => 0,
    }
}
