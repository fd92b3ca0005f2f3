//! The program's own log, on standard error. It is not the audit log.

mod json_lines;

use std::io::{self, IsTerminal as _};

use gateway_config::LogFormat;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::environment;
use crate::failure::{Exit, Failure, Problem};

use json_lines::JsonLines;

/// Reads a filter in the syntax of `tracing`.
///
/// # Errors
/// When it cannot be understood, naming the key.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(text).map_err(|error| {
        Failure::new(Exit::Failed, format!("log.filter: `{text}` cannot be understood: {error}")).hint(
            "write a level (error, warn, info, debug, trace) or pairs such as `info,gateway_proxy=debug`",
        )
    })
}

/// Starts writing the log.
///
/// # Errors
/// When the filter cannot be understood.
pub(crate) fn start(format: LogFormat, text: &str) -> Result<(), Failure> {
    let colours = io::stderr().is_terminal() && environment::read(environment::NO_COLOR).is_none();
    let log = tracing_subscriber::fmt().with_env_filter(filter(text)?).with_writer(io::stderr);
    let started = match format {
        LogFormat::Json => log.event_format(JsonLines).finish().try_init(),
        LogFormat::Text => log.with_ansi(colours).with_target(false).finish().try_init(),
    };
    started.problem("the program's log cannot be started")
}

/// The log of a command that is soon over: only what went wrong.
pub(crate) fn start_quiet() {
    // A command works without its log as well.
    let _ = start(LogFormat::Text, "warn");
}
