//! Sessions of the built command line whose network, or whose gateway, goes away in the middle.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_testkit::{Database, TestGateway, eventually};
use gateway_types::Role;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::exec::Person;

const PROCESS: &str = "myapp-web-7d9f8b6c5-aaaa0";
const KEY: &str = "a test key of at least thirty-two characters";

/// A network between a client and gateways, which fails when told.
#[derive(Clone)]
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    state: watch::Sender<State>,
}

#[derive(Clone)]
struct State {
    /// Where it leads; `None` while it is cut.
    to: Option<SocketAddr>,
    /// How many times what was open has been cut.
    cuts: u64,
    /// After how many bytes each new connection breaks by itself, in the order in which they come; then never.
    limits: Vec<u64>,
    /// How long each 16 KiB take on their way to the gateway.
    pause: Duration,
}

impl Cable {
    pub(crate) async fn to(address: SocketAddr) -> Self {
        // Small buffers, as far as a socket has a say in that: what lies in them has not arrived.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(128).unwrap();
        let (state, _) =
            watch::channel(State { to: Some(address), cuts: 0, limits: Vec::new(), pause: Duration::ZERO });
        let cable = Self { address: listener.local_addr().unwrap(), state };
        let state = cable.state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, state.clone()));
            }
        });
        cable
    }

    /// Cuts everything; nothing passes until it leads somewhere.
    fn cut(&self) {
        self.state.send_modify(|state| {
            state.to = None;
            state.cuts += 1;
        });
    }

    fn lead_to(&self, address: SocketAddr) {
        self.state.send_modify(|state| state.to = Some(address));
    }

    /// From now on each 16 KiB take so long.
    pub(crate) fn slow(&self, pause: Duration) {
        self.state.send_modify(|state| state.pause = pause);
    }

    /// The next connections break after so many bytes each.
    pub(crate) fn breaks_after(&self, limits: &[u64]) {
        self.state.send_modify(|state| state.limits = limits.to_vec());
    }

    /// Cuts what is open, and leads on.
    fn blink(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

async fn connection(client: TcpStream, state: watch::Sender<State>) {
    let mut changes = state.subscribe();
    let (mut to, mut cuts, mut limit, mut pause) = (None, 0, u64::MAX, Duration::ZERO);
    state.send_if_modified(|state| {
        (to, cuts, pause) = (state.to, state.cuts, state.pause);
        if !state.limits.is_empty() && to.is_some() {
            limit = state.limits.remove(0);
        }
        false
    });
    let Some(to) = to else { return };
    let Ok(gateway) = TcpStream::connect(to).await else { return };
    let ((client_read, mut client_write), (gateway_read, mut gateway_write)) =
        (client.into_split(), gateway.into_split());
    let (mut up, mut down) = (client_read.take(limit), gateway_read.take(limit));
    tokio::select! {
        _ = changes.wait_for(|state| state.cuts != cuts) => {}
        _ = paced(&mut up, &mut gateway_write, pause) => {}
        _ = copy(&mut down, &mut client_write) => {}
    }
    let _gone = client_write.shutdown().await;
}

/// Copies with this pause after each piece.
async fn paced(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    pause: Duration,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..count]).await?;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// A session in a child process, whose input is written and whose output is looked at as it goes on.
struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    shown: Arc<Mutex<Vec<u8>>>,
    told: Arc<Mutex<Vec<u8>>>,
}

