//! Services behind the gateway: `/services`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::services::{self, Listed, Reader, ServiceChangeError, Source};
use gateway_app::zone::registry;
use gateway_services::{InstanceStanding, InstanceState, openapi};
use gateway_types::wire::services::{
    ImportOpenapi, ImportedRoutes, Service, ServiceCheck, ServiceDiscovery, ServiceOpenapi, ServiceOperation,
    ServiceRegistration, ServiceUpstream, Services, WriteService,
};
use gateway_types::{LowestRole, Problem, Resource};
use serde_json::json;

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

/// Every service: those of the configuration file and those of the database.
#[utoipa::path(get, path = "/api/v1/services", tag = "services", responses((status = 200, body = Services)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let listed = services::list(app).await?;
    reply::json(&Services {
        items: listed.iter().map(|listed| service(app, request, listed)).collect(),
        fault: app.health.service_fault(),
    })
}

/// One service.
#[utoipa::path(get, path = "/api/v1/services/{name}", tag = "services", params(("name" = String, Path)),
    responses((status = 200, body = Service)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "name")?;
    let mut told = service(app, request, &services::one(app, &name).await?);
    if may_change(app, request) {
        told.registrations = registry::of(app, &name).await?.into_iter().map(registration).collect();
    }
    tagged(told)
}

/// What is wrong with a declaration, alone and beside the others. Changes nothing.
#[utoipa::path(post, path = "/api/v1/services/check", tag = "services", request_body = WriteService,
    responses((status = 200, body = ServiceCheck)))]
pub(crate) async fn check(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let WriteService { declaration } = input::json(request)?;
    let name = declaration.get("name").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
    let told = match services::check(app, &name, declaration).await {
        Ok(service) => {
            ServiceCheck { acceptable: true, faults: Vec::new(), operations: operations(&service) }
        }
        Err(error @ (ServiceChangeError::Store(_) | ServiceChangeError::Record(_))) => {
            return Err(error.into());
        }
        Err(ServiceChangeError::Faults { faults }) => refused(faults.iter().map(ToString::to_string)),
        Err(error) => refused([Problem::from(error).detail].into_iter()),
    };
    reply::json(&told)
}

fn refused(faults: impl Iterator<Item = String>) -> ServiceCheck {
    ServiceCheck { acceptable: false, faults: faults.collect(), operations: Vec::new() }
}

/// The routes of an OpenAPI 3 document, as a declaration takes them. Changes nothing.
#[utoipa::path(post, path = "/api/v1/services/import-openapi", tag = "services", request_body = ImportOpenapi,
    responses((status = 200, body = ImportedRoutes)))]
pub(crate) async fn import_openapi(_app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let ImportOpenapi { document } = input::json(request)?;
    let imported = openapi::import(&document).map_err(|error| input::bad(error.to_string()))?;
    reply::json(&ImportedRoutes {
        routes: imported.routes.iter().map(|route| json!(route)).collect(),
        skipped: imported.skipped,
    })
}

/// What a service's own OpenAPI document has: read from the service now, in the caller's name, who must be allowed to
/// read it there. Changes nothing.
#[utoipa::path(get, path = "/api/v1/services/{name}/openapi", tag = "services", params(("name" = String, Path)),
    responses((status = 200, body = ServiceOpenapi)))]
pub(crate) async fn document(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "name")?;
    let document = services::document(app, Reader::of(request), &name).await?;
    reply::json(&ServiceOpenapi {
        title: document.title,
        version: document.version,
        routes: document.imported.routes.iter().map(|route| json!(route)).collect(),
        skipped: document.imported.skipped,
    })
}

/// Writes a service of the database and puts it in force here and on every instance, without a restart.
/// Refused when it does not check, claims the place of another one, or takes away an action that a policy
/// names. `If-Match`: the service's version, 0 for a new one.
#[utoipa::path(put, path = "/api/v1/services/{name}", tag = "services",
    params(("name" = String, Path), ("If-Match" = String, Header)), request_body = WriteService,
    responses((status = 200, body = Service)))]
pub(crate) async fn update(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let name: String = input::path(request, "name")?;
    let expected = input::if_match(request)?;
    let WriteService { declaration } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let listed = services::write(app, &operator, &name, declaration, expected).await?;
    written(app, request, &listed)
}

