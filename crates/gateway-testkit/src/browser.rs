//! Headless Chromium with a person before it, driven by `tests/peers/browser.mjs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a whole journey may take: some hundred looks at pages by axe, on two busy cores.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Where the programs of others are that tests run.
pub fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers")
}

/// Where the screenshots are left, for people to look at.
fn shots(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tmp/screenshots").join(name)
}

/// What a journey looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Looked {
    /// How many pages, each in both themes and at two widths.
    pub pages: u64,
    /// At which paths of the gateway.
    pub paths: BTreeSet<String>,
}

/// A real browser with a person before it.
#[derive(Debug)]
pub struct Journey {
    child: Child,
}

impl Journey {
    /// Opens the browser before this gateway, as the person with this address at the provider.
    pub fn begin(gateway: &str, email: &str, name: &str, options: &[&str]) -> Self {
        Self::of("browser.mjs", gateway, email, name, options)
    }

    /// The same, by another script of `tests/peers`.
    pub fn of(script: &str, gateway: &str, email: &str, name: &str, options: &[&str]) -> Self {
        let child = Command::new("node")
            .arg(script)
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

    /// Answers what the browser asks until it is done; what it looked at.
    pub async fn end(mut self, mut answer: impl AsyncFnMut(&str, &Value) -> String) -> Looked {
        let mut questions = BufReader::new(self.child.stdout.take().expect("its output")).lines();
        let mut answers = self.child.stdin.take().expect("its input");
        let mut complaints = self.child.stderr.take().expect("its complaints");
        let complaining = tokio::spawn(async move {
            let mut text = String::new();
            let _ended = complaints.read_to_string(&mut text).await;
            text
        });
        let mut looked = None;
        let talk = async {
            while let Some(line) = questions.next_line().await.expect("a line") {
                let said: Value = serde_json::from_str(&line).expect("a line of JSON");
                if said["done"] == true {
                    let paths = said["paths"].as_array().into_iter().flatten();
                    let paths = paths.filter_map(|path| path.as_str().map(str::to_owned)).collect();
                    looked = said["pages"].as_u64().map(|pages| Looked { pages, paths });
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
        looked.unwrap_or_else(|| panic!("the journey did not end well: {complaints}"))
    }
}
