//! Which ports a look from outside must find closed, and which open.

use std::collections::BTreeMap;

use gateway_pki::Transport;

use crate::manifest::{GATEWAY, Manifest};

/// Ports that control APIs and databases often have, and that nobody should find open beside the declared ones.
const USUAL: [u16; 24] = [
    22, 1433, 2019, 2375, 2376, 2379, 3000, 3306, 4646, 5000, 5432, 5984, 6379, 6443, 8080, 8086, 8200, 8443,
    8500, 9000, 9090, 9200, 11211, 27017,
];

/// What a look from outside must find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expected {
    /// An answer: declared for everybody.
    Open,
    /// None.
    Closed,
}

/// A TCP port to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The port.
    pub port: u16,
    /// What must be found.
    pub expected: Expected,
    /// What it is declared to be.
    pub meaning: String,
}

/// The TCP ports to look at, by port: those of the manifest and the usual ones, or all of them.
pub fn targets(manifest: &Manifest, all: bool) -> Vec<Target> {
    let mut targets: BTreeMap<u16, Target> = BTreeMap::new();
    let mut put = |port: u16, expected: Expected, meaning: String| {
        targets.entry(port).or_insert(Target { port, expected, meaning });
    };
    for (machine, _own) in &manifest.gateway.ports {
        put(*machine, Expected::Open, GATEWAY.to_owned());
    }
    for (name, service) in &manifest.services {
        for listener in service.external().filter(|one| one.transport == Transport::Tcp) {
            put(listener.port, Expected::Open, format!("{name}, {}", listener.name));
        }
    }
    for (name, service) in &manifest.services {
        if let Some(listener) = service.guarded() {
            let meaning = format!("{name}, {} ({})", listener.name, listener.exposure.name());
            put(listener.port, Expected::Closed, meaning);
        }
        if let Some(forward) = service.forward {
            put(forward, Expected::Closed, format!("{name}, behind its sidecar"));
        }
    }
    put(9443, Expected::Closed, "the gateway's metrics and probes".to_owned());
    for port in USUAL {
        put(port, Expected::Closed, "not declared".to_owned());
    }
    if all {
        for port in 1..=u16::MAX {
            put(port, Expected::Closed, "not declared".to_owned());
        }
    }
    targets.into_values().collect()
}
