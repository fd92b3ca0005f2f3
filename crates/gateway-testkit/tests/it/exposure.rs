//! The gateway's own look at what answers past it, and what agents elsewhere report.

use std::time::Duration;

use gateway_probe::{Place, Watched, sightings};
use gateway_testkit::{Database, RawClient, TestGateway, eventually};
use gateway_types::wire::vantage::VantageReport;
use gateway_types::{Grant, Role};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::service_kit::{Instance, reply};
use crate::zone::{World, free, http, service};

/// How a vantage point stands, once it stands so.
async fn until(world: &World, name: &str, state: &str) -> Value {
    eventually("the vantage point stands so", async || {
        // The gateway looks again when its clock says that it rested.
        world.gateway.clock.advance(Duration::from_secs(1));
        let points = world.done("GET", "/zone/vantage-points", &Value::Null).await;
        let one = points["items"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned();
        one.filter(|one| one["state"] == state)
    })
    .await
}

async fn told(world: &World, action: &str) -> Vec<String> {
    let events = world.events(&format!("gateway:vantage:{action}")).await;
    events.into_iter().map(|event| event.reason.unwrap_or_default()).collect()
}

async fn check(database: Database) {
    let (at, guarded) = (free().await, free().await);
    let manifest = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "trust_domain = \"prod.internal\"\n[[service]]\nname = \"dns\"\nimage = \"dns:1\"\n\
         listeners = [\"control:gateway:{}\"]\nforward = 8053\n",
        guarded.port()
    );
    std::fs::write(manifest.path(), text).unwrap();
    let variables = [
        ("ZONE_PROBE_INTERVAL", "1s"),
        ("ZONE_PROBE_MANIFEST", manifest.path().to_str().unwrap()),
        // Nothing of this machine's own has the usual ports there.
        ("ZONE_PROBE_HOSTS", "127.0.0.1"),
    ];
    let world = World::start_with(database, &service(at), &variables).await;
    world.init().await;
    let instance = Instance::saying("hello").await;
    let sidecar = world.run("wiki", &json!({}), at, http(instance.addr)).await;
    let wiki = format!("wiki at {at}");
    let dns = format!("127.0.0.1:{}", guarded.port());
    let is_of = |text: &String| text.contains(&wiki) || text.contains(&dns);

    // The sidecar lets nobody in, and what the gateway tried there itself is no news.
    eventually("a look", async || {
        world.gateway.clock.advance(Duration::from_secs(1));
        let points = world.done("GET", "/zone/vantage-points", &Value::Null).await;
        points["items"].as_array().unwrap().iter().any(|one| one["looked"].as_u64() > Some(1)).then_some(())
    })
    .await;
    for _ in 0..8 {
        world.gateway.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(world.events("gateway:zone:direct_access_refused").await, []);
    assert!(!told(&world, "exposed").await.iter().any(is_of));

    // Somebody puts the service itself in the sidecar's place, and publishes a control port.
    sidecar.stop().await;
    let bare = Instance::on(TcpListener::bind(at).await.unwrap(), |_| reply("200 OK", "", "hello"));
    let published = TcpListener::bind(guarded).await.unwrap();
    let exposed =
        [format!("{wiki} answers: it answers without TLS"), format!("{dns} answers: dns, control (gateway)")];
    eventually("both are told of", async || {
        world.gateway.clock.advance(Duration::from_secs(1));
        let told = told(&world, "exposed").await;
        exposed.iter().all(|one| told.contains(one)).then_some(())
    })
    .await;
    let point = until(&world, "gateway", "open").await;
    assert!(point["open"].to_string().contains(&wiki), "{point}");
    let metrics =
        RawClient::connect(world.gateway.admin_addr()).await.ask("GET", "!/metrics", "", &[], b"").await;
    assert!(metrics.text().contains("rack_gateway_vantage_points{state=\"open\"} 1"), "{}", metrics.text());

    drop((bare, published));
    eventually("both are cleared", async || {
        world.gateway.clock.advance(Duration::from_secs(1));
        let told = told(&world, "closed").await;
        [&wiki, &dns].iter().all(|one| told.contains(&format!("{one} answers no more"))).then_some(())
    })
    .await;
    // Once for each, however often it looked.
    let told = told(&world, "exposed").await;
    assert_eq!(told.iter().filter(|text| is_of(text)).count(), 2, "{told:?}");
    world.gateway.finish().await;
}

#[tokio::test]
async fn what_answers_past_the_gateway_is_found_by_the_gateway_itself() {
    check(Database::Sqlite).await;
}

#[tokio::test]
async fn and_on_postgres() {
    check(Database::Postgres).await;
}

/// An agent reports with a token that is granted this and nothing else.
#[tokio::test]
async fn an_agent_that_finds_the_rack_is_an_alert_until_it_does_not() {
    let gateway = TestGateway::start().await;
    let grant = Grant { actions: "gateway:vantage:report".to_owned(), ..Grant::everything() };
    let token = gateway.new_token(Role::Ops, vec![grant]).await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place =
        |text: String| Watched { place: Place::parse(&text).unwrap(), meaning: "the rack".to_owned() };
    // The way to the rack that this vantage point should not have.
    let watched = [place(elsewhere.local_addr().unwrap().to_string())];
    let report = async || {
        let report = VantageReport { every_seconds: 60, sightings: sightings(&watched).await };
        let body = serde_json::to_vec(&report).unwrap();
        let json = [("content-type", "application/json")];
        let path = "!/api/v1/zone/vantage-points/office";
        let reply = RawClient::connect(gateway.addr()).await.ask("POST", path, &token, &json, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["news"].as_array().unwrap().len()
    };
    assert_eq!(report().await, 1);
    assert_eq!(report().await, 0);
    drop(elsewhere);
    assert_eq!(report().await, 1);
    let events = gateway.events().await;
    let of = |action: &str| events.iter().filter(|(_, event)| event.action.as_str() == action).count();
    assert_eq!((of("gateway:vantage:exposed"), of("gateway:vantage:closed")), (1, 1));
    let mut client = RawClient::connect(gateway.addr()).await;
    let refused = client.ask("GET", "!/api/v1/zone/vantage-points", &token, &[], b"").await;
    assert_eq!(refused.status, 403, "the token is for reports alone");
    gateway.finish().await;
}
