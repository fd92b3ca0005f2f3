//! What can be wrong with a log, as facts.

use gateway_audit::{ChainError, ProofError};

/// What is wrong with a log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is signed with a key that the one trusted here did not hand over to ({source})")]
    Key { source: ChainError },
    #[error("it is the log of {now}, not that of gateway {then}")]
    OtherLog { then: String, now: String },
    #[error("it has {now} entries, and had {then} when it was last seen from here: it was rolled back")]
    Shorter { then: u64, now: u64 },
    #[error("it has {size} entries as before, but not the same ones: it was rewritten")]
    Rewritten { size: u64 },
    #[error(
        "the {then} entries that were seen from here are not the beginning of the {now} that there are: it was rewritten or forked ({source})"
    )]
    Inconsistent { then: u64, now: u64, source: ProofError },
    #[error("entry {index}, for which it gave a receipt, is not in it ({source})")]
    Missing { index: u64, source: ProofError },
    #[error("it gives no proof that it holds what was seen of it")]
    NoProof,
    #[error("what is known of it cannot be understood")]
    Garbled,
}
