//! The pages in a real browser: headless Chromium, driven by `tests/peers/browser.mjs`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use gateway_sim::idp::DevPerson;
use gateway_testkit::{Authenticator, Database, RawClient, TestGateway};
use gateway_types::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a whole journey may take: some hundred looks at pages by axe, on two busy cores.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

const APP: &str = "/apps/myapp";

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers")
}

/// Where the screenshots are left, for people to look at.
fn shots(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots").join(name)
}

/// A browser with a person before it.
pub(super) struct Journey {
    child: Child,
}

impl Journey {
    pub(super) fn begin(gateway: &str, email: &str, name: &str, options: &[&str]) -> Self {
        let child = Command::new("node")
            .arg("browser.mjs")
            .args(["--gateway", gateway, "--email", email, "--shots"])
            .arg(shots(name))
            .args(options)
            .current_dir(peers())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node; ./scripts/test installs it");
        Self { child }
    }

    /// Answers what the browser asks until it is done; how many pages it looked at.
    pub(super) async fn end(mut self, mut answer: impl AsyncFnMut(&str, &Value) -> String) -> u64 {
        let mut questions = BufReader::new(self.child.stdout.take().expect("its output")).lines();
        let mut answers = self.child.stdin.take().expect("its input");
        let mut complaints = self.child.stderr.take().expect("its complaints");
        let complaining = tokio::spawn(async move {
            let mut text = String::new();
            let _ended = complaints.read_to_string(&mut text).await;
            text
        });
        let mut pages = None;
        let talk = async {
            while let Some(line) = questions.next_line().await.expect("a line") {
                let said: Value = serde_json::from_str(&line).expect("a line of JSON");
                if said["done"] == true {
                    pages = said["pages"].as_u64();
                    continue;
                }
                let question = said["ask"].as_str().expect("a question").to_owned();
                let reply = answer(&question, &said).await;
                answers.write_all(format!("{reply}\n").as_bytes()).await.expect("an answer is read");
            }
        };
        timeout(PATIENCE, talk).await.expect("a journey that ends");
        let status = self.child.wait().await.expect("its end");
        let complaints = complaining.await.expect("its complaints");
        assert!(status.success(), "{complaints}");
        pages.unwrap_or_else(|| panic!("the journey did not end well: {complaints}"))
    }
}

/// The unmodified client's command that needs a factor for this very action: it is refused, and the
/// refusal names the page at which it can be confirmed.
async fn refused_command(gateway: &TestGateway, session: &str) -> String {
    let mut client = RawClient::connect(gateway.addr()).await;
    let refused = client.ask("DELETE", APP, session, &[], b"").await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let remedies = refused.json()["remedies"].clone();
    remedies[0]["url"].as_str().unwrap_or_else(|| panic!("{remedies}")).replace("127.0.0.1", "localhost")
}

async fn journey(name: &str, database: Database, options: &[&str]) {
    let people = [
        DevPerson::new("first@example.com", "First Admin", &[]),
        DevPerson::new("stranger@example.org", "Stranger", &[]),
    ];
    let gateway = TestGateway::builder()
        .database(database)
        .env("ADMIN_USERS", "first@example.com")
        .env("RGW_SETTING_DESTRUCTIVE_ACTIONS", "on")
        .idp_of(people.to_vec())
        .start()
        .await;
    let url = format!("http://localhost:{}", gateway.addr().port());
    let mut all = vec!["--refused", "stranger@example.org"];
    all.extend_from_slice(options);
    let mut session = None;
    let pages = Journey::begin(&url, "first@example.com", name, &all)
        .end(async |question, said| match question {
            "code" => {
                let secret = said["secret"].as_str().expect("a secret");
                Authenticator::of(secret).next(&gateway)
            }
            "challenge" => {
                let user = gateway.store().users().by_email("first@example.com").await.unwrap().unwrap();
                let own = session.insert(gateway.session_of(&user).await);
                refused_command(&gateway, own).await
            }
            "repeat" => {
                let own = session.clone().expect("the command was refused before");
                let mut client = RawClient::connect(gateway.addr()).await;
                let passed = client.ask("DELETE", APP, &own, &[], b"").await;
                let again = client.ask("DELETE", "/apps/other", &own, &[], b"").await;
                assert_eq!(again.status, 401, "a bound step-up is for one object: {}", again.text());
                if passed.status == 200 { "ok".to_owned() } else { passed.text() }
            }
            other => panic!("nobody knows {other}"),
        })
        .await;
    assert!(pages >= 25, "{pages} pages");
    // The stranger was refused, the first admin was made by the list, and the log knows both.
    let events = gateway.events().await;
    let signed_in: Vec<Value> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "gateway:auth:login")
        .map(|(_, event)| json!(event))
        .collect();
    assert!(signed_in.len() >= 2, "{signed_in:?}");
    assert!(gateway.store().users().by_email("stranger@example.org").await.unwrap().is_none());
    let first = gateway.store().users().by_email("first@example.com").await.unwrap().unwrap();
    assert!(first.roles.contains(Role::Admin));
    gateway.finish().await;
}

#[tokio::test]
async fn a_first_admin_with_a_browser() {
    journey("with-javascript", Database::Sqlite, &[]).await;
}

#[tokio::test]
async fn a_first_admin_whose_browser_runs_no_scripts() {
    journey("without-javascript", Database::Postgres, &["--without-javascript"]).await;
}
