//! Restarts that nobody notices: draining, handing the listener over, a supervisor's listener, and a start while the
//! database is away. The gateways are processes of their own; the rack is in this one and survives them.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gateway_app::log;
use gateway_framing::websocket::Opcode;
use gateway_sim::{SimOptions, SimRack};
use gateway_store::{Access, EventFilter, NewToken, NewUser, Store, StoreOptions};
use gateway_testkit::{Database, RawClient, Reply, Socket, eventually};
use gateway_types::{Grant, OsEntropy, Role, RoleSet, Secret, SystemClock};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

const KEY: &str = "a test key of at least thirty-two characters";
const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
const RESTART: &str = "/apps/other/services/web/restart";

/// Clients that load the gateway at once; every other one changes something.
const CLIENTS: usize = 4;

/// Everything that outlives a gateway.
struct Site {
    rack: SimRack,
    url: String,
    directory: TempDir,
    token: String,
}

/// A gateway in a process of its own.
struct Gateway {
    child: Child,
    input: Option<ChildStdin>,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Site {
    async fn new(database: Database) -> Self {
        let directory = TempDir::new().unwrap();
        let rack = SimRack::start(SimOptions::for_tests()).await.unwrap();
        let url = database.fresh(directory.path());
        let mut site = Self { rack, url, directory, token: String::new() };
        let store = site.store().await;
        let email = "admin@example.com".to_owned();
        let admin = NewUser { name: email.clone(), email, roles: RoleSet::of(Role::Admin) };
        let admin = store.users().create(admin).await.unwrap();
        let new = NewToken {
            name: "load".to_owned(),
            roles: RoleSet::of(Role::Admin),
            grants: vec![Grant::everything()],
            creator: admin.id,
            expires: None,
            networks: Vec::new(),
        };
        site.token = store.tokens().create(new).await.unwrap().1.expose().clone();
        store.close().await;
        site
    }

    /// The store, as a command on the same machine opens it.
    async fn store(&self) -> Arc<Store> {
        let options = StoreOptions {
            url: self.url.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            max_connections: 2,
            access: Access::Tool,
            app_secret_key: Some(Secret::new(KEY.to_owned())),
        };
        Store::open(options).await.unwrap()
    }

    /// The program's command, with these ports.
    fn command(&self, program: &str, ports: (u16, u16)) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("RACK_HOST", self.rack.url())
            .env("RACK_TOKEN", self.rack.password())
            .env("DATABASE_URL", &self.url)
            .env("DATA_DIR", self.directory.path())
            .env("LISTENER_ADDRESSES", "127.0.0.1")
            .env("PORT", ports.0.to_string())
            .env("ADMIN_PORT", ports.1.to_string())
            .env("DRAIN_NOTICE", "1s")
            .env("APP_SECRET_KEY", KEY)
            .env("RGW_SETTING_RATE_LIMITS", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(self.log())
            .kill_on_drop(true);
        command
    }

    fn log(&self) -> File {
        File::options().append(true).create(true).open(self.directory.path().join("log")).unwrap()
    }

    /// Waits until the process says where it listens.
    async fn up(&self, mut child: Child) -> Gateway {
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        timeout(Duration::from_secs(60), output.read_line(&mut line))
            .await
            .expect("a start in time")
            .unwrap();
        let said = || std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        let places: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}: {}", said()));
        let place = |value: &serde_json::Value| value.as_str().unwrap().parse().unwrap();
        Gateway {
            input: child.stdin.take(),
            addr: place(&places["addresses"][0]),
            admin: place(&places["admin_address"]),
            child,
        }
    }

    async fn start(&self) -> Gateway {
        let child = self.command(env!("CARGO_BIN_EXE_serve_once"), (0, 0)).spawn().unwrap();
        self.up(child).await
    }

    /// Another process in the place of `first`.
    async fn take_over(&self, first: &Gateway) -> Gateway {
        let ports = (first.addr.port(), first.admin.port());
        let mut command = self.command(env!("CARGO_BIN_EXE_serve_once"), ports);
        self.up(command.arg("--take-over").spawn().unwrap()).await
    }

    /// The whole log verifies; how often the operation with this action was carried out by it.
    async fn recorded(&self, action: &str, phase: &str) -> usize {
        let store = self.store().await;
        log::verify(&store, |_, _| {}).await.unwrap_or_else(|error| panic!("{error}"));
        let (mut count, mut cursor) = (0, None);
        loop {
            let page = store.events().page(&EventFilter::default(), cursor.as_deref(), 1000).await.unwrap();
            let is_it = |event: &gateway_audit::Event| {
                event.action.as_str() == action && format!("{:?}", event.phase) == phase
            };
            count += page.items.iter().filter(|(_, event)| is_it(event)).count();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        store.close().await;
        count
    }
}

impl Gateway {
    async fn ended(mut self) {
        let status =
            timeout(Duration::from_secs(60), self.child.wait()).await.expect("an end in time").unwrap();
        assert!(status.success(), "{status}");
    }

