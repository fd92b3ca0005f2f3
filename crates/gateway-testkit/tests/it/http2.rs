//! HTTP/2 to clients: the same pipeline, the same rules, and bounds for what HTTP/2 lets a client do for free.
//!
//! Three observers, as for HTTP/1.1: what the client is told, what the rack saw, what the log says. After each
//! attack a request on a new connection is answered.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use gateway_audit::{End, Event};
use gateway_testkit::raw::basic;
use gateway_testkit::{RawClient, TestGateway, eventually};
use gateway_types::Role;

use super::http2_frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameClient, GOAWAY, H2Client, HEADERS, PING, RST_STREAM,
    SETTINGS, block, frame,
};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const APP: &str = "/apps/myapp";

async fn start() -> TestGateway {
    TestGateway::builder().env("H2C", "true").env("DRAIN_TIMEOUT", "5s").start().await
}

/// What the rack saw for clients, without what the gateway reads by itself.
fn seen(gateway: &TestGateway) -> Vec<String> {
    let requests = gateway.rack.requests();
    let lines = requests.iter().map(|request| format!("{} {}", request.method, request.target));
    lines.filter(|line| !line.ends_with("/releases?limit=1")).collect()
}

/// A refusal of this source, once it is written.
async fn refusal(gateway: &TestGateway, source: Ipv4Addr) -> Event {
    eventually("a refusal in the log", || async {
        let events = gateway.events().await;
        let of_source =
            |event: &Event| event.source_ip == Some(IpAddr::V4(source)) && event.end == Some(End::Refused);
        events.into_iter().map(|(_, event)| event).find(of_source)
    })
    .await
}

