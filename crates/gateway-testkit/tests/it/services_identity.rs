//! How a service learns who calls: a token that rack-gateway-verify checks, headers, or not at all.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_testkit::{Authenticator, Database, RawClient, Reply, TestGateway};
use gateway_types::Role;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rack_gateway_verify::{GatewayIdentity, Keys, StepUp, Verifier, VerifyLayer};
use tokio::net::TcpListener;
use tower::Layer as _;

use super::service_kit::{Instance, ask, gateway, get, wiki};

async fn keys_of(gateway: &TestGateway) -> String {
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply = client.ask("GET", "!/.well-known/jwks.json", "", &[], b"").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/jwk-set+json")));
    assert!(!reply.text().contains("\"d\""), "{}", reply.text());
    reply.text()
}

fn payload(token: &str) -> serde_json::Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_token_names_the_caller_and_the_very_request() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "audience = \"urn:wiki\"").await;
    assert_eq!(ask(&gateway, "POST", "/page?a=1", "Gateway-Token: eve\r\n", "x").await.status, 200);
    let seen = instance.only();
    let [token] = seen.headers("gateway-token")[..] else { panic!("{}", seen.head) };
    let issuer = format!("urn:uuid:{}", gateway.store().gateway_id());
    let published = keys_of(&gateway).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&published).unwrap()["issuer"], issuer);
    let keys = Keys::from_jwks(&published).unwrap();
    let verifier = Verifier::new(&issuer, "urn:wiki", keys);
    let now = gateway_types::Clock::now(&*gateway.clock).micros() / 1_000_000;
    let who = verifier.verify(token, "POST", "/page?a=1", now).unwrap();
    assert_eq!(who.name, "token:admin for tests");
    assert_eq!(who.on_behalf_of.as_deref(), Some("admin@example.com"));
    assert_eq!((who.service.as_str(), who.step_up), ("wiki", StepUp::None));
    assert!(who.has_role("admin"));
    assert_eq!(Some(who.request_id.as_str()), seen.header("x-request-id"));
    let claims = payload(token);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert!(verifier.verify(token, "POST", "/page?a=2", now).is_err());
    assert!(verifier.verify(token, "GET", "/page?a=1", now).is_err());
    gateway.finish().await;
}

/// A request as this credential sends it.
async fn as_credential(gateway: &TestGateway, method: &str, target: &str, credential: &str) -> Reply {
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "{method} {target} HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Bearer {credential}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
    client.reply().await.expect("a reply")
}

/// `step_up` says which second factor counted for the very request: none, one within the window, or one that was given
/// for it.
#[tokio::test]
async fn a_token_says_which_second_factor_counted() {
    let instance = Instance::saying("ok").await;
    let more = "[[service.route]]\nmethod = \"GET\"\npath = \"/page\"\n\
        [[service.route]]\nmethod = \"POST\"\npath = \"/window\"\nstep_up = \"window\"\n\
        [[service.route]]\nmethod = \"POST\"\npath = \"/bound\"\nstep_up = \"bound\"\n";
    let gateway = gateway(&[instance.url()], more).await;
    let issuer = format!("urn:uuid:{}", gateway.store().gateway_id());
    let verifier = Verifier::new(&issuer, "wiki", Keys::from_jwks(&keys_of(&gateway).await).unwrap());
    let told = |method: &str, target: &str| {
        let token = instance.seen().last().unwrap().header("gateway-token").unwrap().to_owned();
        let now = gateway_types::Clock::now(&*gateway.clock).micros() / 1_000_000;
        verifier.verify(&token, method, target, now).unwrap().step_up
    };
    let phone = Authenticator::enrol(&gateway, Role::Deployer).await;
    let session = gateway.session(Role::Deployer).await;
    assert_eq!(as_credential(&gateway, "GET", "/page", &session).await.status, 200);
    assert_eq!(told("GET", "/page"), StepUp::None);
    for target in ["/window", "/bound"] {
        let refused = as_credential(&gateway, "POST", target, &session).await;
        assert_eq!(refused.status, 401, "{target}: {}", refused.text());
    }
    assert_eq!(instance.seen().len(), 1, "without a factor nothing goes up");
    // A code that comes with the request is for this request, and opens the window for those after it.
    let with_code = format!("{session}.totp.{}", phone.next(&gateway));
    assert_eq!(as_credential(&gateway, "POST", "/window", &with_code).await.status, 200);
    assert_eq!(told("POST", "/window"), StepUp::Bound);
    assert_eq!(as_credential(&gateway, "POST", "/window", &session).await.status, 200);
    assert_eq!(told("POST", "/window"), StepUp::Window);
    assert_eq!(
        as_credential(&gateway, "POST", "/bound", &session).await.status,
        401,
        "a window is not enough"
    );
    let with_code = format!("{session}.totp.{}", phone.next(&gateway));
    assert_eq!(as_credential(&gateway, "POST", "/bound", &with_code).await.status, 200);
    assert_eq!(told("POST", "/bound"), StepUp::Bound);
    gateway.finish().await;
}

