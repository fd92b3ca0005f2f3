//! Traces: what a collector is told of requests, what goes up, and that nobody waits for it.

use std::time::Duration;

use gateway_testkit::{RawClient, TestGateway, TestGatewayBuilder, eventually};
use gateway_types::Role;
use serde_json::Value;

use crate::service_kit::{Answer, Instance, ask, reply, wiki};

const SAID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SAID_TOO: &str = "vendor=secret-state";

fn traced(collector: &str, ratio: &str) -> TestGatewayBuilder {
    TestGateway::builder().env("TRACES_ADDRESS", collector).env("TRACES_RATIO", ratio)
}

/// Every span that the collector has.
fn spans(collector: &Instance) -> Vec<Value> {
    let mut spans = Vec::new();
    for seen in collector.seen() {
        assert_eq!(seen.line(), "POST /v1/traces");
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        for resource in body["resourceSpans"].as_array().unwrap() {
            for scope in resource["scopeSpans"].as_array().unwrap() {
                spans.extend(scope["spans"].as_array().unwrap().iter().cloned());
            }
        }
    }
    spans
}

/// The value of an attribute.
fn attribute<'a>(span: &'a Value, name: &str) -> Option<&'a str> {
    let attributes = span["attributes"].as_array()?;
    let found = attributes.iter().find(|one| one["key"] == name)?;
    found["value"]["stringValue"].as_str().or_else(|| found["value"]["intValue"].as_str())
}

/// The spans of whole requests, when there are so many.
async fn whole(collector: &Instance, count: usize) -> Vec<Value> {
    eventually("spans of the requests", async || {
        let mut spans = spans(collector);
        spans.retain(|span| span["kind"] == 2);
        (spans.len() >= count).then_some(spans)
    })
    .await
}

async fn dropped(gateway: &TestGateway) -> bool {
    let reply = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/metrics", "", &[], b"").await;
    reply.text().contains("rack_gateway_traced_requests_total{result=\"dropped\"} ")
}

