//! `users`: people, at the gateway.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_client::{Client, Page, Tagged};
use gateway_types::wire::users::{InviteUser, UpdateUser, User};
use gateway_types::{Role, RoleSet};
use serde::Serialize;

use super::listing::{every, minute};
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `users`.
#[derive(Args, Debug)]
pub(crate) struct UsersArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: UsersCommand,
}

/// What to do with people.
#[derive(Subcommand, Debug)]
pub(crate) enum UsersCommand {
    /// List people
    List {
        /// Only those whose address or name contains this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Only those who hold this very role
        #[arg(long, value_name = "ROLE")]
        role: Option<Role>,
        /// Only those who are locked out
        #[arg(long)]
        locked: bool,
    },
    /// Show one person
    Show {
        /// E-mail address or id
        #[arg(value_name = "PERSON")]
        person: String,
    },
    /// Add somebody who may sign in from now on
    Invite {
        /// E-mail address, as the identity provider has it
        #[arg(value_name = "EMAIL")]
        email: String,
        /// viewer, ops, deployer, admin or auditor; may be repeated
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<Role>,
        /// The name shown to people
        #[arg(long)]
        name: Option<String>,
    },
    /// Give somebody other roles
    Roles {
        /// E-mail address or id
        #[arg(value_name = "PERSON")]
        person: String,
        /// All roles that the person shall have
        #[arg(value_name = "ROLE", required = true)]
        roles: Vec<Role>,
    },
    /// Lock somebody out: their sessions and tokens are refused at once
    Lock {
        /// E-mail address or id
        #[arg(value_name = "PERSON")]
        person: String,
        /// Why: stands in the log and in the mail to the person
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Let somebody in again
    Unlock {
        /// E-mail address or id
        #[arg(value_name = "PERSON")]
        person: String,
    },
    /// Take somebody's second factors and sessions away, so that they enrol anew
    ResetFactors {
        /// E-mail address or id
        #[arg(value_name = "PERSON")]
        person: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove somebody with everything that is theirs
    Remove {
        /// E-mail address or id
        #[arg(value_name = "PERSON")]
        person: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// What was done to whom.
#[derive(Serialize)]
struct Done<'a> {
    id: &'a str,
    email: &'a str,
    done: &'static str,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: UsersArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        UsersCommand::List { search, role, locked } => {
            let search = search.as_deref();
            let ask =
                async |client: &Client, page: &Page| client.users(page, role, locked.then_some(true)).await;
            list(context, &every(&remote, search, ask).await?)?;
        }
        UsersCommand::Show { person } => {
            let user = find(&remote, &person).await?.value;
            context.output.answer(&user, || text(&user))?;
        }
        UsersCommand::Invite { email, roles, name } => {
            let invitation = InviteUser { email, name, roles: roles.into_iter().collect() };
            let user = remote.ask(async |client| client.invite(&invitation).await).await?;
            context.output.answer(&user, || format!("invited\n{}", text(&user)))?;
        }
        UsersCommand::Roles { person, roles } => {
            let roles: RoleSet = roles.into_iter().collect();
            let user = change_roles(&remote, &person, roles).await?;
            context.output.answer(&user, || format!("changed\n{}", text(&user)))?;
        }
        UsersCommand::Lock { person, reason, yes } => {
            let user =
                sure(context, &remote, &person, "is locked out, and their sessions and tokens end", yes)
                    .await?;
            remote.ask(async |client| client.lock_user(&user.id, reason.as_deref()).await).await?;
            done(context, &user, "locked")?;
        }
        UsersCommand::Unlock { person } => {
            let user = find(&remote, &person).await?.value;
            remote.ask(async |client| client.unlock_user(&user.id).await).await?;
            done(context, &user, "unlocked")?;
        }
        UsersCommand::ResetFactors { person, yes } => {
            let user = sure(context, &remote, &person, "loses all second factors and sessions", yes).await?;
            remote.ask(async |client| client.reset_factors(&user.id).await).await?;
            done(context, &user, "second factors reset")?;
        }
        UsersCommand::Remove { person, yes } => {
            let user =
                sure(context, &remote, &person, "is removed with their sessions, factors and tokens", yes)
                    .await?;
            remote.ask(async |client| client.remove_user(&user.id).await).await?;
            done(context, &user, "removed")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(context: &Context, users: &Vec<User>) -> Result<(), Failure> {
    let mut rows = Rows::new(&["EMAIL", "NAME", "ROLES", "STATE", "SINCE", "ID"]);
    for user in users {
        rows.add(vec![
            user.email.clone(),
            user.name.clone(),
            user.roles.to_string(),
            state(user).to_owned(),
            minute(Some(&user.created), ""),
            user.id.clone(),
        ]);
    }
    context.output.listing(users, &rows, "nobody was found")
}

/// The person with this address or id.
///
/// # Errors
/// When there is none.
pub(crate) async fn find(remote: &Remote, person: &str) -> Result<Tagged<User>, Failure> {
    let id = if person.contains('@') {
        let found =
            every(remote, Some(person), async |client, page| client.users(page, None, None).await).await?;
        let wanted = person.to_lowercase();
        let user = found.into_iter().find(|user| user.email.to_lowercase() == wanted);
        user.ok_or_else(|| {
            Failure::new(Exit::Failed, format!("nobody has the address {person}"))
                .hint("`rack-gateway users list` shows everybody; `users invite` adds somebody")
        })?
        .id
    } else {
        person.to_owned()
    };
    remote.ask(async |client| client.user(&id).await).await
}

async fn change_roles(remote: &Remote, person: &str, roles: RoleSet) -> Result<User, Failure> {
    let found = find(remote, person).await?;
    let etag = found.etag.unwrap_or_else(|| gateway_client::etag(found.value.version));
    let update = UpdateUser { name: None, roles: Some(roles) };
    remote.ask(async |client| client.update_user(&found.value.id, &etag, &update).await).await
}

async fn sure(
    context: &Context,
    remote: &Remote,
    person: &str,
    what: &str,
    yes: bool,
) -> Result<User, Failure> {
    let user = find(remote, person).await?.value;
    let question = format!("{} {what}", one_line(&user.email));
    waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    Ok(user)
}

fn done(context: &Context, user: &User, done: &'static str) -> Result<(), Failure> {
    let answer = Done { id: &user.id, email: &user.email, done };
    context.output.answer(&answer, || format!("{}: {done}", one_line(&user.email)))
}

const fn state(user: &User) -> &'static str {
    if user.locked { "locked" } else { "active" }
}

fn text(user: &User) -> String {
    let mut lines = Lines::default();
    lines.line("name", &user.name);
    lines.line("roles", &user.roles.to_string());
    lines.line("state", state(user));
    lines.line("added", &user.created);
    lines.line("changed", &user.updated);
    lines.line("id", &user.id);
    format!("{}\n{lines}", one_line(&user.email))
}
