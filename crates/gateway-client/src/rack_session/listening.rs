//! What the rack says in a session: what is shown, the exit code, the end. It does no I/O.

use gateway_convox::exec::{EXIT_MARKER, MarkerWatch};
use gateway_framing::websocket::{FrameError, FrameHead, FrameScanner, Opcode, Piece, Sender};

/// The largest frame that is taken, in bytes. Frames are never held in memory, so this only stops nonsense.
const FRAME_LIMIT_BYTES: u64 = 1 << 40;

/// The longest frame that may be an exit marker: the marker, a colon, a sign, ten digits and the line end.
const LONGEST_MARKER_BYTES: u64 = EXIT_MARKER.len() as u64 + 13;

/// Takes the rack's frames apart.
#[derive(Debug)]
pub(super) struct Listening {
    scanner: FrameScanner,
    heard: Heard,
}

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What is to be shown, since it was last taken.
    pub(super) shown: Vec<u8>,
    /// The payloads of signs of life that ask for another.
    pub(super) pings: Vec<Vec<u8>>,
    /// The exit code, once the rack told it.
    pub(super) exit_code: Option<i32>,
    /// The rack has no more.
    pub(super) is_over: bool,
    /// How the text begins that came after the exit code.
    after: Vec<u8>,
    frame: Frame,
}

/// What a rack says that could not run a command, although it told that it ended well (recordings 23, 24 and 26).
const FAILED: &[u8] = b"ERROR: ";

/// The frame in hand.
#[derive(Debug, Default)]
enum Frame {
    /// Nothing of it is wanted.
    #[default]
    Dropped,
    /// It is shown.
    Shown,
    /// It is shown unless it turns out to be the exit marker.
    Held(Vec<u8>),
    Ping(Vec<u8>),
}

impl Listening {
    pub(super) fn new() -> Self {
        Self { scanner: FrameScanner::new(Sender::Server, FRAME_LIMIT_BYTES), heard: Heard::default() }
    }

    /// Takes the leading bytes of `input` apart; how many were taken. The rest is passed again with more behind it.
    ///
    /// # Errors
    /// The first rule of WebSockets that is broken.
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<usize, FrameError> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            match self.scanner.advance(rest, |piece| self.heard.piece(piece))? {
                0 => return Ok(taken),
                count => taken += count,
            }
        }
    }

    pub(super) const fn heard(&mut self) -> &mut Heard {
        &mut self.heard
    }
}

impl Heard {
    /// The exit code, once the rack told it. A code of success is none when the rack says next that it failed.
    pub(super) fn code(&self) -> Option<i32> {
        match self.exit_code {
            Some(0) if self.after == FAILED => Some(1),
            code => code,
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        if self.exit_code.is_some() {
            let wanted = FAILED.len().saturating_sub(self.after.len()).min(bytes.len());
            self.after.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        }
        self.shown.extend_from_slice(bytes);
    }

    fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Head(head) => self.frame = self.begin(&head),
            Piece::Payload(payload) => match &mut self.frame {
                Frame::Dropped => {}
                Frame::Shown => self.show(payload),
                Frame::Held(bytes) | Frame::Ping(bytes) => bytes.extend_from_slice(payload),
            },
            Piece::End => match std::mem::take(&mut self.frame) {
                Frame::Dropped | Frame::Shown => {}
                Frame::Ping(payload) => self.pings.push(payload),
                Frame::Held(bytes) => {
                    let mut watch = MarkerWatch::new();
                    watch.feed(&bytes);
                    match watch.exit_code() {
                        Some(code) => self.exit_code = Some(code),
                        None => self.show(&bytes),
                    }
                }
            },
        }
    }

    fn begin(&mut self, head: &FrameHead) -> Frame {
        match head.opcode {
            _ if self.is_over => Frame::Dropped,
            Opcode::Text if head.fin && head.payload_bytes <= LONGEST_MARKER_BYTES => Frame::Held(Vec::new()),
            Opcode::Text | Opcode::Continuation => Frame::Shown,
            // Any binary message is the end, whatever is in it (API.md 2.3).
            Opcode::Binary | Opcode::Close => {
                self.is_over = true;
                Frame::Dropped
            }
            Opcode::Ping => Frame::Ping(Vec::new()),
            Opcode::Pong => Frame::Dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_convox::exec::marker_text;
    use gateway_framing::websocket::encode_server_frame;

    use super::*;

    fn heard(frames: &[Vec<u8>], cut: usize) -> (Vec<u8>, Option<i32>, bool) {
        let mut listening = Listening::new();
        let mut waiting = Vec::new();
        for piece in frames.concat().chunks(cut) {
            waiting.extend_from_slice(piece);
            let taken = listening.advance(&waiting).unwrap();
            waiting.drain(..taken);
        }
        let heard = listening.heard();
        (std::mem::take(&mut heard.shown), heard.exit_code, heard.is_over)
    }

    #[test]
    fn what_is_shown_is_exact_and_the_code_is_not_shown() {
        let marker_in_two = EXIT_MARKER.split_at(9);
        let frames = [
            encode_server_frame(Opcode::Text, &[0, 255, b'\n', 0xc3]),
            encode_server_frame(Opcode::Ping, b"still there"),
            // Only a frame of its own is the marker.
            encode_server_frame(Opcode::Text, marker_in_two.0.as_bytes()),
            encode_server_frame(Opcode::Text, format!("{}:0\n", marker_in_two.1).as_bytes()),
            encode_server_frame(Opcode::Text, &[b'x'; 3000]),
            encode_server_frame(Opcode::Text, marker_text(7).as_bytes()),
            encode_server_frame(Opcode::Text, b"ERROR: after it\n"),
            encode_server_frame(Opcode::Binary, b"lost"),
            encode_server_frame(Opcode::Text, b"nobody hears this"),
        ];
        let shown = [
            &[0, 255, b'\n', 0xc3][..],
            EXIT_MARKER.as_bytes(),
            b":0\n",
            &[b'x'; 3000],
            b"ERROR: after it\n",
        ]
        .concat();
        for cut in [1, 2, 7, 100, 100_000] {
            assert_eq!(heard(&frames, cut), (shown.clone(), Some(7), true), "{cut}");
        }
    }

    #[test]
    fn an_end_without_a_code_is_none() {
        for end in [Opcode::Binary, Opcode::Close] {
            let (shown, code, is_over) = heard(&[encode_server_frame(end, b"")], 1);
            assert_eq!((shown.len(), code, is_over), (0, None, true));
        }
        assert!(Listening::new().advance(&[0xff; 20]).is_err());
    }
}
