//! The sections of the configuration: each takes its keys from the resolver and checks what they mean.
//! A section reads all its keys before it gives up, so that every fault is noted in one run.

pub(crate) mod anchors;
pub(crate) mod aws;
pub(crate) mod integrations;
pub(crate) mod mail;
pub(crate) mod network;
pub(crate) mod people;
pub(crate) mod rack;
pub(crate) mod running;
pub(crate) mod services;
pub(crate) mod settings;
pub(crate) mod storage;
pub(crate) mod tls;
pub(crate) mod traces;
pub(crate) mod vault;
pub(crate) mod yubico;

pub(crate) use running::is_env_pattern;
