//! `build` and `deploy`: a directory is packed, sent, built at the rack with its log in sight, and promoted.

use std::path::{Path, PathBuf};

use clap::Args;
use data_encoding::HEXLOWER;
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::{Build, Object};
use gateway_client::text::one_line;
use gateway_types::{Entropy as _, OsEntropy};
use serde::Serialize;
use tokio::time::Instant;

use super::logs::follow_build;
use super::progress::size;
use super::{AppArgument, Place, archive, promote, transfer};
use crate::failure::{Exit, Failure, Problem};

/// The manifest when none is named.
const MANIFEST: &str = "convox.yml";
/// How many looks in a row may fail: a link may be away for a moment, and the build goes on.
const FAILED_LOOKS: u32 = 20;

/// The arguments of `build`.
#[derive(Args, Debug)]
#[command(
    after_help = "What .dockerignore names stays here. The archive holds no owners and no times: the same files are the\nsame bytes, so that an approved digest can be packed again.\n\nExamples:\n  rack-gateway build -a web\n  RELEASE=$(rack-gateway build ./shop --id -a web)"
)]
pub(crate) struct BuildArguments {
    #[command(flatten)]
    app: AppArgument,
    #[command(flatten)]
    what: What,
    /// Print nothing but the release on standard output
    #[arg(long)]
    id: bool,
}

/// The arguments of `deploy`.
#[derive(Args, Debug)]
#[command(
    after_help = "Where the gateway wants an approval, its refusal prints the command that asks for one.\n\nExample:\n  rack-gateway deploy -a web --description 'Fix the cart'"
)]
pub(crate) struct DeployArguments {
    #[command(flatten)]
    app: AppArgument,
    #[command(flatten)]
    what: What,
    /// Also while another promotion goes on
    #[arg(long)]
    force: bool,
    /// Print nothing but the release on standard output
    #[arg(long)]
    id: bool,
}

/// What is built, and how.
#[derive(Args, Debug)]
pub(crate) struct What {
    /// The directory [default: this one]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// A build argument; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    build_args: Vec<String>,
    /// What it is
    #[arg(long, short = 'd', value_name = "TEXT")]
    description: Option<String>,
    /// For development
    #[arg(long)]
    development: bool,
    /// The manifest, by its path in the directory [default: convox.yml]
    #[arg(long, short = 'm', value_name = "PATH")]
    manifest: Option<String>,
    /// Do not use what earlier builds made
    #[arg(long)]
    no_cache: bool,
    /// The commit that is built
    #[arg(long, value_name = "SHA")]
    git_sha: Option<String>,
    /// Use the rack's wildcard domain
    #[arg(long)]
    wildcard_domain: bool,
    /// Build on this machine: that needs the rack's own credential, so only the official client does it
    #[arg(long)]
    external: bool,
}

/// What was built, for programs.
#[derive(Serialize)]
struct Built<'a> {
    build: &'a str,
    release: &'a str,
}

/// Builds.
pub(super) async fn build(place: &Place<'_>, arguments: &BuildArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    if arguments.id {
        place.keep_beside();
    }
    let built = made(place, &app, &arguments.what).await?;
    let answer = Built { build: &built.id, release: &built.release };
    place.context.output.answer(&answer, || match arguments.id {
        true => one_line(&built.release),
        false => format!("Build:   {}\nRelease: {}", one_line(&built.id), one_line(&built.release)),
    })
}

/// Builds and promotes.
pub(super) async fn deploy(place: &Place<'_>, arguments: &DeployArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    if arguments.id {
        place.keep_beside();
    }
    let built = made(place, &app, &arguments.what).await?;
    if built.release.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("the build {} made no release", one_line(&built.id))));
    }
    promote::of(place, &app, &built.release, arguments.force).await?;
    let answer = Built { build: &built.id, release: &built.release };
    place.context.output.answer(&answer, || match arguments.id {
        true => one_line(&built.release),
        false => "OK".to_owned(),
    })
}

