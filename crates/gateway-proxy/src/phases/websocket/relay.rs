//! The relay of one open socket, to the rack or to a service. Payloads pass as they are; only frame heads
//! are read, so that what the gateway adds lands between frames.

pub(super) mod listening;

use std::future::Future;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use gateway_convox::exec::{self, MarkerWatch};
use gateway_framing::websocket::{
    FrameError, FrameHead, FrameScanner, Opcode, Piece, Sender, close_payload, encode_client_frame,
    encode_server_frame,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::outcome::{End, OutcomeGuard};
use crate::phases::standing::{Loss, Standing};
use crate::reply::denial_frames;
use crate::scratch;
use crate::sessions::Tap;

use super::client::ClientEnd;
use listening::Listening;

/// How much is read at once.
const READ_BYTES: usize = 32 * 1024;

/// The largest frame that is relayed, in bytes. Frames are never held in memory, so this only stops nonsense.
pub(super) const FRAME_LIMIT_BYTES: u64 = 1 << 40;

/// How long a socket stays open after the rack said that there is no more. Neither side closes by
/// itself then (API.md 2.3).
const GRACE: Duration = Duration::from_secs(10);

/// How long a client has to take the reason of an end that the gateway decided.
const FAREWELL: Duration = Duration::from_secs(1);

/// The longest rest of a broken frame that is filled up so that a reason can follow it, in bytes.
const PADDING_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// How often the client of a service's socket is pinged. Load balancers cut what is idle for 60 s, some for
/// 30 s. Its answers go on to the service, where they do the same for what stands there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What is spoken in this socket beside RFC 6455.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::phases) enum Manners {
    /// What the Convox client and racks speak (API.md 2.3): an empty BINARY frame is the end.
    Rack {
        /// The client takes an exit code from a marker; without one it would report success.
        tells_exit_code: bool,
        /// A person sits at a terminal, and can be told something in a line of its own.
        has_terminal: bool,
        /// The rack gets signs of life while the client may be away.
        keeps_alive: bool,
        /// The client is the script of a page.
        in_page: bool,
    },
    /// Nothing: messages mean nothing here, and an end is a close frame with a reason.
    Service,
}

impl Manners {
    const fn tells_exit_code(self) -> bool {
        match self {
            Manners::Rack { tells_exit_code, .. } => tells_exit_code,
            Manners::Service => false,
        }
    }

    /// The same for this client's side.
    pub(super) const fn of(self, client: &ClientEnd) -> Self {
        match self {
            Manners::Rack { tells_exit_code, has_terminal, in_page, .. } => {
                Manners::Rack { tells_exit_code, has_terminal, keeps_alive: client.is_resumable(), in_page }
            }
            Manners::Service => Manners::Service,
        }
    }

    const fn in_page(self) -> bool {
        match self {
            Manners::Rack { in_page, .. } => in_page,
            Manners::Service => false,
        }
    }

    const fn keeps_alive(self) -> bool {
        match self {
            Manners::Rack { keeps_alive, .. } => keeps_alive,
            Manners::Service => false,
        }
    }

    const fn has_terminal(self) -> bool {
        match self {
            Manners::Rack { has_terminal, .. } => has_terminal,
            Manners::Service => false,
        }
    }

    /// The other side, in a reason.
    const fn peer(self) -> &'static str {
        match self {
            Manners::Rack { .. } => "the rack",
            Manners::Service => "the service",
        }
    }
}

/// Why the relay is to stop, as seen by whoever does not write to the client.
#[derive(Clone, Debug)]
enum Stop {
    ClientGone,
    /// The client left after it had closed the socket properly.
    ClientClosed,
    ClientBroke(FrameError),
    RackGone,
    Withdrawn(Loss),
}

impl Stop {
    /// Whether the socket ends now. When only the way up broke, what the rack still sends may say why.
    fn ends_now(stop: &Option<Stop>) -> bool {
        match stop {
            Some(Stop::ClientGone | Stop::ClientClosed | Stop::ClientBroke(_) | Stop::Withdrawn(_)) => true,
            Some(Stop::RackGone) | None => false,
        }
    }
}

/// Waits until the socket has to end, and says why. Whoever could tell is gone with the client.
async fn ending(stopped: &mut watch::Receiver<Option<Stop>>) -> Stop {
    let told = stopped.wait_for(Stop::ends_now).await.ok().and_then(|stop| stop.clone());
    told.unwrap_or(Stop::ClientGone)
}

