//! Requests and sockets against a real service on loopback, through one connection of a caller.

use std::convert::Infallible;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use rack_gateway_verify::{Caller, StepUp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

const ASKED: &str = "GET /console HTTP/1.1\r\nHost: wiki\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                     Gateway-Token: checked\r\nX-Gateway-User: somebody else\r\n\r\n";
const OPENED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";

fn somebody() -> GatewayIdentity {
    GatewayIdentity {
        subject: "u1".to_owned(),
        name: "ann@example.com".to_owned(),
        email: Some("ann@example.com".to_owned()),
        on_behalf_of: None,
        kind: Caller::User,
        roles: vec!["deployer".to_owned()],
        step_up: StepUp::None,
        service: "wiki".to_owned(),
        request_id: "r1".to_owned(),
    }
}

/// A service that answers one request with `answer`, then sends back what it hears; it returns the head of the request,
/// in lower case.
async fn service(answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap();
        String::from_utf8(head).unwrap().to_lowercase()
    });
    (address, heard)
}

/// A caller's connection that is passed on to the service.
fn connect(to: SocketAddr, identity: Option<GatewayIdentity>, token: RequestToken) -> DuplexStream {
    let (caller, ours) = duplex(64 * 1024);
    tokio::spawn(async move {
        let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let passing = Passing { client, to, token };
        let opened = Opened::default();
        let (passing, identity, socket) = (&passing, identity.as_ref(), &opened);
        let serve =
            service_fn(
                |request| async move { Ok::<_, Infallible>(passing.on(request, identity, socket).await) },
            );
        let connection = http1::Builder::new().serve_connection(TokioIo::new(ours), serve);
        if connection.with_upgrades().await.is_ok()
            && let Some(socket) = opened.into_inner()
        {
            socket.carry().await;
        }
    });
    caller
}

/// The head of the answer, in lower case.
async fn head(caller: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(Duration::from_secs(10), caller.read_u8()).await.expect("an answer in time");
        head.push(byte.unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

async fn status(request: &str, identity: Option<GatewayIdentity>, answer: &'static str) -> String {
    let (to, _service) = service(answer).await;
    let mut caller = connect(to, identity, RequestToken::TakenAway);
    caller.write_all(request.as_bytes()).await.unwrap();
    head(&mut caller).await.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_socket_is_carried_both_ways_until_it_ends() {
    let (to, heard) = service(OPENED).await;
    let mut caller = connect(to, Some(somebody()), RequestToken::TakenAway);
    caller.write_all(ASKED.as_bytes()).await.unwrap();
    let answer = head(&mut caller).await;
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("upgrade: websocket") && answer.contains("connection: upgrade"), "{answer}");

    // What the service sent right behind its answer is not lost, and bytes go both ways.
    caller.write_all(b" and back").await.unwrap();
    caller.shutdown().await.unwrap();
    let mut said = String::new();
    let all = timeout(Duration::from_secs(10), caller.read_to_string(&mut said)).await;
    all.expect("the socket ends when its caller is done").unwrap();
    assert_eq!(said, "hello and back");

    let heard = heard.await.unwrap();
    assert!(heard.starts_with("get /console http/1.1"), "{heard}");
    assert!(heard.contains("upgrade: websocket") && heard.contains("connection: upgrade"), "{heard}");
    assert!(heard.contains("x-gateway-user: ann@example.com"), "{heard}");
    assert!(!heard.contains("somebody else") && !heard.contains("gateway-token"), "{heard}");
}

#[tokio::test]
async fn a_service_that_refuses_a_socket_says_why_itself() {
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(status(ASKED, Some(somebody()), refused).await, "403");
}

#[tokio::test]
async fn nothing_but_a_websocket_of_somebody_known_is_opened() {
    let known = || Some(somebody());
    assert_eq!(status(ASKED, None, OPENED).await, "401", "an open path");
    for upgrade in ["h2c", "websocket, h2c", "websocket\r\nUpgrade: h2c"] {
        let asked = ASKED.replace("WebSocket", upgrade);
        assert_eq!(status(&asked, known(), OPENED).await, "501", "{upgrade}");
    }
    let posted = ASKED.replace("GET", "POST");
    assert_eq!(status(&posted, known(), OPENED).await, "501", "another method");
    let closing = ASKED.replace("keep-alive, Upgrade", "close");
    assert_eq!(status(&closing, known(), OPENED).await, "501", "no word of the connection");
    let with_body = ASKED.replace("Host: wiki", "Host: wiki\r\nContent-Length: 3");
    assert_eq!(status(&format!("{with_body}abc"), known(), OPENED).await, "400", "a body");
    let plain = "GET / HTTP/1.1\r\nHost: wiki\r\n\r\n";
    assert_eq!(status(plain, known(), OPENED).await, "502", "a service that switches unasked");
    let other = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(status(ASKED, known(), other).await, "502", "a service that switches to something else");
}

#[tokio::test]
async fn the_token_is_passed_on_only_to_a_service_that_asks_for_it() {
    for (token, is_there) in [(RequestToken::TakenAway, false), (RequestToken::PassedOn, true)] {
        let (to, heard) = service("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
        let mut caller = connect(to, Some(somebody()), token);
        let asked = "GET / HTTP/1.1\r\nHost: wiki\r\nGateway-Token: checked\r\nGateway_Token: not\r\nConnection: close\r\n\r\n";
        caller.write_all(asked.as_bytes()).await.unwrap();
        assert!(head(&mut caller).await.starts_with("http/1.1 204 "));
        drop(caller);
        let heard = timeout(Duration::from_secs(10), heard).await.expect("the service is let go").unwrap();
        assert_eq!(heard.contains("gateway-token: checked"), is_there, "{heard}");
        assert!(!heard.contains("gateway_token"), "{heard}");
    }
}

#[test]
fn identity_headers_of_a_request_are_nobodys() {
    for token in [RequestToken::TakenAway, RequestToken::PassedOn] {
        let mut headers = HeaderMap::new();
        for name in
            ["x-gateway-user", "x_gateway_roles", "X-Gateway_Email", "gateway_token", "gateway.token", "te"]
        {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("x"));
        }
        headers.insert("x-kept", HeaderValue::from_static("x"));
        headers.insert("x-hop", HeaderValue::from_static("x"));
        headers.insert(HOST, HeaderValue::from_static("wiki"));
        headers.insert(CONNECTION, HeaderValue::from_static("x-hop, host"));
        clean(&mut headers, token);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-kept"]);
    }
}
