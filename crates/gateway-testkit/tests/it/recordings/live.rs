//! Sessions that go on: listed on every instance, and ended from any, with a reason that their person sees.

use std::time::Instant;

use super::*;

async fn only_live(gateway: &TestGateway) -> Value {
    let ops = gateway.session(Role::Ops).await;
    let live = api(gateway, "GET", "/live", &ops).await;
    assert_eq!(live.status, 200, "{}", live.text());
    let items = live.json()["items"].clone();
    assert_eq!(items.as_array().unwrap().len(), 1, "{items}");
    items[0].clone()
}

#[tokio::test]
async fn a_live_session_is_seen_and_ended_from_another_instance() {
    for database in Database::BOTH {
        let first = started(database).await;
        let second = match database {
            Database::Sqlite => None,
            Database::Postgres => {
                let builder = TestGateway::builder().share(&first).env("RGW_SETTING_MFA_STEP_UP", "false");
                Some(builder.start().await)
            }
        };
        let other = second.as_ref().unwrap_or(&first);
        let mut socket = exec(&first, "cat").await;
        socket.send(Opcode::Text, b"before").await;
        assert_eq!(socket.frame().await.unwrap().payload, b"before");
        let live = only_live(other).await;
        assert_eq!((live["state"].as_str(), live["command"].as_str()), (Some("live"), Some("cat")), "{live}");
        let id = live["id"].as_str().unwrap().to_owned();
        let (viewer, ops) = (other.session(Role::Viewer).await, other.session(Role::Ops).await);
        assert_eq!(api(other, "GET", "/live", &viewer).await.status, 403);
        let end = |reason: &str| format!("/live/{id}?reason={reason}");
        assert_eq!(api(other, "DELETE", &end("x"), &viewer).await.status, 403);
        for bad in ["", "%20", "a%0Ab", "%1B%5B2J"] {
            assert_eq!(api(other, "DELETE", &end(bad), &ops).await.status, 400, "{bad:?}");
        }
        let began = Instant::now();
        let ended = api(other, "DELETE", &end("the%20incident%20is%20over"), &ops).await;
        assert_eq!(ended.status, 204, "{}", ended.text());
        let seen: Vec<u8> = socket.until_end().await.into_iter().flat_map(|frame| frame.payload).collect();
        let seen = String::from_utf8(seen).unwrap();
        assert!(seen.contains("ERROR: ops@example.com ended this session: the incident is over\n"), "{seen}");
        assert!(seen.contains("F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n"), "{seen}");
        assert!(began.elapsed() <= Duration::from_secs(5), "{:?}", began.elapsed());
        let listed = newest(&first).await;
        assert_eq!(listed["ending"], "ops@example.com ended this session: the incident is over");
        assert!(matches!(api(other, "DELETE", &end("again"), &ops).await.status, 409 | 422));
        let events = first.events().await;
        let end = of_action(&events, "gateway:live:end");
        assert!(end.iter().any(|event| event.reason.as_deref() == Some("the incident is over")));
        if let Some(second) = second {
            second.finish().await;
        }
        first.finish().await;
    }
}

/// A TCP channel is no terminal: its bytes are counted and summed, both ways.
#[tokio::test]
async fn h7_a_channel_is_recorded_by_its_sums() {
    let gateway = started(Database::Sqlite).await;
    let path = "/proxy/db.internal/5432";
    let mut socket = Socket::open(gateway.addr(), path, gateway.token(Role::Admin), &[]).await.unwrap();
    socket.send(Opcode::Text, b"SELECT 1").await;
    let answer = socket.frame().await.expect("an answer").payload;
    drop(socket);
    let end = eventually("the end of the channel", || async {
        let events = gateway.events().await;
        of_action(&events, "gateway:recording:end").first().map(|event| (*event).clone())
    })
    .await;
    assert_eq!(end.parameters["sent_bytes"], "8");
    assert_eq!(end.parameters["sent_sha256"], Digest::of(b"SELECT 1").to_string());
    assert_eq!(end.parameters["received_sha256"], Digest::of(&answer).to_string());
    assert_eq!(end.parameters["received_bytes"], answer.len().to_string());
    gateway.finish().await;
}

/// H7: files are copied as transfers, with sums in the log.
#[tokio::test]
async fn h7_files_are_recorded_by_their_sums() {
    let gateway = started(Database::Sqlite).await;
    let files = EXEC.replace("/exec", "/files");
    let path = format!("{files}?tar-extra=x");
    let ops = gateway.token(Role::Ops);
    let body = b"not quite a tar";
    let reply = RawClient::connect(gateway.addr()).await.ask("POST", &path, ops, &[], body).await;
    let events = gateway.events().await;
    let outcomes = of_action(&events, "convox:file:write");
    let outcome = outcomes.last().unwrap_or_else(|| panic!("{}", reply.text()));
    assert_eq!(outcome.parameters["sent_sha256"], Digest::of(body).to_string(), "{outcome:?}");
    assert_eq!(outcome.parameters["sent_bytes"], body.len().to_string());
    assert_eq!(outcome.parameters["received_sha256"], Digest::of(reply.text().as_bytes()).to_string());
    gateway.finish().await;
}
