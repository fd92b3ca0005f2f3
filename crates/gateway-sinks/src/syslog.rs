//! Entries as syslog messages.
//!
//! Source: RFC 5424 (the message), RFC 6587 section 3.4.1 and RFC 5425 section 4.3 (octet counting).
//!
//! # Security
//! A message is ASCII without control characters whatever somebody is called, so that none can pose as another message or steer
//! a terminal: everything else is escaped, as in JSON.

use std::fmt::Write as _;

use gateway_audit::text::is_hazard;

use crate::record::{Record, RecordFault, Source, Weight};

/// `log audit` (RFC 5424, table 1).
const FACILITY: u8 = 13;

/// The id of the structured data. 32473 is the number that RFC 5612 sets aside for examples: the project has none of its own.
const DATA_ID: &str = "rackGateway@32473";

/// The longest HOSTNAME and MSGID (RFC 5424, section 6).
const HOST_LENGTH: usize = 255;
const ID_LENGTH: usize = 32;

/// The message, with its length before it.
///
/// # Errors
/// [`RecordFault::Json`].
pub fn frame(record: &Record, source: &Source) -> Result<Vec<u8>, RecordFault> {
    let message = message(record, source)?;
    Ok(format!("{} {message}", message.len()).into_bytes())
}

/// The message: the structured data is what is searched for, the text is the line of JSON.
///
/// # Errors
/// [`RecordFault::Json`].
pub fn message(record: &Record, source: &Source) -> Result<String, RecordFault> {
    let event = &record.event;
    let severity = match record.weight() {
        Weight::Read => 6,
        Weight::Change => 5,
        Weight::Refusal => 4,
    };
    let mut data = format!("[{DATA_ID}");
    let mut parameter = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(data, " {name}=\"{}\"", parameter_value(value));
    };
    parameter("id", &event.id.to_string());
    parameter("index", &record.index.to_string());
    parameter("actor", &event.actor.name);
    parameter("action", event.action.as_str());
    parameter("resource", &event.resource.to_string());
    parameter("phase", event.phase.name());
    if record.one_in > 1 {
        parameter("oneIn", &record.one_in.to_string());
    }
    if let Some(together) = record.together {
        parameter("count", &together.count.to_string());
        parameter("first", &together.first.to_rfc3339());
        parameter("last", &together.last.to_rfc3339());
    }
    data.push(']');
    Ok(format!(
        "<{}>1 {} {} rack-gateway - {} {data} {}",
        FACILITY * 8 + severity,
        event.time.to_rfc3339(),
        header(&source.host, HOST_LENGTH),
        header(event.phase.name(), ID_LENGTH),
        ascii(&record.line(source)?),
    ))
}

/// A field of the header: at most so many characters of names and addresses, `-` for nothing.
fn header(text: &str, longest: usize) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let visible: String = text.chars().map(|c| if is_plain(c) { c } else { '_' }).take(longest).collect();
    if visible.is_empty() { "-".to_owned() } else { visible }
}

/// A value of the structured data (RFC 5424, section 6.3.3), beyond that in ASCII.
fn parameter_value(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' | ']' => value.extend(['\\', c]),
            c if c.is_ascii() && !is_hazard(c) => value.push(c),
            c => push_escaped(&mut value, "\\\\", c),
        }
    }
    value
}

/// JSON with everything beyond ASCII escaped; such characters stand in its texts alone.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() { text.push(c) } else { push_escaped(&mut text, "\\", c) }
    }
    text
}

fn push_escaped(text: &mut String, backslash: &str, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(text, "{backslash}u{unit:04x}");
    }
}