/// Relays until one side ends or the caller's standing does.
///
/// # Security
/// Once the standing ends nothing more goes to the rack, and a client that does not read cannot
/// hold the socket open: what it is told has a time limit.
pub(in crate::phases) async fn relay<C, R>(
    client: C,
    rack: R,
    manners: Manners,
    standing: &Standing,
    outcome: &mut OutcomeGuard,
    tap: &Tap,
    notices: Option<mpsc::Receiver<String>>,
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
        let mut told = stop.subscribe();
        tokio::select! {
            reason = pump_up(client_read, rack_write, manners, &counter, tap) => drop(stop.send_replace(Some(reason))),
            _reason = ending(&mut told) => {}
        }
        std::future::pending::<()>().await;
    };
    let watch_standing = async {
        let loss = standing.lost().await;
        stop.send_replace(Some(Stop::Withdrawn(loss)));
        std::future::pending::<()>().await;
    };
    let announced = async {
        match manners.has_terminal() {
            true => standing.announced().await,
            false => std::future::pending().await,
        }
    };
    let down = Down::new(client_write, manners, outcome, stopped, tap).run(rack_read, notices, announced);
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
    manners: Manners,
    counter: &std::sync::atomic::AtomicU64,
    tap: &Tap,
) -> Stop {
    let mut closed = false;
    let mut typed = tap.takes_input().then(Listening::default);
    let mut scanner = FrameScanner::new(Sender::Client, FRAME_LIMIT_BYTES);
    let mut buffer = BytesMut::new();
    loop {
        let read = match manners.keeps_alive() && scanner.at_boundary() {
            true => {
                match timeout(PING_INTERVAL, scratch::read::<READ_BYTES, _>(&mut client, &mut buffer)).await {
                    Ok(read) => read,
                    Err(_silent) => {
                        // Nothing is said with it, so its mask hides nothing.
                        let ping = encode_client_frame(Opcode::Ping, b"", [0; 4]);
                        if rack.write_all(&ping).await.is_err() || rack.flush().await.is_err() {
                            return Stop::RackGone;
                        }
                        continue;
                    }
                }
            }
            false => scratch::read::<READ_BYTES, _>(&mut client, &mut buffer).await,
        };
        match read {
            Ok(0) | Err(_) if closed && manners == Manners::Service => return Stop::ClientClosed,
            Ok(0) | Err(_) => return Stop::ClientGone,
            Ok(_) => {}
        }
        let (complete, broken) = scan(&mut scanner, &buffer, |piece| {
            closed |= matches!(piece, Piece::Head(FrameHead { opcode: Opcode::Close, .. }));
            if let Some(typed) = &mut typed {
                typed.piece(piece);
            }
        });
        if let Some(typed) = &mut typed {
            tap.input(typed.heard()).await;
        }
        let pass = buffer.get(..complete).unwrap_or_default();
        if rack.write_all(pass).await.is_err() || rack.flush().await.is_err() {
            return Stop::RackGone;
        }
        counter.fetch_add(complete as u64, std::sync::atomic::Ordering::Relaxed);
        buffer.advance(complete);
        if let Some(error) = broken {
            return Stop::ClientBroke(error);
        }
    }
}