/// A service that was just written.
pub(crate) fn written(app: &App, request: &OwnRequest, listed: &Listed) -> Answer {
    tagged(service(app, request, listed))
}

/// Removes a service of the database and puts what is left in force.
#[utoipa::path(delete, path = "/api/v1/services/{name}", tag = "services",
    params(("name" = String, Path), ("If-Match" = String, Header)), responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let name: String = input::path(request, "name")?;
    let expected = input::if_match(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    services::remove(app, &operator, &name, expected).await?;
    Ok(reply::no_content())
}

fn tagged(service: Service) -> Answer {
    let answer = reply::json(&service)?;
    Ok(match service.version {
        Some(version) => reply::tagged(answer, version),
        None => answer,
    })
}

fn may_change(app: &App, request: &OwnRequest) -> bool {
    app.could(&request.caller, "gateway:service:update", &Resource::gateway(), false)
}

fn registration(one: registry::Shown) -> ServiceRegistration {
    let claim = registry::claim_of(&one.kept);
    ServiceRegistration {
        member: one.kept.member.to_string(),
        address: claim.address,
        version: claim.version,
        healthy: claim.is_healthy,
        capabilities: claim.capabilities,
        registered: one.kept.registered.to_rfc3339(),
        seen: one.kept.seen.to_rfc3339(),
        refused: one.fault.map(|fault| fault.to_string()),
    }
}

fn discovery(app: &App, service: &gateway_services::Service) -> Option<ServiceDiscovery> {
    let known = app.rules.discovered().of(service)?;
    Some(ServiceDiscovery {
        record: known.srv.name,
        state: known.end.name().to_owned(),
        fault: known.fault,
        refused: known.refused.into_iter().collect(),
        looked: known.looked.to_rfc3339(),
        next: known.next.to_rfc3339(),
    })
}

fn service(app: &App, request: &OwnRequest, listed: &Listed) -> Service {
    let (known, origin) = (listed.in_force.as_deref(), &request.head.origin);
    let (source, stored) = match &listed.source {
        Source::File => ("file", None),
        Source::Database(document) => ("database", Some(document)),
    };
    let may_change = may_change(app, request);
    let title = &listed.declaration.title;
    Service {
        name: listed.name.clone(),
        title: if title.is_empty() { listed.name.clone() } else { title.clone() },
        source: source.to_owned(),
        version: stored.map(|document| document.version),
        updated_by: stored.map(|document| document.updated_by.clone()),
        updated: stored.map(|document| document.updated.to_rfc3339()),
        in_force: known.is_some(),
        may_use: known.is_some_and(|known| services::may_use(app, &request.caller, known)),
        url: known.and_then(|known| services::address(known, origin)),
        openapi_url: known.and_then(|known| services::openapi_address(known, origin)),
        operations: known.map(operations).unwrap_or_default(),
        upstreams: known.map(|known| upstreams(app, known, may_change)).unwrap_or_default(),
        registrations: Vec::new(),
        discovery: known.filter(|_| may_change).and_then(|known| discovery(app, known)),
        declaration: may_change.then(|| json!(listed.declaration)),
    }
}

fn upstreams(app: &App, service: &gateway_services::Service, may_change: bool) -> Vec<ServiceUpstream> {
    let told = |standing: InstanceStanding| ServiceUpstream {
        address: may_change.then(|| standing.address.authority()),
        version: standing.address.version,
        weight: standing.address.weight,
        priority: standing.address.priority,
        state: standing.state.name().to_owned(),
        since: standing.since.map(|since| since.to_rfc3339()),
        until: match standing.state {
            InstanceState::Ejected { until } => Some(until.to_rfc3339()),
            InstanceState::Healthy
            | InstanceState::Unhealthy
            | InstanceState::Draining
            | InstanceState::Unwatched => None,
        },
    };
    services::standings(app, service).into_iter().map(told).collect()
}

fn operations(service: &gateway_services::Service) -> Vec<ServiceOperation> {
    let told = |operation: &gateway_types::Operation| ServiceOperation {
        route: operation.route.to_string(),
        action: operation.action.to_string(),
        class: operation.class.name().to_owned(),
        role: match operation.lowest_role {
            LowestRole::Public => "public".to_owned(),
            LowestRole::Own => "self".to_owned(),
            LowestRole::Role(role) => role.to_string(),
        },
    };
    service.operations().iter().map(told).collect()
}
