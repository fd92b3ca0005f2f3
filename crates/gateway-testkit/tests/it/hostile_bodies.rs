//! Group K: replies of a rack that may hold secrets and cannot be read in one way only, and floods of work. What
//! is not understood is refused, never passed on unread; and none of it is the end of the gateway.

use std::time::{Duration, Instant};

use gateway_policy::{OwnTable, PolicyEngine, PolicySource};
use gateway_testkit::stub::{StubConnection, StubRack};
use gateway_testkit::{RawClient, TestGateway};
use gateway_types::Role;

/// Stands under a labelled key of every hostile reply.
const CANARY: &str = "canary-2b7e151628aed2a6";

/// Starts a rack that answers the list of releases with these bytes, and everything else with an empty list.
async fn rack(reply: Vec<u8>) -> StubRack {
    StubRack::start(move |mut connection: StubConnection| {
        let reply = reply.clone();
        async move {
            let is_asked = connection.head.starts_with("GET /apps/myapp/releases?limit=20 ");
            let plain =
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]".to_vec();
            connection.send(if is_asked { reply } else { plain }).await;
        }
    })
    .await
}

fn reply(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The status with which the gateway answers, after looking that nothing of the canary is in its reply, and that
/// it goes on serving.
async fn told(label: &str, bytes: Vec<u8>) -> u16 {
    let rack = rack(bytes).await;
    let gateway = TestGateway::builder().env("RACK_HOST", &rack.url()).start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply =
        client.ask("GET", "/apps/myapp/releases?limit=20", gateway.token(Role::Admin), &[], b"").await;
    assert!(!reply.text().contains(CANARY), "{label}: {}", reply.text());
    let again = RawClient::connect(gateway.addr()).await.ask("GET", "!/api/v1/health", "", &[], b"").await;
    assert_eq!(again.status, 200, "{label}");
    gateway.finish().await;
    reply.status
}

fn release(env: &str) -> String {
    format!("[{{\"id\":\"R1\",\"app\":\"myapp\",\"env\":{env}}}]")
}

/// CVE-2026-48042, CVE-2025-6203.
#[tokio::test]
async fn k1_json_with_more_than_one_reading_is_refused_or_safe() {
    let env = format!("\"KEY={CANARY}\"");
    let good = release(&env);
    let deep = |depth: usize| release(&format!("{}{env}{}", "[".repeat(depth), "]".repeat(depth)));
    let keys: String = (0..100_000).map(|key| format!("\"k{key}\":1,")).collect();
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("plain", good.clone().into_bytes(), &[200]),
        ("byte order mark", [b"\xef\xbb\xbf", good.as_bytes()].concat(), &[502]),
        ("trailing data", format!("{good}[]").into_bytes(), &[502]),
        ("trailing garbage", format!("{good}x").into_bytes(), &[502]),
        ("cut", good.as_bytes()[..good.len() - 2].to_vec(), &[502]),
        ("not UTF-8", [good.as_bytes(), b"\xff"].concat(), &[502]),
        ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect(), &[502]),
        ("deep below a label", deep(100_000).into_bytes(), &[502]),
        (
            "deep beside a label",
            format!("[{{\"x\":{}1{},\"env\":{env}}}]", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(),
            &[200, 502],
        ),
        ("a hundred thousand keys", format!("[{{{keys}\"env\":{env}}}]").into_bytes(), &[200]),
        ("the label twice", format!("[{{\"env\":\"A=1\",\"env\":{env}}}]").into_bytes(), &[200, 502]),
        (
            "the label twice, the other way",
            format!("[{{\"env\":{env},\"env\":\"A=1\"}}]").into_bytes(),
            &[200, 502],
        ),
        ("an escaped label", format!("[{{\"\\u0065nv\":{env}}}]").into_bytes(), &[200, 502]),
        ("a lone surrogate", release(&format!("\"KEY=\\ud800{CANARY}\"")).into_bytes(), &[200, 502]),
        (
            "numbers out of range",
            format!("[{{\"n\":1e999,\"m\":9007199254740993,\"env\":{env}}}]").into_bytes(),
            &[200],
        ),
        ("NaN", format!("[{{\"n\":NaN,\"env\":{env}}}]").into_bytes(), &[502]),
        ("an object for a text", release(&format!("{{\"KEY\":\"{CANARY}\"}}")).into_bytes(), &[200, 502]),
        ("a list for a text", release(&format!("[{env}]")).into_bytes(), &[200, 502]),
        ("an object for a list", format!("{{\"env\":{env}}}").into_bytes(), &[200, 502]),
        ("lines of JSON", format!("{good}\n{good}\n").into_bytes(), &[502]),
    ];
    let count = cases.len();
    for (label, body, statuses) in cases {
        let status = told(label, reply("", &body)).await;
        assert!(statuses.contains(&status), "{label}: {status}");
    }
    crate::corpus::count("K1", count);
}

