//! Group B: header fields that claim to be somebody, to come from somewhere, or to be for another host.

use gateway_audit::End;
use gateway_testkit::raw::basic;

use crate::hostile::{Bench, Expect};

pub(crate) mod lists;

use lists::{ENDS, FIELDS, STARTS};

const TARGET: &str = "GET /apps/myapp";
const ROUTE: &str = "GET /apps/{app}";

impl Bench {
    /// The lines are ignored: the request reaches the rack as if they were not there.
    async fn ignores(&mut self, label: &str, lines: &str) {
        let request = self.head("GET", "/apps/myapp", lines);
        let reply = self.reaches(label, &request, TARGET, ROUTE).await;
        assert_eq!(reply.status, 200, "{label}: {lines}");
        assert!(!reply.headers.iter().any(|(_, value)| value.contains("evil")), "{label}: {reply:?}");
        assert!(!reply.text().contains("evil"), "{label}: {}", reply.text());
    }
}

/// CVE-2025-64484, CVE-2026-33433, CVE-2026-54763, CVE-2026-52845.
#[tokio::test]
async fn b1_claimed_identities_are_dropped() {
    let mut bench = Bench::start_both("B1").await;
    for name in [
        "X_Gateway_User",
        "X-Gateway_User",
        "x_gateway_user",
        "Convox_Actor",
        "X_Forwarded_For",
        "Content_Length",
        "Transfer_Encoding",
        "_",
        "Authorization_",
    ] {
        let request = bench.head("GET", "/apps/myapp", &format!("{name}: evil\r\n"));
        bench.cuts_off("B1 CVE-2025-64484", &request, &[400]).await;
    }
    for line in [
        "X-Gateway-User : evil",
        "X-Gateway-User\t: evil",
        " X-Gateway-User: evil",
        "X Gateway User: evil",
        "X-Gateway-User\0: evil",
        "X-Gateway-User\u{a0}: evil",
    ] {
        let request = bench.head("GET", "/apps/myapp", &format!("{line}\r\n"));
        bench.cuts_off("B1 CVE-2026-33433", &request, &[400]).await;
    }
    for lines in [
        "X-Gateway-User: evil",
        "x-gateway-user: evil",
        "X-GATEWAY-USER: evil",
        "X.Gateway.User: evil",
        "X-Gateway-User: evil\r\nX-Gateway-User: evil2",
        "X-Gateway-User:",
        "Convox-Actor: evil",
        "convox-actor: evil",
        "Convox-Actor: evil\r\nConvox-Actor: evil2",
        "X-Convox-Actor: evil",
        "Convox-TID: evil",
        "X-Convox-TID: evil",
        "Session: evil",
        "Rack: evil",
        "Cookie: evil=1\r\nCookie: evil=2",
        "X-Remote-User: evil",
        "Remote-User: evil",
        "X-Auth-Request-Email: evil",
        "X-Forwarded-Email: evil",
        "X-Webauth-User: evil",
        "Proxy-Authorization: Basic ZXZpbDpldmls",
        "Version: evil",
        "X-Gateway'User: evil",
        "X-Gateway~User: evil",
        "Audit-Receipt: evil",
        "Request-Id: evil",
    ] {
        bench.ignores("B1 CVE-2026-54763", &format!("{lines}\r\n")).await;
    }
    // A second factor is no claim that is ignored: for a machine's token it is a mistake.
    let request = bench.head("GET", "/apps/myapp", "X-Mfa-Totp: 000000\r\n");
    bench.refuses("B1", &request, &[400, 401]).await;
    // Who acted is the credential's owner, whatever was claimed.
    for request in bench.seen() {
        assert!(
            request.actor.as_deref().is_some_and(|actor| actor.starts_with("admin@example.com")),
            "{request:?}"
        );
        assert_eq!(
            request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("convox-actor")).count(),
            1
        );
    }
    bench.finish().await;
}

