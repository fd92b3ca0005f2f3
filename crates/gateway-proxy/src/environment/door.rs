//! What the control plane gets of the rack: environments read and changed with the code of the rack proxy, so that
//! both take turns under the same lock and neither undoes what the other did.
//!
//! # Security
//! Only [`RackEnvironment::values`] answers with plaintext; who may ask is decided and recorded before it is called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_app::environments::{
    Against, Asked, Asking, Change, Changed, Difference, Environment, RackEnvironment, Values, Variable,
};
use gateway_approvals::manifest::Manifest;
use gateway_approvals::outline;
use gateway_convox::{RackRequest, RequestKind, UpstreamBody};
use gateway_secrets::{EnvText, HandleKey, Masker, merge};
use gateway_types::{Caller, Layer, Problem, ProblemKind, Secret};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use tokio::time::timeout;

use super::protected::{self, Post};
use super::rack::{RackReader, Release};
use super::{WRITE_LIMIT, conflict_problem, learn_values, lock, release, restored, unreadable};
use crate::body::{BodyError, RequestBody, collect};
use crate::known::Seen;
use crate::phases::forward::build;
use crate::phases::inspect::parameter_problem;
use crate::plane::DataPlane;

/// The longest answer of a rack to a written environment, in bytes.
const ANSWER_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// An app as the rack tells it, as far as it matters here.
#[derive(Debug, Deserialize)]
struct App {
    /// The release that runs; empty while none does.
    #[serde(default)]
    release: String,
}

impl RackEnvironment for DataPlane {
    fn shown<'a>(&'a self, caller: &'a Caller, asked: &'a Asked) -> Asking<'a, Environment> {
        Box::pin(shown(self, caller, asked))
    }

    fn change(self: Arc<Self>, caller: Caller, app: String, change: Change) -> Asking<'static, Changed> {
        Box::pin(async move {
            // Whoever stops waiting must not free the environment while the rack is still at the write.
            let changing = tokio::spawn(async move { changed(&self, &caller, &app, &change).await });
            changing.await.unwrap_or_else(|_panicked| Err(lost()))
        })
    }

    fn values<'a>(
        &'a self,
        caller: &'a Caller,
        app: &'a str,
        release: Option<&'a str>,
        keys: &'a [String],
    ) -> Asking<'a, Values> {
        Box::pin(values(self, caller, app, release, keys))
    }
}

fn no_such_app(app: &str) -> Problem {
    let detail = format!("the rack has no app {}", gateway_audit::bounded(app));
    Problem::new(ProblemKind::NotFound, Layer::Network, detail)
}

fn no_such_release(id: &str) -> Problem {
    let detail = format!("the app has no release {}", gateway_audit::bounded(id));
    Problem::new(ProblemKind::NotFound, Layer::Network, detail)
}

/// Reads of one app, whose name was found to be one. Names come from paths of the gateway's own here, whose grammar
/// is wider than the rack's.
fn reader<'a>(plane: &'a DataPlane, caller: &'a Caller, app: &'a str) -> Result<RackReader<'a>, Problem> {
    let route = plane.parts.routes.identify("GET", &format!("/apps/{app}/releases"), RequestKind::Plain);
    match route {
        Ok(route) if route.path_parameter("app") == Some(app) => {
            Ok(RackReader { plane, principal: &caller.principal, app })
        }
        Ok(_) | Err(_) => Err(no_such_app(app)),
    }
}

impl RackReader<'_> {
    /// The app itself.
    async fn of_rack(&self) -> Result<App, Problem> {
        self.read(&format!("/apps/{}", self.app)).await?.ok_or_else(|| no_such_app(self.app))
    }

    /// A release by an id that somebody typed.
    async fn named(&self, id: &str) -> Result<Release, Problem> {
        let path = format!("/apps/{}/releases/{id}", self.app);
        let route = self.plane.parts.routes.identify("GET", &path, RequestKind::Plain);
        let is_id = route.is_ok_and(|route| route.path_parameter("id") == Some(id));
        let found = if is_id { self.release(id).await? } else { None };
        found.ok_or_else(|| no_such_release(id))
    }

    /// The release that is asked for, else the newest; `None` when the app has none.
    async fn wanted(&self, id: Option<&str>) -> Result<Option<Release>, Problem> {
        match id {
            Some(id) => self.named(id).await.map(Some),
            None => self.newest().await,
        }
    }
}

fn readable(release: &Release) -> Result<EnvText, Problem> {
    EnvText::parse_stored(&release.env).map_err(|_fault| {
        let detail = "the environment at the rack cannot be read as NAME=value lines";
        Problem::new(ProblemKind::BadUpstream, Layer::Network, detail)
    })
}

