//! The plain-HTTP listener: it answers the questions of ACME servers and sends everybody else to HTTPS. It
//! reads no body and knows no caller; its framing is as strict as the main listener's.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_framing::http1::{Limits, RequestGuard};
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::connection::{Activity, Pulse};
use crate::guarded::{GuardedStream, Patience, STAND_IN, ViolationSlot};

/// Answers the questions of ACME servers, by path.
pub type Answers = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The gateway's own names, the one to fall back to first.
pub type Names = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// What the plain-HTTP listener knows.
pub struct RedirectParts {
    /// Answers the questions of ACME servers.
    pub answers: Answers,
    /// The gateway's own names.
    pub names: Names,
    /// The port of HTTPS.
    pub https_port: u16,
    /// The largest request head, in bytes.
    pub head_limit_bytes: usize,
    /// How long a request head may take; a connection is over after twice that.
    pub head_limit: Duration,
}

impl fmt::Debug for RedirectParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedirectParts").field("https_port", &self.https_port).finish_non_exhaustive()
    }
}

/// Serves one connection: one request, one reply, the end.
pub async fn serve_redirect<S>(parts: Arc<RedirectParts>, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = Limits { head_bytes: parts.head_limit_bytes, ..Limits::default() };
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        // The guard measures how long a head takes.
        .header_read_timeout(None)
        .max_buf_size(2 * limits.head_bytes)
        .max_headers(limits.header_count)
        .keep_alive(false);
    let head_limit = parts.head_limit;
    let activity = Activity::new();
    let patience =
        Patience { head: head_limit, idle: head_limit, activity: activity.clone(), writes: Pulse::default() };
    let stream = GuardedStream::new(stream, RequestGuard::new(limits), ViolationSlot::default(), patience);
    let service = service_fn(move |request: Request<Incoming>| {
        let (parts, _busy) = (parts.clone(), activity.begin());
        async move { Ok::<_, Infallible>(answer(&parts, &request)) }
    });
    let connection = server.serve_connection(TokioIo::new(stream), service);
    if !matches!(timeout(2 * head_limit, connection).await, Ok(Ok(()))) {
        tracing::debug!("a plain-HTTP connection ended early");
    }
}

fn answer<B>(parts: &RedirectParts, request: &Request<B>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if request.method().as_str() == STAND_IN || request.uri().authority().is_some() || !path.starts_with('/')
    {
        return text(StatusCode::BAD_REQUEST, "the request is malformed\n".to_owned());
    }
    if let Some(proof) = (parts.answers)(path) {
        return if matches!(*request.method(), Method::GET | Method::HEAD) {
            text(StatusCode::OK, proof)
        } else {
            let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned());
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            reply
        };
    }
    let names = (parts.names)();
    let Some(name) = own_name(request, &names) else {
        let why =
            "this gateway speaks HTTPS only, and its configuration gives it no host name to send you to\n";
        return text(StatusCode::NOT_FOUND, why.to_owned());
    };
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let port = if parts.https_port == 443 { String::new() } else { format!(":{}", parts.https_port) };
    match HeaderValue::try_from(format!("https://{name}{port}{target}")) {
        Ok(location) => {
            let mut reply = text(StatusCode::PERMANENT_REDIRECT, String::new());
            reply.headers_mut().insert(LOCATION, location);
            reply
        }
        Err(_not_a_header) => text(StatusCode::BAD_REQUEST, "the request is malformed\n".to_owned()),
    }
}

/// The name in the `Host` header if it is one of the gateway's own, else the first of those: whoever sends the
/// request must not choose where its sender is sent.
fn own_name<'a, B>(request: &Request<B>, names: &'a [String]) -> Option<&'a str> {
    let asked = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asked = asked.rsplit_once(':').map_or(asked, |(name, _port)| name).to_ascii_lowercase();
    names.iter().find(|name| **name == asked).or_else(|| names.first()).map(String::as_str)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], port: u16, (method, target): (&str, &str), host: &str, expected: &str) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let parts = RedirectParts {
            answers: Box::new(|path| (path == "/.well-known/acme-challenge/t").then(|| "t.x".to_owned())),
            names: Box::new(move || names.clone()),
            https_port: port,
            head_limit_bytes: 8192,
            head_limit: Duration::from_secs(1),
        };
        let mut request = Request::builder().method(method).uri(target);
        if !host.is_empty() {
            request = request.header(HOST, host);
        }
        let reply = answer(&parts, &request.body(()).unwrap());
        let location = reply.headers().get(LOCATION).map_or("", |value| value.to_str().unwrap());
        assert_eq!(format!("{} {location}", reply.status().as_u16()), expected, "{target} {host}");
    }

    #[test]
    fn everybody_is_sent_to_a_name_of_the_gateway() {
        let names = ["gateway.example.com", "rack.example.com"];
        let check =
            |target: (&str, &str), host: &str, expected: &str| check(&names, 443, target, host, expected);
        check(("GET", "/"), "gateway.example.com", "308 https://gateway.example.com/");
        check(("POST", "/a?b=c"), "Rack.Example.com:80", "308 https://rack.example.com/a?b=c");
        check(("GET", "/"), "evil.example.org", "308 https://gateway.example.com/");
        check(("GET", "/"), "gateway.example.com.evil.org", "308 https://gateway.example.com/");
        check(("GET", "/"), "gateway.example.com@evil.org", "308 https://gateway.example.com/");
        check(("GET", "/"), "", "308 https://gateway.example.com/");
        check(("GET", "//evil.example.org/"), "x", "308 https://gateway.example.com//evil.example.org/");
        check(("GET", "http://evil.example.org/"), "x", "400 ");
        check(("OPTIONS", "*"), "x", "400 ");
        check((STAND_IN, "/"), "x", "400 ");
        check(("GET", "/.well-known/acme-challenge/t"), "evil.example.org", "200 ");
        check(("POST", "/.well-known/acme-challenge/t"), "x", "405 ");
        let other = "/.well-known/acme-challenge/other";
        check(("GET", other), "x", &format!("308 https://gateway.example.com{other}"));
    }

    #[test]
    fn ports_and_no_names() {
        check(&["a.example.com"], 8443, ("GET", "/"), "", "308 https://a.example.com:8443/");
        check(&[], 443, ("GET", "/"), "a.example.com", "404 ");
    }
}
