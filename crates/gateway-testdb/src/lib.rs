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
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail};

const WATCHDOG: &str = include_str!("watchdog.sh");
const MISSING: &str = "PostgreSQL was not found: the tests run on a real one. Use scripts/test, or install \
     postgresql so that `initdb`, `pg_ctl` and `postgres` are on PATH or in /usr/lib/postgresql/*/bin";

/// A PostgreSQL server. Dropping it stops it and removes its directory.
#[derive(Debug)]
pub struct Server {
    base: String,
    programs: PathBuf,
    directory: PathBuf,
    /// Runs the server for as long as its input, which is held here, is open.
    _watchdog: Child,
}

/// The base URL of this process's server, `postgres://test@127.0.0.1:PORT`; starts it at first use.
///
/// # Errors
/// When PostgreSQL is not installed or does not start. Tests must fail on this, not skip.
pub fn postgres() -> Result<&'static str> {
    // Never dropped: the end of the process closes the watchdog's input.
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    SERVER
        .get_or_init(|| Server::start().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map(Server::base)
        .map_err(|text| anyhow!("{text}"))
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
    let output = Command::new(programs()?.join("psql"))
        .args(["--no-psqlrc", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statements, &url])
        .stdin(Stdio::null())
        .output()
        .context("psql")?;
    if !output.status.success() {
        bail!("psql: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Server {
    /// Starts one of the test's own, which the test may restart and pause.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let directory =
            tempfile::Builder::new().prefix("rgw-pg-").tempdir().context("a temporary directory")?.keep();
        let script = directory.join("watchdog.sh");
        std::fs::write(&script, WATCHDOG).context("the watchdog")?;
        let port = free_port()?;
        let mut command = as_unprivileged(&directory)?;
        command.arg("sh").arg(&script).arg(&programs).arg(&directory).arg(port.to_string());
        // The watchdog reads its input until this process is gone.
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("the watchdog")?;
        let mut answer = String::new();
        let mut output = BufReader::new(child.stdout.take().context("the watchdog's output")?);
        output.read_line(&mut answer).context("the watchdog's answer")?;
        if answer.trim() != "ready" {
            output.read_to_string(&mut answer).context("the watchdog's answer")?;
            bail!("PostgreSQL could not be started from {}: {}", programs.display(), answer.trim());
        }
        Ok(Self { base: format!("postgres://test@127.0.0.1:{port}"), programs, directory, _watchdog: child })
    }

    /// Its base URL, `postgres://test@127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Restarts it: sessions are cut off, and for a moment nobody listens.
    ///
    /// # Errors
    /// When it does not come back; says what `pg_ctl` said.
    pub fn restart(&self) -> Result<()> {
        let output = as_unprivileged(&self.directory)?
            .arg(self.programs.join("pg_ctl"))
            .args(["-s", "-w", "-t", "60", "-m", "fast", "-D"])
            .arg(self.directory.join("data"))
            .arg("-l")
            .arg(self.directory.join("server.log"))
            .arg("restart")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()
            .context("pg_ctl")?;
        if !output.status.success() {
            bail!("PostgreSQL did not come back: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Stops all its processes where they are (SIGSTOP): connections are taken by the kernel, and nobody answers.
    ///
    /// # Errors
    /// When they cannot be found or signalled.
    pub fn pause(&self) -> Result<()> {
        // The first starts the others: once it stands, their number does.
        let first = self.first_process()?;
        signal("-STOP", &[first])?;
        signal("-STOP", &children_of(first)?)
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When its processes cannot be found or signalled.
    pub fn resume(&self) -> Result<()> {
        let first = self.first_process()?;
        signal("-CONT", &children_of(first)?)?;
        signal("-CONT", &[first])
    }

    fn first_process(&self) -> Result<u32> {
        let file = std::fs::read_to_string(self.directory.join("data/postmaster.pid"))
            .context("the server's process id")?;
        file.lines().next().unwrap_or_default().trim().parse().context("the server's process id")
    }
}

/// The processes that this one started.
fn children_of(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").context("/proc")? {
        let Ok(process) = entry.context("/proc")?.file_name().to_string_lossy().parse() else { continue };
        // One that ended meanwhile has no file any more. The name in it is in brackets and may hold anything.
        let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let after_name = status.rsplit_once(')').map_or("", |(_, rest)| rest);
        if after_name.split_whitespace().nth(1) == Some(&parent.to_string()) {
            children.push(process);
        }
    }
    Ok(children)
}

fn signal(name: &str, processes: &[u32]) -> Result<()> {
    for process in processes {
        let sent = Command::new("kill").args([name, &process.to_string()]).output().context("kill")?;
        let is_gone = !Path::new(&format!("/proc/{process}")).exists();
        if !sent.status.success() && !is_gone {
            bail!("kill {name} {process}: {}", String::from_utf8_lossy(&sent.stderr));
        }
    }
    Ok(())
}

/// The directory with `initdb`, `pg_ctl`, `postgres` and `psql`.
fn programs() -> Result<PathBuf> {
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
    installed.into_iter().chain(std::env::split_paths(&path)).find(complete).ok_or_else(|| anyhow!(MISSING))
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
