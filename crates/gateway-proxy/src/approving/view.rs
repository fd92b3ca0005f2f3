//! What approvals ask the rack: releases, environments as handles, what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_app::approvals::{RackImpact, RackView, Viewing};
use gateway_app::sentinel::{AppSeen, RackSeen};
use gateway_approvals::chain::ReleaseFacts;
use gateway_approvals::images::{Digests, ImageRules};
use gateway_approvals::manifest::Manifest;
use gateway_approvals::statement::{EnvironmentChange, KeyChange};
use gateway_secrets::{EnvText, HandleKeyring};
use gateway_types::{Layer, Principal, Problem, ProblemKind};
use serde::Deserialize;

use crate::asking::read_json;
use crate::upstream::Upstream;

/// How many releases and builds of an app the sentinel takes, the newest ones.
const LOOKED_AT: u32 = 50;

/// The rack, as approvals look at it.
#[derive(Debug)]
pub struct RackLooks {
    upstream: Arc<Upstream>,
    keyring: HandleKeyring,
}

#[derive(Debug, Default, Deserialize)]
struct Release {
    id: String,
    #[serde(default)]
    build: String,
    #[serde(default)]
    env: String,
    #[serde(default)]
    manifest: String,
    #[serde(default)]
    description: String,
}

#[derive(Debug, Deserialize)]
struct App {
    #[serde(default)]
    release: String,
}

/// An app, a release or a build in a list of them.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    release: String,
}

#[derive(Debug, Deserialize)]
struct Process {
    #[serde(default)]
    name: String,
}

/// The images that a manifest names, by place, as they are named of an archive.
fn images(manifest: &Manifest) -> BTreeMap<String, String> {
    let no_commit = "0".repeat(40);
    let checked = ImageRules::parse(&[]).map(|any| any.check(manifest, &no_commit, Digests::Optional));
    // What cannot be shown has nothing to be compared with.
    checked.ok().and_then(Result::ok).unwrap_or_default()
}

/// Whether the manifest says something else once the rack has put the environment's values into it. What cannot be
/// compared counts as something else.
fn rewrites(release: &Release) -> bool {
    if !release.manifest.contains("${") {
        return false;
    }
    let Ok(env) = EnvText::parse_stored(&release.env) else { return true };
    let values = env.entries().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let plain = Manifest::parse(release.manifest.as_bytes());
    let filled = Manifest::parse_with(release.manifest.as_bytes(), &values);
    let (Ok(plain), Ok(filled)) = (plain, filled) else { return true };
    let shape = |manifest: &Manifest| {
        let names: Vec<String> = manifest.services.keys().chain(manifest.timers.keys()).cloned().collect();
        let images: Vec<String> = images(manifest).into_keys().collect();
        (names, images, manifest.commands().len())
    };
    shape(&plain) != shape(&filled)
}

impl RackLooks {
    /// Looks through this way to the rack, and makes handles with these keys.
    pub fn new(upstream: Arc<Upstream>, keyring: HandleKeyring) -> Self {
        Self { upstream, keyring }
    }

    async fn read<T: for<'de> Deserialize<'de>>(
        &self,
        by: &Principal,
        target: &str,
    ) -> Result<Option<T>, Problem> {
        read_json(&self.upstream, by, target).await
    }

    async fn release(&self, by: &Principal, app: &str, id: &str) -> Result<Option<Release>, Problem> {
        // Ids of releases are plain words (routes.tsv), and whatever else is asked for does not exist.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        self.read(by, &format!("/apps/{app}/releases/{id}")).await
    }

    /// What a rack lists at `target`.
    async fn rows(&self, target: &str) -> Result<Vec<Row>, Problem> {
        Ok(self.read(&Principal::Anonymous, target).await?.unwrap_or_default())
    }

