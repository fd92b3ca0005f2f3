//! The body of a reply on its way to the client, and whether the client takes it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep};

use super::activity::Busy;
use crate::body::{BodyError, ReplyBody};

/// Since when a piece of a body waits for its client. Clones are of the same body, or of bodies that follow
/// each other on one connection.
///
/// hyper asks for the next piece only when there is room for it, so a piece after which it does not ask is one
/// that the client leaves unread: the window of its HTTP/2 stream, or of TCP, is full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// From now on something waits for the client, unless something does already.
    pub(crate) fn waits(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// The client took what waited for it.
    pub(crate) fn moves(&self) {
        self.set(None);
    }

    /// Ends once a piece was left unread for `limit`.
    pub(super) fn unread_for(&self, limit: Duration) -> impl Future<Output = ()> + Send + 'static {
        let pulse = self.clone();
        async move {
            loop {
                let since = *pulse.0.lock().unwrap_or_else(PoisonError::into_inner);
                let left = since.map_or(limit, |since| limit.saturating_sub(since.elapsed()));
                if left.is_zero() {
                    return;
                }
                sleep(left).await;
            }
        }
    }
}

/// A reply's body that keeps its connection's [`Pulse`].
pub(super) struct Delivered {
    body: ReplyBody,
    pulse: Pulse,
    _busy: Busy,
}

impl Delivered {
    pub(super) fn new(body: ReplyBody, pulse: Pulse, busy: Busy) -> Self {
        Self { body, pulse, _busy: busy }
    }
}

impl Body for Delivered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let is_handed_over = matches!(polled, Poll::Ready(Some(Ok(_))));
        this.pulse.set(is_handed_over.then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        self.pulse.set(None);
    }
}
