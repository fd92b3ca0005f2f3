//! End-to-end tests: a whole gateway in front of a simulated rack, driven over real sockets.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the functions that its cases share"
)]

mod basics;
mod documents;
mod environment;
mod matrix;
mod replay;
mod step_up;
mod structure;
