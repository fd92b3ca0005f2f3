//! Sockets of the rack: text frames carry any bytes, an empty binary frame is the end of one side's (API notes 2.3).

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use gateway_framing::websocket::{FrameScanner, Opcode, Piece, Sender, encode_client_frame};
use gateway_types::{Entropy as _, OsEntropy};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::client::Client;
use crate::error::{BadReply, ClientError};
use crate::handshake::Handshake;
use crate::transport::Call;

/// How often a sign of life is given, as the official client does.
const PULSE: Duration = Duration::from_secs(5);
/// The largest frame. A rack's frames hold one write each.
const MOST_FRAME_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// The most bytes of a frame to the rack, as the official client sends them.
const MOST_SENT_BYTES: usize = 1024;

/// Answers to signs of life that wait to be written.
const MOST_PINGS: usize = 4;

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
    ears: Ears,
    /// Frames, or what is left of one, that are still to be written: whoever stops waiting cuts none in two.
    outgoing: BytesMut,
    pulse: Interval,
}

/// Takes what is read apart.
#[derive(Debug)]
struct Ears {
    scanner: FrameScanner,
    unread: BytesMut,
    heard: VecDeque<Heard>,
    /// What asks for an answer.
    pings: Vec<Vec<u8>>,
    control: Vec<u8>,
    /// The frame in hand, and the message that it is part of.
    frame: Opcode,
    message: Opcode,
}

/// Asks for the socket.
pub(super) async fn open(
    client: &Client,
    call: Call,
    mut headers: HeaderMap,
) -> Result<RackSocket, ClientError> {
    let handshake = Handshake::begin(&mut headers)?;
    let response = client.transport.ask_rack(call, headers).await?;
    let is_open = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if !is_open || !handshake.is_answered_by(response.headers()) {
        return Err(client.transport.bad(BadReply::NoTunnel));
    }
    let socket = response.upgrade().await.map_err(|source| ClientError::Unreachable {
        gateway: client.address().to_string(),
        source: source.without_url(),
    })?;
    let mut pulse = interval(PULSE);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ears = Ears {
        scanner: FrameScanner::new(Sender::Server, MOST_FRAME_BYTES),
        unread: BytesMut::new(),
        heard: VecDeque::new(),
        pings: Vec::new(),
        control: Vec::new(),
        frame: Opcode::Text,
        message: Opcode::Text,
    };
    Ok(RackSocket { socket, ears, outgoing: BytesMut::new(), pulse })
}