/// Scans all of `bytes`: how many of the leading ones are good, and what is wrong behind them.
pub(super) fn scan(
    scanner: &mut FrameScanner,
    bytes: &[u8],
    mut on_piece: impl FnMut(Piece<'_>),
) -> (usize, Option<FrameError>) {
    let mut good = 0;
    loop {
        match scanner.advance(bytes.get(good..).unwrap_or_default(), &mut on_piece) {
            Ok(0) => return (good, None),
            Ok(count) => good += count,
            Err(error) => return (good, Some(error)),
        }
    }
}

/// Where a stream of frames stands.
#[derive(Clone, Copy, Default)]
struct Position {
    /// Bytes so far.
    bytes: u64,
    /// Payload bytes of the present frame that are still to come.
    missing: u64,
    /// A data frame that is not the last of its message was there.
    inside_message: bool,
}

/// What has been seen of the rack's frames.
#[derive(Default)]
struct Seen {
    position: Position,
    /// The first message decides whether the rack tries to send the client past the gateway.
    first: FirstMessage,
    marker: Option<MarkerWatch>,
    exit_code: Option<i32>,
    /// The empty BINARY frame, or a close: the rack has no more.
    ended: bool,
    /// Where a close frame begins that came before any exit code.
    closes_at: Option<u64>,
    /// An empty BINARY frame is a message like any other.
    ends_by_close_only: bool,
}

#[derive(Default)]
enum FirstMessage {
    #[default]
    Expected,
    /// Bytes of it so far, at most as many as are needed to tell.
    Within(Vec<u8>),
    Harmless,
    SessionBlob,
}

/// How many bytes of the first message may be looked at. Blanks for longer than this are taken for
/// the beginning of a session blob.
const BLOB_BYTES: usize = 64;

/// The length of the head of a server's frame (RFC 6455, section 5.2).
pub(in crate::phases) const fn head_bytes(payload_bytes: u64) -> u64 {
    match payload_bytes {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

impl Seen {
    fn of(manners: Manners) -> Self {
        match manners {
            Manners::Rack { .. } => Self::default(),
            Manners::Service => {
                Self { first: FirstMessage::Harmless, ends_by_close_only: true, ..Self::default() }
            }
        }
    }

    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Head(head) => self.head(&head),
            Piece::Payload(payload) => self.payload(payload),
            Piece::End => self.end(),
        }
    }

    fn head(&mut self, head: &FrameHead) {
        let begins_at = self.position.bytes;
        self.position.bytes += head_bytes(head.payload_bytes);
        self.position.missing = head.payload_bytes;
        let may_be_marker = head.opcode == Opcode::Text && head.fin && !self.ends_by_close_only;
        self.marker = may_be_marker.then(MarkerWatch::new);
        match head.opcode {
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                self.position.inside_message = !head.fin;
                self.ended =
                    head.opcode == Opcode::Binary && head.payload_bytes == 0 && !self.ends_by_close_only;
                if matches!(self.first, FirstMessage::Expected) {
                    self.first = FirstMessage::Within(Vec::new());
                }
            }
            Opcode::Close => {
                if self.exit_code.is_none() && !self.ended && self.closes_at.is_none() {
                    self.closes_at = Some(begins_at);
                }
                self.ended = true;
            }
            Opcode::Ping | Opcode::Pong => {}
        }
    }

    fn payload(&mut self, payload: &[u8]) {
        self.position.bytes += payload.len() as u64;
        self.position.missing = self.position.missing.saturating_sub(payload.len() as u64);
        if let Some(marker) = &mut self.marker {
            marker.feed(payload);
        }
        if let FirstMessage::Within(start) = &mut self.first {
            let wanted = BLOB_BYTES.saturating_sub(start.len());
            start.extend_from_slice(payload.get(..wanted.min(payload.len())).unwrap_or_default());
            self.judge_first(MessageIs::Unfinished);
        }
    }

    fn end(&mut self) {
        if let Some(code) = self.marker.take().and_then(|marker| marker.exit_code()) {
            self.exit_code = Some(code);
        }
        if !self.position.inside_message {
            self.judge_first(MessageIs::Complete);
        }
    }

    fn judge_first(&mut self, message: MessageIs) {
        let FirstMessage::Within(start) = &self.first else { return };
        let undecided = start.iter().skip(1).all(u8::is_ascii_whitespace);
        let judged = match (start.first(), message) {
            (None, MessageIs::Unfinished) => return,
            // A message without payload says nothing; the next one is judged.
            (None, MessageIs::Complete) => FirstMessage::Expected,
            (Some(0), _) if exec::is_session_blob(start) => FirstMessage::SessionBlob,
            (Some(0), MessageIs::Unfinished) if undecided && start.len() < BLOB_BYTES => return,
            (Some(0), MessageIs::Unfinished) if undecided => FirstMessage::SessionBlob,
            (Some(_), _) => FirstMessage::Harmless,
        };
        self.first = judged;
    }

    /// Whether what was scanned must wait until the first message is judged.
    fn holds_back(&self) -> bool {
        matches!(&self.first, FirstMessage::Within(start) if !start.is_empty())
    }
}

/// How far a message has come.
#[derive(Clone, Copy)]
enum MessageIs {
    Unfinished,
    Complete,
}

