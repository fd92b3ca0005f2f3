//! The rack itself: system, instances, tokens, rack resources, events.

use std::collections::BTreeMap;

use gateway_types::Timestamp;
use serde_json::{Map, Value, json};

use super::Answer;
use crate::auth;
use crate::call::Call;
use crate::options::{Flavour, random_bytes};
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::state::shapes::{Event, Process, RackResource, Release};
use crate::state::{State, now};

const VERSION: &str = "3.24.6";

/// `ok` to what has no effect here.
pub(crate) fn done(_: &Call, _: &mut State) -> Answer {
    Ok(Reply::ok())
}

pub(crate) fn get(_: &Call, state: &mut State) -> Answer {
    let mut system = Map::new();
    let v2 = state.flavour == Flavour::V2;
    let mut put = |name: &str, value: Value| {
        system.insert(name.to_owned(), value);
    };
    put("count", json!(if v2 { 3 } else { 0 }));
    put("domain", json!("router.example.test"));
    put("name", json!(state.rack));
    if v2 {
        put("outputs", json!({"DomainInternal": "internal.example.test"}));
        put("parameters", json!(state.parameters));
    }
    put("provider", json!(if v2 { "aws" } else { "local" }));
    put("rack-domain", json!("api.example.test"));
    put("router-internal", json!(""));
    put("region", json!(if v2 { "us-east-1" } else { "" }));
    put("status", json!("running"));
    put("type", json!(if v2 { "t3.small" } else { "" }));
    put("version", json!(VERSION));
    Ok(Reply::json(&system))
}

pub(crate) fn update(call: &Call, state: &mut State) -> Answer {
    match state.flavour {
        Flavour::V3 => Err(Refusal::DirectRack),
        Flavour::V2 => {
            call.int("count")?;
            state.parameters.extend(call.map("parameters").unwrap_or_default());
            Ok(Reply::ok())
        }
    }
}

pub(crate) fn capacity(_: &Call, state: &mut State) -> Answer {
    let processes: usize = state.apps.values().map(|app| app.processes.len()).sum();
    Ok(Reply::json(&json!({
        "cluster-cpu": 2048 * state.instances.len(),
        "cluster-memory": 4096 * state.instances.len(),
        "instance-cpu": 2048,
        "instance-memory": 4096,
        "process-count": processes,
        "process-cpu": 250 * processes,
        "process-memory": 512 * processes,
        "process-width": 1,
    })))
}

fn an_hour_ago() -> String {
    Timestamp::from_micros(now().micros() - 3_600_000_000).to_rfc3339()
}

pub(crate) fn processes(_: &Call, _: &mut State) -> Answer {
    Ok(Reply::json(&[Process {
        id: "api-6f7d8-xyz".to_owned(),
        app: "system".to_owned(),
        command: "api".to_owned(),
        name: "api".to_owned(),
        release: VERSION.to_owned(),
        started: an_hour_ago(),
        status: "running".to_owned(),
        ..Process::default()
    }]))
}

pub(crate) fn releases(_: &Call, _: &mut State) -> Answer {
    Ok(Reply::json(&[Release { id: VERSION.to_owned(), created: an_hour_ago(), ..Release::default() }]))
}

pub(crate) fn rotate_key(call: &Call, state: &mut State) -> Answer {
    call.must_admin()?;
    state.jwt_key = random_bytes();
    Ok(Reply::ok())
}

pub(crate) fn mint_token(call: &Call, state: &mut State) -> Answer {
    let role = call.required("role")?;
    let hours = call.required("durationInHour")?.parse().map_err(|_| Refusal::Invalid("durationInHour"))?;
    let minted = |hours| auth::mint(role, hours, &state.jwt_key);
    let token = match state.flavour {
        Flavour::V3 => {
            if role == "admin" {
                call.must_admin()?;
            }
            if !(1..=8760).contains(&hours) {
                return Err(Refusal::Invalid("durationInHour"));
            }
            minted(hours).ok_or(Refusal::Invalid("role"))?
        }
        // v2 racks have no limit, and an unknown role gives an empty token.
        Flavour::V2 => minted(hours).unwrap_or_default(),
    };
    Ok(Reply::json(&json!({"token": token})))
}

pub(crate) fn instances(_: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&state.instances))
}

