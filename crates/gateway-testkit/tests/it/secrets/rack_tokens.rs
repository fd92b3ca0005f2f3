//! Short-lived tokens of the rack in place of its password: of the least role, renewed, minted anew, seen by nobody.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateway_sim::{Fault, Flavour, SeenRequest};
use gateway_testkit::{Authenticator, RawClient, Socket, TestGateway, eventually};
use gateway_types::Role;
use serde_json::{Value, json};

use super::credential::{apps, notes, states};
use super::{ask, get};

const MINT: &str = "/system/jwt/token";

async fn with_tokens() -> TestGateway {
    TestGateway::builder().env("RACK_JWT", "true").start().await
}

/// User and password of a request that reached the rack.
fn signed(seen: &SeenRequest) -> (String, String) {
    let header = seen.header("authorization").expect("a credential").strip_prefix("Basic ").unwrap();
    let text = String::from_utf8(STANDARD.decode(header).unwrap()).unwrap();
    let (user, password) = text.split_once(':').unwrap();
    (user.to_owned(), password.to_owned())
}

/// The role in the token of each request at `path`.
fn roles(gateway: &TestGateway, path: &str) -> Vec<String> {
    let of = gateway.rack.requests().into_iter().filter(|seen| seen.path() == path);
    of.map(|seen| {
        let (user, token) = signed(&seen);
        assert_eq!(user, "jwt", "{}", seen.target);
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["role"].as_str().unwrap().to_owned()
    })
    .collect()
}

/// The forms with which tokens were asked for.
fn minted(gateway: &TestGateway) -> Vec<String> {
    let of = gateway.rack.requests().into_iter().filter(|seen| seen.path() == MINT);
    of.map(|seen| {
        assert_eq!(signed(&seen).1, gateway.rack.password(), "the password mints");
        String::from_utf8(seen.body).unwrap()
    })
    .collect()
}

/// Every token that the rack saw.
fn tokens(gateway: &TestGateway) -> Vec<String> {
    let all = gateway.rack.requests();
    let mut tokens: Vec<_> =
        all.iter().map(signed).filter(|(user, _)| user == "jwt").map(|(_, token)| token).collect();
    tokens.sort();
    tokens.dedup();
    tokens
}

