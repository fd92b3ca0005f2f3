//! Why a session was not ended or a recording not shown, as facts.

use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use crate::error::AppError;
use crate::problems;

/// Why a session was not ended or a recording not shown.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// No reason, or one that cannot be shown.
    #[error("say why, in 1 to {} visible characters; the person sees it", super::LONGEST_REASON)]
    BadReason,
    /// There is no such session, or no such piece.
    #[error("there is nothing with this id")]
    Unknown,
    /// Nothing of it was recorded.
    #[error("nothing of this session was recorded")]
    Nothing,
    /// It is over.
    #[error("this session is over already")]
    Over,
    /// Somebody was faster.
    #[error("this session is being ended already")]
    Ending,
    /// It is not recorded, so there is nothing to see.
    #[error("this session is not recorded, so nobody can watch it")]
    Unseen,
    /// A token wants to join.
    #[error("only a person can join a session; sign in as one")]
    NotAPerson,
    /// Whose session it is wants to be its second person.
    #[error("this session is yours; its second person is somebody else")]
    OwnSession,
    /// It needs no second person.
    #[error("this session needs no second person; it can be watched")]
    NeedsNone,
}

impl From<RecordingError> for Problem {
    fn from(error: RecordingError) -> Self {
        let (kind, layer) = match error {
            RecordingError::Store(error) => return problems::of_store(&error),
            RecordingError::Record(error) => return error.into(),
            RecordingError::Unknown | RecordingError::Nothing => {
                (ProblemKind::NotFound, Layer::Authorization)
            }
            RecordingError::NotAPerson | RecordingError::OwnSession => {
                (ProblemKind::Refused, Layer::Authorization)
            }
            RecordingError::Over
            | RecordingError::Ending
            | RecordingError::Unseen
            | RecordingError::NeedsNone => (ProblemKind::NotPossible, Layer::Authorization),
            RecordingError::BadReason => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}
