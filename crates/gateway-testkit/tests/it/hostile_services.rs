//! Groups A to C against services: paths, heads and framings with more than one reading, over HTTP/1.1 and over
//! HTTP/2, told by three observers: the client's reply, what the service saw, and the log.

use std::net::{IpAddr, Ipv4Addr};

use gateway_audit::{End, Event};
use gateway_testkit::{RawClient, Reply, TestGateway};
use gateway_types::Role;

use crate::corpus::{self, named};
use crate::hostile::{http2, shown};
use crate::service_kit::{Instance, Seen, reply};

mod framing;
mod heads;

/// What must come of a request.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// A problem with one of these statuses, and the service sees nothing.
    Refused(&'static [u16]),
    /// The service sees exactly this request line's method and target.
    Reaches(&'static str),
}

use Expect::{Reaches, Refused};

/// Where a service is mounted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mount {
    /// On a host of its own.
    Host,
    /// Below a prefix of the gateway's own host, which is taken away.
    Prefix,
}

impl Mount {
    const BOTH: [Mount; 2] = [Mount::Host, Mount::Prefix];

    /// Where a client finds a path of the service.
    fn path(self, below: &str) -> String {
        match self {
            Mount::Host => below.to_owned(),
            Mount::Prefix => format!("/part{below}"),
        }
    }

    /// The row of every path that no route names, for this method.
    const fn row(self, method: Method) -> &'static str {
        match (self, method) {
            (Mount::Host, Method::Get) => "SAFE whole:/{path*}",
            (Mount::Host, Method::Post) => "UNSAFE whole:/{path*}",
            (Mount::Prefix, Method::Get) => "SAFE part:/{path*}",
            (Mount::Prefix, Method::Post) => "UNSAFE part:/{path*}",
        }
    }
}

/// The methods of the cases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Method {
    Get,
    Post,
}

/// What may be of use of a case once it was tried.
struct Tried {
    /// The row that the log has of it.
    route: Option<String>,
    /// What the service saw of it over HTTP/1.1.
    seen: Option<Seen>,
}

/// A service that keeps each request it saw, and a gateway that has it three times: whole on a host of its own,
/// below a prefix of that host with closed routes, and below a prefix of the gateway's own host.
struct Bench {
    gateway: TestGateway,
    service: Instance,
    twins: Vec<Twin>,
    cases: u32,
}

/// What was told over HTTP/2, until the log is read.
struct Twin {
    label: String,
    address: IpAddr,
    status: Option<u16>,
    expect: Expect,
    route: Option<String>,
}

impl Bench {
    async fn start() -> Self {
        let service = Instance::start(|_| reply("200 OK", "", "ok")).await;
        let upstreams = format!("upstreams = [{{ url = \"{}\" }}]", service.url());
        let file = format!(
            "[[service]]\nname = \"whole\"\nhosts = [\"app.example.com\"]\n{upstreams}\n\
             [[service]]\nname = \"closed\"\nhosts = [\"app.example.com\"]\nprefix = \"/closed\"\n{upstreams}\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/orders/{{id}}\"\naction = \"order:read\"\n\
             [[service]]\nname = \"part\"\nprefix = \"/part\"\nstrip_prefix = true\n{upstreams}\n"
        );
        // The sources of the cases are in 127.2.0.0/16; those that speak for others are in 127.3.0.0/16.
        let gateway = TestGateway::builder()
            .env("H2C", "true")
            .env("TRUSTED_FORWARDERS", "127.3.0.0/16,10.0.0.0/8")
            .file(&file)
            .start()
            .await;
        Self { gateway, service, twins: Vec::new(), cases: 0 }
    }

    /// An address of its own for each case: refusals of unknown callers are counted by source.
    fn source(&mut self) -> Ipv4Addr {
        self.cases += 1;
        Ipv4Addr::from(0x7f02_0000 + self.cases)
    }

    /// The host at which a mount is found.
    fn host(&self, mount: Mount) -> String {
        match mount {
            Mount::Host => APP.to_owned(),
            Mount::Prefix => self.gateway.addr().to_string(),
        }
    }

