//! The keys that sign a log, one after the other: each vouches for the one that follows.
//!
//! When a key is exchanged, one checkpoint is signed by both: the handover. A client that trusts any key of
//! the chain reads the handovers from there on and so comes to trust the newest, without asking anybody.
//! A key signs nothing beyond the size at which it handed over.

#[cfg(test)]
mod tests;

use crate::checkpoint::Checkpoint;
use crate::note::{NoteError, NoteVerifier};

/// One key of a log, and which sizes it signs for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogKey {
    /// What checks its signatures.
    pub verifier: NoteVerifier,
    /// The size of the log when it began to sign.
    pub from: u64,
    /// The checkpoint of that size that it and the key before signed; the first key has none.
    pub handover: Option<String>,
}

/// Why keys are no chain, or a note is not acceptable to it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChainError {
    /// There is no key at all.
    #[error("the log has no key")]
    Empty,
    /// A key of another log, or one before the key that precedes it.
    #[error("key {position} of the log's keys does not follow the one before it")]
    OutOfOrder {
        /// Counted from 0.
        position: usize,
    },
    /// The handover is missing, or not signed by both keys.
    #[error("key {position} of the log's keys was not handed over by the one before it")]
    NoHandover {
        /// Counted from 0.
        position: usize,
        /// What is wrong with it, when there is one.
        #[source]
        source: Option<NoteError>,
    },
    /// The trusted key is none of the log's.
    #[error("the log's keys do not go back to the key that is trusted here: {trusted}")]
    Stranger {
        /// The trusted key.
        trusted: String,
    },
    /// No key of the chain signed it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A key signed beyond its end, or before its beginning.
    #[error("the checkpoint of {size} entries is signed with a key that does not sign for that size")]
    OutOfRange {
        /// The size it is of.
        size: u64,
    },
}

/// The keys of a log, oldest first, each handed over by the one before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyChain(Vec<LogKey>);

impl KeyChain {
    /// The chain of these keys, oldest first.
    ///
    /// # Errors
    /// [`ChainError`] naming the first key that does not follow.
    pub fn new(keys: Vec<LogKey>) -> Result<Self, ChainError> {
        if keys.is_empty() {
            return Err(ChainError::Empty);
        }
        for (position, (before, key)) in keys.iter().zip(keys.iter().skip(1)).enumerate() {
            let position = position + 1;
            if key.verifier.name() != before.verifier.name() || key.from < before.from {
                return Err(ChainError::OutOfOrder { position });
            }
            let note = key.handover.as_deref().ok_or(ChainError::NoHandover { position, source: None })?;
            let refused = |source| ChainError::NoHandover { position, source: Some(source) };
            let given = before.verifier.verify(note).map_err(refused)?;
            let taken = key.verifier.verify(note).map_err(refused)?;
            if given != taken || taken.size != key.from {
                return Err(ChainError::OutOfOrder { position });
            }
        }
        Ok(Self(keys))
    }

    /// The chain of one key, as long as it was never exchanged.
    pub fn of(verifier: NoteVerifier) -> Self {
        Self(vec![LogKey { verifier, from: 0, handover: None }])
    }

    /// The keys, oldest first.
    pub fn keys(&self) -> &[LogKey] {
        &self.0
    }

    /// The key in force.
    pub fn newest(&self) -> Option<&NoteVerifier> {
        self.0.last().map(|key| &key.verifier)
    }

    /// Whether this key is in the chain, so that who trusted it may trust the newest.
    ///
    /// # Errors
    /// [`ChainError::Stranger`].
    pub fn goes_back_to(&self, trusted: &str) -> Result<(), ChainError> {
        if self.0.iter().any(|key| key.verifier.to_string() == trusted) {
            return Ok(());
        }
        Err(ChainError::Stranger { trusted: trusted.to_owned() })
    }

    /// The checkpoint in a note that the key of its size signed.
    ///
    /// # Errors
    /// [`ChainError::Note`] when no key signed it, [`ChainError::OutOfRange`] when the wrong one did.
    pub fn verify(&self, note: &str) -> Result<Checkpoint, ChainError> {
        let mut refused = ChainError::Empty;
        let ends = self.0.iter().skip(1).map(|next| Some(next.from)).chain([None]);
        // The newest first: it is what nearly every note is signed with.
        let keys: Vec<_> = self.0.iter().zip(ends).collect();
        for (key, end) in keys.into_iter().rev() {
            match key.verifier.verify(note) {
                Ok(checkpoint) => {
                    let size = checkpoint.size;
                    if size >= key.from && end.is_none_or(|end| size <= end) {
                        return Ok(checkpoint);
                    }
                    refused = ChainError::OutOfRange { size };
                }
                Err(error) => {
                    if !matches!(refused, ChainError::OutOfRange { .. }) {
                        refused = ChainError::Note(error);
                    }
                }
            }
        }
        Err(refused)
    }
}