impl Shell {
    fn open(person: &Person<'_>, cable: &Cable, arguments: &[&str]) -> Self {
        let mut command = person.command_at(env!("CARGO_BIN_EXE_rack-gateway"), cable.address);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let collect = |mut from: Box<dyn std::io::Read + Send>| {
            let all = Arc::<Mutex<Vec<u8>>>::default();
            let into = Arc::clone(&all);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = from.read(&mut bytes) {
                    into.lock().unwrap().extend_from_slice(&bytes[..count]);
                }
            });
            all
        };
        let shown = collect(Box::new(child.stdout.take().unwrap()));
        let told = collect(Box::new(child.stderr.take().unwrap()));
        Self { child, stdin, shown, told }
    }

    fn types(&mut self, keys: &str) {
        self.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    async fn shows(&self, text: &str) {
        self.has(&self.shown, text).await;
    }

    async fn tells(&self, text: &str) {
        self.has(&self.told, text).await;
    }

    async fn has(&self, bytes: &Arc<Mutex<Vec<u8>>>, text: &str) {
        eventually(text, || async {
            String::from_utf8_lossy(&bytes.lock().unwrap()).contains(text).then_some(())
        })
        .await;
    }

    fn text(bytes: &Arc<Mutex<Vec<u8>>>) -> String {
        String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
    }

    /// Its exit code, and all that it showed and told.
    async fn ended(mut self) -> (Option<i32>, String, String) {
        drop(self.stdin.take());
        let status = tokio::task::spawn_blocking(move || (self.child.wait().unwrap(), self.shown, self.told));
        let (status, shown, told) = status.await.unwrap();
        (status.code(), Self::text(&shown), Self::text(&told))
    }
}

/// The one session that goes on, once its client is there, or away.
async fn live(gateway: &TestGateway, is_away: bool) -> gateway_types::RecordingId {
    eventually("a live session", || async {
        let sessions = gateway.store().recordings().live().await.unwrap();
        let one = sessions.into_iter().next()?;
        (one.detached.is_some() == is_away).then_some(one.id)
    })
    .await
}

async fn none_is_live(gateway: &TestGateway) {
    eventually("no live session", || async {
        gateway.store().recordings().live().await.unwrap().is_empty().then_some(())
    })
    .await;
}

async fn has_event(gateway: &TestGateway, action: &str) {
    eventually(action, || async {
        gateway.events().await.iter().any(|(_, event)| event.action.as_str() == action).then_some(())
    })
    .await;
}

fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_once_both_ways_however_often_the_network_breaks() {
    let gateway = TestGateway::start().await;
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    let cable = Cable::to(gateway.addr()).await;
    cable
        .state
        .send_modify(|state| state.limits = vec![400_000, 150_000, 70_000, 300_000, 90_001, 500_000, 10_000]);
    let bytes = noise(2_000_000);
    let (input, address) = (bytes.clone(), cable.address);
    let mut command = ops.command_at(env!("CARGO_BIN_EXE_rack-gateway"), address);
    command.args(["exec", PROCESS, "cat"]);
    let output: Output = tokio::task::spawn_blocking(move || {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeding = std::thread::spawn(move || stdin.write_all(&input).unwrap());
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        output
    })
    .await
    .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.matches("connected again").count() >= 4, "it broke again and again: {told}");
    let end = format!("[cat: {} bytes, err=<nil>]\n", bytes.len());
    assert_eq!(output.stdout.len(), bytes.len() + end.len());
    assert!(output.stdout == [bytes.as_slice(), end.as_bytes()].concat());
    has_event(&gateway, "gateway:session:detach").await;
    has_event(&gateway, "gateway:session:resume").await;
    none_is_live(&gateway).await;
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_shell_goes_on_after_a_while_and_is_seen_and_recorded_meanwhile() {
    let gateway = TestGateway::start().await;
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    let cable = Cable::to(gateway.addr()).await;
    let mut shell = Shell::open(&ops, &cable, &["exec", PROCESS, "sh"]);
    shell.types("before\n");
    shell.shows("you said: before").await;
    let id = live(&gateway, false).await;
    cable.cut();
    shell.tells("the connection was lost; trying again for 300 s").await;
    assert_eq!(live(&gateway, true).await, id, "it is listed, and that its client is away");
    shell.types("meanwhile\n");
    cable.lead_to(gateway.addr());
    shell.tells("connected again").await;
    shell.shows("you said: meanwhile").await;
    assert_eq!(live(&gateway, false).await, id);
    // A connection that is taken over while it still looks open.
    cable.blink();
    shell.types("after\nexit 7\n");
    let (code, shown, told) = shell.ended().await;
    assert_eq!(code, Some(7), "{told}");
    assert_eq!(shown, "$ you said: before\r\n$ you said: meanwhile\r\n$ you said: after\r\n$ ");
    none_is_live(&gateway).await;
    let session = gateway.store().recordings().by_id(id).await.unwrap().unwrap();
    assert_eq!(session.ending.as_deref(), Some("exit code 7"));
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_no_longer_has_nothing_to_come_back_to() {
    let gateway = TestGateway::start().await;
    let cable = Cable::to(gateway.addr()).await;
    let ids = || async {
        let known = gateway.store().tokens().list(&Default::default()).await.unwrap().items;
        known.into_iter().map(|known| known.id).collect::<Vec<_>>()
    };
    let others = ids().await;
    let token = gateway.new_token(Role::Ops, vec![gateway_types::Grant::everything()]).await;
    let ops = Person::new(&gateway, &token);
    let mut shell = Shell::open(&ops, &cable, &["exec", PROCESS, "sh"]);
    shell.types("before\n");
    shell.shows("you said: before").await;
    cable.cut();
    live(&gateway, true).await;
    let newest = ids().await.into_iter().find(|id| !others.contains(id)).unwrap();
    gateway.store().tokens().revoke(newest).await.unwrap();
    none_is_live(&gateway).await;
    cable.lead_to(gateway.addr());
    let (code, _, told) = shell.ended().await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the session is lost"), "{told}");

    // Somebody ends it while its client is away.
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    let shell = Shell::open(&ops, &cable, &["exec", PROCESS, "sh"]);
    shell.shows("$ ").await;
    let id = live(&gateway, false).await;
    // Nobody else can have it: not with another credential, nor with a token that was made up.
    for credential in [gateway.token(Role::Admin), gateway.token(Role::Ops)] {
        let mut client = gateway_testkit::RawClient::connect(gateway.addr()).await;
        client
            .send(format!(
                "GET /api/v1/me/live/{id}/resume HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\nAuthorization: Bearer {credential}\r\n\
                 Rack-Gateway-Resume: {}\r\nRack-Gateway-Received: 0\r\n\r\n",
                gateway.addr(),
                "0".repeat(64),
            ))
            .await;
        assert_eq!(client.reply().await.unwrap().status, 404);
    }
    cable.cut();
    live(&gateway, true).await;
    let admin = Person::new(&gateway, gateway.token(Role::Admin));
    let direct = Cable::to(gateway.addr()).await;
    let ending = Shell::open(&admin, &direct, &["sessions", "end", &id.to_string(), "--reason", "over"]);
    assert_eq!(ending.ended().await.0, Some(0));
    none_is_live(&gateway).await;
    cable.lead_to(gateway.addr());
    let (code, _, told) = shell.ended().await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the session is lost"), "{told}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_come_back_is_given_up_and_nobody_waits_where_that_is_off() {
    for (setting, gives_up) in [("1s", true), ("0s", false)] {
        let gateway = TestGateway::builder().env("RGW_SETTING_SESSION_RESUME", setting).start().await;
        let ops = Person::new(&gateway, gateway.token(Role::Ops));
        let cable = Cable::to(gateway.addr()).await;
        let shell = Shell::open(&ops, &cable, &["exec", PROCESS, "sh"]);
        shell.shows("$ ").await;
        cable.cut();
        none_is_live(&gateway).await;
        let (code, _, told) = shell.ended().await;
        assert_eq!(code, Some(1), "{setting}: {told}");
        assert!(told.contains("lost"), "{told}");
        let events = gateway.events().await;
        let was_given_up = events.iter().any(|(_, event)| event.action.as_str() == "gateway:session:give_up");
        assert_eq!(was_given_up, gives_up, "{setting}");
        gateway.finish().await;
    }
}

/// A gateway in a process of its own.
struct Process(Child);

impl Process {
    async fn serve(gateway: (&str, &str, &str), data_dir: &TempDir, port: u16, take_over: bool) -> Self {
        let (database_url, rack_url, rack_password) = gateway;
        let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
        command.arg("serve").args(take_over.then_some("--take-over"));
        let child = command
            .env_clear()
            .env("RACK_HOST", rack_url)
            .env("RACK_TOKEN", rack_password)
            .env("RACK_NAME", "testrack")
            .env("DATABASE_URL", database_url)
            .env("DATA_DIR", data_dir.path())
            .env("LISTENER_ADDRESSES", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("ADMIN_PORT", "0")
            .env("APP_SECRET_KEY", KEY)
            .current_dir(data_dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(data_dir.path().join(format!("log{take_over}"))).unwrap())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

async fn listens(port: u16) -> SocketAddr {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("a gateway that listens", || async { TcpStream::connect(address).await.ok() }).await;
    address
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_in_the_old_process_when_its_client_comes_to_the_new_one() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    let parts = (gateway.database_url.as_str(), &*gateway.rack.url(), gateway.rack.password());
    let (data_dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let old = Process::serve(parts, &data_dir, port, false).await;
    let cable = Cable::to(listens(port).await).await;
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    let mut shell = Shell::open(&ops, &cable, &["exec", PROCESS, "sh"]);
    shell.types("before\n");
    shell.shows("you said: before").await;
    let new = Process::serve(parts, &data_dir, port, true).await;
    // The old process accepts no more once the new one is ready.
    shell.types("still here\n");
    shell.shows("you said: still here").await;
    eventually("a process that took over", || async {
        let log = std::fs::read_to_string(data_dir.path().join("logfalse")).unwrap();
        log.contains("the gateway stops").then_some(())
    })
    .await;
    let (old_id, new_id) = (old.0.id(), new.0.id());
    assert_ne!(old_id, new_id);
    cable.blink();
    shell.tells("connected again").await;
    shell.types("over the new one\nexit 5\n");
    let (code, shown, told) = shell.ended().await;
    assert_eq!(code, Some(5), "{told}");
    assert_eq!(shown, "$ you said: before\r\n$ you said: still here\r\n$ you said: over the new one\r\n$ ");
    drop((old, new));
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_holder_is_an_honest_error() {
    let data_dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", data_dir.path().join("gateway.db").display());
    let gateway = TestGateway::builder().env("DATABASE_URL", &url).start().await;
    let (rack, token) = (Arc::clone(&gateway.rack), gateway.token(Role::Ops).to_owned());
    gateway.finish().await;
    let port = free_port();
    let rack_url = rack.url();
    let parts = (url.as_str(), &*rack_url, rack.password());
    let mut process = Process::serve(parts, &data_dir, port, false).await;
    let cable = Cable::to(listens(port).await).await;
    let home = TestGateway::start().await;
    let ops = Person::new(&home, &token);
    let shell = Shell::open(&ops, &cable, &["exec", PROCESS, "sh"]);
    shell.shows("$ ").await;
    process.kill();
    shell.tells("the connection was lost").await;
    let again = Process::serve(parts, &data_dir, port, false).await;
    listens(port).await;
    let (code, _, told) = shell.ended().await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("is gone, and the session with it"), "{told}");
    drop(again);
    home.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_waits_for_its_second_person_survives_the_network_too() {
    let gateway = TestGateway::builder().env("RGW_SETTING_SESSION_SECOND_PERSON", "true").start().await;
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    let cable = Cable::to(gateway.addr()).await;
    let mut shell = Shell::open(&ops, &cable, &["exec", PROCESS, "sh"]);
    shell.shows("[rack-gateway] waiting for a second person").await;
    cable.blink();
    shell.tells("connected again").await;
    shell.types("typed ahead\n");
    let id = live(&gateway, false).await;
    let admin = Person::new(&gateway, gateway.token(Role::Admin));
    let direct = Cable::to(gateway.addr()).await;
    let ending = Shell::open(&admin, &direct, &["sessions", "end", &id.to_string(), "--reason", "not today"]);
    assert_eq!(ending.ended().await.0, Some(0));
    let (code, shown, told) = shell.ended().await;
    assert_eq!(code, Some(1), "{told}");
    assert!(shown.contains("ERROR: ") && shown.contains("not today"), "{shown}");
    assert!(
        !gateway.rack.requests().iter().any(|seen| seen.target.ends_with("/exec")),
        "the rack heard of nothing"
    );
    gateway.finish().await;
}
