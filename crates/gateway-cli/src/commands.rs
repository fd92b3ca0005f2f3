//! One module for each command.

pub(crate) mod audit;
pub(crate) mod can;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod convox;
pub(crate) mod demo;
pub(crate) mod migrate;
pub(crate) mod serve;
pub(crate) mod tokens;
pub(crate) mod who_can;
pub(crate) mod why;

mod question;
