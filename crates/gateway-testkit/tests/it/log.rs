//! What leaves an event and what does not, and what happens when events cannot be written.

use std::time::Duration;

use gateway_audit::{End, Event, Phase};
use gateway_framing::websocket::Opcode;
use gateway_sim::SeenRequest;
use gateway_testkit::{Database, RawClient, Reply, Socket, TestGateway, eventually};
use gateway_types::Role;
use sqlx::{AnyConnection, Connection};

const RESTART: &str = "/apps/myapp/services/web/restart";

/// How the store goes away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Away {
    /// It refuses to write, as when the disk is full.
    Full,
    /// Somebody else holds the log's lock.
    Held,
    /// The server takes no connections.
    Gone,
}

/// What brings it back.
pub(crate) enum Back {
    Statement(&'static str),
    Close(AnyConnection),
    AllowConnections(String),
}

async fn run(url: &str, statement: &'static str) {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub(crate) async fn take_away(gateway: &TestGateway, database: Database, away: Away) -> Back {
    let url = &gateway.database_url;
    match (away, database) {
        (Away::Full, Database::Sqlite) => {
            run(
                url,
                "CREATE TRIGGER full BEFORE INSERT ON audit_leaves BEGIN SELECT RAISE(ABORT, 'disk full'); END",
            )
            .await;
            Back::Statement("DROP TRIGGER full")
        }
        (Away::Full, Database::Postgres) => {
            run(
                url,
                "CREATE FUNCTION fail() RETURNS trigger AS $$ BEGIN RAISE 'disk full'; END $$ LANGUAGE plpgsql; \
                 CREATE TRIGGER full_disk BEFORE INSERT ON audit_leaves EXECUTE FUNCTION fail()",
            )
            .await;
            Back::Statement("DROP TRIGGER full_disk ON audit_leaves")
        }
        (Away::Held, _) => {
            sqlx::any::install_default_drivers();
            let mut holder = AnyConnection::connect(url).await.unwrap();
            let take = match database {
                Database::Sqlite => "BEGIN IMMEDIATE",
                Database::Postgres => "BEGIN; LOCK TABLE audit_head IN ACCESS EXCLUSIVE MODE",
            };
            sqlx::raw_sql(take).execute(&mut holder).await.unwrap();
            Back::Close(holder)
        }
        (Away::Gone, _) => {
            let (server, name) = url.rsplit_once('/').unwrap();
            let statements = format!(
                "ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false; \
                 SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            );
            gateway_testdb::sql(server, &statements).unwrap();
            Back::AllowConnections(url.clone())
        }
    }
}

pub(crate) async fn bring_back(gateway: &TestGateway, back: Back) {
    match back {
        Back::Statement(statement) => run(&gateway.database_url, statement).await,
        Back::Close(holder) => holder.close().await.unwrap(),
        Back::AllowConnections(url) => {
            let (server, name) = url.rsplit_once('/').unwrap();
            gateway_testdb::sql(server, &format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
                .unwrap();
        }
    }
}

async fn ask(gateway: &TestGateway, method: &str, path: &str, token: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask(method, path, token, &[], b"").await
}

async fn readyz(gateway: &TestGateway) -> Reply {
    RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await
}

fn of<'e>(events: &'e [(u64, Event)], action: &str) -> Vec<&'e Event> {
    events.iter().map(|(_, event)| event).filter(|event| event.action.as_str() == action).collect()
}

async fn check_away(database: Database, away: Away) {
    let gateway = TestGateway::builder().database(database).start().await;
    let ops = gateway.token(Role::Ops);
    // Known from before: the store is not asked who this is.
    assert_eq!(ask(&gateway, "GET", "/apps", ops).await.status, 200);
    gateway.store().audit().flush().await.unwrap();
    let back = take_away(&gateway, database, away).await;
    gateway.rack.clear_requests();

    let refused = ask(&gateway, "POST", RESTART, ops).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let problem = refused.json();
    assert_eq!(
        (problem["type"].as_str(), problem["layer"].as_str()),
        (Some("/problems/cannot-record"), Some("audit"))
    );
    assert!(problem["error"].is_string(), "the client prints this: {problem}");
    let path = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
    let mut socket = Socket::open(gateway.addr(), path, ops, &[("Command", "exit 3")]).await.unwrap();
    let frames = socket.until_end().await;
    assert!(frames[0].payload.starts_with(b"ERROR: "), "{frames:?}");
    assert_eq!((frames[1].opcode, &frames[1].payload[37..]), (Opcode::Text, &b"1\n"[..]));
    // The gateway itself may have read what it needs to hide secrets in the command.
    let effects = |request: &SeenRequest| request.method != "GET" || request.is_socket;
    assert!(!gateway.rack.requests().iter().any(effects), "{:?}", gateway.rack.requests());
    gateway.rack.clear_requests();
    assert_eq!(ask(&gateway, "GET", "/apps", ops).await.status, 200, "a plain read by a known caller");
    assert_eq!(gateway.rack.requests().len(), 1);
    // Balancers keep sending to an instance that can still read, and not to one whose disk is full.
    let health = if matches!(away, Away::Full) { 503 } else { 200 };
    assert_eq!(ask(&gateway, "GET", "!/api/v1/health", "").await.status, health);
    let ready = readyz(&gateway).await;
    assert_eq!((ready.status, ready.json()["audit"]["ok"].as_bool()), (503, Some(false)), "{}", ready.text());

    bring_back(&gateway, back).await;
    eventually("a log that can be written again", async || {
        let reply = ask(&gateway, "POST", RESTART, ops).await;
        assert!(matches!(reply.status, 200 | 503), "{}", reply.text());
        (reply.status == 200).then_some(())
    })
    .await;
    eventually("readiness", async || (readyz(&gateway).await.status == 200).then_some(())).await;
    // What came meanwhile was kept: the read, and both refusals.
    let events = gateway.events().await;
    let reads = of(&events, "convox:app:list");
    assert_eq!(reads.len(), 2, "{reads:?}");
    assert_eq!(reads[1].end, Some(End::Completed));
    for action in ["convox:service:restart", "convox:process:exec"] {
        let refusal = of(&events, action).into_iter().find(|event| event.end == Some(End::Refused));
        let refusal = refusal.unwrap_or_else(|| panic!("no refusal of {action}: {events:?}"));
        assert_eq!((refusal.phase, refusal.status), (Phase::Single, Some(503)));
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_full_store_on_sqlite() {
    check_away(Database::Sqlite, Away::Full).await;
}

#[tokio::test]
async fn a_full_store_on_postgresql() {
    check_away(Database::Postgres, Away::Full).await;
}

#[tokio::test]
async fn a_held_lock_on_sqlite() {
    check_away(Database::Sqlite, Away::Held).await;
}

#[tokio::test]
async fn a_held_lock_on_postgresql() {
    check_away(Database::Postgres, Away::Held).await;
}

#[tokio::test]
async fn a_server_that_is_gone() {
    check_away(Database::Postgres, Away::Gone).await;
}

#[tokio::test]
async fn whoever_is_not_known_is_not_let_in_without_the_store() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    let back = take_away(&gateway, Database::Postgres, Away::Gone).await;
    let reply = ask(&gateway, "GET", "/apps", gateway.token(Role::Viewer)).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let problem = reply.json();
    assert_eq!(problem["layer"], "authentication", "{problem}");
    assert!(gateway.rack.requests().is_empty());
    bring_back(&gateway, back).await;
    eventually("the store", async || {
        (ask(&gateway, "GET", "/apps", gateway.token(Role::Viewer)).await.status == 200).then_some(())
    })
    .await;
    gateway.finish().await;
}

#[tokio::test]
async fn probes_leave_no_event_and_refusals_do() {
    let mut gateway = TestGateway::start().await;
    let viewer = gateway.token(Role::Viewer).to_owned();
    let viewer = viewer.as_str();
    let before = gateway.events().await.len();
    for (path, token) in [
        ("/machines", viewer),
        ("/racks", viewer),
        ("/machines", ""),
        ("!/api/v1/health", ""),
        ("!/api/v1/health", viewer),
    ] {
        ask(&gateway, "GET", path, token).await;
    }
    for path in ["!/healthz", "!/readyz"] {
        RawClient::connect(gateway.admin_addr()).await.ask("GET", path, "", &[], b"").await;
    }
    let events = gateway.events().await;
    assert_eq!(events.len(), before, "{:?}", &events[before..]);

    let refusals = [
        ("POST", RESTART, viewer, 403),
        ("GET", "/apps?limit=1", viewer, 400),
        ("GET", "/apps", "rgw_unknown", 401),
    ];
    for (method, path, token, status) in refusals {
        let reply = ask(&gateway, method, path, token).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        let events = gateway.events().await;
        let (_, event) = events.last().unwrap();
        assert_eq!(
            (event.end, event.status),
            (Some(End::Refused), Some(status)),
            "{method} {path}: {event:?}"
        );
        assert!(event.layer.is_some() && event.reason.is_some(), "{event:?}");
        assert_eq!(event.request_id.map(|id| id.to_string()).as_deref(), reply.header("request-id"));
    }
    assert_eq!(gateway.events().await.len(), before + refusals.len());
    // What is refused before anybody asked who calls is counted with the strangers of the same address.
    let reply = ask(&gateway, "GET", "/no/such/thing", viewer).await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    gateway.clock.advance(Duration::from_secs(61));
    gateway.restart().await;
    let events = gateway.events().await;
    let counted: Vec<&Event> =
        events.iter().map(|(_, event)| event).filter(|event| event.count.is_some()).collect();
    assert_eq!(counted.len(), 1, "{counted:?}");
    assert_eq!((counted[0].count, counted[0].status), (Some(1), Some(404)));
    gateway.finish().await;
}

#[tokio::test]
async fn ten_thousand_strangers_leave_a_handful_of_events() {
    const REQUESTS: u64 = 10_000;
    let mut gateway = TestGateway::builder().env("RGW_SETTING_RATE_LIMITS", "off").start().await;
    let before = gateway.events().await.len();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..4 {
        let addr = gateway.addr();
        clients.spawn(async move {
            let mut client = RawClient::connect(addr).await;
            let token = if number % 2 == 0 { "" } else { "rgw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
            for _ in 0..REQUESTS / 4 {
                let reply = client.ask("GET", "/apps", token, &[], b"").await;
                assert_eq!(reply.status, 401, "{}", reply.text());
                if reply.header("connection") == Some("close") {
                    client = RawClient::connect(addr).await;
                }
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let meanwhile = gateway.events().await.len() - before;
    assert!(meanwhile < 10, "{meanwhile} events");
    // The last minute's count is written at the stop.
    gateway.clock.advance(Duration::from_secs(61));
    gateway.restart().await;
    let events = gateway.events().await;
    let refusals: Vec<&Event> =
        events.iter().map(|(_, event)| event).filter(|event| event.end == Some(End::Refused)).collect();
    assert!(refusals.len() < 10, "{refusals:?}");
    let counted: u64 = refusals.iter().map(|event| event.count.unwrap_or(1)).sum();
    assert_eq!(counted, REQUESTS);
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}
