//! One document of somebody else: a CI system's API, or the endpoint that gives a job its token. Bounded, and without
//! redirects, so that a credential goes where it was meant to go and nowhere else.

use std::time::Duration;

use gateway_types::Secret;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION};
use reqwest::redirect::Policy;
use serde_json::Value;
use url::{Host, Url};

use crate::tls::{TlsError, TlsOptions};

/// How long a document may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The largest document.
const MOST_BYTES: usize = 1024 * 1024;

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum ElsewhereError {
    /// Plain HTTP goes to this machine only.
    #[error("{0} is neither https nor on this machine")]
    Address(String),
    /// The client cannot be made.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There was no answer.
    #[error("{host} did not answer")]
    Lost {
        /// Where.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is not good.
    #[error("{host} answered {status}")]
    Status {
        /// Where.
        host: String,
        /// What.
        status: StatusCode,
    },
    /// The answer is no JSON, or too long.
    #[error("{0} did not answer with a document that can be read")]
    Unreadable(String),
}

/// Reads a JSON document at `url`, with this token if there is one.
///
/// # Errors
/// [`ElsewhereError`].
pub async fn document(
    url: &Url,
    token: Option<&Secret<String>>,
    tls: &TlsOptions,
) -> Result<Value, ElsewhereError> {
    let body = read(url, "application/json", token, tls).await?;
    serde_json::from_slice(&body).map_err(|_bad| unreadable(url))
}

/// Reads a text at `url`.
///
/// # Errors
/// [`ElsewhereError`].
pub async fn text(url: &Url, tls: &TlsOptions) -> Result<String, ElsewhereError> {
    let body = read(url, "text/plain, application/openmetrics-text", None, tls).await?;
    String::from_utf8(body).map_err(|_bad| unreadable(url))
}

/// What stands at `url`, whatever status it is answered with.
///
/// # Errors
/// [`ElsewhereError`], but never for a status.
pub async fn whatever(url: &Url, tls: &TlsOptions) -> Result<String, ElsewhereError> {
    let (_status, body) = answered(url, "*/*", None, tls).await?;
    String::from_utf8(body).map_err(|_bad| unreadable(url))
}

fn unreadable(url: &Url) -> ElsewhereError {
    ElsewhereError::Unreadable(url.host_str().unwrap_or_default().to_owned())
}

async fn read(
    url: &Url,
    accept: &'static str,
    token: Option<&Secret<String>>,
    tls: &TlsOptions,
) -> Result<Vec<u8>, ElsewhereError> {
    let (status, body) = answered(url, accept, token, tls).await?;
    if !status.is_success() {
        return Err(ElsewhereError::Status { host: url.host_str().unwrap_or_default().to_owned(), status });
    }
    Ok(body)
}

async fn answered(
    url: &Url,
    accept: &'static str,
    token: Option<&Secret<String>>,
    tls: &TlsOptions,
) -> Result<(StatusCode, Vec<u8>), ElsewhereError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !(url.scheme() == "https" || (url.scheme() == "http" && is_local)) {
        return Err(ElsewhereError::Address(format!("{}://{host}", url.scheme())));
    }
    let lost =
        |source: reqwest::Error| ElsewhereError::Lost { host: host.clone(), source: source.without_url() };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.configuration()?)
        .redirect(Policy::none())
        .referer(false)
        .timeout(LIMIT)
        .user_agent(concat!("rack-gateway/", env!("CARGO_PKG_VERSION")));
    if is_local {
        builder = builder.no_proxy();
    }
    let client = builder.build().map_err(lost)?;
    let mut request = client.get(url.clone()).header(ACCEPT, accept);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
    }
    let mut answer = request.send().await.map_err(lost)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(lost)? {
        if body.len().saturating_add(piece.len()) > MOST_BYTES {
            return Err(ElsewhereError::Unreadable(host));
        }
        body.extend_from_slice(&piece);
    }
    Ok((status, body))
}