impl RackSocket {
    /// What comes next. Signs of life are given meanwhile. It may be dropped and called again: nothing is lost.
    pub async fn hear(&mut self) -> Heard {
        loop {
            for ping in self.ears.pings.drain(..) {
                self.outgoing.extend_from_slice(&frame(Opcode::Pong, &ping));
            }
            if let Some(heard) = self.ears.heard.pop_front() {
                return heard;
            }
            if self.write().await.is_err() {
                return Heard::Lost;
            }
            let Self { socket, ears, pulse, outgoing } = self;
            ears.unread.reserve(READ_BYTES);
            tokio::select! {
                read = socket.read_buf(&mut ears.unread) => match read {
                    Ok(count) if count > 0 => ears.scan(),
                    _ => return Heard::Lost,
                },
                _ = pulse.tick() => outgoing.extend_from_slice(&frame(Opcode::Ping, &[])),
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
    /// and received. A half-close is not carried: racks have none. Neither way waits for the other.
    pub async fn carry<S>(self, local: S, stop: impl Future<Output = ()>) -> (u64, u64)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { socket, ears, outgoing, pulse } = self;
        let (socket_read, socket_write) = tokio::io::split(socket);
        let (local_read, mut local_write) = tokio::io::split(local);
        let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
        let (answer, asked) = mpsc::channel(MOST_PINGS);
        tokio::select! {
            () = stop => {}
            () = down(socket_read, ears, &mut local_write, answer, &received) => {}
            () = up(local_read, socket_write, outgoing, asked, pulse, &sent) => {}
        }
        // The other program may be gone already.
        let _ = local_write.shutdown().await;
        (sent.into_inner(), received.into_inner())
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> std::io::Result<()> {
        self.outgoing.extend_from_slice(&frame(opcode, payload));
        self.write().await
    }

    async fn write(&mut self) -> std::io::Result<()> {
        while !self.outgoing.is_empty() {
            self.socket.write_buf(&mut self.outgoing).await?;
        }
        self.socket.flush().await
    }
}

/// Rack to program, until either ends.
async fn down<R: AsyncRead, W: AsyncWrite>(
    mut from: ReadHalf<R>,
    mut ears: Ears,
    to: &mut WriteHalf<W>,
    answer: mpsc::Sender<Vec<u8>>,
    received: &AtomicU64,
) {
    loop {
        while let Some(heard) = ears.heard.pop_front() {
            let Heard::Bytes(bytes) = heard else { return };
            received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
        for ping in ears.pings.drain(..) {
            // Of several the latest answer counts (RFC 6455, section 5.5.3).
            let _full = answer.try_send(ping);
        }
        ears.unread.reserve(READ_BYTES);
        match from.read_buf(&mut ears.unread).await {
            Ok(count) if count > 0 => ears.scan(),
            _ => return,
        }
    }
}

/// Program to rack, until the connection is gone: an end of the program's is told, and what the rack still says awaited.
async fn up<R: AsyncRead, W: AsyncWrite>(
    mut from: ReadHalf<R>,
    mut to: WriteHalf<W>,
    mut outgoing: BytesMut,
    mut asked: mpsc::Receiver<Vec<u8>>,
    mut pulse: Interval,
    sent: &AtomicU64,
) {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut is_open = true;
    loop {
        if to.write_all(&outgoing.split()).await.is_err() || to.flush().await.is_err() {
            return;
        }
        buffer.reserve(READ_BYTES);
        tokio::select! {
            read = from.read_buf(&mut buffer), if is_open => {
                let count = read.unwrap_or(0);
                is_open = count > 0;
                for piece in buffer.split().chunks(MOST_SENT_BYTES) {
                    outgoing.extend_from_slice(&frame(Opcode::Text, piece));
                }
                if !is_open {
                    outgoing.extend_from_slice(&frame(Opcode::Binary, &[]));
                }
                sent.fetch_add(count as u64, Ordering::Relaxed);
            }
            Some(payload) = asked.recv() => outgoing.extend_from_slice(&frame(Opcode::Pong, &payload)),
            _ = pulse.tick() => outgoing.extend_from_slice(&frame(Opcode::Ping, &[])),
        }
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut mask = [0; 4];
    OsEntropy.fill(&mut mask);
    encode_client_frame(opcode, payload, mask)
}

impl Ears {
    /// Sorts what was read into what is heard.
    fn scan(&mut self) {
        loop {
            let Self { scanner, unread, heard, pings, control, frame, message } = self;
            let taken = scanner.advance(unread, |piece| match piece {
                Piece::Head(head) => {
                    *frame = head.opcode;
                    if matches!(head.opcode, Opcode::Text | Opcode::Binary) {
                        *message = head.opcode;
                    }
                    control.clear();
                }
                Piece::Payload(bytes) => match (*frame, *message) {
                    (Opcode::Text, _) | (Opcode::Continuation, Opcode::Text) => {
                        heard.push_back(Heard::Bytes(bytes.to_vec()));
                    }
                    (Opcode::Ping, _) => control.extend_from_slice(bytes),
                    _ => {}
                },
                Piece::End => match *frame {
                    // Whatever is in it, racks and clients take a binary frame for the end.
                    Opcode::Binary => heard.push_back(Heard::End),
                    Opcode::Close => heard.push_back(Heard::Lost),
                    Opcode::Ping => pings.push(std::mem::take(control)),
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
    }
}

#[cfg(test)]
mod tests;
