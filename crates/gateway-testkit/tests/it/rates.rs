//! How often and how much at once: rates by class, address and instance, what a client is told of them, and what
//! is open at one time.

use std::net::Ipv4Addr;
use std::time::Duration;

use gateway_testkit::{Database, RawClient, Reply, Socket, TestGateway, TestGatewayBuilder, eventually};
use gateway_types::Role;

use crate::service_kit::{Instance, get, reply, wiki};

const APP: &str = "/apps/myapp";
const RESTART: &str = "/apps/myapp/services/web/restart";
const LOGS: &str = "/apps/myapp/logs";

fn limited() -> TestGatewayBuilder {
    TestGateway::builder().env("RGW_SETTING_RATE_LIMITS", "on")
}

async fn ask(gateway: &TestGateway, method: &str, path: &str, token: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask(method, path, token, &[], b"").await
}

/// How many of so many requests are let through.
async fn passes(gateway: &TestGateway, path: &str, token: &str, tries: usize) -> usize {
    let mut client = RawClient::connect(gateway.addr()).await;
    let mut count = 0;
    for _ in 0..tries {
        let reply = client.ask("GET", path, token, &[], b"").await;
        count += usize::from(reply.status != 429);
    }
    count
}

#[tokio::test]
async fn k5_a_caller_is_told_how_its_limits_stand() {
    let gateway = limited()
        .env("REQUESTS_PER_SECOND", "2")
        .env("REQUEST_BURST", "6")
        .env("CHANGES_PER_SECOND", "1")
        .env("CHANGE_BURST", "2")
        .start()
        .await;
    let token = gateway.token(Role::Ops).to_owned();
    let reply = ask(&gateway, "GET", APP, &token).await;
    assert_eq!(reply.header("ratelimit-policy"), Some("\"requests\";q=6;w=3"));
    assert_eq!(reply.header("ratelimit"), Some("\"requests\";r=5;t=1"));
    for left in [1, 0] {
        let reply = ask(&gateway, "POST", RESTART, &token).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let policy = "\"requests\";q=6;w=3, \"change\";q=2;w=2";
        assert_eq!(reply.header("ratelimit-policy"), Some(policy));
        assert!(reply.header("ratelimit").unwrap().contains(&format!("\"change\";r={left}")), "{reply:?}");
    }
    let reply = ask(&gateway, "POST", RESTART, &token).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!((reply.header("retry-after"), reply.json()["layer"].as_str()), (Some("1"), Some("network")));
    assert_eq!(reply.json()["type"], "/problems/too-many-requests");
    assert!(reply.header("ratelimit").unwrap().contains("\"change\";r=0;t=1"), "{reply:?}");
    assert_eq!(ask(&gateway, "GET", APP, &token).await.status, 200, "reading is not changing");
    // The gateway's own API tells it too; pages do not.
    assert!(ask(&gateway, "GET", "!/api/v1/me", &token).await.header("ratelimit").is_some());
    assert!(ask(&gateway, "GET", "!/app/", "").await.header("ratelimit").is_none());
    // Retry-After is right: then it is let through, and exactly once.
    gateway.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&gateway, "POST", RESTART, &token).await.status, 200);
    assert_eq!(ask(&gateway, "POST", RESTART, &token).await.status, 429);
    let restarts = gateway.rack.requests().iter().filter(|request| request.target == RESTART).count();
    assert_eq!(restarts, 3, "what was refused did not reach the rack");
    gateway.finish().await;
    crate::corpus::count("K5", 4);
}

/// Callers of services are told too; a service that counts for itself says so itself.
#[tokio::test]
async fn k5_a_caller_of_a_service_is_told_how_its_limits_stand() {
    let instance = Instance::start(|seen| match seen.line() {
        "GET /own" => reply("200 OK", "RateLimit: \"its\";r=1;t=1\r\n", "ok"),
        _ => reply("200 OK", "", "ok"),
    })
    .await;
    let gateway = limited()
        .env("REQUESTS_PER_SECOND", "2")
        .env("REQUEST_BURST", "6")
        .file(&wiki(&[instance.url()], ""))
        .start()
        .await;
    let told = get(&gateway, "/page").await;
    assert_eq!(told.header("ratelimit-policy"), Some("\"requests\";q=6;w=3"), "{told:?}");
    assert_eq!(told.header("ratelimit"), Some("\"requests\";r=5;t=1"));
    let its = get(&gateway, "/own").await;
    assert_eq!((its.header("ratelimit"), its.header("ratelimit-policy")), (Some("\"its\";r=1;t=1"), None));
    gateway.finish().await;
    crate::corpus::count("K5", 2);
}

