//! What of a deployment may be reached from where.
//!
//! One [`Manifest`] says which services there are and for whom each of their listeners is. [`compose()`] and [`systemd`]
//! make of it a deployment in which only the gateway's ports and the external listeners are published; [`lint()`] finds
//! what a compose file publishes or shares beside that; [`probe`] says which ports a look from outside must find
//! closed; [`labelled()`] reads the labels of a compose file. Nothing here does I/O.
//!
//! Precedent: Digital Rebar published its control ports beside the gateway, and eleven of its containers were
//! privileged.

pub mod compose;
pub mod labels;
pub mod lint;
pub mod manifest;
pub mod probe;
pub mod systemd;
#[cfg(test)]
mod tests;

pub use compose::compose;
pub use labels::{LabelFault, Labelled, labelled};
pub use lint::{Finding, LintFault, Rule, lint};
pub use manifest::{Manifest, ManifestFault};
pub use probe::{Expected, Target, targets};
pub use systemd::{Unit, units};
