//! Sockets: the probes of `w01-raw-websocket-probes.txt` and what the recordings do not show.

use super::client::{AUTH, ask, open, said, talk};
use super::rack;
use crate::upload::Upload;
use crate::wire::frame::{CLOSE, Frame, PING, PONG, write_frame};
use crate::{EXIT_MARKER, Flavour, Seed, SimOptions, SimRack, fill_noise};

const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

fn marker(code: i32) -> String {
    format!("{EXIT_MARKER}{code}\\n")
}

#[tokio::test]
async fn the_handshake_is_checked_before_anything_else() {
    let rack = rack().await;
    let cases = [
        ("Origin: http://rack\r\n", "101"),
        ("Origin: https://RACK\r\n", "101"),
        ("Origin: http://gateway\r\n", "403"),
        ("Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: x\r\n", "101"),
        ("Authorization: Basic bm86bm8=\r\n", "101"),
    ];
    for (headers, status) in cases {
        let (_, head) = open(rack.addr(), EXEC, headers).await;
        assert_eq!(head.second, status, "{headers}");
        assert!(
            head.header("sec-websocket-extensions").is_none()
                && head.header("sec-websocket-protocol").is_none()
        );
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let (status, text) = ask(rack.addr(), "GET", EXEC, upgrade, "").await;
    assert_eq!(status, 400);
    assert!(text.ends_with("13 not found in 'Sec-Websocket-Version' header\n"), "{text}");
    assert_eq!(
        ask(rack.addr(), "GET", EXEC, "Connection: Upgrade\r\nUpgrade: WebSocket\r\n", "").await.0,
        404
    );
}

#[tokio::test]
async fn authentication_comes_after_the_upgrade() {
    let rack = rack().await;
    let (mut client, head) = open(rack.addr(), EXEC, "Command: echo hi\r\n").await;
    assert_eq!(head.second, "101");
    assert_eq!(said(&mut client).await, "ERROR: invalid authentication\\n");
}

#[tokio::test]
async fn commands_come_from_the_query_first() {
    let rack = rack().await;
    let cases = [
        (EXEC.to_owned(), "command: lower\r\n", "sh: lower: not found\\n", 127),
        (format!("{EXEC}?command=echo%20query"), "Command: echo header\r\n", "query\\n", 0),
        (EXEC.replace("/processes/", "%2Fprocesses%2F"), "Command: echo encoded\r\n", "encoded\\n", 0),
        (
            EXEC.replace("myapp-web-7d9f8b6c5-aaaa0", "worker"),
            "Command: hostname\r\n",
            "myapp-worker-7d9f8b6c5-aaaa1\\n",
            0,
        ),
        (EXEC.to_owned(), "Command: printenv DATABASE_PASSWORD\r\n", "s3cr3t-myapp\\n", 0),
        (
            EXEC.to_owned(),
            "Command: info\r\nHeight: 3\r\nTty: false\r\n",
            "tty=false height=3 width=<nil>\\n",
            0,
        ),
    ];
    for (target, headers, output, code) in cases {
        assert_eq!(
            talk(rack.addr(), &target, headers, &[]).await,
            format!("{output}|{}", marker(code)),
            "{target}"
        );
    }
    let said = talk(rack.addr(), EXEC, "", &["whoami\n", "exit 4\n"]).await;
    assert_eq!(said, format!("$ |you said: whoami\\r\\n$ |{}", marker(4)), "without a command it is a shell");
}

#[tokio::test]
async fn ten_megabytes_come_out_whole() {
    let rack = rack().await;
    let (mut client, _) = open(rack.addr(), EXEC, &format!("{AUTH}Command: bytes 10000000\r\n")).await;
    let mut all = Vec::new();
    while let Ok(Some(frame)) = client.wire.frame().await {
        if frame.payload.starts_with(EXIT_MARKER.as_bytes()) {
            break;
        }
        all.extend(frame.payload);
    }
    let mut expected = vec![0; 10_000_000];
    fill_noise(0, &mut expected);
    assert_ne!(expected[0], 0);
    assert_eq!(Upload::whole(&all), Upload::whole(&expected));
}

#[tokio::test]
async fn pings_are_answered_only_while_the_command_reads() {
    let rack = rack().await;
    let ping = Frame { opcode: PING, ..Frame::text("pp").with_mask(true) };
    let (mut client, _) = open(rack.addr(), EXEC, &format!("{AUTH}Command: cat\r\n")).await;
    write_frame(&mut client.writer, &ping).await.unwrap();
    let pong = client.wire.frame().await.unwrap().unwrap();
    assert_eq!((pong.opcode, pong.payload.as_slice()), (PONG, b"pp".as_slice()));
    let close = Frame { opcode: CLOSE, ..Frame::text(1000_u16.to_be_bytes()).with_mask(true) };
    write_frame(&mut client.writer, &close).await.unwrap();
    assert_eq!(client.wire.frame().await.unwrap().unwrap().opcode, CLOSE, "a close is answered by one");
    drop(client);
    let (mut client, _) = open(rack.addr(), EXEC, &format!("{AUTH}Command: sleep 20\r\n")).await;
    write_frame(&mut client.writer, &ping).await.unwrap();
    assert_eq!(said(&mut client).await, marker(0), "no pong while it sleeps");
}

#[tokio::test]
async fn frames_without_a_mask_end_the_connection() {
    let rack = rack().await;
    let (mut client, _) = open(rack.addr(), EXEC, &format!("{AUTH}Command: cat\r\n")).await;
    write_frame(&mut client.writer, &Frame::text("bare")).await.unwrap();
    assert_eq!(said(&mut client).await, "<8:\\x03\\xea>|✂");
}

#[tokio::test]
async fn log_options_are_read() {
    let rack = rack().await;
    let logs = "/apps/myapp/logs";
    let bad = talk(rack.addr(), logs, "Since: zzz\r\n", &[]).await;
    assert_eq!(bad, "ERROR: time: invalid duration \\\"zzz\\\"\\n");
    let ten = talk(rack.addr(), logs, "Follow: false\r\nSince: 5m0s\r\n", &[]).await;
    assert_eq!(ten.split('|').count(), 10);
    let nobody = talk(rack.addr(), "/apps/nosuch/logs", "", &[]).await;
    assert_eq!(nobody, "ERROR: app not found: nosuch\\n");
    let demo = SimRack::start(SimOptions { seed: Seed::Demo, ..SimOptions::for_tests() }).await.unwrap();
    let tail =
        talk(demo.addr(), "/apps/shop/services/worker/logs", "Follow: false\r\nTail: 3\r\n", &[]).await;
    assert_eq!(tail.split('|').count(), 3, "the demo's tails tail");
}

#[tokio::test]
async fn proxies_refuse_the_rack_itself_on_v3_only() {
    let v3 = rack().await;
    let v2 = SimRack::start(SimOptions { flavour: Flavour::V2, ..SimOptions::for_tests() }).await.unwrap();
    for host in ["localhost", "127.0.0.1", "169.254.169.254", "metadata.google.internal", "%5B::1%5D"] {
        let target = format!("/proxy/{host}/80");
        assert_eq!(talk(v3.addr(), &target, "", &["x"]).await, "ERROR: invalid proxy host\\n", "{host}");
        assert_eq!(talk(v2.addr(), &target, "", &["x"]).await, "x|✂", "{host}");
    }
    assert_eq!(talk(v3.addr(), "/proxy/10.0.0.1/5432", "", &["a", "b"]).await, "a|b|✂");
}

#[tokio::test]
async fn a_read_token_may_exec_on_v2_only() {
    for (flavour, expected) in [
        (Flavour::V3, "ERROR: you are unauthorized to access this\\n".to_owned()),
        (Flavour::V2, format!("hi\\n|{}", marker(0))),
    ] {
        let rack = SimRack::start(SimOptions { flavour, ..SimOptions::for_tests() }).await.unwrap();
        let (_, text) =
            super::client::form(rack.addr(), "POST", "/system/jwt/token", "role=read&durationInHour=1").await;
        let token =
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["token"].as_str().unwrap().to_owned();
        let basic = data_encoding::BASE64.encode(format!("jwt:{token}").as_bytes());
        let headers = format!("Authorization: Basic {basic}\r\nCommand: echo hi\r\n");
        let (mut client, _) = open(rack.addr(), EXEC, &headers).await;
        assert_eq!(said(&mut client).await, expected, "{flavour:?}");
    }
}

#[tokio::test]
async fn an_open_socket_is_seen_as_open_until_the_client_goes() {
    let rack = rack().await;
    let (client, _) = open(rack.addr(), EXEC, &format!("{AUTH}Command: cat\r\n")).await;
    let seen = rack.requests().pop().unwrap();
    assert!(seen.open && seen.is_socket && seen.status == Some(101));
    drop(client);
    while rack.requests().pop().unwrap().open {
        tokio::task::yield_now().await;
    }
}
