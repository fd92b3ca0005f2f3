//! Events of the audit log on their way to other systems: which of them a sink gets ([`sampling`]), which come as one ([`aggregation`]), in what form
//! ([`record`] as a line of JSON, [`syslog`], [`otlp`], [`cloudevents`]), how a web hook is signed ([`signature`]), and a
//! file that never grows above its limit ([`rotation`]).
//!
//! Nothing here opens a socket, reads a clock or knows where the log is kept: `gateway-server` reads the log, delivers,
//! and remembers how far each sink is. Start at [`record::Record`].

pub mod aggregation;
pub mod cloudevents;
pub mod otlp;
pub mod record;
pub mod rotation;
pub mod sampling;
pub mod signature;
pub mod syslog;
#[cfg(test)]
mod tests;

pub use aggregation::{Aggregation, Together, gather};
pub use record::{Record, RecordFault, Source};
pub use rotation::{Compression, FileFault, RotatingFile, Rotation};
pub use sampling::{SampleRule, Sampling, Share};
pub use signature::WebhookKey;
