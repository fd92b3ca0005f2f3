//! How the ACME server is asked: over TLS, bounded in time and size, without redirects and proxies.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::TlsError;

/// How long an exchange may take. Some servers think for a while before they issue.
const TOTAL: Duration = Duration::from_secs(60);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The largest answer; a chain of certificates is far smaller.
const MOST_BYTES: usize = 1024 * 1024;

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
enum ExchangeError {
    #[error("it named an address that is not https")]
    NotPrivate,
    #[error("its answer was larger than {MOST_BYTES} bytes")]
    TooLarge,
    #[error("it could not be asked")]
    Lost(#[source] reqwest::Error),
}

/// The way to the ACME server.
#[derive(Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl Transport {
    /// One that believes the authorities in the file, or without one the machine's.
    pub(super) fn new(ca_file: Option<&Path>, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities(ca_file)?)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .build()?;
        Ok(Self { client })
    }

    async fn exchange(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let request = Request::from_parts(parts, body.to_bytes());
        self.ask(request).await.map(BytesResponse::from).map_err(|error| Error::Other(Box::new(error)))
    }

    async fn ask(self, request: Request<Bytes>) -> Result<Response<Full<Bytes>>, ExchangeError> {
        let lost = |error: reqwest::Error| ExchangeError::Lost(error.without_url());
        let request = reqwest::Request::try_from(request).map_err(lost)?;
        if !is_private(request.url()) {
            return Err(ExchangeError::NotPrivate);
        }
        let mut answer = self.client.execute(request).await.map_err(lost)?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(lost)? {
            if body.len().saturating_add(piece.len()) > MOST_BYTES {
                return Err(ExchangeError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().exchange(request))
    }
}

/// The server names further addresses in its answers; plain HTTP among them is for this machine only.
fn is_private(url: &reqwest::Url) -> bool {
    let is_loopback = || {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback())
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            tracing::warn!(
                "this machine has no certificate authorities, so no ACME server can be reached; install ca-certificates"
            );
        }
        return Ok(roots);
    };
    let unreadable = |source| TlsError::Authorities { path: path.to_owned(), source };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(Some(error)))? {
        roots.add(certificate.map_err(|error| unreadable(Some(error)))?)?;
    }
    if roots.is_empty() { Err(unreadable(None)) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_nowhere() {
        let check = |url: &str, expected: bool| {
            assert_eq!(is_private(&reqwest::Url::parse(url).unwrap()), expected, "{url}");
        };
        check("https://acme.example.com/", true);
        check("http://acme.example.com/", false);
        check("http://127.0.0.1:80/", true);
        check("http://[::1]/", true);
        check("http://localhost/", true);
        check("http://localhost.example.com/", false);
        check("ftp://127.0.0.1/", false);
    }
}
