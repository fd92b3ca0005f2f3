//! A client that sends what it is told, byte for byte.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::wire::frame::{BINARY, Frame, TEXT, write_frame};
use crate::wire::{Head, HeadKind, Length, Wire};

pub(super) const AUTH: &str = "Authorization: Basic Y29udm94OnNlY3JldA==\r\n";

/// One connection.
pub(super) struct Client {
    pub(super) wire: Wire<OwnedReadHalf>,
    pub(super) writer: OwnedWriteHalf,
}

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        let (reader, writer) = TcpStream::connect(addr).await.unwrap().into_split();
        Self { wire: Wire::new(reader), writer }
    }

    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(super) async fn head(&mut self) -> io::Result<Head> {
        self.wire.head(HeadKind::Answer).await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The next answer: its head and its body.
    pub(super) async fn answer(&mut self) -> io::Result<(Head, Vec<u8>)> {
        let head = self.head().await?;
        let mut body = Vec::new();
        self.wire.body(head.length(Length::UntilClose)?, |piece| body.extend_from_slice(piece)).await?;
        Ok((head, body))
    }

    /// Sends a request with the rack's credential and gives status and body.
    pub(super) async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: rack\r\n{AUTH}Content-Length: {length}\r\n{headers}\r\n"
        );
        self.send(format!("{head}{body}")).await;
        let (head, body) = self.answer().await.unwrap();
        (head.second.parse().unwrap(), String::from_utf8_lossy(&body).into_owned())
    }
}

/// One request on its own connection.
pub(super) async fn ask(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    Client::connect(addr).await.ask(method, target, headers, body).await
}

/// One form.
pub(super) async fn form(addr: SocketAddr, method: &str, target: &str, body: &str) -> (u16, String) {
    ask(addr, method, target, "Content-Type: application/x-www-form-urlencoded\r\n", body).await
}

/// Opens a socket; the head of the answer is given, whatever it is.
pub(super) async fn open(addr: SocketAddr, target: &str, headers: &str) -> (Client, Head) {
    let mut client = Client::connect(addr).await;
    client
        .send(format!(
            "GET {target} HTTP/1.1\r\nHost: rack\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        ))
        .await;
    let head = client.head().await.unwrap();
    (client, head)
}

/// Sends these inputs and the end of input, and gives all text up to the rack's end, frames split by `|`.
pub(super) async fn talk(addr: SocketAddr, target: &str, headers: &str, inputs: &[&str]) -> String {
    let (mut client, head) = open(addr, target, &format!("{AUTH}{headers}")).await;
    assert_eq!(head.second, "101");
    for input in inputs {
        write_frame(&mut client.writer, &Frame::text(*input).with_mask(true)).await.unwrap();
    }
    write_frame(&mut client.writer, &Frame::end().with_mask(true)).await.unwrap();
    said(&mut client).await
}

/// All text up to the rack's end, frames split by `|`; `✂` where the connection was cut instead.
pub(super) async fn said(client: &mut Client) -> String {
    let mut frames = Vec::new();
    loop {
        match client.wire.frame().await {
            Ok(Some(frame)) if frame.opcode == BINARY => return frames.join("|"),
            Ok(Some(frame)) if frame.opcode == TEXT && frame.fin => {
                frames.push(frame.payload.escape_ascii().to_string());
            }
            Ok(Some(frame)) => frames.push(format!("<{}:{}>", frame.opcode, frame.payload.escape_ascii())),
            Ok(None) | Err(_) => {
                frames.push("✂".to_owned());
                return frames.join("|");
            }
        }
    }
}
