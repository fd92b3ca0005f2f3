//! WebSocket frames (RFC 6455, section 5), one at a time and never joined: the boundaries of frames carry
//! meaning on a rack. Text is bytes here; nothing checks that it is UTF-8, because a rack does not either.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{Wire, broken};

/// The longest frame that is read into memory.
const MAX_PAYLOAD: u64 = 64 << 20;

/// Continuation of a fragmented message.
pub const CONTINUATION: u8 = 0;
/// Data.
pub const TEXT: u8 = 1;
/// End of input, whatever it holds.
pub const BINARY: u8 = 2;
/// Close.
pub const CLOSE: u8 = 8;
/// Ping.
pub const PING: u8 = 9;
/// Pong.
pub const PONG: u8 = 10;

/// One frame, unmasked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The opcode, 0 to 15.
    pub opcode: u8,
    /// Whether it ends its message.
    pub fin: bool,
    /// Whether it came masked.
    pub masked: bool,
    /// The three reserved bits; 0 unless an extension was agreed.
    pub reserved: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole unmasked text frame.
    pub fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self { opcode: TEXT, fin: true, masked: false, reserved: 0, payload: payload.into() }
    }

    /// The empty binary frame that means "no more".
    pub fn end() -> Self {
        Self { opcode: BINARY, fin: true, masked: false, reserved: 0, payload: Vec::new() }
    }

    /// The same frame, masked or not.
    #[must_use]
    pub fn with_mask(mut self, masked: bool) -> Self {
        self.masked = masked;
        self
    }

    /// The bytes of the frame. A masked one gets the mask `key`.
    pub fn encode(&self, key: [u8; 4]) -> Vec<u8> {
        let length = self.payload.len();
        let mut bytes = Vec::with_capacity(length + 14);
        bytes.push((self.opcode & 15) | ((self.reserved & 7) << 4) | if self.fin { 0x80 } else { 0 });
        let mask_bit = if self.masked { 0x80 } else { 0 };
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < 126 => bytes.push(mask_bit | short),
            (_, Ok(middle)) => {
                bytes.push(mask_bit | 126);
                bytes.extend_from_slice(&middle.to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend_from_slice(&key);
            bytes.extend(self.payload.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend_from_slice(&self.payload);
        }
        bytes
    }
}

impl<R: AsyncRead + Unpin> Wire<R> {
    /// Reads one frame; `None` when the peer closed the stream between two frames.
    ///
    /// # Errors
    /// What the stream says; `InvalidData` for a frame over 64 MiB; `UnexpectedEof` within one.
    pub async fn frame(&mut self) -> io::Result<Option<Frame>> {
        if self.unread().is_empty() && self.more().await? == 0 {
            return Ok(None);
        }
        let start = self.exactly(2).await?;
        let [first, second] = start[..] else { return Err(broken("no frame")) };
        let length = match second & 0x7f {
            126 => number(&self.exactly(2).await?),
            127 => number(&self.exactly(8).await?),
            short => u64::from(short),
        };
        if length > MAX_PAYLOAD {
            return Err(broken("frame too long"));
        }
        let masked = second & 0x80 != 0;
        let key = if masked { self.exactly(4).await? } else { vec![0; 4] };
        let mut payload = self.exactly(usize::try_from(length).unwrap_or(usize::MAX)).await?;
        if masked {
            payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        Ok(Some(Frame {
            opcode: first & 15,
            fin: first & 0x80 != 0,
            masked,
            reserved: (first >> 4) & 7,
            payload,
        }))
    }
}

/// A big-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Writes a frame and flushes it.
///
/// # Errors
/// What the stream says.
pub async fn write_frame(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> io::Result<()> {
    to.write_all(&frame.encode([0x5a, 0x11, 0xc3, 0x77])).await?;
    to.flush().await
}
