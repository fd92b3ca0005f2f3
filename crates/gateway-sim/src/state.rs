//! What the simulated rack knows: apps with their releases, builds, processes, services and objects, and the
//! rack's own things. Everything is behind one lock and changes at once; what takes time on a real rack
//! (builds, promotes) is worked out when somebody looks. Knows nothing of HTTP.

mod app;
mod seed;
pub mod shapes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use gateway_types::{Clock, SystemClock, Timestamp};
use serde_json::Value;

pub(crate) use app::{App, BUILD_STEPS, BuildLog, NewRelease, Progress, RunProcess, build_line};
use shapes::{Build, Certificate, Event, Instance, ObjectInfo, Process, RackResource, Registry, Release};

use crate::options::{Flavour, Seed, SimOptions, Timing};
use crate::refusal::Refusal;
use crate::upload::Upload;

/// Year 1, as Go writes a time that was never set.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// The rack's state, shared by all connections and by the tests.
#[derive(Clone, Debug)]
pub struct RackState(Arc<Mutex<State>>);

/// The state itself.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) flavour: Flavour,
    /// Whether things happen that the recordings do not show (see [`Seed::Demo`]).
    pub(crate) lively: bool,
    pub(crate) timing: Timing,
    pub(crate) password: String,
    pub(crate) rack: String,
    pub(crate) apps: BTreeMap<String, App>,
    pub(crate) registries: Vec<Registry>,
    pub(crate) certificates: Vec<Certificate>,
    /// Certificates ever made, for the next id.
    pub(crate) certificates_made: usize,
    pub(crate) instances: Vec<Instance>,
    pub(crate) rack_resources: BTreeMap<String, RackResource>,
    pub(crate) letsencrypt: Value,
    /// Parameters of a v2 rack.
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) events: Vec<Event>,
    /// What apps write into their logs besides.
    pub(crate) said: Vec<String>,
    pub(crate) jwt_key: [u8; 32],
    /// Releases, builds and run processes ever made.
    sequence: u64,
}

impl State {
    /// A new id: the prefix and ten capitals, the same ones at each start.
    pub(crate) fn new_id(&mut self, prefix: char) -> String {
        self.sequence += 1;
        let hash = digest::digest(&digest::SHA256, format!("{prefix}{}", self.sequence).as_bytes());
        let letters = hash.as_ref().iter().take(10).map(|byte| char::from(b'A' + byte % 26));
        std::iter::once(prefix).chain(letters).collect()
    }

    /// The next number for a run process.
    pub(crate) fn next_run(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// An app, with everything that was under way and is over by now finished.
    pub(crate) fn app(&mut self, name: &str) -> Result<&mut App, Refusal> {
        self.settle(name);
        self.apps.get_mut(name).ok_or_else(|| Refusal::AppNotFound(name.to_owned()))
    }

    /// Finishes the builds of an app whose time has come; each becomes a release.
    fn settle(&mut self, name: &str) {
        let build_takes = self.timing.build_step_every * app::BUILD_STEPS;
        let due: Vec<String> = self
            .apps
            .get(name)
            .map(|app| {
                app.builds.iter().filter(|run| run.is_due(build_takes)).map(|run| run.build.id.clone())
            })
            .map(Iterator::collect)
            .unwrap_or_default();
        for id in due {
            let release = self.new_id('R');
            if let Some(app) = self.apps.get_mut(name) {
                app.complete_build(&id, release);
            }
        }
    }

    /// Makes a release from what was given and the newest one there is.
    pub(crate) fn new_release(&mut self, app: &str, new: NewRelease) -> Result<Release, Refusal> {
        self.app(app)?;
        let id = self.new_id('R');
        self.app(app)?.add_release(id, new)
    }
}

impl RackState {
    /// The state the options ask for.
    pub(crate) fn new(options: &SimOptions) -> Self {
        Self(Arc::new(Mutex::new(seed::plant(options))))
    }

    /// The state, for as long as the guard lives. Never held across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on every log begins with this line too, as of an app that writes it.
    pub fn say(&self, line: &str) {
        self.lock().said.push(format!("{line}\n"));
    }

    /// The environment of an app's newest release; empty when there is none.
    pub fn env_of(&self, app: &str) -> String {
        self.releases(app).into_iter().next().map(|release| release.env).unwrap_or_default()
    }

