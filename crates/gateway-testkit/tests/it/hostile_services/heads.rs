//! Group B against services: who a request is said to come from, which host it is for, how large and how well-formed
//! its head is, and whose credential it carries.

use std::net::{IpAddr, Ipv4Addr};

use gateway_types::Role;

use super::{APP, Bench, Expect, MALFORMED, Method, Mount, Reaches, Refused};
use crate::hostile::http2;
use crate::hostile_headers::lists::{ENDS, FIELDS, STARTS};
use crate::http2_frames::{END_HEADERS, END_STREAM, HEADERS, field_block, frame};

impl Bench {
    /// A case whose request comes over one of the listed forwarders, of which `address` makes the client's, a new
    /// one for each request.
    async fn try_forwarded(&mut self, mount: Mount, lines: impl Fn(&str) -> String, expect: Expect) {
        let tell = |this: &mut Self| {
            this.cases += 1;
            let [.., three, four] = this.cases.to_be_bytes();
            let client = Ipv4Addr::new(198, 18, three, four);
            let router = Ipv4Addr::new(127, 3, three, four);
            // What cannot be understood is the forwarder's own fault, and is written down as its own.
            let counted = if matches!(expect, Reaches(_)) { client } else { router };
            let bytes = this.head(mount, "GET", "/a", &lines(&client.to_string()));
            (bytes, (router, IpAddr::V4(counted)))
        };
        let ((first, from), (second, and)) = (tell(self), tell(self));
        let tried = self.try_first("B4", first.as_bytes(), expect, from).await;
        let frames = http2::stream_of(second.as_bytes());
        self.try_frames(format!("HTTP/2 B4: {second:?}"), &frames, expect, and, tried.route).await;
    }

    /// Fields over HTTP/2 alone, in this order and with these bytes.
    async fn try_fields(&mut self, label: &str, fields: &[(&[u8], &[u8])], expect: Expect) {
        let token = format!("Bearer {}", self.gateway.token(Role::Admin));
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = vec![
            (b":method".to_vec(), b"GET".to_vec()),
            (b":scheme".to_vec(), b"http".to_vec()),
            (b":path".to_vec(), b"/a".to_vec()),
        ];
        all.extend(fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())));
        all.push((b"authorization".to_vec(), token.into_bytes()));
        let frames = frame(HEADERS, END_HEADERS | END_STREAM, 1, &field_block(&all));
        let source = self.source();
        let route = matches!(expect, Reaches(_)).then(|| Mount::Host.row(Method::Get).to_owned());
        let label = format!("HTTP/2 {label}: {fields:?}");
        self.try_frames(label, &frames, expect, (source, source.into()), route).await;
    }
}

/// GHSA-7jmw: of a listed forwarder the right-most hop that is not listed is the client, to the log and to the service;
/// what is no list of addresses is refused, and everything else that a forwarder could say is not read.
#[tokio::test]
async fn b4_a_service_is_told_the_client_that_counts() {
    let mut bench = Bench::start().await;
    for mount in Mount::BOTH {
        type Lines = fn(&str) -> String;
        let read: [Lines; 11] = [
            |client| format!("X-Forwarded-For: {client}\r\n"),
            |client| format!("X-Forwarded-For: 203.0.113.1, {client}, 10.0.0.3\r\n"),
            |client| format!("X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: {client}\r\n"),
            |client| format!("X-Forwarded-For: ::ffff:{client}\r\n"),
            |client| format!("X-Forwarded-For: {client}:4711\r\n"),
            |client| format!("X-Forwarded-For: [::ffff:{client}]:4711\r\n"),
            |client| format!("X-Forwarded-For: ,, {client} ,\r\n"),
            |client| format!("X-Forwarded-For: {client}{}\r\n", ", 10.0.0.1".repeat(15)),
            |client| format!("Forwarded: for=203.0.113.1, for={client}\r\n"),
            |client| format!("Forwarded: For=\"[::ffff:{client}]:4711\";host=evil.example;by=10.0.0.1\r\n"),
            |client| {
                format!(
                    "X-Forwarded-For: {client}\r\nForwarded: for={client}\r\nX-Forwarded-Host: evil.example\r\n"
                )
            },
        ];
        for lines in read {
            bench.try_forwarded(mount, lines, Reaches("GET /a")).await;
        }
        let refused: [Lines; 14] = [
            |_| "X-Forwarded-For: junk\r\n".to_owned(),
            |client| format!("X-Forwarded-For: {client}, junk\r\n"),
            |_| "X-Forwarded-For: 198.18.0.256\r\n".to_owned(),
            |_| "X-Forwarded-For: 2130706433\r\n".to_owned(),
            |_| "X-Forwarded-For: 0x7f.0.0.1\r\n".to_owned(),
            |_| "X-Forwarded-For: 127.1\r\n".to_owned(),
            |client| format!("X-Forwarded-For: {client}:x\r\n"),
            |client| format!("X-Forwarded-For: [{client}]\r\n"),
            |client| format!("X-Forwarded-For: {client}{}\r\n", ", 10.0.0.1".repeat(16)),
            |_| "Forwarded: for=unknown\r\n".to_owned(),
            |client| format!("Forwarded: for={client};for={client}\r\n"),
            |client| format!("X-Forwarded-For: {client}\r\nForwarded: for=203.0.113.7\r\n"),
            |client| format!("X-Forwarded-For: {client}\r\nX-Forwarded-Proto: https,http\r\n"),
            |client| {
                format!(
                    "X-Forwarded-For: {client}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Proto: https\r\n"
                )
            },
        ];
        for lines in refused {
            bench.try_forwarded(mount, lines, MALFORMED).await;
        }
        // Whoever is not listed tells nothing, in any of these words.
        for lines in [
            "X-Forwarded-For: 203.0.113.7, junk\r\n",
            "Forwarded: for=unknown\r\nX-Forwarded-Proto: evil\r\n",
            "X-Real-IP: 203.0.113.7\r\nTrue-Client-IP: 203.0.113.7\r\nX-Forwarded-Prefix: /evil\r\n",
        ] {
            let request = bench.head(mount, "GET", "/a", lines);
            bench.try_case("B4", request.as_bytes(), Reaches("GET /a")).await;
        }
    }
    bench.finish("B4 at services").await;
}

