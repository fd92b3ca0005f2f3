//! Writing back what was read as handles: each handle is put back to its value before the rack sees
//! it, and an environment is merged with what others changed in the meantime (DESIGN 6.1).
//!
//! The client posts a whole environment without saying what it was based on. So the gateway
//! remembers which release it last served to that credential, and merges three ways under a lock
//! that holds across instances.

mod door;
mod parameters;
mod protected;
mod rack;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_convox::{RackRequest, Secrecy};
use gateway_secrets::{EnvText, HandleKey, KnownValues, contains_handle, merge};
use gateway_store::{Lease, ServedBase};
use gateway_types::{Caller, Layer, Principal, Problem, ProblemKind};

use crate::asking::read_json;
use crate::known::Seen;
use crate::plane::DataPlane;
use parameters::{decoded, restore_parameters};
pub(crate) use parameters::{remember_typed, typed_parameters};
use protected::Post;
use rack::{RackReader, Release};

/// How long one writer may hold an app's environment. A rack answers a release in far less.
const LEASE: Duration = Duration::from_secs(60);

/// How long the rack may take to answer a written environment. Others wait that long for a rack that
/// hangs, and no longer: it is well below [`LEASE`] and [`LEASE_WAIT`].
pub(crate) const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long a writer waits for the one before it.
const LEASE_WAIT: Duration = Duration::from_secs(30);

/// A write of an app's environment that is under way.
#[derive(Debug)]
pub(crate) struct Writing {
    lease: Lease,
    base: Option<ServedBase>,
}

impl Writing {
    /// Lets the next writer in. `taken`: the rack took the write, so what it was based on has served
    /// its purpose; otherwise the client may repeat it.
    pub(crate) async fn end(self, plane: &DataPlane, taken: bool) {
        if let Some(base) = self.base.filter(|_| taken)
            && let Err(error) = plane.parts.store.bases().consume(&base).await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the base of a write stays remembered, although the write was made"
            );
        }
        release(self.lease).await;
    }
}

/// Whether a request writes a whole environment.
pub(crate) fn writes(request: &RackRequest) -> bool {
    request.operation().action.as_str() == "convox:release:create" && request.get("env").is_some()
}

