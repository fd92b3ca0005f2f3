//! Entries as CloudEvents, for web hooks.
//!
//! Source: CloudEvents 1.0.2, JSON format, structured mode; the documented extensions `sequence` and `sampledrate`.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::record::{Record, RecordFault, Source};

/// What the body is.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The type of every event. A change of `data` that is not an addition gets another one.
pub const TYPE: &str = "rack-gateway.audit.entry.v1";

#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    /// Sorts as text the way indexes do as numbers.
    sequence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampledrate: Option<u64>,
    data: &'a RawValue,
}

/// The body of one web hook. `source` and `id` together are the same at each attempt, so a receiver knows a repetition.
///
/// # Errors
/// [`RecordFault::Json`].
pub fn body(record: &Record, source: &Source) -> Result<Vec<u8>, RecordFault> {
    let fault = |source| RecordFault::Json { index: record.index, source };
    let line = record.line(source)?;
    let data = RawValue::from_string(line).or_else(|_| to_raw_value(&())).map_err(fault)?;
    let envelope = Envelope {
        specversion: "1.0",
        id: record.event.id.to_string(),
        source: format!("urn:uuid:{}", source.gateway),
        kind: TYPE,
        subject: record.event.resource.to_string(),
        time: record.event.time.to_rfc3339(),
        datacontenttype: "application/json",
        sequence: format!("{:020}", record.index),
        sampledrate: (record.one_in > 1).then_some(record.one_in),
        data: &data,
    };
    serde_json::to_vec(&envelope).map_err(fault)
}
