//! Group A against services: paths, queries and methods with more than one reading, over HTTP/1.1 and over HTTP/2,
//! told by three observers: the client's reply, what the service saw, and the log.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use gateway_audit::End;
use gateway_testkit::stub::StubRack;
use gateway_testkit::{RawClient, Reply, TestGateway};
use gateway_types::Role;

use crate::hostile::http2;

/// What must come of a request.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// A problem with one of these statuses, and the service sees nothing.
    Refused(&'static [u16]),
    /// The service sees exactly this request line's method and target.
    Reaches(&'static str),
}

use Expect::{Reaches, Refused};

/// A service that keeps each request line it saw, and a gateway that has it three times: whole on a host of its
/// own, below a prefix of that host with closed routes, and below a prefix of the gateway's own host.
struct Bench {
    gateway: TestGateway,
    seen: Arc<Mutex<Vec<String>>>,
    _service: StubRack,
    twins: Vec<Twin>,
    cases: u32,
}

/// What was told over HTTP/2, until the log is read.
struct Twin {
    label: String,
    source: Ipv4Addr,
    status: Option<u16>,
    expect: Expect,
    route: Option<String>,
}

impl Bench {
    async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let service = StubRack::start(move |mut connection| {
            let line = connection.head.lines().next().unwrap_or_default().to_owned();
            kept.lock().unwrap().push(line);
            async move { connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await }
        })
        .await;
        let upstreams = format!("upstreams = [{{ url = \"{}\" }}]", service.url());
        let file = format!(
            "[[service]]\nname = \"whole\"\nhosts = [\"app.example.com\"]\n{upstreams}\n\
             [[service]]\nname = \"closed\"\nhosts = [\"app.example.com\"]\nprefix = \"/closed\"\n{upstreams}\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/orders/{{id}}\"\naction = \"order:read\"\n\
             [[service]]\nname = \"part\"\nprefix = \"/part\"\nstrip_prefix = true\n{upstreams}\n"
        );
        let gateway = TestGateway::builder().env("H2C", "true").file(&file).start().await;
        Self { gateway, seen, _service: service, twins: Vec::new(), cases: 0 }
    }

    /// An address of its own for each case: refusals of unknown callers are counted by source.
    fn source(&mut self) -> Ipv4Addr {
        self.cases += 1;
        Ipv4Addr::from(0x7f02_0000 + self.cases)
    }

    /// One case, over both versions.
    async fn check(&mut self, label: &str, host: &str, line: &str, expect: Expect) {
        let shown = format!("{label}: {}", line.escape_debug());
        let token = self.gateway.token(Role::Admin);
        let bytes = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        );
        let source = self.source();
        let before = self.seen.lock().unwrap().len();
        let mut client = RawClient::connect_from(source, self.gateway.addr()).await;
        client.send(bytes.as_bytes()).await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("{shown}: closed without a reply"));
        match expect {
            Refused(statuses) => {
                assert!(statuses.contains(&reply.status), "{shown}: {} {}", reply.status, reply.text());
                assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{shown}");
            }
            Reaches(_) => assert_eq!(reply.status, 200, "{shown}: {}", reply.text()),
        }
        self.service_saw(before, &shown, expect);
        let route = self.check_log(&shown, &reply, expect).await;
        if let Reaches(target) = expect {
            assert_eq!(route.as_deref(), Some(route_of(host, target)), "{shown}");
        }

        let (shown, source) = (format!("HTTP/2 {shown}"), self.source());
        let before = self.seen.lock().unwrap().len();
        let status = match (http2::ask(source, self.gateway.addr(), bytes.as_bytes()).await, expect) {
            (http2::Told::Reply { status, .. }, Refused(statuses)) => {
                assert!(statuses.contains(&status), "{shown}: {status}");
                Some(status)
            }
            (http2::Told::Reply { status, .. }, Reaches(_)) => {
                assert_eq!(status, 200, "{shown}");
                Some(status)
            }
            (http2::Told::Ended, Refused(_)) => None,
            (http2::Told::Ended, Reaches(_)) => panic!("{shown}: the stream was ended"),
        };
        self.service_saw(before, &shown, expect);
        self.twins.push(Twin { label: shown, source, status, expect, route });
    }

    fn service_saw(&self, before: usize, label: &str, expect: Expect) {
        let seen = self.seen.lock().unwrap().split_off(before);
        match expect {
            Refused(_) => assert_eq!(seen, Vec::<String>::new(), "{label}"),
            Reaches(target) => assert_eq!(seen, [format!("{target} HTTP/1.1")], "{label}"),
        }
    }

    /// The log tells of the request what the client was told; the route that it names.
    async fn check_log(&self, label: &str, reply: &Reply, expect: Expect) -> Option<String> {
        let Some(request) = reply.header("request-id").and_then(|id| id.parse().ok()) else {
            panic!("{label}: a reply without Request-Id");
        };
        self.gateway.store().audit().flush().await.unwrap();
        let events = self.gateway.store().events().by_request(request).await.unwrap();
        let (_, last) = events.last().unwrap_or_else(|| panic!("{label}: no event"));
        assert_eq!(last.status, Some(reply.status), "{label}");
        let end = if matches!(expect, Refused(_)) { End::Refused } else { End::Completed };
        assert_eq!(last.end, Some(end), "{label}");
        events.iter().find_map(|(_, event)| event.route.as_deref().map(str::to_owned))
    }

    async fn finish(self, name: &str) {
        let events = self.gateway.events().await;
        for twin in &self.twins {
            let label = &twin.label;
            let own = events.iter().map(|(_, event)| event);
            let own: Vec<_> = own.filter(|event| event.source_ip == Some(IpAddr::V4(twin.source))).collect();
            let last = own.last().unwrap_or_else(|| panic!("{label}: no event"));
            let route = own.iter().find_map(|event| event.route.as_deref());
            match (twin.expect, twin.status) {
                // A head that is none has no route, whichever version it came in.
                (Refused(_), None) => {
                    assert_eq!(
                        (last.end, last.status, route),
                        (Some(End::Refused), Some(400), None),
                        "{label}"
                    );
                }
                (Refused(_), Some(status)) => {
                    assert_eq!((last.end, last.status), (Some(End::Refused), Some(status)), "{label}");
                    assert_eq!(route, twin.route.as_deref(), "{label}");
                }
                (Reaches(_), _) => {
                    assert_eq!((last.end, last.status), (Some(End::Completed), Some(200)), "{label}");
                    assert_eq!(route, twin.route.as_deref(), "{label}");
                }
            }
        }
        crate::corpus::count(name, usize::try_from(self.cases).unwrap());
        self.gateway.finish().await;
    }
}

