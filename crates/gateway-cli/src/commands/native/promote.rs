//! `promote`, `rollback`: what becomes of the running app is shown before and while it happens.

use std::collections::BTreeMap;

use clap::Args;
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::{Process, Release};
use gateway_client::text::one_line;

use super::place::Fetched;
use super::releases::fetched;
use super::waiting::until_running;
use super::{AppArgument, Place};
use crate::failure::{Exit, Failure};
use crate::output::remark;

/// The arguments of `promote`.
#[derive(Args, Debug)]
#[command(
    after_help = "Where the gateway wants an approval, its refusal prints the command that asks for one.\n\nExamples:\n  rack-gateway promote -a web\n  rack-gateway promote RABCDEFGHIJ -a web"
)]
pub(crate) struct PromoteArguments {
    #[command(flatten)]
    app: AppArgument,
    #[command(flatten)]
    promotion: Promotion,
}

/// Which release is promoted.
#[derive(Args, Debug)]
pub(crate) struct Promotion {
    /// The release [default: the newest]
    #[arg(value_name = "RELEASE")]
    release: Option<String>,
    /// Also while another promotion goes on
    #[arg(long)]
    force: bool,
}

/// The arguments of `rollback`.
#[derive(Args, Debug)]
pub(crate) struct RollbackArguments {
    #[command(flatten)]
    app: AppArgument,
    #[command(flatten)]
    rolling: RollingBack,
}

/// What is rolled back to.
#[derive(Args, Debug)]
pub(crate) struct RollingBack {
    /// The release whose build and environment are taken
    #[arg(value_name = "RELEASE")]
    release: String,
    /// Also while a promotion goes on
    #[arg(long)]
    force: bool,
}

/// Promotes.
pub(super) async fn run(place: &Place<'_>, arguments: &PromoteArguments) -> Result<(), Failure> {
    promote(place, &place.app(&arguments.app)?, &arguments.promotion).await
}

/// Rolls back.
pub(super) async fn roll_back(place: &Place<'_>, arguments: &RollbackArguments) -> Result<(), Failure> {
    back(place, &place.app(&arguments.app)?, &arguments.rolling).await
}

/// Promotes the newest release, or the one that is named.
pub(super) async fn promote(place: &Place<'_>, app: &str, promotion: &Promotion) -> Result<(), Failure> {
    let release = match &promotion.release {
        Some(release) => release.clone(),
        None => {
            let asked = RackRequest::get(&["apps", app, "releases"]).query("limit", Some(1));
            let newest: Fetched<Vec<Release>> = place.fetch(&asked).await?;
            let newest = newest.value.into_iter().next();
            newest.ok_or_else(|| Failure::new(Exit::Failed, "there is no release to promote"))?.id
        }
    };
    of(place, app, &release, promotion.force).await?;
    place.ended(&format!("Promoting {release}"), Some(&release))
}

/// Promotes this release and waits until it runs.
pub(super) async fn of(place: &Place<'_>, app: &str, release: &str, force: bool) -> Result<(), Failure> {
    let now = place.read_app(app).await?.value;
    if place.context.terminal.is_there {
        let processes = place.processes(app).await?.value;
        remark(&replaced(&one_line(&now.release), &processes));
    }
    start(place, app, release, force).await?;
    finish(place, app, release).await
}

/// Makes a new release of an older one and promotes it.
pub(super) async fn back(place: &Place<'_>, app: &str, rolling: &RollingBack) -> Result<(), Failure> {
    let old = fetched(place, app, &rolling.release).await?.value;
    let asked = RackRequest::post(&["apps", app, "releases"])
        .form("build", Some(&old.build))
        .form("env", Some(&old.env));
    let made: Release = place.change(&asked).await?;
    place.step(&format!("Rolling back to {}... OK, {}", one_line(&old.id), one_line(&made.id)))?;
    start(place, app, &made.id, rolling.force).await?;
    finish(place, app, &made.id).await?;
    place.ended(&format!("Rolling back to {}", old.id), Some(&made.id))
}

async fn start(place: &Place<'_>, app: &str, release: &str, force: bool) -> Result<(), Failure> {
    place.step(&format!("Promoting {}...", one_line(release)))?;
    let asked = RackRequest::post(&["apps", app, "releases", release, "promote"]).form("force", Some(force));
    place.order(&asked).await
}

/// Waits until a release that is being promoted runs.
///
/// # Errors
/// When it is rolled back, takes too long, or cannot be looked at any more.
async fn finish(place: &Place<'_>, app: &str, release: &str) -> Result<(), Failure> {
    until_running(place, app).await?;
    demand(place, app, release).await
}

/// Makes sure that this release runs, now that the app has settled.
///
/// # Errors
/// When another one does: it was rolled back.
pub(super) async fn demand(place: &Place<'_>, app: &str, release: &str) -> Result<(), Failure> {
    let runs = place.read_app(app).await?.value.release;
    if runs != release {
        let what = format!("{} was rolled back: {} runs", one_line(release), one_line(&runs));
        return Err(Failure::new(Exit::Failed, what)
            .hint("see why with `rack-gateway logs` and `rack-gateway deploy-debug`"));
    }
    Ok(())
}

/// What a promotion replaces, in words.
fn replaced(release: &str, processes: &[Process]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for process in processes {
        *counts.entry(process.name.as_str()).or_default() += 1;
    }
    let counts: Vec<String> =
        counts.iter().map(|(service, count)| format!("{count} of {}", one_line(service))).collect();
    match (release.is_empty(), counts.is_empty()) {
        (true, _) => "nothing runs yet".to_owned(),
        (false, true) => format!("{release} runs, without a process"),
        (false, false) => format!("{release} runs and is replaced: {}", counts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_told() {
        let process = |name: &str| Process { name: name.to_owned(), ..Process::default() };
        let running = [process("web"), process("worker"), process("web")];
        assert_eq!(replaced("R1", &running), "R1 runs and is replaced: 2 of web, 1 of worker");
        assert_eq!(replaced("R1", &[]), "R1 runs, without a process");
        assert_eq!(replaced("", &[]), "nothing runs yet");
    }
}
