//! Services behind the gateway, as a closed table: which host and path belong to which service, which
//! operation a request is, and how it is spelled upstream.
//!
//! Start reading at [`RawService`], which is what an operator writes, then [`Service::check`] and
//! [`ServiceTable::find`]. This crate does no I/O and knows no caller, no policy and no HTTP library.

mod balance;
mod credential;
mod discovery;
mod fault;
pub mod headers;
mod labels;
mod location;
pub mod openapi;
mod path;
mod raw;
mod registration;
mod request;
mod route;
mod service;
mod set_cookie;
mod standing;
mod table;
mod template;
mod way;

pub use balance::{Balance, Failure};
pub use credential::{Credential, Environment, OAuthClient, SecretRef, TokenEndpoint};
pub use discovery::{Placed, Srv, SrvTarget};
pub use fault::{FaultKind, ServiceFault};
pub use labels::{LABEL_PREFIX, Overlay, OverlayFault, overlay};
pub use location::{Location, LocationContext, location};
pub use path::{CanonicalPath, PathError, canonical_query};
pub use raw::{
    RawCredential, RawCredentialKind, RawHeaderRules, RawHealth, RawHost, RawIdentity, RawInstances,
    RawIssuer, RawKind, RawProtocol, RawRoute, RawScheme, RawService, RawSrv, RawStepUp, RawTrust,
    RawUpstream, RawVersion,
};
pub use registration::{Claim, ClaimFault, Registered, RegisteredInstances, admit, registered_address};
pub use request::{Ask, LimitedBy, ServiceRequest, ServiceRouteError};
pub use route::{Route, Tail};
pub use service::{Kind, Service, ServiceName, UpstreamAddress, UpstreamProtocol, UpstreamTls};
pub use set_cookie::set_cookie;
pub use standing::{InstanceStanding, InstanceState};
pub use table::{Found, ServiceTable, TableError};
pub use way::{Health, VersionNotice, Way};

/// Below this path a host of a service answers for the gateway itself: sign-in over hosts, sign-out.
/// No service can have it.
pub const RESERVED_PREFIX: &str = "/.rack-gateway";
