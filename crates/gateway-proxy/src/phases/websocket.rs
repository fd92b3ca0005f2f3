//! Sockets: opened only after the rack opened its side, relayed as frames, ended so that the client
//! never mistakes a broken connection for success.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::forward::{build, unreachable};
use super::inspect::{Asked, Inspected, logged_parameters};
use super::reveal;
use crate::body::{ReplyBody, RequestBody};
use crate::flow::{Flow, refuse};
use crate::outcome::{End, OutcomeGuard};
use crate::phases::standing::Standing;
use crate::plane::DataPlane;
use crate::reply::{Asker, ClientSocket};
use crate::sessions::{self, Session, Tap};
use crate::upstream::{RackBody, UpstreamError};

pub(super) mod client;
pub(super) mod relay;
mod waiting;

use client::ClientEnd;
use relay::{Manners, relay};
use waiting::Waiting;

/// Opens a socket to the rack, then to the client.
pub(crate) async fn open(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Response<ReplyBody>> {
    let Some(socket) = asker.take_socket() else {
        return refuse(Problem::new(
            ProblemKind::MalformedRequest,
            Layer::Network,
            "a socket needs one Sec-WebSocket-Key and Sec-WebSocket-Version 13",
        ));
    };
    let Asked::Rack { request, .. } = &inspected.asked else { return refuse(no_such_operation()) };
    // Before the rack is dialled: what has to be recorded and cannot be does not begin.
    let (caller, logged) = (&inspected.caller, logged_parameters(plane, &inspected.asked));
    let session = match Box::pin(sessions::begin(plane, caller, request, &logged, outcome.request_id)).await {
        Ok(session) => session,
        Err(problem) => return put_back(asker, socket, problem),
    };
    let tells_exit_code = asker.tells_in_socket() && inspected.asked.operation().class.needs_intent();
    // The Convox client always says which; only what says that it is one is one.
    let has_terminal = tells_exit_code && request.get("Tty").is_some_and(|tty| tty == "true");
    let in_page = inspected.page.is_some();
    let manners = Manners::Rack { tells_exit_code, has_terminal, keeps_alive: false, in_page };
    let is_native = tells_exit_code && asker.is_native();
    let mut standing = Standing::of(plane, &inspected);
    if let Some(session) = &session {
        standing = standing.of_session(session.ends());
    }
    if session.as_ref().and_then(|session| session.company.as_ref()?.needs.as_ref()).is_some() {
        // The client waits within its socket, where it can be told what for.
        let (client, reply) = ClientEnd::of(plane, socket, session.as_ref(), &inspected, is_native);
        let mut outcome = outcome.take();
        outcome.status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
        let waiting = Waiting { plane: Arc::clone(plane), inspected, manners, standing, outcome };
        plane.sockets.spawn(waiting.run(client, session));
        return Flow::Continue(reply);
    }
    let rack = match dial(plane, &inspected, outcome).await {
        Ok(rack) => rack,
        Err(Undialled::Problem(problem)) => return put_back(asker, socket, problem),
        Err(Undialled::Answer(response)) => {
            // An answer that cannot be passed on is told in the socket, where the client shows the reason.
            asker.put_back(socket);
            let response = response.map(RackBody::alone);
            return reveal::reveal(plane, &inspected.caller, request, response, None).await;
        }
    };
    let mut outcome = outcome.take();
    outcome.status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    let (client, reply) = ClientEnd::of(plane, socket, session.as_ref(), &inspected, is_native);
    plane.sockets.spawn(run(client, TokioIo::new(rack), manners, standing, outcome, session));
    Flow::Continue(reply)
}

fn no_such_operation() -> Problem {
    Problem::new(ProblemKind::UnknownRoute, Layer::Network, "no operation has this method and path")
}

/// What came instead of the rack's side of a socket.
enum Undialled {
    Problem(Problem),
    /// The rack's own answer, which is no 101.
    Answer(Response<Incoming>),
}

/// Opens the rack's side of the socket.
async fn dial(
    plane: &DataPlane,
    inspected: &Inspected,
    outcome: &mut OutcomeGuard,
) -> Result<Upgraded, Undialled> {
    let Asked::Rack { request, .. } = &inspected.asked else {
        return Err(Undialled::Problem(no_such_operation()));
    };
    let key = new_key(plane);
    let upstream = request.serialise();
    let built = build(&upstream, &inspected.caller, &inspected.head.headers, true, RequestBody::Empty)
        .map(|mut built| {
            let headers = built.headers_mut();
            headers.remove(http::header::ACCEPT_ENCODING);
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(SEC_WEBSOCKET_KEY, key.clone());
            if let Some(traced) = outcome.traced() {
                traced.propagate(headers);
            }
            built
        })
        .map_err(UpstreamError::Address);
    let sent = match built {
        Ok(built) => {
            let role = request.least_role();
            plane.parts.upstream.send_upgrade(built, &upstream.target, role).await
        }
        Err(error) => Err(error),
    };
    let mut response = sent.map_err(|error| Undialled::Problem(unreachable(&error, outcome)))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Undialled::Answer(response));
    }
    if response.headers().get(SEC_WEBSOCKET_ACCEPT) != Some(&accept_of(&key)) {
        return Err(Undialled::Problem(Problem::new(
            ProblemKind::BadUpstream,
            Layer::Network,
            "the rack answered the socket wrongly",
        )));
    }
    let upgraded = hyper::upgrade::on(&mut response).await;
    upgraded.map_err(|error| Undialled::Problem(unreachable(&UpstreamError::Exchange(error), outcome)))
}

/// A refusal after all: it is told in the socket, which therefore goes back.
fn put_back<Next>(asker: &mut Asker, socket: ClientSocket, problem: Problem) -> Flow<Next> {
    asker.put_back(socket);
    refuse(problem)
}

/// Relays the socket once the client's side is open, and writes its outcome.
pub(super) async fn run(
    client: ClientEnd,
    upstream: impl AsyncRead + AsyncWrite + Unpin,
    manners: Manners,
    standing: Standing,
    mut outcome: OutcomeGuard,
    mut session: Option<Session>,
) {
    let notices = session.as_mut().and_then(|session| session.company.take()).map(|company| company.notices);
    let tap = session.as_ref().map_or(Tap::Nothing, |session| session.tap.clone());
    let manners = manners.of(&client);
    let Some((client, lasting)) = client.open().await else {
        drop(tap);
        return finish(session, outcome, End::AbortedByClient);
    };
    let end = relay(client, upstream, manners, &standing, &mut outcome, &tap, notices).await;
    drop(tap);
    finish(session, outcome, end);
    lasting.ended(end);
}

/// Notes how a socket ended.
fn finish(session: Option<Session>, outcome: OutcomeGuard, end: End) {
    if let Some(session) = session {
        session.ended(outcome.reason().map_or_else(|| end.name().replace('_', " "), str::to_owned));
    }
    outcome.finish(end);
}

pub(super) fn new_key(plane: &DataPlane) -> HeaderValue {
    let mut random = [0u8; 16];
    plane.parts.entropy.fill(&mut random);
    HeaderValue::try_from(STANDARD.encode(random)).unwrap_or(HeaderValue::from_static(""))
}

pub(super) fn accept_of(key: &HeaderValue) -> HeaderValue {
    // RFC 6455, section 1.3. SHA-1 here only shows that the peer speaks the protocol.
    let mut input = key.as_bytes().to_vec();
    input.extend_from_slice(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &input));
    HeaderValue::try_from(accept).unwrap_or(HeaderValue::from_static(""))
}
