//! `releases`.

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::{Build, Release};
use gateway_client::text::{lines, one_line};

use super::place::{Fetched, moment};
use super::promote;
use super::{AppArgument, Place};
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::table::Rows;

/// The arguments of `releases`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rack-gateway releases -a web --limit 3\n  rack-gateway releases promote RABCDEFGHIJ -a web"
)]
pub(crate) struct ReleasesArguments {
    /// What to do; without it, list the releases.
    #[command(subcommand)]
    command: Option<ReleasesCommand>,
    #[command(flatten)]
    app: AppArgument,
    /// How many
    #[arg(long, short = 'l', value_name = "N")]
    limit: Option<u32>,
}

/// What to do with releases.
#[derive(Subcommand, Debug)]
pub(crate) enum ReleasesCommand {
    /// Show a release
    Info {
        /// Its id
        #[arg(value_name = "RELEASE")]
        release: String,
    },
    /// Print the manifest of a release
    Manifest {
        /// Its id
        #[arg(value_name = "RELEASE")]
        release: String,
    },
    /// Promote a release: the newest, or the one that is named
    Promote(promote::Promotion),
    /// Make a new release of an older one and promote it
    Rollback(promote::RollingBack),
    /// Make a release of the build of one and the environment of another
    CreateFrom {
        /// The release whose build it gets [default: the one that runs]
        #[arg(long, value_name = "RELEASE")]
        build_from: Option<String>,
        /// The release whose environment it gets [default: the one that runs]
        #[arg(long, value_name = "RELEASE")]
        env_from: Option<String>,
        /// Promote it
        #[arg(long)]
        promote: bool,
    },
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: ReleasesArguments) -> Result<(), Failure> {
    let ReleasesArguments { command, app, limit } = arguments;
    let app = place.app(&app)?;
    match command {
        None => list(place, &app, limit).await,
        Some(ReleasesCommand::Info { release }) => {
            let Fetched { raw, value } = fetched(place, &app, &release).await?;
            let mut lines = Lines::default();
            lines.line("id", &value.id);
            lines.some("build", Some(&value.build));
            lines.line("created", &moment(&value.created));
            lines.some("about", Some(&value.description));
            for (at, line) in value.env.lines().enumerate() {
                lines.line(if at == 0 { "env" } else { "" }, line);
            }
            place.shown(&raw, &lines)
        }
        Some(ReleasesCommand::Manifest { release }) => {
            let release = fetched(place, &app, &release).await?.value;
            let asked = RackRequest::get(&["apps", &app, "builds", &release.build]);
            let Fetched { raw, value } = place.fetch::<Build>(&asked).await?;
            let manifest = raw.get("manifest").cloned().unwrap_or_default();
            place.context.output.answer(&manifest, || lines(&value.manifest))
        }
        Some(ReleasesCommand::Promote(promotion)) => promote::promote(place, &app, &promotion).await,
        Some(ReleasesCommand::Rollback(rolling)) => promote::back(place, &app, &rolling).await,
        Some(ReleasesCommand::CreateFrom { build_from, env_from, promote: then }) => {
            create_from(place, &app, build_from, env_from, then).await
        }
    }
}

/// One release.
pub(super) async fn fetched(
    place: &Place<'_>,
    app: &str,
    release: &str,
) -> Result<Fetched<Release>, Failure> {
    place.fetch(&RackRequest::get(&["apps", app, "releases", release])).await
}

async fn list(place: &Place<'_>, app: &str, limit: Option<u32>) -> Result<(), Failure> {
    let active = place.read_app(app).await?.value.release;
    let asked = RackRequest::get(&["apps", app, "releases"]).query("limit", limit);
    let Fetched { raw, value } = place.fetch::<Vec<Release>>(&asked).await?;
    let mut rows = Rows::new(&["ID", "STATUS", "BUILD", "CREATED", "DESCRIPTION"]);
    for one in value {
        let status = if one.id == active { "active" } else { "" };
        rows.add(vec![one.id, status.to_owned(), one.build, moment(&one.created), one.description]);
    }
    place.listing(&raw, &rows, "there are no releases")
}

async fn create_from(
    place: &Place<'_>,
    app: &str,
    build_from: Option<String>,
    env_from: Option<String>,
    then: bool,
) -> Result<(), Failure> {
    if build_from.is_none() && env_from.is_none() {
        return Err(Failure::new(Exit::Usage, "name a release with --build-from, --env-from or both"));
    }
    let active = place.read_app(app).await?.value.release;
    let (build_from, env_from) = (build_from.unwrap_or_else(|| active.clone()), env_from.unwrap_or(active));
    place.step(&format!("Using build from release: {}", one_line(&build_from)))?;
    let build = fetched(place, app, &build_from).await?.value.build;
    place.step(&format!("Using env from release: {}", one_line(&env_from)))?;
    let env = fetched(place, app, &env_from).await?.value.env;
    let about = format!("Created from build release: {build_from} and environment release: {env_from}");
    let asked = RackRequest::post(&["apps", app, "releases"])
        .form("build", Some(build))
        .form("description", Some(about))
        .form("env", Some(env));
    let made: Release = place.change(&asked).await?;
    if then {
        place.step(&format!("Created release: {}", one_line(&made.id)))?;
        promote::of(place, app, &made.id, false).await?;
        return place.ended("Creating release", Some(&made.id));
    }
    place.done("Creating release", Some(&made.id))
}
