//! The end of a gateway: who may ask for it, and in which order its parts stop.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use gateway_app::Operator;
use gateway_config::Config;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Running, is_file};
use crate::accept::Shortage;
use crate::control_socket::{self, Door};
use crate::stopping::{Patience, Stop};

/// How long open sockets have to be told that the gateway is stopping.
const SOCKET_FAREWELL: Duration = Duration::from_secs(5);

impl Running {
    /// Lets programs on the same machine ask this gateway to drain, and take it over. Without a directory that can be
    /// written nobody can, which is said.
    pub(super) fn open_control_socket(&self, config: &Config, handles: Vec<OwnedFd>) {
        let directory = &config.data_dir;
        let opened = control_socket::open(directory).and_then(|listener| {
            let path = control_socket::path_in(directory);
            let door = Door::at(&path, handles, self.told.clone(), is_file(config))?;
            Ok((listener, Arc::new(door)))
        });
        let (listener, door) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::warn!(
                    path = %directory.display(), error = &error as &dyn std::error::Error,
                    "there is no control socket: `rack-gateway drain` and `serve --take-over` do not reach this gateway"
                );
                return;
            }
        };
        let (stopping, background) = (self.stopping.clone(), self.background.clone());
        let (shut, closed) = (door.clone(), self.closed.clone());
        self.background.spawn(async move {
            closed.cancelled().await;
            shut.shut();
        });
        self.background.spawn(async move {
            let mut shortage = Shortage::default();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stopping.cancelled() => return,
                };
                match accepted {
                    Ok((stream, _)) => {
                        let (door, stopping) = (door.clone(), stopping.clone());
                        background.spawn(async move {
                            let served = tokio::select! {
                                served = door.serve(stream) => served,
                                () = stopping.cancelled() => return,
                            };
                            if let Err(error) = served {
                                tracing::debug!(
                                    error = &error as &dyn std::error::Error,
                                    "a connection to the control socket ended"
                                );
                            }
                        });
                    }
                    Err(error) => shortage.wait(&error).await,
                }
            }
        });
    }

    /// Lets other processes of this gateway on the same machine hand over connections for sessions that this one holds.
    pub(super) fn open_neighbour_socket(&self, config: &Config) {
        let socket = match self.plane.open_neighbour_socket(&config.data_dir) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(
                    path = %config.data_dir.display(), error = &error as &dyn std::error::Error,
                    "sessions that are held here do not go on over a connection that another process accepted"
                );
                return;
            }
        };
        let (plane, stopping) = (Arc::clone(&self.plane), self.stopping.clone());
        self.background.spawn(async move {
            tokio::select! {
                () = plane.serve_neighbours(socket) => {}
                () = stopping.cancelled() => {}
            }
        });
    }

    /// Waits until somebody at the control socket tells this gateway to stop; it is recorded who. What it says is for
    /// [`Self::stop_as`].
    pub async fn told_to_stop(&self) -> Stop {
        let mut told = self.told.subscribe();
        let Some((stop, uid)) = told.wait_for(Option::is_some).await.ok().and_then(|told| *told) else {
            return std::future::pending().await;
        };
        let name = format!("uid:{uid}");
        let operator = Operator::local(&name, &*self.app.clock, &*self.app.entropy);
        let said = [("reason", stop.reason())];
        let recorded = gateway_app::reading::announce(&self.store, &operator, "gateway:mode:drain", &said);
        if let Err(error) = recorded.await {
            // An operator must get an instance out of service most of all when its database is away.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the order to drain could not be recorded"
            );
        }
        stop
    }

    /// Cancelled by whoever knows that a supervisor now waits with a kill: sockets then have no longer than requests.
    pub fn hurry(&self) -> CancellationToken {
        self.hurried.clone()
    }

    /// [`Self::stop_as`] for [`Stop::AtOnce`].
    pub async fn stop(self) {
        self.stop_as(Stop::AtOnce).await;
    }

    /// Stops. For the time of the notice all goes on, and clients are asked to connect anew; then no new connections;
    /// requests in hand and open sockets may end, each within its limit; what is left of the sockets is told why it
    /// ends; then the log is closed.
    pub async fn stop_as(self, stop: Stop) {
        let patience = stop.patience(&self.stop_times);
        tracing::info!(?stop, ?patience, "the gateway stops");
        if stop.is_replaced() {
            self.app.health.set_replaced();
            self.closed.cancel();
            self.replaced.cancel();
            self.connections.close();
        } else {
            self.app.health.set_draining();
        }
        self.tell_terminals(stop, patience.sockets);
        tokio::select! {
            () = tokio::time::sleep(patience.notice) => {}
            // Of another process's listener nothing more comes here.
            () = self.connections.wait(), if stop.is_replaced() => {}
        }
        self.closed.cancel();
        self.draining.cancel();
        self.connections.close();
        tokio::join!(self.requests_ended(patience.requests), self.sockets_ended(&patience));
        if timeout(SOCKET_FAREWELL, self.plane.close_sockets()).await.is_err() {
            tracing::warn!(
                open = self.plane.open_sockets(),
                "sockets did not end in time; their outcomes are not recorded"
            );
        }
        self.stopping.cancel();
        self.background.close();
        self.background.wait().await;
        self.plane.flush_refusals();
        self.anchors.farewell().await;
        self.store.close().await;
    }

    fn tell_terminals(&self, stop: Stop, patience: Duration) {
        let when = match patience.as_secs() {
            0 => "now".to_owned(),
            seconds @ 1..120 => format!("in {seconds} seconds at the latest"),
            seconds => format!("in {} minutes at the latest", seconds / 60),
        };
        self.plane.tell_terminals(&format!("{}; this session ends {when}", stop.reason()));
    }

    async fn requests_ended(&self, limit: Duration) {
        if timeout(limit, self.connections.wait()).await.is_err() {
            tracing::warn!(
                connections = self.connections.len(),
                "there were still requests at the end of limits.drain_timeout"
            );
        }
    }

    /// Waits for open sockets as long as there is patience with them, and when somebody hurries no longer than for
    /// requests.
    async fn sockets_ended(&self, patience: &Patience) {
        let hurried = async {
            self.hurried.cancelled().await;
            tokio::time::sleep(patience.requests).await;
        };
        let ended = tokio::select! {
            () = self.plane.sockets_ended() => true,
            () = tokio::time::sleep(patience.sockets) => false,
            () = hurried => false,
        };
        if !ended {
            tracing::warn!(sockets = self.plane.open_sockets(), "the sockets that are open are ended");
        }
    }
}
