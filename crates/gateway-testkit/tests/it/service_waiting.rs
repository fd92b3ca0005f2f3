//! Sockets and replies of services on which nothing happens for long: they are kept, whatever the limits of time are.

use std::time::{Duration, Instant};

use gateway_framing::websocket::{Opcode, encode_client_frame, encode_server_frame};
use gateway_testkit::{RawClient, StubConnection, StubRack, TestGateway, TestGatewayBuilder};
use gateway_types::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http2_frames::H2Client;

const HOST: &str = "app.example.com";

/// Longer than every limit of time of these gateways.
const LONG: Duration = Duration::from_millis(2500);

fn gateway_of(service: &StubRack) -> TestGatewayBuilder {
    let mut builder = TestGateway::builder();
    for limit in ["HEAD_TIMEOUT", "IDLE_TIMEOUT", "SEND_TIMEOUT", "BODY_TIMEOUT"] {
        builder = builder.env(limit, "1s");
    }
    builder.env("DRAIN_TIMEOUT", "1s").env("H2C", "true").file(&format!(
        "[[service]]\nname = \"app\"\nhosts = [\"{HOST}\"]\nwebsocket = true\nupstreams = [{{ url = \"{}\" }}]\n",
        service.url()
    ))
}

/// That nothing is said and nothing is closed for longer than any limit.
async fn stays_open(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(LONG, stream.read(&mut byte)).await;
    assert!(read.is_err(), "{read:?}");
}

/// A long poll: the head comes late, and so does each part of the body. No limit of time is declared, so none counts.
#[tokio::test]
async fn a_reply_whose_head_is_late_is_waited_for() {
    let service = StubRack::start(|mut connection: StubConnection| async move {
        stays_open(&mut connection.stream).await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
        stays_open(&mut connection.stream).await;
        connection.send("half").await;
    })
    .await;
    let gateway = gateway_of(&service).start().await;
    let token = gateway.token(Role::Viewer).to_owned();
    let mut client = RawClient::connect(gateway.addr()).await;
    let head = format!("GET /poll HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let begun = Instant::now();
    client.send(&head).await;
    let reply = client.reply().await.expect("a reply");
    assert_eq!((reply.status, reply.text().as_str()), (200, "halfhalf"));
    assert!(begun.elapsed() >= 2 * LONG, "{:?}", begun.elapsed());
    // The same over HTTP/2.
    let mut client = H2Client::connect("127.0.0.1".parse().unwrap(), gateway.addr()).await;
    let request = http::Request::builder()
        .uri(format!("http://{HOST}/poll"))
        .header("authorization", format!("Bearer {token}"))
        .body(())
        .unwrap();
    let reply = client.exchange(request, b"").await.expect("a reply");
    assert_eq!((reply.status, reply.text().as_str()), (200, "halfhalf"), "{reply:?}");
    gateway.finish().await;
}

/// H5: load balancers cut what is idle, some after 30 s; so the gateway pings the client each 20 s, and the answer goes
/// on to the service. This waits for the real 20 s.
#[tokio::test]
async fn h5_a_socket_that_rests_is_pinged_each_twenty_seconds_and_kept() {
    const MASK: [u8; 4] = [9, 8, 7, 6];
    let service = StubRack::start(|mut connection: StubConnection| async move {
        connection.switch().await;
        let answer = encode_client_frame(Opcode::Pong, b"", MASK);
        let mut came = std::mem::take(&mut connection.rest);
        while came.len() < answer.len() {
            assert!(connection.stream.read_buf(&mut came).await.is_ok_and(|count| count > 0), "it was cut");
        }
        assert_eq!(came, answer, "the answer of the client, as it is");
        connection.send(encode_server_frame(Opcode::Text, b"heard")).await;
        connection.until_closed().await;
    })
    .await;
    let gateway = gateway_of(&service).start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "GET /live HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n\r\n",
            gateway.token(Role::Viewer)
        ))
        .await;
    assert_eq!(client.reply().await.expect("a reply").status, 101);
    let begun = Instant::now();
    let (mut stream, early) = client.into_parts();
    assert!(early.is_empty(), "{early:?}");
    let mut ping = [0; 2];
    timeout(Duration::from_secs(30), stream.read_exact(&mut ping)).await.expect("a ping in time").unwrap();
    assert_eq!(ping, encode_server_frame(Opcode::Ping, b"")[..]);
    let waited = begun.elapsed();
    assert!((18..29).contains(&waited.as_secs()), "{waited:?}");
    stream.write_all(&encode_client_frame(Opcode::Pong, b"", MASK)).await.unwrap();
    let mut heard = [0; 7];
    timeout(Duration::from_secs(20), stream.read_exact(&mut heard)).await.expect("in time").unwrap();
    assert_eq!(heard, encode_server_frame(Opcode::Text, b"heard")[..]);
    drop(stream);
    gateway.finish().await;
}
