//! Policies that admins keep in the database: listed, checked, written, removed, and put in force here and
//! on every other instance.
//!
//! The set in force is one value that is exchanged whole: compiled in, files, database. A set that does not
//! load, or that no admin could take back, is never in force. Start reading at [`write()`] and [`reload`].
//! Whether the caller may change policy is the verdict's business, before any of these is called.

mod check;
mod error;
mod lockout;
mod observed;
mod plan;
mod recorded;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gateway_policy::{PolicyEngine, PolicySource, Rule};
use gateway_store::{Lease, PolicyDocument, Store, StoreError};
use gateway_types::Operation;
use serde_json::Value;

use crate::rights::Expected;
use crate::{App, Operator, record};

pub use check::{Check, DEFAULT_REPLAY, Fault, MOST_REPLAYED, check};
pub use error::{PolicyChangeError, ReloadError};
pub use observed::{Observed, ObservedRefusal, observed};
pub use plan::{Effect, ReplayChange, Replayed, RoleChange};
pub use recorded::{Period, Reached, Seen, since};

/// The longest document, in bytes.
pub const LONGEST_TEXT: usize = 64 * 1024;

/// What the source of a document of the database begins with. No file's name holds a slash.
const DATABASE: &str = "database/";

/// The lease under which documents are changed: two changes that are each right can be wrong together.
pub(crate) const LEASE: &str = "policies";
pub(crate) const LEASE_TTL: Duration = Duration::from_secs(60);
pub(crate) const LEASE_WAIT: Duration = Duration::from_secs(10);

/// Names of what the database has, with their versions.
pub(crate) type Versions = Vec<(String, i64)>;

/// What was last put in force here, or last failed to be.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The documents of policies.
    policies: Option<Versions>,
    /// The services.
    pub(crate) services: crate::services::Seen,
}

/// Where a document stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Compiled in.
    BuiltIn,
    /// A file of `policy_dir`.
    File,
    /// The database.
    Database(PolicyDocument),
}

/// A document with those of its policies that are in force.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// Where it stands.
    pub place: Place,
    /// Its policies, by id; of a document of the database that is not in force, none or those before it.
    pub rules: Vec<Rule>,
}

/// Whether the database's policies had changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reloaded {
    /// They had not.
    Unchanged,
    /// They had, and are in force now.
    Exchanged,
}

/// Every document: the compiled-in one, those of files, those of the database.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App) -> Result<Vec<Listed>, PolicyChangeError> {
    let documents = app.store.policies().list().await?;
    let engine = app.policy();
    let rules_of =
        |takes: &dyn Fn(&Rule) -> bool| engine.rules().filter(|rule| takes(rule)).cloned().collect();
    let built_in: Vec<Rule> = rules_of(&Rule::is_built_in);
    let name = built_in.first().map(|rule| rule.source_name.clone()).unwrap_or_default();
    let mut listed = vec![Listed { id: name, place: Place::BuiltIn, rules: built_in }];
    for source in engine.sources().into_iter().filter(|source| !source.name.starts_with(DATABASE)) {
        let rules = rules_of(&|rule: &Rule| !rule.is_built_in() && rule.source_name == source.name);
        listed.push(Listed { id: source.name, place: Place::File, rules });
    }
    for document in documents {
        let source = source_name(&document.id);
        let rules = rules_of(&|rule: &Rule| rule.source_name == source);
        listed.push(Listed { id: document.id.clone(), place: Place::Database(document), rules });
    }
    Ok(listed)
}

/// Writes a document of the database and puts it in force.
///
/// # Errors
/// [`PolicyChangeError`]; the set in force is then as it was. [`StoreError::Conflict`] when somebody
/// changed the document since.
pub async fn write(
    app: &App,
    operator: &Operator<'_>,
    id: &str,
    text: &str,
    expected: Expected,
) -> Result<Listed, PolicyChangeError> {
    check_id(id)?;
    change(app, operator, id, Some(text), expected).await?;
    let found = list(app).await?.into_iter().find(|listed| is_in_database(listed, id));
    // Somebody may have removed it since.
    found.ok_or_else(|| PolicyChangeError::Unknown { id: id.to_owned() })
}

