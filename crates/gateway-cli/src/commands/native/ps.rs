//! `ps`: the processes of an app.

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::Process;

use super::super::completion;
use super::place::{Fetched, moment};
use super::{AppArgument, Place};
use crate::failure::Failure;
use crate::lines::Lines;
use crate::table::Rows;

/// The arguments of `ps`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway ps -a web --service worker\n  rack-gateway ps stop web-7d9f8b6c5-aaaa0 -a web"
)]
pub(crate) struct PsArguments {
    /// What to do; without it, list the processes.
    #[command(subcommand)]
    command: Option<PsCommand>,
    #[command(flatten)]
    app: AppArgument,
    /// Only those of this service
    #[arg(long, short = 's', value_name = "SERVICE", add = completion::services())]
    service: Option<String>,
    /// Only those of this release
    #[arg(long, value_name = "RELEASE")]
    release: Option<String>,
}

/// What to do with processes.
#[derive(Subcommand, Debug)]
pub(crate) enum PsCommand {
    /// Show a process
    Info {
        /// Its id
        #[arg(value_name = "PID")]
        pid: String,
    },
    /// Stop a process; the rack starts another in its place
    Stop {
        /// Its id
        #[arg(value_name = "PID")]
        pid: String,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: PsArguments) -> Result<(), Failure> {
    let PsArguments { command, app, service, release } = arguments;
    let app = place.app(&app)?;
    match command {
        None => {
            let asked = RackRequest::get(&["apps", &app, "processes"])
                .query("release", release)
                .query("service", service);
            let Fetched { raw, value } = place.fetch::<Vec<Process>>(&asked).await?;
            place.budget_notice(&app).await;
            let mut rows = Rows::new(&["ID", "SERVICE", "STATUS", "RELEASE", "STARTED", "COMMAND"]);
            for one in value {
                rows.add(vec![one.id, one.name, one.status, one.release, moment(&one.started), one.command]);
            }
            place.listing(&raw, &rows, "there are no processes")
        }
        Some(PsCommand::Info { pid }) => {
            let asked = RackRequest::get(&["apps", &app, "processes", &pid]);
            let Fetched { raw, value: one } = place.fetch::<Process>(&asked).await?;
            let mut lines = Lines::default();
            lines.line("id", &one.id);
            lines.line("app", &one.app);
            lines.some("command", Some(&one.command));
            lines.some("instance", Some(&one.instance));
            lines.line("release", &one.release);
            lines.line("service", &one.name);
            lines.line("started", &moment(&one.started));
            lines.line("status", &one.status);
            place.shown(&raw, &lines)
        }
        Some(PsCommand::Stop { pid }) => {
            place.order(&RackRequest::delete(&["apps", &app, "processes", &pid])).await?;
            place.done(&format!("Stopping {pid}"), None)
        }
    }
}

/// Writes the processes of the rack itself.
pub(super) async fn of_rack(place: &Place<'_>, all: bool) -> Result<(), Failure> {
    let asked = RackRequest::get(&["system", "processes"]).query("all", all.then_some(true));
    let Fetched { raw, value } = place.fetch::<Vec<Process>>(&asked).await?;
    let mut rows = Rows::new(&["ID", "APP", "SERVICE", "STATUS", "RELEASE", "STARTED", "COMMAND"]);
    for one in value {
        let started = moment(&one.started);
        rows.add(vec![one.id, one.app, one.name, one.status, one.release, started, one.command]);
    }
    place.listing(&raw, &rows, "there are no processes")
}
