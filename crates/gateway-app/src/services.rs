//! Services behind the gateway: those of the configuration file and those that admins keep in the
//! database, listed, checked, written, removed, and put in force here and on every other instance.
//!
//! What is in force is one value, policies and services together, that is exchanged whole; a request that
//! is under way keeps the one that it was found in. What does not check, does not go together, or takes
//! away an action that a policy names is never in force. Start reading at [`write()`] and [`reload`].
//! Whether the caller may change services is the verdict's business, before any of these is called.

pub mod candidates;
pub mod discovery;
mod error;
mod instances;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use gateway_audit::{Actor, bounded};
use gateway_policy::PolicyEngine;
use gateway_services::{Kind, RawService, Service, ServiceTable};
use gateway_store::{ServiceDocument, StoreError};
use gateway_types::{Caller, Channel, Operation, Resource};
use serde_json::{Value, json};

use crate::origin::Origin;
use crate::policies::{self, Versions};
use crate::rights::Expected;
use crate::rules::Rules;
use crate::{App, Operator, record};

pub use discovery::Discovery;
pub use error::ServiceChangeError;
pub use instances::{
    Asking, DocumentError, LARGEST_DOCUMENT_BYTES, NoInstances, OpenDocument, ReadFault, Reader, Reading,
    ServiceInstances, document, standings,
};

/// The longest declaration, in bytes of JSON.
pub const LONGEST_DECLARATION: usize = 256 * 1024;

/// The most services in the database.
pub const MOST_SERVICES: usize = 1000;

/// What the names of variables begin with that services of the database may take secrets from.
const SECRETS_OF_DATABASE: [&str; 2] = ["env:RGW_SERVICE_", "vault:"];

/// What was last put in force here, or last failed to be.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those of the database.
    documents: Option<Versions>,
    /// The version of the policies that refused them: with others they may go together.
    refused_by: Option<String>,
    /// Those of the file; `None` = those that were in force at the start.
    file: Option<Vec<RawService>>,
}

/// Where a service is declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// In the configuration file.
    File,
    /// In the database.
    Database(ServiceDocument),
}

/// A declared service.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The declaration.
    pub declaration: RawService,
    /// Where it is declared.
    pub source: Source,
    /// It, when exactly this declaration is in force here.
    pub in_force: Option<Arc<Service>>,
}

/// Whether anything was exchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reloaded {
    /// Nothing was.
    Unchanged,
    /// Others are in force now.
    Exchanged,
}

/// Every declared service, by name.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App) -> Result<Vec<Listed>, ServiceChangeError> {
    let documents = app.store.services().list().await?;
    let file = app.health.policies.lock().await.services.of_file(app);
    let table = app.rules.services();
    let in_force = |raw: &RawService| table.named(&raw.name).filter(|known| known.raw == *raw).cloned();
    let mut listed: Vec<Listed> = file
        .into_iter()
        .map(|raw| Listed {
            name: raw.name.clone(),
            in_force: in_force(&raw),
            declaration: raw,
            source: Source::File,
        })
        .collect();
    for document in documents {
        // What an older version of the gateway wrote, or a newer one, is still listed.
        let raw = parse(&document)
            .unwrap_or_else(|_| RawService { name: document.name.clone(), ..RawService::default() });
        listed.push(Listed {
            name: document.name.clone(),
            in_force: in_force(&raw),
            declaration: raw,
            source: Source::Database(document),
        });
    }
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(listed)
}

/// The declared service of this name.
///
/// # Errors
/// [`ServiceChangeError::Unknown`], or the store's.
pub async fn one(app: &App, name: &str) -> Result<Listed, ServiceChangeError> {
    let found = list(app).await?.into_iter().find(|listed| listed.name == name);
    found.ok_or_else(|| ServiceChangeError::Unknown { name: bounded(name) })
}

