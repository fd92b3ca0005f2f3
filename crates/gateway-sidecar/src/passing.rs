//! What the service gets: requests without anything that only the gateway may say, who calls in headers, and
//! WebSockets, which are carried as bytes once the service opened its side.
//!
//! # Security
//! Identity headers of the request are taken away and made again from the token. Of upgrades only WebSockets pass: what
//! another protocol carries (HTTP/2 for one) would be requests whose tokens nobody checks.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rack_gateway_verify::{GatewayIdentity, HEADER};
use tokio::io::copy_bidirectional;
use tokio::sync::Mutex;

use crate::door::RequestToken;

/// What is said of the caller to the service, in headers that nobody else can send it.
const LEGACY: &str = "x-gateway-";

/// The protocol of sockets, as it is asked for (RFC 6455, section 4.1).
const WEBSOCKET: &str = "websocket";

pub(crate) type ReplyBody = BoxBody<Bytes, hyper::Error>;

/// The socket that a connection became; at most one, since no request follows it.
pub(crate) type Opened = Mutex<Option<Socket>>;

/// Both ends of a socket that the service agreed to.
#[derive(Debug)]
pub(crate) struct Socket {
    caller: OnUpgrade,
    service: OnUpgrade,
}

impl Socket {
    /// Carries bytes both ways until both ends are done. Its caller decides how long that may take.
    pub(crate) async fn carry(self) {
        match tokio::try_join!(self.caller, self.service) {
            Ok((caller, service)) => {
                // Either side may hang up whenever it likes.
                let _ended = copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(service)).await;
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a socket ended before it began");
            }
        }
    }
}

/// The way to the service.
pub(crate) struct Passing {
    pub(crate) client: Client<HttpConnector, Incoming>,
    /// Where the service is.
    pub(crate) to: SocketAddr,
    /// What becomes of the request token.
    pub(crate) token: RequestToken,
}

impl Passing {
    /// Passes a request on whose token was checked, and its answer back. A socket that the service opened is left in
    /// `opened`.
    pub(crate) async fn on(
        &self,
        mut request: Request<Incoming>,
        identity: Option<&GatewayIdentity>,
        opened: &Opened,
    ) -> Response<ReplyBody> {
        let is_socket = asks_for_socket(&request);
        if request.headers().contains_key(UPGRADE) && !is_socket {
            return said(StatusCode::NOT_IMPLEMENTED, "this sidecar passes no upgrades on but WebSockets");
        }
        if is_socket && identity.is_none() {
            return said(StatusCode::UNAUTHORIZED, "a WebSocket needs a request token, also at an open path");
        }
        if is_socket && !request.body().is_end_stream() {
            return said(StatusCode::BAD_REQUEST, "a request for a WebSocket has no body");
        }
        clean(request.headers_mut(), self.token);
        if let Some(identity) = identity {
            tell(request.headers_mut(), identity);
        }
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let to = self.to;
        let Ok(uri) = Uri::builder().scheme("http").authority(to.to_string()).path_and_query(target).build()
        else {
            return said(StatusCode::BAD_REQUEST, "the request has no path");
        };
        if !request.headers().contains_key(HOST) {
            return said(StatusCode::BAD_REQUEST, "the request has no host");
        }
        *request.uri_mut() = uri;
        let caller = is_socket.then(|| {
            switch(request.headers_mut());
            hyper::upgrade::on(&mut request)
        });
        let mut reply = match self.client.request(request).await {
            Ok(reply) => reply,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, %to, "the service did not answer");
                return said(StatusCode::BAD_GATEWAY, "the service behind this sidecar did not answer");
            }
        };
        if reply.status() != StatusCode::SWITCHING_PROTOCOLS {
            hop_by_hop(reply.headers_mut());
            return reply.map(BodyExt::boxed);
        }
        let Some(caller) = caller.filter(|_| is_websocket(reply.headers())) else {
            tracing::error!(%to, "the service switched to a protocol that nobody asked for");
            return said(StatusCode::BAD_GATEWAY, "the service behind this sidecar answered wrongly");
        };
        let service = hyper::upgrade::on(&mut reply);
        *opened.lock().await = Some(Socket { caller, service });
        hop_by_hop(reply.headers_mut());
        switch(reply.headers_mut());
        reply.map(BodyExt::boxed)
    }
}

/// Whether a WebSocket is asked for, and nothing else beside it.
fn asks_for_socket<B>(request: &Request<B>) -> bool {
    let says_upgrade = request
        .headers()
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    says_upgrade
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && is_websocket(request.headers())
}

fn is_websocket(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(UPGRADE).iter();
    let is_it = named.next().is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes()));
    is_it && named.next().is_none()
}

/// Says that the connection becomes a socket: of this hop, like everything that [`hop_by_hop`] takes away.
fn switch(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// Takes away the token (unless the service is to have it), whatever looks like an identity header in any spelling,
/// and what is of one connection.
fn clean(headers: &mut HeaderMap, token: RequestToken) {
    let is_identity = |name: &HeaderName| {
        let plain = name.as_str().replace(['_', '.'], "-");
        let is_checked = name.as_str() == HEADER;
        plain.starts_with(LEGACY) || (plain == HEADER && !(is_checked && token == RequestToken::PassedOn))
    };
    let taken: Vec<HeaderName> = headers.keys().filter(|name| is_identity(name)).cloned().collect();
    for name in taken {
        headers.remove(name);
    }
    hop_by_hop(headers);
}

/// Takes away what is of one connection (RFC 9110, section 7.6.1).
fn hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // What says who asks or how long the message is, is not for a connection to take away.
        .filter(|name: &HeaderName| *name != HOST && *name != http::header::CONTENT_LENGTH)
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, HeaderName::from_static("keep-alive")] {
        headers.remove(name);
    }
}

/// Tells the service who calls, in headers.
fn tell(headers: &mut HeaderMap, identity: &GatewayIdentity) {
    let roles = identity.roles.join(",");
    let told = [
        ("x-gateway-user", Some(identity.name.as_str())),
        ("x-gateway-subject", Some(identity.subject.as_str())),
        ("x-gateway-email", identity.email.as_deref()),
        ("x-gateway-roles", Some(roles.as_str())),
        ("x-gateway-request-id", Some(identity.request_id.as_str())),
    ];
    for (name, value) in told {
        if let Some(value) = value.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

pub(crate) fn said(status: StatusCode, text: &'static str) -> Response<ReplyBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
