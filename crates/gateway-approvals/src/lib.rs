//! Deploy approvals: what an approver signs, which steps of a deploy an approval allows, and how an uploaded archive
//! is read. Pure: it knows no store, no HTTP and no clock.
//!
//! Start reading at [`Statement`](statement::Statement), which is what is signed, and at [`chain::follow`], which
//! compares a request with it.

pub mod archive;
pub mod chain;
pub mod commands;
pub mod evidence;
pub mod images;
pub mod manifest;
pub mod outline;
pub mod proof;
pub mod state;
pub mod statement;
