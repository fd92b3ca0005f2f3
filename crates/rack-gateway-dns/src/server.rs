//! Puts the parts together, serves, and stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, SystemClock};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rack_gateway_verify::{Verifier, VerifyError, VerifyLayer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_layer::Layer;
use tower_service::Service;

use crate::api::{Api, Reply, Shared, WithoutToken, ZoneApi, health, metrics};
use crate::config::{Config, Trust};
use crate::keys::{KeyFetchError, KeyFetcher};
use crate::name::DnsName;
use crate::reconcile::{Reconciler, chain};
use crate::store::{StateDirectory, StoreError};

/// How many connections there are at one time.
const MOST_CONNECTIONS: usize = 512;

/// How long a request's head may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// How long open connections may take to end when the program stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait after a connection could not be accepted: descriptors may come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state.
    #[error("the state")]
    Store(#[from] StoreError),
    /// The state of a zone file is lost.
    #[error(
        "the zone file {path} of {zone} is there and the state {state} is not: starting would empty the zone. Restore the state, or move the zone file away"
    )]
    StateLost {
        /// The zone.
        zone: DnsName,
        /// Its file.
        path: std::path::PathBuf,
        /// Where its state is to be.
        state: std::path::PathBuf,
    },
    /// The keys.
    #[error("the gateway's keys")]
    Keys(#[from] KeyFetchError),
    /// An address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Who is let in, as connections see it.
#[derive(Clone, Debug)]
enum Door {
    /// Whoever has a token.
    Verified(VerifyLayer, watch::Receiver<bool>),
    /// Everybody on this machine.
    Loopback,
}

/// A shim that listens and works.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    monitor: Option<TcpListener>,
    front: Front,
    tasks: JoinSet<()>,
    _state: StateDirectory,
}

#[derive(Clone, Debug)]
struct Front {
    shared: Arc<Shared>,
    door: Door,
}

impl Server {
    /// Reads the state, listens, and begins to reconcile.
    ///
    /// # Errors
    /// [`StartError`]; then nothing was changed.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let directory = StateDirectory::open(&config.state)?;
        let mut tasks = JoinSet::new();
        let mut opened = Vec::new();
        for zone in config.zones {
            let (store, was_there) = directory.zone(&zone.rules.zone)?;
            if let Some(file) = zone.file.as_ref().filter(|file| !was_there && file.path.exists()) {
                let (path, state) = (file.path.clone(), store.path().to_owned());
                return Err(StartError::StateLost { zone: zone.rules.zone, path, state });
            }
            opened.push((zone.rules, zone.access, zone.backend, store));
        }
        let door = door(config.trust, &mut tasks)?;
        let listener = listen(config.listen).await?;
        let monitor = match config.monitor {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let mut zones = std::collections::BTreeMap::new();
        for (rules, access, backend, store) in opened {
            let kind = backend.kind();
            let reconciler = Reconciler::new(store.clone(), backend, config.pace, Arc::clone(&clock));
            let status = reconciler.watch();
            tasks.spawn(reconciler.run());
            zones.insert(rules.zone.clone(), ZoneApi { store, rules, access, backend: kind, status });
        }
        let front = Front { shared: Arc::new(Shared { zones, ttl: config.ttl, clock }), door };
        Ok(Self { listener, monitor, front, tasks, _state: directory })
    }

    /// Where the control API is.
    ///
    /// # Errors
    /// What the system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where metrics are.
    pub fn monitor_address(&self) -> Option<SocketAddr> {
        self.monitor.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `stop` is done; then open requests have a few seconds.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send) {
        let Self { listener, monitor, front, mut tasks, _state } = self;
        let stopping = watch::Sender::new(false);
        let mut listeners = JoinSet::new();
        let control = front.clone();
        listeners
            .spawn(accept(listener, stopping.subscribe(), move |request| control.clone().control(request)));
        if let Some(monitor) = monitor {
            listeners
                .spawn(accept(monitor, stopping.subscribe(), move |request| front.clone().monitor(request)));
        }
        tokio::select! {
            () = stop => {}
            // None of them ends by itself. A zone that nobody keeps must not look like one that is kept.
            _ended = tasks.join_next() => {
                tracing::error!("a task ended that must not; the program stops, to be started anew");
            }
        }
        stopping.send_replace(true);
        let drained = async { while listeners.join_next().await.is_some() {} };
        if timeout(DRAIN_LIMIT, drained).await.is_err() {
            tracing::warn!("connections were open when the program stopped");
        }
        tasks.shutdown().await;
    }
}

fn door(trust: Trust, tasks: &mut JoinSet<()>) -> Result<Door, StartError> {
    match trust {
        Trust::Gateway { issuer, audience, keys } => {
            let fetcher = KeyFetcher::new(keys)?;
            let layer = VerifyLayer::new(Verifier::new(&issuer, &audience, fetcher.keys()));
            let have = fetcher.have();
            tasks.spawn(fetcher.run());
            Ok(Door::Verified(layer, have))
        }
        Trust::Loopback => {
            tracing::warn!(
                "trust_loopback: every program and every user of this machine can read and write every zone; use it for trials only"
            );
            Ok(Door::Loopback)
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

impl Front {
    async fn control(self, request: Request<Incoming>) -> Result<Reply, Infallible> {
        if request.uri().path() == "/healthz" && request.method() == Method::GET {
            return Ok(self.health());
        }
        match self.door {
            Door::Verified(layer, _) => {
                let mut api = layer.layer(Api::new(self.shared, WithoutToken::Nobody));
                let reply = api.call(request).await?;
                if let Some(reason) = reply.extensions().get::<VerifyError>() {
                    tracing::warn!(%reason, "a request without a good token was refused");
                }
                Ok(reply)
            }
            Door::Loopback => Api::new(self.shared, WithoutToken::Loopback).call(request).await,
        }
    }

    async fn monitor(self, request: Request<Incoming>) -> Result<Reply, Infallible> {
        Ok(match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => metrics(&self.shared),
            (&Method::GET, "/healthz") => self.health(),
            _ => {
                let mut reply = Reply::default();
                *reply.status_mut() = StatusCode::NOT_FOUND;
                reply
            }
        })
    }

    fn health(&self) -> Reply {
        let has_keys = match &self.door {
            Door::Verified(_, have) => *have.borrow(),
            Door::Loopback => true,
        };
        health(&self.shared, has_keys)
    }
}

/// Ends when the program is to stop.
async fn stops(stopping: &mut watch::Receiver<bool>) {
    // An error says that whoever would tell is gone, which is a stop too.
    let _told = stopping.wait_for(|stops| *stops).await.map(|_stops| ());
}

async fn accept<F, R>(listener: TcpListener, mut stopping: watch::Receiver<bool>, serve: F)
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Reply, Infallible>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stops(&mut stopping) => break,
            accepted = async {
                let permit = Arc::clone(&room).acquire_owned().await;
                (listener.accept().await, permit)
            } => accepted,
            Some(_ended) = connections.join_next() => continue,
        };
        let (Ok((stream, _)), Ok(permit)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (serve, mut stopping) = (serve.clone(), stopping.clone());
        connections.spawn(async move {
            let service = service_fn(serve);
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_LIMIT);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stops(&mut stopping) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(error = chain(&error), "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
