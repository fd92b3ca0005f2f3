//! A gateway in a process of its own, for what can only be seen from outside: its memory, its command
//! line, and all that it logs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use gateway_store::{Access, NewToken, NewUser, Store, StoreOptions};
use gateway_testkit::Database;
use gateway_types::{Grant, OsEntropy, Role, RoleSet, Secret, SystemClock};
use tempfile::TempDir;

const SECRET_KEY: &str = "a test key of at least thirty-two characters";

const PROGRAM: &str = env!("CARGO_BIN_EXE_serve_once");

/// The process. Dropping it ends it.
pub(crate) struct Child {
    pub(crate) addr: SocketAddr,
    pub(crate) admin_addr: SocketAddr,
    pub(crate) database_url: String,
    process: std::process::Child,
    tokens: BTreeMap<Role, String>,
    directory: TempDir,
}

impl Child {
    /// Starts one in front of a rack, with these variables besides.
    pub(crate) async fn start(database: Database, rack: (&str, &str), variables: &[(&str, &str)]) -> Self {
        Self::run(Command::new(PROGRAM), database, rack, variables).await
    }

    /// The same, with at most so many files and sockets open at one time.
    pub(crate) async fn start_with_handles(
        handles: u32,
        database: Database,
        rack: (&str, &str),
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -n \"$1\" && exec \"$2\"", "sh", &handles.to_string(), PROGRAM]);
        Self::run(command, database, rack, variables).await
    }

    async fn run(
        mut command: Command,
        database: Database,
        rack: (&str, &str),
        variables: &[(&str, &str)],
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let database_url = database.fresh(directory.path());
        command
            .env_clear()
            .env("RACK_HOST", rack.0)
            .env("RACK_TOKEN", rack.1)
            .env("RACK_NAME", "testrack")
            .env("DATABASE_URL", &database_url)
            .env("DATA_DIR", directory.path())
            .env("LISTENER_ADDRESSES", "127.0.0.1")
            .env("PORT", "0")
            .env("ADMIN_PORT", "0")
            .env("APP_SECRET_KEY", SECRET_KEY)
            .envs(variables.iter().copied())
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(directory.path().join("log")).unwrap());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let places: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("{error}: {line:?}, {}", std::fs::read_to_string(directory.path().join("log")).unwrap())
        });
        let place = |value: &serde_json::Value| value.as_str().unwrap().parse::<SocketAddr>().unwrap();
        let mut child = Self {
            addr: place(&places["addresses"][0]),
            admin_addr: place(&places["admin_address"]),
            database_url,
            process,
            tokens: BTreeMap::new(),
            directory,
        };
        child.fill().await;
        child
    }

    /// The store, as a command on the same machine opens it.
    pub(crate) async fn store(&self) -> Arc<Store> {
        Store::open(StoreOptions {
            url: self.database_url.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            max_connections: 2,
            access: Access::Tool,
            app_secret_key: Some(Secret::new(SECRET_KEY.to_owned())),
        })
        .await
        .unwrap()
    }

    async fn fill(&mut self) {
        let store = self.store().await;
        let new = NewUser {
            name: "Admin".to_owned(),
            email: "admin@example.com".to_owned(),
            roles: RoleSet::of(Role::Admin),
        };
        let admin = store.users().create(new).await.unwrap();
        for role in Role::ALL {
            let new = NewToken {
                name: format!("{role} for tests"),
                roles: RoleSet::of(role),
                grants: vec![Grant { critical: true, ..Grant::everything() }],
                creator: admin.id,
                expires: None,
                networks: Vec::new(),
            };
            let token = store.tokens().create(new).await.unwrap().1.expose().clone();
            self.tokens.insert(role, token);
        }
        store.close().await;
    }

    /// An API token of this role; it reaches critical actions.
    pub(crate) fn token(&self, role: Role) -> &str {
        &self.tokens[&role]
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.process.id()))
    }

    /// How many files and sockets it has open.
    pub(crate) fn handles(&self) -> usize {
        std::fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// All that it logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.directory.path().join("log")).unwrap()).into_owned()
    }

    /// What `ps` shows of it.
    pub(crate) fn command_line(&self) -> Vec<u8> {
        std::fs::read(self.proc("cmdline")).unwrap()
    }

    /// A line of `/proc/PID/status`, in bytes.
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kibibytes: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }

    /// Forgets the highest memory use so far, and gives the present one in bytes.
    pub(crate) fn begin_measuring(&self) -> u64 {
        std::fs::write(self.proc("clear_refs"), "5").unwrap();
        self.memory("VmRSS")
    }

    /// The highest memory use since [`Child::begin_measuring`], in bytes.
    pub(crate) fn highest_memory(&self) -> u64 {
        self.memory("VmHWM")
    }

    /// Stops it in order, and gives all that it logged.
    pub(crate) fn stop(mut self) -> (String, TempDir) {
        drop(self.process.stdin.take());
        let status = self.process.wait().unwrap();
        let log = self.log();
        assert!(status.success(), "{status}: {log}");
        let directory = std::mem::replace(&mut self.directory, TempDir::new().unwrap());
        (log, directory)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Already gone when it was stopped in order.
        let _already_gone = self.process.kill();
        let _no_zombie = self.process.wait();
    }
}
