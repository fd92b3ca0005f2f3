//! Phase 2: which operation is asked for. What has no row does not exist.

use std::ops::ControlFlow;
use std::sync::Arc;

use gateway_app::rules::Rules;
use gateway_convox::{RequestKind, RouteError};
use gateway_policy::{OwnRoute, OwnRouteError, RackPage};
use gateway_services::{
    Ask, CanonicalPath, RESERVED_PREFIX, ServiceRequest, ServiceRouteError, ServiceTable,
};
use gateway_types::{Channel, Layer, Operation, Problem, ProblemKind, Resource};
use http::Response;
use http::header::AUTHORIZATION;

use super::admit::Admitted;
use super::cors::{self, CrossOrigin};
use super::resume::RESUME;
use crate::body::ReplyBody;
use crate::flow::{Flow, refuse};
use crate::outcome::{OutcomeGuard, Recording};
use crate::plane::DataPlane;
use crate::reply::Asker;

/// Below this path the rack is found on every host.
pub(crate) const RACK_PREFIX: &str = "/api/v1/rack-proxy";

/// Rack rows that are answered here and leave no event: the client's throwaway requests and probes.
const SILENT_ACTIONS: [&str; 3] = ["convox:client:probe", "convox:client:racks", "convox:health"];

/// The row of tunnels.
const TUNNEL: &str = "GET /services/{name}/tunnel";

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Target {
    /// An operation of the rack.
    Rack(Box<gateway_convox::Identified>),
    /// One of the gateway's own.
    Own(OwnRoute),
    /// An operation of a service.
    Service(Box<ServiceRequest>),
}

impl Target {
    pub(crate) fn operation(&self) -> &Operation {
        match self {
            Target::Rack(route) => route.operation(),
            Target::Own(route) => &route.operation,
            Target::Service(request) => &request.operation,
        }
    }

    pub(crate) fn resource(&self) -> Resource {
        match self {
            Target::Rack(route) => route.resource(),
            Target::Own(route) => route.resource(),
            Target::Service(request) => request.resource(),
        }
    }
}

/// A request whose operation is known.
#[derive(Debug)]
pub struct Identified {
    pub(super) admitted: Admitted,
    pub(super) target: Target,
    pub(super) channel: Channel,
    /// The page that shows or does this operation of the rack; `None` when it was asked for at its own path.
    pub(super) page: Option<RackPage>,
    /// The rules that it was found in, and is decided by.
    pub(super) rules: Arc<Rules>,
    /// A page of another origin is behind it, which the service lists.
    pub(super) cross_origin: Option<CrossOrigin>,
}

/// The host of a request, when it is a service's own, where nothing of the gateway answers but what is below
/// `/.rack-gateway`, and only that host's own cookie counts.
pub(super) fn service_host<'a>(plane: &DataPlane, rules: &Rules, host: &'a str) -> Option<&'a str> {
    let is_rack = plane.parts.rack_hosts.iter().any(|known| known == host);
    (!is_rack && rules.services.owns_host(host)).then_some(host)
}

/// The answer to a preflight, which carries no credential and changes nothing (Fetch standard, section 3.2.2).
pub(crate) fn preflight(identified: &Identified, outcome: &mut OutcomeGuard) -> Option<Response<ReplyBody>> {
    let reply = identified.cross_origin.as_ref()?.answer()?;
    outcome.recording = Recording::Silent;
    Some(reply)
}

