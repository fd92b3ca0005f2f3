//! Sinks of the audit log: each receiver gets every entry once and in order, also over a restart and when it was away;
//! a sampled one gets its share; one that is away costs nothing but its lag.

mod receivers;

use std::net::SocketAddr;

use gateway_audit::Event;
use gateway_testkit::{Database, RawClient, TestGateway, eventually};
use gateway_types::Role;
use serde_json::Value;

pub(crate) use receivers::{HEADER, Receivers, SECRET, Web};

/// A poll, a change and a refusal.
async fn work(gateway: &TestGateway) {
    let mut client = RawClient::connect(gateway.addr()).await;
    let restart = "/apps/myapp/services/web/restart";
    assert_eq!(client.ask("GET", "/apps", gateway.token(Role::Viewer), &[], b"").await.status, 200);
    assert_eq!(client.ask("POST", restart, gateway.token(Role::Ops), &[], b"").await.status, 200);
    assert_eq!(client.ask("POST", restart, gateway.token(Role::Viewer), &[], b"").await.status, 403);
}

/// The ids of all entries, in the order of the log.
async fn ids(gateway: &TestGateway) -> Vec<String> {
    gateway.events().await.iter().map(|(_, event)| event.id.to_string()).collect()
}

async fn readyz(gateway: &TestGateway) -> Value {
    let reply = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

async fn metric(gateway: &TestGateway, metric: &str, sink: &str) -> Option<u64> {
    metric_at(gateway.admin_addr(), metric, sink).await
}

/// The value of this metric for this sink.
pub(crate) async fn metric_at(admin: SocketAddr, metric: &str, sink: &str) -> Option<u64> {
    let reply = RawClient::connect(admin).await.ask("GET", "!/metrics", "", &[], b"").await;
    let sample = format!("rack_gateway_audit_sink_{metric}{{name=\"{sink}\"}} ");
    reply.text().lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok())
}

