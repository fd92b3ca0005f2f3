//! The example deployment of the trust zone, started by its one command.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Runs `examples/trust-zone/run check` with the programs of this build.
fn check(words: &[&str]) -> Value {
    let program = Path::new(env!("CARGO_BIN_EXE_rack-gateway"));
    let programs = program.parent().unwrap();
    assert!(
        programs.join("rack-gateway-dns").exists(),
        "the example runs the DNS shim too: `cargo build -p rack-gateway-dns`, or test the whole workspace"
    );
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/trust-zone/run");
    let ran = Command::new("timeout")
        .arg("240")
        .arg(run)
        .args(["check", "--json"])
        .args(words)
        .env("EXAMPLE_PROGRAMS", programs)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let shown: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|fault| panic!("{fault}: {}{said}", String::from_utf8_lossy(&ran.stdout)));
    assert!(ran.status.success(), "{shown:#}\n{said}");
    let steps = shown["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 8, "{shown:#}");
    assert!(steps.iter().all(|step| step["ok"] == true), "{shown:#}");
    // Without namespaces one step has nothing to show; with them, all do.
    let skipped = steps.iter().filter(|step| !step["skipped"].is_null()).count();
    assert_eq!(skipped, usize::from(shown["namespaces"] == false), "{shown:#}");
    shown
}

/// In network namespaces, where the machine allows them.
#[test]
fn the_example_deployment_shows_that_nobody_goes_around_the_gateway() {
    check(&[]);
}

#[test]
fn the_example_deployment_does_without_network_namespaces() {
    assert_eq!(check(&["--one-host"])["namespaces"], false);
}
