//! Sockets of the rack: text frames carry any bytes, an empty binary frame is the end of one side's (API notes 2.3).

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BytesMut};
use gateway_framing::websocket::{FrameScanner, Opcode, Piece, Sender, encode_client_frame};
use gateway_types::{Entropy as _, OsEntropy};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tungstenite::handshake::derive_accept_key;

use crate::client::Client;
use crate::error::{BadReply, ClientError};
use crate::transport::Call;

/// How often a sign of life is given, as the official client does.
const PULSE: Duration = Duration::from_secs(5);
/// The largest frame. A rack's frames hold one write each.
const MOST_FRAME_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// The most bytes of a frame to the rack, as the official client sends them.
const MOST_SENT_BYTES: usize = 1024;

/// What was heard of a rack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Bytes.
    Bytes(Vec<u8>),
    /// It has no more, and said so.
    End,
    /// The connection ended without that.
    Lost,
}

/// An open socket of the rack.
#[derive(Debug)]
pub struct RackSocket {
    socket: reqwest::Upgraded,
    scanner: FrameScanner,
    unread: BytesMut,
    heard: VecDeque<Heard>,
    control: Vec<u8>,
    reading: Opcode,
    pulse: Interval,
}

/// Asks for the socket.
pub(super) async fn open(
    client: &Client,
    call: Call,
    mut headers: HeaderMap,
) -> Result<RackSocket, ClientError> {
    let mut random = [0; 16];
    OsEntropy.fill(&mut random);
    let key = STANDARD.encode(random);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let value = HeaderValue::from_str(&key).map_err(|_| ClientError::BadHeader("the WebSocket key"))?;
    headers.insert(SEC_WEBSOCKET_KEY, value);
    let response = client.transport.ask_rack(call, headers).await?;
    let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    let is_open = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !is_open || accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(client.transport.bad(BadReply::NoTunnel));
    }
    let socket = response.upgrade().await.map_err(|source| ClientError::Unreachable {
        gateway: client.address().to_string(),
        source: source.without_url(),
    })?;
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Ok(RackSocket {
        socket,
        scanner: FrameScanner::new(Sender::Server, MOST_FRAME_BYTES),
        unread: BytesMut::new(),
        heard: VecDeque::new(),
        control: Vec::new(),
        reading: Opcode::Text,
        pulse,
    })
}

impl RackSocket {
    /// What comes next. Signs of life are given meanwhile. It may be dropped and called again: nothing is lost.
    pub async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            self.unread.reserve(READ_BYTES);
            let Self { socket, unread, pulse, .. } = self;
            tokio::select! {
                read = socket.read_buf(unread) => match read {
                    Ok(count) if count > 0 => self.scan().await,
                    _ => return Heard::Lost,
                },
                _ = pulse.tick() => {
                    if self.send(Opcode::Ping, &[]).await.is_err() {
                        return Heard::Lost;
                    }
                }
            }
        }
    }

    /// Sends bytes, in frames of the size that the official client sends.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for piece in bytes.chunks(MOST_SENT_BYTES) {
            self.send(Opcode::Text, piece).await?;
        }
        Ok(())
    }

    /// Says that no more bytes will come from here.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn end(&mut self) -> std::io::Result<()> {
        self.send(Opcode::Binary, &[]).await
    }

    /// Carries bytes between the socket and a local stream until either ends or `stop` is ready; returns bytes sent
    /// and received. A half-close is not carried: racks have none.
    pub async fn carry<S>(mut self, local: S, stop: impl Future<Output = ()>) -> (u64, u64)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut sent, mut received) = (0u64, 0u64);
        let (mut from, mut to) = tokio::io::split(local);
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let mut stop = std::pin::pin!(stop);
        let mut is_open = true;
        loop {
            buffer.reserve(READ_BYTES);
            tokio::select! {
                () = &mut stop => break,
                heard = self.hear() => match heard {
                    Heard::Bytes(bytes) => {
                        received = received.saturating_add(bytes.len() as u64);
                        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                            break;
                        }
                    }
                    Heard::End | Heard::Lost => break,
                },
                read = from.read_buf(&mut buffer), if is_open => {
                    let count = read.unwrap_or(0);
                    is_open = count > 0;
                    let done = match is_open {
                        true => self.say(&buffer.split()).await,
                        false => self.end().await,
                    };
                    sent = sent.saturating_add(count as u64);
                    if done.is_err() {
                        break;
                    }
                }
            }
        }
        // The other program may be gone already.
        let _ = to.shutdown().await;
        (sent, received)
    }

    /// Sorts what was read into what is heard.
    async fn scan(&mut self) {
        let mut pongs: Vec<Vec<u8>> = Vec::new();
        loop {
            let Self { scanner, unread, heard, control, reading, .. } = self;
            let taken = scanner.advance(unread, |piece| match piece {
                Piece::Head(head) => {
                    if head.opcode != Opcode::Continuation {
                        *reading = head.opcode;
                    }
                    control.clear();
                }
                Piece::Payload(bytes) if *reading == Opcode::Text => {
                    heard.push_back(Heard::Bytes(bytes.to_vec()))
                }
                Piece::Payload(bytes) if *reading == Opcode::Ping => control.extend_from_slice(bytes),
                Piece::Payload(_) => {}
                Piece::End => match reading {
                    // Whatever is in it, racks and clients take a binary frame for the end.
                    Opcode::Binary => heard.push_back(Heard::End),
                    Opcode::Close => heard.push_back(Heard::Lost),
                    Opcode::Ping => pongs.push(std::mem::take(control)),
                    Opcode::Text | Opcode::Continuation | Opcode::Pong => {}
                },
            });
            match taken {
                Ok(0) => break,
                Ok(count) => unread.advance(count),
                Err(_) => {
                    heard.push_back(Heard::Lost);
                    break;
                }
            }
        }
        for pong in pongs {
            // That it is gone is seen at the next look.
            let _ = self.send(Opcode::Pong, &pong).await;
        }
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> std::io::Result<()> {
        let mut mask = [0; 4];
        OsEntropy.fill(&mut mask);
        self.socket.write_all(&encode_client_frame(opcode, payload, mask)).await?;
        self.socket.flush().await
    }
}

#[cfg(test)]
mod tests;
