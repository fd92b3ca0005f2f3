//! `env`: the environment of an app, as the official client shows and changes it, through the gateway's own API.
//!
//! Secret values are handles here as everywhere; a handle that is written back keeps the value. What is changed is
//! sent, not the whole environment, so that nobody's change is lost.

mod editor;
mod input;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::Compared;
use gateway_client::text::one_line;
use gateway_types::wire::environments::{AppEnvironment, ChangeEnvironment, ChangedEnvironment};
use serde::Serialize;

use super::native::AppArgument;
use crate::Context;
use crate::failure::{Exit, Failure};
use crate::remote::{Remote, Target};
pub(in crate::commands) use input::line;

/// The arguments of `env`.
#[derive(Args, Debug)]
pub(crate) struct EnvArguments {
    /// What to do; without it, print the environment.
    #[command(subcommand)]
    pub(crate) command: Option<EnvCommand>,
    /// Whose environment.
    #[command(flatten)]
    pub(crate) app: AppArgument,
    /// Of this release instead of the newest
    #[arg(long, global = true, value_name = "RELEASE")]
    pub(crate) release: Option<String>,
}

/// What to do with an environment.
#[derive(Subcommand, Debug)]
pub(crate) enum EnvCommand {
    /// Print one value, or its handle
    Get {
        /// The variable
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Set variables; a bare KEY is asked for, or read from standard input
    Set {
        /// KEY=VALUE, or KEY, whose value then stands in no command line
        #[arg(value_name = "KEY[=VALUE]", required = true)]
        pairs: Vec<String>,
        /// What to do with the new release.
        #[command(flatten)]
        then: Then,
    },
    /// Remove variables
    Unset {
        /// The variables
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
        /// What to do with the new release.
        #[command(flatten)]
        then: Then,
    },
    /// Change it in $VISUAL or $EDITOR
    Edit {
        /// What to do with the new release.
        #[command(flatten)]
        then: Then,
    },
    /// Show what is different: from the release that runs, from another one, or from another app
    Diff {
        /// Compare with this release
        #[arg(long, value_name = "RELEASE")]
        since: Option<String>,
        /// Compare with the newest release of this app
        #[arg(long, value_name = "APP", conflicts_with = "since")]
        with: Option<String>,
    },
    /// Set what a file says, one KEY=VALUE a line
    Import {
        /// The file; - or nothing for standard input
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Remove what the file does not name
        #[arg(long)]
        replace: bool,
        /// What to do with the new release.
        #[command(flatten)]
        then: Then,
    },
}

/// What to do with a new release.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Then {
    /// Promote the new release
    #[arg(long, short = 'p')]
    promote: bool,
}

/// What is asked of one app.
struct Place<'a> {
    context: &'a Context,
    remote: Remote,
    app: String,
    release: Option<String>,
}

#[derive(Serialize)]
struct Value<'a> {
    name: &'a str,
    value: &'a str,
    hidden: bool,
}

