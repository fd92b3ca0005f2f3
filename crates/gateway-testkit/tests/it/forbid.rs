//! One policy that names one person: how fast it holds everywhere, and for whom it does not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gateway_framing::websocket::Opcode;
use gateway_testkit::{Database, RawClient, Reply, Socket, TestGateway};
use gateway_types::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// A TCP service that says nothing and goes on.
async fn quiet() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 64];
                while let Ok(1..) = stream.read(&mut bytes).await {
                    let _gone = stream.write_all(b".").await;
                }
            });
        }
    });
    address
}

async fn apps(gateway: &TestGateway, token: &str) -> u16 {
    RawClient::connect(gateway.addr()).await.ask("GET", "/apps", token, &[], b"").await.status
}

async fn logs(gateway: &TestGateway, token: &str) -> Result<Socket, Reply> {
    Socket::open(gateway.addr(), "/apps/myapp/logs?follow=true", token, &[]).await
}

async fn tunnel(gateway: &TestGateway, token: &str) -> Result<Socket, Reply> {
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "GET /api/v1/services/db/tunnel HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\nAuthorization: Bearer {token}\r\n\r\n",
            gateway.addr()
        ))
        .await;
    let reply = client.reply().await.expect("a reply");
    if reply.status == 101 { Ok(Socket::from(client)) } else { Err(reply) }
}

/// Reads until the gateway closes.
async fn closed(mut socket: Socket) -> Option<Vec<u8>> {
    while let Some(frame) = socket.frame().await {
        if frame.opcode == Opcode::Close {
            return Some(frame.payload);
        }
    }
    None
}

async fn holds_everywhere(database: Database) {
    let service = quiet().await;
    let file = format!(
        "[[service]]\nname = \"db\"\nkind = \"tcp\"\nrole = \"ops\"\nupstreams = [{{ url = \"tcp://{service}\" }}]\n"
    );
    let first = TestGateway::builder().database(database).file(&file).start().await;
    let mut instances = vec![&first];
    let second = match database {
        // A second one on the same file is refused.
        Database::Sqlite => None,
        Database::Postgres => {
            Some(TestGateway::builder().database(database).file(&file).share(&first).start().await)
        }
    };
    instances.extend(second.as_ref());
    let named = first.session(Role::Ops).await;
    let other = first.session(Role::Deployer).await;
    let mut sockets = Vec::new();
    let mut others = Vec::new();
    for gateway in &instances {
        sockets.push(logs(gateway, &named).await.unwrap_or_else(|reply| panic!("{}", reply.text())));
        sockets.push(tunnel(gateway, &named).await.unwrap_or_else(|reply| panic!("{}", reply.text())));
        others.push(logs(gateway, &other).await.unwrap_or_else(|reply| panic!("{}", reply.text())));
        others.push(tunnel(gateway, &other).await.unwrap_or_else(|reply| panic!("{}", reply.text())));
    }
    let text = format!(
        "@id(\"not-this-person\")\nforbid (principal == User::\"{}\", action, resource);",
        first.person(Role::Ops).id
    );
    let began = Instant::now();
    first.store().policies().set("not-this-person", &text, None, "the test").await.expect("a policy");
    for gateway in &instances {
        while apps(gateway, &named).await != 403 {
            assert!(began.elapsed() < Duration::from_secs(1), "new requests are still let through");
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(logs(gateway, &named).await.err().map(|reply| reply.status), Some(403));
        assert_eq!(tunnel(gateway, &named).await.err().map(|reply| reply.status), Some(403));
        assert_eq!(apps(gateway, &other).await, 200);
    }
    for socket in sockets {
        let left = Duration::from_secs(5).saturating_sub(began.elapsed());
        let payload = timeout(left, closed(socket)).await.expect("an end within five seconds");
        assert_eq!(payload.map(|payload| payload[..2].to_vec()), Some(1008_u16.to_be_bytes().to_vec()));
    }
    // Nobody else is affected: what they have open still answers.
    for mut socket in others {
        socket.send(Opcode::Ping, b"still there").await;
        loop {
            let frame = socket.frame().await.expect("an open socket");
            assert_ne!(frame.opcode, Opcode::Close);
            if frame.opcode == Opcode::Pong && frame.payload == b"still there" {
                break;
            }
        }
    }
    if let Some(second) = second {
        second.finish().await;
    }
    first.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l9_a_forbid_of_one_person_holds_within_a_second_and_ends_what_is_open_on_sqlite() {
    holds_everywhere(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn l9_a_forbid_of_one_person_holds_within_a_second_on_two_instances_on_postgresql() {
    holds_everywhere(Database::Postgres).await;
}
