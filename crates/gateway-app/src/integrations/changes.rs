//! Integrations as admins see, change and try them: each with its source, each change compare-and-set and an event
//! before it is made. No credential ever comes out again.

use std::time::Duration;

use gateway_audit::bounded;
use gateway_store::{Integration, IntegrationTest, StoreError};
use gateway_types::Timestamp;
use serde_json::{Value, json};

use super::{Credentials, IntegrationError, Kind, WayOut};
use crate::rights::Expected;
use crate::{App, Operator, record};

/// How long a look at a service may take.
const LIMIT: Duration = Duration::from_secs(20);

/// Where the credentials come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// Environment or file.
    Configuration,
    /// Somebody gave them while the gateway ran.
    Database {
        /// Who, as a display name.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// There are none.
    Nobody,
}

impl Source {
    /// The word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Source::Configuration => "configuration",
            Source::Database { .. } => "database",
            Source::Nobody => "none",
        }
    }
}

/// Whether the gateway can speak with a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stand {
    /// It has credentials. Whether they are taken, a test says.
    Ready,
    /// There are none.
    Off,
    /// There are some that cannot be used.
    Faulty(String),
}

impl Stand {
    /// The word for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Stand::Ready => "ready",
            Stand::Off => "off",
            Stand::Faulty(_) => "faulty",
        }
    }
}

/// An integration as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Which service.
    pub kind: Kind,
    /// Where the credentials come from.
    pub source: Source,
    /// Whether the gateway can speak with it.
    pub stand: Stand,
    /// How the last look ended.
    pub last_test: Option<IntegrationTest>,
    /// What a change is compared against; 0 while the database has no credentials.
    pub version: i64,
}

/// All integrations.
///
/// # Errors
/// Only the store's.
pub async fn list(app: &App) -> Result<Vec<Shown>, IntegrationError> {
    let stored = app.store.integrations().list().await?;
    let tests = app.store.integrations().tests().await?;
    Ok(Kind::ALL.into_iter().map(|kind| shown(app, kind, &stored, &tests)).collect())
}

fn shown(app: &App, kind: Kind, stored: &[Integration], tests: &[IntegrationTest]) -> Shown {
    let row = stored.iter().find(|row| row.kind == kind.name());
    let source = match row {
        _ if app.integrations.is_configured(kind) => Source::Configuration,
        Some(row) => Source::Database { by: row.updated_by.clone(), at: row.updated },
        None => Source::Nobody,
    };
    let stand = match app.integrations.fault(kind) {
        Some(fault) => Stand::Faulty(fault),
        None if app.integrations.is_ready(kind) => Stand::Ready,
        None => Stand::Off,
    };
    let last_test = tests.iter().find(|test| test.kind == kind.name()).cloned();
    Shown { kind, source, stand, last_test, version: row.map_or(0, |row| row.version) }
}

async fn one(app: &App, kind: Kind) -> Result<Shown, IntegrationError> {
    let stored = app.store.integrations().list().await?;
    let tests = app.store.integrations().tests().await?;
    Ok(shown(app, kind, &stored, &tests))
}

/// What is kept, in words without secrets.
fn kept(kind: Kind, stored: &[Integration]) -> (i64, Value) {
    let Some(row) = stored.iter().find(|row| row.kind == kind.name()) else { return (0, Value::Null) };
    let credentials = row.credentials.as_ref().and_then(|sealed| Credentials::read(kind, sealed).ok());
    let words = credentials.map_or_else(|| "unreadable".to_owned(), |credentials| credentials.in_words());
    (row.version, json!({ "credentials": words }))
}

