//! Half-open handshakes and slow-loris connections at one time, and what a normal request takes beside them.

use std::time::{Duration, Instant};

use gateway_types::Role;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::client::{Line, basic, handshake, once};
use super::{NAME, Place};

/// How large the crowd is, and how long a normal request may take beside it.
struct Size {
    half_open: usize,
    slow: usize,
    /// How many unfinished handshakes the gateway keeps.
    handshakes: &'static str,
    median: Duration,
}

#[expect(clippy::disallowed_methods, reason = "the size of a test is chosen by whoever runs it")]
fn size() -> Size {
    if std::env::var("RGW_TEST_SIZE").is_ok_and(|size| size == "full") {
        Size { half_open: 5000, slow: 1000, handshakes: "1024", median: Duration::from_millis(50) }
    } else {
        // Beside other tests on a busy machine.
        Size { half_open: 400, slow: 80, handshakes: "128", median: Duration::from_millis(500) }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// CVE-2026-7776, CVE-2026-25949: 5,000 half-open handshakes and 1,000 slow-loris connections (fewer unless
/// `RGW_TEST_SIZE` is `full`), which drip on while it is measured. A normal request has a handshake of its own, a
/// credential, a verdict, an event in the log, and the rack's reply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_a_crowd_of_slow_clients_and_half_open_handshakes_delays_nobody() {
    let size = size();
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place
        .gateway(&["tls"])
        .env("HANDSHAKES", size.handshakes)
        .env("CONNECTIONS", "16384")
        .env("CONNECTIONS_PER_ADDRESS", "16384")
        // So that nobody of the crowd is cut off while it is measured.
        .env("HEAD_TIMEOUT", "2m")
        .env("BODY_TIMEOUT", "2m")
        .env("HANDSHAKE_TIMEOUT", "2m")
        .env("DRAIN_TIMEOUT", "1s")
        .start()
        .await;
    let (addr, token, config) =
        (gateway.addr(), gateway.token(Role::Ops).to_owned(), place.client().config());
    let mut slow = Vec::new();
    let (credential, form) = (basic(&token), "Content-Type: application/x-www-form-urlencoded\r\n");
    for number in 0..size.slow {
        let mut stream = handshake(&config, addr, NAME).await.unwrap();
        // Half a head, half a body, half a chunk.
        let begun = match number % 3 {
            0 => format!("GET /api/v1/health HTTP/1.1\r\nHost: {NAME}\r\nX-Slow: "),
            1 => format!(
                "PUT /api/v1/rack-proxy/apps/myapp HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: {credential}\r\n{form}Content-Length: 1000\r\n\r\n"
            ),
            _ => format!(
                "PUT /api/v1/rack-proxy/apps/myapp HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: {credential}\r\n{form}Transfer-Encoding: chunked\r\n\r\n3e8\r\n"
            ),
        };
        stream.write_all(begun.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        slow.push(stream);
    }
    let mut session = ClientConnection::new(config.clone(), ServerName::try_from(NAME).unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    let mut half_open = Vec::with_capacity(size.half_open);
    for number in 0..size.half_open {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let part = [0, 7, hello.len() / 2, hello.len()][number % 4];
        stream.write_all(&hello[..part]).await.unwrap();
        half_open.push(stream);
    }
    let mut kept = Line::open(&config, addr, NAME).await.unwrap();
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for number in 0..41 {
        // Each of the slow ones sends a byte now and then.
        for stream in slow.iter_mut().skip(number).step_by(41) {
            stream.write_all(b"a").await.unwrap();
            stream.flush().await.unwrap();
        }
        let begun = Instant::now();
        assert_eq!(once(&config, addr, NAME, &token).await.unwrap().status, 200);
        fresh.push(begun.elapsed());
        let begun = Instant::now();
        assert_eq!(kept.apps(&token).await.unwrap().status, 200);
        again.push(begun.elapsed());
    }
    let (fresh, again) = (median(&mut fresh), median(&mut again));
    println!(
        "c9: {} half-open handshakes and {} slow clients: median {fresh:?} with a handshake, {again:?} without",
        half_open.len(),
        slow.len()
    );
    assert!(fresh < size.median && again < size.median, "{fresh:?} and {again:?}");
    crate::corpus::count("C9", half_open.len() + slow.len());
    drop((slow, half_open, kept));
    gateway.finish().await;
}
