//! The rules of the frame scanner, each with the close code it calls for.

use thiserror::Error;

/// A frame that breaks a rule. The direction cannot be scanned any further.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[error("{kind}")]
pub struct FrameError {
    /// The rule.
    pub kind: FrameErrorKind,
}

impl FrameError {
    /// The code to close with: 1009 for a payload that is too large, else 1002.
    ///
    /// Source: RFC 6455, section 7.4.1.
    pub const fn close_code(&self) -> u16 {
        match self.kind {
            FrameErrorKind::PayloadTooLarge => 1009,
            FrameErrorKind::ReservedBits
            | FrameErrorKind::ReservedOpcode
            | FrameErrorKind::FragmentedControl
            | FrameErrorKind::LongControl
            | FrameErrorKind::NotMasked
            | FrameErrorKind::Masked
            | FrameErrorKind::LengthNotMinimal
            | FrameErrorKind::UnexpectedContinuation
            | FrameErrorKind::MissingContinuation
            | FrameErrorKind::ClosePayload
            | FrameErrorKind::CloseCode => 1002,
        }
    }
}

impl From<FrameErrorKind> for FrameError {
    fn from(kind: FrameErrorKind) -> Self {
        Self { kind }
    }
}

/// The rule that was broken. The texts are fixed, and short enough for the reason of a close frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum FrameErrorKind {
    /// A reserved bit is set, although no extension was negotiated (RFC 6455, section 5.2).
    #[error("a WebSocket frame has a reserved bit set, but no extension was negotiated")]
    ReservedBits,
    /// The opcode is 3 to 7 or 11 to 15 (RFC 6455, section 5.2).
    #[error("a WebSocket frame has a reserved opcode")]
    ReservedOpcode,
    /// A control frame without `fin` (RFC 6455, section 5.5).
    #[error("a WebSocket control frame is fragmented")]
    FragmentedControl,
    /// A control frame of more than 125 bytes (RFC 6455, section 5.5).
    #[error("the payload of a WebSocket control frame is longer than 125 bytes")]
    LongControl,
    /// A frame of the client is not masked (RFC 6455, section 5.1).
    #[error("a WebSocket frame of the client is not masked")]
    NotMasked,
    /// A frame of the server is masked (RFC 6455, section 5.1).
    #[error("a WebSocket frame of the server is masked")]
    Masked,
    /// The length is written with more bytes than it needs (RFC 6455, section 5.2).
    #[error("the length of a WebSocket frame is not in its shortest form")]
    LengthNotMinimal,
    /// The payload is longer than the scanner's limit, or than 2^63-1 bytes.
    #[error("the payload of a WebSocket frame is too large")]
    PayloadTooLarge,
    /// A continuation frame outside a message (RFC 6455, section 5.4).
    #[error("a WebSocket continuation frame continues no message")]
    UnexpectedContinuation,
    /// A text or binary frame inside a fragmented message (RFC 6455, section 5.4).
    #[error("a WebSocket message begins before the one before it has ended")]
    MissingContinuation,
    /// A close frame with a payload of one byte (RFC 6455, section 5.5.1).
    #[error("a WebSocket close frame has a payload of one byte")]
    ClosePayload,
    /// A close code that may not be sent (RFC 6455, section 7.4).
    #[error("a WebSocket close frame has a code that must not be sent")]
    CloseCode,
}
