//! The end that stays while connections come and go: what was sent and is not consumed, what came and was not read yet.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use super::message::{LinkFault, MOST_BODY_BYTES};

/// How much one end keeps of what it sent, and of what it received, in bytes.
pub const WINDOW_BYTES: usize = 256 * 1024;

/// The end that stays.
#[derive(Debug)]
pub struct Link {
    state: Mutex<State>,
    /// Something is to be sent, or it is over.
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Sent or to be sent, and not consumed at the other end; where it begins in the stream.
    outgoing: VecDeque<u8>,
    outgoing_at: u64,
    /// The program writes no more.
    out_ended: bool,
    /// Received and not read by the program; how much came in all.
    incoming: VecDeque<u8>,
    received: u64,
    /// The other end has no more.
    in_ended: bool,
    /// The program is gone: what comes is dropped.
    unread: bool,
    is_over: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    /// Where the stream that is sent ends so far.
    fn written(&self) -> u64 {
        self.outgoing_at.saturating_add(self.outgoing.len() as u64)
    }

    fn consumed(&self) -> u64 {
        self.received.saturating_sub(self.incoming.len() as u64)
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// What is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These bytes.
    Data(Vec<u8>),
    /// The end, after all bytes.
    End,
    /// Nothing yet.
    Nothing,
    /// Nothing any more: both directions have ended, and all was consumed.
    Finished,
    /// It was given up.
    Over,
}

impl Link {
    /// A link, and the stream that its program reads and writes.
    pub fn new() -> (Arc<Self>, LinkStream) {
        let (changed, _) = watch::channel(());
        let link = Arc::new(Self { state: Mutex::default(), changed });
        (Arc::clone(&link), LinkStream { link })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it: nothing more is sent, and after what came already there is nothing to read.
    pub fn give_up(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.outgoing = VecDeque::new();
        state.wake();
        drop(state);
        self.changed.send_replace(());
    }

    /// How many bytes have been received.
    pub fn received(&self) -> u64 {
        self.state().received
    }

    /// Whether what is kept begins at or before this place of the stream that is sent, and reaches it.
    pub fn can_go_on_at(&self, place: u64) -> bool {
        let state = self.state();
        !state.is_over && (state.outgoing_at..=state.written()).contains(&place)
    }

    /// Whether the other end said that it has no more.
    pub fn peer_has_ended(&self) -> bool {
        self.state().in_ended
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is to be sent after `sent` bytes and, maybe, the end; and how much has been consumed here.
    pub(super) fn next(&self, sent: u64, end_is_sent: bool) -> (Next, u64) {
        let state = self.state();
        let consumed = state.consumed();
        if state.is_over {
            return (Next::Over, consumed);
        }
        let length = state.outgoing.len();
        let from = usize::try_from(sent.saturating_sub(state.outgoing_at)).unwrap_or(length).min(length);
        let to = from.saturating_add(MOST_BODY_BYTES).min(length);
        let fresh: Vec<u8> = state.outgoing.range(from..to).copied().collect();
        let next = match (fresh.is_empty(), state.out_ended, end_is_sent) {
            (false, _, _) => Next::Data(fresh),
            (true, true, false) => Next::End,
            (true, true, true) if state.outgoing.is_empty() && state.in_ended => Next::Finished,
            (true, _, _) => Next::Nothing,
        };
        (next, consumed)
    }

    /// Bytes came.
    pub(super) fn take(&self, bytes: &[u8]) -> Result<(), LinkFault> {
        let mut state = self.state();
        if state.in_ended {
            return Err(LinkFault::AfterEnd);
        }
        if state.incoming.len().saturating_add(bytes.len()) > WINDOW_BYTES {
            return Err(LinkFault::Flood);
        }
        state.received = state.received.saturating_add(bytes.len() as u64);
        if state.unread {
            drop(state);
            self.changed.send_replace(());
            return Ok(());
        }
        state.incoming.extend(bytes);
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// The other end has consumed so much.
    pub(super) fn consumed(&self, count: u64) -> Result<(), LinkFault> {
        let mut state = self.state();
        if count > state.written() {
            return Err(LinkFault::Ahead);
        }
        // One that is less than before was said on an older connection.
        let gone = usize::try_from(count.saturating_sub(state.outgoing_at)).unwrap_or_default();
        if gone > 0 {
            state.outgoing.drain(..gone);
            state.outgoing_at = count;
            if state.outgoing.is_empty() {
                // A session that rests holds no memory.
                state.outgoing = VecDeque::new();
            }
            if let Some(writer) = state.writer.take() {
                writer.wake();
            }
        }
        drop(state);
        self.changed.send_replace(());
        Ok(())
    }

    /// The other end has no more.
    pub(super) fn ended(&self) {
        let mut state = self.state();
        state.in_ended = true;
        state.wake();
        drop(state);
        self.changed.send_replace(());
    }
}

/// What a program reads and writes. Dropped, it has no more to say and hears no more.
#[derive(Debug)]
pub struct LinkStream {
    link: Arc<Link>,
}

impl AsyncRead for LinkStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.link.state();
        if state.incoming.is_empty() {
            if state.in_ended || state.is_over {
                return Poll::Ready(Ok(()));
            }
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = state.incoming.as_slices();
        let count = front.len().min(buffer.remaining());
        buffer.put_slice(front.get(..count).unwrap_or_default());
        state.incoming.drain(..count);
        if state.incoming.is_empty() {
            state.incoming = VecDeque::new();
        }
        drop(state);
        self.link.changed.send_replace(());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LinkStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.link.state();
        if state.is_over || state.out_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = WINDOW_BYTES.saturating_sub(state.outgoing.len());
        if room == 0 {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        state.outgoing.extend(taken);
        drop(state);
        self.link.changed.send_replace(());
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.state().out_ended = true;
        self.link.changed.send_replace(());
        Poll::Ready(Ok(()))
    }
}

impl Drop for LinkStream {
    fn drop(&mut self) {
        let mut state = self.link.state();
        state.out_ended = true;
        state.unread = true;
        state.incoming = VecDeque::new();
        drop(state);
        self.link.changed.send_replace(());
    }
}
