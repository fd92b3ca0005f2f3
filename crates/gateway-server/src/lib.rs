//! Composition root: it makes every part, starts the listeners and the background work, and stops
//! them in order. It sees all other crates; none of them sees it.
//!
//! Start reading at [`server`].

pub mod own;
pub mod readiness;
pub mod server;

mod accept;
mod admin;
mod anchors;
mod aws;
mod background;
mod error;
mod fetch;
mod follow;
mod identity;
mod metrics;
mod sinks;
mod tls;

pub use error::StartError;
pub use follow::ConfigFile;
pub use server::{Running, Surroundings, notices, policy_engine, route_table, service_table, start};
