//! The shortest ways through: one request of each kind.

use gateway_audit::{End, Phase};
use gateway_framing::websocket::Opcode;
use gateway_testkit::{RawClient, Socket, TestGateway};
use gateway_types::Role;

#[tokio::test]
async fn a_read_passes_and_is_recorded() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply = client.ask("GET", "/apps?", gateway.token(Role::Viewer), &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains("myapp"));
    let seen = gateway.rack.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target, "/apps");
    let events = gateway.events().await;
    let (_, event) = events.iter().find(|(_, event)| event.action.as_str() == "convox:app:list").unwrap();
    assert_eq!((event.phase, event.status, event.end), (Phase::Single, Some(200), Some(End::Completed)));
    assert_eq!(event.bytes_out, Some(reply.body.len() as u64));
    gateway.finish().await;
}

#[tokio::test]
async fn a_wrong_role_is_refused_with_a_reason_before_the_rack_sees_anything() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply =
        client.ask("POST", "/apps/myapp/services/web/restart", gateway.token(Role::Viewer), &[], b"").await;
    assert_eq!(reply.status, 403);
    let problem = reply.json();
    assert_eq!(problem["layer"], "authorization");
    assert_eq!(problem["remedies"][0]["kind"], "role");
    assert!(gateway.rack.requests().is_empty());
    let request: gateway_types::RequestId = problem["instance"].as_str().unwrap().parse().unwrap();
    gateway.store().audit().flush().await.unwrap();
    let events = gateway.store().events().by_request(request).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1.end, Some(End::Refused));
    gateway.finish().await;
}

#[tokio::test]
async fn a_change_has_its_intent_and_its_outcome() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply =
        client.ask("POST", "/apps/myapp/services/web/restart", gateway.token(Role::Ops), &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.header("audit-receipt").is_some());
    let events = gateway.events().await;
    let intent = events.iter().find(|(_, event)| event.phase == Phase::Intent).unwrap();
    let outcome = events.iter().find(|(_, event)| event.phase == Phase::Outcome).unwrap();
    assert_eq!(outcome.1.intent, Some(intent.0));
    assert_eq!(outcome.1.status, Some(200));
    gateway.finish().await;
}

#[tokio::test]
async fn exec_relays_frames_and_the_exit_code() {
    let gateway = TestGateway::start().await;
    let path = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
    let headers = [("Command", "exit 3"), ("Tty", "false")];
    let mut socket = Socket::open(gateway.addr(), path, gateway.token(Role::Ops), &headers).await.unwrap();
    socket.send(Opcode::Binary, b"").await;
    let frames = socket.until_end().await;
    assert_eq!(frames[0].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:3\n");
    drop(socket);
    gateway.finish().await;
}

#[tokio::test]
async fn a_refused_exec_says_why_and_exits_with_1() {
    let gateway = TestGateway::start().await;
    let path = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
    let headers = [("Command", "exit 3")];
    let mut socket = Socket::open(gateway.addr(), path, gateway.token(Role::Viewer), &headers).await.unwrap();
    let frames = socket.until_end().await;
    assert!(frames[0].payload.starts_with(b"ERROR: "), "{frames:?}");
    assert_eq!(frames[1].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n");
    assert_eq!((frames[2].opcode, frames[2].payload.len()), (Opcode::Binary, 0));
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn a_credential_that_floods_is_told_to_wait_and_others_are_not() {
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_RATE_LIMITS", "on")
        .env("REQUESTS_PER_SECOND", "1")
        .env("REQUEST_BURST", "3")
        .start()
        .await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let mut replies = Vec::new();
    for _ in 0..8 {
        replies.push(client.ask("GET", "/apps?", gateway.token(Role::Viewer), &[], b"").await);
    }
    let refused = replies.iter().find(|reply| reply.status == 429).expect("a refusal within eight requests");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(refused.json()["layer"], "network");
    let other = client.ask("GET", "/apps?", gateway.token(Role::Ops), &[], b"").await;
    assert_eq!(other.status, 200);
    gateway.finish().await;
}

/// `convox apps params set` compares what it reads back with what it sent (ADR 0003).
#[tokio::test]
async fn an_app_parameter_is_shown_to_its_writer_and_hidden_from_others() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let writer = gateway.token(Role::Deployer);
    let reply = client.ask("PUT", "/apps/myapp", writer, &form, b"parameters=Foo%3Dbarbar").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = client.ask("GET", "/apps/myapp?", writer, &[], b"").await.json();
    assert_eq!(shown["parameters"]["Foo"], "barbar");
    let other = client.ask("GET", "/apps/myapp?", gateway.token(Role::Admin), &[], b"").await.json();
    assert!(other["parameters"]["Foo"].as_str().unwrap().starts_with("rgw-hidden-"), "{other}");
    gateway.finish().await;
}
