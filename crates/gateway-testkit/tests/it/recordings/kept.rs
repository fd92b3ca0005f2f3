//! What is kept: what happens when it cannot be, when somebody was at it, when the gateway died, when its time is over.

use std::time::Instant;

use super::*;

async fn without_pieces(gateway: &TestGateway) {
    execute(gateway, "ALTER TABLE recording_chunks RENAME TO away").await;
}

/// Sends something, and reads its echo.
async fn echoed(socket: &mut Socket) {
    socket.send(Opcode::Text, &[b'x'; 1000]).await;
    let mut left = 1000;
    while left > 0 {
        left -= socket.frame().await.expect("an echo").payload.len();
    }
}

async fn with_pieces(gateway: &TestGateway) {
    execute(gateway, "ALTER TABLE away RENAME TO recording_chunks").await;
}

/// H6: `strict` does not begin, and ends; both with a reason that the person sees.
#[tokio::test]
async fn h6_a_strict_session_needs_its_recording() {
    for database in Database::BOTH {
        let gateway = started(database).await;
        let mut socket = exec(&gateway, "cat").await;
        without_pieces(&gateway).await;
        let refused = String::from_utf8(run(&gateway, "echo hi").await).unwrap();
        assert!(refused.starts_with("ERROR: ") && refused.contains("cannot be written"), "{refused}");
        assert!(!refused.contains("\nhi\n"), "{refused}");
        socket.send(Opcode::Text, b"unrecorded").await;
        let seen: Vec<u8> = socket.until_end().await.into_iter().flat_map(|frame| frame.payload).collect();
        let seen = String::from_utf8(seen).unwrap();
        assert!(
            seen.contains("ERROR: the recording of this session cannot be written, so it ends"),
            "{seen}"
        );
        with_pieces(&gateway).await;
        let events = gateway.events().await;
        assert!(!of_action(&events, "gateway:recording:gap").is_empty());
        // The rack heard of the first session only.
        assert_eq!(gateway.rack.requests().iter().filter(|seen| seen.path().ends_with("/exec")).count(), 1);
        gateway.finish().await;
    }
}

/// H6: `best_effort` goes on, and the gap is an event; `off` records nothing and says so in the list.
#[tokio::test]
async fn h6_best_effort_goes_on_with_a_gap_in_the_log() {
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_MFA_STEP_UP", "false")
        .env("RGW_APP_MYAPP_SETTING_RECORDING", "best_effort")
        .start()
        .await;
    let mut socket = exec(&gateway, "cat").await;
    without_pieces(&gateway).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        // By now the writer stands at a piece that it cannot keep, and what it cannot take is lost.
        echoed(&mut socket).await;
    }
    with_pieces(&gateway).await;
    loop {
        echoed(&mut socket).await;
        let events = gateway.events().await;
        if let Some(gap) = of_action(&events, "gateway:recording:gap").first() {
            assert!(gap.parameters["bytes"].parse::<u64>().unwrap() > 0, "{gap:?}");
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no gap is in the log");
    }
    socket.send(Opcode::Binary, b"").await;
    let seen: Vec<u8> = socket.until_end().await.into_iter().flat_map(|frame| frame.payload).collect();
    assert!(String::from_utf8(seen).unwrap().contains("[cat: "));
    drop(socket);
    let listed = newest(&gateway).await;
    let read = recording(&gateway, listed["id"].as_str().unwrap()).await;
    assert_eq!(read.get("fault"), None, "a gap is no damage: {read}");
    assert!(listed["lost_bytes"].as_u64().unwrap() > 0, "{listed}");
    assert!(said(&read, Kind::Marker).contains("bytes were not recorded"), "{read}");
    gateway.finish().await;

    let gateway = TestGateway::builder()
        .env("RGW_SETTING_MFA_STEP_UP", "false")
        .env("RGW_SETTING_RECORDING", "off")
        .start()
        .await;
    run(&gateway, "echo hi").await;
    let auditor = gateway.session(Role::Auditor).await;
    let list = api(&gateway, "GET", "/recordings?all=true", &auditor).await.json();
    assert_eq!(list["items"], Value::Array(Vec::new()));
    gateway.finish().await;
}

