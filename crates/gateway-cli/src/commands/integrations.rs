//! `integrations`: who else is asked about deploys and told of them, and with which credentials.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::integrations::{Integration, WriteIntegration};
use serde::Serialize;

use super::listing::minute;
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::lines::Lines;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, Terminal, waiting};

/// The largest credential that is read, in bytes.
const MOST_BYTES: u64 = 16 * 1024;

/// The arguments of `integrations`.
#[derive(Args, Debug)]
pub(crate) struct IntegrationsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: IntegrationsCommand,
}

/// What to do with integrations.
#[derive(Subcommand, Debug)]
pub(crate) enum IntegrationsCommand {
    /// List services with where their credentials come from and how the last test ended
    List,
    /// Give the gateway the credentials for a service: asked for here, or read from files; `-` is standard input
    Set {
        /// github, circleci or slack
        #[arg(value_name = "KIND")]
        kind: String,
        /// File with the token of GitHub or CircleCI
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Number of a GitHub App, in place of a token
        #[arg(long, value_name = "NUMBER", requires = "app_installation")]
        app_id: Option<String>,
        /// Number of its installation
        #[arg(long, value_name = "NUMBER", requires = "app_id")]
        app_installation: Option<String>,
        /// File with its private key in PEM
        #[arg(long, value_name = "FILE", requires = "app_id")]
        app_private_key_file: Option<PathBuf>,
        /// File with the bot token of a Slack app
        #[arg(long, value_name = "FILE")]
        bot_token_file: Option<PathBuf>,
        /// File with its signing secret
        #[arg(long, value_name = "FILE")]
        signing_secret_file: Option<PathBuf>,
    },
    /// Take the credentials for a service away
    Remove {
        /// github, circleci or slack
        #[arg(value_name = "KIND")]
        kind: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Ask a service whether it lets the gateway in; fails when it does not
    Test {
        /// github, circleci or slack
        #[arg(value_name = "KIND")]
        kind: String,
    },
}

#[derive(Serialize)]
struct Removed<'a> {
    kind: &'a str,
    removed: bool,
}

/// Where each credential is read from.
struct Files {
    token: Option<PathBuf>,
    app: Option<(String, String, Option<PathBuf>)>,
    bot_token: Option<PathBuf>,
    signing_secret: Option<PathBuf>,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: IntegrationsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    match arguments.command {
        IntegrationsCommand::List => list(context, &remote).await?,
        IntegrationsCommand::Set {
            kind,
            token_file,
            app_id,
            app_installation,
            app_private_key_file,
            bot_token_file,
            signing_secret_file,
        } => {
            let files = Files {
                token: token_file,
                app: app_id.zip(app_installation).map(|(id, at)| (id, at, app_private_key_file)),
                bot_token: bot_token_file,
                signing_secret: signing_secret_file,
            };
            set(context, &remote, &kind, &files).await?;
        }
        IntegrationsCommand::Remove { kind, yes } => remove(context, &remote, &kind, yes).await?,
        IntegrationsCommand::Test { kind } => return test(context, &remote, &kind).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(context: &Context, remote: &Remote) -> Result<(), Failure> {
    let all = remote.ask(async |client| client.integrations().await).await?.items;
    let mut rows = Rows::new(&["SERVICE", "STATE", "CREDENTIALS", "SINCE", "LAST TEST"]);
    for one in &all {
        rows.add(vec![
            one.kind.clone(),
            one.state.clone(),
            source(one),
            minute(one.updated.as_deref(), ""),
            last_test(one),
        ]);
    }
    context.output.listing(&all, &rows, "there are no integrations")
}

fn source(one: &Integration) -> String {
    match &one.updated_by {
        Some(by) => format!("{} by {by}", one.source),
        None => one.source.clone(),
    }
}

fn last_test(one: &Integration) -> String {
    match &one.last_test {
        Some(test) if test.good => test.said.clone(),
        Some(test) => format!("refused: {}", test.said),
        None => "never".to_owned(),
    }
}

fn text(one: &Integration) -> String {
    let mut lines = Lines::default();
    lines.line("state", &one.state);
    lines.some("fault", one.fault.as_deref());
    lines.line("credentials", &source(one));
    lines.line("last test", &last_test(one));
    format!("{}\n{lines}", one_line(&one.kind))
}

async fn find(remote: &Remote, kind: &str) -> Result<Integration, Failure> {
    let all = remote.ask(async |client| client.integrations().await).await?.items;
    all.into_iter().find(|one| one.kind == kind).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("no integration is called `{}`", one_line(kind)))
            .hint("`rack-gateway integrations list` shows them")
    })
}

