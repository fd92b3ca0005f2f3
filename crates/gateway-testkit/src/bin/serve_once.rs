//! A gateway in a process of its own, which a test may kill at any moment.
//!
//! Configured by the environment alone; with the argument `--take-over` it takes the listeners of the one that runs on the
//! same data directory. It prints where it listens as one line of JSON, runs until its standard input is closed or
//! somebody at its control socket ends it, and then stops in order.
#![expect(clippy::expect_used, clippy::panic, reason = "a test tool fails the test that uses it")]

use std::io::Write;
use std::sync::Arc;

use gateway_config::Flags;
use gateway_server::{Beginning, GivenListeners, Stop, Surroundings, start_from};
use gateway_store::Adoption;
use gateway_types::{OsEntropy, SystemClock};

#[tokio::main]
async fn main() {
    let config = gateway_config::load(None, Flags::default()).unwrap_or_else(|faults| panic!("{faults}"));
    // As `serve` logs, so that a test sees what an operator would.
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(config.log.filter.as_str())
        .with_writer(std::io::stderr)
        .init();
    let surroundings = Surroundings {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        // Each run of a test of crashes has a simulated rack of its own.
        adoption: Adoption::Adopt,
    };
    let beginning = match std::env::args().any(|argument| argument == "--take-over") {
        true => Beginning::TakeOver,
        false => Beginning::Fresh(GivenListeners::of_supervisor()),
    };
    let running =
        start_from(config, surroundings, beginning).await.unwrap_or_else(|error| panic!("{error:?}"));
    let places = serde_json::json!({
        "addresses": running.addresses,
        "admin_address": running.admin_address,
        "pid": std::process::id(),
    });
    let mut output = std::io::stdout();
    writeln!(output, "{places}").and_then(|()| output.flush()).expect("somebody who reads");
    let end_of_input =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let stop = tokio::select! {
        _whatever_ends_it = end_of_input => Stop::AtOnce,
        stop = running.told_to_stop() => stop,
    };
    running.stop_as(stop).await;
    // A thread that waits for input would keep the process.
    std::process::exit(0);
}
