//! What is told of a service: how its upstreams stand, and what its own OpenAPI document has. Asked by the API and by
//! the page, for those who could change it and for those who could not.

use std::time::Duration;

use gateway_testkit::raw::Reply;
use gateway_testkit::visitor::Visitor;
use gateway_testkit::{RawClient, TestGateway, eventually};
use gateway_types::Role;
use serde_json::{Value, json};

use super::service_kit::{Answer, Instance, Seen, get, reply, wiki};

async fn api(gateway: &TestGateway, path: &str, token: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask("GET", &format!("!/api/v1{path}"), token, &[], b"").await
}

/// State by state, in the order of the declaration.
async fn states(gateway: &TestGateway, token: &str) -> Vec<(String, Value)> {
    let told = api(gateway, "/services/wiki", token).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    let upstreams = told["upstreams"].as_array().expect("a list").clone();
    upstreams.iter().map(|one| (one["state"].as_str().unwrap().to_owned(), one.clone())).collect()
}

fn names(states: &[(String, Value)]) -> Vec<&str> {
    states.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn how_upstreams_stand_is_told_with_the_time_and_addresses_only_to_who_could_change_them() {
    let (stays, dies) = (Instance::saying("stays").await, Instance::saying("dies").await);
    let drained = format!("{{ url = \"{}\", weight = 0 }}", stays.url().replace("127.0.0.1", "localhost"));
    let gateway =
        TestGateway::builder().idp().file(&wiki(&[stays.url(), dies.url(), drained], "")).start().await;
    let (admin, viewer) = (gateway.critical_token().await, gateway.token(Role::Viewer).to_owned());
    let before = states(&gateway, &admin).await;
    assert_eq!(names(&before), ["healthy", "healthy", "draining"]);
    let begun = before[0].1["since"].as_str().expect("a time").to_owned();
    gateway.clock.advance(Duration::from_secs(60));
    let dying = dies.addr;
    drop(dies);
    for _ in 0..12 {
        assert_eq!(get(&gateway, "/page").await.text(), "stays");
    }
    let after = states(&gateway, &admin).await;
    assert_eq!(names(&after), ["healthy", "ejected", "draining"]);
    assert_eq!(after[1].1["address"], json!(dying.to_string()));
    let (since, until) = (after[1].1["since"].as_str().unwrap(), after[1].1["until"].as_str().unwrap());
    assert!(since > begun.as_str() && until > since, "{begun} {since} {until}");
    assert_eq!(after[0].1["since"], json!(begun), "what did not change is as old as it is");
    let told = states(&gateway, &viewer).await;
    assert_eq!(names(&told), ["healthy", "ejected", "draining"]);
    assert!(told.iter().all(|(_, one)| one.get("address").is_none()), "{told:?}");
    // The page tells the same.
    let mut person = Visitor::signed_in(&gateway, Role::Viewer).await;
    let page = person.get("/app/services/wiki").await;
    assert_eq!(page.status, 200);
    for word in ["upstream 2", "ejected", "requests to it failed in a row", until, "takes no new requests"] {
        assert!(page.text().contains(word), "{word}: {}", page.text());
    }
    assert!(!page.text().contains(&dying.to_string()), "no address for who could not change it");
    let mut person = Visitor::signed_in(&gateway, Role::Admin).await;
    assert!(person.get("/app/services/wiki").await.text().contains(&dying.to_string()));
    // Once the time is over it is tried again.
    gateway.clock.advance(Duration::from_secs(600));
    let over = states(&gateway, &admin).await;
    assert_eq!((names(&over)[1], &over[1].1["since"]), ("healthy", &json!(until)));
    gateway.finish().await;
}

#[tokio::test]
async fn failing_checks_and_tcp_services_are_told_apart() {
    let sick = Instance::start(|seen| match seen.line() {
        "GET /healthz" => reply("500 Internal Server Error", "", ""),
        _ => reply("200 OK", "", "sick"),
    })
    .await;
    let file = format!(
        "{}[[service]]\nname = \"db\"\nkind = \"tcp\"\nupstreams = [{{ url = \"tcp://127.0.0.1:9\" }}]\n",
        wiki(&[sick.url()], "health = { path = \"/healthz\", interval = \"100ms\" }")
    );
    let gateway = TestGateway::builder().file(&file).start().await;
    let viewer = gateway.token(Role::Viewer).to_owned();
    eventually("two failed checks", || async {
        (names(&states(&gateway, &viewer).await) == ["unhealthy"]).then_some(())
    })
    .await;
    let db = api(&gateway, "/services/db", &viewer).await.json();
    assert_eq!(db["upstreams"][0]["state"], "unwatched");
    assert_eq!(db["upstreams"][0].get("since"), None);
    gateway.finish().await;
}

const DOCUMENT: &str = r#"{"openapi":"3.1.0","info":{"title":"Wiki <b>API</b>","version":"2"},
    "paths":{"/pages":{"get":{},"post":{}},"/pages/{pageId}":{"delete":{}},"/x.{y}":{"get":{}}}}"#;

