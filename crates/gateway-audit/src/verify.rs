//! Checking a whole log, entry by entry, in O(log n) memory beside the intents still open.
//!
//! Reads nothing itself: the store, an export or a test feeds it. What it finds first, it names
//! as exactly as can be known: an index when stored bytes and stored hash disagree, a range between
//! two checkpoints when both were rewritten together.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use gateway_types::Timestamp;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::encoding::DecodeError;
use crate::event::{Event, Phase};
use crate::merkle::{Frontier, Hash, Head, leaf_hash};

/// The action of the event that says which bodies retention removes. It is in the log before they are.
pub const PRUNE_ACTION: &str = "gateway:audit:prune";

/// Of an event of retention: the index of the first entry that keeps its body.
pub fn pruned_before(event: &Event) -> Option<u64> {
    let is_one = event.action.as_str() == PRUNE_ACTION;
    event.parameters.get("to").filter(|_to| is_one)?.parse().ok()
}

/// The first thing found wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An entry is missing, there twice, or out of order.
    #[error("entry {expected} should follow, but entry {found} does")]
    Gap {
        /// The index that should follow: the first bad one.
        expected: u64,
        /// The index that does.
        found: u64,
    },
    /// The stored bytes do not have the stored hash.
    #[error("entry {index} was altered: its bytes do not have the hash stored with it")]
    LeafHash {
        /// The first bad index.
        index: u64,
    },
    /// The bytes have their hash, but are no canonical event.
    #[error("entry {index} is not a canonical event")]
    NotCanonical {
        /// The first bad index.
        index: u64,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// A body is missing behind one that is there: retention only ever prunes a prefix.
    #[error("the body of entry {index} is missing, though retention removes only the oldest")]
    PrunedInside {
        /// The first bad index.
        index: u64,
    },
    /// Bodies are missing that no checkpoint vouches for.
    #[error("the first {pruned} bodies are missing, but only {signed} entries are covered by a checkpoint")]
    PrunedUnsigned {
        /// How many bodies are missing.
        pruned: u64,
        /// How many entries the newest checkpoint covers.
        signed: u64,
    },
    /// Bodies are missing that the log does not say were pruned.
    #[error(
        "the first {pruned} bodies are missing, but the log says so only of {declared}: somebody removed them by hand"
    )]
    PrunedUndeclared {
        /// How many bodies are missing.
        pruned: u64,
        /// How many were removed, as the log says.
        declared: u64,
    },
    /// The log ends before its head.
    #[error("the log ends after {have} entries, its head says {head}: the rest was removed")]
    Truncated {
        /// How many entries there are; also the first missing index.
        have: u64,
        /// How many the head says.
        head: u64,
    },
    /// The log goes on behind its head.
    #[error("the log has {have} entries, its head says only {head}")]
    BeyondHead {
        /// How many entries there are.
        have: u64,
        /// How many the head says; also the first index too many.
        head: u64,
    },
    /// A checkpoint covers more entries than there are: the log was rolled back, head and all.
    #[error("a checkpoint of {checkpoint} entries was signed, the log has only {have}: it was rolled back")]
    RolledBack {
        /// How many entries there are; also the first missing index.
        have: u64,
        /// How many the checkpoint covers.
        checkpoint: u64,
    },
    /// The entries do not have the head's root.
    #[error("the {size} entries do not have the root of the head; the first bad one is {good} or later")]
    Root {
        /// The size of the log.
        size: u64,
        /// Entries before this one are vouched for by a checkpoint.
        good: u64,
    },
    /// The entries do not have the root that was signed.
    #[error(
        "the first {size} entries do not have the root that was signed; the first bad one is {good} or later"
    )]
    CheckpointRoot {
        /// The size of the checkpoint that does not hold.
        size: u64,
        /// Entries before this one are vouched for by an earlier checkpoint.
        good: u64,
    },
    /// Two checkpoints of one size with two roots: the log was shown in two versions.
    #[error("two different roots were signed for {size} entries: the log was forked")]
    Forked {
        /// The size.
        size: u64,
    },
    /// A checkpoint came when the log was past it, and so could not be compared.
    #[error("the checkpoint of {size} entries came after {have} entries; give it before")]
    CheckpointTooLate {
        /// The size of the checkpoint.
        size: u64,
        /// How many entries had been read.
        have: u64,
    },
    /// A checkpoint of another gateway.
    #[error("the checkpoint is of `{found}`, the log is of `{expected}`")]
    ForeignGateway {
        /// The log's origin.
        expected: String,
        /// The checkpoint's.
        found: String,
    },
}

