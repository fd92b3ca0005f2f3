//! Services that come, change and go while the gateway serves: by API and by file, on two instances, without
//! a failed request; and a bad one that changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gateway_testkit::raw::{Reply, basic};
use gateway_testkit::stub::StubRack;
use gateway_testkit::{Database, RawClient, TestGateway, eventually};
use gateway_types::Role;
use serde_json::{Value, json};

use crate::sign_on::echo;

async fn api(
    gateway: &TestGateway,
    token: &str,
    method: &str,
    path: &str,
    etag: &str,
    body: &Value,
) -> Reply {
    let headers = [("Content-Type", "application/json"), ("If-Match", etag)];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let path = format!("!/api/v1{path}");
    let headers = if method == "GET" { &headers[..0] } else { &headers[..] };
    RawClient::connect(gateway.addr()).await.ask(method, &path, token, headers, body.as_bytes()).await
}

async fn visit(gateway: &TestGateway, host: &str, path: &str, token: &str) -> u16 {
    let mut client = RawClient::connect(gateway.addr()).await;
    let credential = basic(token);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {credential}\r\n\r\n")).await;
    client.reply().await.expect("a reply").status
}

fn declaration(service: &StubRack, host: &str) -> Value {
    json!({ "declaration": { "hosts": [host], "upstreams": [{ "url": service.url() }] } })
}

