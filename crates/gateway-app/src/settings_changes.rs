//! Settings as admins see and change them: each with its source, each change compare-and-set and an event
//! before it is made.
//!
//! What is in force is the business of [`settings`](crate::settings); whether the caller may change it is
//! the verdict's, before any of these is called.

use gateway_config::{Origin, SettingFault, SettingKey, SettingScope as Reach, SettingValue};
use gateway_store::{Setting as Row, SettingScope, StoreError};
use gateway_types::{CredentialKind, Layer, Problem, ProblemKind, Resource, Timestamp};
use serde_json::{Value, json};

use crate::error::AppError;
use crate::rights::Expected;
use crate::{App, Operator, problems, record};

#[cfg(test)]
mod tests;

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Somebody set it while the gateway ran.
    Database {
        /// Who, as a display name.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Environment, file, flag, or nobody.
    Configured(Origin),
}

/// A setting as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Which.
    pub key: SettingKey,
    /// The value in force.
    pub value: SettingValue,
    /// Where that comes from.
    pub source: Source,
    /// What it would be without the database.
    pub without_database: SettingValue,
    /// Of an app's settings: whether the value is the app's own.
    pub own: bool,
    /// What a change is compared against; 0 while the database has no value here.
    pub version: i64,
}

/// Why a setting was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] AppError),
    /// There is no such setting.
    #[error("there is no setting `{key}`; settings are {}", names())]
    Unknown {
        /// What was asked for.
        key: String,
    },
    /// The setting has one value for the whole gateway.
    #[error("`{}` has one value for the whole gateway; an app cannot have its own", key.name())]
    NotPerApp {
        /// Which.
        key: SettingKey,
    },
    /// No app has such a name.
    #[error("an app's name has 1 to 63 small letters, digits and dashes")]
    BadApp,
    /// Not a value of the setting.
    #[error("{}: {fault}", key.name())]
    BadValue {
        /// Which.
        key: SettingKey,
        /// Why.
        #[source]
        fault: SettingFault,
    },
    /// There is nothing to take out of the database.
    #[error("`{}` has no value in the database here; what is in force comes from elsewhere", key.name())]
    NotSet {
        /// Which.
        key: SettingKey,
    },
}

fn names() -> String {
    SettingKey::ALL.map(SettingKey::name).join(", ")
}

impl From<SettingError> for Problem {
    fn from(error: SettingError) -> Self {
        let (kind, layer) = match error {
            SettingError::Store(error) => return problems::of_store(&error),
            SettingError::Record(error) => return error.into(),
            SettingError::Unknown { .. } => (ProblemKind::NotFound, Layer::Authorization),
            SettingError::NotPerApp { .. } | SettingError::BadApp | SettingError::BadValue { .. } => {
                (ProblemKind::BadParameter, Layer::Network)
            }
            SettingError::NotSet { .. } => (ProblemKind::NotPossible, Layer::Authorization),
        };
        Problem::new(kind, layer, error.to_string())
    }
}

/// The settings of the gateway, or those that `app` may have of its own, each with the value in force.
///
/// # Errors
/// [`SettingError::BadApp`], or the store's.
pub async fn list(app: &App, of_app: Option<&str>) -> Result<Vec<Shown>, SettingError> {
    check_app(of_app)?;
    let rows = app.store.settings().list(None).await?;
    Ok(SettingKey::ALL
        .into_iter()
        .filter(|key| of_app.is_none() || key.scope() == Reach::GatewayOrApp)
        .map(|key| shown(app, &rows, key, of_app))
        .collect())
}

