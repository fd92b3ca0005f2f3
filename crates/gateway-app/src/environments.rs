//! Environments of apps through the gateway's own API and pages: read as handles, changed by what is different.
//!
//! The data plane reads and writes the rack, behind [`RackEnvironment`], with the very code that serves the rack
//! proxy. Here are the rules of whoever asks: what may be asked, and that it is in the log before it happens.
//!
//! # Security
//! Nothing here shows a secret: [`RackEnvironment::shown`] answers with handles. The one door of plaintext is
//! [`reveals`](crate::reveals).

mod error;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gateway_audit::{Event, bounded};
use gateway_types::{Caller, Layer, Principal, Problem, ProblemKind, Resource, Secret};
use serde_json::json;

use crate::{App, Operator, record};

pub use error::EnvironmentError;

/// The most keys of one change.
pub const MOST_KEYS: usize = 1000;

/// What a call to the rack comes to.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// Which environment is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// Whose.
    pub app: String,
    /// Of which release; `None` = of the newest.
    pub release: Option<String>,
    /// What it is compared with.
    pub against: Against,
}

/// What an environment is compared with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Against {
    /// The release that runs.
    #[default]
    Active,
    /// This release.
    Release(String),
    /// The newest release of another app.
    App(String),
}

/// An environment as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment {
    /// The app.
    pub app: String,
    /// The release that it is of; `None` while the app has none.
    pub release: Option<String>,
    /// The release that runs, when one does.
    pub active: Option<String>,
    /// The release that it is compared with, when there is one.
    pub compared: Option<String>,
    /// Its variables, in the rack's order.
    pub variables: Vec<Variable>,
    /// Variables that only the one it is compared with has.
    pub removed: Vec<String>,
    /// Lines of the outline of the manifest that are gone (`-`) and new (`+`), which hold nothing that may be secret;
    /// empty when a manifest cannot be read.
    pub manifest: Vec<String>,
}

/// A variable as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, or the handle of a secret one.
    pub value: String,
    /// Whether the value is hidden.
    pub hidden: bool,
    /// Whether it cannot be changed through the gateway.
    pub protected: bool,
    /// What is different from the one it is compared with.
    pub difference: Difference,
    /// Other secret variables of the same environment with the same value.
    pub same_as: Vec<String>,
}

/// What became of a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Difference {
    /// Nothing.
    Same,
    /// It has another value.
    Changed,
    /// It was not there.
    Added,
}

impl Difference {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Difference::Same => "same",
            Difference::Changed => "changed",
            Difference::Added => "added",
        }
    }
}

/// A change of an environment: what is different, and since when.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Variables that get a value; one that is a handle keeps what the handle stands for.
    pub set: Vec<(String, Secret<String>)>,
    /// Variables that are removed.
    pub unset: Vec<String>,
    /// The release that the change was made of; `None` = whatever is newest.
    pub base: Option<String>,
}

/// A change that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The release that has it: a new one, or the newest when nothing was different.
    pub release: String,
    /// Whether there is a new release.
    pub is_new: bool,
    /// What is different from the release before.
    pub keys: Vec<String>,
}

/// Values in plaintext.
#[derive(Clone, Debug)]
pub struct Values {
    /// The release that they are of.
    pub release: String,
    /// Name and value, in the rack's order.
    pub values: Vec<(String, Secret<String>)>,
}

/// What the control plane needs of the rack: environments, read and written as the rack proxy does it.
pub trait RackEnvironment: fmt::Debug + Send + Sync {
    /// An environment, with handles for what is secret.
    fn shown<'a>(&'a self, caller: &'a Caller, asked: &'a Asked) -> Asking<'a, Environment>;

    /// Changes the newest environment. Goes on when the caller stops waiting, so that nobody else writes meanwhile.
    fn change(self: Arc<Self>, caller: Caller, app: String, change: Change) -> Asking<'static, Changed>;

    /// Values in plaintext, of `keys` or of all.
    ///
    /// # Security
    /// Only [`reveals`](crate::reveals) calls this, and records it before anybody sees the answer.
    fn values<'a>(
        &'a self,
        caller: &'a Caller,
        app: &'a str,
        release: Option<&'a str>,
        keys: &'a [String],
    ) -> Asking<'a, Values>;
}

/// There is no rack: for tests of what never asks one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRack;

impl NoRack {
    fn answer<T: Send + 'static>() -> Asking<'static, T> {
        let problem = Problem::new(ProblemKind::UpstreamUnreachable, Layer::Network, "there is no rack");
        Box::pin(std::future::ready(Err(problem)))
    }
}

impl RackEnvironment for NoRack {
    fn shown<'a>(&'a self, _caller: &'a Caller, _asked: &'a Asked) -> Asking<'a, Environment> {
        Self::answer()
    }

    fn change(self: Arc<Self>, _caller: Caller, _app: String, _change: Change) -> Asking<'static, Changed> {
        Self::answer()
    }

    fn values<'a>(
        &'a self,
        _caller: &'a Caller,
        _app: &'a str,
        _release: Option<&'a str>,
        _keys: &'a [String],
    ) -> Asking<'a, Values> {
        Self::answer()
    }
}

