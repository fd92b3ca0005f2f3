//! The client's connection as hyper sees it: only bytes that [`RequestGuard`] released.
//!
//! hyper accepts more than RFC 9112 allows (bare LF, a Content-Length beside Transfer-Encoding, equal
//! duplicates), which is how desynchronisation starts. Nothing of a request reaches hyper before its
//! head is complete and well-formed.
//!
//! A malformed request is answered in its place: hyper is given a stand-in request of the method
//! [`STAND_IN`], which no client can send, since the guard refuses it. So the reply comes after the
//! replies of well-formed requests before it, and the connection ends. hyper does not see that end
//! coming: it would take it for the client's leaving, and not answer at all.
//!
//! A head that does not come to its end in time is a malformed request too. A connection on which nothing is asked
//! for too long is closed without a word, as it may be (RFC 9112, section 9.5).
//!
//! A connection that ends while its client still sends is closed slowly: a close with unread bytes
//! makes the system send a reset, which can overtake the reply and destroy it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use gateway_framing::http1::{RequestGuard, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::connection::{Activity, Pulse};
use crate::scratch;

/// How much is read from the socket at once.
const READ_BYTES: usize = 16 * 1024;

/// How long a client is listened to after the last reply, so that it can read that reply.
const LINGER: Duration = Duration::from_secs(5);

/// The method of the request that stands for a malformed one.
pub(crate) const STAND_IN: &str = "X-MALFORMED";

const STAND_IN_HEAD: &[u8] = b"X-MALFORMED / HTTP/1.1\r\nhost: malformed\r\n\r\n";

/// Where the guard leaves the violation for the pipeline.
#[derive(Clone, Debug, Default)]
pub(crate) struct ViolationSlot(Arc<Mutex<Option<Violation>>>);

impl ViolationSlot {
    /// A slot of one request, in which this violation is.
    pub(crate) fn holding(violation: Option<Violation>) -> Self {
        Self(Arc::new(Mutex::new(violation)))
    }

    fn put(&self, violation: Violation) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(violation);
    }

    /// Takes the violation that the present stand-in request stands for.
    pub(crate) fn take(&self) -> Option<Violation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How long a client is waited for.
#[derive(Debug)]
pub(crate) struct Patience {
    /// For the first byte of a connection, and from the first byte of a head to its last.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// What the connection is at.
    pub(crate) activity: Activity,
    /// Since when bytes of replies wait for the client to read.
    pub(crate) writes: Pulse,
}

/// What the client is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Awaited {
    /// The first byte.
    First,
    /// The rest of a head.
    Head,
    /// Another request.
    Next,
}

/// A stream whose reads pass the guard.
pub(crate) struct GuardedStream<S> {
    inner: S,
    guard: RequestGuard,
    /// Received bytes; the first `released` of them may be read.
    buffer: BytesMut,
    released: usize,
    violation: ViolationSlot,
    end: InputEnd,
    /// Early bytes of a socket that is not open yet are kept back until the reply begins: with bytes
    /// at hand, hyper would not look whether the client is still there.
    holds_back: bool,
    /// Whether the last write found no room.
    is_stuck: bool,
    /// Set once our side has said that no more comes.
    linger: Option<Pin<Box<Sleep>>>,
    patience: Patience,
    /// When the connection began, or the head that is on its way.
    head_began: Instant,
    alarm: Pin<Box<Sleep>>,
}

/// How the input ends behind the bytes that are still to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum InputEnd {
    /// Not yet.
    Open,
    /// The client said so, or a body turned out malformed.
    Seen,
    /// With a stand-in. Nothing is read behind it, and its reply closes the connection.
    StandIn,
}

