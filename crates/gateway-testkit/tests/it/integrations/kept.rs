//! Credentials that an admin gives while the gateway runs: given, tried, exchanged and taken away, and never seen again.

use std::time::Duration;

use gateway_testkit::{Authenticator, Database, RawClient, Reply, TestGateway, Visitor};
use gateway_types::Role;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::hub::Hub;

const CANARY: &str = "ghp_canary-that-nobody-sees";

struct Desk {
    gateway: TestGateway,
    phone: Authenticator,
    session: String,
}

impl Desk {
    async fn ask(&self, method: &str, path: &str, fresh: bool, version: &str, body: &str) -> Reply {
        let code = fresh.then(|| self.phone.next(&self.gateway));
        let credential =
            code.map_or_else(|| self.session.clone(), |code| format!("{}.totp.{code}", self.session));
        let headers = [("Content-Type", "application/json"), ("If-Match", version)];
        let headers = if method == "POST" { &headers[..0] } else { &headers[..] };
        let path = format!("!/api/v1/integrations{path}");
        let mut client = RawClient::connect(self.gateway.addr()).await;
        client.ask(method, &path, &credential, headers, body.as_bytes()).await
    }

    async fn one(&self, kind: &str) -> Value {
        let path = "!/api/v1/integrations";
        let mut client = RawClient::connect(self.gateway.addr()).await;
        let reply = client.ask("GET", path, &self.session, &[], b"").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(!reply.text().contains("canary"), "{}", reply.text());
        let all = reply.json();
        all["items"].as_array().unwrap().iter().find(|one| one["kind"] == kind).unwrap().clone()
    }
}

