//! How the real client reacts to what a rack says in a socket, with the gateway in between: it must
//! never take a session that broke or was refused for one that succeeded.
//!
//! The client is modelled by [`reaction`], which is first checked against the note `w02` about the
//! real one. Then a scripted rack says each of the same 19 things behind a gateway.

use std::path::Path;

use gateway_framing::websocket::{Opcode, encode_server_frame};
use gateway_testkit::{RawClient, Reply, Socket, StubRack, TestGateway};
use gateway_types::Role;

const MARKER: &str = "F1E49A85-0AD7-4AEF-A618-C249C6E6568D:";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

/// How many bytes the client reads of a frame at once, and looks for the marker in.
const READ_BYTES: usize = 1024;

/// What a socket was answered with, as far as the client looks.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Heard {
    /// Another status than 101.
    Status(u16),
    /// These frames, and then the end or nothing more.
    Frames(Vec<(Opcode, Vec<u8>)>),
}

/// What the client does at last.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Reaction {
    exit: u8,
    out: String,
    err: String,
}

/// What the client makes of what it heard (API.md 2.3, and the function `WebsocketExit` of its SDK).
fn reaction(heard: &Heard) -> Reaction {
    let failed = |out: Vec<u8>, err: &str| Reaction {
        exit: 1,
        out: String::from_utf8_lossy(&out).into_owned(),
        err: format!("ERROR: {err}\n"),
    };
    let frames = match heard {
        Heard::Status(_) => return failed(Vec::new(), "websocket: bad handshake"),
        Heard::Frames(frames) => frames,
    };
    let (mut out, mut code) = (Vec::new(), 0i64);
    // A binary frame, whatever is in it, and a close frame of any code are the end.
    let data = frames.iter().take_while(|(opcode, _)| matches!(opcode, Opcode::Text | Opcode::Continuation));
    for read in data.flat_map(|(_, payload)| payload.chunks(READ_BYTES)) {
        let Some(at) = read.windows(MARKER.len()).position(|window| window == MARKER.as_bytes()) else {
            out.extend_from_slice(read);
            continue;
        };
        let (before, rest) = read.split_at(at);
        out.extend_from_slice(before);
        let number = String::from_utf8_lossy(&rest[MARKER.len()..]).trim().parse();
        match number {
            Ok(number) => code = number,
            Err(_) => return failed(out, "unable to read exit code"),
        }
    }
    // What the operating system keeps of an exit code.
    let exit = u8::try_from(code.rem_euclid(256)).unwrap();
    Reaction { exit, out: String::from_utf8_lossy(&out).into_owned(), err: String::new() }
}

/// What a rack does with an exec.
#[derive(Clone, Debug)]
struct Script {
    /// The name of the case in `w02`.
    name: &'static str,
    answer: Heard,
    /// Frames that are cut in two have no FIN bit in their first half.
    fragmented: bool,
}

fn text(payload: impl Into<Vec<u8>>) -> (Opcode, Vec<u8>) {
    (Opcode::Text, payload.into())
}

fn marker(code: i32) -> String {
    format!("{MARKER}{code}\n")
}

fn end() -> (Opcode, Vec<u8>) {
    (Opcode::Binary, Vec::new())
}

fn close(code: u16) -> (Opcode, Vec<u8>) {
    (Opcode::Close, code.to_be_bytes().to_vec())
}

