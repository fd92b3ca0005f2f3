//! Mail from a whole gateway: what an admin does at a page arrives at other people's SMTP server.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use gateway_testkit::{Authenticator, TestGateway, Visitor};
use gateway_types::Role;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn an_invitation_is_mailed_to_whom_it_is_about() {
    let sink = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/smtp-sink.mjs");
    let mut child = Command::new("node")
        .arg(sink)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node; run ./scripts/test, which installs it");
    // The sink ends with its input.
    let _input = child.stdin.take();
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut next = async || -> Value {
        let line = timeout(Duration::from_secs(60), lines.next_line()).await;
        let line = line
            .expect("a line in time")
            .unwrap()
            .expect("a line; `npm ci --prefix tests/peers` installs the sink");
        serde_json::from_str(&line).unwrap()
    };
    let port = next().await["port"].to_string();

    let gateway = TestGateway::builder()
        .idp()
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", &port)
        .env("SMTP_TLS", "off")
        .env("MAIL_FROM", "gateway@example.com")
        .start()
        .await;
    let phone = Authenticator::enrol(&gateway, Role::Admin).await;
    let mut admin = Visitor::signed_in(&gateway, Role::Admin).await;
    // The sign-in of somebody who has a mail address may be mailed first.
    let code = phone.next(&gateway);
    let new = [("email", "new@example.com"), ("role", "viewer"), ("_code", code.as_str())];
    let invited = admin.post("/app/users", &new).await;
    assert_eq!(invited.status, 303, "{}", invited.text());
    let mail = loop {
        let mail = next().await;
        if mail["to"].to_string().contains("new@example.com") {
            break mail;
        }
    };
    assert_eq!(mail["from"], "gateway@example.com");
    for part in ["text", "html"] {
        assert!(mail[part].as_str().is_some_and(|text| text.contains("viewer")), "{part}: {mail}");
    }
    // Neither the mail nor the row of the job holds a secret.
    assert!(!mail.to_string().contains("rgw_") && !mail.to_string().contains("rgs_"));
    gateway.finish().await;
}
