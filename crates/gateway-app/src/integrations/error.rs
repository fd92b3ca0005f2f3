//! Why an integration was not changed or looked at, as facts.

use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use super::{CredentialsFault, Kind, SetupError};
use crate::error::AppError;
use crate::problems;

/// Why an integration was not changed or looked at. What is in force is as it was.
#[derive(Debug, thiserror::Error)]
pub enum IntegrationError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// There is no such service.
    #[error("there is no integration `{kind}`; it is one of github, circleci, slack")]
    UnknownKind {
        /// What was asked for.
        kind: String,
    },
    /// The credentials are not acceptable.
    #[error(transparent)]
    Credentials(#[from] CredentialsFault),
    /// The credentials cannot be used.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The configuration gives them.
    #[error(
        "the credentials for {kind} come from the configuration, which counts before the database; take them out there first"
    )]
    Configured {
        /// The service.
        kind: Kind,
    },
    /// There are none.
    #[error("the database has no credentials for {kind}")]
    NotSet {
        /// The service.
        kind: Kind,
    },
}

impl From<IntegrationError> for Problem {
    fn from(error: IntegrationError) -> Self {
        let (kind, layer) = match error {
            IntegrationError::Store(error) => return problems::of_store(&error),
            IntegrationError::Record(error) => return error.into(),
            IntegrationError::UnknownKind { .. } => (ProblemKind::NotFound, Layer::Authorization),
            IntegrationError::Credentials(_) | IntegrationError::Setup(_) => {
                (ProblemKind::BadParameter, Layer::Network)
            }
            IntegrationError::Configured { .. } | IntegrationError::NotSet { .. } => {
                (ProblemKind::NotPossible, Layer::Authorization)
            }
        };
        Problem::new(kind, layer, error.to_string())
    }
}
