//! Bodies pass as streams: of any size, at the pace of whoever is slower, for as long as it takes, and
//! when one side breaks off the other learns it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use gateway_audit::{End, Event, Phase};
use gateway_framing::websocket::{Opcode, encode_server_frame};
use gateway_sim::{Fault, SimOptions, SimRack, fill_noise};
use gateway_testkit::raw::basic;
use gateway_testkit::{Database, RawClient, Socket, StubConnection, StubRack, TestGateway, eventually};
use gateway_types::Role;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::child::Child;

/// How much more memory the gateway may use while an object of any size passes, in bytes.
const GROWTH_LIMIT: u64 = 16 * 1024 * 1024;

const PIECE: usize = 64 * 1024;

/// 128 MiB, or 1 GiB when `RGW_TEST_SIZE` is `full`.
#[expect(clippy::disallowed_methods, reason = "the size of a test is chosen by whoever runs it")]
fn object_size() -> u64 {
    let full = std::env::var("RGW_TEST_SIZE").is_ok_and(|size| size == "full");
    if full { 1 << 30 } else { 128 << 20 }
}

/// Noise that is cheap to make: a block of it, stamped with its number.
struct Noise {
    block: Vec<u8>,
    next: u64,
}

impl Noise {
    fn new() -> Self {
        let mut block = vec![0; PIECE];
        fill_noise(0, &mut block);
        Self { block, next: 0 }
    }

    fn piece(&mut self) -> &[u8] {
        self.next += 1;
        self.block[..8].copy_from_slice(&self.next.to_be_bytes());
        &self.block
    }
}

fn hexadecimal(digest: Context) -> String {
    data_encoding::HEXLOWER.encode(digest.finish().as_ref())
}

fn head(method: &str, path: &str, token: &str, headers: &str) -> String {
    format!(
        "{method} /api/v1/rack-proxy{path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: {}\r\n{headers}\r\n",
        basic(token)
    )
}

/// A download that is read piece by piece.
struct Download {
    reader: BufReader<TcpStream>,
    digest: Context,
    bytes: u64,
}

impl Download {
    async fn begin(addr: SocketAddr, path: &str, token: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So that what waits for a slow reader waits in the gateway or behind it.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        let mut stream = socket.connect(addr).await.unwrap();
        stream.write_all(head("GET", path, token, "").as_bytes()).await.unwrap();
        let mut reader = BufReader::with_capacity(PIECE, stream);
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        let mut chunked = false;
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).await.unwrap();
            chunked |= line.eq_ignore_ascii_case("transfer-encoding: chunked\r\n");
        }
        assert!(chunked, "the rack's reply has no length");
        Self { reader, digest: Context::new(&SHA256), bytes: 0 }
    }

    /// The next chunk; false at the proper end.
    async fn chunk(&mut self) -> bool {
        let mut line = String::new();
        self.reader.read_line(&mut line).await.unwrap();
        let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).await.unwrap();
        assert_eq!(chunk.split_off(size), b"\r\n");
        self.digest.update(&chunk);
        self.bytes += size as u64;
        size > 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length,
    Chunks,
}

/// Uploads noise; gives the digest of what was sent.
async fn upload(addr: SocketAddr, path: &str, token: &str, size: u64, framing: Framing) -> String {
    let headers = match framing {
        Framing::Length => format!("Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n"),
        Framing::Chunks => {
            "Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n".to_owned()
        }
    };
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(head("POST", path, token, &headers).as_bytes()).await.unwrap();
    let (mut noise, mut digest) = (Noise::new(), Context::new(&SHA256));
    assert_eq!(size % PIECE as u64, 0);
    for _ in 0..size / PIECE as u64 {
        let piece = noise.piece();
        digest.update(piece);
        if framing == Framing::Chunks {
            stream.write_all(format!("{PIECE:x}\r\n").as_bytes()).await.unwrap();
        }
        stream.write_all(piece).await.unwrap();
        if framing == Framing::Chunks {
            stream.write_all(b"\r\n").await.unwrap();
        }
    }
    if framing == Framing::Chunks {
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    }
    let mut reply = Vec::new();
    while !reply.windows(2).any(|two| two == b"}\n") {
        assert!(stream.read_buf(&mut reply).await.unwrap() > 0, "{}", String::from_utf8_lossy(&reply));
    }
    assert!(reply.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&reply));
    hexadecimal(digest)
}

