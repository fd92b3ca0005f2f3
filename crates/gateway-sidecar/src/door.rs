//! The way in: TLS of the zone, callers by exact id, and for HTTP the request token. Whoever is refused reaches no byte
//! of the service, and is counted.
//!
//! # Security
//! The caller's chain is checked right after the handshake, before anything is read; a connection ends with the
//! caller's leaf and as soon as the bundle refuses the caller, also one that became a socket. What the service gets of
//! a request is made in `passing`.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gateway_pki::peer::Allowed;
use gateway_pki::tls::{Callers, Trust as _, server_settings};
use gateway_pki::{CLOCKS_APART, Peer, PeerFault, Role, check};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rack_gateway_verify::{GatewayIdentity, HEADER, Verifier, VerifyError};
use rustls_pki_types::CertificateDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::member::Member;
use crate::passing::{Opened, Passing, ReplyBody, said};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(30);

/// Connections at once.
const CONNECTIONS: usize = 4096;

/// How often it is looked whether the callers of open connections may still call.
const LOOK: Duration = Duration::from_secs(1);

/// What is passed on, and to where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Forward {
    /// HTTP: each request must carry a request token, but those to `open` paths.
    Http {
        /// Where the service is.
        to: SocketAddr,
        /// Paths that are asked for without a token: health checks.
        open: Vec<String>,
        /// What becomes of the request token.
        token: RequestToken,
    },
    /// Bytes: who may call is all that is checked. For databases.
    Raw {
        /// Where the service is.
        to: SocketAddr,
    },
}

impl Forward {
    /// Where the service is.
    pub fn to(&self) -> SocketAddr {
        match self {
            Forward::Http { to, .. } | Forward::Raw { to } => *to,
        }
    }
}

/// What becomes of a request token after it was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestToken {
    /// It goes no further: whoever has it, in a log of the service for example, could show it again for the same method
    /// and path until it ends.
    TakenAway,
    /// The service has it too: for one that checks it itself.
    PassedOn,
}

