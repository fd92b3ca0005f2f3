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
}

impl From<RecordingError> for Problem {
    fn from(error: RecordingError) -> Self {
        let (kind, layer) = match error {
            RecordingError::Store(error) => return problems::of_store(&error),
            RecordingError::Record(error) => return error.into(),
            RecordingError::Unknown | RecordingError::Nothing => {
                (ProblemKind::NotFound, Layer::Authorization)
            }
            RecordingError::Over | RecordingError::Ending => (ProblemKind::NotPossible, Layer::Authorization),
            RecordingError::BadReason => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}
