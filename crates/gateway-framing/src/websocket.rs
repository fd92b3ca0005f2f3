//! Where WebSocket frames begin and end. Payloads pass untouched.
//!
//! A Convox rack sends arbitrary bytes in text frames, so nothing here validates UTF-8 or builds
//! messages. It does not know what a frame means to its receiver, whether it is recorded, or when a
//! socket closes; no extension is ever negotiated, so every reserved bit is an error.
//!
//! Start reading at [`FrameScanner::advance`]; frames of the gateway's own are made in `encode`.

mod encode;
mod error;

#[cfg(test)]
mod tests;

use std::io::Cursor;
use std::num::NonZeroU64;

pub use encode::{close_payload, encode_client_frame, encode_server_frame, unmask};
pub use error::{FrameError, FrameErrorKind};
use tungstenite::protocol::frame::FrameHeader;

/// The longest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub const MAX_CONTROL_PAYLOAD_BYTES: usize = 125;

/// Who sends the frames that are scanned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sender {
    /// The client: every frame must be masked.
    Client,
    /// The server: no frame may be masked.
    Server,
}

/// What a frame is (RFC 6455, section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Opcode {
    /// A further frame of a message.
    Continuation,
    /// The first frame of a text message. Its bytes need not be UTF-8.
    Text,
    /// The first frame of a binary message.
    Binary,
    /// The end of the connection.
    Close,
    /// A sign of life that asks for another.
    Ping,
    /// The answer to a ping, or a sign of life unasked.
    Pong,
}

impl Opcode {
    /// The number in the frame's head.
    pub const fn number(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    /// The opcode of this number; `None` for the reserved ones.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0x0 => Some(Opcode::Continuation),
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xA => Some(Opcode::Pong),
            _ => None,
        }
    }

    /// Whether it is close, ping or pong.
    pub const fn is_control(self) -> bool {
        match self {
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
            Opcode::Continuation | Opcode::Text | Opcode::Binary => false,
        }
    }
}

/// The head of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FrameHead {
    /// What the frame is.
    pub opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub fin: bool,
    /// How many payload bytes follow. At most the scanner's limit.
    pub payload_bytes: u64,
    /// The key that the payload is masked with; there exactly when a client sends.
    pub mask: Option<[u8; 4]>,
}

/// A piece of a frame, in the order of the wire: one head, any number of payloads, one end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// A frame begins. It is valid as far as its head says.
    Head(FrameHead),
    /// Some of its payload, as it is on the wire: still masked. Never empty. The payload of a
    /// control frame comes in one piece.
    Payload(&'a [u8]),
    /// The frame is over.
    End,
}

/// The state of one direction of a WebSocket connection, from the first byte after the handshake on.
#[derive(Debug)]
pub struct FrameScanner {
    sender: Sender,
    max_payload_bytes: u64,
    state: State,
    /// A data frame without `fin` was there, and its message goes on.
    inside_message: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Boundary,
    Payload { remaining: NonZeroU64 },
    Failed(FrameError),
}

impl FrameScanner {
    /// A scanner for what `sender` sends, with frames of at most `max_payload_bytes` of payload.
    pub fn new(sender: Sender, max_payload_bytes: u64) -> Self {
        Self { sender, max_payload_bytes, state: State::Boundary, inside_message: false }
    }

