//! Certificates, private registries and Let's Encrypt.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, app_of};
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::state::shapes::{Certificate, Registry};
use crate::state::{State, later_text};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn certificates(_: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&state.certificates))
}

/// Adds a certificate for these names.
fn add(state: &mut State, domains: Vec<String>) -> Reply {
    state.certificates_made += 1;
    let certificate = Certificate {
        id: format!("cert-{}", state.certificates_made),
        domain: domains.first().cloned().unwrap_or_default(),
        domains,
        expiration: later_text(DAY),
        status: String::new(),
    };
    let reply = Reply::json(&certificate);
    state.certificates.push(certificate);
    reply
}

pub(crate) fn import_certificate(call: &Call, state: &mut State) -> Answer {
    call.required("pub")?;
    call.required("key")?;
    Ok(add(state, vec!["imported.example.test".to_owned()]))
}

pub(crate) fn generate_certificate(call: &Call, state: &mut State) -> Answer {
    let domains = call.required("domains")?.split(',').map(str::to_owned).collect();
    Ok(add(state, domains))
}

pub(crate) fn renew_certificate(call: &Call, state: &mut State) -> Answer {
    state.app(call.var("id")).map(|_| Reply::ok())
}

pub(crate) fn delete_certificate(call: &Call, state: &mut State) -> Answer {
    let id = call.var("id");
    let before = state.certificates.len();
    state.certificates.retain(|certificate| certificate.id != id);
    if state.certificates.len() == before {
        return Err(Refusal::CertificateNotFound(id.to_owned()));
    }
    Ok(Reply::ok())
}

pub(crate) fn apply_certificate(call: &Call, state: &mut State) -> Answer {
    let id = call.required("id")?.to_owned();
    let balancer: u16 = call.var("port").parse().map_err(|_| Refusal::Invalid("port"))?;
    let service = app_of(call, state)?.service(call.var("service"))?;
    for port in service.ports.iter_mut().filter(|port| port.balancer == balancer) {
        port.certificate.clone_from(&id);
    }
    Ok(Reply::ok())
}

pub(crate) fn registries(_: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&state.registries))
}

pub(crate) fn add_registry(call: &Call, state: &mut State) -> Answer {
    let registry = Registry {
        server: call.required("server")?.to_owned(),
        username: call.value("username").unwrap_or_default().to_owned(),
        password: call.value("password").unwrap_or_default().to_owned(),
    };
    let reply = Reply::json(&registry);
    state.registries.retain(|have| have.server != registry.server);
    state.registries.push(registry);
    Ok(reply)
}

pub(crate) fn remove_registry(call: &Call, state: &mut State) -> Answer {
    let server = call.var("server");
    let before = state.registries.len();
    state.registries.retain(|registry| registry.server != server);
    if state.registries.len() == before {
        return Err(Refusal::RegistryNotFound(server.to_owned()));
    }
    Ok(Reply::ok())
}

/// The docker registry proxy: reachable only by what a gateway must refuse, so it just says that it was reached.
pub(crate) fn registry_proxy(call: &Call, _: &mut State) -> Answer {
    Ok(Reply::json(&json!({"registry": call.var("path")}))
        .with("Docker-Distribution-Api-Version", "registry/2.0"))
}

pub(crate) fn letsencrypt(_: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&state.letsencrypt))
}

pub(crate) fn set_letsencrypt(call: &Call, state: &mut State) -> Answer {
    state.letsencrypt =
        serde_json::from_str::<Value>(&call.body_text()).map_err(|_| Refusal::Invalid("config"))?;
    Ok(Reply::ok())
}
