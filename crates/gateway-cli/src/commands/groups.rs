//! `groups`: groups of identity providers, and what their members get when they sign in.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::{etag, text::one_line};
use gateway_types::{Role, RoleSet};

use super::listing::{every, minute};
use crate::Context;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `groups`.
#[derive(Args, Debug)]
pub(crate) struct GroupsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: GroupsCommand,
}

/// What to do with groups.
#[derive(Subcommand, Debug)]
pub(crate) enum GroupsCommand {
    /// List groups and what their members get
    List {
        /// Only those whose name contains this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Set what the members of a group get from their next sign-in on
    Set {
        /// The group's name, as the provider writes it
        #[arg(value_name = "GROUP")]
        group: String,
        /// All roles that members get
        #[arg(value_name = "ROLE", required_unless_present = "none")]
        roles: Vec<Role>,
        /// Members get nothing by this group
        #[arg(long, conflicts_with = "roles")]
        none: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: GroupsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        GroupsCommand::List { search } => list(context, &remote, search.as_deref()).await?,
        GroupsCommand::Set { group, roles, none: _, yes } => {
            set(context, &remote, &group, roles.into_iter().collect(), yes).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context, remote: &Remote, search: Option<&str>) -> Result<(), Failure> {
    let groups = every(remote, search, async |client, page| client.groups(page).await).await?;
    let mut rows = Rows::new(&["GROUP", "ROLES", "SOURCE", "SET BY", "WHEN"]);
    for group in &groups {
        rows.add(vec![
            group.id.clone(),
            group.roles.to_string(),
            group.source.clone(),
            group.updated_by.clone().unwrap_or_default(),
            minute(group.updated.as_deref(), ""),
        ]);
    }
    context.output.listing(&groups, &rows, "no group gives anything")
}

async fn set(context: &Context, remote: &Remote, id: &str, roles: RoleSet, yes: bool) -> Result<(), Failure> {
    let groups = every(remote, Some(id), async |client, page| client.groups(page).await).await?;
    let before = groups.into_iter().find(|group| group.id == id);
    let version = before.as_ref().map_or(0, |group| group.version);
    if roles.is_empty() {
        let question = format!("members of {} get nothing by it any more", one_line(id));
        waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    }
    let group = remote.ask(async |client| client.update_group(id, &etag(version), roles).await).await?;
    context.output.answer(&group, || match group.roles.is_empty() {
        true => format!("members of {} get nothing by it", one_line(&group.id)),
        false => format!("members of {} get {}", one_line(&group.id), group.roles),
    })
}