#[tokio::test]
async fn a_request_is_told_stage_by_stage_and_goes_up_under_its_own_name() {
    let collector = Instance::saying("{}").await;
    let service = Instance::saying("page").await;
    let gateway = traced(&collector.url(), "1")
        .env("TRACES_HEADER", "x-collector-key: planted-collector-key")
        .file(&wiki(&[service.url()], ""))
        .start()
        .await;
    let token = gateway.token(Role::Ops).to_owned();
    let said = [("traceparent", SAID), ("tracestate", SAID_TOO)];
    let mut client = RawClient::connect(gateway.addr()).await;
    let restarted = client.ask("POST", "/apps/myapp/services/web/restart", &token, &said, b"").await;
    assert_eq!(restarted.status, 200, "{}", restarted.text());
    let headers = format!("traceparent: {SAID}\r\ntracestate: {SAID_TOO}\r\n");
    assert_eq!(ask(&gateway, "GET", "/page?word=planted-query", &headers, "").await.status, 200);

    let whole = whole(&collector, 2).await;
    let restart = whole.iter().find(|one| attribute(one, "rack_gateway.class") == Some("change")).unwrap();
    assert_eq!(restart["name"], "POST /apps/{app}/services/{service}/restart");
    assert_eq!(attribute(restart, "rack_gateway.app"), Some("myapp"));
    assert_eq!(attribute(restart, "http.response.status_code"), Some("200"));
    // The log has the same request under the same id.
    let id = attribute(restart, "rack_gateway.request_id").unwrap();
    let events = gateway.events().await;
    assert!(events.iter().any(|(_, event)| event.request_id.is_some_and(|have| have.to_string() == id)));
    // Linked, and not taken over.
    assert_eq!(restart["links"][0]["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(restart["links"][0]["spanId"], "b7ad6b7169203331");
    assert_ne!(restart["traceId"], restart["links"][0]["traceId"]);
    assert!(restart.get("parentSpanId").is_none(), "{restart}");

    let all = spans(&collector);
    let below: Vec<&Value> = all.iter().filter(|one| one["parentSpanId"] == restart["spanId"]).collect();
    let names: Vec<&str> = below.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["admit", "authenticate", "inspect", "policy", "audit", "upstream"]);
    let time = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u128>().unwrap();
    for pair in below.windows(2) {
        assert_eq!(time(pair[0], "endTimeUnixNano"), time(pair[1], "startTimeUnixNano"));
    }
    assert!(time(below[5], "endTimeUnixNano") <= time(restart, "endTimeUnixNano"));

    // Whoever is asked next hangs below the upstream stage of this trace.
    let page =
        whole.iter().find(|one| attribute(one, "http.route").is_some_and(|route| route.contains("wiki")));
    let page = page.unwrap_or_else(|| panic!("{whole:?}"));
    let upstream =
        all.iter().find(|one| one["parentSpanId"] == page["spanId"] && one["name"] == "upstream").unwrap();
    let expected =
        format!("00-{}-{}-01", page["traceId"].as_str().unwrap(), upstream["spanId"].as_str().unwrap());
    let seen = service.only();
    assert_eq!(seen.headers("traceparent"), [expected.as_str()]);
    assert_eq!(seen.header("tracestate"), None);
    let at_rack = gateway.rack.requests();
    let at_rack = at_rack.iter().find(|request| request.target.ends_with("/restart")).unwrap();
    let went_up = at_rack.header("traceparent").unwrap();
    assert!(went_up.contains(restart["traceId"].as_str().unwrap()), "{went_up}");

    for seen in collector.seen() {
        assert_eq!(seen.header("x-collector-key"), Some("planted-collector-key"));
        let body = String::from_utf8(seen.body).unwrap();
        for secret in [token.as_str(), "planted", "secret-state", "@example.com"] {
            assert!(!body.contains(secret), "{secret} is told: {body}");
        }
    }
    gateway.finish().await;
}

#[tokio::test]
async fn of_a_share_of_none_only_what_went_wrong_is_told() {
    let collector = Instance::saying("{}").await;
    let gateway = traced(&collector.url(), "0").start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let viewer = gateway.token(Role::Viewer).to_owned();
    for _ in 0..5 {
        assert_eq!(client.ask("GET", "/apps/myapp", &viewer, &[], b"").await.status, 200);
    }
    let refused = client.ask("POST", "/apps/myapp/services/web/restart", &viewer, &[], b"").await;
    assert_eq!(refused.status, 403);
    let whole = whole(&collector, 1).await;
    let [one] = whole.as_slice() else { panic!("{whole:?}") };
    assert_eq!(attribute(one, "rack_gateway.end"), Some("refused"));
    assert_eq!(one["status"], serde_json::json!({}), "a refusal is no error of the gateway");
    gateway.finish().await;
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_costs_no_request_anything() {
    let away = traced("http://127.0.0.1:1", "1").start().await;
    let hanging = Instance::start(|_| Answer::Hang).await;
    let hung = traced(&hanging.url(), "1").start().await;
    for gateway in [&away, &hung] {
        let mut client = RawClient::connect(gateway.addr()).await;
        for _ in 0..20 {
            let asked = client.ask("GET", "/apps/myapp", gateway.token(Role::Viewer), &[], b"");
            let reply = tokio::time::timeout(Duration::from_secs(5), asked).await.expect("nobody waits");
            assert_eq!(reply.status, 200);
        }
    }
    eventually("what was dropped", async || dropped(&away).await.then_some(())).await;
    // The stop does not wait for it either.
    tokio::time::timeout(Duration::from_secs(20), hung.finish()).await.expect("an end");
    away.finish().await;
}

#[tokio::test]
async fn without_a_collector_nothing_is_made_and_nothing_is_changed() {
    let service = Instance::start(|_| reply("200 OK", "", "page")).await;
    let gateway = TestGateway::builder().file(&wiki(&[service.url()], "")).start().await;
    let headers = format!("traceparent: {SAID}\r\ntracestate: {SAID_TOO}\r\n");
    assert_eq!(ask(&gateway, "GET", "/page", &headers, "").await.status, 200);
    let seen = service.only();
    assert_eq!((seen.header("traceparent"), seen.header("tracestate")), (Some(SAID), Some(SAID_TOO)));
    assert!(!dropped(&gateway).await);
    gateway.finish().await;
}
