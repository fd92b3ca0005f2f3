//! A session that waits for its second person. The client's side is open, so that the person is told what for; the
//! rack hears of nothing until somebody has joined.
//!
//! What the client sends meanwhile is kept for the rack, up to a bound, and an interrupt ends the waiting.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gateway_framing::websocket::{FrameScanner, Opcode, Piece, Sender};
use gateway_types::Problem;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, join, split};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep_until, timeout};

use super::client::ClientEnd;
use super::relay::listening::Listening;
use super::relay::{FRAME_LIMIT_BYTES, Manners, notice_frame, relay, scan};
use super::{Undialled, dial, finish};
use crate::outcome::{End, OutcomeGuard};
use crate::phases::inspect::{Asked, Inspected};
use crate::phases::standing::Standing;
use crate::plane::DataPlane;
use crate::reply::denial_frames;
use crate::sessions::{Company, Session};

/// How often the person is told that the session still waits; load balancers cut what is silent for a minute.
const REMINDER: Duration = Duration::from_secs(30);

/// How much of what is typed while the session waits is kept, in bytes; then the client is not read any further.
const MOST_TYPED_BYTES: usize = 64 * 1024;

/// How long a client has to take a line, and to close after the last one.
const FAREWELL: Duration = Duration::from_secs(5);

/// The key of an interrupt.
const INTERRUPT: u8 = 3;

/// A session that waits.
pub(super) struct Waiting {
    pub(super) plane: Arc<DataPlane>,
    pub(super) inspected: Inspected,
    pub(super) manners: Manners,
    pub(super) standing: Standing,
    pub(super) outcome: OutcomeGuard,
}

/// Why a session that waited does not begin.
enum NotBegun {
    /// Nobody is there to be told.
    ClientGone,
    /// For this reason, which the person is told.
    Refused(String),
}

impl Waiting {
    /// Waits, then opens the rack's side and relays.
    pub(super) async fn run(mut self, client: ClientEnd, mut session: Option<Session>) {
        self.manners = self.manners.of(&client);
        let company = session.as_mut().and_then(|session| session.company.take());
        let (Some((client, lasting)), Some(opened), Some(company)) = (client.open().await, &session, company)
        else {
            return finish(session, self.outcome, End::AbortedByClient);
        };
        let end = self.accompany(client, opened, company).await;
        finish(session, self.outcome, end);
        lasting.ended(end);
    }

    async fn accompany<C>(&mut self, client: C, session: &Session, mut company: Company) -> End
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut read, mut write) = split(client);
        let mut typed = Typed::new(self.has_terminal());
        let joined = self.wait(&mut read, &mut write, &mut typed, &mut company).await;
        let rack = match joined {
            Ok(()) => match self.begin(session).await {
                Ok(rack) => rack,
                Err(reason) => return self.refuse(&mut read, &mut write, &reason).await,
            },
            Err(NotBegun::ClientGone) => return End::AbortedByClient,
            Err(NotBegun::Refused(reason)) => return self.refuse(&mut read, &mut write, &reason).await,
        };
        let client = join(Cursor::new(typed.raw).chain(read), write);
        let Self { manners, standing, outcome, .. } = self;
        relay(client, TokioIo::new(rack), *manners, standing, outcome, &session.tap, Some(company.notices))
            .await
    }

    /// Whether what the client types are keys rather than the bytes of a file.
    fn has_terminal(&self) -> bool {
        let Asked::Rack { request, .. } = &self.inspected.asked else { return false };
        request.get("Tty").is_none_or(|tty| !matches!(tty, "false" | "0"))
    }

    async fn wait<R, W>(
        &self,
        read: &mut R,
        write: &mut W,
        typed: &mut Typed,
        company: &mut Company,
    ) -> Result<(), NotBegun>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let resource = self.inspected.asked.resource();
        let limit = self.plane.parts.settings.second_person_wait(resource.app_name());
        let most = match limit.as_secs() {
            seconds @ 0..=119 => format!("{seconds} s"),
            seconds => format!("{} min", seconds.div_ceil(60)),
        };
        let why = company.needs.take().map(|needs| needs.0).unwrap_or_default();
        let first = format!(
            "waiting for a second person, {most} at most: {why}. Somebody with the right to watch joins at \
             /app/live or with `rack-gateway sessions live` and `sessions join ID`"
        );
        say(write, &first).await?;
        let until = Instant::now() + limit;
        let mut reminders = interval_at(Instant::now() + REMINDER, REMINDER);
        let lost = self.standing.lost();
        tokio::pin!(lost);
        loop {
            tokio::select! {
                joined = second(&mut company.second) => return say(write, &format!("{joined} joined; the session begins")).await,
                loss = &mut lost => return Err(NotBegun::Refused(loss.reason().to_owned())),
                () = sleep_until(until) => {
                    let reason = format!("nobody joined within {most}, so the session did not begin; ask somebody and try again");
                    return Err(NotBegun::Refused(reason));
                }
                _ = reminders.tick() => say(write, "still waiting for a second person").await?,
                kept = typed.read(read) => kept?,
            }
        }
    }

    /// Opens the rack's side, or says why not.
    async fn begin(&mut self, session: &Session) -> Result<hyper::upgrade::Upgraded, String> {
        if let Err(error) = self.plane.parts.store.recordings().accompanied(session.id()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a session that begins is still shown as waiting"
            );
        }
        match dial(&self.plane, &self.inspected, &mut self.outcome).await {
            Ok(rack) => Ok(rack),
            Err(Undialled::Problem(Problem { detail, .. })) => Err(detail),
            Err(Undialled::Answer(response)) => {
                Err(format!("the rack refused the session with status {}", response.status().as_u16()))
            }
        }
    }

    async fn refuse<R, W>(&mut self, read: &mut R, write: &mut W, reason: &str) -> End
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        self.outcome.note(reason);
        let frames = denial_frames(reason);
        self.outcome.count_out(frames.len() as u64);
        let telling = async {
            write.write_all(&frames).await?;
            write.flush().await?;
            // What the client still sends goes nowhere; it closes once it has read the reason.
            tokio::io::copy(read, &mut tokio::io::sink()).await.map(drop)
        };
        let _ended = timeout(FAREWELL, telling).await;
        End::Refused
    }
}

