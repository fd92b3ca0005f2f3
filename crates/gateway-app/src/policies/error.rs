//! Why policies were not changed, or not put in force, as facts.

use gateway_policy::PolicyError;
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use super::LONGEST_TEXT;
use crate::error::AppError;
use crate::problems;

/// Why a document was not written or removed. The set in force is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PolicyChangeError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// Not a name of a document.
    #[error(
        "a policy document's id has 1 to 64 small letters, digits, dots, dashes and underscores, and does not begin with a dot"
    )]
    BadId,
    /// The text is too long.
    #[error("the text has {bytes} bytes; a policy document has at most {LONGEST_TEXT}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The text holds nothing but comments.
    #[error("the text holds no policy; to take a document out of force, remove it")]
    Empty,
    /// There is no such document in the database.
    #[error(
        "the database has no policy document `{id}`; the built-in one and those of files are not changed here"
    )]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// The set would not load.
    #[error(transparent)]
    NotLoadable(#[from] PolicyError),
    /// With the set, nobody could take it back.
    #[error("after this change no unlocked admin could undo it: {hindrance}")]
    NobodyCouldUndo {
        /// What stands in the way.
        hindrance: String,
    },
    /// The gateway stopped in the middle, or failed.
    #[error("the policies could not be checked")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl From<PolicyChangeError> for Problem {
    fn from(error: PolicyChangeError) -> Self {
        let (kind, layer) = match error {
            PolicyChangeError::Store(error) => return problems::of_store(&error),
            PolicyChangeError::Record(error) => return error.into(),
            PolicyChangeError::BadId
            | PolicyChangeError::TooLong { .. }
            | PolicyChangeError::Empty
            | PolicyChangeError::NotLoadable(_) => (ProblemKind::BadParameter, Layer::Network),
            PolicyChangeError::Unknown { .. } => (ProblemKind::NotFound, Layer::Authorization),
            PolicyChangeError::NobodyCouldUndo { .. } => (ProblemKind::NotPossible, Layer::Authorization),
            PolicyChangeError::Interrupted(_) => return problems::internal(&error),
        };
        Problem::new(kind, layer, error.to_string())
    }
}

/// Why the database's policies were not put in force. Those before them still are.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// They could not be read.
    #[error("the policies in the database could not be read")]
    Store(#[from] StoreError),
    /// They do not load.
    #[error("the policies in the database are not in force: {0}")]
    NotLoadable(#[from] PolicyError),
    /// The gateway stopped in the middle, or failed.
    #[error("the policies in the database could not be checked")]
    Failed(#[source] Box<PolicyChangeError>),
}

impl From<PolicyChangeError> for ReloadError {
    fn from(error: PolicyChangeError) -> Self {
        match error {
            PolicyChangeError::Store(error) => ReloadError::Store(error),
            PolicyChangeError::NotLoadable(error) => ReloadError::NotLoadable(error),
            other @ (PolicyChangeError::Record(_)
            | PolicyChangeError::BadId
            | PolicyChangeError::TooLong { .. }
            | PolicyChangeError::Empty
            | PolicyChangeError::Unknown { .. }
            | PolicyChangeError::NobodyCouldUndo { .. }
            | PolicyChangeError::Interrupted(_)) => ReloadError::Failed(Box::new(other)),
        }
    }
}