/// CVE-2022-23632, CVE-2026-53523, GHSA-4jgr: a service is found by one host that is spelled well, or not at all.
#[tokio::test]
async fn b5_a_service_is_found_by_one_host() {
    let mut bench = Bench::start().await;
    let token = bench.gateway.token(Role::Admin).to_owned();
    let with = |lines: &str| format!("GET /a HTTP/1.1\r\n{lines}Authorization: Bearer {token}\r\n\r\n");
    for lines in [
        String::new(),
        format!("Host: {APP}\r\nHost: {APP}\r\n"),
        format!("Host: {APP}\r\nHost: evil.example\r\n"),
        format!("Host: evil.example\r\nhost: {APP}\r\n"),
        "Host:\r\n".to_owned(),
        format!("Host: {APP},evil.example\r\n"),
        format!("Host: {APP} evil.example\r\n"),
        format!("Host: {APP}:80:80\r\n"),
        format!("Host: {APP}:\r\n"),
        format!("Host: {APP}:x\r\n"),
        format!("Host: {APP}:65536\r\n"),
        format!("Host: .{APP}\r\n"),
        "Host: app..example.com\r\n".to_owned(),
        format!("Host: {APP}..\r\n"),
        format!("Host: {APP}#x\r\n"),
        format!("Host: evil@{APP}\r\n"),
        format!("Host: {APP}@evil.example\r\n"),
        format!("Host: [{APP}]\r\n"),
        format!("Host: [{APP}\r\n"),
        format!("Host: {APP}/evil\r\n"),
        format!("Host: {APP}?evil\r\n"),
        format!("Host: {APP}\\evil\r\n"),
        format!("Host: http://{APP}\r\n"),
        "Host: app%2eexample.com\r\n".to_owned(),
        "Host: app_.example.com\r\n".to_owned(),
        format!("Host: {APP};evil\r\n"),
        format!("Host: '{APP}'\r\n"),
        format!("Host: {}.example.com\r\n", "a".repeat(300)),
    ] {
        bench.try_case("B5", with(&lines).as_bytes(), MALFORMED).await;
    }
    for lines in [format!("Host : {APP}\r\n"), format!("Host: {APP}\0\r\n"), format!(" Host: {APP}\r\n")] {
        bench.poisoned("B5", Mount::Host, with(&lines).as_bytes(), None).await;
    }
    let huge = with(&format!("Host: {}\r\n", "a".repeat(64 * 1024)));
    bench.try_case("B5", huge.as_bytes(), Refused(&[400, 431])).await;
    // A name is the same in every case, and is never passed on.
    for host in ["APP.example.com", "app.EXAMPLE.com:8443"] {
        bench.try_case("B5", with(&format!("Host: {host}\r\n")).as_bytes(), Reaches("GET /a")).await;
    }
    // HTTP/2 has two places for it.
    let app = APP.as_bytes();
    for (fields, expect) in [
        (vec![(&b":authority"[..], app), (b"host", app)], Reaches("GET /a")),
        (vec![(b"host", app)], MALFORMED),
        (vec![(b":authority", app), (b"host", b"evil.example")], MALFORMED),
        (vec![(b":authority", b"evil.example"), (b"host", app)], MALFORMED),
        (vec![(b":authority", app), (b":authority", app)], MALFORMED),
        (vec![(b":authority", app), (b"host", app), (b"host", app)], MALFORMED),
        (vec![(b":authority", b"evil@app.example.com")], MALFORMED),
        (vec![(b":authority", b"")], MALFORMED),
        (vec![], MALFORMED),
    ] {
        bench.try_fields("B5", &fields, expect).await;
    }
    bench.finish("B5 at services").await;
}

