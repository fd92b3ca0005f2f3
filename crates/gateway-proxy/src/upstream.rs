//! The way to the rack: pooled HTTP/1.1 with the rack's own credential, and one connection for each socket.
//!
//! # Security
//! The credential is added here, after everything else; no caller of this module can read it. TLS is
//! always verified: by system roots, a CA file, or a pinned certificate.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_app::zone::ZoneInForce;
use gateway_convox::RackRole;
use gateway_services::{UpstreamAddress, UpstreamProtocol, UpstreamTls};
use gateway_types::{Clock, Secret};
use http::header::{AUTHORIZATION, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::body::RequestBody;

mod pool;
mod stream;
mod tls;
mod tokens;

use pool::Pool;
pub(crate) use pool::RackBody;
pub(crate) use stream::RackStream;
pub(crate) use tls::ClientIdentity;
pub use tls::{RackTls, TlsError};
use tokens::RackTokens;
pub(crate) use tokens::TokensShown;

/// Where the rack is and how to sign in to it.
pub struct RackTarget {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port.
    pub authority: Authority,
    /// The rack's user name; racks accept any but `jwt`.
    pub username: String,
    /// The rack's password.
    pub password: Secret<String>,
    /// The clock by which short-lived tokens are minted in place of the password; `None` = none are.
    pub tokens: Option<Arc<dyn Clock>>,
    /// How the rack's certificate is checked.
    pub tls: RackTls,
    /// How long a TCP connection and a TLS handshake may take together.
    pub connect_limit: Duration,
}

impl fmt::Debug for RackTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RackTarget")
            .field("scheme", &self.scheme)
            .field("authority", &self.authority)
            .finish()
    }
}

