//! `drain`: the gateway on this machine takes nothing new, lets what is open end, and stops.

use std::process::ExitCode;

use clap::Args;
use gateway_config::{Database, load_database};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem as _};
use crate::local::DataPlace;

/// The arguments of `drain`.
#[derive(Args, Debug)]
#[command(
    after_help = "Balancers are told for limits.drain_notice that it drains, then it accepts nothing more; requests have limits.drain_timeout, sessions and other sockets limits.hand_over_timeout, and people at a terminal are told. To put a new process in its place without a gap: `rack-gateway serve --take-over`."
)]
pub(crate) struct DrainArguments {
    /// Wait until it has ended
    #[arg(long)]
    pub(crate) wait: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

#[derive(Serialize)]
struct Answer {
    state: &'static str,
}

/// Asks the gateway's control socket. The gateway records who asked.
pub(crate) async fn run(context: &Context, arguments: DrainArguments) -> Result<ExitCode, Failure> {
    let Database { data_dir, .. } = load_database(context.config.clone(), arguments.place.flags())?;
    let asked = gateway_server::drain(&data_dir).await;
    let draining = asked.problem("the gateway on this machine does not take the order; are you its user?")?;
    let Some(draining) = draining else {
        let what = format!("no gateway runs on {}", data_dir.display());
        return Err(Failure::new(Exit::Failed, what).hint("name its data directory with --data-dir"));
    };
    let state = match arguments.wait {
        true => {
            draining.ended().await;
            "stopped"
        }
        false => "draining",
    };
    context.output.answer(&Answer { state }, || match state {
        "stopped" => "the gateway has drained and stopped".to_owned(),
        _ => "the gateway drains; it stops once what is open has ended".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}