    /// The head of a request to a mount, with a credential and these lines.
    fn head(&self, mount: Mount, method: &str, below: &str, lines: &str) -> String {
        let (path, host, token) = (mount.path(below), self.host(mount), self.gateway.token(Role::Admin));
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{lines}\r\n")
    }

    /// One request line, over both versions.
    async fn check(&mut self, label: &str, host: &str, line: &str, expect: Expect) {
        let token = self.gateway.token(Role::Admin);
        let bytes = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        );
        let tried = self.try_case(label, bytes.as_bytes(), expect).await;
        if let Reaches(target) = expect {
            assert_eq!(tried.route.as_deref(), Some(route_of(host, target)), "{label}: {line}");
        }
    }

    /// One case, over both versions.
    async fn try_case(&mut self, label: &str, bytes: &[u8], expect: Expect) -> Tried {
        let (source, twin) = (self.source(), self.source());
        self.try_from(label, bytes, expect, (source, source.into()), (twin, twin.into())).await
    }

    /// One case, over both versions, each from an address and for the client whose request it is.
    async fn try_from(
        &mut self,
        label: &str,
        bytes: &[u8],
        expect: Expect,
        first: (Ipv4Addr, IpAddr),
        second: (Ipv4Addr, IpAddr),
    ) -> Tried {
        let tried = self.try_first(label, bytes, expect, first).await;
        let frames = http2::stream_of(bytes);
        let label = format!("HTTP/2 {}: {}", named(label), shown(bytes));
        self.try_frames(label, &frames, expect, second, tried.route.clone()).await;
        tried
    }

    /// One case over HTTP/1.1.
    async fn try_first(
        &mut self,
        label: &str,
        bytes: &[u8],
        expect: Expect,
        (source, address): (Ipv4Addr, IpAddr),
    ) -> Tried {
        let label = format!("{}: {}", named(label), shown(bytes));
        let before = self.service.seen().len();
        let mut client = RawClient::connect_from(source, self.gateway.addr()).await;
        client.send(bytes).await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("{label}: closed without a reply"));
        match expect {
            Refused(statuses) => is_refused(&label, &reply, statuses),
            Reaches(_) => assert_eq!(reply.status, 200, "{label}: {}", reply.text()),
        }
        let seen = self.service_saw(before, &label, expect, address);
        let route = self.check_log(&label, &reply, expect, address).await;
        Tried { route, seen }
    }

    /// The same case as frames of HTTP/2; `route` is the row that the log has of it over HTTP/1.1.
    async fn try_frames(
        &mut self,
        label: String,
        frames: &[u8],
        expect: Expect,
        (source, address): (Ipv4Addr, IpAddr),
        route: Option<String>,
    ) {
        let before = self.service.seen().len();
        let status = match (http2::ask_frames(source, self.gateway.addr(), frames).await, expect) {
            (http2::Told::Reply { status, .. }, Refused(statuses)) => {
                assert!(statuses.contains(&status), "{label}: {status}");
                Some(status)
            }
            (http2::Told::Reply { status, .. }, Reaches(_)) => {
                assert_eq!(status, 200, "{label}");
                Some(status)
            }
            (http2::Told::Ended, Refused(_)) => None,
            (http2::Told::Ended, Reaches(_)) => panic!("{label}: the stream was ended"),
        };
        self.service_saw(before, &label, expect, address);
        self.twins.push(Twin { label, address, status, expect, route });
    }

    /// The service saw what it must, in the gateway's own words, and nothing else.
    fn service_saw(&self, before: usize, label: &str, expect: Expect, address: IpAddr) -> Option<Seen> {
        let mut seen = self.service.seen().split_off(before);
        let lines: Vec<&str> = seen.iter().map(Seen::line).collect();
        match expect {
            Refused(_) => assert_eq!(lines, Vec::<&str>::new(), "{label}"),
            Reaches(target) => assert_eq!(lines, [target], "{label}"),
        }
        let seen = seen.pop()?;
        let (_, fields) = seen.head.split_once('\n').unwrap_or_default();
        assert!(!fields.to_ascii_lowercase().contains("evil"), "{label}: {fields}");
        assert_eq!(seen.headers("host"), [self.service.addr.to_string()], "{label}");
        assert_eq!(seen.headers("x-forwarded-for"), [address.to_string()], "{label}");
        assert_eq!(seen.headers("gateway-token").len(), 1, "{label}: {}", seen.head);
        assert_eq!(seen.headers("x-request-id").len(), 1, "{label}: {}", seen.head);
        assert!(!seen.head.contains(self.gateway.token(Role::Admin)), "{label}: {}", seen.head);
        Some(seen)
    }

    /// The log tells of the request what the client was told; the route that it names.
    async fn check_log(&self, label: &str, reply: &Reply, expect: Expect, address: IpAddr) -> Option<String> {
        let Some(request) = reply.header("request-id").and_then(|id| id.parse().ok()) else {
            panic!("{label}: a reply without Request-Id");
        };
        self.gateway.store().audit().flush().await.unwrap();
        let events = self.gateway.store().events().by_request(request).await.unwrap();
        let (_, last) = events.last().unwrap_or_else(|| panic!("{label}: no event"));
        assert_eq!((last.status, last.source_ip), (Some(reply.status), Some(address)), "{label}");
        let end = if matches!(expect, Refused(_)) { End::Refused } else { End::Completed };
        assert_eq!(last.end, Some(end), "{label}");
        events.iter().find_map(|(_, event)| event.route.as_deref().map(str::to_owned))
    }

    async fn finish(self, name: &str) {
        let events = self.gateway.events().await;
        for (_, event) in &events {
            assert_ne!(event.end, Some(End::Panicked), "{event:?}");
            assert!(event.status.is_none_or(|status| status < 500), "{event:?}");
        }
        for twin in &self.twins {
            let own = events.iter().map(|(_, event)| event);
            let own: Vec<&Event> = own.filter(|event| event.source_ip == Some(twin.address)).collect();
            check_twin(twin, &own);
        }
        assert!(self.service.seen().iter().all(|seen| !seen.line().contains("poison")), "{name}");
        corpus::count(name, usize::try_from(self.cases).unwrap());
        self.gateway.finish().await;
    }
}

