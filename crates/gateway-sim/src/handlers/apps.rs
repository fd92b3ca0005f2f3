//! Apps themselves, their configurations and what is told about them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{Answer, app_of};
use crate::call::Call;
use crate::options::Flavour;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::state::{App, Progress, State, now_text};

pub(crate) fn list(_: &Call, state: &mut State) -> Answer {
    let apps: Vec<_> = state.apps.values().map(App::shape).collect();
    Ok(Reply::json(&apps))
}

pub(crate) fn create(call: &Call, state: &mut State) -> Answer {
    let name = call.required("name")?;
    if state.apps.contains_key(name) {
        return Err(Refusal::AppExists(name.to_owned()));
    }
    let generation = match state.flavour {
        Flavour::V3 => "3",
        Flavour::V2 => "2",
    };
    let app = App::empty(&state.rack, name, generation);
    let reply = Reply::json(&app.shape());
    state.apps.insert(name.to_owned(), app);
    Ok(reply)
}

pub(crate) fn get(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&app_of(call, state)?.shape()))
}

pub(crate) fn update(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    if call.param("lock").is_some() {
        app.locked = call.flag("lock");
    }
    app.parameters.extend(call.map("parameters").unwrap_or_default());
    Ok(Reply::ok())
}

pub(crate) fn delete(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    if app.locked {
        return Err(Refusal::AppLocked(app.name.clone()));
    }
    state.apps.remove(call.var("app"));
    Ok(Reply::ok())
}

pub(crate) fn cancel(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    if app.status() != "updating" {
        return Err(Refusal::NotUpdating);
    }
    app.progress = Progress::Idle;
    Ok(Reply::ok())
}

pub(crate) fn diagnose(call: &Call, state: &mut State) -> Answer {
    let rack = state.rack.clone();
    let app = app_of(call, state)?;
    Ok(Reply::json(&json!({
        "namespace": format!("{rack}-{}", app.name),
        "rack": rack,
        "app": app.name,
        "timestamp": now_text(),
    })))
}

pub(crate) fn balancers(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?;
    Ok(Reply::json(&json!([])))
}

pub(crate) fn configs(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let all: Vec<_> = app.configs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    Ok(Reply::json(&all))
}

pub(crate) fn config(call: &Call, state: &mut State) -> Answer {
    let name = call.var("name");
    let app = app_of(call, state)?;
    let value = app.configs.get(name).ok_or_else(|| Refusal::ConfigNotFound(name.to_owned()))?;
    Ok(Reply::json(&json!({"name": name, "value": value})))
}

pub(crate) fn set_config(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let encoded = call.value("value").unwrap_or_default();
    let bytes = STANDARD.decode(encoded).map_err(|_| Refusal::Invalid("value"))?;
    app.configs.insert(call.var("name").to_owned(), String::from_utf8_lossy(&bytes).into_owned());
    Ok(Reply::ok())
}
