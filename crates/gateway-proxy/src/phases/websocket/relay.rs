//! The relay of one open socket. Payloads pass as they are; only frame heads are read, so that what
//! the gateway adds lands between frames.

use bytes::{Buf, BytesMut};
use gateway_convox::exec::{self, MarkerWatch};
use gateway_framing::websocket::{
    FrameError, FrameHead, FrameScanner, Opcode, Piece, Sender, close_payload, encode_server_frame,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, interval, sleep_until};

use super::standing::{INTERVAL, Standing};
use crate::outcome::{End, OutcomeGuard};
use crate::reply::denial_frames;

/// How much is read at once.
const READ_BYTES: usize = 32 * 1024;

/// The largest frame that is relayed, in bytes. Frames are never held in memory, so this only stops nonsense.
const FRAME_LIMIT_BYTES: u64 = 1 << 40;

/// How long a socket stays open after the rack said that there is no more. Neither side closes by
/// itself then (API.md 2.3).
const GRACE: Duration = Duration::from_secs(10);

/// The longest rest of a broken frame that is filled up so that a reason can follow it, in bytes.
const PADDING_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// How the client of this socket reads its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// It takes an exit code from a marker; without one it would report success.
    pub(super) tells_exit_code: bool,
}

/// Why the relay is to stop, as seen by the direction that does not write to the client.
#[derive(Clone, Debug)]
enum Stop {
    ClientGone,
    ClientBroke(FrameError),
    RackGone,
    Withdrawn(String),
}

/// Relays until one side ends or the caller's standing does.
pub(super) async fn relay<C, R>(
    client: C,
    rack: R,
    manners: Manners,
    standing: Standing,
    outcome: &mut OutcomeGuard,
) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let (client_read, client_write) = split(client);
    let (rack_read, rack_write) = split(rack);
    let (stop, stopped) = watch::channel(None);
    let counter = outcome.counter_in();
    let up = async {
        let reason = pump_up(client_read, rack_write, &counter).await;
        stop.send_replace(Some(reason));
        std::future::pending::<()>().await
    };
    let watch_standing = async {
        let mut ticks = interval(INTERVAL);
        let reason = loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = standing.closing() => break "the gateway is stopping".to_owned(),
            }
            if let Err(reason) = standing.check().await {
                break reason;
            }
        };
        stop.send_replace(Some(Stop::Withdrawn(reason)));
        std::future::pending::<()>().await;
    };
    let down = Down::new(client_write, manners, outcome).run(rack_read, stopped);
    tokio::select! {
        end = down => end,
        () = up => End::Failed,
        () = watch_standing => End::Failed,
    }
}

/// Client to rack: well-formed frames only.
async fn pump_up<R: AsyncRead, W: AsyncWrite>(
    mut client: ReadHalf<R>,
    mut rack: WriteHalf<W>,
    counter: &std::sync::atomic::AtomicU64,
) -> Stop {
    let mut scanner = FrameScanner::new(Sender::Client, FRAME_LIMIT_BYTES);
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        buffer.reserve(READ_BYTES);
        match client.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return Stop::ClientGone,
            Ok(_) => {}
        }
        let complete = match scanner.advance(&buffer, |_| {}) {
            Ok(complete) => complete,
            Err(error) => return Stop::ClientBroke(error),
        };
        let pass = buffer.get(..complete).unwrap_or_default();
        if rack.write_all(pass).await.is_err() || rack.flush().await.is_err() {
            return Stop::RackGone;
        }
        counter.fetch_add(complete as u64, std::sync::atomic::Ordering::Relaxed);
        buffer.advance(complete);
    }
}

/// Rack to client: the only writer to the client.
struct Down<'a, W> {
    client: WriteHalf<W>,
    manners: Manners,
    outcome: &'a mut OutcomeGuard,
    scanner: FrameScanner,
    seen: Seen,
}

/// What has been seen of the rack's frames.
#[derive(Default)]
struct Seen {
    /// Payload bytes of the present frame that are still to come.
    missing: u64,
    /// The first data frame decides whether the rack tries to send the client past the gateway.
    first: FirstFrame,
    marker: Option<MarkerWatch>,
    exit_code: Option<i32>,
    /// The empty BINARY frame: the rack has no more.
    ended: bool,
}

#[derive(Default)]
enum FirstFrame {
    #[default]
    Expected,
    /// Bytes of it so far, at most as many as are needed to tell.
    Within(Vec<u8>),
    Harmless,
    SessionBlob,
}

/// How many bytes of the first frame tell whether it is a session blob.
const BLOB_BYTES: usize = 16;

