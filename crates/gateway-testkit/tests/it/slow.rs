//! Clients that are slow on purpose, and what they cost others: nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gateway_audit::{End, Event};
use gateway_testkit::raw::basic;
use gateway_testkit::{RawClient, TestGateway, eventually};
use gateway_types::Role;
use tokio::io::AsyncReadExt as _;

const APP: &str = "/apps/myapp";

/// 200 slow clients, or 1,000 when `RGW_TEST_SIZE` is `full`.
#[expect(clippy::disallowed_methods, reason = "the size of a test is chosen by whoever runs it")]
fn slow_clients() -> usize {
    if std::env::var("RGW_TEST_SIZE").is_ok_and(|size| size == "full") { 1000 } else { 200 }
}

/// How long a normal request takes, from connecting to the end of the rack's reply: with a credential, a verdict and an
/// event in the log.
async fn median_of_good_requests(gateway: &TestGateway) -> Duration {
    let mut times = Vec::new();
    for _ in 0..41 {
        let began = Instant::now();
        let mut client = RawClient::connect(gateway.addr()).await;
        let reply = client.ask("GET", APP, gateway.token(Role::Viewer), &[], b"").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        times.push(began.elapsed());
    }
    times.sort();
    times[20]
}

async fn refused_with(gateway: &TestGateway, source: Ipv4Addr, status: u16) -> Event {
    eventually("a refusal in the log", || async {
        let is_it = |event: &Event| {
            event.source_ip == Some(IpAddr::V4(source))
                && event.status == Some(status)
                && event.end == Some(End::Refused)
        };
        gateway.events().await.into_iter().map(|(_, event)| event).find(is_it)
    })
    .await
}

#[tokio::test]
async fn c9_many_slow_clients_do_not_slow_others() {
    let gateway = TestGateway::builder().env("CONNECTIONS_PER_ADDRESS", "100000").start().await;
    let token = basic(gateway.token(Role::Ops));
    let mut slow = Vec::new();
    for n in 0..slow_clients() {
        let mut client = RawClient::connect(gateway.addr()).await;
        let begun = match n % 4 {
            // Nothing, half a head, a head and half a body, a head and half a chunk.
            0 => String::new(),
            1 => "GET /api/v1/health HTTP/1.1\r\nHost: gw\r\nX-Slow: ".to_owned(),
            2 => format!(
                "PUT /api/v1/rack-proxy{APP} HTTP/1.1\r\nHost: gw\r\nAuthorization: {token}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nparameters="
            ),
            _ => format!(
                "PUT /api/v1/rack-proxy{APP} HTTP/1.1\r\nHost: gw\r\nAuthorization: {token}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npar"
            ),
        };
        client.send(begun).await;
        slow.push(client);
    }
    let median = median_of_good_requests(&gateway).await;
    println!("c9: {} slow clients, median of others {median:?}", slow.len());
    assert!(median < Duration::from_millis(50), "{median:?}");
    crate::corpus::count("C9", slow.len());
    drop(slow);
    gateway.finish().await;
}

