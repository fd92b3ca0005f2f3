//! A simulated Convox rack: what `rack-gateway demo` and all tests talk to instead of a real one.
//!
//! [`SimRack`] listens on loopback and answers as the rack behind the recordings does
//! (`crates/gateway-testkit/transcripts`), bugs and leniencies included: it routes on the decoded path, upgrades
//! before it authenticates, finds parameters in second homes. A gateway that lets something through is seen here.
//! [`transcript`] reads the recordings, [`replay`] plays their client side against any address and compares.
//!
//! [`idp`] is an OpenID Connect provider for development; [`sigstore`] signs build attestations for tests.
//!
//! Nothing here knows of the gateway. Start reading at `server.rs` (a request's way), then `route/table.rs`.

mod auth;
mod call;
mod duration;
mod fault;
mod handlers;
pub mod idp;
mod options;
mod refusal;
pub mod replay;
mod reply;
mod route;
mod seen;
mod server;
pub mod sigstore;
mod socket;
pub mod state;
pub mod transcript;
mod upload;
pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use crate::fault::Fault;
pub use crate::idp::{DevClient, DevIdp, DevPerson, IdpFault, IdpOptions};
pub use crate::options::{Flavour, Seed, SimOptions, Timing, Tls};
pub use crate::reply::{Filler, fill_noise};
pub use crate::seen::SeenRequest;
pub use crate::socket::EXIT_MARKER;
pub use crate::state::RackState;
pub use crate::state::shapes::{Build, Event, ObjectInfo, Process, Registry, Release};

use crate::fault::Faults;
use crate::seen::Seen;
use crate::server::Shared;

/// A rack that runs. Dropping it stops it.
#[derive(Debug)]
pub struct SimRack {
    addr: SocketAddr,
    password: String,
    shared: Arc<Shared>,
    sever: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl SimRack {
    /// Starts a rack; it answers when this returns.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(options: SimOptions) -> std::io::Result<SimRack> {
        let listener = TcpListener::bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: RackState::new(&options),
            seen: Seen::new(options.remembers),
            faults: Faults::default(),
            connections: AtomicU64::new(0),
        });
        let (sever, severed) = watch::channel(0);
        let task = tokio::spawn(server::accept(listener, Arc::clone(&shared), severed));
        Ok(SimRack { addr, password: options.password, shared, sever, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, without credentials.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// What it saw, newest last; the last 100,000 requests. Also at `GET /_sim/requests`, with the password.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.seen.all()
    }

    /// Forgets what it saw.
    pub fn clear_requests(&self) {
        self.shared.seen.clear();
    }

    /// What it knows.
    pub fn state(&self) -> RackState {
        self.shared.state.clone()
    }

    /// Makes the next request that fits go wrong.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults.add(None, fault);
    }

    /// Makes the next request go wrong whose decoded path contains `path`.
    pub fn fault_on(&self, path: &str, fault: Fault) {
        self.shared.faults.add(Some(path.to_owned()), fault);
    }

    /// Cuts all connections that are open; new ones are taken.
    pub fn sever(&self) {
        self.sever.send_modify(|count| *count += 1);
    }

    /// Stops it: the port is closed and all connections are cut when this returns.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for SimRack {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
