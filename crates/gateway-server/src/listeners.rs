//! The listening sockets: opened here, opened by a supervisor that keeps them over restarts (`LISTEN_FDS`, systemd's
//! socket activation), or those of the process that this one takes over. It must not know what is served on them.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use gateway_config::Config;
use listenfd::ListenFd;
use tokio::net::TcpListener;

use crate::error::StartError;

/// Listening sockets that this process did not open itself.
#[derive(Debug, Default)]
pub struct GivenListeners {
    waiting: Vec<std::net::TcpListener>,
}

impl GivenListeners {
    /// Those that a supervisor opened for this very process (sd_listen_fds(3)); none when there is no such supervisor.
    /// What it gave that is no TCP listener is left alone, and said.
    pub fn of_supervisor() -> Self {
        let mut given = ListenFd::from_env();
        let mut waiting = Vec::new();
        for index in 0..given.len() {
            match given.take_tcp_listener(index) {
                Ok(listener) => waiting.extend(listener),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the supervisor gave something that is no TCP listener"
                ),
            }
        }
        Self { waiting }
    }

    /// Those of another process.
    pub(crate) fn of_process(sockets: Vec<OwnedFd>) -> Self {
        Self { waiting: sockets.into_iter().map(std::net::TcpListener::from).collect() }
    }

    /// The one at this address, when it was given.
    fn take(&mut self, address: SocketAddr) -> Option<std::net::TcpListener> {
        let is_it = |listener: &std::net::TcpListener| {
            listener.local_addr().is_ok_and(|have| have == address || is_everywhere(have, address))
        };
        let found = self.waiting.iter().position(is_it)?;
        Some(self.waiting.swap_remove(found))
    }
}

/// A supervisor's `ListenStream=443` is `[::]:443` and takes IPv4 too; the configuration may say `0.0.0.0`.
fn is_everywhere(have: SocketAddr, wanted: SocketAddr) -> bool {
    have.ip().is_unspecified() && wanted.ip().is_unspecified() && have.port() == wanted.port()
}

/// Every listening socket of a gateway.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// For clients.
    pub(crate) public: Vec<TcpListener>,
    /// For clients of plain HTTP, which are sent to HTTPS.
    pub(crate) redirect: Vec<TcpListener>,
    /// For probes.
    pub(crate) admin: TcpListener,
}

impl Listeners {
    /// Takes those of `given` that the configuration names, and opens the others. What was given and is not named is
    /// closed, and said.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    pub(crate) async fn open(config: &Config, mut given: GivenListeners) -> Result<Self, StartError> {
        let public = all(&config.listener.addresses, &mut given).await?;
        let redirect = match config.listener.http_port {
            Some(port) => all(&on_port(&config.listener.addresses, port), &mut given).await?,
            None => Vec::new(),
        };
        let admin = one(config.admin_listener, &mut given).await?;
        for listener in given.waiting {
            if let Ok(address) = listener.local_addr() {
                tracing::warn!(%address, "this listener was given, and no address of the configuration is it");
            }
        }
        Ok(Self { public, redirect, admin })
    }

    /// Further handles to the same sockets, for the process that takes over.
    ///
    /// # Errors
    /// When the process is out of handles.
    pub(crate) fn duplicates(&self) -> std::io::Result<Vec<OwnedFd>> {
        let listeners = self.public.iter().chain(&self.redirect).chain([&self.admin]);
        listeners.map(|listener| listener.as_fd().try_clone_to_owned()).collect()
    }
}

fn on_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|address| SocketAddr::new(address.ip(), port)).collect()
}

/// Where these listen.
pub(crate) fn local_addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

async fn all(addresses: &[SocketAddr], given: &mut GivenListeners) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for address in addresses {
        // With port 0 all addresses share the port that the first one was given.
        let port = listeners
            .first()
            .and_then(|first| first.local_addr().ok())
            .map_or(address.port(), |first| first.port());
        listeners.push(one(SocketAddr::new(address.ip(), port), given).await?);
    }
    Ok(listeners)
}

async fn one(address: SocketAddr, given: &mut GivenListeners) -> Result<TcpListener, StartError> {
    let opened = match given.take(address) {
        Some(listener) => listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)),
        None => TcpListener::bind(address).await,
    };
    opened.map_err(|source| StartError::Listen { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(addresses: &[&str]) -> GivenListeners {
        let listeners = addresses.iter().map(|address| std::net::TcpListener::bind(address).unwrap());
        GivenListeners { waiting: listeners.collect() }
    }

    #[test]
    fn a_listener_is_found_by_its_address_and_once() {
        let mut given = given(&["127.0.0.1:0", "0.0.0.0:0"]);
        let [one, everywhere] = [0, 1].map(|index| given.waiting[index].local_addr().unwrap());
        assert!(given.take(SocketAddr::new("127.0.0.2".parse().unwrap(), one.port())).is_none());
        assert_eq!(given.take(one).unwrap().local_addr().unwrap(), one);
        assert!(given.take(one).is_none(), "it was taken");
        let by_ipv6 = SocketAddr::new("::".parse().unwrap(), everywhere.port());
        assert!(given.take(by_ipv6).is_some());
    }

    #[test]
    fn what_listens_on_one_address_is_not_taken_for_all() {
        let mut given = given(&["127.0.0.1:0"]);
        let port = given.waiting[0].local_addr().unwrap().port();
        assert!(given.take(SocketAddr::new("0.0.0.0".parse().unwrap(), port)).is_none());
    }
}
