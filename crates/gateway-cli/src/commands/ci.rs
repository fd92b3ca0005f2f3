//! `ci`: CI jobs without secrets. An admin writes a trust rule; a job exchanges the token that its CI system gives it.

mod login;
mod trust;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::Context;
use crate::failure::Failure;

/// The arguments of `ci`.
#[derive(Args, Debug)]
pub(crate) struct CiArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CiCommand,
}

/// What to do for CI.
#[derive(Subcommand, Debug)]
pub(crate) enum CiCommand {
    /// Write, list and remove trust rules: which jobs and certificates sign a machine in
    Trust(Box<trust::TrustArguments>),
    /// In a job: exchange the token of the CI system for a short one of the gateway
    Login(login::LoginArguments),
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: CiArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        CiCommand::Trust(arguments) => trust::run(context, *arguments).await?,
        CiCommand::Login(arguments) => login::run(context, arguments).await?,
    }
    Ok(ExitCode::SUCCESS)
}
