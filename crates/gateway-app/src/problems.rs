//! From errors to problems: what the API and the pages say about each. One place, exhaustively.
//!
//! Public text and private cause are apart: what the caller cannot help is logged here, once, with the whole
//! chain, and the caller reads only that it happened. It must not know how a problem is shown.

use gateway_identity::WebauthnFault;
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use crate::error::AppError;
use crate::factors::FactorError;

/// What a caller is told about an error of the store.
pub fn of_store(error: &StoreError) -> Problem {
    let (kind, layer) = match error {
        StoreError::Unavailable { .. }
        | StoreError::TimedOut { .. }
        | StoreError::Overloaded { .. }
        | StoreError::NotRecorded { .. }
        | StoreError::Spool { .. }
        | StoreError::AuditClosed
        | StoreError::LogWentBack { .. } => {
            tracing::error!(error = error as &dyn std::error::Error, "the store could not be used");
            return Problem::new(ProblemKind::CannotRecord, Layer::Audit, "the store cannot be reached");
        }
        StoreError::NotFound => (ProblemKind::NotFound, Layer::Authorization),
        StoreError::Conflict => (ProblemKind::Stale, Layer::Authorization),
        StoreError::Exists | StoreError::LastAdmin => (ProblemKind::NotPossible, Layer::Authorization),
        StoreError::LeaseHeld { .. } => (ProblemKind::Conflict, Layer::Authorization),
        StoreError::NotStorable { .. } | StoreError::OutOfRange { .. } => {
            (ProblemKind::BadParameter, Layer::Network)
        }
        StoreError::Locked { .. }
        | StoreError::WrongSecretKey
        | StoreError::Serving
        | StoreError::WeakKey { .. }
        | StoreError::OtherRack
        | StoreError::SecretKeyMissing
        | StoreError::Url { .. }
        | StoreError::File { .. }
        | StoreError::Migration { .. }
        | StoreError::MigrationChanged { .. }
        | StoreError::ForeignKeyCheck { .. }
        | StoreError::Encode { .. }
        | StoreError::Json { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Crypto { .. } => return internal(error),
    };
    Problem::new(kind, layer, error.to_string())
}

/// What a caller is told about a fault of the gateway: that there was one.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "the gateway failed at one of its own operations");
    Problem::new(ProblemKind::Internal, Layer::Audit, "the gateway failed; its log has the cause")
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        let (kind, layer) = match &error {
            AppError::Store(error) => return of_store(error),
            AppError::UnknownPerson { .. }
            | AppError::UnknownToken(_)
            | AppError::UnknownTrustRule(_)
            | AppError::UnknownRequest(_) => (ProblemKind::NotFound, Layer::Authorization),
            AppError::AmbiguousToken { .. }
            | AppError::BadTokenName
            | AppError::NoRole
            | AppError::CertificateEnded
            | AppError::KeyIsBound
            | AppError::UnknownAction { .. } => (ProblemKind::BadParameter, Layer::Network),
            AppError::Log(_)
            | AppError::Checkpoint(_)
            | AppError::Anchor(_)
            | AppError::SigningKey
            | AppError::PrunedMeanwhile
            | AppError::Write(_) => {
                return internal(&error);
            }
        };
        Problem::new(kind, layer, error.to_string())
    }
}

impl From<FactorError> for Problem {
    fn from(error: FactorError) -> Self {
        let kind = match error {
            FactorError::Store(error) => return of_store(&error),
            FactorError::Record(error) => return error.into(),
            FactorError::Approval(error) => return error.into(),
            FactorError::UnknownPerson(_) | FactorError::UnknownFactor(_) => ProblemKind::NotFound,
            FactorError::TooManyTries { until, now } => return crate::step_up::too_many(until, now),
            FactorError::Place(error) => return error.into(),
            FactorError::TooMany
            | FactorError::NoFactor
            | FactorError::NoPasskey
            | FactorError::KnownKey
            | FactorError::NoYubico => ProblemKind::NotPossible,
            FactorError::Yubico(ref cause) => {
                tracing::error!(
                    error = cause as &dyn std::error::Error,
                    "what a YubiKey typed cannot be checked"
                );
                ProblemKind::CannotRecord
            }
            FactorError::NotAnOtp | FactorError::WrongOtp => ProblemKind::BadParameter,
            FactorError::Passkey(WebauthnFault::NoName { .. }) => ProblemKind::NotPossible,
            FactorError::Passkey(_) | FactorError::NoCeremony => ProblemKind::BadParameter,
            FactorError::NotAPerson => ProblemKind::Refused,
            FactorError::WrongCode | FactorError::NotACode | FactorError::BadName => {
                ProblemKind::BadParameter
            }
        };
        Problem::new(kind, Layer::Authorization, error.to_string())
    }
}
