//! What can go wrong between a client and a gateway, as facts.

use std::error::Error;

use gateway_types::ProblemKind;

use crate::refusal::Refusal;
use crate::tls::TlsError;

/// Why there is no answer. No text holds a credential or a factor.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no credential, or the gateway does not take it any more.
    #[error("not signed in to {gateway}")]
    NotSignedIn {
        /// The gateway.
        gateway: String,
        /// What the gateway said; `None` when it was not asked, for want of a credential.
        refusal: Option<Box<Refusal>>,
    },
    /// A second factor is missing, or the one that was given does not count.
    #[error("{refusal}")]
    StepUp {
        /// What the gateway said.
        refusal: Box<Refusal>,
    },
    /// The gateway says no, or that it cannot.
    #[error("{refusal}")]
    Refused {
        /// What the gateway said.
        refusal: Box<Refusal>,
    },
    /// The gateway does not answer.
    #[error("{gateway} cannot be reached")]
    Unreachable {
        /// The gateway.
        gateway: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The rack behind the gateway says no.
    #[error("the rack says: {said}")]
    Rack {
        /// HTTP status.
        status: u16,
        /// Its words, on one line and made harmless.
        said: String,
    },
    /// A name that would make the request another one.
    #[error("`{0}` cannot be a name of anything at the rack")]
    BadName(String),
    /// There was an answer, but not one of a gateway.
    #[error("{gateway} did not answer like a gateway: {what}")]
    BadReply {
        /// The gateway.
        gateway: String,
        /// What was wrong with it.
        what: BadReply,
    },
    /// No connection can be made at all.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be set up")]
    Setup(#[source] reqwest::Error),
    /// A credential or a precondition that cannot stand in a header.
    #[error("{0} holds characters that it cannot have")]
    BadHeader(&'static str),
    /// What was asked for cannot be written as JSON.
    #[error("the request cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// What was received cannot be passed on.
    #[error("what was received cannot be written")]
    Write(#[source] std::io::Error),
}

/// What was wrong with an answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadReply {
    /// It points elsewhere. It is not followed, so the credential went nowhere else.
    #[error("it sends callers elsewhere, which is not followed; is this the gateway's own address?")]
    Redirect,
    /// It is larger than anything a gateway answers.
    #[error("the answer is larger than {most_bytes} bytes")]
    TooLarge {
        /// The limit.
        most_bytes: usize,
    },
    /// It is not the document that was asked for.
    #[error("the answer is not what was asked for ({detail})")]
    NotTheDocument {
        /// What the parser said.
        detail: String,
    },
    /// A status that says no without saying why.
    #[error("the answer has status {status} and does not say why")]
    Status {
        /// The status.
        status: u16,
    },
    /// It ended early.
    #[error("the answer broke off")]
    Cut,
    /// It does not open the tunnel, and does not say why.
    #[error(
        "it does not open the tunnel; something in between may not let WebSockets pass (`rack-gateway selfcheck` shows it)"
    )]
    NoTunnel,
}

impl ClientError {
    /// What the gateway said, when it said something.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            ClientError::NotSignedIn { refusal, .. } => refusal.as_deref(),
            ClientError::StepUp { refusal } | ClientError::Refused { refusal } => Some(refusal),
            ClientError::Unreachable { .. }
            | ClientError::Rack { .. }
            | ClientError::BadName(_)
            | ClientError::BadReply { .. }
            | ClientError::Tls(_)
            | ClientError::Setup(_)
            | ClientError::BadHeader(_)
            | ClientError::Encode(_)
            | ClientError::Write(_) => None,
        }
    }

    /// The kind of problem that the gateway told, when this client knows it.
    pub fn kind(&self) -> Option<ProblemKind> {
        self.refusal().and_then(Refusal::kind)
    }

    /// Whether the other side could not show that it is the gateway.
    pub fn is_untrusted(&self) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = next {
            if error.downcast_ref::<std::io::Error>().is_some_and(is_certificate_fault) {
                return true;
            }
            next = error.source();
        }
        false
    }
}

/// An `io::Error` hides the error that it wraps from `source`, and that may be another one.
fn is_certificate_fault(error: &std::io::Error) -> bool {
    let Some(inner) = error.get_ref() else { return false };
    match (inner.downcast_ref::<rustls::Error>(), inner.downcast_ref::<std::io::Error>()) {
        (Some(fault), _) => matches!(fault, rustls::Error::InvalidCertificate(_)),
        (None, Some(wrapped)) => is_certificate_fault(wrapped),
        (None, None) => false,
    }
}
