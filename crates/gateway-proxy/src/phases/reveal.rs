//! Phase 9: what comes back. Labelled values become handles; everything else streams.

use std::ops::ControlFlow;

use bytes::Bytes;
use gateway_convox::RackRequest;
use gateway_secrets::{Masker, Redaction, redact_json};
use gateway_types::{Caller, Layer, Problem, ProblemKind};
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt as _;

use super::inspect::RACK_SCOPE;
use super::plaintext::Plaintext;
use crate::body::{BodyError, ReplyBody, collect};
use crate::environment;
use crate::flow::{Flow, refuse};
use crate::plane::{DataPlane, LABELLED_REPLY_LIMIT_BYTES};
use crate::upstream::RackBody;

/// The longest error text of a rack that is passed on, in bytes.
const ERROR_LIMIT_BYTES: usize = 64 * 1024;

/// Makes the rack's reply fit to be passed on.
pub(crate) async fn reveal(
    plane: &DataPlane,
    caller: &Caller,
    request: &RackRequest,
    response: Response<RackBody>,
    plaintext: Option<&Plaintext>,
) -> Flow<Response<ReplyBody>> {
    let status = response.status();
    match status.as_u16() {
        401 => {
            plane.parts.upstream.note_refusal();
            refuse(bad_upstream(
                "the rack refused the gateway's own credential; whoever runs the gateway must look at RACK_TOKEN",
            ))
        }
        100..=199 | 300..=399 => {
            refuse(bad_upstream("the rack answered with a redirect or an upgrade that was not asked for"))
        }
        400.. => Box::pin(error_reply(plane, request, response)).await,
        _ if request.row().secrets.is_empty() => ControlFlow::Continue(stream(request, response)),
        _ => Box::pin(labelled(plane, caller, request, response, plaintext)).await,
    }
}

fn bad_upstream(detail: &str) -> Problem {
    Problem::new(ProblemKind::BadUpstream, Layer::Network, detail)
}

/// A reply without labels, as it comes.
fn stream(request: &RackRequest, response: Response<RackBody>) -> Response<ReplyBody> {
    let (head, body) = response.into_parts();
    let mut reply = Response::new(ReplyBody::upstream(body));
    *reply.status_mut() = head.status;
    copy(&head.headers, reply.headers_mut(), CONTENT_TYPE);
    copy(&head.headers, reply.headers_mut(), CONTENT_ENCODING);
    copy(&head.headers, reply.headers_mut(), CONTENT_DISPOSITION);
    if request.row().operation.route.starts_with("HEAD ") {
        copy(&head.headers, reply.headers_mut(), CONTENT_LENGTH);
    }
    reply
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, name: http::HeaderName) {
    if let Some(value) = from.get(&name) {
        to.insert(name, value.clone());
    }
}

/// An error text of the rack, kept as it is for the client, which prints it, but for secrets: the rack
/// may repeat what it was sent, and values were put back for handles in that.
async fn error_reply(
    plane: &DataPlane,
    request: &RackRequest,
    response: Response<RackBody>,
) -> Flow<Response<ReplyBody>> {
    let (head, body) = response.into_parts();
    let body = if head.headers.contains_key(CONTENT_ENCODING) {
        Bytes::new()
    } else {
        collect(body.map_err(BodyError::Broken), ERROR_LIMIT_BYTES).await.unwrap_or_default()
    };
    if plane.parts.upstream.is_credential_in(&body) {
        tracing::error!("an error text of the rack held the rack's own credential; it was not passed on");
        return refuse(bad_upstream("the rack's error text cannot be shown"));
    }
    let Ok(text) = std::str::from_utf8(&body) else {
        return refuse(bad_upstream("the rack's error text cannot be shown"));
    };
    let resource = request.resource();
    let masked = Masker::new(&plane.known.of(resource.app_name().unwrap_or(RACK_SCOPE))).mask(text);
    let mut reply = Response::new(ReplyBody::whole(masked));
    *reply.status_mut() = head.status;
    copy(&head.headers, reply.headers_mut(), CONTENT_TYPE);
    ControlFlow::Continue(reply)
}

