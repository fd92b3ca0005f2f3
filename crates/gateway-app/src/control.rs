//! The seam to the gateway's own operations: they are reached only through the data plane's verdict.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gateway_policy::OwnRoute;
use gateway_types::{Caller, Facts, Operation, Principal, Problem, RequestId};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;

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
    /// What the rack answered, with handles for its secrets; only for pages of the rack's operations, whose effect is
    /// done when they are served.
    pub rack_reply: Option<Bytes>,
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

/// A body that comes bit by bit, until whoever makes it ends. It is taken once.
#[derive(Clone)]
pub struct Feed(Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>);

impl Feed {
    /// What arrives here.
    pub fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self(Arc::new(Mutex::new(Some(receiver))))
    }

    /// The way that it comes; `None` when somebody took it already.
    pub fn take(&self) -> Option<mpsc::Receiver<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl PartialEq for Feed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Feed {}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Feed(…)")
    }
}

/// A reply: finished, but for a feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnReply {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// Further headers, such as `Location`, `ETag` and `Set-Cookie`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Vec<u8>,
    /// What follows it, bit by bit; broken off as soon as the caller may no longer have it.
    pub feed: Option<Feed>,
}

impl OwnReply {
    /// A reply with a body and no further headers.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, headers: Vec::new(), body: body.into(), feed: None }
    }

    /// Server-sent events (HTML, section 9.2) that come bit by bit.
    pub fn events(feed: Feed) -> Self {
        let headers = vec![(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        Self { status: 200, content_type: "text/event-stream", headers, body: Vec::new(), feed: Some(feed) }
    }

    /// The same with something that follows.
    #[must_use]
    pub fn followed_by(self, receiver: mpsc::Receiver<Bytes>) -> Self {
        Self { feed: Some(Feed::new(receiver)), ..self }
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

/// The form of a page that does something at the rack.
#[derive(Clone, Copy, Debug)]
pub struct RackForm<'a> {
    /// The page, `METHOD /template`.
    pub page: &'a str,
    /// Parameters of its path, in order.
    pub parameters: &'a [(String, String)],
    /// Its fields, without the gateway's own.
    pub fields: &'a [(String, String)],
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

    /// Why the form of a page that does something at the rack cannot be meant so; looked at before the verdict, since
    /// the page itself is made when all is done. `None` when nothing is wrong with it.
    fn fault_of_form(&self, form: RackForm<'_>) -> Option<Problem>;

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
