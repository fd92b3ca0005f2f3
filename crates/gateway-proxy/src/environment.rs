//! Writing back what was read as handles: each handle is put back to its value before the rack sees
//! it, and an environment is merged with what others changed in the meantime (DESIGN 6.1).
//!
//! The client posts a whole environment without saying what it was based on. So the gateway
//! remembers which release it last served to that credential, and merges three ways under a lock
//! that holds across instances.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_convox::{RackRequest, Secrecy};
use gateway_secrets::{EnvText, HandleKey, KnownValues, contains_handle, is_handle, merge};
use gateway_store::Lease;
use gateway_types::{Caller, Layer, Principal, Problem, ProblemKind};
use http::Method;
use serde::Deserialize;

use crate::body::{RequestBody, collect};
use crate::plane::{DataPlane, LABELLED_REPLY_LIMIT_BYTES};

/// How long one writer may hold an app's environment. A rack answers a release in far less.
const LEASE: Duration = Duration::from_secs(60);

/// How long a writer waits for the one before it.
const LEASE_WAIT: Duration = Duration::from_secs(30);

/// How many older releases are searched for the value of a handle.
const SEARCHED_RELEASES: usize = 50;

/// A release as the rack tells it, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Release {
    id: String,
    #[serde(default)]
    env: String,
}

/// Puts handles back to values in a request that is about to go up, and merges a posted environment.
///
/// Returns the lease of the app's environment when one is written; it must be held until the rack
/// has answered.
///
/// # Errors
/// `UnknownHandle` when a handle stands for no value that is still there, `Conflict` when somebody
/// else changed the same key, `UpstreamUnreachable` when the rack cannot tell the present values.
pub(crate) async fn restore(
    plane: &Arc<DataPlane>,
    principal: &Principal,
    request: &mut RackRequest,
) -> Result<Option<Lease>, Problem> {
    if request.operation().action.as_str() == "convox:release:create" && request.get("env").is_some() {
        return restore_release(plane, principal, request).await.map(Some);
    }
    let holds_handle = request.parameters().iter().any(|parameter| {
        parameter.secrecy != Secrecy::Plain && contains_handle(&decoded(&parameter.name, &parameter.value))
    });
    if holds_handle {
        restore_parameters(plane, principal, request).await?;
    }
    Ok(None)
}

/// The text in which handles are looked for: an app config's value comes as base64.
fn decoded(name: &str, value: &str) -> String {
    if name == "value" { base64_text(value).unwrap_or_else(|| value.to_owned()) } else { value.to_owned() }
}

fn base64_text(value: &str) -> Option<String> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(value)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

async fn restore_release(
    plane: &Arc<DataPlane>,
    principal: &Principal,
    request: &mut RackRequest,
) -> Result<Lease, Problem> {
    let app = request.resource().app_name().unwrap_or_default().to_owned();
    let posted = request.get("env").unwrap_or_default().to_owned();
    let posted = EnvText::parse(&posted)
        .map_err(|error| Problem::new(ProblemKind::BadParameter, Layer::Network, format!("env: {error}")))?;
    let lease = plane
        .parts
        .store
        .leases()
        .acquire(&format!("environment:{app}"), LEASE, LEASE_WAIT)
        .await
        .map_err(|error| cannot_lock(&error))?;
    match merged(plane, principal, &app, posted).await {
        Ok(env) => {
            request
                .set("env", env.to_text())
                .map_err(|fault| super::phases::inspect::parameter_problem(&fault))?;
            Ok(lease)
        }
        Err(problem) => {
            release(lease).await;
            Err(problem)
        }
    }
}

/// Lets the next writer in.
pub(crate) async fn release(lease: Lease) {
    if let Err(error) = lease.release().await {
        // It ends by itself; until then other writers of this app wait.
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "an app's environment stays locked until the lock expires"
        );
    }
}

