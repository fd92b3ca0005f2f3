//! Checkpoints (C2SP tlog-checkpoint): a tree head as three lines of text, to be signed as a note.
//!
//! Who signs and who may be believed is the business of [`note`](crate::note).

#[cfg(test)]
mod tests;

use gateway_types::{GatewayId, Timestamp};

use crate::merkle::{Hash, Head};
use crate::text::disarmed;

pub use crate::note::{NoteError, NoteSigner, NoteVerifier};

/// The extension line that holds the time of signing begins with this.
const TIME: &str = "time ";

/// The origin of a gateway's log, also the name of its signing key: `rack-gateway/<gateway id>`.
pub fn origin_of(gateway: GatewayId) -> String {
    format!("rack-gateway/{gateway}")
}

/// What a log says about itself: its name, its size, its root.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Checkpoint {
    /// The log's unique name.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// Further lines; one of them may be `time <RFC 3339>`. Not provable from the log.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// The checkpoint of a gateway's log at this head, stamped with the time.
    pub fn new(gateway: GatewayId, head: &Head, time: Timestamp) -> Self {
        Self {
            origin: origin_of(gateway),
            size: head.size,
            root: head.root,
            extensions: vec![format!("{TIME}{time}")],
        }
    }

    /// Size and root together.
    pub const fn head(&self) -> Head {
        Head { size: self.size, root: self.root }
    }

    /// When it was signed, if it says so.
    pub fn time(&self) -> Option<Timestamp> {
        self.extensions.iter().find_map(|line| Timestamp::parse_rfc3339(line.strip_prefix(TIME)?))
    }

    /// The text that is signed. Control characters are escaped, empty extensions left out, so that
    /// no value can pose as another line.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", disarmed(&self.origin), self.size, self.root);
        for line in self.extensions.iter().filter(|line| !line.is_empty()) {
            text.push_str(&disarmed(line));
            text.push('\n');
        }
        text
    }

    /// Reads the text of a checkpoint, which ends in a newline.
    pub(crate) fn from_text(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n').zip(1..);
        let mut line = |number| match lines.next() {
            Some((line, _)) if !line.is_empty() => Ok(line),
            _ => Err(NoteError::NotACheckpoint { line: number }),
        };
        let origin = line(1)?.to_owned();
        let size = decimal(line(2)?).ok_or(NoteError::NotACheckpoint { line: 2 })?;
        let root = line(3)?.parse()?;
        let extensions = lines
            .map(|(line, number)| match line {
                "" => Err(NoteError::NotACheckpoint { line: number }),
                line => Ok(line.to_owned()),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { origin, size, root, extensions })
    }
}

/// A number in its one decimal spelling: digits only, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
