//! Phase 8 for services: the upstream request is built from the typed one, with what may go along of the
//! client's headers; the reply is passed on with what may go back.

use std::ops::ControlFlow;
use std::sync::Arc;

use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HeaderName, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};

use super::inspect::{Asked, Inspected};
use super::standing::Standing;
use crate::body::{ReplyBody, RequestBody};
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::reply::Asker;

/// Sends a request to its service.
pub(crate) async fn forward(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    outcome: &mut OutcomeGuard,
    _asker: &mut Asker,
) -> Flow<Response<ReplyBody>> {
    let standing = Standing::of(plane, &inspected);
    let Asked::Service { request, body } = inspected.asked else { return refuse(unknown()) };
    let body = RequestBody::Stream { body, counter: outcome.counter_in() };
    let Ok(method) = Method::from_bytes(request.method.as_bytes()) else { return refuse(unknown()) };
    let mut built = Request::new(body);
    *built.method_mut() = method;
    copy(&inspected.head.headers, built.headers_mut());
    let sent = tokio::select! {
        sent = plane.services.send(&request.service, built, &request.target) => sent,
        reason = standing.revoked() => {
            return refuse(Problem::new(ProblemKind::Refused, Layer::Authorization, reason));
        }
    };
    match sent {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let mut reply = Response::new(ReplyBody::upstream(body));
            *reply.status_mut() = head.status;
            reply
                .headers_mut()
                .extend(head.headers.get_all(CONTENT_TYPE).iter().map(|value| (CONTENT_TYPE, value.clone())));
            reply.body_mut().until(async move { standing.revoked().await });
            ControlFlow::Continue(reply)
        }
        Err(error) => refuse(super::forward::unreachable(&error, outcome)),
    }
}

fn unknown() -> Problem {
    Problem::new(ProblemKind::UnknownRoute, Layer::Network, "no operation has this method and path")
}

fn copy(from: &HeaderMap, to: &mut HeaderMap) {
    const PASSED: [HeaderName; 6] =
        [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, USER_AGENT];
    for name in PASSED {
        for value in from.get_all(&name) {
            to.append(name.clone(), value.clone());
        }
    }
}
