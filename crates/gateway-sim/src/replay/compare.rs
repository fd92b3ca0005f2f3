//! Compares an answer with the recorded one.

use std::fmt;

use super::{Answer, Exchange};
use crate::transcript::normalise;
use crate::wire::frame::{BINARY, TEXT};

/// What differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Nothing came, or not all.
    Trouble,
    /// The status.
    Status,
    /// The `Content-Type`.
    ContentType,
    /// The body.
    Body,
    /// The frames of a socket.
    Frames,
    /// Who closed a socket.
    Close,
}

/// A difference from the recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The recording.
    pub recording: String,
    /// Method and target.
    pub request: String,
    /// What differs.
    pub what: What,
    /// As recorded.
    pub recorded: String,
    /// As it came.
    pub actual: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recording, request, what, recorded, actual } = self;
        write!(f, "{recording}: {request}: {what:?}\n  recorded: {recorded}\n  actual:   {actual}")
    }
}

/// All differences of an exchange.
pub(super) fn compare(recording: &str, exchange: &Exchange) -> Vec<Difference> {
    let difference = |what, recorded: String, actual: String| Difference {
        recording: recording.to_owned(),
        request: format!("{} {}", exchange.method, exchange.target),
        what,
        recorded,
        actual,
    };
    let mut all = Vec::new();
    if let Some(trouble) = &exchange.trouble {
        all.push(difference(What::Trouble, String::new(), trouble.to_string()));
    }
    let (recorded, actual) = (&exchange.recorded, &exchange.actual);
    let mut check = |what, recorded: String, actual: String| {
        if recorded != actual {
            all.push(difference(what, recorded, actual));
        }
    };
    check(What::Status, recorded.status.to_string(), actual.status.to_string());
    let content_type = |answer: &Answer| answer.header("content-type").unwrap_or_default().to_owned();
    check(What::ContentType, content_type(recorded), content_type(actual));
    check(What::Body, shown(&recorded.body), shown(&actual.body));
    check(What::Frames, frames(exchange, recorded), frames(exchange, actual));
    check(What::Close, recorded.closed.to_string(), actual.closed.to_string());
    all
}

fn shown(bytes: &[u8]) -> String {
    normalise(bytes).escape_ascii().to_string()
}

/// The frames of a socket as text. Lines of logs may be cut into other frames, so only their text counts.
fn frames(exchange: &Exchange, answer: &Answer) -> String {
    let is_log = exchange.target.ends_with("/logs");
    let mut text = String::new();
    for frame in &answer.frames {
        match frame.opcode {
            TEXT if is_log && frame.fin => text.push_str(&shown(&frame.payload)),
            BINARY if frame.payload.is_empty() => text.push_str("<end>"),
            opcode => {
                let end = if frame.fin { "" } else { "…" };
                text.push_str(&format!("<{opcode}:{}{end}>", shown(&frame.payload)));
            }
        }
    }
    text
}
