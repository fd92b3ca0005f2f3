//! `audit share`: links by which somebody without an account reads a part of the log for a while.

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::audit::ShareAudit;
use serde::Serialize;

use super::super::listing::minute;
use super::search::FilterArguments;
use crate::Context;
use crate::failure::Failure;
use crate::output::remark;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `audit share`.
#[derive(Args, Debug)]
pub(crate) struct ShareArguments {
    /// What to do; without it, they are listed.
    #[command(subcommand)]
    pub(crate) command: Option<ShareCommand>,
}

/// What to do with links.
#[derive(Subcommand, Debug)]
pub(crate) enum ShareCommand {
    /// List links, newest first, also those that are over
    List,
    /// Make a link; its address is shown once. Without a filter it shows the whole log
    Create {
        /// Only with this text in actor, action, resource or request id
        #[arg(value_name = "TEXT")]
        text: Option<String>,
        /// For whom it is: a name or an address, for the list and the log
        #[arg(long = "for", value_name = "LABEL")]
        label: String,
        /// How long it lasts
        #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
        hours: u32,
        /// Which events it shows.
        #[command(flatten)]
        which: FilterArguments,
    },
    /// End a link before its time
    Revoke {
        /// Its id, from `audit share list`
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask before
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Serialize)]
struct Revoked<'a> {
    id: &'a str,
    revoked: bool,
}

/// Runs one of them.
pub(super) async fn run(context: &Context, arguments: ShareArguments) -> Result<(), Failure> {
    let remote = Remote::open(context)?;
    match arguments.command.unwrap_or(ShareCommand::List) {
        ShareCommand::List => list(context, &remote).await,
        ShareCommand::Create { text, label, hours, which } => {
            let asked = ShareAudit { label, hours: Some(hours), filter: which.filter(text.as_deref()) };
            let made = remote.ask(async |client| client.share_audit(&asked).await).await?;
            context.output.answer(&made, || one_line(&made.url))?;
            let until = minute(Some(&made.share.expires), "");
            remark(&format!("whoever has this address reads until {until}; it is not shown again"));
            Ok(())
        }
        ShareCommand::Revoke { id, yes } => {
            let question =
                format!("This ends the link {}: whoever reads by it reads nothing more", one_line(&id));
            waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
            remote.ask(async |client| client.revoke_audit_share(&id).await).await?;
            context
                .output
                .answer(&Revoked { id: &id, revoked: true }, || format!("revoked {}", one_line(&id)))
        }
    }
}

async fn list(context: &Context, remote: &Remote) -> Result<(), Failure> {
    let found = remote.ask(async |client| client.audit_shares().await).await?.items;
    let mut rows = Rows::new(&["ID", "FOR", "STATE", "UNTIL", "OPENED", "BY", "FILTER"]);
    for share in &found {
        rows.add(vec![
            share.id.clone(),
            share.label.clone(),
            share.state.clone(),
            minute(Some(&share.expires), ""),
            share.openings.to_string(),
            share.created_by.clone(),
            serde_json::to_string(&share.filter)?,
        ]);
    }
    context.output.listing(&found, &rows, "there is no link; make one with `audit share create --for LABEL`")
}
