//! The log as others read it: its tiles, bundles and proofs, checked by an implementation that is not ours, and
//! who may ask for what.

use std::path::PathBuf;
use std::time::Duration;

use gateway_audit::{Actor, Event, EventId};
use gateway_testkit::browser::peers;
use gateway_testkit::{Database, RawClient, Reply, TestGateway};
use gateway_types::{ActionName, Clock as _, OsEntropy, Resource, Role};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// Where `scripts/install.sh` puts the peer: `tools/python` of the target directory that this test was built in.
fn peer_packages() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().find(|path| path.join("tools").is_dir());
    target.expect("target/tools; run ./scripts/test, which installs the peer").join("tools/python")
}

async fn get(gateway: &TestGateway, token: &str, path: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask("GET", &format!("!{path}"), token, &[], b"").await
}

async fn grow(gateway: &TestGateway, count: usize) {
    for _event in 0..count {
        let now = gateway.clock.now();
        let id = EventId::new(now, &OsEntropy);
        let event =
            Event::new(now, id, ActionName::new("gateway:test:grow"), Resource::gateway(), Actor::system());
        gateway.store().audit().append(event).await.unwrap();
    }
}

/// What the peer says of the log.
async fn peer(gateway: &TestGateway, key: &str) -> (bool, String) {
    // Of a session: the tokens of the kit are an admin's, who may not read the log.
    let auditor = gateway.session(Role::Auditor).await;
    let mut command = Command::new("python3");
    command
        .arg(peers().join("tiles.py"))
        .args([&format!("http://{}", gateway.addr()), &auditor, key])
        .env("PYTHONPATH", peer_packages())
        .kill_on_drop(true);
    let output = timeout(Duration::from_secs(120), command.output()).await.unwrap().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

async fn discovered_key(gateway: &TestGateway) -> String {
    let discovery = get(gateway, "", "/.well-known/rack-gateway").await.json();
    discovery["checkpoint_key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_reads_the_log() {
    for database in Database::BOTH {
        let gateway =
            TestGateway::builder().database(database).env("RGW_SETTING_RATE_LIMITS", "off").start().await;
        grow(&gateway, 600).await;
        let key = discovered_key(&gateway).await;
        let (is_good, said) = peer(&gateway, &key).await;
        assert!(is_good, "{said}");
        let report: Value = serde_json::from_str(&said).unwrap();
        assert!(report["entries"].as_u64().unwrap() > 600, "{said}");

        // Another key: whoever has the old one is not fooled, and the chain leads to the new one.
        gateway.store().audit().exchange_key().await.unwrap();
        let (is_good, said) = peer(&gateway, &key).await;
        assert!(!is_good, "{said}");
        let new = discovered_key(&gateway).await;
        assert_ne!(new, key);
        let (is_good, said) = peer(&gateway, &new).await;
        assert!(is_good, "{said}");
        let keys = get(&gateway, gateway.token(Role::Viewer), "/log/keys").await.json();
        let keys = keys["keys"].as_array().unwrap();
        assert_eq!((keys[0]["key"].as_str(), keys[1]["key"].as_str()), (Some(&*key), Some(&*new)));
        assert_eq!(keys[0]["until"], keys[1]["from"]);
        let handover = keys[1]["handover"].as_str().unwrap();
        assert_eq!(handover.lines().filter(|line| line.starts_with('\u{2014}')).count(), 2, "{handover}");

        // Altered behind the gateway's back, hash and all: the head that is signed is not that of these entries.
        let leaf = gateway.store().events().leaves(5, 6).await.unwrap().remove(0);
        let other = gateway_audit::leaf_hash(b"another").as_bytes().to_vec();
        set_hash(&gateway, other).await;
        let (is_good, said) = peer(&gateway, &new).await;
        assert!(!is_good, "{said}");
        set_hash(&gateway, leaf.hash.as_bytes().to_vec()).await;
        gateway.finish().await;
    }
}

/// What browsers check the log with believes every proof of it, and nothing else; also over an exchanged key.
#[tokio::test(flavor = "multi_thread")]
async fn browsers_hold_the_log_against_what_they_saw() {
    let gateway = TestGateway::builder().env("RGW_SETTING_RATE_LIMITS", "off").start().await;
    grow(&gateway, 300).await;
    gateway.store().audit().exchange_key().await.unwrap();
    grow(&gateway, 250).await;
    let module = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../gateway-web/static/transparency.js");
    let auditor = gateway.session(Role::Auditor).await;
    let mut command = Command::new("node");
    command
        .arg(peers().join("transparency.mjs"))
        .arg(module)
        .args([&format!("http://{}", gateway.addr()), &auditor])
        .kill_on_drop(true);
    let output = timeout(Duration::from_secs(120), command.output()).await.unwrap().unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{error}");
    let report: Value = serde_json::from_str(&said).unwrap();
    assert!(report["proofs"].as_u64().unwrap() > 100 && report["refused"].as_u64().unwrap() > 600, "{said}");
    gateway.finish().await;
}

async fn set_hash(gateway: &TestGateway, hash: Vec<u8>) {
    sqlx::any::install_default_drivers();
    let mut connection =
        <sqlx::AnyConnection as sqlx::Connection>::connect(&gateway.database_url).await.unwrap();
    sqlx::query("UPDATE audit_leaves SET hash = $1 WHERE idx = 5")
        .bind(hash)
        .execute(&mut connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn who_may_ask_for_what_and_what_is_asked_wrongly() {
    let gateway = TestGateway::start().await;
    let viewer = gateway.token(Role::Viewer);
    let auditor = gateway.session(Role::Auditor).await;
    let auditor = auditor.as_str();
    for (token, path, status) in [
        ("", "/log/checkpoint", 401),
        ("", "/log/keys", 401),
        ("", "/log/proof/inclusion?index=0", 401),
        ("", "/log/tile/0/000.p/1", 401),
        (viewer, "/log/checkpoint", 200),
        (viewer, "/log/keys", 200),
        (viewer, "/log/proof/inclusion?index=0", 200),
        (viewer, "/log/proof/consistency?old=1", 200),
        // Whose entries they are is not for everybody.
        (viewer, "/log/tile/0/000.p/1", 403),
        (viewer, "/log/tile/entries/000.p/1", 403),
        (auditor, "/log/tile/0/000.p/1", 200),
        (auditor, "/log/tile/entries/000.p/1", 200),
        (auditor, "/log/tile/0/000", 404),
        (auditor, "/log/tile/1/000.p/1", 404),
        (auditor, "/log/tile/0/0", 404),
        (auditor, "/log/tile/9/000", 404),
        (auditor, "/log/checkpoint?x=1", 400),
        (viewer, "/log/proof/inclusion", 400),
        (viewer, "/log/proof/inclusion?index=0&old=1", 400),
        (viewer, "/log/proof/inclusion?index=-1", 400),
        (viewer, "/log/proof/inclusion?index=99999", 404),
        (viewer, "/log/proof/consistency?old=1&size=99999", 404),
        (viewer, "/log/proof/consistency?old=99999", 404),
        (viewer, "/log/proof/membership?index=0", 404),
    ] {
        let reply = get(&gateway, token, path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
    let tile = get(&gateway, auditor, "/log/tile/0/000.p/1").await;
    assert_eq!(tile.header("cache-control"), Some("private, max-age=31536000, immutable"));
    assert_eq!(tile.header("content-type"), Some("application/octet-stream"));
    assert_eq!(tile.body.len(), 32);
    gateway.finish().await;
}

/// Bodies of old entries go, and what clients check of the log stays; what somebody then removes by hand is found.
#[tokio::test]
async fn a_pruned_log_still_verifies_and_says_what_is_gone() {
    for database in [Database::Sqlite, Database::Postgres] {
        let directory = tempfile::TempDir::new().unwrap();
        let mut gateway = TestGateway::builder()
            .database(database)
            .env("RGW_SETTING_RATE_LIMITS", "off")
            .env("RGW_SETTING_AUDIT_RETENTION", "24h")
            .env("AUDIT_ANCHOR_DIRECTORY", &directory.path().display().to_string())
            .start()
            .await;
        grow(&gateway, 600).await;
        gateway.restart().await;
        while gateway.store().audit_tallies().tend().await.unwrap() {}
        gateway.clock.advance(Duration::from_secs(3 * 24 * 3600));
        let admin = gateway.critical_token().await;
        let ask = async |method: &str, path: &str, body: &str| {
            let json = [("content-type", "application/json")];
            let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &json };
            RawClient::connect(gateway.addr())
                .await
                .ask(method, &format!("!/api/v1{path}"), &admin, headers, body.as_bytes())
                .await
        };
        let held = ask("PUT", "/audit/hold", r#"{"reason":"case 4711"}"#).await;
        assert_eq!(held.status, 200, "{}", held.text());
        assert_eq!(ask("POST", "/audit/prune", "").await.json()["to"], 0);
        assert_eq!(ask("DELETE", "/audit/hold", "").await.status, 204);
        let pruned = gateway_testkit::eventually("the anchor of the start", async || {
            let pruned = ask("POST", "/audit/prune", "").await;
            assert_eq!(pruned.status, 200, "{}", pruned.text());
            (pruned.json()["to"] == 512).then(|| pruned.json())
        })
        .await;
        assert_eq!(pruned["from"], 0);

        let auditor = gateway.session(Role::Auditor).await;
        let gone = get(&gateway, &auditor, "/log/tile/entries/001").await;
        assert_eq!(
            (gone.status, &gone.json()["type"]),
            (410, &Value::from("/problems/pruned")),
            "{}",
            gone.text()
        );
        assert_eq!(get(&gateway, &auditor, "/api/v1/audit/17").await.status, 410);
        assert_eq!(get(&gateway, &auditor, "/log/tile/0/001").await.status, 200);
        assert_eq!(get(&gateway, &auditor, "/log/proof/inclusion?index=17").await.status, 200);
        let metrics =
            RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/metrics", "", &[], b"").await;
        assert!(metrics.text().contains("rack_gateway_audit_first_kept_entry 512\n"), "{}", metrics.text());
        let report = gateway_app::log::verify(gateway.store(), |_, _| {}).await.unwrap();
        assert_eq!(report.pruned, 512);

        let kept = gateway.store().events().leaves(512, 513).await.unwrap().remove(0).bytes;
        sqlx::any::install_default_drivers();
        let mut connection =
            <sqlx::AnyConnection as sqlx::Connection>::connect(&gateway.database_url).await.unwrap();
        let mut by_hand = async |statement: &'static str| {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
            gateway_app::log::verify(gateway.store(), |_, _| {}).await.unwrap_err().to_string()
        };
        let emptied =
            "UPDATE audit_leaves SET bytes = (SELECT bytes FROM audit_leaves WHERE idx = 0) WHERE idx = 512";
        let said = by_hand(emptied).await;
        assert!(said.contains("entry 512 was altered"), "{said}");
        let said = by_hand("UPDATE audit_retention SET first_kept = 513").await;
        assert!(said.contains("somebody removed them by hand"), "{said}");
        // As it was, for the look that the kit has at the log at the end.
        sqlx::query("UPDATE audit_retention SET first_kept = 512").execute(&mut connection).await.unwrap();
        let back = sqlx::query("UPDATE audit_leaves SET bytes = $1 WHERE idx = 512").bind(kept);
        back.execute(&mut connection).await.unwrap();
        gateway.finish().await;
    }
}