#[tokio::test]
async fn k5_addresses_are_counted_before_credentials_and_by_what_cannot_be_spoofed() {
    let gateway =
        limited().env("ADDRESS_REQUESTS_PER_SECOND", "1").env("ADDRESS_REQUEST_BURST", "10").start().await;
    let from = Ipv4Addr::new(127, 0, 8, 1);
    let mut refused = 0;
    for n in 0..30 {
        // Another credential, another spelling of the address each time.
        let token = format!("rgw_{n:043}");
        let spoof = format!("198.51.100.{n}");
        let headers =
            [("X-Forwarded-For", spoof.as_str()), ("X-Real-Ip", &spoof), ("Forwarded", "for=1.2.3.4")];
        let mut client = RawClient::connect_from(from, gateway.addr()).await;
        let reply = client.ask("GET", APP, &token, &headers, b"").await;
        assert!(matches!(reply.status, 401 | 429), "{}", reply.text());
        refused += usize::from(reply.status == 429);
    }
    assert_eq!(refused, 20);
    let other = Ipv4Addr::new(127, 0, 8, 2);
    let mut client = RawClient::connect_from(other, gateway.addr()).await;
    assert_eq!(client.ask("GET", APP, gateway.token(Role::Viewer), &[], b"").await.status, 200);
    gateway.finish().await;
    crate::corpus::count("K5", 30);
}

#[tokio::test]
async fn k5_an_ipv6_host_that_rotates_its_addresses_is_one() {
    let gateway = limited()
        .env("PROXY_PROTOCOL_FROM", "127.0.0.1/32")
        .env("ADDRESS_REQUESTS_PER_SECOND", "1")
        .env("ADDRESS_REQUEST_BURST", "10")
        .start()
        .await;
    let mut counts = [0, 0];
    for n in 0..40_u16 {
        // Half of them in one /64, half each in a /64 of its own.
        let network = if n % 2 == 0 { 7 } else { 100 + n };
        let source = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, n + 1);
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24".to_vec();
        header.extend(source.octets());
        header.extend([0; 16]);
        header.extend([4, 210, 1, 187]);
        let mut client = RawClient::connect(gateway.addr()).await;
        client.send(header).await;
        let status = client.ask("GET", APP, gateway.token(Role::Viewer), &[], b"").await.status;
        counts[usize::from(n % 2)] += usize::from(status == 200);
    }
    assert_eq!(counts, [10, 20]);
    gateway.finish().await;
    crate::corpus::count("K5", 40);
}

#[tokio::test]
async fn k5_signing_in_has_its_own_limit() {
    let gateway = limited().env("SIGN_INS_PER_MINUTE", "6").env("SIGN_IN_BURST", "3").start().await;
    assert_eq!(passes(&gateway, "!/auth/login", "", 10).await, 3);
    let reply = ask(&gateway, "GET", "!/auth/login", "").await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("10")), "{}", reply.text());
    assert_eq!(ask(&gateway, "GET", APP, gateway.token(Role::Viewer)).await.status, 200);
    gateway.clock.advance(Duration::from_secs(10));
    assert_eq!(passes(&gateway, "!/auth/login", "", 10).await, 1);
    gateway.finish().await;
    crate::corpus::count("K5", 1);
}

#[tokio::test]
async fn h10_sockets_of_a_caller_have_a_quota() {
    let gateway = limited().env("SOCKETS", "2").start().await;
    let token = gateway.token(Role::Viewer).to_owned();
    let open = || Socket::open(gateway.addr(), LOGS, &token, &[]);
    let (one, two) = (open().await.expect("a socket"), open().await.expect("a socket"));
    let refused = open().await.expect_err("no third");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.text());
    assert!(refused.text().contains("limits.sockets"), "{}", refused.text());
    assert_eq!(ask(&gateway, "GET", APP, &token).await.status, 200);
    drop(one);
    let three = eventually("a free place", || async { open().await.ok() }).await;
    drop((two, three));
    gateway.finish().await;
}

