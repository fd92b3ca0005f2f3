//! A gateway of the tests: answers each connection with the next of some texts, and keeps what it was sent.

use gateway_client::GatewayAddress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(super) struct Stub {
    pub(super) address: GatewayAddress,
    seen: JoinHandle<Vec<String>>,
}

impl Stub {
    pub(super) async fn answering(answers: Vec<String>) -> Self {
        Self::answering_with(|_| answers).await
    }

    /// The same, for answers that name the gateway's own address.
    pub(super) async fn answering_with(answers: impl FnOnce(&str) -> Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers(&address);
        let seen = tokio::spawn(async move {
            let mut seen = Vec::new();
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                seen.push(request(&mut socket).await);
                socket.write_all(answer.as_bytes()).await.unwrap();
                socket.shutdown().await.unwrap();
            }
            seen
        });
        Self { address: address.parse().unwrap(), seen }
    }

    /// What came, once all answers are given.
    pub(super) async fn seen(self) -> Vec<String> {
        self.seen.await.unwrap()
    }

    /// The same address once nobody listens there any more.
    pub(super) async fn gone(self) -> Self {
        let Self { address, seen } = self;
        seen.await.unwrap();
        Self { address, seen: tokio::spawn(async { Vec::new() }) }
    }
}

async fn request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0u8; 4096];
        let read = socket.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert_ne!(read, 0, "the request broke off: {text}");
            continue;
        };
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap()));
        if body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

pub(super) fn answer(status: &str, media: &str, extra: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media}\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n{body}",
        body.len()
    )
}

pub(super) fn good(body: &str) -> String {
    answer("200 OK", "application/json", "", body)
}

pub(super) fn problem(status: &str, kind: &str, remedy: &str) -> String {
    let body = format!(
        r#"{{"type":"/problems/{kind}","title":"t","status":400,"detail":"no\u001b, because","instance":"0199","layer":"mfa",
        "remedies":[{{"kind":"{remedy}","url":"https://g.example.com/step-up/1"}}]}}"#
    );
    answer(status, "application/problem+json", "", &body)
}
