//! The reference management shim: a control API for DNS.
//!
//! A name server speaks DNS to the world and nothing else. Whoever wants to change its records asks this program, over
//! REST and through the gateway: it keeps what is desired, durably, and makes the server have it, whichever server that is.
//! `docs/dns-shim.md` is the worked example of the operator guide. Start reading at [`server`], then [`api`].

pub mod access;
pub mod api;
pub mod backend;
pub mod config;
pub mod keys;
pub mod name;
pub mod reconcile;
pub mod record;
pub mod rules;
pub mod server;
pub mod store;
