//! Group H: WebSockets from foreign pages, to other people's objects, and with frames that break the rules.

use std::sync::Arc;
use std::sync::Mutex;

use gateway_audit::End;
use gateway_framing::websocket::{Opcode, encode_client_frame, encode_server_frame};
use gateway_testkit::raw::basic;
use gateway_testkit::{RawClient, Socket, StubConnection, StubRack, TestGateway, eventually};
use gateway_types::Role;

use crate::hostile::{Bench, Expect};

const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
const LOGS: &str = "/apps/myapp/logs";
const CAT: [(&str, &str); 1] = [("Command", "cat")];
const MARKER_1: &[u8] = b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n";

fn upgrade(path: &str, host: &str, token: &str, lines: &str) -> Vec<u8> {
    format!(
        "GET /api/v1/rack-proxy{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n\
         Command: cat\r\n{lines}\r\n",
        basic(token)
    )
    .into_bytes()
}

/// CVE-2026-44985, CVE-2026-34403.
#[tokio::test]
async fn h1_sockets_of_foreign_pages_are_refused_before_the_rack_is_dialled() {
    let mut bench = Bench::start("H1").await;
    let host = "gw.example:8443";
    let token = bench.token.clone();
    let browser = "User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n";
    for lines in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin:\r\n",
        "Origin: https://app.gw.example:8443\r\n",
        "Origin: https://example:8443\r\n",
        "Origin: https://gw.evil\r\n",
        "Origin: https://gw.evil:8443\r\n",
        "Origin: https://gw.example.evil:8443\r\n",
        "Origin: https://gw.example\r\n",
        "Origin: https://gw.example:443\r\n",
        "Origin: https://gw.example:84430\r\n",
        "Origin: https://gw.example:8443.evil\r\n",
        "Origin: https://gw.example:8443@evil\r\n",
        "Origin: https://evil@gw.example:8443\r\n",
        "Origin: https://gw.example:8443/\r\n",
        "Origin: https://evil/gw.example:8443\r\n",
        "Origin: file://\r\n",
        "Origin: chrome-extension://gw.example:8443\r\n",
        "Origin: gw.example:8443\r\n",
        "Origin: //gw.example:8443\r\n",
        "Origin: HTTPS://gw.example:8443\r\n",
        "Origin: https://gw.example:8443 https://evil\r\n",
        "Origin: https://gw.example:8443, https://evil\r\n",
        "Origin: https://gw\u{ff0e}example:8443\r\n",
        "Origin: https://xgw.example:8443\r\n",
        "Origin: https://127.0.0.1\r\n",
        "Origin: http://localhost:8443\r\n",
    ] {
        for path in [EXEC, LOGS, "/proxy/10.0.0.1/5432", "/system/logs"] {
            for agent in ["", browser] {
                let request = upgrade(path, host, &token, &format!("{lines}{agent}"));
                bench.cuts_off("H1 CVE-2026-44985", &request, &[403]).await;
            }
        }
    }
    // A browser always says where it comes from.
    for lines in [
        browser,
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Mode: websocket\r\n",
        "Sec-Fetch-Dest: empty\r\nUser-Agent: x\r\n",
    ] {
        let request = upgrade(EXEC, host, &token, lines);
        bench.cuts_off("H1 CVE-2026-34403", &request, &[403]).await;
    }
    let twice = "Origin: https://gw.example:8443\r\nOrigin: https://evil.example\r\n";
    bench.cuts_off("H1", &upgrade(EXEC, host, &token, twice), &[400]).await;
    // Without a credential the answer is the same: the origin is looked at first.
    let request = upgrade(EXEC, host, "rgw_none", "Origin: https://evil.example\r\n");
    bench.cuts_off("H1", &request, &[403]).await;
    assert!(bench.seen().is_empty());
    // The gateway's own pages and the command line.
    bench.parameters(&["command"]);
    for lines in [
        "",
        "Origin: https://gw.example:8443\r\n",
        "Origin: http://GW.example:8443\r\n",
        "User-Agent: convox.go/dev\r\nOrigin: http://gw.example:8443\r\n",
    ] {
        let mut client = RawClient::connect(bench.gateway.addr()).await;
        client.send(upgrade(EXEC, host, &token, lines)).await;
        assert_eq!(client.reply().await.unwrap().status, 101, "{lines}");
    }
    assert_eq!(bench.seen().len(), 4);
    bench.finish().await;
}

