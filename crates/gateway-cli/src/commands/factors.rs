//! `factors`: one's own second factors. Passkeys are made in a browser, because only that can ask a key.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::SecondFactor;
use gateway_client::text::one_line;
use gateway_types::wire::factors::{Factor, TotpBegun, TotpConfirmed};
use serde::Serialize;

use super::listing::minute;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::output::{Format, remark};
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `factors`.
#[derive(Args, Debug)]
#[command(
    after_help = "Passkeys and security keys are added in the browser: `rack-gateway web`, then Second factors.\nA further factor takes one that you have (--code)."
)]
pub(crate) struct FactorsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: FactorsCommand,
}

/// What to do with second factors.
#[derive(Subcommand, Debug)]
pub(crate) enum FactorsCommand {
    /// List them, and how many backup codes are left
    List,
    /// Add an authenticator; its secret is shown this once
    Add {
        /// What you call it, such as phone
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// End adding an authenticator with a code that it shows
    Confirm {
        /// The id that `factors add` printed
        #[arg(value_name = "FACTOR")]
        id: String,
        /// The six digits that the new authenticator shows now
        #[arg(value_name = "CODE")]
        shown: String,
    },
    /// Give one another name
    Rename {
        /// Its name, or its id or a beginning of it that no other has
        #[arg(value_name = "FACTOR")]
        factor: String,
        /// What you call it from now on
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Remove one; with the last one your other sessions end
    Remove {
        /// Its name, or its id or a beginning of it that no other has
        #[arg(value_name = "FACTOR")]
        factor: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Make ten new backup codes; those before are void
    BackupCodes {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Serialize)]
struct Removed<'a> {
    id: &'a str,
    removed: bool,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: FactorsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        FactorsCommand::List => {
            let factors = remote.ask(async |client| client.factors().await).await?;
            context.output.answer(&factors, || {
                let left = factors.backup_codes_left;
                let table = rows(&factors.items).render(context.output.looks);
                let none = "You have no second factor: until you add one you can look, and change nothing.";
                if factors.items.is_empty() {
                    none.to_owned()
                } else {
                    format!("{table}\n{left} backup codes left")
                }
            })?;
        }
        FactorsCommand::Add { name } => add(context, &remote, &name).await?,
        FactorsCommand::Confirm { id, shown } => confirm(context, &remote, &id, &shown).await?,
        FactorsCommand::Rename { factor, name } => {
            let found = find(&remote, &factor).await?;
            let renamed = remote.ask(async |client| client.rename_factor(&found.id, &name).await).await?;
            context.output.answer(&renamed, || {
                format!("{} is {} from now on", one_line(&found.name), one_line(&renamed.name))
            })?;
        }
        FactorsCommand::Remove { factor, yes } => {
            let found = find(&remote, &factor).await?;
            let question = format!("{} counts no more", one_line(&found.name));
            waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
            remote.ask(async |client| client.remove_factor(&found.id).await).await?;
            let answer = Removed { id: &found.id, removed: true };
            context.output.answer(&answer, || format!("removed {}", one_line(&found.name)))?;
        }
        FactorsCommand::BackupCodes { yes } => {
            let question = "the backup codes that you have are void";
            waiting(|| context.terminal.confirm(question, Assent::of(yes)))?;
            let made = remote.ask(async |client| client.make_backup_codes().await).await?;
            context.output.answer(&made, || told_codes(&made.codes))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(factors: &[Factor]) -> Rows {
    let mut rows = Rows::new(&["ID", "NAME", "KIND", "COUNTS SINCE", "LAST USED"]);
    for factor in factors {
        rows.add(vec![
            factor.id.clone(),
            factor.name.clone(),
            kind(&factor.kind).to_owned(),
            minute(factor.confirmed.as_deref(), "waits for its first code"),
            minute(factor.last_used.as_deref(), "never"),
        ]);
    }
    rows
}

/// As people call it; a kind of a newer gateway as that calls it.
fn kind(kind: &str) -> &str {
    match kind {
        "totp" => "authenticator",
        "webauthn" => "passkey",
        "yubico" => "YubiKey code",
        newer => newer,
    }
}

/// The only factor of that name, or whose id begins so.
async fn find(remote: &Remote, wanted: &str) -> Result<Factor, Failure> {
    let factors = remote.ask(async |client| client.factors().await).await?.items;
    let mut found = factors.into_iter().filter(|one| one.name == wanted || one.id.starts_with(wanted));
    match (found.next(), found.next()) {
        (Some(factor), None) => Ok(factor),
        (Some(_), Some(_)) => Err(Failure::new(
            Exit::Usage,
            "more than one second factor is called so, or has an id that begins so",
        )
        .hint("give more of the id that `rack-gateway factors list` shows")),
        (None, _) => {
            Err(Failure::new(Exit::Failed, "no second factor is called so, or has an id that begins so")
                .hint("`rack-gateway factors list` shows them"))
        }
    }
}

async fn add(context: &Context, remote: &Remote, name: &str) -> Result<(), Failure> {
    let begun = remote.ask(async |client| client.begin_totp(Some(name)).await).await?;
    if context.output.format == Format::Json || !context.terminal.is_there {
        return context.output.answer(&begun, || told_begun(&begun));
    }
    remark(&format!(
        "Type this into the authenticator (time-based, six digits), or open the address on its device:\n\n  {}\n  {}\n",
        one_line(&begun.secret),
        one_line(&begun.url)
    ));
    let typed = waiting(|| context.terminal.code("It counts once you give what it shows now."))?;
    match typed {
        Some(SecondFactor::Totp(code)) => confirm(context, remote, &begun.id, code.expose()).await,
        Some(SecondFactor::Backup(_) | SecondFactor::Yubico(_)) | None => {
            Err(Failure::new(Exit::Failed, "the authenticator is not confirmed and counts for nothing")
                .hint(format!("rack-gateway factors confirm {} CODE", one_line(&begun.id))))
        }
    }
}

async fn confirm(context: &Context, remote: &Remote, id: &str, shown: &str) -> Result<(), Failure> {
    let done = remote.ask(async |client| client.confirm_totp(id, shown).await).await?;
    context.output.answer(&done, || told_confirmed(&done))
}

fn told_begun(begun: &TotpBegun) -> String {
    let mut lines = Lines::default();
    lines.line("id", &begun.id);
    lines.line("secret", &begun.secret);
    lines.line("address", &begun.url);
    lines.line("then", &format!("rack-gateway factors confirm {} CODE", begun.id));
    lines.to_string()
}

fn told_confirmed(done: &TotpConfirmed) -> String {
    let counts = format!("{} counts from now on", one_line(&done.factor.name));
    match &done.backup_codes {
        Some(codes) => format!("{counts}\n\n{}", told_codes(codes)),
        None => counts,
    }
}

fn told_codes(codes: &[String]) -> String {
    let codes: Vec<_> = codes.iter().map(|code| format!("  {}", one_line(code))).collect();
    format!(
        "Backup codes, each good once when your factor is lost. They are shown this once:\n\n{}",
        codes.join("\n")
    )
}
