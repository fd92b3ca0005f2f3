//! Entries as CloudEvents, for web hooks.
//!
//! Source: CloudEvents 1.0.2, JSON format, structured mode; the documented extensions `sequence` and `sampledrate`; `togethercount` is ours.

use gateway_audit::Head;
use gateway_types::{GatewayId, Timestamp};
use serde::Serialize;
use serde_json::json;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    togethercount: Option<u64>,
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
        togethercount: record.together.map(|together| together.count),
        data: &data,
    };
    serde_json::to_vec(&envelope).map_err(fault)
}

/// The type of a checkpoint.
pub const CHECKPOINT_TYPE: &str = "rack-gateway.audit.checkpoint.v1";

/// The id of a checkpoint's event: the same as long as it says the same.
pub fn checkpoint_id(head: &Head) -> String {
    format!("checkpoint-{}-{}", head.size, head.root.to_hex())
}

/// The body of a web hook about a checkpoint: the signed note, with what stands in it beside.
///
/// # Errors
/// [`RecordFault::Json`].
pub fn checkpoint(
    gateway: GatewayId,
    head: &Head,
    note: &str,
    now: Timestamp,
) -> Result<Vec<u8>, RecordFault> {
    let body = json!({
        "specversion": "1.0",
        "id": checkpoint_id(head),
        "source": format!("urn:uuid:{gateway}"),
        "type": CHECKPOINT_TYPE,
        "time": now.to_rfc3339(),
        "datacontenttype": "application/json",
        "data": { "size": head.size, "root": head.root.to_hex(), "note": note },
    });
    serde_json::to_vec(&body).map_err(|source| RecordFault::Json { index: head.size, source })
}
