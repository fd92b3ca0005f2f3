//! The chain of a deploy: one upload, one build of exactly that object, its release, processes of that release with
//! approved commands, and the promote of exactly that release. Each request is compared with what was signed and
//! with what was done before it; the first link that does not fit says why.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commands::{CommandRules, is_keep_alive};
use crate::state::State;
use crate::statement::{Artefact, EnvironmentChange, Statement};

/// What comes first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The commit is approved, then the archive is uploaded.
    Commit,
    /// The archive is uploaded, then its digest is approved.
    Artefact,
}

/// A manifest in the archive, as far as a build of it needs to be checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadManifest {
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The image of each service that names one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
    /// It as lines to compare, without what may be secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outline: Vec<String>,
    /// Why it cannot be built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The archive that was uploaded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uploaded {
    /// Its key below `object://APP/`.
    pub object: String,
    /// SHA-256 of all its bytes, in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// The manifests in it, by path.
    pub manifests: BTreeMap<String, ReadManifest>,
    /// Why nothing can be built from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Uploaded {
    /// What is signed of it.
    pub fn artefact(&self) -> Artefact {
        Artefact {
            sha256: self.sha256.clone(),
            size_bytes: self.size_bytes,
            manifests: self
                .manifests
                .iter()
                .map(|(path, manifest)| (path.clone(), manifest.sha256.clone()))
                .collect(),
        }
    }

    /// The images that a manifest of it names.
    pub fn images(&self, manifest: &str) -> BTreeMap<String, String> {
        self.manifests.get(manifest).map(|manifest| manifest.images.clone()).unwrap_or_default()
    }
}

/// A step that is taken once, and so is taken before its effect.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Once {
    /// The upload of the archive.
    Upload,
    /// The build.
    Build,
    /// The promote.
    Promote,
}

/// A step that a request has taken and whose end is not known yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnderWay {
    /// Which.
    pub step: Once,
    /// The request that took it.
    pub request: String,
    /// The object that it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

/// What was done with an approval.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bound {
    /// The archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<Uploaded>,
    /// The build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The release of that build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Processes that were started under it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub processes: BTreeSet<String>,
    /// The step that is being taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
}

impl Bound {
    /// Whether this object is the one that was uploaded under it, or is being uploaded.
    pub fn holds(&self, object: &str) -> bool {
        let uploaded = self.uploaded.as_ref().map(|uploaded| uploaded.object.as_str());
        let under_way = self.under_way.as_ref().and_then(|under_way| under_way.object.as_deref());
        uploaded == Some(object) || under_way == Some(object)
    }
}

/// What a request of a deploy asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    /// To look at lists and logs of the app.
    Look,
    /// To upload an object.
    Upload {
        /// Its key.
        object: &'a str,
    },
    /// To build.
    Build {
        /// The source, `object://APP/KEY`.
        url: Option<&'a str>,
        /// The commit that the client names.
        commit: Option<&'a str>,
        /// The manifest that the client names.
        manifest: Option<&'a str>,
        /// A parameter that changes what is built and that nobody signed.
        unsigned: Option<&'static str>,
    },
    /// To read a build or its log.
    ReadBuild {
        /// Which.
        build: &'a str,
    },
    /// To read a release.
    ReadRelease {
        /// Which.
        release: &'a str,
    },
    /// To start a process.
    Start {
        /// Of which release; `None` = the one that runs.
        release: Option<&'a str>,
        /// What it runs; `None` = what its service runs.
        command: Option<&'a str>,
        /// A parameter that changes how it runs and that nobody signed.
        unsigned: Option<&'static str>,
    },
    /// To run a command in a process.
    Exec {
        /// In which.
        process: &'a str,
        /// What.
        command: &'a str,
    },
    /// To read the log of a process, or to end it.
    Process {
        /// Which.
        process: &'a str,
    },
    /// To promote a release.
    Promote {
        /// Which.
        release: &'a str,
        /// A parameter that changes what runs and that nobody signed.
        unsigned: Option<&'static str>,
    },
}

