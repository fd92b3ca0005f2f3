//! The export format: JSON lines that anyone can verify with a public key and nothing else.
//!
//! The first line is the header, then come the entries in order; each checkpoint stands directly
//! behind the last entry it covers, so that a reader needs to remember nothing. Start at
//! [`verify_export`].

mod reader;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_types::GatewayId;
use serde::{Deserialize, Serialize};

use crate::merkle::{Hash, Head};
use crate::note::{NoteError, NoteVerifier};
use crate::verify::Fault;

pub use reader::{verify_export, verify_export_against};

/// The name and version of the format.
pub const FORMAT: &str = "rack-gateway-audit/1";

/// The longest line a reader takes, in bytes: a leaf of the largest size, every byte escaped, and room.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// The first line of an export.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHeader {
    /// [`FORMAT`].
    pub format: String,
    /// Whose log it is.
    pub gateway_id: GatewayId,
    /// The key its checkpoints are signed with, as `NAME+KEYID+BASE64`. A claim until compared with a trusted one.
    pub vkey: String,
    /// The number of entries that follow.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl ExportHeader {
    /// The header of an export of a gateway's whole log at this head.
    pub fn new(gateway_id: GatewayId, verifier: &NoteVerifier, head: &Head) -> Self {
        let vkey = verifier.to_string();
        Self { format: FORMAT.to_owned(), gateway_id, vkey, size: head.size, root: head.root }
    }

    /// The head the export claims.
    pub const fn head(&self) -> Head {
        Head { size: self.size, root: self.root }
    }
}

/// A line behind the header.
#[derive(Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Entry {
        index: u64,
        hash: Hash,
        /// The stored bytes as text; absent when retention pruned them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaf: Option<String>,
        /// The stored bytes of a damaged entry that is not even UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leaf_base64: Option<String>,
    },
    Checkpoint {
        checkpoint: String,
    },
}

/// Why an export is not a proof.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It could not be read.
    #[error("the export cannot be read")]
    Read {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line is longer than any line of an export.
    #[error("line {line} is longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong {
        /// Counted from 1.
        line: u64,
    },
    /// A line that is not of the format.
    #[error("line {line} is not of the format {FORMAT}")]
    BadLine {
        /// Counted from 1.
        line: u64,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// A `leaf_base64` that is not base64, or beside a `leaf`.
    #[error("line {line} has an unreadable leaf")]
    BadLeaf {
        /// Counted from 1.
        line: u64,
    },
    /// Another format, or another version of it.
    #[error("the file says it is `{}`; this program reads {FORMAT}", crate::text::disarmed(.found))]
    UnknownFormat {
        /// What the header says.
        found: String,
    },
    /// The header's key is not a verifier key.
    #[error("the key in the header is not acceptable")]
    BadKey {
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// The header names another key than the trusted one.
    #[error("the export names the key `{}`, but `{expected}` is the trusted one", crate::text::disarmed(.found))]
    ForeignKey {
        /// The trusted key.
        expected: String,
        /// The header's.
        found: String,
    },
    /// A checkpoint that cannot be believed.
    #[error("the checkpoint on line {line} cannot be believed")]
    BadCheckpoint {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// An anchor that is not signed with the key of the export.
    #[error(
        "an anchor is not signed with the key of the export; one from before the key was exchanged is held against the database"
    )]
    BadAnchor {
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// No checkpoint at all: nothing in the file is vouched for.
    #[error(
        "the export holds no signed checkpoint, so it proves nothing; export again once the gateway has signed one"
    )]
    NoCheckpoint,
    /// The log itself is at fault.
    #[error("the log has a fault")]
    Fault {
        /// The first thing found wrong.
        #[source]
        source: Fault,
    },
}

impl From<Fault> for ExportError {
    fn from(source: Fault) -> Self {
        ExportError::Fault { source }
    }
}

/// Writes an export. The caller gives entries and checkpoints in order: a checkpoint of size n
/// directly after the entry of index n - 1.
#[derive(Debug)]
pub struct ExportWriter<W> {
    out: W,
}

impl<W: Write> ExportWriter<W> {
    /// Begins an export with its header.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(out: W, header: &ExportHeader) -> io::Result<Self> {
        let mut writer = Self { out };
        writer.line(header)?;
        Ok(writer)
    }

    /// Writes one entry; `bytes` is `None` when retention pruned them. Damaged entries are written as they are.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn entry(&mut self, index: u64, bytes: Option<&[u8]>, hash: &Hash) -> io::Result<()> {
        let (leaf, leaf_base64) = match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
            None => (None, None),
            Some((Ok(text), _)) => (Some(text.to_owned()), None),
            Some((Err(_), bytes)) => (None, Some(STANDARD.encode(bytes))),
        };
        self.line(&Line::Entry { index, hash: *hash, leaf, leaf_base64 })
    }

    /// Writes one checkpoint, a signed note.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn checkpoint(&mut self, note: &str) -> io::Result<()> {
        self.line(&Line::Checkpoint { checkpoint: note.to_owned() })
    }

    /// Flushes and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn line<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}
