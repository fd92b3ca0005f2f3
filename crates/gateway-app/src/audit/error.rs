//! Why the log was not shown, as facts.

use gateway_audit::{ChainError, ProofError};
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use crate::error::AppError;
use crate::problems;

/// Why events were not shown.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// That it is read could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// A member of the filter is not of its type.
    #[error(
        "`{member}` is not of its type; times are RFC 3339 such as 2026-11-22T08:00:00Z, requests are ids, cursors are what a page gave as `next`"
    )]
    BadFilter {
        /// Which.
        member: &'static str,
    },
    /// What an evidence bundle is known by is not of its type.
    #[error(
        "`digest` is a SHA-256 in 64 lower-case hexadecimal digits, and `from` and `to` are times in RFC 3339, the earlier one first"
    )]
    BadEvidence,
    /// The log has no such entry.
    #[error("the log has no entry {index}")]
    NoSuchEntry {
        /// The index asked for.
        index: u64,
    },
    /// Retention removed the body of the entry.
    #[error(
        "entry {index} was pruned: what it said is gone, and its hash is still proven. Bodies begin at entry {first_kept}"
    )]
    Pruned {
        /// The index asked for.
        index: u64,
        /// The first that has its body.
        first_kept: u64,
    },
    /// The entry belongs to no deploy, or to none that the caller may see.
    #[error(
        "entry {index} belongs to no story; stories are made of builds, releases, promotions and approvals of an app"
    )]
    NoSuchStory {
        /// The index asked for.
        index: u64,
    },
    /// The log is smaller than what is asked about.
    #[error("the log has {have} entries; there is no tree of {size} yet")]
    NoSuchTree {
        /// The size asked for.
        size: u64,
        /// How many entries there are.
        have: u64,
    },
    /// No tile has this name, or the log is not so large yet.
    #[error(
        "the log has no tile `{path}`; names are `<L>/<N>`, `<L>/<N>.p/<W>`, `entries/<N>` and `entries/<N>.p/<W>`, with N in groups of three digits such as x001/234"
    )]
    NoSuchTile {
        /// What was asked for.
        path: String,
    },
    /// The stored hashes do not make a proof.
    #[error("the proof of an entry could not be made")]
    Proof(#[from] ProofError),
    /// The gateway's own checkpoint does not verify.
    #[error("a checkpoint of this gateway does not verify")]
    Checkpoint(#[from] ChainError),
    /// An event has no JSON form.
    #[error("an event could not be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        let (kind, layer) = match error {
            AuditError::Store(error) => return problems::of_store(&error),
            AuditError::Record(error) => return error.into(),
            AuditError::BadFilter { .. } | AuditError::BadEvidence => {
                (ProblemKind::BadParameter, Layer::Network)
            }
            AuditError::Pruned { .. } => (ProblemKind::Pruned, Layer::Authorization),
            AuditError::NoSuchEntry { .. }
            | AuditError::NoSuchStory { .. }
            | AuditError::NoSuchTree { .. }
            | AuditError::NoSuchTile { .. } => (ProblemKind::NotFound, Layer::Authorization),
            AuditError::Proof(_) | AuditError::Checkpoint(_) | AuditError::Json(_) => {
                return problems::internal(&error);
            }
        };
        Problem::new(kind, layer, error.to_string())
    }
}
