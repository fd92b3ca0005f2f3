//! Why somebody could not be signed in, as facts; and what they are told.

use gateway_identity::oidc::{FaultSide, OidcError};
use gateway_store::{HandoffFault, StoreError};
use gateway_types::{Layer, Problem, ProblemKind, Timestamp};

use crate::error::AppError;
use crate::origin::Origin;
use crate::problems;

/// Why a sign-in did not go on.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// What was kept of the sign-in cannot be written or read.
    #[error("what was kept of the sign-in cannot be read")]
    Kept,
    /// No provider has this name.
    #[error("no identity provider has this name; begin again at /auth/login")]
    UnknownProvider,
    /// The gateway was reached over plain HTTP, and not from this very machine.
    #[error(
        "signing in needs https, and this request came over plain http to {authority}. If a router ends TLS in \
         front of the gateway, it must be a listed forwarder (`listener.trusted_forwarders`) and send \
         `X-Forwarded-Proto: https`"
    )]
    PlainHttp {
        /// Host and port that were asked for.
        authority: String,
    },
    /// The gateway has another address.
    #[error("people sign in to this gateway at {right}; go there and begin again")]
    OtherAddress {
        /// Where.
        right: Origin,
    },
    /// Too many sign-ins are under way.
    #[error(
        "too many sign-ins from your address, or at all, are under way; wait ten minutes and begin again"
    )]
    TooMany,
    /// A command line's request is not acceptable.
    #[error("the command line's request is not acceptable: {fault}")]
    CliRequest {
        /// What is wrong.
        fault: &'static str,
    },
    /// The validation server of one-time passwords cannot be reached.
    #[error(
        "what the key typed cannot be checked now, because the validation server cannot be reached; sign in again with another factor"
    )]
    FactorUnchecked,
    /// The answer of the provider has a parameter twice, or none that is needed.
    #[error("the answer that came from the identity provider is not complete; begin again at /auth/login")]
    Callback,
    /// It was not begun, or not in this browser.
    #[error("this sign-in was not begun in this browser; begin again at /auth/login")]
    NotBegunHere,
    /// It took too long.
    #[error("this sign-in took longer than ten minutes; begin again at /auth/login")]
    Expired,
    /// It was finished, or tried, before.
    #[error("this sign-in was finished or tried before; begin again at /auth/login")]
    Used,
    /// The answer came to the address of another provider than the one that was asked.
    #[error("the answer did not come from the identity provider that was asked; begin again at /auth/login")]
    OtherProvider,
    /// The browser asked without a person.
    #[error("the browser asked for this ahead of time or in a frame; open the address yourself")]
    NotAPerson,
    /// The provider did not vouch for the person.
    #[error("{}", .0.public_text())]
    Provider(#[from] OidcError),
    /// The address is not in a domain of this provider's people.
    #[error(
        "accounts with your e-mail domain may not sign in here. Use your organisation's account, or ask an admin"
    )]
    DomainNotAllowed,
    /// The person is in none of the groups of which one must be.
    #[error(
        "you are in none of the groups, organizations or teams whose members may sign in here; ask an admin"
    )]
    GroupNotAllowed,
    /// A logout token was used before.
    #[error("the logout token was used before")]
    LogoutReplayed,
    /// Nobody invited the person.
    #[error("nobody with your e-mail address may use this gateway yet; ask an admin to invite you")]
    NotInvited,
    /// The person is linked to another account at this provider.
    #[error(
        "your e-mail address belongs to somebody who signs in with another account; sign in with that one, or ask an admin to remove the \
         old person and to invite you"
    )]
    OtherIdentity,
    /// The person is locked.
    #[error("your access is locked; ask an admin")]
    Locked,
    /// The person was changed at the same moment.
    #[error("an admin changed your access at this very moment; begin again at /auth/login")]
    Changed,
    /// No device waits with this code.
    #[error("no device waits with this code. Compare it letter by letter; codes hold for ten minutes")]
    NoSuchDevice,
    /// Too many wrong codes were tried.
    #[error("too many wrong codes were tried; try again after {until}")]
    TooManyTries {
        /// When.
        until: Timestamp,
        /// How long that is, in seconds.
        seconds: u64,
    },
    /// The way from a service's host to the gateway and back is not one that this browser began, or is over.
    #[error(
        "this way to sign in is over, or was not begun in this browser; open the page that you wanted again"
    )]
    Handoff {
        /// Why, for the log.
        fault: HandoffFault,
    },
    /// Only a person's session can do this.
    #[error("this takes a person's session; an API token is ended by revoking it")]
    NotASession,
}

