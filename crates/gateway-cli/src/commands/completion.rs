//! `completion`: a script that teaches a shell the commands.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::Context;
use crate::arguments::Arguments;
use crate::failure::Failure;

/// The arguments of `completion`.
#[derive(Args, Debug)]
pub(crate) struct CompletionArguments {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Writes the script to standard output.
pub(crate) fn run(context: &Context, arguments: &CompletionArguments) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut Arguments::command(), "rack-gateway", &mut script);
    context.output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
