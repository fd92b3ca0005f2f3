//! What is told to whoever watches an instance: `/metrics` on the second listener, and `Server-Timing` on replies.

use gateway_testkit::{Database, RawClient, TestGateway, eventually};
use gateway_types::Role;

use crate::log::{Away, bring_back, take_away};

/// What is scraped now.
async fn scrape(gateway: &TestGateway) -> String {
    let reply = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/metrics", "", &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = reply.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    text
}

/// The value of this sample; 0 when there is none.
fn value(text: &str, sample: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn requests_are_counted_by_what_became_of_them() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let (ops, viewer) = (gateway.token(Role::Ops).to_owned(), gateway.token(Role::Viewer).to_owned());
    let restart = "/apps/myapp/services/web/restart";
    assert_eq!(client.ask("GET", "/apps/myapp", &viewer, &[], b"").await.status, 200);
    assert_eq!(client.ask("POST", restart, &ops, &[], b"").await.status, 200);
    assert_eq!(client.ask("POST", restart, &viewer, &[], b"").await.status, 403);
    assert_eq!(client.ask("GET", "/apps/myapp", "rgw_nobody", &[], b"").await.status, 401);
    let text = eventually("the outcome of the last request", async || {
        let text = scrape(&gateway).await;
        let last = "rack_gateway_requests_total{channel=\"rack_proxy\",class=\"read\",end=\"refused\",status=\"4xx\"}";
        (value(&text, last) > 0.0).then_some(text)
    })
    .await;
    for (sample, expected) in [
        (
            "rack_gateway_requests_total{channel=\"rack_proxy\",class=\"read\",end=\"completed\",status=\"2xx\"}",
            1.0,
        ),
        (
            "rack_gateway_requests_total{channel=\"rack_proxy\",class=\"change\",end=\"completed\",status=\"2xx\"}",
            1.0,
        ),
        (
            "rack_gateway_requests_total{channel=\"rack_proxy\",class=\"change\",end=\"refused\",status=\"4xx\"}",
            1.0,
        ),
        ("rack_gateway_request_duration_seconds_count{channel=\"rack_proxy\",class=\"change\"}", 2.0),
        ("rack_gateway_stage_duration_seconds_count{stage=\"upstream\"}", 2.0),
        ("rack_gateway_stage_duration_seconds_count{stage=\"policy\"}", 2.0),
        ("rack_gateway_refusals_total{layer=\"authentication\",kind=\"unauthenticated\"}", 1.0),
        ("rack_gateway_store_up", 1.0),
        ("rack_gateway_audit_writable", 1.0),
        ("rack_gateway_open_connections", 1.0),
        ("rack_gateway_fault{of=\"policies\"}", 0.0),
    ] {
        assert!((value(&text, sample) - expected).abs() < 1e-9, "{sample}: {text}");
    }
    // The intent of the change took a commit.
    assert!(value(&text, "rack_gateway_audit_commits_total") >= 1.0, "{text}");
    // No label is what somebody sent, or who somebody is.
    for private in ["myapp", "viewer@", "ops@", "rgw_", "127.0.0.1"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
    let places = value(&text, "rack_gateway_store_connection_places");
    let open = ["used", "idle"]
        .map(|state| value(&text, &format!("rack_gateway_store_connections{{state=\"{state}\"}}")));
    assert!(open.iter().sum::<f64>() >= 1.0 && open.iter().sum::<f64>() <= places, "{open:?} of {places}");
    gateway.finish().await;
}

/// Whoever has a credential learns where the time went; nobody else how long a refusal took.
#[tokio::test]
async fn replies_tell_where_their_time_went() {
    let gateway = TestGateway::start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let token = gateway.token(Role::Ops).to_owned();
    let stages = async |client: &mut RawClient, method: &str, path: &str, token: &str| {
        let reply = client.ask(method, path, token, &[], b"").await;
        reply.header("server-timing").map(|text| {
            let timed = text.split(", ").map(|one| one.split_once(";dur=").unwrap());
            let names: Vec<String> = timed
                .map(|(name, millis)| {
                    assert!(millis.parse::<f64>().is_ok_and(|millis| millis < 60_000.0), "{text}");
                    name.to_owned()
                })
                .collect();
            names.join(" ")
        })
    };
    let all = "admit authenticate inspect policy audit upstream";
    assert_eq!(stages(&mut client, "GET", "/apps/myapp", &token).await.as_deref(), Some(all));
    assert_eq!(stages(&mut client, "GET", "!/api/v1/me", &token).await.as_deref(), Some(all));
    let viewer = gateway.token(Role::Viewer).to_owned();
    let refused = stages(&mut client, "POST", "/apps/myapp/services/web/restart", &viewer).await;
    assert_eq!(refused.as_deref(), Some("admit authenticate inspect"));
    assert_eq!(stages(&mut client, "GET", "/apps/myapp", "rgw_nobody").await, None);
    assert_eq!(stages(&mut client, "GET", "!/nowhere", "").await, None);
    gateway.finish().await;
}

#[tokio::test]
async fn a_store_that_is_away_is_said() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    let token = gateway.token(Role::Ops).to_owned();
    let mut client = RawClient::connect(gateway.addr()).await;
    assert_eq!(client.ask("GET", "/apps/myapp", &token, &[], b"").await.status, 200);
    gateway.store().audit().flush().await.unwrap();
    let back = take_away(&gateway, Database::Postgres, Away::Gone).await;
    let restart = "/apps/myapp/services/web/restart";
    assert_eq!(client.ask("POST", restart, &token, &[], b"").await.status, 503);
    let text = scrape(&gateway).await;
    for sample in ["rack_gateway_store_up", "rack_gateway_audit_writable"] {
        assert!(value(&text, sample).abs() < 1e-9, "{sample}: {text}");
    }
    bring_back(&gateway, back).await;
    eventually("a store that answers", async || {
        let text = scrape(&gateway).await;
        (value(&text, "rack_gateway_store_up") > 0.0).then_some(())
    })
    .await;
    gateway.finish().await;
}
