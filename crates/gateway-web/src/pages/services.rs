//! Services behind the gateway: what there is, where, and whether one may use it.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::origin::Origin;
use gateway_app::services::discovery::LookEnd;
use gateway_app::services::{self, Listed, Reader, Source};
use gateway_app::zone::registry;
use gateway_services::{InstanceStanding, InstanceState, RawRoute, Service};
use gateway_types::{Caller, LowestRole, Problem, Resource, Timestamp};

use crate::filters;
use crate::page::Frame;
use crate::{Web, gate, reply};

/// A service on the home page.
pub(crate) struct Launch {
    /// Its name for people.
    pub(crate) title: String,
    /// Its address.
    pub(crate) href: String,
    /// Whether the person may use it.
    pub(crate) allowed: bool,
}

#[derive(Template)]
#[template(path = "services.html")]
struct ServicesPage {
    frame: Frame,
    fault: Option<String>,
    columns: Vec<&'static str>,
    services: Vec<Row>,
    /// Whether this person sees what labels ask for.
    may_approve: bool,
}

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage {
    frame: Frame,
    service: Row,
    openapi: Option<String>,
    upstream_columns: Vec<&'static str>,
    upstreams: Vec<UpstreamRow>,
    registration_columns: Vec<&'static str>,
    /// For those who could change it.
    registrations: Vec<RegistrationRow>,
    /// What was looked up of where it is, for those who could change it.
    discovery: Option<DiscoveryFacts>,
    columns: Vec<&'static str>,
    operations: Vec<OperationRow>,
    /// The whole declaration, for those who could change it.
    declaration: Option<String>,
    commands: (String, String),
}

/// What a service's own OpenAPI document has.
#[derive(Template)]
#[template(path = "service_openapi.html")]
struct DocumentPage {
    frame: Frame,
    service: String,
    service_title: String,
    /// What the document calls itself.
    title: String,
    version: String,
    /// Where it is.
    address: Option<String>,
    columns: Vec<&'static str>,
    routes: Vec<RawRoute>,
    skipped: Vec<String>,
    commands: (String, String),
}

/// How an upstream stands.
struct UpstreamRow {
    /// Its address; its number for those who could not change the service.
    label: String,
    version: String,
    weight: u32,
    state: &'static str,
    tone: &'static str,
    /// What the state means for requests.
    note: String,
    since: Option<Timestamp>,
}

/// A member of the zone that registered as an instance.
struct RegistrationRow {
    address: String,
    version: String,
    health: &'static str,
    tone: &'static str,
    /// Why it is no instance all the same.
    note: String,
    registered: Timestamp,
    seen: Timestamp,
    understands: String,
}

/// What the DNS says of where a service is.
struct DiscoveryFacts {
    record: String,
    state: &'static str,
    tone: &'static str,
    /// Why, and what is refused.
    notes: Vec<String>,
    looked: Timestamp,
}

struct Row {
    name: String,
    title: String,
    /// Its address; empty when it has none for browsers.
    href: String,
    /// The same in words.
    place: String,
    source: String,
    in_force: bool,
    allowed: bool,
}

struct OperationRow {
    route: String,
    action: String,
    class: &'static str,
    role: String,
}

/// The services of the home page: those in force that browsers can open.
pub(crate) fn launcher(web: &Web, request: &OwnRequest) -> Vec<Launch> {
    let (app, origin) = (web.app(), &request.head.origin);
    let table = app.rules.services();
    table
        .services()
        .filter_map(|service| {
            let href = services::address(service, origin)?;
            let allowed = services::may_use(app, &request.caller, service);
            Some(Launch { title: service.title.clone(), href, allowed })
        })
        .collect()
}

/// `GET /app/services`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let listed = services::list(web.app()).await?;
    reply::html(&ServicesPage {
        frame: Frame::of(web, request, "Services"),
        fault: web.app().health.service_fault(),
        columns: vec!["Service", "Where", "Declared in", "You"],
        services: listed.iter().map(|listed| row(web, request, listed)).collect(),
        may_approve: gate::refusal(web.app(), &request.caller, "GET /app/service-candidates", false)
            .is_none(),
    })
}

/// `GET /app/services/{name}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let listed = services::one(web.app(), request.parameter("name").unwrap_or_default()).await?;
    let service = listed.in_force.as_deref();
    let may_change = may_change(web, &request.caller);
    let declaration = serde_json::to_string_pretty(&listed.declaration).ok();
    let name = &listed.name;
    let registered = if may_change { registry::of(web.app(), name).await? } else { Vec::new() };
    reply::html(&ServicePage {
        frame: Frame::of(web, request, &title(&listed)),
        service: row(web, request, &listed),
        openapi: service.and_then(|service| services::openapi_address(service, &request.head.origin)),
        upstream_columns: vec!["Upstream", "State", "Since", "Share"],
        upstreams: service.map(|service| upstreams(web, service, may_change)).unwrap_or_default(),
        registration_columns: vec!["Address", "Health", "Since", "Heard of", "Understands"],
        registrations: registered.into_iter().map(registration).collect(),
        discovery: service.filter(|_| may_change).and_then(|service| discovery(web, service)),
        columns: vec!["Route", "Action", "Class", "Role"],
        operations: service.map(operations).unwrap_or_default(),
        declaration: declaration.filter(|_| may_change),
        commands: (
            format!("rack-gateway services show {name}"),
            format!("rack-gateway services remove {name}"),
        ),
    })
}