#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    changed: &'a ChangedEnvironment,
    promoted: bool,
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: EnvArguments) -> Result<ExitCode, Failure> {
    let EnvArguments { command, app, release } = arguments;
    let app = app.name(context)?;
    let place = Place { context, remote: Remote::at(context, Target::of_rack(context)?)?, app, release };
    match command {
        None => place.print().await?,
        Some(EnvCommand::Get { key }) => place.get(&key).await?,
        Some(EnvCommand::Diff { since, with }) => place.diff(since.as_deref(), with.as_deref()).await?,
        Some(EnvCommand::Set { pairs, then }) => {
            let set = input::pairs(&pairs, context.terminal)?;
            let doing = format!("Setting {}", names(set.keys()));
            place.change(ChangeEnvironment { set, unset: Vec::new(), base: None }, &doing, then).await?;
        }
        Some(EnvCommand::Unset { keys, then }) => {
            let doing = format!("Unsetting {}", names(keys.iter()));
            place
                .change(ChangeEnvironment { set: BTreeMap::new(), unset: keys, base: None }, &doing, then)
                .await?;
        }
        Some(EnvCommand::Edit { then }) => place.edit(then).await?,
        Some(EnvCommand::Import { file, replace, then }) => {
            place.import(file.as_deref(), replace, then).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| one_line(name)).collect::<Vec<_>>().join(", ")
}

impl Place<'_> {
    async fn read(&self, compared: Compared<'_>) -> Result<AppEnvironment, Failure> {
        let (app, release) = (&self.app, self.release.as_deref());
        self.remote.ask(async |client| client.environment(app, release, compared).await).await
    }

    async fn print(&self) -> Result<(), Failure> {
        let env = self.read(Compared::Active).await?;
        let lines: Vec<String> = env.variables.iter().map(|one| input::line(&one.name, &one.value)).collect();
        self.context.output.answer(&env, || lines.join("\n"))
    }

    async fn get(&self, key: &str) -> Result<(), Failure> {
        let env = self.read(Compared::Active).await?;
        let found = env
            .variables
            .iter()
            .find(|one| one.name == key)
            .ok_or_else(|| Failure::new(Exit::Failed, format!("env key not found: {}", one_line(key))))?;
        let value = Value { name: &found.name, value: &found.value, hidden: found.hidden };
        self.context.output.answer(&value, || input::visible(&found.value))
    }

    async fn diff(&self, since: Option<&str>, with: Option<&str>) -> Result<(), Failure> {
        let compared = match (since, with) {
            (Some(release), _) => Compared::Since(release),
            (None, Some(other)) => Compared::With(other),
            (None, None) => Compared::Active,
        };
        let env = self.read(compared).await?;
        self.context.output.answer(&env, || difference(&env))
    }

    /// Sends a change, and says what became of it in the words of the official client.
    async fn change(&self, change: ChangeEnvironment, doing: &str, then: Then) -> Result<(), Failure> {
        let app = &self.app;
        let made = self.remote.ask(async |client| client.change_environment(app, &change).await).await?;
        let promoted = then.promote && made.created;
        if promoted {
            self.remote.ask(async |client| client.promote(app, &made.release).await).await?;
        }
        let done = Done { changed: &made, promoted };
        self.context.output.answer(&done, || match (made.created, promoted) {
            (false, _) => format!("{doing}... OK, nothing was different"),
            (true, false) => format!("{doing}... OK\nRelease: {}", one_line(&made.release)),
            (true, true) => {
                let release = one_line(&made.release);
                format!("{doing}... OK\nRelease: {release}\nPromoting {release}... OK")
            }
        })
    }

    async fn edit(&self, then: Then) -> Result<(), Failure> {
        let env = self.read(Compared::Active).await?;
        let before = input::text(&env)?;
        let after = input::parse(&editor::edit(&before)?)?;
        self.replace_with(&env, after, "Setting", then).await
    }

    async fn import(&self, file: Option<&std::path::Path>, replace: bool, then: Then) -> Result<(), Failure> {
        let set = input::parse(&input::file(file)?)?;
        if set.is_empty() {
            return Err(Failure::new(Exit::Usage, "there is nothing to import"));
        }
        if replace {
            let env = self.read(Compared::Active).await?;
            return self.replace_with(&env, set, "Setting", then).await;
        }
        let doing = format!("Setting {}", names(set.keys()));
        self.change(ChangeEnvironment { set, unset: Vec::new(), base: None }, &doing, then).await
    }

    /// Sends what is different between what was read and what it is to be.
    async fn replace_with(
        &self,
        env: &AppEnvironment,
        after: BTreeMap<String, String>,
        doing: &str,
        then: Then,
    ) -> Result<(), Failure> {
        let change = input::change(env, after);
        if change.set.is_empty() && change.unset.is_empty() {
            let release = env.release.clone().unwrap_or_default();
            let nothing = ChangedEnvironment { release, created: false, changed: Vec::new() };
            let done = Done { changed: &nothing, promoted: false };
            return self.context.output.answer(&done, || "nothing was changed".to_owned());
        }
        let doing = format!("{doing} {}", names(change.set.keys().chain(&change.unset)));
        self.change(change, &doing, then).await
    }
}

/// A line for each variable that is different.
fn difference(env: &AppEnvironment) -> String {
    let mut lines: Vec<String> = Vec::new();
    for one in &env.variables {
        let mark = match one.difference.as_str() {
            "added" => '+',
            "changed" => '~',
            _ => continue,
        };
        lines.push(format!("{mark} {}", input::line(&one.name, &one.value)));
    }
    lines.extend(env.removed.iter().map(|name| format!("- {}", one_line(name))));
    for one in env.variables.iter().filter(|one| !one.same_as.is_empty()) {
        lines.push(format!("= {} has the same value as {}", one_line(&one.name), names(one.same_as.iter())));
    }
    if lines.is_empty() { "nothing is different".to_owned() } else { lines.join("\n") }
}
