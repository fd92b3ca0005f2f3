//! How a decision is told to whoever asked: problem documents, and the few socket replies that the
//! Convox client understands (API.md 2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_app::control::PageAsked;
use gateway_app::csrf;
use gateway_app::origin::Scheme;
use gateway_convox::exec;
use gateway_framing::websocket::{Opcode, encode_server_frame};
use gateway_tunnel::NATIVE_PROTOCOL;
use gateway_types::{
    Caller, Channel, Principal, Problem, ProblemKind, RemedyKind, RequestId, SessionChallenge,
};
use http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    REFERRER_POLICY, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, STRICT_TRANSPORT_SECURITY, UPGRADE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Duration, timeout};
use tungstenite::handshake::derive_accept_key;

use crate::body::ReplyBody;
use crate::connection::Place;
use crate::flow::Flow;
use crate::guarded::STAND_IN;
use crate::limits::Standing;
use crate::outcome::{End, OutcomeGuard};
use crate::phases::admit::Admitted;
use crate::phases::cors::{self, CrossOrigin};
use crate::phases::forward::own_reply;
use crate::phases::identify::Target;
use crate::phases::service::OfService;
use crate::plane::DataPlane;
use crate::sign_on::Going;

mod grpc;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Said while not everything works (`docs/degraded.md`).
const GATEWAY_MODE: HeaderName = HeaderName::from_static("gateway-mode");

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// How long a refused socket is kept open for the client to read why.
const DENIAL_GRACE: Duration = Duration::from_secs(5);

/// A socket that a client asked for and that is not open yet.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    pub(crate) upgrade: OnUpgrade,
    /// The answer to the client's key.
    pub(crate) accept: HeaderValue,
    /// Held as long as the socket is open.
    pub(crate) place: Place,
    /// The script of a page asks, which takes only an answer that names what it offered.
    of_page: bool,
}

impl ClientSocket {
    /// The reply that opens it.
    pub(crate) fn switching(&self) -> Response<ReplyBody> {
        let mut response = switching(self.accept.clone());
        if self.of_page {
            let chosen = HeaderValue::from_static(PAGE_PROTOCOL);
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, chosen);
        }
        response
    }
}

/// What the script of a page offers as subprotocol, before the token of its session's forms.
pub(crate) const PAGE_PROTOCOL: &str = "rack-gateway.page";

/// What the script of a page sends along with its socket, as a form has it in fields: a handshake of a browser carries
/// nothing else of a script's, and what stands in an address is in the logs of whatever is in between.
pub(crate) struct PageOffer<'a> {
    /// The token of its session's forms.
    pub(crate) token: &'a str,
    /// What is asked for, urlencoded and then in base64url; empty when all of it is in the address.
    pub(crate) values: &'a str,
}

/// What the script of a page offers; `None` when no such script asks.
pub(crate) fn page_offer(headers: &HeaderMap) -> Option<PageOffer<'_>> {
    let mut values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let offered = values.next().filter(|_| values.next().is_none())?;
    let mut items = offered.to_str().ok()?.split(',').map(str::trim);
    let is_page = items.next() == Some(PAGE_PROTOCOL);
    let (token, values) = (items.next().filter(|_| is_page)?, items.next().unwrap_or_default());
    items.next().is_none().then_some(PageOffer { token, values })
}

/// What rendering needs to know of the request after its phases took it apart.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) channel: Channel,
    /// How the client reached the gateway.
    pub(crate) scheme: Scheme,
    /// The name that the client used is one of its own machine's.
    pub(crate) is_local: bool,
    /// Set for a browser, which is told problems as pages.
    pub(crate) page: Option<PageAsked>,
    /// A page of another origin is behind the request, which the service lists.
    pub(crate) cross_origin: Option<CrossOrigin>,
    /// Set for a browser that goes to a page at a service's host.
    pub(crate) going: Option<Going>,
    /// The service lists origins, so that caches must tell them apart.
    lists_origins: bool,
    socket: Option<ClientSocket>,
    /// The connection ends with this reply: what follows on it might be frames of a socket that was
    /// not opened, or what is left of a malformed request.
    is_last: bool,
    /// The body of the reply is not sent (HEAD).
    wants_head_only: bool,
    /// The client reads text and exit code of a socket.
    tells_in_socket: bool,
    /// The client is the gateway's own command line: it reads a refusal as an answer, before a socket is opened.
    is_native: bool,
    /// How the limits of the caller stand.
    pub(crate) standings: Vec<Standing>,
    /// Set for a gRPC call, which is told problems as a status; its content type.
    grpc: Option<HeaderValue>,
}