impl Fault {
    /// The indexes among which the first bad entry is: `first ..= last`. `None` when the fault is
    /// not about an entry.
    pub fn first_bad(&self) -> Option<(u64, u64)> {
        match *self {
            Fault::Gap { expected: index, .. }
            | Fault::LeafHash { index }
            | Fault::NotCanonical { index, .. }
            | Fault::PrunedInside { index }
            | Fault::Truncated { have: index, .. }
            | Fault::BeyondHead { head: index, .. }
            | Fault::RolledBack { have: index, .. } => Some((index, index)),
            Fault::Root { size, good } | Fault::CheckpointRoot { size, good } => {
                Some((good, size.saturating_sub(1).max(good)))
            }
            Fault::PrunedUnsigned { .. }
            | Fault::PrunedUndeclared { .. }
            | Fault::Forked { .. }
            | Fault::CheckpointTooLate { .. }
            | Fault::ForeignGateway { .. } => None,
        }
    }
}

/// What is known of a log that has no fault.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    /// The number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// How many of them are covered by a checkpoint that was checked.
    pub signed_size: u64,
    /// How many checkpoints were checked.
    pub checkpoints: u64,
    /// How many of the oldest have only their hash left.
    pub pruned: u64,
    /// Time of the first entry that still has its body.
    pub first_time: Option<Timestamp>,
    /// Time of the last entry that has its body.
    pub last_time: Option<Timestamp>,
    /// Intents whose outcome was never written: the gateway was killed in between, or is at work now.
    pub intents_without_outcome: u64,
    /// Outcomes that name no intent, or one that is none: a fault of the gateway, not of the log.
    pub outcomes_without_intent: u64,
}

/// Checks a log of one gateway. Feed checkpoints and entries in order, then [`finish`](Self::finish).
///
/// After a [`Fault`] the verifier knows no more; drop it.
#[derive(Debug)]
pub struct LogVerifier {
    origin: String,
    frontier: Frontier,
    /// Checkpoints the log has not reached yet.
    ahead: BTreeMap<u64, Hash>,
    signed_size: u64,
    checkpoints: u64,
    pruned: u64,
    /// How many bodies were removed, as the entries say that have one.
    declared_pruned: u64,
    first_time: Option<Timestamp>,
    last_time: Option<Timestamp>,
    open_intents: BTreeSet<u64>,
    outcomes_without_intent: u64,
}

