//! What the tests of services share: instances that record byte for byte what reached them, and clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gateway_testkit::raw::Reply;
use gateway_testkit::{RawClient, TestGateway};
use gateway_types::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request that reached an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// Which connection it came over, counted from 0.
    pub(crate) connection: usize,
    /// Its head, as it came.
    pub(crate) head: String,
    /// Its body, without framing.
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// Every value of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// Method and target.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1")
    }
}

/// What an instance does with a request.
pub(crate) enum Answer {
    /// These bytes, and the connection goes on.
    Keep(Vec<u8>),
    /// These bytes, and the connection ends.
    Close(Vec<u8>),
    /// Nothing, and the connection stays open.
    Hang,
}

/// A complete reply.
pub(crate) fn reply(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Keep(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into_bytes())
}

/// An instance of a service. Dropping it kills it, with its connections.
pub(crate) struct Instance {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Instance {
    /// One that answers each request as `answer` says.
    pub(crate) async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, answer)
    }

    /// The same, at an address that was bound before.
    pub(crate) fn on(
        listener: TcpListener,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let addr = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, answer) = (seen.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            let count = AtomicUsize::new(0);
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let connection = count.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(stream, connection, log.clone(), answer.clone()));
            }
        });
        Self { addr, seen, task }
    }

    /// One that answers 200 with `text`.
    pub(crate) async fn saying(text: &'static str) -> Self {
        Self::start(move |_| reply("200 OK", "", text)).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Everything that reached it.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request that reached it.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    log: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<impl Fn(&Seen) -> Answer + Send + Sync + 'static>,
) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some(seen) = read(&mut stream, &mut buffer, connection).await {
        log.lock().unwrap().push(seen.clone());
        match answer(&seen) {
            Answer::Keep(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Answer::Close(bytes) => {
                let _gone = stream.write_all(&bytes).await;
                return;
            }
            Answer::Hang => {
                while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {}
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> Option<Seen> {
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            break String::from_utf8(std::mem::replace(buffer, rest)).unwrap();
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let mut seen = Seen { connection, head, body: Vec::new() };
    if seen.header("transfer-encoding").is_some() {
        while !buffer.ends_with(b"0\r\n\r\n") {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        seen.body = std::mem::take(buffer);
    } else if let Some(length) = seen.header("content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        seen.body = buffer.drain(..length).collect();
    }
    Some(seen)
}

/// A gateway in front of the service `wiki` at `wiki.example.com`; `more` is further lines of its declaration.
pub(crate) async fn gateway(upstreams: &[String], more: &str) -> TestGateway {
    TestGateway::builder().file(&wiki(upstreams, more)).start().await
}

/// The declaration of that service.
pub(crate) fn wiki(upstreams: &[String], more: &str) -> String {
    let listed: Vec<String> = upstreams
        .iter()
        .map(|upstream| match upstream.starts_with('{') {
            true => upstream.clone(),
            false => format!("{{ url = \"{upstream}\" }}"),
        })
        .collect();
    format!(
        "[[service]]\nname = \"wiki\"\nhosts = [\"wiki.example.com\"]\nupstreams = [{}]\n{more}\n",
        listed.join(", ")
    )
}

/// A request as an admin's token sends it, with these further header lines.
pub(crate) async fn ask(
    gateway: &TestGateway,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> Reply {
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(request(gateway, method, target, headers, body)).await;
    client.reply_to(method).await.expect("a reply")
}

/// The bytes of that request.
pub(crate) fn request(
    gateway: &TestGateway,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> String {
    let token = gateway.token(Role::Admin);
    let length = match body.is_empty() {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    format!(
        "{method} {target} HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Bearer {token}\r\n{headers}{length}\r\n{body}"
    )
}

/// GET without more.
pub(crate) async fn get(gateway: &TestGateway, target: &str) -> Reply {
    ask(gateway, "GET", target, "", "").await
}
