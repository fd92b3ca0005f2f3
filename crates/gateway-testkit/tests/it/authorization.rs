//! Rights that are of a moment: elevations and grants of roles, rules on hours, networks and labels, policies that are
//! only observed.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use gateway_framing::websocket::Opcode;
use gateway_testkit::{Authenticator, Database, RawClient, Reply, Socket, TestGateway, eventually};
use gateway_types::{Clock as _, Role, Timestamp};
use serde_json::{Value, json};

const RESTART: &str = "/apps/myapp/services/web/restart";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

async fn ask(gateway: &TestGateway, method: &str, path: &str, credential: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask(method, path, credential, &[], b"").await
}

async fn api(gateway: &TestGateway, method: &str, path: &str, credential: &str, body: &Value) -> Reply {
    let path = format!("!/api/v1{path}");
    let mut client = RawClient::connect(gateway.addr()).await;
    if body.is_null() {
        return client.ask(method, &path, credential, &[], b"").await;
    }
    let headers = [("Content-Type", "application/json")];
    client.ask(method, &path, credential, &headers, body.to_string().as_bytes()).await
}

fn with_code(session: &str, phone: &Authenticator, gateway: &TestGateway) -> String {
    format!("{session}.totp.{}", phone.shows(gateway))
}

/// The viewer asks and the admin approves; returns the elevation's id.
async fn elevated(gateway: &TestGateway, viewer: &str, admin: &Authenticator, length: &str) -> String {
    let asked = json!({ "role": "ops", "app": "myapp", "for": length, "reason": "a fix" });
    let asked = api(gateway, "POST", "/elevations", viewer, &asked).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    let id = asked.json()["id"].as_str().unwrap().to_owned();
    let session = gateway.session(Role::Admin).await;
    gateway.clock.advance(Duration::from_secs(30));
    let approve = format!("/elevations/{id}/approve");
    let done = api(gateway, "POST", &approve, &with_code(&session, admin, gateway), &Value::Null).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["state"], "live");
    id
}

async fn exec(gateway: &TestGateway, credential: &str) -> Socket {
    let headers = [("Command", "cat"), ("Tty", "false")];
    let mut socket = Socket::open(gateway.addr(), EXEC, credential, &headers).await.unwrap();
    socket.send(Opcode::Text, b"x").await;
    socket.frame().await.unwrap();
    socket
}