fn cannot_lock(error: &gateway_store::StoreError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "an app's environment could not be locked");
    Problem::new(
        ProblemKind::CannotRecord,
        Layer::Audit,
        "the app's environment is being changed by somebody else, or the store cannot be reached; repeat the command",
    )
}

/// The environment that goes up: handles put back, and others' changes kept.
async fn merged(
    plane: &Arc<DataPlane>,
    principal: &Principal,
    app: &str,
    posted: EnvText,
) -> Result<EnvText, Problem> {
    let rack = RackReader { plane, principal, app };
    let served = plane
        .parts
        .store
        .bases()
        .served(&credential_of(principal), app)
        .await
        .map_err(|error| cannot_lock(&error))?;
    if served.is_empty()
        && let Ok(without_handles) = posted.restore(|_, _| None)
    {
        return Ok(without_handles);
    }
    let newest = rack.newest().await?;
    let key = plane.parts.keyring.scope(app);
    let mut bases = Vec::new();
    for base in &served {
        let env = match &newest {
            Some(newest) if newest.id == base.release => newest.env.clone(),
            _ => rack.release(&base.release).await?.map(|release| release.env).unwrap_or_default(),
        };
        bases.push((base, env_of(&env)));
    }
    let newest_env = newest.as_ref().map(|newest| env_of(&newest.env));
    let mut sources: Vec<&EnvText> = bases.iter().map(|(_, env)| env).collect();
    sources.extend(&newest_env);
    let mine = restored(&rack, &key, posted, &sources).await?;
    // Of what was served, the post was based on what it differs from least.
    let based_on = bases.iter().min_by_key(|(base, env)| (differing(&mine, env), !base.newest));
    let env = match (based_on, &newest, &newest_env) {
        (Some((base, base_env)), Some(newest), Some(theirs)) if base.newest && base.release != newest.id => {
            merge(base_env, theirs, &mine).map_err(|conflict| conflict_problem(&conflict.keys))?
        }
        _ => mine,
    };
    if let Some((base, _)) = based_on {
        plane.parts.store.bases().consume(base).await.map_err(|error| cannot_lock(&error))?;
    }
    Ok(env)
}

fn env_of(text: &str) -> EnvText {
    // A rack's own text that is no environment has no values to put back; the post then fails on its handles.
    EnvText::parse_stored(text).unwrap_or_default()
}

/// In how many variables two environments differ.
fn differing(one: &EnvText, other: &EnvText) -> usize {
    let names: BTreeSet<&str> =
        one.entries().iter().chain(other.entries()).map(|(name, _)| name.as_str()).collect();
    one.differing(other, names).len()
}

fn conflict_problem(keys: &[String]) -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        Layer::Authorization,
        format!(
            "somebody else changed {} since you read the environment; read it again and repeat",
            keys.join(", ")
        ),
    )
}

/// Puts handles back from `sources`, then from older releases.
async fn restored(
    rack: &RackReader<'_>,
    key: &HandleKey,
    posted: EnvText,
    sources: &[&EnvText],
) -> Result<EnvText, Problem> {
    let find = |sources: &[&EnvText], name: &str, handle: &str| {
        sources.iter().find_map(|env| {
            env.get(name).filter(|value| key.handle(name, value) == handle).map(str::to_owned)
        })
    };
    match posted.restore(|name, handle| find(sources, name, handle)) {
        Ok(env) => return Ok(env),
        Err(unknown) if unknown.keys.is_empty() => return Err(unknown_handles(&unknown.keys)),
        Err(_) => {}
    }
    let older: Vec<EnvText> = rack.older().await?.iter().map(|release| env_of(&release.env)).collect();
    let mut all: Vec<&EnvText> = sources.to_vec();
    all.extend(&older);
    posted.restore(|name, handle| find(&all, name, handle)).map_err(|unknown| unknown_handles(&unknown.keys))
}

fn unknown_handles(keys: &[String]) -> Problem {
    Problem::new(
        ProblemKind::UnknownHandle,
        Layer::Authorization,
        format!(
            "the hidden value of {} is not known for this app; read the environment again, or give the value itself",
            keys.join(", ")
        ),
    )
}

