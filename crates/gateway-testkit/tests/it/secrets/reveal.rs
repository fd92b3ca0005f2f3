//! Values shown once: by whom, with which factor, and what is left of it.

use std::time::Duration;

use gateway_testkit::{Authenticator, Database, TestGateway, Visitor};
use gateway_types::Role;
use serde_json::json;

use super::{ENV, REVEAL, SECRET, ask, done};

fn inline(session: &str, code: &str) -> String {
    format!("{session}.totp.{code}")
}

#[tokio::test]
async fn values_take_a_fresh_factor_for_this_very_request_and_a_reason() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let phone = Authenticator::enrol(&gateway, Role::Admin).await;
        let session = gateway.session(Role::Admin).await;
        let asked = json!({"keys": ["DATABASE_PASSWORD"], "reason": "a look"});
        let refused = ask(&gateway, "POST", REVEAL, &session, &asked).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        assert_eq!(refused.json()["remedies"][0]["kind"], "step_up_bound");
        // A window that another request opened is not enough.
        let code = phone.next(&gateway);
        let opened =
            ask(&gateway, "POST", "/apps/myapp/services/web/restart", &inline(&session, &code), &json!(null))
                .await;
        assert_eq!(opened.status, 200, "{}", opened.text());
        assert_eq!(
            ask(&gateway, "POST", REVEAL, &session, &asked).await.status,
            401,
            "the window is not this"
        );
        assert_eq!(
            ask(&gateway, "POST", REVEAL, &inline(&session, &code), &asked).await.status,
            401,
            "spent"
        );

        let code = phone.next(&gateway);
        let reply = ask(&gateway, "POST", REVEAL, &inline(&session, &code), &asked).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.json()["values"], json!([{"name": "DATABASE_PASSWORD", "value": SECRET}]));
        // The same code shows nothing else, and not the same once more.
        assert_eq!(ask(&gateway, "POST", REVEAL, &inline(&session, &code), &asked).await.status, 401);
        let other = "!/api/v1/apps/other/env/reveal";
        assert_eq!(ask(&gateway, "POST", other, &inline(&session, &code), &asked).await.status, 401);

        let wrong = async |body: serde_json::Value, status: u16| {
            let reply = ask(&gateway, "POST", REVEAL, &inline(&session, &phone.next(&gateway)), &body).await;
            assert_eq!(reply.status, status, "{body}: {}", reply.text());
            assert!(!reply.text().contains(SECRET));
        };
        wrong(json!({"keys": []}), 400).await;
        wrong(json!({"reason": "  "}), 400).await;
        wrong(json!({"reason": "a\u{202e}b"}), 400).await;
        wrong(json!({"keys": ["DATABASE_PASSWORD", "NOT_THERE"], "reason": "x"}), 404).await;
        wrong(json!({"reason": "x", "release": "RNOTTHERE1"}), 404).await;
        wrong(json!({"reason": "x", "for": "2h"}), 400).await;
        wrong(json!({"reason": "x", "for": "1s"}), 400).await;
        wrong(json!({"reason": "x", "for": "5m", "keys": ["A"]}), 400).await;

        let events = gateway.events().await;
        let reveals: Vec<_> = events
            .iter()
            .map(|(_, event)| event)
            .filter(|event| {
                event.action.as_str() == "gateway:secret:reveal" && event.parameters.contains_key("keys")
            })
            .collect();
        assert_eq!(reveals.len(), 1, "what showed nothing is not called a reveal");
        assert_eq!(reveals[0].parameters["keys"], "DATABASE_PASSWORD");
        assert_eq!(reveals[0].reason.as_deref(), Some("a look"));
        assert_eq!(reveals[0].resource.to_string(), "App::myapp");
        let all = serde_json::to_string(&events.iter().map(|(_, event)| event).collect::<Vec<_>>()).unwrap();
        assert!(!all.contains(SECRET), "no event holds a value");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_role_below_and_a_token_without_the_grant_see_nothing() {
    let gateway = TestGateway::start().await;
    let phone = Authenticator::enrol(&gateway, Role::Deployer).await;
    let session = gateway.session(Role::Deployer).await;
    let asked = json!({"reason": "a look"});
    let refused = ask(&gateway, "POST", REVEAL, &inline(&session, &phone.next(&gateway)), &asked).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    // An admin's token, short of what is critical.
    let refused = ask(&gateway, "POST", REVEAL, gateway.token(Role::Admin), &asked).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let critical = gateway.critical_token().await;
    let values = done(&gateway, "POST", REVEAL, &critical, asked).await;
    assert_eq!(values["values"].as_array().unwrap().len(), 2);
    gateway.finish().await;
}