impl Asker {
    /// Notes how the request wants to be answered.
    pub(crate) fn of(request: &mut Request<Incoming>, place: &Place) -> Self {
        let is_upgrade = request.headers().contains_key(UPGRADE);
        let wants_head_only = request.method() == Method::HEAD;
        let request_is_stand_in = request.method().as_str() == STAND_IN;
        let socket = websocket_accept(request.headers()).filter(|_| is_upgrade).map(|accept| ClientSocket {
            upgrade: hyper::upgrade::on(&mut *request),
            accept,
            place: place.clone(),
            of_page: page_offer(request.headers()).is_some(),
        });
        let is_last = is_upgrade || request_is_stand_in;
        let is_native = request
            .headers()
            .get(SEC_WEBSOCKET_PROTOCOL)
            .is_some_and(|offered| offered.as_bytes() == NATIVE_PROTOCOL.as_bytes());
        let mut asker = Self {
            channel: Channel::Api,
            scheme: Scheme::Http,
            is_local: false,
            page: None,
            cross_origin: None,
            going: None,
            lists_origins: false,
            socket,
            is_last,
            wants_head_only,
            tells_in_socket: false,
            is_native,
            standings: Vec::new(),
            grpc: grpc::asked(request.method(), request.headers()),
        };
        // Until it is known what is asked for, whoever wants HTML and shows no token is a browser.
        let wants_html = request
            .headers()
            .get(ACCEPT)
            .is_some_and(|value| memchr::memmem::find(value.as_bytes(), b"text/html").is_some());
        if wants_html && !request.headers().contains_key(AUTHORIZATION) {
            asker.asked_for_page(request, false);
        }
        asker
    }

    /// Notes that a page was asked for; `at_service`: at a service's host.
    pub(crate) fn asked_for_page(&mut self, request: &Request<Incoming>, at_service: bool) {
        self.page = Some(PageAsked {
            method: request.method().clone(),
            target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            form: Vec::new(),
            caller: None,
            csrf: None,
            at_service,
        });
    }

    /// Notes that a service was asked for, maybe at its own host. A person who goes to a page is told problems
    /// as pages, also there.
    pub(crate) fn of_service(&mut self, admitted: &Admitted, target: &Target, at_service: bool) {
        self.channel = Channel::Service;
        if let Target::Service(request) = target {
            self.lists_origins = !request.service.raw.cors_origins.is_empty();
        }
        let going = admitted.going().filter(|_| self.cross_origin.is_none());
        match (&mut self.page, &going) {
            (Some(page), Some(_)) => page.at_service = at_service,
            (page, _) => *page = None,
        }
        self.going = going.filter(|_| at_service);
    }

    /// Notes who asked for the page.
    pub(crate) fn is_known(&mut self, plane: &DataPlane, caller: &Caller, service_host: Option<&str>) {
        if let (Some(page), Principal::User { session, .. }) = (&mut self.page, &caller.principal) {
            page.csrf = Some(csrf::token_at(&plane.parts.store, *session, service_host));
            page.caller = Some(caller.clone());
        }
    }

    /// Notes what the page's form held.
    pub(crate) fn filled_in(&mut self, fields: &[(String, String)]) {
        if let Some(page) = &mut self.page {
            page.form = fields.to_vec();
        }
    }

    /// Once the route is known, it is known how its client reads a refusal: exec-like sockets print
    /// text and take the exit code from a marker; for log sockets a plain status is better, since the
    /// client reconnects each second otherwise (API.md 3.5).
    ///
    /// A script in a page learns nothing of a refused handshake, so all is told in the sockets of pages (`of_page`).
    pub(crate) fn route_known(&mut self, target: &Target, of_page: bool) {
        let Target::Rack(route) = target else { return };
        let action = route.operation().action.as_str();
        self.tells_in_socket = of_page
            || matches!(action, "convox:process:exec" | "convox:instance:shell" | "convox:resource:console")
            || (action == "convox:build:read" && route.row().operation.route.starts_with("SOCKET"));
    }

    /// Takes the socket that the client asked for.
    pub(crate) fn take_socket(&mut self) -> Option<ClientSocket> {
        self.socket.take()
    }

    /// Gives the socket back, for a refusal that is told inside it.
    pub(crate) fn put_back(&mut self, socket: ClientSocket) {
        self.socket = Some(socket);
    }

    /// Whether the client reads text and exit code inside the socket.
    pub(crate) fn tells_in_socket(&self) -> bool {
        self.tells_in_socket
    }

    /// Whether the client is the gateway's own command line.
    pub(crate) const fn is_native(&self) -> bool {
        self.is_native
    }
}

