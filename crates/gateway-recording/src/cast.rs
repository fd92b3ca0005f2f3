//! The lines of an asciicast, version 2: one header, then one line for each event. It must not know of chunks.
//!
//! Source: the asciicast v2 format, <https://docs.asciinema.org/manual/asciicast/v2/>.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most columns or rows of a terminal that is believed.
pub const LARGEST_SIDE: u16 = 1000;

/// The size of a terminal: 1 to [`LARGEST_SIDE`] each way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    columns: u16,
    rows: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}

impl Size {
    /// A size; `None` for one that no terminal has. Whoever shows a recording makes room for what it claims, so a
    /// claim of a million columns is an attack on the viewer.
    pub fn new(columns: u64, rows: u64) -> Option<Self> {
        let side = |side: u64| u16::try_from(side).ok().filter(|side| (1..=LARGEST_SIDE).contains(side));
        Some(Self { columns: side(columns)?, rows: side(rows)? })
    }

    /// Columns.
    pub const fn columns(self) -> u16 {
        self.columns
    }

    /// Rows.
    pub const fn rows(self) -> u16 {
        self.rows
    }

    fn parse(text: &str) -> Option<Self> {
        let (columns, rows) = text.split_once('x')?;
        Self::new(columns.parse().ok()?, rows.parse().ok()?)
    }
}

/// The first line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The size of the terminal.
    pub size: Size,
    /// When it began, in seconds since 1970.
    pub began: i64,
    /// What it is a recording of.
    pub title: String,
    /// The command, when the session is one of a command.
    pub command: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    version: u64,
    width: u64,
    height: u64,
    #[serde(default)]
    timestamp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(default)]
    title: String,
}

/// What an event is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// What the session showed.
    Output,
    /// What was typed.
    Input,
    /// The terminal got another size.
    Resize,
    /// A note of the gateway's.
    Marker,
}

impl Kind {
    /// The letter in a line.
    pub const fn code(self) -> &'static str {
        match self {
            Kind::Output => "o",
            Kind::Input => "i",
            Kind::Resize => "r",
            Kind::Marker => "m",
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        match code {
            "o" => Some(Kind::Output),
            "i" => Some(Kind::Input),
            "r" => Some(Kind::Resize),
            "m" => Some(Kind::Marker),
            _ => None,
        }
    }
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Since the session began. Never less than the one before.
    pub at: Duration,
    /// What it is of.
    pub kind: Kind,
    /// The text; `COLUMNSxROWS` of a resize.
    pub text: String,
}

/// Why lines are not those of a recording.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CastError {
    /// The first line is no header of version 2.
    #[error("the recording does not begin with the header of an asciicast of version 2")]
    Header,
    /// The header claims a terminal that none is.
    #[error("the recording claims a terminal of more than {LARGEST_SIDE} columns or rows, or of none")]
    Size,
    /// A line is no event.
    #[error("line {line} of the recording is no event")]
    Event {
        /// Counted from 1, within what was read at once.
        line: usize,
    },
}

impl Header {
    pub(crate) fn line(&self) -> String {
        let line = HeaderLine {
            version: 2,
            width: self.size.columns.into(),
            height: self.size.rows.into(),
            timestamp: self.began,
            command: self.command.clone(),
            title: self.title.clone(),
        };
        // A struct of numbers and texts always has a JSON form.
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Adds the line of an event.
pub(crate) fn write_event(out: &mut Vec<u8>, at: Duration, kind: Kind, text: &str) {
    let head = format!("[{}.{:06},\"{}\",", at.as_secs(), at.subsec_micros(), kind.code());
    out.extend_from_slice(head.as_bytes());
    // A text always has a JSON form, and a vector takes it.
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"\"\"");
    }
    out.extend_from_slice(b"]\n");
}

/// Reads the first line, and what comes after it.
///
/// # Errors
/// [`CastError::Header`], [`CastError::Size`].
pub fn header(bytes: &[u8]) -> Result<(Header, &[u8]), CastError> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(CastError::Header)?;
    let (line, rest) = bytes.split_at(end);
    let line: HeaderLine = serde_json::from_slice(line).map_err(|_bad| CastError::Header)?;
    if line.version != 2 {
        return Err(CastError::Header);
    }
    let size = Size::new(line.width, line.height).ok_or(CastError::Size)?;
    let header = Header { size, began: line.timestamp, title: line.title, command: line.command };
    Ok((header, rest.get(1..).unwrap_or_default()))
}

/// Reads lines of events. `since` is the time of the last event before them: a line that goes back counts as being
/// at that time, and a resize to what no terminal has is left out. So is a kind that is not known, as the format asks.
///
/// # Errors
/// [`CastError::Event`].
pub fn events(bytes: &[u8], since: Duration) -> Result<Vec<Event>, CastError> {
    let mut events = Vec::new();
    let mut last = since;
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    for (number, line) in lines {
        let fault = CastError::Event { line: number + 1 };
        let (at, code, text): (Value, String, String) =
            serde_json::from_slice(line).map_err(|_bad| fault.clone())?;
        let at = at.as_f64().ok_or(fault)?;
        last = Duration::try_from_secs_f64(at).unwrap_or(last).max(last);
        let Some(kind) = Kind::from_code(&code) else { continue };
        if kind == Kind::Resize && Size::parse(&text).is_none() {
            continue;
        }
        events.push(Event { at: last, kind, text });
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sizes_of_terminals_are_sizes() {
        for (columns, rows, fits) in [
            (80, 24, true),
            (1, 1, true),
            (1000, 1000, true),
            (1_000_000, 24, false),
            (80, 0, false),
            (1001, 1, false),
        ] {
            assert_eq!(Size::new(columns, rows).is_some(), fits, "{columns}x{rows}");
        }
    }

    #[test]
    fn hostile_lines_are_inert() {
        let lines = b"[2.0,\"o\",\"a\"]\n[-5,\"o\",\"b\"]\n[1.0,\"o\",\"c\"]\n[3,\"r\",\"1000000x24\"]\n[4,\"x\",\"?\"]\n[1e300,\"o\",\"d\"]\n";
        let read = events(lines, Duration::ZERO).unwrap();
        let shown: Vec<_> = read.iter().map(|event| (event.at.as_secs(), event.text.as_str())).collect();
        assert_eq!(shown, [(2, "a"), (2, "b"), (2, "c"), (4, "d")]);
        for bad in ["[", "{}", "[1]", "[\"x\",\"o\",\"a\"]", "[1,\"o\",5]"] {
            assert_eq!(events(bad.as_bytes(), Duration::ZERO), Err(CastError::Event { line: 1 }), "{bad}");
        }
        assert_eq!(header(b"{\"version\":2,\"width\":1000000,\"height\":2}\n"), Err(CastError::Size));
        assert_eq!(header(b"{\"version\":1,\"width\":80,\"height\":2}\n"), Err(CastError::Header));
        assert_eq!(header(b"{\"version\":2,\"width\":80,\"height\":2}"), Err(CastError::Header));
    }
}
