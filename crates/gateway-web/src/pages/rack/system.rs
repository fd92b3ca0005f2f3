//! The rack itself: what it is, its processes and resources, instances, certificates and registries.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_convox::replies::{Certificate, Instance, Process, Registry, Resource, System};
use gateway_types::{Problem, Timestamp};

use super::{Offer, Part, listed, moment, offer_at_rack, said, tone};
use crate::page::Frame;
use crate::{Web, filters, reply};

#[derive(Template)]
#[template(path = "rack_system.html")]
struct SystemPage {
    frame: Frame,
    system: System,
    tone: &'static str,
    parameters: Vec<(String, String)>,
    /// Whether this person may list the rack's resources.
    resources: Offer,
    commands: Vec<&'static str>,
}

#[derive(Template)]
#[template(path = "rack_system_processes.html")]
struct ProcessesPage {
    frame: Frame,
    columns: Vec<&'static str>,
    part: Part<ProcessRow>,
    commands: Vec<&'static str>,
}

struct ProcessRow {
    process: Process,
    started: Option<Timestamp>,
}

#[derive(Template)]
#[template(path = "rack_system_resources.html")]
struct ResourcesPage {
    frame: Frame,
    part: Part<Resource>,
    commands: Vec<&'static str>,
}

#[derive(Template)]
#[template(path = "rack_instances.html")]
struct InstancesPage {
    frame: Frame,
    live: String,
    columns: Vec<&'static str>,
    part: Part<InstanceRow>,
    terminate: Offer,
    commands: Vec<&'static str>,
}

struct InstanceRow {
    instance: Instance,
    tone: &'static str,
    started: Option<Timestamp>,
    cpu: String,
    memory: String,
}

#[derive(Template)]
#[template(path = "rack_certificates.html")]
struct CertificatesPage {
    frame: Frame,
    columns: Vec<&'static str>,
    part: Part<CertificateRow>,
    generate: Offer,
    renew: Offer,
    delete: Offer,
    commands: Vec<&'static str>,
}

struct CertificateRow {
    certificate: Certificate,
    expires: Option<Timestamp>,
}

#[derive(Template)]
#[template(path = "rack_registries.html")]
struct RegistriesPage {
    frame: Frame,
    columns: Vec<&'static str>,
    part: Part<Registry>,
    add: Offer,
    commands: Vec<&'static str>,
}

/// `GET /app/rack`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let system: System = said(request)?;
    reply::html(&SystemPage {
        frame: Frame::of(web, request, "Rack"),
        tone: tone(&system.status),
        parameters: system.parameters.clone().unwrap_or_default().into_iter().collect(),
        resources: offer_at_rack(web, &request.caller, "convox:rack_resource:list"),
        commands: vec!["rack-gateway rack", "rack-gateway rack params"],
        system,
    })
}

/// `GET /app/rack/processes`.
pub(crate) async fn processes(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let processes = listed::<Process>(request)?.into_iter();
    let rows = processes.map(|process| ProcessRow { started: moment(&process.started), process }).collect();
    reply::html(&ProcessesPage {
        frame: Frame::of(web, request, "Processes of the rack"),
        columns: vec!["Process", "App", "Service", "Status", "Started"],
        part: Part::of(request, rows, |row: &ProcessRow| {
            format!("{} {} {} {}", row.process.id, row.process.app, row.process.name, row.process.status)
        }),
        commands: vec!["rack-gateway rack ps"],
    })
}

/// `GET /app/rack/resources`.
pub(crate) async fn resources(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&ResourcesPage {
        frame: Frame::of(web, request, "Resources of the rack"),
        part: Part::of(request, listed::<Resource>(request)?, |one| format!("{} {}", one.name, one.kind)),
        commands: vec!["rack-gateway rack resources"],
    })
}

/// `GET /app/instances`.
pub(crate) async fn instances(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let row = |instance: Instance| InstanceRow {
        tone: tone(&instance.status),
        started: moment(&instance.started),
        cpu: share(instance.cpu, instance.cpu_capacity),
        memory: share(instance.memory, instance.memory_capacity),
        instance,
    };
    reply::html(&InstancesPage {
        frame: Frame::of(web, request, "Instances"),
        live: web.asset("live.js"),
        columns: vec!["Instance", "Status", "Since", "Processes", "CPU", "Memory", "Addresses", ""],
        part: Part::of(request, listed::<Instance>(request)?.into_iter().map(row).collect(), |row| {
            let Instance { id, status, public_ip, private_ip, .. } = &row.instance;
            format!("{id} {status} {public_ip} {private_ip}")
        }),
        terminate: offer_at_rack(web, &request.caller, "convox:instance:terminate"),
        commands: vec!["rack-gateway instances", "rack-gateway instances terminate ID"],
    })
}

/// How much of something is taken: racks tell a share of one, or an amount and what there is.
fn share(used: f64, capacity: f64) -> String {
    if capacity > 0.0 { format!("{:.0} of {:.0}", used, capacity) } else { format!("{:.0} %", used * 100.0) }
}

/// `POST /app/instances/{id}/terminate`.
pub(crate) async fn terminate(_web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done("/app/instances", "instance-terminated"))
}

/// `GET /app/certificates`.
pub(crate) async fn certificates(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let row =
        |certificate: Certificate| CertificateRow { expires: moment(&certificate.expiration), certificate };
    let caller = &request.caller;
    reply::html(&CertificatesPage {
        frame: Frame::of(web, request, "Certificates"),
        columns: vec!["Certificate", "Domain", "Status", "Ends", ""],
        part: Part::of(request, listed::<Certificate>(request)?.into_iter().map(row).collect(), |row| {
            format!("{} {}", row.certificate.id, row.certificate.domain)
        }),
        generate: offer_at_rack(web, caller, "convox:cert:generate"),
        renew: offer_at_rack(web, caller, "convox:cert:renew"),
        delete: offer_at_rack(web, caller, "convox:cert:delete"),
        commands: vec!["rack-gateway certs", "rack-gateway certs import CERTIFICATE KEY"],
    })
}

/// `POST /app/certificates/generate`.
pub(crate) async fn generate(_web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done("/app/certificates", "certificate-generated"))
}

/// `POST /app/certificates/{id}/renew`.
pub(crate) async fn renew(_web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done("/app/certificates", "certificate-renewed"))
}

/// `POST /app/certificates/{id}/delete`.
pub(crate) async fn delete(_web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done("/app/certificates", "certificate-deleted"))
}

/// `GET /app/registries`.
pub(crate) async fn registries(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    reply::html(&RegistriesPage {
        frame: Frame::of(web, request, "Registries"),
        columns: vec!["Server", "Name there"],
        part: Part::of(request, listed::<Registry>(request)?, |one| {
            format!("{} {}", one.server, one.username)
        }),
        add: offer_at_rack(web, &request.caller, "convox:registry:add"),
        commands: vec!["rack-gateway registries", "rack-gateway registries remove SERVER"],
    })
}

/// `POST /app/registries`.
pub(crate) async fn add_registry(_web: &Web, _request: &OwnRequest) -> Result<OwnReply, Problem> {
    Ok(reply::done("/app/registries", "registry-added"))
}
