//! Sockets into the rack: exec, shells, consoles, TCP channels. Bytes pass as they are, the exit code
//! arrives, and a connection that breaks is never mistaken for success.

use std::time::{Duration, Instant};

use gateway_audit::{End, Event, Phase};
use gateway_framing::websocket::Opcode;
use gateway_sim::{Fault, Flavour, SeenRequest, fill_noise};
use gateway_testkit::raw::basic;
use gateway_testkit::socket::Frame;
use gateway_testkit::{RawClient, Socket, TestGateway, eventually};
use gateway_types::{Clock as _, Grant, Principal, Role, RoleSet};

mod broken;

const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
const MARKER: &[u8] = b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:";

async fn exec(gateway: &TestGateway, token: &str, command: &str) -> Socket {
    let headers = [("Command", command), ("Tty", "false")];
    Socket::open(gateway.addr(), EXEC, token, &headers).await.unwrap()
}

/// What a Convox client makes of the frames of a session: its output, and the code it exits with. Without
/// a marker in a frame of its own that is 0.
fn client_view(frames: &[Frame]) -> (Vec<u8>, u8) {
    let (mut output, mut code) = (Vec::new(), 0);
    for frame in frames.iter().filter(|frame| frame.opcode == Opcode::Text) {
        match frame.payload.strip_prefix(MARKER) {
            Some(rest) => {
                let text = std::str::from_utf8(rest).unwrap().strip_suffix('\n').unwrap();
                code = u8::try_from(text.parse::<i32>().unwrap().rem_euclid(256)).unwrap();
            }
            None => output.extend_from_slice(&frame.payload),
        }
    }
    (output, code)
}

/// Checks that the session ended with a reason that holds `reason`, exit code 1 and the end of input.
fn check_told(frames: &[Frame], reason: &str) {
    let [.., error, marker, end] = frames else { panic!("too few frames: {frames:?}") };
    let text = String::from_utf8_lossy(&error.payload);
    assert!(text.starts_with("ERROR: ") && text.ends_with('\n'), "{text:?}");
    assert!(text.contains(reason), "{text:?}");
    assert_eq!((marker.opcode, marker.payload.as_slice()), (Opcode::Text, &[MARKER, b"1\n"].concat()[..]));
    assert_eq!((end.opcode, end.payload.len()), (Opcode::Binary, 0));
    assert_eq!(client_view(frames).1, 1);
}

/// The outcome of the last effect, once it is written.
async fn outcome(gateway: &TestGateway) -> Event {
    outcomes(gateway, 1).await.pop().unwrap()
}

async fn outcomes(gateway: &TestGateway, count: usize) -> Vec<Event> {
    eventually("the outcome", || async {
        let events = gateway.events().await;
        let ends = events.into_iter().map(|(_, event)| event).filter(|event| event.phase == Phase::Outcome);
        let ends: Vec<Event> = ends.collect();
        (ends.len() >= count).then_some(ends)
    })
    .await
}

/// The rack's view of the last socket. The gateway's own reads before it do not count.
fn socket_at_rack(gateway: &TestGateway) -> Option<SeenRequest> {
    gateway.rack.requests().into_iter().rev().find(|seen| seen.is_socket)
}

/// The rack's view of the last socket, once it is closed there.
async fn closed_at_rack(gateway: &TestGateway) -> SeenRequest {
    eventually("the end of the rack's side", || async { socket_at_rack(gateway).filter(|seen| !seen.open) })
        .await
}

#[tokio::test]
async fn exit_codes_arrive_and_are_recorded() {
    let gateway = TestGateway::start().await;
    for (turn, (command, code)) in
        [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("exit -1", 255), ("false", 1)]
            .into_iter()
            .enumerate()
    {
        let mut socket = exec(&gateway, gateway.token(Role::Ops), command).await;
        socket.send(Opcode::Binary, b"").await;
        let frames = socket.until_end().await;
        assert_eq!(client_view(&frames), (Vec::new(), code), "{command}: {frames:?}");
        drop(socket);
        let event = outcomes(&gateway, turn + 1).await.pop().unwrap();
        assert_eq!((event.end, event.status), (Some(End::Completed), Some(101)), "{command}");
        let written = if command == "exit -1" { -1 } else { i32::from(code) };
        assert_eq!(event.reason, Some(format!("exit code {written}")), "{command}");
    }
    let events = gateway.events().await;
    let intent = events.iter().map(|(_, event)| event).find(|event| event.phase == Phase::Intent).unwrap();
    assert_eq!(intent.parameters["Command"], "exit 0");
    assert_eq!(intent.parameters["pid"], "myapp-web-7d9f8b6c5-aaaa0");
    gateway.finish().await;
}

