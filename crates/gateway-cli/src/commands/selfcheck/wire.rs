//! Bytes to one host and the replies: one connection for each request. It knows nothing of what is tested.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway_client::{GatewayAddress, TlsOptions};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::http2::{self, Stream};
use crate::failure::{Exit, Failure};

/// HTTP/2 over TLS, as a handshake names it.
const HTTP2: &[u8] = b"h2";

/// How long one exchange may take.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(8);

/// How many requests a scan may send.
const MOST_REQUESTS: u32 = 120;

/// The largest reply that is read, in bytes.
const MOST_REPLY_BYTES: usize = 1024 * 1024;

/// The longest wait that a reply may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Pipe for S {}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// A reply.
    Reply(Reply),
    /// Bytes that are no reply of HTTP/1.1.
    Other(Vec<u8>),
    /// The connection was closed without a word, or never opened.
    Closed,
    /// Nothing, for as long as was waited.
    Silent,
}

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Our own end of the connection.
    pub(super) local: SocketAddr,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }
}

/// The way to the host under test: one address, looked up once.
pub(super) struct Wire {
    peer: SocketAddr,
    host: String,
    authority: String,
    prefix: String,
    tls: Option<Arc<ClientConfig>>,
    /// The same, for a connection that is to speak HTTP/2.
    http2_tls: Option<Arc<ClientConfig>>,
    sent: AtomicU32,
}

impl Wire {
    /// Looks the host up and picks an address that answers.
    ///
    /// # Errors
    /// When none does.
    pub(super) async fn to(address: &GatewayAddress, tls: &TlsOptions) -> Result<Self, Failure> {
        let url = address.url();
        let host = url.host_str().unwrap_or_default().trim_matches(|c| c == '[' || c == ']').to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let gone = || Failure::new(Exit::Unreachable, format!("{address} cannot be reached"));
        let mut peer = None;
        for candidate in lookup_host((host.as_str(), port)).await.map_err(|_| gone())? {
            if matches!(timeout(EXCHANGE_LIMIT, TcpStream::connect(candidate)).await, Ok(Ok(_))) {
                peer = Some(candidate);
                break;
            }
        }
        let speaking = |protocol: &[u8]| -> Result<_, Failure> {
            if url.scheme() != "https" {
                return Ok(None);
            }
            let mut configuration = tls.configuration()?;
            configuration.alpn_protocols = vec![protocol.to_vec()];
            Ok(Some(Arc::new(configuration)))
        };
        let (http1_tls, http2_tls) = (speaking(b"http/1.1")?, speaking(HTTP2)?);
        Ok(Self {
            peer: peer.ok_or_else(gone)?,
            authority: address.host(),
            prefix: url.path().trim_end_matches('/').to_owned(),
            host,
            tls: http1_tls,
            http2_tls,
            sent: AtomicU32::new(0),
        })
    }

    /// Host and port as they stand in `Host`.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// The path that the gateway stands behind; mostly empty.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether TLS is spoken.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The name for the handshake.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// How many requests were sent.
    pub(super) fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Sends a request and reads what comes back. When the gateway asks to wait, it is sent once more.
    pub(super) async fn exchange(&self, request: &[u8]) -> Answer {
        let answer = self.once(request).await;
        let wait = match &answer {
            Answer::Reply(reply) if reply.status == 429 => {
                reply.header("retry-after").map_or(Some(1), |text| text.parse().ok())
            }
            Answer::Reply(_) | Answer::Other(_) | Answer::Closed | Answer::Silent => None,
        };
        match wait {
            Some(seconds) => {
                sleep(Duration::from_secs(seconds).min(LONGEST_WAIT)).await;
                self.once(request).await
            }
            None => answer,
        }
    }

    async fn once(&self, request: &[u8]) -> Answer {
        if self.sent.fetch_add(1, Ordering::Relaxed) >= MOST_REQUESTS {
            return Answer::Silent;
        }
        timeout(EXCHANGE_LIMIT, async {
            let Ok(tcp) = TcpStream::connect(self.peer).await else { return Answer::Closed };
            let Ok(local) = tcp.local_addr() else { return Answer::Closed };
            match self.secured(tcp).await {
                Some(stream) => converse(stream, request, local).await,
                None => Answer::Closed,
            }
        })
        .await
        .unwrap_or(Answer::Silent)
    }

    /// Sends the first bytes of an HTTP/2 connection; what became of its first stream.
    pub(super) async fn stream(&self, request: &[u8]) -> Stream {
        if self.sent.fetch_add(1, Ordering::Relaxed) >= MOST_REQUESTS {
            return Stream::Silent;
        }
        timeout(EXCHANGE_LIMIT, async {
            let Ok(tcp) = TcpStream::connect(self.peer).await else { return Stream::Ended };
            let stream: Box<dyn Pipe> = match &self.http2_tls {
                None => Box::new(tcp),
                Some(configuration) => {
                    let Ok(name) = ServerName::try_from(self.host.clone()) else { return Stream::Foreign };
                    let connector = TlsConnector::from(Arc::clone(configuration));
                    // Who does not speak it ends the handshake, or goes on without a word (RFC 7301, section 3.2).
                    let Ok(secured) = connector.connect(name, tcp).await else { return Stream::Foreign };
                    if secured.get_ref().1.alpn_protocol() != Some(HTTP2) {
                        return Stream::Foreign;
                    }
                    Box::new(secured)
                }
            };
            listen(stream, request).await
        })
        .await
        .unwrap_or(Stream::Silent)
    }

