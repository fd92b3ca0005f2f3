//! Sockets to services: opened only after the service opened its side, without extensions, with a subprotocol
//! that the client offered, and relayed as frames.

use std::ops::ControlFlow;
use std::sync::Arc;

use gateway_services::RawHost;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::body::ReplyBody;
use crate::flow::{Flow, refuse};
use crate::outcome::OutcomeGuard;
use crate::phases::inspect::Inspected;
use crate::phases::service::unreachable;
use crate::phases::standing::Standing;
use crate::phases::tunnel::lost;
use crate::phases::websocket::client::ClientEnd;
use crate::phases::websocket::relay::Manners;
use crate::phases::websocket::{accept_of, new_key, run};
use crate::plane::DataPlane;
use crate::reply::{Asker, switching};
use crate::services::SendError;

mod searched;

use searched::Searched;

/// How many subprotocols a client may offer.
const MOST_PROTOCOLS: usize = 32;

/// Opens a socket to the service, then to the client.
pub(crate) async fn open(
    plane: &Arc<DataPlane>,
    inspected: Inspected,
    outcome: &mut OutcomeGuard,
    asker: &mut Asker,
) -> Flow<Response<ReplyBody>> {
    let Some(socket) = asker.take_socket() else {
        return refuse(malformed("a socket needs one Sec-WebSocket-Key and Sec-WebSocket-Version 13"));
    };
    let Some(offered) = offered(&inspected.head.headers) else {
        return refuse(malformed("Sec-WebSocket-Protocol is not a list of at most 32 names"));
    };
    let standing = Standing::of(plane, &inspected);
    let key = new_key(plane);
    let mut outgoing = super::outgoing(&inspected, outcome)?;
    ask_for_socket(&mut outgoing.headers, &key, &offered);
    if outgoing.request.service.way.host == RawHost::Upstream {
        // It was held against the host that the client used; beside another host it would look foreign.
        outgoing.headers.remove(ORIGIN);
    }
    let sent = tokio::select! {
        sent = plane.services.open(&outgoing) => sent,
        loss = standing.lost() => return refuse(lost(&loss)),
    };
    let mut answered = match sent {
        Ok(answered) => answered,
        Err(error) => return refuse(unreachable(&error, &outgoing)),
    };
    if answered.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let mut passed = super::reply::pass(plane, &outgoing, answered).await?;
        passed.body_mut().until(async move { standing.revoked().await });
        return ControlFlow::Continue(passed);
    }
    let protocol = match accepted(answered.response.headers(), &key, &offered) {
        Ok(protocol) => protocol,
        Err(detail) => return refuse(Problem::new(ProblemKind::BadUpstream, Layer::Network, detail)),
    };
    let upstream = match hyper::upgrade::on(&mut answered.response).await {
        Ok(upstream) => upstream,
        Err(error) => return refuse(unreachable(&SendError::Socket(error), &outgoing)),
    };
    let service = outgoing.request.service.clone();
    let upstream = Searched::new(TokioIo::new(upstream), service, answered.needles);
    let mut outcome = outcome.take();
    outcome.status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    let mut reply = switching(socket.accept.clone());
    if let Some(protocol) = protocol {
        reply.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let client = ClientEnd::Connection(socket);
    plane.sockets.spawn(run(client, upstream, Manners::Service, standing, outcome, None));
    ControlFlow::Continue(reply)
}

fn malformed(detail: &str) -> Problem {
    Problem::new(ProblemKind::MalformedRequest, Layer::Network, detail)
}

/// Turns the headers of a request into those of one for a socket. Nothing of the client's own handshake is in it
/// but the subprotocols, one by one.
fn ask_for_socket(headers: &mut HeaderMap, key: &HeaderValue, offered: &[String]) {
    headers.remove(http::header::ACCEPT_ENCODING);
    headers.remove(SEC_WEBSOCKET_EXTENSIONS);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(list) = HeaderValue::try_from(offered.join(", ")).ok().filter(|list| !list.is_empty()) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, list);
    }
}

/// The subprotocols that a client offers, in its order (RFC 6455, section 11.3.4); `None` when they are no list
/// of tokens without doublets.
fn offered(headers: &HeaderMap) -> Option<Vec<String>> {
    let mut offered: Vec<String> = Vec::new();
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            let is_new_token = is_token(name) && !offered.iter().any(|earlier| earlier == name);
            if !is_new_token || offered.len() == MOST_PROTOCOLS {
                return None;
            }
            offered.push(name.to_owned());
        }
    }
    Some(offered)
}

fn is_token(name: &str) -> bool {
    (1..=256).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The subprotocol that the service chose, if its answer is one to our question.
fn accepted(
    headers: &HeaderMap,
    key: &HeaderValue,
    offered: &[String],
) -> Result<Option<HeaderValue>, &'static str> {
    let is_websocket =
        headers.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !is_websocket || headers.get(SEC_WEBSOCKET_ACCEPT) != Some(&accept_of(key)) {
        return Err("the service answered the socket wrongly");
    }
    if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err("the service chose an extension that nobody offered");
    }
    let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    match (chosen.next(), chosen.next()) {
        (None, _) => Ok(None),
        (Some(name), None) if offered.iter().any(|offer| offer.as_bytes() == name.as_bytes()) => {
            Ok(Some(name.clone()))
        }
        (Some(_), _) => Err("the service chose a subprotocol that nobody offered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h4_subprotocols_are_a_list_of_names() {
        let check = |values: &[&str], expected: Option<&[&str]>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(value).unwrap());
            }
            let found = offered(&headers);
            assert_eq!(
                found.as_deref(),
                expected
                    .map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{values:?}"
            );
        };
        check(&[], Some(&[]));
        check(&["graphql-ws"], Some(&["graphql-ws"]));
        check(&["a, b", "c"], Some(&["a", "b", "c"]));
        check(&["a, a"], None);
        check(&["a,"], None);
        check(&[""], None);
        check(&["a b"], None);
        check(&["a;q=1"], None);
        let many: Vec<String> = (0..33).map(|number| format!("p{number}")).collect();
        check(&[&many.join(",")], None);
    }

    #[test]
    fn h4_only_an_answer_to_our_question_counts() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let answer = [
            ("upgrade", "WebSocket"),
            // RFC 6455, section 1.3.
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        let check = |more: &[(&'static str, &'static str)], expected: Result<Option<&str>, ()>| {
            let mut headers = HeaderMap::new();
            for (name, value) in answer.iter().chain(more) {
                headers.append(*name, HeaderValue::from_static(value));
            }
            let found = accepted(&headers, &key, &["a".to_owned(), "b".to_owned()]);
            let found = found.as_ref().map(|name| name.as_ref().map(|name| name.to_str().unwrap()));
            assert_eq!(found.map_err(|_| ()), expected, "{more:?}");
        };
        check(&[], Ok(None));
        check(&[("sec-websocket-protocol", "b")], Ok(Some("b")));
        check(&[("sec-websocket-protocol", "c")], Err(()));
        check(&[("sec-websocket-protocol", "a, b")], Err(()));
        check(&[("sec-websocket-protocol", "a"), ("sec-websocket-protocol", "b")], Err(()));
        check(&[("sec-websocket-extensions", "permessage-deflate")], Err(()));
        let other = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");
        assert!(accepted(&HeaderMap::new(), &other, &[]).is_err());
    }
}