/// Removes a document of the database and puts what is left in force.
///
/// # Errors
/// As [`write()`], and [`PolicyChangeError::Unknown`].
pub async fn remove(
    app: &App,
    operator: &Operator<'_>,
    id: &str,
    expected: Expected,
) -> Result<(), PolicyChangeError> {
    change(app, operator, id, None, expected).await
}

/// The documents in the database, whether or not they load: for a command on the server's own machine.
///
/// # Errors
/// Only the store's.
pub async fn stored(store: &Store) -> Result<Vec<PolicyDocument>, PolicyChangeError> {
    Ok(store.policies().list().await?)
}

/// Removes a document of the database whatever is left: for a command on the server's own machine, when the
/// gateway does not start. Gateways that run take the change over as they take any other.
///
/// # Errors
/// [`PolicyChangeError::Unknown`], or the store's; when the removal cannot be recorded, nothing is removed.
pub async fn remove_stored(
    store: &Store,
    operator: &Operator<'_>,
    id: &str,
) -> Result<(), PolicyChangeError> {
    let documents = store.policies().list().await?;
    let unknown = || PolicyChangeError::Unknown { id: gateway_audit::bounded(id) };
    let present = documents.into_iter().find(|document| document.id == id).ok_or_else(unknown)?;
    let mut event = operator.event("gateway:policy:remove");
    event.parameters.insert("id".to_owned(), gateway_audit::bounded(id));
    event.before = Some(Value::String(present.text));
    event.after = Some(Value::Null);
    record(store, event).await?;
    Ok(store.policies().remove(id, present.version).await?)
}

/// Puts the database's policies in force here when they are others than those last seen. Call it at the
/// start, and whenever the store says that something changed.
///
/// # Errors
/// [`ReloadError`]: the set in force stays as it was and [`Health`](crate::health::Health) says so. At the
/// start that set has none of the database's policies, so a gateway must not start then.
pub async fn reload(app: &App) -> Result<Reloaded, ReloadError> {
    let mut loaded = app.health.policies.lock().await;
    let documents = app.store.policies().list().await?;
    let seen = versions(&documents);
    if loaded.policies.as_ref() == Some(&seen) || (loaded.policies.is_none() && seen.is_empty()) {
        return Ok(Reloaded::Unchanged);
    }
    let built = build(app, sources(app, &documents)).await;
    // Also when it failed: the same documents would fail again.
    loaded.policies = Some(seen);
    match built {
        Ok(engine) => {
            tracing::info!(version = engine.version(), "policies of the database are in force");
            app.rules.put_policy(engine);
            app.health.set_policy_fault(None);
            Ok(Reloaded::Exchanged)
        }
        Err(error) => {
            let error = ReloadError::from(error);
            tracing::error!(error = &error as &dyn std::error::Error, "the policies before stay in force");
            app.health.set_policy_fault(Some(error.to_string()));
            Err(error)
        }
    }
}

async fn change(
    app: &App,
    operator: &Operator<'_>,
    id: &str,
    text: Option<&str>,
    expected: Expected,
) -> Result<(), PolicyChangeError> {
    let lease: Lease = app.store.leases().acquire(LEASE, LEASE_TTL, LEASE_WAIT).await?;
    let changed = change_under_lease(app, operator, id, text, expected).await;
    if let Err(error) = lease.release().await {
        tracing::debug!(error = &error as &dyn std::error::Error, "a lease was left to expire");
    }
    changed
}