/// A request on a new connection is answered, over either version.
async fn still_serves(gateway: &TestGateway) {
    let token = gateway.token(Role::Viewer);
    let reply = RawClient::connect(gateway.addr()).await.ask("GET", APP, token, &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut client = H2Client::connect(HERE, gateway.addr()).await;
    let reply = client.ask("GET", APP, token, &[], b"").await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn requests_of_both_versions_are_the_same_to_the_rack_and_the_log() {
    let gateway = start().await;
    let token = gateway.token(Role::Deployer).to_owned();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let mut two = H2Client::connect(HERE, gateway.addr()).await;
    let mut one = RawClient::connect(gateway.addr()).await;
    let (over_two, over_one) = (
        two.ask("GET", "/apps/myapp/services?", &token, &[], b"").await.unwrap(),
        one.ask("GET", "/apps/myapp/services?", &token, &[], b"").await,
    );
    assert_eq!((over_two.status, over_two.text()), (over_one.status, over_one.text()));
    assert_eq!(over_two.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(over_two.header("connection"), None);
    let body = b"parameters=Foo%3Dbarbar";
    let reply = two.ask("PUT", APP, &token, &form, body).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let request = reply.header("request-id").unwrap().to_owned();
    let whole = two.ask("GET", "!/api/v1/me", &token, &[], b"").await.unwrap();
    let head = two.ask("HEAD", "!/api/v1/me", &token, &[], b"").await.unwrap();
    assert_eq!((whole.status, head.body.len()), (200, 0));
    let unknown = two.ask("GET", "/nothing/here", &token, &[], b"").await.unwrap();
    assert_eq!(unknown.status, 404);
    let nobody = two.ask("GET", APP, "", &[], b"").await.unwrap();
    assert_eq!(nobody.status, 401);

    let events = gateway.events().await;
    let event = events
        .iter()
        .map(|(_, event)| event)
        .find(|event| event.request_id.is_some_and(|id| id.to_string() == request) && event.route.is_some());
    assert_eq!(event.unwrap().route.as_deref(), Some("PUT /apps/{app}"));
    let put = gateway.rack.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!(put.header("content-length"), Some("23"), "{put:?}");
    gateway.finish().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_read_and_bounded() {
    let gateway = TestGateway::builder().env("H2C", "true").env("FORM_SIZE_BYTES", "65536").start().await;
    let token = gateway.token(Role::Deployer).to_owned();
    let mut client = H2Client::connect(HERE, gateway.addr()).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let big = vec![b'a'; 60_000];
    let reply = client.ask("PUT", APP, &token, &form, &[b"parameters=".as_slice(), &big].concat()).await;
    assert!(reply.unwrap().status < 500);
    let big = vec![b'a'; 70_000];
    let reply =
        client.ask("PUT", APP, &token, &form, &[b"parameters=".as_slice(), &big].concat()).await.unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());
    // GET takes no body, announced or not.
    let reply = client.ask("GET", "!/api/v1/me", &token, &[], b"x").await.unwrap();
    assert_eq!(reply.status, 400, "{}", reply.text());
    gateway.finish().await;
}

#[tokio::test]
async fn b5_authority_and_host_are_one() {
    let gateway = start().await;
    let token = gateway.token(Role::Viewer).to_owned();
    let cases = [
        ("host that differs", vec![("host", "other.example")]),
        ("two hosts", vec![("host", "a"), ("host", "a")]),
        ("two credentials", vec![("authorization", "Bearer x")]),
        ("underscore", vec![("x_gateway_user", "evil")]),
        ("expect", vec![("expect", "200-ok")]),
    ];
    for (n, (what, headers)) in cases.into_iter().enumerate() {
        let source = Ipv4Addr::new(127, 2, 0, u8::try_from(n).unwrap() + 1);
        let mut client = H2Client::connect(source, gateway.addr()).await;
        let mut request = client.request("GET", APP, &token, &Default::default());
        for (name, value) in headers {
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let reply = client.exchange(request, b"").await.unwrap();
        assert_eq!(reply.status, 400, "{what}: {}", reply.text());
        assert_eq!(reply.header("connection"), None, "{what}");
        let event = refusal(&gateway, source).await;
        assert_eq!(event.status, Some(400), "{what}");
        // The stream is lost, the connection is not.
        let same = client.ask("GET", APP, &token, &[], b"").await.unwrap();
        assert_eq!(same.status, 200, "{what}: {}", same.text());
    }
    assert_eq!(seen(&gateway), vec![format!("GET {APP}"); 5]);
    gateway.finish().await;
    crate::corpus::count("B5", 5);
}

/// The fields of a good head, with these in their place or behind them.
fn fields<'a>(change: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let good = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "gateway"),
        (":path", "/api/v1/rack-proxy/apps/myapp"),
    ];
    let replaced = good.into_iter().filter_map(|(name, value)| {
        match change.iter().find(|(changed, _)| *changed == name) {
            Some((_, "")) => None,
            Some((_, other)) => Some((name, *other)),
            None => Some((name, value)),
        }
    });
    replaced.chain(more.iter().copied()).collect()
}

#[tokio::test]
async fn c8_malformed_heads_are_refused_and_written_down() {
    let gateway = start().await;
    let token = basic(gateway.token(Role::Admin));
    let credential = [("authorization", token.as_str())];
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("upper-case name", fields(&[], &[("X-Upper", "a")])),
        ("B2 connection", fields(&[], &[("connection", "close")])),
        ("B2 connection names a header", fields(&[], &[("connection", "authorization")])),
        ("keep-alive", fields(&[], &[("keep-alive", "timeout=5")])),
        ("proxy-connection", fields(&[], &[("proxy-connection", "keep-alive")])),
        ("transfer-encoding", fields(&[], &[("transfer-encoding", "chunked")])),
        ("C6 upgrade", fields(&[], &[("upgrade", "websocket")])),
        ("C6 http2-settings", fields(&[], &[("http2-settings", "AAMAAABkAAQAAP__")])),
        ("te", fields(&[], &[("te", "gzip")])),
        ("duplicate :path", fields(&[], &[(":path", "/apps/other")])),
        ("pseudo after regular", fields(&[(":path", "")], &[("a", "b"), (":path", "/apps/myapp")])),
        ("unknown pseudo", fields(&[], &[(":evil", "a")])),
        ("response pseudo", fields(&[], &[(":status", "200")])),
        ("no :path", fields(&[(":path", "")], &[])),
        ("no :method", fields(&[(":method", "")], &[])),
        ("no :scheme", fields(&[(":scheme", "")], &[])),
        ("B5 no :authority", fields(&[(":authority", "")], &[])),
        ("B5 host alone", fields(&[(":authority", "")], &[("host", "gateway")])),
        ("B5 userinfo", fields(&[(":authority", "evil@gateway")], &[])),
        ("B5 two authorities in one", fields(&[(":authority", "a,b")], &[])),
        ("CR LF in a value", fields(&[], &[("x", "a\r\nauthorization: b")])),
        ("LF in a value", fields(&[], &[("x", "a\nb")])),
        ("NUL in a value", fields(&[], &[("x", "a\0b")])),
        ("colon in a name", fields(&[], &[("x:y", "a")])),
        ("space in a name", fields(&[], &[("x y", "a")])),
        ("empty name", fields(&[], &[("", "a")])),
        ("B7 CR in a value", fields(&[], &[("x", "a\rb")])),
        ("B7 a folded value", fields(&[], &[("x", "a\r\n authorization: b")])),
        ("B7 ESC in a value", fields(&[], &[("x", "\x1b[2J")])),
        ("B7 DEL in a value", fields(&[], &[("x", "a\x7f")])),
        ("B7 vertical tab in a value", fields(&[], &[("x", "a\x0bb")])),
        ("B7 a space before the value", fields(&[], &[("x", " a")])),
        ("B7 a tab behind the value", fields(&[], &[("x", "a\t")])),
        ("B7 parentheses in a name", fields(&[], &[("x-(a)", "b")])),
        ("B7 a quoted name", fields(&[], &[("\"x\"", "b")])),
        ("B7 a name with @", fields(&[], &[("x@", "b")])),
        ("B7 a name with /", fields(&[], &[("x/y", "b")])),
        ("B7 a name with braces", fields(&[], &[("{x}", "b")])),
        ("B7 a name that is no ASCII", fields(&[], &[("x-\u{e9}", "b")])),
        ("B7 a name with a line end", fields(&[], &[("x\r\ny", "b")])),
        ("C1 lengths in one field", fields(&[], &[("content-length", "0, 0")])),
        ("C1 a negative length", fields(&[], &[("content-length", "-1")])),
        ("C1 a hexadecimal length", fields(&[], &[("content-length", "0x0")])),
        ("C1 a length of 2^64", fields(&[], &[("content-length", "18446744073709551616")])),
        ("C1 a coding in two words", fields(&[], &[("transfer-encoding", "identity, chunked")])),
        ("C5 a key of a socket", fields(&[], &[("upgrade", "websocket"), ("sec-websocket-key", "a")])),
        ("CR LF in the path", fields(&[(":path", "/apps/myapp\r\nx: y")], &[])),
        ("space in the path", fields(&[(":path", "/apps/my app")], &[])),
        ("A7 absolute form", fields(&[(":path", "http://other/apps")], &[])),
        ("A7 asterisk", fields(&[(":path", "*"), (":method", "OPTIONS")], &[])),
        ("A10 lower-case method", fields(&[(":method", "get")], &[])),
        ("A10 method with a space", fields(&[(":method", "GET /x")], &[])),
        ("A10 TRACE", fields(&[(":method", "TRACE")], &[])),
        ("C7 CONNECT", fields(&[(":method", "CONNECT"), (":path", ""), (":scheme", "")], &[])),
        ("C7 extended CONNECT", fields(&[(":method", "CONNECT")], &[(":protocol", "websocket")])),
        ("B1 underscore", fields(&[], &[("x_gateway_user", "evil")])),
        ("B10 two credentials", fields(&[], &[("authorization", "Bearer a")])),
        ("C1 two lengths", fields(&[], &[("content-length", "0"), ("content-length", "5")])),
        ("C1 length with a sign", fields(&[], &[("content-length", "+0")])),
        ("CL without DATA", fields(&[(":method", "POST")], &[("content-length", "5")])),
    ];
    let count = cases.len();
    for (n, (label, mut head)) in cases.into_iter().enumerate() {
        let source = Ipv4Addr::new(127, 3, 0, u8::try_from(n).unwrap() + 1);
        let mut client = FrameClient::connect(source, gateway.addr(), &[]).await;
        head.extend(credential);
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&head))).await;
        let came = client.until(&[RST_STREAM, GOAWAY, HEADERS]).await;
        let label = crate::corpus::named(label);
        if let Some(came) = came.filter(|came| came.kind == HEADERS) {
            // The whole status is not decoded here: none of the good ones is a byte of its own.
            assert!(!came.payload.iter().take(3).any(|byte| *byte == 0x88), "{label}: 200");
        }
        let event = refusal(&gateway, source).await;
        assert!(event.status.is_some_and(|status| (400..500).contains(&status)), "{label}: {event:?}");
        assert_eq!(event.reason.as_deref().map(str::is_empty), Some(false), "{label}");
    }
    assert_eq!(seen(&gateway), Vec::<String>::new());
    crate::corpus::count("C8", count);
    still_serves(&gateway).await;
    gateway.finish().await;
}

