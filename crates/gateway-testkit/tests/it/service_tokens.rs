//! Access tokens of an issuer that one service lists: good there, with that role, and nowhere else.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD as B64;
use gateway_testkit::stub::StubRack;
use gateway_testkit::{FakeClock, RawClient, TestGateway};
use gateway_types::Clock;
use serde_json::{Value, json};

use crate::sign_on::echo;

/// An issuer's keys over HTTP on this machine.
async fn issuer(key: &Ed25519KeyPair) -> StubRack {
    let keys = json!({ "keys": [
        { "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": B64.encode(key.public_key().as_ref()) },
    ]})
    .to_string();
    StubRack::start(move |mut connection| {
        let keys = keys.clone();
        async move {
            let length = keys.len();
            connection
                .send(format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{keys}"))
                .await;
        }
    })
    .await
}

fn sign(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| B64.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(header), encode(claims));
    format!("{signed}.{}", B64.encode(key.sign(signed.as_bytes()).as_ref()))
}

fn claims(issuer: &str, clock: &FakeClock) -> Value {
    let now = clock.now().micros() / 1_000_000;
    json!({ "iss": issuer, "aud": "https://wiki.example.com", "sub": "robot-7", "iat": now, "exp": now + 300 })
}

async fn ask(gateway: &TestGateway, method: &str, host: &str, path: &str, token: &str) -> (u16, String) {
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"))
        .await;
    let reply = client.reply().await.expect("a reply");
    (reply.status, reply.text())
}

#[tokio::test]
async fn f3_a_token_of_a_listed_issuer_has_its_role_at_its_service_and_is_nobody_elsewhere() {
    let (service, key) = (echo().await, Ed25519KeyPair::generate().unwrap());
    let keys = issuer(&key).await;
    let name = keys.url();
    let gateway = TestGateway::builder()
        .file(&format!(
            "[[service]]\nname = \"wiki\"\nhosts = [\"wiki.example.com\"]\nupstreams = [{{ url = \"{url}\" }}]\n\
             [[service.issuer]]\nissuer = \"{name}\"\naudience = \"https://wiki.example.com\"\njwks_url = \"{name}/keys\"\nrole = \"ops\"\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/page\"\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/ops\"\nrole = \"ops\"\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/admin\"\nrole = \"admin\"\n\
             [[service.route]]\nmethod = \"POST\"\npath = \"/drop\"\nclass = \"critical\"\nrole = \"viewer\"\n\
             [[service.route]]\nmethod = \"POST\"\npath = \"/fresh\"\nstep_up = \"bound\"\nrole = \"viewer\"\n\
             [[service]]\nname = \"shop\"\nhosts = [\"shop.example.com\"]\nupstreams = [{{ url = \"{url}\" }}]\n\
             [[service.issuer]]\nissuer = \"{name}\"\naudience = \"https://shop.example.com\"\njwks_url = \"{name}/keys\"\nrole = \"admin\"\n",
            url = service.url()
        ))
        .start()
        .await;
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "one" });
    let token = sign(&key, &header, &claims(&name, &gateway.clock));
    for (method, path, status) in [
        ("GET", "/page", 200),
        ("GET", "/ops", 200),
        ("GET", "/admin", 403),
        ("POST", "/drop", 403),
        ("POST", "/fresh", 403),
    ] {
        let (told, text) = ask(&gateway, method, "wiki.example.com", path, &token).await;
        assert_eq!(told, status, "{path}: {text}");
        assert!(!text.contains(&token), "the token goes no further");
    }
    // Nowhere else, at that service's neighbour least of all.
    for (host, path) in [
        ("shop.example.com", "/page"),
        ("gateway.example.com", "/api/v1/me"),
        ("gateway.example.com", "/api/v1/rack-proxy/apps"),
        ("gateway.example.com", "/api/v1/services"),
    ] {
        let (status, text) = ask(&gateway, "GET", host, path, &token).await;
        assert_eq!(status, 401, "{host}{path}: {text}");
    }
    // As a password of Basic, as a cookie, and with a factor behind it.
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!("GET /page HTTP/1.1\r\nHost: wiki.example.com\r\nCookie: __Host-rgw={token}\r\n\r\n"))
        .await;
    assert_eq!(client.reply().await.expect("a reply").status, 401);
    assert_ne!(
        ask(&gateway, "GET", "wiki.example.com", "/page", &format!("{token}.totp.123456")).await.0,
        200
    );
    // The corpus, over the wire.
    let other = Ed25519KeyPair::generate().unwrap();
    let changed = |member: &str, value: Value| {
        let mut claims = claims(&name, &gateway.clock);
        claims[member] = value;
        sign(&key, &header, &claims)
    };
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for (what, token) in [
        ("another key", sign(&other, &header, &claims(&name, &gateway.clock))),
        ("alg none", sign(&key, &json!({ "alg": "none" }), &claims(&name, &gateway.clock))),
        ("alg HS256", sign(&key, &json!({ "alg": "HS256", "kid": "one" }), &claims(&name, &gateway.clock))),
        ("no signature", unsigned),
        ("another audience", changed("aud", json!("https://shop.example.com"))),
        ("another issuer", changed("iss", json!("https://evil.example"))),
        ("expired", changed("exp", json!(gateway.clock.now().micros() / 1_000_000 - 61))),
        (
            "an id token",
            sign(
                &key,
                &json!({ "alg": "EdDSA", "typ": "JWT", "kid": "one" }),
                &claims(&name, &gateway.clock),
            ),
        ),
    ] {
        let (status, text) = ask(&gateway, "GET", "wiki.example.com", "/page", &token).await;
        assert_eq!(status, 401, "{what}: {text}");
    }
    // The log names issuer and subject.
    let events = gateway.events().await;
    let (_, event) = events
        .iter()
        .find(|(_, event)| event.route.as_deref() == Some("GET wiki:/ops"))
        .expect("an event of the call");
    assert_eq!(event.actor.id.as_deref(), Some("robot-7"));
    assert_eq!(event.actor.on_behalf_of.as_deref(), Some(name.as_str()));
    assert!(events.iter().all(|(_, event)| !format!("{event:?}").contains(&token)), "no token in the log");
    // Once it is over it is over.
    gateway.clock.advance(std::time::Duration::from_secs(361));
    assert_eq!(ask(&gateway, "GET", "wiki.example.com", "/page", &token).await.0, 401);
    gateway.finish().await;
}