/// `GET /app/services/{name}/openapi`.
pub(crate) async fn document(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let name = request.parameter("name").unwrap_or_default();
    let document = services::document(web.app(), Reader::of(request), name).await?;
    let table = web.app().rules.services();
    let known = table.named(&document.service);
    reply::html(&DocumentPage {
        frame: Frame::of(web, request, &format!("OpenAPI of {}", document.service_title)),
        address: known.and_then(|service| services::openapi_address(service, &request.head.origin)),
        title: document.title,
        version: document.version,
        columns: vec!["Method", "Path"],
        routes: document.imported.routes,
        skipped: document.imported.skipped,
        commands: (
            format!("rack-gateway services openapi {}", document.service),
            "rack-gateway services import-openapi openapi.json".to_owned(),
        ),
        service: document.service,
        service_title: document.service_title,
    })
}

fn registration(one: registry::Shown) -> RegistrationRow {
    let claim = registry::claim_of(&one.kept);
    let (health, tone) = match (&one.fault, claim.is_healthy) {
        (Some(_), _) => ("refused", "bad"),
        (None, true) => ("well", "ok"),
        (None, false) => ("not well", "warn"),
    };
    RegistrationRow {
        address: claim.address,
        version: claim.version.unwrap_or_default(),
        health,
        tone,
        note: one.fault.map(|fault| fault.to_string()).unwrap_or_default(),
        registered: one.kept.registered,
        seen: one.kept.seen,
        understands: match claim.capabilities {
            None => "everything".to_owned(),
            Some(names) => names.into_iter().collect::<Vec<_>>().join(", "),
        },
    }
}

fn discovery(web: &Web, service: &Service) -> Option<DiscoveryFacts> {
    let known = web.app().rules.discovered().of(service)?;
    let refused = known.refused.iter().map(|address| format!("{address} is refused"));
    Some(DiscoveryFacts {
        record: known.srv.name.clone(),
        state: known.end.name(),
        tone: match known.end {
            LookEnd::Found => "ok",
            LookEnd::Absent | LookEnd::Failed => "bad",
        },
        notes: known.fault.iter().cloned().chain(refused).collect(),
        looked: known.looked,
    })
}

fn upstreams(web: &Web, service: &Service, may_change: bool) -> Vec<UpstreamRow> {
    let row = |(number, standing): (usize, InstanceStanding)| UpstreamRow {
        label: match may_change {
            true => standing.address.authority(),
            false => format!("upstream {}", number + 1),
        },
        version: standing.address.version.unwrap_or_default(),
        weight: standing.address.weight,
        state: standing.state.name(),
        tone: match standing.state {
            InstanceState::Healthy => "ok",
            InstanceState::Unhealthy | InstanceState::Ejected { .. } => "bad",
            InstanceState::Draining => "warn",
            InstanceState::Unwatched => "",
        },
        note: match standing.state {
            InstanceState::Healthy => String::new(),
            InstanceState::Unhealthy => "its health checks fail".to_owned(),
            InstanceState::Ejected { until } => {
                format!("requests to it failed in a row; tried again at {}", until.to_rfc3339())
            }
            InstanceState::Draining => "takes no new requests".to_owned(),
            InstanceState::Unwatched => "whether it runs is found out by a tunnel".to_owned(),
        },
        since: standing.since,
    };
    services::standings(web.app(), service).into_iter().enumerate().map(row).collect()
}

/// Whether the person could change services: who then may see all of a declaration.
fn may_change(web: &Web, caller: &Caller) -> bool {
    web.app().could(caller, "gateway:service:update", &Resource::gateway(), false)
}

fn title(listed: &Listed) -> String {
    let title = &listed.declaration.title;
    if title.is_empty() { listed.name.clone() } else { title.clone() }
}

fn row(web: &Web, request: &OwnRequest, listed: &Listed) -> Row {
    let service = listed.in_force.as_deref();
    let origin: &Origin = &request.head.origin;
    let href = service.and_then(|service| services::address(service, origin)).unwrap_or_default();
    let place = match href.split_once("://") {
        Some((_, place)) => place.trim_end_matches('/').to_owned(),
        None if service.is_some() => format!("rack-gateway tunnel {}", listed.name),
        None => String::new(),
    };
    Row {
        name: listed.name.clone(),
        title: title(listed),
        place,
        href,
        source: match &listed.source {
            Source::File => "the configuration file".to_owned(),
            Source::Database(document) => format!("the database, by {}", document.updated_by),
        },
        in_force: service.is_some(),
        allowed: service.is_some_and(|service| services::may_use(web.app(), &request.caller, service)),
    }
}

fn operations(service: &Service) -> Vec<OperationRow> {
    let row = |operation: &gateway_types::Operation| OperationRow {
        route: operation.route.to_string(),
        action: operation.action.to_string(),
        class: operation.class.name(),
        role: match operation.lowest_role {
            LowestRole::Public => "anybody".to_owned(),
            LowestRole::Own => "everybody, about their own".to_owned(),
            LowestRole::Role(role) => role.to_string(),
        },
    };
    service.operations().iter().map(row).collect()
}
