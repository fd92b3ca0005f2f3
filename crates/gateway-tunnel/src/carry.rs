//! Carries bytes both ways until both sides have ended, one breaks, or the tunnel is to stop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BytesMut};
use gateway_framing::websocket::{Opcode, Sender, close_payload, encode_client_frame, encode_server_frame};
use gateway_types::Entropy;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::receiver::{ByteReceiver, Control, TunnelFault};

/// How much is read at once, and so the largest frame that is sent, in bytes.
const READ_BYTES: usize = 32 * 1024;

/// Signs of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    /// How often each side gives one.
    pub(crate) interval: Duration,
    /// After how long without any the other side is given up.
    ///
    /// Only time spent waiting for it counts. While its bytes wait for a stream that takes none, nothing is read
    /// from it, and that is not its fault.
    pub(crate) silence: Duration,
}

/// Load balancers cut what is idle for 60 s, some for 30 s. Three signs and a half may be missed.
const PULSE: Pulse = Pulse { interval: Duration::from_secs(20), silence: Duration::from_secs(70) };

/// How long the other side has to take the reason of an end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Which end of the WebSocket this is.
#[derive(Clone, Debug)]
pub enum Side {
    /// The gateway's. Its signs of life are pings.
    Server,
    /// The command line's. It masks what it sends with these random bytes (RFC 6455, section 5.3).
    ///
    /// Its signs of life are pongs that nobody asked for (section 5.5.3): while its program does not read, the
    /// gateway's pings wait behind bytes, and it must not be taken for one that is gone.
    Client(Arc<dyn Entropy>),
}

/// Why a tunnel is to stop, as it is told to the other side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// The close code (RFC 6455, section 7.4.1).
    pub code: u16,
    /// The reason; cut to 123 bytes.
    pub reason: String,
}

/// Bytes carried so far.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// From the WebSocket to the stream.
    pub to_stream: Arc<AtomicU64>,
    /// From the stream to the WebSocket.
    pub from_stream: Arc<AtomicU64>,
}

/// How a tunnel ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// Both sides had no more.
    Finished,
    /// It was told to stop.
    Stopped(Ending),
    /// The other side of the WebSocket closed it.
    Closed {
        /// Its code, when it gave one.
        code: Option<u16>,
        /// Its reason.
        reason: String,
    },
    /// The connection of the WebSocket was lost.
    SocketLost,
    /// Nothing was heard of the other side of the WebSocket for this long, though its connection seemed open.
    Silent {
        /// How long.
        after: Duration,
    },
    /// The other side of the WebSocket broke a rule.
    SocketBroke(TunnelFault),
    /// The stream broke.
    StreamBroke,
}

/// What the receiving half tells the sending one, which is the only writer to the WebSocket.
enum Word {
    Pong(Vec<u8>),
    /// The other side has no more bytes, or the stream takes none.
    End,
    Close {
        code: Option<u16>,
        reason: String,
    },
    Lost,
    Broke(TunnelFault),
}

/// Nothing came from the other side for too long.
struct Silent;

/// Carries bytes between an open WebSocket and a stream.
///
/// Nothing is read from one side before what came from it was written to the other, so a slow side slows its
/// partner and memory stays bounded. A side that is not heard of for 70 s is given up. When `stop` is ready no further byte goes to the stream, and the other side
/// of the WebSocket has one second to take the reason.
pub async fn carry<W, S>(
    socket: W,
    stream: S,
    side: Side,
    counters: &Counters,
    stop: impl Future<Output = Ending>,
) -> End
where
    W: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    carry_with(PULSE, socket, stream, side, counters, stop).await
}

