//! The seam to the gateway's own operations: they are reached only through the data plane's verdict.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use gateway_policy::OwnRoute;
use gateway_types::{Caller, Facts, Operation, Principal, Problem, RequestId};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::environments::RackEnvironment;
use crate::hosts::Visit;
use crate::origin::Origin;

/// A request for one of the gateway's own operations, after the verdict and the intent.
#[derive(Debug)]
pub struct OwnRequest {
    /// The operation.
    pub operation: Arc<Operation>,
    /// The page that was asked for (`GET /app/users`); `None` on the JSON API.
    pub page: Option<Arc<str>>,
    /// Parameters of its path, in order.
    pub parameters: Vec<(String, String)>,
    /// Its head.
    pub head: OwnHead,
    /// The fields of a page's form, without the gateway's own (`_csrf`, `_code`). Empty on the JSON API.
    pub form: Vec<(String, String)>,
    /// The complete body of a request to the JSON API; empty for pages.
    pub body: Bytes,
    /// Who asks.
    pub caller: Caller,
    /// What policy was told.
    pub facts: Facts,
    /// What forms of this session must carry as `_csrf`; `None` without a web session.
    pub csrf: Option<String>,
    /// The request, for events and problems.
    pub request_id: RequestId,
    /// What the data plane does for the control plane at the rack.
    pub rack: Arc<dyn RackEnvironment>,
}

/// The head of such a request.
#[derive(Clone, Debug)]
pub struct OwnHead {
    /// Method, as sent.
    pub method: http::Method,
    /// Path, as sent.
    pub path: String,
    /// The query, undecoded.
    pub query: Option<String>,
    /// The origin that the client used, by its `Host` and, from a listed forwarder, `X-Forwarded-Proto`.
    pub origin: Origin,
    /// All headers short of credentials: `Authorization`, the session cookie and factors are taken out.
    pub headers: HeaderMap,
    /// The certificate whose key the client proved to have, DER; only at operations that are open to all, which are
    /// told of no other credential.
    pub client_certificate: Option<Vec<u8>>,
    /// How it came; `None` when nobody looked.
    pub arrived: Option<Arrived>,
}

/// How a request came to the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrived {
    /// The other end of the connection, whatever anybody says about the client.
    pub peer: SocketAddr,
    /// Whether TLS ended here.
    pub tls: bool,
    /// The version of HTTP.
    pub version: http::Version,
}

impl OwnRequest {
    /// A parameter of the path.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A field of the form, when it is there exactly once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.form.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { None } else { first }
    }
}

/// What follows the body of a reply, as it comes. It ends with the channel, or when the caller may no longer have it; its
/// sender learns of that.
pub type Following = tokio::sync::mpsc::Receiver<Bytes>;

/// A reply: finished, or one that something follows.
#[derive(Debug)]
pub struct OwnReply {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// Further headers, such as `Location`, `ETag` and `Set-Cookie`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Vec<u8>,
    /// What follows it; `None` = nothing.
    pub following: Option<Following>,
}

impl OwnReply {
    /// A reply with a body and no further headers.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into(), following: None }
    }

    /// The same with something that follows.
    #[must_use]
    pub fn followed_by(self, following: Following) -> Self {
        Self { following: Some(following), ..self }
    }

    /// The same with one more header. A value that cannot stand in a header is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }
}

/// What [`ControlPlane::serve`] returns.
pub type Served<'a> = Pin<Box<dyn Future<Output = Result<OwnReply, Problem>> + Send + 'a>>;

/// What a request for one of the gateway's own operations is about, before the verdict.
#[derive(Clone, Copy, Debug)]
pub struct OwnQuestion<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The route.
    pub route: &'a OwnRoute,
    /// The query, undecoded.
    pub query: Option<&'a str>,
    /// The fields of a page's form.
    pub form: &'a [(String, String)],
    /// The body of a request to the JSON API.
    pub body: &'a [u8],
}

/// What a page was asked for, when the answer is a problem.
#[derive(Clone, Debug)]
pub struct PageAsked {
    /// Method, as sent.
    pub method: http::Method,
    /// Path and query, as sent.
    pub target: String,
    /// The fields of its form, to be sent again with a second factor.
    pub form: Vec<(String, String)>,
    /// Who asked, when that is known.
    pub caller: Option<Caller>,
    /// As [`OwnRequest::csrf`].
    pub csrf: Option<String>,
    /// It was asked for at a host of a service, where no page of the gateway's own answers.
    pub at_service: bool,
}

/// What [`ControlPlane::hand_off`] returns.
pub type HandedOff<'a> = Pin<Box<dyn Future<Output = Option<OwnReply>> + Send + 'a>>;

/// What [`ControlPlane::confirmation_page`] returns.
pub type Confirming<'a> = Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>>;

/// Whoever serves the gateway's own operations.
pub trait ControlPlane: fmt::Debug + Send + Sync {
    /// Whether this operation is served here; one that is not does not exist.
    fn serves(&self, operation: &Operation) -> bool;

    /// Whether what is asked for is about the caller or the caller's own: a fact for policy. Unsure means no.
    fn is_own<'a>(&'a self, question: OwnQuestion<'a>) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// The app that what is asked for is about, when its path does not name one. `None` = none, or it is not known.
    fn app_of<'a>(
        &'a self,
        question: OwnQuestion<'a>,
    ) -> Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>>;

    /// Serves a request that policy allowed and whose intent is recorded.
    fn serve(&self, request: OwnRequest) -> Served<'_>;

    /// The way to sign in for a browser that asked for a page of a service at that service's own host; `None`
    /// when there is none, and the refusal stands.
    fn hand_off<'a>(&'a self, visit: Visit<'a>) -> HandedOff<'a>;

    /// The address at the gateway's own origin at which what was refused can be confirmed with a second factor;
    /// `challenge` is its id, `visit` where a browser goes back to.
    fn confirmation_page<'a>(
        &'a self,
        at: &'a Origin,
        challenge: String,
        visit: Option<Visit<'a>>,
    ) -> Confirming<'a>;

    /// The page that tells a person a problem: the remedies as links and forms.
    fn problem_page(&self, asked: &PageAsked, problem: &Problem, request_id: RequestId) -> OwnReply;
}
