//! What is agreed in a handshake, what is refused, and that nobody's handshake is another's business.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_testkit::RawClient;
use gateway_types::Role;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::client::{Line, basic, handshake, once};
use super::{NAME, Place};

#[tokio::test]
async fn modern_clients_get_modern_tls() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).start().await;
    let config = place.client().config();
    let mut line = Line::open(&config, gateway.addr(), NAME).await.unwrap();
    assert_eq!(line.met.version, ProtocolVersion::TLSv1_3);
    assert_eq!(line.met.group.as_deref(), Some("X25519MLKEM768"));
    let reply = line.apps(gateway.token(Role::Viewer)).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.headers.contains_key("strict-transport-security"), "{:?}", reply.headers);
    // HTTP/2 is preferred by the gateway, whatever the client's order.
    let mut options = place.client();
    options.protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let stream = handshake(&options.config(), gateway.addr(), NAME).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // Sessions are resumed, with tickets and, for TLS 1.2, too.
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut options = place.client();
        options.versions = vec![version];
        let config = options.config();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut line = Line::open(&config, gateway.addr(), NAME).await.unwrap();
            assert_eq!(line.apps(gateway.token(Role::Viewer)).await.unwrap().status, 200);
            assert_eq!(line.met.version, version.version);
            kinds.push(line.met.kind);
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "{version:?}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn names_choose_the_certificate() {
    let place = Place::new();
    let files = [("one", NAME), ("two", "rack.example.test"), ("three", "*.apps.example.test")];
    let leaves = files.map(|(file, name)| place.write(file, &[name]));
    let leaves = leaves.map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    let gateway = place.gateway(&["one", "two", "three"]).start().await;
    let mut options = place.client();
    options.gullible = true;
    let config = options.config();
    for (name, expected) in [
        (NAME, 0),
        ("rack.example.test", 1),
        ("web.apps.example.test", 2),
        ("apps.example.test", 0),
        ("stranger.example.org", 0),
        // An address is never named in the handshake.
        ("127.0.0.1", 0),
    ] {
        let line = Line::open(&config, gateway.addr(), name).await.unwrap();
        assert_eq!(line.met.leaf, leaves[expected], "{name}");
    }
    gateway.finish().await;
}

/// A ClientHello of these versions and suites, without extensions.
fn old_hello(version: [u8; 2], suites: &[u16]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend_from_slice(&[7; 32]);
    body.push(0);
    body.extend_from_slice(&u16::try_from(2 * suites.len()).unwrap().to_be_bytes());
    suites.iter().for_each(|suite| body.extend_from_slice(&suite.to_be_bytes()));
    body.extend_from_slice(&[1, 0]);
    let mut message = vec![1, 0];
    message.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    let mut record = vec![0x16, 3, 1];
    record.extend_from_slice(&u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

/// What the gateway says to these bytes, until it hangs up.
async fn said_to(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    let _reset = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await.unwrap();
    said
}

#[tokio::test]
async fn old_and_broken_handshakes_are_refused() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).start().await;
    let alert = |said: &[u8]| (said.first() == Some(&0x15)).then(|| said.last().copied()).flatten();
    for version in [[3, 0], [3, 1], [3, 2]] {
        let said = said_to(gateway.addr(), &old_hello(version, &[0xc013, 0x002f])).await;
        assert!(matches!(alert(&said), Some(40 | 70)), "{version:?}: {said:?}");
    }
    // No forward secrecy; and suites that nobody should speak any more.
    for suites in [&[0x009c, 0x003c, 0x002f][..], &[0xc013, 0xc014], &[0x0000], &[0x1301]] {
        let said = said_to(gateway.addr(), &old_hello([3, 3], suites)).await;
        assert!(matches!(alert(&said), Some(40 | 47 | 109)), "{suites:x?}: {said:?}");
    }
    let requests: [&[u8]; 4] = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", &[0x16; 5000], &[0; 300]];
    for bytes in requests {
        let said = said_to(gateway.addr(), bytes).await;
        assert!(said.is_empty() || alert(&said).is_some(), "{said:?}");
    }
    // A client that speaks nothing of ours is told so; nobody here is asked for challenges.
    for protocol in [&b"acme-tls/1"[..], b"spdy/3"] {
        let mut options = place.client();
        options.protocols = vec![protocol.to_vec()];
        let refused = handshake(&options.config(), gateway.addr(), NAME).await.unwrap_err();
        assert!(refused.to_string().contains("fatal alert"), "{refused}");
    }
    let answer = once(&place.client().config(), gateway.addr(), NAME, gateway.token(Role::Viewer)).await;
    assert_eq!(answer.unwrap().status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn a_client_hello_in_records_of_one_byte() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).start().await;
    let (config, addr) = (place.client().config(), gateway.addr());
    let authorization = basic(gateway.token(Role::Viewer));
    let reply = tokio::task::spawn_blocking(move || {
        let name = ServerName::try_from(NAME).unwrap();
        let mut session = ClientConnection::new(config, name).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        let mut stream = std::net::TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for byte in &hello[5..] {
            stream.write_all(&[0x16, 3, 1, 0, 1, *byte]).unwrap();
        }
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        let request = format!(
            "GET /api/v1/rack-proxy/apps HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
        );
        tls.write_all(request.as_bytes()).unwrap();
        let mut reply = Vec::new();
        let _closed = tls.read_to_end(&mut reply);
        String::from_utf8_lossy(&reply).into_owned()
    })
    .await
    .unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    gateway.finish().await;
}

