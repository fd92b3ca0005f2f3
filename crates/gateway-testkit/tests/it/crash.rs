//! `kill -9` under load: whatever the rack saw is in the log, the log verifies, and damage to it is found.
//!
//! Gateways run in processes of their own: one on SQLite, two on PostgreSQL, which are killed in turn while the other
//! goes on. The rack is in this process and survives. `RGW_TEST_SIZE=full` kills 1,000 times on each database,
//! otherwise 20 times; `RGW_TEST_SEED` repeats a run's choices.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_app::{AppError, log};
use gateway_audit::{End, Event, Phase};
use gateway_sim::{SeenRequest, SimOptions, SimRack};
use gateway_store::{Access, EventFilter, NewToken, NewUser, Store, StoreError, StoreOptions};
use gateway_testkit::raw::basic;
use gateway_testkit::{Database, eventually};
use gateway_types::{Entropy, Grant, OsEntropy, Role, RoleSet, Secret, SystemClock};
use sqlx::{AnyConnection, Connection, Row};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

const KEY: &str = "a test key of at least thirty-two characters";

/// More requests than a thousand kills leave time for.
const REMEMBERED: usize = 2_000_000;

/// Connections that load the gateway at once.
const CLIENTS: usize = 6;

#[expect(clippy::disallowed_methods, reason = "the size of a test run is no setting of the gateway")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn kills() -> usize {
    if variable("RGW_TEST_SIZE").as_deref() == Some("full") { 1000 } else { 20 }
}

/// Small, repeatable choices (xorshift64*).
struct Dice(u64);

