//! Group C: where a request ends, and where an answer does. Each hostile request stands between a good one and a
//! poisoned one on the same connection; the rack's requests are counted.

use gateway_audit::End;
use gateway_sim::Fault;
use gateway_testkit::{RawClient, Reply, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::hostile::{Bench, Expect, line};

mod answers;
pub(crate) mod lists;

use lists::{BAD_CHUNKS, CODING_LINES, CODINGS, LENGTH_NAMES, LENGTHS, TWO_LENGTHS, VERSIONS};

/// A change that takes no parameters, as a target of bodies.
const RESTART: &str = "/apps/myapp/services/web/restart";
/// A row that takes a form.
const FORM: &str = "/apps/myapp/builds";
/// A row that takes a body as a stream.
const UPLOAD: &str = "/apps/myapp/objects/tmp/x";
/// A read whose reply has no secrets, so that it streams.
const STREAMED: &str = "/apps/myapp/services";
/// A read whose reply is read here before it is passed on.
const LABELLED: &str = "/apps/myapp";

const FORM_TYPE: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// CVE-2021-21299, CVE-2021-32715, CVE-2026-2835.
#[tokio::test]
async fn c1_a_body_has_one_length() {
    let mut bench = Bench::start("C1").await;
    let smuggled = String::from_utf8(bench.poison()).unwrap();
    let chunks = format!("0\r\n\r\n{smuggled}");
    for (lines, body) in [
        // CL.TE and TE.CL
        (format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunks.len()), chunks.clone()),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", chunks.len()), chunks.clone()),
        (
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n".to_owned(),
            format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
        ),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n".to_owned(), chunks.clone()),
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n".to_owned(), "0\r\n\r\n".to_owned()),
    ] {
        for path in [RESTART, FORM, UPLOAD, "!/api/v1/me"] {
            let request =
                [bench.head("POST", path, &format!("{FORM_TYPE}{lines}")), body.clone().into_bytes()]
                    .concat();
            bench.poisoned("C1 CL.TE CVE-2021-32715", &request, &[400]).await;
        }
    }
    // TE.TE: nothing but `chunked`, once.
    for coding in CODINGS {
        let lines = format!("{FORM_TYPE}Transfer-Encoding: {coding}\r\n");
        let request = [bench.head("POST", FORM, &lines), chunks.clone().into_bytes()].concat();
        bench.poisoned("C1 TE.TE CVE-2021-21299", &request, &[400]).await;
    }
    for lines in CODING_LINES {
        let request =
            [bench.head("POST", FORM, &format!("{FORM_TYPE}{lines}")), chunks.clone().into_bytes()].concat();
        bench.poisoned("C1 TE.TE CVE-2021-21299", &request, &[400]).await;
    }
    for lines in TWO_LENGTHS {
        let request = [bench.head("POST", FORM, &format!("{FORM_TYPE}{lines}")), b"url=x".to_vec()].concat();
        bench.poisoned("C1 CL.CL CVE-2026-2835", &request, &[400]).await;
    }
    for length in LENGTHS {
        let lines = format!("{FORM_TYPE}Content-Length: {length}\r\n");
        let request = [bench.head("POST", FORM, &lines), b"url=x".to_vec()].concat();
        bench.poisoned("C1 CL CVE-2021-32715", &request, &[400]).await;
    }
    for spelling in LENGTH_NAMES {
        let request =
            [bench.head("POST", FORM, &format!("{FORM_TYPE}{spelling}\r\n")), b"url=x".to_vec()].concat();
        bench.poisoned("C1 CL CVE-2021-32715", &request, &[400]).await;
    }
    bench.finish().await;
}

/// CVE-2025-22871, CVE-2021-32714.
#[tokio::test]
async fn c2_malformed_chunks_of_a_form_are_refused() {
    let mut bench = Bench::start("C2 form").await;
    for body in BAD_CHUNKS {
        let lines = format!("{FORM_TYPE}Transfer-Encoding: chunked\r\n");
        let request = [bench.head("POST", FORM, &lines), body.as_bytes().to_vec()].concat();
        bench.poisoned("C2 CVE-2025-22871", &request, &[400]).await;
    }
    // A row that takes no body, and one of the gateway's own.
    for path in ["/apps/myapp", "!/api/v1/me", "!/.well-known/rack-gateway"] {
        let request =
            [bench.head("GET", path, "Transfer-Encoding: chunked\r\n"), b"zz\r\n".to_vec()].concat();
        bench.poisoned_body("C2 CVE-2021-32714", &request, &[400]).await;
    }
    bench.finish().await;
}

