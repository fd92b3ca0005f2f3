//! Who can end a sign-in at the port of this machine, and who cannot (D11).

use super::*;

const STATE: &str = "the-state";
const ISSUER: &str = "https://g.example.com";
const HOST: &str = "127.0.0.1:4711";

fn expected() -> Expected {
    Expected { state: STATE.to_owned(), issuer: ISSUER.to_owned() }
}

fn judged(line: &str, headers: &str) -> String {
    let head = format!("{line} HTTP/1.1\r\n{headers}\r\n\r\n");
    match judge(head.as_bytes(), HOST, &expected()) {
        Judged::Code(code) => format!("code {}", code.expose()),
        Judged::Denied(error) => error.to_string(),
        Judged::Other(page) => format!("{page:?}"),
    }
}

fn check(target: &str, expected: &str) {
    assert_eq!(judged(&format!("GET {target}"), &format!("Host: {HOST}")), expected, "{target}");
}

#[test]
fn d11_only_the_callback_with_the_right_state_from_the_right_gateway_counts() {
    let iss = "iss=https%3A%2F%2Fg.example.com";
    check(&format!("/callback?code=c1&state={STATE}&{iss}"), "code c1");
    check(&format!("/callback?{iss}&state={STATE}&code=a%26b"), "code a&b");
    check(&format!("/callback?error=access_denied&state={STATE}&{iss}"), "the sign-in was refused");
    check(
        &format!("/callback?error=server_error&error_description=x%1b%5B2J&state={STATE}&{iss}"),
        "the gateway did not take the sign-in: x\u{fffd}[2J (server_error)",
    );
    for other in [
        format!("/callback?code=c1&state=wrong&{iss}"),
        format!("/callback?code=c1&state={STATE}x&{iss}"),
        format!("/callback?code=c1&state=&{iss}"),
        format!("/callback?code=c1&{iss}"),
        format!("/callback?code=c1&state={STATE}&state={STATE}&{iss}"),
        format!("/callback?code=c1&code=c2&state={STATE}&{iss}"),
        format!("/callback?code=c1&error=x&state={STATE}&{iss}"),
        format!("/callback?code=&state={STATE}&{iss}"),
        format!("/callback?state={STATE}&{iss}"),
        format!("/callback?error=access_denied&state=wrong&{iss}"),
        format!("/callback?code=c1&state={STATE}"),
        format!("/callback?code=c1&state={STATE}&iss=https%3A%2F%2Fg.example.com.evil.org"),
        format!("/callback?code=c1&state={STATE}&{iss}&{iss}"),
    ] {
        check(&other, "NotThisOne");
    }
    for other in
        ["/", "/favicon.ico", "/callback/", "/Callback", "//callback", "/%63allback", "/callback%3fcode=c"]
    {
        check(other, "Nothing");
    }
}

#[test]
fn d11_no_other_method_and_no_other_host_counts() {
    let target = format!("/callback?code=c1&state={STATE}&iss=https%3A%2F%2Fg.example.com");
    let host = format!("Host: {HOST}");
    for method in ["POST", "HEAD", "OPTIONS", "PUT"] {
        assert_eq!(judged(&format!("{method} {target}"), &host), "NotThisOne", "{method}");
    }
    for hosts in [
        "Host: localhost:4711".to_owned(),
        "Host: 127.0.0.1".to_owned(),
        "Host: 127.0.0.1:4712".to_owned(),
        "Host: 127.0.0.1.evil.example.com:4711".to_owned(),
        "Host: user@127.0.0.1:4711".to_owned(),
        "Host: 2130706433:4711".to_owned(),
        "Host: evil.example.com".to_owned(),
        "X: y".to_owned(),
        format!("{host}\r\n{host}"),
    ] {
        assert_eq!(judged(&format!("GET {target}"), &hosts), "NotThisOne", "m8: {hosts}");
    }
    let absolute = format!("GET http://{HOST}{target}");
    assert_eq!(judged(&absolute, &host), "Nothing");
}

/// Sends a request, and returns the reply once the other side closed.
async fn asks(address: SocketAddr, target: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn d11_others_get_a_page_and_do_not_end_the_wait() {
    let loopback = Loopback::bind().await.unwrap();
    let address = loopback.address;
    assert!(address.ip().is_loopback());
    assert_eq!(loopback.redirect_uri(), format!("http://127.0.0.1:{}/callback", address.port()));
    let waiting = tokio::spawn(loopback.callback(expected()));
    // One that says nothing, one that leaves, and one that sends what is no request.
    let _silent = TcpStream::connect(address).await.unwrap();
    drop(TcpStream::connect(address).await.unwrap());
    let mut garbled = TcpStream::connect(address).await.unwrap();
    garbled.write_all(b"\x16\x03\x01\r\n\r\n").await.unwrap();
    // Another person of this machine who was here first, with a code of their own.
    let wrong = asks(address, "/callback?code=theirs&state=guess&iss=https%3A%2F%2Fg.example.com").await;
    assert!(wrong.starts_with("HTTP/1.1 400 "), "{wrong}");
    assert!(!wrong.contains("theirs") && !wrong.contains("guess"), "nothing is repeated: {wrong}");
    assert!(asks(address, "/favicon.ico").await.starts_with("HTTP/1.1 404 "));
    let browser = tokio::spawn(async move {
        asks(address, &format!("/callback?code=c1&state={STATE}&iss=https%3A%2F%2Fg.example.com")).await
    });
    let callback = waiting.await.unwrap().unwrap();
    assert_eq!(callback.code().expose(), "c1");
    // One-shot: nobody listens any more, before the code was even exchanged.
    assert!(TcpStream::connect(address).await.is_err());
    callback.signed_in().await;
    let page = browser.await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("close this tab"), "{page}");
    assert!(page.contains("no-store") && page.contains("default-src 'none'") && page.contains("no-referrer"));
    assert!(!page.contains("c1") && !page.contains(STATE), "{page}");
}

#[tokio::test]
async fn a_no_ends_the_wait_and_the_browser_is_told() {
    let loopback = Loopback::bind().await.unwrap();
    let address = loopback.address;
    let waiting = tokio::spawn(loopback.callback(expected()));
    let target = format!("/callback?error=access_denied&state={STATE}&iss=https%3A%2F%2Fg.example.com");
    let page = asks(address, &target).await;
    assert!(page.contains("not signed in"), "{page}");
    assert!(matches!(waiting.await.unwrap(), Err(SignInError::Denied)));
}

#[tokio::test]
async fn an_endless_head_is_not_read_to_its_end() {
    let loopback = Loopback::bind().await.unwrap();
    let address = loopback.address;
    let waiting = tokio::spawn(loopback.callback(expected()));
    let mut socket = TcpStream::connect(address).await.unwrap();
    let sent = socket.write_all(&vec![b'x'; MOST_HEAD_BYTES + 4096]).await;
    let mut reply = Vec::new();
    let read = socket.read_to_end(&mut reply).await;
    assert!(sent.is_err() || read.is_err() || reply.is_empty());
    assert!(!waiting.is_finished());
}
