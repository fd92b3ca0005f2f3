//! Everything that outlives a gateway: rack, provider, database, people, tokens; and the gateways themselves, each
//! behind a proxy that breaks connections, and with another one before its database.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command as Blocking, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gateway_sim::idp::{DevIdp, DevPerson, IdpOptions};
use gateway_sim::{SimOptions, SimRack};
use gateway_store::{Access, NewSession, NewToken, NewUser, Store, StoreOptions, User};
use gateway_testdb::Server;
use gateway_testkit::{FaultyProxy, RawClient, Reply, eventually};
use gateway_types::{
    Clock as _, CredentialKind, Grant, OsEntropy, Role, RoleSet, Secret, SystemClock, TokenId,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

const KEY: &str = "a test key of at least thirty-two characters";
const PROVIDER_SECRET: &str = "a secret of the provider and the gateway";
/// Who signs in again and again.
pub(super) const PERSON: &str = "viewer@example.com";

/// A port that nobody listens on at the moment.
pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// What the gateways have in common.
pub(super) struct Site {
    pub(super) rack: SimRack,
    pub(super) provider: DevIdp,
    /// The test's own, which it may pause; `None` on SQLite.
    pub(super) server: Option<Server>,
    url: String,
    directory: TempDir,
    admin: User,
    viewer: User,
}

impl Site {
    /// On a PostgreSQL server of its own.
    pub(super) async fn on_postgresql() -> Self {
        let server = Server::start().unwrap();
        let url = gateway_testdb::fresh_database(server.base()).unwrap();
        Self::on(Some(server), |_| url).await
    }

    /// On a file, for one gateway.
    pub(super) async fn on_sqlite() -> Self {
        Self::on(None, |directory| format!("sqlite://{}", directory.join("gateway.db").display())).await
    }

    async fn on(server: Option<Server>, url: impl FnOnce(&Path) -> String) -> Self {
        let directory = TempDir::new().unwrap();
        let url = url(directory.path());
        let rack = SimRack::start(SimOptions::for_tests()).await.unwrap();
        let people = vec![DevPerson::new(PERSON, "Viewer", &[])];
        let provider = DevIdp::start(IdpOptions::new(people, PROVIDER_SECRET)).await.unwrap();
        let file = format!(
            "[[identity.provider]]\nname = \"dev\"\nissuer = \"{}\"\nclient_id = \"rack-gateway\"\n\
             client_secret = \"{PROVIDER_SECRET}\"\n",
            provider.url()
        );
        std::fs::write(directory.path().join("rack-gateway.toml"), file).unwrap();
        let store = open(&url).await;
        let person = async |email: &str, role| {
            let new = NewUser { name: email.to_owned(), email: email.to_owned(), roles: RoleSet::of(role) };
            store.users().create(new).await.unwrap()
        };
        let admin = person("admin@example.com", Role::Admin).await;
        let viewer = person(PERSON, Role::Viewer).await;
        store.close().await;
        Self { rack, provider, server, url, directory, admin, viewer }
    }

    /// The store, as a command on the same machine opens it.
    pub(super) async fn store(&self) -> Arc<Store> {
        open(&self.url).await
    }

    /// A new token of an admin.
    pub(super) async fn token(&self, name: &str) -> (TokenId, String) {
        let new = NewToken {
            name: name.to_owned(),
            roles: RoleSet::of(Role::Admin),
            grants: vec![Grant::everything()],
            creator: self.admin.id,
            expires: None,
            networks: Vec::new(),
        };
        let store = self.store().await;
        let (token, secret) = store.tokens().create(new).await.unwrap();
        store.close().await;
        (token.id, secret.expose().clone())
    }

    /// A new session of a viewer's command line.
    pub(super) async fn session(&self) -> String {
        let new = NewSession {
            user: self.viewer.id,
            kind: CredentialKind::CliSession,
            expires: SystemClock.now().saturating_add(Duration::from_secs(24 * 3600)),
            idle_limit: Duration::from_secs(8 * 3600),
            device: "chaos".to_owned(),
            ip: None,
        };
        let store = self.store().await;
        let secret = store.sessions().create(new).await.unwrap().1.expose().clone();
        store.close().await;
        secret
    }

    /// The program with the gateway's variables, on this database.
    pub(super) fn program(&self, url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
        command
            .env_clear()
            .env("RACK_HOST", self.rack.url())
            .env("RACK_TOKEN", self.rack.password())
            .env("RACK_GATEWAY_CONFIG", self.directory.path().join("rack-gateway.toml"))
            .env("DATABASE_URL", url)
            .env("LISTENER_ADDRESSES", "127.0.0.1")
            .env("APP_SECRET_KEY", KEY)
            .env("RGW_SETTING_RATE_LIMITS", "off")
            .env("DRAIN_NOTICE", "3s")
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// What `rack-gateway audit verify` says of the log: whether it is whole, and its words.
    pub(super) async fn verified(&self) -> (bool, String) {
        let mut command = self.program(&self.url);
        let output = command.args(["audit", "verify"]).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).trim().replace('\n', "; "))
    }

    /// A gateway that serves.
    pub(super) async fn instance(&self, name: &str) -> Instance {
        let directory = self.directory.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        let (port, admin) = (free_port(), free_port());
        let database = match self.url.strip_prefix("postgres://test@") {
            Some(place) => {
                let (server, _) = place.split_once('/').unwrap();
                Some(FaultyProxy::start(server.parse().unwrap()).await)
            }
            None => None,
        };
        let mut instance = Instance {
            name: name.to_owned(),
            url: database.as_ref().map_or_else(|| self.url.clone(), |proxy| self.through(proxy)),
            addr: loopback(port),
            admin: loopback(admin),
            front: FaultyProxy::start(loopback(port)).await,
            database,
            directory,
            starts: 0,
            process: None,
            older: Vec::new(),
        };
        instance.start(self, &[]).await;
        instance
    }

    fn through(&self, proxy: &FaultyProxy) -> String {
        let (_, database) = self.url.rsplit_once('/').unwrap();
        format!("postgres://test@{}/{database}", proxy.addr())
    }
}