impl Dice {
    fn seeded() -> Self {
        let fresh = || {
            let mut bytes = [0; 8];
            OsEntropy.fill(&mut bytes);
            u64::from_be_bytes(bytes)
        };
        let seed = variable("RGW_TEST_SEED").and_then(|text| text.parse().ok()).unwrap_or_else(fresh);
        println!("RGW_TEST_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

/// Everything that outlives a killed gateway.
struct Site {
    rack: SimRack,
    database: Database,
    url: String,
    directory: TempDir,
    /// A token for each client, called `load-N`.
    tokens: Vec<String>,
}

impl Site {
    async fn new(database: Database) -> Self {
        let directory = TempDir::new().unwrap();
        let rack =
            SimRack::start(SimOptions { remembers: REMEMBERED, ..SimOptions::for_tests() }).await.unwrap();
        let url = database.fresh(directory.path());
        let mut site = Self { rack, database, url, directory, tokens: Vec::new() };
        let store = site.store().await.unwrap();
        let email = "admin@example.com".to_owned();
        let admin = NewUser { name: email.clone(), email, roles: RoleSet::of(Role::Admin) };
        let admin = store.users().create(admin).await.unwrap();
        for number in 0..CLIENTS {
            let new = NewToken {
                name: format!("load-{number}"),
                roles: RoleSet::of(Role::Admin),
                grants: vec![Grant::everything()],
                creator: admin.id,
                expires: None,
                networks: Vec::new(),
            };
            site.tokens.push(store.tokens().create(new).await.unwrap().1.expose().clone());
        }
        store.close().await;
        site
    }

    /// The database as a command on the server's machine opens it.
    async fn store(&self) -> Result<Arc<Store>, StoreError> {
        Store::open(StoreOptions {
            url: self.url.clone(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            max_connections: 2,
            access: Access::Tool,
            app_secret_key: Some(Secret::new(KEY.to_owned())),
        })
        .await
    }

    /// How many gateways serve at one time.
    fn instances(&self) -> usize {
        match self.database {
            Database::Sqlite => 1,
            Database::Postgres => 2,
        }
    }

    async fn start(&self, instance: usize) -> Gateway {
        let said = self.directory.path().join("log");
        let data = self.directory.path().join(format!("data-{instance}"));
        std::fs::create_dir_all(&data).unwrap();
        let log = File::options().append(true).create(true).open(&said).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_serve_once"))
            .env_clear()
            .env("RACK_HOST", self.rack.url())
            .env("RACK_TOKEN", self.rack.password())
            .env("DATABASE_URL", &self.url)
            .env("DATA_DIR", data)
            .env("LISTENER_ADDRESSES", "127.0.0.1")
            .env("PORT", "0")
            .env("ADMIN_PORT", "0")
            .env("APP_SECRET_KEY", KEY)
            .env("RGW_SETTING_RATE_LIMITS", "off")
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        timeout(Duration::from_secs(60), output.read_line(&mut line))
            .await
            .expect("a start in time")
            .unwrap();
        let places: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("{error} in {line:?}: {}", std::fs::read_to_string(said).unwrap())
        });
        let addr = places["addresses"][0].as_str().unwrap().parse().unwrap();
        Gateway { child, addr }
    }

    /// Waits until the database has noticed that a process is gone, and so many are left. On SQLite the file's lock
    /// went with it.
    async fn noticed(&self, left: usize) {
        if self.database == Database::Postgres {
            eventually("the end of the killed run's session", async || {
                let held = "SELECT count(*) FROM runs JOIN pg_locks \
                     ON (pg_locks.classid::bigint << 32) | pg_locks.objid::bigint = runs.lock_key \
                     WHERE locktype = 'advisory' AND granted \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
                (gateway_testdb::sql(&self.url, held).unwrap() == left.to_string()).then_some(())
            })
            .await;
        }
    }

    async fn database(&self) -> AnyConnection {
        sqlx::any::install_default_drivers();
        AnyConnection::connect(&self.url).await.unwrap()
    }
}

/// A gateway in a process of its own.
struct Gateway {
    child: Child,
    addr: SocketAddr,
}

impl Gateway {
    /// `kill -9`.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    async fn stop(mut self) {
        drop(self.child.stdin.take());
        let status =
            timeout(Duration::from_secs(60), self.child.wait()).await.expect("an end in time").unwrap();
        assert!(status.success(), "{status}");
    }
}

/// One client's requests of one round.
struct Client {
    addr: SocketAddr,
    token: String,
    /// Tells its requests from all others.
    name: String,
    answered: Arc<AtomicU64>,
    sent: u64,
}

impl Client {
    /// Sends a request on a connection of its own, and reads until `enough` or the end. `None` when the
    /// gateway went away, as it will.
    async fn exchange(&self, request: String, enough: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(self.addr).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut reply = Vec::new();
        let holds =
            |reply: &[u8]| !enough.is_empty() && reply.windows(enough.len()).any(|part| part == enough);
        while !holds(&reply) {
            if stream.read_buf(&mut reply).await.ok()? == 0 {
                break;
            }
        }
        let answered = reply.starts_with(b"HTTP/1.1 200") || reply.starts_with(b"HTTP/1.1 101");
        assert!(
            answered || reply.len() < 12 || reply.starts_with(b"HTTP/1.1 503"),
            "{}",
            String::from_utf8_lossy(&reply)
        );
        self.answered.fetch_add(u64::from(answered), Ordering::Relaxed);
        answered.then_some(reply)
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<serde_json::Value> {
        let request = format!(
            "{method} /api/v1/rack-proxy{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\n\
             Connection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.addr,
            basic(&self.token),
            body.len()
        );
        let reply = self.exchange(request, b"").await?;
        let start = reply.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
        Some(serde_json::from_slice(&reply[start..]).unwrap_or_default())
    }

    /// `env set`, with a description that tells it from all others.
    async fn set(&self, unique: &str) -> Option<()> {
        let list = self.ask("GET", "/apps/myapp/releases?limit=1", "", "").await?;
        let release =
            self.ask("GET", &format!("/apps/myapp/releases/{}", list[0]["id"].as_str()?), "", "").await?;
        let env = release["env"].as_str()?.replace('\n', "%0A").replace('=', "%3D");
        let body = format!("env={env}%0A{}_ENABLED%3D1&description={unique}", unique.replace('-', "_"));
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.ask("POST", "/apps/myapp/releases", form, &body).await.map(drop)
    }

    async fn exec(&self, unique: &str) -> Option<()> {
        let request = format!(
            "GET /api/v1/rack-proxy/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec HTTP/1.1\r\nHost: {0}\r\n\
             Authorization: {1}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://{0}\r\n\
             Sec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\nSec-WebSocket-Version: 13\r\nCommand: echo {unique}\r\n\r\n",
            self.addr,
            basic(&self.token),
        );
        self.exchange(request, b":0\n").await.map(drop)
    }

    /// Requests of all kinds, one after the other, until the gateway is gone.
    async fn load(mut self) {
        loop {
            self.sent += 1;
            let unique = format!("{}-{}", self.name, self.sent);
            let command = format!("Command: echo {unique}\r\n");
            let done = match self.sent % 5 {
                0 => self.ask("GET", "/apps", "", "").await.map(drop),
                1 => self.set(&unique).await,
                2 => self.exec(&unique).await,
                3 => self.ask("POST", "/apps/other/services/web/restart", "", "").await.map(drop),
                _ => self.ask("POST", "/apps/other/services/web/processes", &command, "").await.map(drop),
            };
            if done.is_none() && TcpStream::connect(self.addr).await.is_err() {
                return;
            }
        }
    }
}

/// What a request that changes or executes is known by: its operation, who sent it, and what only it has.
type Mark = (&'static str, String, String);

/// Rack and log name a token in two ways; this is what both have.
fn client_of(actor: &str) -> String {
    actor.split(&[':', ' ', ')']).find(|word| word.starts_with("load-")).unwrap().to_owned()
}

fn mark_of_seen(seen: &SeenRequest) -> Option<Mark> {
    let command = || seen.header("Command").unwrap().trim_start_matches("echo ").to_owned();
    let (action, unique) = match (seen.method.as_str(), seen.path()) {
        ("POST", "/apps/myapp/releases") => {
            let body = String::from_utf8(seen.body.clone()).unwrap();
            // A body that was cut off with the gateway told the rack nothing.
            let description = body.split('&').find_map(|field| field.strip_prefix("description="));
            ("convox:release:create", description?.to_owned())
        }
        ("GET", path) if path.ends_with("/exec") => ("convox:process:exec", command()),
        ("POST", "/apps/other/services/web/restart") => ("convox:service:restart", String::new()),
        ("POST", "/apps/other/services/web/processes") => ("convox:process:start", command()),
        ("GET", _) => return None,
        other => panic!("the load does not send {other:?}"),
    };
    Some((action, client_of(seen.actor.as_deref().unwrap()), unique))
}

fn mark_of_event(event: &Event) -> Option<Mark> {
    let parameter = |name: &str| event.parameters.get(name).cloned().unwrap_or_default();
    let command = || parameter("Command").trim_start_matches("echo ").to_owned();
    let (action, unique) = match event.action.as_str() {
        "convox:release:create" => ("convox:release:create", parameter("description")),
        "convox:process:exec" => ("convox:process:exec", command()),
        "convox:service:restart" => ("convox:service:restart", String::new()),
        "convox:process:start" => ("convox:process:start", command()),
        _ => return None,
    };
    Some((action, client_of(&event.actor.name), unique))
}

fn counted(marks: impl Iterator<Item = Mark>) -> BTreeMap<Mark, usize> {
    let mut counts = BTreeMap::new();
    marks.for_each(|mark| *counts.entry(mark).or_default() += 1);
    counts
}

async fn events(store: &Store) -> Vec<Event> {
    let (mut events, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.events().page(&EventFilter::default(), cursor.as_deref(), 1000).await.unwrap();
        events.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    events.sort_by_key(|(index, _)| *index);
    events.into_iter().map(|(_, event)| event).collect()
}

/// A gateway and the clients that load it until it is gone.
struct Loaded {
    gateway: Gateway,
    answered: Arc<AtomicU64>,
    clients: JoinSet<()>,
}

impl Loaded {
    /// Starts it as this instance; its share of the tokens is used on it.
    async fn start(site: &Site, instance: usize, round: usize) -> Self {
        let gateway = site.start(instance).await;
        let answered = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        let of_it = |(number, _): &(usize, &String)| number % site.instances() == instance;
        for (number, token) in site.tokens.iter().enumerate().filter(of_it) {
            let client = Client {
                addr: gateway.addr,
                token: token.clone(),
                name: format!("r{round}-c{number}"),
                answered: answered.clone(),
                // They begin with different kinds.
                sent: number as u64,
            };
            clients.spawn(client.load());
        }
        Self { gateway, answered, clients }
    }

    /// Waits until so many more requests are answered.
    async fn answers(&self, more: u64) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        eventually("an answer", async || (self.answered.load(Ordering::Relaxed) >= enough).then_some(()))
            .await;
    }

    async fn kill(self) {
        self.gateway.kill().await;
        ended(self.clients).await;
    }

    async fn stop(self) {
        self.gateway.stop().await;
        ended(self.clients).await;
    }
}

async fn ended(mut clients: JoinSet<()>) {
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

/// Kills one gateway after the other under load again and again; gives the head of the log somewhere on the way.
async fn kill_again_and_again(site: &Site, dice: &mut Dice) -> OldHead {
    let (mut old, mut serving) = (None, Vec::new());
    for instance in 0..site.instances() {
        serving.push(Loaded::start(site, instance, 0).await);
    }
    for round in 1..=kills() {
        // The one that serves for longest.
        let victim = serving.remove(0);
        victim.answers(5 + dice.below(60)).await;
        victim.kill().await;
        site.noticed(serving.len()).await;
        for other in &serving {
            other.answers(1).await;
        }
        if round == kills() / 2 {
            old = Some(OldHead::of(site).await);
        }
        if round < kills() {
            serving.push(Loaded::start(site, (round - 1) % site.instances(), round).await);
        }
    }
    for other in serving {
        other.stop().await;
    }
    old.unwrap()
}

async fn every_effect_has_its_intent(site: &Site, store: &Store) {
    eventually("the end of all requests", async || {
        site.rack.requests().iter().all(|request| !request.open).then_some(())
    })
    .await;
    let seen = site.rack.requests();
    assert!(seen.len() < REMEMBERED, "the rack remembers no more");
    let seen = counted(seen.iter().filter_map(mark_of_seen));
    let events = events(store).await;
    let intents =
        counted(events.iter().filter(|event| event.phase == Phase::Intent).filter_map(mark_of_event));
    for (mark, times) in &seen {
        let recorded = intents.get(mark).copied().unwrap_or_default();
        assert!(recorded >= *times, "the rack saw {mark:?} {times} times, the log has it {recorded} times");
    }
    let kinds: BTreeSet<&str> = seen.keys().map(|(action, ..)| *action).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    let ended = events.iter().filter(|event| event.phase == Phase::Outcome).count();
    println!(
        "{:?}: {} effects seen, {} intents, {} of them without an outcome",
        site.database,
        seen.values().sum::<usize>(),
        intents.values().sum::<usize>(),
        intents.values().sum::<usize>() - ended,
    );
    let starts: Vec<&Event> =
        events.iter().filter(|event| event.action.as_str() == "gateway:start").collect();
    let first = site.instances();
    assert_eq!(starts.len(), first + kills() + 1);
    for (number, start) in starts.iter().enumerate() {
        // The first follow nothing, and the last a clean stop.
        let unclean = number >= first && number < first + kills();
        assert_eq!(start.reason.is_some(), unclean, "start {number}: {:?}", start.reason);
        assert_eq!(start.end, Some(End::Completed));
    }
}

/// An older head of the log, as whoever rolls a log back would keep it.
struct OldHead {
    size: i64,
    root: Vec<u8>,
    frontier: Vec<u8>,
}

impl OldHead {
    async fn of(site: &Site) -> Self {
        let mut database = site.database().await;
        let row = sqlx::query("SELECT size, root, frontier FROM audit_head WHERE id = 1")
            .fetch_one(&mut database)
            .await
            .unwrap();
        database.close().await.unwrap();
        Self { size: row.get(0), root: row.get(1), frontier: row.get(2) }
    }
}

/// The places among which the first bad entry is, when the log does not verify.
async fn first_bad(store: &Store) -> Option<(u64, u64)> {
    match log::verify(store, |_, _| {}).await {
        Ok(_) => None,
        Err(AppError::Log(fault)) => {
            Some(fault.first_bad().unwrap_or_else(|| panic!("{fault} names no entry")))
        }
        Err(other) => panic!("{other}"),
    }
}

async fn leaf(database: &mut AnyConnection, index: i64) -> (Vec<u8>, Vec<u8>) {
    let row = sqlx::query("SELECT bytes, hash FROM audit_leaves WHERE idx = $1")
        .bind(index)
        .fetch_one(database)
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

async fn set_leaf(database: &mut AnyConnection, index: i64, (bytes, hash): (Vec<u8>, Vec<u8>)) {
    sqlx::query("UPDATE audit_leaves SET bytes = $1, hash = $2 WHERE idx = $3")
        .bind(bytes)
        .bind(hash)
        .bind(index)
        .execute(database)
        .await
        .unwrap();
}

async fn execute(database: &mut AnyConnection, statement: &'static str, index: i64) {
    sqlx::query(statement).bind(index).execute(database).await.unwrap();
}

async fn swap(database: &mut AnyConnection, one: i64, other: i64) {
    for (from, to) in [(one, -1), (other, one), (-1, other)] {
        sqlx::query("UPDATE audit_leaves SET idx = $1 WHERE idx = $2")
            .bind(to)
            .bind(from)
            .execute(&mut *database)
            .await
            .unwrap();
    }
}

/// Damages the log in every way there is, behind the store's back, and back again where it can be.
async fn damage_is_found(site: &Site, store: &Store, dice: &mut Dice, old: OldHead) {
    let database = &mut site.database().await;
    assert_eq!(first_bad(store).await, None);
    let size = i64::try_from(store.audit().head().await.unwrap().size).unwrap();
    let middle = 1 + i64::try_from(dice.below(u64::try_from(size - 5).unwrap())).unwrap();
    let place = u64::try_from(middle).unwrap();
    let (bytes, hash) = leaf(database, middle).await;
    for _ in 0..20 {
        let bit = usize::try_from(dice.below(bytes.len() as u64 * 8)).unwrap();
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        set_leaf(database, middle, (flipped.clone(), hash.clone())).await;
        assert_eq!(first_bad(store).await, Some((place, place)), "bit {bit} of the leaf");
        // With its hash made to fit, the tree's root is what tells.
        let fitting = gateway_audit::leaf_hash(&flipped).as_bytes().to_vec();
        set_leaf(database, middle, (flipped, fitting)).await;
        let (first, last) = first_bad(store).await.expect("a fault");
        assert!(first <= place && place <= last, "bit {bit} with its hash: {first}..={last}");
    }
    let mut flipped = hash.clone();
    flipped[7] ^= 1;
    set_leaf(database, middle, (bytes.clone(), flipped)).await;
    assert_eq!(first_bad(store).await, Some((place, place)), "a bit of the hash");
    set_leaf(database, middle, (bytes, hash)).await;
    assert_eq!(first_bad(store).await, None, "whole again");

    execute(database, "UPDATE audit_leaves SET idx = -1 WHERE idx = $1", middle).await;
    let (first, last) = first_bad(store).await.expect("a fault");
    assert_eq!((first, last), (place, place), "a row that is gone");
    execute(database, "UPDATE audit_leaves SET idx = $1 WHERE idx = -1", middle).await;
    swap(database, middle, middle + 1).await;
    let (first, last) = first_bad(store).await.expect("a fault");
    assert!(first <= place && place < last, "two in another order: {first}..={last}");
    swap(database, middle, middle + 1).await;
    assert_eq!(first_bad(store).await, None, "whole again");

    execute(database, "DELETE FROM audit_leaves WHERE idx >= $1", size - 3).await;
    let (first, _) = first_bad(store).await.expect("a fault");
    assert_eq!(i64::try_from(first).unwrap(), size - 3, "a tail that is gone");
    assert!(matches!(site.store().await, Err(StoreError::Corrupt { .. })), "it is not written on");

    // Leaves and head together, to a state that once was.
    execute(database, "DELETE FROM audit_leaves WHERE idx >= $1", old.size).await;
    sqlx::query("UPDATE audit_head SET size = $1, root = $2, frontier = $3 WHERE id = 1")
        .bind(old.size)
        .bind(old.root)
        .bind(old.frontier)
        .execute(&mut *database)
        .await
        .unwrap();
    let (first, _) = first_bad(store).await.expect("a fault");
    assert_eq!(i64::try_from(first).unwrap(), old.size, "a log that was rolled back");
}

async fn check(database: Database) {
    let mut dice = Dice::seeded();
    let site = Site::new(database).await;
    let old = kill_again_and_again(&site, &mut dice).await;
    site.start(0).await.stop().await;
    site.start(0).await.stop().await;
    let store = site.store().await.unwrap();
    log::verify(&store, |_, _| {}).await.unwrap();
    every_effect_has_its_intent(&site, &store).await;
    damage_is_found(&site, &store, &mut dice, old).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_sqlite() {
    check(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_postgresql() {
    check(Database::Postgres).await;
}
