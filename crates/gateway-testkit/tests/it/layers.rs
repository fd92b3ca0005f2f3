//! The five layers, each broken alone; people who are removed; gateways that are not each other's.

use gateway_server::{Running, StartError};
use gateway_sim::{SimOptions, SimRack};
use gateway_store::{Adoption, EventFilter, StoreError};
use gateway_testkit::{Authenticator, Database, RawClient, Reply, TestGateway, Visitor};
use gateway_types::Role;

use crate::log::{Away, bring_back, take_away};

const RESTART: &str = "/apps/myapp/services/web/restart";

async fn send(gateway: &TestGateway, credential: &str, headers: &[(&str, &str)]) -> Reply {
    RawClient::connect(gateway.addr()).await.ask("POST", RESTART, credential, headers, b"").await
}

fn check(gateway: &TestGateway, reply: &Reply, status: u16, layer: &str) {
    assert_eq!((reply.status, reply.json()["layer"].as_str()), (status, Some(layer)), "{}", reply.text());
    assert!(gateway.rack.requests().is_empty(), "{layer}: {:?}", gateway.rack.requests());
}

/// For each layer: everything is right but that one; the refusal names it, and the rack saw nothing.
async fn each_layer_alone(database: Database) {
    let gateway = TestGateway::builder().database(database).start().await;
    let phone = Authenticator::enrol(&gateway, Role::Ops).await;
    let session = gateway.session(Role::Ops).await;
    let viewers = gateway.session(Role::Viewer).await;
    let viewers_phone = Authenticator::enrol(&gateway, Role::Viewer).await;

    let code = phone.next(&gateway);
    let foreign = [("X-Mfa-Totp", code.as_str()), ("Origin", "https://evil.example")];
    check(&gateway, &send(&gateway, &session, &foreign).await, 403, "network");

    let unknown = format!("rgs_{}", "A".repeat(43));
    check(&gateway, &send(&gateway, &unknown, &[("X-Mfa-Totp", &code)]).await, 401, "authentication");

    let theirs = viewers_phone.shows(&gateway);
    check(&gateway, &send(&gateway, &viewers, &[("X-Mfa-Totp", &theirs)]).await, 403, "authorization");

    check(&gateway, &send(&gateway, &session, &[]).await, 401, "mfa");
    let wrong = phone.wrong(&gateway);
    check(&gateway, &send(&gateway, &session, &[("X-Mfa-Totp", &wrong)]).await, 401, "mfa");

    // With the code spent first, so that only the log is in the way.
    gateway.store().audit().flush().await.unwrap();
    assert_eq!(send(&gateway, &session, &[("X-Mfa-Totp", &code)]).await.status, 200);
    gateway.store().audit().flush().await.unwrap();
    gateway.rack.clear_requests();
    let back = take_away(&gateway, database, Away::Full).await;
    check(&gateway, &send(&gateway, &session, &[]).await, 503, "audit");
    bring_back(&gateway, back).await;
    gateway.finish().await;
}

#[tokio::test]
async fn each_layer_alone_on_sqlite() {
    each_layer_alone(Database::Sqlite).await;
}

#[tokio::test]
async fn each_layer_alone_on_postgresql() {
    each_layer_alone(Database::Postgres).await;
}

async fn apps(gateway: &TestGateway, credential: &str) -> u16 {
    RawClient::connect(gateway.addr()).await.ask("GET", "/apps", credential, &[], b"").await.status
}

/// The credentials with which the rack was asked, and who it was told acts.
fn at_the_rack(gateway: &TestGateway) -> Vec<(Option<String>, Option<String>)> {
    let credential = |headers: &[(String, String)]| {
        let mut found = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        found.next().map(|(_, value)| value.clone())
    };
    gateway
        .rack
        .requests()
        .iter()
        .map(|request| (credential(&request.headers), request.actor.clone()))
        .collect()
}

