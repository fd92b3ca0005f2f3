//! The rack's credential where it is kept outside: exchanged without a restart, and kept while it cannot be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gateway_testkit::{RawClient, TestGateway, eventually};
use gateway_types::Role;

use super::super::service_kit::{Instance, reply};
use super::get;

pub(super) async fn apps(gateway: &TestGateway) -> u16 {
    get(gateway, "/apps", gateway.token(Role::Viewer)).await.status
}

pub(super) async fn answers(gateway: &TestGateway, status: u16) {
    eventually("the rack's answer", || async { (apps(gateway).await == status).then_some(()) }).await;
}

/// What the second listener says an operator should know.
pub(super) async fn notes(gateway: &TestGateway) -> String {
    RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await.text()
}

pub(super) async fn states(gateway: &TestGateway) -> Vec<String> {
    let events = gateway.events().await;
    let of = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:rack:credential");
    // A look at how it stands is an event of the same name, with nothing before and after.
    of.filter_map(|(_, event)| Some(event.after.as_ref()?["state"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_file_is_followed_and_its_last_value_holds() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rack-token");
    let rack = gateway_sim::SimRack::start(gateway_sim::SimOptions::for_tests()).await.unwrap();
    std::fs::write(&file, "not the password\n").unwrap();
    let gateway = TestGateway::builder()
        .env("RACK_HOST", &rack.url())
        .env("RACK_TOKEN", &format!("file:{}", file.display()))
        .start()
        .await;
    assert_eq!(apps(&gateway).await, 502);
    std::fs::write(&file, format!("{}\n", rack.password())).unwrap();
    answers(&gateway, 200).await;
    assert_eq!(states(&gateway).await, ["exchanged"]);

    std::fs::remove_file(&file).unwrap();
    eventually("an alarm", || async {
        notes(&gateway).await.contains("rack-token cannot be read").then_some(())
    })
    .await;
    assert_eq!(apps(&gateway).await, 200, "the last value holds");
    std::fs::write(&file, rack.password()).unwrap();
    eventually("the end of the alarm", || async {
        (!notes(&gateway).await.contains("rack-token")).then_some(())
    })
    .await;
    assert_eq!(states(&gateway).await, ["exchanged", "cannot_be_read", "read_again"]);
    let text = format!("{:?}", gateway.events().await);
    assert!(!text.contains(rack.password()) && !text.contains("not the password"));
    gateway.finish().await;
}

#[tokio::test]
async fn vault_is_asked_again_when_the_rack_refuses() {
    let rack = gateway_sim::SimRack::start(gateway_sim::SimOptions::for_tests()).await.unwrap();
    let (asked, password) = (Arc::new(AtomicUsize::new(0)), rack.password().to_owned());
    let count = asked.clone();
    let vault = Instance::start(move |seen| {
        if seen.line() != "GET /v1/secret/data/rack/production" {
            return reply("404 Not Found", "", "{}");
        }
        // Away at first, then with the password of before.
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => reply("503 Service Unavailable", "", "{}"),
            1 => reply("200 OK", "", "{\"data\":{\"data\":{\"token\":\"the-password-of-before\"}}}"),
            _ => reply("200 OK", "", &format!("{{\"data\":{{\"data\":{{\"token\":\"{password}\"}}}}}}")),
        }
    })
    .await;
    let gateway = TestGateway::builder()
        .env("RACK_HOST", &rack.url())
        .env("RACK_TOKEN", "vault:secret/rack/production#token")
        .env("VAULT_ADDR", &vault.url())
        .env("VAULT_TOKEN", "vault-token-1")
        .start()
        .await;
    assert!(notes(&gateway).await.contains("Vault answered 503"), "{}", notes(&gateway).await);
    answers(&gateway, 200).await;
    let states = states(&gateway).await;
    assert_eq!(states[..2], ["cannot_be_read", "exchanged"], "{states:?}");
    let before = asked.load(Ordering::Relaxed);
    assert_eq!(apps(&gateway).await, 200);
    assert_eq!(asked.load(Ordering::Relaxed), before, "not asked for each request");
    gateway.finish().await;
}
