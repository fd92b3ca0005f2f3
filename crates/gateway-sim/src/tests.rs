//! The rack as a peer sees it, over TCP.

mod client;
mod faults;
mod http;
mod idp;
mod recordings;
mod sockets;

use crate::{SimOptions, SimRack};

/// A v3 rack in the recorded state.
async fn rack() -> SimRack {
    SimRack::start(SimOptions::for_tests()).await.unwrap()
}
