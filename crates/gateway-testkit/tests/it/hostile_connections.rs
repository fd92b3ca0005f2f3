//! Groups C and K, for connections rather than requests: what is sent before a handshake, and more connections than the
//! process has handles. Each gateway is a process of its own, so that its handles and its log can be counted.

use std::net::Ipv4Addr;
use std::time::Duration;

use gateway_sim::{SimOptions, SimRack};
use gateway_store::EventFilter;
use gateway_testkit::raw::basic;
use gateway_testkit::{Database, RawClient, Reply, Socket, eventually};
use gateway_types::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::child::Child;
use super::tls::client::once;
use super::tls::{NAME, Place};

const APP: &str = "/apps/myapp";
const LOGS: &str = "/apps/myapp/logs";

async fn rack() -> SimRack {
    SimRack::start(SimOptions::for_tests()).await.unwrap()
}

async fn ask(child: &Child, path: &str) -> Reply {
    let mut client = RawClient::connect(child.addr).await;
    client.ask("GET", path, child.token(Role::Viewer), &[], b"").await
}

/// K7: with no handle left, connections wait in the system's queue. Who is connected is served with what there is, and is
/// told when there is nothing; the log says why, and not once for each try; and all is well once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k7_a_gateway_without_handles_goes_on_and_recovers() {
    const HANDLES: u32 = 160;
    let rack = rack().await;
    let variables = [("CONNECTIONS_PER_ADDRESS", "100000"), ("RACK_CONNECT_TIMEOUT", "2s")];
    let rack_of = (rack.url(), rack.password().to_owned());
    let child =
        Child::start_with_handles(HANDLES, Database::Sqlite, (&rack_of.0, &rack_of.1), &variables).await;
    assert_eq!(ask(&child, APP).await.status, 200);
    let token = child.token(Role::Viewer).to_owned();
    let mut known = RawClient::connect(child.addr).await;
    assert_eq!(known.ask("GET", APP, &token, &[], b"").await.status, 200);
    let mut socket =
        Socket::open(child.addr, LOGS, &token, &[]).await.expect("a socket, while there is room");

    let mut crowd = Vec::new();
    for _ in 0..2 * HANDLES {
        crowd.push(TcpStream::connect(child.addr).await.unwrap());
    }
    eventually("no handle is left", || async {
        (child.handles() >= usize::try_from(HANDLES).unwrap()).then_some(())
    })
    .await;
    eventually("the log says so", || async {
        child.log().contains("a connection could not be accepted").then_some(())
    })
    .await;
    // Who was there before is served, as long as nothing new has to be opened for it.
    for _ in 0..20 {
        let reply = known.ask("GET", "!/api/v1/health", "", &[], b"").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    // What needs a connection of its own to the rack cannot have one, and is told so in words.
    let upgrade = format!(
        "GET /api/v1/rack-proxy{LOGS} HTTP/1.1\r\nHost: gw\r\nAuthorization: {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n\r\n",
        basic(&token)
    );
    known.send(upgrade).await;
    let refused = known.reply().await.expect("a reply");
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{refused:?}");
    assert!(refused.text().contains("the rack"), "{}", refused.text());
    // Whoever comes now waits, and is served once the others are gone.
    let mut late = RawClient::connect(child.addr).await;
    let head = format!(
        "GET /api/v1/rack-proxy{APP} HTTP/1.1\r\nHost: gw\r\nAuthorization: {}\r\n\r\n",
        basic(&token)
    );
    late.send(head).await;
    drop((crowd, known));
    let reply = late.reply().await.expect("a reply once there is room");
    assert_eq!(reply.status, 200, "{}", reply.text());
    for _ in 0..10 {
        assert_eq!(ask(&child, APP).await.status, 200);
    }
    assert!(Socket::open(child.addr, LOGS, &token, &[]).await.is_ok(), "sockets are opened again");
    // The socket of before was never cut.
    assert!(socket.frame().await.is_some());
    drop(socket);
    let (log, _directory) = child.stop();
    assert!(!log.contains("panicked"), "{log}");
    let said = log.matches("a connection could not be accepted").count();
    assert!((1..=5).contains(&said), "said {said} times: {log}");
    crate::corpus::count("K7 handles", usize::try_from(2 * HANDLES).unwrap());
}