#[tokio::test]
async fn input_of_any_bytes_and_sizes_arrives() {
    let gateway = TestGateway::start().await;
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let mut pieces =
        vec![every_byte, vec![0xff; 1], vec![0; 125], vec![0xc3; 126], b"\r\n%s%n\x1b[31m".to_vec()];
    pieces.extend([65_535, 65_536, 300_000].map(|size| {
        let mut piece = vec![0; size];
        fill_noise(size as u64, &mut piece);
        piece
    }));
    for piece in &pieces {
        socket.send(Opcode::Text, piece).await;
        let echo = socket.frame().await.unwrap();
        assert_eq!(echo.opcode, Opcode::Text);
        assert!(echo.payload == *piece, "a piece of {} bytes came back changed", piece.len());
        // The rack answers signs of life while it reads.
        socket.send(Opcode::Ping, b"alive?").await;
        assert_eq!(
            socket.frame().await.unwrap(),
            Frame { opcode: Opcode::Pong, payload: b"alive?".to_vec() }
        );
    }
    socket.send(Opcode::Binary, b"").await;
    let frames = socket.until_end().await;
    let total: usize = pieces.iter().map(Vec::len).sum();
    assert_eq!(client_view(&frames), (format!("[cat: {total} bytes, err=<nil>]\n").into_bytes(), 0));
    assert_eq!(socket_at_rack(&gateway).unwrap().frames_received, 2 * pieces.len() as u64 + 1);
    drop(socket);
    let event = outcome(&gateway).await;
    assert!(event.bytes_in.unwrap() > total as u64 && event.bytes_out.unwrap() > total as u64);
    gateway.finish().await;
}