/// In an upload the rack has seen the beginning when the rest turns out malformed: its request is broken off and
/// never complete, the client is told, and the log has the intent and what became of it.
#[tokio::test]
async fn c2_malformed_chunks_of_an_upload_break_it_off() {
    let mut bench = Bench::start("C2 upload").await;
    let mut cases = 0;
    for body in BAD_CHUNKS {
        for start in ["", "3\r\nabc\r\n"] {
            cases += 1;
            let mut client = RawClient::connect(bench.gateway.addr()).await;
            let head = bench.head("POST", UPLOAD, "Transfer-Encoding: chunked\r\n");
            let request = [head.as_slice(), start.as_bytes(), body.as_bytes(), &bench.poison()].concat();
            client.send(request).await;
            let reply = client.reply().await.unwrap_or_else(|| panic!("{body:?}: closed without a reply"));
            assert_eq!(reply.status, 400, "{body:?}: {}", reply.text());
            assert_eq!(reply.header("connection"), Some("close"), "{body:?}");
            assert!(client.is_closed().await, "{body:?}: more came after the refusal");
        }
    }
    let requests = eventually("the end of every upload", || async {
        let requests = bench.seen();
        requests.iter().all(|request| !request.open).then_some(requests)
    });
    for request in requests.await {
        assert_eq!(line(&request), format!("POST {UPLOAD}"));
        assert_eq!((request.status, request.body_sha256.as_str()), (None, ""), "{request:?}");
    }
    assert!(bench.gateway.rack.state().objects("myapp").iter().all(|object| object.key != "tmp/x"));
    let events = bench.gateway.events().await;
    let of_uploads = events.iter().filter(|(_, event)| event.action.as_str() == "convox:object:create");
    let ends: Vec<_> = of_uploads.filter_map(|(_, event)| event.end).collect();
    assert_eq!(ends, vec![End::Refused; cases]);
    bench.count(cases);
    bench.finish().await;
}

