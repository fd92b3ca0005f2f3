//! Who is let in: the gateway's word, roles, 404 for what cannot be read and 403 for what cannot be written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::named::{Named, eventually};
use crate::shim::{Answer, Shim, body, by_updates};

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn jwks(seed: u8) -> String {
    let x = b64(key(seed).public_key());
    json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k"}]}).to_string()
}

/// A request as the gateway would pass it on for a caller of this role and id.
async fn call(shim: &Shim, (seed, role, subject): (u8, &str, &str), method: Method, path: &str) -> Answer {
    let request = shim.request(method.clone(), path);
    let request = match method {
        Method::PUT => request.json(&body(&[("A", &["192.0.2.1"])])),
        _ => request,
    };
    shim.send(request.header("gateway-token", token((seed, role, subject), &method, path))).await
}

#[expect(clippy::disallowed_methods, reason = "the program under test has the system's time")]
fn token((seed, role, subject): (u8, &str, &str), method: &Method, path: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let hash = b64(digest(&SHA256, format!("{method}\n{path}").as_bytes()));
    let claims = json!({
        "iss": "https://gw.test", "aud": "dns", "sub": subject, "name": "token:api-1", "kind": "user", "roles": [role],
        "service": "dns", "step_up": "none", "jti": "request-1", "iat": now, "nbf": now, "exp": now + 60,
        "htm": method.as_str(), "htu_hash": hash,
    });
    let message = format!("{}.{}", b64(r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#), b64(claims.to_string()));
    format!("{message}.{}", b64(key(seed).sign(message.as_bytes())))
}

fn trust(keys: &str) -> String {
    format!("[gateway]\nissuer = \"https://gw.test\"\naudience = \"dns\"\nkeys = \"{keys}\"\n")
}

const NAME: &str = "/zones/corp.test/names/www.corp.test";

#[tokio::test]
async fn unreadable_is_404_and_unwritable_is_403() {
    let named = Named::updated().await;
    let keys = named.place.path().join("jwks");
    std::fs::write(&keys, jwks(7)).unwrap();
    let shim = Shim::start_with(&trust(&format!("file:{}", keys.display())), &by_updates(&named));
    eventually("the keys", || async {
        (Shim::get_from(&shim.url, "/healthz").await.status() == 200).then_some(())
    })
    .await;
    let check = async |role: &str, subject: &str, method: Method, path: &str, expected: u16| {
        let answer = call(&shim, (7, role, subject), method.clone(), path).await;
        assert_eq!(answer.status.as_u16(), expected, "{role} {subject} {method} {path}: {answer:?}");
        answer
    };
    let there = check("other", "x", Method::GET, "/zones/corp.test", 404).await;
    let nowhere = check("other", "x", Method::GET, "/zones/none.test", 404).await;
    assert_eq!(there.body, nowhere.body);
    for (method, path) in
        [(Method::PUT, NAME), (Method::DELETE, NAME), (Method::GET, "/zones/corp.test/names")]
    {
        check("other", "x", method, path, 404).await;
    }
    assert_eq!(check("other", "x", Method::GET, "/zones", 200).await.body["zones"], json!([]));
    assert_eq!(check("other", "x", Method::GET, "/drift", 200).await.body["zones"], json!([]));
    check("viewer", "x", Method::GET, NAME, 404).await;
    check("viewer", "x", Method::PUT, NAME, 403).await;
    check("viewer", "x", Method::DELETE, NAME, 403).await;
    check("ops", "x", Method::PUT, NAME, 202).await;
    check("viewer", "x", Method::GET, NAME, 200).await;
    check("other", "api-1", Method::DELETE, NAME, 202).await;
    let change = check("viewer", "x", Method::GET, "/zones/corp.test/changes/2", 200).await.body;
    assert_eq!((&change["by"], &change["request_id"]), (&"token:api-1".into(), &"request-1".into()));
    check("other", "token:api-1", Method::GET, "/zones/corp.test", 404).await;

    // Another key, another path, none at all.
    assert_eq!(call(&shim, (8, "ops", "x"), Method::GET, "/zones").await.status, 401);
    let elsewhere = token((7, "ops", "x"), &Method::GET, "/drift");
    let request = shim.request(Method::GET, "/zones").header("gateway-token", elsewhere);
    assert_eq!(shim.send(request).await.status, 401);
    assert_eq!(shim.get("/zones").await.status, 401);
    assert_eq!(shim.get("/openapi.json").await.status, 401);
    let document = check("other", "x", Method::GET, "/openapi.json", 200).await.body;
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_they_are_fetched_when_they_come() {
    let named = Named::updated().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
    let shim = Shim::start_with(&trust(&url), &by_updates(&named));
    assert_eq!(call(&shim, (7, "ops", "x"), Method::GET, "/zones").await.status, 401);
    assert_eq!(Shim::get_from(&shim.url, "/healthz").await.status(), 503);
    let body = jwks(7);
    let gateway = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0u8; 2048];
        let size = stream.read(&mut head).await.unwrap();
        assert!(head[..size].starts_with(b"GET /.well-known/jwks.json "));
        let reply =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        stream.write_all(reply.as_bytes()).await.unwrap();
    });
    eventually("the keys", || async {
        (Shim::get_from(&shim.url, "/healthz").await.status() == 200).then_some(())
    })
    .await;
    assert_eq!(call(&shim, (7, "ops", "x"), Method::GET, "/zones").await.status, 200);
    gateway.await.unwrap();
}
