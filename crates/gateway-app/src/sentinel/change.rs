//! What a rack has, and how two looks at it differ. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gateway_audit::Event;
use gateway_types::Resource;
use serde::{Deserialize, Serialize};

/// Ids that are remembered of one app, at the most: a rack lists its newest ones.
const MOST_IDS: usize = 1000;

/// What a look at the rack shows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RackSeen {
    /// The apps, by name.
    pub apps: BTreeMap<String, AppSeen>,
}

/// What a look shows of one app.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AppSeen {
    /// The release that runs; empty before the first one.
    pub release: String,
    /// Whether it was asked for its releases and builds; before, nothing is known of them.
    pub known: bool,
    /// Ids of its newest releases.
    pub releases: BTreeSet<String>,
    /// Ids of its newest builds.
    pub builds: BTreeSet<String>,
}

impl RackSeen {
    /// This look, with the ids that are known from before.
    #[must_use]
    pub(super) fn after(mut self, before: RackSeen) -> RackSeen {
        for (name, known) in before.apps {
            if let Some(seen) = self.apps.get_mut(&name).filter(|_| known.known) {
                seen.known = true;
                remember(&mut seen.releases, known.releases);
                remember(&mut seen.builds, known.builds);
            }
        }
        self
    }
}

/// What leaves a list because others come in front must not be new when those are gone again.
fn remember(seen: &mut BTreeSet<String>, known: BTreeSet<String>) {
    if seen.len() + known.len() <= MOST_IDS {
        seen.extend(known);
    }
}

/// A difference between two looks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// An app was made.
    AppMade {
        /// Which.
        app: String,
    },
    /// An app was removed.
    AppGone {
        /// Which.
        app: String,
    },
    /// A build was made.
    BuildMade {
        /// Of which app.
        app: String,
        /// Which.
        id: String,
    },
    /// A release was made: of a build, or of another environment.
    ReleaseMade {
        /// Of which app.
        app: String,
        /// Which.
        id: String,
    },
    /// Another release runs.
    Promoted {
        /// Of which app.
        app: String,
        /// Which.
        id: String,
    },
}

impl Change {
    /// Of which app.
    pub fn app(&self) -> &str {
        match self {
            Change::AppMade { app }
            | Change::AppGone { app }
            | Change::BuildMade { app, .. }
            | Change::ReleaseMade { app, .. }
            | Change::Promoted { app, .. } => app,
        }
    }

    /// Of which build or release.
    pub fn id(&self) -> Option<&str> {
        match self {
            Change::AppMade { .. } | Change::AppGone { .. } => None,
            Change::BuildMade { id, .. } | Change::ReleaseMade { id, .. } | Change::Promoted { id, .. } => {
                Some(id)
            }
        }
    }

    /// What it is, in one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Change::AppMade { .. } => "app_made",
            Change::AppGone { .. } => "app_removed",
            Change::BuildMade { .. } => "build",
            Change::ReleaseMade { .. } => "release",
            Change::Promoted { .. } => "promote",
        }
    }

    /// The operations that bring it about.
    pub const fn actions(&self) -> &'static [&'static str] {
        match self {
            Change::AppMade { .. } => &["convox:app:create"],
            Change::AppGone { .. } => &["convox:app:delete"],
            Change::BuildMade { .. } => &["convox:build:create", "convox:build:import"],
            Change::ReleaseMade { .. } => &[
                "convox:release:create",
                "convox:build:create",
                "convox:build:import",
                "gateway:env:set",
                "convox:app:update",
                "convox:service:update",
                "convox:rack_resource:link",
                "convox:rack_resource:unlink",
            ],
            Change::Promoted { .. } => &["convox:release:promote"],
        }
    }

    /// Whether whoever made the request of this entry asked for it.
    pub(super) fn is_asked_for_by(&self, event: &Event) -> bool {
        if !self.actions().contains(&event.action.as_str()) {
            return false;
        }
        // The environment's own operation has two entries, what is asked for and what came of it: the first one counts.
        if event.action.as_str() == "gateway:env:set" && !event.parameters.contains_key("rack_call") {
            return false;
        }
        let is_of = |app: &str| event.resource == Resource::app(app);
        let names = |text: &str| event.parameters.values().any(|value| value == text);
        match self {
            Change::AppMade { app } | Change::AppGone { app } => is_of(app) || names(app),
            Change::Promoted { app, id } => is_of(app) && names(id),
            Change::BuildMade { app, .. } | Change::ReleaseMade { app, .. } => is_of(app),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AppMade { app } => write!(f, "app {app} was made"),
            Change::AppGone { app } => write!(f, "app {app} was removed"),
            Change::BuildMade { app, id } => write!(f, "build {id} of {app} was made"),
            Change::ReleaseMade { app, id } => write!(f, "release {id} of {app} was made"),
            Change::Promoted { app, id } => write!(f, "release {id} of {app} was promoted"),
        }
    }
}

/// Which apps are asked for their releases and builds, at most `most`: first those that are new or run another release, then the others in
/// turn, from the one after `last` on. The last one asked in turn is the second answer.
pub(super) fn due(before: &RackSeen, now: &RackSeen, last: &str, most: usize) -> (Vec<String>, String) {
    let has_changed = |name: &String, seen: &AppSeen| {
        before.apps.get(name).is_none_or(|known| known.release != seen.release)
    };
    let mut asked: Vec<String> = now
        .apps
        .iter()
        .filter(|(name, seen)| has_changed(name, seen))
        .map(|(name, _)| name.clone())
        .collect();
    asked.truncate(most);
    let after = now.apps.keys().filter(|name| name.as_str() > last);
    let from_the_first = now.apps.keys().filter(|name| name.as_str() <= last);
    let mut reached = last.to_owned();
    for name in after.chain(from_the_first) {
        if asked.len() >= most {
            break;
        }
        if !asked.contains(name) {
            asked.push(name.clone());
        }
        reached.clone_from(name);
    }
    (asked, reached)
}

/// What is different now. Of an app that is new its making is told, and not everything that it has.
pub fn changes(before: &RackSeen, now: &RackSeen) -> Vec<Change> {
    let mut found = Vec::new();
    for name in before.apps.keys().filter(|name| !now.apps.contains_key(*name)) {
        found.push(Change::AppGone { app: name.clone() });
    }
    for (name, seen) in &now.apps {
        let app = || name.clone();
        let Some(known) = before.apps.get(name) else {
            found.push(Change::AppMade { app: app() });
            continue;
        };
        if known.known && seen.known {
            let builds = seen.builds.difference(&known.builds);
            found.extend(builds.map(|id| Change::BuildMade { app: app(), id: id.clone() }));
            let releases = seen.releases.difference(&known.releases);
            found.extend(releases.map(|id| Change::ReleaseMade { app: app(), id: id.clone() }));
        }
        if seen.release != known.release && !seen.release.is_empty() {
            found.push(Change::Promoted { app: app(), id: seen.release.clone() });
        }
    }
    found
}
