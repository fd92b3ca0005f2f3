//! Collectors of OpenTelemetry, and web hooks: both are posted to.

use std::path::Path;
use std::sync::Arc;

use gateway_identity::oidc::Fetch as _;
use gateway_sinks::{Record, Source, WebhookKey, cloudevents, otlp};
use gateway_types::{Clock, Secret};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, Uri};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::SinkSetupError;
use super::receiver::DeliveryError;
use crate::fetch::HttpFetch;

/// Where entries, or checkpoints, are posted.
pub(crate) struct Place {
    fetch: HttpFetch,
    uri: String,
    /// What failures are told with: an address may hold a token.
    host: String,
}

impl Place {
    /// Nothing is dialled yet.
    ///
    /// # Errors
    /// [`SinkSetupError::Web`].
    pub(crate) fn new(url: &Url, ca_file: Option<&Path>) -> Result<Self, SinkSetupError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        Ok(Self { fetch: HttpFetch::new(ca_file)?, uri: url.to_string(), host })
    }

    /// Posts, and takes nothing but a yes. No redirect is followed.
    pub(crate) async fn post(
        &self,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Response<Vec<u8>>, DeliveryError> {
        let uri: Uri = self
            .uri
            .parse()
            .map_err(|error: http::uri::InvalidUri| DeliveryError::Request(http::Error::from(error)))?;
        let mut request = Request::post(uri);
        for (name, value) in headers {
            let mut value = HeaderValue::from_str(value)
                .map_err(|error| DeliveryError::Request(http::Error::from(error)))?;
            // Some are credentials, and none is to be in anybody's log.
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let answer = self.fetch.fetch(request.body(body).map_err(DeliveryError::Request)?).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(DeliveryError::Status { host: self.host.clone(), status: answer.status() })
    }
}

/// A collector.
pub(super) struct Otlp {
    place: Place,
    header: Option<(String, Secret<String>)>,
    source: Arc<Source>,
}

impl Otlp {
    pub(super) fn new(
        url: &Url,
        ca_file: Option<&Path>,
        header: Option<(String, Secret<String>)>,
        source: Arc<Source>,
    ) -> Result<Self, SinkSetupError> {
        let mut url = url.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), otlp::PATH);
        url.set_path(&path);
        Ok(Self { place: Place::new(&url, ca_file)?, header, source })
    }

    pub(super) async fn deliver(&self, records: &[Record]) -> Result<(), DeliveryError> {
        let body = otlp::body(records, &self.source)?;
        let mut headers = vec![(CONTENT_TYPE.as_str(), otlp::CONTENT_TYPE)];
        if let Some((name, value)) = &self.header {
            headers.push((name, value.expose()));
        }
        let answer = self.place.post(&headers, body).await?;
        match otlp::rejected(answer.body()) {
            0 => Ok(()),
            rejected => Err(DeliveryError::Rejected { host: self.place.host.clone(), rejected }),
        }
    }
}

/// A web hook: one request for each entry, in the order of the log.
pub(super) struct Webhook {
    place: Place,
    key: WebhookKey,
    source: Arc<Source>,
    clock: Arc<dyn Clock>,
}

impl Webhook {
    pub(super) fn new(
        url: &Url,
        ca_file: Option<&Path>,
        key: WebhookKey,
        source: Arc<Source>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SinkSetupError> {
        Ok(Self { place: Place::new(url, ca_file)?, key, source, clock })
    }

    pub(super) async fn deliver(
        &self,
        records: &[Record],
        until: Instant,
        stopping: &CancellationToken,
    ) -> (usize, Option<DeliveryError>) {
        for (taken, record) in records.iter().enumerate() {
            // The first one is always tried, so that a slow receiver gets on.
            if taken > 0 && (Instant::now() >= until || stopping.is_cancelled()) {
                return (taken, None);
            }
            if let Err(error) = self.post(record).await {
                return (taken, Some(error));
            }
        }
        (records.len(), None)
    }

    async fn post(&self, record: &Record) -> Result<(), DeliveryError> {
        let body = cloudevents::body(record, &self.source)?;
        let id = record.event.id.to_string();
        let seconds = self.clock.now().micros().div_euclid(1_000_000);
        let (time, signature) = (seconds.to_string(), self.key.sign(&id, seconds, &body));
        let headers = [
            (CONTENT_TYPE.as_str(), cloudevents::CONTENT_TYPE),
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", time.as_str()),
            ("webhook-signature", signature.as_str()),
        ];
        self.place.post(&headers, body).await.map(drop)
    }
}
