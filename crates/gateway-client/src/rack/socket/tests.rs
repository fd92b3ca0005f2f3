//! What is heard of racks, however their bytes come.

use gateway_framing::websocket::encode_server_frame;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tungstenite::handshake::derive_accept_key;

use super::*;
use crate::rack::RackRequest;
use crate::tls::TlsOptions;

/// What a rack does on an open socket, in order.
enum Does {
    Writes(Vec<u8>),
    /// Reads this many bytes, which it returns in the end.
    Reads(usize),
}

fn text(bytes: &[u8]) -> Does {
    Does::Writes(encode_server_frame(Opcode::Text, bytes))
}

fn end() -> Does {
    Does::Writes(encode_server_frame(Opcode::Binary, &[]))
}

/// A socket of a rack that does this and then hangs up.
async fn opened(does: Vec<Does>) -> (RackSocket, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let client = Client::new(address, Some("rgs_x".to_owned().into()), &TlsOptions::default()).unwrap();
    let rack = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
        let accept = derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        for one in does {
            match one {
                Does::Writes(bytes) => socket.write_all(&bytes).await.unwrap(),
                Does::Reads(count) => {
                    for _ in 0..count {
                        read.push(socket.read_u8().await.unwrap());
                    }
                }
            }
        }
        read
    });
    let asked = RackRequest::get(&["apps", "web", "logs"]).header("Filter", Some("x"));
    (client.rack_socket(&asked).await.unwrap(), rack)
}

async fn all(socket: &mut RackSocket) -> (Vec<u8>, Heard) {
    let mut bytes = Vec::new();
    loop {
        match socket.hear().await {
            Heard::Bytes(more) => bytes.extend(more),
            last => return (bytes, last),
        }
    }
}

#[tokio::test]
async fn text_that_is_no_text_comes_through_as_it_is() {
    let (mut socket, _rack) = opened(vec![text(b"\xff\x00a"), text(b"b"), end()]).await;
    assert_eq!(all(&mut socket).await, (b"\xff\x00ab".to_vec(), Heard::End));
}

#[tokio::test]
async fn a_frame_in_pieces_is_one_frame() {
    let frame = encode_server_frame(Opcode::Text, &[b'x'; 300]);
    let (first, second) = frame.split_at(3);
    let (mut socket, _rack) =
        opened(vec![Does::Writes(first.to_vec()), Does::Writes(second.to_vec()), end()]).await;
    assert_eq!(all(&mut socket).await, (vec![b'x'; 300], Heard::End));
}

#[tokio::test]
async fn a_link_that_drops_is_not_an_end() {
    let (mut socket, _rack) = opened(vec![text(b"a")]).await;
    assert_eq!(all(&mut socket).await, (b"a".to_vec(), Heard::Lost));
    let close = encode_server_frame(Opcode::Close, &[]);
    let (mut socket, _rack) = opened(vec![Does::Writes(close), Does::Reads(1)]).await;
    assert_eq!(all(&mut socket).await, (Vec::new(), Heard::Lost));
    let nonsense = vec![0xff; 8];
    let (mut socket, _rack) = opened(vec![Does::Writes(nonsense), Does::Reads(1)]).await;
    assert_eq!(all(&mut socket).await, (Vec::new(), Heard::Lost));
}

#[tokio::test]
async fn what_is_said_goes_in_small_masked_frames_and_pings_are_answered() {
    let ping = encode_server_frame(Opcode::Ping, b"hi");
    // The sign of life at the start is 6 bytes, the answer 8, 1024 bytes 1032, one byte 7, the end 6.
    let (mut socket, rack) =
        opened(vec![Does::Writes(ping), text(b"x"), Does::Reads(6 + 8 + 1032 + 7 + 6), end()]).await;
    assert_eq!(socket.hear().await, Heard::Bytes(b"x".to_vec()));
    socket.say(&[b'y'; 1025]).await.unwrap();
    socket.end().await.unwrap();
    assert_eq!(socket.hear().await, Heard::End);
    let read = rack.await.unwrap();
    let heads: Vec<u8> = read.iter().copied().filter(|byte| [0x81, 0x82, 0x8a].contains(byte)).collect();
    assert!(heads.contains(&0x81) && heads.contains(&0x8a), "{heads:?}");
}

#[tokio::test]
async fn a_program_that_writes_before_it_reads_is_heard() {
    // More than the program's side holds, and then the rack waits for the program. The sign of life is 6 bytes.
    let (socket, rack) = opened(vec![text(&[b'x'; 4096]), Does::Reads(6 + 7)]).await;
    let (near, mut far) = tokio::io::duplex(16);
    let carrying = tokio::spawn(socket.carry(near, std::future::pending()));
    far.write_all(b"z").await.unwrap();
    let read =
        tokio::time::timeout(Duration::from_secs(20), rack).await.expect("neither way waits for the other");
    assert_eq!(read.unwrap().len(), 13);
    let mut shown = vec![0; 4096];
    far.read_exact(&mut shown).await.unwrap();
    assert_eq!(shown, [b'x'; 4096]);
    assert_eq!(carrying.await.unwrap(), (1, 4096));
}

#[tokio::test]
async fn a_sign_of_life_within_a_message_is_no_part_of_it() {
    let mut first = encode_server_frame(Opcode::Text, b"a");
    // Not the last frame of its message.
    first[0] &= 0x7f;
    let ping = encode_server_frame(Opcode::Ping, b"hi");
    let last = encode_server_frame(Opcode::Continuation, b"b");
    let (mut socket, _rack) = opened(vec![Does::Writes([first, ping, last].concat()), end()]).await;
    assert_eq!(all(&mut socket).await, (b"ab".to_vec(), Heard::End));
}

#[tokio::test]
async fn m4_an_answer_that_leads_elsewhere_is_not_followed() {
    use crate::error::BadReply;
    use crate::stub::{Stub, answer};

    for status in ["301 X", "307 X"] {
        let elsewhere = answer(status, "text/plain", "Location: http://127.0.0.1:1/\r\n", "");
        let stub = Stub::answering(vec![elsewhere]).await;
        let client =
            Client::new(stub.address.clone(), Some("rgs_x".to_owned().into()), &TlsOptions::default())
                .unwrap();
        let refused = client.rack(&RackRequest::post(&["apps"]).form("name", Some("web"))).await;
        assert!(matches!(refused, Err(ClientError::BadReply { what: BadReply::Redirect, .. })), "{status}");
    }
}

#[tokio::test]
async fn m5_what_a_rack_says_is_quoted_on_one_line() {
    use crate::stub::{Stub, answer};

    for (body, said) in [
        ("app not found\n", "app not found"),
        (r#"{"error":"no\u001b[2J\nhint: run this"}"#, "no\u{fffd}[2J\u{fffd}hint: run this"),
        ("", "status 404, without a word; the rack may be too old for this"),
    ] {
        let stub = Stub::answering(vec![answer("404 X", "text/plain", "", body)]).await;
        let client =
            Client::new(stub.address.clone(), Some("rgs_x".to_owned().into()), &TlsOptions::default())
                .unwrap();
        let refused = client.rack(&RackRequest::get(&["apps", "web"])).await.unwrap_err();
        assert!(
            matches!(&refused, ClientError::Rack { status: 404, said: words } if words == said),
            "{refused:?}"
        );
    }
}
