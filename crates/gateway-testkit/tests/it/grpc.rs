//! gRPC through the gateway to a real server, gRPC-Web translated, and refusals as gRPC clients read them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_audit::End;
use gateway_testkit::raw::Reply;
use gateway_testkit::{RawClient, TestGateway, TestGatewayBuilder};
use gateway_types::Role;
use prost::Message as _;

mod native;
mod words;

use words::{Word, WordsServer};

const HOST: &str = "words.example.com";

fn builder(service: &WordsServer) -> TestGatewayBuilder {
    TestGateway::builder().file(&format!(
        "[[service]]\nname = \"words\"\nhosts = [\"{HOST}\"]\nprotocol = \"http2\"\nupstreams = [{{ url = \"http://{}\" }}]\n",
        service.address
    ))
}

async fn gateway(service: &WordsServer) -> TestGateway {
    builder(service).start().await
}

/// A message with its five bytes before it.
fn message(text: &str) -> Vec<u8> {
    let message = Word::of(text).encode_to_vec();
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// The messages and the trailers of a gRPC-Web body.
fn frames(mut body: &[u8]) -> (Vec<String>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let [flag, a, b, c, d, rest @ ..] = body {
        let (frame, after) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        match flag {
            0 => messages.push(Word::decode(frame).expect("a message").text),
            0x80 => trailers.push_str(std::str::from_utf8(frame).expect("text")),
            other => panic!("flag {other}"),
        }
        body = after;
    }
    assert!(body.is_empty(), "{body:?}");
    (messages, trailers)
}

async fn call(gateway: &TestGateway, method: &str, token: &str, content_type: &str, body: &[u8]) -> Reply {
    let mut client = RawClient::connect(gateway.addr()).await;
    let credential =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    client
        .send(format!(
            "POST /test.Words/{method} HTTP/1.1\r\nHost: {HOST}\r\n{credential}Content-Type: {content_type}\r\n\
             X-Grpc-Web: 1\r\nGrpc-Timeout: 7S\r\nX-Tint: blue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    client.send(body).await;
    client.reply().await.expect("a reply")
}

#[tokio::test]
async fn a_unary_call_of_grpc_web_is_translated() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let token = gateway.token(Role::Admin);
    let reply = call(&gateway, "Say", token, "application/grpc-web+proto", &message("hello")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/grpc-web+proto"));
    let (messages, trailers) = frames(&reply.body);
    assert_eq!(messages, [r#"hello Some("\"7S\"") Some("\"blue\"")"#], "the deadline and metadata pass");
    assert!(trailers.contains("grpc-status: 0\r\n"), "{trailers}");
    let events = gateway.events().await;
    let event = events.iter().rev().find(|(_, event)| event.end == Some(End::Completed)).expect("an event");
    assert_eq!(event.1.action.as_str(), "service:words:change");
    gateway.finish().await;
}

#[tokio::test]
async fn the_text_form_is_base64_both_ways_however_it_is_cut() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let token = gateway.token(Role::Admin);
    let whole = message("hello");
    let (first, second) = whole.split_at(4);
    for body in [STANDARD.encode(&whole), format!("{}{}", STANDARD.encode(first), STANDARD.encode(second))] {
        let reply = call(&gateway, "Say", token, "application/grpc-web-text", body.as_bytes()).await;
        assert_eq!(reply.header("content-type"), Some("application/grpc-web-text"), "{}", reply.text());
        let mut decoded = Vec::new();
        let text = reply.text();
        // Each piece has padding of its own.
        for piece in text
            .split_inclusive("==")
            .flat_map(|part| if part.ends_with("==") { vec![part.to_owned()] } else { pieces(part) })
        {
            for piece in pieces(&piece) {
                decoded.extend(
                    STANDARD.decode(piece.as_bytes()).unwrap_or_else(|error| panic!("{error} {text}")),
                );
            }
        }
        let (messages, trailers) = frames(&decoded);
        assert!(
            messages[0].starts_with("hello") && trailers.contains("grpc-status: 0"),
            "{messages:?} {trailers}"
        );
    }
    for broken in ["AAA", "!!!!", "AAAA=AAA"] {
        let reply = call(&gateway, "Say", token, "application/grpc-web-text", broken.as_bytes()).await;
        assert_ne!(reply.header("grpc-status"), Some("0"), "{broken} {reply:?}");
        assert!(reply.status < 500, "{broken} {reply:?}");
    }
    gateway.finish().await;
}

/// The groups of four of a text that has padding anywhere.
fn pieces(text: &str) -> Vec<String> {
    text.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect()
}

#[tokio::test]
async fn a_stream_of_grpc_web_ends_with_its_trailers() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let token = gateway.token(Role::Admin);
    let reply = call(&gateway, "Count", token, "application/grpc-web+proto", &message("100")).await;
    let (messages, trailers) = frames(&reply.body);
    assert_eq!(messages, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(trailers.contains("grpc-status: 0"), "{trailers}");
    gateway.finish().await;
}

#[tokio::test]
async fn a_failure_of_the_service_is_told_as_it_told_it() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let reply =
        call(&gateway, "Say", gateway.token(Role::Admin), "application/grpc-web+proto", &message("fail"))
            .await;
    let told = frames(&reply.body).1;
    let status = reply.header("grpc-status").map(str::to_owned).unwrap_or(told);
    assert!(status.contains('9'), "{reply:?}");
    let unknown =
        call(&gateway, "Nothing", gateway.token(Role::Admin), "application/grpc-web", &message("x")).await;
    assert_eq!(unknown.header("grpc-status"), Some("12"), "{unknown:?}");
    gateway.finish().await;
}

#[tokio::test]
async fn refusals_are_told_as_a_status() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let viewer = gateway.new_token(Role::Viewer, vec![]).await;
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc-web-text+proto"] {
        for (token, status) in [("", "16"), ("rgw_nothing", "16"), (viewer.as_str(), "7")] {
            let reply = call(&gateway, "Say", token, content_type, &message("x")).await;
            assert_eq!((reply.status, reply.header("grpc-status")), (200, Some(status)), "{reply:?}");
            assert_eq!(reply.header("content-type"), Some(content_type));
            let message = reply.header("grpc-message").expect("a message");
            assert!(message.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{message}");
            assert!(message.contains("request "), "it names the request: {message}");
            assert!(reply.body.is_empty());
        }
    }
    drop(service);
    let reply = call(&gateway, "Say", gateway.token(Role::Admin), "application/grpc", &message("x")).await;
    assert_eq!(reply.header("grpc-status"), Some("14"), "{reply:?}");
    let json = call(&gateway, "Say", "", "application/json", b"{}").await;
    assert_eq!(json.status, 401, "only gRPC is told so");
    let events = gateway.events().await;
    let statuses: Vec<_> = events.iter().filter_map(|(_, event)| event.status).collect();
    assert!(statuses.contains(&403) && statuses.contains(&502), "the log keeps what it means: {statuses:?}");
    gateway.finish().await;
}
