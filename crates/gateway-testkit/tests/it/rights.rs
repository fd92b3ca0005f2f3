//! Nobody becomes more than they are, and what nobody wrote down does not exist.

use gateway_audit::{End, Event};
use gateway_testkit::{Authenticator, RawClient, Reply, TestGateway};
use gateway_types::Role;
use serde_json::{Value, json};

async fn send(gateway: &TestGateway, method: &str, path: &str, credential: &str, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/json"), ("If-Match", "*")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &headers, body.as_bytes()).await
}

#[tokio::test]
async fn l6_nobody_makes_themselves_more_and_the_last_admin_stays() {
    let gateway = TestGateway::start().await;
    let phone = Authenticator::enrol(&gateway, Role::Deployer).await;
    let session = gateway.session(Role::Deployer).await;
    let code = |phone: &Authenticator| format!("{session}.totp.{}", phone.next(&gateway));
    let own = gateway.person(Role::Deployer).id;
    // Their own role, somebody else's, a group's: none of it is a deployer's to write.
    let admin = json!({ "roles": ["admin"] });
    for path in [format!("!/api/v1/users/{own}"), "!/api/v1/groups/devs".to_owned()] {
        let reply = send(&gateway, "PUT", &path, &code(&phone), &admin).await;
        assert_eq!(reply.status, 403, "{path}: {}", reply.text());
    }
    // A token above one's own role.
    for roles in [json!(["admin"]), json!(["auditor"]), json!(["deployer", "auditor"])] {
        let token = json!({ "name": "more", "roles": roles });
        let reply = send(&gateway, "POST", "!/api/v1/tokens", &code(&phone), &token).await;
        assert_eq!(reply.status, 403, "{roles}: {}", reply.text());
    }
    // A trust rule is as good as a token, and codes are as good as a role.
    let rule = json!({
        "kind": "github",
        "claims": { "repository_id": ["1"], "repository": ["a/b"], "ref": ["refs/heads/main"] },
        "roles": ["deployer"],
        "grants": [{ "actions": "convox:*", "apps": ["myapp"] }],
    });
    assert_eq!(send(&gateway, "PUT", "!/api/v1/trust-rules/own", &code(&phone), &rule).await.status, 403);
    let codes = json!({ "threshold": 2, "codes": 2 });
    assert_eq!(send(&gateway, "PUT", "!/api/v1/break-glass", &code(&phone), &codes).await.status, 403);
    // The last admin, by themselves or by their own token with every grant.
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let admin = gateway.person(Role::Admin).id;
    let code = |phone: &Authenticator| format!("{session}.totp.{}", phone.next(&gateway));
    let less = json!({ "roles": ["viewer"] });
    let path = format!("!/api/v1/users/{admin}");
    let demoted = send(&gateway, "PUT", &path, &code(&phone), &less).await;
    assert_eq!(demoted.status, 409, "{}", demoted.text());
    let locked = send(&gateway, "POST", &format!("{path}/lock"), &code(&phone), &json!({})).await;
    assert!(matches!(locked.status, 403 | 409), "{}", locked.text());
    let removed = send(&gateway, "DELETE", &path, &code(&phone), &Value::Null).await;
    assert!(matches!(removed.status, 403 | 409), "{}", removed.text());
    let machine = gateway.critical_token().await;
    let removed = send(&gateway, "DELETE", &path, &machine, &Value::Null).await;
    assert!(matches!(removed.status, 403 | 409), "{}", removed.text());
    let user = gateway.store().users().by_id(admin).await.unwrap().unwrap();
    assert!(user.roles.contains(Role::Admin) && !user.locked);
    gateway.finish().await;
}

#[tokio::test]
async fn l7_what_the_rack_grows_is_refused_until_somebody_writes_it_down() {
    let gateway = TestGateway::start().await;
    let credential = gateway.critical_token().await;
    for (method, path) in [
        ("GET", "/apps/myapp/brand-new"),
        ("PATCH", "/apps/myapp"),
        ("GET", "/v4/apps"),
        ("POST", "/system/new-thing"),
    ] {
        let reply = send(&gateway, method, path, &credential, &Value::Null).await;
        assert!(matches!(reply.status, 404 | 405), "{method} {path}: {}", reply.text());
    }
    assert!(gateway.rack.requests().is_empty(), "the rack saw none of it");
    // The log is the alert: what is new is there as what nobody knows, refused, with its path.
    let unknown = |(_, event): &(u64, Event)| {
        event.action.as_str() == "gateway:request:unknown" && event.end == Some(End::Refused)
    };
    let events = gateway.events().await;
    assert!(events.iter().any(unknown), "{events:?}");
    gateway.finish().await;
}
