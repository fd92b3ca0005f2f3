//! What a service's declaration and the gateway bound: how much is open at once, how often a route is asked, and how
//! large its bodies may be.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_audit::End;
use gateway_testkit::{RawClient, Reply, TestGateway, eventually};
use gateway_types::Role;
use tokio::task::JoinSet;

use crate::service_kit::{Answer, Instance, ask, get, reply, request, wiki};

const APP: &str = "/apps/myapp";

/// An instance that answers everything but `/slow`.
async fn half_asleep() -> Instance {
    Instance::start(|seen| match seen.line() {
        "GET /slow" => Answer::Hang,
        _ => reply("200 OK", "", "ok"),
    })
    .await
}

/// A request that stays open, from this address.
async fn held(gateway: &TestGateway, source: Ipv4Addr, role: Role) -> RawClient {
    let mut client = RawClient::connect_from(source, gateway.addr()).await;
    let bytes = request(gateway, "GET", "/slow", "", "");
    client.send(bytes.replace(gateway.token(Role::Admin), gateway.token(role))).await;
    client
}

async fn page_of(gateway: &TestGateway, source: Ipv4Addr, role: Role) -> Reply {
    let mut client = RawClient::connect_from(source, gateway.addr()).await;
    let bytes = request(gateway, "GET", "/page", "", "");
    client.send(bytes.replace(gateway.token(Role::Admin), gateway.token(role))).await;
    client.reply().await.expect("a reply")
}

fn is_too_many(reply: &Reply, key: &str) {
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")), "{}", reply.text());
    assert_eq!(reply.json()["layer"], "network");
    assert!(reply.text().contains(key), "{}", reply.text());
}

#[tokio::test]
async fn k5_requests_that_a_caller_has_open_at_once_are_bounded() {
    let instance = half_asleep().await;
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_RATE_LIMITS", "on")
        .env("CONCURRENT_REQUESTS", "3")
        .file(&wiki(&[instance.url()], ""))
        .start()
        .await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(held(&gateway, Ipv4Addr::LOCALHOST, Role::Admin).await);
    }
    eventually("three requests at the service", || async { (instance.seen().len() == 3).then_some(()) })
        .await;
    // At the service, at the rack and at the gateway itself: they are one caller's.
    is_too_many(&get(&gateway, "/page").await, "limits.concurrent_requests");
    for path in [APP, "!/api/v1/me"] {
        let mut client = RawClient::connect(gateway.addr()).await;
        let refused = client.ask("GET", path, gateway.token(Role::Admin), &[], b"").await;
        is_too_many(&refused, "limits.concurrent_requests");
    }
    assert_eq!((instance.seen().len(), gateway.rack.requests().len()), (3, 0), "none of them went up");
    // Nobody else waits for it.
    assert_eq!(page_of(&gateway, Ipv4Addr::LOCALHOST, Role::Ops).await.status, 200);
    // A client that leaves gives its place back at once.
    open.pop();
    eventually("a free place", || async { (get(&gateway, "/page").await.status == 200).then_some(()) }).await;
    let events = gateway.events().await;
    let refused = events.iter().filter(|(_, event)| event.status == Some(429)).map(|(_, event)| event);
    let routes: Vec<_> = refused.map(|event| (event.end, event.route.as_deref())).collect();
    assert!(routes.contains(&(Some(End::Refused), Some("SAFE wiki:/{path*}"))), "{routes:?}");
    drop(open);
    gateway.finish().await;
    crate::corpus::count("K5", 3);
}

#[tokio::test]
async fn k5_requests_that_an_address_has_open_at_once_are_bounded_whatever_its_credentials() {
    let instance = half_asleep().await;
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_RATE_LIMITS", "on")
        .env("ADDRESS_CONCURRENT_REQUESTS", "3")
        .file(&wiki(&[instance.url()], ""))
        .start()
        .await;
    let (one, other) = (Ipv4Addr::new(127, 0, 14, 1), Ipv4Addr::new(127, 0, 14, 2));
    let mut open = Vec::new();
    for role in [Role::Admin, Role::Ops, Role::Viewer] {
        open.push(held(&gateway, one, role).await);
    }
    eventually("three requests at the service", || async { (instance.seen().len() == 3).then_some(()) })
        .await;
    is_too_many(&page_of(&gateway, one, Role::Deployer).await, "limits.address_concurrent_requests");
    assert_eq!(page_of(&gateway, other, Role::Deployer).await.status, 200);
    drop(open);
    eventually("a free place", || async {
        (page_of(&gateway, one, Role::Deployer).await.status == 200).then_some(())
    })
    .await;
    gateway.finish().await;
    crate::corpus::count("K5", 1);
}