/// Gives the gateway credentials, in the place of those that the database has. They are in force here at once, and at
/// other instances within seconds.
///
/// # Errors
/// [`IntegrationError::Configured`] while the configuration gives them, [`IntegrationError::Setup`] for what cannot be
/// used; [`StoreError::Conflict`] when somebody changed them since; or the store's.
pub async fn set(
    app: &App,
    operator: &Operator<'_>,
    kind: Kind,
    credentials: &Credentials,
    expected: Expected,
) -> Result<Shown, IntegrationError> {
    if app.integrations.is_configured(kind) {
        return Err(IntegrationError::Configured { kind });
    }
    app.integrations.check(credentials)?;
    let (present, before) = kept(kind, &app.store.integrations().list().await?);
    let version = expected.version(present);
    if version != present {
        return Err(StoreError::Conflict.into());
    }
    let mut event = operator.event("gateway:integration:update");
    event.parameters.insert("kind".to_owned(), kind.name().to_owned());
    event.before = Some(before);
    // Which ones they are is told by when they were given: nothing is made of a secret, not even a digest.
    event.after = Some(json!({ "credentials": credentials.in_words() }));
    record(&app.store, event).await?;
    let document = credentials.to_document().ok_or(super::CredentialsFault::Kept { kind })?;
    let row = (version != 0).then_some(version);
    app.store.integrations().set(kind.name(), &document, row, &operator.actor.name).await?;
    app.integrations.refresh(&app.store).await?;
    one(app, kind).await
}

/// Takes the credentials out of the database.
///
/// # Errors
/// [`IntegrationError::NotSet`], or as [`set`].
pub async fn remove(
    app: &App,
    operator: &Operator<'_>,
    kind: Kind,
    expected: Expected,
) -> Result<(), IntegrationError> {
    let (present, before) = kept(kind, &app.store.integrations().list().await?);
    if present == 0 {
        return Err(IntegrationError::NotSet { kind });
    }
    let version = expected.version(present);
    if version != present {
        return Err(StoreError::Conflict.into());
    }
    let mut event = operator.event("gateway:integration:remove");
    event.parameters.insert("kind".to_owned(), kind.name().to_owned());
    event.before = Some(before);
    event.after = Some(Value::Null);
    record(&app.store, event).await?;
    app.store.integrations().remove(kind.name(), version).await?;
    app.integrations.refresh(&app.store).await?;
    Ok(())
}

/// Asks a service whether it lets the gateway in, and as whom. How that ended is kept and shown.
///
/// # Errors
/// [`IntegrationError::NotSet`] when there is nothing to ask with, or the store's. A no of the service is no error.
pub async fn test(app: &App, operator: &Operator<'_>, kind: Kind) -> Result<Shown, IntegrationError> {
    let before = one(app, kind).await?;
    if before.stand == Stand::Off {
        return Err(IntegrationError::NotSet { kind });
    }
    let asked = match tokio::time::timeout(LIMIT, ask(app, kind)).await {
        Ok(asked) => asked,
        Err(_elapsed) => Err(format!("{kind} did not answer within {} seconds", LIMIT.as_secs())),
    };
    let (good, said) = match asked {
        Ok(said) => (true, said),
        Err(said) => (false, said),
    };
    let test = IntegrationTest {
        kind: kind.name().to_owned(),
        good,
        said: bounded(&said),
        tested_by: operator.actor.name.clone(),
        tested: operator.clock.now(),
    };
    let mut event = operator.event("gateway:integration:test");
    event.parameters.insert("kind".to_owned(), kind.name().to_owned());
    let summary = |test: &IntegrationTest| json!({ "good": test.good, "said": test.said });
    event.before = Some(before.last_test.as_ref().map_or(Value::Null, summary));
    event.after = Some(summary(&test));
    record(&app.store, event).await?;
    app.store.integrations().keep_test(&test).await?;
    one(app, kind).await
}

/// As whom the service knows the gateway, or why it does not.
async fn ask(app: &App, kind: Kind) -> Result<String, String> {
    let http = WayOut(&*app.fetch);
    let integrations = &app.integrations;
    if let Some(fault) = integrations.fault(kind) {
        return Err(fault);
    }
    let gone = || "it was taken away meanwhile".to_owned();
    match kind {
        Kind::Github => {
            let desk = integrations.github().ok_or_else(gone)?;
            desk.who(&http, app.clock.now()).await.map_err(|fault| fault.to_string())
        }
        Kind::Circleci => {
            let circle = integrations.circleci().ok_or_else(gone)?;
            let login = circle.who(&http).await.map_err(|fault| fault.to_string())?;
            Ok(format!("let in as {login}"))
        }
        Kind::Slack => {
            let desk = integrations.slack().ok_or_else(gone)?;
            let bot = desk.client().who(&http).await.map_err(|fault| fault.to_string())?;
            Ok(format!("let in as {} of the workspace {}", bot.user, bot.team))
        }
    }
}
