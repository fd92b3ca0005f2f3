//! What a service sends over a socket, searched for the credential that the gateway holds for it. A frame that repeats
//! it does not reach the client, and the socket ends.
//!
//! A credential that is cut over two frames of a message is found too, but then its beginning has passed already: a
//! frame that is whole is never held back, since nothing may come behind it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use gateway_framing::websocket::{FrameScanner, Opcode, Piece, Sender};
use gateway_services::Service;
use gateway_types::Secret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::BodyError;
use crate::phases::websocket::relay::head_bytes;
use crate::services::body::Scrubber;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 8 * 1024;

/// The service's side of a socket. Reading from it fails where the credential would come; writing is as it was.
pub(super) struct Searched<S> {
    inner: S,
    service: Arc<Service>,
    /// `None`: the service has no credential that could be looked for.
    search: Option<Search>,
    /// What was read and did not go on yet.
    waiting: BytesMut,
    /// How many of those bytes may.
    free: usize,
    has_ended: bool,
}

impl<S> Searched<S> {
    pub(super) fn new(inner: S, service: Arc<Service>, needles: Vec<Secret<String>>) -> Self {
        let search = (!needles.is_empty()).then(|| Search::new(needles));
        Self { inner, service, search, waiting: BytesMut::new(), free: 0, has_ended: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Searched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(search) = &mut this.search else {
            return Pin::new(&mut this.inner).poll_read(context, buffer);
        };
        while this.free == 0 && !this.has_ended {
            search.check().inspect_err(|_repeats| {
                tracing::warn!(
                    service = %this.service.name,
                    "a socket ends, since the service repeats the credential that the gateway holds for it"
                );
            })?;
            let mut chunk = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut read))?;
            this.waiting.extend_from_slice(read.filled());
            if read.filled().is_empty() {
                // Nothing comes that could make a credential of what was held back.
                (this.free, this.has_ended) = (this.waiting.len(), true);
            } else {
                this.free = search.advance(&this.waiting);
            }
        }
        let count = this.free.min(buffer.remaining());
        buffer.put_slice(this.waiting.get(..count).unwrap_or_default());
        this.waiting.advance(count);
        this.free -= count;
        search.went_on(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Searched<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

/// Looks through frames as they come.
struct Search {
    scanner: FrameScanner,
    /// Bytes that went on.
    passed: u64,
    found: Found,
}

/// What the payloads showed so far.
struct Found {
    scrubber: Scrubber,
    /// The end of the message's payload so far, over all its frames: as much as could begin a credential.
    message: Vec<u8>,
    /// The payload of the present control frame, which may stand within a message.
    control: Vec<u8>,
    is_control: bool,
    /// Bytes that were scanned.
    bytes: u64,
    /// Where among them the present frame begins, and how many of its payload were there.
    frame_begins: u64,
    in_frame: usize,
    /// Where the frame begins that repeats the credential.
    repeats_at: Option<u64>,
}

impl Search {
    fn new(needles: Vec<Secret<String>>) -> Self {
        let found = Found {
            scrubber: Scrubber::new(needles),
            message: Vec::new(),
            control: Vec::new(),
            is_control: false,
            bytes: 0,
            frame_begins: 0,
            in_frame: 0,
            repeats_at: None,
        };
        Self { scanner: FrameScanner::new(Sender::Server, u64::MAX >> 1), passed: 0, found }
    }

    /// Whether all went on that may, and what comes next is a frame that repeats the credential.
    fn check(&self) -> io::Result<()> {
        match self.found.repeats_at {
            Some(at) if at <= self.passed => Err(io::Error::other(BodyError::Credential)),
            Some(_) | None => Ok(()),
        }
    }

    /// How many leading bytes of `waiting` may go on. Behind a malformed frame that is all: whoever relays the frames
    /// judges the same, and lets nothing of it pass.
    fn advance(&mut self, waiting: &[u8]) -> usize {
        let Self { scanner, passed, found } = self;
        loop {
            let scanned = usize::try_from(found.bytes.saturating_sub(*passed)).unwrap_or(usize::MAX);
            match scanner.advance(waiting.get(scanned..).unwrap_or_default(), |piece| found.piece(piece)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_malformed) if found.repeats_at.is_none() => return waiting.len(),
                Err(_malformed) => break,
            }
        }
        let held = if scanner.at_boundary() { 0 } else { found.begun() };
        let end = found.repeats_at.unwrap_or(found.bytes.saturating_sub(held as u64));
        usize::try_from(end.saturating_sub(*passed)).unwrap_or(usize::MAX)
    }

    fn went_on(&mut self, count: usize) {
        self.passed += count as u64;
    }
}

impl Found {
    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Head(head) => {
                self.frame_begins = self.bytes;
                self.bytes += head_bytes(head.payload_bytes);
                self.is_control = head.opcode.is_control();
                self.in_frame = 0;
                match head.opcode {
                    Opcode::Close | Opcode::Ping | Opcode::Pong => self.control.clear(),
                    Opcode::Text | Opcode::Binary => self.message.clear(),
                    Opcode::Continuation => {}
                }
            }
            Piece::Payload(payload) => {
                self.bytes += payload.len() as u64;
                self.in_frame += payload.len();
                let tail = if self.is_control { &mut self.control } else { &mut self.message };
                tail.extend_from_slice(payload);
                if self.repeats_at.is_none() && self.scrubber.is_in(tail) {
                    self.repeats_at = Some(self.frame_begins);
                }
                let kept = self.scrubber.begun(tail);
                tail.drain(..tail.len().saturating_sub(kept));
            }
            Piece::End => {}
        }
    }

    /// How many bytes at the end of the present frame's payload could begin a credential.
    fn begun(&self) -> usize {
        let tail = if self.is_control { &self.control } else { &self.message };
        tail.len().min(self.in_frame)
    }
}

