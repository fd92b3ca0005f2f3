//! Group C against services: where a request ends. Each hostile request stands between a good one and a poisoned one
//! on the same connection; what the service saw is counted.

use gateway_audit::End;
use gateway_testkit::RawClient;
use gateway_types::Role;

use super::{APP, Bench, MALFORMED, Method, Mount, Reaches, Refused, is_refused};
use crate::corpus::named;
use crate::hostile::{http2, shown};
use crate::hostile_framing::lists::{
    BAD_CHUNKS, CODING_LINES, CODINGS, LENGTH_NAMES, LENGTHS, TWO_LENGTHS, VERSIONS,
};
use crate::http2_frames::{DATA, END_HEADERS, END_STREAM, HEADERS, field_block, frame};

impl Bench {
    /// A request that nothing else in these tests sends: it would be seen.
    fn poison(&self, mount: Mount) -> String {
        self.head(mount, "POST", "/poison", "Content-Length: 0\r\n")
    }

    /// A good request, the hostile bytes, and a poisoned request behind them, all on one connection and in one write.
    /// The good one is answered, the hostile one is refused, and the poison is never read: the service sees the good
    /// request alone. `row` is what the log has of the hostile one: a head that is none has no row.
    pub(super) async fn poisoned(&mut self, label: &str, mount: Mount, hostile: &[u8], row: Option<&str>) {
        let label = format!("{}, {mount:?}: {}", named(label), shown(hostile));
        let before = self.service.seen().len();
        let (good, poison) = (self.head(mount, "GET", "/good", ""), self.poison(mount));
        let source = self.source();
        let mut client = RawClient::connect_from(source, self.gateway.addr()).await;
        client.send([good.as_bytes(), hostile, poison.as_bytes()].concat()).await;
        let reply = client.reply().await.unwrap_or_else(|| panic!("{label}: no first reply"));
        assert_eq!(reply.status, 200, "{label}: {}", reply.text());
        let reply = client.reply().await.unwrap_or_else(|| panic!("{label}: closed without a reply"));
        is_refused(&label, &reply, &[400]);
        assert_eq!(reply.header("connection"), Some("close"), "{label}");
        assert!(client.is_closed().await, "{label}: more came after the refusal");
        let seen = self.service.seen().split_off(before);
        let lines: Vec<&str> = seen.iter().map(|seen| seen.line()).collect();
        assert_eq!(lines, ["GET /good"], "{label}");
        let route = self.check_log(&label, &reply, MALFORMED, source.into()).await;
        assert_eq!(route.as_deref(), row, "{label}");
    }

    /// The frames of a stream of HTTP/2 with these fields, and these frames behind its head.
    fn stream(&self, fields: &[(&str, &str)], rest: &[Vec<u8>]) -> Vec<u8> {
        let token = format!("Bearer {}", self.gateway.token(Role::Admin));
        let all: Vec<(Vec<u8>, Vec<u8>)> = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/a"),
            (":authority", APP),
            ("authorization", &token),
        ]
        .iter()
        .chain(fields)
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
        let end = if rest.is_empty() { END_STREAM } else { 0 };
        [frame(HEADERS, END_HEADERS | end, 1, &field_block(&all)), rest.concat()].concat()
    }

    /// A stream with a trailer of this name: the service sees the request without it.
    async fn try_trailer(&mut self, name: &str) {
        let (before, source) = (self.service.seen().len(), self.source());
        let frames = self.stream(&[], &with_trailer(name));
        match http2::ask_frames(source, self.gateway.addr(), &frames).await {
            http2::Told::Reply { status, .. } => assert_eq!(status, 200, "{name}"),
            http2::Told::Ended => panic!("{name}: the stream was ended"),
        }
        let seen = self.service_saw(before, name, Reaches("POST /a"), source.into()).expect("it was seen");
        assert!(!String::from_utf8_lossy(&seen.body).contains("evil"), "{name}: {seen:?}");
    }

    /// A stream with these fields and frames behind its head: refused, and the service sees nothing whole.
    async fn try_stream(&mut self, label: &str, fields: &[(&str, &str)], rest: &[Vec<u8>]) {
        let frames = self.stream(fields, rest);
        let (before, source) = (self.service.seen().len(), self.source());
        let told = http2::ask_frames(source, self.gateway.addr(), &frames).await;
        let label = format!("HTTP/2 {}: {fields:?} {rest:?}", named(label));
        match told {
            http2::Told::Reply { status, .. } => assert_eq!(status, 400, "{label}"),
            http2::Told::Ended => {}
        }
        assert_eq!(self.service.seen().len(), before, "{label}");
        let own = gateway_testkit::eventually("its end in the log", || async {
            let events = self.gateway.events().await;
            let mut own = events.into_iter().map(|(_, event)| event);
            own.rfind(|event| event.source_ip == Some(source.into()) && event.end.is_some())
        });
        let last = own.await;
        assert!(matches!(last.end, Some(End::Refused | End::AbortedByClient)), "{label}: {last:?}");
    }
}