async fn shown(plane: &DataPlane, caller: &Caller, asked: &Asked) -> Result<Environment, Problem> {
    let rack = reader(plane, caller, &asked.app)?;
    let active = Some(rack.of_rack().await?.release).filter(|id| !id.is_empty());
    let release = rack.wanted(asked.release.as_deref()).await?;
    let compared = match &asked.against {
        Against::Active => match &active {
            Some(id) => rack.release(id).await?,
            None => None,
        },
        Against::Release(id) => Some(rack.named(id).await?),
        Against::App(other) => {
            let rack = reader(plane, caller, other)?;
            rack.of_rack().await?;
            rack.newest().await?
        }
    };
    if let Some(release) = &release {
        let seen = if asked.release.is_none() { Seen::Newest } else { Seen::Some };
        learn_values(plane, &asked.app, std::slice::from_ref(release), seen);
    }
    let env = release.as_ref().map(readable).transpose()?.unwrap_or_default();
    let other = compared.as_ref().map(readable).transpose()?;
    Ok(Environment {
        variables: variables(plane, &asked.app, &env, other.as_ref())?,
        removed: other.iter().flat_map(|other| names_beyond(other, &env)).collect(),
        manifest: compared
            .as_ref()
            .zip(release.as_ref())
            .and_then(|(one, other)| manifests(one, other))
            .unwrap_or_default(),
        app: asked.app.clone(),
        release: release.map(|release| release.id),
        compared: compared.map(|release| release.id),
        active,
    })
}

/// What is different between the manifests of two releases, without what may be secret.
fn manifests(before: &Release, after: &Release) -> Option<Vec<String>> {
    let outline = |release: &Release| Some(Manifest::parse(release.manifest.as_bytes()).ok()?.outline);
    Some(outline::differences(&outline(before)?, &outline(after)?))
}

/// The variables that only `one` has.
fn names_beyond(one: &EnvText, other: &EnvText) -> Vec<String> {
    let gone = one.entries().iter().filter(|(name, _)| other.get(name).is_none());
    gone.map(|(name, _)| name.clone()).collect()
}

fn variables(
    plane: &DataPlane,
    app: &str,
    env: &EnvText,
    other: Option<&EnvText>,
) -> Result<Vec<Variable>, Problem> {
    let protected = plane.protected_keys(app)?;
    let key = plane.parts.keyring.scope(app);
    let redacted = env.redact(&key, &plane.plain_keys(Some(app)));
    let is_hidden = |value: &str, shown: &str| value != shown;
    let pairs = env.entries().iter().zip(redacted.entries());
    // Which secret ones are alike is told; plain ones say it themselves.
    let mut alike: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for ((name, value), (_, shown)) in pairs.clone() {
        if is_hidden(value, shown) {
            alike.entry(value).or_default().push(name);
        }
    }
    let variable = |((name, value), (_, shown)): (&(String, String), &(String, String))| {
        let others = alike.get(value.as_str()).into_iter().flatten().filter(|other| **other != name);
        Variable {
            name: name.clone(),
            value: shown.clone(),
            hidden: is_hidden(value, shown),
            protected: protected.matches(name),
            difference: match other.map(|other| other.get(name)) {
                None => Difference::Same,
                Some(None) => Difference::Added,
                Some(Some(before)) if before == value => Difference::Same,
                Some(Some(_)) => Difference::Changed,
            },
            same_as: match is_hidden(value, shown) {
                true => others.map(|other| (*other).to_owned()).collect(),
                false => Vec::new(),
            },
        }
    };
    Ok(pairs.map(variable).collect())
}

async fn values(
    plane: &DataPlane,
    caller: &Caller,
    app: &str,
    release: Option<&str>,
    keys: &[String],
) -> Result<Values, Problem> {
    let rack = reader(plane, caller, app)?;
    rack.of_rack().await?;
    let release = rack.wanted(release).await?.ok_or_else(|| {
        Problem::new(ProblemKind::NotFound, Layer::Network, "the app has no release, and so no values")
    })?;
    learn_values(plane, app, std::slice::from_ref(&release), Seen::Some);
    let env = readable(&release)?;
    let missing: BTreeSet<&str> =
        keys.iter().map(String::as_str).filter(|key| env.get(key).is_none()).collect();
    if !missing.is_empty() {
        let names = missing.into_iter().collect::<Vec<_>>().join(", ");
        let detail = format!("the environment has no {}", gateway_audit::bounded(&names));
        return Err(Problem::new(ProblemKind::NotFound, Layer::Network, detail));
    }
    let wanted = |name: &str| keys.is_empty() || keys.iter().any(|key| key == name);
    let entries = env.entries().iter().filter(|(name, _)| wanted(name));
    let values = entries.map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect();
    Ok(Values { release: release.id, values })
}

async fn changed(plane: &DataPlane, caller: &Caller, app: &str, change: &Change) -> Result<Changed, Problem> {
    let rack = reader(plane, caller, app)?;
    rack.of_rack().await?;
    let lease = lock(plane, app).await?;
    let written = changed_under_lock(plane, &rack, caller, change).await;
    release(lease).await;
    written
}