#[tokio::test]
async fn b6_large_heads_do_not_reach_a_service() {
    let mut bench = Bench::start().await;
    let one_cookie = format!("Cookie: {}\r\n", (0..10_000).map(|n| format!("c{n}=1; ")).collect::<String>());
    let lines = [
        (0..200).map(|n| format!("X-A{n}: 1\r\n")).collect(),
        // `Authorization` is one of the hundred, over HTTP/2, where the host is no field, too.
        (0..100).map(|n| format!("X-A{n}: 1\r\n")).collect(),
        (0..10_000).map(|n| format!("Cookie: c{n}=1\r\n")).collect(),
        one_cookie,
        (0..40).map(|n| format!("X-A{n}: {}\r\n", "a".repeat(8 * 1024))).collect::<String>(),
        format!("{}: 1\r\n", "X".repeat(64 * 1024)),
        format!("X-A: {}\r\n", "a".repeat(256 * 1024)),
    ];
    for mount in Mount::BOTH {
        for lines in &lines {
            let request = bench.head(mount, "GET", "/a", lines);
            bench.try_case("B6", request.as_bytes(), Refused(&[431])).await;
        }
        let request = bench.head(mount, "GET", &format!("/{}", "a".repeat(64 * 1024)), "");
        bench.try_case("B6", request.as_bytes(), Refused(&[400, 414, 431])).await;
        let allowed: String = (0..98).map(|n| format!("X-A{n}: 1\r\n")).collect();
        let request = bench.head(mount, "GET", "/a", &allowed);
        let tried = bench.try_case("B6", request.as_bytes(), Reaches("GET /a")).await;
        assert_eq!(tried.seen.and_then(|seen| seen.header("x-a97").map(str::to_owned)).as_deref(), Some("1"));
    }
    bench.finish("B6 at services").await;
}

