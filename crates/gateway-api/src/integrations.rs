//! Who else is asked about deploys and told of them, and what Slack says: `/integrations`.

use gateway_app::App;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::integrations::{self, Claimed, Credentials, Given, Heard, Kind, Shown, Source, Stand};
use gateway_store::IntegrationTest as Kept;
use gateway_types::wire::integrations::{Integration, IntegrationTest, Integrations, WriteIntegration};
use gateway_types::{Problem, Secret};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn shown(one: Shown) -> Integration {
    let (source, state) = (one.source.name(), one.stand.name());
    let (updated_by, updated) = match one.source {
        Source::Database { by, at } => (Some(by), Some(at.to_rfc3339())),
        Source::Configuration | Source::Nobody => (None, None),
    };
    let fault = match one.stand {
        Stand::Faulty(fault) => Some(fault),
        Stand::Ready | Stand::Off => None,
    };
    let test = |kept: Kept| IntegrationTest {
        good: kept.good,
        said: kept.said,
        tested_by: kept.tested_by,
        tested: kept.tested.to_rfc3339(),
    };
    Integration {
        kind: one.kind.name().to_owned(),
        source: source.to_owned(),
        state: state.to_owned(),
        fault,
        updated_by,
        updated,
        last_test: one.last_test.map(test),
        version: one.version,
    }
}

fn kind(request: &OwnRequest) -> Result<Kind, Problem> {
    Ok(request.parameter("kind").unwrap_or_default().parse::<Kind>()?)
}

fn tagged(one: Shown) -> Answer {
    let version = one.version;
    Ok(reply::tagged(reply::json(&shown(one))?, version))
}

/// Every integration, without its credentials.
#[utoipa::path(get, path = "/api/v1/integrations", tag = "integrations",
    responses((status = 200, body = Integrations)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let all = integrations::list(app).await?;
    reply::json(&Integrations { items: all.into_iter().map(shown).collect() })
}

/// Gives the gateway the credentials for a service. `If-Match`: the version, 0 for the first ones.
#[utoipa::path(put, path = "/api/v1/integrations/{kind}", tag = "integrations",
    params(("kind" = String, Path), ("If-Match" = String, Header)), request_body = WriteIntegration,
    responses((status = 200, body = Integration)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let kind = kind(request)?;
    let expected = input::if_match(request)?;
    let written: WriteIntegration = input::secret_json(request)?;
    let given = Given {
        token: written.token.map(Secret::new),
        app_id: written.app_id,
        app_installation: written.app_installation,
        app_private_key: written.app_private_key.map(Secret::new),
        bot_token: written.bot_token.map(Secret::new),
        signing_secret: written.signing_secret.map(Secret::new),
    };
    let credentials = Credentials::of(kind, given).map_err(integrations::IntegrationError::from)?;
    let operator = app.operator(&request.caller, request.request_id);
    tagged(integrations::set(app, &operator, kind, &credentials, expected).await?)
}

/// Takes the credentials for a service out of the database.
#[utoipa::path(delete, path = "/api/v1/integrations/{kind}", tag = "integrations",
    params(("kind" = String, Path), ("If-Match" = String, Header)), responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let kind = kind(request)?;
    let expected = input::if_match(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    integrations::remove(app, &operator, kind, expected).await?;
    Ok(reply::no_content())
}

/// Asks the service whether it lets the gateway in. That it does not is no error: look at `last_test`.
#[utoipa::path(post, path = "/api/v1/integrations/{kind}/test", tag = "integrations",
    params(("kind" = String, Path)), responses((status = 200, body = Integration)))]
pub(crate) async fn test(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let kind = kind(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    tagged(integrations::test(app, &operator, kind).await?)
}

/// What Slack tells: the check of the address, and buttons that somebody pressed, which decide nothing. A request
/// without Slack's signature is refused.
#[utoipa::path(post, path = "/api/v1/integrations/slack/events", tag = "integrations",
    params(("X-Slack-Request-Timestamp" = String, Header), ("X-Slack-Signature" = String, Header)),
    request_body(content = String, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200), (status = 401, body = gateway_types::wire::meta::ProblemDocument)))]
pub(crate) async fn slack_event(app: &App, request: &OwnRequest) -> Answer {
    let content_type = once(request, CONTENT_TYPE.as_str()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let claimed = Claimed {
        timestamp: once(request, "x-slack-request-timestamp"),
        signature: once(request, "x-slack-signature"),
        is_form: essence.eq_ignore_ascii_case("application/x-www-form-urlencoded"),
        body: &request.body,
    };
    let heard = integrations::hear(app, claimed).await.inspect_err(|fault| {
        tracing::warn!(fault = fault as &dyn std::error::Error, "a request was not taken for Slack's");
    })?;
    let body = match heard {
        Heard::Challenge(challenge) => json!({ "challenge": challenge }).to_string().into_bytes(),
        Heard::Taken => Vec::new(),
    };
    Ok(OwnReply::new(200, "application/json", body).with_header(CACHE_CONTROL, "no-store"))
}

/// A header that stands exactly once.
fn once<'r>(request: &'r OwnRequest, name: &str) -> Option<&'r str> {
    let mut values = request.head.headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    if values.next().is_some() { None } else { Some(first) }
}