/// Finds the operation.
pub(crate) fn identify(
    plane: &Arc<DataPlane>,
    admitted: Admitted,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Identified> {
    let path = admitted.request.uri().path();
    let rules = plane.parts.rules.load();
    plane.services.follow(&plane.parts.rules);
    let rack_path = path
        .strip_prefix(RACK_PREFIX)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        .filter(|_| service_host(plane, &rules, &admitted.host).is_none())
        .or_else(|| plane.parts.rack_hosts.contains(&admitted.host).then_some(path));
    let cross_origin = cors::admit(&rules, &admitted, rack_path.is_some())?;
    asker.cross_origin = cross_origin.clone();
    let mut page = None;
    let (target, channel) = match rack_path {
        Some(rack_path) => {
            outcome.on_channel(Channel::RackProxy);
            asker.channel = Channel::RackProxy;
            asker.page = None;
            (rack_target(plane, &admitted, rack_path)?, Channel::RackProxy)
        }
        None => {
            let at_service = service_host(plane, &rules, &admitted.host).is_some();
            match service_target(&rules.services, &admitted, path, cross_origin.as_ref(), at_service)? {
                Some(target) => {
                    outcome.on_channel(Channel::Service);
                    asker.of_service(&admitted, &target, at_service);
                    (target, Channel::Service)
                }
                None if admitted.socket && at_service => return refuse(no_such_operation()),
                None => match rack_page(plane, &admitted, path).filter(|_| !at_service) {
                    Some(found) => {
                        let target = rack_page_target(plane, &admitted, &found, asker)?;
                        page = Some(found);
                        (target, Channel::Web)
                    }
                    None if admitted.socket => {
                        asker.page = None;
                        (socket_target(plane, &rules.services, &admitted, path)?, Channel::Api)
                    }
                    None => own_target(plane, &admitted, path, asker, at_service)?,
                },
            }
        }
    };
    if SILENT_ACTIONS.contains(&target.operation().action.as_str())
        || target.operation().action.as_str() == "gateway:meta:health"
    {
        outcome.recording = Recording::Silent;
    }
    outcome.identified(channel, target.operation(), target.resource());
    asker.route_known(&target, page.is_some());
    ControlFlow::Continue(Identified { admitted, target, channel, page, rules, cross_origin })
}

/// The page of an operation of the rack that is asked for.
fn rack_page(plane: &DataPlane, admitted: &Admitted, path: &str) -> Option<RackPage> {
    plane.parts.own.rack_page(admitted.request.method().as_str(), path, admitted.socket)
}

/// The operation of the rack that a page shows or does, or that the script of a page follows in a socket.
fn rack_page_target(
    plane: &DataPlane,
    admitted: &Admitted,
    page: &RackPage,
    asker: &mut Asker,
) -> Flow<Target> {
    if admitted.request.headers().contains_key(AUTHORIZATION) {
        return refuse(pages_take_no_token());
    }
    let kind = if admitted.socket { RequestKind::Socket } else { RequestKind::Plain };
    asker.channel = Channel::Web;
    if admitted.socket {
        asker.page = None;
    } else {
        asker.asked_for_page(&admitted.request, false);
    }
    match plane.parts.routes.identify(&page.method, &page.path, kind) {
        Ok(route) => ControlFlow::Continue(Target::Rack(Box::new(route))),
        Err(fault) => refuse(route_problem(&fault)),
    }
}

fn pages_take_no_token() -> Problem {
    Problem::new(
        ProblemKind::BadParameter,
        Layer::Network,
        "pages take no Authorization header; the JSON API is below /api/v1",
    )
}

fn rack_target(plane: &DataPlane, admitted: &Admitted, path: &str) -> Flow<Target> {
    let kind = if admitted.socket { RequestKind::Socket } else { RequestKind::Plain };
    match plane.parts.routes.identify(admitted.request.method().as_str(), path, kind) {
        Ok(route) => ControlFlow::Continue(Target::Rack(Box::new(route))),
        Err(fault) => refuse(route_problem(&fault)),
    }
}

fn route_problem(fault: &RouteError) -> Problem {
    let kind = match fault {
        RouteError::UnknownRoute => ProblemKind::UnknownRoute,
        RouteError::MethodNotAllowed { .. } => ProblemKind::MethodNotAllowed,
        RouteError::MalformedPath { .. } | RouteError::BadPathParameter { .. } => ProblemKind::BadParameter,
    };
    Problem::new(kind, Layer::Network, fault.to_string())
}

/// An operation of the service that the host and path belong to; `None` when they are no service's.
fn service_target(
    services: &ServiceTable,
    admitted: &Admitted,
    path: &str,
    cross_origin: Option<&CrossOrigin>,
    at_service: bool,
) -> Flow<Option<Target>> {
    if at_service && is_reserved(path) {
        return ControlFlow::Continue(None);
    }
    let found = match services.find(&admitted.host, path) {
        Ok(Some(found)) => found,
        Ok(None) => return ControlFlow::Continue(None),
        Err(fault) => {
            return refuse(Problem::new(ProblemKind::BadParameter, Layer::Network, fault.to_string()));
        }
    };
    let request = &admitted.request;
    let version = found.service.raw.version_header.as_deref();
    let ask = Ask {
        method: cross_origin
            .and_then(CrossOrigin::preflight_method)
            .unwrap_or_else(|| request.method().as_str()),
        query: request.uri().query(),
        socket: admitted.socket,
        version: version.and_then(|name| request.headers().get(name)).and_then(|value| value.to_str().ok()),
    };
    match found.service.identify(found.path, &found.below, ask) {
        Ok(request) => ControlFlow::Continue(Some(Target::Service(Box::new(request)))),
        Err(fault) => {
            let kind = match fault {
                ServiceRouteError::Unknown | ServiceRouteError::NoSocket => ProblemKind::UnknownRoute,
                ServiceRouteError::MethodNotAllowed { .. } => ProblemKind::MethodNotAllowed,
                ServiceRouteError::Version { .. } | ServiceRouteError::Query(_) => ProblemKind::BadParameter,
            };
            refuse(Problem::new(kind, Layer::Network, fault.to_string()))
        }
    }
}

/// One of the gateway's own sockets: a tunnel to a TCP service, which is decided as the service's own operation, or a
/// session in the rack that goes on.
fn socket_target(
    plane: &DataPlane,
    services: &ServiceTable,
    admitted: &Admitted,
    path: &str,
) -> Flow<Target> {
    let route = plane.parts.own.identify(admitted.request.method().as_str(), path).ok();
    if let Some(route) = route.clone().filter(|route| *route.operation.route == *RESUME) {
        return ControlFlow::Continue(Target::Own(route));
    }
    let name = route
        .filter(|route| *route.operation.route == *TUNNEL)
        .and_then(|route| route.parameters.into_iter().find(|(name, _)| name == "name"));
    let service = name.and_then(|(_, name)| services.named(&name));
    let request = service.and_then(|service| service.tunnel(CanonicalPath::parse(path).ok()?));
    match request {
        Some(request) => ControlFlow::Continue(Target::Service(Box::new(request))),
        None => refuse(Problem::new(
            ProblemKind::UnknownRoute,
            Layer::Network,
            "no operation has this method and path, or there is no TCP service of this name",
        )),
    }
}

/// Whether a path is one of the gateway's own at a service's host, in whatever spelling a service would read so.
fn is_reserved(path: &str) -> bool {
    let reserved = RESERVED_PREFIX.trim_start_matches('/');
    CanonicalPath::parse(path)
        .is_ok_and(|path| path.segments().first().is_some_and(|first| first.eq_ignore_ascii_case(reserved)))
}

/// One of the gateway's own operations, and whether a browser asks for its page.
fn own_target(
    plane: &DataPlane,
    admitted: &Admitted,
    path: &str,
    asker: &mut Asker,
    at_service: bool,
) -> Flow<(Target, Channel)> {
    let method = admitted.request.method().as_str();
    let identified = match at_service {
        true => plane.parts.own.identify_at_service(method, path),
        false => plane.parts.own.identify(method, path),
    };
    let route = match identified {
        Ok(route) if plane.parts.control.serves(&route.operation) => route,
        Ok(_) | Err(OwnRouteError::Unknown) => return refuse(no_such_operation()),
        Err(OwnRouteError::MethodNotAllowed { allowed }) => {
            return refuse(Problem::new(
                ProblemKind::MethodNotAllowed,
                Layer::Network,
                format!("this path takes {}", allowed.join(", ")),
            ));
        }
    };
    let has_token = admitted.request.headers().contains_key(AUTHORIZATION);
    let channel = match &route.page {
        Some(_) if !has_token => {
            asker.asked_for_page(&admitted.request, at_service);
            Channel::Web
        }
        // The operation's own path answers both; a page of the web UI answers browsers only.
        Some(page) if **page != *route.operation.route => {
            return refuse(pages_take_no_token());
        }
        Some(_) | None => {
            asker.page = None;
            Channel::Api
        }
    };
    asker.channel = channel;
    ControlFlow::Continue((Target::Own(route), channel))
}

fn no_such_operation() -> Problem {
    Problem::new(ProblemKind::UnknownRoute, Layer::Network, "no operation has this method and path")
}
