//! What went out, as far as it tells something about the client: streams that were refused as malformed before
//! a request came of them.

use super::frames::{DATA, FrameScanner, GOAWAY, RST_STREAM, Step};

const PROTOCOL_ERROR: u32 = 1;

/// Our side of one HTTP/2 connection.
#[derive(Debug, Default)]
pub struct Outflow {
    scanner: FrameScanner,
    data_frames: u32,
    refused_streams: u32,
    ending: bool,
}

impl Outflow {
    /// Takes note of bytes that went out.
    pub fn advance(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(step) = self.scanner.next(&mut rest) {
            let Step::Begin(frame) = step else { continue };
            let code = u32::from_be_bytes(frame.prefix);
            match frame.kind {
                DATA => self.data_frames = self.data_frames.saturating_add(1),
                RST_STREAM if code == PROTOCOL_ERROR => {
                    self.refused_streams = self.refused_streams.saturating_add(1);
                }
                GOAWAY => self.ending = true,
                _uninteresting => {}
            }
        }
    }

    /// Whether another frame may be put here.
    pub fn is_between_frames(&self) -> bool {
        self.scanner.is_between_frames()
    }

    /// DATA frames since the last call.
    pub fn take_data_frames(&mut self) -> u32 {
        std::mem::take(&mut self.data_frames)
    }

    /// Streams that were refused as malformed since the last call.
    pub fn take_refused_streams(&mut self) -> u32 {
        std::mem::take(&mut self.refused_streams)
    }

    /// Whether the end of the connection was announced.
    pub fn is_ending(&self) -> bool {
        self.ending
    }
}