/// A build, from the directory to its end.
async fn made(place: &Place<'_>, app: &str, what: &What) -> Result<Build, Failure> {
    if what.external {
        return Err(Failure::new(Exit::Usage, "a build on this machine is not made by this program")
            .hint("it needs the rack's own credential; where the gateway allows it, use `rack-gateway convox build --external`"));
    }
    let directory = archive::directory(what.directory.as_deref())?;
    let manifest = what.manifest.as_deref().unwrap_or(MANIFEST);
    has_manifest(&directory, what.manifest.as_deref())?;
    place.system().await?;
    let packed = archive::pack(&directory, &[manifest])?;
    place.step(&format!("Packaging source... OK, {} files, {}", packed.files, size(packed.size_bytes)))?;
    let key = key();
    let asked = RackRequest::post(&["apps", app, "objects", "tmp", &key]);
    let object: Object =
        serde_json::from_slice(&transfer::send(place, &asked, &packed.file, "Uploading").await?)
            .problem("the rack's answer is not understood")?;
    place.step("Uploading source... OK")?;
    let begun: Build = place.change(&request(app, what, &object.url)).await?;
    place.step(&format!("Starting build... OK, {}", one_line(&begun.id)))?;
    follow_build(place, app, &begun.id).await?;
    ended(place, app, &begun.id).await
}

/// A manifest that is named is there; the rack says so of the usual one, where a Dockerfile may do.
fn has_manifest(directory: &Path, named: Option<&str>) -> Result<(), Failure> {
    match named {
        Some(named) if !directory.join(named).is_file() => {
            Err(Failure::new(Exit::Usage, format!("{} is no file", directory.join(named).display())))
        }
        _ => Ok(()),
    }
}

fn request(app: &str, what: &What, url: &str) -> RackRequest {
    let arguments = (!what.build_args.is_empty()).then(|| what.build_args.join(","));
    RackRequest::post(&["apps", app, "builds"])
        .form("url", Some(url))
        .form("build-args", arguments)
        .form("description", what.description.as_deref())
        .form("development", what.development.then_some(true))
        .form("git-sha", what.git_sha.as_deref())
        .form("manifest", what.manifest.as_deref())
        .form("no-cache", what.no_cache.then_some(true))
        .form("wildcard-domain", what.wildcard_domain.then_some(true))
}

/// Where the archive is kept at the rack: nobody guesses it.
fn key() -> String {
    let mut random = [0; 15];
    OsEntropy.fill(&mut random);
    format!("{}.tgz", HEXLOWER.encode(&random))
}

/// Waits for the end of a build whose log is over.
async fn ended(place: &Place<'_>, app: &str, id: &str) -> Result<Build, Failure> {
    let pace = place.context.pace;
    let until = Instant::now() + pace.build_patience;
    let asked = RackRequest::get(&["apps", app, "builds", id]);
    let mut failed = 0;
    while Instant::now() < until {
        match place.fetch::<Build>(&asked).await.map(|build| build.value) {
            Ok(build) if build.status == "complete" => return Ok(build),
            Ok(build) if matches!(build.status.as_str(), "created" | "running" | "pending" | "") => {
                failed = 0
            }
            Ok(build) => {
                let reason = if build.reason.is_empty() {
                    String::new()
                } else {
                    format!(": {}", one_line(&build.reason))
                };
                let what = format!("the build {} is {}{reason}", one_line(id), one_line(&build.status));
                return Err(Failure::new(Exit::Failed, what)
                    .hint(format!("read it again with `rack-gateway builds logs {id} -a {app}`")));
            }
            Err(failure) if failure.exit() != Exit::Unreachable || failed + 1 >= FAILED_LOOKS => {
                return Err(failure);
            }
            Err(_) => failed += 1,
        }
        tokio::time::sleep(pace.build).await;
    }
    Err(Failure::new(Exit::Failed, format!("the build {} has no end after all this time", one_line(id)))
        .hint(format!("it goes on; see how with `rack-gateway builds info {id} -a {app}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_and_never_the_same() {
        let (one, other) = (key(), key());
        assert!(one != other && one.len() == 34 && one.ends_with(".tgz"), "{one}");
    }

    #[test]
    fn a_manifest_that_is_named_has_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        assert!(has_manifest(directory.path(), None).is_ok());
        assert_eq!(has_manifest(directory.path(), Some("other.yml")).unwrap_err().exit(), Exit::Usage);
    }
}
