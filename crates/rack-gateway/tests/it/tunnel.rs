//! `rack-gateway tunnel`: the built command line carries a real PostgreSQL connection through a gateway.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use gateway_testkit::TestGateway;
use gateway_types::Role;
use serde_json::Value;
use tempfile::TempDir;

/// A gateway with a PostgreSQL behind it, and one service behind which nobody is.
async fn gateway() -> TestGateway {
    let database = gateway_testdb::postgres().unwrap();
    let place = database.rsplit('@').next().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    TestGateway::builder()
        .file(&format!(
            "[[service]]\nname = \"orders\"\nkind = \"tcp\"\nrole = \"ops\"\nupstreams = [{{ url = \"tcp://{place}\" }}]\n\
             [[service]]\nname = \"away\"\nkind = \"tcp\"\nrole = \"ops\"\nupstreams = [{{ url = \"tcp://{free}\" }}]\n"
        ))
        .start()
        .await
}

fn command(home: &TempDir, gateway: &TestGateway, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("RACK_GATEWAY_CREDENTIALS", "file")
        .env("RACK_GATEWAY_URL", format!("http://{}", gateway.addr()))
        .stdin(Stdio::null());
    if !token.is_empty() {
        command.env("RACK_GATEWAY_TOKEN", token);
    }
    command
}

/// A tunnel that runs, which ends with the test.
struct Tunnel {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Tunnel {
    fn open(home: &TempDir, gateway: &TestGateway, token: &str) -> Self {
        let mut child = command(home, gateway, token, &["tunnel", "orders", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut tunnel = Self { child, lines, address: String::new() };
        let listening = tunnel.told();
        assert_eq!((&listening["event"], &listening["service"]), (&"listening".into(), &"orders".into()));
        tunnel.address = listening["address"].as_str().unwrap().to_owned();
        assert!(tunnel.address.starts_with("127.0.0.1:"), "{listening}");
        tunnel
    }

    fn told(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// What it tells of connections that ended, up to the next such line.
    fn closed(&mut self) -> Value {
        loop {
            let told = self.told();
            if told["event"] == "closed" {
                return told;
            }
        }
    }

    fn sql(&self, statements: &str) -> Result<String, String> {
        let url = format!("postgres://test@{}/postgres", self.address);
        gateway_testdb::sql(&url, statements).map_err(|error| error.to_string())
    }

    fn signal(&self, name: &str) {
        Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_works_through_it_with_several_connections_at_once() {
    let gateway = gateway().await;
    let home = TempDir::new().unwrap();
    let session = gateway.session(Role::Ops).await;
    let mut tunnel = Tunnel::open(&home, &gateway, &session);
    assert_eq!(tunnel.sql("SELECT 6 * 7"), Ok("42".to_owned()));
    let closed = tunnel.closed();
    assert_eq!(closed["reason"], Value::Null, "{closed}");
    assert!(
        closed["sent_bytes"].as_u64() > Some(0) && closed["received_bytes"].as_u64() > Some(0),
        "{closed}"
    );

    // A megabyte and more each way, from several programs at once.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| tunnel.sql("SELECT sum(length(repeat('x', 100) || n)) FROM generate_series(1, 1000) n; SELECT length(repeat('y', 2000000)); SELECT repeat('z', 1500000)")))
            .collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    for answer in answers {
        let answer = answer.unwrap();
        assert!(answer.starts_with("102893\n2000000\nzzz") && answer.len() > 1_500_000, "{}", answer.len());
    }
    let wrong = tunnel.sql("SELECT 1 FROM nothing").unwrap_err();
    assert!(wrong.contains("\"nothing\" does not exist"), "errors of the database pass: {wrong}");

    tunnel.signal("-INT");
    assert_eq!(tunnel.child.wait().unwrap().code(), Some(0), "Ctrl-C is a clean end");
    let events = gateway.events().await;
    let outcomes: Vec<_> = events
        .iter()
        .map(|(_, event)| event)
        .filter(|event| event.action.as_str() == "service:orders:connect" && event.end.is_some())
        .collect();
    assert!(outcomes.len() >= 6, "each connection is an event: {}", outcomes.len());
    assert!(outcomes.iter().any(|event| event.bytes_out > Some(1_500_000)), "bytes are counted");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e2_a_revocation_cuts_a_session_of_psql_and_says_why() {
    let gateway = gateway().await;
    let home = TempDir::new().unwrap();
    let session = gateway.session(Role::Ops).await;
    let mut tunnel = Tunnel::open(&home, &gateway, &session);
    let address = tunnel.address.clone();
    let asking = std::thread::spawn(move || {
        gateway_testdb::sql(&format!("postgres://test@{address}/postgres"), "SELECT pg_sleep(60)")
    });
    assert_eq!(tunnel.told()["event"], "opened");
    gateway.store().sessions().revoke_all(gateway.person(Role::Ops).id).await.unwrap();
    let begun = Instant::now();
    let closed = tunnel.closed();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(closed["reason"].as_str().unwrap().contains("no longer valid"), "{closed}");
    assert!(asking.join().unwrap().is_err(), "psql sees a connection that closed");
    assert!(tunnel.sql("SELECT 1").is_err());
    let refused = tunnel.told();
    assert_eq!(refused["event"], "refused", "{refused}");
    drop(tunnel);
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_said_with_its_exit_code_before_anything_listens() {
    let gateway = gateway().await;
    let home = TempDir::new().unwrap();
    let run = |token: &str, arguments: &[&str]| {
        let output = command(&home, &gateway, token, arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        (output.status.code().unwrap(), said)
    };
    let (code, said) = run("", &["tunnel", "orders"]);
    assert_eq!(code, 3, "{said}");
    let (code, said) = run(gateway.token(Role::Viewer), &["tunnel", "orders"]);
    assert!(code == 4 && said.contains("ops"), "{code} {said}");
    let (code, said) = run(gateway.token(Role::Ops), &["tunnel", "nothing"]);
    assert!(code == 1 && said.contains("no TCP service of this name"), "{code} {said}");
    let (code, said) = run(gateway.token(Role::Ops), &["tunnel", "away"]);
    assert!(code == 5 && said.contains("`away` accepts no connection"), "{code} {said}");
    let (code, said) = run(gateway.token(Role::Ops), &["tunnel"]);
    assert_eq!(code, 2, "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, said) = run(gateway.token(Role::Ops), &["tunnel", "orders", "--local-port", &port]);
    assert!(code == 1 && said.contains(&port), "{code} {said}");
    gateway.finish().await;
}
