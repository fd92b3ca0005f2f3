//! `support-bundle`: of a gateway that runs and of one that does not, and that no secret is in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use gateway_testkit::{Database, TestGateway};
use serde_json::Value;

/// Secrets, each of which the configuration has in its own way.
const SECRETS: [(&str, &str); 6] = [
    ("RACK_TOKEN", "the-rack-token-planted-0001"),
    ("APP_SECRET_KEY", "a test key of at least thirty-two characters"),
    ("GOOGLE_CLIENT_SECRET", "a-client-secret-planted-0003"),
    ("SLACK_SIGNING_SECRET", "a-signing-secret-planted-0004"),
    ("SLACK_BOT_TOKEN", "xoxb-a-bot-token-planted-0006"),
    ("GITHUB_TOKEN", "a-github-token-planted-0005"),
];

async fn bundle(directory: &Path, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.args(["--json", "support-bundle"]).args(words).current_dir(directory).env_clear();
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn files(archive: &Path) -> BTreeMap<String, String> {
    let opened = flate2::read::GzDecoder::new(std::fs::File::open(archive).unwrap());
    let mut archive = tar::Archive::new(opened);
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let (_directory, name) = path.split_once('/').unwrap();
        found.insert(name.to_owned(), std::io::read_to_string(&mut entry).unwrap());
    }
    found
}

#[tokio::test]
async fn of_a_gateway_that_runs_it_has_everything_but_secrets() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let place = tempfile::tempdir().unwrap();
        let rack = gateway.rack.url();
        let admin = format!("http://{}", gateway.admin_addr());
        let mut variables = vec![
            ("RACK_HOST", rack.as_str()),
            ("DOMAIN", "gateway.example.com"),
            ("PORT", "8443"),
            ("GOOGLE_CLIENT_ID", "client"),
            ("GOOGLE_ALLOWED_DOMAIN", "example.com"),
            ("DATABASE_URL", &gateway.database_url),
        ];
        variables.extend(SECRETS);
        // The program's log quotes what should never have been there.
        let log = place.path().join("program.log");
        let lines: Vec<String> =
            SECRETS.iter().map(|(name, value)| format!("WARN {name} was said to be {value}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        let words = ["--out", "bundle.tar.gz", "--admin", &admin, "--log", "program.log"];
        let told = bundle(place.path(), &words, &variables).await;
        assert!(told.status.success(), "{told:?}");
        let said: Value = serde_json::from_slice(&told.stdout).unwrap();
        assert_eq!(said["missing"], serde_json::json!([]), "{said}");
        let found = files(&place.path().join("bundle.tar.gz"));
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "README.md",
                "configuration.json",
                "database.json",
                "metrics.txt",
                "program-log/program.log",
                "program.json",
                "readiness.json"
            ]
        );
        for (name, text) in &found {
            for (secret, value) in SECRETS {
                assert!(!text.contains(value), "{secret} is in {name}");
            }
        }
        let configuration: Value = serde_json::from_str(&found["configuration.json"]).unwrap();
        let keys = configuration["keys"].as_array().unwrap();
        let token = keys.iter().find(|key| key["key"] == "rack.token").unwrap();
        assert_eq!(token["value"], "(hidden)");
        let standing: Value = serde_json::from_str(&found["database.json"]).unwrap();
        assert!(standing["log"]["entries"].as_u64().unwrap() > 0, "{standing}");
        assert!(!standing["migrations"].as_array().unwrap().is_empty(), "{standing}");
        assert!(found["metrics.txt"].contains("# EOF") && found["readiness.json"].contains("\"ready\""));
        assert!(found["README.md"].contains("entries of the audit log"), "{}", found["README.md"]);
        // Who took one is in the log.
        let events = gateway.events().await;
        let taken = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:support_bundle");
        assert_eq!(taken.count(), 1);
        // It takes the place of nothing.
        let again = bundle(place.path(), &words, &variables).await;
        let text = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(!again.status.success() && text.contains("is there already"), "{text}");
        gateway.finish().await;
    }
}

/// What helps most is wanted when nothing works.
#[tokio::test]
async fn of_a_gateway_that_does_not_run_it_has_what_there_is() {
    let place = tempfile::tempdir().unwrap();
    // DOMAIN is missing.
    let variables = [
        ("RACK_HOST", "https://rack.example.com"),
        ("RACK_TOKEN", SECRETS[0].1),
        ("ADMIN_PORT", "1"),
        ("DATA_DIR", "data"),
    ];
    std::fs::write(place.path().join("log"), format!("ERROR the rack refused {}", SECRETS[0].1)).unwrap();
    let admin = ["--admin", "http://127.0.0.1:1", "--log", "log", "--log", "gone"];
    let told = bundle(place.path(), &admin, &variables).await;
    assert!(told.status.success(), "{told:?}");
    let said: Value = serde_json::from_slice(&told.stdout).unwrap();
    let missing: Vec<&str> =
        said["missing"].as_array().unwrap().iter().map(|one| one["part"].as_str().unwrap()).collect();
    assert!(missing.contains(&"database.json") && missing.contains(&"readiness.json"), "{said}");
    let found = files(&place.path().join(said["file"].as_str().unwrap()));
    assert!(found["configuration.json"].contains("DOMAIN"), "{}", found["configuration.json"]);
    assert_eq!(
        found["program-log/log"], "ERROR the rack refused [masked]",
        "a faulty configuration has secrets too"
    );
    assert!(found["README.md"].contains("## What could not be had\n\n- "), "{}", found["README.md"]);
}
