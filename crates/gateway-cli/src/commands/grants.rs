//! `grants`: roles of persons and groups on one app, or everywhere.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::elevations::{CreateRoleGrant, RoleGrant};
use serde::Serialize;

use super::listing::{every, minute};
use crate::Context;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::table::Rows;

/// The arguments of `grants`.
#[derive(Args, Debug)]
pub(crate) struct GrantsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: GrantsCommand,
}

/// What to do with grants of roles.
#[derive(Subcommand, Debug)]
pub(crate) enum GrantsCommand {
    /// List them
    List,
    /// Grant a role; names other than the built-in roles mean what policies say of them
    Create {
        /// The role: viewer, ops, deployer, admin, or a name of your own
        #[arg(value_name = "ROLE")]
        role: String,
        /// To this person
        #[arg(long, value_name = "EMAIL", required_unless_present = "group", conflicts_with = "group")]
        user: Option<String>,
        /// To the members of this group
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
        /// On this app alone; without it, on the rack and every app
        #[arg(long, value_name = "APP")]
        app: Option<String>,
    },
    /// Take a grant back
    Remove {
        /// The grant's id
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Serialize)]
struct Removed<'a> {
    id: &'a str,
    removed: bool,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: GrantsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        GrantsCommand::List => list(context, &remote).await?,
        GrantsCommand::Create { role, user, group, app } => {
            let new = CreateRoleGrant { person: user, group, role, app };
            let made = remote.ask(async |client| client.create_role_grant(&new).await).await?;
            context.output.answer(&made, || {
                format!("{} holds {} {}", holder(&made), one_line(&made.role), place(&made))
            })?;
        }
        GrantsCommand::Remove { id } => {
            remote.ask(async |client| client.remove_role_grant(&id).await).await?;
            context
                .output
                .answer(&Removed { id: &id, removed: true }, || format!("removed {}", one_line(&id)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context, remote: &Remote) -> Result<(), Failure> {
    let found = every(remote, None, async |client, page| client.role_grants(page).await).await?;
    let mut rows = Rows::new(&["ID", "WHO", "ROLE", "WHERE", "GRANTED BY", "WHEN"]);
    for one in &found {
        rows.add(vec![
            one.id.clone(),
            holder(one),
            one.role.clone(),
            place(one),
            one.granted_by.clone(),
            minute(Some(&one.created), ""),
        ]);
    }
    context.output.listing(&found, &rows, "nobody holds a role by a grant")
}

fn holder(grant: &RoleGrant) -> String {
    match (&grant.person, &grant.group) {
        (Some(person), _) => one_line(person),
        (None, Some(group)) => format!("group {}", one_line(group)),
        (None, None) => String::new(),
    }
}

fn place(grant: &RoleGrant) -> String {
    grant.app.as_deref().map_or_else(|| "everywhere".to_owned(), |app| format!("on {}", one_line(app)))
}
