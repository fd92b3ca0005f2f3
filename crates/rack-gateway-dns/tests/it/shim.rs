//! The program under test, and calls to it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::named::{KEY, Named, ZONE, eventually};

/// A running program with a state directory and a configuration.
pub(crate) struct Shim {
    pub(crate) place: TempDir,
    pub(crate) url: String,
    pub(crate) monitor: String,
    pub(crate) process: Option<Child>,
    client: reqwest::Client,
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of a configuration: one zone by dynamic updates.
pub(crate) fn by_updates(named: &Named) -> String {
    format!(
        "[zone.rfc2136]\nserver = \"{}\"\nkey_name = \"shim\"\nsecret_file = \"PLACE/secret\"\n",
        named.address
    )
}

/// The end of a configuration: one zone in a file.
pub(crate) fn by_file(named: &Named) -> String {
    format!(
        "[zone.file]\npath = \"{}\"\ncontact = \"hostmaster.corp.test\"\nreload = {}\nserver = \"{}\"\n\
         name_servers = [{{ name = \"ns.corp.test\", addresses = [\"127.0.0.1\"] }}]\n",
        named.zone_file().display(),
        named.reload(),
        named.address
    )
}

/// Lets this machine in.
pub(crate) const LOOPBACK: &str = "trust_loopback = true\n";

impl Shim {
    /// One that trusts this machine, with this back end.
    pub(crate) fn start(backend: &str) -> Self {
        Self::start_with(LOOPBACK, backend)
    }

    pub(crate) fn start_with(trust: &str, backend: &str) -> Self {
        let place = TempDir::new().unwrap();
        let at = place.path().display().to_string();
        std::fs::write(place.path().join("secret"), KEY).unwrap();
        let (top, tables) = trust.split_once("[gateway]").unwrap_or((trust, ""));
        let tables = if tables.is_empty() { String::new() } else { format!("[gateway]{tables}") };
        let config = format!(
            "listen = \"127.0.0.1:0\"\nmonitor = \"127.0.0.1:0\"\nstate = \"{at}/state\"\n{top}{tables}\n\
             [reconcile]\nretry_first = \"100ms\"\nretry_longest = \"500ms\"\nsweep = \"500ms\"\n\
             [[zone]]\nname = \"{ZONE}\"\nread = [\"role:viewer\"]\nwrite = [\"role:ops\", \"subject:api-1\"]\n{}",
            backend.replace("PLACE", &at)
        );
        std::fs::write(place.path().join("dns.toml"), config).unwrap();
        let mut shim = Self {
            place,
            url: String::new(),
            monitor: String::new(),
            process: None,
            client: reqwest::Client::builder()
                .tls_backend_preconfigured(no_tls())
                .no_proxy()
                .build()
                .unwrap(),
        };
        shim.run();
        shim
    }

    pub(crate) fn command(place: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway-dns"));
        command.args(["serve", "--config"]).arg(place.join("dns.toml")).stdin(Stdio::null());
        command
    }

    /// Starts the program on its state directory.
    pub(crate) fn run(&mut self) {
        let log =
            std::fs::File::options().create(true).append(true).open(self.place.path().join("log")).unwrap();
        let mut process =
            Self::command(self.place.path()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut line = |begin: &str| {
            let line = lines.next().and_then(Result::ok).unwrap_or_default();
            let url = line.strip_prefix(begin).map(str::to_owned);
            url.unwrap_or_else(|| {
                panic!("{line:?}: {}", std::fs::read_to_string(self.place.path().join("log")).unwrap())
            })
        };
        self.url = line("listening on ");
        self.monitor = line("monitor on ");
        self.process = Some(process);
    }

    /// Ends it as the kernel would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ended = process.kill();
            let _reaped = process.wait();
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let reply = request.send().await.unwrap();
        let status = reply.status();
        let tag = reply.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let text = reply.text().await.unwrap();
        Answer { status, tag, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Says all sets of a name; `query` such as `?wait=10s`.
    pub(crate) async fn put(&self, name: &str, query: &str, sets: &[(&str, &[&str])]) -> Answer {
        let request = self.request(Method::PUT, &format!("/zones/{ZONE}/names/{name}{query}"));
        self.send(request.json(&body(sets))).await
    }

    pub(crate) async fn delete(&self, name: &str, query: &str) -> Answer {
        self.send(self.request(Method::DELETE, &format!("/zones/{ZONE}/names/{name}{query}"))).await
    }

    /// Waits until the zone stands like this.
    pub(crate) async fn stands(&self, word: &str) -> Value {
        eventually(word, || async {
            let zone = self.get(&format!("/zones/{ZONE}")).await.body;
            (zone["status"] == word).then_some(zone)
        })
        .await
    }
}

/// The body that says these sets, with a TTL of 60.
pub(crate) fn body(sets: &[(&str, &[&str])]) -> Value {
    let sets: Vec<Value> =
        sets.iter().map(|(kind, values)| json!({"type": kind, "ttl": 60, "values": values})).collect();
    json!({"sets": sets})
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) tag: Option<String>,
    pub(crate) body: Value,
}

fn no_tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

impl Shim {
    /// Asks another listener.
    pub(crate) async fn get_from(url: &str, path: &str) -> reqwest::Response {
        let client =
            reqwest::Client::builder().tls_backend_preconfigured(no_tls()).no_proxy().build().unwrap();
        client.get(format!("{url}{path}")).send().await.unwrap()
    }
}