#[tokio::test]
async fn fragments_and_masks_pass_as_they_are() {
    let gateway = TestGateway::start().await;
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    // TEXT without FIN, a ping between, CONTINUATION with FIN; each with another mask.
    socket.send_raw(&[0x01, 0x83, 9, 8, 7, 6, b'a' ^ 9, 0xff ^ 8, b'c' ^ 7]).await;
    socket.send_raw(&[0x89, 0x80, 1, 1, 1, 1]).await;
    socket.send_raw(&[0x80, 0x81, 0, 0, 0, 0, b'd']).await;
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(socket.frame().await.unwrap());
    }
    let payloads: Vec<&[u8]> = frames.iter().map(|frame| frame.payload.as_slice()).collect();
    assert_eq!(payloads, [&[b'a', 0xff, b'c'][..], b"", b"d"]);
    // One byte at a time: nothing waits for a frame to be whole, and nothing is lost.
    for byte in [0x82, 0x80, 5, 5, 5, 5] {
        socket.send_raw(&[byte]).await;
    }
    assert_eq!(client_view(&socket.until_end().await).1, 0);
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn input_that_comes_with_the_handshake_is_not_lost() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let mut bytes = format!(
        "GET /api/v1/rack-proxy{EXEC} HTTP/1.1\r\nHost: {0}\r\nAuthorization: {1}\r\nConnection: Upgrade\r\n\
         Origin: http://{0}\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\nSec-WebSocket-Version: 13\r\n\
         Upgrade: websocket\r\nCommand: cat\r\n\r\n",
        gateway.addr(),
        basic(gateway.token(Role::Ops))
    )
    .into_bytes();
    bytes.extend([0x81, 0x85, 0, 0, 0, 0, b'e', b'a', b'r', b'l', b'y', 0x82, 0x80, 0, 0, 0, 0]);
    client.send(&bytes).await;
    assert_eq!(client.reply().await.unwrap().status, 101);
    let mut socket = Socket::from(client);
    let frames = socket.until_end().await;
    assert_eq!(client_view(&frames), (b"early[cat: 5 bytes, err=<nil>]\n".to_vec(), 0));
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn ten_megabytes_of_binary_output_arrive_byte_for_byte() {
    let gateway = TestGateway::start().await;
    let length = 10 * 1024 * 1024;
    let mut socket = exec(&gateway, gateway.token(Role::Ops), &format!("bytes {length}")).await;
    let (output, code) = client_view(&socket.until_end().await);
    let mut expected = vec![0; length];
    fill_noise(0, &mut expected);
    assert!(output == expected, "{} bytes came, or others", output.len());
    assert_eq!(code, 0);
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn fifty_sessions_at_once_do_not_mix() {
    let gateway = TestGateway::start().await;
    let mut sessions = Vec::new();
    for number in 0..50_u64 {
        let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
        sessions.push(tokio::spawn(async move {
            let mut expected = Vec::new();
            for turn in 0..10 {
                let mut piece = vec![0; 1024];
                fill_noise(number * 1_000_000 + turn * 1024, &mut piece);
                socket.send(Opcode::Text, &piece).await;
                assert!(socket.frame().await.unwrap().payload == piece, "session {number}, turn {turn}");
                expected.extend(piece);
            }
            socket.send(Opcode::Binary, b"").await;
            let view = client_view(&socket.until_end().await);
            assert_eq!(view, (b"[cat: 10240 bytes, err=<nil>]\n".to_vec(), 0), "session {number}");
        }));
    }
    for session in sessions {
        session.await.unwrap();
    }
    assert_eq!(outcomes(&gateway, 50).await.len(), 50);
    gateway.finish().await;
}

#[tokio::test]
async fn shells_consoles_and_channels_work() {
    let gateway = TestGateway::start().await;
    let admin = gateway.token(Role::Admin);

    let headers = [("Height", "24"), ("Width", "80")];
    let mut shell = Socket::open(gateway.addr(), "/instances/node-1/shell", admin, &headers).await.unwrap();
    assert_eq!(shell.frame().await.unwrap().payload, b"$ ");
    shell.send(Opcode::Text, b"exit 7\n").await;
    assert_eq!(client_view(&shell.until_end().await), (Vec::new(), 7));

    let path = "/apps/myapp/resources/db/console";
    let mut console = Socket::open(gateway.addr(), path, admin, &headers).await.unwrap();
    assert_eq!(console.frame().await.unwrap().payload, b"$ ");
    console.send(Opcode::Text, b"select 1;\n").await;
    assert_eq!(console.frame().await.unwrap().payload, b"you said: select 1;\r\n$ ");

    let mut channel = Socket::open(gateway.addr(), "/proxy/db.internal/5432", admin, &[]).await.unwrap();
    for size in [1, 1024, 70_000] {
        let mut piece = vec![0; size];
        fill_noise(size as u64, &mut piece);
        channel.send(Opcode::Text, &piece).await;
        assert!(channel.frame().await.unwrap().payload == piece);
    }
    // The end of the client's input ends the whole channel.
    channel.send(Opcode::Binary, b"").await;
    assert_eq!(channel.frame().await, None);
    drop((shell, console));

    let ends = outcomes(&gateway, 3).await;
    let actions: Vec<&str> = ends.iter().map(|event| event.action.as_str()).collect();
    for action in ["convox:instance:shell", "convox:resource:console", "convox:network:proxy"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_socket_that_is_idle_for_hours_lives() {
    let gateway = TestGateway::start().await;
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    for _ in 0..3 {
        gateway.clock.advance(Duration::from_secs(100 * 24 * 3600));
        socket.send(Opcode::Text, b"still here").await;
        assert_eq!(socket.frame().await.unwrap().payload, b"still here");
    }
    socket.send(Opcode::Binary, b"").await;
    assert_eq!(client_view(&socket.until_end().await).1, 0);
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_racks_side() {
    let gateway = TestGateway::start().await;
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    socket.send(Opcode::Text, b"x").await;
    socket.frame().await.unwrap();
    drop(socket);
    closed_at_rack(&gateway).await;
    assert_eq!(outcome(&gateway).await.end, Some(End::AbortedByClient));

    // The same while the rack floods a client that does not read.
    let socket = exec(&gateway, gateway.token(Role::Ops), "flood 1000000").await;
    drop(socket);
    closed_at_rack(&gateway).await;

    // And of logs, where a rack notices nothing by itself.
    let path = "/apps/myapp/logs";
    let mut logs = Socket::open(gateway.addr(), path, gateway.token(Role::Viewer), &[]).await.unwrap();
    logs.frame().await.unwrap();
    drop(logs);
    closed_at_rack(&gateway).await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_rack_answered_closes_the_racks_side() {
    let gateway = TestGateway::start().await;
    gateway.rack.fault_on("/exec", Fault::Hang);
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "GET /api/v1/rack-proxy{EXEC} HTTP/1.1\r\nHost: {0}\r\nAuthorization: {1}\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n\
             Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nCommand: cat\r\n\r\n",
            gateway.addr(),
            basic(gateway.token(Role::Ops))
        ))
        .await;
    eventually("the request at the rack", || async { socket_at_rack(&gateway) }).await;
    drop(client);
    closed_at_rack(&gateway).await;
    assert_eq!(outcome(&gateway).await.end, Some(End::AbortedByClient));
    gateway.finish().await;
}

#[tokio::test]
async fn a_rack_that_is_lost_in_the_middle_gives_exit_code_1() {
    let gateway = TestGateway::start().await;
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    socket.send(Opcode::Text, b"half of the w").await;
    assert_eq!(socket.frame().await.unwrap().payload, b"half of the w");
    gateway.rack.sever();
    check_told(&socket.until_end().await, "the connection to the rack was lost");
    drop(socket);
    let event = outcome(&gateway).await;
    assert_eq!(event.end, Some(End::UpstreamLost));
    assert_eq!(event.reason.as_deref(), Some("the connection to the rack was lost"));

    for (fault, command) in [
        (Fault::DropExec, "bytes 100000"),
        (Fault::DropExec, "exit 0"),
        (Fault::CloseFrame(1000), "exit 0"),
        (Fault::CloseFrame(1011), "exit 0"),
    ] {
        gateway.rack.fault(fault.clone());
        let mut socket = exec(&gateway, gateway.token(Role::Ops), command).await;
        let frames = socket.until_end().await;
        assert!(frames.iter().all(|frame| frame.opcode != Opcode::Close), "{fault:?}: {frames:?}");
        check_told(&frames, "the rack");
    }

    // Logs have no exit code: their end is told by closing.
    let path = "/apps/myapp/logs";
    let mut logs = Socket::open(gateway.addr(), path, gateway.token(Role::Viewer), &[]).await.unwrap();
    logs.frame().await.unwrap();
    gateway.rack.sever();
    let rest = logs.until_end().await;
    assert!(rest.iter().all(|frame| !frame.payload.starts_with(MARKER)));
    gateway.finish().await;
}

#[tokio::test]
async fn a_rack_that_cannot_be_asked_gives_exit_code_1() {
    let gateway = TestGateway::start().await;
    gateway.rack.fault_on("/exec", Fault::CloseBeforeReply);
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    check_told(&socket.until_end().await, "the rack cannot be reached");
    gateway.rack.fault_on("/exec", Fault::Redirect("https://elsewhere.example/".to_owned()));
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    check_told(&socket.until_end().await, "redirect");
    gateway.finish().await;
}

#[tokio::test]
async fn a_session_that_would_bypass_the_gateway_is_stopped() {
    let gateway = TestGateway::builder().flavour(Flavour::V2).start().await;
    let processes = gateway_testkit::RawClient::connect(gateway.addr())
        .await
        .ask("GET", "/apps/myapp/processes", gateway.token(Role::Ops), &[], b"")
        .await
        .json();
    let pid = processes[0]["id"].as_str().unwrap();
    gateway.rack.fault(Fault::SessionBlob);
    let path = format!("/apps/myapp/processes/{pid}/exec");
    let headers = [("Command", "exit 0")];
    let mut socket = Socket::open(gateway.addr(), &path, gateway.token(Role::Ops), &headers).await.unwrap();
    let frames = socket.until_end().await;
    check_told(&frames, "bypass the gateway");
    assert_eq!(frames.len(), 3, "nothing of the session passed: {frames:?}");
    drop(socket);
    assert_eq!(outcome(&gateway).await.end, Some(End::Failed));
    closed_at_rack(&gateway).await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_malformed_frame_of_the_client_reaches_nobody() {
    let gateway = TestGateway::start().await;
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    socket.send(Opcode::Text, b"x").await;
    socket.frame().await.unwrap();
    // Not masked: RFC 6455, section 5.1.
    socket.send_raw(&[0x81, 0x01, b'y']).await;
    let close = socket.frame().await.unwrap();
    assert_eq!((close.opcode, &close.payload[..2]), (Opcode::Close, &1002_u16.to_be_bytes()[..]));
    assert_eq!(socket.frame().await, None);
    let seen = closed_at_rack(&gateway).await;
    assert_eq!((seen.frames_received, seen.frame_bytes_received), (1, 1));
    drop(socket);

    // The same behind a good frame, in one piece and with nothing after it.
    let mut socket = exec(&gateway, gateway.token(Role::Ops), "cat").await;
    socket.send_raw(&[0x81, 0x81, 0, 0, 0, 0, b'z', 0x81, 0x01, b'y']).await;
    let opcodes: Vec<Opcode> = [socket.frame().await, socket.frame().await]
        .into_iter()
        .flatten()
        .map(|frame| frame.opcode)
        .collect();
    assert_eq!(opcodes.last(), Some(&Opcode::Close));
    assert_eq!(closed_at_rack(&gateway).await.frame_bytes_received, 1);
    drop(socket);
    gateway.finish().await;
}

/// Who may go on is asked each 2 s; an open session must end within 5 s of its right.
#[tokio::test]
async fn a_right_that_ends_ends_its_sessions() {
    let gateway = TestGateway::start().await;
    let store = gateway.store().clone();
    let resolve = |credential: String| {
        let store = store.clone();
        let now = gateway.clock.now();
        async move { store.callers().resolve(&credential, now).await.unwrap().principal.clone() }
    };

    let revoked = gateway.new_token(Role::Ops, vec![Grant::everything()]).await;
    let of_locked = gateway.new_token_of(Role::Deployer, Role::Ops, vec![Grant::everything()]).await;
    let (signed_out, demoted) = (gateway.session(Role::Viewer).await, gateway.session(Role::Auditor).await);
    // Only people with a second factor may exec; logs need none.
    let logs = |token: String| async {
        Socket::open(gateway.addr(), "/apps/myapp/logs", &{ token }, &[]).await.unwrap()
    };
    let viewer_too = RoleSet::of(Role::Auditor).with(Role::Viewer);
    let auditor = gateway.person(Role::Auditor);
    let auditor = store.users().set_roles(auditor.id, viewer_too, auditor.version).await.unwrap();

    let mut told = Vec::new();
    for token in [&revoked, &of_locked] {
        let mut socket = exec(&gateway, token, "cat").await;
        socket.send(Opcode::Text, b"x").await;
        socket.frame().await.unwrap();
        told.push(socket);
    }
    // Someone who floods themselves and does not read: the pipe to them is full when the right ends.
    let stuck = exec(&gateway, &revoked, "flood 1000000").await;
    let (mut one, mut other) = (logs(signed_out.clone()).await, logs(demoted.clone()).await);
    one.frame().await.unwrap();
    other.frame().await.unwrap();
    assert_eq!(gateway.rack.requests().iter().filter(|seen| seen.open).count(), 5);

    let Principal::ApiToken { id, .. } = resolve(revoked).await else { panic!("a token") };
    let Principal::User { session, .. } = resolve(signed_out).await else { panic!("a session") };
    let started = Instant::now();
    store.tokens().revoke(id).await.unwrap();
    let deployer = gateway.person(Role::Deployer);
    store.users().set_locked(deployer.id, true, deployer.version).await.unwrap();
    store.sessions().revoke(session).await.unwrap();
    store.users().set_roles(auditor.id, RoleSet::of(Role::Auditor), auditor.version).await.unwrap();

    for mut socket in told {
        check_told(&socket.until_end().await, "no longer valid");
    }
    for logs in [&mut one, &mut other] {
        while logs.frame().await.is_some() {}
    }
    eventually("the end of all sessions at the rack", || async {
        gateway.rack.requests().iter().all(|seen| !seen.open).then_some(())
    })
    .await;
    let took = started.elapsed();
    assert!(took <= Duration::from_secs(5), "the last session ended only after {took:?}");
    drop(stuck);
    let ends = outcomes(&gateway, 3).await;
    assert!(ends.iter().all(|event| event.end == Some(End::Refused)), "{ends:?}");
    gateway.finish().await;
}
