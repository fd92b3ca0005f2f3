//! WebSockets and long replies of services: opened only after the service opened its side, relayed as frames, and
//! ended with a reason.

use gateway_audit::End;
use gateway_framing::websocket::{Opcode, encode_client_frame, encode_server_frame};
use gateway_testkit::raw::Reply;
use gateway_testkit::{RawClient, Socket, StubConnection, StubRack, TestGateway, eventually};
use gateway_types::Role;

const HOST: &str = "app.example.com";

async fn gateway(service: &StubRack) -> TestGateway {
    TestGateway::builder()
        .env("DRAIN_TIMEOUT", "1s")
        .file(&format!(
            "[[service]]\nname = \"app\"\nhosts = [\"{HOST}\"]\nwebsocket = true\nupstreams = [{{ url = \"{}\" }}]\n",
            service.url()
        ))
        .start()
        .await
}

/// A service that opens each socket and answers each frame with its own masked bytes unmasked.
async fn echo() -> StubRack {
    StubRack::start(|mut connection: StubConnection| async move {
        connection.switch().await;
        let told = connection.head.clone();
        connection.send(encode_server_frame(Opcode::Text, told.as_bytes())).await;
        connection.until_closed().await;
    })
    .await
}

fn upgrade(credential: &str, lines: &str) -> String {
    format!(
        "GET /live?x=1 HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {credential}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n{lines}\r\n"
    )
}

async fn open(gateway: &TestGateway, credential: &str, lines: &str) -> Result<(Reply, Socket), Reply> {
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(upgrade(credential, lines)).await;
    let reply = client.reply().await.expect("a reply");
    if reply.status == 101 { Ok((reply, Socket::from(client))) } else { Err(reply) }
}

/// The end of the socket's event, once it is there.
async fn outcome(gateway: &TestGateway) -> gateway_audit::Event {
    eventually("the outcome of the socket", || async {
        let events = gateway.events().await;
        events.into_iter().map(|(_, event)| event).find(|event| {
            event.action.as_str() == "service:app:socket" && event.end.is_some() && event.status == Some(101)
        })
    })
    .await
}

#[tokio::test]
async fn a_socket_is_opened_decided_recorded_and_counted() {
    let service = echo().await;
    let gateway = gateway(&service).await;
    let lines = "Origin: https://app.example.com\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                 Sec-WebSocket-Protocol: graphql-ws, chat\r\nX-Gateway-User: mallory\r\n";
    let (reply, mut socket) = open(&gateway, gateway.token(Role::Deployer), lines).await.expect("a socket");
    assert_eq!(reply.header("sec-websocket-accept"), Some("34A8oBikP4xbixRWRZm/FuZaHZA="));
    assert_eq!(reply.header("sec-websocket-extensions"), None);
    assert_eq!(reply.header("sec-websocket-protocol"), None, "the service chose none");
    assert!(reply.header("audit-receipt").is_some(), "its intent is durable");
    let head = socket.frame().await.expect("the service's first frame").payload;
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("get /live?x=1 http/1.1\r\n"), "{head}");
    assert!(head.contains("sec-websocket-protocol: graphql-ws, chat\r\n"), "{head}");
    assert!(!head.contains("extensions") && !head.contains("mallory"), "{head}");
    assert!(!head.contains("xyfruihde2gj8fwbp"), "the key is the gateway's own: {head}");
    assert!(!head.contains(&gateway.token(Role::Deployer).to_ascii_lowercase()), "{head}");
    // An empty binary message is a message like any other, and so is one of many frames.
    socket.send(Opcode::Binary, b"").await;
    socket.send(Opcode::Close, b"\x03\xe8").await;
    drop(socket);
    let event = outcome(&gateway).await;
    assert_eq!((event.end, event.bytes_in), (Some(End::Completed), Some(6 + 8)), "{event:?}");
    assert_eq!(event.bytes_out, Some(head.len() as u64 + 4), "{event:?}");
    gateway.finish().await;
}

