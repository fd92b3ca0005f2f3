//! Which headers go along: up to a service, and back from it. By rule over names, in every spelling in
//! which a server might read them; values are not looked at here.

/// Removed on every hop (RFC 9110, section 7.6.1), and what decides framing, which the gateway writes anew.
const OF_THE_HOP: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// What the gateway says, or what servers take for the word of a gateway. A client's own is never passed.
const SAID_BY_GATEWAYS: [&str; 33] = [
    "audit-receipt",
    "authorization",
    "cookie",
    "convox-actor",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "front-end-https",
    "remote-addr",
    "request-id",
    "ssl-client-cert",
    "true-client-ip",
    "x-client-cert",
    "x-client-dn",
    "x-client-ip",
    "x-client-verify",
    "x-cluster-client-ip",
    "x-correlation-user",
    "x-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-middleware-subrequest",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-url-scheme",
];

/// Beginnings of such names.
const SAID_BY_GATEWAYS_PREFIXES: [&str; 26] = [
    "gateway-",
    "proxy-",
    "forwarded-",
    "remote-",
    "ssl-client-",
    "tailscale-",
    "x-accel-",
    "x-amzn-oidc-",
    "x-appengine-",
    "x-auth-request-",
    "x-authenticated-",
    "x-client-cert",
    "x-envoy-",
    "x-forward-",
    "x-forwarded",
    "x-gateway-",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-mfa-",
    "x-ms-client-principal",
    "x-original-",
    "x-pomerium-",
    "x-remote-",
    "x-ssl-",
    "x-vouch-",
    "x-webauth-",
];

/// Headers of which a second one makes the message mean two things.
const SINGLE: [&str; 12] = [
    "content-encoding",
    "content-location",
    "content-type",
    "date",
    "from",
    "if-modified-since",
    "if-range",
    "if-unmodified-since",
    "origin",
    "range",
    "referer",
    "user-agent",
];

/// What a reply must not say, because it would speak for the whole host, to the browser about the gateway,
/// or to a proxy in front.
const NOT_FOR_CLIENTS: [&str; 14] = [
    "alt-svc",
    "audit-receipt",
    "clear-site-data",
    "expect-ct",
    "nel",
    "origin-agent-cluster",
    "public-key-pins",
    "public-key-pins-report-only",
    "report-to",
    "reporting-endpoints",
    "request-id",
    "service-worker-allowed",
    "strict-transport-security",
    "x-sendfile",
];

/// Beginnings of such names.
const NOT_FOR_CLIENTS_PREFIXES: [&str; 6] =
    ["gateway-", "proxy-", "x-accel-", "x-envoy-", "x-gateway-", "x-mfa-"];

/// The name as CGI-like servers would compare it: in lower case, with every separator the same.
///
/// # Security
/// `X_Gateway_User` and `X.Gateway.User` reach such a server as `HTTP_X_GATEWAY_USER`, like the gateway's own.
pub fn normalised(name: &str) -> String {
    name.trim()
        .bytes()
        .map(|byte| match byte {
            b'_' | b'.' | b' ' => '-',
            _ => char::from(byte.to_ascii_lowercase()),
        })
        .collect()
}

/// Whether a client's header of this name goes up to a service. The names in `Connection` are the caller's
/// business; cookies go by [`cookies_up`].
pub fn goes_up(name: &str) -> bool {
    let name = normalised(name);
    !is_any(&name, &OF_THE_HOP, &[])
        && !is_any(&name, &SAID_BY_GATEWAYS, &SAID_BY_GATEWAYS_PREFIXES)
        && !is_socket(&name)
}

/// Whether a header of a service's reply goes back to the client; cookies and locations are rewritten apart.
pub fn comes_back(name: &str) -> bool {
    let name = normalised(name);
    !is_any(&name, &OF_THE_HOP, &[])
        && !is_any(&name, &NOT_FOR_CLIENTS, &NOT_FOR_CLIENTS_PREFIXES)
        && !is_socket(&name)
}

/// Whether a trailer of this name goes up or comes back: what must not be a header must not be a trailer, and
/// what decides about a message comes before it (RFC 9110, section 6.5.1).
pub fn is_trailer(name: &str) -> bool {
    const NEVER: [&str; 12] = [
        "age",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "expires",
        "location",
        "content-location",
        "set-cookie",
        "trailer",
        "vary",
        "www-authenticate",
    ];
    goes_up(name) && comes_back(name) && !NEVER.contains(&normalised(name).as_str())
}

/// Whether there may be only one header of this name in a request.
pub fn is_single(name: &str) -> bool {
    SINGLE.contains(&name)
}

fn is_any(name: &str, names: &[&str], prefixes: &[&str]) -> bool {
    names.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn is_socket(name: &str) -> bool {
    name.starts_with("sec-websocket-")
}

/// Whether a cookie of this name is the gateway's. Browsers compare the prefix without regard to case.
pub fn is_own_cookie(name: &str) -> bool {
    const OWN: &str = "__host-rgw";
    name.trim().get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN))
}

/// The one `Cookie` header that goes up, of all that came: without the gateway's own cookies. `None` when
/// nothing is left. A cookie without `=` has no name, and its value could be taken for one.
pub fn cookies_up<'a>(values: impl Iterator<Item = &'a str>) -> Option<String> {
    let kept: Vec<&str> = values
        .flat_map(|value| value.split(';'))
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or(("", pair));
            let named = if name.trim().is_empty() { value } else { name };
            !is_own_cookie(named)
        })
        .collect();
    (!kept.is_empty()).then(|| kept.join("; "))
}