/// What is declared for one route is that route's alone, and each caller's own.
#[tokio::test]
async fn k5_a_route_has_its_own_rate() {
    let instance = Instance::saying("ok").await;
    let more = "tail = true\n\
        [[service.route]]\nmethod = \"GET\"\npath = \"/search/{what}\"\nrequests_per_second = 2\n";
    let gateway = TestGateway::builder()
        .env("RGW_SETTING_RATE_LIMITS", "on")
        .file(&wiki(&[instance.url()], more))
        .start()
        .await;
    let mut refused = 0;
    // All at once, so that a slow machine gives no time for more. One route, whatever its parameters are.
    let mut asked = Vec::new();
    for number in 0..20 {
        let mut client = RawClient::connect(gateway.addr()).await;
        client.send(request(&gateway, "GET", &format!("/search/{number}"), "", "")).await;
        asked.push(client);
    }
    for mut client in asked {
        let told = client.reply().await.expect("a reply");
        if told.status == 429 {
            assert!(told.header("retry-after").is_some(), "{told:?}");
            assert_eq!(
                (told.json()["layer"].as_str(), told.json()["status"].as_u64()),
                (Some("network"), Some(429))
            );
            refused += 1;
        } else {
            assert_eq!(told.status, 200, "{}", told.text());
        }
    }
    assert!(refused >= 10, "{refused} of 20 at once");
    assert_eq!(instance.seen().len(), 20 - refused, "what was refused did not go up");
    for _ in 0..20 {
        assert_eq!(get(&gateway, "/page").await.status, 200, "other paths are not counted");
    }
    let other = request(&gateway, "GET", "/search/x", "", "")
        .replace(gateway.token(Role::Admin), gateway.token(Role::Ops));
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(other).await;
    assert_eq!(client.reply().await.expect("a reply").status, 200, "another caller has a rate of its own");
    let events = gateway.events().await;
    let of_route = events.iter().map(|(_, event)| event).filter(|event| {
        event.route.as_deref() == Some("GET wiki:/search/{what}") && event.end == Some(End::Refused)
    });
    assert!(of_route.count() > 0, "the log has the route that was refused");
    gateway.finish().await;
    crate::corpus::count("K5", 20);
}

/// A route's own bound holds instead of its service's, whether it is smaller or larger, and however the body comes.
#[tokio::test]
async fn a_route_has_its_own_bound_of_bodies() {
    let instance = Instance::saying("ok").await;
    let more = "body_size_bytes = 10\ntail = true\n\
        [[service.route]]\nmethod = \"POST\"\npath = \"/small\"\nbody_size_bytes = 5\n\
        [[service.route]]\nmethod = \"POST\"\npath = \"/large/{id}\"\nbody_size_bytes = 20\n";
    let gateway = TestGateway::builder().file(&wiki(&[instance.url()], more)).start().await;
    for (path, bytes, status) in [
        ("/page", 10, 200),
        ("/page", 11, 413),
        ("/small", 5, 200),
        ("/small", 6, 413),
        ("/%73mall", 6, 413),
        ("/large/7", 20, 200),
        ("/large/7", 21, 413),
        ("/large/7/x", 11, 413),
    ] {
        let before = instance.seen().len();
        let told = ask(&gateway, "POST", path, "", &"x".repeat(bytes)).await;
        assert_eq!(told.status, status, "{path} {bytes}: {}", told.text());
        let chunked = format!(
            "{}{bytes:x}\r\n{}\r\n0\r\n\r\n",
            request(&gateway, "POST", path, "Transfer-Encoding: chunked\r\n", ""),
            "x".repeat(bytes)
        );
        let mut client = RawClient::connect(gateway.addr()).await;
        client.send(chunked).await;
        let told = client.reply().await.expect("a reply");
        assert_eq!(told.status, status, "{path} {bytes} in chunks: {}", told.text());
        let whole = instance.seen().len() - before;
        assert_eq!(
            whole,
            if status == 200 { 2 } else { 0 },
            "{path} {bytes}: no whole request that is too large"
        );
    }
    gateway.finish().await;
}