    /// The environment of an app's active release; empty when there is none.
    pub fn active_env_of(&self, app: &str) -> String {
        let active = self.active_release(app);
        self.releases(app).into_iter().find(|release| release.id == active).map(|r| r.env).unwrap_or_default()
    }

    /// The id of an app's active release; empty when there is none.
    pub fn active_release(&self, app: &str) -> String {
        self.lock().app(app).map(|app| app.release.clone()).unwrap_or_default()
    }

    /// The names of all apps.
    pub fn apps(&self) -> Vec<String> {
        self.lock().apps.keys().cloned().collect()
    }

    /// An app's releases, newest first.
    pub fn releases(&self, app: &str) -> Vec<Release> {
        self.lock().app(app).map(|app| app.releases.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// An app's builds, newest first.
    pub fn builds(&self, app: &str) -> Vec<Build> {
        let mut state = self.lock();
        state
            .app(app)
            .map(|app| app.builds.iter().rev().map(|run| run.build.clone()).collect())
            .unwrap_or_default()
    }

    /// An app's processes.
    pub fn processes(&self, app: &str) -> Vec<Process> {
        self.lock().app(app).map(|app| app.processes.clone()).unwrap_or_default()
    }

    /// An app's objects, by key.
    pub fn objects(&self, app: &str) -> Vec<ObjectInfo> {
        let mut state = self.lock();
        let Ok(app) = state.app(app) else { return Vec::new() };
        let info = |(key, upload): (&String, &Upload)| ObjectInfo {
            key: key.clone(),
            length: upload.length,
            sha256: upload.sha256.clone(),
        };
        app.objects.iter().map(info).collect()
    }

    /// An app's parameters.
    pub fn parameters(&self, app: &str) -> BTreeMap<String, String> {
        self.lock().app(app).map(|app| app.parameters.clone()).unwrap_or_default()
    }

    /// A configuration of an app.
    pub fn config(&self, app: &str, name: &str) -> Option<String> {
        self.lock().app(app).ok()?.configs.get(name).cloned()
    }

    /// The rack's registries, with their passwords.
    pub fn registries(&self) -> Vec<Registry> {
        self.lock().registries.clone()
    }

    /// The events that were posted, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    /// The parameters of the rack itself (v2).
    pub fn rack_parameters(&self) -> BTreeMap<String, String> {
        self.lock().parameters.clone()
    }

    /// Adds a release with this environment behind everybody's back; gives its id, or nothing for an unknown app.
    pub fn insert_release(&self, app: &str, env: &str) -> Option<String> {
        let new = NewRelease { env: Some(env.to_owned()), ..NewRelease::default() };
        self.lock().new_release(app, new).ok().map(|release| release.id)
    }

    /// Adds this many apps like the first one, `app-0` and so on.
    pub fn insert_apps(&self, count: usize) {
        let mut state = self.lock();
        let Some(first) = state.apps.values().next().cloned() else { return };
        for number in 0..count {
            let app = App { name: format!("app-{number}"), ..first.clone() };
            state.apps.insert(app.name.clone(), app);
        }
    }

    /// Holds an app in the status `updating`, or lets it run again. False for an unknown app.
    pub fn set_updating(&self, app: &str, updating: bool) -> bool {
        let progress = if updating { Progress::Held } else { Progress::Idle };
        self.lock().app(app).map(|app| app.progress = progress).is_ok()
    }
}

/// Now.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// Now, as a rack writes it.
pub(crate) fn now_text() -> String {
    now().to_rfc3339()
}

/// Some time from now.
pub(crate) fn later_text(by: Duration) -> String {
    now().saturating_add(by).to_rfc3339()
}

/// This moment, to the second.
pub(crate) fn second_text() -> String {
    whole_second(now()).to_rfc3339()
}

/// A moment, cut to the second.
fn whole_second(moment: Timestamp) -> Timestamp {
    Timestamp::from_micros(moment.micros() - moment.micros().rem_euclid(1_000_000))
}

/// The moment that the monotonic clock calls now.
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Whether the seed lets things happen by themselves.
const fn is_lively(seed: Seed) -> bool {
    matches!(seed, Seed::Demo)
}

#[cfg(test)]
mod tests;