/// A body, and a trailer of this name behind it.
fn with_trailer(name: &str) -> [Vec<u8>; 2] {
    let trailers = field_block(&[(name.as_bytes().to_vec(), b"evil".to_vec())]);
    [frame(DATA, 0, 1, b"url=x"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers)]
}

/// CVE-2021-21299, CVE-2021-32715, CVE-2026-2835.
#[tokio::test]
async fn c1_a_body_for_a_service_has_one_length() {
    let mut bench = Bench::start().await;
    for mount in Mount::BOTH {
        let smuggled = bench.poison(mount);
        let chunks = format!("0\r\n\r\n{smuggled}");
        for (lines, body) in [
            (format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunks.len()), chunks.clone()),
            (format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", chunks.len()), chunks.clone()),
            (
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n".to_owned(),
                format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
            ),
            ("content-length: 0\r\ntransfer-encoding: chunked\r\n".to_owned(), chunks.clone()),
        ] {
            let request = bench.head(mount, "POST", "/a", &lines) + &body;
            bench.poisoned("C1", mount, request.as_bytes(), None).await;
        }
        let codings = CODINGS.iter().map(|coding| format!("Transfer-Encoding: {coding}\r\n"));
        for lines in codings.chain(CODING_LINES.iter().map(|lines| (*lines).to_owned())) {
            let request = bench.head(mount, "POST", "/a", &lines) + &chunks;
            bench.poisoned("C1", mount, request.as_bytes(), None).await;
        }
        let lengths = LENGTHS.iter().map(|length| format!("Content-Length: {length}\r\n"));
        let names = LENGTH_NAMES.iter().map(|name| format!("{name}\r\n"));
        let two = TWO_LENGTHS.iter().map(|lines| (*lines).to_owned());
        for lines in lengths.chain(names).chain(two) {
            let request = bench.head(mount, "POST", "/a", &lines) + "url=x";
            bench.poisoned("C1", mount, request.as_bytes(), None).await;
        }
    }
    // HTTP/2 has frames for it; a length besides must be theirs.
    let data = |text: &[u8]| vec![frame(DATA, END_STREAM, 1, text)];
    for (fields, rest) in [
        (&[("content-length", "4")][..], data(b"url=x")),
        (&[("content-length", "6")], data(b"url=x")),
        (&[("content-length", "5")], Vec::new()),
        (&[("content-length", "+5")], data(b"url=x")),
        (&[("content-length", "5,5")], data(b"url=x")),
        (&[("content-length", "0x5")], data(b"url=x")),
        (&[("content-length", "18446744073709551621")], data(b"url=x")),
        (&[("content-length", "5"), ("content-length", "6")], data(b"url=x")),
        (&[("transfer-encoding", "chunked")], data(b"0\r\n\r\n")),
    ] {
        bench.try_stream("C1", fields, &rest).await;
    }
    bench.finish("C1 at services").await;
}

/// CVE-2025-22871, CVE-2021-32714: the service has seen the beginning when the rest turns out malformed. Its request is
/// broken off and never whole, and the client is told.
#[tokio::test]
async fn c2_malformed_chunks_never_make_a_whole_request_at_a_service() {
    let mut bench = Bench::start().await;
    for mount in Mount::BOTH {
        for body in BAD_CHUNKS {
            for start in ["", "3\r\nabc\r\n"] {
                let request =
                    bench.head(mount, "POST", "/a", "Transfer-Encoding: chunked\r\n") + start + body;
                bench.poisoned("C2", mount, request.as_bytes(), Some(mount.row(Method::Post))).await;
            }
        }
    }
    // HTTP/2 has trailers instead, which could name what a head must not.
    for name in ["connection", "transfer-encoding", "X-A", "x a", "x\r\nhost"] {
        bench.try_stream("C2", &[], &with_trailer(name)).await;
    }
    // What the library or the gateway takes away before anybody reads it is in nothing that goes up.
    for name in [":path", ":authority", "host", "authorization", "content-length", "x_a", "x-gateway-user"] {
        bench.try_trailer(name).await;
    }
    bench.finish("C2 at services").await;
}

