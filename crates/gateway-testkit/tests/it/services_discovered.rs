//! Services whose instances a DNS SRV record names, with a real name server.

use std::time::Duration;

use gateway_testkit::visitor::Visitor;
use gateway_testkit::{RawClient, TestGateway, eventually};
use gateway_types::Role;
use serde_json::Value;

use super::service_kit::{Instance, get};
use super::tls::authority::{Dns, ZONE};

/// The declaration of a service that is looked up at this name server, on this machine.
fn declared(dns: &Dns) -> String {
    format!(
        "[[service]]\nname = \"wiki\"\nhosts = [\"wiki.example.com\"]\ninstances = \"srv\"\n\
         srv = {{ name = \"_wiki._tcp.{ZONE}\", nameservers = [\"{}\"], networks = [\"127.0.0.0/8\"] }}\n",
        dns.addr
    )
}

async fn shown(gateway: &TestGateway, token: &str) -> Value {
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply = client.ask("GET", "!/api/v1/services/wiki", token, &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Moves the time on until what was looked up is as wanted.
async fn until(gateway: &TestGateway, token: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || {
        gateway.clock.advance(Duration::from_secs(5));
        let service = shown(gateway, token).await;
        is(&service).then_some(service)
    })
    .await
}

fn addresses(service: &Value) -> Vec<&str> {
    let upstreams = service["upstreams"].as_array().expect("a list");
    upstreams.iter().map(|one| one["address"].as_str().expect("an address")).collect()
}

/// The answers to so many requests, each once, sorted.
async fn answers(gateway: &TestGateway, count: usize) -> Vec<String> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let reply = get(gateway, "/page").await;
        answers.push(format!("{} {}", reply.status, reply.text()));
    }
    answers.sort();
    answers.dedup();
    answers
}

#[tokio::test]
async fn instances_are_those_that_the_record_names() {
    let (one, other, spare) =
        (Instance::saying("one").await, Instance::saying("other").await, Instance::saying("spare").await);
    let record =
        |priority: u16, at: &Instance| format!("_wiki._tcp 30 IN SRV {priority} 1 {} here\n", at.addr.port());
    // What a poisoned answer would like to have asked in the gateway's name is named too.
    let hosts = "here IN A 127.0.0.1\nmetadata IN A 169.254.169.254\n";
    let metadata = "_wiki._tcp 30 IN SRV 10 1 80 metadata\n";
    let all = format!("{hosts}{metadata}{}{}{}", record(10, &one), record(10, &other), record(20, &spare));
    let mut dns = Dns::with(&all).await;
    let mut gateway = TestGateway::builder()
        .idp()
        .env("RGW_SETTING_RATE_LIMITS", "off")
        .file(&declared(&dns))
        .start()
        .await;
    gateway.restart().await;
    assert_eq!(get(&gateway, "/page").await.status, 200, "looked up before anybody is served");
    let admin = gateway.critical_token().await;
    let found = until(&gateway, &admin, "three instances", |service| addresses(service).len() == 3).await;
    assert_eq!(found["discovery"]["state"], "found", "{found}");
    assert_eq!(found["discovery"]["refused"], serde_json::json!(["169.254.169.254:80"]));
    assert_eq!(answers(&gateway, 6).await, ["200 one", "200 other"], "the lowest priority first");
    // Those of the next priority take over while none of the first is well.
    let ports = (one.addr.port(), other.addr.port());
    drop((one, other));
    assert_eq!(answers(&gateway, 12).await, ["200 spare"]);
    // The name server dies: what it last said holds, and everybody is told.
    dns.stop();
    let failed =
        until(&gateway, &admin, "a look that fails", |service| service["discovery"]["state"] == "failed")
            .await;
    assert_eq!(addresses(&failed).len(), 3);
    assert!(failed["discovery"]["fault"].as_str().unwrap().contains("cannot be reached"), "{failed}");
    let mut person = Visitor::signed_in(&gateway, Role::Admin).await;
    let page = person.get("/app/services/wiki").await;
    assert!(
        page.text().contains("cannot be reached") && page.text().contains("_wiki._tcp"),
        "{}",
        page.text()
    );
    // It is back, and says something else.
    dns.become_one_with(&format!("{hosts}{}", record(20, &spare))).await;
    let moved = until(&gateway, &admin, "one instance", |service| addresses(service).len() == 1).await;
    assert_eq!(addresses(&moved), [spare.addr.to_string()]);
    assert!(!addresses(&moved).iter().any(|at| at.ends_with(&format!(":{}", ports.0))));
    // It says that nobody is there: believed only when it goes on saying so.
    dns.become_one_with("").await;
    let absent =
        until(&gateway, &admin, "no record", |service| service["discovery"]["state"] == "absent").await;
    assert_eq!(addresses(&absent).len(), 1);
    until(&gateway, &admin, "no instance", |service| addresses(service).is_empty()).await;
    assert_eq!(get(&gateway, "/page").await.status, 502);
    let events = gateway.events().await;
    let of = |action: &str| events.iter().filter(|(_, event)| event.action.as_str() == action).count();
    assert_eq!(of("gateway:service:instance_refused"), 2, "once by each process");
    assert_eq!(of("gateway:service:discovery_failed"), 2, "once each time that it began");
    assert_eq!(of("gateway:service:instances_changed"), 4, "two starts, a move, and the end");
    gateway.finish().await;
}
