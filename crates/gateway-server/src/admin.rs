//! The second listener: for probes, never public.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use gateway_app::health::Health;
use gateway_proxy::DataPlane;
use gateway_store::{ReadOnly, Store};
use gateway_tls::Status;
use gateway_types::Clock;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use crate::anchors::Anchors;
use crate::metrics::{self, Telemetry};
use crate::readiness;
use crate::sinks::Sinks;

/// What the second listener tells about.
#[derive(Debug)]
pub(crate) struct Probes {
    pub(crate) store: Arc<Store>,
    pub(crate) rack: (String, u16),
    pub(crate) notes: Vec<String>,
    pub(crate) health: Arc<Health>,
    /// How the certificates stand, by this clock; `None` = there are none.
    pub(crate) certificates: Option<(Arc<Status>, Arc<dyn Clock>)>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) plane: Arc<DataPlane>,
    /// Connections of clients, and how many there may be.
    pub(crate) connections: TaskTracker,
    pub(crate) connection_places: usize,
    pub(crate) telemetry: Telemetry,
    pub(crate) sinks: Sinks,
    pub(crate) anchors: Arc<Anchors>,
}

impl Probes {
    /// Everything that an operator should know though it works.
    fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        notes.extend(self.health.policy_fault());
        notes.extend(self.health.service_fault());
        notes.extend(self.health.search_fault());
        notes.extend(self.health.retention_fault());
        if let Some(read_only) = self.health.read_only() {
            let ReadOnly { reason, set_by, .. } = &*read_only;
            notes.push(format!("nothing can be changed on purpose, says {set_by}: {reason}"));
        }
        if let Some(fault) = self.health.credential_fault() {
            notes.push(format!("the rack's credential cannot be read, and the last one holds: {fault}"));
        }
        if let Some((status, clock)) = &self.certificates {
            notes.extend(status.notes(clock.now()));
        }
        notes.extend(self.sinks.notes());
        if let Some(fault) = self.anchors.fault() {
            notes.push(format!("the audit log is not anchored: {fault}"));
        }
        notes
    }
}

/// Serves one connection.
pub(crate) async fn serve(probes: Arc<Probes>, stream: TcpStream) {
    let service = service_fn(move |request: Request<Incoming>| {
        let probes = probes.clone();
        async move { Ok::<_, Infallible>(answer(&probes, &request).await) }
    });
    let served =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "a probe connection ended early");
    }
}

async fn answer(probes: &Probes, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match request.uri().path() {
        "/healthz" => text(StatusCode::OK, "alive\n"),
        "/readyz" => {
            let readiness = readiness::check(
                &probes.store,
                &probes.health,
                (&probes.rack.0, probes.rack.1),
                &probes.notes(),
            )
            .await;
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::to_vec_pretty(&readiness).unwrap_or_default();
            reply(status, "application/json", body)
        }
        "/metrics" => {
            let text = probes.telemetry.text(probes).await;
            let status = if text.is_empty() { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
            reply(status, metrics::CONTENT_TYPE, text)
        }
        _ => text(StatusCode::NOT_FOUND, "this listener has /healthz, /readyz and /metrics\n"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    reply(status, "text/plain; charset=utf-8", body)
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
