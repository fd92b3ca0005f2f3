//! The body of a client, with what it may leave the gateway waiting.
//!
//! Only the time counts in which the gateway waits for the client: a slow upload because the rack takes it slowly
//! is not the client's fault. A body as a whole may take as long as it likes.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::BodyError;

/// What a client may leave the gateway waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// The longest pause.
    pub pause: Duration,
    /// The least bytes per second, beside one pause; 0 = any.
    pub bytes_per_second: u32,
}

impl Pace {
    /// How long all waiting together may be once this many bytes came; `None` = for ever.
    fn patience(self, bytes: u64) -> Option<Duration> {
        let nanos = bytes.saturating_mul(1_000_000_000).checked_div(u64::from(self.bytes_per_second))?;
        Some(self.pause.saturating_add(Duration::from_nanos(nanos)))
    }

    /// How long a wait may be that begins after so many bytes came and so long was waited for them.
    fn next_wait(self, bytes: u64, waited: Duration) -> Duration {
        let left = self.patience(bytes).map(|all| all.saturating_sub(waited));
        left.map_or(self.pause, |left| left.min(self.pause))
    }
}

/// A client's body that fails when it comes too slowly.
#[derive(Debug)]
pub struct ClientBody<B = Incoming> {
    body: B,
    pace: Pace,
    /// Since when this wait goes on.
    waiting: Option<Instant>,
    /// All waits before it.
    waited: Duration,
    bytes: u64,
    alarm: Option<Pin<Box<Sleep>>>,
    takes_trailers: bool,
}

impl<B> ClientBody<B> {
    /// This body at this pace.
    pub fn new(body: B, pace: Pace) -> Self {
        Self {
            body,
            pace,
            waiting: None,
            waited: Duration::ZERO,
            bytes: 0,
            alarm: None,
            takes_trailers: false,
        }
    }

    /// The same, for somebody who passes on what may follow a body.
    #[must_use]
    pub fn with_trailers(mut self) -> Self {
        self.takes_trailers = true;
        self
    }

    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if self.waiting.is_none() {
            self.waiting = Some(now);
            let until = now + self.pace.next_wait(self.bytes, self.waited);
            match &mut self.alarm {
                Some(alarm) => alarm.as_mut().reset(until),
                None => self.alarm = Some(Box::pin(sleep_until(until))),
            }
        }
        self.alarm.as_mut().map_or(Poll::Pending, |alarm| alarm.as_mut().poll(context))
    }
}

impl<B> Body for ClientBody<B>
where
    B: Body<Data = Bytes, Error = hyper::Error> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(polled) = Pin::new(&mut this.body).poll_frame(context) else {
            let limit = this.pace.pause;
            return this.poll_alarm(context).map(|()| Some(Err(BodyError::TooSlow { limit })));
        };
        if let Some(since) = this.waiting.take() {
            this.waited = this.waited.saturating_add(since.elapsed());
        }
        Poll::Ready(match polled {
            Some(Ok(frame)) if frame.is_trailers() && !this.takes_trailers => Some(Err(BodyError::Trailers)),
            Some(Ok(frame)) => {
                this.bytes = this.bytes.saturating_add(frame.data_ref().map_or(0, Bytes::len) as u64);
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(BodyError::Broken(error))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    /// Whether a body of these pieces (seconds waited for each, bytes) comes to its end.
    fn check(bytes_per_second: u32, pieces: &[(u64, u64)], expected: bool) {
        let pace = Pace { pause: Duration::from_secs(30), bytes_per_second };
        let (mut bytes, mut waited) = (0, Duration::ZERO);
        let is_whole = pieces.iter().all(|(seconds, size)| {
            let (wait, limit) = (Duration::from_secs(*seconds), pace.next_wait(bytes, waited));
            waited += wait;
            bytes = bytes.saturating_add(*size);
            wait < limit
        });
        assert_eq!(is_whole, expected, "{bytes_per_second} {pieces:?}");
    }

    #[test]
    fn c9_a_body_may_be_long_but_not_slow() {
        check(100, &[(0, 10), (29, 10)], true);
        check(100, &[(0, 10), (31, 10)], false);
        check(100, &[(29, 10), (29, 10)], false);
        check(0, &[(29, 10), (29, 10), (29, 10)], true);
        check(100, &[(29, 10_000), (29, 10_000), (29, 10_000)], true);
        check(100, &[(1, 1); 100], false);
        check(100, &[(1, 100); 1000], true);
        check(1, &[(0, u64::MAX), (29, 1)], true);
    }

    /// A body of which nothing comes.
    struct Silent;

    impl Body for Silent {
        type Data = Bytes;
        type Error = hyper::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn c9_a_silent_body_fails() {
        let pace = Pace { pause: Duration::from_millis(20), bytes_per_second: 0 };
        let frame = ClientBody::new(Silent, pace).frame().await;
        assert!(matches!(frame, Some(Err(BodyError::TooSlow { .. }))));
    }
}
