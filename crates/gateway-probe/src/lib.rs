//! Looks whether ports answer ([`ports`]), and whether a control API lets somebody in who shows no identity ([`knock()`]). What must
//! answer is `gateway-exposure`'s; what comes of a finding is not known here.
//!
//! # Security
//! Nobody's credential is needed, so that none can be lost: a port is connected to and nothing is sent; a control API gets the first
//! message of a TLS handshake and, where it does not speak TLS, one harmless line.

pub mod knock;
pub mod place;
pub mod ports;

pub use knock::{Knocked, knock, source_of};
pub use place::Place;
pub use ports::{Looked, Watched, addresses, look, sightings};
