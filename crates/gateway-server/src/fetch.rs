//! Asks identity providers over HTTP: the real [`Fetch`]. It holds every exchange to the limits that the
//! trait demands, and knows nothing of what is asked.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway_identity::oidc::{Answer, Fetch, FetchError, MAX_ANSWER_BYTES};
use gateway_types::may_be_asked;
use http::{Request, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

mod reach;
#[cfg(test)]
mod tests;

/// How long an exchange may take, from the first step to the last byte.
const TOTAL: Duration = Duration::from_secs(10);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection waits for a next request.
const IDLE: Duration = Duration::from_secs(30);

/// Why the fetcher cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FetchSetupError {
    /// The file of authorities cannot be read or holds none.
    #[error("`{}` is not a readable PEM file of certificates", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the parser said; `None` = there is no certificate in it.
        #[source]
        source: Option<rustls::pki_types::pem::Error>,
    },
    /// rustls refused the settings.
    #[error("the TLS settings were refused")]
    Tls(#[from] rustls::Error),
    /// The HTTP client refused the settings.
    #[error("the HTTP client cannot be made")]
    Client(#[from] reqwest::Error),
}

/// Asks over HTTP/1.1 and TLS.
///
/// # Security
/// No redirect is followed, no proxy is taken from the environment, no cookie is kept. Plain HTTP goes to
/// loopback only. What is dialled is an address that was looked at ([`reach`]): a name, whatever it resolves to
/// at that moment, never leads to this machine or to what only its own link reaches.
#[derive(Clone)]
pub(crate) struct HttpFetch {
    client: reqwest::Client,
    scope: Scope,
}

/// Whom a fetcher asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scope {
    /// Everybody but this machine and its link.
    Beyond,
    /// Nobody but this machine and the metadata services of clouds.
    Machine,
}

/// Who gives credentials to machines, tasks and pods: EC2, ECS and EKS Pod Identity, over either family of addresses.
///
/// Source: AWS SDKs and Tools Reference Guide, "IMDS credential provider" and "Container credential provider".
const METADATA: [&str; 5] =
    ["169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]"];

/// How long a metadata service may take: it is a step away, or not there at all.
const METADATA_TIME: Duration = Duration::from_secs(2);

impl fmt::Debug for HttpFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpFetch")
    }
}

impl HttpFetch {
    /// One that believes the machine's authorities and those in the PEM file `further_authorities`.
    ///
    /// # Errors
    /// [`FetchSetupError`] when the file cannot be used or TLS cannot be set up.
    pub(crate) fn new(further_authorities: Option<&Path>) -> Result<Self, FetchSetupError> {
        Self::with_times(further_authorities, CONNECT, TOTAL)
    }

    /// One that asks only who gives credentials to this machine.
    ///
    /// # Errors
    /// [`FetchSetupError`] when TLS cannot be set up.
    pub(crate) fn of_machine() -> Result<Self, FetchSetupError> {
        let fetch = Self::with_times(None, METADATA_TIME, METADATA_TIME)?;
        Ok(Self { scope: Scope::Machine, ..fetch })
    }

    fn with_times(
        further_authorities: Option<&Path>,
        connect: Duration,
        total: Duration,
    ) -> Result<Self, FetchSetupError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities(further_authorities)?)
            .with_no_client_auth();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(reach::Guarded))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("rack-gateway/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect)
            .timeout(total)
            .pool_idle_timeout(IDLE)
            .build()?;
        Ok(Self { client, scope: Scope::Beyond })
    }

    async fn exchange(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, FetchError> {
        let host = permitted(&request.uri().to_string(), self.scope)?;
        let lost = |error: reqwest::Error| failure(&host, error);
        let request = reqwest::Request::try_from(request).map_err(lost)?;
        let mut answer = self.client.execute(request).await.map_err(lost)?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        let body = response.body_mut();
        while let Some(piece) = answer.chunk().await.map_err(lost)? {
            if body.len().saturating_add(piece.len()) > MAX_ANSWER_BYTES {
                return Err(FetchError::TooLarge { host, limit: MAX_ANSWER_BYTES });
            }
            body.extend_from_slice(&piece);
        }
        Ok(response)
    }
}

impl Fetch for HttpFetch {
    fn fetch(&self, request: Request<Vec<u8>>) -> Answer<'_> {
        Box::pin(self.exchange(request))
    }
}

/// The host of an address that may be asked.
fn permitted(address: &str, scope: Scope) -> Result<String, FetchError> {
    let unreadable = || FetchError::Address { address: "an address without a host".to_owned() };
    let url = Url::parse(address).map_err(|_| unreadable())?;
    let host = url.host().ok_or_else(unreadable)?;
    let is_loopback = match &host {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => *name == "localhost",
    };
    let is_reachable = match &host {
        Host::Ipv4(address) => is_loopback || may_be_asked(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_loopback || may_be_asked(IpAddr::V6(*address)),
        Host::Domain(_) => true,
    };
    let is_bare = url.username().is_empty() && url.password().is_none();
    let is_metadata = METADATA.contains(&host.to_string().as_str());
    match (scope, url.scheme()) {
        (Scope::Beyond, "https") if is_bare && is_reachable => Ok(host.to_string()),
        (Scope::Beyond, "http") if is_bare && is_loopback => Ok(host.to_string()),
        (Scope::Machine, "http") if is_bare && (is_loopback || is_metadata) => Ok(host.to_string()),
        (_, scheme) => Err(FetchError::Address { address: format!("{scheme}://{host}") }),
    }
}

/// The error without the address, whose path and query are nobody's business.
fn failure(host: &str, error: reqwest::Error) -> FetchError {
    let host = host.to_owned();
    if error.is_timeout() {
        FetchError::Timeout { host }
    } else {
        FetchError::Connect { host, source: Some(Box::new(error.without_url())) }
    }
}

/// A machine without authorities is no error here: a provider on loopback needs none, and every other one
/// fails at its handshake, which says so.
pub(crate) fn authorities(further: Option<&Path>) -> Result<RootCertStore, FetchSetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = further {
        let unreadable = |source| FetchSetupError::CaFile { path: path.to_owned(), source };
        let mut count = 0_usize;
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(Some(error)))? {
            roots.add(certificate.map_err(|error| unreadable(Some(error)))?)?;
            count += 1;
        }
        if count == 0 {
            return Err(unreadable(None));
        }
    }
    if roots.is_empty() {
        tracing::warn!(
            "this machine has no certificate authorities, so no identity provider can be reached; install ca-certificates"
        );
    }
    Ok(roots)
}