/// The digest of what `tmp/noise-SIZE.bin` holds.
fn noise_digest(size: u64) -> String {
    let (mut digest, mut piece, mut at) = (Context::new(&SHA256), vec![0; PIECE], 0);
    while at < size {
        fill_noise(at, &mut piece);
        digest.update(&piece);
        at += PIECE as u64;
    }
    hexadecimal(digest)
}

fn check_growth(child: &Child, before: u64, what: &str) {
    let growth = child.highest_memory().saturating_sub(before);
    assert!(growth < GROWTH_LIMIT, "{what}: the gateway's memory grew by {growth} bytes from {before}");
}

#[tokio::test]
async fn an_object_of_any_size_passes_both_ways_in_little_memory() {
    let rack = SimRack::start(SimOptions::for_tests()).await.unwrap();
    let child = Child::start(Database::Sqlite, (&rack.url(), rack.password()), &[]).await;
    let token = child.token(Role::Admin);
    let objects = "/apps/myapp/objects/tmp";
    // What is made once, at the first of each, is not growth.
    for framing in [Framing::Length, Framing::Chunks] {
        upload(child.addr, &format!("{objects}/small.tgz"), token, 4 << 20, framing).await;
    }
    let mut small = Download::begin(child.addr, &format!("{objects}/noise-4194304.bin"), token).await;
    while small.chunk().await {}

    let size = object_size();
    let before = child.begin_measuring();
    for framing in [Framing::Length, Framing::Chunks] {
        let sent = upload(child.addr, &format!("{objects}/large.tgz"), token, size, framing).await;
        let seen = rack.requests().pop().unwrap();
        assert_eq!((seen.body_bytes, seen.body_sha256), (size, sent), "{framing:?}");
        let announced = match framing {
            Framing::Length => ("content-length", size.to_string()),
            Framing::Chunks => ("transfer-encoding", "chunked".to_owned()),
        };
        assert_eq!(
            seen.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(announced.0)).unwrap().1,
            announced.1
        );
        check_growth(&child, before, "upload");
    }
    let path = format!("{objects}/noise-{size}.bin");
    let mut download = Download::begin(child.addr, &path, token).await;
    while download.chunk().await {}
    assert_eq!(download.bytes, size);
    assert_eq!(hexadecimal(download.digest), noise_digest(size));
    check_growth(&child, before, "download");
    child.stop();
}

/// How long nothing may move before a stream counts as held up.
const STILL: Duration = Duration::from_millis(500);

/// Writes pieces until nothing moves any more; how many bytes went out.
async fn write_until_still(stream: &mut TcpStream, piece: &[u8], limit: u64) -> u64 {
    let mut written = 0;
    while written < limit {
        match timeout(STILL, stream.write_all(piece)).await {
            Ok(sent) => sent.unwrap(),
            // A part of the piece may have gone; the test does not go on with this stream's bytes.
            Err(_) => return written,
        }
        written += piece.len() as u64;
    }
    written
}

/// More than every buffer of the machine on the way, by far.
const MUCH: u64 = 256 << 20;

#[tokio::test]
async fn a_slow_reader_holds_up_the_rack_and_not_the_memory() {
    let (still, written) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
    let (still_there, written_there) = (still.clone(), written.clone());
    let rack = StubRack::start(move |mut connection: StubConnection| {
        let (still, written) = (still_there.clone(), written_there.clone());
        async move {
            // What the gateway asks for itself: which values it must not log.
            if connection.head.contains("/releases") {
                return connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").await;
            }
            let mut piece = encode_server_frame(Opcode::Text, &[b'x'; PIECE]);
            if connection.header("upgrade").is_some() {
                connection.switch().await;
            } else {
                connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
                piece = [format!("{PIECE:x}\r\n").as_bytes(), &[b'x'; PIECE], b"\r\n"].concat();
            }
            written.store(write_until_still(&mut connection.stream, &piece, MUCH).await, Ordering::SeqCst);
            still.notify_one();
            connection.until_closed().await;
        }
    })
    .await;
    let child = Child::start(Database::Sqlite, (&rack.url(), "secret"), &[]).await;
    let token = child.token(Role::Admin);
    let before = child.begin_measuring();

    let download = Download::begin(child.addr, "/apps/myapp/objects/tmp/x.tgz", token).await;
    still.notified().await;
    assert!(written.load(Ordering::SeqCst) < MUCH, "nothing held the rack up");
    check_growth(&child, before, "a download that is not read");

    let path = "/apps/myapp/processes/web/exec";
    let socket = Socket::open(child.addr, path, token, &[("Command", "yes")]).await.unwrap();
    still.notified().await;
    assert!(written.load(Ordering::SeqCst) < MUCH, "nothing held the rack up");
    check_growth(&child, before, "a socket that is not read");
    drop((download, socket));
    child.stop();
}

