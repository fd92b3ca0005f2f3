//! Traces on their way to a collector: gathered, posted together, and dropped when the collector is away. No request
//! waits for it, and nothing is kept: what must not be lost is in the audit log.

mod otlp;

use std::time::Duration;

use gateway_config::Traces;
use gateway_proxy::{Metrics, RequestSpan, Spans};
use gateway_types::{GatewayId, Secret};
use http::header::CONTENT_TYPE;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::sinks::{DeliveryError, Place, SinkSetupError, with_causes};

/// The most requests of one post.
const MOST_TOGETHER: usize = 512;
/// How long a request waits for others to go with it.
const GATHER_FOR: Duration = Duration::from_secs(1);
/// How long a post may take.
const POST_LIMIT: Duration = Duration::from_secs(10);
/// How long the last post may take, at the stop.
const LAST_LIMIT: Duration = Duration::from_secs(2);

/// Tells a collector what took how long.
pub(crate) struct Exporter {
    waiting: Receiver<RequestSpan>,
    place: Place,
    header: Option<(String, Secret<String>)>,
    instance: String,
    sent: Counter,
    dropped: Counter,
    /// Whether the last post failed: that is told once.
    is_away: bool,
}

/// What requests hand their spans to, and what sends them on; `None` when nobody wants them.
///
/// # Errors
/// [`SinkSetupError`].
pub(crate) fn prepare(
    declared: Option<&Traces>,
    metrics: &Metrics,
    gateway: GatewayId,
) -> Result<Option<(Spans, Exporter)>, SinkSetupError> {
    let Some(declared) = declared else { return Ok(None) };
    let mut url = declared.url.clone();
    let path = format!("{}{}", url.path().trim_end_matches('/'), otlp::PATH);
    url.set_path(&path);
    let (sent, dropped) = (metrics.traced(true), metrics.traced(false));
    let (spans, waiting) = Spans::new(declared.per_million, dropped.clone());
    let exporter = Exporter {
        waiting,
        place: Place::new(&url, declared.ca_file.as_deref())?,
        header: declared.header.clone(),
        instance: gateway.to_string(),
        sent,
        dropped,
        is_away: false,
    };
    Ok(Some((spans, exporter)))
}

impl Exporter {
    /// Sends until it is stopped, and then what is left.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        let mut spans = Vec::with_capacity(MOST_TOGETHER);
        loop {
            let came = stopping.run_until_cancelled(self.waiting.recv_many(&mut spans, MOST_TOGETHER)).await;
            let Some(1..) = came else { break };
            let until = Instant::now() + GATHER_FOR;
            while spans.len() < MOST_TOGETHER && !stopping.is_cancelled() {
                let room = MOST_TOGETHER - spans.len();
                let more = timeout_at(until, self.waiting.recv_many(&mut spans, room));
                if !matches!(stopping.run_until_cancelled(more).await, Some(Ok(1..))) {
                    break;
                }
            }
            self.send(&spans, POST_LIMIT).await;
            spans.clear();
        }
        self.waiting.close();
        while let Ok(span) = self.waiting.try_recv() {
            spans.push(span);
        }
        if !spans.is_empty() {
            self.send(&spans, LAST_LIMIT).await;
        }
    }

    async fn send(&mut self, spans: &[RequestSpan], limit: Duration) {
        let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
        let refused = match timeout(limit, self.post(spans)).await {
            Ok(Ok(refused)) => Ok(refused.min(count)),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(_elapsed) => Err(format!("it did not answer within {} s", limit.as_secs())),
        };
        match refused {
            Ok(refused) => {
                self.sent.inc_by(count - refused);
                self.dropped.inc_by(refused);
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                self.dropped.inc_by(count);
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(error, "the collector takes no traces; they are dropped until it does");
                }
            }
        }
    }

    /// How many of them the collector refused.
    async fn post(&self, spans: &[RequestSpan]) -> Result<u64, DeliveryError> {
        let body = otlp::body(spans, &self.instance);
        let mut headers = vec![(CONTENT_TYPE.as_str(), otlp::CONTENT_TYPE)];
        if let Some((name, value)) = &self.header {
            headers.push((name, value.expose()));
        }
        let answer = self.place.post(&headers, body).await?;
        Ok(otlp::rejected(answer.body()))
    }
}
