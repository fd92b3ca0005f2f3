//! What comes back from a service: its reply by rule, with addresses as the client knows them, and without what would
//! speak for the gateway, for other services, or of the gateway's own credential.

use std::sync::Arc;

use gateway_services::{Location, LocationContext, headers, location, set_cookie};
use gateway_types::{Class, Layer, Problem, ProblemKind};
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, LOCATION, REFRESH, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::request::nominated;
use super::{OfService, holds_credential};
use crate::body::{BodyError, ReplyBody, collect};
use crate::flow::{Flow, refuse};
use crate::plane::DataPlane;
use crate::services::body::{Scrubber, ServiceReplyBody};
use crate::services::{Answered, Outgoing};

/// The longest error text that is read before it is passed on, in bytes. Longer ones of services that the gateway
/// signs in to are looked through as they go.
const ERROR_LIMIT_BYTES: usize = 64 * 1024;

/// Makes a service's reply fit to be passed on.
pub(crate) async fn pass(
    plane: &Arc<DataPlane>,
    outgoing: &Outgoing,
    answered: Answered,
) -> Flow<Response<ReplyBody>> {
    let Answered { response, needles } = answered;
    let (head, body) = response.into_parts();
    let name = &outgoing.request.service.name;
    if head.status.is_informational() {
        return refuse(bad(format!("the service {name} answered with an upgrade that was not asked for")));
    }
    if is_refused_credential(outgoing, head.status) {
        tracing::error!(
            service = %name,
            request_id = %outgoing.request_id,
            "a service refused the credential that the gateway holds for it"
        );
        return refuse(bad(format!(
            "the service {name} refused the credential that the gateway holds for it; whoever runs the gateway must look at it"
        )));
    }
    let scrubber = Scrubber::new(needles.clone());
    if scrubber.is_in_headers(&head.headers) {
        return refuse(repeats(outgoing));
    }
    let is_short_error = (head.status.is_client_error() || head.status.is_server_error())
        && !needles.is_empty()
        && http_body::Body::size_hint(&body).upper().is_some_and(|length| length <= ERROR_LIMIT_BYTES as u64);
    let body = if is_short_error {
        let Ok(text) = collect(body.map_err(BodyError::Broken), ERROR_LIMIT_BYTES).await else {
            return refuse(bad(format!("the reply of the service {name} ended early")));
        };
        if scrubber.is_in(&text) || head.headers.contains_key(CONTENT_ENCODING) {
            return refuse(repeats(outgoing));
        }
        ReplyBody::whole(text)
    } else {
        ReplyBody::service(ServiceReplyBody::new(body, needles))
    };
    let mut passed = Response::new(body);
    *passed.status_mut() = head.status;
    *passed.headers_mut() = reply_headers(plane, outgoing, head.status, &head.headers)?;
    passed.extensions_mut().insert(OfService);
    Flow::Continue(passed)
}

/// Whether it is the gateway that was refused and not its caller. `Proxy-Authenticate` is for no client of ours.
fn is_refused_credential(outgoing: &Outgoing, status: StatusCode) -> bool {
    status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        || (status == StatusCode::UNAUTHORIZED && holds_credential(outgoing))
}

fn bad(detail: String) -> Problem {
    Problem::new(ProblemKind::BadUpstream, Layer::Network, detail)
}

fn repeats(outgoing: &Outgoing) -> Problem {
    let name = &outgoing.request.service.name;
    tracing::error!(
        service = %name,
        request_id = %outgoing.request_id,
        "a reply repeated the credential that the gateway holds for the service; it was not passed on"
    );
    bad(format!("the reply of the service {name} cannot be shown"))
}

