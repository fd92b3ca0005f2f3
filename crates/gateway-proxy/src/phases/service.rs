//! Phase 8 for services: the upstream request is built from the typed one, with what may go along of the client's
//! headers; the reply is passed on with what may come back.
//!
//! [`outgoing`] makes what goes up and [`pass`](reply::pass) what comes back, for every protocol spoken here.

use std::sync::Arc;

use gateway_services::{Credential, ServiceRequest, UpstreamProtocol};
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};

use super::inspect::{Asked, Inspected};
use super::standing::Standing;
use crate::body::{ReplyBody, RequestBody};
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::reply::Asker;
use crate::services::body::{BodyFault, ServiceRequestBody};
use crate::services::{Outgoing, SendError};

pub(crate) mod grpc_web;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod websocket;

use grpc_web::{GrpcWeb, TextDecoder};
pub(crate) use request::outgoing;

/// A reply that a service gave: what it says of itself is its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfService;

/// Sends a request to its service.
pub(crate) async fn forward(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    outcome: &mut OutcomeGuard,
    _asker: &mut Asker,
) -> Flow<Response<ReplyBody>> {
    let standing = Standing::of(plane, &inspected);
    let mut outgoing = outgoing(&inspected, outcome)?;
    // Only a service that speaks HTTP/2 can speak gRPC; any other may know gRPC-Web itself.
    let grpc_web = GrpcWeb::of(&outgoing.method, &inspected.head.headers)
        .filter(|_| outgoing.request.service.protocol == UpstreamProtocol::Http2);
    if let Some(call) = &grpc_web {
        call.translate_request(&mut outgoing.headers);
    }
    let Asked::Service { body, .. } = inspected.asked else { return refuse(unknown()) };
    let limit = outgoing.request.body_size_bytes;
    let body = ServiceRequestBody::new(body, outgoing.upload.clone(), limit);
    let body = match &grpc_web {
        Some(call) if call.has_text() => {
            RequestBody::GrpcWebText(Box::new(TextDecoder::new(body, outgoing.upload.clone())))
        }
        Some(_) | None => RequestBody::Service(Box::new(body)),
    };
    let sent = tokio::select! {
        sent = plane.services.send(&outgoing, body) => sent,
        reason = standing.revoked() => {
            return refuse(Problem::new(
                ProblemKind::Unauthenticated,
                Layer::Authentication,
                format!("{reason}; whether the service did what was asked is not known"),
            ));
        }
    };
    match sent {
        Ok(answered) => {
            let mut passed = reply::pass(plane, &outgoing, answered).await?;
            if let Some(call) = grpc_web
                && call.translate_reply(passed.headers_mut())
            {
                passed.body_mut().write_as(call);
            }
            passed.body_mut().until(async move { standing.revoked().await });
            Flow::Continue(passed)
        }
        Err(error) => refuse(unreachable(&error, &outgoing)),
    }
}

/// Refuses a body that says itself that it is too large, before anything is decided or recorded about it.
pub(crate) fn within_limit(request: &ServiceRequest, headers: &HeaderMap) -> Flow<()> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match (request.body_size_bytes, announced) {
        (Some(limit), Some(length)) if length > limit => refuse(body_too_large(limit)),
        (Some(_) | None, Some(_) | None) => Flow::Continue(()),
    }
}

fn body_too_large(limit: u64) -> Problem {
    Problem::new(
        ProblemKind::TooLarge,
        Layer::Network,
        format!("the body is larger than the {limit} bytes that this operation takes"),
    )
}

fn unknown() -> Problem {
    Problem::new(ProblemKind::UnknownRoute, Layer::Network, "no operation has this method and path")
}

/// The problem of a service that could not be asked; the cause goes to the log only.
pub(crate) fn unreachable(error: &SendError, outgoing: &Outgoing) -> Problem {
    let name = &outgoing.request.service.name;
    tracing::warn!(
        error = error as &dyn std::error::Error,
        service = %name,
        request_id = %outgoing.request_id,
        "a service could not be asked"
    );
    let (kind, detail) = match error {
        SendError::Body(BodyFault::TooLarge { limit_bytes }) => return body_too_large(*limit_bytes),
        SendError::Body(BodyFault::TooSlow { limit }) => {
            (ProblemKind::TooSlow, format!("the body did not come within {limit:?}"))
        }
        SendError::Body(BodyFault::Broken) => {
            (ProblemKind::MalformedRequest, "the request body is malformed or ended early".to_owned())
        }
        SendError::NoInstance => (
            ProblemKind::UpstreamUnreachable,
            format!("no instance of the service {name} takes requests now"),
        ),
        SendError::NotUnderstood => {
            return Problem::new(
                ProblemKind::Refused,
                Layer::Authorization,
                format!(
                    "no instance of the service {name} says that it understands this action, so it is refused"
                ),
            );
        }
        SendError::TooSlow { .. } => (
            ProblemKind::UpstreamTimeout,
            format!("the service {name} did not answer in time; whether a change took effect is not known"),
        ),
        SendError::Credential(_) | SendError::Certificate(_) | SendError::CertificateContent(_) => (
            ProblemKind::BadUpstream,
            format!(
                "the gateway cannot sign in to the service {name}; whoever runs the gateway must look at the service's credential"
            ),
        ),
        SendError::Identity(_) | SendError::Request(_) => {
            (ProblemKind::Internal, format!("the request for the service {name} could not be made"))
        }
        SendError::Way(_) | SendError::Exchange(_) | SendError::Socket(_) => (
            ProblemKind::UpstreamUnreachable,
            format!(
                "the service {name} cannot be reached, or broke off before it answered; whether a change took effect is not known"
            ),
        ),
    };
    Problem::new(kind, Layer::Network, detail)
}

/// Whether the gateway signs in to the service with something that a reply could repeat or refuse.
pub(crate) fn holds_credential(outgoing: &Outgoing) -> bool {
    !matches!(outgoing.request.service.way.credential, Credential::None)
}
