//! The development provider as a browser and a client see it, over TCP. Labels are those of the project's
//! list of bad inputs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use gateway_types::{Clock, Timestamp};
use serde_json::{Value, json};

use super::client::Client;
use crate::{DevClient, DevIdp, DevPerson, IdpFault, IdpOptions};

const VERIFIER: &str = "verifier-verifier-verifier-verifier-verifier";
const REDIRECT: &str = "http://127.0.0.1:8443/auth/callback/dev?x=1";

/// A clock that is set by hand, in seconds.
#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst) * 1_000_000)
    }
}

struct Fixture {
    idp: DevIdp,
    clock: Arc<HandClock>,
}

async fn fixture() -> Fixture {
    let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000)));
    let people = vec![
        DevPerson::new("admin@example.com", "Ada <Admin>", &["admins", "staff"]),
        DevPerson::new("viewer@example.com", "Vic", &[]),
    ];
    let mut options = IdpOptions::new(people, "s3cret/+ x");
    options.clock = Arc::<HandClock>::clone(&clock);
    options.clients.push(DevClient {
        id: "other".to_owned(),
        secret: "other".to_owned(),
        redirect_uris: vec!["https://gateway.example.com/cb".to_owned()],
    });
    Fixture { idp: DevIdp::start(options).await.unwrap(), clock }
}

/// An answer.
struct Got {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The parameters with which the browser is sent back.
    fn back(&self) -> BTreeMap<String, String> {
        assert_eq!(self.status, 303, "{}", self.body);
        let location = url::Url::parse(self.header("location")).unwrap();
        assert!(location.as_str().starts_with("http://127.0.0.1:8443/auth/callback/dev?"), "{location}");
        location.query_pairs().into_owned().collect()
    }
}

