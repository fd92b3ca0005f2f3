//! `approvals`: asking for a deploy to be approved, deciding about what others ask, and checking what was signed.

mod decide;
mod job;
mod request;
mod said;
mod several;
mod verify;
mod wait;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_approvals::state::State;
use gateway_client::ApprovalsAsked;
use gateway_types::wire::approvals::Approval;

use super::listing::{every, minute};
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::output::remark;
use crate::remote::{Remote, only_one};
use crate::table::Rows;

use decide::{Asking, Ending};

/// The arguments of `approvals`.
#[derive(Args, Debug)]
#[command(
    after_help = "Example, in a job of a CI system after `rack-gateway ci login`:\n  rack-gateway approvals request --app shop --command 'bin/migrate' --wait\n\n`request --wait` and `wait` end with 0 when the deploy was approved, 4 when it was rejected, withdrawn or is expired,\nand 1 when nobody decided in time."
)]
pub(crate) struct ApprovalsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ApprovalsCommand,
}

/// What to do with approvals.
#[derive(Subcommand, Debug)]
pub(crate) enum ApprovalsCommand {
    /// Ask for a deploy to be approved
    Request(Box<request::RequestArguments>),
    /// List approvals, newest first
    List(ListArguments),
    /// Show an approval: what is approved, what it would touch, who signed
    Show {
        /// The approval's id
        #[arg(value_name = "ID")]
        id: String,
        /// Write what was signed into this file, for `approvals verify`
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
    },
    /// Approve somebody else's request
    Approve(DecideArguments),
    /// Say no, also to what was approved and is not deployed yet
    Reject(ReasonArguments),
    /// Make an approval good for as long again, once
    Extend(DecideArguments),
    /// Take one's own request back
    Withdraw(ReasonArguments),
    /// Wait until somebody decided
    Wait {
        /// The approval's id
        #[arg(value_name = "ID")]
        id: String,
        /// How long at most: 90s, 15m, 1h
        #[arg(long, value_name = "TIME", default_value = "15m")]
        timeout: String,
    },
    /// Check, without a gateway, who signed what in a file of `approvals show --export`
    Verify(verify::VerifyArguments),
}

/// The arguments of `approvals list`.
#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Only of this app
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only in this state: pending, approved, deploying, deployed, rejected, expired, withdrawn
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<State>,
    /// Only those that are not over
    #[arg(long)]
    pub(crate) open: bool,
    /// Only those that you asked for
    #[arg(long)]
    pub(crate) mine: bool,
}

/// The arguments of `approvals approve` and `approvals extend`.
#[derive(Args, Debug)]
pub(crate) struct DecideArguments {
    /// The approval's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// What to say about it, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The arguments of `approvals reject` and `approvals withdraw`.
#[derive(Args, Debug)]
pub(crate) struct ReasonArguments {
    /// The approval's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Why, for whoever asked and for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Runs one of them. Only a file is checked without a gateway.
pub(crate) async fn run(context: &Context, arguments: ApprovalsArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        ApprovalsCommand::Verify(arguments) => verify::run(context, &arguments),
        ApprovalsCommand::Request(arguments) => {
            only_one(context)?;
            request::run(context, &Remote::open(context)?, *arguments).await
        }
        ApprovalsCommand::List(arguments) => list(context, arguments).await,
        ApprovalsCommand::Show { id, export } => {
            show(context, &with(context, &id).await?, &id, export.as_deref()).await
        }
        ApprovalsCommand::Approve(arguments) => {
            let remote = with(context, &arguments.id).await?;
            decide::asking(context, &remote, Asking::Approve, arguments).await
        }
        ApprovalsCommand::Extend(arguments) => {
            let remote = with(context, &arguments.id).await?;
            decide::asking(context, &remote, Asking::Extend, arguments).await
        }
        ApprovalsCommand::Reject(arguments) => {
            let remote = with(context, &arguments.id).await?;
            decide::ending(context, &remote, Ending::Reject, arguments).await
        }
        ApprovalsCommand::Withdraw(arguments) => {
            let remote = with(context, &arguments.id).await?;
            decide::ending(context, &remote, Ending::Withdraw, arguments).await
        }
        ApprovalsCommand::Wait { id, timeout } => {
            let patience = wait::patience(&timeout)?;
            wait::until_decided(context, &with(context, &id).await?, &id, patience).await
        }
    }
}

/// The gateway that has this approval: the one that is meant, or of several the one that has it.
async fn with(context: &Context, id: &str) -> Result<Remote, Failure> {
    match crate::remote::several(context)? {
        Some(racks) => several::holding(racks, id).await,
        None => Remote::open(context),
    }
}

/// The columns of a listing.
fn columns() -> [&'static str; 8] {
    ["ID", "APP", "COMMIT", "STATE", "SIGNED", "ASKED BY", "ASKED", "MESSAGE"]
}

/// An approval as a row of them.
fn row(one: &Approval) -> [String; 8] {
    [
        one.id.clone(),
        one.app.clone(),
        said::short(&one.commit).to_owned(),
        one.state.clone(),
        format!("{} of {}", said::approvers(one), one.quorum),
        one.requester.clone(),
        minute(Some(&one.created), ""),
        said::first_line(one.message.as_deref().unwrap_or_default()).to_owned(),
    ]
}

async fn list(context: &Context, arguments: ListArguments) -> Result<ExitCode, Failure> {
    let asked = ApprovalsAsked {
        app: arguments.app,
        state: arguments.state.map(|state| state.name().to_owned()),
        open: arguments.open,
        mine: arguments.mine,
    };
    if let Some(racks) = crate::remote::several(context)? {
        return several::list(context, racks, &asked).await;
    }
    let remote = Remote::open(context)?;
    let found = every(&remote, None, async |client, page| client.approvals(page, &asked).await).await?;
    let mut rows = Rows::new(&columns());
    for one in &found {
        rows.add(row(one).to_vec());
    }
    context.output.listing(&found, &rows, "there is no approval")?;
    Ok(ExitCode::SUCCESS)
}

async fn show(
    context: &Context,
    remote: &Remote,
    id: &str,
    export: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let found = remote.ask(async |client| client.approval(id).await).await?;
    if let Some(path) = export {
        let evidence = remote.ask(async |client| client.approval_evidence(id).await).await?;
        keep(path, &serde_json::to_string_pretty(&evidence)?)?;
        remark(&format!("written to {}; check it with `rack-gateway approvals verify`", path.display()));
    }
    context.output.answer(&found, || said::whole(&found))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a new file that nobody else reads. Nothing that is there is lost.
fn keep(path: &Path, text: &str) -> Result<(), Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = made
        .problem(format!("{} cannot be made; if it is there already, name another file", path.display()))?;
    writeln!(file, "{text}").problem(format!("{} cannot be written", path.display()))
}

/// The exit code of an approval's state: 0 once it may be deployed, 4 once it never can; `None` while it waits.
///
/// # Errors
/// When the gateway names a state that this program does not know.
fn outcome(state: &str) -> Result<Option<ExitCode>, Failure> {
    let state: State = state.parse().map_err(|_unknown| {
        Failure::new(
            Exit::Failed,
            "the gateway tells a state of the approval that this program does not know",
        )
        .hint("use a rack-gateway program of the gateway's own version")
    })?;
    Ok(match state {
        State::Pending => None,
        State::Approved | State::Deploying | State::Deployed => Some(ExitCode::SUCCESS),
        State::Rejected | State::Expired | State::Withdrawn => Some(Exit::Refused.code()),
    })
}
