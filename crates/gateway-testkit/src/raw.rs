//! A client that sends exactly the bytes it is given, and reads replies one by one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a reply may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A reply as it came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; the test fails when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

/// A connection to the gateway.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    buffer: Vec<u8>,
    host: String,
}

impl RawClient {
    /// Connects.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream, buffer: Vec::new(), host: addr.to_string() }
    }

    /// Connects from this loopback address, so that the gateway counts the client as a source of its own.
    pub async fn connect_from(source: Ipv4Addr, addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((source, 0))).expect("a loopback address");
        let stream = socket.connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream, buffer: Vec::new(), host: addr.to_string() }
    }

    /// The same, by another name for the gateway.
    #[must_use]
    pub fn named(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have refused and closed already; what it said is still read.
        let _refused_early = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends the end of the stream.
    pub async fn shutdown(&mut self) {
        let _refused_early = self.stream.shutdown().await;
    }

    /// Reads one reply; `None` when the gateway closed before one came.
    pub async fn reply(&mut self) -> Option<Reply> {
        self.reply_to("GET").await
    }

    /// Reads one reply to a request of `method`: one to HEAD has no body.
    pub async fn reply_to(&mut self, method: &str) -> Option<Reply> {
        timeout(PATIENCE, self.read_reply(method)).await.expect("a reply in time")
    }

    /// Reads the end of the stream: true when the gateway closed and sent nothing more.
    pub async fn is_closed(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        let mut byte = [0u8; 1];
        matches!(timeout(PATIENCE, self.stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }

    /// What was received beyond the last reply, and the stream itself.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// One whole exchange on this connection. `path` is below the rack proxy unless it begins with `!`.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let request = self.request(method, path, token, headers, body);
        self.send(&request).await;
        self.send(body).await;
        self.reply_to(method).await.expect("a reply")
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> String {
        let path = match path.strip_prefix('!') {
            Some(path) => path.to_owned(),
            None => format!("/api/v1/rack-proxy{path}"),
        };
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if !token.is_empty() {
            request.push_str(&format!("Authorization: {}\r\n", basic(token)));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" || method == "PUT" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request
    }

    async fn read_reply(&mut self, method: &str) -> Option<Reply> {
        let (status, headers, head_bytes) = loop {
            if let Some(head) = head(&self.buffer) {
                break head;
            }
            if !self.fill().await {
                return None;
            }
        };
        self.buffer.drain(..head_bytes);
        let mut reply = Reply { status, headers, body: Vec::new() };
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Some(reply);
        }
        if reply.header("transfer-encoding") == Some("chunked") {
            reply.body = self.chunked().await;
        } else if let Some(length) =
            reply.header("content-length").map(|text| text.parse().expect("a length"))
        {
            reply.body = self.exactly(length).await;
        } else {
            while self.fill().await {}
            reply.body = std::mem::take(&mut self.buffer);
        }
        Some(reply)
    }

    async fn fill(&mut self) -> bool {
        // Not into an array: it would be part of every future above this one, and overflow the stack of a test.
        self.buffer.reserve(64 * 1024);
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0)
    }

    async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill().await, "the body ended after {} of {count} bytes", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                return String::from_utf8(line).expect("a line of text");
            }
            assert!(self.fill().await, "the stream ended in a chunk");
        }
    }

    async fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line().await, 16).expect("a chunk size");
            body.extend(self.exactly(size).await);
            assert_eq!(self.line().await, "", "the end of a chunk");
            if size == 0 {
                return body;
            }
        }
    }
}

/// The Basic credential that the Convox client makes of `https://convox:TOKEN@HOST`.
pub fn basic(token: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("convox:{token}")))
}

type Head = (u16, Vec<(String, String)>, usize);

fn head(bytes: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes).expect("a well-formed reply") {
        httparse::Status::Partial => None,
        httparse::Status::Complete(count) => Some((
            response.code.expect("a status"),
            response
                .headers
                .iter()
                .map(|header| {
                    (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
                })
                .collect(),
            count,
        )),
    }
}