    async fn stop(mut self) {
        drop(self.input.take());
        self.ended().await;
    }
}

async fn ask(addr: SocketAddr, path: &str, token: &str) -> Reply {
    RawClient::connect(addr).await.ask("GET", path, token, &[], b"").await
}

/// Asks over and over, on a connection that it keeps as long as it is told to; gives how often. A request that is not
/// answered, or not with 200, fails the test.
async fn load(addr: SocketAddr, token: String, method: &'static str, done: Arc<AtomicBool>) -> usize {
    let path = if method == "GET" { "/apps" } else { RESTART };
    let mut client = RawClient::connect(addr).await;
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        let reply = client.ask(method, path, &token, &[], b"").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        count += 1;
        if reply.header("connection") == Some("close") {
            client = RawClient::connect(addr).await;
        }
    }
    count
}

struct Load {
    clients: JoinSet<(&'static str, usize)>,
    done: Arc<AtomicBool>,
}

impl Load {
    fn start(site: &Site, addr: SocketAddr) -> Self {
        let done = Arc::<AtomicBool>::default();
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let method = if number % 2 == 0 { "GET" } else { "POST" };
            let work = load(addr, site.token.clone(), method, Arc::clone(&done));
            clients.spawn(async move { (method, work.await) });
        }
        Self { clients, done }
    }

    /// How many changes were answered with 200.
    async fn changes(mut self) -> usize {
        self.done.store(true, Ordering::Relaxed);
        let mut changes = 0;
        while let Some(client) = self.clients.join_next().await {
            let (method, count) = client.expect("every request is answered");
            assert!(count > 0);
            changes += if method == "POST" { count } else { 0 };
        }
        changes
    }
}

async fn shell(site: &Site, addr: SocketAddr) -> Socket {
    Socket::open(addr, EXEC, &site.token, &[("Command", "cat"), ("Tty", "true")]).await.unwrap()
}

async fn says(shell: &mut Socket, text: &str) {
    let seen = timeout(Duration::from_secs(30), async {
        loop {
            let frame = shell.frame().await.expect("the session goes on");
            if String::from_utf8_lossy(&frame.payload).contains(text) {
                return;
            }
        }
    });
    seen.await.unwrap_or_else(|_| panic!("{text:?} was not shown"));
}

/// How many times the rack was changed.
fn effects(site: &Site) -> usize {
    site.rack.requests().iter().filter(|request| request.method == "POST").count()
}

#[tokio::test]
async fn a_process_takes_over_on_postgresql_and_nobody_notices() {
    let site = Site::new(Database::Postgres).await;
    let first = site.start().await;
    let addr = first.addr;
    let load = Load::start(&site, addr);
    let mut session = shell(&site, addr).await;
    let second = site.take_over(&first).await;
    assert_eq!(second.addr, addr);
    // The session is the first process's until its end, and its person is told.
    says(&mut session, "another process takes over; this session ends in 10 minutes at the latest").await;
    session.send(Opcode::Text, b"still here\n").await;
    says(&mut session, "still here").await;
    let before = effects(&site);
    eventually("requests of the second process", async || (effects(&site) > before + 20).then_some(())).await;
    drop(session);
    first.ended().await;
    let changes = load.changes().await;
    assert_eq!(effects(&site), changes, "each answered change reached the rack once, and no other did");
    second.stop().await;
    assert_eq!(site.recorded("convox:service:restart", "Intent").await, changes);
    assert_eq!(site.recorded("gateway:mode:drain", "Single").await, 1);
}

#[tokio::test]
async fn a_process_takes_over_on_sqlite_and_no_request_fails() {
    let site = Site::new(Database::Sqlite).await;
    let first = site.start().await;
    let addr = first.addr;
    let load = Load::start(&site, addr);
    let mut session = shell(&site, addr).await;
    let second = site.take_over(&first).await;
    // One process has the file at a time, so the session ends, with the reason and no success.
    let frames = session.until_end().await;
    let shown: String =
        frames.iter().map(|frame| String::from_utf8_lossy(&frame.payload).into_owned()).collect();
    assert!(shown.contains("ERROR: the gateway is stopping"), "{shown}");
    first.ended().await;
    assert_eq!(ask(addr, "/apps", &site.token).await.status, 200);
    let changes = load.changes().await;
    assert_eq!(effects(&site), changes);
    second.stop().await;
    assert_eq!(site.recorded("convox:service:restart", "Intent").await, changes);
    assert_eq!(site.recorded("convox:process:exec", "Outcome").await, 1, "the session's end");
}