/// Reads a declaration and says everything that is wrong with it, alone and together with the others.
/// Changes nothing.
///
/// # Errors
/// [`ServiceChangeError`]: what [`write()`] would answer.
pub async fn check(app: &App, name: &str, declaration: Value) -> Result<Service, ServiceChangeError> {
    let raw = declared(name, declaration)?;
    let loaded = app.health.policies.lock().await;
    let documents = app.store.services().list().await?;
    candidate(app, &loaded.services.of_file(app), &documents, name, Some(&raw)).await?;
    Service::check(raw).map_err(|faults| ServiceChangeError::Faults { faults })
}

/// Writes a service of the database and puts it in force.
///
/// # Errors
/// [`ServiceChangeError`]; what is in force is then as it was. [`StoreError::Conflict`] when somebody
/// changed the service since.
pub async fn write(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    declaration: Value,
    expected: Expected,
) -> Result<Listed, ServiceChangeError> {
    let raw = declared(name, declaration)?;
    let what = Change { raw: Some(&raw), action: "gateway:service:update", parameters: &[] };
    change(app, operator, name, what, expected).await?;
    one(app, name).await
}

/// Removes a service of the database and puts what is left in force.
///
/// # Errors
/// As [`write()`], and [`ServiceChangeError::Unknown`].
pub async fn remove(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    expected: Expected,
) -> Result<(), ServiceChangeError> {
    let what = Change { raw: None, action: "gateway:service:remove", parameters: &[] };
    change(app, operator, name, what, expected).await
}

/// Puts the database's services in force here when they are others than those last seen. Call it at the
/// start, before the policies, which may name their actions, and whenever the store says that something
/// changed.
///
/// # Errors
/// [`ServiceChangeError`]: those before stay in force and [`Health`](crate::health::Health) says so.
pub async fn reload(app: &App) -> Result<Reloaded, ServiceChangeError> {
    let mut loaded = app.health.policies.lock().await;
    let documents = app.store.services().list().await?;
    let (seen, policy) = (versions(&documents), app.policy().version().to_owned());
    let is_first = loaded.services.documents.is_none() && seen.is_empty();
    let is_known = loaded.services.documents.as_ref() == Some(&seen);
    let may_go_now = loaded.services.refused_by.as_ref().is_some_and(|by| *by != policy);
    if is_first || (is_known && !may_go_now) {
        return Ok(Reloaded::Unchanged);
    }
    let file = loaded.services.of_file(app);
    let built = build(app, &file, &documents).await;
    loaded.services.file = Some(file);
    // Also when it failed: the same would fail again.
    loaded.services.documents = Some(seen);
    loaded.services.refused_by = built.is_err().then_some(policy);
    let reloaded = in_force(app, built, "the services of the database");
    if let Err(error) = &reloaded {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "the services of the database are not in force; those before are"
        );
        app.health.set_service_fault(Some(error.to_string()));
    }
    reloaded
}

/// Puts the services of the configuration file in force, which was read again. What becomes of them is for the caller
/// to note ([`Health::set_file_fault`](crate::health::Health::set_file_fault)).
///
/// # Errors
/// [`ServiceChangeError`]: those before stay in force. What they conflict with in the database may go away.
pub async fn follow_file(app: &App, file: Vec<RawService>) -> Result<Reloaded, ServiceChangeError> {
    let mut loaded = app.health.policies.lock().await;
    let before = loaded.services.of_file(app);
    if before == file {
        return Ok(Reloaded::Unchanged);
    }
    let documents = app.store.services().list().await?;
    let built = build(app, &file, &documents).await;
    if built.is_ok() {
        record(&app.store, file_event(app, &before, &file)).await?;
        loaded.services.file = Some(file);
    }
    in_force(app, built, "the services of the configuration file")
}

