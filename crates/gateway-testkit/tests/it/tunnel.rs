//! Tunnels to TCP services: who may, what is recorded, how they end.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway_audit::{End, Phase};
use gateway_framing::websocket::Opcode;
use gateway_testkit::raw::Reply;
use gateway_testkit::{RawClient, Socket, TestGateway, eventually};
use gateway_types::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A service that answers what it was sent, then, after the end of that, says goodbye.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    let _gone = stream.write_all(&bytes[..count]).await;
                }
                let _gone = stream.write_all(b"goodbye").await;
            });
        }
    });
    address
}

async fn gateway(service: SocketAddr, more: &str) -> TestGateway {
    TestGateway::builder()
        .file(&format!(
            "[[service]]\nname = \"db\"\nkind = \"tcp\"\nrole = \"ops\"\n{more}\nupstreams = [{{ url = \"tcp://{service}\" }}]\n\
             [[service]]\nname = \"web\"\nhosts = [\"web.example.com\"]\nwebsocket = true\nupstreams = [{{ url = \"http://{service}\" }}]\n"
        ))
        .start()
        .await
}

async fn open(gateway: &TestGateway, name: &str, lines: &str) -> Result<Socket, Reply> {
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "GET /api/v1/services/{name}/tunnel HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n{lines}\r\n",
            gateway.addr()
        ))
        .await;
    let reply = client.reply().await.expect("a reply");
    if reply.status == 101 { Ok(Socket::from(client)) } else { Err(reply) }
}

async fn open_as(gateway: &TestGateway, credential: &str) -> Result<Socket, Reply> {
    open(gateway, "db", &format!("Authorization: Bearer {credential}\r\n")).await
}

async fn outcome(gateway: &TestGateway, end: End) -> gateway_audit::Event {
    eventually("the outcome of the tunnel", || async {
        let events = gateway.events().await;
        events.into_iter().map(|(_, event)| event).find(|event| {
            event.action.as_str() == "service:db:connect"
                && event.phase == Phase::Outcome
                && event.end == Some(end)
        })
    })
    .await
}

/// Bytes until `count` of them came.
async fn bytes(socket: &mut Socket, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < count {
        let frame = socket.frame().await.expect("a frame");
        assert_eq!(frame.opcode, Opcode::Binary);
        bytes.extend(frame.payload);
    }
    bytes
}

fn close(code: u16) -> Vec<u8> {
    code.to_be_bytes().to_vec()
}

#[tokio::test]
async fn bytes_pass_both_ways_and_either_side_ends_for_itself() {
    let gateway = gateway(echo().await, "").await;
    let session = gateway.session(Role::Ops).await;
    let mut socket = open_as(&gateway, &session).await.expect("a tunnel");
    socket.send(Opcode::Binary, b"hello ").await;
    socket.send(Opcode::Binary, b"there").await;
    assert_eq!(bytes(&mut socket, 11).await, b"hello there");
    socket.send(Opcode::Ping, b"are you there").await;
    let pong = socket.frame().await.expect("a pong");
    assert_eq!((pong.opcode, pong.payload.as_slice()), (Opcode::Pong, &b"are you there"[..]));
    socket.send(Opcode::Binary, b"").await;
    assert_eq!(bytes(&mut socket, 7).await, b"goodbye", "the service goes on after our end");
    let end = socket.frame().await.expect("the end of the service");
    assert_eq!((end.opcode, end.payload.len()), (Opcode::Binary, 0));
    let closed = socket.frame().await.expect("a close");
    assert_eq!((closed.opcode, closed.payload), (Opcode::Close, close(1000)));
    let event = outcome(&gateway, End::Completed).await;
    assert_eq!((event.bytes_in, event.bytes_out), (Some(11), Some(18)), "{event:?}");
    let events = gateway.events().await;
    let intent = events.iter().find(|(_, event)| event.phase == Phase::Intent).expect("an intent");
    assert_eq!(intent.1.action.as_str(), "service:db:connect");
    assert_eq!(event.intent, Some(intent.0));
    gateway.finish().await;
}

