//! One app and what can happen to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::shapes::{Build, Port, Process, Release, Resource, Service};
use super::{instant, now_text, second_text};
use crate::refusal::Refusal;
use crate::upload::Upload;

/// Lines of a build log before `Build complete`.
pub(crate) const BUILD_STEPS: u32 = 5;

/// How far a change of an app has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// `running`.
    Idle,
    /// `updating` until then.
    Until(Instant),
    /// `updating` until a test says otherwise.
    Held,
}

/// A build's log.
#[derive(Clone, Debug)]
pub(crate) enum BuildLog {
    /// All of it.
    Done(String),
    /// It grows since then.
    Growing(Instant),
}

/// A build and its log.
#[derive(Clone, Debug)]
pub(crate) struct BuildRun {
    pub(crate) build: Build,
    pub(crate) log: BuildLog,
}

impl BuildRun {
    /// Whether it is still noted as running although its time is over.
    pub(super) fn is_due(&self, takes: Duration) -> bool {
        matches!(self.log, BuildLog::Growing(since) if since.elapsed() >= takes)
    }
}

/// One line of a build's log, from 1; the one after the last step ends it.
pub(crate) fn build_line(app: &str, step: u32) -> String {
    if step > BUILD_STEPS {
        "Build complete\n".to_owned()
    } else {
        format!("Step {step}/{BUILD_STEPS} : building {app}\n")
    }
}

/// An app.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// The rack's name: it is part of the names of databases.
    pub(crate) rack: String,
    pub(crate) generation: String,
    pub(crate) locked: bool,
    pub(crate) name: String,
    /// The active release.
    pub(crate) release: String,
    pub(crate) router: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) progress: Progress,
    /// Oldest first.
    pub(crate) releases: Vec<Release>,
    /// Oldest first.
    pub(crate) builds: Vec<BuildRun>,
    pub(crate) processes: Vec<Process>,
    pub(crate) services: Vec<Service>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) objects: BTreeMap<String, Upload>,
    pub(crate) configs: BTreeMap<String, String>,
    pub(crate) budget: Option<Value>,
    /// Dumps that were imported, by resource.
    pub(crate) dumps: BTreeMap<String, Upload>,
    /// Tar files that were copied into processes: process and file.
    pub(crate) copied: Vec<(String, Upload)>,
}

/// An app's JSON.
#[derive(Debug, Serialize)]
pub(crate) struct AppShape<'a> {
    generation: &'a str,
    locked: bool,
    name: &'a str,
    release: &'a str,
    router: &'a str,
    status: &'static str,
    parameters: &'a BTreeMap<String, String>,
}

/// What a new release is made of; what is absent comes from the newest release.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewRelease {
    pub(crate) build: Option<String>,
    pub(crate) env: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) parent: Option<String>,
}

/// What a one-off process is made of.
#[derive(Clone, Debug)]
pub(crate) struct RunProcess {
    pub(crate) number: u64,
    pub(crate) service: String,
    pub(crate) command: String,
    pub(crate) release: Option<String>,
}

impl App {
    /// An app without a release.
    pub(crate) fn empty(rack: &str, name: &str, generation: &str) -> Self {
        Self {
            rack: rack.to_owned(),
            generation: generation.to_owned(),
            locked: false,
            name: name.to_owned(),
            release: String::new(),
            router: "router.example.test".to_owned(),
            parameters: BTreeMap::new(),
            progress: Progress::Idle,
            releases: Vec::new(),
            builds: Vec::new(),
            processes: Vec::new(),
            services: Vec::new(),
            resources: Vec::new(),
            objects: BTreeMap::new(),
            configs: BTreeMap::new(),
            budget: None,
            dumps: BTreeMap::new(),
            copied: Vec::new(),
        }
    }

