//! From a listening socket to a served connection: accept, PROXY header, handshake, serve. Each connection does all of it in
//! a task of its own, so that none waits for another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_proxy::{
    Arrival, DataPlane, Protocol, RedirectParts, Secured, Welcome, serve_connection, serve_redirect, welcome,
};
use gateway_tls::{HandshakeError, Handshaken, Terminator};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection may be silent before its other end is asked whether it is there (TCP keep-alive, RFC 9293,
/// section 3.8.4), how often it is asked, and after how many unanswered questions it is gone: after two minutes.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const ALIVE_TRIES: u32 = 6;

/// What is done with a connection.
#[derive(Clone)]
pub(crate) enum Behind {
    /// It is served, after a handshake where TLS ends here.
    DataPlane { terminator: Option<Arc<Terminator>> },
    /// It is sent to HTTPS.
    Redirect(Arc<RedirectParts>),
}

/// One way in.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(crate) behind: Behind,
    pub(crate) plane: Arc<DataPlane>,
    pub(crate) connections: TaskTracker,
    pub(crate) places: Arc<Semaphore>,
    /// Nothing more is accepted.
    pub(crate) closed: CancellationToken,
    /// Connections end with the request in hand.
    pub(crate) draining: CancellationToken,
}

impl Entrance {
    /// Accepts clients until the listener is closed, or another process's. A connection takes a place; without one free, accepting waits,
    /// so that a flood is held in the system's queue and not in memory.
    pub(crate) async fn accept(self, listener: TcpListener) {
        let mut shortage = Shortage::default();
        loop {
            // With every place taken by open sockets none comes free, and the end must not wait for one.
            let permit = tokio::select! {
                permit = self.places.clone().acquire_owned() => permit,
                () = self.closed.cancelled() => return,
            };
            let Ok(permit) = permit else { return };
            let accepted = tokio::select! {
                biased;
                () = self.closed.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let entrance = self.clone();
                    self.connections.spawn(entrance.serve(stream, peer, permit));
                }
                Err(error) => shortage.wait(&error).await,
            }
        }
    }

    async fn serve(self, mut stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Small replies must not wait for acknowledgements.
        let _best_effort = stream.set_nodelay(true);
        // A client that is gone without a word must not hold a shell open for ever. One that only does not read, as a
        // paused terminal, still answers.
        let alive = TcpKeepalive::new()
            .with_time(QUIET_LIMIT)
            .with_interval(ALIVE_INTERVAL)
            .with_retries(ALIVE_TRIES);
        let _best_effort = SockRef::from(&stream).set_tcp_keepalive(&alive);
        let Some(Welcome { address, place }) = welcome(&self.plane, &mut stream, peer, permit).await else {
            return;
        };
        match self.behind {
            Behind::Redirect(parts) => {
                serve_redirect(parts, stream).await;
                drop(place);
            }
            Behind::DataPlane { terminator: None } => {
                let arrival = Arrival::plain(address);
                serve_connection(self.plane, stream, arrival, place, self.draining).await;
            }
            Behind::DataPlane { terminator: Some(terminator) } => {
                let handshake = tokio::select! {
                    handshake = terminator.accept(stream, address.ip()) => handshake,
                    () = self.draining.cancelled() => return,
                };
                match handshake {
                    Ok((stream, told)) => {
                        let arrival = Arrival { address, secured: Some(secured(told)) };
                        serve_connection(self.plane, stream, arrival, place, self.draining).await;
                    }
                    Err(HandshakeError::Challenge) => {
                        tracing::info!(%address, "an ACME server asked for a challenge certificate");
                    }
                    // Whoever scans the internet must not fill the log; how many there were is told each minute.
                    Err(error) => {
                        tracing::debug!(%address, error = &error as &dyn std::error::Error, "no TLS with a client");
                    }
                }
            }
        }
    }
}

fn secured(told: Handshaken) -> Secured {
    let protocol = match told.protocol {
        gateway_tls::Protocol::Http1 => Protocol::Http1,
        gateway_tls::Protocol::Http2 => Protocol::Http2,
    };
    Secured { server_name: told.server_name, protocol, client_certificate: told.client_certificate }
}

/// How often it is said that connections cannot be accepted, as long as that is so.
const SAID_EACH: Duration = Duration::from_secs(60);

/// What to do when accepting fails, which it does when the process or the machine is out of file handles.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    /// When it was said last.
    said: Option<Instant>,
}

impl Shortage {
    /// Waits a moment, since trying again at once would only burn time. It is said at most once a minute, not ten times a
    /// second: a flood must not fill the log.
    pub(crate) async fn wait(&mut self, error: &std::io::Error) {
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EACH) {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "a connection could not be accepted; others wait until handles are free (see 'ulimit -n')"
            );
            self.said = Some(Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
