//! Read-only on purpose (`docs/degraded.md`): what is refused, what goes on, and that every instance hears of it.

use gateway_testkit::{Database, RawClient, Reply, Socket, TestGateway, eventually};
use gateway_types::Role;

const RESTART: &str = "/apps/myapp/services/web/restart";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

async fn ask(gateway: &TestGateway, method: &str, path: &str, token: &str, body: &str) -> Reply {
    let headers: &[(&str, &str)] =
        if body.is_empty() { &[] } else { &[("Content-Type", "application/json")] };
    RawClient::connect(gateway.addr()).await.ask(method, path, token, headers, body.as_bytes()).await
}

#[tokio::test]
async fn every_instance_refuses_changes_and_goes_on_reading() {
    let first = TestGateway::builder().database(Database::Postgres).start().await;
    let second = TestGateway::builder().share(&first).start().await;
    let admin = first.critical_token().await;
    let ops = first.token(Role::Ops);
    for gateway in [&first, &second] {
        assert_eq!(ask(gateway, "POST", RESTART, ops, "").await.status, 200);
    }
    let asked = r#"{"mode":"read-only","reason":"the rack moves"}"#;
    let refused = ask(&first, "POST", "!/api/v1/mode", ops, asked).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let set = ask(&first, "POST", "!/api/v1/mode", &admin, asked).await;
    assert_eq!((set.status, set.json()["mode"].as_str()), (200, Some("read-only")), "{}", set.text());
    first.rack.clear_requests();
    eventually("the other instance", async || {
        (ask(&second, "GET", "/apps", ops, "").await.header("gateway-mode") == Some("read-only"))
            .then_some(())
    })
    .await;
    for gateway in [&first, &second] {
        let refused = ask(gateway, "POST", RESTART, ops, "").await;
        assert_eq!((refused.status, refused.header("gateway-mode")), (503, Some("read-only")));
        let problem = refused.json();
        assert_eq!(problem["type"], "/problems/read-only");
        assert!(problem["detail"].as_str().unwrap().ends_with(": the rack moves"), "{problem}");
        let mut shell = Socket::open(gateway.addr(), EXEC, ops, &[("Command", "exit 3")]).await.unwrap();
        assert!(String::from_utf8_lossy(&shell.until_end().await[0].payload).contains("the rack moves"));
        assert_eq!(ask(gateway, "GET", "/apps/myapp", ops, "").await.status, 200, "reads go on");
        let ready = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await;
        assert_eq!(ready.status, 200, "balancers keep it");
        assert!(ready.text().contains("the rack moves"), "{}", ready.text());
    }
    let effects =
        first.rack.requests().into_iter().filter(|request| request.method != "GET" || request.is_socket);
    assert_eq!(effects.count(), 0, "nothing reached the rack");
    let page = RawClient::connect(first.addr())
        .await
        .ask("GET", "!/auth/login", "", &[("Accept", "text/html")], b"")
        .await;
    assert!(page.text().contains("Read-only: nothing can be changed for now."), "{}", page.text());
    // An instance that starts meanwhile is read-only from its first request on.
    let third = TestGateway::builder().share(&first).start().await;
    assert_eq!(ask(&third, "POST", RESTART, ops, "").await.status, 503);
    third.finish().await;
    let back = ask(&second, "POST", "!/api/v1/mode", &admin, r#"{"mode":"normal"}"#).await;
    assert_eq!(back.status, 200, "the way back goes on: {}", back.text());
    eventually("changes on the first instance", async || {
        (ask(&first, "POST", RESTART, ops, "").await.status == 200).then_some(())
    })
    .await;
    let events = first.events().await;
    let modes: Vec<_> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "gateway:mode:set" && event.after.is_some())
        .map(|(_, event)| (event.before.clone().unwrap(), event.after.clone().unwrap()))
        .collect();
    assert_eq!(modes.len(), 2, "{modes:?}");
    assert_eq!(modes[0].1["reason"], "the rack moves");
    assert_eq!((&modes[1].0["mode"], &modes[1].1["mode"]), (&"read-only".into(), &"normal".into()));
    second.finish().await;
    first.finish().await;
}
