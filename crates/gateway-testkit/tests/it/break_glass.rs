//! Offline codes for emergencies: made, tried, used by two instances at once, over on time, looked at.

use std::time::Duration;

use gateway_app::break_glass::{self, Asked, Scope, read_codes};
use gateway_app::{NoNotices, Operator};
use gateway_audit::{End, Event};
use gateway_testkit::{Authenticator, Database, RawClient, Reply, Socket, TestGateway, Visitor, eventually};
use gateway_types::{OsEntropy, Role};
use serde_json::{Value, json};

const APP: &str = "/apps/myapp";
const RESTART: &str = "/apps/myapp/services/web/restart";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

async fn send(gateway: &TestGateway, method: &str, path: &str, credential: &str, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/json")];
    let body = body.to_string();
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &headers, body.as_bytes()).await
}

async fn status(gateway: &TestGateway, method: &str, path: &str, credential: &str) -> u16 {
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &[], b"").await.status
}

/// Codes made by whoever sits at the machine of the test.
async fn codes(gateway: &TestGateway, threshold: u32, count: u32) -> Vec<String> {
    let operator = Operator::local("tester", &*gateway.clock, &OsEntropy);
    let instead_of = gateway.store().break_glass().in_force().await.unwrap().map(|set| set.id);
    let made = break_glass::init(gateway.store(), &operator, threshold, count, instead_of).await.unwrap();
    made.1.iter().map(|code| code.expose().clone()).collect()
}

fn asked(codes: &[&String]) -> Value {
    json!({
        "codes": codes,
        "person": "ops@example.com",
        "reason": "the identity provider is down",
        "role": "admin",
    })
}

async fn redeem(gateway: &TestGateway, body: &Value) -> Reply {
    send(gateway, "POST", "!/auth/break-glass", "", body).await
}

async fn events(gateway: &TestGateway, action: &str) -> Vec<Event> {
    gateway.store().audit().flush().await.unwrap();
    let events = gateway.events().await.into_iter().map(|(_, event)| event);
    events.filter(|event| event.action.as_str() == action).collect()
}

#[tokio::test]
async fn enough_codes_get_in_for_half_an_hour_and_are_spent() {
    for database in Database::BOTH {
        // No provider at all: nobody could sign in.
        let gateway = TestGateway::builder().database(database).start().await;
        let codes = codes(&gateway, 2, 4).await;
        let reply = redeem(&gateway, &asked(&[&codes[0], &codes[1].to_lowercase()])).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let secret = reply.json()["secret"].as_str().unwrap().to_owned();
        assert_eq!(reply.json()["expires_in"], 1800);
        let opened = events(&gateway, "gateway:auth:break_glass").await;
        let event = opened.first().expect("an event");
        assert_eq!(event.actor.name, "break-glass:ops@example.com");
        assert_eq!(
            (event.parameters["codes"].as_str(), event.parameters["scope"].as_str()),
            ("1, 2", "the role admin")
        );
        assert_eq!(status(&gateway, "POST", RESTART, &secret).await, 200);
        assert_eq!(status(&gateway, "GET", "!/api/v1/users", &secret).await, 200);
        let done = events(&gateway, "convox:service:restart").await;
        assert_eq!(done[0].actor.name, "break-glass:ops@example.com");
        // It is no person: it makes no token, no codes and no review.
        for (method, path) in
            [("POST", "!/api/v1/tokens"), ("PUT", "!/api/v1/break-glass"), ("PUT", "!/api/v1/trust-rules/x")]
        {
            let reply = send(&gateway, method, path, &secret, &json!({})).await;
            assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text());
        }
        // Spent: neither again nor with another one.
        assert_eq!(redeem(&gateway, &asked(&[&codes[0], &codes[1]])).await.status, 403);
        assert_eq!(redeem(&gateway, &asked(&[&codes[1], &codes[2]])).await.status, 403);
        assert_eq!(gateway.store().break_glass().in_force().await.unwrap().unwrap().left, 2);
        gateway.clock.advance(Duration::from_secs(1800));
        assert_eq!(status(&gateway, "GET", APP, &secret).await, 401);
        gateway.finish().await;
    }
}

