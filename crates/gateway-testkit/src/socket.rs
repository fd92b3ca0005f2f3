//! A WebSocket client that sends and receives single frames, as the Convox client does.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_framing::websocket::{FrameScanner, Opcode, Piece, Sender, encode_client_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw::{RawClient, Reply, basic};

const PATIENCE: Duration = Duration::from_secs(20);

/// A frame that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its kind.
    pub opcode: Opcode,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    scanner: FrameScanner,
}

impl Socket {
    /// Opens a socket below the rack proxy as the Convox client does; the reply when it is not opened.
    pub async fn open(
        addr: SocketAddr,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
    ) -> Result<Self, Reply> {
        Self::open_and_reply(addr, path, token, headers).await.map(|(socket, _)| socket)
    }

    /// The same, with the reply that opened it.
    pub async fn open_and_reply(
        addr: SocketAddr,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Self, Reply), Reply> {
        let (path, credential) = (format!("/api/v1/rack-proxy{path}"), basic(token));
        let origin = format!("http://{addr}");
        let of_client = [
            ("User-Agent", "convox.go/dev"),
            ("Authorization", credential.as_str()),
            ("Origin", origin.as_str()),
            ("Version", "dev"),
        ];
        let headers: Vec<(&str, &str)> = of_client.iter().chain(headers).copied().collect();
        Self::open_at(addr, &path, &headers).await
    }

    /// Opens a socket at this path, with these headers and no others but those of the handshake.
    pub async fn open_at(
        addr: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Self, Reply), Reply> {
        let mut client = RawClient::connect(addr).await;
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\nSec-WebSocket-Version: 13\r\n"
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        client.send(&request).await;
        let reply = client.reply().await.expect("a reply");
        if reply.status != 101 {
            return Err(reply);
        }
        assert_eq!(reply.header("sec-websocket-accept"), Some("34A8oBikP4xbixRWRZm/FuZaHZA="));
        Ok((Self::from(client), reply))
    }

    /// Sends one frame.
    pub async fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.send_raw(&encode_client_frame(opcode, payload, [1, 2, 3, 4])).await;
    }

    /// Sends one frame, unless the other end has gone: whether it was sent.
    pub async fn offer(&mut self, opcode: Opcode, payload: &[u8]) -> bool {
        let frame = encode_client_frame(opcode, payload, [1, 2, 3, 4]);
        self.stream.write_all(&frame).await.is_ok()
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("a socket that is open");
    }

    /// The next frame; `None` when the gateway closed.
    pub async fn frame(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.next()).await.expect("a frame in time")
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.whole_frame() {
                return Some(frame);
            }
            self.buffer.reserve(64 * 1024);
            if !self.stream.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0) {
                return None;
            }
        }
    }

    /// Takes the first frame out of what came, when it is complete.
    fn whole_frame(&mut self) -> Option<Frame> {
        // One byte more at a time would be slow for large frames; so the size is taken from the head.
        let size = frame_size(&self.buffer)?;
        let whole = self.buffer.get(..size)?;
        let mut frame = None;
        let take = |piece: Piece<'_>| match piece {
            Piece::Head(head) => frame = Some(Frame { opcode: head.opcode, payload: Vec::new() }),
            Piece::Payload(payload) => {
                if let Some(frame) = &mut frame {
                    frame.payload.extend_from_slice(payload);
                }
            }
            Piece::End => {}
        };
        self.scanner.advance(whole, take).expect("a well-formed frame");
        self.buffer.drain(..size);
        frame
    }

    /// All frames up to and with the empty BINARY one that ends a Convox socket, or to the close.
    pub async fn until_end(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            let last = frame.opcode == Opcode::Binary && frame.payload.is_empty();
            frames.push(frame);
            if last {
                break;
            }
        }
        frames
    }
}

impl From<RawClient> for Socket {
    /// The socket that a request opened, after its 101.
    fn from(client: RawClient) -> Self {
        let (stream, buffer) = client.into_parts();
        Self { stream, buffer, scanner: FrameScanner::new(Sender::Server, u64::MAX >> 1) }
    }
}

fn frame_size(bytes: &[u8]) -> Option<usize> {
    let short = usize::from(bytes.get(1)? & 0x7f);
    match short {
        126 => Some(4 + usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => Some(10 + usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => Some(2 + short),
    }
}
