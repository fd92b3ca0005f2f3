//! The degraded contract (`docs/degraded.md`), line by line: what goes on while the database is away, and what does not.

use gateway_audit::Phase;
use gateway_framing::websocket::Opcode;
use gateway_testkit::{Database, RawClient, Reply, Socket, TestGateway, eventually};
use gateway_types::Role;

use crate::log::{Away, bring_back, take_away};

const RESTART: &str = "/apps/myapp/services/web/restart";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

async fn ask(gateway: &TestGateway, method: &str, path: &str, token: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask(method, path, token, &[], b"").await
}

/// The whole contract on one gateway: taking a database away and bringing it back takes its time.
#[tokio::test]
async fn while_postgresql_is_away_reading_goes_on_and_nothing_is_lost() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    let ops = gateway.token(Role::Ops).to_owned();
    assert_eq!(ask(&gateway, "GET", "/apps", &ops).await.status, 200);
    let mut shell =
        Socket::open(gateway.addr(), EXEC, &ops, &[("Command", "cat"), ("Tty", "false")]).await.unwrap();
    gateway.store().audit().flush().await.unwrap();
    let back = take_away(&gateway, Database::Postgres, Away::Gone).await;

    // Changes are refused, with a reason and when to ask again.
    let refused = ask(&gateway, "POST", RESTART, &ops).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")), "{}", refused.text());
    assert_eq!(refused.json()["type"], "/problems/cannot-record");
    eventually("the mode", async || {
        (ask(&gateway, "GET", "/apps", &ops).await.header("gateway-mode") == Some("degraded")).then_some(())
    })
    .await;
    // Who is known reads; the reply says how things are.
    for _ in 0..20 {
        let read = ask(&gateway, "GET", "/apps/myapp", &ops).await;
        assert_eq!((read.status, read.header("gateway-mode")), (200, Some("degraded")), "{}", read.text());
    }
    // Who is not known is not let in: nobody can be asked who that is.
    let unknown = ask(&gateway, "GET", "/apps/myapp", gateway.token(Role::Viewer)).await;
    assert_eq!(unknown.status, 503, "{}", unknown.text());
    // Nobody new signs in, and the page says why.
    let page = RawClient::connect(gateway.addr())
        .await
        .ask("GET", "!/auth/login", "", &[("Accept", "text/html")], b"")
        .await;
    assert_eq!(page.header("gateway-mode"), Some("degraded"));
    assert!(page.text().contains("the database cannot be written"), "{}", page.text());
    // A session that is open goes on.
    shell.send(Opcode::Text, b"still here\n").await;
    while !shell_frame(&mut shell).await.contains("still here") {}
    // Balancers keep this instance.
    assert_eq!(ask(&gateway, "GET", "!/api/v1/health", "").await.status, 200);
    // A change is refused at once, not after the time that a connection to the database may take.
    let started = std::time::Instant::now();
    assert_eq!(ask(&gateway, "POST", RESTART, &ops).await.status, 503);
    assert!(started.elapsed() < std::time::Duration::from_secs(4), "{:?}", started.elapsed());

    bring_back(&gateway, back).await;
    eventually("a log that can be written again", async || {
        (ask(&gateway, "POST", RESTART, &ops).await.status == 200).then_some(())
    })
    .await;
    let read = ask(&gateway, "GET", "/apps/myapp", &ops).await;
    assert_eq!((read.status, read.header("gateway-mode")), (200, None));
    drop(shell);
    // All that was read meanwhile is in the log, once, before the event that says so.
    let events = gateway.events().await;
    let merged: Vec<usize> = events
        .iter()
        .enumerate()
        .filter(|(_, (_, event))| event.action.as_str() == "gateway:audit:merge")
        .map(|(at, _)| at)
        .collect();
    let first = *merged.first().expect("an event for what was kept");
    assert!(events[first].1.count.is_some_and(|count| count > 0));
    let reads = events.iter().filter(|(_, event)| {
        event.action.as_str() == "convox:app:read"
            && event.phase == Phase::Single
            && event.status == Some(200)
    });
    assert_eq!(reads.count(), 21, "twenty while it was away, one after");
    gateway.finish().await;
}

async fn shell_frame(shell: &mut Socket) -> String {
    let frame = shell.frame().await.expect("the session goes on");
    String::from_utf8_lossy(&frame.payload).into_owned()
}
