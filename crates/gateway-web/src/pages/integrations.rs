//! Who else is asked about deploys and told of them: each with its source and how the last test ended; credentials
//! given, taken away and tried. No credential is ever shown again, not even to whoever just gave it.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::integrations::{self, Credentials, Given, IntegrationError, Kind, Shown, Source, Stand};
use gateway_app::rights::Expected;
use gateway_types::{Problem, Secret, Timestamp};

use super::versions;
use crate::page::Frame;
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/integrations";

#[derive(Template)]
#[template(path = "integrations.html")]
struct IntegrationsPage {
    frame: Frame,
    rows: Vec<Row>,
    /// Why this person may not give or take away credentials.
    refused: Option<String>,
    /// Why this person may not test them.
    untested: Option<String>,
    /// The gateway's address for Slack.
    events: Option<String>,
    /// What is wrong with a form, and of which service.
    fault: Option<(&'static str, String)>,
}

struct Row {
    name: &'static str,
    title: &'static str,
    source: String,
    since: Option<Timestamp>,
    /// Whether the configuration gives the credentials.
    configured: bool,
    stored: bool,
    state: &'static str,
    tone: &'static str,
    why: String,
    tested: Option<Tested>,
    version: i64,
    fields: &'static [Field],
}

struct Tested {
    verdict: &'static str,
    tone: &'static str,
    said: String,
    at: Timestamp,
    by: String,
}

/// A field of a form.
struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    what: What,
}

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Nothing secret.
    Text,
    /// A secret on one line.
    Secret,
    /// A secret of several lines.
    Lines,
}

const fn field(name: &'static str, label: &'static str, hint: &'static str, what: What) -> Field {
    Field { name, label, hint, what }
}

const GITHUB: &[Field] = &[
    field(
        "token",
        "Token",
        "A fine-grained token of a machine user. Leave it empty for a GitHub App.",
        What::Secret,
    ),
    field("app_id", "App ID", "Or a GitHub App: the number on its settings page.", What::Text),
    field(
        "app_installation",
        "Installation ID",
        "The number at the end of its installation\u{2019}s address.",
        What::Text,
    ),
    field("app_private_key", "Private key", "In PEM, as GitHub gave it.", What::Lines),
];

const CIRCLECI: &[Field] =
    &[field("token", "Token", "A personal token of a user who may approve the waiting jobs.", What::Secret)];

const SLACK: &[Field] = &[
    field("bot_token", "Bot token", "Under OAuth & Permissions; it begins with xoxb-.", What::Secret),
    field("signing_secret", "Signing secret", "Under Basic Information.", What::Secret),
];

const fn fields(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Github => GITHUB,
        Kind::Circleci => CIRCLECI,
        Kind::Slack => SLACK,
    }
}

impl Field {
    fn is_secret(&self) -> bool {
        self.what == What::Secret
    }

    fn has_lines(&self) -> bool {
        self.what == What::Lines
    }
}

/// `GET /app/integrations`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&page(web, request, None).await?)
}

async fn page(
    web: &Web,
    request: &OwnRequest,
    fault: Option<(&'static str, String)>,
) -> Result<IntegrationsPage, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let all = integrations::list(app).await?;
    Ok(IntegrationsPage {
        frame: Frame::of(web, request, "Integrations"),
        rows: all.into_iter().map(row).collect(),
        refused: gate::refusal(app, caller, "POST /app/integrations/{kind}", false),
        untested: gate::refusal(app, caller, "POST /app/integrations/{kind}/test", false),
        events: app
            .domain
            .as_ref()
            .map(|domain| format!("https://{domain}/api/v1/integrations/slack/events")),
        fault,
    })
}

fn row(one: Shown) -> Row {
    let (state, tone) = match &one.stand {
        Stand::Ready => ("ready", "ok"),
        Stand::Off => ("off", ""),
        Stand::Faulty(_) => ("faulty", "bad"),
    };
    let why = match one.stand {
        Stand::Faulty(fault) => fault,
        Stand::Ready | Stand::Off => String::new(),
    };
    let configured = one.source == Source::Configuration;
    let (source, since) = match one.source {
        Source::Configuration => ("the configuration".to_owned(), None),
        Source::Database { by, at } => (format!("given by {by}"), Some(at)),
        Source::Nobody => ("nobody".to_owned(), None),
    };
    Row {
        name: one.kind.name(),
        title: one.kind.title(),
        source,
        since,
        configured,
        stored: one.version != 0,
        state,
        tone,
        why,
        tested: one.last_test.map(|test| Tested {
            verdict: if test.good { "let in" } else { "refused" },
            tone: if test.good { "ok" } else { "bad" },
            said: test.said,
            at: test.tested,
            by: test.tested_by,
        }),
        version: one.version,
        fields: fields(one.kind),
    }
}

fn kind(request: &OwnRequest) -> Result<Kind, Problem> {
    Ok(request.parameter("kind").unwrap_or_default().parse::<Kind>()?)
}

/// `POST /app/integrations/{kind}`.
pub(crate) async fn write(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, kind) = (web.app(), kind(request)?);
    let version = versions::expected(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let written = match Credentials::of(kind, given(request)) {
        Ok(credentials) => {
            integrations::set(app, &operator, kind, &credentials, Expected::Version(version)).await
        }
        Err(fault) => Err(fault.into()),
    };
    match written {
        Ok(_shown) => Ok(reply::done(PATH, "integration-written")),
        Err(error @ (IntegrationError::Credentials(_) | IntegrationError::Setup(_))) => {
            // The form comes back empty: what was typed into it is not shown again.
            let page = page(web, request, Some((kind.name(), error.to_string()))).await?;
            reply::html_with_status(400, &page)
        }
        Err(error) => Err(versions::told(error.into(), PATH)),
    }
}

fn given(request: &OwnRequest) -> Given {
    let text = |name| {
        let text = request.field(name).unwrap_or_default().trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let secret = |name| text(name).map(Secret::new);
    Given {
        token: secret("token"),
        app_id: text("app_id"),
        app_installation: text("app_installation"),
        app_private_key: secret("app_private_key"),
        bot_token: secret("bot_token"),
        signing_secret: secret("signing_secret"),
    }
}

/// `POST /app/integrations/{kind}/remove`.
pub(crate) async fn remove(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, kind) = (web.app(), kind(request)?);
    let version = versions::expected(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let removed = integrations::remove(app, &operator, kind, Expected::Version(version)).await;
    removed.map_err(|error| versions::told(error.into(), PATH))?;
    Ok(reply::done(PATH, "integration-removed"))
}

/// `POST /app/integrations/{kind}/test`.
pub(crate) async fn test(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let app = web.app();
    let operator = app.operator(&request.caller, request.request_id);
    integrations::test(app, &operator, kind(request)?).await?;
    Ok(reply::done(PATH, "integration-tested"))
}
