//! Where frames begin and end (RFC 9113, section 4.1). Does not know what they mean.

/// Kinds of frames (RFC 9113, section 6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// Flags.
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;

const HEADER_BYTES: usize = 9;
/// How much of a payload is kept for whoever looks at the frame.
const PREFIX_BYTES: usize = 4;

/// A frame, by its header and how its payload begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Bytes of the payload.
    pub length: u32,
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 = the connection.
    pub stream: u32,
    /// How its payload begins, filled up with zeros.
    pub prefix: [u8; PREFIX_BYTES],
}

impl Frame {
    /// Whether this flag is set.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What a scanner met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A frame, of which the header and the begin of the payload were seen.
    Begin(Frame),
    /// The end of a frame's payload.
    End(Frame),
}

/// Finds frames in a stream of bytes, however it is cut. Holds no payload.
#[derive(Debug, Default)]
pub struct FrameScanner {
    /// The header and the begin of the payload, as far as they came.
    head: [u8; HEADER_BYTES + PREFIX_BYTES],
    filled: usize,
    /// The frame in whose payload the stream is, with what is left of it.
    within: Option<(Frame, u32)>,
}

impl FrameScanner {
    /// Whether the bytes so far end with the end of a frame.
    pub fn is_between_frames(&self) -> bool {
        self.filled == 0 && self.within.is_none()
    }

    /// Takes bytes off the front of `bytes` up to the next step; `None` when they are used up before it.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Step> {
        if let Some((frame, remaining)) = self.within {
            let count = bytes.len().min(usize::try_from(remaining).unwrap_or(usize::MAX));
            *bytes = bytes.get(count..).unwrap_or_default();
            let remaining = remaining.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
            self.within = (remaining > 0).then_some((frame, remaining));
            return self.within.is_none().then_some(Step::End(frame));
        }
        while self.filled < self.wanted() {
            let (first, rest) = bytes.split_first()?;
            *bytes = rest;
            if let Some(place) = self.head.get_mut(self.filled) {
                *place = *first;
            }
            self.filled += 1;
        }
        let (frame, prefix) = self.frame();
        self.filled = 0;
        self.within = Some((frame, frame.length.saturating_sub(prefix)));
        Some(Step::Begin(frame))
    }

    /// How many bytes are kept of the frame that begins here.
    fn wanted(&self) -> usize {
        if self.filled < HEADER_BYTES { HEADER_BYTES } else { HEADER_BYTES + self.prefix_length() }
    }

    fn length(&self) -> u32 {
        let [high, middle, low, ..] = self.head;
        u32::from_be_bytes([0, high, middle, low])
    }

    fn prefix_length(&self) -> usize {
        usize::try_from(self.length()).unwrap_or(usize::MAX).min(PREFIX_BYTES)
    }

    fn frame(&self) -> (Frame, u32) {
        let [_, _, _, kind, flags, a, b, c, d, prefix @ ..] = self.head;
        let kept = self.prefix_length();
        let mut clean = [0; PREFIX_BYTES];
        for (to, from) in clean.iter_mut().zip(prefix).take(kept) {
            *to = from;
        }
        let stream = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff;
        let frame = Frame { length: self.length(), kind, flags, stream, prefix: clean };
        (frame, u32::try_from(kept).unwrap_or(0))
    }
}
