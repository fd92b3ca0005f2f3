//! Strict message framing as pure state machines over bytes: HTTP/1.1, HTTP/2, WebSocket, and the header of the
//! PROXY protocol.
//!
//! Nothing here does I/O, awaits, allocates by a length that a peer claims, or knows a route, a
//! credential or a policy. Start reading at [`http1::RequestGuard`] (what a client may send before
//! hyper sees it), [`http2::Inflow`] (what HTTP/2 lets a client do for free, bounded) and
//! [`websocket::FrameScanner`] (where frames begin and end after the 101).

pub mod http1;
pub mod http2;
pub mod proxy_header;
pub mod websocket;

#[cfg(test)]
mod segments;