#[tokio::test]
async fn c8_a_length_that_is_not_the_datas_fails_the_stream() {
    let gateway = start().await;
    let token = basic(gateway.token(Role::Deployer));
    for (n, (length, data)) in [("5", "parameters=A%3Db"), ("50", "parameters=A%3Db")].into_iter().enumerate()
    {
        let source = Ipv4Addr::new(127, 4, 0, u8::try_from(n).unwrap() + 1);
        let mut client = FrameClient::connect(source, gateway.addr(), &[]).await;
        let more = [
            ("authorization", token.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            ("content-length", length),
        ];
        client.send(&frame(HEADERS, END_HEADERS, 1, &block(&fields(&[(":method", "PUT")], &more)))).await;
        client.send(&frame(DATA, END_STREAM, 1, data.as_bytes())).await;
        client.until(&[RST_STREAM, GOAWAY, HEADERS]).await.expect("an answer");
        let event = refusal(&gateway, source).await;
        assert_eq!(event.status, Some(400), "{event:?}");
    }
    assert_eq!(seen(&gateway), Vec::<String>::new());
    still_serves(&gateway).await;
    gateway.finish().await;
    crate::corpus::count("C8", 2);
}

/// Sends a flood until the gateway ends the connection, and looks for the reason in the log.
async fn flooded(gateway: &TestGateway, source: Ipv4Addr, flood: &[Vec<u8>], reason: &str) {
    let mut client = FrameClient::connect(source, gateway.addr(), &[]).await;
    for bytes in flood {
        if !client.send(bytes).await {
            break;
        }
    }
    // Either it is told, or it had no ear for it; but the connection ends.
    while client.next().await.is_some() {}
    let event = refusal(gateway, source).await;
    let told = event.reason.clone().unwrap_or_default();
    assert!(told.contains(reason), "{reason}: {told}");
    still_serves(gateway).await;
}

#[tokio::test]
async fn c8_rapid_reset_ends_the_connection() {
    let gateway = start().await;
    let token = basic(gateway.token(Role::Viewer));
    let head = block(&fields(&[], &[("authorization", token.as_str())]));
    let flood: Vec<Vec<u8>> = (0..10_000_u32)
        .map(|n| {
            let stream = 2 * n + 1;
            let open = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
            [open, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let before = seen(&gateway).len();
    flooded(&gateway, Ipv4Addr::new(127, 5, 0, 1), &flood, "HTTP/2 connection").await;
    let reached = seen(&gateway).len() - before;
    assert!(reached < 1000, "{reached} of 10,000 cancelled requests reached the rack");
    gateway.finish().await;
    crate::corpus::count("C8", 1);
}

#[tokio::test]
async fn c8_floods_of_frames_end_the_connection() {
    let gateway = start().await;
    let token = basic(gateway.token(Role::Deployer));
    let source = |n: u8| Ipv4Addr::new(127, 6, 0, n);
    let many = |bytes: Vec<u8>| vec![bytes.repeat(100); 200];
    flooded(&gateway, source(1), &many(frame(PING, 0, 0, &[7; 8])), "HTTP/2 connection").await;
    flooded(&gateway, source(2), &many(frame(SETTINGS, 0, 0, &[])), "HTTP/2 connection").await;
    flooded(&gateway, source(3), &many(frame(2, 0, 1, &[0, 0, 0, 0, 1])), "PRIORITY").await;
    flooded(&gateway, source(4), &many(frame(0x42, 0, 0, b"unknown")), "unknown kinds").await;
    flooded(&gateway, source(5), &many(frame(8, 0, 0, &[0, 0, 0, 1])), "HTTP/2 connection").await;

    let head = block(&fields(&[], &[("authorization", token.as_str())]));
    let (begin, rest) = head.split_at(10);
    let mut continuations = vec![frame(HEADERS, 0, 1, begin)];
    continuations.extend(rest.chunks(1).map(|byte| frame(CONTINUATION, 0, 1, byte)));
    flooded(&gateway, source(6), &continuations, "HTTP/2 connection").await;
    let mut empty = vec![frame(HEADERS, 0, 1, begin)];
    empty.extend(many(frame(CONTINUATION, 0, 1, b"")));
    flooded(&gateway, source(7), &empty, "HTTP/2 connection").await;

    let more = [("authorization", token.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let mut data = vec![frame(HEADERS, END_HEADERS, 1, &block(&fields(&[(":method", "PUT")], &more)))];
    data.extend(many(frame(DATA, 0, 1, b"")));
    flooded(&gateway, source(8), &data, "HTTP/2 connection").await;
    assert!(!seen(&gateway).iter().any(|line| line.starts_with("PUT")));
    gateway.finish().await;
    crate::corpus::count("C8", 8);
}

#[tokio::test]
async fn c8_frames_that_break_the_protocol_end_the_connection() {
    let gateway = start().await;
    let head = block(&fields(&[], &[]));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("DATA on stream 0", frame(DATA, 0, 0, b"a")),
        ("HEADERS on an even stream", frame(HEADERS, END_HEADERS | END_STREAM, 2, &head)),
        ("DATA on a stream that is not open", frame(DATA, 0, 1, b"a")),
        ("CONTINUATION alone", frame(CONTINUATION, END_HEADERS, 1, &head)),
        ("PUSH_PROMISE of a client", frame(5, END_HEADERS, 1, &head)),
        ("a frame that is too large", frame(DATA, 0, 1, &[0; 20_000])),
        ("PING of five bytes", frame(PING, 0, 0, &[0; 5])),
        ("SETTINGS on a stream", frame(SETTINGS, 0, 1, &[])),
        ("WINDOW_UPDATE by nothing", frame(8, 0, 0, &[0; 4])),
        ("HPACK that is none", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 10])),
        ("HPACK beyond its table", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xfe])),
        ("padding longer than the frame", frame(HEADERS, END_HEADERS | 8, 1, &[200, 0, 0])),
    ];
    for (n, (label, bytes)) in cases.into_iter().enumerate() {
        let source = Ipv4Addr::new(127, 7, 0, u8::try_from(n).unwrap() + 1);
        let mut client = FrameClient::connect(source, gateway.addr(), &[]).await;
        client.send(&bytes).await;
        let goaway = client.until(&[GOAWAY]).await;
        assert!(goaway.is_some_and(|frame| frame.payload.len() >= 8), "{label}");
        let event = refusal(&gateway, source).await;
        assert_eq!(event.status, Some(400), "{label}: {event:?}");
    }
    still_serves(&gateway).await;
    gateway.finish().await;
    crate::corpus::count("C8", 12);
}

#[tokio::test]
async fn b6_heads_that_are_too_large() {
    let gateway = start().await;
    let token = gateway.token(Role::Viewer).to_owned();
    let line = "a".repeat(20_000);
    let cookie = format!("{}a=b", "a=b; ".repeat(3000));
    let cases: [Vec<(&'static str, String)>; 4] = [
        (0..101).map(|_| ("x-many", "a".to_owned())).collect(),
        vec![("x-long", line)],
        (0..5).map(|_| ("x-large", "a".repeat(15_000))).collect(),
        (0..5).map(|_| ("cookie", cookie.clone())).collect(),
    ];
    for (n, headers) in cases.into_iter().enumerate() {
        let source = Ipv4Addr::new(127, 8, 0, u8::try_from(n).unwrap() + 1);
        let mut client = H2Client::connect(source, gateway.addr()).await;
        let mut request = client.request("GET", APP, &token, &Default::default());
        for (name, value) in &headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let reply = client.exchange(request, b"").await.unwrap();
        assert_eq!(reply.status, 431, "{n}: {}", reply.text());
        assert_eq!(refusal(&gateway, source).await.status, Some(431), "{n}");
    }
    // An HPACK bomb: one field of 4 KB in the table, then a thousand references of a byte each.
    let mut bomb = block(&fields(&[], &[]));
    bomb.extend([0x40, 1, b'x', 0x7f]);
    bomb.extend([0xa1, 0x1e]);
    bomb.extend([b'a'; 4000]);
    bomb.extend([0xbe; 1000]);
    let mut client = FrameClient::connect(Ipv4Addr::new(127, 8, 1, 1), gateway.addr(), &[]).await;
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await;
    let came = client.until(&[RST_STREAM, GOAWAY, HEADERS]).await.expect("an answer");
    assert!(came.kind != HEADERS || !came.payload.starts_with(&[0x88]));
    assert_eq!(seen(&gateway), Vec::<String>::new());
    still_serves(&gateway).await;
    gateway.finish().await;
    crate::corpus::count("B6", 4);
}

#[tokio::test]
async fn c8_a_window_of_zero_does_not_hold_a_reply_for_ever() {
    let gateway = TestGateway::builder().env("H2C", "true").env("SEND_TIMEOUT", "1s").start().await;
    let token = basic(gateway.token(Role::Viewer));
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    let mut client = FrameClient::connect(HERE, gateway.addr(), &[0, 4, 0, 0, 0, 0]).await;
    let head = block(&fields(&[], &[("authorization", token.as_str())]));
    for n in 0..50 {
        client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head)).await;
    }
    let mut ended = 0;
    while ended < 50 {
        let came = client.until(&[RST_STREAM, DATA, GOAWAY]).await.expect("the stream is given up");
        assert_eq!(came.kind, RST_STREAM, "nothing may be sent into a window of zero");
        ended += 1;
    }
    still_serves(&gateway).await;
    gateway.finish().await;
    crate::corpus::count("C8", 1);
}