/// The route of what reached the service: as it went up, prefix or not.
fn route_of(host: &str, target: &str) -> &'static str {
    match host.to_ascii_lowercase().starts_with(APP) {
        true if target.starts_with("GET /closed/") => "GET closed:/orders/{id}",
        true => "SAFE whole:/{path*}",
        false => "SAFE part:/{path*}",
    }
}

const APP: &str = "app.example.com";
const MALFORMED: Expect = Refused(&[400]);
const UNKNOWN: Expect = Refused(&[404]);

/// CVE-2019-9901, CVE-2025-66490, CVE-2021-31920, CVE-2026-88009, and the `..;` of Java servers.
#[tokio::test]
async fn a1_to_a5_a_service_never_sees_a_path_with_two_readings() {
    let mut bench = Bench::start().await;
    for path in [
        "/a/./b",
        "/a/../b",
        "/a/..",
        "/.",
        "/..",
        "//a",
        "/a//b",
        "/closed/../secret",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e/b",
        "/a/%252e%252e/b",
        "/%2e%2e/",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5Cb",
        "/a%252fb",
        "/a%00b",
        "/a%0d%0ab",
        "/a%7fb",
        "/a%c2%85b",
        "/a/..;/b",
        "/a/..;x=1/b",
        "/a/.;/b",
        "/a%zz",
        "/a%2",
        "/a%",
        "/a%ff",
        "/a%c0%ae",
        "/a%ed%a0%80",
    ] {
        for method in ["GET", "POST"] {
            bench.check("A1-A5", APP, &format!("{method} {path}"), MALFORMED).await;
        }
    }
    for path in ["/a\\b", "/a\tb", "/a\u{1}b", "/a\u{7f}b", "/caf\u{e9}"] {
        bench.check("A4", APP, &format!("GET {path}"), MALFORMED).await;
    }
    for (path, target) in [
        ("/", "GET /"),
        ("/a/b/", "GET /a/b/"),
        ("/%61/%62", "GET /a/b"),
        ("/caf%C3%A9", "GET /caf%C3%A9"),
        ("/caf%c3%a9", "GET /caf%C3%A9"),
        ("/a%20b", "GET /a%20b"),
        ("/a;v=1", "GET /a;v=1"),
        ("/...", "GET /..."),
    ] {
        bench.check("A1-A5", APP, &format!("GET {path}"), Reaches(target)).await;
    }
    bench.finish("A1 to A5 at services").await;
}

