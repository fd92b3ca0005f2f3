//! The plain-HTTP listener.

use gateway_testkit::{RawClient, Reply, TestGateway};

use super::{NAME, Place};

async fn ask(gateway: &TestGateway, request: &str) -> Reply {
    let mut client = RawClient::connect(gateway.http_addr()).await;
    client.send(request).await;
    let reply = client.reply().await.unwrap_or_else(|| panic!("no reply to {request:?}"));
    assert!(client.is_closed().await, "{request:?}");
    reply
}

#[tokio::test]
async fn plain_http_only_sends_to_https() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place
        .gateway(&["tls"])
        .env("HTTP_PORT", "0")
        .env("PROXY_HOSTS", "rack.example.test")
        .env("TRUSTED_FORWARDERS", "127.0.0.0/8")
        .start()
        .await;
    let port = gateway.addr().port();
    let check = async |request: &str, status: u16, location: &str| {
        let reply = ask(&gateway, request).await;
        let expected = (!location.is_empty()).then(|| format!("https://{location}"));
        let expected = expected.map(|location| location.replacen(".test", &format!(".test:{port}"), 1));
        assert_eq!((reply.status, reply.header("location")), (status, expected.as_deref()), "{request:?}");
    };
    let home = format!("{NAME}/");
    check(&format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n"), 308, &home).await;
    check("GET /a/b?c=d HTTP/1.1\r\nHost: RACK.example.test:80\r\n\r\n", 308, "rack.example.test/a/b?c=d")
        .await;
    check("GET / HTTP/1.1\r\nHost: evil.example.org\r\n\r\n", 308, &home).await;
    // Nobody's word about the scheme or the host counts here.
    let forwarded = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example.org\r\n";
    check(
        &format!("GET /api/v1/rack-proxy/apps HTTP/1.1\r\nHost: {NAME}\r\n{forwarded}\r\n"),
        308,
        &format!("{NAME}/api/v1/rack-proxy/apps"),
    )
    .await;
    // The body is not read: the reply comes before it.
    check(
        &format!("POST /x HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1000000\r\n\r\n"),
        308,
        &format!("{NAME}/x"),
    )
    .await;
    for malformed in [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\nHost: {NAME}\n\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {NAME}\r\nHost: evil.example.org\r\n\r\n"),
        format!("GET http://evil.example.org/ HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n".to_owned(),
    ] {
        check(&malformed, 400, "").await;
    }
    check(
        &format!("GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: {NAME}\r\n\r\n"),
        308,
        &format!("{NAME}/.well-known/acme-challenge/x"),
    )
    .await;
    // One request a connection: what is pipelined behind is never looked at.
    let mut client = RawClient::connect(gateway.http_addr()).await;
    let request = format!("GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
    client.send(request.repeat(3)).await;
    assert_eq!(client.reply().await.unwrap().status, 308);
    assert!(client.reply().await.is_none());
    gateway.finish().await;
}