impl Step<'_> {
    /// The step when it is taken once.
    pub const fn once(&self) -> Option<Once> {
        match self {
            Step::Upload { .. } => Some(Once::Upload),
            Step::Build { .. } => Some(Once::Build),
            Step::Promote { .. } => Some(Once::Promote),
            Step::Look
            | Step::ReadBuild { .. }
            | Step::ReadRelease { .. }
            | Step::Start { .. }
            | Step::Exec { .. }
            | Step::Process { .. } => None,
        }
    }

    /// Whether it only looks.
    pub const fn only_reads(&self) -> bool {
        matches!(self, Step::Look | Step::ReadBuild { .. } | Step::ReadRelease { .. })
    }

    /// The release that the rack has to be asked about.
    pub const fn release(&self) -> Option<&str> {
        match self {
            Step::Promote { release, .. } | Step::Start { release: Some(release), .. } => Some(release),
            Step::Look
            | Step::Upload { .. }
            | Step::Build { .. }
            | Step::ReadBuild { .. }
            | Step::ReadRelease { .. }
            | Step::Start { release: None, .. }
            | Step::Exec { .. }
            | Step::Process { .. } => None,
        }
    }
}

/// A release as the rack tells it at this moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReleaseFacts {
    /// Its build; `None` when it has none.
    pub build: Option<String>,
    /// How its environment differs from the release that runs, sorted by key.
    pub environment: Vec<EnvironmentChange>,
    /// The rack puts values of the environment into the manifest, and with them it says something else than what was
    /// approved.
    pub rewrites_manifest: bool,
}

/// An approval, as a step is compared with it.
#[derive(Clone, Copy, Debug)]
pub struct Approved<'a> {
    /// Where it stands now, time included.
    pub state: State,
    /// What comes first.
    pub order: Order,
    /// What was signed; before the signatures, what would be.
    pub statement: &'a Statement,
    /// What was done with it.
    pub bound: &'a Bound,
}

/// The link that does not fit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// It is not approved, or over.
    #[error("it is {state}")]
    State {
        /// Where it stands.
        state: State,
    },
    /// One archive for each approval.
    #[error("its archive was uploaded already ({object})")]
    UploadedBefore {
        /// Which.
        object: String,
    },
    /// There is nothing to build.
    #[error("no archive was uploaded under it yet")]
    NotUploaded,
    /// The archive cannot be built from.
    #[error("its archive cannot be built from: {fault}")]
    Archive {
        /// Why.
        fault: String,
    },
    /// Another source.
    #[error("it is for object://{app}/{approved}, and the build is of {found}")]
    OtherObject {
        /// The app.
        app: String,
        /// The key that was uploaded.
        approved: String,
        /// What the build names.
        found: String,
    },
    /// The archive is not the one that was signed.
    #[error("the archive is not the one that was approved")]
    OtherArtefact,
    /// Another commit.
    #[error("it is for the commit {approved}, and the build names {found}")]
    OtherCommit {
        /// The commit.
        approved: String,
        /// What the build names.
        found: String,
    },
    /// A parameter that nobody signed.
    #[error("under an approval it takes no {name}: nobody approved that")]
    Unsigned {
        /// Its name.
        name: &'static str,
    },
    /// Another manifest.
    #[error("it is for the manifest {approved}, and the build names {found}")]
    OtherManifest {
        /// The manifest.
        approved: String,
        /// What the build names.
        found: String,
    },
    /// The manifest is not in the archive, or too deep in it.
    #[error("the archive holds no manifest `{path}` that could be read")]
    NoManifest {
        /// Its path.
        path: String,
    },
    /// The manifest or its images are not allowed.
    #[error("the manifest `{path}`: {fault}")]
    Manifest {
        /// Its path.
        path: String,
        /// Why.
        fault: String,
    },
    /// One build for each approval.
    #[error("its build was made already ({build})")]
    BuiltBefore {
        /// Which.
        build: String,
    },
    /// Nothing was built.
    #[error("nothing was built under it yet")]
    NotBuilt,
    /// Another build.
    #[error("its build is {approved}, not {found}")]
    OtherBuild {
        /// The build.
        approved: String,
        /// What was asked for.
        found: String,
    },
    /// Another release.
    #[error("its release is {approved}, not {found}")]
    OtherRelease {
        /// The release.
        approved: String,
        /// What was asked for.
        found: String,
    },
    /// The release is of another build.
    #[error("the release {release} is not of its build {build}")]
    ReleaseOfOtherBuild {
        /// The release.
        release: String,
        /// The build.
        build: String,
    },
    /// The release that runs is not the approved one.
    #[error("a process must name its release (`--release`)")]
    NoRelease,
    /// A command that nobody approved.
    #[error("the command `{command}` is not among those that were approved")]
    Command {
        /// What was to run.
        command: String,
    },
    /// The commands that were approved cannot be read.
    #[error("the approved commands cannot be read")]
    Commands,
    /// A process of somebody else.
    #[error("the process {process} was not started under it")]
    OtherProcess {
        /// Which.
        process: String,
    },
    /// The environment is another one.
    #[error("the environment changes other keys than were approved: {}", keys.join(", "))]
    Environment {
        /// The keys that differ, sorted.
        keys: Vec<String>,
    },
    /// A value of the environment, put in for a placeholder, brings an image or command of its own.
    #[error("values of the environment change what the manifest says")]
    RewrittenManifest,
    /// Somebody does it at this moment, or it is not known what became of it.
    #[error(
        "this step was begun by the request {request}, and it is not known to have failed; withdraw this approval and ask for a new one"
    )]
    UnderWay {
        /// That request.
        request: String,
    },
    /// The rack does not know the release.
    #[error("the rack does not know the release {release}")]
    UnknownRelease {
        /// Which.
        release: String,
    },
}