#[tokio::test]
async fn h3_ids_of_others_are_not_there() {
    let mut bench = Bench::start("H3").await;
    // A request of somebody else.
    let other = bench.gateway.token(Role::Viewer).to_owned();
    let mut client = RawClient::connect(bench.gateway.addr()).await;
    let reply = client.ask("GET", "/apps", &other, &[], b"").await;
    let foreign = reply.header("request-id").unwrap().to_owned();
    bench.gateway.store().audit().flush().await.unwrap();
    let mine = client.ask("GET", &format!("!/api/v1/policy/why/{foreign}"), &other, &[], b"").await;
    assert_eq!(mine.status, 200, "{}", mine.text());
    // Another machine of the same maker; an admin's own may see it, which is policy's to say.
    let ops = bench.gateway.token(Role::Ops).to_owned();
    let theirs = client.ask("GET", &format!("!/api/v1/policy/why/{foreign}"), &ops, &[], b"").await;
    assert_eq!(theirs.status, 404, "{}", theirs.text());
    let mut details = vec![theirs.json()["detail"].clone()];
    for id in [
        "00000000-0000-7000-8000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "1",
        "0",
        "x",
        "me",
        "latest",
        "00000000000000000000000000000000",
    ] {
        let request = bench.head("GET", &format!("!/api/v1/policy/why/{id}"), "");
        let reply = bench.try_case("H3", &request, Expect::Refused(&[404])).await;
        details.push(reply.json()["detail"].clone());
    }
    // One's own guess and another one's request are told in the same words.
    details.dedup();
    assert_eq!(details.len(), 1, "{details:?}");
    for id in ["..", "%2e%2e", "a/b", "%00", "x%2fy", ""] {
        let request = bench.head("GET", &format!("!/api/v1/policy/why/{id}"), "");
        bench.refuses("H3", &request, &[400, 404]).await;
    }
    let request = bench.head("DELETE", "!/api/v1/me/sessions/00000000-0000-7000-8000-000000000000", "");
    bench.refuses("H3", &request, &[403, 404]).await;
    // A process that is not there, or is another app's, is the rack's to name; nothing runs.
    for (path, pid) in [
        ("myapp", "nobody"),
        ("myapp", "other-web-7d9f8b6c5-aaaa0"),
        ("other", "myapp-web-7d9f8b6c5-aaaa0"),
        ("nothing", "myapp-web-7d9f8b6c5-aaaa0"),
    ] {
        let path = format!("/apps/{path}/processes/{pid}/exec");
        let mut socket = Socket::open(bench.gateway.addr(), &path, &bench.token, &CAT).await.unwrap();
        let frames = socket.until_end().await;
        let text: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
        assert!(String::from_utf8_lossy(&text).contains("ERROR: "), "{path}: {frames:?}");
    }
    bench.parameters(&["command"]);
    drop(client);
    bench.finish().await;
}

/// CVE-2023-43669.
#[tokio::test]
async fn h4_subprotocols_and_extensions_are_not_negotiated() {
    let mut bench = Bench::start("H4 negotiation").await;
    bench.parameters(&["command"]);
    let host = bench.gateway.addr().to_string();
    for lines in [
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        "Sec-WebSocket-Extensions: x-webkit-deflate-frame, permessage-deflate; server_no_context_takeover\r\n",
        "Sec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b\r\n",
        "Sec-WebSocket-Protocol: chat\r\n",
        "Sec-WebSocket-Protocol: v4.channel.k8s.io, base64.binary.k8s.io\r\n",
        "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.ZXZpbA\r\n",
        "Sec-WebSocket-Accept: evil\r\n",
        "Sec-WebSocket-Protocol: \r\n",
    ] {
        let mut client = RawClient::connect(bench.gateway.addr()).await;
        client.send(upgrade(EXEC, &host, &bench.token, lines)).await;
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.status, 101, "{lines}");
        assert_eq!(reply.header("sec-websocket-accept"), Some("34A8oBikP4xbixRWRZm/FuZaHZA="), "{lines}");
        for name in ["sec-websocket-extensions", "sec-websocket-protocol"] {
            assert_eq!(reply.header(name), None, "{lines}");
        }
    }
    for request in bench.seen() {
        assert_ne!(request.header("sec-websocket-key"), Some("xyFruiHDE2gJ8FWBP+rSjw=="), "{request:?}");
    }
    bench.count(9);
    bench.finish().await;
}

