//! Parameter maps and configs that are written back with handles in them, and what a caller typed into them itself.

use gateway_convox::{RackRequest, Secrecy};
use gateway_secrets::{HandleKey, contains_handle, is_handle};
use gateway_types::{Principal, Problem};

use super::rack::RackReader;
use super::{credential_of, unknown_handles};
use crate::phases::inspect::{RACK_SCOPE, parameter_problem};
use crate::plane::DataPlane;

/// The text in which handles are looked for: an app config's value comes as base64.
pub(super) fn decoded(name: &str, value: &str) -> String {
    if name == "value" { base64_text(value).unwrap_or_else(|| value.to_owned()) } else { value.to_owned() }
}

fn base64_text(value: &str) -> Option<String> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(value)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Handles in parameter maps and configs are looked up in what the rack holds under the same path now.
pub(super) async fn restore_parameters(
    plane: &DataPlane,
    principal: &Principal,
    request: &mut RackRequest,
) -> Result<(), Problem> {
    let resource = request.resource();
    let app = resource.app_name().unwrap_or(RACK_SCOPE).to_owned();
    let key = plane.parts.keyring.scope(&app);
    let rack = RackReader { plane, principal, app: &app };
    let path = request.serialise().target;
    let present: serde_json::Value =
        rack.read(path.split('?').next().unwrap_or_default()).await?.unwrap_or_default();
    let names: Vec<(String, Secrecy)> =
        request.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.secrecy)).collect();
    for (name, secrecy) in names {
        match secrecy {
            Secrecy::SecretValues => restore_map(request, &name, &present, &key)?,
            Secrecy::Secret => restore_value(request, &name, &present, &key)?,
            Secrecy::Plain | Secrecy::Scanned => {
                if secrecy == Secrecy::Scanned && request.get(&name).is_some_and(contains_handle) {
                    return Err(unknown_handles(&[name]));
                }
            }
        }
    }
    Ok(())
}

fn restore_map(
    request: &mut RackRequest,
    name: &str,
    present: &serde_json::Value,
    key: &HandleKey,
) -> Result<(), Problem> {
    let mut pairs = request.map(name).unwrap_or_default();
    let mut unknown = Vec::new();
    for (inner, value) in &mut pairs {
        if !contains_handle(value) {
            continue;
        }
        let held =
            present.get(name).and_then(|map| map.get(inner.as_str())).and_then(serde_json::Value::as_str);
        match held.filter(|held| is_handle(value) && key.handle(inner, held) == *value) {
            Some(held) => *value = held.to_owned(),
            None => unknown.push(inner.clone()),
        }
    }
    if !unknown.is_empty() {
        return Err(unknown_handles(&unknown));
    }
    request.set_map(name, &pairs).map_err(|fault| parameter_problem(&fault))
}

fn restore_value(
    request: &mut RackRequest,
    name: &str,
    present: &serde_json::Value,
    key: &HandleKey,
) -> Result<(), Problem> {
    let value = decoded(name, request.get(name).unwrap_or_default());
    if !contains_handle(&value) {
        return Ok(());
    }
    let held = present.get(name).and_then(serde_json::Value::as_str);
    let Some(held) = held.filter(|held| is_handle(&value) && key.handle(name, held) == value) else {
        return Err(unknown_handles(&[name.to_owned()]));
    };
    let held = if name == "value" {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(held)
    } else {
        held.to_owned()
    };
    request.set(name, held).map_err(|fault| parameter_problem(&fault))
}

/// The secret parameters of an app that a caller typed itself, each with the handle it will be shown as.
pub(crate) fn typed_parameters(plane: &DataPlane, request: &RackRequest) -> Vec<(String, String)> {
    let resource = request.resource();
    let Some(app) =
        resource.app_name().filter(|_| request.operation().action.as_str() == "convox:app:update")
    else {
        return Vec::new();
    };
    let (key, plain) = (plane.parts.keyring.scope(app), plane.plain_keys(Some(app)));
    let typed = request.map("parameters").unwrap_or_default().into_iter();
    typed
        .filter(|(name, value)| !value.is_empty() && !contains_handle(value) && !plain.is_plain(name))
        .map(|(name, value)| (key.handle(&name, &value), value))
        .collect()
}

/// Remembers typed parameters that the rack took.
pub(crate) fn remember_typed(
    plane: &DataPlane,
    principal: &Principal,
    request: &RackRequest,
    typed: Vec<(String, String)>,
) {
    if let Some(app) = request.resource().app_name().filter(|_| !typed.is_empty()) {
        plane.own_writes.wrote(&credential_of(principal), app, typed);
    }
}
