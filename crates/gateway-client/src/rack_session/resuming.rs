//! The client's part of a session that survives its connections: it tries to get another one for as long as the gateway
//! keeps the session.

use std::sync::Arc;

use gateway_tunnel::{Carried, Link, LinkStream, NATIVE_PROTOCOL, Opening, Side, Welcome};
use gateway_types::{OsEntropy, ProblemKind};
use http::header::{HeaderName, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::client::Client;
use crate::error::{BadReply, ClientError};
use crate::transport::Call;

const TOKEN: HeaderName = HeaderName::from_static("rack-gateway-resume");
const RECEIVED: HeaderName = HeaderName::from_static("rack-gateway-received");

/// Between two attempts, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long the gateway has to hear that the session is over.
const FAREWELL: Duration = Duration::from_secs(2);

/// What becomes of the connection of a session, for whoever sits there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionNews {
    /// It was lost; another one is tried for, this long.
    Lost {
        /// How long.
        patience: Duration,
    },
    /// The session goes on over another one.
    Resumed,
    /// The session is lost, in a sentence.
    GaveUp {
        /// Why.
        reason: String,
    },
}

/// A session that survives its connections.
#[derive(Debug)]
pub(super) struct Resuming {
    pub(super) stream: LinkStream,
    pub(super) carrier: Carrier,
}

/// What carries it.
#[derive(Debug)]
pub(super) struct Carrier(JoinHandle<()>);

impl Carrier {
    /// Lets the gateway know that the session is over here. Its stream is gone already.
    pub(super) async fn finish(mut self) {
        if timeout(FAREWELL, &mut self.0).await.is_err() {
            self.0.abort();
        }
    }
}

impl Resuming {
    /// Over `first`, the connection that the session began with.
    pub(super) fn begin(client: Client, first: reqwest::Upgraded, news: mpsc::Sender<SessionNews>) -> Self {
        let (link, stream) = Link::new();
        let carrier = Carrier(tokio::spawn(async move {
            if let Err(reason) = carry(&client, &link, first, &news).await {
                // Nobody may be interested any more.
                let _gone = news.send(SessionNews::GaveUp { reason }).await;
                link.give_up();
            }
        }));
        Self { stream, carrier }
    }
}

/// Carries the session until it is over; `Err` says why it was lost.
async fn carry(
    client: &Client,
    link: &Link,
    first: reqwest::Upgraded,
    news: &mpsc::Sender<SessionNews>,
) -> Result<(), String> {
    let (tell, mut told) = mpsc::channel(1);
    let mut known: Option<Welcome> = None;
    let mut socket = first;
    loop {
        let side = Side::Client(Arc::new(OsEntropy));
        let carrying = link.carry(socket, side, 0, Opening::Client(&tell));
        tokio::pin!(carrying);
        let carried = loop {
            tokio::select! {
                biased;
                Some(welcome) = told.recv() => {
                    if known.replace(welcome).is_some() {
                        let _gone = news.send(SessionNews::Resumed).await;
                    }
                }
                carried = &mut carrying => break carried,
            }
        };
        match carried {
            Carried::Finished | Carried::Over => return Ok(()),
            Carried::Lost if link.peer_has_ended() => return Ok(()),
            Carried::Lost => {}
            Carried::Broke(fault) => return Err(format!("the gateway broke the session: {fault}")),
        }
        // What was said just before the connection broke.
        if let Ok(welcome) = told.try_recv() {
            known = Some(welcome);
        }
        let Some(welcome) = &known else {
            return Err("the connection to the gateway was lost as the session began".to_owned());
        };
        let patience = Duration::from_secs(u64::from(welcome.patience_seconds));
        let _gone = news.send(SessionNews::Lost { patience }).await;
        socket = again(client, link, welcome, Instant::now() + patience).await?;
    }
}

/// Another connection.
async fn again(
    client: &Client,
    link: &Link,
    welcome: &Welcome,
    until: Instant,
) -> Result<reqwest::Upgraded, String> {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match client.resume(welcome, link.received()).await {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        if !is_passing(&error) {
            return Err(error.to_string());
        }
        if Instant::now() >= until {
            return Err(format!("the gateway could not be reached again in time: {error}"));
        }
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Whether another attempt may go better.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => !error.is_untrusted(),
        ClientError::BadReply { what, .. } => match what {
            // A balancer whose gateway is being restarted.
            BadReply::Status { status } => matches!(status, 502..=504),
            BadReply::Cut => true,
            BadReply::Redirect
            | BadReply::TooLarge { .. }
            | BadReply::NotTheDocument { .. }
            | BadReply::NoTunnel => false,
        },
        ClientError::Refused { refusal } => match refusal.kind() {
            Some(
                ProblemKind::UpstreamUnreachable
                | ProblemKind::UpstreamTimeout
                | ProblemKind::TooManyRequests
                | ProblemKind::CannotRecord
                | ProblemKind::Draining,
            ) => true,
            _ => matches!(refusal.status, 500 | 502..=504),
        },
        ClientError::NotSignedIn { .. }
        | ClientError::Rack { .. }
        | ClientError::BadName(_)
        | ClientError::StepUp { .. }
        | ClientError::Tls(_)
        | ClientError::Setup(_)
        | ClientError::BadHeader(_)
        | ClientError::Encode(_)
        | ClientError::Write(_) => false,
    }
}

impl Client {
    /// Another connection for a session.
    async fn resume(&self, welcome: &Welcome, received: u64) -> Result<reqwest::Upgraded, ClientError> {
        let url = self.address().api(&["me", "live", &welcome.session, "resume"]);
        let mut headers = HeaderMap::new();
        let mut token = HeaderValue::from_str(&welcome.token)
            .map_err(|_| ClientError::BadHeader("the token of the session"))?;
        token.set_sensitive(true);
        headers.insert(TOKEN, token);
        headers.insert(RECEIVED, HeaderValue::from(received));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(NATIVE_PROTOCOL));
        let response = self.upgrade(Call::new(Method::GET, url), headers).await?;
        self.upgraded(response).await
    }
}
