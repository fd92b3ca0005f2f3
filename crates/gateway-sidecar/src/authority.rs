//! One request to the gateway, as the zone's authority: over TLS with the gateway's exact id, a connection each, since
//! what is asked is little and the leaf that is shown changes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_pki::TrustDomain;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a request may take in all.
const LIMIT: Duration = Duration::from_secs(15);

/// The largest reply, in bytes.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Why the authority could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No connection.
    #[error("the gateway cannot be reached, or is not who it should be")]
    Connect(#[source] std::io::Error),
    /// The exchange broke off.
    #[error("the exchange with the gateway broke off")]
    Exchange(#[from] hyper::Error),
    /// The reply is too large or broke off.
    #[error("the reply of the gateway cannot be read")]
    Body,
    /// The gateway took too long.
    #[error("the gateway did not answer in time")]
    TooSlow,
    /// The gateway said no.
    #[error("the gateway refused ({status}): {detail}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its reason.
        detail: String,
    },
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    /// The reply is not what was asked for.
    #[error("the reply of the gateway is not what was asked for")]
    Reply,
}

/// Where the authority is.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// Host and port of the gateway.
    pub(crate) address: String,
    pub(crate) domain: TrustDomain,
}

impl Authority {
    pub(crate) async fn ask(
        &self,
        settings: ClientConfig,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Bytes, AskError> {
        timeout(LIMIT, self.exchange(settings, method, path, body))
            .await
            .map_err(|_late| AskError::TooSlow)?
    }

    async fn exchange(
        &self,
        mut settings: ClientConfig,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Bytes, AskError> {
        settings.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = self.domain.gateway().dns_name();
        let server = ServerName::try_from(name.clone()).map_err(|_bad| AskError::Reply)?;
        let tcp = TcpStream::connect(&self.address).await.map_err(AskError::Connect)?;
        let tls = TlsConnector::from(Arc::new(settings)).connect(server, tcp).await;
        let tls = tls.map_err(AskError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        let driving = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, name)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
        driving.abort();
        let body = body.map_err(|_large_or_broken| AskError::Body)?.to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail = problem.get("detail").and_then(|detail| detail.as_str()).unwrap_or("no reason");
        let detail = detail.chars().filter(|c| !c.is_control()).take(300).collect();
        Err(AskError::Refused { status: status.as_u16(), detail })
    }
}
