//! The gateway itself: the program as it is released, `serve` on a real database.
//!
//! `demo` fills the database with people and tokens and ends; `serve` goes on with it. Nothing is switched off:
//! each request is decided and recorded. The limits are raised so far that the driver, one caller from one address,
//! stays within them; they are still counted.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Party, free_port};

/// Variables that raise what is limited.
const LIMITS: [(&str, &str); 17] = [
    ("ADDRESS_REQUESTS_PER_SECOND", "100000"),
    ("ADDRESS_REQUEST_BURST", "100000"),
    ("REQUESTS_PER_SECOND", "100000"),
    ("REQUEST_BURST", "100000"),
    ("CHANGES_PER_SECOND", "100000"),
    ("CHANGE_BURST", "100000"),
    ("REVEALS_PER_SECOND", "100000"),
    ("REVEAL_BURST", "100000"),
    ("EXECUTES_PER_SECOND", "100000"),
    ("EXECUTE_BURST", "100000"),
    ("CONCURRENT_REQUESTS", "10000"),
    ("ADDRESS_CONCURRENT_REQUESTS", "10000"),
    ("SOCKETS", "10000"),
    ("CONNECTIONS", "12000"),
    ("CONNECTIONS_PER_ADDRESS", "12000"),
    ("DRAIN_TIMEOUT", "1s"),
    ("LOG_FILTER", "error"),
];

/// The password that the upstream does not look at.
const RACK_TOKEN: &str = "bench-rack-token";

/// What a database was filled with.
#[derive(Clone, Debug)]
pub(crate) struct Seeded {
    /// Tokens by role.
    tokens: Value,
}

impl Seeded {
    /// The `Authorization` line of the token of this role.
    pub(crate) fn authorization(&self, role: &str) -> Result<String> {
        let tokens = self.tokens.as_array().context("the demo listed no tokens")?;
        let token = tokens
            .iter()
            .find(|token| token.get("role").and_then(Value::as_str) == Some(role))
            .and_then(|token| token.get("token"))
            .and_then(Value::as_str)
            .with_context(|| format!("the demo made no token of role {role}"))?;
        Ok(format!("authorization: Bearer {token}"))
    }
}

/// Which database.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// A file in the data directory.
    Sqlite,
    /// This PostgreSQL.
    Postgres(String),
}

/// Whether TLS ends at the gateway.
#[derive(Clone, Debug)]
pub(crate) enum TlsMode {
    Off,
    /// With this certificate and key.
    Files(PathBuf, PathBuf),
}

/// A gateway that can be started, again and again, on one database.
pub(crate) struct Gateway {
    binary: PathBuf,
    directory: tempfile::TempDir,
    database: Database,
    upstream: u16,
    pub(crate) seeded: Seeded,
}

impl Gateway {
    /// Fills a new database.
    pub(crate) fn seed(binary: &Path, database: Database, upstream: u16) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("rgw-bench-").tempdir()?;
        let mut command = Command::new(binary);
        command
            .args(["demo", "--json", "--port", "0", "--admin-port", "0", "--data-dir"])
            .arg(directory.path())
            .args(["--rack-url", &format!("http://127.0.0.1:{upstream}")])
            .env("RACK_TOKEN", RACK_TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Database::Postgres(url) = &database {
            command.args(["--database-url", url]);
        }
        let mut demo = command.spawn().context("the gateway cannot be started; scripts/bench builds it")?;
        let mut line = String::new();
        BufReader::new(demo.stdout.take().context("the demo says nothing")?).read_line(&mut line)?;
        let told: Value = serde_json::from_str(&line).context("the demo did not say what it made")?;
        Command::new("kill").arg(demo.id().to_string()).status()?;
        let ended = demo.wait()?;
        if !ended.success() {
            bail!("the demo that fills the database ended with {ended}");
        }
        let tokens = told.get("api_tokens").cloned().context("the demo listed no tokens")?;
        let gateway =
            Self { binary: binary.to_owned(), directory, database, upstream, seeded: Seeded { tokens } };
        gateway.configure()?;
        Ok(gateway)
    }

    /// The program.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its data directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn configure(&self) -> Result<()> {
        let upstream = self.upstream;
        let text = format!(
            "[[service]]
name = \"echo\"
prefix = \"/echo\"
upstreams = [{{ url = \"http://127.0.0.1:{upstream}\" }}]
role = \"viewer\"
websocket = true
identity = \"none\"

[[service]]
name = \"signed\"
prefix = \"/signed\"
upstreams = [{{ url = \"http://127.0.0.1:{upstream}\" }}]
role = \"viewer\"
identity = \"token\"
"
        );
        fs::write(self.directory.path().join("gateway.toml"), text)?;
        Ok(())
    }

    /// Starts `serve`, and says how long it took until it listened.
    pub(crate) fn serve(&self, name: &str, tls: &TlsMode) -> Result<(Party, Duration)> {
        let (port, admin_port) = (free_port()?, free_port()?);
        let mut command = Command::new(&self.binary);
        command
            .args(["--config"])
            .arg(self.directory.path().join("gateway.toml"))
            .args(["serve", "--port", &port.to_string(), "--admin-port", &admin_port.to_string()])
            .arg("--data-dir")
            .arg(self.directory.path())
            .env("LISTENER_ADDRESSES", "127.0.0.1")
            .env("RACK_HOST", format!("http://127.0.0.1:{}", self.upstream))
            .env("RACK_TOKEN", RACK_TOKEN)
            .envs(LIMITS);
        if let Database::Postgres(url) = &self.database {
            command.env("DATABASE_URL", url);
        }
        match tls {
            TlsMode::Off => command.env("LISTENER_TLS", "off"),
            TlsMode::Files(certificate, key) => command
                .env("LISTENER_TLS", "files")
                .env("DOMAIN", "localhost")
                .env("TLS_CERTIFICATE_FILES", certificate)
                .env("TLS_KEY_FILES", key),
        };
        let policies = self.directory.path().join("policies");
        if policies.exists() {
            command.env("POLICY_DIR", policies);
        }
        let begun = Instant::now();
        let party = Party::start(name, port, &mut command, None)?;
        Ok((party, begun.elapsed()))
    }
}