/// CVE-2026-48044: what is coded cannot be looked into, so it does not pass.
#[tokio::test]
async fn k2_coded_replies_of_a_labelled_route_never_pass_unread() {
    let good = release(&format!("\"KEY={CANARY}\""));
    // Stored, not compressed: the canary can be read in it.
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
    let length = u16::try_from(good.len()).unwrap();
    gzip.extend(length.to_le_bytes());
    gzip.extend((!length).to_le_bytes());
    gzip.extend(good.as_bytes());
    let codings = [
        "gzip",
        "GZIP",
        "x-gzip",
        "gzip, gzip",
        "identity, gzip",
        "br",
        "zstd",
        "deflate",
        "compress",
        "bogus",
        "gzip;q=1",
    ];
    for coding in codings {
        for body in [&gzip, &good.clone().into_bytes()] {
            let status = told(coding, reply(&format!("Content-Encoding: {coding}\r\n"), body)).await;
            assert_eq!(status, 502, "{coding}");
        }
    }
    let twice = reply("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", &gzip);
    assert_eq!(told("two fields", twice).await, 502);
    assert_eq!(told("identity", reply("Content-Encoding: identity\r\n", good.as_bytes())).await, 200);
    crate::corpus::count("K2", 2 * codings.len() + 2);
}

#[tokio::test]
async fn k3_an_environment_is_hidden_however_it_is_written() {
    let long_line = "x".repeat(100_000);
    let forms = [
        format!("KEY={CANARY}"),
        format!("key={CANARY}"),
        format!(" KEY={CANARY}"),
        format!("KEY = {CANARY}"),
        format!("export KEY={CANARY}"),
        format!("KEY='{CANARY}'"),
        format!("KEY={CANARY}\\r\\nB=1"),
        format!("A=1\\nKEY={CANARY}\\n"),
        format!("\\n\\nKEY={CANARY}"),
        format!("KEY=-----BEGIN KEY-----\\n{CANARY}\\n-----END KEY-----"),
        format!("URL=postgres://user:{CANARY}@db/name"),
        format!("A={long_line}{CANARY}"),
        CANARY.to_owned(),
        format!("={CANARY}"),
        format!("K\u{e9}Y={CANARY}"),
        format!("KEY=a\\u0000{CANARY}"),
    ];
    for form in &forms {
        let status = told(
            form.get(..form.len().min(40)).unwrap_or(form),
            reply("", release(&format!("\"{form}\"")).as_bytes()),
        )
        .await;
        assert!([200, 502].contains(&status), "{form}: {status}");
    }
    crate::corpus::count("K3", forms.len());
}

/// Ten thousand policies of other people's must not slow down a decision that they do not speak of.
#[test]
fn k6_a_decision_among_ten_thousand_policies_takes_less_than_a_millisecond() {
    use std::fmt::Write as _;
    use std::net::{IpAddr, Ipv4Addr};

    use gateway_types::{Caller, Channel, CredentialKind, Facts, Principal, Resource, RoleSet};

    let mut operations = gateway_convox::RouteTable::builtin().unwrap().operations();
    operations.extend(OwnTable::builtin().unwrap().operations());
    let mut text = String::new();
    for number in 0..10_000 {
        writeln!(
            text,
            "@id(\"other-{number}\") forbid (principal == User::\"018f0000-0000-7000-8000-{number:012}\", \
             action in Action::\"class:change\", resource);"
        )
        .unwrap();
    }
    let engine =
        PolicyEngine::new(operations, &[PolicySource { name: "many.cedar".to_owned(), text }]).unwrap();
    let operation = engine.operation("convox:app:list").unwrap().clone();
    // Another address each time, so that no verdict comes from the cache of verdicts.
    let started = Instant::now();
    for number in 0..200 {
        let caller = Caller {
            principal: Principal::User {
                id: format!("018f0000-0000-7000-9000-{number:012}").parse().unwrap(),
                email: "alice@example.com".into(),
                roles: RoleSet::of(Role::Viewer),
                session: "018f0000-0000-7000-8000-000000000001".parse().unwrap(),
                kind: CredentialKind::CliSession,
            },
            channel: Channel::RackProxy,
            source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        assert!(engine.decide(&caller, &operation, &Resource::rack(), &Facts::default()).is_allowed());
    }
    // Cedar in a debug build is some ten times slower than in a release; linear in ten thousand, it would be
    // a hundred times more.
    let each = started.elapsed() / 200;
    assert!(each < Duration::from_millis(10), "{each:?}");
    println!("K6: {each:?} for one decision in this build");
    crate::corpus::count("K6", 200);
}

/// More connections than the gateway has places: the rest waits, nothing breaks, and all are served once there is
/// room.
#[tokio::test]
async fn k7_more_connections_than_places_wait_and_nothing_breaks() {
    let gateway = TestGateway::builder().env("CONNECTIONS", "50").start().await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(RawClient::connect(gateway.addr()).await);
    }
    drop(held);
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply = tokio::time::timeout(
        Duration::from_secs(30),
        client.ask("GET", "/apps/myapp", gateway.token(Role::Viewer), &[], b""),
    )
    .await
    .expect("a reply once the others are gone");
    assert_eq!(reply.status, 200, "{}", reply.text());
    gateway.finish().await;
    crate::corpus::count("K7", 200);
}
