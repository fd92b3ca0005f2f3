//! The program itself, before a real BIND and before zone files: the same calls, and what name servers answer then.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, also in the functions that its cases share"
)]

mod agreement;
mod callers;
mod durable;
mod faults;
mod guide;
mod named;
mod shim;
