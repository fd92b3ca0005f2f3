//! The binary. Everything is in gateway-cli; this only hands over the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway_cli::main()
}