/// The answer to a request's websocket key (RFC 6455, section 4.2.2); `None` without exactly one
/// plausible key and version 13.
fn websocket_accept(headers: &HeaderMap) -> Option<HeaderValue> {
    let one = |name: &HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let key = one(&SEC_WEBSOCKET_KEY)?;
    let version = one(&SEC_WEBSOCKET_VERSION)?;
    let plausible = key.len() == 24 && STANDARD.decode(key).is_ok() && version.as_bytes() == b"13";
    plausible.then(|| HeaderValue::try_from(derive_accept_key(key.as_bytes())).ok()).flatten()
}

/// Makes the response of what the phases decided, and hands the outcome to its body.
pub(crate) fn render(
    plane: &DataPlane,
    flow: Flow<Response<ReplyBody>>,
    asker: Asker,
    mut outcome: OutcomeGuard,
) -> Response<ReplyBody> {
    let mut response = match flow {
        Flow::Continue(response) => response,
        Flow::Break(problem) => {
            outcome.problem(&problem);
            return refusal(plane, &problem, asker, outcome);
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        // The relay took the outcome over; what is left of it here writes nothing.
        return response;
    }
    if asker.is_last || plane.parts.app.health.is_leaving() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    finish(response, &asker, outcome)
}

fn finish(
    mut response: Response<ReplyBody>,
    asker: &Asker,
    mut outcome: OutcomeGuard,
) -> Response<ReplyBody> {
    if response.extensions_mut().remove::<OfService>().is_some() {
        service_headers(response.headers_mut(), asker, outcome.request_id);
    } else {
        common_headers(response.headers_mut(), asker, outcome.request_id);
    }
    let refused_as = response.extensions().get::<grpc::RefusedAs>().map(|status| status.0);
    outcome.status(refused_as.unwrap_or(response.status().as_u16()));
    if let Some(mode) = outcome.mode() {
        response.headers_mut().insert(GATEWAY_MODE, HeaderValue::from_static(mode));
    }
    if let Some(value) = outcome.answered().and_then(|text| HeaderValue::try_from(text).ok()) {
        // A service may have said some of its own.
        response.headers_mut().append(SERVER_TIMING, value);
    }
    if asker.wants_head_only {
        // hyper drops this body unread, which must not look as if the client had gone.
        outcome.finish(End::Completed);
    } else {
        response.body_mut().guarded(outcome);
    }
    response
}

/// What pages may load and do: only what is this gateway's own, and nothing inline.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What is said with the reply of a service. How it may be framed, cached and read is the service's own matter.
fn service_headers(headers: &mut HeaderMap, asker: &Asker, request_id: RequestId) {
    if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    strict_transport(headers, asker);
    // A service that counts for itself says so itself; people in a browser are told at the refusal.
    if asker.page.is_none() && !headers.contains_key(RATE_LIMIT) {
        rate_headers(headers, &asker.standings);
    }
    cors_headers(headers, asker);
}

/// Browsers use this name over TLS only from now on (RFC 6797). Not `localhost`: it is every program's on that machine,
/// and most of them speak none.
fn strict_transport(headers: &mut HeaderMap, asker: &Asker) {
    if asker.scheme == Scheme::Https && !asker.is_local {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000"));
    }
}

/// Which pages of other origins may read what comes from a service: never what the service itself says of it.
fn cors_headers(headers: &mut HeaderMap, asker: &Asker) {
    cors::strip(headers);
    if let Some(cross_origin) = &asker.cross_origin {
        cross_origin.mark(headers);
    }
    if asker.lists_origins {
        cors::vary(headers);
    }
}

fn common_headers(headers: &mut HeaderMap, asker: &Asker, request_id: RequestId) {
    if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    // Static files of the pages say otherwise.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    strict_transport(headers, asker);
    if asker.channel != Channel::Web {
        rate_headers(headers, &asker.standings);
    }
    match asker.channel {
        Channel::Service => return cors_headers(headers, asker),
        Channel::RackProxy => return,
        Channel::Api | Channel::Web | Channel::Local => {}
    }
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    // With `no-referrer` browsers send `Origin: null` with the pages' own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// How the caller's limits stand. A token bucket is told as the window in which an empty one is filled.
///
/// Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4.
fn rate_headers(headers: &mut HeaderMap, standings: &[Standing]) {
    if standings.is_empty() {
        return;
    }
    let (mut policies, mut limits) = (Vec::new(), Vec::new());
    for Standing { bucket, rate, remaining, reset_seconds } in standings {
        let window = rate.period.saturating_mul(rate.burst).as_secs().div_ceil(u64::from(rate.count.max(1)));
        policies.push(format!("\"{}\";q={};w={}", bucket.name(), rate.burst, window.max(1)));
        limits.push(format!("\"{}\";r={remaining};t={reset_seconds}", bucket.name()));
    }
    for (name, items) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)] {
        if let Ok(value) = HeaderValue::try_from(items.join(", ")) {
            headers.insert(name, value);
        }
    }
}