impl<S> GuardedStream<S> {
    pub(crate) fn new(inner: S, guard: RequestGuard, violation: ViolationSlot, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            head_began: now,
            alarm: Box::pin(sleep_until(now + patience.head)),
            patience,
            inner,
            guard,
            buffer: BytesMut::new(),
            released: 0,
            violation,
            end: InputEnd::Open,
            holds_back: false,
            is_stuck: false,
            linger: None,
        }
    }

    /// Lets the guard look at what was received and not yet released.
    fn look(&mut self) {
        while !self.holds_back {
            let unseen = self.buffer.get(self.released..).unwrap_or_default();
            let was_opaque = self.guard.is_opaque();
            let was_within_head = self.guard.is_within_head();
            let advanced = self.guard.advance(unseen);
            if self.guard.is_within_head() && (!was_within_head || matches!(advanced, Ok(1..))) {
                self.head_began = Instant::now();
            }
            match advanced {
                Ok(0) => return,
                Ok(count) => {
                    self.released += count;
                    self.holds_back = !was_opaque && self.guard.is_opaque();
                }
                Err(violation) => return self.fail(violation),
            }
        }
    }

    fn fail(&mut self, violation: Violation) {
        self.buffer.truncate(self.released);
        // In the middle of a body no request can be put in its place; the end of the stream makes the
        // body fail, and the request it belongs to is refused.
        if self.guard.failed_in_body() {
            self.end = InputEnd::Seen;
        } else {
            self.end = InputEnd::StandIn;
            self.buffer.extend_from_slice(STAND_IN_HEAD);
            self.released = self.buffer.len();
        }
        self.violation.put(violation);
    }

    /// What the client is waited for, and until when; `None` while others watch over it: in a body, and in a
    /// socket.
    fn awaited(&self) -> Option<(Awaited, Instant)> {
        let Patience { head, idle, activity, writes: _ } = &self.patience;
        if self.guard.is_within_head() {
            return Some((Awaited::Head, self.head_began + *head));
        }
        if !self.guard.is_between_requests() {
            return None;
        }
        if !activity.was_asked() {
            return Some((Awaited::First, self.head_began + *head));
        }
        // While a request is open its end is waited for; then the time begins anew.
        let left = idle.saturating_sub(activity.idle_for().unwrap_or_default());
        Some((Awaited::Next, Instant::now() + left))
    }

    /// Ready when the client was waited for long enough.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Awaited> {
        loop {
            let Some((awaited, until)) = self.awaited() else { return Poll::Pending };
            let is_over = match awaited {
                Awaited::First | Awaited::Head => until <= Instant::now(),
                Awaited::Next => {
                    self.patience.activity.idle_for().is_some_and(|idle| idle >= self.patience.idle)
                }
            };
            if is_over {
                return Poll::Ready(awaited);
            }
            // An alarm that goes off too early is only looked at again: most connections ask for something long
            // before it does, and to set it for each request would cost more than that.
            if self.alarm.deadline() > until || self.alarm.is_elapsed() {
                self.alarm.as_mut().reset(until);
            }
            ready!(self.alarm.as_mut().poll(context));
        }
    }

    /// Notes whether the client leaves room for what is written.
    fn note_room<T>(&mut self, written: Poll<T>) -> Poll<T> {
        match (written.is_pending(), self.is_stuck) {
            (true, _) => self.patience.writes.waits(),
            (false, true) => self.patience.writes.moves(),
            (false, false) => {}
        }
        self.is_stuck = written.is_pending();
        written
    }

    /// Whether the client may be in the middle of sending something.
    fn is_within_request(&self) -> bool {
        !self.buffer.is_empty() || !self.guard.is_between_requests()
    }
}

impl<S: AsyncRead + Unpin> GuardedStream<S> {
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = Pin::new(&mut self.inner);
        let count = ready!(scratch::poll_read::<READ_BYTES, S>(inner, context, &mut self.buffer))?;
        if count == 0 {
            self.end = InputEnd::Seen;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.released > 0 {
                let count = this.released.min(out.remaining());
                out.put_slice(this.buffer.get(..count).unwrap_or_default());
                this.buffer.advance(count);
                this.released -= count;
                return Poll::Ready(Ok(()));
            }
            match this.end {
                InputEnd::Open => {}
                InputEnd::Seen => return Poll::Ready(Ok(())),
                // The reply is what wakes the connection next.
                InputEnd::StandIn => return Poll::Pending,
            }
            this.look();
            if this.released > 0 || this.end != InputEnd::Open {
                continue;
            }
            if this.holds_back && this.buffer.len() >= READ_BYTES {
                return Poll::Pending;
            }
            if this.guard.is_opaque() && this.buffer.is_empty() && !this.holds_back {
                return Pin::new(&mut this.inner).poll_read(context, out);
            }
            if this.poll_fill(context)?.is_pending() {
                match ready!(this.poll_patience(context)) {
                    Awaited::First | Awaited::Next => this.end = InputEnd::Seen,
                    Awaited::Head => {
                        let violation = this.guard.give_up();
                        this.fail(violation);
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> GuardedStream<S> {
    /// Drops what the client still sends until it closes too, or for [`LINGER`].
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(linger) = &mut self.linger else { return Poll::Ready(()) };
        let mut bin = [0u8; 4096];
        loop {
            if linger.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut bin = ReadBuf::new(&mut bin);
            match ready!(Pin::new(&mut self.inner).poll_read(context, &mut bin)) {
                Ok(()) if !bin.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.holds_back = false;
        let written = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.note_room(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.holds_back = false;
        let written = Pin::new(&mut this.inner).poll_write_vectored(context, slices);
        this.note_room(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(context);
        this.note_room(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(context))?;
            if !this.is_within_request() {
                return Poll::Ready(Ok(()));
            }
            this.linger = Some(Box::pin(sleep(LINGER)));
        }
        this.poll_linger(context).map(Ok)
    }
}