    /// Scans `input`, calls `on_piece` for what is in it, in order, and returns how many leading bytes
    /// may be forwarded.
    ///
    /// What is not forwarded the caller keeps and passes again, with more bytes behind it: a frame
    /// head that is not complete, or a control frame that is not complete (so at most 131 bytes; a
    /// close frame is judged before any byte of it is forwarded). No piece is reported twice. Nothing
    /// is buffered here and nothing is allocated, whatever length a frame claims.
    ///
    /// Call again with the rest until the answer is 0 or an error: valid bytes *before* an error are
    /// handed out first, and the call after that reports it.
    ///
    /// # Errors
    /// The rule that the frame breaks; the same on every later call. The caller closes both sides
    /// with [`FrameError::close_code`].
    ///
    /// Source: RFC 6455, section 5.
    pub fn advance(
        &mut self,
        input: &[u8],
        mut on_piece: impl FnMut(Piece<'_>),
    ) -> Result<usize, FrameError> {
        let mut forwarded = 0;
        loop {
            let rest = input.get(forwarded..).unwrap_or_default();
            match self.step(rest, &mut on_piece) {
                Ok(0) => return Ok(forwarded),
                Ok(count) => forwarded += count,
                Err(error) => {
                    self.state = State::Failed(error);
                    return if forwarded == 0 { Err(error) } else { Ok(forwarded) };
                }
            }
        }
    }

    /// Whether the forwarded bytes end where a frame ends, so that a control frame of the gateway's
    /// own may be put in. Always false after an error.
    pub fn at_boundary(&self) -> bool {
        matches!(self.state, State::Boundary)
    }

    /// Whether the forwarded bytes end where a message ends, so that a data frame of the gateway's
    /// own may be put in: between the frames of a fragmented message it would be a protocol error.
    pub fn at_message_boundary(&self) -> bool {
        self.at_boundary() && !self.inside_message
    }

    fn step(&mut self, bytes: &[u8], on_piece: &mut impl FnMut(Piece<'_>)) -> Result<usize, FrameError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Payload { remaining } => Ok(self.pass_payload(remaining, bytes, on_piece)),
            State::Boundary => {
                let Some((head, head_bytes)) = self.parse_head(bytes)? else { return Ok(0) };
                if head.opcode.is_control() {
                    return pass_control_frame(head, head_bytes, bytes, on_piece);
                }
                self.inside_message = !head.fin;
                on_piece(Piece::Head(head));
                match NonZeroU64::new(head.payload_bytes) {
                    Some(remaining) => self.state = State::Payload { remaining },
                    None => on_piece(Piece::End),
                }
                Ok(head_bytes)
            }
        }
    }

    fn pass_payload(
        &mut self,
        remaining: NonZeroU64,
        bytes: &[u8],
        on_piece: &mut impl FnMut(Piece<'_>),
    ) -> usize {
        // A length that does not fit `usize` is longer than any input.
        let wanted = usize::try_from(remaining.get()).unwrap_or(usize::MAX);
        let payload = bytes.get(..wanted).unwrap_or(bytes);
        if !payload.is_empty() {
            on_piece(Piece::Payload(payload));
        }
        match NonZeroU64::new(remaining.get().saturating_sub(payload.len() as u64)) {
            Some(remaining) => self.state = State::Payload { remaining },
            None => {
                self.state = State::Boundary;
                on_piece(Piece::End);
            }
        }
        payload.len()
    }

    /// The head that `bytes` begin with, and its length. `None`: not complete yet.
    fn parse_head(&self, bytes: &[u8]) -> Result<Option<(FrameHead, usize)>, FrameErrorKind> {
        // The first byte is judged at once: whoever speaks another protocol is not waited for.
        let Some(first) = bytes.first() else { return Ok(None) };
        ensure(first & 0x70 == 0, FrameErrorKind::ReservedBits)?;
        let opcode = Opcode::from_number(first & 0x0F).ok_or(FrameErrorKind::ReservedOpcode)?;

        let mut cursor = Cursor::new(bytes);
        let (header, payload_bytes) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            // Its only refusal is the one above.
            Err(_) => return Err(FrameErrorKind::ReservedOpcode),
        };
        let head = FrameHead { opcode, fin: header.is_final, payload_bytes, mask: header.mask };
        // Larger than any head if it does not fit, and so refused.
        let head_bytes = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        ensure(head_bytes == header.len(payload_bytes), FrameErrorKind::LengthNotMinimal)?;
        self.check_head(head)?;
        Ok(Some((head, head_bytes)))
    }

    fn check_head(&self, head: FrameHead) -> Result<(), FrameErrorKind> {
        match (self.sender, head.mask) {
            (Sender::Client, Some(_)) | (Sender::Server, None) => {}
            (Sender::Client, None) => return Err(FrameErrorKind::NotMasked),
            (Sender::Server, Some(_)) => return Err(FrameErrorKind::Masked),
        }
        if head.opcode.is_control() {
            ensure(head.fin, FrameErrorKind::FragmentedControl)?;
            return ensure(
                head.payload_bytes <= MAX_CONTROL_PAYLOAD_BYTES as u64,
                FrameErrorKind::LongControl,
            );
        }
        match (head.opcode == Opcode::Continuation, self.inside_message) {
            (true, false) => return Err(FrameErrorKind::UnexpectedContinuation),
            (false, true) => return Err(FrameErrorKind::MissingContinuation),
            (true, true) | (false, false) => {}
        }
        let largest = self.max_payload_bytes.min(i64::MAX.cast_unsigned());
        ensure(head.payload_bytes <= largest, FrameErrorKind::PayloadTooLarge)
    }
}

/// A control frame is passed whole or not at all.
fn pass_control_frame(
    head: FrameHead,
    head_bytes: usize,
    bytes: &[u8],
    on_piece: &mut impl FnMut(Piece<'_>),
) -> Result<usize, FrameError> {
    let frame_bytes = usize::try_from(head.payload_bytes).unwrap_or(usize::MAX).saturating_add(head_bytes);
    let Some(payload) = bytes.get(head_bytes..frame_bytes) else { return Ok(0) };
    if head.opcode == Opcode::Close {
        check_close(payload, head.mask.unwrap_or_default())?;
    }
    on_piece(Piece::Head(head));
    if !payload.is_empty() {
        on_piece(Piece::Payload(payload));
    }
    on_piece(Piece::End);
    Ok(frame_bytes)
}

/// The payload of a close frame is empty, or a code and a reason. The reason is not read: no more
/// than any other payload is it held to be UTF-8.
fn check_close(payload: &[u8], mask: [u8; 4]) -> Result<(), FrameErrorKind> {
    match payload {
        [] => Ok(()),
        [_] => Err(FrameErrorKind::ClosePayload),
        [high, low, ..] => {
            let mut code = [*high, *low];
            unmask(&mut code, mask, 0);
            ensure(may_be_sent(u16::from_be_bytes(code)), FrameErrorKind::CloseCode)
        }
    }
}

/// Whether a close code may be on the wire: registered (1004, 1005, 1006 and 1015 are only for use
/// within a program), or from the ranges for libraries and applications.
///
/// Source: RFC 6455, section 7.4, and the IANA WebSocket close code registry.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn ensure(holds: bool, rule: FrameErrorKind) -> Result<(), FrameErrorKind> {
    if holds { Ok(()) } else { Err(rule) }
}