/// What a connection begins with where TLS is expected.
fn beginnings() -> Vec<(&'static str, Vec<u8>)> {
    // The head of a record with a ClientHello of 512 bytes, of which only some come.
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 200]].concat();
    vec![
        ("HTTP", b"GET / HTTP/1.1\r\nHost: gateway.example.test\r\n\r\n".to_vec()),
        ("HTTP with a credential", b"GET / HTTP/1.1\r\nAuthorization: Bearer rgw_evil\r\n\r\n".to_vec()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("a PROXY header of nobody's", b"PROXY TCP4 192.0.2.1 10.0.0.1 1 443\r\n".to_vec()),
        (
            "a PROXY header of version 2",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\0\x01\x01\xbb".to_vec(),
        ),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("zeros", vec![0; 300]),
        ("a record that is too long", [&[0x16, 3, 1, 0xff, 0xff][..], &[1; 64 * 1024]].concat()),
        ("records of nothing", [0x16, 3, 1, 0, 0].repeat(1000)),
        ("an alert", vec![0x15, 3, 1, 0, 2, 2, 40]),
        ("data before a handshake", vec![0x17, 3, 3, 0, 1, 0]),
        (
            "64 KiB of noise",
            (0..64 * 1024u32).map(|byte| (byte.wrapping_mul(167) >> 3).to_le_bytes()[0]).collect(),
        ),
        ("half a ClientHello", hello),
        ("a byte", vec![0x16]),
        ("nothing", Vec::new()),
    ]
}

/// C10, CVE-2026-47692, CVE-2026-7776: whatever comes before a handshake, the connection ends, at the latest after the
/// handshake's time. Nothing is answered in clear but an alert, and neither the program's log nor the audit log has a
/// line for each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_bytes_before_tls_end_the_connection_and_do_not_fill_the_log() {
    const TIMES: usize = 20;
    let place = Place::new();
    place.write("tls", &[NAME]);
    let rack = rack().await;
    let variables = [
        ("LISTENER_TLS", "files"),
        ("TLS_CERTIFICATE_FILES", &*place.file("tls.pem")),
        ("TLS_KEY_FILES", &*place.file("tls.key")),
        ("DOMAIN", NAME),
        ("HTTP_PORT", "off"),
        ("HANDSHAKE_TIMEOUT", "1s"),
        ("CONNECTIONS_PER_ADDRESS", "100000"),
    ];
    let child = Child::start(Database::Sqlite, (&rack.url(), rack.password()), &variables).await;
    let lines = child.log().lines().count();
    let mut tasks = tokio::task::JoinSet::new();
    let beginnings = beginnings();
    let count = beginnings.len() * TIMES;
    for (number, (label, bytes)) in beginnings.into_iter().cycle().take(count).enumerate() {
        let addr = child.addr;
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let _closed_early = stream.write_all(&bytes).await;
            if number % 2 == 0 {
                let _closed_early = stream.shutdown().await;
            }
            let mut said = Vec::new();
            let end = timeout(Duration::from_secs(30), stream.read_to_end(&mut said)).await;
            assert!(end.is_ok(), "{label}: the connection is still open");
            let is_alert = said.first() == Some(&0x15) && said.len() <= 7;
            assert!(said.is_empty() || is_alert, "{label}: {}", said.escape_ascii());
        });
    }
    tasks.join_all().await;
    let answer = once(&place.client().config(), child.addr, NAME, child.token(Role::Viewer)).await.unwrap();
    assert_eq!(answer.status, 200);
    let store = child.store().await;
    let events = store.events().page(&EventFilter::default(), None, 1000).await.unwrap().items;
    let local = events.iter().filter(|(_, event)| event.source_ip == Some(Ipv4Addr::LOCALHOST.into()));
    assert!(local.count() <= 10, "an event for each connection");
    store.close().await;
    let (log, _directory) = child.stop();
    assert!(!log.contains("panicked") && !log.contains("rgw_evil"), "{log}");
    let fresh = log.lines().count() - lines;
    assert!(fresh <= 30, "{fresh} lines for {count} connections: {log}");
    crate::corpus::count("C10 before TLS", count);
}
