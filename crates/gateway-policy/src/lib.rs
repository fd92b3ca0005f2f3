//! Policy: one Cedar engine that answers every request of the gateway, and the gateway's own operation table.
//!
//! Its job: say yes or no over caller, action, resource and facts; name the rules that decided and
//! what would turn a no into a yes. It must not know HTTP, the store, the clock or how the facts were found:
//! the same inputs always give the same verdict. Start reading at [`engine`], then
//! `policies/default.cedar`, which is the whole of the default policy; [`own`] is the table of the
//! gateway's own operations.

pub mod engine;
pub mod error;
pub mod explain;
pub mod own;
pub mod rule;

mod decision_key;
mod evaluation;
mod reason;
mod remedies;
mod schema;
mod slices;
mod vocabulary;

pub use engine::PolicyEngine;
pub use error::{PolicyError, PolicyFault};
pub use explain::{UnknownAction, can, who_can};
pub use own::{OwnRoute, OwnRouteError, OwnTable, OwnTableError, RackPage, is_plain_segment};
pub use rule::{Effect, PolicySource, Rule};

#[cfg(test)]
mod action_list;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod sample;
