//! Why values were not revealed, as facts.

use std::time::Duration;

use gateway_config::duration::format_duration;
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use crate::error::AppError;
use crate::problems;

/// Why values were not revealed.
#[derive(Debug, thiserror::Error)]
pub enum RevealError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// No reason, or one that cannot be shown.
    #[error("say why, in 1 to 500 visible characters")]
    BadReason,
    /// Not a name.
    #[error("`{key}` is no name of an environment variable")]
    BadKey {
        /// What was given.
        key: String,
    },
    /// Too many names.
    #[error("name at most {} keys, or none for all of them", super::MOST_KEYS)]
    TooManyKeys,
    /// A time is of a whole app.
    #[error("a time of reading is of the whole app: leave out the keys and the release, or `for`")]
    WholeApp,
    /// It would last too long.
    #[error("values can be read for at most {} here (the setting reveal_longest)", format_duration(*longest))]
    TooLong {
        /// The longest.
        longest: Duration,
    },
    /// It would last no time at all.
    #[error("values are read for at least 10s")]
    TooShort,
    /// Whoever asks has no credential that it could belong to.
    #[error("this belongs to a credential, and you came without one")]
    NoCredential,
    /// Too many at once.
    #[error(
        "this credential has {} such times open; end one first (`rack-gateway reveal list`)",
        super::MOST_OPEN
    )]
    TooManyOpen,
    /// There is no such time.
    #[error("there is nothing with this id")]
    Unknown,
    /// It is over.
    #[error("this is over already")]
    Over,
}

impl From<RevealError> for Problem {
    fn from(error: RevealError) -> Self {
        let (kind, layer) = match error {
            RevealError::Store(error) => return problems::of_store(&error),
            RevealError::Record(error) => return error.into(),
            RevealError::NoCredential => (ProblemKind::Refused, Layer::Authorization),
            RevealError::Unknown => (ProblemKind::NotFound, Layer::Authorization),
            RevealError::TooManyOpen | RevealError::Over => (ProblemKind::NotPossible, Layer::Authorization),
            RevealError::BadReason
            | RevealError::BadKey { .. }
            | RevealError::TooManyKeys
            | RevealError::WholeApp
            | RevealError::TooLong { .. }
            | RevealError::TooShort => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}
