//! Phase 1: where from, and is it one well-formed request for this gateway.
//!
//! Framing was checked by [`crate::guarded`] before the request existed; what is left here needs the
//! whole head.

use std::net::IpAddr;
use std::ops::ControlFlow;

use gateway_app::origin::{Origin, Scheme};
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{CONNECTION, HOST, ORIGIN, UPGRADE};
use http::{HeaderMap, Method, Request, Version};
use hyper::body::Incoming;

use crate::connection::Peer;
use crate::flow::{Flow, refuse};
use crate::forwarded;
use crate::guarded::STAND_IN;
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::reply::Asker;

/// A well-formed request from an admitted source.
#[derive(Debug)]
pub struct Admitted {
    pub(super) request: Request<Incoming>,
    pub(super) source_ip: IpAddr,
    /// The origin that the client used.
    pub(super) origin: Origin,
    /// The host the request is for, without port, in lower case.
    pub(super) host: String,
    pub(super) socket: bool,
}

/// Admits a request.
pub(crate) fn admit(
    plane: &DataPlane,
    peer: &Peer,
    request: Request<Incoming>,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Admitted> {
    if request.method().as_str() == STAND_IN {
        return refuse(malformed(peer));
    }
    if request.version() == Version::HTTP_09 || request.uri().authority().is_some() {
        return refuse(Problem::new(
            ProblemKind::MalformedRequest,
            Layer::Network,
            "the request line must hold a path that begins with a slash",
        ));
    }
    if holds_credential(request.uri().path()) || request.uri().query().is_some_and(holds_credential) {
        return refuse(Problem::new(
            ProblemKind::BadParameter,
            Layer::Network,
            "the address holds a token; addresses end up in logs and histories, so send it as Authorization, and revoke this one",
        ));
    }
    let Some(host) = request.headers().get(HOST).and_then(|value| value.to_str().ok()).map(str::to_owned)
    else {
        return refuse(Problem::new(
            ProblemKind::MalformedRequest,
            Layer::Network,
            "the Host header is missing",
        ));
    };
    let client =
        match forwarded::client(peer.address.ip(), request.headers(), &plane.parts.trusted_forwarders) {
            Ok(client) => client,
            Err(fault) => {
                return refuse(Problem::new(
                    ProblemKind::MalformedRequest,
                    Layer::Network,
                    fault.to_string(),
                ));
            }
        };
    outcome.comes_from(client.ip);
    // TLS that ended here is no matter of anybody's word.
    let scheme = if peer.secured.is_some() { Scheme::Https } else { client.scheme };
    let origin = Origin { scheme, authority: host.to_ascii_lowercase() };
    asker.scheme = scheme;
    let socket = asks_for_socket(request.method(), request.headers());
    if socket && !socket_origin_is_own(request.headers(), &host) {
        return refuse(Problem::new(
            ProblemKind::ForeignOrigin,
            Layer::Network,
            "sockets are opened by the command line or by this gateway's own pages only",
        ));
    }
    if comes_from_another_site(request.headers(), &host) {
        return refuse(Problem::new(
            ProblemKind::ForeignOrigin,
            Layer::Network,
            "a page of another site asked a browser to send this request",
        ));
    }
    let host = host.rsplit_once(':').map_or(host.as_str(), |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host.as_str() }
    });
    let host = host.to_ascii_lowercase();
    ControlFlow::Continue(Admitted { source_ip: client.ip, origin, host, socket, request })
}

/// Whether a text holds one of the gateway's own tokens: its beginning, and 43 characters of base64url.
fn holds_credential(text: &str) -> bool {
    text.match_indices("rg").any(|(start, _)| {
        let rest = text.as_bytes().get(start..).unwrap_or_default();
        let (kind, secret) = rest.split_at(rest.len().min(4));
        matches!(kind, b"rgw_" | b"rgs_" | b"rgj_")
            && secret.get(..43).is_some_and(|secret| {
                secret.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            })
    })
}

fn malformed(peer: &Peer) -> Problem {
    match peer.violation.take() {
        Some(violation) => {
            let kind = match violation.status {
                405 => ProblemKind::MethodNotAllowed,
                431 | 414 => ProblemKind::HeadersTooLarge,
                _ => ProblemKind::MalformedRequest,
            };
            Problem::new(kind, Layer::Network, violation.to_string())
        }
        None => Problem::new(ProblemKind::MalformedRequest, Layer::Network, "the request is malformed"),
    }
}

/// Whether the rack would treat the request as a socket: exactly `Upgrade: websocket`, in lower case,
/// as racks compare it (API.md 1.2).
fn asks_for_socket(method: &Method, headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).is_some_and(|value| value.as_bytes() == b"websocket");
    let connection = headers
        .get(CONNECTION)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade")));
    method == Method::GET && upgrade && connection
}

/// Whether the `Origin` of a socket is this gateway, by host and port.
///
/// The Convox client sends the gateway's own address. A client that sends none is no browser
/// (every browser sends one), unless it says so.
fn socket_origin_is_own(headers: &HeaderMap, host: &str) -> bool {
    match headers.get(ORIGIN) {
        Some(_) => origin_is_own(headers, host),
        None => !looks_like_browser(headers),
    }
}

fn origin_is_own(headers: &HeaderMap, host: &str) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = origins.next().and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let authority = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    origins.next().is_none() && authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Whether a browser says that a page of another site is behind the request. Following a link is not
/// that: it changes nothing, and carries no `Origin`.
fn comes_from_another_site(headers: &HeaderMap, host: &str) -> bool {
    let says = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let foreign_fetch = says("sec-fetch-site").is_some_and(|site| !matches!(site, b"same-origin" | b"none"))
        && says("sec-fetch-mode") != Some(b"navigate");
    foreign_fetch || (headers.contains_key(ORIGIN) && !origin_is_own(headers, host))
}

fn looks_like_browser(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"))
        || headers
            .get(http::header::USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}