    /// The release that runs; `None` before the first one.
    async fn active(&self, by: &Principal, app: &str) -> Result<Option<Release>, Problem> {
        match self.read::<App>(by, &format!("/apps/{app}")).await? {
            Some(found) if !found.release.is_empty() => self.release(by, app, &found.release).await,
            Some(_) | None => Ok(None),
        }
    }

    async fn newest(&self, by: &Principal, app: &str) -> Result<Option<Release>, Problem> {
        let list: Option<Vec<Release>> = self.read(by, &format!("/apps/{app}/releases?limit=1")).await?;
        match list.and_then(|list| list.into_iter().next()) {
            // v2 racks leave the environment out of lists.
            Some(newest) if newest.env.is_empty() => self.release(by, app, &newest.id).await,
            other => Ok(other),
        }
    }

    /// How `to` differs from `from`, sorted by key; values as handles.
    ///
    /// # Errors
    /// A problem when one of them cannot be read: then nothing can be compared with it.
    fn differences(
        &self,
        app: &str,
        from: Option<&Release>,
        to: Option<&Release>,
    ) -> Result<Vec<EnvironmentChange>, Problem> {
        let read = |release: Option<&Release>| match release
            .map(|release| EnvText::parse_stored(&release.env))
        {
            None => Ok(EnvText::default()),
            Some(Ok(env)) => Ok(env),
            Some(Err(_)) => Err(Problem::new(
                ProblemKind::BadUpstream,
                Layer::Network,
                "the environment of a release cannot be read as NAME=value lines, so that nothing can be compared with it",
            )),
        };
        let (from, to) = (read(from)?, read(to)?);
        let key = self.keyring.scope(app);
        let names: BTreeSet<&str> =
            from.entries().iter().chain(to.entries()).map(|(name, _)| name.as_str()).collect();
        let change = |name: &str| {
            let handle = |value: &str| Some(key.handle(name, value));
            let (change, handle) = match (from.get(name), to.get(name)) {
                (None, Some(value)) => (KeyChange::Added, handle(value)),
                (Some(_), None) => (KeyChange::Removed, None),
                (Some(before), Some(value)) if before != value => (KeyChange::Changed, handle(value)),
                (Some(_), Some(_)) | (None, None) => return None,
            };
            Some(EnvironmentChange { key: name.to_owned(), change, handle })
        };
        Ok(names.into_iter().filter_map(change).collect())
    }
}