async fn connect_from(source: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket.connect(addr).await.unwrap()
}

/// How many connections, of which the gateway bounds the unfinished handshakes to how many, and the median time
/// that a request may take beside them.
#[expect(clippy::disallowed_methods, reason = "the size of a test is chosen by whoever runs it")]
fn size() -> (usize, &'static str, Duration) {
    if std::env::var("RGW_TEST_SIZE").is_ok_and(|size| size == "full") {
        (5000, "1024", Duration::from_millis(50))
    } else {
        // Beside other tests on a busy machine.
        (400, "128", Duration::from_millis(500))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_handshakes_delay_nobody() {
    let (count, handshakes, limit) = size();
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place
        .gateway(&["tls"])
        .env("HANDSHAKES", handshakes)
        .env("CONNECTIONS", "16384")
        .env("CONNECTIONS_PER_ADDRESS", "16384")
        .start()
        .await;
    let (addr, token) = (gateway.addr(), gateway.token(Role::Viewer).to_owned());
    // Somebody who is slow, but not one of many: its handshake is finished after all that.
    let mut slow = connect_from([127, 0, 0, 2], addr).await;
    let mut session =
        ClientConnection::new(place.client().config(), ServerName::try_from(NAME).unwrap()).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    slow.write_all(&hello[..20]).await.unwrap();
    let mut flood = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        // Some say nothing, some a part of a ClientHello, some all of it and then nothing more.
        let part = [0, 7, hello.len() / 2, hello.len()][number % 4];
        stream.write_all(&hello[..part]).await.unwrap();
        flood.push(stream);
    }
    let config = place.client().config();
    let mut times = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        let answer = once(&config, addr, NAME, &token).await.unwrap();
        assert_eq!(answer.status, 200);
        times.push(begun.elapsed());
    }
    times.sort();
    println!("{count} half-open handshakes: median {:?}, worst {:?}", times[10], times[20]);
    assert!(times[10] < limit, "{times:?}");
    slow.write_all(&hello[20..]).await.unwrap();
    let mut first = [0u8; 1];
    slow.read_exact(&mut first).await.unwrap();
    assert_eq!(first[0], 0x16, "a ServerHello");
    drop((flood, slow));
    gateway.finish().await;
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).env("HANDSHAKE_TIMEOUT", "1s").start().await;
    let mut silent = RawClient::connect(gateway.addr()).await;
    let begun = Instant::now();
    assert!(silent.is_closed().await);
    assert!(begun.elapsed() >= Duration::from_millis(900));
    gateway.finish().await;
}

/// A gateway that is told to stop does not wait for handshakes.
#[tokio::test]
async fn half_open_handshakes_do_not_hold_up_the_end() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).env("HANDSHAKE_TIMEOUT", "2m").start().await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(RawClient::connect(gateway.addr()).await);
    }
    let answer = once(&place.client().config(), gateway.addr(), NAME, gateway.token(Role::Viewer)).await;
    assert_eq!(answer.unwrap().status, 200);
    let begun = Instant::now();
    gateway.finish().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// The name that a client asks for in the handshake and the provider are not the tests' own.
#[test]
fn the_provider_prefers_the_hybrid_group() {
    let groups: Vec<String> =
        gateway_tls::provider().kx_groups.iter().map(|group| format!("{:?}", group.name())).collect();
    assert_eq!(groups, ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"]);
    let _in_use: Arc<rustls::crypto::CryptoProvider> = super::provider();
}