fn in_force(
    app: &App,
    built: Result<Rules, ServiceChangeError>,
    what: &str,
) -> Result<Reloaded, ServiceChangeError> {
    match built {
        Ok(rules) => {
            tracing::info!(version = rules.policy.version(), "{what} are in force");
            app.rules.put(rules);
            app.health.set_service_fault(None);
            Ok(Reloaded::Exchanged)
        }
        Err(error) => Err(error),
    }
}

fn file_event(app: &App, before: &[RawService], after: &[RawService]) -> gateway_audit::Event {
    let operator = Operator {
        actor: Actor::system(),
        channel: Channel::Local,
        request_id: None,
        source_ip: None,
        clock: &*app.clock,
        entropy: &*app.entropy,
    };
    let mut event = operator.event("gateway:service:reload");
    event.before = Some(json!(before));
    event.after = Some(json!(after));
    event
}

impl Seen {
    /// The services of the file. At the start those of the file alone are in force.
    fn of_file(&self, app: &App) -> Vec<RawService> {
        match &self.file {
            Some(file) => file.clone(),
            None => {
                let database = self.documents.as_deref().unwrap_or_default();
                let is_of_file = |name: &str| !database.iter().any(|(known, _)| known == name);
                let services = app.rules.services();
                services
                    .services()
                    .map(|service| service.raw.clone())
                    .filter(|raw| is_of_file(&raw.name))
                    .collect()
            }
        }
    }
}

/// Whether the caller could do anything at all at a service, once they gave every factor they have.
pub fn may_use(app: &App, caller: &Caller, service: &Service) -> bool {
    let caller = Caller { channel: Channel::Service, ..caller.clone() };
    let (policy, resource) = (app.policy(), Resource::service(service.name.as_str()));
    let facts = app.best_facts(&caller, &resource);
    service
        .operations()
        .iter()
        .any(|operation| policy.decide(&caller, operation, &resource, &facts).is_allowed())
}

/// The address of a service for people who use the gateway at `gateway`; `None` when it is none for browsers.
pub fn address(service: &Service, gateway: &Origin) -> Option<String> {
    if matches!(service.kind, Kind::Tcp { .. }) {
        return None;
    }
    let origin = match service.hosts.first() {
        Some(host) => gateway.with_host(host),
        None => gateway.clone(),
    };
    Some(origin.join(&format!("{}/", service.raw.prefix.as_deref().unwrap_or_default())))
}

/// The address of a service's own OpenAPI document, as [`address`]; `None` when it names none.
pub fn openapi_address(service: &Service, gateway: &Origin) -> Option<String> {
    let document = service.raw.openapi.as_deref()?;
    let place = address(service, gateway)?;
    Some(format!("{place}{}", document.trim_start_matches('/')))
}

/// What becomes of a service of the database.
#[derive(Clone, Copy)]
struct Change<'a> {
    /// Its declaration from now on; `None` = it is removed.
    raw: Option<&'a RawService>,
    /// What the log calls it.
    action: &'static str,
    /// What the log says besides.
    parameters: &'a [(&'static str, String)],
}

/// A service of the database as it is declared now.
struct Present {
    /// The declaration; `None` = there is none.
    declaration: Option<Value>,
    /// Its version; 0 = there is none.
    version: i64,
}

/// What the database declares under this name.
///
/// # Errors
/// [`ServiceChangeError::OfFile`] when the configuration file declares it; what an older gateway wrote and this one
/// cannot read is [`ServiceChangeError::Malformed`].
async fn present(app: &App, name: &str) -> Result<Present, ServiceChangeError> {
    let file = app.health.policies.lock().await.services.of_file(app);
    if file.iter().any(|raw| raw.name == name) {
        return Err(ServiceChangeError::OfFile { name: bounded(name) });
    }
    let documents = app.store.services().list().await?;
    let document = documents.iter().find(|document| document.name == name);
    Ok(Present {
        declaration: document.map(parse).transpose()?.map(|raw| json!(raw)),
        version: document.map_or(0, |document| document.version),
    })
}

