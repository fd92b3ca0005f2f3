//! A guard in front of a lenient HTTP/1.1 parser: it releases only bytes of well-framed requests.
//!
//! Two parsers that disagree about where a request ends are how requests are smuggled. hyper accepts
//! more than RFC 9112 does (bare LF, a Content-Length beside Transfer-Encoding, equal duplicates), so
//! the guard accepts less: what it releases has one reading only. It does not know routes, what a
//! header means beyond framing, or what the replies are.
//!
//! Start reading at [`RequestGuard::advance`]; the rules are in `request_line`, `fields`, `host` and
//! `chunked`, and each is one variant of [`ViolationKind`].

mod chunked;
pub(crate) mod fields;
mod head;
pub(crate) mod host;
pub(crate) mod request_line;
mod violation;

#[cfg(test)]
mod tests;

use std::num::NonZeroU64;

use chunked::Chunked;
use fields::Framing;
use head::Head;
pub use violation::{SingleHeader, Violation, ViolationKind};

/// How large the parts of a request's head may be. Lines are counted with their CRLF.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the request line; more is a 414. Default 16 KiB.
    pub request_line_bytes: usize,
    /// Bytes of one header line; more is a 431. Default 16 KiB.
    pub header_line_bytes: usize,
    /// Number of header lines; more is a 431. Default 100, which is also where hyper stops.
    pub header_count: usize,
    /// Bytes of the whole head with its final empty line; more is a 431. Default 64 KiB. This is also
    /// the most that a caller has to buffer.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes: 16 * 1024,
            header_line_bytes: 16 * 1024,
            header_count: 100,
            head_bytes: 64 * 1024,
        }
    }
}

/// The state of one client connection, from its first byte on.
///
/// # Security
/// After a violation the guard stays failed: where the next request would begin is not known any
/// more, so the caller answers with [`Violation::status`] and closes the connection.
#[derive(Debug)]
pub struct RequestGuard {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before or inside a head. No byte of it is released yet.
    Head(Head),
    /// Inside a body of known length.
    Counted { remaining: NonZeroU64 },
    /// Inside a chunked body.
    Chunked(Chunked),
    /// After a WebSocket request: no HTTP any more.
    Opaque,
    /// After a violation, in the body of a request or before the end of a head.
    Failed { violation: Violation, in_body: bool },
}

impl RequestGuard {
    /// A guard for a connection on which nothing was received yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Head(Head::default()) }
    }

    /// How many leading bytes of `buffer` may be passed on.
    ///
    /// `buffer` holds all bytes that were received and not yet released, in order; after each call
    /// the caller drops as many as were released. 0 means that more bytes are needed. A head is
    /// released only when it is complete and valid, body bytes as they come. Any number of pipelined
    /// requests may be released at once.
    ///
    /// Call again with the rest until the answer is 0 or a violation: well-framed bytes *before* a
    /// violation are released first, and the call after that reports it. So the verdict does not
    /// depend on how the bytes were cut into segments.
    ///
    /// Bytes seen once are not scanned again: a head that arrives byte by byte costs as much as one
    /// that arrives whole.
    ///
    /// # Errors
    /// The rule that the bytes break; the same on every later call.
    ///
    /// Source: RFC 9112, sections 2 to 7, narrowed.
    pub fn advance(&mut self, buffer: &[u8]) -> Result<usize, Violation> {
        let mut released = 0;
        let was_opaque = self.is_opaque();
        loop {
            let rest = buffer.get(released..).unwrap_or_default();
            match self.step(rest) {
                Ok(0) => return Ok(released),
                // Whoever must keep early bytes of a socket back is told where they begin.
                Ok(count) if !was_opaque && self.is_opaque() => return Ok(released + count),
                Ok(count) => released += count,
                Err(violation) => {
                    self.fail(violation);
                    return if released == 0 { Err(violation) } else { Ok(released) };
                }
            }
        }
    }

    /// Whether a head asked for `Upgrade: websocket`: a `GET` over HTTP/1.1 whose `Connection` lists
    /// `upgrade`, without a body. From then on everything is released unseen.
    ///
    /// # Security
    /// Bytes after that head are not checked. Unless it sends a 101, the caller must close the
    /// connection after its reply, so that nobody reads those bytes as a request.
    pub fn is_opaque(&self) -> bool {
        matches!(self.state, State::Opaque)
    }

    /// Whether there was a violation in a body, after its head had been released: the request it
    /// belongs to is under way then, and its body must be seen to fail, not to end. False after a
    /// violation in a head, of which nothing was released.
    pub fn failed_in_body(&self) -> bool {
        matches!(self.state, State::Failed { in_body: true, .. })
    }

    /// Whether the last request was released to its end and no byte of a next one was seen. True on
    /// a new connection. Here, and only here, an idle connection may be closed without a reply.
    pub fn is_between_requests(&self) -> bool {
        matches!(&self.state, State::Head(head) if head.is_untouched())
    }

    /// Whether a part of a head was seen and its end was not.
    pub fn is_within_head(&self) -> bool {
        matches!(&self.state, State::Head(head) if !head.is_untouched())
    }

    /// Gives up on a head that does not come to its end: from now on this is the violation.
    pub fn give_up(&mut self) -> Violation {
        let violation = Violation::from(ViolationKind::HeadTooSlow);
        self.fail(violation);
        violation
    }

    /// A violation that was there already stays where it was.
    fn fail(&mut self, violation: Violation) {
        let in_body = match self.state {
            State::Failed { in_body, .. } => in_body,
            State::Counted { .. } | State::Chunked(_) => true,
            State::Head(_) | State::Opaque => false,
        };
        self.state = State::Failed { violation, in_body };
    }

    /// Releases the next piece: a head, a run of body bytes, or a line of chunked framing.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let (count, next) = match &mut self.state {
            State::Failed { violation, .. } => return Err(*violation),
            State::Opaque => return Ok(bytes.len()),
            State::Head(head) => match head.advance(bytes, &self.limits)? {
                Some((length, framing)) => (length, Some(State::after_head(framing))),
                None => (0, None),
            },
            State::Counted { remaining } => {
                let (count, left) = take(*remaining, bytes);
                (count, Some(left.map_or_else(State::next_request, |remaining| State::Counted { remaining })))
            }
            State::Chunked(chunked) => {
                let (count, next) = chunked.advance(bytes)?;
                (count, Some(next.map_or_else(State::next_request, State::Chunked)))
            }
        };
        if let Some(next) = next {
            self.state = next;
        }
        Ok(count)
    }
}

impl State {
    fn next_request() -> Self {
        State::Head(Head::default())
    }

    fn after_head(framing: Framing) -> Self {
        match framing {
            Framing::NoBody => State::next_request(),
            Framing::Length(remaining) => State::Counted { remaining },
            Framing::Chunked => State::Chunked(Chunked::Size),
            Framing::Opaque => State::Opaque,
        }
    }
}

/// How many of `remaining` bytes are there, and how many are left after them.
fn take(remaining: NonZeroU64, bytes: &[u8]) -> (usize, Option<NonZeroU64>) {
    match usize::try_from(remaining.get()) {
        Ok(wanted) if wanted <= bytes.len() => (wanted, None),
        // `remaining` is larger than what is there, so the difference is not zero.
        Ok(_) | Err(_) => (bytes.len(), NonZeroU64::new(remaining.get().saturating_sub(bytes.len() as u64))),
    }
}
