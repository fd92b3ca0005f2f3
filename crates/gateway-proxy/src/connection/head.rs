//! From the head of an HTTP/2 request to the one that the pipeline knows: path and `Host`, no pseudo-headers, and
//! whether there is a body said as HTTP/1.1 says it.
//!
//! # Security
//! Every rule of the guard before HTTP/1.1 holds here too; a head that breaks one becomes the same stand-in.

use gateway_framing::http1::{Limits, Violation, ViolationKind};
use gateway_framing::http2::{RequestHead, check_head};
use http::header::{CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use hyper::body::Body;

use crate::guarded::STAND_IN;

/// The request as the pipeline knows it, and what is wrong with it when it is a stand-in.
pub(super) fn normalise<B: Body>(request: Request<B>, limits: &Limits) -> (Request<B>, Option<Violation>) {
    let (mut head, body) = request.into_parts();
    match checked(&head, limits) {
        Ok((host, target)) => {
            head.uri = Uri::from(target);
            head.headers.insert(HOST, host);
            head.headers.remove(TE);
            join_cookies(&mut head.headers);
            if !body.is_end_stream() && !head.headers.contains_key(CONTENT_LENGTH) {
                head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
            (Request::from_parts(head, body), None)
        }
        Err(violation) => {
            let mut stand_in = Request::new(body);
            *stand_in.method_mut() = Method::from_bytes(STAND_IN.as_bytes()).unwrap_or(Method::TRACE);
            *stand_in.version_mut() = head.version;
            (stand_in, Some(violation))
        }
    }
}

fn checked(head: &http::request::Parts, limits: &Limits) -> Result<(HeaderValue, PathAndQuery), Violation> {
    // CONNECT has no path, and is refused for its method before that is missed.
    let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let asked = RequestHead {
        method: head.method.as_str().as_bytes(),
        authority: authority.map(str::as_bytes),
        target: target.as_str().as_bytes(),
    };
    let fields = head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    check_head(asked, fields, limits)?;
    let host = authority.and_then(|authority| HeaderValue::from_str(authority).ok());
    Ok((host.ok_or(ViolationKind::MissingAuthority)?, target))
}

/// HTTP/2 lets a client send its cookies one by one (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{Empty, Full};

    use super::*;

    fn limits() -> Limits {
        Limits::default()
    }

    #[test]
    fn what_the_pipeline_sees() {
        let request = Request::post("https://GW.example:8443/a/b?c=d")
            .header("te", "trailers")
            .header("cookie", "a=b")
            .header("cookie", "c=d")
            .body(Full::new(Bytes::from_static(b"x")))
            .unwrap();
        let (request, violation) = normalise(request, &limits());
        assert_eq!(violation, None);
        assert_eq!(request.uri(), "/a/b?c=d");
        assert_eq!(request.uri().authority(), None);
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("host"), Some("GW.example:8443"));
        assert_eq!(header("cookie"), Some("a=b; c=d"));
        assert_eq!(header("te"), None);
        assert_eq!(header("transfer-encoding"), Some("chunked"));
    }

    #[test]
    fn a_body_is_announced_once_or_not_at_all() {
        let announced = |length: Option<&str>, body: &'static [u8]| {
            let mut request = Request::post("https://gw.example/");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let (request, _) =
                normalise(request.body(Full::new(Bytes::from_static(body))).unwrap(), &limits());
            request.headers().contains_key("transfer-encoding")
        };
        assert!(!announced(Some("1"), b"x"));
        assert!(announced(None, b"x"));
        assert!(!announced(None, b""));
    }

    #[test]
    fn what_is_wrong_stands_in() {
        let request = Request::get("https://gw.example/").header("host", "other.example");
        let (request, violation) = normalise(request.body(Empty::<Bytes>::new()).unwrap(), &limits());
        assert_eq!(violation.map(|violation| violation.kind), Some(ViolationKind::AuthorityDiffers));
        assert_eq!(request.method().as_str(), STAND_IN);
        assert!(request.headers().is_empty());
        let request = Request::connect("gw.example:443").body(Empty::<Bytes>::new()).unwrap();
        let (_, violation) = normalise(request, &limits());
        assert_eq!(violation.map(|violation| violation.status), Some(405));
    }
}