async fn check_every_sink(database: Database) {
    let receivers = Receivers::start().await;
    let file = receivers.file("");
    let mut gateway = TestGateway::builder().database(database).file(&file).start().await;
    for _ in 0..2 {
        work(&gateway).await;
        let expected = ids(&gateway).await;
        receivers.have(&expected).await;
        // What was recorded while it stopped comes after the start.
        gateway.restart().await;
    }
    work(&gateway).await;
    receivers.have(&ids(&gateway).await).await;
    receivers.check_signatures();
    for (name, _) in receivers.all() {
        assert_eq!(metric(&gateway, "up", name).await, Some(1), "{name}");
    }
    assert!(
        readyz(&gateway).await["notes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|note| !note.to_string().contains("sink"))
    );
    gateway.finish().await;
}

#[tokio::test]
async fn every_sink_gets_every_entry_once_on_sqlite() {
    check_every_sink(Database::Sqlite).await;
}

#[tokio::test]
async fn every_sink_gets_every_entry_once_on_postgres() {
    check_every_sink(Database::Postgres).await;
}

/// Requests are answered as ever, `/readyz` stays ready and says why, the lag is told, and nothing is lost.
#[tokio::test]
async fn a_receiver_that_is_away_costs_nothing_but_its_lag() {
    let receivers = Receivers::start().await;
    receivers.hook.answer(503);
    receivers.collector.answer(503);
    receivers.syslog.break_off(true);
    let mut gateway = TestGateway::builder().file(&receivers.file("")).start().await;
    work(&gateway).await;
    let notes = eventually("the notes", async || {
        let notes = readyz(&gateway).await["notes"].to_string();
        ["hook", "collector", "syslog"]
            .iter()
            .all(|name| notes.contains(&format!("`{name}` is ")))
            .then_some(notes)
    })
    .await;
    assert!(notes.contains("entries behind: 127.0.0.1 answered with status 503"), "{notes}");
    assert!(notes.contains("the connection to 127.0.0.1 failed"), "{notes}");
    assert_eq!(metric(&gateway, "up", "hook").await, Some(0));
    assert!(metric(&gateway, "lag_entries", "hook").await > Some(0));
    // The others have everything meanwhile, and a restart changes nothing.
    receivers.one_has("file", &ids(&gateway).await).await;
    gateway.restart().await;
    work(&gateway).await;
    receivers.one_has("syslog-tls", &ids(&gateway).await).await;
    receivers.hook.answer(200);
    receivers.collector.answer(200);
    receivers.syslog.break_off(false);
    receivers.have(&ids(&gateway).await).await;
    eventually("no lag", async || (metric(&gateway, "lag_entries", "hook").await == Some(0)).then_some(()))
        .await;
    assert_eq!(metric(&gateway, "up", "hook").await, Some(1));
    gateway.finish().await;
}

/// Two instances, one position: nothing twice.
#[tokio::test]
async fn instances_take_turns() {
    let receivers = Receivers::start().await;
    let file = receivers.only("hook", "");
    let first = TestGateway::builder().database(Database::Postgres).file(&file).start().await;
    let second = TestGateway::builder().share(&first).file(&file).start().await;
    for _ in 0..5 {
        work(&first).await;
        work(&second).await;
    }
    second.store().audit().flush().await.unwrap();
    receivers.one_has("hook", &ids(&first).await).await;
    second.finish().await;
    receivers.one_has("hook", &ids(&first).await).await;
    first.finish().await;
}

/// Of polls one in N comes, with the rate; changes, refusals and other reads come whole.
#[tokio::test]
async fn a_sampled_sink_gets_its_share_and_the_log_has_all() {
    const POLLS: usize = 300;
    let receivers = Receivers::start().await;
    let file = receivers.only("hook", "sample = [\"convox:app:list=10\"]");
    let gateway = TestGateway::builder().file(&file).start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    for _ in 0..POLLS {
        assert_eq!(client.ask("GET", "/apps", gateway.token(Role::Viewer), &[], b"").await.status, 200);
    }
    work(&gateway).await;
    let events = gateway.events().await;
    let is_poll = |event: &&Event| event.action.as_str() == "convox:app:list";
    assert_eq!(events.iter().map(|(_, event)| event).filter(is_poll).count(), POLLS + 1);
    // The last entry is a refusal, which is never left out.
    let last = events.last().unwrap().1.id.to_string();
    let got = eventually("the last entry", async || {
        let got = receivers.hook.bodies();
        got.iter().any(|body| body["id"] == last).then_some(got)
    })
    .await;
    let polls: Vec<&Value> =
        got.iter().filter(|body| body["data"]["entry"]["action"] == "convox:app:list").collect();
    assert!((5..70).contains(&polls.len()), "{} of {POLLS}", polls.len());
    assert!(polls.iter().all(|body| body["sampledrate"] == 10 && body["data"]["one_in"] == 10));
    let others = events.iter().map(|(_, event)| event).filter(|event| !is_poll(event));
    let whole: Vec<String> = others.map(|event| event.id.to_string()).collect();
    let others: Vec<&Value> =
        got.iter().filter(|body| body["data"]["entry"]["action"] != "convox:app:list").collect();
    assert_eq!(others.iter().map(|body| body["id"].as_str().unwrap()).collect::<Vec<_>>(), whole);
    assert!(others.iter().all(|body| body.get("sampledrate").is_none()));
    gateway.finish().await;
}

/// Of polls that come together every one is counted, also when the gateway stops and the receiver is away in between; changes,
/// refusals and other reads come whole, and at once.
#[tokio::test]
async fn an_aggregating_sink_counts_every_poll() {
    const POLLS: u64 = 400;
    for database in [Database::Sqlite, Database::Postgres] {
        let receivers = Receivers::start().await;
        let file = receivers.only("hook", "aggregate = [\"convox:app:list\"]");
        let mut gateway = TestGateway::builder()
            .database(database)
            .file(&file)
            .env("RGW_SETTING_RATE_LIMITS", "off")
            .start()
            .await;
        for _part in 0..2 {
            let mut client = RawClient::connect(gateway.addr()).await;
            for _ in 0..POLLS / 2 {
                assert_eq!(
                    client.ask("GET", "/apps", gateway.token(Role::Viewer), &[], b"").await.status,
                    200
                );
            }
            gateway.restart().await;
        }
        work(&gateway).await;
        let events = gateway.events().await;
        let is_poll = |event: &&Event| event.action.as_str() == "convox:app:list";
        let polls = events.iter().map(|(_, event)| event).filter(is_poll).count() as u64;
        assert_eq!(polls, POLLS + 1);
        let last = events.last().unwrap().1.id.to_string();
        let got = eventually("the last entry", async || {
            let got = receivers.hook.bodies();
            got.iter().any(|body| body["id"] == last).then_some(got)
        })
        .await;
        // What is sent again has the same id, and the same number.
        let mut seen = std::collections::BTreeMap::new();
        for body in &got {
            let before = seen.insert(body["id"].to_string(), body);
            assert!(before.is_none_or(|before| before["data"] == body["data"]), "{body}");
        }
        let (of_polls, others): (Vec<&Value>, Vec<&Value>) =
            seen.into_values().partition(|body| body["data"]["entry"]["action"] == "convox:app:list");
        let counted: u64 = of_polls.iter().map(|body| body["togethercount"].as_u64().unwrap_or(1)).sum();
        assert_eq!(counted, polls);
        assert!((of_polls.len() as u64) < POLLS / 4, "{} were sent", of_polls.len());
        assert_eq!(others.len(), events.iter().filter(|(_, event)| !is_poll(&event)).count());
        assert!(others.iter().all(|body| body.get("togethercount").is_none()));
        gateway.finish().await;
    }
}