async fn open(url: &str) -> Arc<Store> {
    let options = StoreOptions {
        url: url.to_owned(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        max_connections: 2,
        access: Access::Tool,
        app_secret_key: Some(Secret::new(KEY.to_owned())),
    };
    Store::open(options).await.unwrap()
}

/// One gateway: a place with ports and files of its own, and the processes that serve there one after the other.
pub(super) struct Instance {
    pub(super) name: String,
    url: String,
    pub(super) addr: SocketAddr,
    pub(super) admin: SocketAddr,
    /// What the balancer talks to.
    pub(super) front: FaultyProxy,
    /// Between it and PostgreSQL.
    pub(super) database: Option<FaultyProxy>,
    directory: PathBuf,
    /// How many processes were started here; the last of them serves.
    pub(super) starts: usize,
    process: Option<Child>,
    /// Processes that handed over and keep their sessions.
    older: Vec<Child>,
}

impl Instance {
    /// Starts a process, and waits until it serves.
    pub(super) async fn start(&mut self, site: &Site, arguments: &[&str]) {
        self.starts += 1;
        let log = self.directory.join(format!("log-{}", self.starts));
        let process = site
            .program(&self.url)
            .arg("serve")
            .args(arguments)
            .env("DATA_DIR", &self.directory)
            .env("PORT", self.addr.port().to_string())
            .env("ADMIN_PORT", self.admin.port().to_string())
            .stdout(File::create(&log).unwrap())
            .stderr(File::options().append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        self.older.extend(self.process.replace(process));
        let said = || std::fs::read_to_string(&log).unwrap();
        let begun = std::time::Instant::now();
        eventually("a gateway that serves", async || {
            assert!(begun.elapsed() < Duration::from_secs(50), "{}: {}", self.name, said());
            said().contains("gateway_id").then_some(())
        })
        .await;
    }

    /// Another process takes the listener; this one keeps its sessions.
    pub(super) async fn take_over(&mut self, site: &Site) {
        self.start(site, &["--take-over"]).await;
    }

    /// `kill -9`, of the process that serves.
    pub(super) async fn kill(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }

    /// Begins to drain it, as an operator does; does not wait for its end.
    pub(super) async fn drain(&self, site: &Site) {
        let mut command = site.program(&self.url);
        command.args(["drain", "--data-dir"]).arg(&self.directory);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits for the end of all its processes, in order.
    pub(super) async fn ended(mut self) {
        for mut process in self.older.drain(..).chain(self.process.take()) {
            let status = timeout(Duration::from_secs(60), process.wait()).await.unwrap();
            assert!(status.unwrap().success(), "{}", self.name);
        }
    }

    /// Stops it as a supervisor does.
    pub(super) async fn stop(self) {
        let pid = self.pid();
        let sent = Blocking::new("kill").args(["-TERM", &pid.to_string()]).status();
        assert!(sent.unwrap().success());
        self.ended().await;
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().and_then(Child::id).unwrap()
    }

    /// The memory that the process which serves holds now, in bytes.
    pub(super) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kibibytes * 1024
    }

    /// Asks it itself, past any balancer.
    pub(super) async fn ask(&self, path: &str, token: &str) -> Reply {
        RawClient::connect(self.addr).await.ask("GET", path, token, &[], b"").await
    }
}
