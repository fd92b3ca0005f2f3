//! Links for auditors: what they show, for how long, and that nothing else opens by them.

use std::time::Duration;

use gateway_testkit::{Database, RawClient, Reply, TestGateway};
use gateway_types::{Clock as _, Role, Timestamp};
use serde_json::{Value, json};

const PAGE: &str = "!/auth/shared";

async fn api(gateway: &TestGateway, who: &str, method: &str, path: &str, body: &Value) -> Reply {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [("Content-Type", "application/json")];
    let mut client = RawClient::connect(gateway.addr()).await;
    client.ask(method, &format!("!/api/v1{path}"), who, &headers, text.as_bytes()).await
}

/// Makes a link; its id and its secret.
async fn made(gateway: &TestGateway, admin: &str, hours: u32, filter: Value) -> (String, String) {
    let asked = json!({ "label": "Auditor of the year", "hours": hours, "filter": filter });
    let reply = api(gateway, admin, "POST", "/audit/share", &asked).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shared = reply.json();
    let (address, secret) = shared["url"].as_str().unwrap().split_once('#').unwrap();
    assert!(address.ends_with("/auth/shared"), "{address}");
    assert!(secret.starts_with("rga_") && secret.len() == 47, "{secret}");
    (shared["share"]["id"].as_str().unwrap().to_owned(), secret.to_owned())
}

async fn open(gateway: &TestGateway, secret: &str) -> Reply {
    let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")];
    let body = format!("secret={secret}");
    RawClient::connect(gateway.addr()).await.ask("POST", PAGE, "", &headers, body.as_bytes()).await
}

/// What a browser with this cookie gets.
async fn get(gateway: &TestGateway, path: &str, cookie: &str) -> Reply {
    let headers = [("Cookie", cookie)];
    RawClient::connect(gateway.addr()).await.ask("GET", path, "", &headers, b"").await
}

fn cookie(reply: &Reply) -> String {
    reply.header("set-cookie").expect("a cookie").split(';').next().unwrap().to_owned()
}

async fn gateway(database: Database) -> (TestGateway, String) {
    let gateway = TestGateway::builder()
        .database(database)
        .env("RGW_SETTING_MFA_STEP_UP", "false")
        .env("RGW_SETTING_RATE_LIMITS", "off")
        .start()
        .await;
    let admin = gateway.session(Role::Admin).await;
    for app in ["myapp", "payroll"] {
        let mut client = RawClient::connect(gateway.addr()).await;
        client.ask("GET", &format!("/apps/{app}"), gateway.token(Role::Viewer), &[], b"").await;
    }
    gateway.store().audit().flush().await.unwrap();
    (gateway, admin)
}

