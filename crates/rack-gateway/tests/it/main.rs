//! The built binary, started as a person starts it.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the functions that its cases share"
)]

mod backup;
mod book;
mod chaos;
mod configuration;
mod contracts;
mod convox_yml;
mod demo;
mod env;
mod example;
mod exec;
mod exposure;
mod import;
mod login;
mod machines;
mod resume;
mod selfcheck;
mod sinks;
mod support_bundle;
mod terminal;
mod top;
mod tunnel;
mod witness;