#[tokio::test]
async fn b7_what_is_no_field_does_not_reach_a_service() {
    let mut bench = Bench::start().await;
    for mount in Mount::BOTH {
        for lines in FIELDS {
            let request = bench.head(mount, "GET", "/a", lines);
            bench.poisoned("B7", mount, request.as_bytes(), None).await;
        }
        let whole = bench.head(mount, "GET", "/a", "");
        let (head, _) = whole.as_bytes().split_at(whole.len() - 4);
        for &end in ENDS {
            bench.poisoned("B7", mount, &[head, end].concat(), None).await;
        }
        for &start in STARTS {
            bench.poisoned("B7", mount, &[start, whole.as_bytes()].concat(), None).await;
        }
        let odd = bench.head(mount, "GET", "/a", "X-A: \t b \t\r\nX-B:\r\nX-C: caf\u{e9}\r\n");
        let tried = bench.try_case("B7", odd.as_bytes(), Reaches("GET /a")).await;
        assert_eq!(tried.seen.expect("it was seen").headers("x-a"), ["b"]);
    }
    // HTTP/2 has lengths where HTTP/1.1 has ends of lines, so that anything could be in a field.
    let app = (&b":authority"[..], APP.as_bytes());
    for field in [
        (&b"x-a"[..], &b"b\r\nx-gateway-user: evil"[..]),
        (b"x-a", b"b\nc"),
        (b"x-a", b"b\rc"),
        (b"x-a", b"b\0c"),
        (b"x-a\r\nx-gateway-user", b"evil"),
        (b"x-a: b\r\nx", b"c"),
        (b"x a", b"b"),
        (b"x-a ", b"b"),
        (b" x-a", b"b"),
        (b"X-A", b"b"),
        (b"x:a", b"b"),
        (b"", b"b"),
        (b"x-a\0", b"b"),
        (b"x_gateway_user", b"evil"),
        (b"x-\xe9", b"b"),
        (b":unknown", b"b"),
        (b":status", b"200"),
        (b":path", b"/evil"),
        (b"connection", b"x-gateway-user"),
        (b"connection", b"close"),
        (b"keep-alive", b"timeout=9"),
        (b"proxy-connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"websocket"),
        (b"te", b"gzip"),
    ] {
        bench.try_fields("B7", &[app, field], MALFORMED).await;
    }
    // A pseudo-field behind a field.
    bench.try_fields("B7", &[(b"x-a", b"b"), app], MALFORMED).await;
    bench.finish("B7 at services").await;
}

/// CVE-2026-34457: at a service, too, nobody is let in for looking like a health probe.
#[tokio::test]
async fn b9_probes_do_not_reach_a_service_without_a_credential() {
    let mut bench = Bench::start().await;
    for mount in Mount::BOTH {
        let host = bench.host(mount);
        for agent in [
            "GoogleHC/1.0",
            "kube-probe/1.30",
            "ELB-HealthChecker/2.0",
            "Amazon-Route53-Health-Check-Service",
            "UptimeRobot/2.0",
            "Prometheus/2.53.0",
        ] {
            for path in ["/ping", "/healthz", "/health", "/readyz", "/livez", "/metrics", "/a"] {
                let path = mount.path(path);
                let lines = format!("Host: {host}\r\nUser-Agent: {agent}\r\nX-Health-Check: 1\r\n");
                for method in ["GET", "POST"] {
                    let bytes = format!("{method} {path} HTTP/1.1\r\n{lines}\r\n");
                    let tried = bench.try_case("B9", bytes.as_bytes(), Refused(&[401])).await;
                    let row = mount.row(if method == "GET" { Method::Get } else { Method::Post });
                    assert_eq!(tried.route.as_deref(), Some(row), "{method} {path} {agent}");
                }
            }
        }
    }
    bench.finish("B9 at services").await;
}

/// A request to a service has exactly one credential, in its place; none is preferred to another, and none goes up.
#[tokio::test]
async fn b10_a_request_to_a_service_has_one_credential() {
    let mut bench = Bench::start().await;
    let token = bench.gateway.token(Role::Admin).to_owned();
    let basic = gateway_testkit::raw::basic(&token);
    let session = format!("rgs_{}", "a".repeat(43));
    for mount in Mount::BOTH {
        let host = bench.host(mount);
        let with = |below: &str, lines: &str| {
            format!("GET {} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n", mount.path(below))
        };
        for lines in [
            format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n"),
            format!("Authorization: Bearer {token}\r\nAuthorization: {basic}\r\n"),
            format!("Authorization: Bearer nobody\r\nauthorization: Bearer {token}\r\n"),
            format!("Authorization: Bearer {token}\r\nauthorization:\r\n"),
        ] {
            bench.try_case("B10", with("/a", &lines).as_bytes(), MALFORMED).await;
        }
        for lines in [
            format!("Authorization: Bearer {token}, Bearer {token}\r\n"),
            format!("Authorization: Bearer {token} Bearer\r\n"),
            "Authorization: Bearer\r\n".to_owned(),
            format!("Authorization: {token}\r\n"),
            format!("Authorization: Basic {token}\r\n"),
            format!("Authorization: Digest {token}\r\n"),
            "Authorization: Basic !!!!\r\n".to_owned(),
            format!("Cookie: __Host-rgw={token}\r\n"),
            format!("Cookie: rgw={token}\r\n"),
            format!("Proxy-Authorization: Bearer {token}\r\n"),
            format!("X-Api-Key: {token}\r\n"),
            format!("X-Auth-Token: {token}\r\n"),
            format!("X-Gateway-Authorization: Bearer {token}\r\n"),
            format!("Gateway-Token: {token}\r\n"),
            format!("Authorization: Bearer {token}\r\nCookie: __Host-rgw={session}\r\n"),
            format!("Cookie: __Host-rgw={session}; __Host-rgw={session}\r\n"),
        ] {
            bench.try_case("B10", with("/a", &lines).as_bytes(), Refused(&[400, 401])).await;
        }
        for query in ["access_token", "token", "authorization", "api_key"] {
            let below = format!("/a?{query}={token}");
            let good = format!("Authorization: Bearer {token}\r\n");
            bench.try_case("B10", with(&below, &good).as_bytes(), MALFORMED).await;
            bench.try_case("B10", with(&below, "").as_bytes(), Refused(&[400, 401])).await;
        }
        for credential in [format!("Bearer {token}"), format!("bearer {token}"), basic.clone()] {
            let lines = format!("Authorization: {credential}\r\n");
            bench.try_case("B10", with("/a", &lines).as_bytes(), Reaches("GET /a")).await;
        }
    }
    bench.finish("B10 at services").await;
}