/// Whether the step is the next link of this approval. `release` is what the rack says of [`Step::release`].
///
/// # Errors
/// [`Broken`]: the first link that does not fit.
pub fn follow(
    approved: &Approved<'_>,
    step: &Step<'_>,
    release: Option<&ReleaseFacts>,
) -> Result<(), Broken> {
    let bound = approved.bound;
    check_state(approved, step)?;
    if step.once().is_some()
        && let Some(under_way) = &bound.under_way
    {
        return Err(Broken::UnderWay { request: under_way.request.clone() });
    }
    match *step {
        Step::Look => Ok(()),
        Step::Upload { .. } => match (&bound.build, &bound.uploaded) {
            (Some(build), _) => Err(Broken::BuiltBefore { build: build.clone() }),
            (None, Some(before)) if approved.order == Order::Commit => {
                Err(Broken::UploadedBefore { object: before.object.clone() })
            }
            // Before the signature a newer archive takes the place of the older one; after it, only the same one does.
            (None, Some(_) | None) => Ok(()),
        },
        Step::Build { url, commit, manifest, unsigned } => {
            build(approved, url, commit, manifest.unwrap_or("convox.yml"), unsigned)
        }
        Step::ReadBuild { build } => match &bound.build {
            Some(approved) if approved == build => Ok(()),
            Some(approved) => Err(Broken::OtherBuild { approved: approved.clone(), found: build.to_owned() }),
            None => Err(Broken::NotBuilt),
        },
        Step::ReadRelease { release } => match &bound.release {
            Some(approved) if approved == release => Ok(()),
            Some(approved) => {
                Err(Broken::OtherRelease { approved: approved.clone(), found: release.to_owned() })
            }
            None => Err(Broken::NotBuilt),
        },
        Step::Start { release: named, command, unsigned } => {
            let named = named.ok_or(Broken::NoRelease)?;
            is_as_approved(approved, is_its_release(approved, named, release)?, unsigned)?;
            match command {
                Some(command) if is_keep_alive(command) => Ok(()),
                Some(command) => check_command(approved, command),
                None => Err(Broken::Command { command: String::new() }),
            }
        }
        Step::Exec { process, command } => {
            is_its_process(bound, process)?;
            check_command(approved, command)
        }
        Step::Process { process } => is_its_process(bound, process),
        Step::Promote { release: named, unsigned } => {
            is_as_approved(approved, is_its_release(approved, named, release)?, unsigned)
        }
    }
}

/// Whether anything like this step can happen where the approval stands.
fn check_state(approved: &Approved<'_>, step: &Step<'_>) -> Result<(), Broken> {
    let Approved { state, order, .. } = *approved;
    let fits = match state {
        State::Approved | State::Deploying => true,
        State::Pending => order == Order::Artefact && matches!(step, Step::Upload { .. }),
        // Whoever has deployed watches what becomes of it.
        State::Deployed => step.only_reads() || matches!(step, Step::Process { .. }),
        State::Rejected | State::Expired | State::Withdrawn => false,
    };
    if fits { Ok(()) } else { Err(Broken::State { state }) }
}

