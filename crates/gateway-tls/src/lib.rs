//! TLS at the gateway: certificates from files or by ACME, and the handshake.
//!
//! Start reading at [`handshake`] (what a client goes through), then [`resolver`] (which certificate it is
//! shown), [`files`] and [`acme`] (where certificates come from). What is said over a connection after its
//! handshake is not known here, nor is any SQL.

pub mod acme;
mod error;
pub mod files;
pub mod handshake;
pub mod pair;
pub mod resolver;
pub mod settings;
pub mod status;

pub use error::{PairError, TlsError};
pub use files::{FilePair, Files};
pub use handshake::{Face, HandshakeError, Handshaken, Limits, Protocol, Terminator};
pub use pair::Pair;
pub use resolver::CertificateResolver;
pub use settings::{Asking, OwnNames, provider, server_settings};
pub use status::Status;
