//! What is measured once, or made for the cases: the database's own commit, memory, start, large tables.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Field, TlsMode};
use crate::RunArguments;
use crate::cases::{Case, Who};
use crate::load::websocket;
use crate::party::{Party, pause};
use crate::report::{Fixed, median};

/// How often something short is repeated for its median.
const REPEATS: usize = 15;

/// How many commits are timed.
const COMMITS: usize = 200;

const MEBI: f64 = 1024.0 * 1024.0;

/// A new database on a PostgreSQL server of this process.
pub(super) fn postgres() -> Result<String> {
    let base = gateway_testdb::postgres()?;
    gateway_testdb::fresh_database(base)
}

/// The machine and the commit, in one sentence each.
pub(super) fn machine(arguments: &RunArguments) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    let of = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    format!(
        "{cores} cores ({}), {:.0} GiB, Linux {}; commit {}; {} rounds of {} s, medians; driver, parties and rack share \
         the cores.",
        model.unwrap_or("unknown"),
        memory.unwrap_or_default() / 1024.0 / 1024.0,
        read("/proc/sys/kernel/osrelease").trim(),
        of("git", &["rev-parse", "--short", "HEAD"]).unwrap_or_default(),
        arguments.rounds,
        arguments.seconds,
    )
}

/// Adds tokens to the database of a gateway that does not run. They stand for nobody: their digests are random.
pub(super) fn add_tokens(directory: &Path, count: usize) -> Result<()> {
    let statement = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
         INSERT INTO api_tokens (id, digest, name, roles, grants, creator, created, expires)
         SELECT 'bench-' || n, lower(hex(randomblob(32))), 'bench ' || n, roles, grants, creator, created, expires
         FROM numbers, (SELECT * FROM api_tokens LIMIT 1);"
    );
    sqlite(&directory.join("gateway.db"), &statement)
}

/// Adds policies, each about an app of its own, as per-app rules are.
pub(super) fn add_policies(directory: &Path, count: usize) -> Result<()> {
    let policies = directory.join("policies");
    fs::create_dir_all(&policies)?;
    let mut text = String::new();
    for number in 0..count {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "@id(\"bench-{number}\") @reason(\"app {number} is frozen\")\n\
             forbid (principal, action == Action::\"convox:app:update\", resource == App::\"app-{number}\");"
        );
    }
    fs::write(policies.join("bench.cedar"), text)?;
    Ok(())
}

/// Measures memory, start and commits.
pub(super) async fn measure(field: &Field, arguments: &RunArguments) -> Result<Vec<Fixed>> {
    let gateway = field.gateways.get(&Who::Gateway).context("no gateway was seeded")?;
    let mut fixed = vec![
        Fixed {
            id: "binary",
            what: "release binary".to_owned(),
            value: fs::metadata(&arguments.binary)?.len() as f64 / 1e6,
            unit: "MB",
        },
        Fixed {
            id: "commit-sqlite",
            what: "one commit of SQLite: insert by itself, median".to_owned(),
            value: sqlite_commit_us(gateway.directory())?,
            unit: "µs",
        },
    ];
    fixed.push(Fixed {
        id: "commit-postgres",
        what: "one commit of PostgreSQL: insert by itself, mean of 200".to_owned(),
        value: postgres_commit_us(&postgres()?)?,
        unit: "µs",
    });
    fixed.extend(starts(field)?);
    fixed.extend(memory(field).await?);
    Ok(fixed)
}

/// What SQLite takes for a transaction that inserts one row, as safely as the gateway has it: by its own client, which
/// is started and reads its script within the same time, once for all of them.
fn sqlite_commit_us(directory: &Path) -> Result<f64> {
    let file = directory.join("commits.db");
    let set_up =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS commits (n);";
    sqlite(&file, set_up)?;
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let inserts = "INSERT INTO commits VALUES (1);\n".repeat(COMMITS);
        let begun = Instant::now();
        sqlite(&file, &format!("PRAGMA synchronous = FULL;\n{inserts}"))?;
        times.push(begun.elapsed().as_secs_f64() * 1e6 / COMMITS as f64);
    }
    Ok(median(times))
}

fn sqlite(file: &Path, statements: &str) -> Result<()> {
    let mut child = Command::new("sqlite3")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("sqlite3 is not installed; scripts/bench installs it")?;
    child.stdin.take().context("sqlite3 takes no input")?.write_all(statements.as_bytes())?;
    match child.wait()?.success() {
        true => Ok(()),
        false => bail!("sqlite3 refused a statement"),
    }
}

/// What PostgreSQL takes for a transaction that inserts one row, as `pgbench`-like loops in its own client tell.
fn postgres_commit_us(url: &str) -> Result<f64> {
    gateway_testdb::sql(url, "CREATE TABLE commits (n BIGINT)")?;
    // By itself: within other statements it could not commit.
    let body = "DO $$ DECLARE began timestamptz := clock_timestamp(); BEGIN FOR n IN 1..200 LOOP \
                INSERT INTO commits VALUES (n); COMMIT; END LOOP; CREATE TABLE took AS \
                SELECT extract(epoch from clock_timestamp() - began) * 1e6 / 200 AS us; END $$";
    gateway_testdb::sql(url, body)?;
    let answer = gateway_testdb::sql(url, "SELECT us FROM took")?;
    Ok(answer.trim().parse()?)
}

/// How long `serve` takes until it listens, on a database that is there.
fn starts(field: &Field) -> Result<Vec<Fixed>> {
    let gateway = field.gateways.get(&Who::Gateway).context("no gateway was seeded")?;
    let seeded = crate::party::Gateway::seed(gateway.binary(), crate::party::Database::Sqlite, 1)?;
    let mut times = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let (party, time) = seeded.serve("start", &TlsMode::Off)?;
        times.push(time.as_secs_f64() * 1e3);
        drop(party);
    }
    Ok(vec![Fixed {
        id: "start",
        what: "`serve` until it listens, existing database, median".to_owned(),
        value: median(times),
        unit: "ms",
    }])
}

/// Memory of a fresh gateway: idle, with sockets, and after them.
async fn memory(field: &Field) -> Result<Vec<Fixed>> {
    let gateway = field.gateways.get(&Who::Gateway).context("no gateway was seeded")?;
    let upstream = field.party(Who::Direct)?.port;
    let fresh = crate::party::Gateway::seed(gateway.binary(), crate::party::Database::Sqlite, upstream)?;
    let (party, _) = fresh.serve("memory", &TlsMode::Off)?;
    pause(Duration::from_millis(500));
    let case = Case { path: "/echo/socket", role: "viewer", ..Case::small() };
    let mut target = field.target(&case, Who::Gateway)?;
    target.port = party.port;
    target.headers.truncate(2);
    target.headers.push(fresh.seeded.authorization("viewer")?);
    let mut fixed = vec![note("memory-idle", "memory, idle", &party)];
    let mut sockets = Vec::new();
    for (count, id, what) in [
        (1000, "memory-1000", "memory, 1,000 idle WebSockets"),
        (9000, "memory-9000", "memory, 9,000 idle WebSockets"),
    ] {
        while sockets.len() < count {
            sockets.push(websocket::open(&target).await?);
        }
        pause(Duration::from_millis(500));
        fixed.push(note(id, what, &party));
    }
    drop(sockets);
    pause(Duration::from_secs(3));
    fixed.push(note("memory-after", "memory, after they closed", &party));
    Ok(fixed)
}

fn note(id: &'static str, what: &str, party: &Party) -> Fixed {
    Fixed { id, what: what.to_owned(), value: party.resident_bytes() as f64 / MEBI, unit: "MiB" }
}
