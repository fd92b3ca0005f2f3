//! `apps`, and `deploy-debug`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use gateway_client::ClientError;
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::{App, Release};
use gateway_client::text::{lines, one_line};
use serde_json::Value;

use super::super::completion;
use super::place::{Fetched, map_text, pair};
use super::waiting::until_running;
use super::{AppArgument, Place, transfer};
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::table::Rows;

/// The arguments of `apps`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway apps --json\n  rack-gateway apps info -a web\n  rack-gateway apps params set Timeout=60 -a web"
)]
pub(crate) struct AppsArguments {
    /// What to do; without it, list the apps.
    #[command(subcommand)]
    command: Option<AppsCommand>,
    #[command(flatten)]
    app: AppArgument,
}

/// One app, by its name or by `--app`.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// The app, when --app does not name it
    #[arg(value_name = "NAME", add = completion::apps())]
    name: Option<String>,
}

/// What to do with apps.
#[derive(Subcommand, Debug)]
pub(crate) enum AppsCommand {
    /// Show an app
    Info(Named),
    /// Make an app and wait until it is there
    Create {
        /// Its name
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// The generation of its manifest
        #[arg(long, short = 'g', value_name = "N")]
        generation: Option<String>,
        /// How long it may take, in seconds
        #[arg(long, short = 't', value_name = "SECONDS")]
        timeout: Option<u32>,
    },
    /// Remove an app with all that it has, and wait until it is gone
    Delete {
        /// Its name
        #[arg(value_name = "NAME", add = completion::apps())]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Stop a promotion that goes on
    Cancel(Named),
    /// Protect an app from being removed
    Lock(Named),
    /// Let an app be removed again
    Unlock(Named),
    /// Show or set parameters
    Params {
        /// What to do; without it, show them.
        #[command(subcommand)]
        command: Option<ParamsCommand>,
    },
    /// Write an app to a file: build, environment, resources
    Export {
        /// The app, when --app does not name it
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// The file [default: standard output]
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Make an app of what `apps export` wrote
    Import {
        /// The app, when --app does not name it
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// The file [default: standard input]
        #[arg(long, short = 'f', value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// What to do with parameters.
#[derive(Subcommand, Debug)]
pub(crate) enum ParamsCommand {
    /// Set some, and wait until the app runs with them
    Set {
        /// NAME=VALUE
        #[arg(value_name = "NAME=VALUE", required = true, value_parser = pair)]
        pairs: Vec<(String, String)>,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: AppsArguments) -> Result<(), Failure> {
    let AppsArguments { command, app } = arguments;
    let named = |name: Option<&str>| app.name_or(name, place.context);
    match command {
        None => list(place).await,
        Some(AppsCommand::Info(Named { name })) => info(place, &named(name.as_deref())?).await,
        Some(AppsCommand::Create { name, generation, timeout }) => {
            let name = named(name.as_deref())?;
            let asked = RackRequest::post(&["apps"])
                .form("name", Some(&name))
                .form("generation", generation)
                .form("timeout", timeout);
            let _made: App = place.change(&asked).await?;
            until_made(place, &name).await?;
            place.done(&format!("Creating {name}"), None)
        }
        Some(AppsCommand::Delete { name, yes }) => delete(place, &name, yes).await,
        Some(AppsCommand::Cancel(Named { name })) => cancel(place, &named(name.as_deref())?).await,
        Some(AppsCommand::Lock(Named { name })) => lock(place, &named(name.as_deref())?, true).await,
        Some(AppsCommand::Unlock(Named { name })) => lock(place, &named(name.as_deref())?, false).await,
        Some(AppsCommand::Params { command: None }) => params(place, &named(None)?).await,
        Some(AppsCommand::Params { command: Some(ParamsCommand::Set { pairs }) }) => {
            set_params(place, &named(None)?, &pairs).await
        }
        Some(AppsCommand::Export { name, file }) => {
            transfer::export(place, &named(name.as_deref())?, file.as_deref()).await
        }
        Some(AppsCommand::Import { name, file }) => {
            transfer::import(place, &named(name.as_deref())?, file.as_deref()).await
        }
    }
}

async fn list(place: &Place<'_>) -> Result<(), Failure> {
    let Fetched { raw, value: apps } = place.fetch::<Vec<App>>(&RackRequest::get(&["apps"])).await?;
    let mut rows = Rows::new(&["APP", "STATUS", "RELEASE"]);
    for app in apps {
        rows.add(vec![app.name, app.status, app.release]);
    }
    place.listing(&raw, &rows, "there are no apps")
}

async fn info(place: &Place<'_>, name: &str) -> Result<(), Failure> {
    let Fetched { raw, value: app } = place.read_app(name).await?;
    let mut lines = Lines::default();
    lines.line("name", &app.name);
    lines.line("status", &app.status);
    lines.some("generation", Some(&app.generation));
    lines.line("locked", if app.locked { "yes" } else { "no" });
    lines.some("release", Some(&app.release));
    lines.some("router", Some(&app.router));
    place.shown(&raw, &lines)
}

/// Waits until the app is there and settled.
pub(super) async fn until_made(place: &Place<'_>, name: &str) -> Result<(), Failure> {
    let mut settled = 0;
    for _ in 0..place.context.pace.looks() {
        tokio::time::sleep(place.context.pace.settle).await;
        settled = if place.read_app(name).await?.value.status == "running" { settled + 1 } else { 0 };
        if settled == 2 {
            return Ok(());
        }
    }
    Err(Failure::new(Exit::Failed, format!("{} is not settled after all this time", one_line(name)))
        .hint("look at it with `rack-gateway apps info`"))
}

async fn delete(place: &Place<'_>, name: &str, yes: bool) -> Result<(), Failure> {
    place.confirm(&format!("{} is removed with all that it has", one_line(name)), yes)?;
    place.order(&RackRequest::delete(&["apps", name])).await?;
    let looked = RackRequest::get(&["apps", name]);
    let mut gone = 0;
    for _ in 0..place.context.pace.looks() {
        tokio::time::sleep(place.context.pace.settle).await;
        let is_gone = place
            .remote
            .ask(async |client| match client.rack(&looked).await {
                Ok(_) => Ok(false),
                Err(ClientError::Rack { status: 404, .. }) => Ok(true),
                Err(error) => Err(error),
            })
            .await?;
        gone = if is_gone { gone + 1 } else { 0 };
        if gone == 2 {
            return place.done(&format!("Deleting {name}"), None);
        }
    }
    Err(Failure::new(Exit::Failed, format!("{} is still there after all this time", one_line(name))))
}

async fn lock(place: &Place<'_>, app: &str, lock: bool) -> Result<(), Failure> {
    place.order(&RackRequest::put(&["apps", app]).form("lock", Some(lock))).await?;
    place.done(&format!("{} {app}", if lock { "Locking" } else { "Unlocking" }), None)
}

/// The release that ran is written again, so that the next change begins with it and not with the one that was stopped.
async fn cancel(place: &Place<'_>, app: &str) -> Result<(), Failure> {
    place.step(&format!("Cancelling deployment of {}...", one_line(app)))?;
    place.order(&RackRequest::post(&["apps", app, "cancel"])).await?;
    place.step("Rewriting last active release...")?;
    let newest = RackRequest::get(&["apps", app, "releases"]).query("limit", Some(1));
    let releases: Fetched<Vec<Release>> = place.fetch(&newest).await?;
    let Some(newest) = releases.value.first() else {
        return place.ended("Cancelling", None);
    };
    let release: Release =
        place.fetch(&RackRequest::get(&["apps", app, "releases", &newest.id])).await?.value;
    let asked = RackRequest::post(&["apps", app, "releases"])
        .form("build", Some(&release.build))
        .form("description", Some(&release.description))
        .form("env", Some(&release.env));
    let made: Release = place.change(&asked).await?;
    place.ended("Cancelling", Some(&made.id))
}

async fn params(place: &Place<'_>, app: &str) -> Result<(), Failure> {
    place.system().await?;
    let app = place.read_app(app).await?.value;
    parameters(place, app.parameters.unwrap_or_default())
}

/// Writes parameters: of an app, or of the rack.
pub(super) fn parameters(
    place: &Place<'_>,
    parameters: std::collections::BTreeMap<String, String>,
) -> Result<(), Failure> {
    let raw = serde_json::to_value(&parameters)?;
    let mut rows = Rows::new(&["NAME", "VALUE"]);
    for (name, value) in parameters {
        rows.add(vec![name, value]);
    }
    place.listing(&raw, &rows, "there are no parameters")
}

async fn set_params(place: &Place<'_>, app: &str, pairs: &[(String, String)]) -> Result<(), Failure> {
    place.system().await?;
    place.order(&RackRequest::put(&["apps", app]).form("parameters", Some(map_text(pairs)))).await?;
    until_running(place, app).await?;
    let now = place.read_app(app).await?.value.parameters.unwrap_or_default();
    let kept = |(name, value): &&(String, String)| now.get(name) == Some(value);
    let lost: Vec<String> = pairs.iter().filter(|pair| !kept(pair)).map(|(name, _)| one_line(name)).collect();
    // Racks leave out what they do not know, and say nothing. Secret ones come back as handles.
    if !lost.is_empty() {
        crate::output::remark(&format!("warning: these do not read as they were set: {}", lost.join(", ")));
    }
    place.done("Updating parameters", None)
}

/// The arguments of `deploy-debug`.
#[derive(Args, Debug)]
pub(crate) struct DiagnoseArguments {
    #[command(flatten)]
    app: AppArgument,
    /// Only these checks, separated by commas
    #[arg(long, short = 'c', value_name = "CHECKS")]
    checks: Option<String>,
    /// Only these services, separated by commas
    #[arg(long, short = 's', value_name = "SERVICES")]
    services: Option<String>,
    /// How old a process may be to count as new, in seconds
    #[arg(long, value_name = "SECONDS")]
    age: Option<u32>,
    /// How many lines of each log
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<u32>,
    /// Healthy processes too
    #[arg(long)]
    all: bool,
    /// No events
    #[arg(long)]
    no_events: bool,
    /// No logs of processes that ended
    #[arg(long)]
    no_previous: bool,
}

/// Diagnoses.
pub(super) async fn diagnose(place: &Place<'_>, arguments: &DiagnoseArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    let asked = RackRequest::get(&["apps", &app, "diagnose"])
        .query("age", arguments.age)
        .query("all", arguments.all.then_some(true))
        .query("checks", arguments.checks.as_deref())
        .query("events", arguments.no_events.then_some(false))
        .query("lines", arguments.lines)
        .query("previous", arguments.no_previous.then_some(false))
        .query("services", arguments.services.as_deref());
    let Fetched { raw, .. } = place.fetch::<Value>(&asked).await?;
    place.context.output.answer(&raw, || lines(&serde_json::to_string_pretty(&raw).unwrap_or_default()))
}