#[tokio::test]
async fn an_elevation_gives_its_role_at_its_place_and_ends_what_it_began() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let viewer = gateway.session(Role::Viewer).await;
        let (own, admin) = (
            Authenticator::enrol(&gateway, Role::Viewer).await,
            Authenticator::enrol(&gateway, Role::Admin).await,
        );
        // The refusal says what to type.
        let refused = ask(&gateway, "POST", RESTART, &viewer).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        let remedies = refused.json()["remedies"].clone();
        let remedy = remedies.as_array().unwrap().iter().find(|one| one["kind"] == "elevation").unwrap();
        let command = "rack-gateway elevate ops --app myapp --for 1h --reason REASON";
        assert_eq!(remedy["command"], command, "{remedies}");
        assert!(refused.text().contains(command), "{}", refused.text());

        let id = elevated(&gateway, &viewer, &admin, "10m").await;
        gateway.clock.advance(Duration::from_secs(30));
        let code = with_code(&viewer, &own, &gateway);
        let done = ask(&gateway, "POST", RESTART, &code).await;
        assert_eq!(done.status, 200, "{}", done.text());
        let events = gateway.events().await;
        let of_restart = events.iter().filter(|(_, event)| event.action.as_str() == "convox:service:restart");
        let verdicts: Vec<_> = of_restart.filter_map(|(_, event)| event.verdict.as_ref()).collect();
        let facts = &verdicts.last().unwrap().facts;
        assert_eq!(facts.elevated.to_string(), "ops");
        // Not elsewhere, and never at the gateway itself.
        let elsewhere = ask(&gateway, "POST", "/apps/other/services/web/restart", &viewer).await;
        assert_eq!(elsewhere.status, 403, "{}", elsewhere.text());
        assert_eq!(api(&gateway, "GET", "/users", &viewer, &Value::Null).await.status, 403);
        let again = json!({ "role": "admin", "for": "13h", "reason": "x" });
        assert_eq!(api(&gateway, "POST", "/elevations", &viewer, &again).await.status, 400);

        let mut socket = exec(&gateway, &viewer).await;
        gateway.clock.advance(Duration::from_secs(10 * 60));
        let started = Instant::now();
        socket.until_end().await;
        assert!(started.elapsed() <= Duration::from_secs(5), "{:?}", started.elapsed());
        assert_eq!(ask(&gateway, "POST", RESTART, &viewer).await.status, 403);
        let over = api(&gateway, "GET", "/elevations", &viewer, &Value::Null).await.json();
        assert_eq!((&over["items"][0]["id"], &over["items"][0]["state"]), (&json!(id), &json!("expired")));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn an_elevation_that_is_ended_at_one_instance_ends_its_sockets_at_the_other() {
    let first = TestGateway::builder().database(Database::Postgres).start().await;
    let second = TestGateway::builder().share(&first).start().await;
    let viewer = first.session(Role::Viewer).await;
    let (own, admin) =
        (Authenticator::enrol(&first, Role::Viewer).await, Authenticator::enrol(&first, Role::Admin).await);
    let id = elevated(&first, &viewer, &admin, "1h").await;
    first.clock.advance(Duration::from_secs(30));
    let code = with_code(&viewer, &own, &first);
    // The other instance learns of it by itself, and the code is spent once.
    let restarted = eventually("the role at the other instance", || async {
        let reply = ask(&second, "POST", RESTART, &code).await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    assert_eq!(restarted.status, 200);
    let mut socket = exec(&second, &viewer).await;
    let ended = api(&first, "DELETE", &format!("/elevations/{id}"), &code, &Value::Null).await;
    assert_eq!(ended.status, 204, "{}", ended.text());
    let started = Instant::now();
    socket.until_end().await;
    assert!(started.elapsed() <= Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(ask(&second, "POST", RESTART, &viewer).await.status, 403);
    second.finish().await;
    first.finish().await;
}

#[tokio::test]
async fn a_grant_of_a_role_on_one_app_is_good_there_and_nowhere_else() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let admin = gateway.critical_token().await;
        let auditor = gateway.session(Role::Auditor).await;
        let phone = Authenticator::enrol(&gateway, Role::Auditor).await;
        let email = gateway.person(Role::Auditor).email.clone();
        let new = json!({ "person": email, "role": "ops", "app": "myapp" });
        let made = api(&gateway, "POST", "/grants", &admin, &new).await;
        assert_eq!(made.status, 200, "{}", made.text());
        assert_eq!(api(&gateway, "POST", "/grants", &admin, &new).await.status, 409, "twice");
        let code = with_code(&auditor, &phone, &gateway);
        let reply = ask(&gateway, "POST", RESTART, &code).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(ask(&gateway, "GET", "/apps", &auditor).await.status, 403);
        let who = json!({ "action": "convox:service:restart", "app": "myapp" });
        let who = api(&gateway, "POST", "/policy/who-can", gateway.token(Role::Ops), &who).await;
        assert!(who.text().contains(&email), "{}", who.text());
        let review = api(&gateway, "GET", "/access/review?limit=200", &admin, &Value::Null).await;
        assert_eq!(review.status, 200, "{}", review.text());
        let lines = review.json()["items"].as_array().unwrap().clone();
        let line = lines.iter().find(|line| line["subject"] == json!(email) && line["place"] == "myapp");
        assert!(line.unwrap()["actions"].to_string().contains("convox:service:restart"), "{line:?}");
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let gone = api(&gateway, "DELETE", &format!("/grants/{id}"), &admin, &Value::Null).await;
        assert_eq!(gone.status, 204, "{}", gone.text());
        assert_eq!(ask(&gateway, "POST", RESTART, &auditor).await.status, 403);
        gateway.finish().await;
    }
}

/// The next moment at which it is Monday 07:30 in Tokyo, which knows no summer time.
fn before_work(now: Timestamp) -> Duration {
    let (week, half) = (7 * 24 * 3600, 7 * 3600 + 1800);
    // 1970-01-01 was a Thursday.
    let local = now.micros() / 1_000_000 + 9 * 3600 + 3 * 24 * 3600;
    let until = (half - local.rem_euclid(week)).rem_euclid(week);
    Duration::from_secs(u64::try_from(until).unwrap() + 1)
}

#[tokio::test]
async fn a_rule_on_hours_network_and_label_flips_with_the_clock() {
    let text = r#"@id("office-hours") @needs("office hours and the office, for what is labelled pci")
        forbid (principal, action in Action::"class:change", resource)
        when { context.labels.contains("pci") }
        unless {
            context.hour >= 8 && context.hour < 18 && context.weekday <= 5 &&
            context.networks.contains("office")
        };"#;
    let policies = tempfile::tempdir().unwrap();
    std::fs::write(policies.path().join("own.cedar"), text).unwrap();
    for database in Database::BOTH {
        let gateway = TestGateway::builder()
            .database(database)
            .file("[network.named]\noffice = [\"127.0.5.0/24\"]\n")
            .env("POLICY_DIR", &policies.path().display().to_string())
            .env("RGW_SETTING_TIME_ZONE", "Asia/Tokyo")
            .env("RGW_APP_MYAPP_SETTING_APP_LABELS", "eu,pci")
            .start()
            .await;
        let token = gateway.token(Role::Ops).to_owned();
        let office = Ipv4Addr::new(127, 0, 5, 9);
        let restart = async |from: Ipv4Addr| {
            let mut client = RawClient::connect_from(from, gateway.addr()).await;
            client.ask("POST", RESTART, &token, &[], b"").await.status
        };
        gateway.clock.advance(before_work(gateway.clock.now()));
        assert_eq!(restart(office).await, 403, "07:30 on a Monday");
        gateway.clock.advance(Duration::from_secs(1800));
        assert_eq!(restart(office).await, 200, "08:00");
        assert_eq!(restart(Ipv4Addr::new(127, 0, 6, 9)).await, 403, "not from elsewhere");
        // Another label, set while it runs.
        let admin = gateway.critical_token().await;
        let change = json!({ "key": "app_labels", "value": "eu" });
        let headers = [("Content-Type", "application/json"), ("If-Match", "\"0\"")];
        let path = "!/api/v1/apps/myapp/settings";
        let mut client = RawClient::connect_from(office, gateway.addr()).await;
        let changed = client.ask("PUT", path, &admin, &headers, change.to_string().as_bytes()).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        assert_eq!(restart(Ipv4Addr::new(127, 0, 6, 9)).await, 200, "the app is not pci any more");
        let etag = changed.header("etag").unwrap().to_owned();
        let back = json!({ "key": "app_labels", "value": null });
        let headers = [("Content-Type", "application/json"), ("If-Match", etag.as_str())];
        let changed = client.ask("PUT", path, &admin, &headers, back.to_string().as_bytes()).await;
        assert!(matches!(changed.status, 200 | 204), "{}", changed.text());
        gateway.clock.advance(Duration::from_secs(10 * 3600));
        assert_eq!(restart(office).await, 403, "18:00");
        gateway.clock.advance(Duration::from_secs(4 * 24 * 3600 + 16 * 3600));
        assert_eq!(restart(office).await, 403, "10:00 on a Saturday");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_policy_in_observe_mode_refuses_nothing_and_is_told() {
    let text = r#"@id("no-restarts") @mode("observe")
        forbid (principal, action in Action::"convox:service:restart", resource);"#;
    let policies = tempfile::tempdir().unwrap();
    std::fs::write(policies.path().join("own.cedar"), text).unwrap();
    let gateway =
        TestGateway::builder().env("POLICY_DIR", &policies.path().display().to_string()).start().await;
    let token = gateway.token(Role::Ops).to_owned();
    let done = ask(&gateway, "POST", RESTART, &token).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let request = done.header("request-id").unwrap().to_owned();
    let found = api(&gateway, "GET", "/policies/observed?since=1d", &token, &Value::Null).await;
    assert_eq!(found.status, 200, "{}", found.text());
    let item = &found.json()["items"][0];
    assert_eq!((&item["rule"], &item["count"]), (&json!("no-restarts"), &json!(1)), "{}", found.text());
    assert_eq!(item["examples"], json!([request]));
    gateway.finish().await;
}

#[tokio::test]
async fn while_policies_are_only_observed_roles_and_factors_are_enforced() {
    let text =
        r#"@id("no-restarts") forbid (principal, action in Action::"convox:service:restart", resource);"#;
    let policies = tempfile::tempdir().unwrap();
    std::fs::write(policies.path().join("own.cedar"), text).unwrap();
    let gateway = TestGateway::builder()
        .env("POLICY_DIR", &policies.path().display().to_string())
        .env("RGW_SETTING_OBSERVE_POLICIES", "true")
        .start()
        .await;
    assert_eq!(ask(&gateway, "POST", RESTART, gateway.token(Role::Ops)).await.status, 200);
    assert_eq!(ask(&gateway, "POST", RESTART, gateway.token(Role::Viewer)).await.status, 403);
    let session = gateway.session(Role::Ops).await;
    assert_eq!(ask(&gateway, "POST", RESTART, &session).await.status, 401, "a person needs a factor");
    let events = gateway.events().await;
    let observed = events.iter().filter_map(|(_, event)| event.verdict.as_ref());
    assert!(observed.clone().any(|verdict| verdict.observed == ["no-restarts"] && verdict.facts.observing));
    gateway.finish().await;
}
