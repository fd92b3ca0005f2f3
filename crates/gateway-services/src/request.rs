//! A request to a service, typed: which operation, and how it is spelled upstream.

use std::sync::Arc;

use gateway_types::{Operation, Rate, Resource};

use crate::path::{CanonicalPath, PathError, canonical_query};
use crate::route::{Route, SAFE, SOCKET};
use crate::service::{Kind, Service};

/// What a client asks for, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: &'a str,
    /// The query as it stood in the request line, without `?`.
    pub query: Option<&'a str>,
    /// Whether a WebSocket is asked for.
    pub socket: bool,
    /// The value of the service's version header, when it has one and it was sent.
    pub version: Option<&'a str>,
}

/// Whose limit of requests counts for a request. Equal numbers do not make two limits one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitedBy {
    /// The service's: one for all routes that have none of their own.
    Service,
    /// The route's own.
    Route,
}

/// A request to a service.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    /// The service.
    pub service: Arc<Service>,
    /// What policy decides about.
    pub operation: Arc<Operation>,
    /// The method.
    pub method: String,
    /// The path in its one spelling, as the client wrote it: with the prefix.
    pub path: CanonicalPath,
    /// The path and query that go upstream.
    pub target: String,
    /// Names and values of the route's parameters; `path` for the tail.
    pub parameters: Vec<(String, String)>,
    /// The version asked for, when the service has versions.
    pub version: Option<String>,
    /// How often one caller may ask, when the route or the service says so.
    pub rate: Option<Rate>,
    /// Whose limit that is.
    pub limited_by: LimitedBy,
    /// The largest request body, in bytes.
    pub body_size_bytes: Option<u64>,
}

impl ServiceRequest {
    /// What it is about: the service.
    pub fn resource(&self) -> Resource {
        Resource::service(self.service.name.as_str())
    }
}

/// Why a request names no operation of the service.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServiceRouteError {
    /// No route has this path, and there is no tail.
    #[error("the service has no such operation")]
    Unknown,
    /// Routes have this path, with other methods.
    #[error("this path takes only {}", allowed.join(", "))]
    MethodNotAllowed {
        /// The methods it takes, sorted.
        allowed: Vec<String>,
    },
    /// The service opens no WebSockets here.
    #[error("the service opens no WebSockets here")]
    NoSocket,
    /// There are versions and none, or an unknown one, was named.
    #[error("name a version of this API: {}", known.join(", "))]
    Version {
        /// Those that there are.
        known: Vec<String>,
    },
    /// The query is malformed.
    #[error("the query is malformed: {0}")]
    Query(PathError),
}

/// The operation, its parameters, and the route that names it; none for the tail.
type Named<'a> = (Arc<Operation>, Vec<(String, String)>, Option<&'a Route>);

impl Service {
    /// The operation of a request below this service's prefix.
    ///
    /// `path` is the whole path, `below` what is left of it below the prefix.
    ///
    /// # Errors
    /// [`ServiceRouteError`].
    pub fn identify(
        self: &Arc<Self>,
        path: CanonicalPath,
        below: &CanonicalPath,
        ask: Ask<'_>,
    ) -> Result<ServiceRequest, ServiceRouteError> {
        let query = ask.query.map(canonical_query).transpose().map_err(ServiceRouteError::Query)?;
        let version = self.version_of(below, ask.version)?;
        let (operation, parameters, route) = self.operation_of(below, ask)?;
        let mut target = if self.strip_prefix { below.to_string() } else { path.to_string() };
        if let Some(query) = query {
            target.push('?');
            target.push_str(&query);
        }
        Ok(ServiceRequest {
            operation,
            method: ask.method.to_owned(),
            path,
            target,
            parameters,
            version,
            rate: route.and_then(|route| route.rate).or(self.rate),
            limited_by: match route.and_then(|route| route.rate) {
                Some(_) => LimitedBy::Route,
                None => LimitedBy::Service,
            },
            body_size_bytes: route.and_then(|route| route.body_size_bytes).or(self.body_size_bytes),
            service: Arc::clone(self),
        })
    }