/// The way in.
pub(crate) struct Door {
    member: Arc<Member>,
    forward: Forward,
    acceptor: TlsAcceptor,
    client: Client<HttpConnector, Incoming>,
    places: Arc<Semaphore>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Door {
    pub(crate) fn new(
        member: Arc<Member>,
        forward: Forward,
        stopping: CancellationToken,
        tasks: TaskTracker,
    ) -> Result<Self, rustls::Error> {
        let mut settings = server_settings(Arc::clone(&member.provider), member.leaf.clone(), Callers::Show)?;
        if matches!(forward, Forward::Http { .. }) {
            settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        Ok(Self {
            member,
            forward,
            acceptor: TlsAcceptor::from(Arc::new(settings)),
            client: Client::builder(TokioExecutor::new()).build(connector),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
            stopping,
            tasks,
        })
    }

    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stopping.cancelled() => return,
            };
            let Ok((stream, peer)) = accepted else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let door = Arc::clone(&self);
            self.tasks.spawn(async move {
                tokio::select! {
                    () = Arc::clone(&door).meet(stream, peer.ip()) => {}
                    () = door.stopping.cancelled() => {}
                }
                drop(place);
            });
        }
    }

    async fn meet(self: Arc<Self>, stream: TcpStream, address: IpAddr) {
        let _best_effort = stream.set_nodelay(true);
        let refuse = |claimed: Option<String>, reason: &str| {
            tracing::warn!(%address, claimed, reason, "a connection past the gateway was refused");
            self.member.refusals.note(address, claimed, reason);
        };
        let tls = match timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => {
                // Whoever shows no certificate is told so in the handshake; everything else is no TLS of the zone.
                let is_bare = error
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                    .is_some_and(|error| *error == rustls::Error::NoCertificatesPresented);
                return refuse(None, if is_bare { "no_certificate" } else { "no_zone_tls" });
            }
            Err(_late) => return refuse(None, "no_handshake"),
        };
        let peer = match self.who(&tls) {
            Ok(peer) => peer,
            Err(fault) => return refuse(fault.claimed().map(ToString::to_string), fault.code()),
        };
        let ended = self.until_refused(peer.clone());
        tokio::select! {
            () = self.pass(tls, &peer) => {}
            () = ended => tracing::info!(peer = %peer.id(), "a caller's connection ended with its leaf or its standing"),
        }
    }

    /// Who calls; only somebody who may gets further.
    fn who(&self, tls: &TlsStream<TcpStream>) -> Result<Peer, PeerFault> {
        let chain: &[CertificateDer<'_>] = tls.get_ref().1.peer_certificates().unwrap_or_default();
        // Without a bundle nobody is trusted.
        let bundle = self.member.trust.bundle().ok_or(PeerFault::NoCertificate)?;
        let knows = self.member.knows.load();
        let now = self.member.surroundings.clock.now();
        check(chain, Role::Client, Allowed::Exactly(&knows.callers), &bundle, now)
    }

    async fn until_refused(&self, peer: Peer) {
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.member.surroundings.clock.now();
            let holds = self.member.trust.bundle().is_some_and(|bundle| peer.holds(&bundle, now));
            if !holds || !self.member.knows.load().callers.contains(peer.id()) {
                return;
            }
        }
    }

    async fn pass(self: &Arc<Self>, mut tls: TlsStream<TcpStream>, peer: &Peer) {
        match &self.forward {
            Forward::Raw { to } => match TcpStream::connect(to).await {
                Ok(mut service) => {
                    // Either side may hang up whenever it likes.
                    let _ended = copy_bidirectional(&mut tls, &mut service).await;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, %to, "the service cannot be reached");
                }
            },
            Forward::Http { to, open, token } => {
                let passing = Passing { client: self.client.clone(), to: *to, token: *token };
                let (passing, opened) = (&passing, Opened::default());
                let socket = &opened;
                let serve = service_fn(|request| async move {
                    Ok::<_, Infallible>(self.answer(request, peer, passing, open, socket).await)
                });
                let mut builder = http1::Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
                let connection = builder.serve_connection(TokioIo::new(tls), serve).with_upgrades();
                if let Err(error) = connection.await {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke off");
                    return;
                }
                // Carried here, not in a task of its own, so that it ends with the caller's standing like the rest.
                if let Some(socket) = opened.into_inner() {
                    socket.carry().await;
                }
            }
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: &Peer,
        passing: &Passing,
        open: &[String],
        opened: &Opened,
    ) -> Response<ReplyBody> {
        let mut verified = self.verified(&request, open);
        if verified == Err(VerifyError::UnknownKey) {
            self.member.look_for_key().await;
            verified = self.verified(&request, open);
        }
        let identity = match verified {
            Ok(identity) => identity,
            Err(fault) => {
                tracing::warn!(peer = %peer.id(), reason = %fault, "a request without a good token was refused");
                return said(StatusCode::UNAUTHORIZED, "the request token is missing or not good");
            }
        };
        passing.on(request, identity.as_ref(), opened).await
    }

    /// Who the person or machine is for whom the caller calls; `None` at open paths.
    fn verified(
        &self,
        request: &Request<Incoming>,
        open: &[String],
    ) -> Result<Option<GatewayIdentity>, VerifyError> {
        let mut tokens = request.headers().get_all(HEADER).iter();
        let Some(token) = tokens.next() else {
            let is_open = open.iter().any(|path| path == request.uri().path());
            return if is_open { Ok(None) } else { Err(VerifyError::Missing) };
        };
        if tokens.next().is_some() {
            return Err(VerifyError::MoreThanOne);
        }
        let token = token.to_str().map_err(|_bad| VerifyError::Malformed)?;
        let knows = self.member.knows.load();
        // The token is for this very member's id: the gateway showed that it is the gateway, and we that we are we.
        let verifier = Verifier::new(&knows.token_issuer, &knows.id.to_string(), self.member.keys.clone())
            .with_leeway(CLOCKS_APART);
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let now = self.member.surroundings.clock.now().micros().div_euclid(1_000_000);
        verifier.verify(token, request.method().as_str(), target, now).map(Some)
    }
}