impl Seen {
    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Head(head) => self.head(&head),
            Piece::Payload(payload) => self.payload(payload),
            Piece::End => self.end(),
        }
    }

    fn head(&mut self, head: &FrameHead) {
        self.missing = head.payload_bytes;
        self.marker = (head.opcode == Opcode::Text && head.fin).then(MarkerWatch::new);
        match head.opcode {
            Opcode::Binary if head.payload_bytes == 0 => self.ended = true,
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                if matches!(self.first, FirstFrame::Expected) {
                    self.first = FirstFrame::Within(Vec::new());
                }
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
    }

    fn payload(&mut self, payload: &[u8]) {
        self.missing = self.missing.saturating_sub(payload.len() as u64);
        if let Some(marker) = &mut self.marker {
            marker.feed(payload);
        }
        if let FirstFrame::Within(start) = &mut self.first {
            let wanted = BLOB_BYTES.saturating_sub(start.len());
            start.extend_from_slice(payload.get(..wanted.min(payload.len())).unwrap_or_default());
            if start.len() >= BLOB_BYTES {
                self.judge_first();
            }
        }
    }

    fn end(&mut self) {
        if let Some(code) = self.marker.take().and_then(|marker| marker.exit_code()) {
            self.exit_code = Some(code);
        }
        self.judge_first();
    }

    fn judge_first(&mut self) {
        if let FirstFrame::Within(start) = &self.first {
            self.first =
                if exec::is_session_blob(start) { FirstFrame::SessionBlob } else { FirstFrame::Harmless };
        }
    }

    /// Whether what was scanned must wait until the first frame is judged.
    fn holds_back(&self) -> bool {
        matches!(&self.first, FirstFrame::Within(start) if start.first() == Some(&0))
    }
}

impl<'a, W: AsyncWrite> Down<'a, W> {
    fn new(client: WriteHalf<W>, manners: Manners, outcome: &'a mut OutcomeGuard) -> Self {
        let scanner = FrameScanner::new(Sender::Server, FRAME_LIMIT_BYTES);
        Self { client, manners, outcome, scanner, seen: Seen::default() }
    }

    async fn run<R: AsyncRead>(
        mut self,
        mut rack: ReadHalf<R>,
        mut stopped: watch::Receiver<Option<Stop>>,
    ) -> End {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let mut scanned = 0;
        let mut deadline: Option<Instant> = None;
        loop {
            buffer.reserve(READ_BYTES);
            let grace = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = rack.read_buf(&mut buffer) => if !matches!(read, Ok(count) if count > 0) {
                    return self.rack_ended("the connection to the rack was lost").await;
                },
                changed = stopped.changed() => {
                    let reason = if changed.is_ok() { stopped.borrow_and_update().clone() } else { None };
                    match reason {
                        // What the rack still sends may say why; its end is noticed on the reading side.
                        Some(Stop::RackGone) | None => continue,
                        Some(reason) => return self.stop(reason).await,
                    }
                },
                () = grace => return End::Completed,
            }
            let fresh = buffer.get(scanned..).unwrap_or_default();
            let seen = &mut self.seen;
            match self.scanner.advance(fresh, |piece| seen.piece(piece)) {
                Ok(count) => scanned += count,
                Err(_) => return self.rack_ended("the rack sent a malformed frame").await,
            }
            if matches!(self.seen.first, FirstFrame::SessionBlob) {
                return self
                    .end_with_reason(
                        "the rack offered a direct session that would bypass the gateway",
                        End::Failed,
                    )
                    .await;
            }
            if self.seen.holds_back() {
                continue;
            }
            if !self.write(buffer.get(..scanned).unwrap_or_default()).await {
                return End::AbortedByClient;
            }
            buffer.advance(scanned);
            scanned = 0;
            if self.seen.ended && deadline.is_none() {
                deadline = Some(Instant::now() + GRACE);
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.outcome.count_out(bytes.len() as u64);
        self.client.write_all(bytes).await.is_ok() && self.client.flush().await.is_ok()
    }

    async fn stop(&mut self, reason: Stop) -> End {
        match reason {
            Stop::ClientGone if self.seen.ended => {
                self.note_exit_code();
                End::Completed
            }
            Stop::ClientGone | Stop::RackGone => End::AbortedByClient,
            Stop::ClientBroke(error) => {
                self.outcome.note(format!("the client sent a malformed frame: {error}"));
                self.pad().await;
                let close =
                    encode_server_frame(Opcode::Close, &close_payload(error.close_code(), "malformed frame"));
                self.write(&close).await;
                End::Failed
            }
            Stop::Withdrawn(reason) => self.end_with_reason(&reason, End::Refused).await,
        }
    }

    async fn rack_ended(&mut self, reason: &str) -> End {
        if self.seen.ended || (self.seen.exit_code.is_some() && self.scanner.at_boundary()) {
            self.note_exit_code();
            return End::Completed;
        }
        if self.manners.tells_exit_code {
            return self.end_with_reason(reason, End::UpstreamLost).await;
        }
        // The ends of logs and of TCP channels are told by closing.
        End::UpstreamLost
    }

    fn note_exit_code(&mut self) {
        if let Some(code) = self.seen.exit_code {
            self.outcome.note(format!("exit code {code}"));
        }
    }

    /// Tells the client why, with exit code 1; without this it would report success (API.md 0.2).
    async fn end_with_reason(&mut self, reason: &str, end: End) -> End {
        self.outcome.note(reason);
        if self.manners.tells_exit_code && self.pad().await {
            let frames = denial_frames(reason);
            self.write(&frames).await;
        }
        end
    }

    /// Fills up a frame that was cut short, so that what follows is a frame again.
    async fn pad(&mut self) -> bool {
        if self.scanner.at_boundary() {
            return true;
        }
        if self.seen.missing > PADDING_LIMIT_BYTES {
            return false;
        }
        let blanks = [b' '; 4096];
        while self.seen.missing > 0 {
            let count = usize::try_from(self.seen.missing).unwrap_or(blanks.len()).min(blanks.len());
            if !self.write(blanks.get(..count).unwrap_or_default()).await {
                return false;
            }
            self.seen.missing -= count as u64;
        }
        true
    }
}