/// CVE-2026-2835.
#[tokio::test]
async fn c3_only_http_1_1_and_plain_1_0() {
    let mut bench = Bench::start("C3").await;
    let rest = bench.head("POST", FORM, &format!("{FORM_TYPE}Transfer-Encoding: chunked\r\n"));
    let rest = String::from_utf8(rest).unwrap();
    let as_10 = rest.replacen("HTTP/1.1", "HTTP/1.0", 1) + "0\r\n\r\n";
    bench.poisoned("C3 CVE-2026-2835", as_10.as_bytes(), &[400]).await;
    let plain = String::from_utf8(bench.head("GET", "/apps/myapp", "")).unwrap();
    for version in VERSIONS {
        let request = plain.replacen("HTTP/1.1", version, 1);
        bench.poisoned("C3", request.as_bytes(), &[400]).await;
    }
    // HTTP/0.9 has no version and no head.
    for request in
        ["GET /api/v1/rack-proxy/apps\r\n", "GET /api/v1/rack-proxy/apps\n", "GET /\r\n\r\n", "GET\r\n"]
    {
        bench.poisoned("C3 HTTP/0.9", request.as_bytes(), &[400]).await;
    }
    // HTTP/2 in the clear, by prior knowledge.
    bench.poisoned("C3 h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 405]).await;
    // Plain 1.0 is answered, and the connection ends.
    let request = plain.replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes();
    let request = [request, bench.poison()].concat();
    let before = bench.seen().len();
    let (mut client, source) = bench.client().await;
    client.send(&request).await;
    let reply = client.reply().await.unwrap();
    bench.judge(
        "C3 HTTP/1.0",
        source,
        &reply,
        Expect::Reaches { target: String::new(), route: "GET /apps/{app}".into() },
    );
    assert_eq!(reply.status, 200);
    assert!(client.is_closed().await);
    assert_eq!(bench.seen().len(), before + 1);
    bench.finish().await;
}

/// CVE-2020-35863: a body where none is expected is never the next request.
#[tokio::test]
async fn c4_bodies_of_bodyless_requests_are_not_requests() {
    let mut bench = Bench::start("C4 request").await;
    let smuggled = bench.poison();
    for (method, path, statuses) in [
        ("GET", "/apps/myapp", &[400u16] as &'static [u16]),
        ("GET", "/apps", &[400]),
        ("HEAD", UPLOAD, &[400]),
        ("OPTIONS", "/resources", &[400]),
        ("OPTIONS", "/apps", &[400, 405]),
        ("HEAD", "/apps", &[400, 405]),
        ("DELETE", "/apps/myapp", &[400]),
        ("GET", "!/api/v1/me", &[400]),
        ("GET", "!/.well-known/rack-gateway", &[400]),
        ("GET", "/nothing", &[404]),
    ] {
        let counted = format!("Content-Length: {}\r\n", smuggled.len());
        let chunked = format!("{:x}\r\n", smuggled.len()).into_bytes();
        for request in [
            [bench.head(method, path, &counted), smuggled.clone()].concat(),
            [
                bench.head(method, path, "Transfer-Encoding: chunked\r\n"),
                chunked,
                smuggled.clone(),
                b"\r\n0\r\n\r\n".to_vec(),
            ]
            .concat(),
        ] {
            bench.refuses("C4 CVE-2020-35863", &request, statuses).await;
        }
    }
    bench.finish().await;
}

/// C5, CVE-2026-2833, CVE-2025-64763: a request behind a request for a socket, in the same segment.
#[tokio::test]
async fn c5_what_follows_an_upgrade_is_never_a_request() {
    let mut bench = Bench::start("C5").await;
    bench.parameters(&["command"]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n";
    let exec = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
    let with_command = format!("{upgrade}Command: cat\r\n");
    // Not a socket at all, or not one that opens: answered once, and closed.
    for (path, lines, status) in [
        ("/apps", upgrade, 404),
        // Case does not matter (RFC 6455, section 4.2.1), so these ask for a socket too.
        ("/apps/myapp", "Connection: Upgrade\r\nUpgrade: WebSocket\r\n", 404),
        ("/apps/myapp", "Connection: Upgrade\r\nUpgrade: WEBSOCKET\r\n", 404),
        ("/nothing", upgrade, 404),
        ("!/api/v1/me", upgrade, 404),
        ("!/api/v1/health", upgrade, 404),
        ("/check", upgrade, 404),
        ("/apps/myapp/../logs", upgrade, 400),
        ("/apps/myapp/logs", "Connection: Upgrade\r\nUpgrade: websocket\r\n", 400),
        (
            "/apps/myapp/logs",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n",
            400,
        ),
        (
            "/apps/myapp/logs",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n",
            400,
        ),
    ] {
        let request = [bench.head("GET", path, lines), bench.poison()].concat();
        let statuses: &'static [u16] = if status == 404 { &[404] } else { &[400] };
        bench.cuts_off("C5 CVE-2026-2833", &request, statuses).await;
    }
    for lines in [
        "Upgrade: websocket\r\n",
        "Connection: close\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: tls/1.2\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade:\r\n",
        "Connection: Upgrade\r\nUpgrade: foo\r\n",
    ] {
        let before = bench.seen().len();
        let (mut client, source) = bench.client().await;
        client.send([bench.head("GET", "/apps/myapp", lines), bench.poison()].concat()).await;
        let reply = client.reply().await.unwrap();
        let expect = Expect::Reaches { target: String::new(), route: "GET /apps/{app}".to_owned() };
        bench.judge(&format!("C5 {lines}"), source, &reply, expect);
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{lines}");
        assert!(client.is_closed().await, "{lines}");
        let seen: Vec<String> = bench.seen_since(before).iter().map(line).collect();
        assert_eq!(seen, ["GET /apps/myapp"], "{lines}");
    }
    // A socket that the rack opens, refuses, answers otherwise, or does not answer: the bytes behind it are frames or
    // nothing.
    for (fault, told) in [
        (None, "HTTP/1.1 101 "),
        (Some(Fault::Status(200)), "HTTP/1.1 "),
        (Some(Fault::Status(403)), "HTTP/1.1 "),
        (Some(Fault::Redirect("http://evil.example/".into())), "HTTP/1.1 "),
        (Some(Fault::CloseBeforeReply), "HTTP/1.1 "),
    ] {
        for path in [exec, "/apps/myapp/logs"] {
            if let Some(fault) = fault.clone() {
                bench.gateway.rack.fault_on("/apps/myapp/", fault);
            }
            let before = bench.seen().len();
            let lines = if path == exec { &with_command } else { upgrade };
            let (client, _) = bench.client().await;
            let (mut stream, _) = client.into_parts();
            stream.write_all(&[bench.head("GET", path, lines), bench.poison()].concat()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.ok();
            let text = String::from_utf8_lossy(&bytes);
            // The one who shuts down its side may not be answered any more; what is answered is one reply.
            assert!(bytes.is_empty() || text.starts_with(told), "{fault:?} {path}: {text}");
            assert!(text.matches("HTTP/1.1 ").count() <= 1, "{fault:?} {path}: {text}");
            assert!(!text.to_ascii_lowercase().contains("location:"), "{fault:?} {path}: {text}");
            let seen = bench.seen_since(before);
            assert!(seen.len() <= 1, "{fault:?} {path}: {seen:?}");
            assert!(
                seen.iter().all(|request| request.path() == path && request.frames_received == 0),
                "{seen:?}"
            );
        }
    }
    bench.count(10);
    bench.finish().await;
}

/// The same with the client waiting, so that each answer is seen.
#[tokio::test]
async fn c5_the_answer_to_an_upgrade_is_told_once() {
    let mut bench = Bench::start("C5 answers").await;
    bench.parameters(&["command"]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n";
    for (fault, status) in [
        (Fault::Status(200), 200),
        (Fault::Status(403), 403),
        (Fault::Redirect("http://evil.example/".into()), 502),
        (Fault::CloseBeforeReply, 502),
    ] {
        bench.gateway.rack.fault_on("/logs", fault.clone());
        let (mut client, source) = bench.client().await;
        client.send([bench.head("GET", "/apps/myapp/logs", upgrade), bench.poison()].concat()).await;
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.status, status, "{fault:?}: {}", reply.text());
        let route = "SOCKET /apps/{app}/logs".to_owned();
        let expect = if status == 502 {
            Expect::BadUpstream
        } else {
            Expect::Reaches { target: String::new(), route }
        };
        bench.judge(&format!("C5 {fault:?}"), source, &reply, expect);
        assert_eq!(reply.header("connection"), Some("close"), "{fault:?}");
        assert!(client.is_closed().await, "{fault:?}");
    }
    let seen: Vec<String> = bench.seen().iter().map(line).collect();
    assert_eq!(seen, vec!["GET /apps/myapp/logs"; 4]);
    // No answer: nothing leaks while the client waits, and the rack is let go when it leaves.
    bench.gateway.rack.fault_on("/logs", Fault::Hang);
    let (mut client, _) = bench.client().await;
    client.send([bench.head("GET", "/apps/myapp/logs", upgrade), bench.poison()].concat()).await;
    eventually("the request at the rack", || async { (bench.seen().len() == 5).then_some(()) }).await;
    drop(client);
    eventually("the end of the rack's connection", || async {
        bench.seen().iter().all(|request| !request.open).then_some(())
    })
    .await;
    assert_eq!(bench.seen().len(), 5);
    bench.finish().await;
}

/// CVE-2022-41721.
#[tokio::test]
async fn c6_h2c_is_not_passed_on() {
    let mut bench = Bench::start("C6").await;
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: H2C\r\n",
        "Connection: Upgrade\r\nUpgrade: h2\r\n",
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\nHTTP2-Settings: x\r\n",
    ] {
        let request = bench.head("GET", "/apps/myapp", lines);
        let reply = bench.reaches("C6 CVE-2022-41721", &request, "GET /apps/myapp", "GET /apps/{app}").await;
        assert_eq!((reply.status, reply.header("upgrade")), (200, None));
    }
    for request in bench.seen() {
        assert_eq!(
            (request.header("upgrade"), request.header("http2-settings")),
            (None, None),
            "{request:?}"
        );
    }
    let lines = "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n";
    let request = [bench.head("POST", RESTART, lines), b"hello".to_vec()].concat();
    bench.poisoned("C6 upgrade with a body", &request, &[400]).await;
    bench.finish().await;
}

/// CVE-2026-71324.
#[tokio::test]
async fn c7_connect_opens_no_tunnel() {
    let mut bench = Bench::start("C7").await;
    for target in [
        "10.0.0.1:443",
        "evil.example:22",
        "127.0.0.1:9443",
        "/api/v1/rack-proxy/apps",
        "*",
        "http://evil.example/",
        "",
    ] {
        let request = bench.head("CONNECT", &format!("!{target}"), "");
        bench.poisoned("C7 CVE-2026-71324", &request, &[400, 405]).await;
    }
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nProtocol: websocket\r\n";
    let request = bench.head("CONNECT", "/apps/myapp/logs", lines);
    bench.poisoned("C7 extended", &request, &[400, 405]).await;
    bench.finish().await;
}

async fn ok(client: &mut RawClient) -> Reply {
    let reply = client.reply().await.expect("a reply");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

/// Slowness and segments do not change what a request is.
#[tokio::test]
async fn segments_do_not_matter() {
    let mut bench = Bench::start("C1 segments").await;
    // Byte by byte, two requests behind each other.
    let mut client = RawClient::connect(bench.gateway.addr()).await;
    let two = [bench.head("GET", "/apps/myapp", ""), bench.form("POST", RESTART, "")].concat();
    for byte in &two {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    ok(&mut client).await;
    ok(&mut client).await;
    // Heads that end just before, at and behind the sizes of buffers.
    for size in [8192usize, 16 * 1024, 32 * 1024] {
        for size in size - 4..=size + 4 {
            let bare = bench.head("GET", "/apps/myapp", "").len();
            let mut missing = size - bare;
            let mut lines = String::new();
            while missing > 0 {
                let line = missing.min(12_000);
                // What is left for the last line must fit a whole line.
                let line = if missing - line < 100 { missing.min(15_000) } else { line };
                lines.push_str(&format!("X-Pad: {}\r\n", "a".repeat(line - "X-Pad: \r\n".len())));
                missing -= line;
            }
            let head = bench.head("GET", "/apps/myapp", &lines);
            assert_eq!(head.len(), size);
            let mut client = RawClient::connect(bench.gateway.addr()).await;
            client.send([head.as_slice(), &bench.head("GET", "/apps/myapp", "")].concat()).await;
            ok(&mut client).await;
            ok(&mut client).await;
            // The same in pieces of 16 KiB.
            for piece in [head.as_slice(), &bench.head("GET", "/apps/myapp", "")].concat().chunks(16 * 1024) {
                client.send(piece).await;
            }
            ok(&mut client).await;
            ok(&mut client).await;
        }
    }
    bench.count(1 + 3 * 9 * 2);
    bench.finish().await;
}

/// A malformed request is answered in its place: after the good ones before it, whatever they take.
#[tokio::test]
async fn a_malformed_request_is_answered_in_its_place() {
    let mut bench = Bench::start("C1 in place").await;
    let good = bench.head("GET", "/apps/myapp", "");
    let change = bench.form("POST", RESTART, "");
    let own = bench.head("GET", "!/.well-known/rack-gateway", "");
    let malformed = b"GET / HTTP/1.1\r\nHost : a\r\n\r\n".as_slice();
    for bytes in [
        [&good, &good, &change, &own, malformed].concat(),
        [good.as_slice(), &change, &good, &own, malformed, malformed, &bench.poison()].concat(),
        [own.as_slice(), &good, &change, &good, b"\0"].concat(),
        [good.as_slice(), &good, &own, &change, b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", &bench.poison()]
            .concat(),
    ] {
        let mut client = RawClient::connect(bench.gateway.addr()).await;
        client.send(&bytes).await;
        for _ in 0..4 {
            ok(&mut client).await;
        }
        let reply = client.reply().await.unwrap();
        assert!(matches!(reply.status, 400 | 405), "{}", reply.status);
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(client.is_closed().await);
    }
    // The method of the stand-in cannot be sent, and a request to it is not taken for one.
    let mut client = RawClient::connect(bench.gateway.addr()).await;
    client.send("X-MALFORMED / HTTP/1.1\r\nHost: malformed\r\n\r\n").await;
    assert_eq!(client.reply().await.unwrap().status, 405);
    bench.count(5);
    bench.finish().await;
}

/// A client that has not finished sending what is refused reads the refusal all the same.
#[tokio::test]
async fn a_refusal_is_not_lost_to_what_is_still_being_sent() {
    let mut bench = Bench::start("C4 early refusal").await;
    let megabytes = vec![b'a'; 3 << 20];
    let anonymous = format!(
        "POST /api/v1/rack-proxy{UPLOAD} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        megabytes.len()
    );
    for (head, statuses) in [
        (anonymous.into_bytes(), &[401u16] as &'static [u16]),
        (bench.head("POST", FORM, &format!("{FORM_TYPE}Content-Length: {}\r\n", 3 << 20)), &[413]),
        (bench.head("POST", "/nothing", &format!("Content-Length: {}\r\n", 3 << 20)), &[404]),
        (bench.head("POST", "!/api/v1/me", &format!("Content-Length: {}\r\n", 3 << 20)), &[405]),
        (bench.head("POST", RESTART, "X-A: b\r\r\n"), &[400]),
    ] {
        let request = [head, megabytes.clone()].concat();
        bench.refuses("early", &request, statuses).await;
    }
    bench.finish().await;
}
