//! Step-up: what a challenge is for, and confirming it, for people without a browser.

use gateway_app::control::OwnRequest;
use gateway_app::{App, step_up};
use gateway_identity::InlineFactor;
use gateway_types::wire::step_up::{Challenge, Confirmation};
use gateway_types::{Layer, Problem, ProblemKind};

use crate::input;
use crate::paging::bare;
use crate::reply::{self, Answer};

fn id(request: &OwnRequest) -> &str {
    request.parameter("id").unwrap_or_default()
}

/// What a challenge is for. The id `window` is the window of the session that asks.
#[utoipa::path(get, path = "/step-up/{id}", tag = "step-up", params(("id" = String, Path)),
    responses((status = 200, body = Challenge)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let found = step_up::challenge(app, &request.caller, id(request)).await?;
    reply::json(&Challenge {
        id: found.id,
        action: found.action,
        resource: found.resource,
        target: found.target,
        bound: found.bound,
        device: found.device,
        ip: found.ip.map(|ip| ip.to_string()),
        expires: found.expires.to_rfc3339(),
        confirmed: found.confirmed,
        window_seconds: found.window.as_secs(),
    })
}

/// Confirms a challenge with a second factor.
#[utoipa::path(post, path = "/step-up/{id}", tag = "step-up", params(("id" = String, Path)),
    request_body = Confirmation, responses((status = 204)))]
pub(crate) async fn confirm(app: &App, request: &OwnRequest) -> Answer {
    let Confirmation { code } = input::json(request)?;
    let factor = InlineFactor::typed(&code).ok_or_else(|| {
        Problem::new(
            ProblemKind::BadParameter,
            Layer::Network,
            "the code is neither six digits nor a backup code",
        )
    })?;
    let operator = app.operator(&request.caller, request.request_id);
    step_up::confirm(app, &operator, &request.caller, id(request), &factor).await?;
    Ok(reply::no_content())
}