async fn change_under_lease(
    app: &App,
    operator: &Operator<'_>,
    id: &str,
    text: Option<&str>,
    expected: Expected,
) -> Result<(), PolicyChangeError> {
    // Held to the end, so that no reload puts an older set in force over this one.
    let mut loaded = app.health.policies.lock().await;
    let documents = app.store.policies().list().await?;
    let present = documents.iter().find(|document| document.id == id);
    if present.is_none() && text.is_none() {
        return Err(PolicyChangeError::Unknown { id: gateway_audit::bounded(id) });
    }
    let version = present.map_or(0, |document| document.version);
    if expected.version(version) != version {
        return Err(StoreError::Conflict.into());
    }
    let (candidate, _) = candidate(app, &documents, id, text).await?;
    let before = present.map_or(Value::Null, |document| Value::String(document.text.clone()));
    let action = if text.is_some() { "gateway:policy:update" } else { "gateway:policy:remove" };
    let mut event = operator.event(action);
    event.parameters.insert("id".to_owned(), gateway_audit::bounded(id));
    event.parameters.insert("policy_version".to_owned(), candidate.version().to_owned());
    event.before = Some(before);
    event.after = Some(text.map_or(Value::Null, |text| Value::String(text.to_owned())));
    record(&app.store, event).await?;
    let policies = app.store.policies();
    match text {
        Some(text) => {
            let expected = present.map(|document| document.version);
            policies.set(id, text, expected, &operator.actor.name).await?;
        }
        None => policies.remove(id, version).await?,
    }
    app.rules.put_policy(candidate);
    app.health.set_policy_fault(None);
    // What is in the database now is this set: it is changed only under the lease. Should it be read again
    // all the same, nothing is lost but the time.
    loaded.policies = policies.list().await.ok().map(|documents| versions(&documents));
    Ok(())
}

/// The set as it would be, when it is acceptable; and the text's source.
async fn candidate(
    app: &App,
    documents: &[PolicyDocument],
    id: &str,
    text: Option<&str>,
) -> Result<(PolicyEngine, String), PolicyChangeError> {
    if let Some(bytes) = text.map(str::len).filter(|bytes| *bytes > LONGEST_TEXT) {
        return Err(PolicyChangeError::TooLong { bytes });
    }
    let name = source_name(id);
    let mut sources = sources(app, documents);
    sources.retain(|source| source.name != name);
    if let Some(text) = text {
        sources.push(PolicySource { name: name.clone(), text: text.to_owned() });
    }
    let engine = build(app, sources).await?;
    if let Some(text) = text
        && !text.trim().is_empty()
        && !engine.rules().any(|rule| rule.source_name == name)
    {
        return Err(PolicyChangeError::Empty);
    }
    lockout::check(app, &engine).await?;
    Ok((engine, name))
}

/// Files, as they are in force, and these documents.
fn sources(app: &App, documents: &[PolicyDocument]) -> Vec<PolicySource> {
    let mut sources = app.policy().sources();
    sources.retain(|source| !source.name.starts_with(DATABASE));
    sources.extend(
        documents
            .iter()
            .map(|document| PolicySource { name: source_name(&document.id), text: document.text.clone() }),
    );
    sources
}

async fn build(app: &App, sources: Vec<PolicySource>) -> Result<PolicyEngine, PolicyChangeError> {
    build_over(app.policy().operations().to_vec(), sources).await
}

/// Validation takes a tenth of a second and more, which other requests must not wait for.
pub(crate) async fn build_over(
    operations: Vec<Operation>,
    sources: Vec<PolicySource>,
) -> Result<PolicyEngine, PolicyChangeError> {
    let built = tokio::task::spawn_blocking(move || PolicyEngine::new(operations, &sources)).await;
    Ok(built.map_err(PolicyChangeError::Interrupted)??)
}

fn versions(documents: &[PolicyDocument]) -> Vec<(String, i64)> {
    documents.iter().map(|document| (document.id.clone(), document.version)).collect()
}

fn source_name(id: &str) -> String {
    format!("{DATABASE}{id}")
}

fn is_in_database(listed: &Listed, id: &str) -> bool {
    matches!(listed.place, Place::Database(_)) && listed.id == id
}

fn check_id(id: &str) -> Result<(), PolicyChangeError> {
    let is_fine = (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte))
        && !id.starts_with('.');
    if is_fine { Ok(()) } else { Err(PolicyChangeError::BadId) }
}