    /// `running` or `updating`.
    pub(crate) fn status(&self) -> &'static str {
        match self.progress {
            Progress::Idle => "running",
            Progress::Until(end) if end <= instant() => "running",
            Progress::Until(_) | Progress::Held => "updating",
        }
    }

    /// Its JSON.
    pub(crate) fn shape(&self) -> AppShape<'_> {
        AppShape {
            generation: &self.generation,
            locked: self.locked,
            name: &self.name,
            release: &self.release,
            router: &self.router,
            status: self.status(),
            parameters: &self.parameters,
        }
    }

    /// The manifest of a build, of the active release or a plain one.
    pub(crate) fn manifest(&self) -> String {
        let active = self.releases.iter().find(|release| release.id == self.release);
        active
            .or(self.releases.last())
            .map_or_else(|| MANIFEST.to_owned(), |release| release.manifest.clone())
    }

    /// A release by its id.
    pub(crate) fn release(&self, id: &str) -> Result<&Release, Refusal> {
        let found = self.releases.iter().find(|release| release.id == id);
        found.ok_or_else(|| Refusal::ReleaseNotFound(id.to_owned()))
    }

    /// A build by its id.
    pub(crate) fn build(&mut self, id: &str) -> Result<&mut BuildRun, Refusal> {
        let found = self.builds.iter_mut().find(|run| run.build.id == id);
        found.ok_or_else(|| Refusal::BuildNotFound(id.to_owned()))
    }

    /// A process by its id, or any running one of the service of that name, as Kubernetes racks take it.
    pub(crate) fn process(&self, id: &str) -> Result<&Process, Refusal> {
        let by_id = self.processes.iter().find(|process| process.id == id);
        let by_service = || self.processes.iter().find(|process| process.service.as_deref() == Some(id));
        by_id.or_else(by_service).ok_or_else(|| Refusal::ProcessNotFound(id.to_owned()))
    }

    /// A service by its name.
    pub(crate) fn service(&mut self, name: &str) -> Result<&mut Service, Refusal> {
        let found = self.services.iter_mut().find(|service| service.name == name);
        found.ok_or_else(|| Refusal::ServiceNotFound(name.to_owned()))
    }

    /// A resource by its name.
    pub(crate) fn resource(&self, name: &str) -> Result<&Resource, Refusal> {
        let found = self.resources.iter().find(|resource| resource.name == name);
        found.ok_or_else(|| Refusal::ResourceNotFound(name.to_owned()))
    }

    /// Adds a release; see [`NewRelease`].
    pub(crate) fn add_release(&mut self, id: String, new: NewRelease) -> Result<Release, Refusal> {
        let parent = match new.parent.as_deref().filter(|parent| !parent.is_empty()) {
            Some(parent) => Some(self.release(parent)?.clone()),
            None => self.releases.last().cloned(),
        }
        .unwrap_or_default();
        let build = new.build.clone().filter(|build| !build.is_empty()).unwrap_or(parent.build);
        let built = self.builds.iter().find(|run| run.build.id == build).map(|run| run.build.clone());
        let description = match (new.description, &new.env, &new.build, &built) {
            (Some(given), ..) => given,
            (None, None, Some(_), Some(built)) => built.description.clone(),
            (None, None, Some(_), None) => String::new(),
            (None, ..) => "env change".to_owned(),
        };
        let release = Release {
            id,
            app: self.name.clone(),
            build,
            env: new.env.unwrap_or(parent.env),
            manifest: built.map_or(parent.manifest, |built| built.manifest),
            description,
            created: now_text(),
        };
        self.releases.push(release.clone());
        Ok(release)
    }

    /// Ends a build well: it becomes a release.
    pub(super) fn complete_build(&mut self, id: &str, release: String) {
        let env = self.releases.last().map(|newest| newest.env.clone()).unwrap_or_default();
        let name = self.name.clone();
        let Ok(run) = self.build(id) else { return };
        run.log = BuildLog::Done((1..=BUILD_STEPS + 1).map(|step| build_line(&name, step)).collect());
        "complete".clone_into(&mut run.build.status);
        run.build.ended = now_text();
        run.build.release.clone_from(&release);
        let release = Release {
            id: release,
            app: name,
            build: run.build.id.clone(),
            env,
            manifest: run.build.manifest.clone(),
            description: run.build.description.clone(),
            created: now_text(),
        };
        self.releases.push(release);
    }

    /// Adds a build; `Growing` ones run by themselves.
    pub(crate) fn add_build(&mut self, build: Build, log: BuildLog) -> Build {
        self.builds.push(BuildRun { build: build.clone(), log });
        build
    }

    /// Makes a release the active one. Services, processes and resources follow its manifest where there were
    /// none before.
    pub(crate) fn promote(&mut self, id: &str, force: bool, takes: Duration) -> Result<(), Refusal> {
        let position = |id: &str| self.releases.iter().position(|release| release.id == id);
        let manifest = self.release(id)?.manifest.clone();
        if self.status() == "updating" && !force {
            return Err(Refusal::CurrentlyUpdating);
        }
        if manifest.is_empty() {
            return Err(Refusal::NoManifest(id.to_owned()));
        }
        if position(id) < position(&self.release) {
            return Err(Refusal::OlderRelease(id.to_owned()));
        }
        id.clone_into(&mut self.release);
        self.follow(&manifest);
        for process in self.processes.iter_mut().filter(|process| process.service.is_some()) {
            id.clone_into(&mut process.release);
        }
        self.progress = if takes.is_zero() { Progress::Idle } else { Progress::Until(instant() + takes) };
        Ok(())
    }

    /// Adds the services and resources a manifest names and the app does not have.
    pub(crate) fn follow(&mut self, manifest: &str) {
        for name in names_below(manifest, "services") {
            if self.service(&name).is_err() {
                let port = (name == "web").then_some(3000);
                self.services.push(new_service(&self.name, &name, port));
                self.add_process(&name);
            }
        }
        for name in names_below(manifest, "resources") {
            if self.resource(&name).is_err() {
                self.resources.push(new_database(&self.rack, &self.name, &name));
            }
        }
    }

    /// Starts a process of a service, as the scheduler does.
    pub(crate) fn add_process(&mut self, service: &str) {
        let taken = |number: &usize| {
            let end = format!("-aaaa{number}");
            self.processes.iter().any(|process| process.id.ends_with(&end))
        };
        let number = (0..).find(|number| !taken(number)).unwrap_or_default();
        self.processes.push(Process {
            id: format!("{}-{service}-7d9f8b6c5-aaaa{number}", self.name),
            app: self.name.clone(),
            cpu: 0.1,
            host: "10.1.0.5".to_owned(),
            image: format!("registry/{}:{service}", self.name),
            instance: "node-1".to_owned(),
            memory: 0.2,
            name: service.to_owned(),
            release: self.release.clone(),
            started: second_text(),
            status: "running".to_owned(),
            service: Some(service.to_owned()),
            ..Process::default()
        });
    }

    /// Starts a one-off process.
    pub(crate) fn run(&mut self, run: RunProcess) -> Process {
        let process = Process {
            id: format!("{}-{}-run{:05}", self.name, run.service, run.number),
            app: self.name.clone(),
            command: run.command,
            instance: "node-1".to_owned(),
            name: run.service,
            release: run.release.unwrap_or_else(|| self.release.clone()),
            started: now_text(),
            status: "running".to_owned(),
            ..Process::default()
        };
        self.processes.push(process.clone());
        process
    }
}

