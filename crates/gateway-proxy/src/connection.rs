//! One connection of a client: framing guard, HTTP/1.1, pipeline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_framing::http1::{Limits, RequestGuard};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::guarded::{GuardedStream, ViolationSlot};
use crate::pipeline::handle;
use crate::plane::DataPlane;

/// A connection's place among all that may be open; it is free again when the last holder drops it.
/// A socket holds it on, after the connection that it came over is done.
pub type Place = Arc<OwnedSemaphorePermit>;

/// What the TLS handshake of a client told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secured {
    /// The name that the client asked for (SNI), in lower case; `None` when it named none.
    pub server_name: Option<Arc<str>>,
    /// What both sides agreed to speak (ALPN).
    pub protocol: Protocol,
    /// The certificate whose key the client proved to hold, DER-encoded; nobody looked at who issued it.
    pub client_certificate: Option<CertificateDer<'static>>,
}

/// A version of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// HTTP/1.1, and what a client gets that names nothing.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

/// How a connection came to the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// The other end: the peer's address, or the one that a listed front told with the PROXY protocol.
    pub address: SocketAddr,
    /// Set when TLS ended here.
    pub secured: Option<Secured>,
}

impl Arrival {
    /// A connection without TLS.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, secured: None }
    }
}

/// The other end of a client's connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Set when TLS ended here.
    pub secured: Option<Secured>,
    /// Where the framing guard leaves what was wrong with a malformed request.
    pub(crate) violation: ViolationSlot,
    pub(crate) place: Place,
}

/// Serves one client connection until either side ends it.
///
/// When `shutdown` is cancelled the request in hand is finished and the connection closes; open
/// sockets are not touched.
pub async fn serve_connection<S>(
    plane: Arc<DataPlane>,
    stream: S,
    arrival: Arrival,
    place: Place,
    shutdown: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let violation = ViolationSlot::default();
    let Arrival { address, secured } = arrival;
    let peer = Peer { address, secured, violation: violation.clone(), place };
    let limits = Limits { head_bytes: plane.parts.head_limit_bytes, ..Limits::default() };
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(plane.parts.head_limit)
        .max_buf_size(2 * limits.head_bytes)
        .max_headers(limits.header_count);
    let stream = GuardedStream::new(stream, RequestGuard::new(limits), violation);
    let service = service_fn(move |request| {
        let (plane, peer) = (plane.clone(), peer.clone());
        async move { Ok::<_, Infallible>(handle(plane, peer, request).await) }
    });
    let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Clients come and go; this is of interest only to whoever looks for it.
        tracing::debug!(%address, error = &error as &dyn std::error::Error, "a client connection ended early");
    }
}
