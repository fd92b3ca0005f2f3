//! Routes of a service, and the tail: what no route names.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{ActionName, Cicd, Class, LowestRole, Operation, Rate, Role, StepUp};

use crate::fault::Faults;
use crate::raw::{RawRoute, RawService, RawStepUp};
use crate::template::Template;

/// The method of a route that opens a WebSocket.
pub(crate) const SOCKET: &str = "SOCKET";

/// Methods that a route may have.
const METHODS: [&str; 8] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", SOCKET];

/// Methods that only read (RFC 9110, section 9.2.1).
pub(crate) const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its method, or `SOCKET`.
    pub method: String,
    pub(crate) template: Template,
    /// What policy decides about.
    pub operation: Arc<Operation>,
    /// How often one caller may ask, when it is not as often as the service says.
    pub rate: Option<Rate>,
    /// The largest request body, in bytes.
    pub body_size_bytes: Option<u64>,
}

/// What is done with paths that no route names.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Safe methods.
    pub read: Arc<Operation>,
    /// All others.
    pub change: Arc<Operation>,
    /// WebSockets, when they may be opened.
    pub socket: Option<Arc<Operation>>,
}

pub(crate) const fn step_up(raw: RawStepUp) -> StepUp {
    match raw {
        RawStepUp::None => StepUp::None,
        RawStepUp::Window => StepUp::Window,
        RawStepUp::Bound => StepUp::Bound,
    }
}

/// The operations of the tail.
pub(crate) fn tail(raw: &RawService) -> Tail {
    let operation = |method: &str, verb: &str, class: Class| {
        let step_up = if class == Class::Read { StepUp::None } else { step_up(raw.step_up) };
        Arc::new(Operation {
            route: format!("{method} {}:/{{path*}}", raw.name).into(),
            action: ActionName::new(&format!("service:{}:{verb}", raw.name)),
            class,
            lowest_role: LowestRole::Role(raw.role.0),
            cicd: Cicd::No,
            people_only: false,
            step_up,
        })
    };
    Tail {
        read: operation("SAFE", "read", Class::Read),
        change: operation("UNSAFE", "change", Class::Change),
        socket: raw.websocket.then(|| operation(SOCKET, "socket", Class::Change)),
    }
}

/// The operation of a tunnel.
pub(crate) fn tunnel(raw: &RawService) -> Arc<Operation> {
    Arc::new(Operation {
        route: format!("TUNNEL {}", raw.name).into(),
        action: ActionName::new(&format!("service:{}:connect", raw.name)),
        class: Class::Execute,
        lowest_role: LowestRole::Role(raw.role.0),
        cicd: Cicd::No,
        people_only: false,
        step_up: step_up(raw.step_up),
    })
}

/// The checked routes, most literal first.
pub(crate) fn routes(raw: &RawService, faults: &mut Faults) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for (index, declared) in raw.routes.iter().enumerate() {
        if let Some(route) = route(raw, declared, index, faults) {
            if routes.iter().any(|earlier| earlier.operation.route == route.operation.route) {
                faults.add(
                    format!("route[{index}]"),
                    crate::FaultKind::Twice { found: route.operation.route.to_string() },
                );
            } else {
                routes.push(route);
            }
        }
    }
    routes.sort_by_key(|route| route.template.rank());
    routes
}

fn route(raw: &RawService, declared: &RawRoute, index: usize, faults: &mut Faults) -> Option<Route> {
    let at = |field: &str| format!("route[{index}].{field}");
    let method = declared.method.as_str();
    if !METHODS.contains(&method) {
        faults.malformed(at("method"), method, "a method in capitals (GET, POST, …) or SOCKET");
    }
    let template = Template::parse(&declared.path);
    if template.is_none() {
        faults.malformed(at("path"), &declared.path, "a path such as `/orders/{id}` or `/files/{path*}`");
    }
    let is_safe = SAFE.contains(&method);
    let class = declared.class.unwrap_or(if is_safe { Class::Read } else { Class::Change });
    let verb = declared.action.clone().unwrap_or_else(|| default_verb(method, class).to_owned());
    if !is_action(&verb) {
        faults.malformed(at("action"), &verb, "an action such as `order:read` (a-z, 0-9, `_`, `-`, `:`)");
    }
    let lowest_role = match (class, declared.role) {
        (Class::Open, None) => LowestRole::Public,
        (Class::Open, Some(_)) => {
            faults.conflict(
                at("role"),
                "class `open` needs no role: leave `role` out, or choose another class",
            );
            LowestRole::Public
        }
        (_, role) => LowestRole::Role(role.unwrap_or(raw.role.0)),
    };
    if lowest_role == LowestRole::Role(Role::Auditor) || lowest_role == LowestRole::Role(Role::Cicd) {
        faults.conflict(at("role"), "a route's role is viewer, ops, deployer or admin");
    }
    let needs_more = !matches!(class, Class::Open | Class::Read);
    let asked = declared.step_up.unwrap_or(if needs_more { raw.step_up } else { RawStepUp::None });
    Some(Route {
        method: method.to_owned(),
        template: template?,
        operation: Arc::new(Operation {
            route: format!("{method} {}:{}", raw.name, declared.path).into(),
            action: ActionName::new(&format!("service:{}:{verb}", raw.name)),
            class,
            lowest_role,
            cicd: if declared.cicd { Cicd::Yes } else { Cicd::No },
            people_only: false,
            step_up: step_up(asked),
        }),
        rate: rate(declared.requests_per_second, declared.request_burst, &at(""), faults),
        body_size_bytes: declared.body_size_bytes,
    })
}

/// How often one caller may ask. `place` stands before the keys that are at fault.
pub(crate) fn rate(
    per_second: Option<u32>,
    burst: Option<u32>,
    place: &str,
    faults: &mut Faults,
) -> Option<Rate> {
    for (key, number) in [("requests_per_second", per_second), ("request_burst", burst)] {
        if number == Some(0) {
            faults.malformed(format!("{place}{key}"), "0", "at least 1; leave it out for no limit");
        }
    }
    if burst.is_some() && per_second.is_none() {
        faults.conflict(format!("{place}request_burst"), "it goes with `requests_per_second`");
    }
    let count = per_second?;
    Some(Rate { count, period: Duration::from_secs(1), burst: burst.unwrap_or(count) })
}

fn default_verb(method: &str, class: Class) -> &'static str {
    match class {
        _ if method == SOCKET => "socket",
        Class::Open => "open",
        Class::Read => "read",
        Class::Reveal => "reveal",
        Class::Change => "change",
        Class::Execute => "execute",
        Class::Critical => "critical",
    }
}

fn is_action(text: &str) -> bool {
    text.len() <= 80
        && text.split(':').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
        })
}
