//! What goes out, and what becomes of what comes in.

use super::*;
use crate::stub::{Stub, answer, good};

fn transport(stub: &Stub) -> Transport {
    let token = Secret::new("rgs_token".to_owned());
    Transport::new(stub.address.clone(), Some(token), &TlsOptions::default()).unwrap()
}

fn get(transport: &Transport) -> Call {
    Call::new(Method::GET, transport.address().api(&["me"]))
}

async fn answered(text: String) -> Result<Reply, ClientError> {
    let stub = Stub::answering(vec![text]).await;
    let transport = transport(&stub);
    let reply = transport.send(get(&transport)).await;
    stub.seen().await;
    reply
}

#[tokio::test]
async fn m4_a_redirect_is_never_followed() {
    let elsewhere = Stub::answering(vec![good("{}")]).await;
    let location = format!("Location: {}/api/v1/me\r\n", elsewhere.address);
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let error = answered(answer(status, "text/html", &location, "")).await.unwrap_err();
        assert!(matches!(error, ClientError::BadReply { what: BadReply::Redirect, .. }), "{status}: {error}");
    }
    // Nobody came: the stub still waits for its first connection.
    let http = Transport::new(elsewhere.address.clone(), None, &TlsOptions::default()).unwrap();
    let call = Call { credential: Credential::Never, ..get(&http) };
    http.send(call).await.unwrap();
    let seen = elsewhere.seen().await;
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].contains("rgs_token"));
}

#[tokio::test]
async fn a_request_says_who_asks_and_with_which_program() {
    let stub = Stub::answering(vec![good("{}"), good("{}"), good("{}")]).await;
    let bare = transport(&stub);
    bare.send(get(&bare)).await.unwrap();
    let totp = bare.with_factor("123456".parse().unwrap());
    totp.send(get(&totp)).await.unwrap();
    let backup = bare.with_factor("abcde-fgh12".parse().unwrap());
    backup.send(get(&backup)).await.unwrap();
    let seen: Vec<String> = stub.seen().await.iter().map(|head| head.to_ascii_lowercase()).collect();
    assert!(seen[0].starts_with("get /api/v1/me http/1.1\r\n"), "{}", seen[0]);
    assert!(seen[0].contains("authorization: bearer rgs_token\r\n") && !seen[0].contains("x-mfa"));
    let agent =
        format!("user-agent: rack-gateway/{} ({})\r\n", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    assert!(seen[0].contains(&agent), "{}", seen[0]);
    assert!(
        seen[1].contains("authorization: bearer rgs_token\r\n") && seen[1].contains("x-mfa-totp: 123456\r\n")
    );
    assert!(
        seen[2].contains("authorization: bearer rgs_token.backup.abcdefgh12\r\n")
            && !seen[2].contains("x-mfa")
    );
}

#[tokio::test]
async fn nothing_is_asked_without_a_credential() {
    let stub = Stub::answering(vec![]).await;
    let nobody = Transport::new(stub.address.clone(), None, &TlsOptions::default()).unwrap();
    let error = nobody.send(get(&nobody)).await.unwrap_err();
    assert!(matches!(error, ClientError::NotSignedIn { refusal: None, .. }), "{error}");
    assert!(stub.seen().await.is_empty());
}

#[tokio::test]
async fn problems_are_told_apart() {
    let problem = |status: &str, kind: &str| {
        let body =
            format!(r#"{{"type":"/problems/{kind}","detail":"because","remedies":[{{"kind":"step_up"}}]}}"#);
        answer(status, "application/problem+json; charset=utf-8", "Retry-After: 7\r\n", &body)
    };
    let error = answered(problem("401 Unauthorized", "step-up-required")).await.unwrap_err();
    assert!(matches!(&error, ClientError::StepUp { refusal } if refusal.wants_code()), "{error}");
    let error = answered(problem("401 Unauthorized", "unauthenticated")).await.unwrap_err();
    assert!(matches!(&error, ClientError::NotSignedIn { refusal: Some(_), .. }), "{error}");
    let error = answered(problem("403 Forbidden", "refused")).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { refusal } if refusal.retry_after_seconds == Some(7)));
    assert_eq!((error.kind(), error.to_string().as_str()), (Some(ProblemKind::Refused), "because"));
    let error = answered(problem("418 I'm a teapot", "of-the-future")).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { refusal } if refusal.status == 418));
}

#[tokio::test]
async fn what_is_no_gateway_is_told_from_one_that_refuses() {
    let error = answered(answer("502 Bad Gateway", "text/html", "", "<h1>nginx</h1>")).await.unwrap_err();
    assert!(matches!(error, ClientError::BadReply { what: BadReply::Status { status: 502 }, .. }));
    let error = answered(answer("401 Unauthorized", "text/html", "", "no")).await.unwrap_err();
    assert!(matches!(error, ClientError::NotSignedIn { refusal: None, .. }));
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{".to_owned();
    assert!(matches!(answered(cut).await, Err(ClientError::BadReply { what: BadReply::Cut, .. })));
    let huge = "x".repeat(MOST_PROBLEM_BYTES + 1);
    let error = answered(answer("403 Forbidden", PROBLEM, "", &huge)).await.unwrap_err();
    assert!(matches!(error, ClientError::BadReply { what: BadReply::TooLarge { .. }, .. }));
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_no_text_holds_the_token() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let token = Secret::new("rgs_token".to_owned());
    let transport = Transport::new(address, Some(token), &TlsOptions::default()).unwrap();
    let error = transport.send(get(&transport)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    assert!(!format!("{error:?} {transport:?}").contains("rgs_token"));
}

#[tokio::test]
async fn a_download_is_passed_on_as_it_comes() {
    let stub = Stub::answering(vec![good("line\nline\n")]).await;
    let transport = transport(&stub);
    let mut out = Vec::new();
    transport.download(get(&transport), &mut out).await.unwrap();
    assert_eq!(out, b"line\nline\n");
}

#[test]
fn a_token_that_cannot_stand_in_a_header_is_not_sent() {
    let token = Secret::new("rgs_a\r\nHost: evil".to_owned());
    let address = "https://g".parse().unwrap();
    let transport = Transport::new(address, Some(token), &TlsOptions::default()).unwrap();
    let error = transport.who().unwrap_err();
    assert!(matches!(error, ClientError::BadHeader("the token")));
}
