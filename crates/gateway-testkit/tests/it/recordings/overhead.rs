//! What recording costs: how much of a session's throughput, and how much memory of many sessions. The figures are
//! printed (`--nocapture`); the sizes are small unless `RGW_TEST_SIZE` is `full`.
//!
//! The same gateway carries both sessions, one of an app that is recorded and one of an app that is not, so that the
//! ratio is of one machine and one build. A build for tests is slow: figures worth telling are those of
//! `cargo test --release`.

use std::time::Instant;

use gateway_framing::websocket::encode_server_frame;
use gateway_testkit::{StubConnection, StubRack};

use super::*;
use crate::child::Child;

const MARKER: &[u8] = b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:0\n";

/// A frame of what a program may print: lines that are no noise and not all the same.
fn printed(number: u64) -> Vec<u8> {
    let line = |at: u64| {
        format!(
            "{number:08} {:016x} GET /items/{} 200 in 3 ms\r\n",
            at.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            at % 977
        )
    };
    (0..200).map(|at| line(number * 200 + at)).collect::<String>().into_bytes()
}

#[expect(clippy::disallowed_methods, reason = "the size of a test is chosen by whoever runs it")]
fn is_full() -> bool {
    std::env::var("RGW_TEST_SIZE").is_ok_and(|size| size == "full")
}

/// A rack whose execs print as many MiB as their command says, and then rest until they are closed, or end.
async fn rack() -> StubRack {
    let frames: Vec<Vec<u8>> =
        (0..64).map(|number| encode_server_frame(Opcode::Text, &printed(number))).collect();
    StubRack::start(move |mut connection: StubConnection| {
        let frames = frames.clone();
        async move {
            if connection.header("upgrade").is_none() {
                return connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").await;
            }
            let command = connection.header("command").unwrap_or_default().to_owned();
            connection.switch().await;
            if command == "rest" {
                connection.send(&frames[0]).await;
                return connection.until_closed().await;
            }
            let mut left = command.parse::<usize>().unwrap() * 1024 * 1024;
            for frame in frames.iter().cycle() {
                connection.send(frame).await;
                // What is asked for is payload, and a frame of this size has a head of four bytes.
                left = left.saturating_sub(frame.len() - 4);
                if left == 0 {
                    break;
                }
            }
            connection.send(encode_server_frame(Opcode::Text, MARKER)).await;
            connection.send(encode_server_frame(Opcode::Binary, b"")).await;
            connection.until_closed().await;
        }
    })
    .await
}

fn exec_in(app: &str) -> String {
    format!("/apps/{app}/processes/web-1/exec")
}

/// MiB per second of one session.
async fn speed(child: &Child, app: &str, mebibytes: usize) -> f64 {
    let command = mebibytes.to_string();
    let headers = [("Command", command.as_str()), ("Tty", "false")];
    let mut socket =
        Socket::open(child.addr, &exec_in(app), child.token(Role::Admin), &headers).await.unwrap();
    let (began, mut bytes) = (Instant::now(), 0);
    while let Some(frame) = socket.frame().await {
        bytes += frame.payload.len();
        if frame.opcode == Opcode::Binary && frame.payload.is_empty() {
            break;
        }
    }
    assert!(bytes >= mebibytes * 1024 * 1024, "{bytes}");
    bytes as f64 / 1_048_576.0 / began.elapsed().as_secs_f64()
}

#[tokio::test]
async fn what_recording_takes_of_the_throughput() {
    let rack = rack().await;
    let variables = [("RGW_APP_PLAIN_SETTING_RECORDING", "off"), ("RGW_SETTING_RATE_LIMITS", "false")];
    let child = Child::start(Database::Sqlite, (&rack.url(), "secret"), &variables).await;
    let (mebibytes, rounds) = if is_full() { (256, 5) } else { (4, 1) };
    let (mut recorded, mut plain) = (0f64, 0f64);
    for _ in 0..rounds {
        plain = plain.max(speed(&child, "plain", mebibytes).await);
        recorded = recorded.max(speed(&child, "recorded", mebibytes).await);
    }
    println!(
        "one session, best of {rounds} times {mebibytes} MiB: {plain:.1} MiB/s not recorded, {recorded:.1} MiB/s recorded, \
         ratio {:.3}",
        recorded / plain
    );
    // Recording slows a session that could print faster than it is kept; it loses nothing of it.
    let store = child.store().await;
    let list =
        store.recordings().list(&gateway_store::RecordingFilter { limit: 50, ..Default::default() }).await;
    let kept: Vec<_> =
        list.unwrap().items.into_iter().filter(|one| one.app.as_deref() == Some("recorded")).collect();
    assert_eq!(kept.len(), rounds);
    assert!(
        kept.iter().all(|one| one.lost_bytes == 0 && one.plain_bytes >= (mebibytes * 1024 * 1024) as u64)
    );
    store.close().await;
    child.stop();
}

/// How much memory sessions of this app take, in bytes.
async fn memory(app: &str, sessions: usize) -> u64 {
    let rack = rack().await;
    let variables = [
        ("RGW_APP_PLAIN_SETTING_RECORDING", "off"),
        ("RGW_SETTING_RATE_LIMITS", "false"),
        ("DRAIN_TIMEOUT", "1s"),
    ];
    let child = Child::start(Database::Sqlite, (&rack.url(), "secret"), &variables).await;
    let open = || async {
        let headers = [("Command", "rest"), ("Tty", "false")];
        let mut socket =
            Socket::open(child.addr, &exec_in(app), child.token(Role::Admin), &headers).await.unwrap();
        socket.frame().await.expect("what it prints");
        socket
    };
    // What is made once is no session's.
    let first = open().await;
    let before = child.begin_measuring();
    let mut sockets = Vec::new();
    for _ in 0..sessions {
        sockets.push(open().await);
    }
    let took = child.highest_memory().saturating_sub(before);
    drop((first, sockets));
    child.stop();
    took
}

#[tokio::test]
async fn what_many_recorded_sessions_take_of_the_memory() {
    let sessions = if is_full() { 500 } else { 50 };
    let (plain, recorded) = (memory("plain", sessions).await, memory("recorded", sessions).await);
    let mebibytes = |bytes: u64| bytes as f64 / 1_048_576.0;
    println!(
        "{sessions} sessions: {:.1} MiB not recorded, {:.1} MiB recorded",
        mebibytes(plain),
        mebibytes(recorded)
    );
    // 64 MiB more for 500 sessions.
    let most = 64 * 1024 * 1024 * sessions as u64 / 500;
    assert!(recorded.saturating_sub(plain) <= most.max(16 * 1024 * 1024), "{recorded} against {plain}");
}