#[tokio::test]
async fn who_may_not_gets_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway(listener.local_addr().unwrap(), "").await;
    let ops = gateway.session(Role::Ops).await;
    let check = async |name: &str, lines: &str, status: u16| {
        let refused = open(&gateway, name, lines).await.err().unwrap_or_else(|| panic!("{name} {lines}"));
        assert_eq!(refused.status, status, "{name} {lines} {}", refused.text());
    };
    let bearer = format!("Authorization: Bearer {ops}\r\n");
    check("db", "", 401).await;
    check("db", "Cookie: __Host-rgw=rgs_0000000000000000000000000000000000000000000\r\n", 401).await;
    check("db", &format!("Authorization: Bearer {}\r\n", gateway.token(Role::Viewer)), 403).await;
    check("db", &format!("{bearer}Origin: https://evil.example\r\n"), 403).await;
    check("web", &bearer, 404).await;
    check("nothing", &bearer, 404).await;
    check("db%2f", &bearer, 404).await;
    let mut plain = RawClient::connect(gateway.addr()).await;
    let reply = plain.ask("GET", "!/api/v1/services/db/tunnel", &ops, &[], b"").await;
    assert_eq!(reply.status, 404, "it is a WebSocket only: {}", reply.text());
    let dialled = tokio::time::timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(dialled.is_err(), "nobody was connected to the service");
    gateway.finish().await;
}

#[tokio::test]
async fn a_service_that_is_away_is_told_as_a_refusal() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gateway = gateway(nobody, "").await;
    let refused = open_as(&gateway, gateway.token(Role::Ops)).await.expect_err("a refusal");
    assert_eq!(refused.status, 502);
    assert!(refused.text().contains("`db` accepts no connection"), "{}", refused.text());
    gateway.finish().await;
}

#[tokio::test]
async fn a_second_factor_is_asked_for_as_declared() {
    let gateway = gateway(echo().await, "step_up = \"window\"").await;
    let session = gateway.session(Role::Ops).await;
    let refused = open_as(&gateway, &session).await.expect_err("a refusal");
    assert_eq!(refused.status, 401, "{}", refused.text());
    assert!(refused.text().contains("/problems/step-up-required"), "{}", refused.text());
    gateway.finish().await;
}

#[tokio::test]
async fn e2_a_revoked_caller_is_cut_off_within_five_seconds_and_told_why() {
    let gateway = gateway(echo().await, "").await;
    let session = gateway.session(Role::Ops).await;
    let mut idle = open_as(&gateway, &session).await.expect("a tunnel");
    let mut busy = open_as(&gateway, &session).await.expect("another tunnel");
    idle.send(Opcode::Binary, b"x").await;
    assert_eq!(bytes(&mut idle, 1).await, b"x");
    gateway.store().sessions().revoke_all(gateway.person(Role::Ops).id).await.expect("a revocation");
    let begun = Instant::now();
    let told = idle.frame().await.expect("a close");
    assert_eq!((told.opcode, &told.payload[..2]), (Opcode::Close, close(1008).as_slice()));
    assert!(String::from_utf8_lossy(&told.payload[2..]).contains("no longer valid"));
    busy.send(Opcode::Ping, b"").await;
    while busy.frame().await.is_some_and(|frame| frame.opcode != Opcode::Close) {}
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    outcome(&gateway, End::Refused).await;
    assert_eq!(open_as(&gateway, &session).await.err().map(|reply| reply.status), Some(401));
    gateway.finish().await;
}

#[tokio::test]
async fn what_a_tunnel_does_not_carry_closes_it() {
    let gateway = gateway(echo().await, "").await;
    for (opcode, payload, code) in [(Opcode::Text, &b"text"[..], 1003), (Opcode::Continuation, b"x", 1002)] {
        let mut socket = open_as(&gateway, gateway.token(Role::Ops)).await.expect("a tunnel");
        socket.send(opcode, payload).await;
        let frame = socket.frame().await.expect("a close");
        assert_eq!((frame.opcode, &frame.payload[..2]), (Opcode::Close, close(code).as_slice()));
    }
    outcome(&gateway, End::Failed).await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_the_service_and_cannot_stop_a_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway(listener.local_addr().unwrap(), "").await;
    let socket = open_as(&gateway, gateway.token(Role::Ops)).await.expect("a tunnel");
    let (mut service, _) = listener.accept().await.unwrap();
    let chunk = vec![0; 1 << 20];
    let mut written = 0usize;
    // Socket buffers of both connections take some megabytes; then it stops.
    while let Ok(result) = tokio::time::timeout(Duration::from_millis(500), service.write(&chunk)).await {
        written += result.expect("a connection that is open");
        assert!(written < 64 << 20, "nothing holds the service back");
    }
    gateway.finish().await;
    drop(socket);
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_connection_to_the_service() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway(listener.local_addr().unwrap(), "").await;
    let socket = open_as(&gateway, gateway.token(Role::Ops)).await.expect("a tunnel");
    let (mut service, _): (TcpStream, _) = listener.accept().await.unwrap();
    drop(socket);
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), service.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the connection to the service ends with the client");
    outcome(&gateway, End::AbortedByClient).await;
    gateway.finish().await;
}