/// A service whose document is whatever the last part of its path says, signed in to with a secret.
async fn told_by(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> (Instance, TestGateway) {
    let instance = Instance::start(answer).await;
    let more = "openapi = \"/docs/openapi.json\"\nreply_timeout = \"3s\"\n\
                credential = { kind = \"bearer\", secret = \"env:RGW_SERVICE_WIKI\" }\n\
                [[service.route]]\nmethod = \"GET\"\npath = \"/docs/openapi.json\"\nrole = \"ops\"\n";
    let gateway = TestGateway::builder()
        .idp()
        .env("RGW_SERVICE_WIKI", "s3cret-of-the-gateway")
        .file(&wiki(&[instance.url()], more))
        .start()
        .await;
    (instance, gateway)
}

#[tokio::test]
async fn a_services_own_document_is_read_in_the_callers_name_and_with_nothing_of_theirs() {
    let (instance, gateway) =
        told_by(|_| reply("200 OK", "Content-Type: application/json; charset=utf-8\r\n", DOCUMENT)).await;
    let ops = gateway.token(Role::Ops).to_owned();
    // Who may not read it at the service may not read it here.
    let viewer = gateway.token(Role::Viewer).to_owned();
    let refused = api(&gateway, "/services/wiki/openapi", &viewer).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(instance.seen().is_empty());
    let told = api(&gateway, "/services/wiki/openapi", &ops).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!((&told["title"], &told["version"]), (&json!("Wiki <b>API</b>"), &json!("2")));
    let routes: Vec<String> = told["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| format!("{} {}", route["method"].as_str().unwrap(), route["path"].as_str().unwrap()))
        .collect();
    assert_eq!(routes, ["GET /pages", "POST /pages", "DELETE /pages/{page_id}"]);
    assert_eq!(told["skipped"].as_array().unwrap().len(), 1);
    let seen = instance.only();
    assert_eq!(seen.line(), "GET /docs/openapi.json");
    assert_eq!(seen.headers("authorization"), ["Bearer s3cret-of-the-gateway"]);
    assert!(seen.header("gateway-token").is_some(), "the service is told who asks: {}", seen.head);
    assert!(!seen.head.contains(&ops) && seen.header("cookie").is_none(), "{}", seen.head);
    // The page shows it, and runs nothing of it.
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    let cookie = person.cookies[gateway_app::cookies::SESSION].clone();
    let page = person.get("/app/services/wiki/openapi").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    assert!(text.contains("/pages/{page_id}") && text.contains("/x.{y}"), "{text}");
    assert!(!text.contains("<b>API</b>") && !text.contains("s3cret"), "{text}");
    let seen = instance.seen();
    assert!(!seen[1].head.contains(&cookie) && seen[1].header("cookie").is_none(), "{}", seen[1].head);
    // What is imported of it is what its declaration takes.
    let page = person.get("/app/services/wiki").await.text();
    assert!(page.contains("/app/services/wiki/openapi"), "{page}");
    let events = gateway.events().await;
    let reads =
        events.iter().filter(|(_, event)| event.action.as_str() == "gateway:service:document").count();
    assert_eq!(reads, 3, "each of them is in the log");
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_no_document_is_refused_in_words() {
    let json = "Content-Type: application/json\r\n";
    let large = format!("{{\"openapi\":\"3.0.0\",\"x\":\"{}\"}}", "a".repeat(4 * 1024 * 1024));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let leaks = "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"Bearer s3cret-of-the-gateway\"},\"paths\":{}}";
    type Make = Box<dyn Fn() -> Answer + Send + Sync>;
    let cases: Vec<(&str, Make, u16, &str)> = vec![
        ("HTML", Box::new(|| reply("200 OK", "Content-Type: text/html\r\n", DOCUMENT)), 502, "not with JSON"),
        ("no type", Box::new(|| reply("200 OK", "", DOCUMENT)), 502, "not with JSON"),
        (
            "packed",
            Box::new(move || reply("200 OK", &format!("{json}Content-Encoding: gzip\r\n"), DOCUMENT)),
            502,
            "not with JSON",
        ),
        ("no JSON", Box::new(move || reply("200 OK", json, "{")), 502, "no JSON"),
        ("deep", Box::new(move || reply("200 OK", json, &deep)), 502, "no JSON"),
        ("Swagger 2", Box::new(move || reply("200 OK", json, "{\"swagger\":\"2.0\"}")), 502, "OpenAPI 3"),
        ("large", Box::new(move || reply("200 OK", json, &large)), 502, "larger than"),
        ("not found", Box::new(move || reply("404 Not Found", json, "{}")), 502, "404"),
        (
            "elsewhere",
            Box::new(move || reply("302 Found", &format!("{json}Location: http://127.0.0.1:9/x\r\n"), "")),
            502,
            "302",
        ),
        ("a secret", Box::new(move || reply("200 OK", json, leaks)), 502, "credential"),
        (
            "broken off",
            Box::new(|| {
                Answer::Close(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
                        .to_vec(),
                )
            }),
            502,
            "does not answer",
        ),
        ("a hang", Box::new(|| Answer::Hang), 504, "in time"),
    ];
    for (what, make, status, words) in cases {
        let (instance, gateway) = told_by(move |_| make()).await;
        let ops = gateway.token(Role::Ops).to_owned();
        let told = api(&gateway, "/services/wiki/openapi", &ops).await;
        assert_eq!(told.status, status, "{what}: {}", told.text());
        assert!(told.text().contains(words), "{what}: {}", told.text());
        assert!(!told.text().contains("s3cret-of"), "{what}: {}", told.text());
        assert!(!told.text().contains(&instance.addr.to_string()), "{what}: {}", told.text());
        gateway.finish().await;
    }
    // A service that names none, and one that is not there.
    let instance = Instance::saying("x").await;
    let gateway = TestGateway::builder().file(&wiki(&[instance.url()], "")).start().await;
    let ops = gateway.token(Role::Ops).to_owned();
    for name in ["wiki", "nothing"] {
        let told = api(&gateway, &format!("/services/{name}/openapi"), &ops).await;
        assert_eq!(told.status, 404, "{}", told.text());
    }
    assert!(instance.seen().is_empty());
    gateway.finish().await;
}