async fn send(at: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Got {
    let mut client = Client::connect(at).await;
    let length = body.len();
    client
        .send(format!(
            "{method} {target} HTTP/1.1\r\nHost: idp\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{headers}\r\n{body}"
        ))
        .await;
    let (head, body) = client.answer().await.unwrap();
    Got {
        status: head.second.parse().unwrap(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn challenge(verifier: &str) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref())
}

/// The right request, with these fields instead; an empty value leaves the field out.
fn authorize(instead: &[(&str, &str)]) -> String {
    let challenge = challenge(VERIFIER);
    let mut fields: Vec<(&str, &str)> = vec![
        ("response_type", "code"),
        ("client_id", "rack-gateway"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid email profile"),
        ("state", "st&te"),
        ("nonce", "n0nce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in instead {
        fields.retain(|(have, _)| have != name);
        if !value.is_empty() {
            fields.push((name, value));
        }
    }
    format!("/authorize?{}", form(&fields))
}

fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credential = BASE64.encode(format!("{}:{}", encode(id), encode(secret)).as_bytes());
    format!("Authorization: Basic {credential}\r\n")
}

impl Fixture {
    async fn code(&self, instead: &[(&str, &str)]) -> String {
        let target = authorize(instead);
        let body = form(&[("person", "admin@example.com")]);
        let back = send(self.idp.addr(), "POST", &target, "", &body).await.back();
        back.get("code").unwrap().clone()
    }

    /// Exchanges a code with the right fields, and these instead.
    async fn exchange(&self, code: &str, instead: &[(&str, &str)]) -> Got {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        for (name, value) in instead {
            fields.retain(|(have, _)| have != name);
            if !value.is_empty() {
                fields.push((name, value));
            }
        }
        let headers = basic("rack-gateway", "s3cret/+ x");
        send(self.idp.addr(), "POST", "/token", &headers, &form(&fields)).await
    }

    async fn keys(&self) -> Vec<Value> {
        let keys = send(self.idp.addr(), "GET", "/keys", "", "").await.json();
        keys["keys"].as_array().unwrap().clone()
    }

    /// The header and claims of a token, and whether it is signed by the published key.
    async fn token(&self) -> (Value, Value, bool) {
        let got = self.exchange(&self.code(&[]).await, &[]).await;
        let token = got.json()["id_token"].as_str().unwrap().to_owned();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let keys = self.keys().await;
        let field = |name: &str| decode(keys[0][name].as_str().unwrap());
        let key = RsaPublicKeyComponents { n: field("n"), e: field("e") };
        let signed = key.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &decode(signature)).is_ok();
        let value = |text: &str| serde_json::from_slice(&decode(text)).unwrap();
        (value(header), value(claims), signed)
    }
}

fn refused(got: &Got, error: &str, what: &str) {
    assert_eq!((got.status, got.json()["error"].as_str()), (400, Some(error)), "{what}: {}", got.body);
}

#[tokio::test]
async fn the_documents_say_what_there_is() {
    let fixture = fixture().await;
    let issuer = fixture.idp.url();
    let discovery = send(fixture.idp.addr(), "GET", "/.well-known/openid-configuration", "", "").await;
    assert_eq!(discovery.header("content-type"), "application/json");
    let document = discovery.json();
    assert_eq!(document["issuer"], issuer.as_str());
    assert_eq!(document["token_endpoint"], format!("{issuer}/token"));
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    let keys = fixture.keys().await;
    assert_eq!((keys.len(), keys[0]["kid"].as_str()), (1, Some("dev-1")));
    fixture.idp.rotate_key().unwrap();
    let rotated = fixture.keys().await;
    assert_eq!(rotated[0]["kid"], "dev-2");
    assert_ne!(rotated[0]["n"], keys[0]["n"]);
    assert_eq!(fixture.idp.count("/keys"), 2);
    for (method, path, status) in [("GET", "/", 404), ("GET", "/token", 405), ("DELETE", "/authorize", 405)] {
        assert_eq!(send(fixture.idp.addr(), method, path, "", "").await.status, status, "{method} {path}");
    }
    fixture.idp.stop().await;
}

#[tokio::test]
async fn the_page_works_without_scripts_and_escapes_what_it_shows() {
    let fixture = fixture().await;
    let target = authorize(&[("state", "\"><script>alert(1)</script>")]);
    let page = send(fixture.idp.addr(), "GET", &target, "", "").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
    assert_eq!((page.header("cache-control"), page.header("x-frame-options")), ("no-store", "DENY"));
    assert!(!page.body.contains("<script") && !page.body.contains("style="), "{}", page.body);
    assert!(page.body.contains("value=\"admin@example.com\"") && page.body.contains("Vic"), "{}", page.body);
    assert!(page.body.contains("Ada &#60;Admin&#62;"), "{}", page.body);
    assert!(page.body.contains("<form method=\"post\" action=\"/authorize?"), "{}", page.body);
    let style = send(fixture.idp.addr(), "GET", "/style.css", "", "").await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
}

#[tokio::test]
async fn somebody_is_chosen_and_sent_back() {
    let fixture = fixture().await;
    let back =
        send(fixture.idp.addr(), "POST", &authorize(&[]), "", &form(&[("person", "viewer@example.com")]))
            .await;
    let parameters = back.back();
    assert_eq!(parameters["state"], "st&te");
    assert_eq!(parameters["iss"], fixture.idp.url());
    assert_eq!(parameters["x"], "1", "the address's own query is kept");
    assert_eq!(parameters["code"].len(), 43);
    let cancelled = send(fixture.idp.addr(), "POST", &authorize(&[]), "", &form(&[("person", "")])).await;
    assert_eq!(cancelled.back()["error"], "access_denied");
    let stranger =
        send(fixture.idp.addr(), "POST", &authorize(&[]), "", &form(&[("person", "eve@example.com")])).await;
    assert_eq!((stranger.status, stranger.header("location")), (400, ""));
    // Nobody is signed in by an address alone: a GET only shows the page.
    let hinted = authorize(&[("login_hint", "admin@example.com"), ("prompt", "none")]);
    assert_eq!(send(fixture.idp.addr(), "GET", &hinted, "", "").await.status, 200);
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_the_clients() {
    let fixture = fixture().await;
    let status = async |fields: &[(&str, &str)]| {
        let got = send(fixture.idp.addr(), "GET", &authorize(fields), "", "").await;
        assert_eq!(got.header("location"), "", "{fields:?}");
        got.status
    };
    for right in ["https://127.0.0.1/cb", "http://[::1]:1/cb", "http://localhost:8443/auth/callback/dev"] {
        assert_eq!(status(&[("redirect_uri", right)]).await, 200, "{right}");
    }
    for wrong in [
        "https://gateway.example.com/cb",
        "http://127.0.0.1.evil.com/cb",
        "http://user@127.0.0.1/cb",
        "http://127.0.0.1/cb#f",
        "javascript:alert(1)",
        "/cb",
        "",
    ] {
        assert_eq!(status(&[("redirect_uri", wrong)]).await, 400, "{wrong}");
    }
    let other = [("client_id", "other"), ("redirect_uri", "https://gateway.example.com/cb")];
    assert_eq!(status(&other).await, 200);
    assert_eq!(status(&[("client_id", "nobody")]).await, 400);
    assert_eq!(status(&[("client_id", "")]).await, 400);
    let twice = format!("{}&redirect_uri=http://127.0.0.1/other", authorize(&[]));
    assert_eq!(send(fixture.idp.addr(), "GET", &twice, "", "").await.status, 400);
}

#[tokio::test]
async fn d3_a_request_without_s256_gets_no_code() {
    let fixture = fixture().await;
    for (field, value, error) in [
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge", VERIFIER, "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "s256", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code id_token", "unsupported_response_type"),
        ("response_mode", "form_post", "invalid_request"),
        ("scope", "email", "invalid_scope"),
    ] {
        for method in ["GET", "POST"] {
            let body = form(&[("person", "admin@example.com")]);
            let back =
                send(fixture.idp.addr(), method, &authorize(&[(field, value)]), "", &body).await.back();
            assert_eq!(back.get("error").map(String::as_str), Some(error), "{method} {field}={value}");
            assert!(!back.contains_key("code"));
        }
    }
}

#[tokio::test]
async fn a_code_is_an_id_token() {
    let fixture = fixture().await;
    let (header, claims, signed) = fixture.token().await;
    assert!(signed);
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": "dev-1"}));
    assert_eq!(
        claims,
        json!({
            "iss": fixture.idp.url(), "sub": DevPerson::new("admin@example.com", "", &[]).subject,
            "aud": "rack-gateway", "azp": "rack-gateway", "exp": 1_800_000_300, "iat": 1_800_000_000,
            "auth_time": 1_800_000_000, "email": "admin@example.com", "email_verified": true,
            "name": "Ada <Admin>", "groups": ["admins", "staff"], "nonce": "n0nce",
        })
    );
}

#[tokio::test]
async fn d3_a_code_works_once_for_its_client_address_and_verifier() {
    let fixture = fixture().await;
    let code = fixture.code(&[]).await;
    assert_eq!(fixture.exchange(&code, &[]).await.status, 200);
    refused(&fixture.exchange(&code, &[]).await, "invalid_grant", "reused");
    let (short, long) = ("a".repeat(42), "a".repeat(129));
    for (field, value) in [
        ("code", "unknown"),
        ("code", ""),
        ("redirect_uri", "http://127.0.0.1:8443/other"),
        ("redirect_uri", ""),
        ("code_verifier", ""),
        ("code_verifier", "another-another-another-another-another-another"),
        ("code_verifier", &short),
        ("code_verifier", &long),
        ("code_verifier", &challenge(VERIFIER)),
    ] {
        let code = fixture.code(&[]).await;
        refused(
            &fixture.exchange(&code, &[(field, value)]).await,
            "invalid_grant",
            &format!("{field}={value}"),
        );
        if field != "code" {
            refused(&fixture.exchange(&code, &[]).await, "invalid_grant", "after a wrong attempt");
        }
    }
    let foreign = fixture.code(&[("client_id", "other")]).await;
    refused(&fixture.exchange(&foreign, &[]).await, "invalid_grant", "another client's");
    let code = fixture.code(&[]).await;
    refused(&fixture.exchange(&code, &[("grant_type", "password")]).await, "unsupported_grant_type", "grant");
    // Verifiers of 42 and 129 characters are none, also when the challenge is theirs.
    for wrong in [&short, &long] {
        let code = fixture.code(&[("code_challenge", &challenge(wrong))]).await;
        refused(&fixture.exchange(&code, &[("code_verifier", wrong)]).await, "invalid_grant", wrong);
    }
    for right in ["a".repeat(43), "a".repeat(128)] {
        let code = fixture.code(&[("code_challenge", &challenge(&right))]).await;
        assert_eq!(fixture.exchange(&code, &[("code_verifier", &right)]).await.status, 200);
    }
}

#[tokio::test]
async fn d3_a_code_lives_a_minute() {
    let fixture = fixture().await;
    let (late, right) = (fixture.code(&[]).await, fixture.code(&[]).await);
    fixture.clock.0.fetch_add(59, Ordering::SeqCst);
    assert_eq!(fixture.exchange(&right, &[]).await.status, 200);
    fixture.clock.0.fetch_add(1, Ordering::SeqCst);
    refused(&fixture.exchange(&late, &[]).await, "invalid_grant", "late");
}

#[tokio::test]
async fn a_client_shows_its_secret() {
    let fixture = fixture().await;
    let code = fixture.code(&[]).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let posted = |id: &'static str, secret: &'static str| {
        form(&[&fields[..], &[("client_id", id), ("client_secret", secret)]].concat())
    };
    let at = fixture.idp.addr();
    for (headers, body) in [
        (String::new(), form(&fields)),
        (String::new(), posted("rack-gateway", "wrong")),
        (String::new(), posted("nobody", "s3cret/+ x")),
        (basic("rack-gateway", "wrong"), form(&fields)),
        (basic("rack-gateway", "s3cret/+ x"), posted("rack-gateway", "s3cret/+ x")),
        ("Authorization: Bearer s3cret\r\n".to_owned(), form(&fields)),
        ("Authorization: Basic !\r\n".to_owned(), form(&fields)),
    ] {
        let got = send(at, "POST", "/token", &headers, &body).await;
        assert_eq!((got.status, got.json()["error"].as_str()), (401, Some("invalid_client")), "{headers}");
    }
    let got = send(at, "POST", "/token", "", &posted("rack-gateway", "s3cret/+ x")).await;
    assert_eq!(got.status, 200, "the code was not used up by strangers: {}", got.body);
}

#[tokio::test]
async fn faults_break_one_rule_each_until_it_behaves() {
    let fixture = fixture().await;
    let idp = &fixture.idp;
    idp.misbehave(IdpFault::claim("nonce", "other"));
    idp.misbehave(IdpFault::claim("email_verified", "false"));
    idp.misbehave(IdpFault::without("email"));
    let (_, claims, signed) = fixture.token().await;
    assert!(signed && claims["nonce"] == "other" && claims["email_verified"] == "false");
    assert_eq!(claims.get("email"), None);
    idp.behave();
    let (_, claims, _) = fixture.token().await;
    assert_eq!((claims["nonce"].as_str(), claims["email_verified"].as_bool()), (Some("n0nce"), Some(true)));

    let header = async |fault: IdpFault| {
        idp.behave();
        idp.misbehave(fault);
        let (header, claims, signed) = fixture.token().await;
        (header, claims["exp"].as_i64().unwrap(), signed)
    };
    assert_eq!(header(IdpFault::AlgorithmNone).await.0["alg"], "none");
    let (named, _, signed) = header(IdpFault::AlgorithmHs256).await;
    assert!(named["alg"] == "HS256" && !signed);
    assert!(!header(IdpFault::WrongSignature).await.2);
    assert_eq!(header(IdpFault::Expired).await.1, 1_800_000_000 - 3600);
    assert_eq!(header(IdpFault::NoKeyId).await.0.get("kid"), None);
    assert_eq!(fixture.keys().await[0].get("kid"), None);

    idp.behave();
    idp.misbehave(IdpFault::DuplicateKeyId);
    let keys = fixture.keys().await;
    assert!(keys.len() == 2 && keys[0]["kid"] == keys[1]["kid"] && keys[0]["n"] != keys[1]["n"]);
    idp.misbehave(IdpFault::ManyKeys);
    assert_eq!(fixture.keys().await.len(), 10_002);

    idp.behave();
    idp.misbehave(IdpFault::CallbackIssuer(None));
    idp.misbehave(IdpFault::CallbackState("other".to_owned()));
    let body = form(&[("person", "admin@example.com")]);
    let back = send(idp.addr(), "POST", &authorize(&[]), "", &body).await.back();
    assert!(!back.contains_key("iss") && back["state"] == "other");

    let document = "/.well-known/openid-configuration";
    idp.misbehave(IdpFault::DiscoveryIssuer("https://evil.example.com".to_owned()));
    assert_eq!(send(idp.addr(), "GET", document, "", "").await.json()["issuer"], "https://evil.example.com");
    idp.misbehave(IdpFault::HugeDiscovery);
    assert_eq!(send(idp.addr(), "GET", document, "", "").await.body.len(), 50 << 20);
    idp.misbehave(IdpFault::Status("/keys", 500));
    assert_eq!(send(idp.addr(), "GET", "/keys", "", "").await.status, 500);
    idp.misbehave(IdpFault::Redirect("/token", "http://127.0.0.1:1/".to_owned()));
    let got = send(idp.addr(), "POST", "/token", "", "").await;
    assert_eq!((got.status, got.header("location")), (302, "http://127.0.0.1:1/"));
}

#[tokio::test]
async fn a_path_that_hangs_ends_when_it_is_severed() {
    let fixture = fixture().await;
    fixture.idp.misbehave(IdpFault::Hang("/keys"));
    let mut client = Client::connect(fixture.idp.addr()).await;
    client.send("GET /keys HTTP/1.1\r\nHost: idp\r\n\r\n").await;
    // Once another request was answered on a new connection, the first one was at least sent.
    assert_eq!(send(fixture.idp.addr(), "GET", "/style.css", "", "").await.status, 200);
    fixture.idp.sever();
    assert!(client.answer().await.is_err());
}

/// Source: OpenID Connect Core 1.0, section 5.3.
#[tokio::test]
async fn user_info_is_about_the_person_of_the_access_token() {
    let fixture = fixture().await;
    let code = fixture.code(&[]).await;
    let token = fixture.exchange(&code, &[]).await.json()["access_token"].as_str().unwrap().to_owned();
    let ask = |token: String| {
        let at = fixture.idp.addr();
        async move { send(at, "GET", "/userinfo", &format!("Authorization: Bearer {token}\r\n"), "").await }
    };
    let told = ask(token.clone()).await.json();
    assert_eq!(
        (told["email"].as_str(), told["email_verified"].as_bool()),
        (Some("admin@example.com"), Some(true))
    );
    assert_eq!(ask("another".to_owned()).await.status, 401);
    fixture.idp.misbehave(IdpFault::UserInfo("email_verified".to_owned(), None));
    assert!(ask(token).await.json().get("email_verified").is_none());
}