/// A masked frame head with this first byte, this length field and nothing behind the mask.
fn head(first: u8, length: &[u8]) -> Vec<u8> {
    [&[first], length, &[1, 2, 3, 4]].concat()
}

/// Frames that break a rule, and the code that the client is closed with.
fn broken_by_client() -> Vec<(&'static str, Vec<u8>, u16)> {
    let close = |code: u16| encode_client_frame(Opcode::Close, &code.to_be_bytes(), [1, 2, 3, 4]);
    let mut cases = vec![
        ("2^63 bytes", head(0x82, &[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1009),
        ("2^64-1 bytes", head(0x82, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1009),
        ("2^62 bytes", head(0x82, &[0xff, 0x40, 0, 0, 0, 0, 0, 0, 0]), 1009),
        ("a fragmented ping", head(0x09, &[0x80]), 1002),
        ("a fragmented close", head(0x08, &[0x80]), 1002),
        ("a ping of 126 bytes", head(0x89, &[0xfe, 0, 126]), 1002),
        ("a close of 2^63 bytes", head(0x88, &[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]), 1002),
        ("not masked", vec![0x82, 0x01, b'a'], 1002),
        ("an unmasked ping", vec![0x89, 0x00], 1002),
        ("RSV1, a compressed message", head(0xc1, &[0x81]), 1002),
        ("RSV2", head(0xa1, &[0x81]), 1002),
        ("RSV3", head(0x91, &[0x81]), 1002),
        ("opcode 3", head(0x83, &[0x81]), 1002),
        ("opcode 15", head(0x8f, &[0x81]), 1002),
        ("a length longer than it need be", head(0x82, &[0xfe, 0, 5]), 1002),
        ("a length of eight bytes for five", head(0x82, &[0xff, 0, 0, 0, 0, 0, 0, 0, 5]), 1002),
        ("a continuation of nothing", head(0x80, &[0x81]), 1002),
        ("a message within a message", [head(0x02, &[0x80]), head(0x82, &[0x80])].concat(), 1002),
        ("a close with half a code", encode_client_frame(Opcode::Close, b"a", [1, 2, 3, 4]), 1002),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 1002),
        ("a TLS handshake", vec![0x16, 0x03, 0x01, 0x02, 0x00], 1002),
    ];
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        cases.push(("a close code that is not sent", close(code), 1002));
    }
    cases
}

/// CVE-2023-43669, CVE-2026-27889: what breaks a rule never reaches the rack, and costs nothing however long it claims
/// to be.
#[tokio::test]
async fn h4_broken_frames_of_a_client_close_the_socket() {
    let mut bench = Bench::start("H4 client").await;
    bench.parameters(&["command"]);
    let host = bench.gateway.addr().to_string();
    let mut cases = 0;
    for (what, bytes, code) in broken_by_client() {
        // By itself, behind a good frame in the same segment, and byte by byte.
        let good = encode_client_frame(Opcode::Text, b"hello", [9, 9, 9, 9]);
        let whole = vec![bytes.clone()];
        let behind = vec![[good, bytes.clone()].concat()];
        let slowly: Vec<Vec<u8>> = bytes.iter().map(|byte| vec![*byte]).collect();
        for pieces in [whole, behind, slowly] {
            cases += 1;
            let mut client = RawClient::connect(bench.gateway.addr()).await;
            client.send(upgrade(EXEC, &host, &bench.token, "")).await;
            assert_eq!(client.reply().await.unwrap().status, 101, "{what}");
            for piece in pieces {
                client.send(&piece).await;
                tokio::task::yield_now().await;
            }
            let mut socket = Socket::from(client);
            let mut closed = None;
            while let Some(frame) = socket.frame().await {
                if frame.opcode == Opcode::Close {
                    closed = Some(frame.payload);
                }
            }
            let told = closed
                .and_then(|payload| payload.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]])));
            assert_eq!(told, Some(code), "{what}");
        }
    }
    let requests = eventually("the end of every socket", || async {
        let requests = bench.seen();
        requests.iter().all(|request| !request.open).then_some(requests)
    })
    .await;
    assert_eq!(requests.len(), cases);
    for request in &requests {
        // At most the good frame, and the first frame of a message within which another began.
        assert!(request.frames_received <= 2 && request.frame_bytes_received <= 5, "{request:?}");
    }
    let events = bench.gateway.events().await;
    let outcomes: Vec<_> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "convox:process:exec" && event.end.is_some())
        .collect();
    assert_eq!(outcomes.len(), cases);
    for (_, event) in outcomes {
        assert_eq!(event.end, Some(End::Failed), "{event:?}");
        assert!(
            event.reason.as_deref().is_some_and(|reason| reason.contains("malformed frame")),
            "{event:?}"
        );
    }
    bench.count(cases);
    bench.finish().await;
}