/// [`carry`] with signs of life of another pace.
pub(crate) async fn carry_with<W, S>(
    pulse: Pulse,
    socket: W,
    stream: S,
    side: Side,
    counters: &Counters,
    stop: impl Future<Output = Ending>,
) -> End
where
    W: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (socket_read, socket_write) = split(socket);
    let (stream_read, stream_write) = split(stream);
    let (tell, words) = mpsc::channel(8);
    let stopped = CancellationToken::new();
    let sender = match side {
        Side::Server => Sender::Client,
        Side::Client(_) => Sender::Server,
    };
    let receive = async {
        let mut socket_read = socket_read;
        let receiver = ByteReceiver::new(sender);
        let half = ReceivingHalf { receiver, silence: pulse.silence, counter: &counters.to_stream };
        tokio::select! {
            received = half.run(&mut socket_read, stream_write, &tell) => match received {
                // The sending half may be gone already, and then nobody needs to know.
                Ok(word) => drop(tell.send(word).await),
                // The sending half may be waiting to write to a side that is gone: it is not asked any more.
                Err(Silent) => return End::Silent { after: pulse.silence },
            },
            () = stopped.cancelled() => {}
        }
        // What still comes is dropped, so that a reset does not overtake the last words.
        let mut bin = BytesMut::with_capacity(4096);
        while socket_read.read_buf(&mut bin).await.is_ok_and(|count| count > 0) {
            bin.clear();
        }
        drop(tell);
        std::future::pending().await
    };
    let half = SendingHalf { socket: socket_write, side, interval: pulse.interval, stopped: stopped.clone() };
    let send = half.run(stream_read, words, &counters.from_stream, stop);
    tokio::select! {
        end = send => end,
        end = receive => end,
    }
}

struct ReceivingHalf<'a> {
    receiver: ByteReceiver,
    silence: Duration,
    counter: &'a AtomicU64,
}

impl ReceivingHalf<'_> {
    /// WebSocket to stream; the word it ends with.
    async fn run<W: AsyncRead, S: AsyncWrite>(
        mut self,
        socket: &mut ReadHalf<W>,
        mut stream: WriteHalf<S>,
        tell: &mpsc::Sender<Word>,
    ) -> Result<Word, Silent> {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let mut carried = Vec::with_capacity(READ_BYTES);
        let mut takes_more = true;
        loop {
            buffer.reserve(READ_BYTES);
            match timeout(self.silence, socket.read_buf(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return Ok(Word::Lost),
                Ok(Ok(_)) => {}
                Err(_) => return Err(Silent),
            }
            let mut controls = Vec::new();
            let taken = self.receiver.advance(&buffer, &mut carried, |control| controls.push(control));
            if takes_more && !carried.is_empty() {
                takes_more = stream.write_all(&carried).await.is_ok() && stream.flush().await.is_ok();
                if takes_more {
                    self.counter.fetch_add(carried.len() as u64, Ordering::Relaxed);
                } else if tell.send(Word::End).await.is_err() {
                    return Ok(Word::Lost);
                }
            }
            carried.clear();
            for control in controls {
                match control {
                    // Of several pings the latest answer counts (RFC 6455, section 5.5.3).
                    Control::Ping(payload) => drop(tell.try_send(Word::Pong(payload))),
                    Control::Close { code, reason } => return Ok(Word::Close { code, reason }),
                    Control::End => {
                        // A stream that is gone already is told by its reading half.
                        let _ = stream.shutdown().await;
                        if tell.send(Word::End).await.is_err() {
                            return Ok(Word::Lost);
                        }
                    }
                }
            }
            match taken {
                Ok(count) => buffer.advance(count),
                Err(fault) => return Ok(Word::Broke(fault)),
            }
        }
    }
}

/// Why something was not written.
enum Cut {
    Lost,
    /// The tunnel is to stop. The frame in hand went out whole, so that a reason can follow.
    Stopped(Ending),
    /// The tunnel is to stop, and the other side did not take the frame in hand.
    StoppedWithin(Ending),
}

struct SendingHalf<W> {
    socket: WriteHalf<W>,
    side: Side,
    interval: Duration,
    stopped: CancellationToken,
}

