//! Why an elevation was not asked for, decided or ended, as facts.

use std::time::Duration;

use gateway_config::duration::format_duration;
use gateway_store::{ElevationState, StoreError};
use gateway_types::{Layer, Problem, ProblemKind, Role};

use crate::error::AppError;
use crate::problems;

/// Why an elevation was not asked for, decided or ended.
#[derive(Debug, thiserror::Error)]
pub enum ElevationError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// There is no such elevation.
    #[error("there is no elevation with this id")]
    Unknown,
    /// Only people have elevations.
    #[error("elevations are for people: ask with your own session")]
    NotAPerson,
    /// They are switched off.
    #[error(
        "elevations are switched off here; an admin can switch them on (`rack-gateway settings set elevations on`)"
    )]
    Off,
    /// Not a role that can be had for a while.
    #[error("{0} cannot be had for a while; ask for ops, deployer or admin")]
    NotARoleForThis(Role),
    /// The person has it.
    #[error("you have the rights of {0} already")]
    HeldAlready(Role),
    /// No app has such a name.
    #[error("an app's name has 1 to 63 small letters, digits and dashes")]
    BadApp,
    /// It would last too long.
    #[error("an elevation lasts at most {} here (the setting elevation_longest)", format_duration(*longest))]
    TooLong {
        /// The longest.
        longest: Duration,
    },
    /// It would last no time at all.
    #[error("an elevation lasts at least 1m")]
    TooShort,
    /// No reason, or one that cannot be shown.
    #[error("say why, in 1 to 500 visible characters")]
    BadReason,
    /// Too many requests at once.
    #[error("you have {} elevations that wait or are live; end one first", super::MOST_OPEN)]
    TooManyOpen,
    /// Too many requests in a short time.
    #[error("you have asked {} times within an hour; wait a while", super::MOST_IN_AN_HOUR)]
    TooOften,
    /// Nobody approves their own.
    #[error("nobody approves their own request; ask another admin")]
    Oneself,
    /// One person counts once.
    #[error("you have approved it already; it takes somebody else too")]
    ApprovedBefore,
    /// It does not wait any more, or is over.
    #[error("this elevation is {state}")]
    Over {
        /// Where it stands.
        state: ElevationState,
    },
}

impl From<ElevationError> for Problem {
    fn from(error: ElevationError) -> Self {
        let (kind, layer) = match error {
            ElevationError::Store(error) => return problems::of_store(&error),
            ElevationError::Record(error) => return error.into(),
            ElevationError::Unknown => (ProblemKind::NotFound, Layer::Authorization),
            ElevationError::NotAPerson | ElevationError::Oneself => {
                (ProblemKind::Refused, Layer::Authorization)
            }
            ElevationError::Off
            | ElevationError::HeldAlready(_)
            | ElevationError::TooManyOpen
            | ElevationError::TooOften
            | ElevationError::ApprovedBefore
            | ElevationError::Over { .. } => (ProblemKind::NotPossible, Layer::Authorization),
            ElevationError::NotARoleForThis(_)
            | ElevationError::BadApp
            | ElevationError::TooLong { .. }
            | ElevationError::TooShort
            | ElevationError::BadReason => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}