/// Makes the change of what is newest, while nobody else writes.
async fn changed_under_lock(
    plane: &DataPlane,
    rack: &RackReader<'_>,
    caller: &Caller,
    change: &Change,
) -> Result<Changed, Problem> {
    let newest = rack.newest().await?;
    let base = match &change.base {
        Some(id) if newest.as_ref().is_none_or(|newest| newest.id != *id) => Some(rack.named(id).await?),
        Some(_) | None => None,
    };
    let theirs = match &newest {
        Some(newest) => EnvText::parse_stored(&newest.env).map_err(|_fault| unreadable())?,
        None => EnvText::default(),
    };
    let key = plane.parts.keyring.scope(rack.app);
    let env = merged(rack, &key, &theirs, base.as_ref(), change).await?;
    let env = protected::kept(&plane.protected_keys(rack.app)?, &theirs, env, Post::Change)?;
    let keys = env.difference(&theirs);
    match newest {
        Some(newest) if keys.is_empty() => Ok(Changed { release: newest.id, is_new: false, keys }),
        Some(_) | None => {
            Ok(Changed { release: write(plane, rack, caller, &env).await?, is_new: true, keys })
        }
    }
}

/// The environment that goes up: the change made of its base, and merged with what is newest.
async fn merged(
    rack: &RackReader<'_>,
    key: &HandleKey,
    theirs: &EnvText,
    base: Option<&Release>,
    change: &Change,
) -> Result<EnvText, Problem> {
    let base = base.map(readable).transpose()?;
    let set = change.set.iter().map(|(name, value)| (name.clone(), value.expose().clone())).collect();
    let sources: Vec<&EnvText> = base.iter().chain([theirs]).collect();
    let set = restored(rack, key, EnvText::of(set), &sources).await?;
    let unset = || change.unset.iter().map(String::as_str);
    match &base {
        None => Ok(theirs.changed(&set, unset())),
        Some(base) => merge(base, theirs, &base.changed(&set, unset()))
            .map_err(|conflict| conflict_problem(&conflict.keys)),
    }
}

/// Makes a release with this environment, and returns its id.
async fn write(
    plane: &DataPlane,
    rack: &RackReader<'_>,
    caller: &Caller,
    env: &EnvText,
) -> Result<String, Problem> {
    let creation = release_create(plane, rack.app, env)?;
    let (upstream, role) = (creation.serialise(), creation.least_role());
    let UpstreamBody::Form(form) = &upstream.body else { return Err(no_such_app(rack.app)) };
    let body = RequestBody::Whole(Full::new(form.clone().into()));
    // The rack may repeat what it is sent, also what was never in a release.
    let sent = Release { id: String::new(), env: env.to_text(), manifest: String::new() };
    learn_values(plane, rack.app, std::slice::from_ref(&sent), Seen::Some);
    let request = build(&upstream, caller, &HeaderMap::new(), true, body).map_err(|_unbuildable| lost())?;
    let exchange = async {
        let response = plane.parts.upstream.send(request, &upstream.target, role).await.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the rack could not be asked to take an environment"
            );
            lost()
        })?;
        let status = response.status();
        let body = collect(response.into_body().map_err(BodyError::Broken), ANSWER_LIMIT_BYTES).await;
        Ok::<_, Problem>((status, body.map_err(|_broken| lost())?))
    };
    let (status, body) = timeout(WRITE_LIMIT, exchange).await.map_err(|_slow| lost())??;
    if !status.is_success() {
        return Err(refused_by_rack(plane, rack.app, status, &body));
    }
    let created: Release = serde_json::from_slice(&body).map_err(|_unknown| lost())?;
    learn_values(plane, rack.app, std::slice::from_ref(&created), Seen::Some);
    Ok(created.id)
}

/// The typed request, through the same grammar as a client's.
fn release_create(plane: &DataPlane, app: &str, env: &EnvText) -> Result<RackRequest, Problem> {
    let route = plane.parts.routes.identify("POST", &format!("/apps/{app}/releases"), RequestKind::Plain);
    let route = route.map_err(|_unknown| no_such_app(app))?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("env", &env.to_text());
    let content_type = Some("application/x-www-form-urlencoded");
    route
        .complete(None, std::iter::empty(), content_type, Some(form.finish().as_bytes()))
        .map_err(|fault| parameter_problem(&fault))
}

/// The rack's own words, without secrets: it may repeat what it was sent.
fn refused_by_rack(plane: &DataPlane, app: &str, status: http::StatusCode, body: &[u8]) -> Problem {
    let text = String::from_utf8_lossy(body);
    let said = if plane.parts.upstream.is_credential_in(body) {
        "its words cannot be shown".to_owned()
    } else {
        gateway_audit::bounded(&Masker::new(&plane.known.of(app)).mask(text.trim()))
    };
    let detail = format!("the rack did not take the environment ({}): {said}", status.as_u16());
    Problem::new(ProblemKind::BadUpstream, Layer::Network, detail)
}

fn lost() -> Problem {
    Problem::new(
        ProblemKind::UpstreamUnreachable,
        Layer::Network,
        "the rack did not answer in time; whether the environment was changed is not known, so read it before you repeat",
    )
}
