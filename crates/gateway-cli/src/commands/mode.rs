//! `mode`: all instances read-only on purpose, or as usual. Through the gateway, or on the server's own machine beside it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_app::modes::{self, Mode};
use gateway_client::text::one_line;
use gateway_types::wire::modes::ModeState;

use crate::Context;
use crate::failure::Failure;
use crate::local::{DataPlace, LocalStore};
use crate::remote::Remote;

/// The arguments of `mode`.
#[derive(Args, Debug)]
#[command(
    after_help = "While the gateway is read-only, changes, commands in the rack and everything critical are refused with 503, the reason and who gave it; reads, signing in and out, and what takes rights away go on, and so does what is open. With --data-dir or --database-url it is set in the database itself, for a gateway that nobody can sign in to."
)]
pub(crate) struct ModeArguments {
    /// Which.
    #[command(subcommand)]
    pub(crate) mode: ModeCommand,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// A mode.
#[derive(Subcommand, Debug)]
pub(crate) enum ModeCommand {
    /// Refuse everything that changes, on all instances
    ReadOnly {
        /// Why, in one line for everybody who is refused
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Work as usual again
    Normal,
}

/// Sets the mode.
pub(crate) async fn run(context: &Context, arguments: ModeArguments) -> Result<ExitCode, Failure> {
    let reason = match &arguments.mode {
        ModeCommand::ReadOnly { reason } => Some(reason.as_str()),
        ModeCommand::Normal => None,
    };
    let state = match arguments.place == DataPlace::default() {
        true => {
            let remote = Remote::open(context)?;
            remote.ask(async |client| client.set_mode(reason).await).await?
        }
        false => locally(context, &arguments.place, reason).await?,
    };
    context.output.answer(&state, || match &state.reason {
        Some(reason) => format!("all instances are read-only: {}", one_line(reason)),
        None => "all instances work as usual".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn locally(context: &Context, place: &DataPlace, reason: Option<&str>) -> Result<ModeState, Failure> {
    let local = LocalStore::open(context, place).await?;
    let mode = match reason {
        Some(reason) => Mode::ReadOnly { reason: reason.to_owned() },
        None => Mode::Normal,
    };
    let set = modes::set(&local.store, &local.operator(), mode).await?;
    local.close().await;
    Ok(match set {
        Some(read_only) => ModeState {
            mode: "read-only".to_owned(),
            reason: Some(read_only.reason),
            set_by: Some(read_only.set_by),
            since: Some(read_only.since.to_rfc3339()),
        },
        None => ModeState { mode: "normal".to_owned(), reason: None, set_by: None, since: None },
    })
}
