//! Anchors: kept at the start and at the stop, posted, and an alarm for a log that does not extend them.

use std::path::{Path, PathBuf};

use gateway_app::anchors;
use gateway_testkit::{Database, RawClient, TestGateway, eventually};
use serde_json::Value;
use tempfile::TempDir;

use crate::sinks::{SECRET, Web};

async fn notes(gateway: &TestGateway) -> String {
    let reply = RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/readyz", "", &[], b"").await;
    assert_eq!(reply.status, 200, "the gateway stays ready: {}", reply.text());
    reply.json()["notes"].to_string()
}

async fn metrics(gateway: &TestGateway) -> String {
    RawClient::connect(gateway.admin_addr()).await.ask("GET", "!/metrics", "", &[], b"").await.text()
}

fn kept(directory: &TempDir) -> Vec<PathBuf> {
    anchors::read(directory.path(), None, None).unwrap().into_iter().map(|anchor| anchor.path).collect()
}

async fn check_kept(database: Database) {
    let (directory, hook) = (TempDir::new().unwrap(), Web::start().await);
    let mut gateway = TestGateway::builder()
        .database(database)
        .env("AUDIT_ANCHOR_DIRECTORY", &directory.path().display().to_string())
        .env("AUDIT_ANCHOR_WEBHOOK_URL", &format!("{}/anchors", hook.url))
        .env("AUDIT_ANCHOR_WEBHOOK_SECRET", SECRET)
        .start()
        .await;
    eventually("the first anchor", async || (hook.bodies().len() == 1).then_some(())).await;
    gateway.restart().await;
    eventually("those of the stop and of the next start", async || (hook.bodies().len() == 3).then_some(()))
        .await;
    let anchors = anchors::read(directory.path(), Some(gateway.store().gateway_id()), None).unwrap();
    assert!((2..=3).contains(&anchors.len()), "the stop adds an entry behind its anchor: {anchors:?}");
    for anchor in &anchors {
        let head = anchors::compare(gateway.store(), &anchor.note).await.unwrap();
        let posted = hook.bodies();
        let of_size = |body: &&Value| body["data"]["size"] == head.size;
        let posted = posted.iter().find(of_size).unwrap();
        assert_eq!(posted["type"], "rack-gateway.audit.checkpoint.v1");
        assert_eq!(posted["data"]["note"], anchor.note);
    }
    let notes: Vec<String> = anchors.into_iter().map(|anchor| anchor.note).collect();
    gateway_app::log::verify_against(gateway.store(), &notes, |_, _| {}).await.unwrap();
    assert!(metrics(&gateway).await.contains("rack_gateway_fault{of=\"audit_anchors\"} 0\n"));
    gateway.finish().await;
}

#[tokio::test]
async fn the_log_is_anchored_at_its_start_and_its_stop_on_sqlite() {
    check_kept(Database::Sqlite).await;
}

#[tokio::test]
async fn the_log_is_anchored_at_its_start_and_its_stop_on_postgres() {
    check_kept(Database::Postgres).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

/// As after an old backup was restored.
#[tokio::test]
async fn a_log_that_does_not_extend_its_anchors_is_an_alarm() {
    let directory = TempDir::new().unwrap();
    let mut gateway = TestGateway::builder()
        .env("AUDIT_ANCHOR_DIRECTORY", &directory.path().display().to_string())
        .start()
        .await;
    eventually("an anchor", async || {
        (!metrics(&gateway).await.contains("rack_gateway_audit_anchored_entries 0\n")).then_some(())
    })
    .await;
    // What the backup has; the write-ahead log is in it once the gateway has stopped.
    let file = gateway.directory().join("gateway.db");
    let backup = directory.path().join("backup");
    gateway.restart_after(|| copy(&file, &backup)).await;
    for _ in 0..3 {
        gateway.restart().await;
    }
    let mut before = Vec::new();
    gateway
        .restart_after(|| {
            before = kept(&directory);
            copy(&backup, &file);
        })
        .await;
    let said = eventually("the alarm", async || {
        let notes = notes(&gateway).await;
        notes.contains("ALARM").then_some(notes)
    })
    .await;
    // The new start stands where another entry was.
    assert!(said.contains("does not hold") && said.contains("it was rewritten"), "{said}");
    assert!(metrics(&gateway).await.contains("rack_gateway_fault{of=\"audit_anchors\"} 1\n"));
    let events = gateway.events().await;
    assert!(events.iter().any(|(_, event)| event.action.as_str() == "gateway:audit:anchor_alarm"));
    let anchors = anchors::read(directory.path(), None, None).unwrap();
    let signed: Vec<String> = anchors.iter().map(|anchor| anchor.note.clone()).collect();
    let fault = gateway_app::log::verify_against(gateway.store(), &signed, |_, _| {}).await.unwrap_err();
    assert!(fault.to_string().contains("do not have the root that was signed"), "{fault}");
    assert_eq!(kept(&directory), before, "no anchor of such a log is kept");
    gateway.finish().await;
}