#[tokio::test]
async fn a_person_is_named_by_address_and_a_key_signs_on_after_a_restart() {
    let instance = Instance::saying("ok").await;
    let mut gateway = gateway(&[instance.url()], "").await;
    let session = gateway.session(Role::Ops).await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let head =
        format!("GET /page HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Bearer {session}\r\n\r\n");
    client.send(&head).await;
    assert_eq!(client.reply().await.unwrap().status, 200);
    let before = keys_of(&gateway).await;
    gateway.restart().await;
    assert_eq!(keys_of(&gateway).await, before);
    assert_eq!(get(&gateway, "/page").await.status, 200);
    let seen = instance.seen();
    let claims = payload(seen[0].header("gateway-token").unwrap());
    assert_eq!((claims["kind"].as_str(), claims["email"].as_str()), (Some("user"), Some("ops@example.com")));
    assert_eq!(claims["sub"].as_str(), Some(gateway.person(Role::Ops).id.to_string().as_str()));
    let kid =
        |index: usize| seen[index].header("gateway-token").unwrap().split('.').next().unwrap().to_owned();
    assert_eq!(kid(0), kid(1));
    let events = gateway.events().await;
    assert_eq!(
        events.iter().filter(|(_, event)| event.action.as_str() == "gateway:signing-key:make").count(),
        1
    );
    gateway.finish().await;
}