#[tokio::test]
async fn a_slow_rack_holds_up_the_client_and_not_the_memory() {
    let rack = StubRack::start(|connection: StubConnection| async move {
        // It reads nothing; the end of the test ends it.
        std::future::pending::<()>().await;
        drop(connection);
    })
    .await;
    // What is stuck at the end of the test need not be waited for.
    let child = Child::start(Database::Sqlite, (&rack.url(), "secret"), &[("DRAIN_TIMEOUT", "1s")]).await;
    let token = child.token(Role::Admin);
    let before = child.begin_measuring();
    let mut stream = TcpStream::connect(child.addr).await.unwrap();
    let headers = format!("Content-Type: application/octet-stream\r\nContent-Length: {MUCH}\r\n");
    stream
        .write_all(head("POST", "/apps/myapp/objects/tmp/x.tgz", token, &headers).as_bytes())
        .await
        .unwrap();
    let written = write_until_still(&mut stream, &[b'x'; PIECE], MUCH).await;
    assert!(written < MUCH, "nothing held the client up");
    check_growth(&child, before, "an upload that is not read");
    drop(stream);
    child.stop();
}

/// Longer than every limit that the next test sets.
const LONG: Duration = Duration::from_millis(2500);

/// That nothing is said and nothing is closed for longer than any limit.
async fn stays_open(stream: &mut TcpStream) {
    let mut byte = [0];
    let read = timeout(LONG, stream.read(&mut byte)).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn no_limit_of_time_is_on_bodies_or_answers() {
    let rack = StubRack::start(|mut connection: StubConnection| async move {
        // The head of the answer late, and its body in two parts.
        stays_open(&mut connection.stream).await;
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
        stays_open(&mut connection.stream).await;
        connection.send("half").await;
    })
    .await;
    let gateway = TestGateway::builder()
        .env("HEAD_TIMEOUT", "1s")
        .env("RACK_CONNECT_TIMEOUT", "1s")
        .env("RACK_HOST", &rack.url())
        .start()
        .await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let path = "/apps/myapp/objects/tmp/x.tgz";
    let reply = client.ask("GET", path, gateway.token(Role::Admin), &[], b"").await;
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"halfhalf"[..]));
    gateway.finish().await;

    // An upload whose client thinks for long in the middle.
    let gateway =
        TestGateway::builder().env("HEAD_TIMEOUT", "1s").env("RACK_CONNECT_TIMEOUT", "1s").start().await;
    let mut stream = TcpStream::connect(gateway.addr()).await.unwrap();
    let headers = "Content-Type: application/octet-stream\r\nContent-Length: 8\r\n";
    let begin = head("POST", path, gateway.token(Role::Admin), headers) + "half";
    stream.write_all(begin.as_bytes()).await.unwrap();
    stays_open(&mut stream).await;
    stream.write_all(b"half").await.unwrap();
    let seen = eventually("the upload", || async {
        gateway.rack.requests().pop().filter(|seen| seen.status.is_some())
    })
    .await;
    assert_eq!((seen.status, seen.body.as_slice()), (Some(200), &b"halfhalf"[..]));
    gateway.finish().await;
}

async fn outcome(gateway: &TestGateway) -> Event {
    eventually("the outcome", || async {
        let events = gateway.events().await.into_iter().rev();
        events.map(|(_, event)| event).find(|event| event.phase == Phase::Outcome)
    })
    .await
}

