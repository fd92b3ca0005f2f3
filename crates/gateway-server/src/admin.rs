//! The second listener: for probes, never public.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_app::health::Health;
use gateway_app::sentinel::{self, Standing};
use gateway_proxy::DataPlane;
use gateway_store::{ReadOnly, Store};
use gateway_tls::Status;
use gateway_types::{Clock, Timestamp};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::anchors::Anchors;
use crate::metrics::{self, ASK_LIMIT, Telemetry};
use crate::readiness;
use crate::sinks::Sinks;

/// For how long a change past the gateway is among the notes.
const BYPASS_NOTED: Duration = Duration::from_secs(24 * 3600);

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
    fn notes(&self, sentinel: Option<&Standing>) -> Vec<String> {
        let mut notes = self.notes.clone();
        notes.extend(self.health.policy_fault());
        notes.extend(self.health.service_fault());
        notes.extend(self.health.discovery_fault());
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
        if let Some(fault) = self.health.sentinel_fault() {
            notes.push(format!("the rack is not compared with the audit log: {fault}"));
        }
        if let Some(fault) = self.health.probe_fault() {
            notes.push(format!("it is not looked whether anything answers past the gateway: {fault}"));
        }
        notes.extend(sentinel.and_then(|standing| recent_bypass(standing, self.clock.now())));
        notes
    }

    /// How the comparison of the rack with the log stands. A store that does not answer has a check of its own.
    async fn sentinel(&self) -> Option<Standing> {
        timeout(ASK_LIMIT, sentinel::standing(&self.store)).await.ok()?.ok()?
    }
}

/// What is said of a change past the gateway for a day after it was found: `notes` are what to look at, and `sentinel` has
/// the last one for ever.
fn recent_bypass(standing: &Standing, now: Timestamp) -> Option<String> {
    let (at, what) = standing.last_bypass.as_ref()?;
    let is_recent = now.checked_since(*at).unwrap_or_default() < BYPASS_NOTED;
    is_recent.then(|| {
        format!("somebody went around the gateway at the rack, found at {}: {what}", at.to_rfc3339())
    })
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
            let sentinel = probes.sentinel().await;
            let readiness = readiness::check(
                &probes.store,
                &probes.health,
                (&probes.rack.0, probes.rack.1),
                &probes.notes(sentinel.as_ref()),
                sentinel.as_ref(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bypass_is_among_the_notes_for_a_day() {
        let at = Timestamp::from_micros(1_800_000_000_000_000);
        let mut standing = Standing { looked: at, bypasses: 0, last_bypass: None };
        assert_eq!(recent_bypass(&standing, at), None);
        standing.last_bypass = Some((at, "release R2 of web was promoted".to_owned()));
        let after = |micros: i64| Timestamp::from_micros(at.micros() + micros);
        for now in [at, after(1), after(86_399_999_999)] {
            let note = recent_bypass(&standing, now).unwrap_or_default();
            assert!(note.ends_with(": release R2 of web was promoted"), "{note}");
        }
        assert_eq!(recent_bypass(&standing, after(86_400_000_000)), None);
    }
}