/// How long an allowed request takes, the median of fifty, over connections that are kept and over new ones.
async fn allowed(gateway: &TestGateway, host: &str) -> Duration {
    let mut times = Vec::new();
    let mut kept = RawClient::connect(gateway.addr()).await.named(host);
    for number in 0..50 {
        let started = Instant::now();
        if number % 2 == 0 {
            kept = RawClient::connect(gateway.addr()).await.named(host);
        }
        let reply = kept.ask("GET", "!/page", gateway.token(Role::Admin), &[], b"").await;
        assert_eq!((reply.status, reply.text()), (200, "fine".to_owned()), "{host}");
        times.push(started.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

/// Case 7 of `digital-rebar.md` 6.5: ten thousand requests at each service that are refused or are none, of each kind in
/// turn, hold nothing up: those that are allowed are answered meanwhile, and afterwards as fast as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_refused_and_malformed_requests_hold_nothing_up() {
    const EACH: usize = 10_000;
    let (one, two) = (Instance::saying("fine").await, Instance::saying("fine").await);
    let other = wiki(&[two.url()], "").replace("\"wiki", "\"other");
    let file = format!("{}\n{other}", wiki(&[one.url()], ""));
    let gateway = TestGateway::builder().env("RGW_SETTING_RATE_LIMITS", "off").file(&file).start().await;
    let gateway = Arc::new(gateway);
    let nobody = format!("rgw_{:043}", 7);
    for (host, instance) in [("wiki.example.com", &one), ("other.example.com", &two)] {
        let before = allowed(&gateway, host).await;
        let mut floods = JoinSet::new();
        for _ in 0..4 {
            let (gateway, nobody) = (gateway.clone(), nobody.clone());
            floods.spawn(async move {
                let mut client = RawClient::connect(gateway.addr()).await.named(host);
                for number in 0..EACH / 4 {
                    // With a body that is not taken, the connection may end; with what is no request, it does.
                    let (reply, wanted) = match number % 5 {
                        0 => (Some(client.ask("GET", "!/page", "", &[], b"").await), 401),
                        1 => (Some(client.ask("GET", "!/page", &nobody, &[], b"").await), 401),
                        2 => (
                            Some(client.ask("GET", "!/a%00b", gateway.token(Role::Admin), &[], b"").await),
                            400,
                        ),
                        3 => (Some(client.ask("POST", "!/page", &nobody, &[], b"something").await), 401),
                        _ => {
                            client.send("GET /page HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
                            (client.reply().await, 400)
                        }
                    };
                    let status = reply.as_ref().map(|reply| reply.status);
                    assert!(status.is_none() || status == Some(wanted), "{host} {number}: {reply:?}");
                    let ends = reply.is_none_or(|reply| reply.header("connection") == Some("close"));
                    if ends || number % 5 == 4 {
                        client = RawClient::connect(gateway.addr()).await.named(host);
                    }
                }
            });
        }
        let during = allowed(&gateway, host).await;
        assert!(!floods.is_empty() && during < Duration::from_secs(1), "{host}: {during:?} meanwhile");
        assert_eq!(floods.join_all().await.len(), 4);
        let after = allowed(&gateway, host).await;
        // Wide for a machine that does something else as well; a lock that is held, or a table that grew, costs more.
        assert!(after < before * 4 + Duration::from_millis(20), "{host}: {before:?} before, {after:?} after");
        assert_eq!(instance.seen().len(), 150, "{host}: only what was allowed");
    }
    Arc::into_inner(gateway).unwrap().finish().await;
}
