//! Calls of other origins' pages to services that list them (Fetch standard, section 3.2): who may call, and
//! what a preflight is answered. It must not know what is asked.
//!
//! # Security
//! Only an origin that the service lists, byte for byte, is let in, and only with a token: the cookie of a
//! browser that a foreign page made call is not taken, and no reply says that it may be. Everything else
//! that comes from another site is refused before anything is looked for.

use gateway_app::rules::Rules;
use gateway_services::Service;
use gateway_types::{Layer, Problem, ProblemKind};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::admit::Admitted;
use crate::body::ReplyBody;
use crate::flow::{Flow, refuse};

/// How long a browser may remember a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// What pages may read of a reply's headers beside what every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Request-Id, ETag, Retry-After, RateLimit, RateLimit-Policy, Deprecation, Sunset, WWW-Authenticate, X-Mfa-Required, X-Mfa-Level",
);

/// Headers that pages may send, beside the service's own version header.
const ALLOWED: [&str; 16] = [
    "accept",
    "accept-language",
    "authorization",
    "cache-control",
    "content-language",
    "content-type",
    "grpc-timeout",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "range",
    "x-grpc-web",
    "x-mfa-totp",
    "x-requested-with",
    "x-user-agent",
];

/// A call of a listed origin's page.
#[derive(Clone, Debug)]
pub(crate) struct CrossOrigin {
    /// The origin, as the browser sent it.
    origin: HeaderValue,
    /// The headers that a page may send.
    allowed: Vec<String>,
    /// The method that a preflight asks about; `None` = the call itself.
    preflight: Option<HeaderValue>,
}

impl CrossOrigin {
    /// The method that it is about.
    pub(super) fn preflight_method(&self) -> Option<&str> {
        self.preflight.as_ref().and_then(|method| method.to_str().ok())
    }

    /// The answer to a preflight, short of [`Self::mark`]; `None` when it is none.
    pub(crate) fn answer(&self) -> Option<Response<ReplyBody>> {
        self.preflight.as_ref()?;
        let mut response = Response::new(ReplyBody::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        Some(response)
    }

    /// Says what holds, in place of what [`strip`] took away.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        let Some(method) = &self.preflight else {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method.clone());
        if !self.allowed.is_empty()
            && let Ok(allowed) = HeaderValue::try_from(self.allowed.join(", "))
        {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}

/// Lets a request in that no other site is behind, or one that a service lists; refuses every other one.
pub(super) fn admit(rules: &Rules, admitted: &Admitted, is_rack: bool) -> Flow<Option<CrossOrigin>> {
    if !admitted.is_foreign {
        return Flow::Continue(None);
    }
    let found = match is_rack || admitted.socket {
        true => None,
        false => rules.services.find(&admitted.host, admitted.request.uri().path()).ok().flatten(),
    };
    let headers = admitted.request.headers();
    match found.and_then(|found| listed(&found.service, headers, admitted.request.method())) {
        Some(cross_origin) => Flow::Continue(Some(cross_origin)),
        None => refuse(Problem::new(
            ProblemKind::ForeignOrigin,
            Layer::Network,
            "a page of another site asked a browser to send this request",
        )),
    }
}

fn listed(service: &Service, headers: &HeaderMap, method: &Method) -> Option<CrossOrigin> {
    let origin = only(headers, &ORIGIN)?;
    let text = origin.to_str().ok()?;
    // `null` is whoever has no origin: never somebody in particular.
    let is_listed = text != "null" && service.raw.cors_origins.iter().any(|listed| listed == text);
    if !is_listed {
        return None;
    }
    let asks_first = *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let preflight = match asks_first {
        true => Some(only(headers, &ACCESS_CONTROL_REQUEST_METHOD)?.clone()),
        false => None,
    };
    let wanted = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let wanted = wanted.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let version = service.raw.version_header.as_deref().unwrap_or_default();
    let allowed = wanted
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| ALLOWED.contains(&name.as_str()) || version.eq_ignore_ascii_case(name))
        .filter(|name| !name.is_empty())
        .take(ALLOWED.len() + 1)
        .collect();
    Some(CrossOrigin { origin: origin.clone(), allowed, preflight })
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Takes away what a service says about origins: the gateway says what holds.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let is_said = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let said: Vec<HeaderName> = headers.keys().filter(is_said).cloned().collect();
    for name in said {
        headers.remove(name);
    }
}

/// Says to caches that the reply depends on the origin: of every reply of a service that lists any.
pub(crate) fn vary(headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use gateway_services::{RawService, RawUpstream};

    use super::*;

    fn check(method: &Method, sent: &[(&'static str, &str)], expected: Option<&str>) {
        let raw = RawService {
            name: "shop".to_owned(),
            hosts: vec!["shop.example.com".to_owned()],
            cors_origins: vec!["https://app.example.com".to_owned(), "https://b.example:8443".to_owned()],
            version_header: Some("api-version".to_owned()),
            upstreams: vec![RawUpstream {
                url: "http://127.0.0.1:1".to_owned(),
                weight: None,
                version: None,
            }],
            ..RawService::default()
        };
        let service = Service::check(raw).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let told = listed(&service, &headers, method).map(|found| match found.preflight_method() {
            Some(method) => format!("{method} with {}", found.allowed.join(",")),
            None => "call".to_owned(),
        });
        assert_eq!(told.as_deref(), expected, "{method} {sent:?}");
    }

    #[test]
    fn only_listed_origins_byte_for_byte() {
        let get = |origin: &str, expected| check(&Method::GET, &[("origin", origin)], expected);
        get("https://app.example.com", Some("call"));
        get("https://b.example:8443", Some("call"));
        for foreign in [
            "null",
            "*",
            "",
            "http://app.example.com",
            "https://app.example.com:443",
            "https://app.example.com/",
            "https://APP.example.com",
            "https://app.example.com.evil.example",
            "https://evil.example/https://app.example.com",
            "https://xapp.example.com",
            "https://b.example",
            "https://app.example.com https://evil.example",
        ] {
            get(foreign, None);
        }
        let listed = ("origin", "https://app.example.com");
        check(&Method::GET, &[listed, listed], None);
        check(&Method::GET, &[], None);
    }

    #[test]
    fn preflights_name_their_method_and_get_only_what_may_be_sent() {
        let listed = ("origin", "https://app.example.com");
        let method = ("access-control-request-method", "PUT");
        check(&Method::OPTIONS, &[listed, method], Some("PUT with "));
        check(&Method::OPTIONS, &[listed], Some("call"));
        check(&Method::OPTIONS, &[listed, method, method], None);
        let headers = (
            "access-control-request-headers",
            "Authorization, cookie,x-gateway-user, API-Version,gateway-token",
        );
        check(&Method::OPTIONS, &[listed, method, headers], Some("PUT with authorization,api-version"));
    }

    #[test]
    fn what_a_service_says_about_origins_is_taken_away() {
        let mut headers = HeaderMap::new();
        headers.insert("access-control-allow-origin", HeaderValue::from_static("*"));
        headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
        strip(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }
}