#[tokio::test]
async fn c9_heads_and_prefaces_that_never_end() {
    let gateway = TestGateway::builder()
        .env("H2C", "true")
        .env("HEAD_TIMEOUT", "1s")
        .env("IDLE_TIMEOUT", "1s")
        .start()
        .await;
    let slow = Ipv4Addr::new(127, 9, 0, 1);
    let mut client = FrameClient::connect(slow, gateway.addr(), &[]).await;
    client.send(&frame(HEADERS, 0, 1, &block(&fields(&[], &[])))).await;
    while client.next().await.is_some() {}
    assert_eq!(refusal(&gateway, slow).await.status, Some(408));

    let mut half = RawClient::connect_from(Ipv4Addr::new(127, 9, 0, 2), gateway.addr()).await;
    half.send(b"PRI * HTTP/2.0\r\n\r\nS").await;
    assert!(half.is_closed().await, "half a preface");
    let mut client = FrameClient::connect(Ipv4Addr::new(127, 9, 0, 3), gateway.addr(), &[]).await;
    assert!(client.until(&[GOAWAY]).await.is_some(), "a connection without requests is told that it ends");
    while client.next().await.is_some() {}
    still_serves(&gateway).await;
    gateway.finish().await;
    crate::corpus::count("C9", 3);
}

