//! `builds`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::Build;

use super::place::{Fetched, moment};
use super::{AppArgument, Place, logs, transfer};
use crate::failure::{Failure, Problem};
use crate::lines::Lines;
use crate::table::Rows;

/// The arguments of `builds`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway builds -a web --limit 3\n  rack-gateway builds logs BABCDEFGHIJ -a web"
)]
pub(crate) struct BuildsArguments {
    /// What to do; without it, list the builds.
    #[command(subcommand)]
    command: Option<BuildsCommand>,
    #[command(flatten)]
    app: AppArgument,
    /// How many
    #[arg(long, short = 'l', value_name = "N")]
    limit: Option<u32>,
}

/// What to do with builds.
#[derive(Subcommand, Debug)]
pub(crate) enum BuildsCommand {
    /// Show a build
    Info {
        /// Its id
        #[arg(value_name = "BUILD")]
        build: String,
    },
    /// Print the log of a build, to its end when it goes on
    Logs {
        /// Its id
        #[arg(value_name = "BUILD")]
        build: String,
    },
    /// Write a build to a file
    Export {
        /// Its id
        #[arg(value_name = "BUILD")]
        build: String,
        /// The file [default: standard output]
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Make a build of what `builds export` wrote
    Import {
        /// The file [default: standard input]
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: BuildsArguments) -> Result<(), Failure> {
    let BuildsArguments { command, app, limit } = arguments;
    let app = place.app(&app)?;
    match command {
        None => list(place, &app, limit).await,
        Some(BuildsCommand::Info { build }) => {
            let asked = RackRequest::get(&["apps", &app, "builds", &build]);
            let Fetched { raw, value: one } = place.fetch::<Build>(&asked).await?;
            let mut lines = Lines::default();
            lines.line("id", &one.id);
            lines.line("status", &one.status);
            lines.some("reason", Some(&one.reason));
            lines.some("release", Some(&one.release));
            lines.some("about", Some(&one.description));
            lines.line("started", &moment(&one.started));
            lines.some("ended", Some(&moment(&one.ended)));
            place.shown(&raw, &lines)
        }
        Some(BuildsCommand::Logs { build }) => logs::of_build(place, &app, &build).await,
        Some(BuildsCommand::Export { build, file }) => {
            let asked = RackRequest::get(&["apps", &app, "builds", &format!("{build}.tgz")]);
            transfer::download(place, &asked, file.as_deref(), "Exporting build").await
        }
        Some(BuildsCommand::Import { file }) => {
            place.system().await?;
            let asked = RackRequest::post(&["apps", &app, "builds", "import"]);
            let answer = transfer::upload(place, &asked, file.as_deref(), "Importing build").await?;
            let made: Build =
                serde_json::from_slice(&answer).problem("the rack's answer is not understood")?;
            place.done("Importing build", Some(&made.release))
        }
    }
}

async fn list(place: &Place<'_>, app: &str, limit: Option<u32>) -> Result<(), Failure> {
    let asked = RackRequest::get(&["apps", app, "builds"]).query("limit", limit);
    let Fetched { raw, value } = place.fetch::<Vec<Build>>(&asked).await?;
    let mut rows = Rows::new(&["ID", "STATUS", "RELEASE", "STARTED", "ENDED", "DESCRIPTION"]);
    for one in value {
        rows.add(vec![
            one.id,
            one.status,
            one.release,
            moment(&one.started),
            moment(&one.ended),
            one.description,
        ]);
    }
    place.listing(&raw, &rows, "there are no builds")
}