#[tokio::test]
async fn what_somebody_did_to_a_recording_is_said() {
    for database in Database::BOTH {
        let gateway = started(database).await;
        run(&gateway, "flood 300").await;
        let listed = newest(&gateway).await;
        let id = listed["id"].as_str().unwrap();
        let pieces = listed["pieces"].as_u64().unwrap();
        assert!(pieces >= 4, "{listed}");
        assert_eq!(recording(&gateway, id).await.get("fault"), None);
        // The end is cut off, and the row says that this was all.
        execute(&gateway, "DELETE FROM recording_chunks WHERE is_last = 1").await;
        execute(&gateway, "UPDATE recordings SET chunks = chunks - 1").await;
        let fault = recording(&gateway, id).await["fault"].as_str().unwrap().to_owned();
        assert_eq!(fault, "pieces that the audit log has are missing");
        execute(&gateway, "DELETE FROM recording_chunks WHERE sequence = 1").await;
        let fault = recording(&gateway, id).await["fault"].as_str().unwrap().to_owned();
        assert_eq!(fault, "piece 1 is missing: piece 2 stands in its place");
        // A piece does not open at another place.
        execute(&gateway, "UPDATE recording_chunks SET sequence = 1 WHERE sequence = 2").await;
        let auditor = gateway.session(Role::Auditor).await;
        let moved = api(&gateway, "GET", &format!("/recordings/{id}"), &auditor).await;
        assert_eq!(moved.status, 500, "{}", moved.text());
        gateway.finish().await;
    }
}

/// A gateway that was killed leaves what was written, and the session is marked as cut when one starts again.
#[tokio::test]
async fn a_session_whose_gateway_died_is_cut_and_readable() {
    for database in Database::BOTH {
        let mut gateway = started(database).await;
        run(&gateway, "echo kept").await;
        let listed = newest(&gateway).await;
        let id = listed["id"].as_str().unwrap().to_owned();
        execute(&gateway, "DELETE FROM recording_chunks WHERE is_last = 1").await;
        execute(
            &gateway,
            "UPDATE recordings SET state = 'live', ended = NULL, run_id = 'gone', chunks = chunks - 1",
        )
        .await;
        gateway.restart().await;
        let read = recording(&gateway, &id).await;
        assert_eq!(read["session"]["state"], "cut", "{read}");
        assert!(cast(&read).starts_with("{\"version\":2,"));
        let events = gateway.events().await;
        assert_eq!(of_action(&events, "gateway:recording:cut")[0].parameters["recording"], id);
        gateway.finish().await;
    }
}

#[tokio::test]
async fn recordings_are_forgotten_after_their_time_and_the_log_says_so() {
    for database in Database::BOTH {
        let mut gateway = started(database).await;
        run(&gateway, "echo old").await;
        let listed = newest(&gateway).await;
        gateway.clock.advance(Duration::from_secs(399 * 24 * 3600));
        gateway.restart().await;
        assert_eq!(
            gateway
                .store()
                .recordings()
                .list(&gateway_store::RecordingFilter { limit: 9, ..Default::default() })
                .await
                .unwrap()
                .items
                .len(),
            1
        );
        gateway.clock.advance(Duration::from_secs(2 * 24 * 3600));
        gateway.restart().await;
        let events = gateway.events().await;
        let pruned = of_action(&events, "gateway:recording:prune");
        assert_eq!(pruned[0].parameters["digest"], listed["digest"].as_str().unwrap());
        assert_eq!(
            gateway
                .store()
                .recordings()
                .list(&gateway_store::RecordingFilter { limit: 9, ..Default::default() })
                .await
                .unwrap()
                .items,
            []
        );
        gateway.finish().await;
    }
}