#[tokio::test]
async fn keys_rotate_with_an_overlap_in_which_tokens_of_both_verify() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    for database in Database::BOTH {
        let instance = Instance::saying("ok").await;
        let file = wiki(&[instance.url()], "");
        let mut gateway = TestGateway::builder().database(database).file(&file).start().await;
        let issuer = format!("urn:uuid:{}", gateway.store().gateway_id());
        let now = |gateway: &TestGateway| gateway_types::Clock::now(&*gateway.clock).micros() / 1_000_000;
        let count = |keys: &str| {
            let keys: serde_json::Value = serde_json::from_str(keys).unwrap();
            keys["keys"].as_array().unwrap().len()
        };
        let token = async |gateway: &TestGateway| {
            assert_eq!(get(gateway, "/page").await.status, 200);
            instance.seen().last().unwrap().header("gateway-token").unwrap().to_owned()
        };
        let kid = |token: &str| token.split('.').next().unwrap().to_owned();
        // A service that read the list once, and never again.
        let first = token(&gateway).await;
        let old = keys_of(&gateway).await;
        assert_eq!(count(&old), 1);
        let verifier = |keys: &str| Verifier::new(&issuer, "wiki", Keys::from_jwks(keys).unwrap());
        assert!(verifier(&old).verify(&first, "GET", "/page", now(&gateway)).is_ok());
        // A day before it is over its successor is published, and does not sign yet.
        gateway.clock.advance(29 * DAY);
        gateway.minute_of_services().await;
        let both = keys_of(&gateway).await;
        assert_eq!(count(&both), 2, "{both}");
        let still = token(&gateway).await;
        assert_eq!(kid(&still), kid(&first));
        assert!(
            verifier(&old).verify(&still, "GET", "/page", now(&gateway)).is_ok(),
            "an old list is enough"
        );
        // Twenty seconds before the turn, and ten after it: both tokens are live, and the list has both keys.
        gateway.clock.advance(DAY - Duration::from_secs(20));
        let last = token(&gateway).await;
        gateway.clock.advance(Duration::from_secs(30));
        gateway.minute_of_services().await;
        let next = token(&gateway).await;
        assert_eq!(kid(&last), kid(&first));
        assert_ne!(kid(&next), kid(&first), "the new key signs");
        assert_eq!(keys_of(&gateway).await, both);
        for token in [&last, &next] {
            verifier(&both).verify(token, "GET", "/page", now(&gateway)).unwrap();
        }
        assert!(
            verifier(&old).verify(&next, "GET", "/page", now(&gateway)).is_err(),
            "a list from before it"
        );
        // Once no token of the old key can be live it is gone, also to a gateway that starts now.
        gateway.clock.advance(Duration::from_secs(3600));
        gateway.minute_of_services().await;
        let new = keys_of(&gateway).await;
        assert_eq!(count(&new), 1);
        gateway.restart().await;
        assert_eq!(keys_of(&gateway).await, new);
        let after = token(&gateway).await;
        assert_eq!(kid(&after), kid(&next));
        verifier(&new).verify(&after, "GET", "/page", now(&gateway)).unwrap();
        assert!(verifier(&new).verify(&last, "GET", "/page", now(&gateway)).is_err());
        let events = gateway.events().await;
        let told = |action: &str| events.iter().filter(|(_, event)| event.action.as_str() == action).count();
        assert_eq!((told("gateway:signing-key:make"), told("gateway:signing-key:forget")), (2, 1));
        gateway.finish().await;
    }
}

#[tokio::test]
async fn headers_tell_programs_that_cannot_check_a_token() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "identity = \"headers\"").await;
    let session = gateway.session(Role::Viewer).await;
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "GET /page HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Bearer {session}\r\n\r\n"
        ))
        .await;
    assert_eq!(client.reply().await.unwrap().status, 200);
    let seen = instance.only();
    for (name, value) in [
        ("x-gateway-user", "viewer@example.com"),
        ("x-gateway-email", "viewer@example.com"),
        ("x-gateway-roles", "viewer"),
        ("x-gateway-kind", "user"),
    ] {
        assert_eq!(seen.headers(name), [value]);
    }
    assert_eq!(seen.header("gateway-token"), None);
    gateway.finish().await;
}

#[tokio::test]
async fn a_service_behind_the_layer_answers_only_through_the_gateway() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let gateway = TestGateway::builder()
        .env("DOMAIN", "gateway.example.com")
        .file(&wiki(&[format!("http://{addr}")], ""))
        .start()
        .await;
    let keys = Keys::from_jwks(&keys_of(&gateway).await).unwrap();
    // The layer's clock is the gateway's: a test's clock stands still.
    static NOW: Mutex<i64> = Mutex::new(0);
    *NOW.lock().unwrap() = gateway_types::Clock::now(&*gateway.clock).micros() / 1_000_000;
    let verifier = Verifier::new("https://gateway.example.com", "wiki", keys);
    let layer = VerifyLayer::new(verifier).at(|| *NOW.lock().unwrap());
    let handler = tower::service_fn(|request: http::Request<Incoming>| async move {
        let who = request.extensions().get::<GatewayIdentity>().map(|who| who.name.clone()).unwrap();
        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(who))))
    });
    let service = Arc::new(layer.layer(handler));
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new((*service).clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    assert_eq!(get(&gateway, "/page?x=%20y").await.text(), "token:admin for tests");
    let mut past = RawClient::connect(addr).await;
    past.send("GET /page HTTP/1.1\r\nHost: x\r\nGateway-Token: a.b.c\r\n\r\n").await;
    assert_eq!(past.reply().await.unwrap().status, 401);
    server.abort();
    gateway.finish().await;
}
