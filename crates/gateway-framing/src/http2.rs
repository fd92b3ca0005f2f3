//! What HTTP/2 needs beyond its own parser: bounds for what a client may send for free, and the strict rules of
//! HTTP/1.1 heads for heads that came as fields.
//!
//! The frames themselves are read by another parser behind this one; here they are only counted. It does not
//! know routes, what a stream is about, or the clock: the time is passed in.
//!
//! Start reading at [`Inflow::advance`] and [`check_head`].

mod frames;
mod head;
mod inflow;
mod outflow;

#[cfg(test)]
mod tests;

pub use frames::{Frame, FrameScanner, Step};
pub use head::{RequestHead, check_head};
pub use inflow::{Flood, FrameLimits, Inflow};
pub use outflow::Outflow;

/// What a client of HTTP/2 sends first (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The error code of a peer that is asked to do less (RFC 9113, section 7).
pub const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The bytes of a GOAWAY frame with this error code, which says that no stream at all was looked at.
pub fn goaway(code: u32) -> [u8; 17] {
    let [a, b, c, d] = code.to_be_bytes();
    [0, 0, 8, frames::GOAWAY, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, a, b, c, d]
}
