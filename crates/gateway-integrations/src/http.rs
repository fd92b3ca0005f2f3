//! How a service is asked: one HTTP exchange behind a trait, and what every answer is held to.
//!
//! Start reading at [`Http`]; `http/endpoint.rs` makes requests and judges answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ::http::{Request, Response};

mod endpoint;

pub use endpoint::EndpointFault;
pub(crate) use endpoint::{Credential, Endpoint, Paged};

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The most pages of one list that are read. What has more is a fault: a part of a list proves nothing.
pub const MAX_PAGES: usize = 20;

/// An answer that is still to come.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, Unreachable>> + Send + 'a>>;

/// Sends one request and reads the whole answer.
///
/// # Security
/// An implementation
/// - follows no redirect: the answer with status 3xx is handed back as it is;
/// - ends within seconds, and stops reading after [`MAX_ANSWER_BYTES`];
/// - speaks TLS to everything but loopback, and checks certificates;
/// - adds nothing to the request: no cookie, no credential of its own.
pub trait Http: fmt::Debug + Send + Sync {
    /// Sends the request and reads the whole answer.
    fn send<'a>(&'a self, request: Request<Vec<u8>>) -> Pending<'a>;
}

/// Why there is no answer. The texts name no secret and no part of an answer.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No connection, or it was lost.
    #[error("no connection to {host}")]
    Connect {
        /// The host that was asked.
        host: String,
        /// What the connection said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The answer did not come, or did not end, in time.
    #[error("{host} did not answer in time")]
    Timeout {
        /// The host that was asked.
        host: String,
    },
    /// The answer is larger than [`MAX_ANSWER_BYTES`].
    #[error("the answer of {host} is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge {
        /// The host that was asked.
        host: String,
    },
    /// The address must not be asked.
    #[error("{address} is not an https address that may be asked")]
    Address {
        /// Scheme and host of the address.
        address: String,
    },
}

/// Why a call was of no use. The texts name no secret and no part of an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    /// There is no answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The service said no. 401 and 403: the token; 404: there is no such thing, or the token may not see it.
    #[error("{host} answered {status} to {path}")]
    Status {
        /// The host that was asked.
        host: String,
        /// The path that was asked.
        path: String,
        /// The status.
        status: u16,
        /// Whether the same call may succeed later: 429, 5xx, or 403 that names a rate limit.
        retry: bool,
        /// How long the service asks to wait.
        after: Option<Duration>,
    },
    /// The service pointed elsewhere. A repository or branch that was renamed answers so: write its new name.
    #[error("{host} answered {status} to {path}: it has moved, and redirects are not followed")]
    Redirected {
        /// The host that was asked.
        host: String,
        /// The path that was asked.
        path: String,
        /// The status.
        status: u16,
    },
    /// The answer is larger than [`MAX_ANSWER_BYTES`].
    #[error("the answer of {host} to {path} is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge {
        /// The host that was asked.
        host: String,
        /// The path that was asked.
        path: String,
    },
    /// The answer is not the document that the API describes.
    #[error(
        "the answer of {host} to {path} has another form than its API describes (line {line}, column {column})"
    )]
    Form {
        /// The host that was asked.
        host: String,
        /// The path that was asked.
        path: String,
        /// Where reading stopped; 0 when the text is good but not what it says.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A list has more pages than are read, or ended before all that it announced.
    #[error("the list {path} of {host} could not be read to its end")]
    Incomplete {
        /// The host that was asked.
        host: String,
        /// The path that was asked.
        path: String,
    },
    /// The service answered 200 and refused in words (Slack does).
    #[error("{host} refused {path}: {code}")]
    Refused {
        /// The host that was asked.
        host: String,
        /// The path that was asked.
        path: String,
        /// The service's short code.
        code: String,
        /// Whether the same call may succeed later.
        retry: bool,
    },
    /// The request cannot be written: the token has characters that no header may hold.
    #[error(
        "the request to {host} cannot be written; check the token for line ends and other odd characters"
    )]
    Unwritable {
        /// The host that would be asked.
        host: String,
    },
}

impl CallFault {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn retry(&self) -> bool {
        match self {
            CallFault::Unreachable(Unreachable::Connect { .. } | Unreachable::Timeout { .. }) => true,
            CallFault::Status { retry, .. } | CallFault::Refused { retry, .. } => *retry,
            CallFault::Unreachable(Unreachable::TooLarge { .. } | Unreachable::Address { .. })
            | CallFault::Redirected { .. }
            | CallFault::TooLarge { .. }
            | CallFault::Form { .. }
            | CallFault::Incomplete { .. }
            | CallFault::Unwritable { .. } => false,
        }
    }

    /// How long the service asks to wait before the next try.
    pub fn after(&self) -> Option<Duration> {
        match self {
            CallFault::Status { after, .. } => *after,
            CallFault::Unreachable(_)
            | CallFault::Redirected { .. }
            | CallFault::TooLarge { .. }
            | CallFault::Form { .. }
            | CallFault::Incomplete { .. }
            | CallFault::Refused { .. }
            | CallFault::Unwritable { .. } => None,
        }
    }
}

/// A result that could not be written back: what a job needs to know of it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    /// Whether to try again.
    pub retry: bool,
    /// How long to wait at least, where the service said so.
    pub after: Option<Duration>,
    /// What happened.
    #[source]
    pub cause: CallFault,
}

impl From<CallFault> for Failure {
    fn from(cause: CallFault) -> Self {
        Self { retry: cause.retry(), after: cause.after(), cause }
    }
}

/// A link for people out of somebody else's document: http(s) only, so that no page ever offers `javascript:`.
pub(crate) fn link(text: Option<&str>) -> Option<String> {
    let url = url::Url::parse(text?).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.to_string())
}
