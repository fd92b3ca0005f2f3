//! Every command line is a witness: it remembers the log and stops when the log does not hold it.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use gateway_audit::{Event, Frontier, Hash};
use gateway_testkit::{Database, RawClient, TestGateway, eventually};
use gateway_types::{Clock as _, EventId, OsEntropy, Role};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Row as _};

/// A home in which somebody is signed in to this gateway.
async fn home(gateway: &TestGateway) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("rack-gateway");
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    let url = format!("http://{}", gateway.addr());
    let session = gateway.session(Role::Auditor).await;
    let racks = json!({ "current": "test", "racks": [{
        "name": "test", "url": url, "gateway_id": gateway.store().gateway_id().to_string(),
        "email": "auditor@example.com", "kept": "file",
    }] });
    let sessions = json!({ "sessions": { url: session } });
    for (name, content) in [("racks.json", racks), ("credentials.json", sessions)] {
        let path = directory.join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    home
}

async fn run(home: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("RACK_GATEWAY_CREDENTIALS", "file");
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), said)
}

/// What this home remembers.
fn remembered(home: &Path) -> Value {
    let text = std::fs::read_to_string(home.join("rack-gateway/racks.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["racks"][0].clone()
}

fn evidence(home: &Path) -> usize {
    let entries = std::fs::read_dir(home.join("rack-gateway")).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("alarm-"))
        .count()
}

/// The log's database, past the gateway.
struct Behind(AnyConnection);

impl Behind {
    async fn of(gateway: &TestGateway) -> Self {
        sqlx::any::install_default_drivers();
        Self(AnyConnection::connect(&gateway.database_url).await.unwrap())
    }

    async fn head(&mut self) -> (i64, Vec<u8>, Vec<u8>) {
        let row =
            sqlx::query("SELECT size, root, frontier FROM audit_head").fetch_one(&mut self.0).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    }

    async fn set_head(&mut self, (size, root, frontier): (i64, Vec<u8>, Vec<u8>)) {
        sqlx::query("UPDATE audit_head SET size = $1, root = $2, frontier = $3")
            .bind(size)
            .bind(root)
            .bind(frontier)
            .execute(&mut self.0)
            .await
            .unwrap();
    }

    async fn hashes(&mut self) -> Vec<Vec<u8>> {
        let rows =
            sqlx::query("SELECT hash FROM audit_leaves ORDER BY idx").fetch_all(&mut self.0).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn set_hash(&mut self, index: i64, hash: Vec<u8>) {
        sqlx::query("UPDATE audit_leaves SET hash = $1 WHERE idx = $2")
            .bind(hash)
            .bind(index)
            .execute(&mut self.0)
            .await
            .unwrap();
    }

    /// Makes the head fit the leaves up to this size, as whoever rewrites a log would.
    async fn fit_head(&mut self, size: usize) {
        let mut frontier = Frontier::new();
        for hash in &self.hashes().await[..size] {
            frontier.push(Hash::from_slice(hash).unwrap());
        }
        let (size, root) = (i64::try_from(size).unwrap(), frontier.root().as_bytes().to_vec());
        self.set_head((size, root, frontier.to_bytes())).await;
    }
}

async fn check(database: Database) {
    let gateway =
        TestGateway::builder().database(database).env("RGW_SETTING_MFA_STEP_UP", "false").start().await;
    let home = home(&gateway).await;
    let home = home.path();
    assert_eq!(run(home, &["whoami"]).await.0, 0);
    let first = remembered(home)["checkpoint"]["size"].as_u64().unwrap();
    // A receipt is kept, looked for at the next call, and then forgotten.
    let (code, said) = run(home, &["audit", "export", "--out", "-"]).await;
    assert!(code == 0 || code == 4, "{said}");
    let promises = remembered(home)["promises"].as_array().cloned().unwrap_or_default();
    assert!(!promises.is_empty(), "a reveal is recorded, so it has a receipt: {said}");
    let (code, said) = run(home, &["whoami"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(remembered(home).get("promises").is_none());
    assert!(remembered(home)["checkpoint"]["size"].as_u64().unwrap() > first);

    // One entry, proven.
    let (code, said) = run(home, &["audit", "show", "0"]).await;
    assert!(code == 0 && said.contains("in the log: entry 0 of"), "{said}");
    let (code, said) = run(home, &["audit", "prove", "1"]).await;
    assert!(code == 0 && said.starts_with("c2sp.org/tlog-proof@v1\nindex 1\n"), "{said}");
    let (code, said) = run(home, &["audit", "search", "--action", "gateway:*", "-n", "3"]).await;
    assert!(code == 0 && said.lines().count() == 3, "{said}");

    // Another key, handed over: nobody has to be told.
    gateway.store().audit().exchange_key().await.unwrap();
    let (code, said) = run(home, &["rack"]).await;
    assert!(code == 0 && said.contains("consistent"), "{said}");
    assert_eq!(remembered(home)["checkpoint"]["key"], gateway.store().audit().verifier().to_string());

    // From here on somebody works on the database.
    let before = remembered(home);
    gateway.store().audit().flush().await.unwrap();
    let mut behind = Behind::of(&gateway).await;
    let (head, hashes) = (behind.head().await, behind.hashes().await);
    let alarm = async |what: &str, alarms: usize| {
        for command in [&["whoami"][..], &["audit", "search"], &["rack"]] {
            let (code, said) = run(home, command).await;
            assert!(code == 1 && said.contains("ALARM") && said.contains(what), "{command:?}: {said}");
        }
        assert_eq!(remembered(home), before, "what was seen is evidence");
        assert!(evidence(home) >= alarms, "{}", evidence(home));
    };
    let seen = usize::try_from(before["checkpoint"]["size"].as_u64().unwrap()).unwrap();
    // The tail is cut off, or an old backup was restored.
    behind.fit_head(seen - 1).await;
    alarm("rolled back", 1).await;
    // An old entry is another one, and everything above it fits.
    behind.set_hash(1, gateway_audit::leaf_hash(b"another").as_bytes().to_vec()).await;
    behind.fit_head(seen).await;
    alarm("rewritten", 2).await;
    assert!(hashes.len() > seen, "more came than was seen");
    behind.fit_head(hashes.len()).await;
    alarm("not the beginning", 3).await;
    // Two entries change places.
    behind.set_hash(1, hashes[2].clone()).await;
    behind.set_hash(2, hashes[1].clone()).await;
    behind.fit_head(hashes.len()).await;
    alarm("not the beginning", 4).await;
    // The head is the old one, the entries are not: then there is no proof.
    behind.set_head(head).await;
    alarm("not the beginning", 5).await;

    behind.set_hash(1, hashes[1].clone()).await;
    behind.set_hash(2, hashes[2].clone()).await;
    // The gateway went on writing where the head was the right one, so the head stays.
    let (code, said) = run(home, &["whoami"]).await;
    assert_eq!(code, 0, "{said}");
    // Whoever restored a backup and knows it says so once.
    let path = home.join("rack-gateway/racks.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let size = remembered(home)["checkpoint"]["size"].to_string();
    std::fs::write(&path, text.replace(&format!("\"size\": {size}"), "\"size\": 999999")).unwrap();
    assert_eq!(run(home, &["whoami"]).await.0, 1);
    let (code, said) = run(home, &["rack", "--forget-log"]).await;
    assert_eq!(code, 0, "{said}");
    assert_eq!(run(home, &["whoami"]).await.0, 0);
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_does_not_hold_stops_the_next_command_on_sqlite() {
    check(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_does_not_hold_stops_the_next_command_on_postgresql() {
    check(Database::Postgres).await;
}

/// An archive for auditors: made of a gateway, and checked without it.
async fn evidence_of(database: Database) {
    let gateway =
        TestGateway::builder().database(database).env("RGW_SETTING_MFA_STEP_UP", "false").start().await;
    let home = home(&gateway).await;
    let home = home.path();
    for _ in 0..3 {
        assert_eq!(run(home, &["whoami"]).await.0, 0);
    }
    let file = home.join("evidence.tar.gz");
    let file = file.to_str().unwrap();
    let make = [
        "audit",
        "evidence",
        "make",
        "--from",
        "2020-01-01T00:00:00Z",
        "--to",
        "2040-01-01T00:00:00Z",
        "--out",
        file,
    ];
    let (code, said) = run(home, &make).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("left out: access/users.json"), "an auditor does not see people: {said}");
    let (code, said) = run(home, &make).await;
    assert!(code != 0 && said.contains("is there already"), "never over another: {code} {said}");
    let key = gateway.store().audit().verifier().to_string();
    gateway.finish().await;

    let (code, said) = run(home, &["audit", "evidence", "verify", file, "--key", &key]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("none left out"), "{said}");
    let (code, said) = run(home, &["--json", "audit", "evidence", "verify", file]).await;
    assert_eq!(code, 0, "{said}");
    let answer = &said[said.find('{').unwrap()..=said.rfind('}').unwrap()];
    let held: Value = serde_json::from_str(answer).unwrap();
    assert!(held["entries"].as_u64().unwrap() > 3 && held["recorded_as"].as_u64().is_some(), "{held}");
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
    let (code, said) = run(home, &["audit", "evidence", "verify", file]).await;
    assert!(code != 0 && said.contains("does not hold"), "{code} {said}");
    let backwards = [
        "audit",
        "evidence",
        "make",
        "--from",
        "2026-01-02T00:00:00Z",
        "--to",
        "2026-01-01T00:00:00Z",
        "--out",
        "x",
    ];
    assert_eq!(run(home, &backwards).await.0, 2);
}

#[tokio::test]
async fn evidence_for_auditors_verifies_without_the_gateway() {
    evidence_of(Database::Sqlite).await;
    evidence_of(Database::Postgres).await;
}

/// What was pruned is not in an archive, and that is said; what is in it verifies.
#[tokio::test]
async fn evidence_says_what_was_pruned() {
    let anchors = tempfile::tempdir().unwrap();
    let mut gateway = TestGateway::builder()
        .env("RGW_SETTING_AUDIT_RETENTION", "24h")
        .env("RGW_SETTING_MFA_STEP_UP", "false")
        .env("AUDIT_ANCHOR_DIRECTORY", &anchors.path().display().to_string())
        .start()
        .await;
    for _ in 0..600 {
        let (now, store) = (gateway.clock.now(), gateway.store());
        store.audit().queue(Event::of_system(now, EventId::new(now, &OsEntropy), "convox:app:list"));
    }
    gateway.store().audit().flush().await.unwrap();
    gateway.restart().await;
    while gateway.store().audit_tallies().tend().await.unwrap() {}
    gateway.clock.advance(Duration::from_secs(3 * 24 * 3600));
    let admin = gateway.critical_token().await;
    eventually("the anchor of the start", async || {
        let reply = RawClient::connect(gateway.addr())
            .await
            .ask("POST", "!/api/v1/audit/prune", &admin, &[], b"")
            .await;
        (reply.json()["to"] == 512).then_some(())
    })
    .await;
    let home = home(&gateway).await;
    let home = home.path();
    let (file, span) = (home.join("evidence.tar.gz"), ["--from", "2020-01-01T00:00:00Z", "--to"]);
    let make = async |to: &str| {
        let file = file.to_str().unwrap();
        let words = ["audit", "evidence", "make", span[0], span[1], span[2], to, "--out", file];
        run(home, &words).await
    };
    let (code, said) = make("2040-01-01T00:00:00Z").await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("left out") && said.contains("entries before 512 were pruned"), "{said}");
    let (code, said) = run(home, &["--json", "audit", "evidence", "verify", file.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{said}");
    // A time of which nothing is left.
    std::fs::remove_file(&file).unwrap();
    let first = gateway.store().events().leaves(512, 513).await.unwrap();
    let (event, _nonce) = Event::from_leaf(&first[0].bytes).unwrap();
    let (code, said) = make(&event.time.to_rfc3339()).await;
    assert!(code == 1 && said.contains("whatever the log had of this time was pruned"), "{code} {said}");
    assert!(said.contains("bodies from entry 512 on") && !file.exists(), "{said}");
    gateway.finish().await;
}