#[cfg(test)]
mod tests {
    use gateway_framing::websocket::encode_server_frame;

    use super::*;

    /// What goes on of these frames, which come in pieces of each length; `None`: one of them ends the socket, and not
    /// more than the first, which is harmless, needs to be there.
    fn check(frames: &[&[u8]], expected: Option<&[&[u8]]>) {
        let before = frames[0];
        let (bytes, expected) = (frames.concat(), expected.map(<[&[u8]]>::concat));
        for length in 1..=bytes.len() {
            let needles = ["hunter22", "huntsman"].map(|needle| Secret::new(needle.to_owned()));
            let (mut search, mut waiting, mut passed) =
                (Search::new(needles.to_vec()), Vec::new(), Vec::new());
            let mut ended = false;
            for piece in bytes.chunks(length) {
                waiting.extend_from_slice(piece);
                let free = search.advance(&waiting);
                search.went_on(free);
                passed.extend(waiting.drain(..free));
                ended = search.check().is_err();
                if ended {
                    break;
                }
            }
            match &expected {
                Some(expected) => assert_eq!((&passed, ended), (expected, false), "{length}"),
                None => assert!(ended && passed.starts_with(before), "{length}"),
            }
            for needle in [b"hunter22", b"huntsman"] {
                assert_eq!(memchr::memmem::find(&passed, needle), None, "{length}");
            }
        }
    }

    #[test]
    fn a_credential_ends_the_socket_however_it_comes() {
        let text = |text: &[u8]| encode_server_frame(Opcode::Text, text);
        let first = text(b"first");
        check(&[&first, &text(b"a hunter22 b")], None);
        check(&[&first, &text(b"a"), &text(b"huntsman"), &text(b"b")], None);
        check(&[&first, &encode_server_frame(Opcode::Binary, b"hunter22")], None);
        check(&[&first, &encode_server_frame(Opcode::Ping, b"hunter22")], None);
        check(&[&first, &text(&[&[b'x'; 300][..], b"hunter22"].concat())], None);
        // Over two frames of one message, with a control frame between.
        check(&[b"\x01\x04hunt", &encode_server_frame(Opcode::Ping, b"x"), b"\x80\x04er22"], None);
    }

    #[test]
    fn everything_else_passes_whole() {
        let text = |text: &[u8]| encode_server_frame(Opcode::Text, text);
        for frames in [
            vec![text(b"a hunter 22"), text(b"hunt")],
            vec![text(b"hunt"), text(b"er22")],
            vec![text(b""), text(b"hunthuntsmahunter2"), encode_server_frame(Opcode::Close, b"\x03\xe8hunt")],
            vec![encode_server_frame(Opcode::Ping, b"hunt"), text(b"er22")],
        ] {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            check(&frames, Some(&frames));
        }
    }

    #[test]
    fn what_is_no_frame_is_left_to_whoever_relays_it() {
        let frame = encode_server_frame(Opcode::Text, b"a");
        let mut search = Search::new(vec![Secret::new("hunter22".to_owned())]);
        let bytes = [&frame[..], b"\xf1\x01a"].concat();
        assert_eq!(search.advance(&bytes), bytes.len());
        assert!(search.check().is_ok());
    }
}