pub(crate) fn keyroll(_: &Call, state: &mut State) -> Answer {
    match state.flavour {
        Flavour::V3 => {
            let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
            Ok(Reply::json(&json!({"name": "kp-1", "private-key": key})))
        }
        Flavour::V2 => Ok(Reply::ok()),
    }
}

pub(crate) fn terminate(call: &Call, state: &mut State) -> Answer {
    let id = call.var("id");
    let known = state.instances.iter().any(|instance| instance.id == id);
    if known { Ok(Reply::ok()) } else { Err(Refusal::InstanceNotFound(id.to_owned())) }
}

pub(crate) fn event(call: &Call, state: &mut State) -> Answer {
    let text = |name: &str| call.param(name).unwrap_or_default().to_owned();
    state.events.push(Event {
        action: call.required("action")?.to_owned(),
        data: call.map("data").unwrap_or_default(),
        error: text("error"),
        status: text("status"),
    });
    Ok(Reply::ok())
}

/// HTTP into the cluster: reachable only by what a gateway must refuse, so it just says where it went.
pub(crate) fn http_proxy(call: &Call, _: &mut State) -> Answer {
    let host = call.header("X-Host").unwrap_or_default();
    let port = call.header("X-Port").unwrap_or_default();
    if !(host.ends_with(".local") || host.ends_with(".svc.cluster.local")) {
        return Err(Refusal::InvalidProxyHost);
    }
    Ok(Reply::text(200, format!("proxied to {host}:{port}/{}\n", call.var("path"))))
}

pub(crate) fn resources(_: &Call, state: &mut State) -> Answer {
    let all: Vec<&RackResource> = state.rack_resources.values().collect();
    Ok(Reply::json(&all))
}

pub(crate) fn resource_types(_: &Call, _: &mut State) -> Answer {
    let parameters = json!([{"default": "", "description": "url", "name": "Url"}]);
    Ok(Reply::json(&json!([{"name": "webhook", "parameters": parameters}])))
}

fn resource_of<'a>(call: &Call, state: &'a mut State) -> Result<&'a mut RackResource, Refusal> {
    let name = call.var("name");
    state.rack_resources.get_mut(name).ok_or_else(|| Refusal::RackResourceNotFound(name.to_owned()))
}

pub(crate) fn resource(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(resource_of(call, state)?))
}

fn url_of(parameters: &BTreeMap<String, String>) -> String {
    parameters.get("Url").cloned().unwrap_or_default()
}

pub(crate) fn create_resource(call: &Call, state: &mut State) -> Answer {
    let kind = call.required("kind")?.to_owned();
    let given = call.value("name").filter(|name| !name.is_empty()).map(str::to_owned);
    let name = given.unwrap_or_else(|| format!("{kind}-{}", state.next_run()));
    let parameters = call.map("parameters").unwrap_or_default();
    let url = url_of(&parameters);
    let status = "running".to_owned();
    let resource = RackResource { name: name.clone(), parameters, status, kind, url, apps: Vec::new() };
    let reply = Reply::json(&resource);
    state.rack_resources.insert(name, resource);
    Ok(reply)
}

pub(crate) fn update_resource(call: &Call, state: &mut State) -> Answer {
    // The rack behind the recordings takes an update and keeps the old value; the demo and v2 keep the new one.
    let keeps = state.lively || state.flavour == Flavour::V2;
    let resource = resource_of(call, state)?;
    if keeps {
        resource.parameters.extend(call.map("parameters").unwrap_or_default());
        resource.url = url_of(&resource.parameters);
    }
    Ok(Reply::json(resource))
}

pub(crate) fn delete_resource(call: &Call, state: &mut State) -> Answer {
    resource_of(call, state)?;
    state.rack_resources.remove(call.var("name"));
    Ok(Reply::ok())
}

pub(crate) fn link_resource(call: &Call, state: &mut State) -> Answer {
    let app = call.required("app")?.to_owned();
    state.app(&app)?;
    let links = state.flavour == Flavour::V2;
    let resource = resource_of(call, state)?;
    if links {
        resource.apps.push(json!({"name": app}));
    }
    Ok(Reply::json(resource))
}

pub(crate) fn unlink_resource(call: &Call, state: &mut State) -> Answer {
    let resource = resource_of(call, state)?;
    let app = call.var("app");
    resource.apps.retain(|linked| linked.get("name").and_then(Value::as_str) != Some(app));
    Ok(Reply::json(resource))
}