impl LogVerifier {
    /// A verifier of the log of this origin ([`origin_of`](crate::checkpoint::origin_of) the gateway).
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            frontier: Frontier::new(),
            ahead: BTreeMap::new(),
            signed_size: 0,
            checkpoints: 0,
            pruned: 0,
            declared_pruned: 0,
            first_time: None,
            last_time: None,
            open_intents: BTreeSet::new(),
            outcomes_without_intent: 0,
        }
    }

    /// How many entries were read so far: the index of the next.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Takes a checkpoint whose signature was verified. It must come before the entry of index
    /// `checkpoint.size`: all at the beginning, or each at its place.
    ///
    /// # Errors
    /// When it is of another gateway, contradicts another checkpoint or the entries so far, or comes too late.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let Head { size, root } = checkpoint.head();
        if checkpoint.origin != self.origin {
            let found = checkpoint.origin.clone();
            return Err(Fault::ForeignGateway { expected: self.origin.clone(), found });
        }
        if size < self.size() {
            return Err(Fault::CheckpointTooLate { size, have: self.size() });
        }
        if self.ahead.insert(size, root).is_some_and(|other| other != root) {
            return Err(Fault::Forked { size });
        }
        self.compare_checkpoint()
    }

    /// Takes the next entry, whose body was not pruned: its stored bytes and its stored hash.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn entry(&mut self, index: u64, bytes: &[u8], stored_hash: &Hash) -> Result<(), Fault> {
        self.expect_index(index)?;
        if leaf_hash(bytes) != *stored_hash {
            return Err(Fault::LeafHash { index });
        }
        let (event, _) = Event::from_leaf(bytes).map_err(|source| Fault::NotCanonical { index, source })?;
        self.first_time.get_or_insert(event.time);
        self.last_time = Some(event.time);
        self.follow(index, &event);
        if let Some(before) = pruned_before(&event) {
            self.declared_pruned = self.declared_pruned.max(before);
        }
        self.append(stored_hash)
    }

    /// Takes the next entry, whose body retention has pruned: only its stored hash.
    ///
    /// # Errors
    /// When it is out of order, or an entry before it still has its body.
    pub fn pruned(&mut self, index: u64, stored_hash: &Hash) -> Result<(), Fault> {
        self.expect_index(index)?;
        if self.pruned != index {
            return Err(Fault::PrunedInside { index });
        }
        self.pruned += 1;
        self.append(stored_hash)
    }

    /// Compares what was read with the head the log claims.
    ///
    /// # Errors
    /// When entries, head and checkpoints do not agree.
    pub fn finish(self, head: &Head) -> Result<Report, Fault> {
        let (have, root) = (self.size(), self.frontier.root());
        // The signed word is stronger than the head's: it comes first.
        if let Some((checkpoint, _)) = self.ahead.last_key_value() {
            return Err(Fault::RolledBack { have, checkpoint: *checkpoint });
        }
        if have < head.size {
            return Err(Fault::Truncated { have, head: head.size });
        }
        if have > head.size {
            return Err(Fault::BeyondHead { have, head: head.size });
        }
        if root != head.root {
            return Err(Fault::Root { size: have, good: self.signed_size });
        }
        if self.pruned > self.signed_size {
            return Err(Fault::PrunedUnsigned { pruned: self.pruned, signed: self.signed_size });
        }
        if self.pruned > self.declared_pruned {
            return Err(Fault::PrunedUndeclared { pruned: self.pruned, declared: self.declared_pruned });
        }
        Ok(Report {
            size: have,
            root,
            signed_size: self.signed_size,
            checkpoints: self.checkpoints,
            pruned: self.pruned,
            first_time: self.first_time,
            last_time: self.last_time,
            intents_without_outcome: self.open_intents.len() as u64,
            outcomes_without_intent: self.outcomes_without_intent,
        })
    }

    fn expect_index(&self, index: u64) -> Result<(), Fault> {
        let expected = self.size();
        if index == expected { Ok(()) } else { Err(Fault::Gap { expected, found: index }) }
    }

    fn append(&mut self, hash: &Hash) -> Result<(), Fault> {
        self.frontier.push(*hash);
        self.compare_checkpoint()
    }

    /// Compares the checkpoint of exactly the present size, when there is one.
    fn compare_checkpoint(&mut self) -> Result<(), Fault> {
        let size = self.size();
        let Some(signed) = self.ahead.remove(&size) else { return Ok(()) };
        let root = self.frontier.root();
        if root != signed {
            // At the same size as the last good one only the signer can be at fault.
            let fork = self.checkpoints > 0 && self.signed_size == size;
            let good = self.signed_size;
            return Err(if fork { Fault::Forked { size } } else { Fault::CheckpointRoot { size, good } });
        }
        self.signed_size = size;
        self.checkpoints += 1;
        Ok(())
    }

    fn follow(&mut self, index: u64, event: &Event) {
        match (event.phase, event.intent) {
            (Phase::Intent, _) => {
                self.open_intents.insert(index);
            }
            (Phase::Outcome, Some(intent)) if intent < self.pruned || self.open_intents.remove(&intent) => {}
            (Phase::Outcome, _) => self.outcomes_without_intent += 1,
            (Phase::Single, _) => {}
        }
    }
}
