//! Whether the chunks of a recording are those that were written, all of them, in their order.

use crate::chunk::{Chunk, Digest, chained};

/// Goes through the chunks of one recording, from the first on.
#[derive(Debug)]
pub struct Verifier {
    id: String,
    next: u64,
    before: Digest,
    ended: bool,
}

/// What the chunks show that were gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proved {
    /// How many there are.
    pub chunks: u64,
    /// The digest of the last: it covers all of them, and stands in the audit log.
    pub digest: Digest,
    /// Whether the last one is the one that ends the recording. A session whose gateway was killed has none, and
    /// neither has a recording whose end somebody removed; which of both it is, the audit log tells.
    pub is_whole: bool,
}

/// What is wrong with a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// A chunk is not at its place.
    #[error("piece {sequence} is missing: piece {found} stands in its place")]
    Missing {
        /// Which should be there.
        sequence: u64,
        /// Which is.
        found: u64,
    },
    /// A chunk is not the one that was written.
    #[error("piece {sequence} is not the one that was written")]
    Altered {
        /// Which.
        sequence: u64,
    },
    /// Something comes after the end.
    #[error("piece {sequence} comes after the end of the recording")]
    AfterEnd {
        /// Which.
        sequence: u64,
    },
}

impl Verifier {
    /// Begins with the recording `id`.
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), next: 0, before: Digest::NONE, ended: false }
    }

    /// The same, from the chunk behind this one on, which is taken to be right.
    #[must_use]
    pub fn behind(self, before: &Chunk) -> Self {
        Self { next: before.sequence.saturating_add(1), before: before.digest, ended: before.is_last, ..self }
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    /// [`Fault`]; the recording is then not to be believed from here on.
    pub fn take(&mut self, chunk: &Chunk) -> Result<(), Fault> {
        let sequence = chunk.sequence;
        if self.ended {
            return Err(Fault::AfterEnd { sequence });
        }
        if sequence != self.next {
            return Err(Fault::Missing { sequence: self.next, found: sequence });
        }
        let digest = chained(&self.id, sequence, chunk.is_last, &self.before, &chunk.plain);
        if digest != chunk.digest {
            return Err(Fault::Altered { sequence });
        }
        self.next += 1;
        self.before = digest;
        self.ended = chunk.is_last;
        Ok(())
    }

    /// What was shown.
    pub const fn end(&self) -> Proved {
        Proved { chunks: self.next, digest: self.before, is_whole: self.ended }
    }
}
