//! `policy`: what says yes and no, and what a change of it would do.

mod outcome;
mod replay;
mod stored;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::{lines, one_line};
use gateway_types::wire::policy::{CheckPolicy, Policies, PolicyDocument};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::local::DataPlace;
use crate::remote::{Remote, Whose, whose};
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The largest policy document, in bytes.
const MOST_BYTES: u64 = 512 * 1024;

/// The arguments of `policy`.
#[derive(Args, Debug)]
pub(crate) struct PolicyArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What to do with policies.
#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// List the documents and the policies in them; on the server's own machine, those of its database
    List {
        /// Where the data are.
        #[command(flatten)]
        place: DataPlace,
    },
    /// Print the text of a document or of a single policy
    Show {
        /// The document's or the policy's id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Say whether a text would be accepted; changes nothing
    Check(Change),
    /// Say who would gain or lose what, by role and by what was done lately; changes nothing
    Plan {
        /// What would change.
        #[command(flatten)]
        change: Change,
        /// What if the document were removed
        #[arg(long, conflicts_with = "file")]
        remove: bool,
        /// Ask the decisions again that were recorded since then: 7d, 12h, or a moment in RFC 3339 [default: 30d]
        #[arg(long, value_name = "TIME", default_value = "30d", hide_default_value = true)]
        since: String,
        /// At most so many of them, newest first [default: all]
        #[arg(long, value_name = "N")]
        replay: Option<u64>,
    },
    /// Say what policies in observe mode would have refused
    Observed {
        /// Since then: 7d, 12h, or a moment in RFC 3339 [default: 30d]
        #[arg(long, value_name = "TIME", default_value = "30d", hide_default_value = true)]
        since: String,
    },
    /// Write a document; the whole set is checked before it counts
    Put {
        /// What changes.
        #[command(flatten)]
        change: Change,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove a document; on the server's own machine also when the gateway does not start with it
    Remove {
        /// The document's id
        #[arg(value_name = "ID")]
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// Where the data are.
        #[command(flatten)]
        place: DataPlace,
    },
}

/// A document and its text.
#[derive(Args, Debug)]
pub(crate) struct Change {
    /// The document's id
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Its Cedar text; - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Serialize)]
pub(crate) struct Removed<'a> {
    id: &'a str,
    removed: bool,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: PolicyArguments) -> Result<ExitCode, Failure> {
    let place = match &arguments.command {
        PolicyCommand::List { place } | PolicyCommand::Remove { place, .. } => place.clone(),
        PolicyCommand::Show { .. }
        | PolicyCommand::Check(_)
        | PolicyCommand::Plan { .. }
        | PolicyCommand::Observed { .. }
        | PolicyCommand::Put { .. } => DataPlace::default(),
    };
    // Only when a database is named by a flag: the machine of somebody who is signed in may have variables too.
    if place != DataPlace::default()
        && let Whose::Local = whose(context, &place)?
    {
        return stored::run(context, arguments.command, &place).await;
    }
    let remote = Remote::open(context)?;
    match arguments.command {
        PolicyCommand::List { .. } => list(context, &remote).await,
        PolicyCommand::Show { id } => show(context, &remote, &id).await,
        PolicyCommand::Check(change) => {
            let text = Some(change.text()?);
            let question = CheckPolicy { text, id: change.id, replay: Some(0), since: None, before: None };
            let check = remote.ask(async |client| client.check_policy(&question).await).await?;
            outcome::check(context, &check)
        }
        PolicyCommand::Plan { change, remove, since, replay } => {
            let text = if remove { None } else { Some(change.text()?) };
            let since = Some(since);
            let question = CheckPolicy { id: change.id, text, replay: None, since, before: None };
            outcome::plan(context, &replay::plan(&remote, question, replay).await?)
        }
        PolicyCommand::Observed { since } => {
            outcome::observed(context, &replay::observed(&remote, Some(&since)).await?)
        }
        PolicyCommand::Put { change, yes } => put(context, &remote, &change, yes).await,
        PolicyCommand::Remove { id, yes, .. } => remove(context, &remote, &id, yes).await,
    }
}

