//! Counts what a client sends that costs it next to nothing and costs the other side work or memory.
//!
//! Each limit is far above what clients do and far below what hurts. Counting starts anew with each window.

use std::time::{Duration, Instant};

use thiserror::Error;

use super::PREFACE;
use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, FrameScanner, GOAWAY, HEADERS, PADDED, PING,
    PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, Step, WINDOW_UPDATE,
};

/// How many frames of a kind one connection may send in each window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameLimits {
    /// The window.
    pub window: Duration,
    /// HEADERS.
    pub heads: u32,
    /// RST_STREAM: "rapid reset" opens streams only to cancel them (CVE-2023-44487).
    pub resets: u32,
    /// PING, each of which is answered (CVE-2019-9512).
    pub pings: u32,
    /// SETTINGS, each of which is answered (CVE-2019-9515).
    pub settings: u32,
    /// DATA without data that does not end its stream (CVE-2019-9518).
    pub empty_data: u32,
    /// PRIORITY, which has no meaning any more (CVE-2019-9513).
    pub priorities: u32,
    /// WINDOW_UPDATE, beside four for each DATA frame that it answers (CVE-2019-9517).
    pub window_updates: u32,
    /// Frames of kinds that RFC 9113 does not have, which are skipped.
    pub unknown: u32,
    /// CONTINUATION frames of one head, whatever the window (CVE-2024-27316).
    pub continuations: u32,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            heads: 10_000,
            resets: 300,
            pings: 1000,
            settings: 32,
            empty_data: 100,
            priorities: 1000,
            window_updates: 2000,
            unknown: 1000,
            continuations: 16,
        }
    }
}

/// A client that sends too much of what costs it nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum Flood {
    /// HEADERS.
    #[error("the HTTP/2 connection opens streams too fast")]
    Heads,
    /// RST_STREAM.
    #[error("the HTTP/2 connection cancels streams too fast (rapid reset)")]
    Resets,
    /// PING.
    #[error("the HTTP/2 connection sends PING frames too fast")]
    Pings,
    /// SETTINGS.
    #[error("the HTTP/2 connection sends SETTINGS frames too fast")]
    Settings,
    /// Empty DATA.
    #[error("the HTTP/2 connection sends empty DATA frames too fast")]
    EmptyData,
    /// PRIORITY.
    #[error("the HTTP/2 connection sends PRIORITY frames too fast")]
    Priorities,
    /// WINDOW_UPDATE.
    #[error("the HTTP/2 connection sends WINDOW_UPDATE frames too fast")]
    WindowUpdates,
    /// Frames of unknown kinds.
    #[error("the HTTP/2 connection sends frames of unknown kinds too fast")]
    Unknown,
    /// CONTINUATION.
    #[error("a head of the HTTP/2 connection is cut into too many CONTINUATION frames")]
    Continuations,
}

#[derive(Debug, Default)]
struct Counts {
    heads: u32,
    resets: u32,
    pings: u32,
    settings: u32,
    empty_data: u32,
    priorities: u32,
    window_updates: u32,
    unknown: u32,
}

/// The client's side of one HTTP/2 connection, from its first byte on.
#[derive(Debug)]
pub struct Inflow {
    limits: FrameLimits,
    scanner: FrameScanner,
    preface_left: usize,
    window_began: Instant,
    counts: Counts,
    continuations: u32,
    /// Since when a head is open, and whether its last frame is still to come.
    head_open: Option<Instant>,
    data_frames_sent: u32,
}

impl Inflow {
    /// Of a connection that begins `now`.
    pub fn new(limits: FrameLimits, now: Instant) -> Self {
        Self {
            limits,
            scanner: FrameScanner::default(),
            preface_left: PREFACE.len(),
            window_began: now,
            counts: Counts::default(),
            continuations: 0,
            head_open: None,
            data_frames_sent: 0,
        }
    }

    /// Since when a head is on its way whose end was not seen.
    pub fn head_open_since(&self) -> Option<Instant> {
        self.head_open
    }

    /// Whether the client has sent its whole preface, and so a first frame after it can come.
    pub fn is_past_preface(&self) -> bool {
        self.preface_left == 0
    }

    /// Notes DATA frames that went out, each of which a client may answer.
    pub fn sent_data_frames(&mut self, count: u32) {
        self.data_frames_sent = self.data_frames_sent.saturating_add(count);
    }

    /// Takes note of bytes that came in.
    ///
    /// # Errors
    /// [`Flood`]: the connection is not worth serving any more.
    pub fn advance(&mut self, bytes: &[u8], now: Instant) -> Result<(), Flood> {
        if now.saturating_duration_since(self.window_began) >= self.limits.window {
            self.window_began = now;
            self.counts = Counts::default();
            self.data_frames_sent = 0;
        }
        let skipped = self.preface_left.min(bytes.len());
        self.preface_left -= skipped;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        while let Some(step) = self.scanner.next(&mut rest) {
            match step {
                Step::Begin(frame) => self.begin(&frame, now)?,
                Step::End(frame) => self.end(&frame),
            }
        }
        Ok(())
    }

    fn begin(&mut self, frame: &Frame, now: Instant) -> Result<(), Flood> {
        let (counts, limits) = (&mut self.counts, &self.limits);
        match frame.kind {
            DATA if is_empty(frame) => count(&mut counts.empty_data, limits.empty_data, Flood::EmptyData),
            // The parser behind bounds these by itself, or ends the connection at the first one.
            DATA | PUSH_PROMISE | GOAWAY => Ok(()),
            HEADERS => {
                self.head_open = Some(now);
                self.continuations = 0;
                count(&mut counts.heads, limits.heads, Flood::Heads)
            }
            CONTINUATION => count(&mut self.continuations, limits.continuations, Flood::Continuations),
            PRIORITY => count(&mut counts.priorities, limits.priorities, Flood::Priorities),
            RST_STREAM => count(&mut counts.resets, limits.resets, Flood::Resets),
            SETTINGS => count(&mut counts.settings, limits.settings, Flood::Settings),
            PING => count(&mut counts.pings, limits.pings, Flood::Pings),
            WINDOW_UPDATE => {
                let limit = limits.window_updates.saturating_add(self.data_frames_sent.saturating_mul(4));
                count(&mut counts.window_updates, limit, Flood::WindowUpdates)
            }
            _unknown => count(&mut counts.unknown, limits.unknown, Flood::Unknown),
        }
    }

    fn end(&mut self, frame: &Frame) {
        if matches!(frame.kind, HEADERS | CONTINUATION) && frame.has(END_HEADERS) {
            self.head_open = None;
        }
    }
}

/// Whether a DATA frame carries nothing, not even the end of its stream. Padding is nothing.
fn is_empty(frame: &Frame) -> bool {
    let [padding, ..] = frame.prefix;
    let data = match frame.has(PADDED) {
        true => frame.length.saturating_sub(1 + u32::from(padding)),
        false => frame.length,
    };
    data == 0 && !frame.has(END_STREAM)
}

fn count(so_far: &mut u32, limit: u32, flood: Flood) -> Result<(), Flood> {
    *so_far = so_far.saturating_add(1);
    if *so_far > limit { Err(flood) } else { Ok(()) }
}
