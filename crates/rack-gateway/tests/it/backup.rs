//! The built command line backs a gateway's database up, and restores it into another place.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const KEY: &str = "a key for tests, long enough for anything";

fn run(directory: &Path, key: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.args(arguments).env_clear().current_dir(directory);
    command.env("DATA_DIR", directory.join("data")).env("APP_SECRET_KEY", key);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

#[test]
fn a_backup_is_checked_restored_and_says_so_in_the_log() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (old.path(), new.path());
    let file = old.join("gateway.rgb");
    let file = file.to_str().unwrap();
    let nothing = run(old, KEY, &["backup", "--out", file]);
    assert!(
        !nothing.status.success() && text(&nothing).contains("there is no database"),
        "{}",
        text(&nothing)
    );
    assert!(!Path::new(file).exists() && !Path::new(&format!("{file}.partial")).exists());
    assert!(run(old, KEY, &["migrate"]).status.success());
    let made = answer(&run(old, KEY, &["backup", "--out", file, "--json"]));
    let size = made["log_size"].as_u64().unwrap();
    assert!(size >= 1, "the backup is in the log: {made}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = run(old, KEY, &["backup", "--out", file]);
    assert_eq!(again.status.code(), Some(2), "never over another: {}", text(&again));

    let wrong = run(new, "another key, which is long enough as well", &["restore", file, "--check"]);
    assert!(!wrong.status.success() && text(&wrong).contains("another APP_SECRET_KEY"), "{}", text(&wrong));
    let checked = run(new, KEY, &["restore", file, "--check"]);
    assert!(checked.status.success() && text(&checked).contains("is whole"), "{}", text(&checked));
    assert!(!new.join("data").join("gateway.db").exists(), "a check touches nothing");
    let restored = answer(&run(new, KEY, &["restore", file, "--json"]));
    assert_eq!((&restored["restored"], &restored["log_size"]), (&true.into(), &size.into()));
    let events = text(&run(new, KEY, &["audit", "tail", "--json"]));
    assert!(events.contains("gateway:backup") && events.contains("gateway:restore"), "{events}");
    let verified = run(new, KEY, &["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));

    // What is in use gives way only when that is said twice, and what goes back is said aloud.
    let refused = run(new, KEY, &["restore", file]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    let unconfirmed = run(new, KEY, &["restore", file, "--replace"]);
    assert_eq!(unconfirmed.status.code(), Some(2), "{}", text(&unconfirmed));
    let replaced = run(new, KEY, &["restore", file, "--replace", "--confirm", "replace"]);
    assert!(
        replaced.status.success() && text(&replaced).contains("the log went back"),
        "{}",
        text(&replaced)
    );
}