/// Why the rack could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The address in the configuration cannot be used.
    #[error("the rack's address or credential cannot be used in a request")]
    Address(#[from] http::Error),
    /// The credential holds characters that no header can.
    #[error("the rack's credential cannot be used in a request")]
    Credential(#[from] http::header::InvalidHeaderValue),
    /// The TLS settings cannot be used.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] TlsError),
    /// No connection within the limit.
    #[error("no connection was accepted within {limit:?}")]
    ConnectTimeout {
        /// The limit.
        limit: Duration,
    },
    /// No connection.
    #[error("no connection can be made")]
    Connect(#[source] std::io::Error),
    /// A request was not answered.
    #[error("the rack did not answer")]
    Exchange(#[source] hyper::Error),
    /// The rack minted no token.
    #[error(
        "the rack answered {status} when it was asked for a token of the role {role}; `rack.jwt` is for v3 racks, and RACK_TOKEN has to be the rack's password"
    )]
    NotMinted {
        /// The role.
        role: &'static str,
        /// The rack's status.
        status: u16,
    },
    /// The rack's answer to the minting holds no token.
    #[error("the rack's answer holds no token; `rack.jwt` is for v3 racks")]
    TokenForm,
    /// The rack did not mint a token in time.
    #[error("the rack minted no token within {limit:?}")]
    MintTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The connection ended before there was a reply.
    #[error("the rack broke off")]
    BrokeOff,
}

impl UpstreamError {
    /// Whether no token could be had for the request.
    pub(crate) const fn is_of_minting(&self) -> bool {
        matches!(
            self,
            UpstreamError::NotMinted { .. } | UpstreamError::TokenForm | UpstreamError::MintTimeout { .. }
        )
    }

    /// Whether the rack certainly saw nothing of the request.
    pub(crate) const fn is_unsent(&self) -> bool {
        match self {
            UpstreamError::Address(_)
            | UpstreamError::Credential(_)
            | UpstreamError::Tls(_)
            | UpstreamError::ConnectTimeout { .. }
            | UpstreamError::Connect(_)
            | UpstreamError::NotMinted { .. }
            | UpstreamError::TokenForm
            | UpstreamError::MintTimeout { .. } => true,
            UpstreamError::Exchange(_) | UpstreamError::BrokeOff => false,
        }
    }
}

/// The rack, ready to be asked.
pub struct Upstream {
    authority: Authority,
    host: HeaderValue,
    username: String,
    credential: ArcSwap<Credential>,
    /// What is sent in place of the password; `None` = the password.
    tokens: Option<RackTokens>,
    /// The rack refused the credential, and nobody has looked for another one since.
    refused: AtomicBool,
    pool: Arc<Pool>,
    connector: Connector,
}

/// How to sign in to the rack, exchanged whole.
struct Credential {
    authorization: HeaderValue,
    /// It as a rack might repeat it, and the one before, for the scan that keeps them out of error texts.
    spellings: Vec<Secret<String>>,
}

impl Credential {
    fn new(username: &str, password: &Secret<String>) -> Result<Self, UpstreamError> {
        let header = STANDARD.encode(format!("{username}:{}", password.expose()));
        let mut authorization = HeaderValue::from_str(&format!("Basic {header}"))?;
        authorization.set_sensitive(true);
        let spellings = match password.expose().as_str() {
            "" => Vec::new(),
            password => spellings(password, header),
        };
        Ok(Self { authorization, spellings })
    }

    /// Whether it is somewhere in `text`, in a spelling that a rack might use.
    fn is_in(&self, text: &[u8]) -> bool {
        self.spellings
            .iter()
            .any(|spelling| memchr::memmem::find(text, spelling.expose().as_bytes()).is_some())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Whether another credential was put in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exchanged {
    /// It is another one now.
    Yes,
    /// It is the same.
    No,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Prepares the way to `target`; nothing is connected yet.
    ///
    /// # Errors
    /// When the credential cannot be put in a header or the TLS settings cannot be used.
    pub fn new(target: RackTarget) -> Result<Self, UpstreamError> {
        let credential = Credential::new(&target.username, &target.password)?;
        let connector = Connector::new(&target)?;
        Ok(Self {
            host: HeaderValue::from_str(target.authority.as_str())?,
            authority: target.authority,
            username: target.username,
            credential: ArcSwap::from_pointee(credential),
            tokens: target.tokens.map(RackTokens::new),
            refused: AtomicBool::new(false),
            pool: Arc::default(),
            connector,
        })
    }

    /// Host and port of the rack, for logs and `/readyz`.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Signs in with this password from the next request on.
    ///
    /// # Errors
    /// When it cannot be put in a header; the present one then stays.
    pub(crate) fn sign_in_with(&self, password: &Secret<String>) -> Result<Exchanged, UpstreamError> {
        let present = self.credential.load();
        let mut new = Credential::new(&self.username, password)?;
        if new.authorization == present.authorization {
            return Ok(Exchanged::No);
        }
        // Of two ago no reply is under way.
        let before = present.spellings.iter().take(SPELLINGS).cloned();
        new.spellings.extend(before);
        self.credential.store(Arc::new(new));
        Ok(Exchanged::Yes)
    }

    /// Notes that the rack refused the credential.
    pub(crate) fn note_refusal(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether the rack refused it since this was asked last.
    pub(crate) fn take_refusal(&self) -> bool {
        self.refused.swap(false, Ordering::Relaxed)
    }

    /// Forgets the tokens that were minted; returns whether any ever are.
    pub(crate) fn forget_tokens(&self) -> bool {
        self.tokens.as_ref().map(RackTokens::forget).is_some()
    }

    /// What may be told of the tokens in place of the password; `None` = there are none.
    pub(crate) fn tokens_shown(&self) -> Option<TokensShown> {
        self.tokens.as_ref().map(RackTokens::shown)
    }

    /// Whether the rack's credential is somewhere in `text`, in a spelling that a rack might use.
    pub(crate) fn is_credential_in(&self, text: &[u8]) -> bool {
        self.credential.load().is_in(text) || self.tokens.as_ref().is_some_and(|tokens| tokens.is_in(text))
    }

    /// Sends a request over a pooled connection. `target` is `/path?query`; `role` the least role of the rack with which
    /// it does this.
    ///
    /// A token that the rack refuses is minted anew, and the request goes out once more, unless its body streams: what was
    /// refused was not done.
    ///
    /// # Errors
    /// When the rack cannot be reached, mints no token, or breaks off before its reply's head is complete.
    pub(crate) async fn send(
        &self,
        mut request: Request<RequestBody>,
        target: &str,
        role: RackRole,
    ) -> Result<Response<RackBody>, UpstreamError> {
        *request.uri_mut() = Uri::from(PathAndQuery::try_from(target).map_err(http::Error::from)?);
        let Some(tokens) = &self.tokens else {
            self.sign(&mut request, &self.credential.load());
            return self.pool.send(&self.connector, request).await;
        };
        let again = repeatable(&request);
        let token = tokens.of(role, self).await?;
        self.sign(&mut request, &token.credential);
        let response = self.pool.send(&self.connector, request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        tokens.refused(role, &token);
        let Some(mut request) = again else { return Ok(response) };
        self.sign(&mut request, &tokens.of(role, self).await?.credential);
        self.pool.send(&self.connector, request).await
    }

    /// Closes connections that have rested for long. Called each minute.
    pub(crate) fn tidy(&self) {
        self.pool.tidy();
    }

    /// Sends a request that may become a socket, over a connection of its own, which is never pooled.
    ///
    /// # Errors
    /// As [`Upstream::send`].
    pub(crate) async fn send_upgrade(
        &self,
        mut request: Request<RequestBody>,
        target: &str,
        role: RackRole,
    ) -> Result<Response<Incoming>, UpstreamError> {
        *request.uri_mut() = Uri::builder().path_and_query(target).build()?;
        let Some(tokens) = &self.tokens else {
            self.sign(&mut request, &self.credential.load());
            return self.upgrade(request).await;
        };
        let again = repeatable(&request);
        let token = tokens.of(role, self).await?;
        self.sign(&mut request, &token.credential);
        let response = self.upgrade(request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        tokens.refused(role, &token);
        let Some(mut request) = again else { return Ok(response) };
        self.sign(&mut request, &tokens.of(role, self).await?.credential);
        self.upgrade(request).await
    }

    async fn upgrade(&self, request: Request<RequestBody>) -> Result<Response<Incoming>, UpstreamError> {
        let stream = self.connector.connect().await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(UpstreamError::Exchange)?;
        // The connection lives as long as the exchange, then as the socket made of it.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(UpstreamError::Exchange)
    }

    fn sign(&self, request: &mut Request<RequestBody>, credential: &Credential) {
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(AUTHORIZATION, credential.authorization.clone());
    }
}

/// The same request once more; `None` when its body is gone once it was sent.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let body = match request.body() {
        RequestBody::Empty => RequestBody::Empty,
        RequestBody::Whole(body) => RequestBody::Whole(body.clone()),
        RequestBody::Stream { .. }
        | RequestBody::Service(_)
        | RequestBody::GrpcWebText(_)
        | RequestBody::Lent(_) => return None,
    };
    let mut again = Request::new(body);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    Some(again)
}

/// The most ways in which one credential is written.
const SPELLINGS: usize = 5;

/// The shortest run of letters and digits in the password that is looked for by itself, in bytes.
/// Shorter ones occur by chance.
const RUN_BYTES: usize = 16;

/// The ways in which a rack, or what stands before it, might write the credential into a text: as it is,
/// as the header it came in, escaped for a URL or for JSON. However else it is escaped, a long run of
/// letters and digits in it stays.
pub(crate) fn spellings(password: &str, header: String) -> Vec<Secret<String>> {
    let in_url = form_urlencoded::byte_serialize(password.as_bytes()).collect();
    let quoted = serde_json::to_string(password).unwrap_or_default();
    let in_json =
        quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned();
    let run = password.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|run| run.len());
    let run = run.filter(|run| run.len() >= RUN_BYTES).unwrap_or_default().to_owned();
    let all = [password.to_owned(), header, in_url, in_json, run];
    all.into_iter().filter(|spelling| !spelling.is_empty()).map(Secret::new).collect()
}

/// Makes connections to one address, whatever address the client library asks for.
#[derive(Clone)]
pub(crate) struct Connector {
    host: Arc<str>,
    port: u16,
    tls: Option<Arc<tls::RackTlsConnector>>,
    limit: Duration,
}

impl Connector {
    fn new(target: &RackTarget) -> Result<Self, TlsError> {
        let secure = target.scheme == Scheme::HTTPS;
        let host = target.authority.host();
        let tls = if secure { Some(Arc::new(tls::RackTlsConnector::new(&target.tls, host)?)) } else { None };
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port: target.authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            tls,
            limit: target.connect_limit,
        })
    }

    /// To an instance of a service.
    pub(crate) fn to_service(
        service: &str,
        address: &UpstreamAddress,
        checked_by: &UpstreamTls,
        protocol: UpstreamProtocol,
        identity: Option<&ClientIdentity>,
        zone: &ZoneInForce,
        limit: Duration,
    ) -> Result<Self, TlsError> {
        let plain = Self { host: address.host.as_str().into(), port: address.port, tls: None, limit };
        let checked_by = match checked_by {
            UpstreamTls::SystemRoots => RackTls::SystemRoots,
            UpstreamTls::CaFile(path) => RackTls::CaFile(path.clone()),
            UpstreamTls::Pinned(fingerprint) => RackTls::Pinned(*fingerprint),
            UpstreamTls::Zone => {
                let (settings, name) = zone.way_to(service)?.ok_or(TlsError::NoZone)?;
                let tls = tls::RackTlsConnector::to_member(settings, &name, protocol)?;
                return Ok(Self { tls: Some(Arc::new(tls)), ..plain });
            }
        };
        let tls = match address.secure {
            true => Some(Arc::new(tls::RackTlsConnector::to_service(
                &checked_by,
                &address.host,
                protocol,
                identity,
            )?)),
            false => None,
        };
        Ok(Self { tls, ..plain })
    }

    pub(crate) async fn connect(&self) -> Result<RackStream, UpstreamError> {
        let limit = self.limit;
        timeout(limit, self.dial())
            .await
            .map_err(|_| UpstreamError::ConnectTimeout { limit })?
            .map_err(UpstreamError::Connect)
    }

    async fn dial(&self) -> std::io::Result<RackStream> {
        let tcp = TcpStream::connect((&*self.host, self.port)).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => Ok(RackStream::Plain(tcp)),
            Some(connector) => connector.secure(tcp).await.map(|tls| RackStream::Tls(Box::new(tls))),
        }
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<RackStream>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect().await.map(TokioIo::new) })
    }
}
