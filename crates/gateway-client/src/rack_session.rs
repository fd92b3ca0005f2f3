//! Sessions in the rack: commands in processes, consoles of resources, shells on instances, over the gateway's rack
//! paths. It opens them; what is said in one is [`converse`].

mod conversation;
mod listening;
mod resuming;

use std::future::Future;

use gateway_tunnel::NATIVE_PROTOCOL;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::{BadReply, ClientError};
use crate::handshake::Handshake;
use crate::transport::Call;

pub use conversation::{Conversation, converse};
use resuming::Resuming;
pub use resuming::SessionNews;

/// The rack's own operations, below the gateway's API.
pub(crate) const RACK: &str = "rack-proxy";

/// The sides of a terminal, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// How many fit beside each other.
    pub columns: u16,
    /// How many lines.
    pub rows: u16,
}

/// A session that is asked for.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    segments: Vec<String>,
    headers: HeaderMap,
}

/// Which command a process gets, and how.
#[derive(Clone, Copy, Debug)]
pub struct Execution<'a> {
    /// The app.
    pub app: &'a str,
    /// The process.
    pub process: &'a str,
    /// The command, as the rack splits it.
    pub command: &'a str,
    /// Whether the process's own entry point is put before it.
    pub with_entrypoint: bool,
    /// Whether somebody types: standard input is a terminal.
    pub is_typed: bool,
    /// What it is shown in, when that is a terminal.
    pub window: Option<Window>,
}

impl SessionRequest {
    /// A command in a process.
    ///
    /// # Errors
    /// When the command cannot stand in a header: it has a line break.
    pub fn exec(execution: &Execution<'_>) -> Result<Self, ClientError> {
        let Execution { app, process, command, with_entrypoint, is_typed, window } = *execution;
        let mut request = Self::to(&["apps", app, "processes", process, "exec"]);
        request.command(command)?;
        if with_entrypoint {
            request.says("entrypoint", HeaderValue::from_static("true"));
        }
        request.says("tty", HeaderValue::from_static(if is_typed { "true" } else { "false" }));
        request.window(window);
        Ok(request)
    }

    /// A resource's console.
    pub fn console(app: &str, resource: &str, window: Option<Window>) -> Self {
        let mut request = Self::to(&["apps", app, "resources", resource, "console"]);
        request.window(window);
        request
    }

    /// A shell on an instance, or one command there.
    ///
    /// # Errors
    /// When the command cannot stand in a header: it has a line break.
    pub fn shell(instance: &str, command: Option<&str>, window: Option<Window>) -> Result<Self, ClientError> {
        let mut request = Self::to(&["instances", instance, "shell"]);
        if let Some(command) = command {
            request.command(command)?;
        }
        request.window(window);
        Ok(request)
    }

    fn to(segments: &[&str]) -> Self {
        Self {
            segments: segments.iter().map(|&segment| segment.to_owned()).collect(),
            headers: HeaderMap::new(),
        }
    }

    fn command(&mut self, command: &str) -> Result<(), ClientError> {
        let value =
            HeaderValue::from_bytes(command.as_bytes()).map_err(|_| ClientError::BadHeader("the command"))?;
        self.says("command", value);
        Ok(())
    }

    fn window(&mut self, window: Option<Window>) {
        if let Some(Window { columns, rows }) = window {
            self.says("width", HeaderValue::from(columns));
            self.says("height", HeaderValue::from(rows));
        }
    }

    fn says(&mut self, name: &'static str, value: HeaderValue) {
        self.headers.insert(HeaderName::from_static(name), value);
    }
}

/// An open session.
#[derive(Debug)]
pub struct RackSession(Way);

/// How its bytes come and go: frames of a WebSocket.
#[derive(Debug)]
enum Way {
    /// Over one connection, with which it ends.
    Connection(reqwest::Upgraded),
    /// Over one after the other.
    Resuming(Resuming),
}

impl RackSession {
    /// Carries what is typed and shown until the session is over, see [`converse`], or until `stop` is ready: then the
    /// gateway hears that nobody comes back.
    ///
    /// # Errors
    /// What `stop` gave.
    pub async fn converse<S>(
        self,
        input: mpsc::Receiver<Vec<u8>>,
        output: mpsc::Sender<Vec<u8>>,
        stop: impl Future<Output = S>,
    ) -> Result<Conversation, S> {
        match self.0 {
            Way::Connection(socket) => tokio::select! {
                end = converse(socket, input, output) => Ok(end),
                stopped = stop => Err(stopped),
            },
            Way::Resuming(Resuming { stream, carrier }) => {
                let end = tokio::select! {
                    end = converse(stream, input, output) => Ok(end),
                    stopped = stop => Err(stopped),
                };
                carrier.finish().await;
                end
            }
        }
    }
}

impl Client {
    /// Opens a session in the rack. Where the gateway keeps it for a client that loses its connection, `news` says what
    /// becomes of that.
    ///
    /// # Errors
    /// [`ClientError`]: a refusal with its reason, also where the official client would be told in the session.
    pub async fn open_session(
        &self,
        request: &SessionRequest,
        news: mpsc::Sender<SessionNews>,
    ) -> Result<RackSession, ClientError> {
        let segments: Vec<&str> =
            std::iter::once(RACK).chain(request.segments.iter().map(String::as_str)).collect();
        let call = Call::new(Method::GET, self.address().api(&segments));
        let mut headers = request.headers.clone();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(NATIVE_PROTOCOL));
        let response = self.upgrade(call, headers).await?;
        let is_kept = response
            .headers()
            .get(SEC_WEBSOCKET_PROTOCOL)
            .is_some_and(|chosen| chosen.as_bytes() == NATIVE_PROTOCOL.as_bytes());
        let socket = self.upgraded(response).await?;
        Ok(RackSession(match is_kept {
            true => Way::Resuming(Resuming::begin(self.clone(), socket, news)),
            false => Way::Connection(socket),
        }))
    }

    /// Makes a request for a WebSocket, and sees that the answer is to this very request.
    pub(crate) async fn upgrade(
        &self,
        call: Call,
        mut headers: HeaderMap,
    ) -> Result<reqwest::Response, ClientError> {
        let handshake = Handshake::begin(&mut headers)?;
        let response = self.transport.switch(call, headers).await?;
        if !handshake.is_answered_by(response.headers()) {
            return Err(self.transport.bad(BadReply::NoTunnel));
        }
        Ok(response)
    }

    /// The socket behind an answer that opened one.
    pub(crate) async fn upgraded(
        &self,
        response: reqwest::Response,
    ) -> Result<reqwest::Upgraded, ClientError> {
        response.upgrade().await.map_err(|source| ClientError::Unreachable {
            gateway: self.address().to_string(),
            source: source.without_url(),
        })
    }
}
