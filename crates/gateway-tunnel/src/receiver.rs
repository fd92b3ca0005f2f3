//! The receiving side of a tunnel: frames in, bytes and control out. It does no I/O.

use gateway_framing::websocket::{FrameError, FrameHead, FrameScanner, Opcode, Piece, Sender, unmask};

/// The largest frame that is taken, in bytes. Frames are never held in memory, so this only stops nonsense.
const FRAME_LIMIT_BYTES: u64 = 1 << 32;

/// What came beside bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// The other side has no more bytes.
    End,
    /// A sign of life that asks for another, with this payload.
    Ping(Vec<u8>),
    /// The tunnel is over; the code is `None` when none was given.
    Close {
        /// Why, as a number (RFC 6455, section 7.4).
        code: Option<u16>,
        /// Why, in words.
        reason: String,
    },
}

/// What the other side did that it must not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TunnelFault {
    /// A frame breaks a rule of WebSockets.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A text message.
    #[error("a tunnel carries binary messages only")]
    Text,
    /// Bytes after the end of bytes.
    #[error("bytes came after their end")]
    AfterEnd,
}

impl TunnelFault {
    /// The code to close with.
    pub const fn close_code(&self) -> u16 {
        match self {
            TunnelFault::Frame(error) => error.close_code(),
            TunnelFault::Text => 1003,
            TunnelFault::AfterEnd => 1002,
        }
    }
}

/// Takes frames apart.
#[derive(Debug)]
pub struct ByteReceiver {
    scanner: FrameScanner,
    frame: Frame,
    ended: bool,
}

/// The frame in hand.
#[derive(Debug)]
struct Frame {
    head: Option<FrameHead>,
    /// Payload bytes of it so far.
    offset: usize,
    /// Whether a message goes on.
    inside_message: bool,
    /// A control frame's payload.
    control: Vec<u8>,
}

impl ByteReceiver {
    /// For what `sender` sends.
    pub fn new(sender: Sender) -> Self {
        Self {
            scanner: FrameScanner::new(sender, FRAME_LIMIT_BYTES),
            frame: Frame { head: None, offset: 0, inside_message: false, control: Vec::new() },
            ended: false,
        }
    }

    /// Takes the leading bytes of `input` apart: carried bytes go to `out`, the rest to `on_control`, and the
    /// number of bytes that were taken is returned. What is not taken is passed again with more behind it.
    ///
    /// # Errors
    /// The first rule that is broken. What came before it was handed out.
    pub fn advance(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        mut on_control: impl FnMut(Control),
    ) -> Result<usize, TunnelFault> {
        let mut taken = 0;
        let mut fault = None;
        let Self { scanner, frame, ended } = self;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            let count = scanner.advance(rest, |piece| {
                if fault.is_none() {
                    fault = frame.piece(piece, ended, out, &mut on_control).err();
                }
            })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
            if count == 0 {
                return Ok(taken);
            }
            taken += count;
        }
    }
}

impl Frame {
    fn piece(
        &mut self,
        piece: Piece<'_>,
        ended: &mut bool,
        out: &mut Vec<u8>,
        on_control: &mut impl FnMut(Control),
    ) -> Result<(), TunnelFault> {
        match piece {
            Piece::Head(head) => self.begin(head, ended, on_control),
            Piece::Payload(payload) => {
                self.payload(payload, out);
                Ok(())
            }
            Piece::End => {
                self.finish(on_control);
                Ok(())
            }
        }
    }

    fn begin(
        &mut self,
        head: FrameHead,
        ended: &mut bool,
        on_control: &mut impl FnMut(Control),
    ) -> Result<(), TunnelFault> {
        self.offset = 0;
        self.control.clear();
        match head.opcode {
            Opcode::Text => return Err(TunnelFault::Text),
            Opcode::Binary | Opcode::Continuation if *ended => return Err(TunnelFault::AfterEnd),
            Opcode::Binary if head.fin && head.payload_bytes == 0 => {
                *ended = true;
                on_control(Control::End);
            }
            Opcode::Binary | Opcode::Continuation => self.inside_message = !head.fin,
            Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        self.head = Some(head);
        Ok(())
    }

    fn payload(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let Some(head) = &self.head else { return };
        let into = if head.opcode.is_control() { &mut self.control } else { out };
        let begin = into.len();
        into.extend_from_slice(payload);
        if let (Some(mask), Some(fresh)) = (head.mask, into.get_mut(begin..)) {
            unmask(fresh, mask, self.offset);
        }
        self.offset = self.offset.wrapping_add(payload.len());
    }

    fn finish(&mut self, on_control: &mut impl FnMut(Control)) {
        let Some(head) = self.head.take() else { return };
        match head.opcode {
            Opcode::Ping => on_control(Control::Ping(std::mem::take(&mut self.control))),
            Opcode::Close => {
                let code = self.control.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                let reason = String::from_utf8_lossy(self.control.get(2..).unwrap_or_default()).into_owned();
                on_control(Control::Close { code, reason });
            }
            Opcode::Pong | Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
        }
    }
}
