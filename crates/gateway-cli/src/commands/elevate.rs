//! `elevate`: a role for a while.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::Role;
use gateway_types::wire::elevations::{Elevation, RequestElevation};
use serde::Serialize;

use super::listing::{every, minute};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `elevate`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ElevateArguments {
    /// What to do; without it, ask for a role.
    #[command(subcommand)]
    pub(crate) command: Option<ElevateCommand>,
    /// What is asked for.
    #[command(flatten)]
    pub(crate) asked: Option<Asked>,
}

/// A role for a while.
#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// The role: ops, deployer or admin
    #[arg(value_name = "ROLE", required = true)]
    pub(crate) role: Role,
    /// On this app alone; without it, on the rack and every app
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// For how long: 30m, 1h
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub(crate) length: String,
    /// Why, for whoever approves it and for the log
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: String,
}

/// What to do with elevations.
#[derive(Subcommand, Debug)]
pub(crate) enum ElevateCommand {
    /// List one's own, newest first
    List {
        /// Also those of others
        #[arg(long)]
        all: bool,
        /// Only those that wait or are live
        #[arg(long)]
        open: bool,
    },
    /// Approve somebody else's request
    Approve {
        /// The elevation's id
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Say no to somebody's request
    Reject {
        /// The elevation's id
        #[arg(value_name = "ID")]
        id: String,
        /// Why not
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End an elevation before its time, or take a request back
    End {
        /// The elevation's id
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
pub(crate) async fn run(context: &Context, arguments: ElevateArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match (arguments.command, arguments.asked) {
        (None, Some(asked)) => request(context, &remote, asked).await?,
        (None, None) => return Err(Failure::new(Exit::Usage, "name the role that you need, and why")),
        (Some(ElevateCommand::List { all, open }), _) => list(context, &remote, all, open).await?,
        (Some(ElevateCommand::Approve { id, yes }), _) => approve(context, &remote, &id, yes).await?,
        (Some(ElevateCommand::Reject { id, reason }), _) => {
            let done =
                remote.ask(async |client| client.reject_elevation(&id, reason.as_deref()).await).await?;
            context.output.answer(&done, || format!("rejected {}", said(&done)))?;
        }
        (Some(ElevateCommand::End { id }), _) => {
            remote.ask(async |client| client.end_elevation(&id).await).await?;
            context.output.answer(&Ended { id: &id, ended: true }, || format!("ended {}", one_line(&id)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn request(context: &Context, remote: &Remote, asked: Asked) -> Result<(), Failure> {
    let asked = RequestElevation {
        role: asked.role.name().to_owned(),
        app: asked.app,
        length: asked.length,
        reason: asked.reason,
    };
    let made = remote.ask(async |client| client.request_elevation(&asked).await).await?;
    context.output.answer(&made, || {
        let others = match made.quorum {
            1 => "an admin approves it".to_owned(),
            many => format!("{many} admins approve it"),
        };
        let id = one_line(&made.id);
        format!("asked for {}\nit is live once {others}: rack-gateway elevate approve {id}", said(&made))
    })
}

async fn approve(context: &Context, remote: &Remote, id: &str, yes: bool) -> Result<(), Failure> {
    let all = every(remote, None, async |client, page| client.elevations(page, true, true).await).await?;
    let asked = all.iter().find(|one| one.id == id);
    let asked = asked.ok_or_else(|| {
        Failure::new(Exit::Failed, format!("no elevation {} waits or is live", one_line(id)))
            .hint("`rack-gateway elevate list --all --open` shows them")
    })?;
    let question = format!("{}\nreason: {}", said(asked), one_line(&asked.reason));
    waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    let done = remote.ask(async |client| client.approve_elevation(id).await).await?;
    context.output.answer(&done, || match done.expires.as_deref() {
        Some(expires) => format!("live until {}: {}", minute(Some(expires), ""), said(&done)),
        None => format!("approved by {} of {}: {}", done.approved_by.len(), done.quorum, said(&done)),
    })
}

async fn list(context: &Context, remote: &Remote, all: bool, open: bool) -> Result<(), Failure> {
    let found = every(remote, None, async |client, page| client.elevations(page, all, open).await).await?;
    let mut rows = Rows::new(&["ID", "WHO", "ROLE", "ON", "FOR", "STATE", "ENDS", "APPROVED BY", "REASON"]);
    for one in &found {
        rows.add(vec![
            one.id.clone(),
            one.person.clone(),
            one.role.clone(),
            one.app.clone().unwrap_or_else(|| "everything".to_owned()),
            one.length.clone(),
            one.state.clone(),
            minute(one.expires.as_deref(), ""),
            one.approved_by.join(", "),
            one.reason.clone(),
        ]);
    }
    context.output.listing(&found, &rows, "there is no elevation")
}

fn said(one: &Elevation) -> String {
    let place = one.app.as_deref().map_or_else(|| "the rack and every app".to_owned(), one_line);
    format!("{} for {} on {place} for {}", one_line(&one.role), one_line(&one.person), one_line(&one.length))
}
