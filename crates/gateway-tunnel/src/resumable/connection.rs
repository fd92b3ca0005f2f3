//! One connection of a resumable stream: messages over a WebSocket until it is lost, or there is no more to say.

use bytes::{Buf, BytesMut};
use gateway_framing::websocket::{Opcode, Sender, encode_client_frame, encode_server_frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, timeout};

use super::link::{Link, Next};
use super::message::{Decoder, LinkFault, Message, Welcome};
use crate::carry::{Pulse, Side};
use crate::receiver::{ByteReceiver, Control, TunnelFault};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 32 * 1024;

/// Signs of life: a connection that looks open may lead nowhere, and who sits there waits.
const PULSE: Pulse = Pulse { interval: Duration::from_secs(5), silence: Duration::from_secs(20) };

/// How long a last message may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    /// Both directions have ended, and all was consumed.
    Finished,
    /// The link was given up.
    Over,
    /// The connection was lost, or nothing was heard for too long. The link can go on over another one.
    Lost,
    /// The other end broke a rule. The link could go on, but the two do not understand each other.
    Broke(LinkFault),
}

/// What is said once on a connection.
#[derive(Debug)]
pub enum Opening<'a> {
    /// The gateway's: what it says first, and where to tell that the client keeps it.
    Gateway(Welcome, &'a mpsc::Sender<()>),
    /// The client's: where to put what the gateway says first.
    Client(&'a mpsc::Sender<Welcome>),
}

impl Link {
    /// Carries the stream over `socket`, an open WebSocket. `peer_has` is how many bytes of what is sent here the other
    /// end has received. A client waits for the welcome, which tells it that.
    ///
    /// Dropped before it is ready, it loses nothing but the connection.
    pub async fn carry<W>(&self, socket: W, side: Side, peer_has: u64, opening: Opening<'_>) -> Carried
    where
        W: AsyncRead + AsyncWrite,
    {
        self.carry_with(PULSE, socket, side, peer_has, opening).await
    }

    /// [`Link::carry`] with signs of life of another pace.
    pub(crate) async fn carry_with<W>(
        &self,
        pulse: Pulse,
        socket: W,
        side: Side,
        peer_has: u64,
        opening: Opening<'_>,
    ) -> Carried
    where
        W: AsyncRead + AsyncWrite,
    {
        let (read, write) = split(socket);
        let sender = match side {
            Side::Server => Sender::Client,
            Side::Client(_) => Sender::Server,
        };
        let mut receiving = Receiving {
            link: self,
            read,
            receiver: ByteReceiver::new(sender),
            decoder: Decoder::default(),
            buffer: BytesMut::new(),
            silence: pulse.silence,
        };
        let mut sending = Sending { link: self, write, side, sent: peer_has, consumed_told: None };
        let (pong, pongs) = mpsc::channel(2);
        let kept = match opening {
            Opening::Gateway(welcome, kept) => {
                if sending.say(&[Message::Welcome(welcome)]).await.is_err() {
                    return Carried::Lost;
                }
                Some(kept)
            }
            Opening::Client(tell) => {
                match receiving.welcome(&pong).await {
                    Ok(welcome) => {
                        if !self.can_go_on_at(welcome.received) {
                            return Carried::Broke(LinkFault::Ahead);
                        }
                        sending.sent = welcome.received;
                        // Whoever does not want to know keeps no token.
                        let _gone = tell.send(welcome).await;
                    }
                    Err(end) => return end,
                }
                if sending.say(&[Message::Kept]).await.is_err() {
                    return Carried::Lost;
                }
                None
            }
        };
        tokio::select! {
            end = receiving.run(kept, &pong) => end,
            end = sending.run(pulse.interval, pongs) => end,
        }
    }
}

struct Receiving<'a, W> {
    link: &'a Link,
    read: ReadHalf<W>,
    receiver: ByteReceiver,
    decoder: Decoder,
    buffer: BytesMut,
    silence: Duration,
}

impl<W: AsyncRead> Receiving<'_, W> {
    /// The next message.
    async fn next(&mut self, pong: &mpsc::Sender<Vec<u8>>) -> Result<Message, Carried> {
        loop {
            if let Some(message) = self.decoder.next().map_err(Carried::Broke)? {
                return Ok(message);
            }
            self.buffer.reserve(READ_BYTES);
            match timeout(self.silence, self.read.read_buf(&mut self.buffer)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return Err(Carried::Lost),
            }
            let (mut carried, mut is_closed) = (Vec::new(), false);
            let taken = self.receiver.advance(&self.buffer, &mut carried, |control| match control {
                // Of several the latest answer counts (RFC 6455, section 5.5.3).
                Control::Ping(payload) => drop(pong.try_send(payload)),
                Control::Close { .. } => is_closed = true,
                // An empty message carries nothing.
                Control::End => {}
            });
            self.decoder.push(&carried);
            match taken {
                Ok(count) => self.buffer.advance(count),
                Err(TunnelFault::Frame(_) | TunnelFault::Text | TunnelFault::AfterEnd) => {
                    return Err(Carried::Broke(LinkFault::Malformed));
                }
            }
            if is_closed {
                return Err(Carried::Lost);
            }
        }
    }

    /// What the gateway says first.
    async fn welcome(&mut self, pong: &mpsc::Sender<Vec<u8>>) -> Result<Welcome, Carried> {
        match self.next(pong).await? {
            Message::Welcome(welcome) => Ok(welcome),
            Message::Data(_) | Message::Consumed(_) | Message::Kept | Message::End => {
                Err(Carried::Broke(LinkFault::Malformed))
            }
        }
    }

    async fn run(&mut self, kept: Option<&mpsc::Sender<()>>, pong: &mpsc::Sender<Vec<u8>>) -> Carried {
        loop {
            let taken = match self.next(pong).await {
                Ok(Message::Data(bytes)) => self.link.take(&bytes),
                Ok(Message::Consumed(count)) => self.link.consumed(count),
                Ok(Message::End) => {
                    self.link.ended();
                    Ok(())
                }
                Ok(Message::Kept) => match kept {
                    Some(kept) => {
                        // One is enough.
                        let _full = kept.try_send(());
                        Ok(())
                    }
                    None => Err(LinkFault::Malformed),
                },
                Ok(Message::Welcome(_)) => Err(LinkFault::Malformed),
                Err(end) => return end,
            };
            if let Err(fault) = taken {
                return Carried::Broke(fault);
            }
        }
    }
}

