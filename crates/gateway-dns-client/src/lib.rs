//! Speaks to one DNS server about one zone, over TCP: dynamic updates (RFC 2136) and zone transfers (RFC 5936), both
//! signed with TSIG (RFC 8945), and plain queries; [`service_targets`] looks up SRV records (RFC 2782).
//!
//! The certificates of the gateway (DNS-01) and the DNS shim both write through it, and services are found through it. It
//! knows nothing of any of them. Start reading at [`DnsClient`].

mod client;
mod error;
mod targets;
mod wire;

pub use client::{Change, DnsClient, TsigAlgorithm, TsigKey, query};
pub use error::{DnsError, KeyError};
pub use targets::{ServiceAnswer, ServiceTarget, service_targets};
