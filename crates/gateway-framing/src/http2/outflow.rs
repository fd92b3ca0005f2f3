//! What went out, as far as it tells something about the client: streams that were refused as malformed, or for the
//! size of their head, before a request came of them.

use std::collections::BTreeSet;

use super::frames::{DATA, END_STREAM, Frame, FrameScanner, GOAWAY, HEADERS, RST_STREAM, Step};

const PROTOCOL_ERROR: u32 = 1;

/// The longest head of a reply that is a status and nothing else, in bytes of HPACK. With it the parser answers a head
/// that is too large by itself; every reply of the gateway also has an id, which alone is longer.
const MOST_BARE_BYTES: u32 = 12;

/// How many streams with a reply that has begun are remembered: more than are open at one time. Those that the client
/// cancelled are not told apart, and are the oldest.
const MOST_BEGUN: usize = 1024;

/// Our side of one HTTP/2 connection.
#[derive(Debug, Default)]
pub struct Outflow {
    scanner: FrameScanner,
    data_frames: u32,
    refused_streams: u32,
    refused_heads: u32,
    /// Streams whose reply has begun: their next HEADERS are trailers.
    begun: BTreeSet<u32>,
    /// The stream whose head was refused last: that it is reset, too, tells nothing more.
    refused_head: Option<u32>,
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
                DATA => {
                    self.data_frames = self.data_frames.saturating_add(1);
                    if frame.has(END_STREAM) {
                        self.begun.remove(&frame.stream);
                    }
                }
                HEADERS => self.head(&frame),
                RST_STREAM => {
                    self.begun.remove(&frame.stream);
                    if code == PROTOCOL_ERROR && self.refused_head != Some(frame.stream) {
                        self.refused_streams = self.refused_streams.saturating_add(1);
                    }
                }
                GOAWAY => self.ending = true,
                _uninteresting => {}
            }
        }
    }

    /// The head of a reply, or its trailers.
    fn head(&mut self, frame: &Frame) {
        let is_trailers = self.begun.contains(&frame.stream);
        match (is_trailers, frame.has(END_STREAM)) {
            (false, false) => {
                self.begun.insert(frame.stream);
                if self.begun.len() > MOST_BEGUN {
                    self.begun.pop_first();
                }
            }
            (true, true) => drop(self.begun.remove(&frame.stream)),
            (false, true) if frame.length <= MOST_BARE_BYTES => {
                self.refused_heads = self.refused_heads.saturating_add(1);
                self.refused_head = Some(frame.stream);
            }
            (false, true) | (true, false) => {}
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

    /// Streams that were refused for the size of their head since the last call.
    pub fn take_refused_heads(&mut self) -> u32 {
        std::mem::take(&mut self.refused_heads)
    }

    /// Whether the end of the connection was announced.
    pub fn is_ending(&self) -> bool {
        self.ending
    }
}
