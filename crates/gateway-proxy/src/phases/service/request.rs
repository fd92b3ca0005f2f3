//! What goes up to a service: the client's end-to-end headers by rule, then the gateway's own.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use gateway_services::{UpstreamProtocol, headers};
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, TE};
use http::{HeaderMap, HeaderValue, Method};

use super::unknown;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::phases::inspect::{Asked, Inspected};
use crate::services::Outgoing;
use crate::services::body::Upload;

/// The request on its way to its service: everything but identity and credential, which
/// [`ServiceUpstreams`](crate::services::ServiceUpstreams) adds last.
pub(crate) fn outgoing(inspected: &Inspected, outcome: &OutcomeGuard) -> Flow<Outgoing> {
    let Asked::Service { request, body } = &inspected.asked else { return refuse(unknown()) };
    let Ok(method) = Method::from_bytes(request.method.as_bytes()) else { return refuse(unknown()) };
    let client = &inspected.head.headers;
    let mut outgoing = Outgoing {
        rules: Arc::clone(&inspected.rules),
        request: request.as_ref().clone(),
        headers: passed(client)?,
        caller: inspected.caller.clone(),
        facts: inspected.facts.clone(),
        request_id: outcome.request_id,
        origin: inspected.origin.clone(),
        upload: Upload::new(outcome.counter_in()),
        method,
    };
    if let Some(traced) = outcome.traced() {
        traced.propagate(&mut outgoing.headers);
    }
    // RFC 9110, section 8.6: some servers ask for it (411).
    let is_empty = http_body::Body::is_end_stream(body);
    if is_empty && matches!(outgoing.method, Method::POST | Method::PUT | Method::PATCH) {
        outgoing.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let service = &outgoing.request.service;
    if service.protocol == UpstreamProtocol::Http2 && wants_trailers(client) {
        outgoing.headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if service.way.credential.is_sent() {
        // A reply that repeats the credential has to be readable here.
        outgoing.headers.remove(ACCEPT_ENCODING);
    }
    match forwarded(&mut outgoing) {
        Ok(()) => ControlFlow::Continue(outgoing),
        Err(_) => refuse(Problem::new(
            ProblemKind::MalformedRequest,
            Layer::Network,
            "the Host header holds characters that it cannot",
        )),
    }
}

/// Of the client's headers, what goes up.
///
/// # Security
/// Names are compared in every spelling in which a server might read them, and what `Connection` names goes no
/// further, so that nothing of the gateway's can be said, hidden or taken away by a client.
fn passed(client: &HeaderMap) -> Flow<HeaderMap> {
    let nominated = nominated(client);
    let mut passed = HeaderMap::with_capacity(client.len() + 8);
    for name in client.keys() {
        let values = client.get_all(name);
        if headers::is_single(name.as_str()) && values.iter().nth(1).is_some() {
            return refuse(Problem::new(
                ProblemKind::MalformedRequest,
                Layer::Network,
                format!("there is more than one {name} header"),
            ));
        }
        if headers::goes_up(name.as_str()) && !nominated.contains(&headers::normalised(name.as_str())) {
            for value in values {
                passed.append(name.clone(), value.clone());
            }
        }
    }
    // A cookie that is no text could hide one of ours from this look at it.
    let cookies = client.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    if let Some(cookies) = headers::cookies_up(cookies)
        && let Ok(value) = HeaderValue::try_from(cookies)
    {
        passed.insert(COOKIE, value);
    }
    ControlFlow::Continue(passed)
}

/// Names in `Connection`, which are for this hop only (RFC 9110, section 7.6.1).
pub(crate) fn nominated(map: &HeaderMap) -> HashSet<String> {
    map.get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(headers::normalised)
        .collect()
}

/// gRPC servers refuse calls without it, and a client cannot say it through every proxy.
fn wants_trailers(client: &HeaderMap) -> bool {
    let says = client
        .get_all(TE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            coding.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("trailers"))
        });
    says || client.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// What the gateway says about the client and the address that it used.
fn forwarded(outgoing: &mut Outgoing) -> Result<(), http::header::InvalidHeaderValue> {
    let prefix = match outgoing.request.service.strip_prefix {
        true => outgoing.request.service.prefix_path(),
        false => String::new(),
    };
    let said = [
        ("x-forwarded-for", outgoing.caller.source_ip.to_string()),
        ("x-forwarded-proto", outgoing.origin.scheme.name().to_owned()),
        ("x-forwarded-host", outgoing.origin.authority.clone()),
        ("x-forwarded-prefix", prefix),
        ("x-request-id", outgoing.request_id.to_string()),
    ];
    for (name, text) in said {
        if !text.is_empty() {
            outgoing.headers.insert(HeaderName::from_static(name), HeaderValue::try_from(text)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)], expected: Option<&[(&str, &str)]>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let told: Option<Vec<(String, String)>> = match passed(&map) {
            ControlFlow::Continue(passed) => Some(
                passed
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect(),
            ),
            ControlFlow::Break(_) => None,
        };
        let expected: Option<Vec<(String, String)>> = expected.map(|pairs| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        });
        assert_eq!(told, expected, "{headers:?}");
    }

    #[test]
    fn b2_what_connection_names_goes_no_further_and_ours_survives() {
        check(&[("accept", "a"), ("accept", "b")], Some(&[("accept", "a"), ("accept", "b")]));
        check(
            &[("connection", "close, X-Secret"), ("x-secret", "1"), ("x-other", "2")],
            Some(&[("x-other", "2")]),
        );
        check(&[("connection", "X_Secret"), ("x-secret", "1")], Some(&[]));
        check(&[("connection", "x-a"), ("connection", "x-b"), ("x-a", "1"), ("x-b", "2")], Some(&[]));
        check(&[("x-gateway-user", "eve"), ("x_gateway_user", "eve"), ("te", "trailers")], Some(&[]));
        check(&[("cookie", "a=1; __Host-rgw=x"), ("cookie", "b=2")], Some(&[("cookie", "a=1; b=2")]));
    }

    #[test]
    fn a_second_one_of_what_there_is_one_of_is_refused() {
        check(&[("content-type", "a"), ("content-type", "b")], None);
        check(&[("range", "bytes=0-1"), ("range", "bytes=0-1")], None);
        check(&[("origin", "https://a"), ("origin", "https://b")], None);
    }
}