/// CVE-2026-2835.
#[tokio::test]
async fn c3_a_service_is_asked_in_http_1_1_and_plain_1_0_alone() {
    let mut bench = Bench::start().await;
    for mount in Mount::BOTH {
        let as_10 = bench
            .head(mount, "POST", "/a", "Transfer-Encoding: chunked\r\n")
            .replacen("HTTP/1.1", "HTTP/1.0", 1)
            + "0\r\n\r\n";
        bench.poisoned("C3", mount, as_10.as_bytes(), None).await;
        let plain = bench.head(mount, "GET", "/a", "");
        for version in VERSIONS {
            let request = plain.replacen("HTTP/1.1", version, 1);
            bench.poisoned("C3", mount, request.as_bytes(), None).await;
        }
        for line in ["GET /a\r\n", "GET /a\n", "GET\r\n"] {
            bench.poisoned("C3", mount, line.as_bytes(), None).await;
        }
        // Plain 1.0 is answered, the connection ends, and what stands behind is never read.
        let request = plain.replacen("HTTP/1.1", "HTTP/1.0", 1) + &bench.poison(mount);
        let (before, source) = (bench.service.seen().len(), bench.source());
        let mut client = RawClient::connect_from(source, bench.gateway.addr()).await;
        client.send(request).await;
        assert_eq!(client.reply().await.expect("a reply").status, 200);
        assert!(client.is_closed().await);
        bench.service_saw(before, "C3", Reaches("GET /a"), source.into());
    }
    bench.finish("C3 at services").await;
}

/// Bodies and heads of 64 KiB, a byte less and a byte more, which a length of sixteen bits or a buffer could cut: the
/// service sees all of them and not the request behind them with them, and a head is bounded to the byte.
#[tokio::test]
async fn c1_b6_the_edge_of_64_kib_is_where_it_is_said_to_be() {
    const EDGE: usize = 64 * 1024;
    let mut bench = Bench::start().await;
    for mount in Mount::BOTH {
        for size in [EDGE - 1, EDGE, EDGE + 1] {
            let body = "x".repeat(size);
            let counted = bench.head(mount, "POST", "/a", &format!("Content-Length: {size}\r\n")) + &body;
            let chunked = bench.head(mount, "POST", "/a", "Transfer-Encoding: chunked\r\n")
                + &format!("{size:x}\r\n{body}\r\n0\r\n\r\n");
            for request in [counted, chunked] {
                let (before, source) = (bench.service.seen().len(), bench.source());
                let mut client = RawClient::connect_from(source, bench.gateway.addr()).await;
                client.send(request + &bench.head(mount, "GET", "/behind", "")).await;
                for _ in 0..2 {
                    assert_eq!(client.reply().await.expect("a reply").status, 200, "{size}");
                }
                let seen = bench.service.seen().split_off(before);
                let lines: Vec<&str> = seen.iter().map(|seen| seen.line()).collect();
                assert_eq!(lines, ["POST /a", "GET /behind"], "{size}");
                let bytes = seen[0].body.iter().filter(|byte| **byte == b'x').count();
                assert_eq!(bytes, size, "{size}: the whole body, and nothing of what is behind it");
            }
        }
        for (size, is_allowed) in [(EDGE - 1, true), (EDGE, true), (EDGE + 1, false)] {
            let lines: String =
                (0..7).map(|number| format!("X-A{number}: {}\r\n", "a".repeat(9000))).collect();
            let plain = bench.head(mount, "GET", "/a", &format!("{lines}X-Last: \r\n")).len();
            let last = format!("X-Last: {}\r\n", "b".repeat(size - plain));
            let request = bench.head(mount, "GET", "/a", &(lines + &last));
            assert_eq!(request.len(), size);
            let source = bench.source();
            let expect = if is_allowed { Reaches("GET /a") } else { Refused(&[431]) };
            bench.try_first("B6", request.as_bytes(), expect, (source, source.into())).await;
        }
    }
    bench.finish("C1 64 KiB at services").await;
}
