//! gRPC over HTTP/2 from end to end: a tonic client, the gateway, a tonic server.

use std::str::FromStr as _;
use std::time::Duration;

use futures_util::stream;
use gateway_testkit::TestGateway;
use gateway_types::Role;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::words::{Word, WordsServer};
use super::{HOST, frames, message};

/// A gateway that also takes HTTP/2 without TLS, so that the tests need no certificate.
async fn gateway(service: &WordsServer) -> TestGateway {
    super::builder(service).env("H2C", "true").start().await
}

async fn client(gateway: &TestGateway, host: &str) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.addr())).unwrap();
    let origin = format!("http://{host}").parse().unwrap();
    let mut client = Grpc::new(endpoint.origin(origin).connect().await.expect("a connection"));
    client.ready().await.expect("a connection");
    client
}

fn request<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !token.is_empty() {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request.metadata_mut().insert("x-tint", "blue".parse().unwrap());
    request
}

fn method(name: &str) -> PathAndQuery {
    PathAndQuery::from_str(&format!("/test.Words/{name}")).unwrap()
}

fn codec() -> ProstCodec<Word, Word> {
    ProstCodec::default()
}

async fn say(client: &mut Grpc<Channel>, token: &str, text: &str) -> Result<tonic::Response<Word>, Status> {
    client.ready().await.expect("a connection");
    client.unary(request(token, Word::of(text)), method("Say"), codec()).await
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), work).await.expect("in time")
}

#[tokio::test]
async fn calls_metadata_deadlines_and_failures_pass() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let token = gateway.token(Role::Admin);
    let mut client = client(&gateway, HOST).await;
    let mut asked = request(token, Word::of("hello"));
    asked.set_timeout(Duration::from_secs(7));
    let reply = soon(client.unary(asked, method("Say"), codec())).await.expect("an answer");
    assert_eq!(reply.metadata().get("x-told").map(|value| value.as_bytes()), Some(&b"initial"[..]));
    let text = reply.into_inner().text;
    assert!(text.starts_with("hello Some(") && text.ends_with("Some(\"\\\"blue\\\"\")"), "{text}");
    let failed = soon(say(&mut client, token, "fail")).await.unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::FailedPrecondition, "100 % — no"));
    gateway.finish().await;
}

#[tokio::test]
async fn both_sides_stream_and_nothing_waits_for_the_end() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let token = gateway.token(Role::Admin);
    let mut client = client(&gateway, HOST).await;
    let (words, told) = mpsc::channel::<Word>(1);
    let asking = stream::unfold(told, |mut told| async move { told.recv().await.map(|word| (word, told)) });
    words.send(Word::of("one")).await.unwrap();
    let streaming = client.streaming(request(token, asking), method("Talk"), codec());
    let mut answers = soon(streaming).await.expect("a stream").into_inner();
    assert_eq!(soon(answers.message()).await.unwrap(), Some(Word::of("ONE")));
    for text in ["two", "three"] {
        words.send(Word::of(text)).await.unwrap();
        assert_eq!(soon(answers.message()).await.unwrap(), Some(Word::of(text.to_uppercase())));
    }
    drop(words);
    assert_eq!(soon(answers.message()).await.unwrap(), None);
    gateway.finish().await;
}

#[tokio::test]
async fn e2_a_stream_ends_with_the_callers_right() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let session = gateway.session(Role::Deployer).await;
    let mut client = client(&gateway, HOST).await;
    let counting = client.server_streaming(request(&session, Word::of("endless")), method("Count"), codec());
    let mut numbers = soon(counting).await.expect("a stream").into_inner();
    assert_eq!(soon(numbers.message()).await.unwrap(), Some(Word::of("0")));
    gateway.store().sessions().revoke_all(gateway.person(Role::Deployer).id).await.expect("a revocation");
    let ended = soon(async {
        loop {
            match numbers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    })
    .await;
    assert!(ended.is_some(), "a stream that was cut does not look finished");
    gateway.finish().await;
}

#[tokio::test]
async fn refusals_are_told_as_a_status() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let nothing = gateway.new_token(Role::Cicd, vec![]).await;
    let mut words = client(&gateway, HOST).await;
    let refused = soon(say(&mut words, "", "x")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    assert!(refused.message().contains("request "), "it names the request: {refused:?}");
    assert_eq!(soon(say(&mut words, &nothing, "x")).await.unwrap_err().code(), Code::PermissionDenied);
    let mut elsewhere = client(&gateway, "nobody.example.com").await;
    let unknown = soon(say(&mut elsewhere, gateway.token(Role::Admin), "x")).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented, "{unknown:?}");
    drop(service);
    let gone = soon(say(&mut words, gateway.token(Role::Admin), "x")).await.unwrap_err();
    assert_eq!(gone.code(), Code::Unavailable, "{gone:?}");
    gateway.finish().await;
}

#[tokio::test]
async fn grpc_web_is_translated_over_http2_too() {
    let service = WordsServer::start();
    let gateway = gateway(&service).await;
    let stream = TcpStream::connect(gateway.addr()).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{HOST}/test.Words/Count"))
        .header("authorization", format!("Bearer {}", gateway.token(Role::Admin)))
        .header("content-type", "application/grpc-web+proto")
        .body(Full::new(bytes_of(message("3"))))
        .unwrap();
    let response = soon(sender.send_request(request)).await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "application/grpc-web+proto");
    let body = soon(response.into_body().collect()).await.expect("a body").to_bytes();
    let (messages, trailers) = frames(&body);
    assert_eq!(messages, ["0", "1", "2"]);
    assert!(trailers.contains("grpc-status: 0"), "{trailers}");
    gateway.finish().await;
}

fn bytes_of(message: Vec<u8>) -> hyper::body::Bytes {
    message.into()
}