async fn labelled(
    plane: &DataPlane,
    caller: &Caller,
    request: &RackRequest,
    response: Response<RackBody>,
    plaintext: Option<&Plaintext>,
) -> Flow<Response<ReplyBody>> {
    let (head, body) = response.into_parts();
    let coding = head.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| coding != b"identity") {
        return refuse(bad_upstream(
            "the rack compressed a reply that may hold secrets, though it was asked not to",
        ));
    }
    let Ok(body) = collect(body.map_err(BodyError::Broken), LABELLED_REPLY_LIMIT_BYTES).await else {
        return refuse(bad_upstream("the rack's reply ended early or is too large"));
    };
    // The time may have ended while the rack was asked.
    let body = if says_nothing(&body) {
        ReplyBody::whole(body)
    } else if plaintext.is_some_and(|plaintext| plaintext.is_open(plane, &caller.principal)) {
        ReplyBody::pieces(as_it_is(plane, caller, request, body).await?)
    } else {
        ReplyBody::whole(redacted(plane, caller, request, body).await?)
    };
    let mut reply = Response::new(body);
    *reply.status_mut() = head.status;
    copy(&head.headers, reply.headers_mut(), CONTENT_TYPE);
    if reply.body().is_streamed() {
        reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    ControlFlow::Continue(reply)
}

/// A reply with its values, for whoever may read them now. The rack's own credential is nobody's.
async fn as_it_is(plane: &DataPlane, caller: &Caller, request: &RackRequest, body: Bytes) -> Flow<Bytes> {
    environment::learn(plane, caller, request, &body).await;
    if plane.parts.upstream.is_credential_in(&body) {
        tracing::error!("a reply of the rack held the rack's own credential; it was not passed on");
        return refuse(bad_upstream("the rack's reply holds the rack's own credential and is not passed on"));
    }
    ControlFlow::Continue(body)
}

/// An app's parameters that the caller wrote itself a while ago are shown as it wrote them.
fn with_own_writes(plane: &DataPlane, caller: &Caller, request: &RackRequest, body: Vec<u8>) -> Bytes {
    let resource = request.resource();
    let shown = match (resource.app_name(), caller.principal.credential_id()) {
        (Some(app), Some(credential)) if request.operation().action.as_str() == "convox:app:read" => {
            plane.own_writes.shown(&credential, app, body)
        }
        _ => body,
    };
    shown.into()
}

/// Whether a reply is the plain `ok` of an action, or empty.
fn says_nothing(body: &[u8]) -> bool {
    matches!(body.trim_ascii(), b"" | b"ok" | b"OK")
}

async fn redacted(plane: &DataPlane, caller: &Caller, request: &RackRequest, body: Bytes) -> Flow<Bytes> {
    let Some(labels) = plane.labels_of(&request.row().secrets) else {
        return refuse(bad_upstream("the reply's secret labels are not known"));
    };
    let resource = request.resource();
    let scope = resource.app_name().unwrap_or(RACK_SCOPE);
    environment::learn(plane, caller, request, &body).await;
    let known = match request.row().secrets.contains('~') {
        true => environment::known_values(plane, caller, resource.app_name()).await,
        false => plane.known.of(scope),
    };
    let plain = plane.plain_keys(resource.app_name());
    let redaction = Redaction {
        labels,
        keyring: &plane.parts.keyring,
        scope,
        item_scope_field: (resource.app_name().is_none()
            && request.operation().action.as_str() == "convox:app:list")
            .then_some("name"),
        plain: &plain,
        known: &known,
    };
    match redact_json(&body, &redaction) {
        Ok(redacted) => ControlFlow::Continue(with_own_writes(plane, caller, request, redacted.body)),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a reply that may hold secrets could not be read"
            );
            refuse(bad_upstream(
                "the rack's reply may hold secrets and could not be read, so it is not passed on",
            ))
        }
    }
}