/// The 19 cases, in the order of the note.
fn scripts() -> Vec<Script> {
    let frames = |name, frames: Vec<(Opcode, Vec<u8>)>| Script {
        name,
        answer: Heard::Frames(frames),
        fragmented: name == "marker-fragmented",
    };
    let status = |name, status| Script { name, answer: Heard::Status(status), fragmented: false };
    let denied = "ERROR: denied by gateway\n";
    let code = marker(3);
    let (half, rest) = code.split_at(20);
    vec![
        status("http-403", 403),
        status("http-302", 302),
        frames("text-then-code", vec![text(denied), text(marker(1)), end()]),
        frames("one-frame", vec![text(format!("{denied}{}", marker(1))), end()]),
        frames("code-then-text-same-frame", vec![text(format!("{}{denied}", marker(1))), end()]),
        frames("code-then-text-two-frames", vec![text(marker(1)), text("ERROR: denied\n"), end()]),
        frames("marker-split-frames", vec![text(half), text(rest), end()]),
        frames("marker-fragmented", vec![text(half), (Opcode::Continuation, rest.into()), end()]),
        frames("close-1000", vec![text("bye\n"), close(1000)]),
        frames("close-1008", vec![text("bye\n"), close(1008)]),
        frames("close-1011", vec![close(1011)]),
        frames("binary-data", vec![(Opcode::Binary, b"data".to_vec()), text(marker(3)), end()]),
        frames("big-then-marker", vec![text("x".repeat(5000)), text(marker(6)), end()]),
        frames("big-boundary", vec![text(format!("{}{}", "x".repeat(1010), marker(6))), end()]),
        frames("drop", vec![]),
        frames("negative", vec![text(marker(-1)), end()]),
        frames("code-137", vec![text(marker(137)), end()]),
        frames("machines-401", vec![text(marker(137)), end()]),
        frames("machines-500", vec![text(marker(137)), end()]),
    ]
}

/// A line of the note: name, exit code, and the beginnings of what was printed, `|` for a line end.
fn note() -> Vec<(String, u8, String, String)> {
    let file = "transcripts/w02-cli-reaction-to-server-framing.txt";
    let note = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    note.lines()
        .map(|line| {
            let (name, rest) = line.split_once("exit=").unwrap();
            let (exit, rest) = rest.split_once("out=").unwrap();
            let (out, err) = rest.split_once("err=").unwrap();
            let lines = |text: &str| text.trim().replace('|', "\n");
            (name.trim().to_owned(), exit.trim().parse().unwrap(), lines(out), lines(err))
        })
        .collect()
}

#[test]
fn the_model_reacts_as_the_real_client_did() {
    let noted = note();
    assert_eq!(noted.len(), 19);
    for (script, (name, exit, out, err)) in scripts().iter().zip(noted) {
        assert_eq!(script.name, name);
        let reaction = reaction(&script.answer);
        assert_eq!((reaction.exit, reaction.err), (exit, err), "{name}");
        if out.starts_with("xxx") {
            // The note shows the beginning only.
            assert!(reaction.out.starts_with(&out), "{name}");
        } else {
            assert_eq!(reaction.out, out, "{name}");
        }
    }
}

/// A rack that follows the script.
async fn scripted_rack(script: Script) -> StubRack {
    StubRack::start(move |mut connection| {
        let script = script.clone();
        async move {
            let frames = match &script.answer {
                Heard::Frames(frames) => frames,
                Heard::Status(status) => {
                    let head = format!(
                        "HTTP/1.1 {status} No\r\nLocation: https://rack.example.test/\r\nContent-Length: 3\r\n\r\nno\n"
                    );
                    return connection.send(head).await;
                }
            };
            connection.switch().await;
            for (opcode, payload) in frames {
                let mut bytes = encode_server_frame(*opcode, payload);
                if script.fragmented && *opcode == Opcode::Text {
                    bytes[0] &= 0x7f;
                }
                connection.send(bytes).await;
            }
            // Nobody closes after the end (API.md 2.3); without one the connection is gone.
            if frames.last() == Some(&end()) {
                connection.until_closed().await;
            }
        }
    })
    .await
}

/// What the client hears through a gateway.
async fn heard(gateway: &TestGateway, role: Role, path: &str) -> Heard {
    let headers = [("Command", "exit 3"), ("Tty", "false")];
    let mut socket = match Socket::open(gateway.addr(), path, gateway.token(role), &headers).await {
        Ok(socket) => socket,
        Err(reply) => return Heard::Status(reply.status),
    };
    socket.send(Opcode::Binary, b"").await;
    let frames = socket.until_end().await;
    Heard::Frames(frames.into_iter().map(|frame| (frame.opcode, frame.payload)).collect())
}