/// The payload of the next frame that is not a control frame.
async fn data(socket: &mut Socket) -> Vec<u8> {
    loop {
        let frame = socket.frame().await.expect("a frame");
        if !frame.opcode.is_control() {
            return frame.payload;
        }
    }
}

/// What is allowed passes: bytes that are no UTF-8 in text frames, which racks and clients send, fragments, and a flood
/// of pings between which the socket still works.
#[tokio::test]
async fn h4_odd_but_allowed_frames_pass() {
    let mut bench = Bench::start("H4 odd").await;
    bench.parameters(&["command", "tty"]);
    let mut socket = Socket::open(bench.gateway.addr(), EXEC, &bench.token, &CAT).await.unwrap();
    socket.send(Opcode::Text, b"\xff\xfe\xc0\x80").await;
    assert_eq!(data(&mut socket).await, b"\xff\xfe\xc0\x80");
    let ping = encode_client_frame(Opcode::Ping, b"are you there?", [1, 2, 3, 4]);
    let (mut flood, pings) = (Vec::new(), 5000);
    for _ in 0..pings {
        flood.extend_from_slice(&ping);
    }
    socket.send_raw(&flood).await;
    socket.send(Opcode::Text, b"after the flood").await;
    assert_eq!(data(&mut socket).await, b"after the flood");
    socket.send(Opcode::Pong, b"unasked").await;
    socket.send(Opcode::Text, b"after the pong").await;
    assert_eq!(data(&mut socket).await, b"after the pong");
    drop(socket);
    bench.count(3);
    bench.finish().await;
}

/// Frames that come with the request for the socket, also more of them than are read at once, wait for the 101 and then
/// reach the rack.
#[tokio::test]
async fn h4_early_frames_wait_for_the_socket() {
    let mut bench = Bench::start("H4 early").await;
    bench.parameters(&["command"]);
    let host = bench.gateway.addr().to_string();
    for size in [1usize, 125, 126, 8 * 1024, 16 * 1024, 40 * 1024, 300 * 1024] {
        let payload = vec![b'e'; size];
        let early = encode_client_frame(Opcode::Text, &payload, [5, 6, 7, 8]);
        let request = [upgrade(EXEC, &host, &bench.token, ""), early].concat();
        let mut client = RawClient::connect(bench.gateway.addr()).await;
        client.send(request).await;
        assert_eq!(client.reply().await.unwrap().status, 101);
        let mut socket = Socket::from(client);
        let mut echoed = 0;
        while echoed < size {
            let data = data(&mut socket).await;
            assert!(data.iter().all(|byte| *byte == b'e'), "{size}: {data:?}");
            echoed += data.len();
        }
        assert_eq!(echoed, size);
    }
    bench.count(7);
    bench.finish().await;
}

