//! HTTP/2 as frames of one's own: a client that may break every rule, and one that keeps them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gateway_framing::http2::PREFACE;
use gateway_testkit::raw::basic;
use http::{HeaderMap, Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A head as HPACK writes it without any table and without Huffman (RFC 7541, section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<(Vec<u8>, Vec<u8>)> =
        fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
    field_block(&fields)
}

/// The same of any bytes.
pub(crate) fn field_block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    // An integer with a prefix of seven bits (RFC 7541, section 5.1).
    match u8::try_from(text.len()) {
        Ok(short) if short < 127 => bytes.push(short),
        _ => {
            bytes.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        }
    }
    bytes.extend_from_slice(text);
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

/// A client that sends the frames it is told to.
pub(crate) struct FrameClient {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub(crate) async fn tcp(source: Ipv4Addr, addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    let stream = socket.connect(addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl FrameClient {
    /// Connects from this loopback address, with the preface and these settings.
    pub(crate) async fn connect(source: Ipv4Addr, addr: SocketAddr, settings: &[u8]) -> Self {
        let mut client = Self { stream: tcp(source, addr).await, buffer: Vec::new() };
        client.send(PREFACE).await;
        client.send(&frame(SETTINGS, 0, 0, settings)).await;
        client
    }

    /// Sends bytes; false once the gateway has closed.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.stream.write_all(bytes)).await.unwrap(), Ok(()))
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        timeout(PATIENCE, async {
            loop {
                if let Some(head) = self.buffer.first_chunk::<9>() {
                    let length =
                        usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                    let (kind, flags) = (head[3], head[4]);
                    if self.buffer.len() >= 9 + length {
                        let payload = self.buffer.drain(..9 + length).skip(9).collect();
                        return Some(Came { kind, flags, payload });
                    }
                }
                self.buffer.reserve(64 * 1024);
                if !self.stream.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0) {
                    return None;
                }
            }
        })
        .await
        .expect("an answer in time")
    }

    /// The next frame of one of these kinds; `None` at the end of the connection.
    pub(crate) async fn until(&mut self, kinds: &[u8]) -> Option<Came> {
        loop {
            let came = self.next().await?;
            if kinds.contains(&came.kind) {
                return Some(came);
            }
        }
    }
}

/// A reply over HTTP/2.
#[derive(Debug)]
pub(crate) struct H2Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl H2Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A client that keeps the rules.
pub(crate) struct H2Client {
    pub(crate) sender: h2::client::SendRequest<hyper::body::Bytes>,
    addr: SocketAddr,
    pub(crate) connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl H2Client {
    pub(crate) async fn connect(source: Ipv4Addr, addr: SocketAddr) -> Self {
        let (sender, connection) = h2::client::handshake(tcp(source, addr).await).await.unwrap();
        Self { sender, addr, connection: tokio::spawn(connection) }
    }

    /// A request below the rack proxy (`!` in front: anywhere).
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &BTreeMap<&'static str, String>,
    ) -> Request<()> {
        let path = match path.strip_prefix('!') {
            Some(path) => path.to_owned(),
            None => format!("/api/v1/rack-proxy{path}"),
        };
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("http://{}{path}", self.addr));
        if !token.is_empty() {
            request = request.header("authorization", basic(token));
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.body(()).unwrap()
    }

    /// One whole exchange.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) -> Result<H2Reply, h2::Error> {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let request = self.request(method, path, token, &headers);
        self.exchange(request, body).await
    }

    pub(crate) async fn exchange(&mut self, request: Request<()>, body: &[u8]) -> Result<H2Reply, h2::Error> {
        let asking = async {
            let mut sender = self.sender.clone().ready().await?;
            let (response, mut upload) = sender.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                upload.send_data(hyper::body::Bytes::copy_from_slice(body), true)?;
            }
            let (head, mut download) = response.await?.into_parts();
            let mut body = Vec::new();
            while let Some(piece) = download.data().await {
                let piece = piece?;
                download.flow_control().release_capacity(piece.len())?;
                body.extend_from_slice(&piece);
            }
            Ok(H2Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        timeout(PATIENCE, asking).await.expect("a reply in time")
    }
}
