//! The sentinel: a change in the rack that did not come through the gateway is told of, one that did is not.

use std::time::Duration;

use gateway_testkit::{Database, RawClient, TestGateway, TestGatewayBuilder, eventually};
use gateway_types::Role;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Asks the rack itself, as whoever holds its password can; gives the id of what was made.
async fn behind(gateway: &TestGateway, path: &str, body: &[u8]) -> String {
    let mut client = RawClient::connect(gateway.rack.addr()).await;
    let reply = client.ask("POST", &format!("!{path}"), gateway.rack.password(), &[FORM], body).await;
    assert!(reply.status < 300, "{}", reply.text());
    let is_json = !reply.text().is_empty() && path.ends_with("/releases");
    if is_json { reply.json()["id"].as_str().unwrap().to_owned() } else { String::new() }
}

async fn told(gateway: &TestGateway) -> Vec<String> {
    let events = gateway.events().await;
    let of_sentinel = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:rack:bypassed");
    of_sentinel.map(|(_, event)| event.reason.clone().unwrap_or_default()).collect()
}

/// Looks until this many changes were told of.
async fn until_told(gateways: &[&TestGateway], count: usize) -> Vec<String> {
    eventually("the sentinel tells", async || {
        // All instances share the first one's clock.
        gateways[0].clock.advance(Duration::from_secs(1));
        let found = told(gateways[0]).await;
        (found.len() >= count).then_some(found)
    })
    .await
}

/// A few more looks find nothing.
async fn quiet(gateway: &TestGateway, count: usize) {
    for _ in 0..4 {
        gateway.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    assert_eq!(told(gateway).await.len(), count);
}

async fn check(database: Database, with_second: bool) {
    let builder = |one: TestGatewayBuilder| {
        one.env("SENTINEL_INTERVAL", "1s")
            .env("RGW_SETTING_MFA_STEP_UP", "false")
            .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
    };
    let mut gateway = builder(TestGateway::builder().database(database)).start().await;
    let second = match with_second {
        true => Some(builder(TestGateway::builder().share(&gateway)).start().await),
        false => None,
    };
    eventually("the first look", async || {
        gateway.clock.advance(Duration::from_secs(1));
        gateway.store().sentinel().seen().await.unwrap()
    })
    .await;

    let made = behind(&gateway, "/apps/myapp/releases", b"env=A%3Dbehind").await;
    behind(&gateway, &format!("/apps/myapp/releases/{made}/promote"), b"").await;
    let found = until_told(&[&gateway], 2).await;
    let expected =
        [format!("release {made} of myapp was made"), format!("release {made} of myapp was promoted")];
    assert!(expected.iter().all(|one| found.contains(one)), "{found:?}");
    quiet(&gateway, 2).await;
    let ready =
        RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await.json();
    assert_eq!(ready["sentinel"]["bypasses"], 2, "{ready}");
    assert!(ready["notes"].to_string().contains("went around the gateway"), "{ready}");
    let metrics = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/metrics", "", &[], b"").await;
    assert!(metrics.text().contains("rack_gateway_sentinel_bypasses_total 2"), "{}", metrics.text());

    let admin = gateway.session(Role::Admin).await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply = client.ask("POST", "/apps/myapp/releases", &admin, &[FORM], b"env=A%3Dthrough").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let release = reply.json()["id"].as_str().unwrap().to_owned();
    let promote = format!("/apps/myapp/releases/{release}/promote");
    let reply = client.ask("POST", &promote, &admin, &[FORM], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = client.ask("POST", "/apps", &admin, &[FORM], b"name=brandnew").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = client.ask("DELETE", "/apps/brandnew", &admin, &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let json = [("content-type", "application/json")];
    let body = br#"{"set":{"B":"by the gateway's own operation"}}"#;
    let reply = client.ask("PUT", "!/api/v1/apps/myapp/env", &admin, &json, body).await;
    assert!(reply.status < 300, "{} {}", reply.status, reply.text());
    drop(client);
    quiet(&gateway, 2).await;

    // What is done while no gateway runs is found by the next one.
    if second.is_none() {
        let rack = gateway.rack.clone();
        gateway.restart().await;
        assert_eq!(rack.addr(), gateway.rack.addr());
        let made = behind(&gateway, "/apps/myapp/releases", b"env=A%3Dmeanwhile").await;
        behind(&gateway, &format!("/apps/myapp/releases/{made}/promote"), b"").await;
        let found = until_told(&[&gateway], 4).await;
        assert_eq!(found.iter().filter(|one| one.contains("was promoted")).count(), 2, "{found:?}");
    }
    if let Some(second) = second {
        second.finish().await;
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_promote_with_the_racks_password_is_told_of() {
    check(Database::Sqlite, false).await;
}

#[tokio::test]
async fn two_instances_tell_of_it_once() {
    check(Database::Postgres, true).await;
}