/// A refusal is a problem document that names neither the service's address nor what was claimed.
fn is_refused(label: &str, reply: &Reply, statuses: &[u16]) {
    assert!(statuses.contains(&reply.status), "{label}: {} {}", reply.status, reply.text());
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{label}");
    assert!(!reply.text().to_ascii_lowercase().contains("evil"), "{label}: {}", reply.text());
}

/// The log tells of the request over HTTP/2 what it tells of the one over HTTP/1.1: the same route above all.
fn check_twin(twin: &Twin, own: &[&Event]) {
    let label = &twin.label;
    let last = own.last().unwrap_or_else(|| panic!("{label}: no event"));
    let route = own.iter().find_map(|event| event.route.as_deref());
    match (twin.expect, twin.status) {
        // A head that is none has no route, whichever version it came in.
        (Refused(statuses), None) => {
            let status = last.status.unwrap_or_default();
            assert!(status == 400 || statuses.contains(&status), "{label}: {last:?}");
            assert_eq!((last.end, route), (Some(End::Refused), None), "{label}");
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

/// The route of what reached the service: as it went up, prefix or not.
fn route_of(host: &str, target: &str) -> &'static str {
    match host.to_ascii_lowercase().starts_with(APP) {
        true if target.starts_with("GET /closed/") => "GET closed:/orders/{id}",
        true => Mount::Host.row(Method::Get),
        false => Mount::Prefix.row(Method::Get),
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
    let (before, source) = (bench.service.seen().len(), bench.source());
    let told = http2::ask(source, bench.gateway.addr(), bytes.as_bytes()).await;
    assert!(matches!(told, http2::Told::Reply { status: 200, .. }), "{told:?}");
    bench.service_saw(before, "HTTP/2 fragment", Reaches("GET /a"), source.into());
    bench.finish("A10 and A11 at services").await;
}