/// What caches are told about a reply that one caller was allowed to have: nobody else may be given it.
/// `values` are the service's own `Cache-Control` headers.
///
/// Source: RFC 9111, sections 3.5 and 5.2.2.
pub fn cache_control<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut kept: Vec<&str> = values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .filter(|directive| {
            let name = directive.split('=').next().unwrap_or_default().trim();
            !["public", "s-maxage"].iter().any(|shared| name.eq_ignore_ascii_case(shared))
        })
        .collect();
    let is_private = kept
        .iter()
        .any(|directive| ["private", "no-store"].iter().any(|word| directive.eq_ignore_ascii_case(word)));
    if !is_private {
        kept.insert(0, "private");
    }
    kept.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_b3_what_gateways_say_does_not_go_up_in_any_spelling() {
        let check = |name: &str, expected: bool| assert_eq!(goes_up(name), expected, "{name}");
        for name in ["X-Gateway-User", "Gateway-Token", "X-Forwarded-For", "X-Real-IP", "X-Mfa-Totp"] {
            check(name, false);
            check(&name.to_ascii_lowercase(), false);
            check(&name.replace('-', "_"), false);
            check(&name.replace('-', "."), false);
            check(&format!("{name} "), false);
        }
        for suffix in ["For", "Proto", "Host", "Port", "Prefix", "Uri", "Method", "User", "Groups", "Server"]
        {
            check(&format!("X-Forwarded-{suffix}"), false);
        }
        for name in [
            "Forwarded",
            "X-Original-URL",
            "X-Rewrite-URL",
            "True-Client-IP",
            "CF-Connecting-IP",
            "X-Envoy-External-Address",
            "X-Client-Cert",
            "X-SSL-Client-DN",
            "X-HTTP-Method-Override",
            "Remote-User",
            "X-WEBAUTH-USER",
            "X-Auth-Request-Email",
            "Authorization",
            "Proxy-Authorization",
            "Proxy",
            "Cookie",
            "Connection",
            "Keep-Alive",
            "TE",
            "Transfer-Encoding",
            "Content-Length",
            "Upgrade",
            "HTTP2-Settings",
            "Host",
            "Expect",
            "X-Request-Id",
            "Sec-WebSocket-Key",
        ] {
            check(name, false);
        }
        for name in [
            "Accept",
            "Content-Type",
            "X-Csrf-Token",
            "X-Requested-With",
            "traceparent",
            "tracestate",
            "Origin",
            "Range",
            "If-None-Match",
            "Trailer",
            "grpc-timeout",
            "X-User-Agent",
            "X-Api-Key",
            "Authorization-Hint",
            "Last-Event-ID",
        ] {
            check(name, true);
        }
    }

    #[test]
    fn b11_what_speaks_for_the_whole_host_does_not_come_back() {
        let check = |name: &str, expected: bool| assert_eq!(comes_back(name), expected, "{name}");
        for name in [
            "Strict-Transport-Security",
            "Clear-Site-Data",
            "X-Accel-Redirect",
            "Service-Worker-Allowed",
            "Alt-Svc",
            "Public-Key-Pins",
            "Connection",
            "Keep-Alive",
            "Transfer-Encoding",
            "Upgrade",
            "Proxy-Authenticate",
            "X-Gateway-User",
            "Gateway-Token",
        ] {
            check(name, false);
        }
        for name in ["Content-Type", "ETag", "Set-Cookie", "Location", "X-Frame-Options", "Vary", "Link"] {
            check(name, true);
        }
        assert!(is_trailer("grpc-status") && is_trailer("Server-Timing"));
        assert!(!is_trailer("Set-Cookie") && !is_trailer("Authorization") && !is_trailer("content-type"));
    }

    #[test]
    fn e4_our_cookies_stay_here() {
        let check = |values: &[&str], expected: Option<&str>| {
            assert_eq!(cookies_up(values.iter().copied()).as_deref(), expected, "{values:?}");
        };
        check(&["a=1; __Host-rgw=secret; b=2"], Some("a=1; b=2"));
        check(&["__Host-rgw=secret"], None);
        check(&["__HOST-RGW-wiki=secret", "c=3"], Some("c=3"));
        check(&["=__Host-rgw=secret", "__Host-rgw", "a=1"], Some("a=1"));
        check(&["a=1", "b=2"], Some("a=1; b=2"));
        check(&["__Host-other=1"], Some("__Host-other=1"));
        check(&[], None);
    }

    #[test]
    fn e8_a_reply_for_one_caller_is_never_everybodys() {
        let check = |values: &[&str], expected: &str| {
            assert_eq!(cache_control(values.iter().copied()), expected, "{values:?}");
        };
        check(&[], "private");
        check(&["public, max-age=60"], "private, max-age=60");
        check(&["max-age=60, s-maxage=600"], "private, max-age=60");
        check(&["no-store"], "no-store");
        check(&["private"], "private");
        check(&["no-cache", "Public"], "private, no-cache");
        check(&["private=\"Set-Cookie\""], "private, private=\"Set-Cookie\"");
    }
}