/// An environment, with handles for what is secret.
///
/// # Errors
/// A refusal when the caller may not read it at the rack, or the other app's; or what the rack says.
pub async fn read(
    app: &App,
    rack: &Arc<dyn RackEnvironment>,
    caller: &Caller,
    asked: &Asked,
) -> Result<Environment, Problem> {
    also_allowed(app, caller, "convox:release:read", &asked.app)?;
    if let Against::App(other) = &asked.against {
        also_allowed(app, caller, "gateway:env:read", other)?;
        also_allowed(app, caller, "convox:release:read", other)?;
    }
    rack.shown(caller, asked).await
}

/// Changes an environment. The names of what changes are in the log before the rack hears of it.
///
/// # Errors
/// [`EnvironmentError`] as a problem; a refusal when the caller may not make releases at the rack; a conflict with the
/// names of what somebody else changed.
pub async fn change(
    app: &App,
    operator: &Operator<'_>,
    rack: &Arc<dyn RackEnvironment>,
    caller: &Caller,
    name: &str,
    change: Change,
) -> Result<Changed, Problem> {
    check(&change)?;
    also_allowed(app, caller, "convox:release:create", name)?;
    let set: Vec<&str> = change.set.iter().map(|(key, _)| key.as_str()).collect();
    let mut event = operator.event("gateway:env:set");
    event.resource = Resource::app(name);
    event.parameters.insert("rack_call".to_owned(), format!("POST /apps/{name}/releases"));
    let unset: Vec<&str> = change.unset.iter().map(String::as_str).collect();
    note_names(&mut event, "set", &set);
    note_names(&mut event, "unset", &unset);
    if let Some(base) = &change.base {
        event.parameters.insert("base".to_owned(), bounded(base));
    }
    record(&app.store, event).await.map_err(EnvironmentError::Record)?;
    let changed = Arc::clone(rack).change(caller.clone(), name.to_owned(), change).await?;
    // What it came to: the names once more, since a merge may have left some as they were.
    let mut done = operator.event("gateway:env:set");
    done.resource = Resource::app(name);
    done.after = Some(json!({ "release": changed.release, "changed": bounded(&changed.keys.join(" ")) }));
    app.store.audit().queue(done);
    Ok(changed)
}

/// The most parts that a list of names is noted in, each of at most 1 KiB.
const MOST_PARTS: usize = 10;

/// Notes names in an event, completely where a leaf has room for them: `label`, `label.2`, and so on.
pub(crate) fn note_names(event: &mut Event, label: &str, names: &[&str]) {
    let mut parts = vec![String::new()];
    for name in names {
        let full = parts.last().is_some_and(|part| {
            !part.is_empty() && part.len() + 1 + name.len() > gateway_audit::text::MAX_TEXT_BYTES
        });
        if full && parts.len() < MOST_PARTS {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(if part.is_empty() { "" } else { " " });
            part.push_str(name);
        }
    }
    for (number, part) in parts.iter().enumerate() {
        let key = if number == 0 { label.to_owned() } else { format!("{label}.{}", number + 1) };
        event.parameters.insert(key, bounded(part));
    }
}

fn check(change: &Change) -> Result<(), EnvironmentError> {
    if change.set.is_empty() && change.unset.is_empty() {
        return Err(EnvironmentError::Nothing);
    }
    if change.set.len() + change.unset.len() > MOST_KEYS {
        return Err(EnvironmentError::TooMany);
    }
    let mut names: Vec<&str> = change.set.iter().map(|(key, _)| key.as_str()).collect();
    names.extend(change.unset.iter().map(String::as_str));
    if let Some(bad) = names.iter().find(|name| !is_key(name)) {
        return Err(EnvironmentError::BadKey { key: bounded(bad) });
    }
    names.sort_unstable();
    if let Some([twice, _]) = names.array_windows().find(|[one, next]| one == next) {
        return Err(EnvironmentError::Twice { key: (*twice).to_owned() });
    }
    let is_one_line = |value: &Secret<String>| !value.expose().contains(['\n', '\r', '\0']);
    match change.set.iter().find(|(_, value)| !is_one_line(value)) {
        Some((key, _)) => Err(EnvironmentError::NotOneLine { key: key.clone() }),
        None => Ok(()),
    }
}

/// Whether this can be the name of a variable: visible ASCII without `=`, at most 1024 bytes.
pub(crate) fn is_key(name: &str) -> bool {
    (1..=1024).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=')
}

/// What a caller may not do at the rack they may not do by this door either.
fn also_allowed(app: &App, caller: &Caller, action: &str, name: &str) -> Result<(), Problem> {
    let unknown = || Problem::new(ProblemKind::UnknownRoute, Layer::Network, "no operation is called so");
    let verdict = app.verdict(caller, action, &Resource::app(name), false).ok_or_else(unknown)?;
    if verdict.is_allowed() {
        return Ok(());
    }
    let detail = format!("{action} on {name}: {}", verdict.reason);
    Err(Problem { rules: verdict.rules, ..Problem::new(ProblemKind::Refused, Layer::Authorization, detail) })
}

/// The person whose credential this is, if it is a person's.
pub const fn person(principal: &Principal) -> Option<gateway_types::UserId> {
    match principal {
        Principal::User { id, .. } => Some(*id),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => None,
    }
}

#[cfg(test)]
mod tests;
