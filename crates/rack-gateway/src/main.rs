//! The binary. Everything is in gateway-cli; this only hands over the exit code.

use std::process::ExitCode;

/// Chosen by measurement: ADR 0021.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway_cli::main()
}
