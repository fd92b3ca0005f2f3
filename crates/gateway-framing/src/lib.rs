//! Strict HTTP/1.1 message framing and WebSocket frame boundaries, as pure state machines over bytes.
//!
//! Nothing here does I/O, awaits, allocates by a length that a peer claims, or knows a route, a
//! credential or a policy. Start reading at [`http1::RequestGuard`] (what a client may send before
//! hyper sees it) and [`websocket::FrameScanner`] (where frames begin and end after the 101).

pub mod http1;
pub mod websocket;

#[cfg(test)]
mod segments;