#[tokio::test]
async fn frames_pass_as_they_are_and_an_empty_message_ends_nothing() {
    let service = StubRack::start(|mut connection: StubConnection| async move {
        connection.switch().await;
        connection.send(encode_server_frame(Opcode::Binary, b"")).await;
        connection.send(encode_server_frame(Opcode::Text, b"\0looks like a session blob of a rack")).await;
        connection.send([0x01, 0x02, b'a', b'b']).await;
        connection.send(encode_server_frame(Opcode::Ping, b"between")).await;
        connection.send([0x80, 0x01, b'c']).await;
        connection.until_closed().await;
    })
    .await;
    let gateway = gateway(&service).await;
    let (_, mut socket) = open(&gateway, gateway.token(Role::Admin), "").await.expect("a socket");
    let mut told = Vec::new();
    for _ in 0..5 {
        let frame = socket.frame().await.expect("a frame");
        told.push((frame.opcode, String::from_utf8(frame.payload).unwrap()));
    }
    assert_eq!(
        told,
        [
            (Opcode::Binary, String::new()),
            (Opcode::Text, "\0looks like a session blob of a rack".to_owned()),
            (Opcode::Text, "ab".to_owned()),
            (Opcode::Ping, "between".to_owned()),
            (Opcode::Continuation, "c".to_owned()),
        ]
    );
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn h4_an_answer_to_another_question_opens_nothing() {
    for answer in [
        "Sec-WebSocket-Accept: 34A8oBikP4xbixRWRZm/FuZaHZA=\r\n",
        "",
        "ACCEPT\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        "ACCEPT\r\nSec-WebSocket-Protocol: other\r\n",
        "ACCEPT\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n",
    ] {
        let service = StubRack::start(move |mut connection: StubConnection| async move {
            let key = connection.header("sec-websocket-key").unwrap_or_default().to_owned();
            let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
            let answer = answer.replace("ACCEPT", &format!("Sec-WebSocket-Accept: {accept}"));
            connection
                .send(format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{answer}\r\n"))
                .await;
            connection.until_closed().await;
        })
        .await;
        let gateway = gateway(&service).await;
        let reply = open(&gateway, gateway.token(Role::Admin), "Sec-WebSocket-Protocol: chat\r\n").await;
        let refused = reply.err().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(refused.status, 502, "{answer} {}", refused.text());
        gateway.finish().await;
    }
}

#[tokio::test]
async fn c5_early_bytes_wait_for_the_101_and_a_no_ends_the_connection() {
    let service = StubRack::start(|mut connection: StubConnection| async move {
        connection
            .send("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno")
            .await;
        connection.until_closed().await;
        assert!(connection.rest.is_empty(), "nothing came behind the head");
    })
    .await;
    let gateway = gateway(&service).await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    client.send(format!("{}{smuggled}", upgrade(gateway.token(Role::Admin), ""))).await;
    let reply = client.reply().await.expect("a reply");
    assert_eq!((reply.status, reply.text().as_str()), (403, "no"));
    assert!(client.is_closed().await);
    gateway.finish().await;
}

#[tokio::test]
async fn h1_only_the_services_own_pages_open_its_sockets() {
    let service = echo().await;
    let gateway = gateway(&service).await;
    for lines in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: https://other.app.example.com\r\n",
        "User-Agent: Mozilla/5.0\r\n",
    ] {
        let refused = open(&gateway, gateway.token(Role::Admin), lines).await.err();
        assert_eq!(refused.map(|reply| reply.status), Some(403), "{lines}");
    }
    let refused = open(&gateway, "rgw_unknown", "").await.expect_err("a refusal");
    assert_eq!(refused.status, 401);
    gateway.finish().await;
}

#[tokio::test]
async fn e2_a_revoked_caller_is_told_1008_and_a_stop_1001() {
    let service = echo().await;
    let gateway = gateway(&service).await;
    let session = gateway.session(Role::Deployer).await;
    let (_, mut socket) = open(&gateway, &session, "").await.expect("a socket");
    socket.frame().await.expect("the service's first frame");
    let deployer = gateway.person(Role::Deployer).id;
    let sessions = gateway.store().sessions();
    sessions.revoke_all(deployer).await.expect("a revocation");
    let frame = socket.frame().await.expect("a close");
    assert_eq!((frame.opcode, &frame.payload[..2]), (Opcode::Close, &1008u16.to_be_bytes()[..]));
    assert!(String::from_utf8_lossy(&frame.payload[2..]).contains("no longer valid"));
    assert!(socket.frame().await.is_none());
    assert_eq!(outcome(&gateway).await.end, Some(End::Refused));

    let (_, mut socket) = open(&gateway, gateway.token(Role::Admin), "").await.expect("a socket");
    socket.frame().await.expect("the service's first frame");
    let stopping = tokio::spawn(gateway.finish());
    let frame = socket.frame().await.expect("a close");
    assert_eq!((frame.opcode, &frame.payload[..2]), (Opcode::Close, &1001u16.to_be_bytes()[..]));
    stopping.await.expect("a stop");
}

#[tokio::test]
async fn a_service_that_breaks_off_is_told_1011_at_a_frame_boundary() {
    let service = StubRack::start(|mut connection: StubConnection| async move {
        connection.switch().await;
        let frame = encode_server_frame(Opcode::Text, &[b'x'; 1000]);
        connection.send(&frame[..20]).await;
    })
    .await;
    let gateway = gateway(&service).await;
    let (_, mut socket) = open(&gateway, gateway.token(Role::Admin), "").await.expect("a socket");
    assert_eq!(socket.frame().await.expect("the frame, filled up").payload.len(), 1000);
    let frame = socket.frame().await.expect("a close");
    assert_eq!((frame.opcode, &frame.payload[..2]), (Opcode::Close, &1011u16.to_be_bytes()[..]));
    assert_eq!(outcome(&gateway).await.end, Some(End::UpstreamLost));
    gateway.finish().await;
}

#[tokio::test]
async fn h4_frames_that_break_a_rule_do_not_pass() {
    let service = StubRack::start(|mut connection: StubConnection| async move {
        connection.switch().await;
        connection.until_closed().await;
        assert_eq!(connection.rest, encode_client_frame(Opcode::Text, b"good", [1, 2, 3, 4]));
    })
    .await;
    let gateway = gateway(&service).await;
    let bad: [(&[u8], u16); 3] = [
        (b"\x81\x01x", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    ];
    for (bytes, code) in bad {
        let (_, mut socket) = open(&gateway, gateway.token(Role::Admin), "").await.expect("a socket");
        socket.send(Opcode::Text, b"good").await;
        socket.send_raw(bytes).await;
        let frame = socket.frame().await.expect("a close");
        assert_eq!((frame.opcode, &frame.payload[..2]), (Opcode::Close, &code.to_be_bytes()[..]));
    }
    gateway.finish().await;
}

#[tokio::test]
async fn an_event_stream_passes_at_once_and_ends_with_the_callers_right() {
    let service = StubRack::start(|mut connection: StubConnection| async move {
        connection
            .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        connection.send("d\r\ndata: first\n\n\r\n").await;
        connection.until_closed().await;
    })
    .await;
    let gateway = gateway(&service).await;
    let session = gateway.session(Role::Deployer).await;
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "GET /events HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {session}\r\nAccept: text/event-stream\r\n\r\n"
        ))
        .await;
    let (mut stream, mut got) = client.into_parts();
    let read = async |stream: &mut tokio::net::TcpStream, got: &mut Vec<u8>| {
        let reading = tokio::io::AsyncReadExt::read_buf(stream, got);
        tokio::time::timeout(std::time::Duration::from_secs(20), reading).await.expect("in time").unwrap_or(0)
    };
    while !String::from_utf8_lossy(&got).contains("data: first\n\n") {
        assert!(read(&mut stream, &mut got).await > 0, "{}", String::from_utf8_lossy(&got));
    }
    gateway.store().sessions().revoke_all(gateway.person(Role::Deployer).id).await.expect("a revocation");
    while read(&mut stream, &mut got).await > 0 {}
    assert!(!got.ends_with(b"0\r\n\r\n"), "a stream that was cut does not look finished");
    gateway.finish().await;
}