    async fn secured(&self, tcp: TcpStream) -> Option<Box<dyn Pipe>> {
        match &self.tls {
            None => Some(Box::new(tcp)),
            Some(configuration) => {
                let name = ServerName::try_from(self.host.clone()).ok()?;
                let connector = TlsConnector::from(Arc::clone(configuration));
                Some(Box::new(connector.connect(name, tcp).await.ok()?))
            }
        }
    }

    /// Sends bytes below TLS, to this port or another of the same host; what comes first.
    pub(super) async fn plain(&self, port: Option<u16>, bytes: &[u8]) -> Answer {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let mut peer = self.peer;
        peer.set_port(port.unwrap_or(peer.port()));
        timeout(EXCHANGE_LIMIT, async {
            let Ok(tcp) = TcpStream::connect(peer).await else { return Answer::Closed };
            let Ok(local) = tcp.local_addr() else { return Answer::Closed };
            converse(Box::new(tcp), bytes, local).await
        })
        .await
        .unwrap_or(Answer::Silent)
    }
}

async fn listen(mut pipe: Box<dyn Pipe>, request: &[u8]) -> Stream {
    let _ = pipe.write_all(request).await;
    let _ = pipe.flush().await;
    let (mut bytes, mut has_answered) = (Vec::new(), false);
    loop {
        let read = pipe.read_buf(&mut bytes).await;
        let ended = !matches!(read, Ok(1..)) || bytes.len() > MOST_REPLY_BYTES;
        if let Some(outcome) = http2::outcome(&bytes, ended) {
            return outcome;
        }
        if !has_answered && http2::has_settings(&bytes) {
            has_answered = true;
            let _ = pipe.write_all(&http2::SETTINGS_SEEN).await;
            let _ = pipe.flush().await;
        }
    }
}

async fn converse(mut stream: Box<dyn Pipe>, request: &[u8], local: SocketAddr) -> Answer {
    // Whoever refuses early may have closed already; what it said is still read.
    let _ = stream.write_all(request).await;
    let _ = stream.flush().await;
    let mut bytes = Vec::new();
    loop {
        let read = stream.read_buf(&mut bytes).await;
        let ended = !matches!(read, Ok(1..)) || bytes.len() > MOST_REPLY_BYTES;
        match parse(&bytes, ended, local) {
            Some(reply) => return Answer::Reply(reply),
            None if ended && bytes.is_empty() => return Answer::Closed,
            None if ended => return Answer::Other(bytes),
            None if !b"HTTP".starts_with(bytes.get(..4).unwrap_or(&bytes)) => {
                return Answer::Other(bytes);
            }
            None => {}
        }
    }
}

/// The reply that `bytes` hold, when it is complete or the connection has ended.
fn parse(bytes: &[u8], ended: bool, local: SocketAddr) -> Option<Reply> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(bytes) else { return None };
    let reply = Reply {
        status: response.code?,
        headers: response
            .headers
            .iter()
            .map(|header| {
                (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned())
            })
            .collect(),
        body: bytes.get(head..).unwrap_or_default().to_vec(),
        local,
    };
    let length = reply.header("content-length").and_then(|text| text.parse::<usize>().ok());
    let chunked =
        reply.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let whole = match (reply.status, length) {
        (101 | 204 | 304, _) => true,
        _ if chunked => reply.body.ends_with(b"0\r\n\r\n"),
        (_, Some(length)) => reply.body.len() >= length,
        (_, None) => false,
    };
    let body = if chunked { dechunked(&reply.body) } else { reply.body.clone() };
    (whole || ended).then_some(Reply { body, ..reply })
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let size = std::str::from_utf8(rest.get(..end).unwrap_or_default())
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok())
            .unwrap_or(0);
        let begin = end + 2;
        let Some(chunk) = rest.get(begin..begin.saturating_add(size)) else { break };
        if size == 0 {
            break;
        }
        body.extend_from_slice(chunk);
        rest = rest.get(begin + size + 2..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_they_are_framed() {
        let local = SocketAddr::from(([127, 0, 0, 1], 1));
        let check = |text: &str, ended: bool, expected: Option<(u16, &str)>| {
            let found = parse(text.as_bytes(), ended, local);
            let found = found.map(|reply| (reply.status, String::from_utf8(reply.body).unwrap()));
            assert_eq!(found, expected.map(|(status, body)| (status, body.to_owned())), "{text:?}");
        };
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false, Some((200, "ok")));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false, None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", true, Some((200, "ok")));
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
            false,
            Some((200, "ok!")),
        );
        check("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, Some((101, "")));
        check("HTTP/1.1 200 OK\r\n\r\nto the end", true, Some((200, "to the end")));
        check("\x15\x03\x01", true, None);
    }
}