impl RackView for RackLooks {
    fn release<'a>(
        &'a self,
        by: &'a Principal,
        app: &'a str,
        id: &'a str,
    ) -> Viewing<'a, Option<ReleaseFacts>> {
        Box::pin(async move {
            let Some(release) = self.release(by, app, id).await? else { return Ok(None) };
            let active = self.active(by, app).await?;
            let environment = self.differences(app, active.as_ref(), Some(&release))?;
            let rewrites_manifest = rewrites(&release);
            let build = Some(release.build).filter(|build| !build.is_empty());
            Ok(Some(ReleaseFacts { build, environment, rewrites_manifest }))
        })
    }

    fn environment<'a>(&'a self, by: &'a Principal, app: &'a str) -> Viewing<'a, Vec<EnvironmentChange>> {
        Box::pin(async move {
            if self.read::<App>(by, &format!("/apps/{app}")).await?.is_none() {
                let detail = format!("the rack has no app {app}");
                return Err(Problem::new(ProblemKind::NotFound, Layer::Authorization, detail));
            }
            let (active, newest) = (self.active(by, app).await?, self.newest(by, app).await?);
            self.differences(app, active.as_ref(), newest.as_ref())
        })
    }

    fn impact<'a>(&'a self, by: &'a Principal, app: &'a str) -> Viewing<'a, RackImpact> {
        Box::pin(async move {
            let active = self.active(by, app).await?;
            let running: Option<Vec<Process>> = self.read(by, &format!("/apps/{app}/processes")).await?;
            let mut processes: BTreeMap<String, u32> = BTreeMap::new();
            for process in running.unwrap_or_default() {
                let count = processes.entry(process.name).or_default();
                *count = count.saturating_add(1);
            }
            let manifest = active
                .as_ref()
                .filter(|release| !release.manifest.is_empty())
                .and_then(|release| Manifest::parse(release.manifest.as_bytes()).ok());
            let images = manifest.as_ref().map(images).unwrap_or_default();
            let (outline, manifest_sha256) = match manifest {
                Some(manifest) => (manifest.outline, Some(manifest.sha256)),
                None => (Vec::new(), None),
            };
            Ok(RackImpact {
                active_release: active.as_ref().map(|release| release.id.clone()),
                active_description: active
                    .map(|release| release.description)
                    .filter(|description| !description.is_empty()),
                processes,
                images,
                outline,
                manifest_sha256,
            })
        })
    }

    fn survey(&self) -> Viewing<'_, RackSeen> {
        Box::pin(async move {
            // Names that a rack gives out are plain words; another one could not be asked about.
            let is_plain = |name: &str| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            // A rack always has this list: one that says otherwise is no rack without apps.
            let listed: Option<Vec<Row>> = self.read(&Principal::Anonymous, "/apps").await?;
            let listed = listed.ok_or_else(|| {
                Problem::new(ProblemKind::BadUpstream, Layer::Network, "the rack does not list its apps")
            })?;
            let apps = listed.into_iter().filter(|app| is_plain(&app.name));
            let seen = |app: Row| (app.name, AppSeen { release: app.release, ..AppSeen::default() });
            Ok(RackSeen { apps: apps.map(seen).collect() })
        })
    }

    fn history<'a>(&'a self, app: &'a str) -> Viewing<'a, (BTreeSet<String>, BTreeSet<String>)> {
        Box::pin(async move {
            let ids =
                |rows: Vec<Row>| rows.into_iter().map(|row| row.id).filter(|id| !id.is_empty()).collect();
            let releases = self.rows(&format!("/apps/{app}/releases?limit={LOOKED_AT}")).await?;
            let builds = self.rows(&format!("/apps/{app}/builds?limit={LOOKED_AT}")).await?;
            Ok((ids(releases), ids(builds)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(manifest: &str, env: &str) -> Release {
        Release { manifest: manifest.to_owned(), env: env.to_owned(), ..Release::default() }
    }

    #[test]
    fn a_value_that_changes_the_manifests_shape_is_seen() {
        let check = |manifest: &str, env: &str, expected: bool| {
            assert_eq!(rewrites(&release(manifest, env)), expected, "{manifest:?} with {env:?}");
        };
        let plain = "services:\n  web:\n    image: example.com/web:1\n";
        check(plain, "A=${B}", false);
        let tag = "services:\n  web:\n    image: example.com/web:1\n    environment:\n      - TAG=${TAG}\n";
        check(tag, "TAG=blue", false);
        check(tag, "", false);
        // A line break in a value begins a service that nobody approved.
        let port = "services:\n  web:\n    image: example.com/web:1\n    domain: ${HOST}\n";
        check(port, "HOST=example.com", false);
        check(port, "HOST=x\\n  evil:\\n    image: evil.example/x", true);
        // What cannot be compared counts as something else.
        check(port, "no environment at all", true);
        check("services: [${A}", "A=1", true);
    }

    #[test]
    fn images_are_named_by_place() {
        let manifest = "services:\n  web:\n    image: example.com/web:1\n  api:\n    build: .\n\
                        resources:\n  db:\n    type: postgres\n    image: example.com/db:1\n";
        let found = images(&Manifest::parse(manifest.as_bytes()).unwrap());
        let texts: Vec<&str> = found.values().map(String::as_str).collect();
        assert!(texts.contains(&"example.com/web:1") && texts.contains(&"example.com/db:1"), "{found:?}");
        assert!(!found.keys().any(|place| place.contains("api")), "{found:?}");
    }
}