#[tokio::test]
async fn the_page_shows_handles_and_reveals_once() {
    let gateway = TestGateway::builder().idp().start().await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    let page = admin.get("/app/apps/myapp/env").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("rgw-hidden-") && !page.text().contains(SECRET), "{}", page.text());
    assert!(admin.get("/app/reveals?app=myapp").await.text().contains("/app/apps/myapp/env"));
    let code = phone.next(&gateway);
    let form = [("keys", "DATABASE_PASSWORD"), ("reason", "a look"), ("_code", code.as_str())];
    let shown = admin.post("/app/apps/myapp/env/reveal", &form).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert!(shown.text().contains(SECRET), "{}", shown.text());
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    let code = phone.next(&gateway);
    let form = [("keys", "NOPE"), ("reason", "a look"), ("_code", code.as_str())];
    let wrong = admin.post("/app/apps/myapp/env/reveal", &form).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().contains("the environment has no NOPE"), "{}", wrong.text());
    gateway.clock.advance(Duration::from_secs(1));
    gateway.finish().await;
}

/// What a person does with values leaves none behind: not in the database, not in the log, not in a mail.
#[tokio::test]
async fn no_value_is_kept_anywhere() {
    const CANARY: &str = "CANARY0f1e2d3c4b5a6978";
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_REVEAL_NOTICE", "true")
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", "9")
        .env("SMTP_TLS", "off")
        .env("MAIL_FROM", "gateway@example.com")
        .start()
        .await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let session = gateway.session(Role::Admin).await;
    let with_code = || inline(&session, &phone.next(&gateway));
    done(&gateway, "PUT", ENV, &with_code(), json!({"set": {"API_KEY": CANARY}})).await;
    // A refused one, a malformed one, one that waits for a factor.
    for body in [json!({"set": {"A B": CANARY}}), json!({"set": {"A": [CANARY]}})] {
        assert!(ask(&gateway, "PUT", ENV, &with_code(), &body).await.status >= 400);
    }
    let other = gateway.session(Role::Admin).await;
    assert_eq!(ask(&gateway, "PUT", ENV, &other, &json!({"set": {"A": CANARY}})).await.status, 401);
    let shown =
        done(&gateway, "POST", REVEAL, &with_code(), json!({"keys": ["API_KEY"], "reason": "a look"})).await;
    assert_eq!(shown["values"][0]["value"], CANARY);
    let _time = done(&gateway, "POST", REVEAL, &with_code(), json!({"for": "5m", "reason": "a look"})).await;
    assert!(super::read_at_proxy(&gateway, &session).await.contains(CANARY));
    let jobs = gateway
        .store()
        .jobs()
        .list(&gateway_store::JobFilter { limit: 50, ..Default::default() })
        .await
        .unwrap();
    assert!(!jobs.items.is_empty(), "a notice is on its way");
    gateway.store().audit().flush().await.unwrap();
    let mut searched = 0;
    for entry in std::fs::read_dir(gateway.directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let needles = [
                CANARY.as_bytes().to_vec(),
                data_encoding::BASE64_NOPAD.encode(CANARY.as_bytes()).into_bytes()[..20].to_vec(),
            ];
            for needle in needles {
                assert!(memchr::memmem::find(&bytes, &needle).is_none(), "{} holds a value", path.display());
            }
            searched += usize::from(memchr::memmem::find(&bytes, b"gateway:secret:reveal").is_some());
        }
    }
    assert!(searched > 0, "the log was searched");
    gateway.finish().await;
}