/// Handles in parameter maps and configs are looked up in what the rack holds under the same path now.
async fn restore_parameters(
    plane: &Arc<DataPlane>,
    principal: &Principal,
    request: &mut RackRequest,
) -> Result<(), Problem> {
    let resource = request.resource();
    let app = resource.app_name().unwrap_or(super::phases::inspect::RACK_SCOPE).to_owned();
    let key = plane.parts.keyring.scope(&app);
    let rack = RackReader { plane, principal, app: &app };
    let path = request.serialise().target;
    let present: serde_json::Value =
        rack.read(path.split('?').next().unwrap_or_default()).await?.unwrap_or_default();
    let names: Vec<(String, Secrecy)> =
        request.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.secrecy)).collect();
    for (name, secrecy) in names {
        match secrecy {
            Secrecy::SecretValues => restore_map(request, &name, &present, &key)?,
            Secrecy::Secret => restore_value(request, &name, &present, &key)?,
            Secrecy::Plain | Secrecy::Scanned => {
                if secrecy == Secrecy::Scanned && request.get(&name).is_some_and(contains_handle) {
                    return Err(unknown_handles(&[name]));
                }
            }
        }
    }
    Ok(())
}

fn restore_map(
    request: &mut RackRequest,
    name: &str,
    present: &serde_json::Value,
    key: &HandleKey,
) -> Result<(), Problem> {
    let mut pairs = request.map(name).unwrap_or_default();
    let mut unknown = Vec::new();
    for (inner, value) in &mut pairs {
        if !contains_handle(value) {
            continue;
        }
        let held =
            present.get(name).and_then(|map| map.get(inner.as_str())).and_then(serde_json::Value::as_str);
        match held.filter(|held| is_handle(value) && key.handle(inner, held) == *value) {
            Some(held) => *value = held.to_owned(),
            None => unknown.push(inner.clone()),
        }
    }
    if !unknown.is_empty() {
        return Err(unknown_handles(&unknown));
    }
    request.set_map(name, &pairs).map_err(|fault| super::phases::inspect::parameter_problem(&fault))
}

fn restore_value(
    request: &mut RackRequest,
    name: &str,
    present: &serde_json::Value,
    key: &HandleKey,
) -> Result<(), Problem> {
    let value = decoded(name, request.get(name).unwrap_or_default());
    if !contains_handle(&value) {
        return Ok(());
    }
    let held = present.get(name).and_then(serde_json::Value::as_str);
    let Some(held) = held.filter(|held| is_handle(&value) && key.handle(name, held) == value) else {
        return Err(unknown_handles(&[name.to_owned()]));
    };
    let held = if name == "value" {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(held)
    } else {
        held.to_owned()
    };
    request.set(name, held).map_err(|fault| super::phases::inspect::parameter_problem(&fault))
}

fn credential_of(principal: &Principal) -> String {
    principal.credential_id().unwrap_or_default()
}

/// Remembers what is served: the base of a later write, and the secret values that texts are scanned for.
pub(crate) async fn learn(plane: &DataPlane, caller: &Caller, request: &RackRequest, body: &Bytes) {
    let Some(app) = request.resource().app_name().map(str::to_owned) else { return };
    let credential = credential_of(&caller.principal);
    let now = plane.parts.clock.now();
    let bases = plane.parts.store.bases();
    let remembered = match request.operation().action.as_str() {
        "convox:release:list" => {
            let releases: Vec<Release> = serde_json::from_slice(body).unwrap_or_default();
            learn_values(plane, &app, &releases);
            match releases.first().filter(|_| request.get("limit") == Some("1")) {
                Some(newest) => bases.listed(&credential, &app, &newest.id, now).await,
                None => Ok(()),
            }
        }
        "convox:release:read" => match serde_json::from_slice::<Release>(body) {
            Ok(release) => {
                let remembered = bases.read(&credential, &app, &release.id, now).await;
                learn_values(plane, &app, &[release]);
                remembered
            }
            Err(_) => Ok(()),
        },
        _ => Ok(()),
    };
    if let Err(error) = remembered {
        // Reads go on without the store; a later write then finds no base and changes exactly what it posts.
        tracing::warn!(error = &error as &dyn std::error::Error, "what was served could not be remembered");
    }
}