#[tokio::test]
async fn k5_every_stream_counts() {
    let gateway = TestGateway::builder()
        .env("H2C", "true")
        .env("RGW_SETTING_RATE_LIMITS", "on")
        .env("REQUESTS_PER_SECOND", "1")
        .env("REQUEST_BURST", "5")
        .start()
        .await;
    let token = gateway.token(Role::Viewer).to_owned();
    let mut client = H2Client::connect(HERE, gateway.addr()).await;
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(client.ask("GET", "/apps?", &token, &[], b"").await.unwrap().status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 15, "{statuses:?}");
    gateway.finish().await;
    crate::corpus::count("K5", 20);
}

#[tokio::test]
async fn without_h2c_the_preface_is_a_malformed_request() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(gateway_framing::http2::PREFACE).await;
    let reply = client.reply().await.expect("a reply");
    assert!(matches!(reply.status, 400 | 405 | 505), "{}", reply.status);
    assert!(client.is_closed().await);
    gateway.finish().await;
}

#[tokio::test]
async fn a_gateway_that_stops_says_goaway_and_finishes_what_it_has() {
    let gateway = start().await;
    let token = gateway.token(Role::Viewer).to_owned();
    let mut client = H2Client::connect(HERE, gateway.addr()).await;
    assert_eq!(client.ask("GET", APP, &token, &[], b"").await.unwrap().status, 200);
    gateway.finish().await;
    let ended = tokio::time::timeout(Duration::from_secs(10), client.connection).await.expect("an end");
    assert!(ended.is_ok_and(|ended| ended.is_ok()), "GOAWAY without an error");
}