impl<W: AsyncWrite> SendingHalf<W> {
    async fn run<S: AsyncRead, F: Future<Output = Ending>>(
        mut self,
        mut stream: ReadHalf<S>,
        mut words: mpsc::Receiver<Word>,
        counter: &AtomicU64,
        stop: F,
    ) -> End {
        tokio::pin!(stop);
        let mut pings = interval_at(Instant::now() + self.interval, self.interval);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sign_of_life = match self.side {
            Side::Server => Opcode::Ping,
            Side::Client(_) => Opcode::Pong,
        };
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let (mut stream_open, mut socket_open) = (true, true);
        loop {
            if !stream_open && !socket_open {
                return self.farewell(1000, "", End::Finished).await;
            }
            let written = tokio::select! {
                biased;
                ending = &mut stop => Err(Cut::Stopped(ending)),
                word = words.recv() => match word {
                    Some(Word::Pong(payload)) => self.write(Opcode::Pong, &payload, stop.as_mut()).await,
                    Some(Word::End) => {
                        socket_open = false;
                        Ok(())
                    }
                    Some(Word::Close { code, reason }) => {
                        let echo = code.unwrap_or(1000);
                        return self.farewell(echo, "", End::Closed { code, reason }).await;
                    }
                    Some(Word::Broke(fault)) => {
                        let end = End::SocketBroke(fault);
                        return self.farewell(fault.close_code(), &fault.to_string(), end).await;
                    }
                    Some(Word::Lost) | None => return End::SocketLost,
                },
                read = stream.read_buf(&mut buffer), if stream_open => match read {
                    Ok(0) => {
                        stream_open = false;
                        self.write(Opcode::Binary, b"", stop.as_mut()).await
                    }
                    Ok(count) => {
                        let written = self.write(Opcode::Binary, &buffer, stop.as_mut()).await;
                        if matches!(written, Ok(()) | Err(Cut::Stopped(_))) {
                            counter.fetch_add(count as u64, Ordering::Relaxed);
                        }
                        buffer.clear();
                        buffer.reserve(READ_BYTES);
                        written
                    }
                    Err(_) => {
                        return self.farewell(1011, "the connection behind the tunnel broke", End::StreamBroke).await;
                    }
                },
                _ = pings.tick() => self.write(sign_of_life, b"", stop.as_mut()).await,
            };
            match written {
                Ok(()) => {}
                Err(Cut::Lost) => return End::SocketLost,
                Err(Cut::StoppedWithin(ending)) => return End::Stopped(ending),
                Err(Cut::Stopped(ending)) => {
                    self.stopped.cancel();
                    let Ending { code, reason } = ending.clone();
                    return self.farewell(code, &reason, End::Stopped(ending)).await;
                }
            }
        }
    }

    fn frame(&self, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        match &self.side {
            Side::Server => encode_server_frame(opcode, payload),
            Side::Client(entropy) => {
                let mut mask = [0; 4];
                entropy.fill(&mut mask);
                encode_client_frame(opcode, payload, mask)
            }
        }
    }

    /// Writes one frame, for as long as it takes; once the tunnel is to stop, for [`FAREWELL`].
    async fn write<F: Future<Output = Ending>>(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        stop: Pin<&mut F>,
    ) -> Result<(), Cut> {
        let frame = self.frame(opcode, payload);
        let socket = &mut self.socket;
        let writing = async {
            socket.write_all(&frame).await?;
            socket.flush().await
        };
        tokio::pin!(writing);
        tokio::select! {
            written = &mut writing => written.map_err(|_gone| Cut::Lost),
            ending = stop => {
                self.stopped.cancel();
                match timeout(FAREWELL, writing).await {
                    Ok(Ok(())) => Err(Cut::Stopped(ending)),
                    Ok(Err(_)) | Err(_) => Err(Cut::StoppedWithin(ending)),
                }
            }
        }
    }

    /// Closes with a code and a reason.
    async fn farewell(&mut self, code: u16, reason: &str, end: End) -> End {
        let frame = self.frame(Opcode::Close, &close_payload(code, reason));
        let closing = async {
            self.socket.write_all(&frame).await?;
            self.socket.flush().await?;
            self.socket.shutdown().await
        };
        // Whoever does not take it is gone, or learns from the end of the connection.
        let _ = timeout(FAREWELL, closing).await;
        end
    }
}
