//! `reveal`: values in plaintext, once or for a while.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::environments::{RevealValues, Revealed};
use serde::Serialize;

use super::env::line;
use super::listing::minute;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::remote::Remote;
use crate::table::Rows;

/// The arguments of `reveal`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct RevealArguments {
    /// What to do; without it, reveal.
    #[command(subcommand)]
    pub(crate) command: Option<RevealCommand>,
    /// What is asked for.
    #[command(flatten)]
    pub(crate) asked: Option<Asked>,
}

/// Which values, and why.
#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// The variables; none for all
    #[arg(value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// The app
    #[arg(long, short = 'a', value_name = "APP", required = true)]
    pub(crate) app: String,
    /// Of this release instead of the newest
    #[arg(long, value_name = "RELEASE")]
    pub(crate) release: Option<String>,
    /// Let this session read the app's values through the rack proxy for so long, such as 5m, and print none
    #[arg(long = "for", value_name = "TIME", conflicts_with_all = ["keys", "release"])]
    pub(crate) length: Option<String>,
    /// Why, for the log
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: String,
}

/// What to do with times of reading.
#[derive(Subcommand, Debug)]
pub(crate) enum RevealCommand {
    /// List those that are not over
    List {
        /// Also those of others
        #[arg(long)]
        all: bool,
    },
    /// End one before its time
    End {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Serialize)]
struct Ended<'a> {
    id: &'a str,
    ended: bool,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: RevealArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match (arguments.command, arguments.asked) {
        (None, Some(asked)) => reveal(context, &remote, asked).await?,
        (None, None) => return Err(Failure::new(Exit::Usage, "name the app, and why")),
        (Some(RevealCommand::List { all }), _) => list(context, &remote, all).await?,
        (Some(RevealCommand::End { id }), _) => {
            remote.ask(async |client| client.end_reveal(&id).await).await?;
            context.output.answer(&Ended { id: &id, ended: true }, || format!("ended {}", one_line(&id)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn reveal(context: &Context, remote: &Remote, asked: Asked) -> Result<(), Failure> {
    let app = asked.app;
    let asked =
        RevealValues { keys: asked.keys, release: asked.release, length: asked.length, reason: asked.reason };
    let found = remote.ask(async |client| client.reveal(&app, &asked).await).await?;
    context.output.answer(&found, || text(&found))
}

fn text(found: &Revealed) -> String {
    match &found.time {
        Some(time) => format!(
            "this session reads the values of {} through the rack proxy until {}\nend it early: rack-gateway reveal end {}",
            one_line(&time.app),
            minute(Some(&time.expires), ""),
            one_line(&time.id)
        ),
        None => found.values.iter().map(|one| line(&one.name, &one.value)).collect::<Vec<_>>().join("\n"),
    }
}

async fn list(context: &Context, remote: &Remote, all: bool) -> Result<(), Failure> {
    let found = remote.ask(async |client| client.reveals(all).await).await?.items;
    let mut rows = Rows::new(&["ID", "WHO", "APP", "ENDS", "REASON"]);
    for one in &found {
        rows.add(vec![
            one.id.clone(),
            one.holder.clone(),
            one.app.clone(),
            minute(Some(&one.expires), ""),
            one.reason.clone(),
        ]);
    }
    context.output.listing(&found, &rows, "nobody reads values in plaintext now")
}
