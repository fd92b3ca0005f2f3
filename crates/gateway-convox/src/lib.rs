//! The Convox rack API as a closed grammar.
//!
//! A request is parsed into a typed route with typed parameters ([`RackRequest`]); policy, audit and the
//! upstream request are derived from that value, and the upstream request is serialised from it. A byte
//! that was not parsed here never reaches a rack.
//!
//! Pure: no I/O, no clock, no async. It knows nothing of callers, credentials or policy. Start reading at
//! [`table`] (which routes exist), then [`request`] (what a request may carry).

pub mod command;
pub mod error;
pub mod exec;
pub mod method;
pub mod parameter;
pub mod path;
pub mod replies;
pub mod request;
pub mod role;
pub mod table;
pub mod template;
pub mod upstream;
pub mod urlencoded;

pub use command::{CommandPattern, CommandPatterns, Covered, TypedLines, WordFault};
pub use error::{EncodingFault, ParameterError, PathFault, RouteError, RowFault, TableError};
pub use parameter::{Parameter, ParameterSpec, Place, Secrecy, ValueType};
pub use request::{Identified, RackRequest};
pub use role::RackRole;
pub use table::{BodyKind, RequestKind, RouteTable, Row};
pub use upstream::{UpstreamBody, UpstreamRequest};