#[tokio::test]
async fn what_does_not_break_the_glass() {
    let gateway = TestGateway::start().await;
    assert_eq!(redeem(&gateway, &asked(&[&"0".repeat(25)])).await.status, 409, "nothing is set up");
    let first = codes(&gateway, 3, 5).await;
    let old = codes(&gateway, 2, 2).await;
    let codes = codes(&gateway, 2, 3).await;
    let unknown = "7".repeat(25);
    let with = |name: &str, value: Value| {
        let mut body = asked(&[&codes[0], &codes[1]]);
        body[name] = value;
        body
    };
    let mut without_scope = asked(&[&codes[0], &codes[1]]);
    without_scope.as_object_mut().unwrap().remove("role");
    let mut eve_without_codes = asked(&[&codes[0], &unknown]);
    eve_without_codes["person"] = json!("eve@example.com");
    let cases = [
        ("one code", asked(&[&codes[0]]), 403),
        ("one code twice", asked(&[&codes[0], &codes[0].to_lowercase()]), 403),
        ("one that is none of ours", asked(&[&codes[0], &unknown]), 403),
        ("one of the set before", asked(&[&codes[0], &old[0]]), 403),
        ("one of the first set", asked(&[&codes[0], &first[0]]), 403),
        ("more than it takes", asked(&[&codes[0], &codes[1], &codes[2]]), 403),
        ("no text of a code", asked(&[&codes[0], &"x".to_owned()]), 400),
        ("nobody known", with("person", json!("eve@example.com")), 400),
        ("nobody known, to somebody without codes", eve_without_codes, 403),
        ("no reason", with("reason", json!("because")), 400),
        ("a scope too many", with("app", json!("myapp")), 400),
        ("no scope", without_scope, 400),
        ("a role of machines", with("role", json!("cicd")), 400),
    ];
    for (why, body, expected) in &cases {
        gateway.clock.advance(Duration::from_secs(120));
        let reply = redeem(&gateway, body).await;
        assert_eq!(reply.status, *expected, "{why}: {}", reply.text());
        assert!(!reply.text().contains(codes[0].as_str()), "{why}");
    }
    let left = gateway.store().break_glass().in_force().await.unwrap().unwrap().left;
    assert_eq!(left, 3, "nothing was spent");
    let refused = events(&gateway, "gateway:auth:break_glass").await;
    assert!(refused.iter().all(|event| event.end == Some(End::Refused)), "{refused:?}");
    for event in gateway.events().await {
        let text = serde_json::to_string(&event.1).unwrap();
        assert!(!codes.iter().any(|code| text.contains(code.as_str())), "{text}");
    }
    // Limited by address, not for everybody: a stranger cannot keep the keepers out.
    gateway.clock.advance(Duration::from_secs(3600));
    let mut last = 0;
    for _ in 0..11 {
        last = redeem(&gateway, &asked(&[&codes[0], &unknown])).await.status;
    }
    assert_eq!(last, 429);
    let headers = [("Content-Type", "application/json")];
    let body = asked(&[&codes[0], &codes[1]]).to_string();
    let mut elsewhere = RawClient::connect_from(std::net::Ipv4Addr::new(127, 0, 0, 9), gateway.addr()).await;
    let reply = elsewhere.ask("POST", "!/auth/break-glass", "", &headers, body.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    gateway.finish().await;
}

#[tokio::test]
async fn codes_that_two_instances_get_at_once_are_redeemed_once() {
    let first = TestGateway::builder().database(Database::Postgres).start().await;
    let second = TestGateway::builder().share(&first).start().await;
    let codes = codes(&first, 2, 3).await;
    let tries = (0..20).map(|n| {
        let store = if n % 2 == 0 { first.store().clone() } else { second.store().clone() };
        let clock = first.clock.clone();
        let pair = [codes[n % 3].clone(), codes[(n + 1) % 3].clone()];
        async move {
            let operator = Operator::local("tester", &*clock, &OsEntropy);
            let asked = Asked {
                codes: read_codes(pair.iter().map(String::as_str)).unwrap(),
                person: "admin@example.com".to_owned(),
                reason: "the network is down".to_owned(),
                scope: Scope::App("myapp".to_owned()),
            };
            break_glass::redeem(&store, &NoNotices, &operator, asked).await.ok()
        }
    });
    let opened: Vec<_> = futures_util::future::join_all(tries).await.into_iter().flatten().collect();
    assert_eq!(opened.len(), 1, "each code is good once");
    let secret = opened[0].1.expose();
    // One app and no other, and nothing critical.
    assert_eq!(status(&second, "GET", APP, secret).await, 200);
    assert_eq!(status(&second, "GET", "/apps/another", secret).await, 403);
    assert_eq!(status(&second, "DELETE", APP, secret).await, 403);
    assert_eq!(status(&second, "GET", "!/api/v1/users", secret).await, 403);
    second.finish().await;
    first.finish().await;
}

#[tokio::test]
async fn an_open_socket_ends_with_the_fuse_and_an_admin_looks_at_it() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let with_code = |code: String| format!("{session}.totp.{code}");
    let init = json!({ "threshold": 2, "codes": 5 });
    let bare = send(&gateway, "PUT", "!/api/v1/break-glass", &session, &init).await;
    assert_eq!(bare.status, 401, "it takes a factor for this very thing: {}", bare.text());
    let made = send(&gateway, "PUT", "!/api/v1/break-glass", &with_code(phone.next(&gateway)), &init).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let codes: Vec<String> = serde_json::from_value(made.json()["codes"].clone()).unwrap();
    // Made anew only by somebody who names those in force.
    let again = send(&gateway, "PUT", "!/api/v1/break-glass", &with_code(phone.next(&gateway)), &init).await;
    assert_eq!(again.status, 409, "{}", again.text());
    // A drill shows that they are good, and spends none.
    let drill = json!({ "codes": [codes[0], codes[1], "7".repeat(25)] });
    let drilled =
        send(&gateway, "POST", "!/api/v1/break-glass/drill", &with_code(phone.next(&gateway)), &drill).await;
    assert_eq!(drilled.json(), json!({ "good": [1, 2], "bad": 1, "threshold": 2, "would_do": false }));
    let opened = redeem(&gateway, &asked(&[&codes[0], &codes[1]])).await.json();
    let (secret, id) = (opened["secret"].as_str().unwrap(), opened["use"]["id"].as_str().unwrap());
    let mut socket =
        Socket::open(gateway.addr(), EXEC, secret, &[("command", "bash")]).await.expect("a socket");
    let page = async |gateway: &TestGateway| {
        let mut admin = Visitor::signed_in(gateway, Role::Admin).await;
        admin.get("/app/break-glass").await.text()
    };
    assert!(page(&gateway).await.contains("End it now"));
    let review = json!({ "review": "looked at all of it: one restart, rightly done" });
    let path = format!("!/api/v1/break-glass/{id}/review");
    let early = send(&gateway, "POST", &path, &with_code(phone.next(&gateway)), &review).await;
    assert_eq!(early.status, 409, "{}", early.text());
    gateway.clock.advance(Duration::from_secs(1800));
    let frames = socket.until_end().await;
    let told: Vec<u8> = frames.into_iter().flat_map(|frame| frame.payload).collect();
    assert!(String::from_utf8_lossy(&told).contains("no longer valid"), "the socket is told why it ends");
    eventually("the end is told", || async {
        (!events(&gateway, "gateway:breakglass:ended").await.is_empty()).then_some(())
    })
    .await;
    let session = gateway.session(Role::Admin).await;
    let with_code = |code: String| format!("{session}.totp.{code}");
    let open = RawClient::connect(gateway.addr()).await;
    let mut open = open;
    let listed = open.ask("GET", "!/api/v1/break-glass?open=true", &session, &[], b"").await.json();
    assert_eq!(listed["uses"][0]["state"], "to_review", "{listed}");
    assert!(page(&gateway).await.contains("Close the review"));
    let done = send(&gateway, "POST", &path, &with_code(phone.next(&gateway)), &review).await;
    assert_eq!((done.status, &done.json()["state"]), (200, &json!("closed")), "{}", done.text());
    let twice = send(&gateway, "POST", &path, &with_code(phone.next(&gateway)), &review).await;
    assert_eq!(twice.status, 409);
    gateway.finish().await;
}