/// GHSA-w9mr-4mfr-499f, CVE-2024-45410, CVE-2026-29054, CVE-2026-6338.
#[tokio::test]
async fn b2_connection_takes_no_header_away() {
    let mut bench = Bench::start("B2").await;
    for value in [
        "Authorization",
        "authorization",
        "x-gateway-user",
        "Convox-Actor",
        "close, X-Request-Id",
        "Content-Length",
        "Transfer-Encoding, Host",
        "Host",
        "keep-alive, Authorization",
        "close,,Authorization",
        "Content-Type",
        "*",
        "X-Forwarded-For",
        "Connection",
        "Authorization, upgrade",
        "close Authorization",
        "\"close\"",
        "keep-alive;Host",
        "k\u{212a}eep-alive",
        "Sec-WebSocket-Key",
        "Accept-Encoding",
        "",
    ] {
        let request = bench.head("GET", "/apps/myapp", &format!("Connection: {value}\r\n"));
        bench.cuts_off("B2 CVE-2024-45410", &request, &[400]).await;
    }
    for lines in [
        "Connection: close\r\nConnection: close",
        "Connection: keep-alive\r\nconnection: Authorization",
        "CONNECTION: keep-alive\r\nConnection: keep-alive",
    ] {
        let request = bench.head("GET", "/apps/myapp", &format!("{lines}\r\n"));
        bench.cuts_off("B2 CVE-2026-6338", &request, &[400]).await;
    }
    for value in ["keep-alive", "close", "Close", "close, TE", "keep-alive, close", "TE", "\tclose "] {
        bench
            .ignores("B2", &format!("Connection: {value}\r\nTE: trailers\r\nKeep-Alive: timeout=999\r\n"))
            .await;
    }
    for line in [
        "Proxy-Connection: Authorization",
        "Keep-Alive: evil",
        "TE: trailers, evil",
        "Trailer: Authorization",
    ] {
        bench.ignores("B2", &format!("{line}\r\n")).await;
    }
    bench.finish().await;
}

const FORWARDED: [&str; 34] = [
    "X-Forwarded-For: 10.6.6.6",
    "X-Forwarded-For: 10.6.6.6, 10.6.6.7\r\nX-Forwarded-For: 10.6.6.8",
    "X-Forwarded-For: ::ffff:10.6.6.6",
    "X-Forwarded-For: junk",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Proto: evil",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 666",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-Uri: /check",
    "X-Forwarded-Method: DELETE",
    "X-Forwarded-User: evil",
    "X-Forwarded-Groups: evil",
    "X-Forwarded-Server: evil",
    "X-Forwarded-Client-Cert: By=evil",
    "Forwarded: for=10.6.6.6;proto=https;host=evil.example",
    "X-Original-URL: /check",
    "X-Original-Uri: /check",
    "X-Original-Method: DELETE",
    "X-Original-Host: evil.example",
    "X-Rewrite-URL: /check",
    "X-Real-IP: 10.6.6.6",
    "True-Client-IP: 10.6.6.6",
    "CF-Connecting-IP: 10.6.6.6",
    "Fastly-Client-IP: 10.6.6.6",
    "X-Client-IP: 10.6.6.6",
    "X-Cluster-Client-IP: 10.6.6.6",
    "X-Envoy-External-Address: 10.6.6.6",
    "X-Envoy-Original-Path: /check",
    "X-Client-Cert: evil",
    "X-SSL-Client-Verify: SUCCESS",
    "X-SSL-Client-S-Dn: CN=evil",
    "Via: 1.1 evil",
    "X-Host: evil.example",
];

/// CVE-2026-40575, CVE-2026-35051, CVE-2026-57210, CVE-2026-55430, CVE-2024-45806. The log's address is the socket's:
/// [`Bench::finish`] holds every event to the address that its client bound.
#[tokio::test]
async fn b3_forwarded_headers_are_ignored_everywhere() {
    let mut bench = Bench::start_both("B3").await;
    for line in FORWARDED {
        bench.ignores("B3 CVE-2026-40575", &format!("{line}\r\n")).await;
        // Nor do they make an unknown caller known, or another path of this one.
        let anonymous = format!(
            "GET /api/v1/rack-proxy/apps HTTP/1.1\r\nHost: {}\r\n{line}\r\n\r\n",
            bench.gateway.addr()
        );
        bench.refuses("B3 CVE-2026-35051", anonymous.as_bytes(), &[401]).await;
    }
    let all = FORWARDED.join("\r\n");
    bench.ignores("B3 CVE-2026-57210", &format!("{all}\r\n")).await;
    let request = bench.head("GET", "!/.well-known/rack-gateway", &format!("{all}\r\n"));
    let reply = bench.try_case("B3 CVE-2026-55430", &request, Expect::AnsweredHere(200)).await;
    assert!(!reply.text().contains("evil"), "{}", reply.text());
    bench.finish().await;
}

