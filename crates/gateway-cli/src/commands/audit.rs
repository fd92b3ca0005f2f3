//! `audit`: the log, verified, followed, exported.

mod entry;
mod evidence;
mod export;
mod remote;
mod retention;
mod search;
mod searches;
mod share;
mod sinks;
mod story;
mod tail;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_types::wire::audit::AuditFilter;

use crate::Context;
use crate::failure::Failure;
use crate::remote::{Whose, whose};

pub(crate) use entry::{ProveArguments, ShowArguments};
pub(crate) use evidence::EvidenceArguments;
pub(crate) use export::{ExportArguments, ExportFormat};
pub(crate) use retention::{HoldArguments, PruneArguments};
pub(crate) use search::SearchArguments;
pub(crate) use searches::SearchesArguments;
pub(crate) use share::ShareArguments;
pub(crate) use sinks::SinksArguments;
pub(crate) use story::StoryArguments;
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
    /// Find events, newest first
    Search(SearchArguments),
    /// List, keep and forget searches under a name; `search --saved NAME` asks one
    Searches(SearchesArguments),
    /// Make, list and revoke links by which somebody without an account reads a part of the log
    Share(ShareArguments),
    /// Show deploys, one line each: requests, approval, sessions and outcome; or one of them with its events
    Story(StoryArguments),
    /// Show one entry, or those of a request, once it is proven that they are in the log
    Show(ShowArguments),
    /// Write a proof that an entry is in the log, which stands alone
    Prove(ProveArguments),
    /// Write the whole log to a file that verifies without the database
    Export(ExportArguments),
    /// Make an archive for auditors: all entries of a time, who may what, approvals and recordings, with proofs; or verify one
    Evidence(EvidenceArguments),
    /// Remove the bodies of old entries, as audit_retention says; or show which
    Prune(PruneArguments),
    /// Keep every body whatever its age (a legal hold), or lift that
    Hold(HoldArguments),
    /// Show how far each sink of the log is
    Sinks(SinksArguments),
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: AuditArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        AuditCommand::Verify(arguments) if arguments.file.is_some() => {
            verify::run(context, &arguments).await?
        }
        AuditCommand::Verify(arguments) => match whose(context, &arguments.place)? {
            Whose::Local => verify::run(context, &arguments).await?,
            Whose::Remote(_) => return Err(remote::not_here()),
        },
        AuditCommand::Tail(arguments) => match whose(context, &arguments.place)? {
            Whose::Local if arguments.mine => return Err(remote::only_there("--mine")),
            Whose::Local => tail::run(context, &arguments).await?,
            Whose::Remote(target) => remote::tail(context, *target, &arguments).await?,
        },
        AuditCommand::Sinks(arguments) => match whose(context, &arguments.place)? {
            Whose::Local => sinks::run(context, &arguments).await?,
            Whose::Remote(_) => return Err(sinks::not_here()),
        },
        AuditCommand::Evidence(arguments) => evidence::run(context, arguments).await?,
        AuditCommand::Prune(arguments) => retention::prune(context, &arguments).await?,
        AuditCommand::Hold(arguments) => retention::hold(context, arguments).await?,
        AuditCommand::Search(arguments) => search::run(context, &arguments).await?,
        AuditCommand::Searches(arguments) => searches::run(context, arguments).await?,
        AuditCommand::Share(arguments) => share::run(context, arguments).await?,
        AuditCommand::Story(arguments) => story::run(context, &arguments).await?,
        AuditCommand::Show(arguments) => entry::show(context, &arguments).await?,
        AuditCommand::Prove(arguments) => entry::prove(context, &arguments).await?,
        AuditCommand::Export(arguments) => match whose(context, &arguments.place)? {
            Whose::Local if arguments.format == ExportFormat::Csv => {
                return Err(remote::only_there("--format csv"));
            }
            Whose::Local if arguments.which.filter(None) != AuditFilter::default() => {
                return Err(remote::only_there("a choice of events"));
            }
            Whose::Local => export::run(context, &arguments).await?,
            Whose::Remote(target) => remote::export(context, *target, &arguments).await?,
        },
    }
    Ok(ExitCode::SUCCESS)
}
