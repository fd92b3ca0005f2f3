//! The program.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rack_gateway_dns::config::Config;
use rack_gateway_dns::server::Server;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A control API for DNS, to run behind Rack Gateway.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the control API and keep the zones.
    Serve {
        /// The configuration.
        #[arg(long, default_value = "/etc/rack-gateway-dns.toml")]
        config: PathBuf,
    },
    /// Say every fault of a configuration.
    Check {
        /// The configuration.
        #[arg(long, default_value = "/etc/rack-gateway-dns.toml")]
        config: PathBuf,
    },
    /// Print the OpenAPI document.
    Openapi,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "rack-gateway-dns: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match command {
        Command::Serve { config } => {
            let config = Config::read(&config)?;
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(config))
        }
        Command::Check { config } => {
            let config = Config::read(&config)?;
            Ok(writeln!(out, "The configuration is in order: {} zone(s).", config.zones.len())?)
        }
        Command::Openapi => {
            Ok(writeln!(out, "{}", serde_json::to_string_pretty(&rack_gateway_dns::api::document())?)?)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::start(config).await.context("cannot start")?;
    // Whoever starts the program with port 0 learns the port here.
    let mut out = std::io::stdout();
    writeln!(out, "listening on http://{}", server.address()?)?;
    if let Some(monitor) = server.monitor_address() {
        writeln!(out, "monitor on http://{monitor}")?;
    }
    out.flush()?;
    server
        .serve(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        })
        .await;
    Ok(())
}
