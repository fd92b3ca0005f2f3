//! One connection of a client: framing guard, HTTP/1.1 or HTTP/2, pipeline.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_framing::http1::{Limits, RequestGuard};
use gateway_framing::http2::PREFACE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::guarded::{GuardedStream, Patience, ViolationSlot};
use crate::limits::Held;
use crate::pipeline::handle;
use crate::plane::DataPlane;

mod activity;
mod counted;
mod delivery;
mod head;
mod http2;
mod sniffed;

pub(crate) use activity::Activity;
use delivery::Delivered;
pub(crate) use delivery::Pulse;
use sniffed::{Begins, Sniffed};

/// A connection's place among all that may be open; it is free again when the last holder drops it.
/// A socket holds it on, after the connection that it came over is done.
pub type Place = Arc<ConnectionPlace>;

/// What a connection takes up: a place among all connections, and one among those of its address.
#[derive(Debug)]
pub struct ConnectionPlace {
    _among_all: OwnedSemaphorePermit,
    _of_address: Option<Held>,
}

impl ConnectionPlace {
    pub(crate) fn new(among_all: OwnedSemaphorePermit, of_address: Option<Held>) -> Self {
        Self { _among_all: among_all, _of_address: of_address }
    }
}

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

/// How long a connection that ended has to take what was said last.
const FAREWELL: Duration = Duration::from_secs(5);

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
    let Arrival { address, secured } = arrival;
    let agreed = secured.as_ref().map(|secured| secured.protocol);
    let peer = Peer { address, secured, violation: ViolationSlot::default(), place };
    match agreed {
        Some(Protocol::Http2) => http2::serve(plane, stream, peer, shutdown).await,
        Some(Protocol::Http1) => serve_http1(plane, stream, peer, shutdown).await,
        None if plane.parts.http2.without_tls => {
            let limit = plane.parts.head_limit;
            match Sniffed::read(stream, PREFACE, limit).await {
                Some((stream, Begins::With)) => http2::serve(plane, stream, peer, shutdown).await,
                Some((stream, Begins::Otherwise)) => serve_http1(plane, stream, peer, shutdown).await,
                None => {}
            }
        }
        None => serve_http1(plane, stream, peer, shutdown).await,
    }
}

/// What a head may be, on either version of HTTP.
fn head_limits(plane: &DataPlane) -> Limits {
    Limits { head_bytes: plane.parts.head_limit_bytes, ..Limits::default() }
}

async fn serve_http1<S>(plane: Arc<DataPlane>, stream: S, peer: Peer, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = head_limits(&plane);
    let address = peer.address;
    let (activity, pulse, writes) = (Activity::new(), Pulse::default(), Pulse::default());
    let unread = pulse.unread_for(plane.parts.send_limit);
    // A whole reply has no piece left that could wait in its body: then hyper's own bytes do, also while the next
    // request is at hand already and nothing is read.
    let unsent = writes.unread_for(plane.parts.send_limit);
    let unread = async move {
        tokio::select! {
            () = unread => {}
            () = unsent => {}
        }
    };
    let patience = Patience {
        head: plane.parts.head_limit,
        idle: plane.parts.idle_limit,
        activity: activity.clone(),
        writes,
    };
    let mut server = http1::Builder::new();
    // The guard measures how long a head takes, so that a slow one is refused in words.
    server.header_read_timeout(None).max_buf_size(2 * limits.head_bytes).max_headers(limits.header_count);
    let stream = GuardedStream::new(stream, RequestGuard::new(limits), peer.violation.clone(), patience);
    let service = service_fn(move |request| {
        let (plane, peer, busy, pulse) = (plane.clone(), peer.clone(), activity.begin(), pulse.clone());
        async move {
            let response = handle(plane, peer, request).await;
            Ok::<_, Infallible>(response.map(|body| Delivered::new(body, pulse, busy)))
        }
    });
    let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection, unread);
    let served = tokio::select! {
        served = &mut connection => served,
        () = &mut unread => return,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                () = unread => return,
            }
        }
    };
    if let Err(error) = served {
        // Clients come and go; this is of interest only to whoever looks for it.
        tracing::debug!(%address, error = &error as &dyn std::error::Error, "a client connection ended early");
    }
}