/// What the gateway makes of a case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Passes {
    /// Frame by frame, with the boundaries of the rack.
    Unchanged,
    /// What the rack said, and then a reason, exit code 1 and the end.
    WithReason,
    /// The status.
    Status(u16),
}

const BAD_ANSWER: &str = "the rack answered with a redirect";
const LOST: &str = "the connection to the rack was lost";
const CLOSED: &str = "the rack";

#[tokio::test]
async fn each_case_of_the_note_is_right_through_the_gateway() {
    use Passes::{Status, Unchanged, WithReason};
    let cases = [
        // The rack's own refusal; the client fails.
        ("http-403", Status(403), 1, ""),
        ("http-302", WithReason, 1, BAD_ANSWER),
        ("text-then-code", Unchanged, 1, "ERROR: denied by gateway\n"),
        ("one-frame", Unchanged, 1, "ERROR: denied by gateway\n"),
        ("code-then-text-same-frame", Unchanged, 1, ""),
        ("code-then-text-two-frames", Unchanged, 1, "ERROR: denied\n"),
        // No rack writes its marker so. The client would not find it without a gateway either.
        ("marker-split-frames", Unchanged, 0, MARKER),
        ("marker-fragmented", Unchanged, 0, MARKER),
        // Directly, these five are taken for success.
        ("close-1000", WithReason, 1, CLOSED),
        ("close-1008", WithReason, 1, CLOSED),
        ("close-1011", WithReason, 1, CLOSED),
        ("drop", WithReason, 1, LOST),
        ("binary-data", Unchanged, 0, ""),
        ("big-then-marker", Unchanged, 6, "xxx"),
        ("big-boundary", Unchanged, 0, "xxx"),
        ("negative", Unchanged, 255, ""),
        ("code-137", Unchanged, 137, ""),
        ("machines-401", Unchanged, 137, ""),
        ("machines-500", Unchanged, 137, ""),
    ];
    assert_eq!(cases.len(), scripts().len());
    for script in scripts() {
        let name = script.name;
        let (_, passes, exit, shown) = *cases.iter().find(|case| case.0 == name).unwrap();
        let said = script.answer.clone();
        let rack = scripted_rack(script).await;
        let gateway = TestGateway::builder().env("RACK_HOST", &rack.url()).start().await;
        // Before each socket the client sends this and does not care what comes.
        let mut client = RawClient::connect(gateway.addr()).await;
        let probe = client.ask("GET", "/machines?", gateway.token(Role::Ops), &[], b"").await;
        assert_eq!((probe.status, probe.body.len()), (404, 0), "{name}");
        let heard = heard(&gateway, Role::Ops, EXEC).await;
        let reaction = reaction(&heard);
        assert_eq!(reaction.exit, exit, "{name}: {reaction:?}");
        assert!(reaction.out.contains(shown), "{name}: {reaction:?}");
        match (passes, said, heard) {
            (Unchanged, said, heard) => assert_eq!(heard, said, "{name}"),
            (Status(wanted), _, heard) => assert_eq!(heard, Heard::Status(wanted), "{name}"),
            (WithReason, said, Heard::Frames(frames)) => check_reason(name, &said, &frames),
            (WithReason, _, Heard::Status(status)) => panic!("{name}: {status}"),
        }
        gateway.finish().await;
    }
}

/// The rack's data, then a reason, the code 1 in a frame of its own, and the end.
fn check_reason(name: &str, said: &Heard, frames: &[(Opcode, Vec<u8>)]) {
    let [before @ .., reason, code, last] = frames else { panic!("{name}: {frames:?}") };
    let data = match said {
        Heard::Status(_) => Vec::new(),
        Heard::Frames(said) => {
            said.iter().filter(|(opcode, _)| *opcode == Opcode::Text).cloned().collect::<Vec<_>>()
        }
    };
    assert_eq!(before, data, "{name}");
    let reason = String::from_utf8(reason.1.clone()).unwrap();
    assert!(reason.starts_with("ERROR: ") && reason.ends_with('\n'), "{name}: {reason}");
    assert!(!reason.contains('%'), "{name}: the client uses it as a format: {reason}");
    assert_eq!((code, last), (&text(marker(1)), &end()), "{name}");
}