/// A line of the gateway's own, for whoever sits at the terminal.
pub(super) fn notice_frame(line: &str) -> Vec<u8> {
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    let line: String = line.chars().map(|c| if is_hazard(c) { '\u{fffd}' } else { c }).collect();
    // A terminal that is read key by key needs the carriage return.
    encode_server_frame(Opcode::Text, format!("\r\n[rack-gateway] {line}\r\n").as_bytes())
}

/// Rack to client: the only writer to the client.
struct Down<'a, W> {
    client: WriteHalf<W>,
    manners: Manners,
    outcome: &'a mut OutcomeGuard,
    stopped: watch::Receiver<Option<Stop>>,
    scanner: FrameScanner,
    seen: Seen,
    /// What of it went out.
    sent: Position,
    tap: &'a Tap,
    /// There when the tap wants what is shown.
    shown: Option<Listening>,
    /// There for the script of a page.
    retyped: Option<Retyped>,
}

/// Text messages as binary ones. A browser takes only UTF-8 for text, and a rack writes whatever there is, cut anywhere
/// (API.md 0.1).
struct Retyped(FrameScanner);

impl Retyped {
    /// What is sent in place of `bytes`, which begin and end where a frame does or within its payload.
    fn of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut retyped = bytes.to_vec();
        let mut at = 0;
        let (_good, _broken) = scan(&mut self.0, bytes, |piece| match piece {
            Piece::Head(head) => {
                if let Some(first) = retyped.get_mut(at).filter(|_| head.opcode == Opcode::Text) {
                    *first = (*first & 0xf0) | Opcode::Binary.number();
                }
                at += usize::try_from(head_bytes(head.payload_bytes)).unwrap_or_default();
            }
            Piece::Payload(payload) => at += payload.len(),
            Piece::End => {}
        });
        retyped
    }
}

impl<'a, W: AsyncWrite> Down<'a, W> {
    fn new(
        client: WriteHalf<W>,
        manners: Manners,
        outcome: &'a mut OutcomeGuard,
        stopped: watch::Receiver<Option<Stop>>,
        tap: &'a Tap,
    ) -> Self {
        let scanner = FrameScanner::new(Sender::Server, FRAME_LIMIT_BYTES);
        let seen = Seen::of(manners);
        let shown = tap.takes_output().then(Listening::default);
        let retyped =
            manners.in_page().then(|| Retyped(FrameScanner::new(Sender::Server, FRAME_LIMIT_BYTES)));
        Self {
            client,
            manners,
            outcome,
            stopped,
            scanner,
            seen,
            sent: Position::default(),
            tap,
            shown,
            retyped,
        }
    }

