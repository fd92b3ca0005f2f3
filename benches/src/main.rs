//! Measures the gateway beside a bare hop, nginx and Caddy: the same requests, the same rack, one run, on loopback.
//!
//! Start reading at [`run::run`]; the cases are in [`cases`], what is aimed at is in [`report`].

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that counts and prints"
)]

mod cases;
mod hop;
mod load;
mod party;
mod report;
mod run;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures the gateway beside bare proxies, on loopback
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure, and write table, plots and raw numbers to target/bench
    Run(RunArguments),
    /// The rack that everybody stands in front of
    #[command(hide = true)]
    Upstream { address: SocketAddr },
    /// The bare hop
    #[command(hide = true)]
    Hop { address: SocketAddr, upstream: SocketAddr },
}

#[derive(clap::Args)]
pub(crate) struct RunArguments {
    /// How often each case is measured at each party; the table shows medians
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long one measurement takes, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only these cases, by their ids: get-32,upload; `once` is what is measured once
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The gateway
    #[arg(long, default_value = "target/release/rack-gateway")]
    binary: PathBuf,
    /// Where the results go
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match Arguments::parse().command {
        Command::Run(arguments) => runtime.block_on(run::run(&arguments)),
        Command::Upstream { address } => runtime.block_on(upstream::serve(address)),
        // The gateway's runtime has a thread for each core, and so has the hop.
        Command::Hop { address, upstream } => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(hop::serve(address, upstream)),
    }
}