fn learn_values(plane: &DataPlane, app: &str, releases: &[Release]) -> Arc<KnownValues> {
    let key = plane.parts.keyring.scope(app);
    let mut values = KnownValues::default();
    for release in releases {
        values.insert_env(&env_of(&release.env), &key, &plane.parts.plain_keys);
    }
    plane.known.learn(app, values)
}

/// The secret values of an app, read from the rack when they were not seen lately.
///
/// A rack that cannot tell leaves what was seen before: the text is then scanned for less, which is
/// why nothing but command lines and manifests depends on this.
pub(crate) async fn known_values(plane: &DataPlane, caller: &Caller, app: Option<&str>) -> Arc<KnownValues> {
    let Some(app) = app else { return plane.known.of(super::phases::inspect::RACK_SCOPE) };
    if let Some(fresh) = plane.known.fresh(app) {
        return fresh;
    }
    let rack = RackReader { plane, principal: &caller.principal, app };
    match rack.newest().await {
        Ok(newest) => learn_values(plane, app, newest.as_slice()),
        Err(_) => plane.known.of(app),
    }
}

/// Reads of the gateway's own, with the caller's name on them in the rack's log.
struct RackReader<'a> {
    plane: &'a DataPlane,
    principal: &'a Principal,
    app: &'a str,
}

impl RackReader<'_> {
    /// The newest release; `None` when there is none. v2 racks leave the environment out of lists.
    async fn newest(&self) -> Result<Option<Release>, Problem> {
        let list: Option<Vec<Release>> = self.read(&format!("/apps/{}/releases?limit=1", self.app)).await?;
        match list.and_then(|list| list.into_iter().next()) {
            Some(release) if release.env.is_empty() => self.release(&release.id).await,
            other => Ok(other),
        }
    }

    async fn release(&self, id: &str) -> Result<Option<Release>, Problem> {
        self.read(&format!("/apps/{}/releases/{id}", self.app)).await
    }

    async fn older(&self) -> Result<Vec<Release>, Problem> {
        let list: Option<Vec<Release>> =
            self.read(&format!("/apps/{}/releases?limit={SEARCHED_RELEASES}", self.app)).await?;
        let mut releases = Vec::new();
        for release in list.unwrap_or_default() {
            if release.env.is_empty() {
                releases.extend(self.release(&release.id).await?);
            } else {
                releases.push(release);
            }
        }
        Ok(releases)
    }

    /// Reads JSON at `target`; `None` when the rack says that it is not there.
    async fn read<T: for<'de> Deserialize<'de>>(&self, target: &str) -> Result<Option<T>, Problem> {
        let unreachable = || {
            Problem::new(
                ProblemKind::UpstreamUnreachable,
                Layer::Network,
                "the rack cannot tell the present values, so nothing was changed",
            )
        };
        let mut request = http::Request::new(RequestBody::Empty);
        *request.method_mut() = Method::GET;
        let actor = super::phases::forward::actor_value(self.principal);
        request.headers_mut().insert(super::phases::forward::ACTOR_HEADER, actor);
        let response = self.plane.parts.upstream.send(request, target).await.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the rack could not be asked for present values"
            );
            unreachable()
        })?;
        match response.status().as_u16() {
            200 => {
                let body = collect(response.into_body(), LABELLED_REPLY_LIMIT_BYTES)
                    .await
                    .map_err(|_| unreachable())?;
                serde_json::from_slice(&body).map(Some).map_err(|_| unreachable())
            }
            404 => Ok(None),
            _ => Err(unreachable()),
        }
    }
}
