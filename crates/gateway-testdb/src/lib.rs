//! For tests only: a throw-away PostgreSQL, started once in each test process and stopped when the
//! process ends in whatever way. Knows nothing of the gateway's schema.
//!
//! A missing PostgreSQL is an error, never a reason to skip: what was not tested on both databases
//! does not work on both.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail};

const WATCHDOG: &str = include_str!("watchdog.sh");
const MISSING: &str = "PostgreSQL was not found: the tests run on a real one. Use scripts/test, or install \
     postgresql so that `initdb`, `pg_ctl` and `postgres` are on PATH or in /usr/lib/postgresql/*/bin";

struct Server {
    base: String,
    psql: PathBuf,
}

/// The base URL of this process's server, `postgres://test@127.0.0.1:PORT`; starts it at first use.
///
/// # Errors
/// When PostgreSQL is not installed or does not start. Tests must fail on this, not skip.
pub fn postgres() -> Result<&'static str> {
    server().map(|server| server.base.as_str())
}

/// A new, empty database on the server: its URL.
///
/// # Errors
/// When the server does not do it.
pub fn fresh_database(base: &str) -> Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    sql(base, &format!("CREATE DATABASE {name}"))?;
    Ok(format!("{base}/{name}"))
}

/// Runs statements on the server's maintenance database, or on the database a URL of
/// [`fresh_database`] names: for tests that damage a database behind the store's back.
///
/// # Errors
/// When a statement fails; says what the server said.
pub fn sql(url: &str, statements: &str) -> Result<String> {
    let url = if url.matches('/').count() > 2 { url.to_owned() } else { format!("{url}/postgres") };
    let output = Command::new(&server()?.psql)
        .args(["--no-psqlrc", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statements, &url])
        .stdin(Stdio::null())
        .output()
        .context("psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn server() -> Result<&'static Server> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    SERVER
        .get_or_init(|| start().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|text| anyhow!("{text}"))
}

fn start() -> Result<Server> {
    let bin = binaries().ok_or_else(|| anyhow!(MISSING))?;
    let directory =
        tempfile::Builder::new().prefix("rgw-pg-").tempdir().context("a temporary directory")?.keep();
    let script = directory.join("watchdog.sh");
    std::fs::write(&script, WATCHDOG).context("the watchdog")?;
    let port = free_port()?;
    let mut command = as_unprivileged(&directory)?;
    command.arg("sh").arg(&script).arg(&bin).arg(&directory).arg(port.to_string());
    // The watchdog reads its input until this process is gone.
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the watchdog")?;
    let mut answer = String::new();
    let mut output = BufReader::new(child.stdout.take().context("the watchdog's output")?);
    output.read_line(&mut answer).context("the watchdog's answer")?;
    if answer.trim() != "ready" {
        output.read_to_string(&mut answer).context("the watchdog's answer")?;
        bail!("PostgreSQL could not be started from {}: {}", bin.display(), answer.trim());
    }
    // Kept open on purpose until the process ends: its end is the signal to stop.
    std::mem::forget(child);
    Ok(Server { base: format!("postgres://test@127.0.0.1:{port}"), psql: bin.join("psql") })
}

/// The directory with `initdb`, `pg_ctl`, `postgres` and `psql`.
fn binaries() -> Option<PathBuf> {
    let complete = |directory: &PathBuf| {
        ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|name| directory.join(name).exists())
    };
    let mut installed: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    installed.sort();
    installed.reverse();
    let path = search_path();
    installed.into_iter().chain(std::env::split_paths(&path)).find(complete)
}

#[expect(clippy::disallowed_methods, reason = "a test tool finds programs as a shell does")]
fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`, or else `nobody`.
fn as_unprivileged(directory: &Path) -> Result<Command> {
    if std::fs::metadata("/proc/self").context("/proc/self")?.uid() != 0 {
        return Ok(Command::new("env"));
    }
    let user = ["postgres", "nobody"]
        .into_iter()
        .find(|user| Command::new("id").arg(user).output().is_ok_and(|output| output.status.success()))
        .context(
            "running as root, and there is neither a user `postgres` nor `nobody` to run PostgreSQL as",
        )?;
    let owned = Command::new("chown").arg(user).arg(directory).status().context("chown")?;
    if !owned.success() {
        bail!("{} could not be given to {user}", directory.display());
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))
        .context("the directory's mode")?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--clear-groups", "--"].map(OsStr::new)).current_dir(directory);
    Ok(command)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .context("a free port")?
        .port())
}
