//! Phase 8: the effect. The upstream request is serialised from the typed value; nothing else goes up.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use gateway_app::control::{Arrived, OwnHead, OwnReply, OwnRequest};
use gateway_app::{Notice, cookies, csrf};
use gateway_audit::Receipt;
use gateway_convox::{RackRequest, UpstreamBody, UpstreamRequest};
use gateway_services::Kind;
use gateway_types::{Caller, Channel, Layer, Principal, Problem, ProblemKind, SessionId};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, SET_COOKIE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use tokio::time::timeout;

use super::authenticate::ShownCertificate;
use super::identify::service_host;
use super::inspect::{Asked, AskedPage, Inspected};
use super::record::{Effects, Recorded};
use super::resume::{self, RESUME};
use super::reveal;
use super::service;
use super::standing::Standing;
use super::step_up::console;
use super::tunnel;
use super::websocket;
use crate::approving::{Scan, Taken};
use crate::body::{BodyError, ClientBody, ReplyBody, RequestBody, collect};
use crate::environment;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::{DataPlane, LABELLED_REPLY_LIMIT_BYTES};
use crate::reply::Asker;
use crate::sessions::{self, Transfer};
use crate::spans::Traced;
use crate::upstream::{RackBody, UpstreamError};

/// How long the rest of a reply may take that a page is made of.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

/// The header in which the rack is told who acts; racks log it (API.md 2.1).
pub(crate) const ACTOR_HEADER: HeaderName = HeaderName::from_static("convox-actor");

