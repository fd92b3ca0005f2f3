//! The client's HTTP/2 connection as its parser sees it, with its frames counted on the way.
//!
//! What the parser itself does not bound ends the connection here: frames that cost nothing to send, and heads and
//! prefaces that never come to their end. The client is told with GOAWAY, as far as it listens.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gateway_framing::http2::{ENHANCE_YOUR_CALM, Flood, FrameLimits, Inflow, Outflow, goaway};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a connection was ended here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Ended {
    /// It sent too much of what costs it nothing.
    #[error(transparent)]
    Flood(#[from] Flood),
    /// Its preface, or a head, did not come to its end in time.
    #[error("a request head of the HTTP/2 connection did not come in time")]
    Slow,
}

/// Told of what the pipeline does not see: streams refused as malformed or as too large, and the connection's end.
pub(super) trait Observer: Send + 'static {
    /// This many streams were refused as malformed.
    fn refused_streams(&self, count: u32);
    /// This many streams were refused for the size of their head, before a request came of them.
    fn refused_heads(&self, count: u32);
    /// The connection was ended.
    fn ended(&self, why: Ended);
}

/// The stream.
pub(super) struct CountedStream<S, O> {
    inner: S,
    inflow: Inflow,
    outflow: Outflow,
    observer: O,
    head_limit: Duration,
    began: Instant,
    alarm: Pin<Box<Sleep>>,
    has_ended: bool,
}

impl<S, O: Observer> CountedStream<S, O> {
    pub(super) fn new(inner: S, observer: O, head_limit: Duration) -> Self {
        let began = Instant::now();
        Self {
            inner,
            inflow: Inflow::new(FrameLimits::default(), began.into_std()),
            outflow: Outflow::default(),
            observer,
            head_limit,
            began,
            alarm: Box::pin(sleep_until(began + head_limit)),
            has_ended: false,
        }
    }

    /// When what the client is at must have come to its end; `None` when it is at nothing.
    fn deadline(&self) -> Option<Instant> {
        let since = match self.inflow.is_past_preface() {
            false => Some(self.began),
            true => self.inflow.head_open_since().map(Instant::from_std),
        };
        since.map(|since| since + self.head_limit)
    }

    /// Ready when what the client is at takes too long.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline() else { return Poll::Pending };
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        self.alarm.as_mut().poll(context)
    }
}

impl<S: AsyncWrite + Unpin, O: Observer> CountedStream<S, O> {
    fn end(&mut self, context: &mut Context<'_>, why: Ended) -> io::Error {
        if !self.has_ended {
            self.has_ended = true;
            self.observer.ended(why);
            if self.outflow.is_between_frames() {
                let last_words = goaway(ENHANCE_YOUR_CALM);
                // There may be no room for them; the client has not earned that anybody waits for it.
                let _best_effort = Pin::new(&mut self.inner).poll_write(context, &last_words);
            }
        }
        io::Error::other(why)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, O: Observer + Unpin> AsyncRead for CountedStream<S, O> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = out.filled().len();
        if Pin::new(&mut this.inner).poll_read(context, out)?.is_pending() {
            ready!(this.poll_deadline(context));
            return Poll::Ready(Err(this.end(context, Ended::Slow)));
        }
        let sent = this.outflow.take_data_frames();
        this.inflow.sent_data_frames(sent);
        let came = out.filled().get(before..).unwrap_or_default();
        if let Err(flood) = this.inflow.advance(came, Instant::now().into_std()) {
            out.set_filled(before);
            return Poll::Ready(Err(this.end(context, flood.into())));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin, O: Observer + Unpin> AsyncWrite for CountedStream<S, O> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.inner).poll_write(context, bytes))?;
        this.outflow.advance(bytes.get(..count).unwrap_or_default());
        let refused = this.outflow.take_refused_streams();
        if refused > 0 {
            this.observer.refused_streams(refused);
        }
        let refused = this.outflow.take_refused_heads();
        if refused > 0 {
            this.observer.refused_heads(refused);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}
