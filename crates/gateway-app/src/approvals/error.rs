//! Why an approval was not asked for, signed or ended, as facts.

use gateway_approvals::state::{IllegalMove, State};
use gateway_store::StoreError;
use gateway_types::{Layer, Problem, ProblemKind};

use crate::error::AppError;
use crate::problems;

/// Why an approval was not asked for, signed or ended.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// The rack could not be asked.
    #[error("the rack cannot be asked: {}", .0.detail)]
    Rack(Box<Problem>),
    /// There is no such approval.
    #[error("there is no approval with this id")]
    Unknown,
    /// Neither a person nor a machine of this gateway.
    #[error("approvals are for people, API tokens and machines of a trust rule")]
    NotForThis,
    /// Only people approve.
    #[error("only people approve: use your own session")]
    NotAPerson,
    /// Nobody approves their own.
    #[error("nobody approves their own request, nor that of a token of theirs; ask somebody else")]
    Oneself,
    /// One person counts once.
    #[error("you have approved it already; it takes somebody else too")]
    ApprovedBefore,
    /// What is approved is another thing by now.
    #[error("what would be approved changed since you looked at it; look at it again")]
    Changed,
    /// Too many are open.
    #[error("you have {} open approvals of this app; withdraw one first", super::MOST_OPEN)]
    TooManyOpen,
    /// It can be made longer once.
    #[error("it was extended once already; ask for a new approval")]
    ExtendedBefore,
    /// One person counts once.
    #[error("you have made it last longer already; it takes somebody else too")]
    ExtendedByYou,
    /// Somebody else's.
    #[error("only whoever asked for it can take it back")]
    NotYours,
    /// Nothing is there to sign yet.
    #[error("the archive is approved here, and it was not uploaded yet; wait for the upload")]
    NotUploaded,
    /// The archive cannot be built from.
    #[error("the archive cannot be built from: {fault}")]
    BadArchive {
        /// Why.
        fault: String,
    },
    /// One-time codes do not count here.
    #[error(
        "deploys of this app are approved with a passkey, which signs what is approved; a one-time code does not (the setting approval_passkeys)"
    )]
    PasskeyNeeded,
    /// GitHub does not show what the app's settings demand.
    #[error("GitHub does not show what deploys of this app demand of commits of {repository}: {fault}{}", see(url.as_deref()))]
    Evidence {
        /// The repository.
        repository: String,
        /// Which demand is not met, and what to do.
        fault: String,
        /// Where people see it.
        url: Option<String>,
    },
    /// The app is bound to a repository that nobody can be asked about.
    #[error(
        "this app is deployed from {repository} (the setting github_repository), and the gateway has no way to ask GitHub: \
         give it GITHUB_TOKEN or a GitHub App (integrations.github)"
    )]
    NoGitHub {
        /// The repository.
        repository: String,
    },
    /// The app's archives have to be attested, and nobody's attestations are believed.
    #[error(
        "archives of this app have to be attested by a builder (the setting attestation_builders), and the gateway cannot \
         check that: it needs {lacking}"
    )]
    NoAttestationTrust {
        /// What is not configured.
        lacking: &'static str,
    },
    /// A setting that says what is demanded cannot be read.
    #[error("the setting {setting} of this app cannot be used; write it anew")]
    BadDemand {
        /// Which.
        setting: &'static str,
    },
    /// What is in the database was not written by this gateway.
    #[error("this approval was not written by this gateway, or was changed in its database: {fault}")]
    Forged {
        /// What is not right.
        fault: String,
    },
    /// What was kept cannot be read.
    #[error("what was kept of this approval cannot be read")]
    Unreadable,
    /// It cannot become that.
    #[error(transparent)]
    Over(#[from] IllegalMove),
    /// It cannot be extended where it stands.
    #[error("an approval that is {state} cannot be extended")]
    NotLive {
        /// Where it stands.
        state: State,
    },
    /// No app has such a name.
    #[error("an app's name has 1 to 63 small letters, digits and dashes")]
    BadApp,
    /// Not the whole id of a commit.
    #[error("a commit is named by its whole id: 40 or 64 small hexadecimal digits")]
    BadCommit,
    /// A text that cannot be shown, or too many.
    #[error("texts have at most 500 visible characters, and there are at most 20 of `metadata`")]
    BadText,
    /// Commands that cannot be read.
    #[error("the commands cannot be taken: {fault}")]
    BadCommands {
        /// Why.
        fault: String,
    },
}

/// Where to look, as the end of a sentence.
fn see(url: Option<&str>) -> String {
    url.map(|url| format!(" (see {url})")).unwrap_or_default()
}

impl From<Problem> for ApprovalError {
    fn from(problem: Problem) -> Self {
        ApprovalError::Rack(Box::new(problem))
    }
}

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        let (kind, layer) = match error {
            ApprovalError::Store(error) => return problems::of_store(&error),
            ApprovalError::Record(error) => return error.into(),
            ApprovalError::Rack(problem) => return *problem,
            ApprovalError::Unknown => (ProblemKind::NotFound, Layer::Authorization),
            ApprovalError::NotForThis
            | ApprovalError::NotAPerson
            | ApprovalError::Oneself
            | ApprovalError::NotYours
            | ApprovalError::PasskeyNeeded
            | ApprovalError::Evidence { .. }
            | ApprovalError::NoGitHub { .. }
            | ApprovalError::NoAttestationTrust { .. }
            | ApprovalError::BadDemand { .. }
            | ApprovalError::Forged { .. } => (ProblemKind::Refused, Layer::Authorization),
            ApprovalError::Changed => (ProblemKind::Conflict, Layer::Authorization),
            ApprovalError::ApprovedBefore
            | ApprovalError::TooManyOpen
            | ApprovalError::ExtendedBefore
            | ApprovalError::ExtendedByYou
            | ApprovalError::NotUploaded
            | ApprovalError::BadArchive { .. }
            | ApprovalError::Unreadable
            | ApprovalError::Over(_)
            | ApprovalError::NotLive { .. } => (ProblemKind::NotPossible, Layer::Authorization),
            ApprovalError::BadApp
            | ApprovalError::BadCommit
            | ApprovalError::BadText
            | ApprovalError::BadCommands { .. } => (ProblemKind::BadParameter, Layer::Network),
        };
        Problem::new(kind, layer, error.to_string())
    }
}
