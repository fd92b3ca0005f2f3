//! A refusal as gRPC clients read it: a reply that is trailers only, with a status and a message.
//!
//! Source: `doc/PROTOCOL-HTTP2.md` and `doc/statuscodes.md` of the gRPC project.

use gateway_types::{Problem, RequestId};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response};

use crate::body::ReplyBody;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How long to wait before a repeat, in milliseconds.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The status that the problem has by itself, for the log: every gRPC reply has 200.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RefusedAs(pub(super) u16);

/// The content type of a call that is answered with a gRPC status: gRPC or gRPC-Web.
pub(super) fn asked(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let content_type = headers.get(CONTENT_TYPE)?;
    let media = content_type.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    let rest = media.strip_prefix("application/grpc")?;
    let is_grpc = ["", "-web", "-web-text"]
        .iter()
        .filter_map(|kind| rest.strip_prefix(kind))
        .any(|format| format.is_empty() || format.starts_with('+'));
    (is_grpc && method == Method::POST).then(|| content_type.clone())
}

/// The refusal.
pub(super) fn refusal(
    problem: &Problem,
    content_type: &HeaderValue,
    request_id: RequestId,
) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::empty());
    response.extensions_mut().insert(RefusedAs(problem.kind.status()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type.clone());
    headers.insert(GRPC_STATUS, HeaderValue::from(status(problem.kind.status())));
    if let Ok(message) = HeaderValue::try_from(percent_encoded(&problem.sentence(request_id))) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Some(seconds) = problem.retry_after_seconds {
        headers.insert(PUSHBACK, HeaderValue::from(seconds.saturating_mul(1000)));
    }
    response
}

/// The gRPC status of an HTTP status.
const fn status(http: u16) -> u16 {
    match http {
        401 => 16,
        403 => 7,
        404 | 405 => 12,
        409 => 10,
        412 | 428 => 9,
        413 | 429 | 431 => 8,
        400..=499 => 3,
        500..=599 => 14,
        _ => 2,
    }
}

/// A message as it may stand in a header: visible ASCII and blanks, everything else and `%` escaped.
fn percent_encoded(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_escaped() {
        for (message, expected) in
            [("no", "no"), ("100 %", "100 %25"), ("a — b\r\n", "a %E2%80%94 b%0D%0A"), ("\u{7f}", "%7F")]
        {
            assert_eq!(percent_encoded(message), expected);
        }
    }

    #[test]
    fn only_calls_are_answered_so() {
        for (method, content_type, expected) in [
            (Method::POST, "application/grpc", true),
            (Method::POST, "application/grpc+proto", true),
            (Method::POST, "application/grpc-web+proto", true),
            (Method::POST, "application/grpc-web-text", true),
            (Method::POST, "Application/GRPC; x=y", true),
            (Method::GET, "application/grpc", false),
            (Method::POST, "application/grpcx", false),
            (Method::POST, "application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            assert_eq!(asked(&method, &headers).is_some(), expected, "{method} {content_type}");
        }
        assert!(asked(&Method::POST, &HeaderMap::new()).is_none());
    }

    #[test]
    fn statuses_are_those_of_grpc() {
        for (http, grpc) in
            [(401, 16), (403, 7), (404, 12), (405, 12), (429, 8), (502, 14), (503, 14), (400, 3)]
        {
            assert_eq!(status(http), grpc, "{http}");
        }
    }
}
