//! What the data frames of one direction say, for a recording. Frames that tell the end of input and the exit code
//! are not part of it.

use gateway_convox::exec::{EXIT_MARKER, MarkerWatch};
use gateway_framing::websocket::{FrameHead, Opcode, Piece, unmask};

/// The longest frame that may be an exit marker, in bytes.
const LONGEST_MARKER: u64 = EXIT_MARKER.len() as u64 + 13;

/// Collects payloads.
#[derive(Default)]
pub(in crate::phases::websocket) struct Listening {
    heard: Vec<u8>,
    frame: Frame,
}

/// The frame that is being read.
#[derive(Default)]
struct Frame {
    mask: Option<[u8; 4]>,
    /// Payload bytes so far.
    read: usize,
    is_data: bool,
    /// It may be an exit marker; where its payload begins in what was heard.
    marker: Option<(MarkerWatch, usize)>,
}

impl Listening {
    pub(in crate::phases::websocket) fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Head(head) => self.head(&head),
            Piece::Payload(payload) => self.payload(payload),
            Piece::End => {
                let marker = self.frame.marker.take();
                if let Some((_, begins)) = marker.filter(|(watch, _)| watch.exit_code().is_some()) {
                    self.heard.truncate(begins);
                }
            }
        }
    }

    fn head(&mut self, head: &FrameHead) {
        let is_data = match head.opcode {
            Opcode::Text | Opcode::Binary | Opcode::Continuation => true,
            Opcode::Close | Opcode::Ping | Opcode::Pong => false,
        };
        let may_be_marker = head.opcode == Opcode::Text && head.fin && head.payload_bytes <= LONGEST_MARKER;
        let marker = may_be_marker.then(|| (MarkerWatch::new(), self.heard.len()));
        self.frame = Frame { mask: head.mask, read: 0, is_data, marker };
    }

    fn payload(&mut self, payload: &[u8]) {
        if !self.frame.is_data {
            return;
        }
        let from = self.heard.len();
        self.heard.extend_from_slice(payload);
        if let (Some(mask), Some(bytes)) = (self.frame.mask, self.heard.get_mut(from..)) {
            unmask(bytes, mask, self.frame.read);
        }
        self.frame.read += payload.len();
        if let (Some((watch, _)), Some(bytes)) = (&mut self.frame.marker, self.heard.get(from..)) {
            watch.feed(bytes);
        }
    }

    /// What was heard since the last time, without what may turn out to be a marker.
    pub(in crate::phases::websocket) fn heard(&mut self) -> Vec<u8> {
        match &mut self.frame.marker {
            Some((_, begins)) => {
                let kept = self.heard.split_off(*begins);
                *begins = 0;
                std::mem::replace(&mut self.heard, kept)
            }
            None => std::mem::take(&mut self.heard),
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_convox::exec::marker_text;
    use gateway_framing::websocket::{FrameScanner, Sender, encode_client_frame, encode_server_frame};

    use super::*;

    fn heard(sender: Sender, bytes: &[u8], cut: usize) -> Vec<u8> {
        let (mut scanner, mut listening, mut out) =
            (FrameScanner::new(sender, 1 << 20), Listening::default(), Vec::new());
        let (mut waiting, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            waiting.extend_from_slice(piece);
            rest = after;
            loop {
                let good = scanner.advance(&waiting, |piece| listening.piece(piece)).unwrap();
                if good == 0 {
                    break;
                }
                waiting.drain(..good);
            }
            out.extend(listening.heard());
        }
        out
    }

    #[test]
    fn what_is_said_is_heard_however_it_is_cut_and_without_the_exit_code() {
        let shown: Vec<u8> = [
            encode_server_frame(Opcode::Text, b"one "),
            encode_server_frame(Opcode::Ping, b"ping"),
            encode_server_frame(Opcode::Text, &[b'x'; 300]),
            encode_server_frame(Opcode::Text, EXIT_MARKER.as_bytes()),
            encode_server_frame(Opcode::Text, marker_text(3).as_bytes()),
            encode_server_frame(Opcode::Binary, b""),
        ]
        .concat();
        let expected = [b"one ".as_slice(), &[b'x'; 300], EXIT_MARKER.as_bytes()].concat();
        for cut in [1, 2, 3, 7, 50, 10_000] {
            assert_eq!(heard(Sender::Server, &shown, cut), expected, "{cut}");
        }
        let typed: Vec<u8> = [
            encode_client_frame(Opcode::Text, b"ls -l\r", [1, 2, 3, 4]),
            encode_client_frame(Opcode::Pong, b"pong", [1, 2, 3, 4]),
            encode_client_frame(Opcode::Text, &[b'y'; 200], [9, 8, 7, 6]),
        ]
        .concat();
        let expected = [b"ls -l\r".as_slice(), &[b'y'; 200]].concat();
        for cut in [1, 2, 3, 7, 50, 10_000] {
            assert_eq!(heard(Sender::Client, &typed, cut), expected, "{cut}");
        }
    }
}