    /// The request for a tunnel, at this path of the gateway's own; `None` when the service is no TCP service.
    pub fn tunnel(self: &Arc<Self>, path: CanonicalPath) -> Option<ServiceRequest> {
        let Kind::Tcp { connect } = &self.kind else { return None };
        Some(ServiceRequest {
            operation: Arc::clone(connect),
            method: "CONNECT".to_owned(),
            path,
            target: String::new(),
            parameters: Vec::new(),
            version: None,
            rate: self.rate,
            limited_by: LimitedBy::Service,
            body_size_bytes: None,
            service: Arc::clone(self),
        })
    }

    /// The request for the service's own OpenAPI document, as somebody would make it who opens its address; `None`
    /// when the declaration names none.
    ///
    /// # Errors
    /// [`ServiceRouteError`]: no route leads to it.
    pub fn document(self: &Arc<Self>) -> Option<Result<ServiceRequest, ServiceRouteError>> {
        let (path, query) = self.document_place()?;
        let whole = format!("{}{path}", self.prefix_path());
        let canonical = CanonicalPath::parse(&whole).ok();
        let below = canonical.as_ref().and_then(|path| path.below(&self.prefix));
        let (Some(path), Some(below)) = (canonical.clone(), below) else {
            return Some(Err(ServiceRouteError::Unknown));
        };
        let ask = Ask { method: "GET", query: query.as_deref(), socket: false, version: None };
        Some(self.identify(path, &below, ask))
    }

    /// Path, beginning with a slash, and query of the OpenAPI document below the prefix.
    fn document_place(&self) -> Option<(String, Option<String>)> {
        let declared = self.raw.openapi.as_deref()?;
        let (path, query) = match declared.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (declared, None),
        };
        Some((format!("/{}", path.trim_start_matches('/')), query))
    }

    fn operation_of(&self, below: &CanonicalPath, ask: Ask<'_>) -> Result<Named<'_>, ServiceRouteError> {
        let method = if ask.socket { SOCKET } else { ask.method };
        let mut allowed: Vec<String> = Vec::new();
        for route in &self.routes {
            let Some(parameters) = route.template.matches(below.segments()) else { continue };
            // HEAD is GET without the body (RFC 9110, section 9.3.2).
            if route.method == method || (method == "HEAD" && route.method == "GET") {
                return Ok((Arc::clone(&route.operation), parameters, Some(route)));
            }
            allowed.push(route.method.clone());
        }
        if !allowed.is_empty() && !ask.socket {
            allowed.sort();
            allowed.dedup();
            return Err(ServiceRouteError::MethodNotAllowed { allowed });
        }
        let Some(tail) = &self.tail else { return Err(ServiceRouteError::Unknown) };
        let operation = match () {
            () if ask.socket => tail.socket.as_ref().ok_or(ServiceRouteError::NoSocket)?,
            () if SAFE.contains(&method) => &tail.read,
            () => &tail.change,
        };
        Ok((Arc::clone(operation), vec![("path".to_owned(), below.to_string())], None))
    }

    fn version_of(
        &self,
        below: &CanonicalPath,
        header: Option<&str>,
    ) -> Result<Option<String>, ServiceRouteError> {
        if self.versions.is_empty() {
            return Ok(None);
        }
        let is_known = |name: &&str| self.versions.iter().any(|version| version.name == **name);
        let in_path = below.segments().first().map(String::as_str).filter(is_known);
        let named = match (in_path, header) {
            (Some(path), Some(header)) if path != header => None,
            (Some(name), _) => Some(name),
            (None, Some(header)) => Some(header).filter(is_known),
            (None, None) => self.default_version.as_deref(),
        };
        match named {
            Some(name) => Ok(Some(name.to_owned())),
            None => Err(ServiceRouteError::Version {
                known: self.versions.iter().map(|version| version.name.clone()).collect(),
            }),
        }
    }
}
