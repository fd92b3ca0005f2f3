//! Tunnels to TCP services: a WebSocket of the command line whose binary messages are the bytes of one connection
//! to the service. The service is dialled before the socket is opened, so that a service that is away is told as
//! a plain refusal.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gateway_tunnel::{Counters, Ending, Side, carry};
use gateway_types::{Layer, Problem, ProblemKind};
use http::{Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::inspect::{Asked, Inspected};
use super::standing::{Loss, Standing};
use crate::body::ReplyBody;
use crate::flow::{Flow, refuse};
use crate::outcome::{End, OutcomeGuard};
use crate::plane::DataPlane;
use crate::reply::{Asker, ClientSocket, switching};
use crate::upstream::RackStream;

/// Connects to the service, then opens the client's socket.
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
            "a tunnel needs one Sec-WebSocket-Key and Sec-WebSocket-Version 13",
        ));
    };
    let standing = Standing::of(plane, &inspected);
    let Asked::Service { request, .. } = inspected.asked else {
        return refuse(Problem::new(
            ProblemKind::UnknownRoute,
            Layer::Network,
            "no operation has this method and path",
        ));
    };
    let dialled = tokio::select! {
        dialled = plane.services.dial(&request.service) => dialled,
        loss = standing.lost() => return refuse(lost(&loss)),
    };
    let Some(upstream) = dialled else {
        return refuse(Problem::new(
            ProblemKind::UpstreamUnreachable,
            Layer::Network,
            format!("the service `{}` accepts no connection; look whether it runs", request.service.name),
        ));
    };
    let mut outcome = outcome.take();
    outcome.status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    let accept = socket.accept.clone();
    plane.sockets.spawn(run(socket, upstream, standing, outcome));
    Flow::Continue(switching(accept))
}

/// The problem of a caller who lost the right to a socket that was not open yet.
pub(super) fn lost(loss: &Loss) -> Problem {
    match loss {
        Loss::Revoked(reason) | Loss::Ended(reason) => {
            Problem::new(ProblemKind::Refused, Layer::Authorization, reason.clone())
        }
        Loss::Stopping => Problem::new(ProblemKind::Draining, Layer::Network, loss.reason()),
    }
}

async fn run(socket: ClientSocket, upstream: RackStream, standing: Standing, mut outcome: OutcomeGuard) {
    let ClientSocket { upgrade, place, .. } = socket;
    let Ok(client) = upgrade.await else {
        // The client left between its request and the 101.
        return outcome.finish(End::AbortedByClient);
    };
    let counters = Counters { to_stream: outcome.counter_in(), ..Counters::default() };
    let stop = async {
        let loss = standing.lost().await;
        Ending { code: loss.close_code(), reason: loss.reason().to_owned() }
    };
    let end = carry(TokioIo::new(client), upstream, Side::Server, &counters, stop).await;
    outcome.count_out(counters.from_stream.load(Ordering::Relaxed));
    let end = told(end, &mut outcome);
    outcome.finish(end);
    drop(place);
}

/// The end as the log keeps it.
fn told(end: gateway_tunnel::End, outcome: &mut OutcomeGuard) -> End {
    use gateway_tunnel::End as Tunnel;
    match end {
        Tunnel::Finished | Tunnel::Closed { .. } => End::Completed,
        Tunnel::SocketLost => End::AbortedByClient,
        Tunnel::Silent { after } => {
            outcome.note(format!("nothing was heard of the client for {} s", after.as_secs()));
            End::AbortedByClient
        }
        Tunnel::Stopped(Ending { reason, .. }) => {
            outcome.note(reason);
            End::Refused
        }
        Tunnel::SocketBroke(fault) => {
            outcome.note(format!("the client broke the tunnel: {fault}"));
            End::Failed
        }
        Tunnel::StreamBroke => {
            outcome.note("the service broke the connection");
            End::UpstreamLost
        }
    }
}