#[tokio::test]
async fn a6_to_a9_hosts_prefixes_and_routes_are_exact() {
    let mut bench = Bench::start().await;
    let own = bench.gateway.addr().to_string();
    for line in [
        "GET http://evil.example/",
        "GET https://app.example.com/a",
        "GET *",
        "GET a",
        "GET app.example.com:443",
    ] {
        bench.check("A7", APP, line, Refused(&[400, 405])).await;
    }
    for (host, line, expect) in [
        (APP, "GET /closed/orders/7", Reaches("GET /closed/orders/7")),
        (APP, "GET /%63losed/orders/%37", Reaches("GET /closed/orders/7")),
        (APP, "GET /closed/Orders/7", UNKNOWN),
        (APP, "GET /closed/orders", UNKNOWN),
        (APP, "GET /closed/orders/7/x", UNKNOWN),
        (APP, "DELETE /closed/orders/7", Refused(&[405])),
        (APP, "GET /closedx", Reaches("GET /closedx")),
        (APP, "GET /Closed/orders/7", Reaches("GET /Closed/orders/7")),
        (&own, "GET /part/a", Reaches("GET /a")),
        (&own, "GET /part", Reaches("GET /")),
        (&own, "GET /part/", Reaches("GET /")),
        (&own, "GET /partx/a", UNKNOWN),
        (&own, "GET /PART/a", UNKNOWN),
        (&own, "GET /part/../api/v1/me", Refused(&[400, 404])),
        (&own, "GET /part/%2e%2e/api/v1/me", Refused(&[400, 404])),
        ("app.example.com.", "GET /a", Refused(&[400, 404])),
        ("other.example.com", "GET /a", UNKNOWN),
        ("xapp.example.com", "GET /a", UNKNOWN),
        ("APP.EXAMPLE.COM", "GET /a", Reaches("GET /a")),
        ("app.example.com:8443", "GET /a", Reaches("GET /a")),
    ] {
        bench.check("A6-A9", host, line, expect).await;
    }
    // On a host of a service nothing of the gateway answers: its paths are the service's.
    for path in ["/api/v1/me", "/api/v1/users", "/app", "/auth/login", "/openapi.json", "/log/checkpoint"] {
        let (line, target) = (format!("GET {path}"), format!("GET {path}"));
        bench.check("A9", APP, &line, Reaches(Box::leak(target.into_boxed_str()))).await;
    }
    bench.finish("A6 to A9 at services").await;
}

#[tokio::test]
async fn a10_a11_methods_are_a_closed_list_and_queries_have_one_spelling() {
    let mut bench = Bench::start().await;
    for method in
        ["get", "GETX", "M-SEARCH", "TRACE", "TRACK", "CONNECT", "PRI", "DEBUG", "PROPFIND", "G\u{e9}T"]
    {
        bench.check("A10", APP, &format!("{method} /a"), Refused(&[400, 405])).await;
    }
    for (line, expect) in [
        ("GET /a?a=1&a=2&a[]=3&=&b", Reaches("GET /a?a=1&a=2&a[]=3&=&b")),
        ("GET /a?x=%20+y", Reaches("GET /a?x=%20+y")),
        ("GET /a?", Reaches("GET /a?")),
        ("GET /a?u=http://evil/../x", Reaches("GET /a?u=http://evil/../x")),
        ("GET /a?_method=DELETE", Reaches("GET /a?_method=DELETE")),
        ("GET /a?x=%", MALFORMED),
        ("GET /a?x=%2", MALFORMED),
        ("GET /a?x=%zz", MALFORMED),
        ("GET /a?x=\\", MALFORMED),
        ("GET /a?x=\u{1}", MALFORMED),
    ] {
        bench.check("A11", APP, line, expect).await;
    }
    // HTTP/1.1's fragment is refused; HTTP/2's library takes it away, and the service sees what everybody sees.
    let token = bench.gateway.token(Role::Admin);
    let bytes = format!("GET /a#x HTTP/1.1\r\nHost: {APP}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut client = RawClient::connect(bench.gateway.addr()).await;
    client.send(bytes.as_bytes()).await;
    assert_eq!(client.reply().await.expect("a reply").status, 400);
    let before = bench.seen.lock().unwrap().len();
    let told = http2::ask(bench.source(), bench.gateway.addr(), bytes.as_bytes()).await;
    assert!(matches!(told, http2::Told::Reply { status: 200, .. }), "{told:?}");
    bench.service_saw(before, "HTTP/2 fragment", Reaches("GET /a"));
    bench.finish("A10 and A11 at services").await;
}
