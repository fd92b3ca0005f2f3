//! C4 from the other side: what a rack's answer leaves behind on its connection, and answers that break off.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway_audit::End;
use gateway_sim::Fault;
use gateway_testkit::{RawClient, StubConnection, StubRack, TestGateway, eventually};
use tokio::io::AsyncReadExt as _;

use super::{LABELLED, RESTART, STREAMED, UPLOAD};
use crate::hostile::{Bench, Expect, line};

/// A gateway in front of a scripted rack.
async fn over(rack: &StubRack) -> TestGateway {
    TestGateway::builder().env("RACK_HOST", &rack.url()).env("RACK_TOKEN", "secret").start().await
}

/// A rack whose first connection answers its first request with `first` and waits, and that answers every other
/// request with `[]`. With it, the number of requests it saw, and of connections.
async fn poisoning(first: &'static [u8]) -> (StubRack, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (requests, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (requests.clone(), connections.clone());
    let rack = StubRack::start(move |mut connection: StubConnection| {
        let (requests, connections) = counts.clone();
        async move {
            let mut answer = if connections.fetch_add(1, Ordering::SeqCst) == 0 { first } else { GOOD };
            loop {
                requests.fetch_add(1, Ordering::SeqCst);
                connection.send(answer).await;
                answer = GOOD;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if !connection.stream.read_buf(&mut head).await.is_ok_and(|count| count > 0) {
                        return;
                    }
                }
            }
        }
    });
    (rack.await, requests, connections)
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n[{}]";