async fn change(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    what: Change<'_>,
    expected: Expected,
) -> Result<(), ServiceChangeError> {
    // The lease of the policies: services are their actions, and two changes that are each right can be wrong
    // together.
    let lease =
        app.store.leases().acquire(policies::LEASE, policies::LEASE_TTL, policies::LEASE_WAIT).await?;
    let changed = change_under_lease(app, operator, name, what, expected).await;
    if let Err(error) = lease.release().await {
        tracing::debug!(error = &error as &dyn std::error::Error, "a lease was left to expire");
    }
    changed
}

async fn change_under_lease(
    app: &App,
    operator: &Operator<'_>,
    name: &str,
    what: Change<'_>,
    expected: Expected,
) -> Result<(), ServiceChangeError> {
    let raw = what.raw;
    // Held to the end, so that no reload puts older ones in force over these.
    let mut loaded = app.health.policies.lock().await;
    let file = loaded.services.of_file(app);
    if file.iter().any(|raw| raw.name == name) {
        return Err(ServiceChangeError::OfFile { name: name.to_owned() });
    }
    let documents = app.store.services().list().await?;
    let present = documents.iter().find(|document| document.name == name);
    if present.is_none() && raw.is_none() {
        return Err(ServiceChangeError::Unknown { name: bounded(name) });
    }
    let version = present.map_or(0, |document| document.version);
    if expected.version(version) != version {
        return Err(StoreError::Conflict.into());
    }
    let rules = candidate(app, &file, &documents, name, raw).await?;
    let as_value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    let mut event = operator.event(what.action);
    for (parameter, value) in what.parameters {
        event.parameters.insert((*parameter).to_owned(), value.clone());
    }
    event.parameters.insert("name".to_owned(), name.to_owned());
    event.parameters.insert("policy_version".to_owned(), rules.policy.version().to_owned());
    event.before = Some(present.map_or(Value::Null, |document| as_value(&document.declaration)));
    event.after = Some(raw.map_or(Value::Null, |raw| json!(raw)));
    record(&app.store, event).await?;
    let services = app.store.services();
    match raw {
        Some(raw) => {
            let text = serde_json::to_string(raw).map_err(ServiceChangeError::Unwritable)?;
            services.set(name, &text, present.map(|present| present.version), &operator.actor.name).await?;
        }
        None => services.remove(name, version).await?,
    }
    // From here on those of the file are told apart by what is kept, not by what is in force.
    loaded.services.file = Some(file);
    app.rules.put(rules);
    app.health.set_service_fault(None);
    // What is in the database now is this: it is changed only under the lease. Should it be read again all the
    // same, nothing is lost but the time.
    loaded.services.documents = services.list().await.ok().map(|documents| versions(&documents));
    loaded.services.refused_by = None;
    Ok(())
}

/// The rules as they would be, when they are acceptable.
async fn candidate(
    app: &App,
    file: &[RawService],
    documents: &[ServiceDocument],
    name: &str,
    raw: Option<&RawService>,
) -> Result<Rules, ServiceChangeError> {
    if let Some(raw) = raw {
        if file.iter().any(|known| known.name == name) {
            return Err(ServiceChangeError::OfFile { name: name.to_owned() });
        }
        let is_new = !documents.iter().any(|document| document.name == name);
        if is_new && documents.len() >= MOST_SERVICES {
            return Err(ServiceChangeError::TooMany);
        }
        check_secrets(raw)?;
        check_hosts(app, raw).await?;
    }
    let mut declared = file.to_vec();
    for document in documents.iter().filter(|document| document.name != name) {
        declared.push(parse(document)?);
    }
    declared.extend(raw.cloned());
    rules(app, declared).await
}

async fn build(
    app: &App,
    file: &[RawService],
    documents: &[ServiceDocument],
) -> Result<Rules, ServiceChangeError> {
    let mut declared = file.to_vec();
    for document in documents {
        if file.iter().any(|raw| raw.name == document.name) {
            return Err(ServiceChangeError::OfFile { name: document.name.clone() });
        }
        declared.push(parse(document)?);
    }
    rules(app, declared).await
}

