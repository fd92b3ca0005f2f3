//! `audit`: the log, verified, followed, exported.

mod export;
mod tail;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::Context;
use crate::failure::Failure;

pub(crate) use export::ExportArguments;
pub(crate) use tail::TailArguments;
pub(crate) use verify::VerifyArguments;

/// The arguments of `audit`.
#[derive(Args, Debug)]
pub(crate) struct AuditArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What to do with the log.
#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Recompute the whole log, from the database or from an export, and name the first bad entry
    Verify(VerifyArguments),
    /// Show the newest events, and wait for more
    Tail(TailArguments),
    /// Write the whole log to a file that verifies without the database
    Export(ExportArguments),
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: AuditArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        AuditCommand::Verify(arguments) => verify::run(context, &arguments).await?,
        AuditCommand::Tail(arguments) => tail::run(context, &arguments).await?,
        AuditCommand::Export(arguments) => export::run(context, &arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}
