//! `top`, asked of a gateway's second listener.

use std::process::{Command, Output};

use gateway_testkit::TestGateway;
use gateway_types::Role;
use serde_json::Value;

async fn top(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.arg("top").args(words).env_clear();
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn it_tells_once_where_no_terminal_is() {
    let gateway = TestGateway::builder().start().await;
    let address = format!("http://{}", gateway.admin_addr());
    let session = gateway.session(Role::Viewer).await;
    let asking = tokio::spawn({
        let address = gateway.addr();
        async move {
            loop {
                let mut client = gateway_testkit::RawClient::connect(address).await;
                client.ask("GET", "/apps", &session, &[], b"").await;
            }
        }
    });
    let told = top(&["--every", "1", &address]).await;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success() && text.contains("requests/s") && text.contains("read "), "{told:?}");
    assert!(!text.contains('\u{1b}'), "no terminal, no control characters: {text:?}");
    let told = top(&["--every", "1", "--once", "--json", &address]).await;
    let shown: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert!(shown["requests_per_second"].as_f64().unwrap() > 0.0, "{shown}");
    assert_eq!(shown["troubles"], serde_json::json!([]));
    asking.abort();
    gateway.finish().await;
}

#[tokio::test]
async fn what_is_no_second_listener_is_said() {
    let gateway = TestGateway::builder().start().await;
    let told = top(&["--once", &format!("http://{}", gateway.addr())]).await;
    let text = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(!told.status.success() && text.contains("second listener"), "{text}");
    for wrong in ["http://127.0.0.1:1", "http://gateway.example.com", "ftp://x", "x"] {
        assert!(!top(&["--once", wrong]).await.status.success(), "{wrong}");
    }
    gateway.finish().await;
}
