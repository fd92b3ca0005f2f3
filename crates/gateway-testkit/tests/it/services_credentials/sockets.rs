//! The credential of a service, and what the service says over a socket.

use gateway_audit::End;
use gateway_framing::websocket::{Opcode, encode_server_frame};
use gateway_testkit::{RawClient, StubConnection, StubRack, TestGateway, eventually};

use super::{CANARY, nothing_kept};
use crate::service_kit::{request, wiki};

/// A service that says its own handshake back in frames: in one, cut by the network, over two frames of one message, in a
/// ping. Whatever came before passes, the frame with the credential does not, and the socket ends with a reason.
#[tokio::test]
async fn a_socket_that_repeats_the_credential_ends_without_it() {
    type Say = fn(&str) -> Vec<Vec<u8>>;
    let cases: [(&str, Say); 4] = [
        ("one frame", |secret| {
            vec![encode_server_frame(Opcode::Text, format!("you sent {secret}.").as_bytes())]
        }),
        ("many segments", |secret| {
            let frame = encode_server_frame(Opcode::Binary, format!("you sent {secret}.").as_bytes());
            frame.chunks(3).map(<[u8]>::to_vec).collect()
        }),
        ("two frames", |secret| {
            let (one, two) = secret.split_at(secret.len() / 2);
            let head = |first: u8, part: &str| {
                [&[first, u8::try_from(part.len()).unwrap()], part.as_bytes()].concat()
            };
            vec![head(0x01, one), head(0x80, two)]
        }),
        ("a ping", |secret| vec![encode_server_frame(Opcode::Ping, secret.as_bytes())]),
    ];
    for (label, say) in cases {
        let service = StubRack::start(move |mut connection: StubConnection| async move {
            connection.switch().await;
            let sent = connection.header("authorization").unwrap_or_default().to_owned();
            assert_eq!(sent, format!("Bearer {CANARY}"));
            connection.send(encode_server_frame(Opcode::Text, b"welcome")).await;
            for piece in say(CANARY) {
                connection.send(piece).await;
                tokio::task::yield_now().await;
            }
            connection.until_closed().await;
        })
        .await;
        let more = "websocket = true\ncredential = { kind = \"bearer\", secret = \"env:WIKI_SECRET\" }";
        let gateway = TestGateway::builder()
            .env("WIKI_SECRET", CANARY)
            .file(&wiki(&[service.url()], more))
            .start()
            .await;
        let mut client = RawClient::connect(gateway.addr()).await;
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n";
        client.send(request(&gateway, "GET", "/live", upgrade, "")).await;
        let reply = client.reply().await.expect("a reply");
        assert_eq!(reply.status, 101, "{label}: {}", reply.text());
        let (mut stream, mut came) = client.into_parts();
        while tokio::io::AsyncReadExt::read_buf(&mut stream, &mut came).await.is_ok_and(|count| count > 0) {}
        let welcome = encode_server_frame(Opcode::Text, b"welcome");
        assert!(came.starts_with(&welcome), "{label}: {}", came.escape_ascii());
        // The end of it is nowhere, however it was cut.
        let end = CANARY.get(CANARY.len() / 2..).unwrap().as_bytes();
        assert_eq!(memchr::memmem::find(&came, end), None, "{label}: {}", came.escape_ascii());
        let reason = b"the service broke the connection";
        assert!(came.ends_with(reason), "{label}: {}", came.escape_ascii());
        let outcome = eventually("the end in the log", || async {
            let events = gateway.events().await;
            let ends = events.into_iter().map(|(_, event)| event);
            ends.filter(|event| event.status == Some(101)).find_map(|event| event.end)
        });
        assert_eq!(outcome.await, End::UpstreamLost, "{label}");
        nothing_kept(gateway, &[String::from_utf8_lossy(&came).into_owned()]).await;
    }
}
