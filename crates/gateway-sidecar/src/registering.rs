//! What a member says of itself, so that it is an instance of its service: where it is, and whether the service behind
//! it takes connections just now.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gateway_types::wire::zone::MemberRegistration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the service may take to take a connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// What an instance is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Where the gateway reaches it, `HOST:PORT`.
    pub address: String,
    /// The prefix that it serves.
    pub prefix: Option<String>,
    /// The version that it serves; all unless given.
    pub version: Option<String>,
    /// The actions that it understands; all unless given.
    pub capabilities: Option<BTreeSet<String>>,
}

/// The same, and what became of it.
#[derive(Debug)]
pub struct Registering {
    register: Register,
    service: SocketAddr,
    /// What the gateway last had against it.
    refused: Mutex<Option<String>>,
}

impl Registering {
    /// Of the service at this address.
    pub(crate) fn new(register: Register, service: SocketAddr) -> Self {
        Self { register, service, refused: Mutex::default() }
    }

    /// What is to be said now: the service is well while it takes connections.
    pub(crate) async fn look(&self) -> MemberRegistration {
        let healthy = matches!(timeout(PATIENCE, TcpStream::connect(self.service)).await, Ok(Ok(_taken)));
        let Register { address, prefix, version, capabilities } = self.register.clone();
        MemberRegistration { address, prefix, version, healthy, capabilities }
    }

    /// Takes what the gateway answered; what is new is logged, once.
    pub(crate) fn told(&self, refused: Option<&str>) {
        let mut before = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if before.as_deref() == refused {
            return;
        }
        match refused {
            Some(why) => {
                tracing::error!(why, "the gateway does not take this as an instance of its service");
            }
            None => tracing::info!("the gateway takes this as an instance of its service"),
        }
        *before = refused.map(str::to_owned);
    }
}