async fn credentials(database: Database) {
    let hub = Hub::start().await;
    let url = hub.url();
    let gateway = TestGateway::builder()
        .database(database)
        .idp()
        .env("GITHUB_API_URL", &url)
        .env("SLACK_API_URL", &url)
        .env("CIRCLECI_URL", &url)
        .env("CIRCLECI_TOKEN", "circle-of-the-file")
        .start()
        .await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let desk = Desk { gateway, phone, session };
    assert_eq!(desk.one("github").await["state"], "off");
    assert_eq!(desk.one("circleci").await["source"], "configuration");

    // It takes a factor for this very change, and all that the service takes and nothing else.
    let token = json!({ "token": CANARY }).to_string();
    assert_eq!(desk.ask("PUT", "/github", false, "\"0\"", &token).await.status, 401);
    let machine = desk.gateway.token(Role::Admin).to_owned();
    let headers = [("Content-Type", "application/json"), ("If-Match", "\"0\"")];
    let mut client = RawClient::connect(desk.gateway.addr()).await;
    let by_token =
        client.ask("PUT", "!/api/v1/integrations/github", &machine, &headers, token.as_bytes()).await;
    assert_ne!(by_token.status, 200, "{}", by_token.text());
    for (path, body, expected) in [
        ("/github", json!({}), 400),
        ("/github", json!({ "token": CANARY, "app_id": "1" }), 400),
        ("/github", json!({ "token": "canary with blanks" }), 400),
        ("/github", json!({ "token": CANARY, "canary": "x" }), 400),
        ("/github", json!({ "app_id": "1", "app_installation": "2", "app_private_key": "canary" }), 400),
        ("/github", json!({ "app_id": "x", "app_installation": "2", "app_private_key": "canary" }), 400),
        ("/slack", json!({ "bot_token": CANARY }), 400),
        ("/slack", json!({ "token": CANARY }), 400),
        ("/circleci", json!({ "token": CANARY }), 409),
        ("/teams", json!({ "token": CANARY }), 404),
    ] {
        let reply = desk.ask("PUT", path, true, "*", &body.to_string()).await;
        assert_eq!(reply.status, expected, "{path} {body}: {}", reply.text());
        assert!(!reply.text().contains("canary"), "{}", reply.text());
    }
    let given = desk.ask("PUT", "/github", true, "\"0\"", &token).await;
    assert_eq!(given.status, 200, "{}", given.text());
    assert!(!given.text().contains("canary"), "{}", given.text());
    let stale = desk.ask("PUT", "/github", true, "\"0\"", &token).await;
    assert_eq!(stale.status, 412, "{}", stale.text());

    // The service is really asked, with these credentials; both of its answers are kept and shown.
    let refused = desk.ask("POST", "/github/test", true, "", "").await;
    assert_eq!(refused.status, 200, "{}", refused.text());
    let last = refused.json()["last_test"].clone();
    assert_eq!(last["good"], false, "{last}");
    assert!(last["said"].as_str().unwrap().contains("answered 404 to /user"), "{last}");
    hub.set("GET /user", 200, r#"{"login":"gateway-bot"}"#);
    assert_eq!(desk.ask("POST", "/github/test", true, "", "").await.status, 200);
    assert_eq!(desk.one("github").await["last_test"]["said"], "let in as gateway-bot");
    assert_eq!(hub.tokens().last().unwrap(), &format!("Bearer {CANARY}"));
    hub.set("GET /api/v2/me", 200, r#"{"login":"ann"}"#);
    let circle = desk.ask("POST", "/circleci/test", true, "", "").await;
    assert_eq!(circle.json()["last_test"]["said"], "let in as ann", "{}", circle.text());
    assert_eq!(desk.ask("POST", "/slack/test", true, "", "").await.status, 409);
    let slack = json!({ "bot_token": "xoxb-canary", "signing_secret": "canary-secret" }).to_string();
    assert_eq!(desk.ask("PUT", "/slack", true, "\"0\"", &slack).await.status, 200);
    hub.set("POST /auth.test", 200, r#"{"ok":true,"user":"gateway","team":"acme"}"#);
    let tested = desk.ask("POST", "/slack/test", true, "", "").await;
    let words = "let in as gateway of the workspace acme";
    assert_eq!(tested.json()["last_test"]["said"], words, "{}", tested.text());

    // On a page too, whose forms never show what is kept.
    let mut admin = Visitor::signed_in(&desk.gateway, Role::Admin).await;
    let page = admin.get("/app/integrations").await.text();
    assert!(page.contains("let in as gateway-bot") && !page.contains("canary"), "{page}");
    let version = desk.one("github").await["version"].to_string();
    let code = desk.phone.next(&desk.gateway);
    let fields =
        [("version", version.as_str()), ("token", "ghp_canary-the-second"), ("_code", code.as_str())];
    let written = admin.post("/app/integrations/github", &fields).await;
    assert_eq!(written.status, 303, "{}", written.text());
    let version = desk.one("github").await["version"].to_string();
    let code = desk.phone.next(&desk.gateway);
    let fields = [("version", version.as_str()), ("bot_token", "canary"), ("_code", code.as_str())];
    let wrong = admin.post("/app/integrations/github", &fields).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert!(wrong.text().contains("GitHub takes either") && !wrong.text().contains("canary"));

    // Nothing of it is in the log; before and after are.
    let events = desk.gateway.events().await;
    assert!(!format!("{events:?}").contains("canary"));
    let changes: Vec<_> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "gateway:integration:update" && event.after.is_some())
        .collect();
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert_eq!(changes[2].1.before, Some(json!({ "credentials": "a token" })));

    // They outlive a start, and end with the removal.
    let mut desk = desk;
    desk.gateway.restart().await;
    assert_eq!(desk.one("github").await["state"], "ready");
    let version = desk.one("github").await["version"].to_string();
    let removed = desk.ask("DELETE", "/github", true, &format!("\"{version}\""), "").await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert_eq!(desk.one("github").await["state"], "off");
    assert_eq!(desk.ask("DELETE", "/github", true, "*", "").await.status, 409);
    desk.gateway.finish().await;
}

#[tokio::test]
async fn credentials_are_given_tried_and_never_shown_on_sqlite() {
    credentials(Database::Sqlite).await;
}

#[tokio::test]
async fn credentials_are_given_tried_and_never_shown_on_postgres() {
    credentials(Database::Postgres).await;
}

/// What one instance is given, the other has within seconds.
#[tokio::test]
async fn credentials_reach_every_instance() {
    let hub = Hub::start().await;
    let url = hub.url();
    let builder = || TestGateway::builder().database(Database::Postgres).env("GITHUB_API_URL", &url);
    let gateway = builder().idp().start().await;
    let second = builder().share(&gateway).start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let first = Desk { gateway, phone, session };
    let token = json!({ "token": CANARY }).to_string();
    assert_eq!(first.ask("PUT", "/github", true, "\"0\"", &token).await.status, 200);
    let mut state = Value::Null;
    for _ in 0..100 {
        let mut client = RawClient::connect(second.addr()).await;
        let all = client.ask("GET", "!/api/v1/integrations", &first.session, &[], b"").await.json();
        state = all["items"][0]["state"].clone();
        if state == "ready" {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(state, "ready");
    second.finish().await;
    first.gateway.finish().await;
}