impl SignInError {
    /// The reason as the log keeps it.
    pub(crate) fn reason(&self) -> String {
        match self {
            // Its own text names the fact; the public one only what to do.
            SignInError::Provider(error) => error.to_string(),
            SignInError::Handoff { fault } => handoff_reason(*fault).to_owned(),
            SignInError::Store(_)
            | SignInError::Record(_)
            | SignInError::Kept
            | SignInError::UnknownProvider
            | SignInError::PlainHttp { .. }
            | SignInError::OtherAddress { .. }
            | SignInError::TooMany
            | SignInError::FactorUnchecked
            | SignInError::CliRequest { .. }
            | SignInError::Callback
            | SignInError::NotBegunHere
            | SignInError::Expired
            | SignInError::Used
            | SignInError::OtherProvider
            | SignInError::NotAPerson
            | SignInError::DomainNotAllowed
            | SignInError::GroupNotAllowed
            | SignInError::LogoutReplayed
            | SignInError::NotInvited
            | SignInError::OtherIdentity
            | SignInError::Locked
            | SignInError::Changed
            | SignInError::NoSuchDevice
            | SignInError::TooManyTries { .. }
            | SignInError::NotASession => self.to_string(),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        let kind = match &error {
            SignInError::Store(error) => return problems::of_store(error),
            SignInError::Record(_) => return recorded(error),
            SignInError::Kept => return problems::internal(&error),
            SignInError::Provider(cause) => {
                if cause.side() != FaultSide::Caller {
                    tracing::warn!(error = cause as &dyn std::error::Error, "an identity provider failed");
                }
                ProblemKind::SignInFailed
            }
            SignInError::TooMany => return later(&error, gateway_store::SIGN_IN_TIME.as_secs()),
            SignInError::TooManyTries { seconds, .. } => return later(&error, *seconds),
            SignInError::CliRequest { .. } => ProblemKind::BadParameter,
            SignInError::NoSuchDevice => ProblemKind::NotFound,
            SignInError::NotASession => ProblemKind::NotPossible,
            SignInError::UnknownProvider
            | SignInError::PlainHttp { .. }
            | SignInError::OtherAddress { .. }
            | SignInError::FactorUnchecked
            | SignInError::Callback
            | SignInError::NotBegunHere
            | SignInError::Expired
            | SignInError::Used
            | SignInError::OtherProvider
            | SignInError::NotAPerson
            | SignInError::DomainNotAllowed
            | SignInError::GroupNotAllowed
            | SignInError::LogoutReplayed
            | SignInError::NotInvited
            | SignInError::OtherIdentity
            | SignInError::Locked
            | SignInError::Handoff { .. }
            | SignInError::Changed => ProblemKind::SignInFailed,
        };
        Problem::new(kind, Layer::Authentication, error.to_string())
    }
}

const fn handoff_reason(fault: HandoffFault) -> &'static str {
    match fault {
        HandoffFault::Unknown => "handoff refused: no such code, or way",
        HandoffFault::OtherBrowser => "handoff refused: the code was brought by another browser",
        HandoffFault::OtherHost => "handoff refused: the code was brought to another host",
        HandoffFault::Expired => "handoff refused: the code came late",
        HandoffFault::Used => "handoff refused: the code was used before",
        HandoffFault::Ended => "handoff refused: the session ended meanwhile",
    }
}

fn later(error: &SignInError, seconds: u64) -> Problem {
    let mut problem = Problem::new(ProblemKind::TooManyRequests, Layer::Authentication, error.to_string());
    problem.retry_after_seconds = Some(seconds);
    problem
}

fn recorded(error: SignInError) -> Problem {
    match error {
        SignInError::Record(error) => error.into(),
        other => problems::internal(&other),
    }
}
