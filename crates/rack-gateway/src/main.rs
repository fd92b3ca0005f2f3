//! The binary. Everything is in gateway-cli; this only hands over the exit code.

use std::process::ExitCode;

/// A tenth of the time of a request was the C library's: ADR 0010.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway_cli::main()
}