/// Puts handles back to values in a request that is about to go up, and merges a posted environment.
///
/// Returns what holds the app's environment when one is written; it must be kept until the rack
/// has answered, and then ended.
///
/// # Errors
/// `UnknownHandle` when a handle stands for no value that is still there, `Conflict` when somebody
/// else changed the same key, `UpstreamUnreachable` when the rack cannot tell the present values.
pub(crate) async fn restore(
    plane: &DataPlane,
    principal: &Principal,
    request: &mut RackRequest,
) -> Result<Option<Writing>, Problem> {
    if writes(request) {
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

async fn restore_release(
    plane: &DataPlane,
    principal: &Principal,
    request: &mut RackRequest,
) -> Result<Writing, Problem> {
    let app = request.resource().app_name().unwrap_or_default().to_owned();
    let posted = request.get("env").unwrap_or_default().to_owned();
    let posted = EnvText::parse(&posted)
        .map_err(|error| Problem::new(ProblemKind::BadParameter, Layer::Network, format!("env: {error}")))?;
    // A roll-back names a build; a change of the environment does not.
    let restates = request.get("build").is_some();
    let lease = lock(plane, &app).await?;
    let merged = merged(plane, principal, &app, posted, restates).await.and_then(|(env, base)| {
        let set = request.set("env", env.to_text());
        set.map(|()| base).map_err(|fault| super::phases::inspect::parameter_problem(&fault))
    });
    match merged {
        Ok(base) => Ok(Writing { lease, base }),
        Err(problem) => {
            release(lease).await;
            Err(problem)
        }
    }
}

/// Holds an app's environment, over all instances.
async fn lock(plane: &DataPlane, app: &str) -> Result<Lease, Problem> {
    let leases = plane.parts.store.leases();
    let lease = leases.acquire(&format!("environment:{app}"), LEASE, LEASE_WAIT).await;
    lease.map_err(|error| cannot_lock(&error))
}

async fn release(lease: Lease) {
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

/// The environment that goes up, with handles put back and others' changes kept, and what it was based on.
async fn merged(
    plane: &DataPlane,
    principal: &Principal,
    app: &str,
    posted: EnvText,
    restates: bool,
) -> Result<(EnvText, Option<ServedBase>), Problem> {
    let rack = RackReader { plane, principal, app };
    let served = plane
        .parts
        .store
        .bases()
        .served(&credential_of(principal), app)
        .await
        .map_err(|error| cannot_lock(&error))?;
    let protected = plane.protected_keys(app)?;
    if served.is_empty()
        && protected.is_empty()
        && let Ok(without_handles) = posted.restore(|_, _| None)
    {
        return Ok((without_handles, None));
    }
    let newest = rack.newest().await?;
    let bases = bases_of(&rack, served, newest.as_ref()).await?;
    // What cannot be read as an environment has no values to put back, and nothing can be merged with it.
    let theirs = newest.as_ref().and_then(|newest| EnvText::parse_stored(&newest.env).ok());
    let key = plane.parts.keyring.scope(app);
    let sources: Vec<&EnvText> = bases.iter().map(|(_, env)| env).chain(&theirs).collect();
    let mine = restored(&rack, &key, posted, &sources).await?;
    let (env, base, post) = match (basis(&bases, &mine, restates), &newest) {
        (Basis::Change((base, base_env)), Some(newest)) if base.release != newest.id => {
            let theirs = theirs.as_ref().ok_or_else(unreadable)?;
            let env = merge(base_env, theirs, &mine).map_err(|conflict| conflict_problem(&conflict.keys))?;
            (env, Some(base.clone()), Post::Change)
        }
        (Basis::Change((base, _)), _) => (mine, Some(base.clone()), Post::Change),
        (Basis::Copy((base, _)), _) => (mine, Some(base.clone()), Post::Copy),
        (Basis::Unknown, _) => (mine, None, Post::Whole),
    };
    if protected.is_empty() {
        return Ok((env, base));
    }
    let present = match (&newest, theirs) {
        (Some(_), None) => return Err(unreadable()),
        (_, present) => present.unwrap_or_default(),
    };
    Ok((protected::kept(&protected, &present, env, post)?, base))
}

/// A release that was served, with its environment.
type Base = (ServedBase, EnvText);

/// What a posted environment is to those that were served.
enum Basis<'a> {
    /// It is this one as it was: a roll-back, which means exactly what it says.
    Copy(&'a Base),
    /// It is this one with changes, which are merged with others'.
    Change(&'a Base),
    /// Nothing was served.
    Unknown,
}

/// Finds out what a post was based on, which the client does not say. `bases` has the one that was
/// served last first; `restates`: the post names a build, as roll-backs do.
///
/// Several clients may share a credential, and some read without writing. So the last base is not
/// always the one; it is the one that the post differs from least. A post that differs in nothing
/// from some base is more likely a change of another one back to what was, than no change at all.
fn basis<'a>(bases: &'a [Base], mine: &EnvText, restates: bool) -> Basis<'a> {
    let last_is_newest = bases.first().is_some_and(|(base, _)| base.newest);
    let distances: Vec<(&Base, usize)> =
        bases.iter().map(|base| (base, mine.difference(&base.1).len())).collect();
    let copied = |&(base, distance): &(&'a Base, usize)| {
        distance == 0 && (restates || !(base.0.newest || last_is_newest))
    };
    // Of equal ones the first, which was served last; of a roll-back's the one that was read by its id.
    let copy = distances.iter().filter(|base| copied(base)).min_by_key(|(base, _)| base.0.newest);
    let nearest = distances.iter().min_by_key(|(_, distance)| (*distance == 0, *distance));
    match (copy, nearest) {
        (Some((base, _)), _) => Basis::Copy(base),
        (None, Some((base, _))) => Basis::Change(base),
        (None, None) => Basis::Unknown,
    }
}

/// The environments of what was served, as far as the rack still has them and they can be read.
async fn bases_of(
    rack: &RackReader<'_>,
    served: Vec<ServedBase>,
    newest: Option<&Release>,
) -> Result<Vec<Base>, Problem> {
    let mut read: BTreeMap<String, Option<EnvText>> = BTreeMap::new();
    if let Some(newest) = newest {
        read.insert(newest.id.clone(), EnvText::parse_stored(&newest.env).ok());
    }
    let mut bases = Vec::with_capacity(served.len());
    for base in served {
        let env = match read.get(&base.release) {
            Some(env) => env.clone(),
            None => {
                let env = rack.release(&base.release).await?;
                let env = env.and_then(|release| EnvText::parse_stored(&release.env).ok());
                read.insert(base.release.clone(), env.clone());
                env
            }
        };
        bases.extend(env.map(|env| (base, env)));
    }
    Ok(bases)
}

fn env_of(text: &str) -> EnvText {
    // A rack's own text that is no environment has no values to look for.
    EnvText::parse_stored(text).unwrap_or_default()
}

fn unreadable() -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        Layer::Authorization,
        "somebody else changed the environment to one that cannot be read as NAME=value lines, so nothing can be merged with it; write the whole environment without reading it first",
    )
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
    if let Ok(env) = posted.restore(|name, handle| find(sources, name, handle)) {
        return Ok(env);
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
            learn_values(plane, &app, &releases, Seen::Some);
            match releases.first().filter(|_| request.get("limit") == Some("1")) {
                Some(newest) => bases.listed(&credential, &app, &newest.id, now).await,
                None => Ok(()),
            }
        }
        "convox:release:read" => match serde_json::from_slice::<Release>(body) {
            Ok(release) => {
                let remembered = bases.read(&credential, &app, &release.id, now).await;
                learn_values(plane, &app, &[release], Seen::Some);
                remembered
            }
            Err(_) => Ok(()),
        },
        "convox:release:create" => {
            let created: Option<Release> = serde_json::from_slice(body).ok();
            learn_values(plane, &app, created.as_slice(), Seen::Some);
            Ok(())
        }
        _ => Ok(()),
    };
    if let Err(error) = remembered {
        // Reads go on without the store; a later write then finds no base and changes exactly what it posts.
        tracing::warn!(error = &error as &dyn std::error::Error, "what was served could not be remembered");
    }
}

fn learn_values(plane: &DataPlane, app: &str, releases: &[Release], seen: Seen) -> Arc<KnownValues> {
    let (key, plain) = (plane.parts.keyring.scope(app), plane.plain_keys(Some(app)));
    let mut values = KnownValues::default();
    for release in releases {
        values.insert_env(&env_of(&release.env), &key, &plain);
    }
    plane.known.learn(app, values, seen)
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
        Ok(newest) => learn_values(plane, app, newest.as_slice(), Seen::Newest),
        Err(_) => plane.known.of(app),
    }
}

/// What the rack has at `target` now; `None` when it says that there is nothing.
///
/// # Errors
/// `UpstreamUnreachable` when the rack cannot tell.
pub(crate) async fn read_present(
    plane: &DataPlane,
    principal: &Principal,
    target: &str,
) -> Result<Option<serde_json::Value>, Problem> {
    read_json(&plane.parts.upstream, principal, target).await
}
