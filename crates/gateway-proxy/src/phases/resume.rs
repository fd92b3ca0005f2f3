//! A session in the rack that goes on over another connection: this instance's, or one of a process beside it, such as the
//! one that this one took over from.
//!
//! # Security
//! The verdict was over the caller alone. Whose session it is, the credential and the one-use token say, where it is held
//! (`sessions/resuming.rs`); what the caller may do in it is still asked there every two seconds.

use std::sync::Arc;

use gateway_store::SessionState;
use gateway_tunnel::NATIVE_PROTOCOL;
use gateway_types::{Layer, Problem, ProblemKind, RecordingId, Secret};
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::UnixStream;

use super::inspect::{Asked, Inspected};
use crate::body::ReplyBody;
use crate::flow::{Flow, refuse};
use crate::outcome::{End, OutcomeGuard};
use crate::plane::DataPlane;
use crate::reply::{Asker, ClientSocket, switching};
use crate::sessions::{Attachment, Claim, Unclaimed, new_token};

/// The row of sessions that go on.
pub(super) const RESUME: &str = "GET /me/live/{id}/resume";

/// The token of the connection that was lost.
const TOKEN: &str = "rack-gateway-resume";

/// How many bytes of the session the client has received.
const RECEIVED: &str = "rack-gateway-received";

/// Hands the client's connection to whoever holds the session.
pub(crate) async fn open(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Response<ReplyBody>> {
    let Some(socket) = asker.take_socket() else {
        return refuse(malformed(
            "a session goes on over a WebSocket: one Sec-WebSocket-Key, and Sec-WebSocket-Version 13",
        ));
    };
    let Some(claim) = claimed(&inspected) else {
        return refuse(malformed(
            "a session goes on with its id, and the headers Rack-Gateway-Resume and Rack-Gateway-Received",
        ));
    };
    let token = new_token(plane);
    let held = match plane.sessions.resumables.claim(&claim, &token) {
        Err(Unclaimed::NotHere) => plane.sessions.neighbours.claim(&claim).await.map(Held::Beside),
        here => here.map(|attach| Held::Here(attach, token)),
    };
    let held = match held {
        Ok(held) => held,
        Err(why) => return refuse(problem(plane, claim.id, why).await),
    };
    let mut reply = switching(socket.accept.clone());
    reply.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(NATIVE_PROTOCOL));
    let mut outcome = outcome.take();
    outcome.status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    plane.sockets.spawn(hand_over(Arc::clone(plane), socket, held, claim.received, outcome));
    Flow::Continue(reply)
}

/// Who holds a session.
enum Held {
    /// This process; where to hand the connection, and the token of the next one.
    Here(tokio::sync::mpsc::Sender<Attachment>, Secret<String>),
    /// One beside it.
    Beside(UnixStream),
}

async fn hand_over(
    plane: Arc<DataPlane>,
    socket: ClientSocket,
    held: Held,
    peer_has: u64,
    outcome: OutcomeGuard,
) {
    let ClientSocket { upgrade, place, .. } = socket;
    let Ok(upgraded) = upgrade.await else { return outcome.finish(End::AbortedByClient) };
    let mut client = TokioIo::new(upgraded);
    match held {
        Held::Here(attach, token) => {
            let attachment = Attachment { socket: Box::pin(client), peer_has, token, place: Some(place) };
            // A session that ended just now closes the connection; the client asks again and is told.
            let _over = attach.send(attachment).await;
        }
        Held::Beside(mut beside) => {
            tokio::select! {
                // However it ends, the client comes back if there is something to come back to.
                _ended = copy_bidirectional(&mut client, &mut beside) => {}
                () = plane.closing.cancelled() => {}
            }
            drop(place);
        }
    }
    outcome.finish(End::Completed);
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::MalformedRequest, Layer::Network, detail)
}

/// What is claimed; `None` when the request does not say it.
fn claimed(inspected: &Inspected) -> Option<Claim> {
    let Asked::Own { route, .. } = &inspected.asked else { return None };
    let id = route.parameters.iter().find(|(name, _)| name == "id")?.1.parse::<RecordingId>().ok()?;
    let one = |headers: &HeaderMap, name: &'static str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().filter(|_| values.next().is_none())?;
        value.to_str().ok().map(str::to_owned)
    };
    let headers = &inspected.head.headers;
    let token = Secret::new(one(headers, TOKEN)?);
    let received = one(headers, RECEIVED)?.parse().ok()?;
    let credential = inspected.caller.principal.credential_id()?;
    Some(Claim { id, token, credential, received })
}

/// Why a session does not go on, as its person is told.
async fn problem(plane: &DataPlane, id: RecordingId, why: Unclaimed) -> Problem {
    let (kind, detail) = match why {
        Unclaimed::NotTheirs => (
            ProblemKind::NotFound,
            "there is no such session for this credential and token; a token is good once",
        ),
        Unclaimed::Gap => (
            ProblemKind::NotPossible,
            "the session is over, or what was said in it meanwhile is no longer there",
        ),
        Unclaimed::NotHere => match plane.parts.store.recordings().by_id(id).await {
            Ok(Some(session)) if session.state == SessionState::Live => (
                ProblemKind::UpstreamUnreachable,
                "this instance does not hold the session, and the one that does cannot be reached from here; try again, which may lead there",
            ),
            Ok(Some(session)) if session.state == SessionState::Cut => (
                ProblemKind::NotFound,
                "the gateway process that held this session is gone, and the session with it",
            ),
            Ok(_) => (ProblemKind::NotFound, "the session is over"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "it is not known who holds a session"
                );
                (
                    ProblemKind::UpstreamUnreachable,
                    "it cannot be told now which instance holds the session; try again",
                )
            }
        },
    };
    Problem::new(kind, Layer::Network, detail)
}