#[tokio::test]
async fn a_client_that_leaves_in_a_download_closes_the_racks_side() {
    let gateway = TestGateway::start().await;
    let path = "/apps/myapp/objects/tmp/zeros-10737418240.bin";
    let mut download = Download::begin(gateway.addr(), path, gateway.token(Role::Admin)).await;
    while download.bytes < 1 << 20 {
        assert!(download.chunk().await);
    }
    drop(download);
    eventually("the end of the rack's side", || async {
        gateway.rack.requests().iter().all(|seen| !seen.open).then_some(())
    })
    .await;
    let event = outcome(&gateway).await;
    assert_eq!((event.end, event.status), (Some(End::AbortedByClient), Some(200)));
    assert!(event.bytes_out.unwrap() >= 1 << 20 && event.bytes_out.unwrap() < 10 << 30);
    gateway.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_closes_the_racks_side() {
    let gateway = TestGateway::start().await;
    gateway.rack.fault(Fault::Hang);
    let mut stream = TcpStream::connect(gateway.addr()).await.unwrap();
    let request = head("GET", "/apps", gateway.token(Role::Viewer), "");
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually("the request at the rack", || async { gateway.rack.requests().pop() }).await;
    drop(stream);
    eventually("the end of the rack's side", || async {
        gateway.rack.requests().iter().all(|seen| !seen.open).then_some(())
    })
    .await;
    let event = eventually("the event", || async {
        let events = gateway.events().await.into_iter();
        events.map(|(_, event)| event).find(|event| event.action.as_str() == "convox:app:list")
    })
    .await;
    assert_eq!(event.end, Some(End::AbortedByClient));
    gateway.finish().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_stores_nothing() {
    let gateway = TestGateway::start().await;
    let path = "/apps/myapp/objects/tmp/broken.tgz";
    let token = gateway.token(Role::Admin);
    // The end of the stream inside a counted body, inside a chunk, and before the last chunk; and a chunk that
    // is malformed.
    let cases = [
        ("Content-Length: 100\r\n", "only a part", true),
        ("Transfer-Encoding: chunked\r\n", "100\r\nonly a part", true),
        ("Transfer-Encoding: chunked\r\n", "4\r\npart\r\n", true),
        ("Transfer-Encoding: chunked\r\n", "4\r\npart\r\n0\r\n", true),
        ("Transfer-Encoding: chunked\r\n", "4\r\npart\r\nZZ\r\n", false),
    ];
    for (number, (framing, body, leaves)) in cases.into_iter().enumerate() {
        let headers = format!("Content-Type: application/octet-stream\r\n{framing}");
        let mut stream = TcpStream::connect(gateway.addr()).await.unwrap();
        stream.write_all((head("POST", path, token, &headers) + body).as_bytes()).await.unwrap();
        if leaves {
            eventually("the request at the rack", || async {
                (gateway.rack.requests().len() > number).then_some(())
            })
            .await;
            drop(stream);
        } else {
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).await.unwrap();
            assert!(reply.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&reply));
        }
        eventually("the end of the rack's side", || async {
            gateway.rack.requests().iter().all(|seen| !seen.open).then_some(())
        })
        .await;
        let outcomes = eventually("the outcome", || async {
            let events = gateway.events().await.into_iter().map(|(_, event)| event);
            let outcomes: Vec<Event> = events.filter(|event| event.phase == Phase::Outcome).collect();
            (outcomes.len() > number).then_some(outcomes)
        })
        .await;
        let end = outcomes[number].end;
        assert!(!matches!(end, None | Some(End::Completed)), "{framing}{body}: {end:?}");
    }
    for seen in gateway.rack.requests() {
        assert_eq!((seen.status, seen.body_bytes), (None, 0), "a part was taken for the whole: {seen:?}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_not_made_whole() {
    let gateway = TestGateway::start().await;
    let (path, token) = ("/apps/myapp/objects/tmp/part.tgz", gateway.token(Role::Admin));
    let mut client = RawClient::connect(gateway.addr()).await;
    let headers = [("Content-Type", "application/octet-stream")];
    assert_eq!(client.ask("POST", path, token, &headers, &[b'x'; 5000]).await.status, 200);
    for fault in [Fault::CloseMidChunk, Fault::CloseMidBody] {
        gateway.rack.fault(fault.clone());
        let mut stream = TcpStream::connect(gateway.addr()).await.unwrap();
        stream.write_all(head("GET", path, token, "").as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        // The gateway breaks off as well: by closing, or by resetting.
        while stream.read_buf(&mut reply).await.is_ok_and(|count| count > 0) {}
        let text = String::from_utf8_lossy(&reply).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200 "), "{text}");
        match fault {
            Fault::CloseMidBody => assert!(text.contains("content-length: 5001\r\n"), "{text}"),
            _ => assert!(text.contains("chunked") && !text.ends_with("0\r\n\r\n"), "{text}"),
        }
        let event = eventually("the outcome", || async {
            let event = outcome(&gateway).await;
            (event.action.as_str() == "convox:object:read").then_some(event)
        })
        .await;
        assert_eq!(event.end, Some(End::UpstreamLost), "{fault:?}");
    }
    gateway.finish().await;
}
