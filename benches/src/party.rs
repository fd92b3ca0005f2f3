//! Who is measured: programs that are started for it on free ports, and ended afterwards.

mod gateway;
mod others;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

pub(crate) use gateway::{Database, Gateway, TlsMode};
pub(crate) use others::{caddy, hop, nginx, upstream};

/// How long a program may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running program. It is ended when this is dropped.
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) port: u16,
    child: Child,
    /// Its files.
    _directory: Option<tempfile::TempDir>,
}

impl Party {
    /// Starts the program and waits until it listens.
    pub(crate) fn start(
        name: &str,
        port: u16,
        command: &mut Command,
        directory: Option<tempfile::TempDir>,
    ) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let mut party = Self { name: name.to_owned(), port, child, _directory: directory };
        party.wait_until_it_listens()?;
        Ok(party)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let begun = Instant::now();
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start: {status}", self.name);
            }
            if begun.elapsed() > START_LIMIT {
                bail!("{} does not listen on port {}", self.name, self.port);
            }
            pause(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The processor time that it and its children took so far.
    pub(crate) fn processor_time(&self) -> Duration {
        self.processes().iter().filter_map(|id| processor_time(*id)).sum()
    }

    /// The memory that it and its children hold, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.processes().iter().filter_map(|id| resident_bytes(*id)).sum()
    }

    fn processes(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        std::iter::once(own).chain(children.split_whitespace().filter_map(|id| id.parse().ok())).collect()
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        // SIGTERM first, so that a gateway closes its log and nginx ends its workers.
        let ended = Command::new("kill").arg(self.child.id().to_string()).status();
        let begun = Instant::now();
        while ended.as_ref().is_ok_and(|status| status.success()) && begun.elapsed() < START_LIMIT {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            pause(Duration::from_millis(5));
        }
        // It is gone, or does not listen to anybody.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the thread that starts and ends programs has nothing else to do"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// User and system time, from fields 14 and 15 of `/proc/ID/stat`, in ticks of 10 ms.
fn processor_time(id: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn resident_bytes(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// A program on the path, or below `target/tools`.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools").join(name);
    if tools.exists() {
        return Ok(tools);
    }
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output()?;
    let path = String::from_utf8(found.stdout)?;
    // Debian keeps servers where only root looks.
    let candidates = [PathBuf::from(path.trim()), Path::new("/usr/sbin").join(name)];
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not installed; scripts/bench installs it"))
}