/// Frames of a rack that break a rule, as it would send them.
fn broken_by_rack() -> Vec<(&'static str, Vec<u8>)> {
    let close = |code: u16| encode_server_frame(Opcode::Close, &code.to_be_bytes());
    vec![
        ("2^63 bytes", vec![0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("2^62 bytes", vec![0x82, 0x7f, 0x40, 0, 0, 0, 0, 0, 0, 0]),
        ("masked", encode_client_frame(Opcode::Binary, b"a", [1, 2, 3, 4])),
        ("a fragmented ping", vec![0x09, 0x00]),
        ("a ping of 126 bytes", vec![0x89, 0x7e, 0, 126]),
        ("RSV1, a compressed message", vec![0xc1, 0x01, 0x00]),
        ("opcode 3", vec![0x83, 0x00]),
        ("a length longer than it need be", vec![0x82, 0x7e, 0, 5]),
        ("a continuation of nothing", vec![0x80, 0x00]),
        ("a close with half a code", vec![0x88, 0x01, 0x03]),
        ("close code 1005", close(1005)),
        ("close code 1006", close(1006)),
        ("close code 5000", close(5000)),
        ("a second answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
    ]
}

/// The other way: a rack that breaks a rule ends the socket, and an exec ends with exit code 1, never as if it had
/// succeeded.
#[tokio::test]
async fn h4_broken_frames_of_a_rack_end_the_socket() {
    let script: Arc<Mutex<Vec<u8>>> = Arc::default();
    let answers = script.clone();
    let rack = StubRack::start(move |mut connection: StubConnection| {
        let answer = answers.lock().unwrap().clone();
        async move {
            if connection.header("sec-websocket-key").is_none() {
                // What the gateway asks by itself, to mask secrets.
                return connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").await;
            }
            connection.switch().await;
            connection.send(answer).await;
            connection.until_closed().await;
        }
    })
    .await;
    let gateway = TestGateway::builder().env("RACK_HOST", &rack.url()).start().await;
    let token = gateway.token(Role::Ops).to_owned();
    let mut cases = 0;
    for (what, bytes) in broken_by_rack() {
        for before in [Vec::new(), encode_server_frame(Opcode::Text, b"output so far")] {
            *script.lock().unwrap() = [before.clone(), bytes.clone()].concat();
            cases += 2;
            let mut socket = Socket::open(gateway.addr(), EXEC, &token, &CAT).await.unwrap();
            let frames = socket.until_end().await;
            let payloads: Vec<&[u8]> = frames.iter().map(|frame| frame.payload.as_slice()).collect();
            assert!(payloads.contains(&MARKER_1), "{what}: {frames:?}");
            assert!(payloads.iter().any(|text| text.starts_with(b"ERROR: ")), "{what}: {frames:?}");
            assert_eq!(
                payloads.contains(&b"output so far".as_slice()),
                !before.is_empty(),
                "{what}: {frames:?}"
            );
            assert_eq!(frames.last().map(|frame| frame.opcode), Some(Opcode::Binary), "{what}: {frames:?}");
            // Logs end by closing; nothing of the broken frame comes through.
            let mut socket = Socket::open(gateway.addr(), LOGS, &token, &[]).await.unwrap();
            let mut frames = Vec::new();
            while let Some(frame) = socket.frame().await {
                frames.push(frame);
            }
            let payloads: Vec<&[u8]> = frames.iter().map(|frame| frame.payload.as_slice()).collect();
            assert!(payloads.iter().all(|text| *text == b"output so far"), "{what}: {frames:?}");
        }
    }
    let events = gateway.events().await;
    let ends: Vec<_> =
        events.iter().filter(|(_, event)| event.status == Some(101)).map(|(_, event)| event.end).collect();
    assert_eq!(ends, vec![Some(End::UpstreamLost); cases]);
    crate::corpus::count("H4 rack", cases);
    gateway.finish().await;
}