/// Asks a service again and again until it is told to stop; how often, and what went wrong.
struct Loop {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Loop {
    fn begin(gateway: &TestGateway, host: &'static str) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (address, credential) = (gateway.addr(), basic(gateway.token(Role::Viewer)));
        let (stopped, counted) = (stop.clone(), count.clone());
        let task = tokio::spawn(async move {
            let mut failed = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let mut client = RawClient::connect(address).await;
                client
                    .send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\nAuthorization: {credential}\r\n\r\n"))
                    .await;
                match client.reply().await {
                    Some(reply) if reply.status == 200 => drop(counted.fetch_add(1, Ordering::SeqCst)),
                    Some(reply) => failed.push(format!("{}: {}", reply.status, reply.text())),
                    None => failed.push("no reply".to_owned()),
                }
            }
            failed
        });
        Self { stop, count, task }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let failed = self.task.await.unwrap();
        assert!(failed.is_empty(), "{} failed: {}", failed.len(), failed[0]);
        self.count.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_service_by_api_is_there_at_once_and_gone_at_once() {
    let service = echo().await;
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let (admin, viewer) = (gateway.critical_token().await, gateway.token(Role::Viewer).to_owned());
        let body = declaration(&service, "wiki.example.com");
        assert_eq!(visit(&gateway, "wiki.example.com", "/x", &viewer).await, 404);
        let refused = api(&gateway, &viewer, "PUT", "/services/wiki", "\"0\"", &body).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        let unsaid = RawClient::connect(gateway.addr())
            .await
            .ask(
                "PUT",
                "!/api/v1/services/wiki",
                &admin,
                &[("Content-Type", "application/json")],
                body.to_string().as_bytes(),
            )
            .await;
        assert_eq!(unsaid.status, 428, "{}", unsaid.text());
        let written = api(&gateway, &admin, "PUT", "/services/wiki", "\"0\"", &body).await;
        assert_eq!(written.status, 200, "{}", written.text());
        let etag = written.header("etag").expect("an ETag").to_owned();
        assert_eq!(visit(&gateway, "wiki.example.com", "/x", &viewer).await, 200);
        let stale = api(&gateway, &admin, "PUT", "/services/wiki", "\"1\"", &body).await;
        assert!(matches!(stale.status, 409 | 412), "{}", stale.text());
        // Shown to everybody who may look, and whole to those who could change it.
        let listed = api(&gateway, &viewer, "GET", "/services", "", &Value::Null).await.json();
        assert_eq!(
            (&listed["items"][0]["name"], &listed["items"][0]["source"]),
            (&json!("wiki"), &json!("database"))
        );
        assert_eq!(
            (&listed["items"][0]["may_use"], &listed["items"][0]["declaration"]),
            (&json!(true), &Value::Null)
        );
        let whole = api(&gateway, &admin, "GET", "/services/wiki", "", &Value::Null).await.json();
        assert_eq!(whole["declaration"]["hosts"], json!(["wiki.example.com"]));
        // Everything that is wrong, at once.
        let bad = json!({ "declaration": { "prefix": "/api", "upstreams": [{ "url": "ftp://x" }] } });
        let told = api(&gateway, &admin, "PUT", "/services/other", "\"0\"", &bad).await;
        assert_eq!(told.status, 400, "{}", told.text());
        assert!(
            told.text().contains("upstreams[0].url") && told.text().contains("prefix"),
            "{}",
            told.text()
        );
        let ops = gateway.token(Role::Ops).to_owned();
        let bad = json!({ "declaration": { "name": "other", "prefix": "/api", "upstreams": [{ "url": "ftp://x" }] } });
        let check = api(&gateway, &ops, "POST", "/services/check", "*", &bad).await.json();
        assert_eq!(
            (&check["acceptable"], check["faults"].as_array().unwrap().len()),
            (&json!(false), 2),
            "{check}"
        );
        let document = json!({ "document": { "openapi": "3.0.0", "paths": { "/a/{id}": { "get": {} } } } });
        let imported = api(&gateway, &ops, "POST", "/services/import-openapi", "*", &document).await.json();
        assert_eq!(imported["routes"], json!([{ "method": "GET", "path": "/a/{id}", "cicd": false }]));
        // It outlives a restart.
        let mut gateway = gateway;
        gateway.restart().await;
        assert_eq!(visit(&gateway, "wiki.example.com", "/x", &viewer).await, 200);
        let removed = api(&gateway, &admin, "DELETE", "/services/wiki", &etag, &Value::Null).await;
        assert_eq!(removed.status, 204, "{}", removed.text());
        assert_eq!(visit(&gateway, "wiki.example.com", "/x", &viewer).await, 404);
        let events = gateway.events().await;
        let update = events
            .iter()
            .find(|(_, event)| event.action.as_str() == "gateway:service:update" && event.after.is_some())
            .expect("an event with what it is now");
        assert_eq!(update.1.after.as_ref().unwrap()["hosts"], json!(["wiki.example.com"]));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_hundred_changes_under_load_fail_no_request_on_two_instances() {
    let service = echo().await;
    let first = TestGateway::builder().database(Database::Postgres).start().await;
    let admin = first.critical_token().await;
    let steady = declaration(&service, "steady.example.com");
    let written = api(&first, &admin, "PUT", "/services/steady", "\"0\"", &steady).await;
    assert_eq!(written.status, 200, "{}", written.text());
    let second = TestGateway::builder().database(Database::Postgres).share(&first).start().await;
    let loops = [Loop::begin(&first, "steady.example.com"), Loop::begin(&second, "steady.example.com")];
    for round in 0..50 {
        // What is where changes each time, what there is each fifth time.
        let name = format!("extra{}", round % 5);
        let body = json!({ "declaration": { "prefix": format!("/extra{round}"), "upstreams": [{ "url": service.url() }] } });
        let written = api(&first, &admin, "PUT", &format!("/services/{name}"), "*", &body).await;
        assert_eq!(written.status, 200, "{}", written.text());
        let written = api(&first, &admin, "PUT", "/services/steady", "*", &steady).await;
        assert_eq!(written.status, 200, "{}", written.text());
    }
    eventually("the other instance has the last one", || async {
        (visit(&second, "gateway.example.com", "/extra49/x", first.token(Role::Viewer)).await == 200)
            .then_some(())
    })
    .await;
    for running in loops {
        assert!(running.end().await > 0);
    }
    second.finish().await;
    first.finish().await;
}

fn file(service: &StubRack, further: &str) -> String {
    format!(
        "[[service]]\nname = \"steady\"\nhosts = [\"steady.example.com\"]\nupstreams = [{{ url = \"{}\" }}]\n{further}",
        service.url()
    )
}

#[tokio::test]
async fn the_file_takes_effect_while_the_gateway_serves_and_a_bad_one_changes_nothing() {
    let service = echo().await;
    let gateway = TestGateway::builder().file(&file(&service, "")).start().await;
    gateway.write_file(&file(&service, ""));
    gateway.follow_file();
    let viewer = gateway.token(Role::Viewer).to_owned();
    let running = Loop::begin(&gateway, "steady.example.com");
    let at = async |host: &'static str, status: u16| {
        eventually("the file takes effect", || async {
            (visit(&gateway, host, "/x", &viewer).await == status).then_some(())
        })
        .await;
    };
    let other = format!(
        "[[service]]\nname = \"other\"\nhosts = [\"other.example.com\"]\nupstreams = [{{ url = \"{}\" }}]\n",
        service.url()
    );
    gateway.write_file(&file(&service, &other));
    at("other.example.com", 200).await;
    // No TOML, no service, and a key that is not there: what was read before stays, and says why.
    for (bad, why) in [
        ("[[service]]\nname = ", "cannot be used"),
        ("[[service]]\nname = \"x\"\nprefix = \"/x\"\n", "upstreams"),
        ("odd_key = 1\n", "odd_key"),
        (
            "[[service]]\nname = \"other\"\nhosts = [\"steady.example.com\"]\nupstreams = [{ url = \"http://h:1\" }]\n",
            "steady.example.com",
        ),
    ] {
        gateway.write_file(&file(&service, bad));
        eventually("the fault is said", || async {
            let notes =
                RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await;
            notes.text().contains(why).then_some(())
        })
        .await;
        assert_eq!(visit(&gateway, "other.example.com", "/x", &viewer).await, 200, "{bad}");
    }
    // A change over the API says nothing of the file: its fault is still said. Once nothing conflicts any more, the
    // same file takes effect.
    let admin = gateway.critical_token().await;
    let body = declaration(&service, "late.example.com");
    assert_eq!(api(&gateway, &admin, "PUT", "/services/late", "\"0\"", &body).await.status, 200);
    let late = other.replace("name = \"other\"\nhosts = [\"other", "name = \"second\"\nhosts = [\"late");
    gateway.write_file(&file(&service, &late));
    let said = async |why: &str| {
        let notes = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await;
        notes.text().contains(why)
    };
    eventually("the conflict is said", || async { said("late.example.com").await.then_some(()) }).await;
    let body = declaration(&service, "third.example.com");
    assert_eq!(api(&gateway, &admin, "PUT", "/services/third", "\"0\"", &body).await.status, 200);
    assert!(said("late.example.com").await, "a change of the database wiped it away");
    let removed = api(&gateway, &admin, "DELETE", "/services/late", "*", &Value::Null).await;
    assert!(matches!(removed.status, 200 | 204), "{}", removed.text());
    eventually("the file takes effect", || async { (!said("late.example.com").await).then_some(()) }).await;
    assert_eq!(visit(&gateway, "late.example.com", "/x", &viewer).await, 200);
    gateway.write_file(&file(&service, ""));
    at("late.example.com", 404).await;
    let notes = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await;
    assert_eq!(notes.json()["ready"], json!(true));
    assert!(!notes.text().contains("configuration file"), "{}", notes.text());
    assert!(running.end().await > 0);
    let events = gateway.events().await;
    let reloads = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:service:reload");
    assert_eq!(reloads.count(), 3);
    gateway.finish().await;
}

#[tokio::test]
async fn a_hundred_files_under_load_fail_no_request() {
    let service = echo().await;
    let gateway = TestGateway::builder().file(&file(&service, "")).start().await;
    let running = Loop::begin(&gateway, "steady.example.com");
    for round in 0..100 {
        let further = format!(
            "[[service]]\nname = \"extra{}\"\nprefix = \"/extra{round}\"\nupstreams = [{{ url = \"{}\" }}]\n",
            round % 10,
            service.url()
        );
        gateway.write_file(&file(&service, &further));
        gateway.read_file_again().await;
    }
    assert_eq!(visit(&gateway, "gateway.example.com", "/extra99/x", gateway.token(Role::Viewer)).await, 200);
    assert!(running.end().await > 0);
    gateway.finish().await;
}

/// Labels of a compose file become a service only on approval of exactly what was shown.
#[tokio::test]
async fn labels_are_candidates_until_somebody_approves() {
    for database in Database::BOTH {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("compose.yaml");
        let labels = |port: u16| {
            format!(
                "services:\n  web:\n    labels:\n      rack-gateway.service: wiki\n      rack-gateway.host: wiki.example.com\n      \
                 rack-gateway.port: {port}\n"
            )
        };
        std::fs::write(&file, labels(8080)).unwrap();
        let gateway = TestGateway::builder()
            .idp()
            .database(database)
            .env("CANDIDATES_COMPOSE_FILE", file.to_str().unwrap())
            .start()
            .await;
        let admin = gateway.critical_token().await;
        let ops = gateway.token(Role::Ops).to_owned();
        let ask = async |token: &str, method: &str, path: &str, body: Value| {
            api(&gateway, token, method, path, "*", &body).await
        };
        assert_eq!(ask(&ops, "GET", "/service-candidates", Value::Null).await.status, 403);
        let seen = ask(&admin, "GET", "/service-candidates", Value::Null).await.json();
        assert_eq!((&seen["watched"], &seen["items"][0]["state"]), (&json!(true), &json!("new")), "{seen}");
        assert_eq!(
            ask(&admin, "GET", "/services/wiki", Value::Null).await.status,
            404,
            "shown, not in force"
        );
        // The same of a file that is sent; and it is another difference.
        let sent = json!({ "compose": labels(9090) });
        let sent = ask(&admin, "POST", "/service-candidates", sent).await.json();
        let (shown, other) = (&seen["items"][0]["difference"], &sent["items"][0]["difference"]);
        assert_ne!(shown, other);
        let late = ask(&admin, "POST", "/service-candidates/wiki", json!({ "difference": other })).await;
        assert_eq!(late.status, 412, "{}", late.text());
        let body = json!({ "difference": shown });
        assert_eq!(ask(&ops, "POST", "/service-candidates/wiki", body.clone()).await.status, 403);
        let put = ask(&admin, "POST", "/service-candidates/wiki", body.clone()).await;
        assert_eq!(put.status, 200, "{}", put.text());
        assert_eq!(put.json()["upstreams"][0]["address"], "web:8080");
        assert_eq!(ask(&admin, "POST", "/service-candidates/wiki", body).await.status, 412, "once");
        let body = json!({ "difference": other, "compose": labels(9090) });
        let late = ask(&admin, "POST", "/service-candidates/wiki", body).await;
        assert_eq!(late.status, 412, "what was shown was a new service, and now there is one");
        let events = gateway.events().await;
        let mut approved =
            events.iter().filter(|(_, event)| event.action.as_str() == "gateway:service:approve");
        assert!(approved.any(|(_, event)| {
            event.after.as_ref().is_some_and(|after| after["upstreams"][0]["url"] == "http://web:8080")
        }));
        gateway.finish().await;
    }
}
