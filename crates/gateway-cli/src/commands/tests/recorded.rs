//! A gateway that answers as the rack of a recording did, and keeps what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use gateway_client::GatewayAddress;
use gateway_sim::transcript::{Item, Kind, Side, Transcript};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tungstenite::handshake::derive_accept_key;
use url::form_urlencoded;

const PREFIX: &str = "/api/v1/rack-proxy";

/// Headers in which the rack reads options.
const OPTIONS: [&str; 24] = [
    "command",
    "cpu",
    "cpu-limit",
    "disable-stdin",
    "entrypoint",
    "environment",
    "filter",
    "follow",
    "gpu",
    "gpu-vendor",
    "height",
    "image",
    "maxlogrequests",
    "memory",
    "memory-limit",
    "prefix",
    "previous",
    "private-key",
    "release",
    "since",
    "tail",
    "tty",
    "volumes",
    "width",
];

/// What came on one connection, to be put together.
#[derive(Default)]
struct Half {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer of the rack.
#[derive(Clone, Default)]
struct Answer {
    status: u16,
    body: Vec<u8>,
    frames: Vec<(u8, Vec<u8>)>,
}

pub(super) struct Recorded {
    pub(super) address: GatewayAddress,
    seen: Arc<Mutex<Vec<String>>>,
}

/// The requests of a recording, and the answers to each.
fn exchanges(transcript: &Transcript) -> Vec<(Half, Answer)> {
    let mut exchanges: Vec<(Half, Answer)> = Vec::new();
    let mut open: BTreeMap<u32, usize> = BTreeMap::new();
    for Item { connection, from, kind } in &transcript.items {
        if let (Side::Client, Kind::Request { method, target, headers }) = (from, kind) {
            open.insert(*connection, exchanges.len());
            let target = target.strip_prefix(&transcript.prefix).unwrap_or(target).to_owned();
            let half = Half { method: method.clone(), target, headers: headers.clone(), body: Vec::new() };
            exchanges.push((half, Answer::default()));
            continue;
        }
        let Some((request, answer)) = open.get(connection).and_then(|at| exchanges.get_mut(*at)) else {
            continue;
        };
        match (from, kind) {
            (Side::Client, Kind::Body { bytes, .. }) => request.body = bytes.clone(),
            (Side::Rack, Kind::Response { status, .. }) => answer.status = *status,
            (Side::Rack, Kind::Body { bytes, .. }) => answer.body = bytes.clone(),
            (Side::Rack, Kind::Frame(frame)) => answer.frames.push((frame.opcode, frame.payload.clone())),
            _ => {}
        }
    }
    exchanges
}

/// What the client of a recording asked, each request once, in the order of the first time: how often it looked again
/// is no matter. Left out is what asks nobody anything: the throwaway request before each socket, and `ack_by`, which a
/// gateway sets itself.
pub(super) fn asked(transcript: &Transcript) -> Vec<String> {
    once(exchanges(transcript).iter().map(|(request, _)| told(request)))
}

fn once(requests: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for request in requests {
        let is_throwaway = request == "GET /machines" || request == "GET /racks";
        if !is_throwaway && !kept.contains(&request) {
            kept.push(request);
        }
    }
    kept
}

/// A request in one line.
fn told(request: &Half) -> String {
    let header = |name: &str| {
        request
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let pairs = |text: &[u8]| {
        let mut pairs: Vec<String> = form_urlencoded::parse(text)
            .filter(|(name, _)| name != "ack_by")
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        pairs.sort();
        pairs.join(" ")
    };
    let mut line = format!("{} {path}", request.method);
    if header("upgrade").is_some() {
        line = line.replacen("GET", "SOCKET", 1);
    }
    if !query.is_empty() {
        line.push_str(&format!(" ?{}", pairs(query.as_bytes())));
    }
    for option in OPTIONS {
        if let Some(value) = header(option) {
            line.push_str(&format!(" {option}:{value}"));
        }
    }
    let is_form = header("content-type") == Some("application/x-www-form-urlencoded");
    let is_archive =
        ["/files", "/import"].iter().any(|end| path.ends_with(end)) || path.contains("/objects/");
    match (request.body.is_empty(), is_form, is_archive) {
        (true, _, _) => {}
        (false, true, _) => line.push_str(format!(" {}", pairs(&request.body)).trim_end()),
        (false, false, true) => line.push_str(" archive"),
        (false, false, false) => line.push_str(&format!(" {:?}", String::from_utf8_lossy(&request.body))),
    }
    without_key(&line)
}

/// Nobody guesses where an archive is kept, so it is another place each time.
fn without_key(line: &str) -> String {
    let Some((before, after)) = line.split_once("tmp/") else { return line.to_owned() };
    let after = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    format!("{before}tmp/KEY{after}")
}

impl Recorded {
    pub(super) async fn of(transcript: &Transcript) -> Self {
        let mut answers: BTreeMap<String, VecDeque<Answer>> = BTreeMap::new();
        for (request, answer) in exchanges(transcript) {
            answers.entry(key(&request)).or_default().push_back(answer);
        }
        let answers = Arc::new(Mutex::new(answers));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&answers), Arc::clone(&kept)));
            }
        });
        Self { address, seen }
    }

    /// What was asked, each request once.
    pub(super) fn seen(&self) -> Vec<String> {
        once(self.seen.lock().unwrap().iter().cloned())
    }
}