/// The apps that have a value of their own in the database, by name.
///
/// # Errors
/// Only the store's.
pub async fn apps(app: &App) -> Result<Vec<String>, SettingError> {
    let rows = app.store.settings().list(None).await?;
    let mut names: Vec<String> = rows
        .into_iter()
        .filter_map(|row| match row.scope {
            SettingScope::App(name) => Some(name),
            SettingScope::Global => None,
        })
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// One setting.
///
/// # Errors
/// As [`list`], and [`SettingError::Unknown`], [`SettingError::NotPerApp`].
pub async fn read(app: &App, key: &str, of_app: Option<&str>) -> Result<Shown, SettingError> {
    let key = find(key, of_app)?;
    let rows = app.store.settings().list(None).await?;
    Ok(shown(app, &rows, key, of_app))
}

/// Sets the gateway's value, or `of_app`'s own, in the database.
///
/// # Errors
/// [`SettingError::Unknown`], [`SettingError::NotPerApp`], [`SettingError::BadApp`],
/// [`SettingError::BadValue`]; [`StoreError::Conflict`] when somebody changed it since; or the store's.
pub async fn set(
    app: &App,
    operator: &Operator<'_>,
    key: &str,
    of_app: Option<&str>,
    value: &str,
    expected: Expected,
) -> Result<Shown, SettingError> {
    let key = find(key, of_app)?;
    let value = key.parse(value).map_err(|fault| SettingError::BadValue { key, fault })?;
    let before = unchanged(app, key, of_app, expected).await?;
    announce(app, operator, &before, of_app, &json!(value.to_string())).await?;
    let row = (before.version != 0).then_some(before.version);
    let scope = scope(of_app);
    app.store.settings().set(&scope, key.name(), &value.to_string(), row, &operator.actor.name).await?;
    in_force(app, key, of_app).await
}

/// Takes the gateway's value, or `of_app`'s own, out of the database.
///
/// # Errors
/// As [`set`], and [`SettingError::NotSet`].
pub async fn reset(
    app: &App,
    operator: &Operator<'_>,
    key: &str,
    of_app: Option<&str>,
    expected: Expected,
) -> Result<Shown, SettingError> {
    let key = find(key, of_app)?;
    let before = unchanged(app, key, of_app, expected).await?;
    if before.version == 0 {
        return Err(SettingError::NotSet { key });
    }
    announce(app, operator, &before, of_app, &Value::Null).await?;
    app.store.settings().delete(&scope(of_app), key.name(), before.version).await?;
    in_force(app, key, of_app).await
}

fn find(key: &str, of_app: Option<&str>) -> Result<SettingKey, SettingError> {
    check_app(of_app)?;
    let unknown = || SettingError::Unknown { key: gateway_audit::bounded(key) };
    let key = SettingKey::from_name(key).ok_or_else(unknown)?;
    match key.scope() {
        Reach::Gateway if of_app.is_some() => Err(SettingError::NotPerApp { key }),
        Reach::Gateway | Reach::GatewayOrApp => Ok(key),
    }
}

pub(crate) fn check_app(of_app: Option<&str>) -> Result<(), SettingError> {
    let is_name = |name: &str| {
        (1..=63).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if of_app.is_none_or(is_name) { Ok(()) } else { Err(SettingError::BadApp) }
}

fn scope(of_app: Option<&str>) -> SettingScope {
    of_app.map_or(SettingScope::Global, |name| SettingScope::App(name.to_owned()))
}

/// The setting as it is now, when that is what the change expects.
async fn unchanged(
    app: &App,
    key: SettingKey,
    of_app: Option<&str>,
    expected: Expected,
) -> Result<Shown, SettingError> {
    let present = read(app, key.name(), of_app).await?;
    if expected.version(present.version) == present.version {
        Ok(present)
    } else {
        Err(StoreError::Conflict.into())
    }
}

async fn announce(
    app: &App,
    operator: &Operator<'_>,
    before: &Shown,
    of_app: Option<&str>,
    after: &Value,
) -> Result<(), SettingError> {
    let mut event = operator.event("gateway:setting:update");
    if let Some(name) = of_app {
        event.resource = Resource::app(name);
    }
    event.parameters.insert("key".to_owned(), before.key.name().to_owned());
    let stored = match before.source {
        Source::Database { .. } if before.version != 0 => json!(before.value.to_string()),
        Source::Database { .. } | Source::Configured(_) => Value::Null,
    };
    event.before = Some(json!({ "database": stored, "in_force": before.value.to_string() }));
    event.after = Some(json!({ "database": after }));
    Ok(record(&app.store, event).await?)
}

/// Puts the change in force here; other instances learn of it by themselves.
async fn in_force(app: &App, key: SettingKey, of_app: Option<&str>) -> Result<Shown, SettingError> {
    app.settings.refresh(&app.store).await?;
    shorten_sessions(app, key).await?;
    read(app, key.name(), of_app).await
}

/// Holds open sessions to a limit that became shorter.
async fn shorten_sessions(app: &App, key: SettingKey) -> Result<(), StoreError> {
    let kind = match key {
        SettingKey::WebSessionIdle | SettingKey::WebSessionLength => CredentialKind::WebSession,
        SettingKey::CliSessionIdle | SettingKey::CliSessionLength => CredentialKind::CliSession,
        SettingKey::MfaStepUp
        | SettingKey::MfaRequired
        | SettingKey::StepUpWindow
        | SettingKey::SignInFactor
        | SettingKey::TrustedDevice
        | SettingKey::ProviderRefresh
        | SettingKey::RateLimits
        | SettingKey::DestructiveActions
        | SettingKey::ExternalBuilds
        | SettingKey::AppLabels
        | SettingKey::TimeZone
        | SettingKey::ObservePolicies
        | SettingKey::Elevations
        | SettingKey::ElevationLongest
        | SettingKey::ElevationQuorum
        | SettingKey::ApprovalOrder
        | SettingKey::ApprovalQuorum
        | SettingKey::ApprovalLife
        | SettingKey::ApprovalPasskeys
        | SettingKey::ServiceImages
        | SettingKey::ImageDigests
        | SettingKey::GithubRepository
        | SettingKey::GithubBranch
        | SettingKey::GithubPlace
        | SettingKey::GithubReviews
        | SettingKey::GithubNotAuthor
        | SettingKey::GithubPeople
        | SettingKey::GithubChecks
        | SettingKey::GithubSigned
        | SettingKey::AttestationBuilders
        | SettingKey::GithubStatus
        | SettingKey::GithubComment
        | SettingKey::GithubEnvironments
        | SettingKey::CircleciProject
        | SettingKey::CircleciJob
        | SettingKey::SlackChannel
        | SettingKey::SlackEvents
        | SettingKey::EnvPlain
        | SettingKey::EnvSecret
        | SettingKey::EnvProtected
        | SettingKey::RevealLongest
        | SettingKey::RevealNotice
        | SettingKey::Recording
        | SettingKey::RecordInput
        | SettingKey::RecordingRetention
        | SettingKey::AuditRetention
        | SettingKey::WatchNotice
        | SettingKey::SessionSecondPerson
        | SettingKey::SecondPersonWait
        | SettingKey::SessionResume
        | SettingKey::CommandsRefused
        | SettingKey::CommandsSecondPerson => return Ok(()),
    };
    shorten(app, kind).await
}

async fn shorten(app: &App, kind: CredentialKind) -> Result<(), StoreError> {
    let (idle, longest) = app.settings.session_limits(kind);
    app.store.sessions().shorten(kind, idle, longest).await?;
    Ok(())
}

/// Brings all live sessions within the limits in force: the configuration may have changed while nobody served.
///
/// # Errors
/// Only when the store cannot be written.
pub async fn shorten_all_sessions(app: &App) -> Result<(), StoreError> {
    shorten(app, CredentialKind::WebSession).await?;
    shorten(app, CredentialKind::CliSession).await
}

fn shown(app: &App, rows: &[Row], key: SettingKey, of_app: Option<&str>) -> Shown {
    let gateway = gateway_wide(app, rows, key);
    let Some(name) = of_app else { return gateway };
    let configured = app.settings.configured().app_own(key, name);
    let without_database = configured.map_or_else(|| gateway.value.clone(), |setting| setting.value.clone());
    let stored = stored(rows, key, &scope(of_app));
    let version = stored.as_ref().map_or(0, |(row, _)| row.version);
    match (stored.and_then(|(row, value)| Some((row, value?))), configured) {
        (Some((row, value)), _) => {
            Shown { key, value, source: database(row), without_database, own: true, version }
        }
        (None, Some(setting)) => Shown {
            key,
            value: setting.value.clone(),
            source: Source::Configured(setting.origin.clone()),
            without_database,
            own: true,
            version,
        },
        (None, None) => Shown { without_database, own: false, version, ..gateway },
    }
}

fn gateway_wide(app: &App, rows: &[Row], key: SettingKey) -> Shown {
    let configured = app.settings.configured().gateway(key);
    let stored = stored(rows, key, &SettingScope::Global);
    let version = stored.as_ref().map_or(0, |(row, _)| row.version);
    let (value, source) = match stored.and_then(|(row, value)| Some((row, value?))) {
        Some((row, value)) => (value, database(row)),
        None => (configured.value.clone(), Source::Configured(configured.origin)),
    };
    Shown { key, value, source, without_database: configured.value, own: false, version }
}

/// The database's row, with its value when that is one: what is not of its type is not in force.
fn stored<'r>(
    rows: &'r [Row],
    key: SettingKey,
    scope: &SettingScope,
) -> Option<(&'r Row, Option<SettingValue>)> {
    let row = rows.iter().find(|row| row.key == key.name() && row.scope == *scope)?;
    Some((row, key.parse(&row.value).ok()))
}

fn database(row: &Row) -> Source {
    Source::Database { by: row.updated_by.clone(), at: row.updated }
}

/// Which values a setting takes, in words.
pub const fn range(key: SettingKey) -> &'static str {
    match key {
        SettingKey::WebSessionIdle | SettingKey::WebSessionLength => {
            "a duration from 1m to 168h, such as 30m"
        }
        SettingKey::CliSessionIdle | SettingKey::CliSessionLength => {
            "a duration from 1m to 2160h, such as 8h"
        }
        SettingKey::TrustedDevice => "a duration from 1h to 2160h, such as 720h",
        SettingKey::ProviderRefresh => "a duration from 1m to 24h, such as 15m",
        SettingKey::StepUpWindow | SettingKey::ElevationLongest | SettingKey::ApprovalLife => {
            "a duration from 1m to 12h, such as 10m"
        }
        SettingKey::MfaStepUp
        | SettingKey::MfaRequired
        | SettingKey::SignInFactor
        | SettingKey::RateLimits
        | SettingKey::DestructiveActions
        | SettingKey::ExternalBuilds
        | SettingKey::ObservePolicies
        | SettingKey::Elevations
        | SettingKey::ApprovalPasskeys
        | SettingKey::ImageDigests
        | SettingKey::GithubNotAuthor
        | SettingKey::GithubSigned
        | SettingKey::GithubStatus
        | SettingKey::GithubComment
        | SettingKey::RevealNotice
        | SettingKey::RecordInput
        | SettingKey::WatchNotice
        | SettingKey::SessionSecondPerson => "true or false",
        SettingKey::SecondPersonWait => "a duration from 10s to 1h, such as 5m",
        SettingKey::SessionResume => "a duration from 0s to 1h, such as 5m",
        SettingKey::CommandsRefused | SettingKey::CommandsSecondPerson => {
            "commands separated by `;`, such as rm *; rails db:drop *"
        }
        SettingKey::Recording => "strict, best_effort or off",
        SettingKey::AuditRetention => "0s for ever, or a duration from 24h to 87600h, such as 17520h",
        SettingKey::RecordingRetention => "a duration from 24h to 87600h, such as 9600h",
        SettingKey::ElevationQuorum | SettingKey::ApprovalQuorum => "a whole number from 1 to 5",
        SettingKey::ApprovalOrder => "commit or artefact",
        SettingKey::GithubRepository => "owner/name, such as acme/shop",
        SettingKey::GithubBranch => "the name of a branch, such as main",
        SettingKey::GithubPlace => {
            "branch_or_pull_request, branch, branch_head, pull_request or open_pull_request"
        }
        SettingKey::GithubReviews => "a whole number from 0 to 5",
        SettingKey::GithubEnvironments => "names of environments separated by commas, such as production",
        SettingKey::CircleciProject => "gh/ORG/REPO, bb/ORG/REPO or circleci/ORG-ID/PROJECT-ID",
        SettingKey::CircleciJob => "the name of an approval job",
        SettingKey::SlackChannel => "the id or the name of a channel, such as #deploys",
        SettingKey::SlackEvents => "some of requested, decided, deployed, separated by commas",
        SettingKey::GithubPeople => "EMAIL=LOGIN separated by commas, such as ann@example.com=ann",
        SettingKey::GithubChecks => "names separated by commas, or * for all and -NAME for all but one",
        SettingKey::AttestationBuilders => "whole identities of workflows, separated by commas",
        SettingKey::ServiceImages => "SERVICE=PATTERN or *=PATTERN, separated by blanks",
        SettingKey::RevealLongest => "a duration from 10s to 1h, such as 5m",
        SettingKey::EnvPlain | SettingKey::EnvSecret | SettingKey::EnvProtected => {
            "environment keys separated by commas, such as DATABASE_URL,STRIPE_*"
        }
        SettingKey::TimeZone => "a name of the IANA database, such as Europe/Berlin",
        SettingKey::AppLabels => "labels separated by commas: small letters, digits and dashes",
    }
}
