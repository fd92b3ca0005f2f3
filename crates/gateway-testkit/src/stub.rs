//! A rack that does with each connection what a test says, byte for byte: for what no real rack does.

use std::future::Future;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tungstenite::handshake::derive_accept_key;

/// A rack made of one function. Dropping it stops it.
#[derive(Debug)]
pub struct StubRack {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl StubRack {
    /// Starts one that hands each request to `serve` once its head has come.
    pub async fn start<S, F>(serve: S) -> Self
    where
        S: Fn(StubConnection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Some(connection) = StubConnection::begin(stream).await {
                    tokio::spawn(serve(connection));
                }
            }
        });
        Self { addr, task }
    }

    /// Its address, for `RACK_HOST`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for StubRack {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection to a [`StubRack`].
#[derive(Debug)]
pub struct StubConnection {
    /// The head of its first request, as it came.
    pub head: String,
    /// What came after the head so far.
    pub rest: Vec<u8>,
    /// The connection.
    pub stream: TcpStream,
}

impl StubConnection {
    async fn begin(mut stream: TcpStream) -> Option<Self> {
        stream.set_nodelay(true).ok()?;
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                let head = String::from_utf8(bytes).ok()?;
                return Some(Self { head, rest, stream });
            }
            if stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (have, value) = line.split_once(':')?;
            have.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Opens the socket that was asked for.
    pub async fn switch(&mut self) {
        let key = self.header("sec-websocket-key").expect("a request for a socket");
        let reply = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        self.send(reply).await;
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have gone already; its side of the story is what the test looks at.
        let _gone = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads until the gateway closes.
    pub async fn until_closed(&mut self) {
        while self.stream.read_buf(&mut self.rest).await.is_ok_and(|count| count > 0) {}
    }
}
