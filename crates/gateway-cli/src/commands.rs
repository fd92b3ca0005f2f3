//! One module for each command.

pub(crate) mod access;
pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod breakglass;
pub(crate) mod can;
pub(crate) mod ci;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod configuration;
pub(crate) mod convox;
pub(crate) mod demo;
pub(crate) mod drain;
pub(crate) mod elevate;
pub(crate) mod env;
pub(crate) mod exec;
pub(crate) mod factors;
pub(crate) mod grants;
pub(crate) mod groups;
pub(crate) mod integrations;
pub(crate) mod jobs;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod man;
pub(crate) mod migrate;
pub(crate) mod mode;
pub(crate) mod native;
pub(crate) mod policy;
pub(crate) mod rack_credential;
pub(crate) mod racks;
pub(crate) mod recordings;
pub(crate) mod reveal;
pub(crate) mod roles;
pub(crate) mod rotate_key;
pub(crate) mod rotate_log_key;
pub(crate) mod selfcheck;
pub(crate) mod serve;
pub(crate) mod services;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod sidecar;
pub(crate) mod step_up;
pub(crate) mod tokens;
pub(crate) mod tunnel;
pub(crate) mod users;
pub(crate) mod web;
pub(crate) mod who_can;
pub(crate) mod whoami;
pub(crate) mod why;
pub(crate) mod zone;

mod exposure;
pub(crate) mod listing;
mod question;

#[cfg(test)]
mod tests;
