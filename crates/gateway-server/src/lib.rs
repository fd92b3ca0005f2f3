//! Composition root: it makes every part, starts the listeners and the background work, and stops
//! them in order. It sees all other crates; none of them sees it.
//!
//! Start reading at [`server`].

pub mod own;
mod probing;
pub mod readiness;
pub mod server;

mod accept;
mod admin;
mod anchors;
mod aws;
mod background;
mod control_socket;
mod discovery;
mod error;
mod fetch;
mod follow;
mod identity;
mod listeners;
mod metrics;
mod sinks;
mod stopping;
mod tls;
mod traces;
mod waiting;

pub use aws::bucket_of_environment;
pub use control_socket::{Draining, drain};
pub use error::StartError;
pub use follow::ConfigFile;
pub use listeners::GivenListeners;
pub use server::{
    Beginning, Running, Surroundings, notices, policy_engine, route_table, service_table, start, start_from,
};
pub use stopping::Stop;
