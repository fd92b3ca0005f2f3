//! Tunnels: bytes to a TCP service behind the gateway, over a WebSocket.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_tunnel::{Counters, End, Ending, Side, carry};
use gateway_types::{Entropy, OsEntropy};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method};
use tokio::io::{AsyncRead, AsyncWrite};
use tungstenite::handshake::derive_accept_key;

use crate::client::Client;
use crate::error::{BadReply, ClientError};
use crate::text::one_line;
use crate::transport::Call;

/// An open tunnel.
#[derive(Debug)]
pub struct Tunnel {
    socket: reqwest::Upgraded,
}

/// What became of a tunnel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Carried {
    /// Bytes to the service.
    pub sent_bytes: u64,
    /// Bytes from it.
    pub received_bytes: u64,
    /// Why it ended before both sides had finished; `None` when they had.
    pub reason: Option<String>,
}

impl Client {
    /// Opens a tunnel to the TCP service of this name.
    ///
    /// # Errors
    /// [`ClientError`]; the service itself may be away too, which the gateway tells as a refusal.
    pub async fn tunnel(&self, service: &str) -> Result<Tunnel, ClientError> {
        let mut random = [0; 16];
        OsEntropy.fill(&mut random);
        let key = STANDARD.encode(random);
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let value = HeaderValue::from_str(&key).map_err(|_| ClientError::BadHeader("the WebSocket key"))?;
        headers.insert(SEC_WEBSOCKET_KEY, value);
        let call = Call::new(Method::GET, self.address().api(&["services", service, "tunnel"]));
        let response = self.transport.switch(call, headers).await?;
        let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(self.transport.bad(BadReply::NoTunnel));
        }
        let socket = response.upgrade().await.map_err(|source| ClientError::Unreachable {
            gateway: self.address().to_string(),
            source: source.without_url(),
        })?;
        Ok(Tunnel { socket })
    }
}

impl Tunnel {
    /// Carries bytes between the tunnel and a local stream until both have ended, one breaks, or `stop` is ready.
    pub async fn carry<S>(self, local: S, stop: impl Future<Output = ()>) -> Carried
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let counters = Counters::default();
        let stop = async {
            stop.await;
            Ending { code: 1001, reason: "the client stops".to_owned() }
        };
        let end = carry(self.socket, local, Side::Client(Arc::new(OsEntropy)), &counters, stop).await;
        Carried {
            sent_bytes: counters.from_stream.load(Ordering::Relaxed),
            received_bytes: counters.to_stream.load(Ordering::Relaxed),
            reason: reason(end),
        }
    }
}

fn reason(end: End) -> Option<String> {
    match end {
        End::Finished | End::Closed { code: Some(1000), .. } => None,
        End::Closed { reason, .. } if !reason.is_empty() => Some(one_line(&reason)),
        End::Closed { code, .. } => Some(match code {
            Some(code) => format!("the gateway closed the tunnel with code {code}"),
            None => "the gateway closed the tunnel".to_owned(),
        }),
        End::Stopped(ending) => Some(ending.reason),
        End::SocketLost => Some("the connection to the gateway was lost".to_owned()),
        End::Silent { after } => Some(format!("nothing was heard of the gateway for {} s", after.as_secs())),
        End::SocketBroke(fault) => Some(format!("the gateway broke the tunnel: {fault}")),
        End::StreamBroke => Some("the local program broke the connection".to_owned()),
    }
}