/// Revoke without rotation: one of two people is removed, here through another instance.
#[tokio::test]
async fn somebody_removed_is_refused_at_once_and_nothing_else_changes() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    let other = TestGateway::builder().share(&gateway).start().await;
    let (leaves, stays) = (gateway.session(Role::Viewer).await, gateway.session(Role::Ops).await);
    let token_of_leaver =
        gateway.new_token_of(Role::Viewer, Role::Viewer, vec![gateway_types::Grant::everything()]).await;
    for credential in [&leaves, &stays, &token_of_leaver] {
        assert_eq!(apps(&gateway, credential).await, 200);
    }
    let before = at_the_rack(&gateway);
    assert_eq!(before[0].1.as_deref(), Some("viewer@example.com"));
    assert_eq!(before[1].1.as_deref(), Some("ops@example.com"));

    let admin = gateway.session(Role::Admin).await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let place = format!("!/api/v1/users/{}", gateway.person(Role::Viewer).id);
    let mut client = RawClient::connect(other.addr()).await;
    let refused = client.ask("DELETE", &place, &admin, &[("If-Match", "*")], b"").await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let code = phone.next(&gateway);
    let headers = [("If-Match", "*"), ("X-Mfa-Totp", code.as_str())];
    let removed = client.ask("DELETE", &place, &admin, &headers, b"").await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    assert!(removed.header("audit-receipt").is_some(), "{removed:?}");

    // On the instance that removed, the very next call; on the other one as soon as it hears of it.
    assert_eq!((apps(&other, &leaves).await, apps(&other, &token_of_leaver).await), (401, 401));
    gateway_testkit::eventually("the other instance to know", async || {
        (apps(&gateway, &leaves).await == 401).then_some(())
    })
    .await;
    assert_eq!(apps(&gateway, &token_of_leaver).await, 401);
    gateway.rack.clear_requests();
    assert_eq!((apps(&gateway, &stays).await, apps(&other, &stays).await), (200, 200));
    for (credential, actor) in at_the_rack(&gateway) {
        assert_eq!(credential, before[0].0, "the rack's own credential is what it was");
        assert_eq!(actor.as_deref(), Some("ops@example.com"));
    }
    other.finish().await;
    gateway.finish().await;
}

/// Two gateways before two racks: nothing of one is good at the other.
#[tokio::test]
async fn nothing_of_one_gateway_is_good_at_another() {
    let one = TestGateway::builder().database(Database::Postgres).idp().start().await;
    let two = TestGateway::builder().idp().rack(SimOptions::for_tests()).start().await;
    let session = one.session(Role::Admin).await;
    for credential in [session.as_str(), one.token(Role::Admin)] {
        assert_eq!(apps(&one, credential).await, 200);
        assert_eq!(apps(&two, credential).await, 401);
    }
    let mut at_home = Visitor::signed_in(&one, Role::Admin).await;
    assert_eq!(at_home.get("/app").await.status, 200);
    let mut abroad = Visitor::of(&two);
    abroad.cookies = at_home.cookies.clone();
    let sent_away = abroad.get("/app").await;
    assert_eq!(sent_away.status, 303, "{}", sent_away.text());
    assert!(sent_away.header("location").unwrap().starts_with("/auth/login"));
    assert!(two.rack.requests().is_empty(), "{:?}", two.rack.requests());
    // The database of one opens neither with the other's key, nor, with the right one, before the other's rack.
    let database = one.database_url.clone();
    let start = async |rack: &SimRack, key: &str, adoption: Adoption| {
        let directory = tempfile::tempdir().unwrap();
        let environment = [
            ("RACK_HOST", rack.url()),
            ("RACK_TOKEN", rack.password().to_owned()),
            ("DATABASE_URL", database.clone()),
            ("DATA_DIR", directory.path().display().to_string()),
            ("LISTENER_ADDRESSES", "127.0.0.1".to_owned()),
            ("PORT", "0".to_owned()),
            ("ADMIN_PORT", "0".to_owned()),
            ("APP_SECRET_KEY", key.to_owned()),
        ];
        let sources = gateway_config::Sources {
            file: None,
            environment: environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            flags: gateway_config::Flags::default(),
        };
        let config = gateway_config::parse(sources).unwrap();
        let surroundings = gateway_server::Surroundings {
            clock: two.clock.clone(),
            entropy: std::sync::Arc::new(gateway_types::OsEntropy),
            adoption,
        };
        gateway_server::start(config, surroundings).await
    };
    let is_other_rack = |started: Result<Running, StartError>| {
        assert!(matches!(started, Err(StartError::Store(StoreError::OtherRack))), "{started:?}");
    };
    let other_key = "the other gateway's key, which is long enough";
    let refused = start(&two.rack, other_key, Adoption::Refuse).await;
    assert!(matches!(refused, Err(StartError::Store(StoreError::WrongSecretKey))), "{refused:?}");
    let own_key = "a test key of at least thirty-two characters";
    let before = one.events().await.len();
    is_other_rack(start(&two.rack, own_key, Adoption::Refuse).await);
    assert_eq!(one.events().await.len(), before, "whoever is refused writes nothing");
    let rack = one.rack.clone();
    one.finish().await;
    // Unless it is told to: then it is the other one's, and the log has it.
    start(&two.rack, own_key, Adoption::Adopt).await.unwrap().stop().await;
    is_other_rack(start(&rack, own_key, Adoption::Refuse).await);
    let moved = start(&two.rack, own_key, Adoption::Refuse).await.unwrap();
    let filter = EventFilter::default();
    let events = moved.store.events().page(&filter, None, 1000).await.unwrap().items;
    let adopted = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:database:adopt");
    assert_eq!(adopted.count(), 1);
    moved.stop().await;
    two.finish().await;
}