async fn set(context: &Context, remote: &Remote, kind: &str, files: &Files) -> Result<(), Failure> {
    // Before anybody types a secret for a service that there is not.
    let before = find(remote, kind).await?;
    let credentials = credentials(kind, files, context.terminal)?;
    let version = before.version;
    let kept = remote.ask(async |client| client.write_integration(kind, &credentials, version).await).await?;
    context.output.answer(&kept, || text(&kept))
}

fn credentials(kind: &str, files: &Files, terminal: Terminal) -> Result<WriteIntegration, Failure> {
    let given = [&files.token, &files.bot_token, &files.signing_secret];
    let key = files.app.as_ref().and_then(|(_, _, key)| key.as_ref());
    let from_input = given.into_iter().flatten().chain(key).filter(|path| is_input(path)).count();
    if from_input > 1 {
        return Err(Failure::new(
            Exit::Usage,
            "standard input holds one credential, and two are read from it",
        ));
    }
    let mut write = WriteIntegration::default();
    match (kind, &files.app) {
        ("slack", _) => {
            write.bot_token = Some(secret("bot token", files.bot_token.as_deref(), terminal)?);
            write.signing_secret = Some(secret("signing secret", files.signing_secret.as_deref(), terminal)?);
        }
        ("github", Some((id, installation, key))) => {
            let key = key
                .as_deref()
                .ok_or_else(|| Failure::new(Exit::Usage, "a GitHub App needs --app-private-key-file FILE"))?;
            write.app_id = Some(id.clone());
            write.app_installation = Some(installation.clone());
            write.app_private_key = Some(secret("private key", Some(key), terminal)?);
        }
        (_, Some(_) | None) => write.token = Some(secret("token", files.token.as_deref(), terminal)?),
    }
    Ok(write)
}

fn is_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// A credential out of a file, or as it is typed. It never stands in an argument, which others on the machine can read.
fn secret(name: &str, file: Option<&Path>, terminal: Terminal) -> Result<String, Failure> {
    let text = match file {
        Some(path) if is_input(path) => read(io::stdin().lock(), "standard input")?,
        Some(path) => {
            let shown = path.display().to_string();
            read(File::open(path).problem(format!("{shown} cannot be opened"))?, &shown)?
        }
        None if terminal.is_there => {
            let answer = waiting(|| (terminal.ask)(&format!("The {name} (it is shown): ")))?;
            answer.ok_or_else(|| Failure::new(Exit::Usage, format!("no {name} was given")))?
        }
        None => {
            return Err(Failure::new(Exit::Usage, format!("nobody can be asked for the {name}"))
                .hint(format!("--{}-file FILE, or - for standard input", name.replace(' ', "-"))));
        }
    };
    let text = text.trim();
    match text.is_empty() {
        true => Err(Failure::new(Exit::Usage, format!("the {name} is empty"))),
        false => Ok(text.to_owned()),
    }
}

fn read(from: impl io::Read, shown: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(MOST_BYTES + 1).read_to_string(&mut text);
    read.problem(format!("{shown} cannot be read"))?;
    if text.len() as u64 > MOST_BYTES {
        return Err(Failure::new(Exit::Usage, format!("{shown} has more than {MOST_BYTES} bytes")));
    }
    Ok(text)
}

async fn remove(context: &Context, remote: &Remote, kind: &str, yes: bool) -> Result<(), Failure> {
    let before = find(remote, kind).await?;
    let question = format!("{} is not asked and not told any more", one_line(kind));
    waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
    remote.ask(async |client| client.remove_integration(kind, before.version).await).await?;
    context.output.answer(&Removed { kind, removed: true }, || format!("removed {kind}"))
}

async fn test(context: &Context, remote: &Remote, kind: &str) -> Result<ExitCode, Failure> {
    let tested = remote.ask(async |client| client.test_integration(kind).await).await?;
    context.output.answer(&tested, || text(&tested))?;
    let is_good = tested.last_test.as_ref().is_some_and(|test| test.good);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