    async fn run<R: AsyncRead>(
        mut self,
        mut rack: ReadHalf<R>,
        mut notices: Option<mpsc::Receiver<String>>,
        announced: impl Future<Output = Arc<str>>,
    ) -> End {
        tokio::pin!(announced);
        let mut is_announced = false;
        let mut buffer = BytesMut::new();
        let mut scanned = 0;
        let mut stopped = self.stopped.clone();
        let mut deadline: Option<Instant> = None;
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pings_wanted = self.manners == Manners::Service;
        loop {
            let is_between = self.is_between_messages() && scanned == 0;
            let notice = async {
                match &mut notices {
                    Some(notices) => notices.recv().await,
                    None => None,
                }
            };
            let grace = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                reason = ending(&mut stopped) => return self.stop(reason).await,
                read = scratch::read::<READ_BYTES, _>(&mut rack, &mut buffer) => if !matches!(read, Ok(count) if count > 0) {
                    let reason = format!("the connection to {} was lost", self.manners.peer());
                    return self.upstream_ended(&reason).await;
                },
                () = grace => {
                    self.note_exit_code();
                    return End::Completed;
                }
                Some(notice) = notice, if is_between => {
                    if !self.write(&notice_frame(&notice)).await {
                        return self.write_failed();
                    }
                    continue;
                }
                sentence = &mut announced, if is_between && !is_announced => {
                    is_announced = true;
                    if !self.write(&notice_frame(&sentence)).await {
                        return self.write_failed();
                    }
                    continue;
                }
                _ = pings.tick(), if pings_wanted => {
                    // Only between frames; within one, bytes flow, and nothing takes the socket for idle.
                    if self.sent.missing == 0 && !self.seen.ended
                        && !self.write(&encode_server_frame(Opcode::Ping, b"")).await
                    {
                        return self.write_failed();
                    }
                    continue;
                }
            }
            let seen = &mut self.seen;
            let fresh = buffer.get(scanned..).unwrap_or_default();
            let shown = &mut self.shown;
            let (good, broken) = scan(&mut self.scanner, fresh, |piece| {
                seen.piece(piece);
                if let Some(shown) = shown {
                    shown.piece(piece);
                }
            });
            scanned += good;
            if let Some(shown) = &mut self.shown {
                // Before the client gets it. A writer that is slow must not keep a session open that has to end.
                let heard = shown.heard();
                tokio::select! {
                    biased;
                    () = self.tap.output(heard) => {}
                    reason = ending(&mut stopped) => return self.stop(reason).await,
                }
            }
            if matches!(self.seen.first, FirstMessage::SessionBlob) {
                return self
                    .end_with_reason("the rack offered a session that would bypass the gateway", End::Failed)
                    .await;
            }
            if let Some(closes_at) = self.seen.closes_at.filter(|_| self.manners.tells_exit_code()) {
                return self.closed_early(&buffer, closes_at).await;
            }
            if !self.seen.holds_back() {
                self.sent = self.seen.position;
                if !self.write(buffer.get(..scanned).unwrap_or_default()).await {
                    return self.write_failed();
                }
                buffer.advance(scanned);
                scanned = 0;
            }
            deadline = self.seen.ended.then(|| deadline.unwrap_or_else(|| Instant::now() + GRACE));
            if broken.is_some() {
                let reason = format!("{} sent a malformed frame", self.manners.peer());
                return self.upstream_ended(&reason).await;
            }
        }
    }

    /// Whether a message of the gateway's own can go to the client now: to one that shows text, between messages.
    fn is_between_messages(&self) -> bool {
        self.manners.tells_exit_code()
            && self.sent.missing == 0
            && !self.sent.inside_message
            && !self.seen.position.inside_message
            && !self.seen.ended
            && self.seen.exit_code.is_none()
    }

    /// The rack closed an exec without an exit code. A client that read this close would report
    /// success (API.md 0.2), so what came before it passes, and then the reason.
    async fn closed_early(&mut self, buffer: &[u8], closes_at: u64) -> End {
        let before = usize::try_from(closes_at.saturating_sub(self.sent.bytes)).unwrap_or_default();
        // A close is only valid where a frame ends, and ends the message that it cuts.
        self.sent = Position { bytes: closes_at, missing: 0, ..self.seen.position };
        if !self.write(buffer.get(..before).unwrap_or_default()).await {
            return self.write_failed();
        }
        self.end_with_reason("the rack closed the session without an exit code", End::UpstreamLost).await
    }

    /// Writes to the client, for as long as it takes; once the socket is to end, for [`FAREWELL`].
    async fn write(&mut self, bytes: &[u8]) -> bool {
        self.outcome.count_out(bytes.len() as u64);
        let retyped = self.retyped.as_mut().map(|retyped| retyped.of(bytes));
        let bytes = retyped.as_deref().unwrap_or(bytes);
        let (client, stopped) = (&mut self.client, &mut self.stopped);
        let writing = async {
            client.write_all(bytes).await?;
            client.flush().await
        };
        tokio::pin!(writing);
        let written = tokio::select! {
            written = &mut writing => Ok(written),
            _reason = ending(stopped) => timeout(FAREWELL, writing).await,
        };
        matches!(written, Ok(Ok(())))
    }

    /// The end of a socket whose client did not take what was written.
    fn write_failed(&mut self) -> End {
        match self.stopped.borrow().clone() {
            Some(Stop::Withdrawn(loss)) => {
                self.outcome.note(loss.reason());
                End::Refused
            }
            Some(Stop::ClientClosed) => End::Completed,
            Some(Stop::ClientGone | Stop::ClientBroke(_) | Stop::RackGone) | None => End::AbortedByClient,
        }
    }

    async fn stop(&mut self, reason: Stop) -> End {
        match reason {
            Stop::ClientGone if self.seen.ended => {
                self.note_exit_code();
                End::Completed
            }
            Stop::ClientClosed => End::Completed,
            Stop::ClientGone | Stop::RackGone => End::AbortedByClient,
            Stop::ClientBroke(error) => {
                self.outcome.note(format!("the client sent a malformed frame: {error}"));
                self.close(error.close_code(), "malformed frame").await;
                End::Failed
            }
            Stop::Withdrawn(loss) => match self.manners {
                Manners::Rack { .. } => self.end_with_reason(loss.reason(), End::Refused).await,
                Manners::Service => {
                    self.outcome.note(loss.reason());
                    self.close(loss.close_code(), loss.reason()).await;
                    End::Refused
                }
            },
        }
    }

    /// Closes the socket with a reason.
    async fn close(&mut self, code: u16, reason: &str) {
        if self.pad().await
            && self.write(&encode_server_frame(Opcode::Close, &close_payload(code, reason))).await
            && self.manners == Manners::Service
        {
            // What the client still sends is read and dropped there, so that a reset does not overtake the reason.
            let _ = timeout(FAREWELL, self.client.shutdown()).await;
        }
    }

    async fn upstream_ended(&mut self, reason: &str) -> End {
        if self.seen.ended || (self.seen.exit_code.is_some() && self.scanner.at_boundary()) {
            self.note_exit_code();
            return End::Completed;
        }
        match self.manners {
            Manners::Rack { tells_exit_code: true, .. } => {
                self.end_with_reason(reason, End::UpstreamLost).await
            }
            // The ends of logs and of TCP channels are told by closing.
            Manners::Rack { tells_exit_code: false, .. } => End::UpstreamLost,
            Manners::Service => {
                self.close(1011, "the service broke the connection").await;
                End::UpstreamLost
            }
        }
    }

    fn note_exit_code(&mut self) {
        if let Some(code) = self.seen.exit_code {
            self.outcome.note(format!("exit code {code}"));
        }
    }

    /// Tells the client why, with exit code 1; without this it would report success (API.md 0.2).
    async fn end_with_reason(&mut self, reason: &str, end: End) -> End {
        self.outcome.note(reason);
        if self.manners.tells_exit_code() && self.pad().await {
            let mut frames = Vec::new();
            if self.sent.inside_message {
                // The message that was cut short ends here, so that what follows is one of its own.
                frames.extend(encode_server_frame(Opcode::Continuation, b""));
            }
            frames.extend(denial_frames(reason));
            self.write(&frames).await;
        }
        end
    }

    /// Fills up a frame that was cut short, so that what follows is a frame again.
    async fn pad(&mut self) -> bool {
        if self.sent.missing > PADDING_LIMIT_BYTES {
            return false;
        }
        let blanks = [b' '; 4096];
        while self.sent.missing > 0 {
            let count = usize::try_from(self.sent.missing).unwrap_or(blanks.len()).min(blanks.len());
            if !self.write(blanks.get(..count).unwrap_or_default()).await {
                return false;
            }
            self.sent.missing -= count as u64;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_for_a_page_is_binary_however_it_is_cut() {
        let long = vec![b'x'; 70_000];
        let mut sent = Vec::new();
        let mut expected = Vec::new();
        for (opcode, payload) in [
            (Opcode::Text, &b"\xff\xfe not UTF-8"[..]),
            (Opcode::Ping, b"1"),
            (Opcode::Text, &long),
            (Opcode::Text, b""),
            (Opcode::Binary, b""),
        ] {
            sent.extend(encode_server_frame(opcode, payload));
            let as_binary = if opcode == Opcode::Text { Opcode::Binary } else { opcode };
            expected.extend(encode_server_frame(as_binary, payload));
        }
        // A message in two frames: only the first one says what it is.
        sent.extend([0x01, 1, b'a', 0x80, 1, b'b']);
        expected.extend([0x02, 1, b'a', 0x80, 1, b'b']);
        let mut whole = Retyped(FrameScanner::new(Sender::Server, FRAME_LIMIT_BYTES));
        assert_eq!(whole.of(&sent), expected);
        // Within a payload it may be cut anywhere.
        let ping = encode_server_frame(Opcode::Text, b"\xff\xfe not UTF-8").len()
            + encode_server_frame(Opcode::Ping, b"1").len();
        let (first, rest) = sent.split_at(ping + 20_000);
        let mut cut = Retyped(FrameScanner::new(Sender::Server, FRAME_LIMIT_BYTES));
        assert_eq!([cut.of(first), cut.of(rest)].concat(), expected);
    }
}