#[tokio::test]
async fn c9_a_head_that_does_not_end_is_refused_in_words() {
    let gateway = TestGateway::builder().env("HEAD_TIMEOUT", "1s").start().await;
    let source = Ipv4Addr::new(127, 0, 9, 1);
    let mut client = RawClient::connect_from(source, gateway.addr()).await;
    client.send("GET /api/v1/health HTTP/1.1\r\nHost: gw\r\nX-Slow: ").await;
    let reply = client.reply().await.expect("a reply");
    assert_eq!((reply.status, reply.json()["layer"].as_str()), (408, Some("network")), "{}", reply.text());
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(client.is_closed().await);
    refused_with(&gateway, source, 408).await;

    // A drip does not help.
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send("GET /api/v1/health HTTP/1.1\r\nHost: gw\r\n").await;
    let mut drip = tokio::time::interval(Duration::from_millis(100));
    let began = Instant::now();
    let (mut stream, _) = client.into_parts();
    let ended = loop {
        drip.tick().await;
        let mut byte = [0; 1];
        match stream.try_read(&mut byte) {
            Ok(_) => break began.elapsed(),
            Err(_) => drop(tokio::io::AsyncWriteExt::write_all(&mut stream, b"X: a\r\n").await),
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the head goes on for ever");
    };
    assert!(ended >= Duration::from_millis(900), "{ended:?}");
    gateway.finish().await;
    crate::corpus::count("C9", 1);
}

#[tokio::test]
async fn c9_a_connection_on_which_nothing_is_asked_is_closed() {
    let gateway = TestGateway::builder().env("HEAD_TIMEOUT", "1s").env("IDLE_TIMEOUT", "2s").start().await;
    let mut silent = RawClient::connect(gateway.addr()).await;
    assert!(silent.is_closed().await, "without a word");
    let mut idle = RawClient::connect(gateway.addr()).await;
    for _ in 0..2 {
        assert_eq!(idle.ask("GET", "!/api/v1/health", "", &[], b"").await.status, 200);
    }
    let began = Instant::now();
    assert!(idle.is_closed().await, "without a word");
    assert!(
        began.elapsed() >= Duration::from_millis(1500),
        "{:?}: it is not held to the time of a head",
        began.elapsed()
    );
    gateway.finish().await;
    crate::corpus::count("C9", 1);
}

#[tokio::test]
async fn c9_a_body_that_does_not_come_is_refused() {
    let gateway = TestGateway::builder().env("BODY_TIMEOUT", "1s").start().await;
    let token = basic(gateway.token(Role::Deployer));
    let stream = "POST /api/v1/rack-proxy/apps/myapp/objects/tmp/a.tgz HTTP/1.1";
    let form = "PUT /api/v1/rack-proxy/apps/myapp HTTP/1.1";
    for (n, (line, kind)) in
        [(form, "application/x-www-form-urlencoded"), (stream, "application/octet-stream")]
            .into_iter()
            .enumerate()
    {
        let source = Ipv4Addr::new(127, 0, 10, u8::try_from(n).unwrap() + 1);
        let mut client = RawClient::connect_from(source, gateway.addr()).await;
        let head = format!(
            "{line}\r\nHost: gw\r\nAuthorization: {token}\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\nparam"
        );
        client.send(head).await;
        let reply = client.reply().await.expect("a reply");
        assert_eq!(reply.status, 408, "{line}: {}", reply.text());
        assert!(client.is_closed().await, "{line}");
    }
    gateway.finish().await;
    crate::corpus::count("C9", 1);
}

#[tokio::test]
async fn c9_a_client_that_does_not_read_is_given_up() {
    use gateway_testkit::{StubConnection, StubRack};
    let rack = StubRack::start(|mut connection: StubConnection| async move {
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n").await;
        // 512 MiB, far more than all buffers on the way hold.
        for _ in 0..8192 {
            connection.send(vec![b'a'; 64 * 1024]).await;
        }
    })
    .await;
    let gateway =
        TestGateway::builder().env("RACK_HOST", &rack.url()).env("SEND_TIMEOUT", "1s").start().await;
    let token = gateway.token(Role::Admin).to_owned();
    let source = Ipv4Addr::new(127, 0, 11, 1);
    let mut client = RawClient::connect_from(source, gateway.addr()).await;
    let head = format!(
        "GET /api/v1/rack-proxy/apps/myapp/objects/tmp/a.tgz HTTP/1.1\r\nHost: gw\r\nAuthorization: {}\r\n\r\n",
        basic(&token)
    );
    client.send(head).await;
    let event = eventually("the end of the download", || async {
        let events = gateway.events().await;
        let is_it = |event: &Event| event.end == Some(End::AbortedByClient);
        events.into_iter().map(|(_, event)| event).find(is_it)
    })
    .await;
    assert_eq!(event.source_ip, Some(IpAddr::V4(source)));
    drop(client);
    gateway.finish().await;
    crate::corpus::count("C9", 1);
}

/// A reply that is whole has no body left to watch, and with the next requests at hand nothing is read either.
#[tokio::test]
async fn c9_a_client_that_only_asks_and_never_reads_is_given_up() {
    use gateway_testkit::{StubConnection, StubRack};
    const REPLY: usize = 256 * 1024;
    const REQUESTS: usize = 256;
    let rack = StubRack::start(|mut connection: StubConnection| async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {REPLY}\r\nConnection: close\r\n\r\n");
        connection.send(head).await;
        connection.send(vec![b'a'; REPLY]).await;
    })
    .await;
    let gateway =
        TestGateway::builder().env("RACK_HOST", &rack.url()).env("SEND_TIMEOUT", "1s").start().await;
    let head = format!(
        "GET /api/v1/rack-proxy/apps/myapp/objects/tmp/a.tgz HTTP/1.1\r\nHost: gw\r\nAuthorization: {}\r\n\r\n",
        basic(gateway.token(Role::Admin))
    );
    let mut client = RawClient::connect_from(Ipv4Addr::new(127, 0, 11, 2), gateway.addr()).await;
    client.send(head.repeat(REQUESTS)).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (mut stream, _read) = client.into_parts();
    let (mut received, mut some) = (0, vec![0; 64 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut some).await {
        received += count;
    }
    assert!(received < REPLY * REQUESTS, "{received} bytes: it was served to the end");
    gateway.finish().await;
    crate::corpus::count("C9", 1);
}