impl Change {
    fn text(&self) -> Result<String, Failure> {
        let path = self.file.as_ref().ok_or_else(|| {
            Failure::new(Exit::Usage, "name the file with the policies, or - for standard input")
        })?;
        let cannot = || format!("{} cannot be read", path.display());
        let mut text = String::new();
        let read = if path.as_os_str() == "-" {
            io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text)
        } else {
            File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text))
        };
        let read = read.problem(cannot())?;
        if u64::try_from(read).is_ok_and(|read| read > MOST_BYTES) {
            return Err(Failure::new(
                Exit::Failed,
                format!("{} has more than {MOST_BYTES} bytes", path.display()),
            ));
        }
        Ok(text)
    }
}

async fn all(remote: &Remote) -> Result<Policies, Failure> {
    remote.ask(async |client| client.policies().await).await
}

async fn list(context: &Context, remote: &Remote) -> Result<ExitCode, Failure> {
    let policies = all(remote).await?;
    let mut rows = Rows::new(&["DOCUMENT", "ORIGIN", "POLICY", "EFFECT", "REMEDY", "NEEDS"]);
    for document in &policies.items {
        for rule in &document.rules {
            rows.add(vec![
                document.id.clone(),
                document.origin.replace('_', " "),
                rule.id.clone(),
                rule.effect.clone(),
                rule.remedy.clone().unwrap_or_default(),
                rule.needs.clone().unwrap_or_default(),
            ]);
        }
    }
    context.output.answer(&policies, || {
        let fault = policies
            .fault
            .as_deref()
            .map(|fault| format!("\nthe documents of the database are NOT in force: {}", one_line(fault)));
        format!(
            "{}\n\nversion {}{}",
            rows.render(context.output.looks),
            one_line(&policies.policy_version),
            fault.unwrap_or_default()
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(context: &Context, remote: &Remote, id: &str) -> Result<ExitCode, Failure> {
    let policies = all(remote).await?;
    if let Some(document) = policies.items.iter().find(|document| document.id == id) {
        let text = || match &document.text {
            Some(text) => lines(text),
            None => {
                let texts: Vec<String> = document.rules.iter().map(|rule| lines(&rule.text)).collect();
                texts.join("\n\n")
            }
        };
        context.output.answer(document, text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rule = policies.items.iter().flat_map(|document| &document.rules).find(|rule| rule.id == id);
    let rule = rule.ok_or_else(|| unknown(id))?;
    context.output.answer(rule, || lines(&rule.text))?;
    Ok(ExitCode::SUCCESS)
}

fn unknown(id: &str) -> Failure {
    Failure::new(Exit::Failed, format!("no document or policy is called `{}`", one_line(id)))
        .hint("`rack-gateway policy list` shows them")
}

async fn put(context: &Context, remote: &Remote, change: &Change, yes: bool) -> Result<ExitCode, Failure> {
    let text = change.text()?;
    let before = all(remote).await?.items.into_iter().find(|document| document.id == change.id);
    let version = before.as_ref().and_then(|document| document.version).unwrap_or(0);
    let what = match &before {
        Some(_) => format!("the document {} is replaced", one_line(&change.id)),
        None => format!("the document {} is added", one_line(&change.id)),
    };
    waiting(|| context.terminal.confirm(&what, Assent::of(yes)))?;
    let written = remote.ask(async |client| client.write_policy(&change.id, &text, version).await).await?;
    context.output.answer(&written, || said(&written))?;
    Ok(ExitCode::SUCCESS)
}

fn said(document: &PolicyDocument) -> String {
    let rules: Vec<&str> = document.rules.iter().map(|rule| rule.id.as_str()).collect();
    format!("{} is in force: {}", one_line(&document.id), one_line(&rules.join(", ")))
}

async fn remove(context: &Context, remote: &Remote, id: &str, yes: bool) -> Result<ExitCode, Failure> {
    let before = all(remote).await?.items.into_iter().find(|document| document.id == id);
    let before = before.ok_or_else(|| unknown(id))?;
    let version = before.version.ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("{} is not in the database, so it is not removed here", one_line(id)),
        )
        .hint("the built-in policies stay; those of files are removed with their file")
    })?;
    let rules: Vec<&str> = before.rules.iter().map(|rule| rule.id.as_str()).collect();
    let what = format!("the document {} is removed with {}", one_line(id), one_line(&rules.join(", ")));
    waiting(|| context.terminal.confirm(&what, Assent::of(yes)))?;
    remote.ask(async |client| client.remove_policy(id, version).await).await?;
    context.output.answer(&Removed { id, removed: true }, || format!("removed {}", one_line(id)))?;
    Ok(ExitCode::SUCCESS)
}
