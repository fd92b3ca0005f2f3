//! What command lines are answered, short of HTTP.

use std::sync::Arc;

use bytes::Bytes;
use gateway_app::App;
use gateway_app::control::{OwnHead, OwnReply, OwnRequest};
use gateway_app::origin::{Origin, Scheme};
use gateway_app::sign_in::devices;
use gateway_store::{DeviceDecision, NewSession};
use gateway_types::{
    Caller, CredentialKind, Facts, OsEntropy, Principal, ProblemKind, RequestId, Role, Timestamp,
};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::{device, logout, token};
use crate::tests::{Bench, header, nobody};

const FORM: &str = "application/x-www-form-urlencoded";
const CLIENT: (&str, &str) = ("client_id", "rack-gateway-cli");

fn request(app: &App, path: &str, caller: &Caller, content_type: &str, body: &str) -> OwnRequest {
    let route = app.own.identify("POST", path).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    OwnRequest {
        operation: Arc::clone(&route.operation),
        page: None,
        parameters: Vec::new(),
        head: OwnHead {
            method: Method::POST,
            path: path.to_owned(),
            query: None,
            origin: Origin { scheme: Scheme::Https, authority: "gateway.example".to_owned() },
            headers,
            client_certificate: None,
            arrived: None,
        },
        form: Vec::new(),
        body: Bytes::from(body.to_owned()),
        rack_reply: None,
        caller: caller.clone(),
        facts: Facts::default(),
        csrf: None,
        request_id: RequestId::new(Timestamp::from_micros(1), &OsEntropy),
        rack: Arc::new(gateway_app::environments::NoRack),
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn document(reply: &OwnReply) -> Value {
    assert_eq!(reply.content_type, "application/json");
    assert_eq!(header(reply, "cache-control"), Some("no-store"));
    assert_eq!(header(reply, "pragma"), Some("no-cache"));
    serde_json::from_slice(&reply.body).unwrap()
}

async fn ask(bench: &Bench, pairs: &[(&str, &str)]) -> OwnReply {
    token(&bench.app, &request(&bench.app, "/auth/token", &nobody(), FORM, &form(pairs))).await.unwrap()
}

async fn start(bench: &Bench, pairs: &[(&str, &str)]) -> OwnReply {
    device(&bench.app, &request(&bench.app, "/auth/device", &nobody(), FORM, &form(pairs))).await.unwrap()
}

/// A person with a session that is there.
async fn signed_in(bench: &Bench) -> Caller {
    let (user, caller) = bench.user("ann", &[Role::Admin]).await;
    let new = NewSession {
        user: user.id,
        kind: CredentialKind::CliSession,
        expires: bench.app.clock.now().saturating_add(std::time::Duration::from_secs(3600)),
        idle_limit: std::time::Duration::from_secs(3600),
        device: "laptop".to_owned(),
        ip: None,
    };
    let (opened, _secret) = bench.app.store.sessions().create(new).await.unwrap();
    let Principal::User { id, email, roles, kind, .. } = caller.principal else { panic!() };
    Caller { principal: Principal::User { id, email, roles, session: opened.id, kind }, ..caller }
}

#[tokio::test]
async fn faults_of_protocol_are_told_as_oauth_tells_them() {
    let [bench, _] = Bench::both().await;
    let check = async |pairs: &[(&str, &str)], error: &str| {
        let reply = ask(&bench, pairs).await;
        assert_eq!(reply.status, 400);
        let told = document(&reply);
        assert_eq!(told["error"], error, "{pairs:?}");
        assert!(told["error_description"].as_str().unwrap().len() > 10);
    };
    check(&[], "invalid_request").await;
    check(&[("client_id", "other"), ("grant_type", "authorization_code")], "invalid_client").await;
    check(&[CLIENT, ("grant_type", "client_credentials")], "unsupported_grant_type").await;
    let device_grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    check(&[CLIENT, device_grant], "invalid_request").await;
    check(&[CLIENT, device_grant, ("device_code", "none")], "invalid_grant").await;
    let verifier = "v".repeat(43);
    let code = [
        CLIENT,
        ("grant_type", "authorization_code"),
        ("code", "none"),
        ("redirect_uri", "http://127.0.0.1:1234/callback"),
        ("code_verifier", &verifier),
    ];
    check(&code, "invalid_grant").await;
    for (content_type, body) in
        [("application/json", "{}"), ("text/plain", "client_id=rack-gateway-cli"), (FORM, "a=1&a=1")]
    {
        let asked = request(&bench.app, "/auth/token", &nobody(), content_type, body);
        let reply = token(&bench.app, &asked).await.unwrap();
        assert_eq!(document(&reply)["error"], "invalid_request", "{content_type} {body}");
        let asked = request(&bench.app, "/auth/device", &nobody(), content_type, body);
        let reply = device(&bench.app, &asked).await.unwrap();
        assert_eq!(document(&reply)["error"], "invalid_request", "{content_type} {body}");
    }
}

#[tokio::test]
async fn d12_a_device_waits_and_gets_its_session() {
    for bench in Bench::both().await {
        let other = start(&bench, &[("client_id", "other"), ("device", "x")]).await;
        assert_eq!((other.status, &document(&other)["error"]), (400, &json!("invalid_client")));
        let started = document(&start(&bench, &[CLIENT, ("device", "build server")]).await);
        let user_code = started["user_code"].as_str().unwrap();
        assert_eq!(user_code.len(), 9);
        assert_eq!(started["verification_uri"], "https://gateway.example/device");
        assert_eq!((&started["expires_in"], &started["interval"]), (&json!(600), &json!(5)));
        let poll = [
            CLIENT,
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", started["device_code"].as_str().unwrap()),
        ];
        assert_eq!(document(&ask(&bench, &poll).await)["error"], "authorization_pending");
        assert_eq!(document(&ask(&bench, &poll).await)["error"], "slow_down");
        let caller = signed_in(&bench).await;
        let id = RequestId::new(Timestamp::from_micros(1), &OsEntropy);
        devices::decide(&bench.app, &caller, user_code, DeviceDecision::Approve, id).await.unwrap();
        let given = document(&ask(&bench, &poll).await);
        assert!(given["access_token"].as_str().unwrap().starts_with("rgs_"), "{given}");
        assert_eq!(given["token_type"], "Bearer");
        assert_eq!(given["email"], "ann@example.com");
        assert_eq!(given["gateway_id"], bench.app.store.gateway_id().to_string());
        assert_eq!(document(&ask(&bench, &poll).await)["error"], "expired_token");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_that_asks() {
    for bench in Bench::both().await {
        let caller = signed_in(&bench).await;
        let Principal::User { session, .. } = caller.principal else { panic!() };
        let asked = request(&bench.app, "/auth/logout", &caller, FORM, "");
        assert_eq!(logout(&bench.app, &asked).await.unwrap().status, 204);
        let row = bench.app.store.sessions().by_id(session).await.unwrap().unwrap();
        assert!(row.revoked.is_some());
        let refused = logout(&bench.app, &request(&bench.app, "/auth/logout", &nobody(), FORM, "")).await;
        assert_eq!(refused.unwrap_err().kind, ProblemKind::NotPossible);
    }
}