fn build(
    approved: &Approved<'_>,
    url: Option<&str>,
    commit: Option<&str>,
    path: &str,
    unsigned: Option<&'static str>,
) -> Result<(), Broken> {
    let Approved { order, statement, bound, .. } = *approved;
    if let Some(build) = &bound.build {
        return Err(Broken::BuiltBefore { build: build.clone() });
    }
    let uploaded = bound.uploaded.as_ref().ok_or(Broken::NotUploaded)?;
    if let Some(fault) = &uploaded.fault {
        return Err(Broken::Archive { fault: fault.clone() });
    }
    let found = url.unwrap_or_default();
    if found != format!("object://{}/{}", statement.app, uploaded.object) {
        return Err(Broken::OtherObject {
            app: statement.app.clone(),
            approved: uploaded.object.clone(),
            found: found.to_owned(),
        });
    }
    match (&statement.artefact, order) {
        (Some(signed), _) if *signed != uploaded.artefact() => return Err(Broken::OtherArtefact),
        (None, Order::Artefact) => return Err(Broken::OtherArtefact),
        (Some(_), _) | (None, Order::Commit) => {}
    }
    match commit.filter(|commit| !commit.is_empty()) {
        Some(found) if found != statement.commit => {
            return Err(Broken::OtherCommit { approved: statement.commit.clone(), found: found.to_owned() });
        }
        // Clients outside of a checkout name none. Who asked for this commit is who builds.
        Some(_) | None => {}
    }
    if let Some(name) = unsigned {
        return Err(Broken::Unsigned { name });
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    if path != statement.manifest {
        return Err(Broken::OtherManifest { approved: statement.manifest.clone(), found: path.to_owned() });
    }
    let manifest =
        uploaded.manifests.get(path).ok_or_else(|| Broken::NoManifest { path: path.to_owned() })?;
    match &manifest.fault {
        Some(fault) => Err(Broken::Manifest { path: path.to_owned(), fault: fault.clone() }),
        None => Ok(()),
    }
}

fn is_its_release<'f>(
    approved: &Approved<'_>,
    named: &str,
    facts: Option<&'f ReleaseFacts>,
) -> Result<&'f ReleaseFacts, Broken> {
    let bound = approved.bound;
    let build = bound.build.as_ref().ok_or(Broken::NotBuilt)?;
    if let Some(release) = bound.release.as_ref().filter(|release| *release != named) {
        return Err(Broken::OtherRelease { approved: release.clone(), found: named.to_owned() });
    }
    let facts = facts.ok_or_else(|| Broken::UnknownRelease { release: named.to_owned() })?;
    if facts.build.as_ref() == Some(build) {
        Ok(facts)
    } else {
        Err(Broken::ReleaseOfOtherBuild { release: named.to_owned(), build: build.clone() })
    }
}

/// Whether a release of the right build is also what was approved in everything else.
fn is_as_approved(
    approved: &Approved<'_>,
    facts: &ReleaseFacts,
    unsigned: Option<&'static str>,
) -> Result<(), Broken> {
    if let Some(name) = unsigned {
        return Err(Broken::Unsigned { name });
    }
    if facts.rewrites_manifest {
        return Err(Broken::RewrittenManifest);
    }
    check_environment(&approved.statement.environment, &facts.environment)
}

fn is_its_process(bound: &Bound, process: &str) -> Result<(), Broken> {
    if bound.processes.contains(process) {
        Ok(())
    } else {
        Err(Broken::OtherProcess { process: process.to_owned() })
    }
}

fn check_command(approved: &Approved<'_>, command: &str) -> Result<(), Broken> {
    let rules = CommandRules::parse(&approved.statement.commands).map_err(|_unreadable| Broken::Commands)?;
    if rules.allows(command) { Ok(()) } else { Err(Broken::Command { command: command.to_owned() }) }
}

/// Both are sorted by key.
fn check_environment(approved: &[EnvironmentChange], found: &[EnvironmentChange]) -> Result<(), Broken> {
    if approved == found {
        return Ok(());
    }
    let other = |one: &&EnvironmentChange, others: &[EnvironmentChange]| !others.contains(one);
    let keys: BTreeSet<String> = approved
        .iter()
        .filter(|one| other(one, found))
        .chain(found.iter().filter(|one| other(one, approved)))
        .map(|change| change.key.clone())
        .collect();
    Err(Broken::Environment { keys: keys.into_iter().collect() })
}

#[cfg(test)]
pub(crate) mod tests;
