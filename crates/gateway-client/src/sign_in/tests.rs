//! Both ways to sign in, against a server that says what the test wants.

use gateway_types::OsEntropy;

use super::*;
use crate::stub::{Stub, answer, good};
use crate::tls::TlsOptions;

const SIGNED_IN: &str = r#"{"access_token":"rgs_new","token_type":"Bearer","expires_in":3600,"gateway_id":"g-1","email":"ann@example.com"}"#;

fn client(stub: &Stub) -> Client {
    // A credential that is there must still not be sent to the sign-in endpoints.
    Client::new(stub.address.clone(), Some(Secret::new("rgs_old".to_owned())), &TlsOptions::default())
        .unwrap()
}

fn fault(error: &str) -> String {
    let body = format!(r#"{{"error":"{error}","error_description":"words"}}"#);
    answer("400 Bad Request", "application/json", "", &body)
}

#[tokio::test]
async fn d11_a_code_is_exchanged_with_its_verifier_and_no_credential() {
    let stub = Stub::answering(vec![good(SIGNED_IN)]).await;
    let client = client(&stub);
    let sign_in = LoopbackSignIn::begin("http://127.0.0.1:5/callback".to_owned(), &OsEntropy);
    let page = sign_in.page(&client, "laptop (linux)");
    let signed_in = client.exchange_code(&sign_in, &Secret::new("c&d".to_owned())).await.unwrap();
    assert_eq!(signed_in.access_token.expose(), "rgs_new");
    assert!(!format!("{signed_in:?}").contains("rgs_new"));
    let seen = stub.seen().await.remove(0);
    assert!(seen.starts_with("POST /auth/token HTTP/1.1\r\n") && !seen.contains("rgs_old"), "{seen}");
    let (_, body) = seen.split_once("\r\n\r\n").unwrap();
    let sent: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let field = |name: &str| sent.iter().find(|(key, _)| key == name).unwrap().1.clone();
    assert_eq!(
        (field("grant_type"), field("code"), field("client_id")),
        ("authorization_code".into(), "c&d".into(), CLIENT_ID.into())
    );
    assert_eq!(field("redirect_uri"), "http://127.0.0.1:5/callback");
    assert_eq!(field("code_verifier"), *sign_in.pkce.verifier().expose());
    let asked: Vec<(String, String)> = page.query_pairs().into_owned().collect();
    let asked = |name: &str| asked.iter().find(|(key, _)| key == name).unwrap().1.clone();
    assert_eq!((asked("client"), asked("code_challenge_method")), ("cli".to_owned(), "S256".to_owned()));
    assert_eq!((asked("code_challenge"), asked("state")), (sign_in.pkce.challenge(), sign_in.state.clone()));
    assert_eq!(asked("device"), "laptop (linux)");
    assert!(!page.as_str().contains(sign_in.pkce.verifier().expose()));
}

#[tokio::test]
async fn d12_a_device_is_asked_about_until_the_person_answers() {
    let begun = r#"{"device_code":"dc","user_code":"ABCD-EFGH","verification_uri":"https://g/device","expires_in":99999,"interval":0}"#;
    let stub = Stub::answering(vec![
        good(begun),
        fault("authorization_pending"),
        fault("slow_down"),
        fault("access_denied"),
        fault("expired_token"),
        fault("invalid_grant"),
        good(SIGNED_IN),
    ])
    .await;
    let client = client(&stub);
    let device = client.begin_device("laptop (linux)").await.unwrap();
    assert_eq!((device.interval(), device.lifetime()), (Duration::from_secs(1), Duration::from_secs(3600)));
    assert!(!format!("{device:?}").contains("dc\""));
    assert!(matches!(client.poll_device(&device).await, Ok(DeviceAnswer::Pending)));
    assert!(matches!(client.poll_device(&device).await, Ok(DeviceAnswer::SlowDown)));
    assert!(matches!(client.poll_device(&device).await, Err(SignInError::Denied)));
    assert!(matches!(client.poll_device(&device).await, Err(SignInError::Expired)));
    assert!(matches!(client.poll_device(&device).await, Err(SignInError::Protocol { .. })));
    assert!(matches!(client.poll_device(&device).await, Ok(DeviceAnswer::SignedIn(_))));
    assert!(stub.seen().await.iter().all(|request| !request.contains("rgs_old")));
}

#[tokio::test]
async fn what_is_no_token_reply_signs_nobody_in() {
    let stub = Stub::answering(vec![
        good("{}"),
        answer("302 Found", "text/html", "Location: https://evil.example.com/\r\n", ""),
        answer("500 Internal Server Error", "text/plain", "", "oh"),
    ])
    .await;
    let client = client(&stub);
    for _ in 0..3 {
        assert!(matches!(client.token("a=b".to_owned()).await, Err(SignInError::Client(_))));
    }
}
