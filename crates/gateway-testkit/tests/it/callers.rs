//! Who is calling: PROXY headers, forwarding headers, networks that are let in, and networks as policy sees them.

use std::net::{IpAddr, Ipv4Addr};

use gateway_audit::{End, Event};
use gateway_testkit::{Database, RawClient, Reply, TestGateway, eventually};
use gateway_types::Role;
use tokio::io::AsyncWriteExt;

const APP: &str = "/apps/myapp";
const RESTART: &str = "/apps/myapp/services/web/restart";

/// A PROXY header of version 2: command, family, and what follows.
fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

fn of_client(client: [u8; 4]) -> Vec<u8> {
    header(1, 0x11, &[&client[..], &[10, 0, 0, 1], &[0x04, 0xd2, 0x01, 0xbb]].concat())
}

async fn ask_after(
    gateway: &TestGateway,
    source: Ipv4Addr,
    first: &[u8],
    headers: &[(&str, &str)],
) -> Option<Reply> {
    let mut client = RawClient::connect_from(source, gateway.addr()).await;
    client.send(first).await;
    let token = gateway.token(Role::Viewer);
    let mut request =
        format!("GET /api/v1/rack-proxy{APP} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {token}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    client.send(format!("{request}\r\n")).await;
    client.reply().await
}

/// The address that the log has of the request behind this reply.
async fn logged(gateway: &TestGateway, reply: &Reply) -> Option<IpAddr> {
    let id = reply.header("request-id").expect("an id").to_owned();
    let events = gateway.events().await;
    let of_request = |event: &&Event| event.request_id.is_some_and(|request| request.to_string() == id);
    events.iter().map(|(_, event)| event).find(of_request).expect("an event").source_ip
}

async fn refusal_of(gateway: &TestGateway, source: Ipv4Addr) -> Event {
    eventually("a refusal in the log", || async {
        let is_it =
            |event: &Event| event.source_ip == Some(IpAddr::V4(source)) && event.end == Some(End::Refused);
        gateway.events().await.into_iter().map(|(_, event)| event).find(is_it)
    })
    .await
}

#[tokio::test]
async fn c10_a_listed_front_tells_whose_connection_it_is() {
    let gateway = TestGateway::builder().env("PROXY_PROTOCOL_FROM", "127.0.0.2/32").start().await;
    let front = Ipv4Addr::new(127, 0, 0, 2);
    let reply = ask_after(&gateway, front, &of_client([192, 0, 2, 9]), &[]).await.expect("a reply");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(logged(&gateway, &reply).await, Some("192.0.2.9".parse().unwrap()));
    let reply = ask_after(&gateway, front, &header(0, 0, &[]), &[]).await.expect("a reply");
    assert_eq!(logged(&gateway, &reply).await, Some(IpAddr::V4(front)));
    // Its word about the connection is not its word about headers.
    let lie = [("X-Forwarded-For", "198.51.100.1"), ("Forwarded", "for=198.51.100.1")];
    let reply = ask_after(&gateway, front, &of_client([192, 0, 2, 9]), &lie).await.expect("a reply");
    assert_eq!(logged(&gateway, &reply).await, Some("192.0.2.9".parse().unwrap()));
    // In pieces.
    let (mut stream, _) = RawClient::connect_from(front, gateway.addr()).await.into_parts();
    for byte in of_client([192, 0, 2, 7]) {
        stream.write_all(&[byte]).await.unwrap();
    }
    stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    gateway.finish().await;
}

#[tokio::test]
async fn c10_what_a_listed_front_may_not_send() {
    let gateway = TestGateway::builder()
        .env("PROXY_PROTOCOL_FROM", "127.1.0.0/16")
        .env("HEAD_TIMEOUT", "1s")
        .start()
        .await;
    let crc = [&[192, 0, 2, 9, 10, 0, 0, 1, 4, 210, 1, 187][..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    let overrun = [&[192, 0, 2, 9, 10, 0, 0, 1, 4, 210, 1, 187][..], &[4, 0, 9, 1]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("none at all", Vec::new()),
        ("version 1", b"PROXY TCP4 192.0.2.9 10.0.0.1 1234 443\r\n".to_vec()),
        ("version 1, unknown", b"PROXY UNKNOWN\r\n".to_vec()),
        ("UNSPEC", header(1, 0, &[])),
        ("UNIX", header(1, 0x31, &[b'a'; 216])),
        ("UDP", header(1, 0x12, &[1; 12])),
        ("another command", header(2, 0x11, &[1; 12])),
        ("a wrong checksum", header(1, 0x11, &crc)),
        ("an extension that ends behind", header(1, 0x11, &overrun)),
        ("addresses that end early", header(1, 0x21, &[1; 12])),
        ("64 KiB announced and not sent", [header(1, 0x11, &[]), Vec::new()].concat()[..14].to_vec()),
        ("no address", header(1, 0x11, &[0; 12])),
    ];
    let count = cases.len();
    for (n, (label, first)) in cases.into_iter().enumerate() {
        let source = Ipv4Addr::new(127, 1, 0, u8::try_from(n).unwrap() + 1);
        let reply = ask_after(&gateway, source, &first, &[]).await;
        assert!(reply.is_none(), "{label}: {reply:?}");
        let event = refusal_of(&gateway, source).await;
        assert!(matches!(event.status, Some(400 | 408)), "{label}: {event:?}");
    }
    assert!(gateway.rack.requests().is_empty());
    crate::corpus::count("C10", count);
    // Nobody else's first bytes are taken for a header.
    let reply = ask_after(&gateway, Ipv4Addr::LOCALHOST, &of_client([192, 0, 2, 9]), &[]).await;
    assert_eq!(reply.expect("a reply").status, 400);
    let good = ask_after(&gateway, Ipv4Addr::LOCALHOST, b"", &[]).await.expect("a reply");
    assert_eq!((good.status, logged(&gateway, &good).await), (200, Some(IpAddr::V4(Ipv4Addr::LOCALHOST))));
    gateway.finish().await;
}

/// The longest header that there can be, and one byte at its end that is wrong: it is read whole, and no more than it.
#[tokio::test]
async fn c10_a_header_of_64_kib_is_read_to_its_last_byte() {
    const LONGEST: usize = u16::MAX as usize;
    let gateway = TestGateway::builder()
        .env("PROXY_PROTOCOL_FROM", "127.1.0.0/16")
        .env("HEAD_TIMEOUT", "2s")
        .start()
        .await;
    let addresses = [192, 0, 2, 9, 10, 0, 0, 1, 4, 210, 1, 187];
    let extension = |kind: u8, bytes: usize| {
        let [high, low] = u16::try_from(bytes).unwrap().to_be_bytes();
        [vec![kind, high, low], vec![0xa5; bytes]].concat()
    };
    let rest = LONGEST - addresses.len();
    let one = [&addresses[..], &extension(4, rest - 3)].concat();
    let many = [&addresses[..], &extension(4, 0).repeat(rest / 3), &extension(4, 0)[..rest % 3]].concat();
    let whole =
        [&addresses[..], &extension(4, 0).repeat((rest - 5) / 3), &extension(4, (rest - 5) % 3 + 2)].concat();
    let behind = [&addresses[..], &extension(4, rest - 3)[..rest - 1]].concat();
    let mut too_far = one.clone();
    // The extension says that it ends one byte behind the header.
    let [high, low] = u16::try_from(rest - 2).unwrap().to_be_bytes();
    (too_far[addresses.len() + 1], too_far[addresses.len() + 2]) = (high, low);
    assert_eq!((one.len(), many.len(), whole.len(), behind.len()), (LONGEST, LONGEST, LONGEST, LONGEST - 1));
    let cases: [(&str, Vec<u8>, bool); 6] = [
        ("one extension", header(1, 0x11, &one), true),
        ("thousands of extensions", header(1, 0x11, &whole), true),
        ("a byte less", [&header(1, 0x11, &one)[..14], &u16::MAX.to_be_bytes(), &behind].concat(), false),
        ("half an extension at the end", header(1, 0x11, &many), rest.is_multiple_of(3)),
        ("an extension that ends behind", header(1, 0x11, &too_far), false),
        ("a byte more", [header(1, 0x11, &one), b"\n".to_vec()].concat(), false),
    ];
    for (number, (label, first, is_read)) in cases.iter().enumerate() {
        let source = Ipv4Addr::new(127, 1, 1, u8::try_from(number).unwrap() + 1);
        let reply = ask_after(&gateway, source, first, &[]).await;
        match (*is_read, reply) {
            (true, reply) => {
                let reply = reply.unwrap_or_else(|| panic!("{label}: closed without a reply"));
                assert_eq!(reply.status, 200, "{label}: {}", reply.text());
                assert_eq!(logged(&gateway, &reply).await, Some("192.0.2.9".parse().unwrap()), "{label}");
            }
            // Once the header is read, what follows is a request, and is told what is wrong with it: of the request
            // behind a header that is too short, the first byte was the header's last.
            (false, reply) => {
                assert!(reply.is_none_or(|reply| (400..500).contains(&reply.status)), "{label}");
            }
        }
    }
    let read = cases.iter().filter(|(_, _, is_read)| *is_read).count();
    assert_eq!(gateway.rack.requests().iter().filter(|request| request.target == APP).count(), read);
    crate::corpus::count("C10 64 KiB", cases.len());
    gateway.finish().await;
}

#[tokio::test]
async fn b4_the_right_most_hop_that_is_not_listed_counts_everywhere() {
    let gateway = TestGateway::builder()
        .env("TRUSTED_FORWARDERS", "127.0.0.2/32,10.0.0.0/8")
        .env("NETWORK_DENY", "203.0.113.0/24")
        .start()
        .await;
    let router = Ipv4Addr::new(127, 0, 0, 2);
    let logged_for = async |headers: &[(&str, &str)]| {
        let reply = ask_after(&gateway, router, b"", headers).await.expect("a reply");
        (reply.status, logged(&gateway, &reply).await.map(|address| address.to_string()).unwrap_or_default())
    };
    let is = |status: u16, address: &str| (status, address.to_owned());
    assert_eq!(logged_for(&[]).await, is(200, "127.0.0.2"));
    assert_eq!(
        logged_for(&[("X-Forwarded-For", "203.0.113.1, 192.0.2.9, 10.0.0.3")]).await,
        is(200, "192.0.2.9")
    );
    assert_eq!(logged_for(&[("Forwarded", "for=203.0.113.1, for=192.0.2.9")]).await, is(200, "192.0.2.9"));
    let both = [("X-Forwarded-For", "192.0.2.9"), ("Forwarded", "for=192.0.2.9;proto=https")];
    assert_eq!(logged_for(&both).await, is(200, "192.0.2.9"));
    let differing = [("X-Forwarded-For", "192.0.2.9"), ("Forwarded", "for=192.0.2.8")];
    assert_eq!(logged_for(&differing).await.0, 400);
    assert_eq!(logged_for(&[("X-Forwarded-For", "::ffff:203.0.113.7")]).await, is(403, "203.0.113.7"));
    // B3: of everybody else it is not read, so it neither lets in nor keeps out.
    let lie = [("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=203.0.113.7")];
    let reply = ask_after(&gateway, Ipv4Addr::new(127, 0, 0, 3), b"", &lie).await.expect("a reply");
    assert_eq!(reply.status, 200);
    gateway.finish().await;
    crate::corpus::count("B4", 7);
}

/// Behind a router on the same machine or network, which ends TLS, its word is believed unless it is said otherwise.
/// `it/tls/files.rs` shows that it is not where TLS ends here.
#[tokio::test]
async fn b4_without_tls_private_networks_are_routers_by_default() {
    let gateway = TestGateway::builder().default_forwarders().start().await;
    let told = [("X-Forwarded-For", "192.0.2.9")];
    let reply = ask_after(&gateway, Ipv4Addr::LOCALHOST, b"", &told).await.expect("a reply");
    assert_eq!(logged(&gateway, &reply).await, Some("192.0.2.9".parse().unwrap()));
    gateway.finish().await;
    crate::corpus::count("B4", 1);
}

#[tokio::test]
async fn networks_that_are_let_in_and_kept_out() {
    let gateway = TestGateway::builder()
        .env("NETWORK_ALLOW", "127.0.1.0/24,127.0.2.0/24")
        .env("NETWORK_DENY", "127.0.2.128/25")
        .start()
        .await;
    for (source, status) in [
        ([127, 0, 1, 1], 200),
        ([127, 0, 2, 1], 200),
        ([127, 0, 2, 200], 403),
        ([127, 0, 3, 1], 403),
        ([127, 0, 0, 1], 403),
    ] {
        let source = Ipv4Addr::from(source);
        let reply = ask_after(&gateway, source, b"", &[]).await.expect("a reply");
        assert_eq!(reply.status, status, "{source}: {}", reply.text());
        if status == 403 {
            assert_eq!(reply.json()["layer"], "network");
            assert_eq!(refusal_of(&gateway, source).await.layer.map(|layer| layer.name()), Some("network"));
        }
    }
    // Before anything else: also of what is malformed, unknown or without a credential.
    let mut client = RawClient::connect_from(Ipv4Addr::new(127, 0, 3, 2), gateway.addr()).await;
    client.send(b"GET /x HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(client.reply().await.expect("a reply").status, 403);
    // A hundred tries are two events, not a hundred.
    let scanner = Ipv4Addr::new(127, 0, 3, 3);
    for _ in 0..100 {
        assert_eq!(ask_after(&gateway, scanner, b"", &[]).await.expect("a reply").status, 403);
    }
    let events = gateway.events().await;
    let count = events.iter().filter(|(_, event)| event.source_ip == Some(IpAddr::V4(scanner))).count();
    assert!(count <= 2, "{count}");
    assert_eq!(gateway.rack.requests().iter().filter(|request| request.target == APP).count(), 2);
    gateway.finish().await;
}

#[tokio::test]
async fn a_policy_can_ask_for_a_network() {
    let policies = tempfile::tempdir().unwrap();
    let text = "@id(\"changes-from-the-office\") forbid (principal, action in Action::\"class:change\", resource)\n\
         unless { context.networks.contains(\"office\") };";
    std::fs::write(policies.path().join("own.cedar"), text).unwrap();
    let gateway = TestGateway::builder()
        .database(Database::Postgres)
        .file("[network.named]\noffice = [\"127.0.5.0/24\"]\nall = [\"127.0.0.0/8\"]\n")
        .env("POLICY_DIR", &policies.path().display().to_string())
        .start()
        .await;
    let token = gateway.token(Role::Ops).to_owned();
    let mut inside = RawClient::connect_from(Ipv4Addr::new(127, 0, 5, 9), gateway.addr()).await;
    let mut outside = RawClient::connect_from(Ipv4Addr::new(127, 0, 6, 9), gateway.addr()).await;
    let reply = inside.ask("POST", RESTART, &token, &[], b"").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = outside.ask("POST", RESTART, &token, &[], b"").await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert!(reply.text().contains("changes-from-the-office"), "{}", reply.text());
    assert_eq!(outside.ask("GET", APP, &token, &[], b"").await.status, 200);
    let id = reply.header("request-id").unwrap().to_owned();
    let events = gateway.events().await;
    let event = events.iter().map(|(_, event)| event);
    let event =
        event.into_iter().find(|event| event.request_id.is_some_and(|request| request.to_string() == id));
    let facts = event.unwrap().verdict.clone().unwrap().facts;
    assert_eq!(facts.networks.into_iter().collect::<Vec<_>>(), ["all"]);
    gateway.finish().await;
}

#[tokio::test]
async fn an_address_has_only_so_many_connections() {
    let gateway = TestGateway::builder().env("CONNECTIONS_PER_ADDRESS", "3").start().await;
    let (one, other) = (Ipv4Addr::new(127, 0, 7, 1), Ipv4Addr::new(127, 0, 7, 2));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = RawClient::connect_from(one, gateway.addr()).await;
        assert_eq!(client.ask("GET", "!/api/v1/health", "", &[], b"").await.status, 200);
        held.push(client);
    }
    let mut fourth = RawClient::connect_from(one, gateway.addr()).await;
    assert!(fourth.is_closed().await);
    let event = refusal_of(&gateway, one).await;
    assert!(event.reason.is_some_and(|reason| reason.contains("connections_per_address")));
    assert!(ask_after(&gateway, other, b"", &[]).await.is_some_and(|reply| reply.status == 200));
    drop(held);
    eventually("a free place", || async {
        ask_after(&gateway, one, b"", &[]).await.filter(|reply| reply.status == 200)
    })
    .await;
    gateway.finish().await;
}