#[tokio::test]
async fn a_link_shows_its_part_of_the_log_and_opens_nothing_else() {
    for database in Database::BOTH {
        let (gateway, admin) = gateway(database).await;
        let (id, secret) = made(&gateway, &admin, 24, json!({ "app": "myapp" })).await;
        let opened = open(&gateway, &secret).await;
        assert_eq!(
            (opened.status, opened.header("location")),
            (303, Some("/auth/shared")),
            "{}",
            opened.text()
        );
        let set = opened.header("set-cookie").unwrap();
        for word in ["__Host-rgw-share=", "HttpOnly", "Secure", "SameSite=Strict", "Max-Age=86400"] {
            assert!(set.contains(word), "{set}");
        }
        let cookie = cookie(&opened);
        let page = get(&gateway, PAGE, &cookie).await;
        let text = page.text();
        assert_eq!((page.status, page.header("cache-control")), (200, Some("no-store")), "{text}");
        assert!(text.contains("Auditor of the year") && text.contains("<dd>myapp</dd>"));
        assert!(!text.contains("payroll"), "an event beyond its bounds: {text}");
        assert!(!text.contains(&secret) && !text.contains("href=\"/app/a"), "{text}");
        // A reader narrows, and never widens.
        let wider = get(&gateway, "!/auth/shared?app=payroll", &cookie).await.text();
        assert!(wider.contains("data-label=\"What\"") && !wider.contains("payroll"), "{wider}");
        let none = get(&gateway, "!/auth/shared?actor=nobody%40example.com", &cookie).await.text();
        assert!(none.contains("No event matches"), "{none}");

        // One entry with its proof; one beyond the bounds is none.
        let index = text.split("/auth/shared/").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let entry = get(&gateway, &format!("!/auth/shared/{index}"), &cookie).await;
        assert!(entry.status == 200 && entry.text().contains("Its hash is"), "{}", entry.text());
        for beyond in ["0", "999999", "x", "18446744073709551615"] {
            let reply = get(&gateway, &format!("!/auth/shared/{beyond}"), &cookie).await;
            assert_eq!(reply.status, 404, "{beyond}: {}", reply.text());
        }
        for (format, kind) in [("csv", "text/csv; charset=utf-8"), ("ndjson", "application/x-ndjson")] {
            let file = get(&gateway, &format!("!/auth/shared?format={format}"), &cookie).await;
            assert_eq!((file.status, file.header("content-type")), (200, Some(kind)));
            assert!(file.text().contains("myapp") && !file.text().contains("payroll"), "{}", file.text());
        }

        // A file narrows as the page does.
        let file = get(&gateway, "!/auth/shared?format=csv&actor=nobody%40example.com", &cookie).await;
        assert_eq!(file.text().lines().count(), 1, "only the head: {}", file.text());
        let named = file.header("content-disposition").unwrap();
        assert_eq!(named, "attachment; filename=\"audit.csv\"");

        // Neither cookie nor secret is a credential anywhere else.
        let bearer = format!("Bearer {secret}");
        for path in ["!/api/v1/me", "!/api/v1/audit", "!/api/v1/audit/shares", "!/app/audit", "/apps"] {
            for headers in [[("Cookie", cookie.as_str())], [("Authorization", bearer.as_str())]] {
                let mut client = RawClient::connect(gateway.addr()).await;
                let reply = client.ask("GET", path, "", &headers, b"").await;
                assert!([303, 400, 401].contains(&reply.status), "{path}: {} {}", reply.status, reply.text());
            }
        }

        // Everything is in the log, and the secret is not.
        gateway.store().audit().flush().await.unwrap();
        let events = gateway.events().await;
        let of = |action: &str| -> Vec<_> {
            events
                .iter()
                .filter(|(_, event)| event.action.as_str() == action)
                .map(|(_, event)| event)
                .collect()
        };
        assert_eq!(of("gateway:audit:open_share").iter().filter(|one| one.actor.id.is_some()).count(), 1);
        let reads: Vec<_> =
            of("gateway:audit:read_share").into_iter().filter(|one| one.actor.id.is_some()).collect();
        assert_eq!(reads.len(), 7, "{reads:?}");
        assert!(reads.iter().all(|one| one.actor.name == "share:Auditor of the year"));
        assert!(!format!("{events:?}").contains(&secret), "the secret is in the log");
        let listed = api(&gateway, &admin, "GET", "/audit/shares", &Value::Null).await;
        assert!(!listed.text().contains(&secret), "{}", listed.text());
        let share = &listed.json()["items"][0];
        assert_eq!((share["openings"].as_u64(), share["state"].as_str()), (Some(1), Some("live")));

        // Revoked while somebody reads: the next page is none, and why is not told.
        let revoked = api(&gateway, &admin, "DELETE", &format!("/audit/shares/{id}"), &Value::Null).await;
        assert_eq!(revoked.status, 204, "{}", revoked.text());
        let again = api(&gateway, &admin, "DELETE", &format!("/audit/shares/{id}"), &Value::Null).await;
        assert_eq!(again.status, 404, "{}", again.text());
        let gone = get(&gateway, PAGE, &cookie).await;
        assert_eq!(gone.status, 404);
        assert!(gone.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(get(&gateway, &format!("!/auth/shared/{index}"), &cookie).await.status, 404);
        let wrong = open(&gateway, &format!("rga_{}", "A".repeat(43))).await;
        assert_eq!((wrong.status, open(&gateway, &secret).await.text()), (404, wrong.text()));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_link_ends_by_the_clock_and_is_made_by_admins_alone() {
    let (gateway, admin) = gateway(Database::Sqlite).await;
    let (_id, secret) = made(&gateway, &admin, 1, json!({})).await;
    let cookie = cookie(&open(&gateway, &secret).await);
    assert_eq!(get(&gateway, PAGE, &cookie).await.status, 200);
    gateway.clock.advance(Duration::from_secs(3600));
    assert_eq!(get(&gateway, PAGE, &cookie).await.status, 404);
    assert_eq!(open(&gateway, &secret).await.status, 404);
    // A month later nobody needs to know of it any more; the log does.
    gateway.clock.advance(Duration::from_secs(31 * 24 * 3600));
    let admin = gateway.session(Role::Admin).await;
    let month = Duration::from_secs(30 * 24 * 3600);
    let before = i64::try_from(month.as_micros()).unwrap();
    let before = Timestamp::from_micros(gateway.clock.now().micros() - before);
    assert_eq!(gateway.store().audit_shares().forget(before).await.unwrap(), 1);
    let listed = api(&gateway, &admin, "GET", "/audit/shares", &Value::Null).await;
    assert_eq!(listed.json()["items"], json!([]), "{}", listed.text());
    for (asked, status) in [
        (json!({ "label": "" }), 400),
        (json!({ "label": "a\u{202e}b" }), 400),
        (json!({ "label": "x", "hours": 0 }), 400),
        (json!({ "label": "x", "hours": 721 }), 400),
        (json!({ "label": "x", "filter": { "from": "yesterday" } }), 400),
        (json!({ "label": "x", "days": 3 }), 400),
        (json!({ "label": "x".repeat(121) }), 400),
    ] {
        let reply = api(&gateway, &admin, "POST", "/audit/share", &asked).await;
        assert_eq!(reply.status, status, "{asked}: {}", reply.text());
    }
    for role in [Role::Viewer, Role::Ops, Role::Deployer] {
        let session = gateway.session(role).await;
        let asked = json!({ "label": "mine" });
        for (method, path) in [("POST", "/audit/share"), ("GET", "/audit/shares")] {
            let body = if method == "POST" { asked.clone() } else { Value::Null };
            let reply = api(&gateway, &session, method, path, &body).await;
            assert_eq!(reply.status, 403, "{role:?} {path}: {}", reply.text());
        }
    }
    for bad in ["", "rga_", "rgw_x", &"x".repeat(5000)] {
        assert_eq!(open(&gateway, bad).await.status, 404, "{bad}");
    }
    gateway.finish().await;
}

/// Opening is as slow as signing in, so that nobody tries out secrets.
#[tokio::test]
async fn opening_has_the_limits_of_a_sign_in() {
    let gateway =
        TestGateway::builder().env("RGW_SETTING_RATE_LIMITS", "on").env("SIGN_IN_BURST", "20").start().await;
    let mut refused = None;
    for number in 0..200 {
        let reply = open(&gateway, &format!("rga_{number:043}")).await;
        assert!([404, 429].contains(&reply.status), "{number}: {}", reply.text());
        if reply.status == 429 {
            refused = Some((number, reply.text()));
            break;
        }
    }
    let (number, text) = refused.expect("a limit");
    assert!(number == 20 && text.contains("signs in"), "{number}: {text}");
    gateway.finish().await;
}
