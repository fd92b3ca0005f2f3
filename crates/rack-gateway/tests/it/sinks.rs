//! `rack-gateway audit sinks`: the built command line forgets a sink that nobody declares any more.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use gateway_store::{Access, Store, StoreOptions};
use gateway_types::{OsEntropy, Secret, SystemClock};

const KEY: &str = "a key for tests, long enough for anything";

fn run(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.args(arguments).env_clear().current_dir(directory).stdin(Stdio::null());
    let Output { status, stdout, stderr } =
        command.env("DATA_DIR", directory.join("data")).env("APP_SECRET_KEY", KEY).output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[tokio::test]
async fn what_nobody_declares_any_more_is_forgotten_and_that_is_in_the_log() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert_eq!(run(home, &["migrate"]).0, Some(0));
    let store = Store::open(StoreOptions {
        url: format!("sqlite://{}", home.join("data/gateway.db").display()),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        max_connections: 1,
        access: Access::Tool,
        app_secret_key: Some(Secret::new(KEY.to_owned())),
    })
    .await
    .unwrap();
    store.audit_sinks().begin("siem", 0).await.unwrap();
    store.close().await;

    let (code, said) = run(home, &["audit", "sinks", "forget", "other"]);
    assert!(code == Some(1) && said.contains("no sink `other` has begun"), "{code:?} {said}");
    let (code, said) = run(home, &["audit", "sinks", "forget", "siem"]);
    assert!(code == Some(2) && said.contains("--yes"), "{code:?} {said}");
    let (_, said) = run(home, &["audit", "sinks"]);
    assert!(said.contains("siem"), "{said}");
    let (code, said) = run(home, &["audit", "sinks", "forget", "siem", "--yes"]);
    assert!(code == Some(0) && said.contains("forgotten: siem, which was at 0"), "{code:?} {said}");
    let (_, said) = run(home, &["audit", "sinks"]);
    assert!(said.contains("no sink has begun"), "{said}");
    let (_, said) = run(home, &["audit", "tail"]);
    assert!(said.contains("gateway:audit:forget_sink"), "{said}");
}