#[tokio::test]
async fn an_instance_that_is_silent_about_a_socket_is_given_up() {
    let service = StubRack::start(|mut connection: StubConnection| async move {
        connection.until_closed().await;
    })
    .await;
    let gateway = TestGateway::builder()
        .file(&format!(
            "[[service]]\nname = \"app\"\nhosts = [\"{HOST}\"]\nwebsocket = true\nreply_timeout = \"1s\"\nupstreams = [{{ url = \"{}\" }}]\n",
            service.url()
        ))
        .start()
        .await;
    let Err(refused) = open(&gateway, gateway.token(Role::Admin), "").await else {
        panic!("a silent instance opened a socket");
    };
    assert_eq!(refused.status, 504, "{}", refused.text());
    gateway.finish().await;
}

/// RFC 6455, section 4.2.1.
#[tokio::test]
async fn a_socket_is_asked_for_in_any_case() {
    let service = echo().await;
    let gateway = gateway(&service).await;
    let asked = upgrade(gateway.token(Role::Admin), "").replace("Upgrade: websocket", "Upgrade: WebSocket");
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(asked).await;
    assert_eq!(client.reply().await.expect("a reply").status, 101);
    let mut socket = Socket::from(client);
    let head = String::from_utf8(socket.frame().await.expect("the head").payload).unwrap();
    assert!(head.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n"), "{head}");
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn a_service_without_sockets_says_so_and_is_not_asked() {
    let service = echo().await;
    let gateway = TestGateway::builder()
        .file(&format!(
            "[[service]]\nname = \"app\"\nhosts = [\"{HOST}\"]\nwebsocket = false\nupstreams = [{{ url = \"{}\" }}]\n",
            service.url()
        ))
        .start()
        .await;
    // The service would have opened it.
    let refused = open(&gateway, gateway.token(Role::Admin), "").await.expect_err("a refusal");
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert_eq!(refused.json()["detail"].as_str(), Some("the service opens no WebSockets here"));
    gateway.finish().await;
}
