//! Services behind the gateway, as a closed table: which host and path belong to which service, which
//! operation a request is, and how it is spelled upstream.
//!
//! Start reading at [`RawService`], which is what an operator writes, then [`Service::check`] and
//! [`ServiceTable::find`]. This crate does no I/O and knows no caller, no policy and no HTTP library.

mod fault;
pub mod openapi;
mod path;
mod raw;
mod request;
mod route;
mod service;
mod table;
mod template;

pub use fault::{FaultKind, ServiceFault};
pub use path::{CanonicalPath, PathError, canonical_query};
pub use raw::{
    RawCredential, RawCredentialKind, RawHeaderRules, RawHealth, RawIdentity, RawIssuer, RawKind,
    RawProtocol, RawRoute, RawService, RawStepUp, RawUpstream, RawVersion,
};
pub use request::{Ask, ServiceRequest, ServiceRouteError};
pub use route::{Route, Tail};
pub use service::{Kind, Service, ServiceName, UpstreamAddress, UpstreamProtocol, UpstreamTls};
pub use table::{Found, ServiceTable, TableError};

/// Below this path a host of a service answers for the gateway itself: sign-in over hosts, sign-out.
/// No service can have it.
pub const RESERVED_PREFIX: &str = "/.rack-gateway";