/// What a rack may answer that leaves bytes behind, or that is no answer; and what the client is told: the rack's
/// own status, or 502, which is right here and nowhere else, since it is the rack that broke the rules.
const POISONED_ANSWERS: [(&str, u16, &[u8]); 20] = [
    ("a body on 204", 204, b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoisonHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("an answer behind 204", 204, b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("a chunked body on 204", 204, b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"),
    ("a body on 304", 502, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoisonHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("a body on 101", 502, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("101 without an upgrade", 502, b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("two answers", 200, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("bytes behind the answer", 200, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]poison"),
    ("an answer behind the last chunk", 200, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("two lengths that differ", 502, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 48\r\n\r\n[]HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\"poison\""),
    ("a length that is no number", 502, b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n[]"),
    ("a length that overflows", 502, b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\n[]"),
    ("not HTTP", 502, b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    ("a status that is no number", 502, b"HTTP/1.1 2oo OK\r\nContent-Length: 2\r\n\r\n[]"),
    ("a header without a colon", 502, b"HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\n[]"),
    ("HTTP/2", 502, b"\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0"),
    ("a redirect", 502, b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"),
    ("interim answers before the answer", 200, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
    ("another credential asked for", 502, b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"rack\"\r\nContent-Length: 6\r\n\r\nsecret"),
    ("an error with the password", 502, b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 27\r\n\r\ncannot log in with secret !\n"),
];

/// CVE-2020-35863, CVE-2025-4366: what a rack leaves behind on a connection is never the next caller's answer.
#[tokio::test]
async fn c4_what_an_answer_leaves_behind_is_nobodys_answer() {
    for (what, status, answer) in POISONED_ANSWERS {
        for path in [STREAMED, LABELLED] {
            let (rack, requests, _) = poisoning(answer).await;
            let gateway = over(&rack).await;
            let token = gateway.critical_token().await;
            let mut client = RawClient::connect(gateway.addr()).await;
            let reply = client.ask("GET", path, &token, &[], b"").await;
            assert_eq!(reply.status, status, "{what}: {}", reply.text());
            for (name, value) in &reply.headers {
                let harmless = !matches!(name.as_str(), "location" | "www-authenticate" | "upgrade" | "link");
                assert!(harmless, "{what}: {name}: {value}");
            }
            assert!(
                !reply.text().contains("poison") && !reply.text().contains("secret"),
                "{what}: {}",
                reply.text()
            );
            // The next callers, on the same client connection and on another one, get answers of their own.
            for _ in 0..3 {
                let mut other = RawClient::connect(gateway.addr()).await;
                for client in [&mut client, &mut other] {
                    let reply = client.ask("GET", STREAMED, &token, &[], b"").await;
                    assert_eq!((reply.status, reply.text().as_str()), (200, "[{}]"), "{what}");
                }
            }
            assert_eq!(requests.load(Ordering::SeqCst), 7, "{what}: a request was repeated");
            let events = gateway.events().await;
            let first = events.iter().find(|(_, event)| event.status.is_some()).unwrap();
            assert_eq!(first.1.status, Some(status), "{what}");
            drop(client);
            gateway.finish().await;
        }
    }
    crate::corpus::count("C4 answers", POISONED_ANSWERS.len() * 2);
}

/// A rack that breaks off in the middle: what is read here is a 502, what is streamed is visibly cut short.
#[tokio::test]
async fn c4_an_answer_that_breaks_off_is_no_answer() {
    let mut bench = Bench::start("C4 break").await;
    for fault in [
        Fault::CloseMidChunk,
        Fault::CloseMidBody,
        Fault::CloseBeforeReply,
        Fault::Gzip,
        Fault::Redirect("http://evil.example/".into()),
        Fault::Status(401),
    ] {
        bench.gateway.rack.fault_on("/apps/myapp", fault);
        let request = bench.head("GET", LABELLED, "Accept-Encoding: gzip\r\n");
        bench.try_case("C4 CVE-2025-4366", &request, Expect::BadUpstream).await;
        // The connection that broke is not the one that the next request goes by.
        let request = bench.head("GET", LABELLED, "");
        let reply = bench.reaches("C4", &request, "GET /apps/myapp", "GET /apps/{app}").await;
        assert_eq!(reply.status, 200);
    }
    for fault in [Fault::CloseMidChunk, Fault::CloseMidBody] {
        bench.gateway.rack.fault_on("/services", fault);
        let (mut client, _) = bench.client().await;
        client.send([bench.head("GET", STREAMED, ""), bench.poison()].concat()).await;
        let (mut stream, mut bytes) = client.into_parts();
        stream.read_to_end(&mut bytes).await.ok();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        assert!(!text.contains("\r\n0\r\n\r\n"), "a broken answer looks complete: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    }
    let events = bench.gateway.events().await;
    let lost = events.iter().filter(|(_, event)| event.end == Some(End::UpstreamLost));
    assert!(lost.count() >= 2);
    assert!(bench.seen().iter().all(|request| request.method == "GET"));
    bench.finish().await;
}

/// A change whose answer never came is not made twice.
#[tokio::test]
async fn c4_a_change_without_an_answer_is_not_repeated() {
    let mut bench = Bench::start("C4 repeat").await;
    let warm = bench.head("GET", LABELLED, "");
    bench.reaches("C4", &warm, "GET /apps/myapp", "GET /apps/{app}").await;
    for fault in [Fault::CloseBeforeReply, Fault::CloseMidBody, Fault::CloseMidChunk] {
        bench.gateway.rack.fault_on("/restart", fault);
        let before = bench.seen().len();
        let (mut client, _) = bench.client().await;
        client.send(bench.head("POST", RESTART, "Content-Length: 0\r\n")).await;
        let _told_or_cut_off = client.into_parts().0.read_to_end(&mut Vec::new()).await;
        let seen: Vec<String> = bench.seen_since(before).iter().map(line).collect();
        assert_eq!(seen, [format!("POST {RESTART}")]);
    }
    let events = bench.gateway.events().await;
    let restarts: Vec<_> =
        events.iter().filter(|(_, event)| event.action.as_str() == "convox:service:restart").collect();
    assert_eq!(restarts.len(), 6, "three intents and three outcomes: {restarts:?}");
    bench.count(3);
    bench.finish().await;
}

/// A rack that does not answer holds nobody but its own caller, and is let go when that caller leaves.
#[tokio::test]
async fn c4_a_rack_that_hangs_is_left_when_the_client_leaves() {
    let mut bench = Bench::start("C4 hang").await;
    bench.gateway.rack.fault_on("/services", Fault::Hang);
    let mut client = RawClient::connect(bench.gateway.addr()).await;
    client.send(bench.head("GET", STREAMED, "")).await;
    eventually("the request at the rack", || async { bench.seen().pop() }).await;
    drop(client);
    eventually("the end of the rack's connection", || async {
        bench.seen().iter().all(|request| !request.open).then_some(())
    })
    .await;
    let events = bench.gateway.events().await;
    assert!(events.iter().any(|(_, event)| event.end == Some(End::AbortedByClient)), "{events:?}");
    bench.count(1);
    bench.finish().await;
}

/// CVE-2025-4366: a rack that answers before it has the whole body. The answer is passed on, and what is left of the
/// upload is never the beginning of another request, neither the client's nor the rack's.
#[tokio::test]
async fn c4_an_early_answer_ends_the_connection() {
    let raw: Arc<std::sync::Mutex<Vec<Vec<u8>>>> = Arc::default();
    let record = raw.clone();
    let rack = StubRack::start(move |mut connection: StubConnection| {
        let record = record.clone();
        async move {
            connection.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nbig\n").await;
            connection.until_closed().await;
            record.lock().unwrap().push([connection.head.into_bytes(), connection.rest].concat());
        }
    })
    .await;
    let gateway = over(&rack).await;
    let token = gateway.critical_token().await;
    let head = |lines: &str| {
        format!(
            "POST /api/v1/rack-proxy{UPLOAD} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{lines}\r\n"
        )
    };
    let poison = format!(
        "GET /api/v1/rack-proxy{STREAMED} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    for (lines, begun) in
        [("Content-Length: 1000\r\n", "half"), ("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n")]
    {
        let mut client = RawClient::connect(gateway.addr()).await;
        client.send(head(lines)).await;
        client.send(begun).await;
        let reply = client.reply().await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (413, "big\n"));
        // What comes now is still the body, however much it looks like a request.
        client.send(&poison).await;
        client.shutdown().await;
        assert!(client.is_closed().await, "an answer came to the body");
    }
    let seen = eventually("both uploads", || async {
        let seen = raw.lock().unwrap().clone();
        (seen.len() == 2).then_some(seen)
    })
    .await;
    for bytes in seen {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.starts_with(&format!("POST {UPLOAD} HTTP/1.1\r\n")), "{text}");
        // What looks like a request went up as data within its length, or not at all; the upload stays incomplete.
        assert_eq!(text.matches("convox-actor: ").count(), 1, "{text}");
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(body.len() < 1000 && !body.contains("\r\n0\r\n"), "{text}");
    }
    gateway.finish().await;
}