#[tokio::test]
async fn limits_that_are_switched_off_count_nothing() {
    let gateway =
        TestGateway::builder().env("REQUEST_BURST", "1").env("ADDRESS_REQUEST_BURST", "1").start().await;
    assert_eq!(passes(&gateway, APP, gateway.token(Role::Viewer), 20).await, 20);
    let reply = ask(&gateway, "GET", APP, gateway.token(Role::Viewer)).await;
    assert_eq!(reply.header("ratelimit"), None);
    gateway.finish().await;
}

/// What is left of a caller's burst, as one instance tells it.
async fn left(gateway: &TestGateway, token: &str) -> usize {
    let reply = ask(gateway, "GET", APP, token).await;
    let text = reply.header("ratelimit").expect("limits").to_owned();
    let (_, rest) = text.split_once("r=").expect("what is left");
    rest.split(';').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Asks now and then until no more than this is left; gives how often it asked.
async fn asks_until_left(gateway: &TestGateway, token: &str, most: impl Fn(usize) -> usize) -> usize {
    let mut turns = tokio::time::interval(Duration::from_millis(250));
    let mut told = Vec::new();
    for asked in 1..=200 {
        turns.tick().await;
        told.push(left(gateway, token).await);
        if told.last().is_some_and(|left| *left <= most(asked)) {
            return asked;
        }
    }
    panic!("what the other instance counted did not come: {told:?}");
}

/// What a service declares is one bucket over all instances, as the caller's own is.
#[tokio::test]
async fn k5_two_instances_share_what_a_service_declares() {
    let build = || {
        limited().database(Database::Postgres).file(
            "[[service]]\nname = \"wiki\"\nprefix = \"/wiki\"\nupstreams = [{ url = \"http://127.0.0.1:9\" }]\n\
             requests_per_second = 1\nrequest_burst = 100\n",
        )
    };
    let first = build().start().await;
    let second = build().share(&first).start().await;
    let token = first.token(Role::Viewer).to_owned();
    // The instance of the service does not answer; the request counts all the same.
    let answered = async |gateway: &TestGateway| ask(gateway, "GET", "!/wiki/x", &token).await.status;
    assert_eq!(answered(&second).await, 502);
    for _ in 0..60 {
        assert_eq!(answered(&first).await, 502);
    }
    let mut let_through = 0;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        match answered(&second).await {
            502 => let_through += 1,
            status => {
                assert_eq!(status, 429);
                break;
            }
        }
    }
    assert!((30..=55).contains(&let_through), "{let_through} of the 39 that were left");
    second.finish().await;
    first.finish().await;
    crate::corpus::count("K5", 1);
}

#[tokio::test]
async fn k5_two_instances_share_what_they_count() {
    let build =
        || limited().env("REQUESTS_PER_SECOND", "1").env("REQUEST_BURST", "600").database(Database::Postgres);
    let first = build().start().await;
    let second = build().share(&first).start().await;
    let token = first.token(Role::Viewer).to_owned();
    assert_eq!(left(&second, &token).await, 599);
    assert_eq!(passes(&first, APP, &token, 300).await, 300);
    // The second learns of the 300 that the first let through, up to a twentieth of the burst, beside its own
    // questions.
    let asked = asks_until_left(&second, &token, |asked| 600 - 270 - 1 - asked).await;
    let more = passes(&second, APP, &token, 600).await;
    assert!((590..=630).contains(&(1 + asked + more + 300)), "{asked} {more}");
    // And the first, which by its own count has half of the burst left, learns that nothing is.
    let asked = asks_until_left(&first, &token, |_| 0).await;
    assert!(asked < 150, "{asked}");
    assert_eq!(ask(&first, "GET", APP, &token).await.status, 429);
    second.finish().await;
    first.finish().await;
    crate::corpus::count("K5", 1);
}