/// One source that changes what it claims is one source still: its refusals are counted together.
#[tokio::test]
async fn b3_a_claimed_address_does_not_make_a_new_source_of_refusals() {
    let mut bench = Bench::start("B3 count").await;
    let address = bench.gateway.addr();
    for n in 0..50 {
        let mut client = gateway_testkit::RawClient::connect(address).await;
        let request = format!(
            "GET /api/v1/rack-proxy/apps HTTP/1.1\r\nHost: {address}\r\nX-Forwarded-For: 10.0.0.{n}\r\n\r\n"
        );
        client.send(&request).await;
        assert_eq!(client.reply().await.unwrap().status, 401);
    }
    let refused = |events: Vec<(u64, gateway_audit::Event)>| {
        let refused = events.into_iter().filter(|(_, event)| event.end == Some(End::Refused));
        refused.map(|(_, event)| (event.source_ip, event.count)).collect::<Vec<_>>()
    };
    let loopback = Some(address.ip());
    assert_eq!(refused(bench.gateway.events().await), [(loopback, None)]);
    // The others are written as one event with their count, at the latest when the gateway stops.

    bench.gateway.restart().await;
    assert_eq!(refused(bench.gateway.events().await), [(loopback, None), (loopback, Some(49))]);
    bench.count(50);
    bench.finish().await;
}

/// CVE-2022-23632, CVE-2026-53523, GHSA-4jgr.
#[tokio::test]
async fn b5_host_is_one_host() {
    let mut bench = Bench::start_both("B5").await;
    let credential = basic(&bench.token);
    let with_host = |lines: &str| {
        format!("GET /api/v1/rack-proxy/apps/myapp HTTP/1.1\r\n{lines}Authorization: {credential}\r\n\r\n")
    };
    let long = "a".repeat(300);
    for lines in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nhost: b\r\n",
        "Host:\r\n",
        "Host: \r\n",
        "Host: a,b\r\n",
        "Host: a, b\r\n",
        "Host: a b\r\n",
        "Host: a:80:80\r\n",
        "Host: a:\r\n",
        "Host: a:x\r\n",
        "Host: a:65536\r\n",
        "Host: a:-1\r\n",
        "Host: a.\r\n",
        "Host: .a\r\n",
        "Host: a..b\r\n",
        "Host: a#x\r\n",
        "Host: a@evil\r\n",
        "Host: u:p@evil\r\n",
        "Host: [::1\r\n",
        "Host: ::1\r\n",
        "Host: [::1]x\r\n",
        "Host: [fe80::1%25eth0]\r\n",
        "Host: a_b\r\n",
        "Host: a/b\r\n",
        "Host: a?b\r\n",
        "Host: a\\b\r\n",
        "Host: http://a\r\n",
        "Host: a%2eb\r\n",
        "Host: caf\u{e9}\r\n",
        "Host: a\0\r\n",
        "Host: a;b\r\n",
        "Host: 'a'\r\n",
        "Host: ${jndi:ldap://evil}\r\n",
        "Host : a\r\n",
    ] {
        bench.cuts_off("B5 CVE-2022-23632", with_host(lines).as_bytes(), &[400]).await;
    }
    bench.cuts_off("B5 CVE-2026-53523", with_host(&format!("Host: {long}\r\n")).as_bytes(), &[400]).await;
    let huge = with_host(&format!("Host: {}\r\n", "a".repeat(64 * 1024)));
    bench.cuts_off("B5 CVE-2026-53523", huge.as_bytes(), &[400, 431]).await;
    // A well-formed host of whatever name is one spelling of this gateway, and is never told back or passed on.
    for host in ["evil.example", "EVIL.example:8443", "[::1]:80", "a-b.evil", "xn--evil-9la.example"] {
        let lines = format!("Host: {host}\r\n");
        let reply = bench.reaches("B5 GHSA-4jgr", with_host(&lines).as_bytes(), TARGET, ROUTE).await;
        assert!(!format!("{reply:?}").to_ascii_lowercase().contains("evil"), "{reply:?}");
        let refused = format!("GET /api/v1/rack-proxy/apps HTTP/1.1\r\n{lines}\r\n");
        let reply = bench.try_case("B5 GHSA-4jgr", refused.as_bytes(), Expect::Refused(&[401])).await;
        assert!(!format!("{reply:?}").to_ascii_lowercase().contains("evil"), "{reply:?}");
    }
    bench.finish().await;
}

/// HTTP/1.0 is no way around `Host`.
#[tokio::test]
async fn b5_an_old_request_without_a_host_is_refused() {
    let mut bench = Bench::start("B5 HTTP/1.0").await;
    let credential = basic(&bench.token);
    let old = format!("GET /api/v1/rack-proxy/apps HTTP/1.0\r\nAuthorization: {credential}\r\n\r\n");
    bench.cuts_off("B5", old.as_bytes(), &[400]).await;
    bench.finish().await;
}

