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
use rustls_pki_types::CertificateDer;

use super::limit;
use crate::connection::{Peer, Secured};
use crate::flow::{Flow, refuse};
use crate::forwarded::{self, Client, is_listed};
use crate::guarded::STAND_IN;
use crate::limits::Bucket;
use crate::outcome::OutcomeGuard;
use crate::plane::DataPlane;
use crate::reply::Asker;
use crate::sign_on::Going;

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
    /// The certificate that the client proved to hold, where TLS ended here and it gave one.
    pub(super) client_certificate: Option<CertificateDer<'static>>,
    /// A browser says that a page of another site is behind it; only a service that lists that page's origin
    /// may be asked so.
    pub(super) is_foreign: bool,
}

impl Admitted {
    /// A person with a browser who goes to a page; `None` for everybody else.
    pub(crate) fn going(&self) -> Option<Going> {
        let target = self.request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let (method, headers) = (self.request.method(), self.request.headers());
        Going::of(method, target, headers, &self.origin, self.source_ip).filter(|_| !self.socket)
    }
}

/// Admits a request.
pub(crate) fn admit(
    plane: &DataPlane,
    peer: &Peer,
    request: Request<Incoming>,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Admitted> {
    // Of a malformed request nothing is believed, its forwarding headers neither.
    let is_stand_in = request.method().as_str() == STAND_IN;
    let client = match is_stand_in {
        true => Client { ip: peer.address.ip(), scheme: Scheme::Http },
        false => client(plane, peer, request.headers())?,
    };
    outcome.comes_from(client.ip);
    // TLS that ended here is no matter of anybody's word.
    let scheme = if peer.secured.is_some() { Scheme::Https } else { client.scheme };
    asker.scheme = scheme;
    check_network(plane, client.ip)?;
    // A malformed request costs its address as much as any other.
    take_address(plane, client.ip, outcome, asker)?;
    if is_stand_in {
        return refuse(malformed(peer));
    }
    check_target(&request)?;
    let Some(host) = request.headers().get(HOST).and_then(|value| value.to_str().ok()).map(str::to_owned)
    else {
        return refuse(Problem::new(
            ProblemKind::MalformedRequest,
            Layer::Network,
            "the Host header is missing",
        ));
    };
    let origin = Origin { scheme, authority: host.to_ascii_lowercase() };
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host.as_str() }
    });
    asker.is_local = is_local(name);
    check_server_name(peer.secured.as_ref(), name)?;
    let socket = asks_for_socket(request.method(), request.headers());
    if socket && !socket_origin_is_own(request.headers(), &host) {
        return refuse(Problem::new(
            ProblemKind::ForeignOrigin,
            Layer::Network,
            "sockets are opened by the command line or by this gateway's own pages only",
        ));
    }
    let is_foreign = comes_from_another_site(request.headers(), &host);
    let host = name.to_ascii_lowercase();
    let client_certificate = peer.secured.as_ref().and_then(|secured| secured.client_certificate.clone());
    ControlFlow::Continue(Admitted {
        source_ip: client.ip,
        origin,
        host,
        socket,
        client_certificate,
        is_foreign,
        request,
    })
}

/// Whether a name is the client's own machine's (RFC 6761, section 6.3).
fn is_local(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Who calls: the other end, or whom a listed forwarder names.
fn client(plane: &DataPlane, peer: &Peer, headers: &HeaderMap) -> Flow<Client> {
    match forwarded::client(peer.address.ip(), headers, &plane.parts.networks.trusted_forwarders) {
        Ok(client) => ControlFlow::Continue(client),
        Err(fault) => refuse(Problem::new(ProblemKind::MalformedRequest, Layer::Network, fault.to_string())),
    }
}

/// Refuses networks from which the gateway is not used: listed ones, and where only some are let in, all others.
fn check_network(plane: &DataPlane, address: IpAddr) -> Flow<()> {
    let networks = &plane.parts.networks;
    let is_denied = is_listed(address, &networks.deny);
    if is_denied || !(networks.allow.is_empty() || is_listed(address, &networks.allow)) {
        return refuse(Problem::new(
            ProblemKind::Refused,
            Layer::Network,
            "this gateway is not used from your network; connect to the network it is for, such as the VPN",
        ));
    }
    ControlFlow::Continue(())
}

/// Counts the request to its address, whatever credential it has or claims to have.
fn take_address(
    plane: &DataPlane,
    address: IpAddr,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<()> {
    if !plane.parts.settings.rate_limits() {
        return ControlFlow::Continue(());
    }
    if let Err(slow) = plane.limits.take_address(Bucket::Address, address, plane.parts.clock.now()) {
        return refuse(limit::too_fast(slow, asker));
    }
    match plane.limits.hold_address(address) {
        Some(held) => {
            outcome.hold(held);
            ControlFlow::Continue(())
        }
        None => refuse(limit::too_many("requests of this address", "limits.address_concurrent_requests")),
    }
}

fn check_target(request: &Request<Incoming>) -> Flow<()> {
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
    ControlFlow::Continue(())
}

/// Refuses a request for another host than the one that the TLS handshake was about, also when one certificate
/// is good for both: what a client was let do on one host must not carry it to another.
///
/// Source: RFC 9110, section 15.5.20.
fn check_server_name(secured: Option<&Secured>, host: &str) -> Flow<()> {
    let told = secured.and_then(|secured| secured.server_name.as_deref());
    match told {
        Some(name) if !name.eq_ignore_ascii_case(host) => refuse(Problem::new(
            ProblemKind::MisdirectedRequest,
            Layer::Network,
            "the connection was made for another host than the request is for; open a connection for this host",
        )),
        Some(_) | None => ControlFlow::Continue(()),
    }
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
                408 => ProblemKind::TooSlow,
                431 | 414 => ProblemKind::HeadersTooLarge,
                _ => ProblemKind::MalformedRequest,
            };
            Problem::new(kind, Layer::Network, violation.to_string())
        }
        None => Problem::new(ProblemKind::MalformedRequest, Layer::Network, "the request is malformed"),
    }
}

/// Whether the request asks for a socket. Case does not matter (RFC 6455, section 4.2.1). Racks compare with exactly
/// `websocket` (API.md 1.2), which is what goes up, whatever the client wrote.
fn asks_for_socket(method: &Method, headers: &HeaderMap) -> bool {
    let upgrade =
        headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Protocol;

    fn check(server_name: Option<&str>, host: &str, expected: Option<u16>) {
        let secured = Secured {
            server_name: server_name.map(Into::into),
            protocol: Protocol::Http2,
            client_certificate: None,
        };
        let status = match check_server_name(Some(&secured), host) {
            ControlFlow::Continue(()) => None,
            ControlFlow::Break(problem) => Some(problem.kind.status()),
        };
        assert_eq!(status, expected, "{server_name:?} {host}");
    }

    #[test]
    fn b8_another_host_than_the_handshake_was_about_is_misdirected() {
        check(Some("gw.example"), "gw.example", None);
        check(Some("gw.example"), "GW.Example", None);
        check(Some("gw.example"), "other.example", Some(421));
        check(Some("gw.example"), "a.gw.example", Some(421));
        check(Some("gw.example"), "192.0.2.1", Some(421));
        check(None, "192.0.2.1", None);
        assert!(check_server_name(None, "other.example").is_continue(), "TLS ended somewhere else");
    }
}
