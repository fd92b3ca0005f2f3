//! The port of this machine where the browser comes back to (RFC 8252, section 7.3).
//!
//! # Security
//! Anybody on this machine, and any page in its browsers, can connect. A connection counts only when it
//! names this very port as its host (so no foreign name leads here), asks for `/callback`, and shows the
//! state that only the person's browser was told. Everything else gets a page that says so, and the wait
//! goes on. The first that counts is the only one: then the port is closed.

mod request;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gateway_client::sign_in::SignInError;
use gateway_types::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::page::Page;

use request::{Judged, judge};

/// How long a connection may take to say what it wants.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a browser may take to read the last page.
const LAST_LIMIT: Duration = Duration::from_secs(2);
/// The largest head of a request, in bytes.
const MOST_HEAD_BYTES: usize = 16 * 1024;
/// Connections that are looked at at once; browsers open a few without saying anything.
const MOST_CONNECTIONS: usize = 32;

/// The port, bound.
#[derive(Debug)]
pub(super) struct Loopback {
    listener: TcpListener,
    address: SocketAddr,
}

/// What the end of the sign-in must show.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// What only the person's browser was told.
    pub(super) state: String,
    /// The gateway that the browser was sent to (RFC 9207).
    pub(super) issuer: String,
}

/// The end of the sign-in: a one-use code, and a browser that waits to hear what became of it.
#[derive(Debug)]
pub(super) struct Callback {
    code: Secret<String>,
    browser: TcpStream,
}

impl Loopback {
    /// Takes any free port of 127.0.0.1.
    pub(super) async fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where the browser is to come back to.
    pub(super) fn redirect_uri(&self) -> String {
        format!("http://{}/callback", self.address)
    }

    /// Waits for the end of the sign-in.
    ///
    /// # Errors
    /// When the gateway says no.
    pub(super) async fn callback(self, expected: Expected) -> Result<Callback, SignInError> {
        let host = self.address.to_string();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => {
                    if let Ok((socket, _)) = accepted {
                        connections.spawn(attend(socket, host.clone(), expected.clone()));
                    }
                }
                Some(attended) = connections.join_next() => {
                    if let Ok(Some(end)) = attended {
                        return end;
                    }
                }
            }
        }
    }
}

/// Hears one connection out; `None` when it is not the end of the sign-in.
async fn attend(
    mut socket: TcpStream,
    host: String,
    expected: Expected,
) -> Option<Result<Callback, SignInError>> {
    let head = timeout(HEAD_LIMIT, head(&mut socket)).await.ok()??;
    match judge(&head, &host, &expected) {
        Judged::Code(code) => Some(Ok(Callback { code, browser: socket })),
        Judged::Denied(error) => {
            finish(&mut socket, Page::Failed).await;
            Some(Err(error))
        }
        Judged::Other(page) => {
            finish(&mut socket, page).await;
            None
        }
    }
}

/// The head of a request, up to and with the empty line; `None` when there is none.
async fn head(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut piece = [0u8; 2048];
    loop {
        let read = socket.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(piece.get(..read)?);
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Some(head);
        }
        if head.len() > MOST_HEAD_BYTES {
            return None;
        }
    }
}

/// Whether the page arrives is the browser's business.
async fn finish(socket: &mut TcpStream, page: Page) {
    let said = async {
        socket.write_all(page.reply().as_bytes()).await?;
        socket.shutdown().await
    };
    let _ = timeout(LAST_LIMIT, said).await;
}

impl Callback {
    /// The one-use code.
    pub(super) const fn code(&self) -> &Secret<String> {
        &self.code
    }

    /// Tells the browser that all is well.
    pub(super) async fn signed_in(mut self) {
        finish(&mut self.browser, Page::SignedIn).await;
    }

    /// Tells the browser that it is not.
    pub(super) async fn failed(mut self) {
        finish(&mut self.browser, Page::Failed).await;
    }
}
