//! The recordings of the real client: their format (`transcripts/README.md`), which of them were made on one
//! rack, and what in their bodies differs from run to run.
//!
//! Reads only; [`crate::replay`] plays them.

mod normal;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

pub use normal::{Ids, normalise};

use crate::options::Flavour;
use crate::wire::frame::Frame;

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The file or the directory.
    #[error("{path}: {source}")]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line that is not as the format says.
    #[error("{path}, line {line}: {source}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A payload that is no base64.
    #[error("{path}, line {line}: {source}")]
    Encoding {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        source: base64::DecodeError,
    },
}

/// Who sent something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The real client.
    Client,
    /// The real rack.
    Rack,
}

/// One recorded command and all that passed.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The file's name without its end, such as `09-env-set`.
    pub name: String,
    /// The shell text.
    pub command: String,
    /// The path in its RACK_URL: empty or `/api/v1/rack-proxy`.
    pub prefix: String,
    /// What the client exited with.
    pub exit_code: i32,
    /// What it printed.
    pub stdout: String,
    /// What passed, in order.
    pub items: Vec<Item>,
}

/// Something that passed on a connection.
#[derive(Clone, Debug)]
pub struct Item {
    /// Number of the connection.
    pub connection: u32,
    /// Who sent it.
    pub from: Side,
    /// What it was.
    pub kind: Kind,
}

/// What passed.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A request without its body.
    Request {
        /// Method.
        method: String,
        /// Target, verbatim, with the prefix.
        target: String,
        /// Header fields in order.
        headers: Vec<(String, String)>,
    },
    /// An answer without its body.
    Response {
        /// Status.
        status: u16,
        /// Header fields in order.
        headers: Vec<(String, String)>,
    },
    /// The body of what passed before on the connection.
    Body {
        /// Whether it was chunked.
        chunked: bool,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// A WebSocket frame.
    Frame(Frame),
    /// The end of that side's stream.
    Close,
}

#[derive(Deserialize)]
struct RawCommand {
    command: String,
    #[serde(default)]
    rack_url_prefix: String,
    exit_code: i32,
    stdout: String,
}

#[derive(Deserialize)]
struct RawItem {
    conn: u32,
    from: Side,
    #[serde(flatten)]
    kind: RawKind,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum RawKind {
    Request { method: String, target: String, headers: Vec<(String, String)> },
    Response { status: u16, headers: Vec<(String, String)> },
    Body { framing: String, data_b64: String },
    Frame { opcode: u8, fin: bool, masked: bool, data_b64: String },
    Close,
}

impl Transcript {
    /// Reads one recording.
    ///
    /// # Errors
    /// When it cannot be read or is not in the format.
    pub fn read(path: &Path) -> Result<Self, TranscriptError> {
        let unreadable = |source| TranscriptError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let malformed =
            |line: usize| move |source| TranscriptError::Malformed { path: path.to_owned(), line, source };
        let mut lines = text.lines();
        let command: RawCommand =
            serde_json::from_str(lines.next().unwrap_or_default()).map_err(malformed(1))?;
        let mut items = Vec::new();
        for (line, text) in (2..).zip(lines) {
            let raw: RawItem = serde_json::from_str(text).map_err(malformed(line))?;
            let encoding = |source| TranscriptError::Encoding { path: path.to_owned(), line, source };
            let kind = raw.kind.decode().map_err(encoding)?;
            items.push(Item { connection: raw.conn, from: raw.from, kind });
        }
        Ok(Self {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            command: command.command,
            prefix: command.rack_url_prefix,
            exit_code: command.exit_code,
            stdout: command.stdout,
            items,
        })
    }

    /// Reads all recordings of a directory, by name.
    ///
    /// # Errors
    /// When one cannot be read or is not in the format.
    pub fn read_all(directory: &Path) -> Result<Vec<Self>, TranscriptError> {
        let unreadable = |source| TranscriptError::Unreadable { path: directory.to_owned(), source };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|end| end == "jsonl") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// The kind of rack it was recorded on.
    pub fn flavour(&self) -> Flavour {
        if self.name.contains("-v2-") { Flavour::V2 } else { Flavour::V3 }
    }
}

impl RawKind {
    fn decode(self) -> Result<Kind, base64::DecodeError> {
        Ok(match self {
            Self::Request { method, target, headers } => Kind::Request { method, target, headers },
            Self::Response { status, headers } => Kind::Response { status, headers },
            Self::Body { framing, data_b64 } => {
                Kind::Body { chunked: framing == "chunked", bytes: STANDARD.decode(data_b64)? }
            }
            Self::Frame { opcode, fin, masked, data_b64 } => {
                Kind::Frame(Frame { opcode, fin, masked, reserved: 0, payload: STANDARD.decode(data_b64)? })
            }
            Self::Close => Kind::Close,
        })
    }
}

/// Which recordings were made one after the other on one rack: first and last number of each run.
const RUNS: &[&[(&str, &str)]] = &[
    &[("01", "14")],
    &[("15", "18")],
    &[("19", "28"), ("b1", "b2")],
    &[("29", "30")],
    &[("31", "31")],
    &[("32", "33")],
    &[("34", "34")],
    &[("35", "38")],
    &[("50", "56")],
    &[("60", "72")],
    &[("73", "76")],
    &[("77", "81")],
    &[("82", "96")],
    &[("97", "99")],
    &[("a1", "a6")],
    &[("b3", "b4")],
    &[("b5", "b5")],
    &[("d01", "d29")],
    &[("d30", "d52")],
    &[("d53", "d59")],
    &[("d60", "d60"), ("d62", "d63")],
    &[("d61", "d61"), ("d69", "d69")],
    &[("d64", "d64")],
    &[("d65", "d65")],
    &[("d66", "d68")],
];

/// Sorts recordings into the groups that shared a rack, each group in order. One that is in no group is its own.
pub fn groups(all: Vec<Transcript>) -> Vec<Vec<Transcript>> {
    let number = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
    let in_run = |number: &str, (first, last): &(&str, &str)| number >= *first && number <= *last;
    let mut grouped: Vec<Vec<Transcript>> = RUNS.iter().map(|_| Vec::new()).collect();
    for transcript in all {
        let number = number(&transcript.name);
        let position = RUNS.iter().position(|run| run.iter().any(|span| in_run(&number, span)));
        match position.and_then(|position| grouped.get_mut(position)) {
            Some(group) => group.push(transcript),
            None => grouped.push(vec![transcript]),
        }
    }
    grouped.retain(|group| !group.is_empty());
    grouped
}
