//! Step-up: what a challenge is for, and confirming it, for people without a browser.

use gateway_app::control::OwnRequest;
use gateway_app::{App, step_up};
use gateway_identity::{Assertion, InlineFactor};
use gateway_types::wire::step_up::{Challenge, Confirmation};

use crate::factors::asked_for;
use crate::input::{self, bad};
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn id(request: &OwnRequest) -> &str {
    request.parameter("id").unwrap_or_default()
}

/// What a challenge is for. The id `window` is the window of the session that asks.
#[utoipa::path(get, path = "/step-up/{id}", tag = "step-up", params(("id" = String, Path)),
    responses((status = 200, body = Challenge)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    reply::json(&told(step_up::challenge(app, &request.caller, id(request)).await?))
}

fn told(found: step_up::Challenge) -> Challenge {
    Challenge {
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
        waiting: found.waiting.into_iter().map(told).collect(),
    }
}

/// Confirms a challenge with a second factor, or asks a passkey for it. The id `request` asks a passkey for one
/// request that is then sent with the answer in the header `X-Mfa-Webauthn`.
#[utoipa::path(post, path = "/step-up/{id}", tag = "step-up", params(("id" = String, Path)),
    request_body = Confirmation,
    responses((status = 204), (status = 200, body = gateway_types::wire::factors::PasskeyAsked)))]
pub(crate) async fn confirm(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let mut asked: Confirmation = input::json(request)?;
    let also = std::mem::take(&mut asked.also);
    if !also.is_empty() && asked.code.is_none() {
        return Err(bad("`also` goes with `code`: a passkey, or a page, confirms one thing alone"));
    }
    let factor = match asked {
        Confirmation { code: Some(code), credential: None, begin: None, for_request: None, .. } => {
            InlineFactor::typed(&code)
                .ok_or_else(|| bad("the code is neither six digits nor a backup code"))?
        }
        Confirmation { code: None, credential: Some(answer), begin: None, for_request: None, .. } => {
            let answer = Assertion::from_json(answer.to_string().as_bytes());
            InlineFactor::Webauthn(answer.map_err(|_bad| bad("`credential` is no answer of a passkey"))?)
        }
        Confirmation { code: None, credential: None, begin: Some(begin), for_request, .. }
            if begin == "passkey" =>
        {
            let (caller, origin) = (&request.caller, &request.head.origin);
            let asked =
                step_up::ask_passkey(app, caller, origin, id(request), for_request.as_deref()).await?;
            return reply::json(&asked_for(&asked)?);
        }
        Confirmation { code: None, credential: None, begin: Some(begin), for_request: None, .. }
            if begin == "page" && id(request) == step_up::WINDOW =>
        {
            return reply::json(&told(step_up::open_page(app, &request.caller).await?));
        }
        _ => return Err(bad("give `code` or `credential` to confirm, or `begin`: \"passkey\" to ask one")),
    };
    let operator = app.operator(&request.caller, request.request_id);
    step_up::confirm(app, &operator, &request.caller, id(request), &also, &factor).await?;
    Ok(reply::no_content())
}
