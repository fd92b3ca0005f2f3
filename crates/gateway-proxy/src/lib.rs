//! The data plane: one pipeline that every request passes, the way to the rack, and WebSockets.
//!
//! Start reading at [`pipeline`]; each phase is a module of [`phases`] and proves what it did with a
//! type that only it can make. This crate knows no web page, no JSON API and no SQL.

pub mod body;
pub mod connection;
pub mod flow;
pub mod front;
pub mod limits;
pub mod metrics;
pub mod outcome;
pub mod phases;
pub mod pipeline;
pub mod plane;
mod rack_credential;
pub mod redirect;
pub mod refusals;
pub mod reply;
pub mod upstream;

mod approving;
mod asking;
mod environment;
mod forwarded;
mod guarded;
mod known;
mod own_writes;
mod rack_parameters;
mod scratch;
mod services;
mod sessions;
mod sign_on;
mod spans;

pub use approving::RackLooks;
pub use body::Pace;
pub use connection::{Arrival, Protocol, Secured, serve_connection};
pub use flow::Flow;
pub use front::{Welcome, welcome};
pub use limits::LimitOptions;
pub use metrics::Metrics;
pub use plane::{DataPlane, DataPlaneParts, Http2Options, Networks};
pub use rack_credential::{RackCredential, RackCredentialParts};
pub use redirect::{RedirectParts, serve_redirect};
pub use services::{
    BodyFault, CredentialError, SecretError, SendError, ServiceParts, ServiceUpstreams, ServiceWatch,
    TokenError, VaultAccess, VaultToken,
};
pub use sessions::NeighbourSocket;
pub use spans::{Linked, RequestSpan, SpanId, Spans, StageSpan, TraceId};
pub use upstream::{RackTarget, RackTls, Upstream, UpstreamError};
