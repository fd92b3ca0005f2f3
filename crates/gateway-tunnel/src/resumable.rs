//! A stream of bytes that survives its connections, for both ends of a session in the rack.
//!
//! Each end numbers the bytes that it sends and keeps them until the other end has consumed them. A connection that is
//! lost takes nothing with it: the next one goes on where the receiver stands. [`Link`] is the end that stays,
//! [`LinkStream`] what a program reads and writes, and [`Link::carry`] one connection: a WebSocket whose binary messages
//! are [`Message`]s, one after the other, however they are cut.
//!
//! An end holds at most [`WINDOW_BYTES`] that it sent and as many that it received; a program that writes more waits, so
//! that nothing is lost and memory is bounded.

mod connection;
mod link;
mod message;
#[cfg(test)]
mod tests;

pub use connection::{Carried, Opening};
pub use link::{Link, LinkStream, WINDOW_BYTES};
pub use message::{LinkFault, Message, Welcome};

/// The subprotocol that the gateway's own command line offers with sessions in the rack. Whoever offers it reads a refusal
/// as a plain answer; a gateway that names it in its answer speaks [`Message`]s.
pub const NATIVE_PROTOCOL: &str = "session.rack-gateway.v1";