/// Carries the request out.
pub(crate) async fn forward(
    plane: &Arc<DataPlane>,
    recorded: Recorded,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Response<ReplyBody>> {
    let (inspected, receipt, effects) = recorded.into_parts();
    // In boxes: else every request would be as large as the largest of them, and be moved as such.
    let mut response = match inspected.asked {
        Asked::Own { ref route, .. } if *route.operation.route == *RESUME => {
            Box::pin(resume::open(plane, inspected, outcome, asker)).await?
        }
        Asked::Own { .. } => Box::pin(own(plane, inspected, outcome)).await?,
        Asked::Rack { ref request, .. } if request.row().answered_here => {
            Box::pin(answer_here(plane, request, &inspected, outcome)).await?
        }
        Asked::Rack { .. } if inspected.socket => {
            Box::pin(websocket::open(plane, inspected, outcome, asker)).await?
        }
        Asked::Rack { .. } if inspected.page.is_some() => {
            Box::pin(rack_page(plane, inspected, effects, outcome)).await?
        }
        Asked::Rack { .. } => rack(plane, inspected, effects, outcome).await?,
        Asked::Service { ref request, .. } if matches!(request.service.kind, Kind::Tcp { .. }) => {
            Box::pin(tunnel::open(plane, inspected, outcome, asker)).await?
        }
        Asked::Service { .. } if inspected.socket => {
            Box::pin(service::websocket::open(plane, inspected, outcome, asker)).await?
        }
        Asked::Service { .. } => Box::pin(service::forward(plane, inspected, outcome, asker)).await?,
    };
    if let Some(value) =
        receipt.as_ref().map(Receipt::header_value).and_then(|text| HeaderValue::try_from(text).ok())
    {
        response.headers_mut().insert(HeaderName::from_static("audit-receipt"), value);
    }
    ControlFlow::Continue(response)
}

async fn own(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    outcome: &OutcomeGuard,
) -> Flow<Response<ReplyBody>> {
    let standing = Standing::of(plane, &inspected);
    let Asked::Own { route, body, form } = inspected.asked else { return refuse(no_such_operation()) };
    let web_session = web_session(&inspected.caller);
    let host = service_host(plane, &inspected.rules, inspected.origin.host()).map(str::to_owned);
    let http::request::Parts { method, uri, headers, extensions, .. } = inspected.head;
    let request = OwnRequest {
        operation: route.operation,
        page: route.page.filter(|_| inspected.caller.channel == Channel::Web),
        parameters: route.parameters,
        head: OwnHead {
            method,
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            origin: inspected.origin,
            headers,
            client_certificate: extensions.get::<ShownCertificate>().map(|shown| shown.0.to_vec()),
            arrived: extensions.get::<Arrived>().copied(),
        },
        form,
        body,
        rack_reply: None,
        csrf: web_session.map(|session| csrf::token_at(&plane.parts.store, session, host.as_deref())),
        caller: inspected.caller,
        facts: inspected.facts,
        request_id: outcome.request_id,
        rack: plane.clone(),
    };
    let stepped_up = web_session.filter(|_| outcome.is_stepped_up());
    match plane.parts.control.serve(request).await {
        Ok(reply) => {
            let mut response = own_reply(reply);
            if response.body().is_streamed() {
                // What goes on is only for as long as the caller may have it.
                response.body_mut().until(async move { standing.lost().await.reason().to_owned() });
            }
            if let Some(session) = stepped_up {
                renew_cookie(plane, session, &mut response).await;
            }
            ControlFlow::Continue(response)
        }
        Err(problem) => refuse(problem),
    }
}

/// An operation of the rack as a page: the rack is asked as for any client, and the page is made of its reply.
async fn rack_page(
    plane: &Arc<DataPlane>,
    mut inspected: Inspected,
    effects: Effects,
    outcome: &mut OutcomeGuard,
) -> Flow<Response<ReplyBody>> {
    let Some(AskedPage { page, form }) = inspected.page.take() else { return refuse(no_such_operation()) };
    let web_session = web_session(&inspected.caller);
    let mut request = OwnRequest {
        operation: Arc::new(inspected.asked.operation().clone()),
        page: Some(page.page),
        parameters: page.parameters,
        head: OwnHead {
            method: inspected.head.method.clone(),
            path: inspected.head.uri.path().to_owned(),
            query: inspected.head.uri.query().map(str::to_owned),
            origin: inspected.origin.clone(),
            headers: inspected.head.headers.clone(),
            client_certificate: None,
            arrived: inspected.head.extensions.get::<Arrived>().copied(),
        },
        form,
        body: Bytes::new(),
        rack_reply: None,
        csrf: web_session.map(|session| csrf::token_at(&plane.parts.store, session, None)),
        caller: inspected.caller.clone(),
        facts: inspected.facts.clone(),
        request_id: outcome.request_id,
        rack: plane.clone(),
    };
    // What the browser would take is the page's; of the rack's reply all is read here.
    inspected.head.headers.remove(ACCEPT_ENCODING);
    inspected.head.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let (head, body) = rack(plane, inspected, effects, outcome).await?.into_parts();
    let body = match timeout(PAGE_LIMIT, collect(body, LABELLED_REPLY_LIMIT_BYTES)).await {
        Ok(Ok(body)) => body,
        Err(_elapsed) => {
            let detail = "the rack took what was asked and did not end its reply in time; whether it is done is not known, so look before you repeat";
            return refuse(Problem::new(ProblemKind::UpstreamUnreachable, Layer::Network, detail));
        }
        Ok(Err(error)) => {
            let detail = format!(
                "the rack took what was asked, and its reply cannot be shown: {error}; look before you repeat"
            );
            return refuse(Problem::new(ProblemKind::BadUpstream, Layer::Network, detail));
        }
    };
    if !head.status.is_success() {
        return refuse(said_by_rack(head.status, &body));
    }
    request.rack_reply = Some(body);
    let stepped_up = web_session.filter(|_| outcome.is_stepped_up());
    let mut response = match plane.parts.control.serve(request).await {
        Ok(reply) => own_reply(reply),
        Err(problem) => return refuse(problem),
    };
    if let Some(session) = stepped_up {
        renew_cookie(plane, session, &mut response).await;
    }
    ControlFlow::Continue(response)
}

/// The web session that a page was asked for in.
fn web_session(caller: &Caller) -> Option<SessionId> {
    match (&caller.principal, caller.channel) {
        (Principal::User { session, .. }, Channel::Web) => Some(*session),
        (_, Channel::Web | Channel::Api | Channel::RackProxy | Channel::Service | Channel::Local) => None,
    }
}

/// What the rack says when it does not do what a page asked of it; secrets are masked in it already.
fn said_by_rack(status: StatusCode, body: &[u8]) -> Problem {
    let text = String::from_utf8_lossy(body);
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    let told = json.as_ref().and_then(|json| json.get("error")).and_then(|error| error.as_str());
    let said = gateway_audit::bounded(told.unwrap_or(&text).trim());
    let (kind, detail) = match status {
        StatusCode::NOT_FOUND => (ProblemKind::NotFound, format!("the rack has no such thing: {said}")),
        _ if status.is_client_error() => (ProblemKind::NotPossible, format!("the rack says: {said}")),
        _ => (ProblemKind::BadUpstream, format!("the rack answered {}: {said}", status.as_u16())),
    };
    Problem::new(kind, Layer::Network, detail)
}

/// The reply of a handler as a response.
pub(crate) fn own_reply(reply: OwnReply) -> Response<ReplyBody> {
    let OwnReply { status, content_type, headers, body, feed } = reply;
    let body = match feed.and_then(|feed| feed.take()) {
        Some(rest) => ReplyBody::feed(body.into(), rest),
        None => ReplyBody::whole(body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        response.headers_mut().append(name, value);
    }
    response
}

/// A session that just proved a second factor can do more than before, so its cookie becomes another
/// one: whoever got hold of the old one has nothing. The session itself, and so its window, stays.
async fn renew_cookie(plane: &DataPlane, session: SessionId, response: &mut Response<ReplyBody>) {
    if response.headers().contains_key(SET_COOKIE) {
        // The handler ended the session, or began another.
        return;
    }
    match plane.parts.store.sessions().renew(session).await {
        Ok(secret) => {
            if let Ok(value) = HeaderValue::try_from(cookies::session(&secret)) {
                response.headers_mut().append(SET_COOKIE, value);
            }
        }
        Err(gateway_store::StoreError::NotFound) => {}
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a web session keeps its cookie after a step-up"
            );
        }
    }
}