/// These services, and the policies in force over their actions.
async fn rules(app: &App, declared: Vec<RawService>) -> Result<Rules, ServiceChangeError> {
    let (mut services, mut faults) = (Vec::new(), Vec::new());
    for raw in declared {
        match Service::check(raw) {
            Ok(service) => services.push(service),
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        return Err(ServiceChangeError::Faults { faults });
    }
    let table = discovery::fill(app, ServiceTable::new(services)?)?;
    let policy = app.policy();
    let operations = operations(&policy, &table);
    let policy = match operations == policy.operations() {
        // Where a service is, or what it is called, is nothing to policy.
        true => policy,
        false => Arc::new(policies::build_over(operations, policy.sources()).await?),
    };
    Ok(Rules { policy, services: Arc::new(table) })
}

/// The operations of the rack and the gateway, and those of these services.
fn operations(policy: &PolicyEngine, table: &ServiceTable) -> Vec<Operation> {
    let is_own = |operation: &&Operation| !operation.action.as_str().starts_with("service:");
    let mut operations: Vec<Operation> = policy.operations().iter().filter(is_own).cloned().collect();
    operations.extend(table.operations());
    operations
}

/// A declaration as it was sent.
fn declared(name: &str, declaration: Value) -> Result<RawService, ServiceChangeError> {
    let Value::Object(mut members) = declaration else { return Err(ServiceChangeError::NotAnObject) };
    members.entry("name").or_insert_with(|| Value::String(name.to_owned()));
    let bytes = serde_json::to_vec(&members).map_err(ServiceChangeError::Unwritable)?.len();
    if bytes > LONGEST_DECLARATION {
        return Err(ServiceChangeError::TooLong { bytes });
    }
    let raw: RawService =
        serde_json::from_value(Value::Object(members)).map_err(ServiceChangeError::Malformed)?;
    if raw.name != name {
        return Err(ServiceChangeError::OtherName { name: bounded(&raw.name) });
    }
    Ok(raw)
}

fn parse(document: &ServiceDocument) -> Result<RawService, ServiceChangeError> {
    serde_json::from_str(&document.declaration).map_err(ServiceChangeError::Malformed)
}

/// # Security
/// Whoever may declare services is not by that whoever may read every variable and file of the gateway's
/// machine: what such a service signs in with is sent to where the declaration says.
fn check_secrets(raw: &RawService) -> Result<(), ServiceChangeError> {
    let Some(credential) = &raw.credential else { return Ok(()) };
    let is_fine = |reference: &String| SECRETS_OF_DATABASE.iter().any(|start| reference.starts_with(start));
    let field = match (&credential.secret, &credential.certificate) {
        (_, Some(_)) => "credential.certificate",
        (Some(secret), None) if !is_fine(secret) => "credential.secret",
        (Some(_) | None, None) => return Ok(()),
    };
    Err(ServiceChangeError::Secret { field })
}

/// The gateway's own host must go on being the gateway's.
async fn check_hosts(app: &App, raw: &RawService) -> Result<(), ServiceChangeError> {
    let kept = crate::sign_in::kept_origin(app).await.ok().flatten();
    let own = [app.domain.clone(), kept.map(|origin| origin.host().to_owned())];
    let taken = raw.hosts.iter().find(|host| {
        own.iter().flatten().any(|own| own.eq_ignore_ascii_case(host))
            || host.eq_ignore_ascii_case("localhost")
    });
    match taken {
        Some(host) => Err(ServiceChangeError::OwnHost { host: bounded(host) }),
        None => Ok(()),
    }
}

fn versions(documents: &[ServiceDocument]) -> Versions {
    documents.iter().map(|document| (document.name.clone(), document.version)).collect()
}
