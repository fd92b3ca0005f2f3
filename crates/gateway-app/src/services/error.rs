//! Why services were not changed, or not put in force, as facts.

use std::path::PathBuf;

use gateway_exposure::LintFault;
use gateway_services::{ServiceFault, TableError};
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use super::candidates::LARGEST_COMPOSE_FILE;
use super::{LONGEST_DECLARATION, MOST_SERVICES};
use crate::error::AppError;
use crate::policies::PolicyChangeError;
use crate::problems;

/// Why a service was not written or removed. What is in force is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ServiceChangeError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// The declaration is no JSON object.
    #[error("the declaration of a service is one JSON object")]
    NotAnObject,
    /// The declaration is too long.
    #[error("the declaration has {bytes} bytes; one has at most {LONGEST_DECLARATION}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// The declaration has a field that there is not, or one that is not of its type.
    #[error("the declaration is not that of a service: {0}")]
    Malformed(#[source] serde_json::Error),
    /// The declaration cannot be written down.
    #[error("the declaration cannot be written down")]
    Unwritable(#[source] serde_json::Error),
    /// It names another service than the address does.
    #[error(
        "the declaration is of the service `{name}`; its name and the one in the address must be the same"
    )]
    OtherName {
        /// What it names.
        name: String,
    },
    /// Fields are wrong.
    #[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Faults {
        /// All of them.
        faults: Vec<ServiceFault>,
    },
    /// It does not go together with the others.
    #[error(transparent)]
    Table(#[from] TableError),
    /// It is declared in the file.
    #[error(
        "the service `{name}` is declared in the configuration file; change it there, or choose another name"
    )]
    OfFile {
        /// Which.
        name: String,
    },
    /// There is no such service.
    #[error("there is no service `{name}`")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// There are too many.
    #[error("there are {MOST_SERVICES} services in the database, which is the most; remove one first")]
    TooMany,
    /// It takes a secret from where only the configuration file may.
    #[error(
        "{field}: a service that is declared by API takes its secret from `env:RGW_SERVICE_…` or `vault:…`; what reads other variables and files is declared in the configuration file"
    )]
    Secret {
        /// The field.
        field: &'static str,
    },
    /// It claims the gateway's own host.
    #[error("hosts: `{host}` is the gateway's own; give `prefix` without `hosts`, or another host")]
    OwnHost {
        /// Which.
        host: String,
    },
    /// The file with labels is no compose file.
    #[error("{0}")]
    Compose(#[source] LintFault),
    /// The file with labels is too long.
    #[error("a compose file has at most {LARGEST_COMPOSE_FILE} bytes")]
    TooLongCompose,
    /// Too many containers have labels.
    #[error("too many services of the compose file have labels; give a part of it")]
    TooManyCandidates,
    /// The watched file cannot be read.
    #[error("{} cannot be read: {source}", file.display())]
    ComposeFile {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No file is watched, and none was given.
    #[error("no compose file is watched (`candidates.compose_file`): give one")]
    NoComposeFile,
    /// No labels ask for it.
    #[error("no labels ask for the service `{name}`")]
    NoCandidate {
        /// What was asked for.
        name: String,
    },
    /// It cannot be put in force as its labels ask.
    #[error("the candidate cannot be put in force: {why}")]
    Candidate {
        /// Everything that is wrong.
        why: String,
    },
    /// What was shown is not what it would be now.
    #[error(
        "the compose file or the service changed since the difference was shown, so nothing was done; look at the candidate again and approve what it is now"
    )]
    OtherDifference,
    /// The policies do not go together with the services.
    #[error("the policies in force would not load with these services: {0}")]
    Policies(#[from] PolicyChangeError),
}

impl From<ServiceChangeError> for Problem {
    fn from(error: ServiceChangeError) -> Self {
        let (kind, layer) = match error {
            ServiceChangeError::Store(error) => return problems::of_store(&error),
            ServiceChangeError::Record(error) => return error.into(),
            ServiceChangeError::Unwritable(_) => return problems::internal(&error),
            ServiceChangeError::OtherDifference => (ProblemKind::Stale, Layer::Authorization),
            ServiceChangeError::NotAnObject
            | ServiceChangeError::Compose(_)
            | ServiceChangeError::TooLongCompose
            | ServiceChangeError::TooManyCandidates
            | ServiceChangeError::Candidate { .. }
            | ServiceChangeError::TooLong { .. }
            | ServiceChangeError::Malformed(_)
            | ServiceChangeError::OtherName { .. }
            | ServiceChangeError::Faults { .. }
            | ServiceChangeError::Table(_)
            | ServiceChangeError::Secret { .. }
            | ServiceChangeError::OwnHost { .. } => (ProblemKind::BadParameter, Layer::Network),
            ServiceChangeError::Unknown { .. } | ServiceChangeError::NoCandidate { .. } => {
                (ProblemKind::NotFound, Layer::Authorization)
            }
            ServiceChangeError::OfFile { .. }
            | ServiceChangeError::ComposeFile { .. }
            | ServiceChangeError::NoComposeFile
            | ServiceChangeError::TooMany
            | ServiceChangeError::Policies(_) => (ProblemKind::NotPossible, Layer::Authorization),
        };
        // serde repeats a piece of what was sent.
        let said: String = error.to_string().chars().filter(|c| !c.is_control()).take(4000).collect();
        Problem::new(kind, layer, said)
    }
}
