//! Why an environment was not changed, as facts.

use gateway_types::{Layer, Problem, ProblemKind};

use crate::error::AppError;

/// Why an environment was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(AppError),
    /// The change says nothing.
    #[error("name at least one key to set or to unset")]
    Nothing,
    /// The change is too large.
    #[error("one change names at most {} keys", super::MOST_KEYS)]
    TooMany,
    /// Not a name.
    #[error("`{key}` is no name of an environment variable: visible characters without `=`, at most 1024")]
    BadKey {
        /// What was given.
        key: String,
    },
    /// A key stands twice.
    #[error("{key} stands twice in this change")]
    Twice {
        /// Which.
        key: String,
    },
    /// A value of several lines.
    #[error("the value of {key} has more than one line, which a rack would read as further variables")]
    NotOneLine {
        /// Which.
        key: String,
    },
}

impl From<EnvironmentError> for Problem {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Record(error) => error.into(),
            EnvironmentError::Nothing
            | EnvironmentError::TooMany
            | EnvironmentError::BadKey { .. }
            | EnvironmentError::Twice { .. }
            | EnvironmentError::NotOneLine { .. } => {
                Problem::new(ProblemKind::BadParameter, Layer::Network, error.to_string())
            }
        }
    }
}