#[tokio::test]
async fn refused_sessions_exit_with_1_and_say_why() {
    let gateway = TestGateway::start().await;
    let paths = [EXEC, "/instances/node-1/shell", "/apps/myapp/resources/db/console"];
    for path in paths {
        let heard = heard(&gateway, Role::Viewer, path).await;
        let reaction = reaction(&heard);
        assert_eq!((reaction.exit, reaction.err.as_str()), (1, ""), "{path}");
        assert!(reaction.out.starts_with("ERROR: ") && reaction.out.ends_with("]\n"), "{path}: {reaction:?}");
        let Heard::Frames(frames) = heard else { panic!("{path}") };
        check_reason(path, &Heard::Frames(Vec::new()), &frames);
    }
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn refused_logs_are_a_status_so_that_a_deploy_does_not_ask_each_second() {
    let gateway = TestGateway::start().await;
    // Note w03: told in the socket, a deploy asks for the app's log 15 times.
    for path in ["/apps/myapp/logs", "/apps/myapp/services/web/logs", "/system/logs"] {
        assert_eq!(heard(&gateway, Role::Auditor, path).await, Heard::Status(403), "{path}");
    }
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

const HOST: &str = "rack.example.test";

/// One exchange as a client in console mode sends it: on a host of the rack, or below a prefix (note c40).
async fn console(gateway: &TestGateway, prefix: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut client = RawClient::connect(gateway.addr()).await;
    let host = if prefix.is_empty() { HOST.to_owned() } else { gateway.addr().to_string() };
    let mut request = format!(
        "GET {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: convox.go/dev\r\nAccept: */*\r\n\
         Content-Type: application/octet-stream\r\nVersion: dev\r\nAccept-Encoding: gzip\r\n"
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    client.send(request).await;
    client.reply().await.unwrap()
}

#[tokio::test]
async fn console_mode_finds_the_rack_and_uses_it() {
    let gateway = TestGateway::builder().env("PROXY_HOSTS", HOST).start().await;
    let token = gateway_testkit::raw::basic(gateway.token(Role::Viewer));
    for prefix in ["", "/api/v1/rack-proxy"] {
        // c30, c32, c34: the list, with an empty session.
        let headers = [("Authorization", token.as_str()), ("Session", "")];
        let reply = console(&gateway, prefix, "/racks?", &headers).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        let racks = reply.json();
        assert_eq!(
            racks,
            serde_json::json!([{
                "Name": "testrack",
                "Organization": {"Name": "rack-gateway"},
                "Provider": "rack-gateway",
                "Status": "running",
            }])
        );
        assert!(gateway.rack.requests().is_empty());
        // c31, c36: then the rack's API, with the rack's name and perhaps a session.
        let headers =
            [("Authorization", token.as_str()), ("Rack", "rack-gateway/testrack"), ("Session", "sess-123")];
        let reply = console(&gateway, prefix, "/apps?", &headers).await;
        assert_eq!((reply.status, &reply.json()[0]["name"]), (200, &"myapp".into()));
        let seen = gateway.rack.requests();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].header("rack"), seen[0].header("session")), (None, None));
        gateway.rack.clear_requests();
        // c35: `login`. An id is optional; a text that is no JSON is taken for none.
        let reply = console(&gateway, prefix, "/auth?", &[("Authorization", token.as_str())]).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok\n"));
        for path in ["/racks?", "/auth?"] {
            let wrong = gateway_testkit::raw::basic("rgw_wrong");
            for headers in [vec![], vec![("Authorization", wrong.as_str())]] {
                let reply = console(&gateway, prefix, path, &headers).await;
                assert_eq!(reply.status, 401, "{path}");
                assert!(reply.json()["error"].is_string());
            }
        }
        assert!(gateway.rack.requests().is_empty());
    }
    gateway.finish().await;
}
