//! The built command line moves in from a database of the Go project's schema.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const SCHEMA: &str = include_str!("../../../gateway-app/src/moving_in/tests/schema.sql");

fn run(directory: &Path, database: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.args(arguments).env_clear().current_dir(directory);
    command
        .env("DATA_DIR", directory.join("data"))
        .env("APP_SECRET_KEY", "a key for tests, long enough for anything");
    if let Some(url) = database {
        command.env("DATABASE_URL", url);
    }
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

fn fates(answer: &Value) -> Vec<&str> {
    answer["lines"].as_array().unwrap().iter().map(|line| line["fate"].as_str().unwrap()).collect()
}

#[test]
fn a_dry_run_changes_nothing_and_a_second_run_takes_nothing() {
    let server = gateway_testdb::postgres().unwrap();
    let old = gateway_testdb::fresh_database(server).unwrap();
    let rows = r#"INSERT INTO users (email, name, roles) VALUES ('ann@example.com', 'Ann', '["admin"]');
        INSERT INTO api_tokens (token_hash, name, user_id, permissions) VALUES (repeat('07', 32), 'ci', 1, '["convox:app:list"]');
        INSERT INTO settings (app_name, key, value) VALUES (NULL, 'session_timeout_minutes', '5');
        INSERT INTO audit.audit_event (chain_index, previous_hash, event_hash, details) VALUES (0, NULL, '\x01', 'SECRET=1');"#;
    gateway_testdb::sql(&old, &format!("{SCHEMA}\n{rows}")).unwrap();
    let new = gateway_testdb::fresh_database(server).unwrap();
    for database in [None, Some(new.as_str())] {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path();
        let go = |more: &[&str]| {
            let first = ["import", "rack-gateway-go", "--from", &old, "--json"];
            run(here, database, &[&first, more].concat())
        };
        assert!(run(here, database, &["migrate"]).status.success());
        let dry = answer(&go(&["--dry-run", "--appendix", "audit.rga"]));
        assert_eq!(fates(&dry), ["taken", "taken", "taken"], "{dry}");
        assert!(!here.join("audit.rga").exists());
        let never = go(&["--token-life", "never"]);
        assert_eq!(never.status.code(), Some(2), "{}", text(&never));

        let taken = answer(&go(&["--appendix", "audit.rga"]));
        assert_eq!(
            (fates(&taken), &taken["appendix"]["fate"]),
            (vec!["taken"; 3], &"taken".into()),
            "{taken}"
        );
        let again = answer(&go(&["--appendix", "another.rga"]));
        assert_eq!((fates(&again), &again["appendix"]["fate"]), (vec!["here"; 3], &"here".into()), "{again}");
        assert!(!here.join("another.rga").exists());
        let said = text(&run(here, database, &["import", "rack-gateway-go", "--from", &old]));
        assert!(said.contains("imported:ci") || said.contains("here already"), "{said}");

        let file = std::fs::read(here.join("audit.rga")).unwrap();
        assert!(!file.windows(8).any(|part| part == b"SECRET=1"), "it is sealed");
        let checked =
            answer(&run(here, database, &["import", "show-appendix", "audit.rga", "--check", "--json"]));
        assert_eq!(checked["appendix"]["digest"], taken["appendix"]["digest"]);
        let shown = run(here, database, &["import", "show-appendix", "audit.rga"]);
        assert!(String::from_utf8_lossy(&shown.stdout).contains("SECRET=1"), "{}", text(&shown));
        let events = text(&run(here, database, &["audit", "tail", "--json"]));
        for action in
            ["gateway:import", "gateway:user:import", "gateway:audit:import", "gateway:audit:read_import"]
        {
            assert!(events.contains(action), "{action}: {events}");
        }
        assert!(run(here, database, &["audit", "verify"]).status.success());

        // One of another gateway is whole, and yet not one that this gateway took over.
        let other = tempfile::tempdir().unwrap();
        assert!(run(other.path(), None, &["migrate"]).status.success());
        let foreign = here.join("audit.rga");
        let foreign = run(other.path(), None, &["import", "show-appendix", foreign.to_str().unwrap()]);
        assert!(!foreign.status.success() && foreign.stdout.is_empty(), "{}", text(&foreign));
    }
}
