//! Services behind the gateway: found by host or prefix, decided, recorded, and asked.

use gateway_testkit::raw::Reply;
use gateway_testkit::stub::StubRack;
use gateway_testkit::{RawClient, TestGateway};
use gateway_types::Role;

/// A service that tells what it was asked.
async fn echo() -> StubRack {
    StubRack::start(|mut connection| async move {
        let told = connection.head.clone();
        let length = told.len();
        connection
            .send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{told}"
            ))
            .await;
    })
    .await
}

async fn ask(gateway: &TestGateway, host: &str, target: &str, role: Option<Role>) -> Reply {
    let credential =
        role.map(|role| format!("Authorization: Bearer {}\r\n", gateway.token(role))).unwrap_or_default();
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{credential}\r\n")).await;
    client.reply().await.expect("a reply")
}

#[tokio::test]
async fn a_server_without_any_auth_code_gets_roles_and_audit_from_one_declaration() {
    let service = echo().await;
    let gateway = TestGateway::builder()
        .file(&format!(
            "[[service]]\nname = \"wiki\"\nhosts = [\"wiki.example.com\"]\nrole = \"ops\"\nupstreams = [{{ url = \"{}\" }}]\n",
            service.url()
        ))
        .start()
        .await;
    assert_eq!(ask(&gateway, "wiki.example.com", "/page", None).await.status, 401);
    assert_eq!(ask(&gateway, "wiki.example.com", "/page", Some(Role::Viewer)).await.status, 403);
    let reply = ask(&gateway, "wiki.example.com", "/%70age?a=1", Some(Role::Admin)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().starts_with("GET /page?a=1 HTTP/1.1\r\n"), "{}", reply.text());
    assert_eq!(ask(&gateway, "wiki.example.com", "/a/..%2fb", Some(Role::Admin)).await.status, 400);
    let events = gateway.events().await;
    assert!(events.iter().any(|(_, event)| event.action.as_str() == "service:wiki:read"));
    gateway.finish().await;
}