#[tokio::test]
async fn balancers_hear_of_a_drain_before_anything_is_refused() {
    let site = Site::new(Database::Sqlite).await;
    let first = site.start().await;
    let addr = first.addr;
    let mut kept = RawClient::connect(first.addr).await;
    let before = kept.ask("GET", "/apps", &site.token, &[], b"").await;
    assert_eq!((before.status, before.header("connection")), (200, None));
    assert_eq!(ask(first.admin, "!/readyz", "").await.status, 200);
    let _draining = gateway_server::drain(site.directory.path()).await.unwrap().expect("a gateway");
    let ready = eventually("readiness that says it", async || {
        let ready = ask(first.admin, "!/readyz", "").await;
        (ready.status == 503).then_some(ready)
    })
    .await;
    assert_eq!(ready.json()["draining"], "this instance is stopping: send nothing new here");
    assert_eq!(ask(first.addr, "!/api/v1/health", "").await.status, 503);
    // Whoever was not told yet is served, and asked to connect elsewhere the next time.
    let reply = kept.ask("GET", "/apps", &site.token, &[], b"").await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    assert_eq!(ask(first.addr, "/apps", &site.token).await.status, 200, "on a new connection too");
    first.ended().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "then nobody listens");
    assert_eq!(site.recorded("gateway:mode:drain", "Single").await, 1);
}

/// systemd opens the listener and keeps it over restarts: clients that come in between wait.
#[tokio::test]
async fn a_supervisors_listener_holds_clients_while_no_process_is_there() {
    let site = Site::new(Database::Sqlite).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let supervised = |listener: &TcpListener| {
        // The shell puts the listener where a supervisor would, as the first descriptor after the standard ones.
        let script = "exec 3>&2 2>>\"$LOG\"; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$PROGRAM\"";
        let mut command = site.command("/bin/sh", (addr.port(), 0));
        command
            .args(["-c", script])
            .env("PROGRAM", env!("CARGO_BIN_EXE_serve_once"))
            .env("LOG", site.directory.path().join("log"))
            .stderr(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
        command.spawn().unwrap()
    };
    let first = site.up(supervised(&listener)).await;
    assert_eq!(first.addr, addr);
    assert_eq!(ask(addr, "/apps", &site.token).await.status, 200);
    first.stop().await;
    let token = site.token.clone();
    let between = tokio::spawn(async move { ask(addr, "/apps", &token).await.status });
    let second = site.up(supervised(&listener)).await;
    assert_eq!(between.await.unwrap(), 200, "it waited for the second process");
    second.stop().await;
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn connections_to(url: &str, allowed: bool) {
    let (server, name) = url.rsplit_once('/').unwrap();
    let statement = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {allowed}");
    gateway_testdb::sql(server, &statement).unwrap();
}

#[tokio::test]
async fn a_start_without_its_database_says_so_and_serves_once_it_is_there() {
    let site = Site::new(Database::Postgres).await;
    connections_to(&site.url, false);
    let ports = (free_port(), free_port());
    let [addr, admin] = [ports.0, ports.1].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let child = site.command(env!("CARGO_BIN_EXE_serve_once"), ports).spawn().unwrap();
    eventually("its listener", async || tokio::net::TcpStream::connect(admin).await.ok().map(drop)).await;
    assert_eq!(ask(admin, "!/healthz", "").await.status, 200, "it is alive");
    let ready = ask(admin, "!/readyz", "").await;
    assert_eq!((ready.status, ready.json()["store"]["ok"].as_bool()), (503, Some(false)));
    assert_eq!(ask(addr, "!/api/v1/health", "").await.status, 503, "balancers send elsewhere");
    let refused = ask(addr, "/apps", &site.token).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    assert_eq!(refused.header("gateway-mode"), Some("degraded"));
    assert!(refused.json()["detail"].as_str().unwrap().contains("has not reached its database"));
    let page =
        RawClient::connect(addr).await.ask("GET", "!/auth/login", "", &[("Accept", "text/html")], b"").await;
    assert!(page.text().contains("nobody can sign in"), "{}", page.text());
    connections_to(&site.url, true);
    let gateway = site.up(child).await;
    assert_eq!(ask(addr, "/apps", &site.token).await.status, 200);
    assert_eq!(ask(admin, "!/readyz", "").await.status, 200);
    gateway.stop().await;
}
