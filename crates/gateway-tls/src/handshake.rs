//! The handshake of one client: bounded in time, and no client's business but its own.
//!
//! Each runs in the task of its connection, so that a slow one delays nobody. How many may be unfinished is
//! bounded by [`unfinished`]: a flood of half-open handshakes displaces its own.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::resolver::ACME_TLS_ALPN;
use crate::settings::HTTP2;

mod unfinished;

use unfinished::Unfinished;

/// What a handshake may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// From the first byte to the last.
    pub time: Duration,
    /// How many may be unfinished at once.
    pub unfinished: usize,
}

/// What both sides agreed to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HTTP/1.1, also when the client named nothing.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What a handshake told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handshaken {
    /// The name that the client asked for, in lower case.
    pub server_name: Option<Arc<str>>,
    /// What both sides agreed to speak.
    pub protocol: Protocol,
    /// The certificate whose key the client proved to have.
    pub client_certificate: Option<CertificateDer<'static>>,
}

/// Why a connection is not served after its handshake.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It took too long.
    #[error("the handshake was not finished in time")]
    TooSlow,
    /// There were too many unfinished ones.
    #[error("the handshake was ended to make room for others")]
    Displaced,
    /// The client left, or said something wrong.
    #[error("the handshake failed")]
    Failed(#[from] io::Error),
    /// It was an ACME server, which has seen what it wanted.
    #[error("the handshake was an ACME challenge")]
    Challenge,
}

/// How many handshakes came to what, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Finished.
    pub finished: u64,
    /// Failed, by either side.
    pub failed: u64,
    /// Took too long.
    pub too_slow: u64,
    /// Ended to make room.
    pub displaced: u64,
}

#[derive(Debug, Default)]
struct Counters {
    finished: AtomicU64,
    failed: AtomicU64,
    too_slow: AtomicU64,
    displaced: AtomicU64,
}

/// Other settings, for clients that ask for certain names.
pub struct Face {
    /// Whether a name, in lower case, is one of them.
    pub names: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// What such clients meet.
    pub settings: Arc<ServerConfig>,
}

/// Ends TLS for the public listener.
pub struct Terminator {
    settings: Arc<ServerConfig>,
    face: Option<Face>,
    limits: Limits,
    unfinished: Unfinished,
    counters: Counters,
}

impl std::fmt::Debug for Terminator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminator").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Terminator {
    /// One with these settings.
    pub fn new(settings: ServerConfig, limits: Limits) -> Self {
        Self {
            settings: Arc::new(settings),
            face: None,
            unfinished: Unfinished::new(limits.unfinished),
            limits,
            counters: Counters::default(),
        }
    }

    /// The same, with other settings for some names.
    #[must_use]
    pub fn with_face(mut self, face: Face) -> Self {
        self.face = Some(face);
        self
    }

    /// What a client meets that asks for this name.
    fn settings_for(&self, name: Option<&str>) -> Arc<ServerConfig> {
        let name = name.map(str::to_ascii_lowercase);
        let face = self.face.as_ref().zip(name).filter(|(face, name)| (face.names)(name));
        Arc::clone(face.map_or(&self.settings, |(face, _)| &face.settings))
    }

    async fn shake<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let begun = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let settings = self.settings_for(begun.client_hello().server_name());
        begun.into_stream(settings).await
    }

    /// Does the handshake with a client at address `source`.
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection is then over.
    pub async fn accept<S>(
        &self,
        stream: S,
        source: IpAddr,
    ) -> Result<(TlsStream<S>, Handshaken), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut place = self.unfinished.enter(source);
        let accepted = tokio::select! {
            accepted = timeout(self.limits.time, self.shake(stream)) => accepted,
            () = place.displaced() => {
                self.counters.displaced.fetch_add(1, Ordering::Relaxed);
                return Err(HandshakeError::Displaced);
            }
        };
        drop(place);
        let stream = match accepted {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                return Err(error.into());
            }
            Err(_elapsed) => {
                self.counters.too_slow.fetch_add(1, Ordering::Relaxed);
                return Err(HandshakeError::TooSlow);
            }
        };
        self.counters.finished.fetch_add(1, Ordering::Relaxed);
        let told = told(&stream)?;
        Ok((stream, told))
    }

    /// How many came to what so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            finished: read(&self.counters.finished),
            failed: read(&self.counters.failed),
            too_slow: read(&self.counters.too_slow),
            displaced: read(&self.counters.displaced),
        }
    }
}

fn told<S>(stream: &TlsStream<S>) -> Result<Handshaken, HandshakeError> {
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        Some(name) if name == ACME_TLS_ALPN => return Err(HandshakeError::Challenge),
        Some(name) if name == HTTP2 => Protocol::Http2,
        Some(_) | None => Protocol::Http1,
    };
    let client_certificate =
        session.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.clone().into_owned());
    let server_name = session.server_name().map(|name| Arc::from(name.to_ascii_lowercase()));
    Ok(Handshaken { server_name, protocol, client_certificate })
}
