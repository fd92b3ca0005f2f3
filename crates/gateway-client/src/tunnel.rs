//! Tunnels: bytes to a TCP service behind the gateway, over a WebSocket.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway_tunnel::{Counters, End, Ending, Side, carry};
use gateway_types::OsEntropy;
use http::{HeaderMap, Method};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::Client;
use crate::error::ClientError;
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
        let call = Call::new(Method::GET, self.address().api(&["services", service, "tunnel"]));
        let response = self.upgrade(call, HeaderMap::new()).await?;
        let socket = self.upgraded(response).await?;
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