/// Waits for the second person, and says who it is.
async fn second(joined: &mut watch::Receiver<Option<String>>) -> String {
    match joined.wait_for(Option::is_some).await.ok().and_then(|name| name.clone()) {
        Some(name) => name,
        // The session is over with its list; what ended it is told elsewhere.
        None => std::future::pending().await,
    }
}

/// Tells the person a line.
async fn say(write: &mut (impl AsyncWrite + Unpin), line: &str) -> Result<(), NotBegun> {
    let saying = async {
        write.write_all(&notice_frame(line)).await?;
        write.flush().await
    };
    match timeout(FAREWELL, saying).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(NotBegun::ClientGone),
    }
}

/// What the client sent while the session waited.
struct Typed {
    raw: Vec<u8>,
    buffer: BytesMut,
    scanner: FrameScanner,
    listening: Listening,
    closed: bool,
    /// Whether an interrupt is a key and no byte of a file.
    has_terminal: bool,
}

impl Typed {
    fn new(has_terminal: bool) -> Self {
        Self {
            raw: Vec::new(),
            buffer: BytesMut::new(),
            scanner: FrameScanner::new(Sender::Client, FRAME_LIMIT_BYTES),
            listening: Listening::default(),
            closed: false,
            has_terminal,
        }
    }

    /// Reads once; never returns once enough is kept. May be dropped before it is ready.
    async fn read(&mut self, read: &mut (impl AsyncRead + Unpin)) -> Result<(), NotBegun> {
        if self.raw.len() >= MOST_TYPED_BYTES {
            return std::future::pending().await;
        }
        let before = self.buffer.len();
        match read.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => return Err(NotBegun::ClientGone),
            Ok(_) => {}
        }
        self.raw.extend_from_slice(self.buffer.get(before..).unwrap_or_default());
        let (listening, closed) = (&mut self.listening, &mut self.closed);
        let (complete, broken) = scan(&mut self.scanner, &self.buffer, |piece| {
            *closed |= matches!(&piece, Piece::Head(head) if head.opcode == Opcode::Close);
            listening.piece(piece);
        });
        drop(self.buffer.split_to(complete));
        if self.closed || broken.is_some() {
            return Err(NotBegun::ClientGone);
        }
        if self.has_terminal && self.listening.heard().contains(&INTERRUPT) {
            return Err(NotBegun::Refused("interrupted while it waited for a second person".to_owned()));
        }
        Ok(())
    }
}