/// The headers that are passed on.
pub(crate) fn reply_headers(
    plane: &DataPlane,
    outgoing: &Outgoing,
    status: StatusCode,
    from: &HeaderMap,
) -> Flow<HeaderMap> {
    let service = &outgoing.request.service;
    let nominated = nominated(from);
    let mut passed = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        if headers::comes_back(name.as_str()) && !nominated.contains(&headers::normalised(name.as_str())) {
            passed.append(name.clone(), value.clone());
        }
    }
    // Without a body of its own, a reply says how long another one would have been.
    if (outgoing.method == Method::HEAD || status == StatusCode::NOT_MODIFIED)
        && let Some(length) = from.get(CONTENT_LENGTH)
    {
        passed.insert(CONTENT_LENGTH, length.clone());
    }
    addresses(plane, outgoing, &mut passed)?;
    cookies(outgoing, &mut passed);
    notices(outgoing, &mut passed);
    if outgoing.request.operation.class != Class::Open {
        let said = passed.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        if let Ok(value) = HeaderValue::try_from(headers::cache_control(said)) {
            passed.insert(CACHE_CONTROL, value);
        }
    }
    passed.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    for name in &service.way.remove {
        passed.remove(name.as_str());
    }
    for (name, value) in &service.way.set {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            passed.insert(name, value);
        }
    }
    Flow::Continue(passed)
}

/// Rewrites where the reply sends the client, or refuses it.
fn addresses(plane: &DataPlane, outgoing: &Outgoing, passed: &mut HeaderMap) -> Flow<()> {
    let origin = outgoing.origin.to_string();
    let inside = [plane.parts.upstream.authority().host().to_owned()];
    let context = LocationContext {
        service: &outgoing.request.service,
        services: &outgoing.rules.services,
        origin: &origin,
        inside: &inside,
    };
    for name in [LOCATION, CONTENT_LOCATION] {
        let Some(value) = passed.remove(&name) else { continue };
        let rewritten = value.to_str().map_or(Location::Refused, |text| location(text, context));
        match rewritten {
            Location::Passed(text) => {
                if let Ok(value) = HeaderValue::try_from(text) {
                    passed.insert(name, value);
                }
            }
            // Nobody goes where `Content-Location` says, so it can be left out.
            Location::Refused if name == CONTENT_LOCATION => {}
            Location::Refused => {
                return refuse(bad(format!(
                    "the service {} sent its client to an address that only the gateway may reach",
                    outgoing.request.service.name
                )));
            }
        }
    }
    // The same in another header, which no server needs to use.
    let leads_away = passed
        .get(REFRESH)
        .is_some_and(|value| value.to_str().map_or(true, |text| text.contains("//") || text.contains('\\')));
    if leads_away {
        passed.remove(REFRESH);
    }
    Flow::Continue(())
}

fn cookies(outgoing: &Outgoing, passed: &mut HeaderMap) {
    let http::header::Entry::Occupied(entry) = passed.entry(SET_COOKIE) else { return };
    let (_, values) = entry.remove_entry_mult();
    let values: Vec<HeaderValue> = values.collect();
    let authority = outgoing.origin.authority.as_str();
    let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = host.map_or(authority, |(host, _)| host);
    let prefix = outgoing.request.service.prefix_path();
    for value in values {
        let rewritten = value.to_str().ok().and_then(|text| set_cookie(text, host, &prefix));
        if let Some(Ok(value)) = rewritten.map(HeaderValue::try_from) {
            passed.append(SET_COOKIE, value);
        }
    }
}

/// What clients of an old version are told (RFC 9745, RFC 8594).
fn notices(outgoing: &Outgoing, passed: &mut HeaderMap) {
    let way = &outgoing.request.service.way;
    let Some(notice) = outgoing.request.version.as_ref().and_then(|version| way.notices.get(version)) else {
        return;
    };
    for (name, text) in [("deprecation", &notice.deprecation), ("sunset", &notice.sunset)] {
        if let Some(Ok(value)) = text.as_ref().map(HeaderValue::try_from) {
            passed.insert(HeaderName::from_static(name), value);
        }
    }
}
