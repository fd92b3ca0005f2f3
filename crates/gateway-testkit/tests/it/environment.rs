//! Writing an environment that was read as handles: nothing is lost, whoever writes at the same time,
//! and what is rolled back is exactly what was (DESIGN 6.1). Each test does what the real client does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use gateway_sim::{Fault, Flavour};
use gateway_testkit::{Database, FakeClock, RawClient, Reply, TestGateway, eventually};
use gateway_types::{Grant, Role};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const FIRST: &str = "RSEED00001";

/// Values that no reply may show.
const SECRETS: [&str; 4] = ["s3cr3t-myapp", "s3cr3t-other", "hunter22-new", "old-pa55word"];

/// A form body of these fields.
fn form(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let spell = |byte| {
            if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        text.bytes().map(spell).collect::<String>()
    };
    fields
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

fn variables(env: &str) -> BTreeMap<String, String> {
    env.lines()
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("no variable: {line}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn text(variables: &BTreeMap<String, String>) -> String {
    variables.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

/// One run of the client: a connection and a credential.
struct Cli {
    client: RawClient,
    clock: Arc<FakeClock>,
    token: String,
}

impl Cli {
    async fn of(gateway: &TestGateway, token: &str) -> Self {
        let client = RawClient::connect(gateway.addr()).await;
        Self { client, clock: gateway.clock.clone(), token: token.to_owned() }
    }

    /// A run with the deployer's credential.
    async fn start(gateway: &TestGateway) -> Self {
        Self::of(gateway, gateway.token(Role::Deployer)).await
    }

    async fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.clock.advance(Duration::from_millis(1));
        let body = form(fields);
        let headers: &[(&str, &str)] =
            if body.is_empty() { &[] } else { &[("Content-Type", "application/x-www-form-urlencoded")] };
        let reply = self.client.ask(method, path, &self.token, headers, body.as_bytes()).await;
        let shown = reply.text();
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{method} {path} shows a secret: {shown}");
        }
        reply
    }

    async fn release(&mut self, app: &str, id: &str) -> serde_json::Value {
        let reply = self.ask("GET", &format!("/apps/{app}/releases/{id}?"), &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// `env`: the id of the newest release, and its environment as it is shown.
    async fn env(&mut self, app: &str) -> (String, BTreeMap<String, String>) {
        let reply = self.ask("GET", &format!("/apps/{app}/releases?limit=1"), &[]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let id = reply.json()[0]["id"].as_str().unwrap().to_owned();
        let release = self.release(app, &id).await;
        (id, variables(release["env"].as_str().unwrap()))
    }

    async fn create_release(&mut self, app: &str, fields: &[(&str, &str)]) -> Reply {
        self.ask("POST", &format!("/apps/{app}/releases?"), fields).await
    }

    /// The second half of `env set` and `env unset`.
    async fn write(&mut self, mut env: BTreeMap<String, String>, changes: &[(&str, Option<&str>)]) -> Reply {
        for (name, value) in changes {
            match value {
                Some(value) => env.insert((*name).to_owned(), (*value).to_owned()),
                None => env.remove(*name),
            };
        }
        self.ask("GET", "/system?", &[]).await;
        self.create_release("myapp", &[("env", &text(&env))]).await
    }

    /// `env set` and `env unset` on `myapp`.
    async fn change(&mut self, changes: &[(&str, Option<&str>)]) -> Reply {
        let (_, env) = self.env("myapp").await;
        self.write(env, changes).await
    }

    /// A change that must succeed.
    async fn set(&mut self, name: &str, value: &str) {
        let reply = self.change(&[(name, Some(value))]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// `releases rollback`, without the promote.
    async fn rollback(&mut self, release: &str) -> Reply {
        let old = self.release("myapp", release).await;
        let fields = [("build", old["build"].as_str().unwrap()), ("env", old["env"].as_str().unwrap())];
        self.create_release("myapp", &fields).await
    }
}

/// What `myapp` has at the rack.
fn held(gateway: &TestGateway) -> BTreeMap<String, String> {
    variables(&gateway.rack.state().env_of("myapp"))
}

fn seed() -> BTreeMap<String, String> {
    variables("DATABASE_PASSWORD=s3cr3t-myapp\nPLAIN=value")
}

fn seed_and(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut env = seed();
    env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    env
}

/// The requests that the rack saw, other than reads.
fn writes(gateway: &TestGateway) -> usize {
    gateway.rack.requests().iter().filter(|request| request.method != "GET").count()
}

async fn deployer(gateway: &TestGateway) -> String {
    gateway.new_token(Role::Deployer, vec![Grant::everything()]).await
}

#[tokio::test]
async fn handles_keep_the_true_values() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let mut cli = Cli::start(&gateway).await;
        let (id, shown) = cli.env("myapp").await;
        assert_eq!(id, FIRST);
        assert!(shown["DATABASE_PASSWORD"].starts_with("rgw-hidden-"), "{shown:?}");
        cli.set("API_KEY", "hunter22-new").await;
        assert_eq!(held(&gateway), seed_and(&[("API_KEY", "hunter22-new")]));
        let (_, again) = cli.env("myapp").await;
        assert_eq!(again["DATABASE_PASSWORD"], shown["DATABASE_PASSWORD"], "a handle stays the same");
        gateway.finish().await;
    }
}

/// All clients read before any of them writes, so each write but the first is based on a release that
/// is not the newest any more.
async fn twenty_at_once(gateways: &[&TestGateway], tokens: &[String]) {
    const CLIENTS: usize = 20;
    let all_have_read = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let mut cli = Cli::of(gateways[number % gateways.len()], &tokens[number % tokens.len()]).await;
        let all_have_read = all_have_read.clone();
        clients.spawn(async move {
            let (_, env) = cli.env("myapp").await;
            all_have_read.wait().await;
            let reply = cli.write(env, &[(&format!("KEY_{number}"), Some(&format!("v{number}")))]).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            // And once more, now that everybody is in another place of the sequence.
            let reply = cli.change(&[(&format!("MORE_{number}"), Some("x"))]).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let mut expected = seed();
    for number in 0..CLIENTS {
        expected.insert(format!("KEY_{number}"), format!("v{number}"));
        expected.insert(format!("MORE_{number}"), "x".to_owned());
    }
    assert_eq!(held(gateways[0]), expected);
}

#[tokio::test]
async fn twenty_clients_at_once_lose_nothing() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let mut tokens = Vec::new();
        for _ in 0..20 {
            tokens.push(deployer(&gateway).await);
        }
        twenty_at_once(&[&gateway], &tokens).await;
        gateway.finish().await;
    }
}

#[tokio::test]
async fn twenty_clients_that_share_a_credential_lose_nothing() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        twenty_at_once(&[&gateway], &[deployer(&gateway).await]).await;
        gateway.finish().await;
    }
}

#[tokio::test]
async fn two_instances_on_one_database_lose_nothing() {
    let gateway = TestGateway::builder().database(Database::Postgres).start().await;
    let second = TestGateway::builder().share(&gateway).start().await;
    let tokens = [deployer(&gateway).await, deployer(&gateway).await, deployer(&gateway).await];
    twenty_at_once(&[&gateway, &second], &tokens).await;
    second.finish().await;
    gateway.finish().await;
}

#[tokio::test]
async fn one_key_changed_in_two_ways_is_one_conflict() {
    for shared in [false, true] {
        for (mine, theirs) in [(Some("mine"), Some("theirs")), (Some("mine"), None), (None, Some("theirs"))] {
            let gateway = TestGateway::start().await;
            let first = deployer(&gateway).await;
            let second = if shared { first.clone() } else { deployer(&gateway).await };
            let (mut one, mut two) = (Cli::of(&gateway, &first).await, Cli::of(&gateway, &second).await);
            let (one_read, two_read) = (one.env("myapp").await.1, two.env("myapp").await.1);
            let reply = one.write(one_read, &[("DATABASE_PASSWORD", mine), ("ONE", Some("1"))]).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let after_one = held(&gateway);
            let reply = two.write(two_read, &[("DATABASE_PASSWORD", theirs), ("TWO", Some("2"))]).await;
            assert_eq!(reply.status, 409, "{}", reply.text());
            let problem = reply.json();
            assert_eq!(problem["type"], "/problems/conflict");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("DATABASE_PASSWORD") && !detail.contains("TWO"), "{detail}");
            assert_eq!(held(&gateway), after_one);
            // Repeated, the second one's change is based on the first one's.
            let reply = two.change(&[("DATABASE_PASSWORD", theirs), ("TWO", Some("2"))]).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let now = held(&gateway);
            assert_eq!(now.get("DATABASE_PASSWORD").map(String::as_str), theirs);
            assert_eq!((now["ONE"].as_str(), now["TWO"].as_str()), ("1", "2"));
            gateway.finish().await;
        }
    }
}

#[tokio::test]
async fn of_many_that_change_one_key_exactly_one_wins() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let all_have_read = Arc::new(Barrier::new(8));
        let mut clients = JoinSet::new();
        for number in 0..8 {
            let token = deployer(&gateway).await;
            let (mut cli, all_have_read) = (Cli::of(&gateway, &token).await, all_have_read.clone());
            clients.spawn(async move {
                let (_, env) = cli.env("myapp").await;
                all_have_read.wait().await;
                let reply = cli.write(env, &[("SAME", Some(&format!("by-{number}")))]).await;
                (number, reply)
            });
        }
        let mut won = Vec::new();
        while let Some(done) = clients.join_next().await {
            let (number, reply) = done.unwrap();
            match reply.status {
                200 => won.push(number),
                409 => assert!(reply.text().contains("SAME"), "{}", reply.text()),
                other => panic!("{other}: {}", reply.text()),
            }
        }
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(held(&gateway), seed_and(&[("SAME", &format!("by-{}", won[0]))]));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn the_same_change_made_twice_is_no_conflict() {
    let gateway = TestGateway::start().await;
    let (first, second) = (deployer(&gateway).await, deployer(&gateway).await);
    let (mut one, mut two) = (Cli::of(&gateway, &first).await, Cli::of(&gateway, &second).await);
    let (one_read, two_read) = (one.env("myapp").await.1, two.env("myapp").await.1);
    for (cli, env) in [(&mut one, one_read), (&mut two, two_read)] {
        let reply = cli.write(env, &[("SAME", Some("value")), ("PLAIN", None)]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(held(&gateway), variables("DATABASE_PASSWORD=s3cr3t-myapp\nSAME=value"));
    gateway.finish().await;
}

/// What happened between the release that is rolled back to and the roll-back.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Before {
    Nothing,
    /// The client looked at the environment when the old release was the newest.
    Viewed,
    /// The client listed one release, as `releases promote` does, and read nothing.
    Listed,
    /// The client changed the environment itself.
    Changed,
}

#[tokio::test]
async fn a_rollback_restores_exactly_the_old_values() {
    for database in Database::BOTH {
        for before in [Before::Nothing, Before::Viewed, Before::Listed, Before::Changed] {
            let gateway = TestGateway::builder().database(database).start().await;
            let mut cli = Cli::start(&gateway).await;
            match before {
                Before::Nothing => {}
                Before::Viewed => drop(cli.env("myapp").await),
                Before::Listed => drop(cli.ask("GET", "/apps/myapp/releases?limit=1", &[]).await),
                Before::Changed => cli.set("DATABASE_PASSWORD", "hunter22-new").await,
            }
            let token = deployer(&gateway).await;
            let mut other = Cli::of(&gateway, &token).await;
            other.set("DATABASE_PASSWORD", "old-pa55word").await;
            other.set("ADDED", "later").await;
            let reply = other.change(&[("PLAIN", None)]).await;
            assert_eq!(reply.status, 200);
            let reply = cli.rollback(FIRST).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert_eq!(held(&gateway), seed(), "{database:?} {before:?}");
            gateway.finish().await;
        }
    }
}

#[tokio::test]
async fn a_value_that_was_seen_before_can_be_set_again() {
    let gateway = TestGateway::start().await;
    let mut cli = Cli::start(&gateway).await;
    cli.env("myapp").await;
    cli.set("PLAIN", "other").await;
    cli.set("PLAIN", "value").await;
    assert_eq!(held(&gateway), seed());
    let reply = cli.change(&[("ADDED", Some("x"))]).await;
    assert_eq!(reply.status, 200);
    let reply = cli.change(&[("ADDED", None)]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(held(&gateway), seed());
    gateway.finish().await;
}

#[tokio::test]
async fn replace_replaces() {
    let gateway = TestGateway::start().await;
    let mut cli = Cli::start(&gateway).await;
    let reply = cli.create_release("myapp", &[("env", "X=1\nY=a b")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(held(&gateway), variables("X=1\nY=a b"));
    // After one's own change, and others' since.
    cli.set("Z", "3").await;
    let token = deployer(&gateway).await;
    Cli::of(&gateway, &token).await.set("OTHERS", "4").await;
    let reply = cli.create_release("myapp", &[("env", "X=2")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(held(&gateway), variables("X=2"));
    // An empty environment clears it; an absent one keeps it.
    let reply = cli.create_release("myapp", &[("env", "")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(gateway.rack.state().env_of("myapp"), "");
    let reply = cli.create_release("other", &[("build", "BSEED00002")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(gateway.rack.state().env_of("other"), "DATABASE_PASSWORD=s3cr3t-other\nPLAIN=value");
    gateway.finish().await;
}

#[tokio::test]
async fn a_handle_that_stands_for_nothing_here_is_refused() {
    let gateway = TestGateway::start().await;
    let mut cli = Cli::start(&gateway).await;
    let own = cli.env("myapp").await.1["DATABASE_PASSWORD"].clone();
    let foreign = cli.env("other").await.1["DATABASE_PASSWORD"].clone();
    assert_ne!(own, foreign);
    let made_up = "rgw-hidden-aaaaaaaaaaaaaaaa";
    let before = gateway.rack.state().releases("myapp").len();
    for env in [
        format!("DATABASE_PASSWORD={foreign}"),
        format!("DATABASE_PASSWORD={made_up}"),
        // Under another name: which value is which variable's is part of the secret.
        format!("COPY={own}"),
        format!("DATABASE_PASSWORD={own}x"),
        format!("DATABASE_PASSWORD=postgres://u:{own}@db/x"),
        format!("DATABASE_PASSWORD={}", &own[..own.len() - 1]),
        format!("DATABASE_PASSWORD={}", own.to_uppercase()),
        format!("DATABASE_PASSWORD={own}\n{own}=1"),
    ] {
        let reply = cli.create_release("myapp", &[("env", &env)]).await;
        assert_eq!(reply.status, 409, "{env}: {}", reply.text());
        assert_eq!(reply.json()["type"], "/problems/unknown-handle", "{env}");
    }
    assert_eq!(writes(&gateway), 0);
    assert_eq!(gateway.rack.state().releases("myapp").len(), before);
    // The lease is free, and the true handle still works.
    let reply = cli.create_release("myapp", &[("env", &format!("DATABASE_PASSWORD={own}"))]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(held(&gateway), variables("DATABASE_PASSWORD=s3cr3t-myapp"));
    gateway.finish().await;
}

#[tokio::test]
async fn handles_of_older_releases_are_found_without_a_read() {
    for flavour in [Flavour::V3, Flavour::V2] {
        let gateway = TestGateway::builder().flavour(flavour).start().await;
        let own = Cli::start(&gateway).await.env("myapp").await.1["DATABASE_PASSWORD"].clone();
        for number in 0..5 {
            gateway
                .rack
                .state()
                .insert_release("myapp", &format!("DATABASE_PASSWORD=old-pa55word\nN={number}"));
        }
        // Another credential was never served anything.
        let token = deployer(&gateway).await;
        let mut cli = Cli::of(&gateway, &token).await;
        let reply = cli.create_release("myapp", &[("env", &format!("DATABASE_PASSWORD={own}"))]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(held(&gateway), variables("DATABASE_PASSWORD=s3cr3t-myapp"), "{flavour:?}");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_v2_rack_tells_the_environment_only_in_the_release() {
    let gateway = TestGateway::builder().flavour(Flavour::V2).start().await;
    let (first, second) = (deployer(&gateway).await, deployer(&gateway).await);
    let (mut one, mut two) = (Cli::of(&gateway, &first).await, Cli::of(&gateway, &second).await);
    let (one_read, two_read) = (one.env("myapp").await.1, two.env("myapp").await.1);
    for (cli, env, name) in [(&mut one, one_read, "ONE"), (&mut two, two_read, "TWO")] {
        let reply = cli.write(env, &[(name, Some("1"))]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    assert_eq!(held(&gateway), seed_and(&[("ONE", "1"), ("TWO", "1")]));
    let reply = one.rollback(FIRST).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(held(&gateway), seed());
    gateway.finish().await;
}

#[tokio::test]
async fn a_value_of_several_lines_survives_another_change() {
    let gateway = TestGateway::start().await;
    let key = "KEY=-----BEGIN KEY-----\nhunter22-new\nabcd==\n-----END KEY-----";
    gateway.rack.state().insert_release("myapp", &format!("{key}\nA=1"));
    let mut cli = Cli::start(&gateway).await;
    cli.set("A", "2").await;
    assert_eq!(gateway.rack.state().env_of("myapp"), format!("A=2\n{key}"));
    gateway.finish().await;
}

#[tokio::test]
async fn a_rack_that_fails_leaves_everything_as_it_was() {
    for database in Database::BOTH {
        let gateway = TestGateway::builder().database(database).start().await;
        let mut cli = Cli::start(&gateway).await;
        let (_, mut env) = cli.env("myapp").await;
        let token = deployer(&gateway).await;
        Cli::of(&gateway, &token).await.set("THEIRS", "1").await;
        let before = gateway.rack.state().releases("myapp").len();
        env.insert("MINE".to_owned(), "1".to_owned());
        // The newest release, then the one that was served.
        for step in ["/apps/myapp/releases", FIRST] {
            for fault in
                [Fault::Status(500), Fault::Status(401), Fault::CloseBeforeReply, Fault::CloseMidBody]
            {
                gateway.rack.fault_on(step, fault.clone());
                let reply = cli.create_release("myapp", &[("env", &text(&env))]).await;
                assert_eq!(reply.status, 502, "{step} {fault:?}: {}", reply.text());
                assert_eq!(gateway.rack.state().releases("myapp").len(), before, "{step} {fault:?}");
            }
        }
        // The write itself: the rack refuses it, or is gone.
        let fields = [("env", text(&env)), ("parent-release", "RNONE00000".to_owned())];
        let reply =
            cli.create_release("myapp", &fields.each_ref().map(|(name, value)| (*name, &**value))).await;
        assert_eq!(reply.status, 404, "{}", reply.text());
        let mut fresh = Cli::of(&gateway, &deployer(&gateway).await).await;
        for fault in [Fault::Status(500), Fault::CloseBeforeReply] {
            gateway.rack.fault_on("/apps/myapp/releases", fault.clone());
            let reply = fresh.create_release("myapp", &[("env", "X=1")]).await;
            assert!(reply.status >= 500, "{fault:?}: {}", reply.text());
        }
        assert_eq!(gateway.rack.state().releases("myapp").len(), before);
        // Nobody waits for a lease, and what was served is still known: repeated, the write is merged.
        let reply = cli.create_release("myapp", &[("env", &text(&env))]).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(held(&gateway), seed_and(&[("THEIRS", "1"), ("MINE", "1")]), "{database:?}");
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_holds_the_environment_only_as_long_as_the_rack_may_still_write_it() {
    let gateway = TestGateway::start().await;
    let mut cli = Cli::start(&gateway).await;
    gateway.rack.fault_on("/apps/myapp/releases", Fault::Hang);
    let body = form(&[("env", "X=1")]);
    let head = format!(
        "POST /api/v1/rack-proxy/apps/myapp/releases HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        gateway.addr(),
        cli.token,
        body.len()
    );
    let mut leaving = RawClient::connect(gateway.addr()).await;
    leaving.send(&head).await;
    eventually("the write", async || (writes(&gateway) == 1).then_some(())).await;
    drop(leaving);
    cli.set("AFTER", "1").await;
    assert_eq!(held(&gateway), seed_and(&[("AFTER", "1")]));
    gateway.finish().await;
}

#[tokio::test]
async fn parameters_of_an_app_are_put_back() {
    let gateway = TestGateway::start().await;
    let admin = gateway.token(Role::Admin).to_owned();
    let mut cli = Cli::of(&gateway, &admin).await;
    let put = |parameters: &[(&str, &str)]| form(&[("parameters", &form(parameters))]);
    let put_all = async |cli: &mut Cli, parameters: &[(&str, &str)]| {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        cli.client.ask("PUT", "/apps/myapp", &cli.token, &headers, put(parameters).as_bytes()).await
    };
    // Written by somebody else: what one wrote oneself is shown (ADR 0003).
    let mut writer = Cli::start(&gateway).await;
    let reply = put_all(&mut writer, &[("DbPassword", "hunter22-new"), ("InstanceType", "t3.small")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let shown = cli.ask("GET", "/apps/myapp", &[]).await.json()["parameters"].clone();
    assert_eq!(shown["InstanceType"], "t3.small");
    let handle = shown["DbPassword"].as_str().unwrap().to_owned();
    assert!(handle.starts_with("rgw-hidden-"), "{handle}");
    let reply = put_all(&mut cli, &[("DbPassword", &handle), ("InstanceType", "t3.large")]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let held = gateway.rack.state().parameters("myapp");
    assert_eq!((held["DbPassword"].as_str(), held["InstanceType"].as_str()), ("hunter22-new", "t3.large"));
    let before = writes(&gateway);
    for (name, value) in [("Other", handle.clone()), ("DbPassword", format!("x{handle}"))] {
        let reply = put_all(&mut cli, &[(name, &value)]).await;
        assert_eq!(reply.status, 409, "{name}: {}", reply.text());
        assert_eq!(reply.json()["type"], "/problems/unknown-handle");
    }
    assert_eq!(writes(&gateway), before);
    gateway.finish().await;
}

#[tokio::test]
async fn a_config_is_put_back() {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let gateway = TestGateway::start().await;
    let mut cli = Cli::start(&gateway).await;
    let reply = cli.ask("PUT", "/apps/myapp/configs/tls", &[("value", &base64("hunter22-new"))]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let handle =
        cli.ask("GET", "/apps/myapp/configs/tls", &[]).await.json()["value"].as_str().unwrap().to_owned();
    assert!(handle.starts_with("rgw-hidden-"), "{handle}");
    let reply = cli.ask("PUT", "/apps/myapp/configs/tls", &[("value", &base64(&handle))]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(gateway.rack.state().config("myapp", "tls").as_deref(), Some("hunter22-new"));
    let before = writes(&gateway);
    for (name, value) in [("else", handle.clone()), ("tls", format!("{handle}x"))] {
        let reply =
            cli.ask("PUT", &format!("/apps/myapp/configs/{name}"), &[("value", &base64(&value))]).await;
        assert_eq!(reply.status, 409, "{name}: {}", reply.text());
    }
    assert_eq!(writes(&gateway), before);
    gateway.finish().await;
}

#[tokio::test]
async fn parameters_of_a_rack_resource_are_put_back() {
    let gateway = TestGateway::start().await;
    let mut cli = Cli::of(&gateway, gateway.token(Role::Admin)).await;
    let shown = cli.ask("GET", "/resources/hook", &[]).await.json();
    let handle = shown["parameters"]["Url"].as_str().unwrap().to_owned();
    assert!(handle.contains("rgw-hidden-"), "{handle}");
    let reply =
        cli.ask("PUT", "/resources/hook", &[("parameters", &form(&[("Url", &handle), ("More", "1")]))]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let request = gateway.rack.requests().into_iter().rfind(|request| request.method == "PUT").unwrap();
    let body = String::from_utf8(request.body).unwrap();
    assert!(body.contains("hooks.example.test") && !body.contains("rgw-hidden"), "{body}");
    gateway.finish().await;
}

/// Command lines are scanned for the values of the environment, whatever was read of the app before.
#[tokio::test]
async fn what_was_read_before_does_not_hide_a_secret_from_the_scan() {
    for flavour in [Flavour::V3, Flavour::V2] {
        let gateway = TestGateway::builder().flavour(flavour).start().await;
        gateway.rack.state().insert_release("myapp", "DATABASE_PASSWORD=hunter22-new");
        let mut cli = Cli::start(&gateway).await;
        let headers = [("Command", "connect --password hunter22-new")];
        let path = "/apps/myapp/services/web/processes";
        let reply = cli.client.ask("POST", path, &cli.token, &headers, b"").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        cli.ask("GET", "/apps/myapp/processes", &[]).await;
        // An old release does not have the value, and a v2 rack's list has none at all.
        cli.release("myapp", FIRST).await;
        cli.ask("GET", "/apps/myapp/processes", &[]).await;
        cli.ask("GET", "/apps/myapp/releases", &[]).await;
        cli.release("myapp", FIRST).await;
        cli.ask("GET", "/apps/myapp/releases?limit=1", &[]).await;
        let reply = cli.ask("GET", "/apps/myapp/processes", &[]).await;
        assert!(reply.text().contains("connect --password rgw-hidden-"), "{}", reply.text());
        gateway.finish().await;
    }
}
