//! Against a tiny HTTP server that shows what it was asked and answers what it is told to.

use gateway_config::{Postmark, Url};
use gateway_types::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::some_mail;
use crate::mail::PostmarkMailer;
use crate::{MailError, Mailer};

/// A server for one request: its head in lower case and its body.
async fn server(reply: String) -> (Url, JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _peer) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        let (head, body) = loop {
            let mut chunk = [0u8; 4096];
            let count = stream.read(&mut chunk).await.unwrap();
            assert!(count > 0, "the request ended early");
            bytes.extend_from_slice(&chunk[..count]);
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if bytes.len() == end + 4 + length.parse::<usize>().unwrap() {
                break (head, bytes[end + 4..].to_vec());
            }
        };
        stream.write_all(reply.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        (head, body)
    });
    (url, asked)
}

fn reply(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn mailer(api_base: Url) -> PostmarkMailer {
    let token = Secret::new("t0ken-of-postmark".to_owned());
    PostmarkMailer::new("gateway@example.com", &Postmark { token, api_base, stream: "outbound".to_owned() })
        .unwrap()
}

async fn refused(status: &str, body: &str) -> MailError {
    let (url, asked) = server(reply(status, body)).await;
    let error = mailer(url).send(&some_mail()).await.unwrap_err();
    asked.await.unwrap();
    assert!(!format!("{error:?} {error}").contains("t0ken"), "{error:?}");
    error
}

#[tokio::test]
async fn a_mail_is_posted() {
    let (url, asked) = server(reply("200 OK", r#"{"ErrorCode":0,"Message":"OK","MessageID":"x"}"#)).await;
    let mailer = mailer(url);
    assert!(!format!("{mailer:?}").contains("t0ken"));
    let mail = some_mail();
    mailer.send(&mail).await.unwrap();
    let (head, body) = asked.await.unwrap();
    assert!(head.starts_with("post /email http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nx-postmark-server-token: t0ken-of-postmark"), "{head}");
    let expected = json!({
        "From": "Rack Gateway <gateway@example.com>",
        "To": "ann@example.com",
        "Subject": mail.subject,
        "TextBody": mail.text,
        "HtmlBody": mail.html,
        "MessageStream": "outbound",
        "Headers": [{ "Name": "Auto-Submitted", "Value": "auto-generated" }],
    });
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
}

#[tokio::test]
async fn what_postmark_says_decides_on_another_try() {
    let inactive =
        refused("422 Unprocessable Entity", r#"{"ErrorCode":406,"Message":"inactive recipient"}"#).await;
    assert!(inactive.is_final(), "{inactive:?}");
    assert_eq!(inactive.to_string(), "Postmark answered 422 with error code 406: inactive recipient");
    let token = refused("401 Unauthorized", r#"{"ErrorCode":10,"Message":"bad or missing token"}"#).await;
    assert!(!token.is_final(), "{token:?}");
    let down = refused("503 Service Unavailable", "<html>down</html>").await;
    assert!(
        matches!(&down, MailError::Postmark { status: 503, code: 0, .. }) && !down.is_final(),
        "{down:?}"
    );
    // Success is what Postmark calls so, not what looks like it.
    let odd = refused("200 OK", "hello").await;
    assert!(!odd.is_final(), "{odd:?}");
    let odd = refused("200 OK", r#"{"ErrorCode":300,"Message":"bad To"}"#).await;
    assert!(odd.is_final(), "{odd:?}");
    let long = refused("500 Oops", &format!(r#"{{"ErrorCode":1,"Message":"{}"}}"#, "é".repeat(4000))).await;
    assert!(long.to_string().len() < 400, "{long}");
}

/// A redirect would take the token somewhere else.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{address}/email\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let (url, asked) = server(moved).await;
    let refused = mailer(url).send(&some_mail()).await.unwrap_err();
    asked.await.unwrap();
    assert!(matches!(refused, MailError::Postmark { status: 307, .. }), "{refused:?}");
    let visitor =
        std::future::poll_fn(|context| std::task::Poll::Ready(elsewhere.poll_accept(context))).await;
    assert!(visitor.is_pending(), "somebody came");
}

#[tokio::test]
async fn nobody_there_is_tried_again() {
    let error = mailer("http://127.0.0.1:1/".parse().unwrap()).send(&some_mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Http { .. }) && !error.is_final(), "{error:?}");
}