#[tokio::test]
async fn b6_large_heads_are_refused() {
    let mut bench = Bench::start("B6").await;
    let many: String = (0..200).map(|n| format!("X-A{n}: 1\r\n")).collect();
    let cookies: String = (0..10_000).map(|n| format!("Cookie: c{n}=1\r\n")).collect();
    let one_cookie = format!("Cookie: {}\r\n", (0..10_000).map(|n| format!("c{n}=1; ")).collect::<String>());
    let wide: String = (0..40).map(|n| format!("X-A{n}: {}\r\n", "a".repeat(8 * 1024))).collect();
    let name = format!("{}: 1\r\n", "X".repeat(64 * 1024));
    let exactly_one_too_many: String = (0..99).map(|n| format!("X-A{n}: 1\r\n")).collect();
    for lines in [
        many,
        cookies,
        one_cookie,
        wide,
        name,
        exactly_one_too_many,
        format!("X-A: {}\r\n", "a".repeat(64 * 1024)),
        format!("X-A: {}\r\n", "a".repeat(256 * 1024)),
        format!("Authorization: {}\r\n", "a".repeat(64 * 1024)),
    ] {
        let request =
            format!("GET /api/v1/rack-proxy/apps/myapp HTTP/1.1\r\nHost: a\r\nX-B: 1\r\n{lines}\r\n");
        bench.cuts_off("B6", request.as_bytes(), &[431]).await;
    }
    let request = bench.head("GET", &format!("/apps/{}", "a".repeat(64 * 1024)), "");
    bench.cuts_off("B6", &request, &[400, 414, 431]).await;
    // As many as are allowed: Host and Authorization are two of the hundred.
    let allowed: String = (0..98).map(|n| format!("X-A{n}: 1\r\n")).collect();
    bench.ignores("B6", &allowed).await;
    bench.finish().await;
}

/// A head that never ends is refused as soon as it is over a limit, without another byte being asked for: what the
/// gateway keeps of it is at most its limits. What comes afterwards is dropped unread.
#[tokio::test]
async fn b6_endless_heads_are_refused_at_the_limit() {
    let mut bench = Bench::start("B6 limit").await;
    let begin = b"GET /api/v1/rack-proxy/apps HTTP/1.1\r\nHost: a\r\nX-A: ";
    // A line that does not end, a request line that does not end, and lines that do not end the head.
    let line = [begin.as_slice(), &vec![b'a'; 16 * 1024]].concat();
    let request_line = [b"GET /".as_slice(), &vec![b'a'; 16 * 1024]].concat();
    let lines: String = (0..8).map(|n| format!("1\r\nX-B{n}: {}\r\n", "a".repeat(8 * 1024))).collect();
    let head = [begin.as_slice(), lines.as_bytes()].concat();
    let fields = [begin.as_slice(), &b"1\r\nX-B: 1\r\n".repeat(100)].concat();
    for bytes in [line, request_line, head, fields] {
        for _ in 0..16 {
            let (mut client, source) = bench.client().await;
            client.send(&bytes).await;
            let reply = client.reply().await.expect("a refusal before more is sent");
            bench.judge("B6", source, &reply, Expect::RefusedAndClosed(&[400, 414, 431]));
            client.send(vec![b'a'; 1 << 20]).await;
            assert!(client.is_closed().await);
        }
    }
    assert!(bench.gateway.rack.requests().is_empty());
    bench.finish().await;
}

#[tokio::test]
async fn b7_header_grammar_is_strict() {
    let mut bench = Bench::start("B7").await;
    for lines in FIELDS {
        let request = bench.head("GET", "/apps/myapp", lines);
        bench.poisoned("B7", &request, &[400]).await;
    }
    // An end of the head that is not CR LF CR LF.
    let head = bench.head("GET", "/apps/myapp", "");
    let (head, _) = head.split_at(head.len() - 4);
    for &end in ENDS {
        bench.poisoned("B7", &[head, end].concat(), &[400]).await;
    }
    for &start in STARTS {
        let request = [start, &bench.head("GET", "/apps/myapp", "")].concat();
        bench.poisoned("B7", &request, &[400]).await;
    }
    bench.ignores("B7", "X-A: \t b \t\r\nX-B:\r\nX-C: caf\u{e9}\r\n").await;
    bench.finish().await;
}