struct Sending<'a, W> {
    link: &'a Link,
    write: WriteHalf<W>,
    side: Side,
    /// How many bytes of the stream went out.
    sent: u64,
    /// What was last said of consumption on this connection.
    consumed_told: Option<u64>,
}

impl<W: AsyncWrite> Sending<'_, W> {
    async fn run(&mut self, interval: Duration, mut pongs: mpsc::Receiver<Vec<u8>>) -> Carried {
        let mut changes = self.link.changes();
        let mut pulse = interval_at(Instant::now() + interval, interval);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end_is_sent = false;
        loop {
            // Before the look, so that what changes after it is not missed.
            changes.mark_unchanged();
            let (next, consumed) = self.link.next(self.sent, end_is_sent);
            let mut messages = Vec::new();
            if self.consumed_told != Some(consumed) {
                self.consumed_told = Some(consumed);
                messages.push(Message::Consumed(consumed));
            }
            match next {
                Next::Data(bytes) => {
                    self.sent = self.sent.saturating_add(bytes.len() as u64);
                    messages.push(Message::Data(bytes));
                }
                Next::End => {
                    end_is_sent = true;
                    messages.push(Message::End);
                }
                Next::Finished => {
                    let _gone = timeout(FAREWELL, self.say(&messages)).await;
                    return Carried::Finished;
                }
                Next::Over => return Carried::Over,
                Next::Nothing => {}
            }
            if !messages.is_empty() {
                if self.say(&messages).await.is_err() {
                    return Carried::Lost;
                }
                continue;
            }
            let waited = tokio::select! {
                changed = changes.changed() => changed.map_err(|_gone| std::io::ErrorKind::BrokenPipe.into()),
                Some(payload) = pongs.recv() => self.frame(Opcode::Pong, &payload).await,
                _ = pulse.tick() => self.say(&[Message::Consumed(consumed)]).await,
            };
            if waited.is_err() {
                return Carried::Lost;
            }
        }
    }

    async fn say(&mut self, messages: &[Message]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            message.encode(&mut bytes);
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => self.frame(Opcode::Binary, &bytes).await,
        }
    }

    async fn frame(&mut self, opcode: Opcode, payload: &[u8]) -> std::io::Result<()> {
        let frame = match &self.side {
            Side::Server => encode_server_frame(opcode, payload),
            Side::Client(entropy) => {
                let mut mask = [0; 4];
                entropy.fill(&mut mask);
                encode_client_frame(opcode, payload, mask)
            }
        };
        self.write.write_all(&frame).await?;
        self.write.flush().await
    }
}