/// The few rack operations that the gateway answers itself (API.md 0.9, 2.5).
async fn answer_here(
    plane: &DataPlane,
    request: &RackRequest,
    inspected: &Inspected,
    outcome: &mut OutcomeGuard,
) -> Flow<Response<ReplyBody>> {
    let text = |status, content_type, body: String| {
        let mut response = Response::new(ReplyBody::whole(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        ControlFlow::Continue(response)
    };
    match request.operation().action.as_str() {
        "convox:session:check" => text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n".to_owned()),
        "convox:health" => text(StatusCode::OK, "text/plain; charset=utf-8", "ok".to_owned()),
        "convox:session:challenge" => console::challenge(plane, inspected).await,
        "convox:session:step_up" => console::step_up(plane, inspected, outcome).await,
        "convox:client:racks" => {
            console::before_command(plane, inspected).await?;
            let list = serde_json::json!([{
                "Name": plane.parts.rack_name,
                "Organization": {"Name": "rack-gateway"},
                "Provider": "rack-gateway",
                "Status": "running",
            }]);
            text(StatusCode::OK, "application/json", list.to_string())
        }
        "convox:client:probe" => {
            let mut response = Response::new(ReplyBody::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            ControlFlow::Continue(response)
        }
        _ => refuse(no_such_operation()),
    }
}

fn no_such_operation() -> Problem {
    Problem::new(ProblemKind::UnknownRoute, Layer::Network, "no operation has this method and path")
}

async fn rack(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    Effects { plaintext, notice }: Effects,
    outcome: &mut OutcomeGuard,
) -> Flow<Response<ReplyBody>> {
    let standing = Standing::of(plane, &inspected);
    let Inspected { caller, asked, head, approving, .. } = inspected;
    let Asked::Rack { mut request, body } = asked else { return refuse(no_such_operation()) };
    set_actor(&mut request, &caller.principal)?;
    let taken = match approving.id() {
        Some(approval) => {
            match Box::pin(Taken::take(plane, &caller, outcome.request_id, approval, &request)).await {
                Ok(taken) => taken,
                Err(problem) => return refuse(problem),
            }
        }
        None => None,
    };
    let transfer = sessions::transfer_of(plane, &request);
    if let Some(transfer) = &transfer {
        outcome.sums(transfer.clone());
    }
    // A client that leaves must not free the environment while the rack is still at its write, nor leave a step of a
    // deploy without an end.
    let is_told = notice.is_some();
    let outlives =
        is_told || environment::writes(&request) || taken.as_ref().is_some_and(Taken::outlives_its_client);
    let exchange = Exchange {
        taken,
        plane: plane.clone(),
        caller: caller.clone(),
        request,
        headers: head.headers,
        body,
        counter: outcome.counter_in(),
        transfer,
        notice,
        traced: outcome.traced(),
    };
    let exchanged = if outlives {
        tokio::spawn(exchange.run()).await.unwrap_or_else(|_panicked| Err(Failure::Lost))
    } else if is_told {
        // Nobody keeps others from being told by leaving before the rack has answered.
        tokio::select! {
            exchanged = tokio::spawn(exchange.run()) => exchanged.unwrap_or_else(|_panicked| Err(Failure::Lost)),
            reason = standing.revoked() => Err(Failure::Revoked(reason)),
        }
    } else {
        tokio::select! {
            exchanged = exchange.run() => exchanged,
            reason = standing.revoked() => Err(Failure::Revoked(reason)),
        }
    };
    match exchanged {
        Ok((request, response)) => {
            let mut reply = reveal::reveal(plane, &caller, &request, response, plaintext.as_ref()).await?;
            if let Some(plaintext) = plaintext.filter(|_| reply.body().is_streamed()) {
                let over = plaintext.over(plane.clone(), caller.principal);
                reply.body_mut().until(async move {
                    tokio::select! {
                        reason = standing.revoked() => reason,
                        reason = over => reason,
                    }
                });
            } else if reply.body().is_streamed() {
                reply.body_mut().until(async move { standing.revoked().await });
            }
            ControlFlow::Continue(reply)
        }
        Err(Failure::Revoked(reason)) => refuse(Problem::new(
            ProblemKind::Unauthenticated,
            Layer::Authentication,
            format!("{reason}; whether the rack did what was asked is not known"),
        )),
        Err(Failure::Refused(problem)) => refuse(problem),
        Err(Failure::Upstream(error)) => refuse(unreachable(&error, outcome)),
        Err(Failure::Lost) => refuse(Problem::new(
            ProblemKind::UpstreamUnreachable,
            Layer::Network,
            "the rack did not answer in time, or broke off; whether it did what was asked is not known, so look before you repeat",
        )),
    }
}

/// One exchange with the rack, from the typed request to the head of the reply.
struct Exchange {
    /// The step of a deploy that it is.
    taken: Option<Taken>,
    plane: Arc<DataPlane>,
    caller: Caller,
    request: Box<RackRequest>,
    headers: HeaderMap,
    body: Option<ClientBody>,
    counter: Arc<AtomicU64>,
    /// What sums the bytes of files.
    transfer: Option<Transfer>,
    /// What people are told once the rack took it.
    notice: Option<Notice>,
    /// Its names in traces.
    traced: Option<Traced>,
}

/// Why an exchange came to nothing.
enum Failure {
    Refused(Problem),
    Upstream(UpstreamError),
    /// The caller lost the right to it meanwhile.
    Revoked(String),
    /// The rack did not answer a write in time, or the exchange broke.
    Lost,
}

impl Exchange {
    async fn run(mut self) -> Result<(Box<RackRequest>, Response<RackBody>), Failure> {
        // Before handles are put back: what the caller did not type is not the caller's.
        let typed = environment::typed_parameters(&self.plane, &self.request);
        // Held until the rack has answered, so that two writers of one environment come one after the other.
        let writing = Box::pin(environment::restore(&self.plane, &self.caller.principal, &mut self.request))
            .await
            .map_err(Failure::Refused)?;
        let upstream = self.request.serialise();
        let labelled = !self.request.row().secrets.is_empty();
        let scan = self.taken.as_mut().and_then(Taken::scan);
        let body = request_body(&upstream, self.body, self.counter, scan, self.transfer);
        let mut built = build(&upstream, &self.caller, &self.headers, labelled, body)
            .map_err(|error| Failure::Upstream(UpstreamError::Address(error)))?;
        if let Some(traced) = &self.traced {
            traced.propagate(built.headers_mut());
        }
        let sending = self.plane.parts.upstream.send(built, &upstream.target, self.request.least_role());
        let sent = match writing {
            None => sending.await,
            Some(writing) => {
                let sent = timeout(environment::WRITE_LIMIT, sending).await;
                let taken = matches!(&sent, Ok(Ok(response)) if response.status().is_success());
                writing.end(&self.plane, taken).await;
                sent.map_err(|_slow| Failure::Lost)?
            }
        };
        if sent.as_ref().is_ok_and(|response| response.status().is_success()) {
            environment::remember_typed(&self.plane, &self.caller.principal, &self.request, typed);
            if let Some(notice) = self.notice.take() {
                self.plane.parts.notices.notify(notice).await;
            }
        }
        let response = match (self.taken, sent) {
            (None, sent) => sent.map_err(Failure::Upstream)?,
            (Some(taken), sent) => written_down(taken, sent).await?,
        };
        Ok((self.request, response))
    }
}

/// Writes down how a step of a deploy ended, before the caller learns of it.
async fn written_down(
    taken: Taken,
    sent: Result<Response<RackBody>, UpstreamError>,
) -> Result<Response<RackBody>, Failure> {
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            // Otherwise it is not known whether the rack took it, and an upload ends by being dropped.
            if error.is_unsent() {
                taken.failed().await;
            }
            return Err(Failure::Upstream(error));
        }
    };
    if !response.status().is_success() {
        taken.failed().await;
        return Ok(response);
    }
    if !taken.reads_reply() {
        taken.done(&Bytes::new()).await;
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = collect(body.map_err(BodyError::Broken), LABELLED_REPLY_LIMIT_BYTES).await;
    let body = body.map_err(|_broken| Failure::Lost)?;
    taken.done(&body).await;
    Ok(Response::from_parts(head, RackBody::read(body)))
}

/// `ack_by` is who acted, in the rack's own log; a caller does not choose it (API.md 4).
fn set_actor(request: &mut RackRequest, principal: &Principal) -> Flow<()> {
    let takes_actor = request.row().parameters.iter().any(|parameter| parameter.is_named("ack_by"));
    match takes_actor.then(|| request.set("ack_by", principal.display_name())) {
        Some(Err(fault)) => refuse(super::inspect::parameter_problem(&fault)),
        Some(Ok(())) | None => ControlFlow::Continue(()),
    }
}

fn request_body(
    upstream: &UpstreamRequest,
    client: Option<ClientBody>,
    counter: Arc<AtomicU64>,
    scan: Option<Scan>,
    transfer: Option<Transfer>,
) -> RequestBody {
    match (&upstream.body, client) {
        (UpstreamBody::Form(form), _) => RequestBody::Whole(Full::new(form.clone().into())),
        (UpstreamBody::Stream { .. }, Some(body)) => RequestBody::Stream { body, counter, scan, transfer },
        (UpstreamBody::Stream { .. }, None) | (UpstreamBody::None, _) => RequestBody::Empty,
    }
}

/// The upstream request from the typed one, with an allow-list of headers.
pub(crate) fn build(
    upstream: &UpstreamRequest,
    caller: &Caller,
    client: &HeaderMap,
    labelled: bool,
    body: RequestBody,
) -> Result<Request<RequestBody>, http::Error> {
    let method = Method::from_bytes(upstream.method.as_bytes())?;
    // RFC 9110, section 8.6. Routers before a rack may ask for it (411), and the client sends it too.
    let says_empty = body.is_end_stream() && matches!(method, Method::POST | Method::PUT);
    let mut request = Request::new(body);
    *request.method_mut() = method;
    let headers = request.headers_mut();
    if says_empty {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    for (name, value) in &upstream.headers {
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value.as_bytes())?);
    }
    match &upstream.body {
        UpstreamBody::Form(_) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        }
        UpstreamBody::Stream { content_type } => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        UpstreamBody::None => {}
    }
    let json = client.get(ACCEPT).is_some_and(|value| value.as_bytes() == b"application/json");
    headers.insert(ACCEPT, HeaderValue::from_static(if json { "application/json" } else { "*/*" }));
    // What has to be read here is asked for uncompressed.
    let gzip = !labelled
        && client
            .get(ACCEPT_ENCODING)
            .is_some_and(|value| memchr::memmem::find(value.as_bytes(), b"gzip").is_some());
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(if gzip { "gzip" } else { "identity" }));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("rack-gateway/", env!("CARGO_PKG_VERSION"))));
    headers.insert(ACTOR_HEADER, actor_value(&caller.principal));
    Ok(request)
}