/// CVE-2026-34457: nobody is let in for looking like a health probe.
#[tokio::test]
async fn b9_health_probes_are_nobody() {
    let mut bench = Bench::start_both("B9").await;
    let address = bench.gateway.addr();
    for line in [
        "User-Agent: GoogleHC/1.0",
        "User-Agent: ELB-HealthChecker/2.0",
        "User-Agent: kube-probe/1.30",
        "User-Agent: Consul Health Check",
        "X-Health-Check: 1",
        "User-Agent: convox.go/dev",
        "User-Agent: rack-gateway",
        "X-Amzn-Trace-Id: Root=1",
        "X-Request-Type: health",
    ] {
        for (path, statuses) in [
            ("/api/v1/rack-proxy/apps", &[401u16] as &'static [u16]),
            ("/api/v1/rack-proxy/system", &[401]),
            ("/api/v1/me", &[401]),
            ("/ping", &[404]),
            ("/healthz", &[404]),
            ("/readyz", &[404]),
            ("/metrics", &[404]),
            ("/debug/pprof", &[404]),
            ("/api/v1/rack-proxy/ping", &[404]),
            ("/api/v1/health/x", &[404]),
            ("/api/v1/health/../rack-proxy/apps", &[404]),
        ] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{line}\r\n\r\n");
            bench.refuses("B9 CVE-2026-34457", request.as_bytes(), statuses).await;
        }
    }
    // The balancers' own path says that the gateway lives, and nothing else, to anybody.
    let mut client = gateway_testkit::RawClient::connect(address).await;
    client.send(format!("GET /api/v1/health HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
    let reply = client.reply().await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert!(bench.seen().is_empty());
    bench.finish().await;
}

/// A request has exactly one credential: none is preferred to another, and none is read from a place that is not one.
#[tokio::test]
async fn b10_a_request_has_one_credential() {
    let mut bench = Bench::start_both("B10").await;
    let (address, token) = (bench.gateway.addr(), bench.token.clone());
    let good = basic(&token);
    let with = |path: &str, lines: &str| format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{lines}\r\n");
    let app = "/api/v1/rack-proxy/apps/myapp";
    for lines in [
        format!("Authorization: {good}\r\nAuthorization: {good}\r\n"),
        format!("Authorization: {good}\r\nAuthorization: Bearer {token}\r\n"),
        format!("Authorization: Bearer nobody\r\nAuthorization: {good}\r\n"),
        format!("Authorization: {good}\r\nauthorization:\r\n"),
    ] {
        bench.cuts_off("B10 twice", with(app, &lines).as_bytes(), &[400]).await;
    }
    for lines in [
        format!("Authorization: Bearer {token}, Bearer {token}\r\n"),
        format!("Authorization: {good}, {good}\r\n"),
        format!("Authorization: Bearer {token} Bearer\r\n"),
        "Authorization: Bearer\r\n".to_owned(),
        format!("Authorization: {token}\r\n"),
        format!("Authorization: Basic {token}\r\n"),
        format!("Authorization: Digest {token}\r\n"),
        "Authorization: Basic !!!!\r\n".to_owned(),
        // Where no credential is looked for.
        format!("Cookie: __Host-rgw={token}\r\n"),
        format!("Proxy-Authorization: {good}\r\n"),
        format!("X-Api-Key: {token}\r\n"),
        format!("X-Auth-Token: {token}\r\n"),
        format!("X-Authorization: {good}\r\n"),
    ] {
        bench.refuses("B10 no credential", with(app, &lines).as_bytes(), &[400, 401]).await;
    }
    // A cookie beside a credential, and a credential in the query.
    let both = format!("Authorization: {good}\r\nCookie: __Host-rgw=rgs_{}\r\n", "a".repeat(43));
    bench.refuses("B10 cookie too", with(app, &both).as_bytes(), &[400, 401]).await;
    for query in ["token", "access_token", "authorization", "api_key"] {
        let path = format!("{app}?{query}={token}");
        let lines = format!("Authorization: {good}\r\n");
        bench.refuses("B10 in the query too", with(&path, &lines).as_bytes(), &[400]).await;
        bench.refuses("B10 in the query", with(&path, "").as_bytes(), &[400, 401]).await;
    }
    // The name of a scheme has no case (RFC 9110, section 11.1).
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let lines = format!("Authorization: {scheme} {token}\r\n");
        bench.reaches("B10 one", with(app, &lines).as_bytes(), TARGET, ROUTE).await;
    }
    bench.finish().await;
}