fn refusal(
    plane: &DataPlane,
    problem: &Problem,
    mut asker: Asker,
    outcome: OutcomeGuard,
) -> Response<ReplyBody> {
    if asker.tells_in_socket
        && !asker.is_native
        && problem.kind != ProblemKind::ForeignOrigin
        && let Some(socket) = asker.take_socket()
    {
        return deny_in_socket(problem, socket, outcome);
    }
    let mut response = match (&asker.grpc, &asker.page) {
        (Some(content_type), _) => grpc::refusal(problem, content_type, outcome.request_id),
        (None, Some(page)) => page_of(plane, page, problem, outcome.request_id),
        (None, None) => document(problem, asker.channel, outcome.request_id),
    };
    if asker.is_last
        || plane.parts.app.health.is_leaving()
        || matches!(problem.kind, ProblemKind::MalformedRequest | ProblemKind::TooSlow)
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    finish(response, &asker, outcome)
}

/// The problem as a page.
fn page_of(
    plane: &DataPlane,
    page: &PageAsked,
    problem: &Problem,
    request_id: RequestId,
) -> Response<ReplyBody> {
    let mut response = own_reply(plane.parts.control.problem_page(page, problem, request_id));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The problem as a document.
pub(crate) fn document(problem: &Problem, channel: Channel, request_id: RequestId) -> Response<ReplyBody> {
    let on_rack = channel == Channel::RackProxy;
    let mut response = Response::new(ReplyBody::whole(problem.to_json(request_id, on_rack)));
    *response.status_mut() =
        StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match problem.kind {
        ProblemKind::Unauthenticated => {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rack-gateway\""));
            // No `Basic` challenge: a browser would keep the answer and send it for every page's requests.
        }
        ProblemKind::StepUpRequired => step_up_headers(problem, headers),
        _ => {}
    }
    response
}

/// RFC 9470, section 3, and the two headers of older clients.
fn step_up_headers(problem: &Problem, headers: &mut HeaderMap) {
    let bound = problem.remedies.iter().any(|remedy| remedy.kind == RemedyKind::StepUpBound);
    let what = if bound { "a second factor for this very action" } else { "a second factor" };
    let max_age = problem.max_age_seconds.map(|seconds| format!(", max_age={seconds}")).unwrap_or_default();
    let challenge = format!(
        "Bearer error=\"insufficient_user_authentication\", error_description=\"{what} is needed\"{max_age}"
    );
    // A client in console mode understands this one only, and only when it comes first.
    let session = match problem.session_challenge {
        Some(SessionChallenge::InBrowser) => Some("Session path=\"/session\" token=\"true\""),
        Some(SessionChallenge::WithCredential) => Some("Session path=\"/session\" token=\"false\""),
        None => None,
    };
    if let Some(session) = session {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(session));
    }
    if let Ok(challenge) = HeaderValue::try_from(challenge) {
        headers.append(WWW_AUTHENTICATE, challenge);
    }
    headers.insert(HeaderName::from_static("x-mfa-required"), HeaderValue::from_static("true"));
    let level = if bound { "always" } else { "step_up" };
    headers.insert(HeaderName::from_static("x-mfa-level"), HeaderValue::from_static(level));
}

/// Opens the socket only to say why it is refused: text, exit code 1, end of input.
fn deny_in_socket(problem: &Problem, socket: ClientSocket, mut outcome: OutcomeGuard) -> Response<ReplyBody> {
    let frames = denial_frames(&problem.sentence(outcome.request_id));
    outcome.status(problem.kind.status());
    let reply = socket.switching();
    let ClientSocket { upgrade, place, .. } = socket;
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let mut client = TokioIo::new(upgraded);
            let told = client.write_all(&frames).await.is_ok() && client.flush().await.is_ok();
            outcome.count_out(frames.len() as u64);
            outcome.finish(End::Completed);
            if told {
                // What the client still sends goes nowhere; it closes once it has read the reason.
                let _ended = timeout(DENIAL_GRACE, drain(&mut client)).await;
            }
        }
        drop(place);
    });
    reply
}

async fn drain(client: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let mut bin = [0u8; 1024];
    while client.read(&mut bin).await.is_ok_and(|count| count > 0) {}
}

/// The frames that end an exec-like socket with a reason and exit code 1.
pub(crate) fn denial_frames(reason: &str) -> Vec<u8> {
    let mut frames = encode_server_frame(Opcode::Text, exec::error_text(reason).as_bytes());
    frames.extend(encode_server_frame(Opcode::Text, exec::marker_text(1).as_bytes()));
    frames.extend(encode_server_frame(Opcode::Binary, b""));
    frames
}

/// The reply that opens a socket.
pub(crate) fn switching(accept: HeaderValue) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}
