//! Bytes of a TCP connection over a WebSocket, as the gateway and its command line speak it.
//!
//! The wire form: each binary message carries bytes, in order; where messages begin and end means nothing. An
//! empty, unfragmented binary message is the end of that side's bytes, so that either side can go on alone (a
//! half-close). A close frame ends both: 1000 when both sides had ended, otherwise with a reason. Text is an
//! error. Each side gives a sign of life every 20 s (the gateway a ping, the command line a pong), so that nothing in
//! between takes the tunnel for idle, and gives the other one up after 70 s without any.
//!
//! Sessions in the rack have a form of their own, which survives its connections: [`Link`].
//!
//! It knows neither HTTP nor policy, nor who asked for the tunnel. Start reading at [`carry()`]; what the frames
//! mean is [`ByteReceiver`], which does no I/O.

mod carry;
mod receiver;
mod resumable;
#[cfg(test)]
mod tests;

pub use carry::{Counters, End, Ending, Side, carry};
pub use receiver::{ByteReceiver, Control, TunnelFault};
pub use resumable::{
    Carried, Link, LinkFault, LinkStream, Message, NATIVE_PROTOCOL, Opening, WINDOW_BYTES, Welcome,
};