fn key(request: &Half) -> String {
    let line = without_key(&format!("{} {}", request.method, request.target));
    line.trim_end_matches('?').to_owned()
}

type Answers = Arc<Mutex<BTreeMap<String, VecDeque<Answer>>>>;

async fn serve(mut socket: TcpStream, answers: Answers, seen: Arc<Mutex<Vec<String>>>) {
    let mut unread = Vec::new();
    while let Some(mut request) = next(&mut socket, &mut unread).await {
        request.target = request.target.strip_prefix(PREFIX).unwrap_or("not at the rack").to_owned();
        seen.lock().unwrap().push(told(&request));
        let answer = {
            let mut answers = answers.lock().unwrap();
            let queue = answers.get_mut(&key(&request));
            // The last one stands for all that follow.
            queue.and_then(|queue| if queue.len() > 1 { queue.pop_front() } else { queue.front().cloned() })
        };
        let answer =
            answer.unwrap_or(Answer { status: 404, body: b"not recorded".to_vec(), ..Answer::default() });
        if answer.status == 101 {
            let name = |header: &&(String, String)| header.0.eq_ignore_ascii_case("sec-websocket-key");
            let accept = derive_accept_key(request.headers.iter().find(name).unwrap().1.as_bytes());
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            let mut bytes = head.into_bytes();
            for (opcode, payload) in &answer.frames {
                bytes.extend(frame(*opcode, payload));
            }
            let _ = socket.write_all(&bytes).await;
            return;
        }
        let length = answer.body.len();
        let head = format!("HTTP/1.1 {} X\r\nContent-Length: {length}\r\n\r\n", answer.status);
        let _ = socket.write_all(&[head.as_bytes(), &answer.body].concat()).await;
    }
}

/// The next request of a connection; `None` at its end.
async fn next(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Half> {
    let end = loop {
        if let Some(at) = find(unread, b"\r\n\r\n") {
            break at;
        }
        read(socket, unread).await?;
    };
    let head = String::from_utf8(unread.drain(..end + 4).collect()).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let header = |name: &str| {
        headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let length = header("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or(0);
    while unread.len() < length {
        read(socket, unread).await?;
    }
    let body = unread.drain(..length).collect();
    Some(Half { method, target, headers, body })
}

async fn read(socket: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    let count = socket.read(&mut piece).await.ok().filter(|count| *count > 0)?;
    unread.extend_from_slice(&piece[..count]);
    Some(())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A frame of a server (RFC 6455, section 5.2).
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..126 => bytes.push(u8::try_from(length).unwrap()),
        length => {
            bytes.push(126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}
