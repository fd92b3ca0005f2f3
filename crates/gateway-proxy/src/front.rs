//! What happens to a connection before a byte of TLS or HTTP is read: whose it is, and whether that address may
//! have one more.
//!
//! Knows nothing of what the connection will carry.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_framing::proxy_header::{self, FIXED_BYTES, ProxyFault, Told};
use gateway_types::{Layer, Problem, ProblemKind};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::connection::{ConnectionPlace, Place};
use crate::forwarded::is_listed;
use crate::plane::DataPlane;

/// A connection that may go on.
#[derive(Debug)]
pub struct Welcome {
    /// Whose it is: the peer's address, or the one that a listed front told.
    pub address: SocketAddr,
    /// Its place.
    pub place: Place,
}

/// Why a connection is closed before anything was said on it.
#[derive(Debug, thiserror::Error)]
enum Turned {
    /// The PROXY header cannot be accepted.
    #[error(transparent)]
    Header(#[from] ProxyFault),
    /// It did not come in time.
    #[error("the PROXY header did not come in time")]
    Slow,
    /// The front left.
    #[error("the connection ended within its PROXY header")]
    Ended,
    /// The address has all connections that it may have.
    #[error("the address has as many connections open as limits.connections_per_address lets it have")]
    Full,
}

/// Finds out whose connection it is. Of a listed front the PROXY header is read; nobody else's first bytes are
/// touched. `None`: it is to be closed at once, without a word; the log counts why.
///
/// `permit` is the connection's place among all connections.
pub async fn welcome<S>(
    plane: &Arc<DataPlane>,
    stream: &mut S,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
) -> Option<Welcome>
where
    S: AsyncRead + Unpin,
{
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let is_front = is_listed(peer.ip(), &plane.parts.networks.proxy_protocol_from);
    let told = if is_front { read_header(plane, stream).await } else { Ok(Told::Local) };
    let address = match told {
        Ok(Told::Client(address)) => address,
        Ok(Told::Local) => peer,
        Err(turned) => return turn_away(plane, peer, &turned),
    };
    // A router's connections are of many clients, and so is the connection that a front opens for itself.
    let is_shared =
        is_listed(address.ip(), &plane.parts.networks.trusted_forwarders) || (is_front && address == peer);
    let held =
        if is_shared { Ok(None) } else { plane.limits.hold_connection(address.ip()).map(Some).ok_or(()) };
    match held {
        Ok(held) => Some(Welcome { address, place: Arc::new(ConnectionPlace::new(permit, held)) }),
        Err(()) => turn_away(plane, address, &Turned::Full),
    }
}

async fn read_header<S: AsyncRead + Unpin>(plane: &DataPlane, stream: &mut S) -> Result<Told, Turned> {
    let reading = async {
        let mut header = vec![0; FIXED_BYTES];
        stream.read_exact(&mut header).await.map_err(|_end| Turned::Ended)?;
        let fixed = header.first_chunk::<FIXED_BYTES>().ok_or(ProxyFault::NoHeader)?;
        let length = proxy_header::length(fixed)?;
        // At most 64 KiB, and no more than comes: what a front announces is not believed.
        let rest = u64::try_from(length.saturating_sub(FIXED_BYTES)).unwrap_or(0);
        stream.take(rest).read_to_end(&mut header).await.map_err(|_end| Turned::Ended)?;
        if header.len() < length {
            return Err(Turned::Ended);
        }
        Ok(proxy_header::parse(&header)?)
    };
    timeout(plane.parts.head_limit, reading).await.unwrap_or(Err(Turned::Slow))
}

fn turn_away<T>(plane: &Arc<DataPlane>, address: SocketAddr, turned: &Turned) -> Option<T> {
    let kind = match turned {
        Turned::Header(_) | Turned::Ended => ProblemKind::MalformedRequest,
        Turned::Slow => ProblemKind::TooSlow,
        Turned::Full => ProblemKind::TooManyRequests,
    };
    plane.refuse_unread(address.ip(), &Problem::new(kind, Layer::Network, turned.to_string()));
    None
}
