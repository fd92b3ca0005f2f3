//! A member of the trust zone for a service that cannot be one.
//!
//! It joins by a join token and renews by itself ([`member`]); it lets in exactly the callers that its registration
//! names, checks the request token ([`door`]), and passes requests and sockets on to the service (`passing`); it gives the
//! service ways to other members ([`egress`]). Whom it refuses it counts and reports ([`refusals`]). It must not know
//! the gateway's inside.

mod authority;
pub mod door;
pub mod egress;
pub mod member;
mod passing;
mod refusals;
pub mod registering;
mod state;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::registering::Registering;
use gateway_types::{Clock, Entropy};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use authority::AskError;
pub use door::{Forward, RequestToken};
pub use egress::Egress;
pub use member::{Join, Member, MemberError};
pub use registering::Register;

/// What a sidecar is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it becomes, or is, a member.
    pub join: Join,
    /// Where callers reach it.
    pub listen: SocketAddr,
    /// Where the service is.
    pub forward: Forward,
    /// Ways out, each a local port to one member.
    pub egress: Vec<Egress>,
    /// What the gateway is told, so that this is an instance of its service.
    pub register: Option<Register>,
}

/// What the world provides.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Why a sidecar does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It is no member.
    #[error("the sidecar is no member of the zone")]
    Member(#[from] MemberError),
    /// A port cannot be opened.
    #[error("{address} cannot be listened on")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// A sidecar that runs.
#[derive(Debug)]
pub struct Running {
    /// Where callers reach it.
    pub address: SocketAddr,
    /// Where the service reaches other members, in the order of the options.
    pub egress: Vec<SocketAddr>,
    /// The member.
    pub member: Arc<Member>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// Starts a sidecar. When this returns, it is a member and takes connections.
///
/// # Errors
/// [`StartError`]; nothing is left running.
pub async fn start(options: Options, surroundings: Surroundings) -> Result<Running, StartError> {
    let listener = bind(options.listen).await?;
    let address =
        listener.local_addr().map_err(|source| StartError::Listen { address: options.listen, source })?;
    let mut ways = Vec::new();
    for way in &options.egress {
        ways.push((bind(way.listen).await?, way.to.clone(), way.address.clone()));
    }
    let registering =
        options.register.clone().map(|register| Registering::new(register, options.forward.to()));
    let member = Arc::new(Member::join(options.join, registering, surroundings).await?);
    let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
    let door = door::Door::new(Arc::clone(&member), options.forward, stopping.clone(), tasks.clone())?;
    let mut egress = Vec::new();
    for (listener, to, at) in ways {
        let local =
            listener.local_addr().map_err(|source| StartError::Listen { address: options.listen, source })?;
        egress.push(local);
        let way = egress::Way::new(&member, to, at)?;
        tasks.spawn(way.serve(listener, stopping.clone(), tasks.clone()));
    }
    tasks.spawn(Arc::new(door).serve(listener));
    tasks.spawn(Arc::clone(&member).keep_up(stopping.clone()));
    Ok(Running { address, egress, member, stopping, tasks })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

impl Running {
    /// Stops: no new connections, and open ones end.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
