//! The time before the store is open: a gateway that does not reach its database yet says so, to clients and to probes,
//! and serves once it does. Nobody is known then, so nobody is let in to anything.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_config::{Config, Tls};
use gateway_store::{Store, StoreError};
use gateway_types::{Layer, Problem, ProblemKind, RequestId};
use http::header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::accept::Shortage;
use crate::error::StartError;
use crate::listeners::Listeners;
use crate::server::Surroundings;

/// How often the database is tried.
const RETRY: Duration = Duration::from_secs(1);

/// How often a file is tried that another process is about to let go of.
const HELD_RETRY: Duration = Duration::from_millis(20);

/// How much longer than its own limits a predecessor may take to let go of the database.
const HELD_GRACE: Duration = Duration::from_secs(30);

/// How often it is said that the database is still away.
const SAID_EACH: Duration = Duration::from_secs(30);

/// How long a connection has to take the last answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a client may take for the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// Who has the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Held {
    /// Nobody else; a file that is held is somebody else's, and refused.
    ByNobody,
    /// The process that is taken over, which is about to let go of it.
    ByPredecessor,
}

/// Opens the store, however long that takes while the database is away.
///
/// # Errors
/// Whatever no waiting mends, and [`StartError::StillHeld`].
pub(crate) async fn until_there<W>(
    config: &Config,
    surroundings: &Surroundings,
    listeners: &Listeners,
    held: Held,
    open: impl FnMut() -> W,
) -> Result<Arc<Store>, StartError>
where
    W: Future<Output = Result<Arc<Store>, StoreError>>,
{
    match held {
        Held::ByPredecessor => after_predecessor(config, open).await,
        Held::ByNobody => while_away(config, surroundings, listeners, open).await,
    }
}

async fn after_predecessor<W>(config: &Config, mut open: impl FnMut() -> W) -> Result<Arc<Store>, StartError>
where
    W: Future<Output = Result<Arc<Store>, StoreError>>,
{
    let until = Instant::now() + config.limits.drain_notice + config.limits.drain_timeout + HELD_GRACE;
    loop {
        match open().await {
            Err(error @ StoreError::Locked { .. }) if Instant::now() > until => {
                return Err(StartError::StillHeld(error));
            }
            Err(StoreError::Locked { .. }) => sleep(HELD_RETRY).await,
            opened => return opened.map_err(StartError::Store),
        }
    }
}

async fn while_away<W>(
    config: &Config,
    surroundings: &Surroundings,
    listeners: &Listeners,
    mut open: impl FnMut() -> W,
) -> Result<Arc<Store>, StartError>
where
    W: Future<Output = Result<Arc<Store>, StoreError>>,
{
    let first = match open().await {
        Err(error) if error.is_away() => error,
        opened => return opened.map_err(StartError::Store),
    };
    let mut said = Instant::now();
    say(&first);
    let coming = async {
        loop {
            sleep(RETRY).await;
            match open().await {
                Err(error) if error.is_away() => {
                    if said.elapsed() >= SAID_EACH {
                        said = Instant::now();
                        say(&error);
                    }
                }
                opened => return opened.map_err(StartError::Store),
            }
        }
    };
    let desk = Arc::new(Desk {
        surroundings: surroundings.clone(),
        open: TaskTracker::new(),
        places: Arc::new(Semaphore::new(config.limits.connections)),
    });
    // Where TLS ends here its keys may be in the database: clients wait in the listener's queue.
    let public: &[TcpListener] =
        if matches!(config.listener.tls, Tls::Off) { &listeners.public } else { &[] };
    let doors = public.iter().map(|listener| (listener, To::Client));
    let doors = doors.chain([(&listeners.admin, To::Probe)]);
    let answering = futures(doors.map(|(listener, to)| desk.clone().answer(listener, to)).collect());
    let opened = tokio::select! {
        opened = coming => opened,
        () = answering => Err(StartError::Store(first)),
    };
    desk.open.close();
    // Whoever has not read by now reads the end of the connection.
    let _in_time = timeout(FAREWELL, desk.open.wait()).await;
    opened
}

/// Drives all of them; ends when the last one does.
async fn futures<F: Future<Output = ()>>(all: Vec<F>) {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        match all.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

fn say(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the database cannot be reached: nobody is let in until it can; it is tried each second"
    );
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum To {
    Client,
    Probe,
}

/// Answers everybody that nothing works yet.
struct Desk {
    surroundings: Surroundings,
    open: TaskTracker,
    places: Arc<Semaphore>,
}

impl Desk {
    async fn answer(self: Arc<Self>, listener: &TcpListener, to: To) {
        let mut shortage = Shortage::default();
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let desk = Arc::clone(&self);
                    self.open.spawn(async move {
                        desk.serve(stream, to).await;
                        drop(place);
                    });
                }
                Err(error) => shortage.wait(&error).await,
            }
        }
    }

    async fn serve(&self, stream: TcpStream, to: To) {
        let service = service_fn(|request: Request<hyper::body::Incoming>| {
            let reply = match to {
                To::Client => self.to_client(&request),
                To::Probe => to_probe(request.uri().path()),
            };
            async move { Ok::<_, Infallible>(reply) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(error = &error as &dyn std::error::Error, "a client's connection ended early");
        }
    }

    /// A reply to whatever was asked. Nothing of the request is acted on, and the connection ends with it.
    fn to_client(&self, request: &Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        const REASON: &str = "the gateway has not reached its database since it started, so it knows nobody yet and nobody \
            can sign in; it serves by itself as soon as the database answers";
        let path = request.uri().path();
        if path == "/api/v1/health" {
            return reply("text/plain; charset=utf-8", Bytes::new());
        }
        let wants_page = request
            .headers()
            .get(ACCEPT)
            .is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), b"text/html").is_some());
        if wants_page {
            return reply("text/plain; charset=utf-8", Bytes::from(format!("{REASON}\n")));
        }
        let id = RequestId::new(self.surroundings.clock.now(), &*self.surroundings.entropy);
        let problem = Problem::new(ProblemKind::CannotRecord, Layer::Authentication, REASON);
        let on_rack = path.starts_with("/api/v1/rack-proxy");
        reply("application/problem+json", Bytes::from(problem.to_json(id, on_rack)))
    }
}

fn to_probe(path: &str) -> Response<Full<Bytes>> {
    match path {
        "/healthz" => {
            let mut alive = reply("text/plain; charset=utf-8", Bytes::from_static(b"alive\n"));
            *alive.status_mut() = StatusCode::OK;
            alive
        }
        _ => reply(
            "application/json",
            Bytes::from_static(
                b"{\n  \"ready\": false,\n  \"store\": {\n    \"ok\": false,\n    \"reason\": \"the database was not reached \
                  since the start\"\n  }\n}\n",
            ),
        ),
    }
}

fn reply(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(HeaderName::from_static("gateway-mode"), HeaderValue::from_static("degraded"));
    response
}
