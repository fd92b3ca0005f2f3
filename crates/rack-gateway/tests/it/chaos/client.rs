//! One exchange for each connection, which may fail: what fails is a result here, and judged at the end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an exchange may take: longer than the gateway waits for a database that does not answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A whole reply.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    /// The values of a header; `name` in lower case.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }
}

/// Sends a request to a balancer or a provider, in HTTP/1.0: the end of the connection is the end of the reply.
///
/// # Errors
/// Says in words what broke: no connection, a reply that was cut off, or none in time.
pub(super) async fn exchange(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, String> {
    let mut request =
        format!("{method} {path} HTTP/1.0\r\nHost: {addr}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    let whole = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        std::io::Result::Ok(reply)
    };
    let reply = timeout(PATIENCE, whole).await.map_err(|_| "no reply in time".to_owned())?;
    parse(&reply.map_err(|error| error.to_string())?)
}

fn parse(reply: &[u8]) -> Result<Answer, String> {
    let reply = String::from_utf8_lossy(reply);
    let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(|| format!("a reply cut off: {reply:?}"))?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let answer = Answer { status: status.ok_or("no status")?, headers, body: body.to_owned() };
    let length: Option<usize> = answer.header("content-length").and_then(|length| length.parse().ok());
    match length {
        Some(length) if length != body.len() => Err(format!("{} of {length} bytes came", body.len())),
        _ => Ok(answer),
    }
}
