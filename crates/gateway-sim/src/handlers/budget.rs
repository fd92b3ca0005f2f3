//! Cost and budget of an app (v3). `ack_by` is deprecated and answered with the headers that say so.

use serde_json::{Map, Value, json};

use super::{Answer, app_of, ok_for_app};
use crate::call::Call;
use crate::reply::Reply;
use crate::state::{NEVER, State, now_text};

/// The answer, with the marks of a deprecated parameter where it was used.
pub(super) fn deprecated(call: &Call, reply: Reply) -> Reply {
    if call.value("ack_by").is_none_or(str::is_empty) {
        return reply;
    }
    let link =
        "<https://docs.convox.com/migration/ack-by-derivation>; rel=\"deprecation\"; type=\"text/html\"";
    reply.with("Deprecation", "true").with("Link", link).with("Sunset", "Thu, 01 Oct 2026 00:00:00 GMT")
}

pub(crate) fn cost(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    Ok(Reply::json(&json!({
        "app": app.name,
        "month-start": NEVER,
        "as-of": now_text(),
        "spend-usd": 0,
        "breakdown": [],
        "pricing-source": "on-demand-static-table",
        "pricing-table-version": "",
        "pricing-adjustment": 0,
    })))
}

pub(crate) fn get(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    Ok(Reply::json(&json!({"config": app.budget, "state": null})))
}

pub(crate) fn set(call: &Call, state: &mut State) -> Answer {
    let names = ["monthly-cap-usd", "alert-threshold-percent", "at-cap-action", "pricing-adjustment"];
    call.must_admin()?;
    let app = app_of(call, state)?;
    let mut config =
        app.budget.take().and_then(|budget| budget.as_object().cloned()).unwrap_or_else(Map::new);
    for name in names {
        if let Some(text) = call.param(name) {
            let number = serde_json::from_str::<Value>(text).ok().filter(Value::is_number);
            config.insert(name.to_owned(), number.unwrap_or_else(|| Value::from(text)));
        }
    }
    app.budget = Some(Value::Object(config));
    Ok(deprecated(call, Reply::ok()))
}

pub(crate) fn clear(call: &Call, state: &mut State) -> Answer {
    call.must_admin()?;
    app_of(call, state)?.budget = None;
    Ok(deprecated(call, Reply::ok()))
}

pub(crate) fn reset(call: &Call, state: &mut State) -> Answer {
    if call.value("force_clear_cooldown") == Some("true") {
        call.must_admin()?;
    }
    ok_for_app(call, state).map(|reply| deprecated(call, reply))
}

pub(crate) fn shutdown_state(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?;
    Ok(Reply::json(&Value::Null))
}

pub(crate) fn simulate(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?;
    Ok(Reply::json(&json!({
        "app": "",
        "at-cap-action": "",
        "webhook-url": "",
        "notify-before-minutes": 0,
        "shutdown-grace-period": "",
        "shutdown-order": "",
        "recovery-mode": "",
        "eligibility": null,
        "would-shut-down-services": null,
        "would-shut-down-count": 0,
        "estimated-cost-saved-usd-per-hour": 0,
        "simulated-at": NEVER,
    })))
}

pub(crate) fn dismiss(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?;
    Ok(deprecated(call, Reply::json(&json!({"app": "", "status": ""}))))
}
