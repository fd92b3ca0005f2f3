//! How a provider is asked: one HTTP exchange behind a trait, so that this crate opens no socket. What
//! every answer is held to, whoever fetched it, is checked here once more.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};
use url::{Host, Url};

/// The largest answer of a provider that is read, in bytes. The largest discovery documents and key
/// sets in use are a tenth of it.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// An answer that is still to come.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, FetchError>> + Send + 'a>>;

/// Fetches one answer from an identity provider.
///
/// # Security
/// An implementation
/// - follows no redirect: the answer with status 3xx is handed back as it is;
/// - ends within seconds, and stops reading after [`MAX_ANSWER_BYTES`];
/// - speaks TLS to everything but loopback, and checks certificates;
/// - sends nothing that is not in the request: no cookie, no credential of its own.
pub trait Fetch: Send + Sync + fmt::Debug {
    /// Sends the request and reads the whole answer.
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_>;
}

/// Why there is no answer. The texts name no secret and no part of an answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
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
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge {
        /// The host that was asked.
        host: String,
        /// The limit.
        limit: usize,
    },
    /// The address must not be asked: not https, or with a user name, or no host.
    #[error("{address} is not an https address that may be asked")]
    Address {
        /// Scheme and host of the address.
        address: String,
    },
}

/// Which addresses of one provider may be asked or sent to a browser: https ones; plain http only on
/// loopback, and only when the issuer itself is there (development and tests).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// https only.
    Tls,
    /// Also plain http on loopback.
    Loopback,
}

impl Reach {
    /// What the issuer's own address permits.
    pub(super) fn of(issuer: &Url) -> Self {
        if issuer.scheme() == "http" && is_loopback(issuer) { Self::Loopback } else { Self::Tls }
    }

    /// Whether this address may be used.
    pub(super) fn permits(self, url: &Url) -> bool {
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let scheme = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => self == Self::Loopback && is_loopback(url),
            _ => false,
        };
        plain && scheme
    }
}

/// Whether the host is this machine by its number. A name, `localhost` among them, is whatever a
/// resolver says, with the one exception that everybody uses.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Scheme and host, for messages: never a path or a query.
pub(super) fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or("(no host)"))
}

/// A fetcher held to one provider's reach and to the size limit.
pub(super) async fn checked(
    fetch: &dyn Fetch,
    reach: Reach,
    request: Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, FetchError> {
    let address = request.uri().to_string();
    let Some(url) = Url::parse(&address).ok().filter(|url| reach.permits(url)) else {
        let shown = Url::parse(&address).map_or_else(|_| "an address".to_owned(), |url| origin(&url));
        return Err(FetchError::Address { address: shown });
    };
    let answer = fetch.fetch(request).await?;
    if answer.body().len() > MAX_ANSWER_BYTES {
        let host = url.host_str().unwrap_or_default().to_owned();
        return Err(FetchError::TooLarge { host, limit: MAX_ANSWER_BYTES });
    }
    Ok(answer)
}
