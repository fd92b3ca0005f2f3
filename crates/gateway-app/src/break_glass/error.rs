//! Why codes came to nothing, as facts.

use std::time::Duration;

use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use super::{MOST_CODES, THRESHOLDS};
use crate::error::AppError;
use crate::problems;

/// Why something about the codes for emergencies was not done.
#[derive(Debug, thiserror::Error)]
pub enum BreakGlassError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// There are no codes.
    #[error("no break-glass codes are in force; an admin makes them with `rack-gateway breakglass init`")]
    NotSetUp,
    /// How many codes there shall be.
    #[error("one use takes {} to {} codes, and there are from that many to {MOST_CODES}", THRESHOLDS.start(), THRESHOLDS.end())]
    BadNumbers,
    /// Others are in force than those that are to be replaced.
    #[error(
        "other codes are in force than those that these are to take the place of; look at what there is, and name them"
    )]
    OthersInForce,
    /// A text that is no code.
    #[error("a code has 25 letters and digits in five groups, such as 7K3QV-…; at most 40 are read")]
    NotACode,
    /// Not as many codes as it takes.
    #[error("{given} different codes were given and it takes exactly {threshold}; none was spent")]
    HowMany {
        /// How many were given.
        given: usize,
        /// How many it takes.
        threshold: u32,
    },
    /// Some are not good.
    #[error("only {good} of the codes are good and it takes {threshold}; none was spent")]
    TooFew {
        /// How many are good.
        good: usize,
        /// How many it takes.
        threshold: u32,
    },
    /// What it is to give.
    #[error("name one scope: `role` (viewer, ops, deployer or admin) or `app`, not both")]
    BadScope,
    /// A reason or a review.
    #[error("write why, or what was found, in 10 to 1000 characters")]
    BadReason,
    /// Nobody known.
    #[error("`person` is the e-mail address of somebody whom this gateway knows and who is not locked")]
    UnknownPerson,
    /// Too many tries from one address.
    #[error(
        "there were too many tries from this address; wait {wait:?}, or use the codes from another one or on the server's own machine"
    )]
    TooManyTries {
        /// How long.
        wait: Duration,
    },
    /// No such use.
    #[error("there is no such use of break-glass codes")]
    NoSuchUse,
    /// It is over.
    #[error("what these codes gave is over already")]
    Over,
    /// It is not over yet.
    #[error("what these codes gave is not over yet; end it first, or wait")]
    StillLive,
    /// Somebody did that.
    #[error("somebody looked at this use already")]
    Reviewed,
    /// One's own use.
    #[error("you used these codes; let another admin look at it")]
    OwnUse,
}

impl From<BreakGlassError> for Problem {
    fn from(error: BreakGlassError) -> Self {
        let (kind, layer) = match error {
            BreakGlassError::Store(error) => return problems::of_store(&error),
            BreakGlassError::Record(error) => return error.into(),
            BreakGlassError::HowMany { .. } | BreakGlassError::TooFew { .. } => {
                (ProblemKind::Refused, Layer::Authentication)
            }
            BreakGlassError::TooManyTries { .. } => (ProblemKind::TooManyRequests, Layer::Authentication),
            BreakGlassError::NoSuchUse => (ProblemKind::NotFound, Layer::Authorization),
            BreakGlassError::NotSetUp
            | BreakGlassError::OthersInForce
            | BreakGlassError::Over
            | BreakGlassError::StillLive
            | BreakGlassError::Reviewed
            | BreakGlassError::OwnUse => (ProblemKind::NotPossible, Layer::Authorization),
            BreakGlassError::BadNumbers
            | BreakGlassError::NotACode
            | BreakGlassError::BadScope
            | BreakGlassError::BadReason
            | BreakGlassError::UnknownPerson => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}