/// A service with ordinary sizes.
pub(super) fn new_service(app: &str, name: &str, container: Option<u16>) -> Service {
    let port = |container| Port { balancer: 443, certificate: "cert-1".to_owned(), container };
    Service {
        count: 1,
        cpu: 250,
        domain: container.map(|_| format!("{name}.{app}.example.test")).unwrap_or_default(),
        gpu: 0,
        gpu_vendor: String::new(),
        memory: 512,
        name: name.to_owned(),
        nlb: None,
        ports: container.map(port).into_iter().collect(),
        min: None,
        max: None,
    }
}

/// A PostgreSQL of an app.
pub(super) fn new_database(rack: &str, app: &str, name: &str) -> Resource {
    Resource {
        name: name.to_owned(),
        status: "running".to_owned(),
        kind: "postgres".to_owned(),
        url: format!("postgres://app:dbpa55@resource-{name}.{rack}-{app}.svc.cluster.local:5432/app"),
    }
}

/// The names one level below a top-level key of a manifest. Only the plain block style the seeds use.
fn names_below(manifest: &str, key: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        match line.strip_suffix(':') {
            Some(top) if !top.starts_with(' ') => inside = top == key,
            Some(entry) if inside => {
                let name = entry.strip_prefix("  ").filter(|name| !name.starts_with(' '));
                names.extend(name.map(str::to_owned));
            }
            _ => {}
        }
    }
    names
}

/// The manifest of the recordings.
pub(crate) const MANIFEST: &str = "services:\n  web:\n    build: .\n    port: 3000\n  worker:\n    build: .\n    \
     command: work\nresources:\n  db:\n    type: postgres\n";