#[tokio::test]
async fn each_request_carries_the_least_role() {
    let gateway = with_tokens().await;
    for _ in 0..3 {
        assert_eq!(apps(&gateway).await, 200);
    }
    assert_eq!(roles(&gateway, "/apps"), ["r", "r", "r"]);
    assert_eq!(minted(&gateway), ["role=read&durationInHour=1"], "one for all");

    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let inline = || format!("{session}.totp.{}", phone.next(&gateway));
    let restart = "/apps/myapp/services/web/restart";
    let reply = ask(&gateway, "POST", restart, &inline(), &Value::Null).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(roles(&gateway, restart), ["rw"]);
    let budget = ask(&gateway, "DELETE", "/apps/myapp/budget", &inline(), &Value::Null).await;
    assert_eq!(budget.status, 200, "{}", budget.text());
    assert_eq!(roles(&gateway, "/apps/myapp/budget"), ["rwa"]);
    let viewer = gateway.token(Role::Viewer);
    let socket = Socket::open(gateway.addr(), "/apps/myapp/logs", viewer, &[]).await.expect("a socket");
    drop(socket);
    assert_eq!(roles(&gateway, "/apps/myapp/logs"), ["r"]);
    let all = ["role=read&durationInHour=1", "role=write&durationInHour=1", "role=admin&durationInHour=1"];
    assert_eq!(minted(&gateway), all);

    // How they stand is shown; they are not, nor is any in what is kept.
    let shown = get(&gateway, "!/api/v1/rack-credential", gateway.token(Role::Admin)).await;
    let standing = shown.json();
    let roles: Vec<_> =
        standing["tokens"]["roles"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert_eq!(roles, [&json!("read"), &json!("write"), &json!("admin")]);
    let kept = format!("{} {:?}", shown.text(), gateway.events().await);
    let tokens = tokens(&gateway);
    assert_eq!(tokens.len(), 3, "read, write, admin");
    for entry in std::fs::read_dir(gateway.directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for token in &tokens {
                assert!(memchr::memmem::find(&bytes, token.as_bytes()).is_none(), "{}", path.display());
            }
        }
    }
    assert!(tokens.iter().all(|token| !kept.contains(token.as_str())));
    gateway.finish().await;
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_minted_anew_when_it_is_refused() {
    let gateway = with_tokens().await;
    assert_eq!(apps(&gateway).await, 200);
    gateway.clock.advance(Duration::from_secs(44 * 60));
    assert_eq!(apps(&gateway).await, 200);
    assert_eq!(minted(&gateway).len(), 1);
    gateway.clock.advance(Duration::from_secs(2 * 60));
    assert_eq!(apps(&gateway).await, 200);
    assert_eq!(minted(&gateway).len(), 2);

    // While none can be minted the present one is used, and asked for again only after a while.
    gateway.clock.advance(Duration::from_secs(46 * 60));
    gateway.rack.fault_on(MINT, Fault::Status(503));
    assert_eq!(apps(&gateway).await, 200);
    assert_eq!(apps(&gateway).await, 200);
    assert_eq!(minted(&gateway).len(), 3);
    gateway.clock.advance(Duration::from_secs(60));
    assert_eq!(apps(&gateway).await, 200);
    assert_eq!(minted(&gateway).len(), 4);

    // Whoever rotates the rack's key cuts every token.
    let host = gateway.rack.addr();
    let rotated = RawClient::connect(host)
        .await
        .ask("PUT", "!/system/jwt/rotate", gateway.rack.password(), &[], b"")
        .await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    gateway.rack.clear_requests();
    assert_eq!(apps(&gateway).await, 200, "once more with another");
    let statuses: Vec<_> = gateway.rack.requests().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(401), Some(200), Some(200)], "refused, minted, done");
    gateway.finish().await;
}

#[tokio::test]
async fn a_rack_that_refuses_is_asked_once_more_and_no_oftener() {
    let gateway = with_tokens().await;
    assert_eq!(apps(&gateway).await, 200);
    gateway.rack.clear_requests();
    gateway.rack.fault_on("/apps", Fault::Status(401));
    gateway.rack.fault_on("/apps", Fault::Status(401));
    assert_eq!(apps(&gateway).await, 502);
    let paths: Vec<_> = gateway.rack.requests().iter().map(|seen| seen.path().to_owned()).collect();
    assert_eq!(paths, ["/apps", MINT, "/apps"]);
    gateway.finish().await;
}

#[tokio::test]
async fn without_a_token_nothing_is_asked_and_an_alarm_says_so() {
    let gateway = with_tokens().await;
    gateway.rack.fault_on(MINT, Fault::Status(404));
    let reply = get(&gateway, "/apps", gateway.token(Role::Viewer)).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert!(
        reply.text().contains("minted no token") && reply.text().contains("RACK_JWT"),
        "{}",
        reply.text()
    );
    assert!(
        gateway.rack.requests().iter().all(|seen| seen.path() != "/apps"),
        "never with the password instead"
    );
    eventually("an alarm", || async {
        notes(&gateway).await.contains("the rack answered 404 when it was asked for a token").then_some(())
    })
    .await;
    assert_eq!(apps(&gateway).await, 200);
    eventually("the end of the alarm", || async {
        (states(&gateway).await == ["cannot_mint_tokens", "mints_tokens_again"]).then_some(())
    })
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn without_the_switch_the_password_is_sent() {
    let gateway = TestGateway::builder().flavour(Flavour::V2).start().await;
    assert_eq!(apps(&gateway).await, 200);
    let requests = gateway.rack.requests();
    assert!(requests.iter().all(|seen| signed(seen).1 == gateway.rack.password()));
    gateway.finish().await;
}