/// The caller's name for the rack's log: visible ASCII, at most 256 characters.
pub(crate) fn actor_value(principal: &Principal) -> HeaderValue {
    let name: String = match principal {
        Principal::ApiToken { name, creator_email, .. } => format!("{creator_email} (token {name})"),
        Principal::User { .. }
        | Principal::Anonymous
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => principal.display_name(),
    };
    let visible: String =
        name.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).take(256).collect();
    HeaderValue::try_from(visible).unwrap_or(HeaderValue::from_static("rack-gateway"))
}

/// The problem of a rack that could not be asked; the cause goes to the log only.
pub(crate) fn unreachable(error: &UpstreamError, outcome: &mut OutcomeGuard) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, request_id = %outcome.request_id, "the rack could not be asked");
    match client_body_error(error) {
        Some(slow @ BodyError::TooSlow { .. }) => {
            return Problem::new(ProblemKind::TooSlow, Layer::Network, slow.to_string());
        }
        Some(_) => {
            return Problem::new(
                ProblemKind::MalformedRequest,
                Layer::Network,
                "the request body is malformed or ended early",
            );
        }
        None => {}
    }
    if error.is_of_minting() {
        return Problem::new(
            ProblemKind::BadUpstream,
            Layer::Network,
            "the rack minted no token for the gateway, so nothing was asked of it; whoever runs the gateway must look at RACK_TOKEN and RACK_JWT",
        );
    }
    Problem::new(
        ProblemKind::UpstreamUnreachable,
        Layer::Network,
        "the rack cannot be reached, or broke off before it answered; whether a change took effect is not known",
    )
}

/// What was wrong with the client's own body, when that is why the exchange failed.
fn client_body_error(error: &UpstreamError) -> Option<&BodyError> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<BodyError>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
