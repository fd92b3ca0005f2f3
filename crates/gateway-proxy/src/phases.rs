//! The phases of [`crate::pipeline`], each with the proof it makes.
//!
//! A proof has private fields, so that the only way to `forward` leads through every phase before it.

pub mod admit;
pub mod authenticate;
pub mod authorize;
pub(crate) mod commands;
pub(crate) mod cors;
pub(crate) mod elevation;
pub(crate) mod form;
pub mod forward;
pub mod identify;
pub mod inspect;
pub mod limit;
pub(crate) mod plaintext;
pub mod record;
pub(crate) mod resume;
pub mod reveal;
pub(crate) mod service;
pub(crate) mod standing;
pub(crate) mod step_up;
pub(crate) mod tunnel;
pub mod websocket;

pub(crate) use inspect::Asked;
