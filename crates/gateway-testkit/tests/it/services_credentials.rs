//! The credential that the gateway holds for a service: sent, renewed, and never seen by anybody else.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_testkit::{Database, RawClient, TestGateway, eventually};
use gateway_types::Role;

use super::child::Child;
use super::service_kit::{Instance, Seen, ask, gateway, get, reply, request, wiki};

mod sockets;

/// Letters and digits only, so that no escaping changes it.
const CANARY: &str = "CANARY7f3a9c2e5b8d1046e";

/// A gateway whose environment has the canary.
async fn with_canary(upstreams: &[String], credential: &str) -> TestGateway {
    TestGateway::builder()
        .env("WIKI_SECRET", CANARY)
        .file(&wiki(upstreams, &format!("credential = {{ {credential} }}")))
        .start()
        .await
}

/// What the gateway kept holds the canary nowhere.
async fn nothing_kept(gateway: TestGateway, replies: &[String]) {
    for reply in replies {
        assert!(!reply.contains(CANARY) && !reply.contains(&STANDARD.encode(CANARY)), "{reply}");
    }
    for (_, event) in gateway.events().await {
        let text = format!("{event:?}");
        assert!(!text.contains(CANARY), "{text}");
    }
    let directory = gateway.directory().to_owned();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(memchr::memmem::find(&bytes, CANARY.as_bytes()).is_none(), "{}", path.display());
        }
    }
    gateway.finish().await;
}

/// An instance that says back what it was sent, as debug pages do: with 200, as an error, in a header, or in pieces.
async fn talkative() -> Instance {
    Instance::start(|seen| match seen.line() {
        "GET /error" => reply("500 Internal Server Error", "Content-Type: text/plain\r\n", &seen.head),
        "GET /header" => {
            let value = seen.header("authorization").or(seen.header("x-api-key")).unwrap_or_default();
            reply("200 OK", &format!("X-Debug: {value}\r\n"), "")
        }
        "GET /refused" => reply("401 Unauthorized", "WWW-Authenticate: Basic\r\n", &seen.head),
        "GET /quiet" => reply("200 OK", "", "quiet"),
        _ => reply("200 OK", "", &seen.head),
    })
    .await
}

/// The raw bytes of what a client gets, also of a reply that is broken off.
async fn raw(gateway: &TestGateway, path: &str) -> String {
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(request(gateway, "GET", path, "Connection: close\r\nAccept-Encoding: gzip\r\n", "")).await;
    let (mut stream, mut bytes) = client.into_parts();
    let _broken_off = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn check_static(credential: &str, sent: impl Fn(&Seen) -> bool) {
    let instance = talkative().await;
    let gateway = with_canary(&[instance.url()], credential).await;
    let mut replies = Vec::new();
    for path in ["/quiet", "/error", "/header", "/refused", "/echo"] {
        replies.push(raw(&gateway, path).await);
    }
    for seen in instance.seen() {
        assert!(sent(&seen), "{credential}: {}", seen.head);
        assert!(!seen.head.contains("rgw_"), "{}", seen.head);
        assert_eq!(seen.header("accept-encoding"), None, "what cannot be read here cannot be looked through");
    }
    assert!(replies[0].contains("quiet"), "{}", replies[0]);
    assert!(replies[1].starts_with("HTTP/1.1 502"), "{}", replies[1]);
    assert!(replies[2].starts_with("HTTP/1.1 502"), "{}", replies[2]);
    assert!(replies[3].starts_with("HTTP/1.1 502") && replies[3].contains("wiki"), "{}", replies[3]);
    assert!(replies[3].contains("the credential that the gateway holds"), "{}", replies[3]);
    nothing_kept(gateway, &replies).await;
}

#[tokio::test]
async fn each_kind_is_sent_and_never_comes_back() {
    let basic = format!("Basic {}", STANDARD.encode(format!("gw:{CANARY}")));
    check_static("kind = \"basic\", username = \"gw\", secret = \"env:WIKI_SECRET\"", |seen| {
        seen.headers("authorization") == [basic.as_str()]
    })
    .await;
    let bearer = format!("Bearer {CANARY}");
    check_static("kind = \"bearer\", secret = \"env:WIKI_SECRET\"", |seen| {
        seen.headers("authorization") == [bearer.as_str()]
    })
    .await;
    check_static("kind = \"header\", header = \"X-Api-Key\", secret = \"env:WIKI_SECRET\"", |seen| {
        seen.headers("x-api-key") == [CANARY] && seen.header("authorization").is_none()
    })
    .await;
}

#[tokio::test]
async fn a_client_cannot_send_the_credentials_header_itself() {
    let instance = Instance::saying("ok").await;
    let gateway = with_canary(
        &[instance.url()],
        "kind = \"header\", header = \"X-Api-Key\", secret = \"env:WIKI_SECRET\"",
    )
    .await;
    assert_eq!(ask(&gateway, "GET", "/page", "X-Api-Key: eve\r\n", "").await.status, 200);
    assert_eq!(instance.only().headers("x-api-key"), [CANARY]);
    // What a CGI-like server would read as the same header does not stand beside it.
    for spelling in ["X.Api.Key", "X.Api-Key", "x-api.key"] {
        assert_eq!(ask(&gateway, "GET", "/page", &format!("{spelling}: eve\r\n"), "").await.status, 200);
        let seen = instance.seen().pop().unwrap();
        assert_eq!((seen.headers("x-api-key"), seen.header(spelling)), (vec![CANARY], None), "{spelling}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn a_missing_secret_refuses_and_says_whose() {
    let instance = Instance::saying("ok").await;
    let gateway =
        gateway(&[instance.url()], "credential = { kind = \"bearer\", secret = \"env:NOT_THERE\" }").await;
    let reply = get(&gateway, "/page").await;
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("wiki") && !reply.text().contains("NOT_THERE"), "{}", reply.text());
    assert!(instance.seen().is_empty(), "never without its credential");
    gateway.finish().await;
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_changed_file_counts_and_one_that_everybody_can_write_does_not() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("secret");
    write(&path, "the-first-one\n");
    let instance = Instance::saying("ok").await;
    let credential = format!("credential = {{ kind = \"bearer\", secret = \"file:{}\" }}", path.display());
    let gateway = gateway(&[instance.url()], &credential).await;
    let last = || instance.seen().last().and_then(|seen| seen.header("authorization").map(str::to_owned));
    assert_eq!(get(&gateway, "/page").await.status, 200);
    assert_eq!(last().as_deref(), Some("Bearer the-first-one"));
    write(&path, "the-second-one\n");
    eventually("the new secret", || async {
        get(&gateway, "/page").await;
        (last().as_deref() == Some("Bearer the-second-one")).then_some(())
    })
    .await;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    eventually("the refusal", || async { (get(&gateway, "/page").await.status == 502).then_some(()) }).await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_secret_of_vault_is_followed() {
    let vault = Instance::start(|seen| {
        let body =
            format!("{{\"data\":{{\"data\":{{\"password\":\"{CANARY}\"}},\"metadata\":{{\"version\":3}}}}}}");
        match (seen.line(), seen.header("x-vault-token")) {
            ("GET /v1/secret/data/apps/wiki", Some("vault-token-1")) => {
                reply("200 OK", "Content-Type: application/json\r\n", &body)
            }
            _ => reply("403 Forbidden", "", "{\"errors\":[\"permission denied\"]}"),
        }
    })
    .await;
    let instance = talkative().await;
    let file = |path: &str| {
        wiki(
            &[instance.url()],
            &format!("credential = {{ kind = \"bearer\", secret = \"vault:secret/{path}#password\" }}"),
        )
    };
    let start = |path: &str| {
        TestGateway::builder()
            .env("VAULT_ADDR", &vault.url())
            .env("VAULT_TOKEN", "vault-token-1")
            .file(&file(path))
            .start()
    };
    let gateway = start("apps/wiki").await;
    let quiet = raw(&gateway, "/quiet").await;
    assert_eq!(instance.seen()[0].header("authorization"), Some(format!("Bearer {CANARY}").as_str()));
    let error = raw(&gateway, "/error").await;
    assert_eq!(vault.seen().len(), 1, "not asked for each request");
    nothing_kept(gateway, &[quiet, error]).await;
    let gateway = start("apps/other").await;
    assert_eq!(get(&gateway, "/quiet").await.status, 502);
    gateway.finish().await;
}

/// A token endpoint that counts what it grants.
async fn endpoint(life: u32) -> (Instance, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let granted = count.clone();
    let endpoint = Instance::start(move |_| {
        let number = granted.fetch_add(1, Ordering::Relaxed) + 1;
        let body = format!(
            "{{\"access_token\":\"{CANARY}{number}\",\"token_type\":\"Bearer\",\"expires_in\":{life}}}"
        );
        reply("200 OK", "Content-Type: application/json\r\n", &body)
    })
    .await;
    (endpoint, count)
}

#[tokio::test]
async fn client_credentials_are_kept_renewed_at_four_fifths_and_asked_once() {
    let (endpoint, count) = endpoint(100).await;
    let instance = talkative().await;
    let gateway = Arc::new(
        with_canary(
            &[instance.url()],
            &format!(
                "kind = \"client_credentials\", token_url = \"{}/token\", username = \"gw id\", secret = \"env:WIKI_SECRET\", scope = \"a b\"",
                endpoint.url()
            ),
        )
        .await,
    );
    let all: Vec<_> = (0..20)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move { get(&gateway, "/quiet").await.status })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), 200);
    }
    assert_eq!(count.load(Ordering::Relaxed), 1, "twenty at once ask once");
    let asked = endpoint.only();
    assert_eq!(asked.line(), "POST /token");
    assert_eq!(String::from_utf8_lossy(&asked.body), "grant_type=client_credentials&scope=a+b");
    let basic = format!("Basic {}", STANDARD.encode(format!("gw+id:{CANARY}")));
    assert_eq!(asked.header("authorization"), Some(basic.as_str()));
    gateway.clock.advance(Duration::from_secs(79));
    get(&gateway, "/quiet").await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
    gateway.clock.advance(Duration::from_secs(1));
    get(&gateway, "/quiet").await;
    assert_eq!(count.load(Ordering::Relaxed), 2, "renewed before its end");
    let newest = format!("Bearer {CANARY}2");
    assert_eq!(instance.seen().last().unwrap().header("authorization"), Some(newest.as_str()));
    let replies = [raw(&gateway, "/error").await, raw(&gateway, "/header").await];
    nothing_kept(Arc::into_inner(gateway).unwrap(), &replies).await;
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let (endpoint, count) = endpoint(1000).await;
    let instance = Instance::start(|seen| match seen.header("authorization") {
        Some(value) if value.ends_with('1') => {
            reply("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "old")
        }
        Some(_) if seen.line() == "GET /never" => {
            reply("401 Unauthorized", "WWW-Authenticate: Bearer\r\n", "no")
        }
        _ => reply("200 OK", "", "new"),
    })
    .await;
    let gateway = with_canary(
        &[instance.url()],
        &format!(
            "kind = \"client_credentials\", token_url = \"{}\", username = \"gw\", secret = \"env:WIKI_SECRET\"",
            endpoint.url()
        ),
    )
    .await;
    assert_eq!(get(&gateway, "/page").await.text(), "new");
    assert_eq!((count.load(Ordering::Relaxed), instance.seen().len()), (2, 2));
    for _ in 0..5 {
        let reply = get(&gateway, "/never").await;
        assert_eq!(reply.status, 502, "{}", reply.text());
    }
    assert_eq!(count.load(Ordering::Relaxed), 2, "a token that was just renewed is not renewed again");
    gateway.clock.advance(Duration::from_secs(61));
    assert_eq!(get(&gateway, "/never").await.status, 502);
    assert_eq!(count.load(Ordering::Relaxed), 3, "after a minute it may have been revoked");
    gateway.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_fails_is_a_problem_without_its_words() {
    let endpoint = Instance::start(|_| {
        reply(
            "400 Bad Request",
            "",
            &format!("{{\"error\":\"invalid_client\",\"error_description\":\"{CANARY}\"}}"),
        )
    })
    .await;
    let instance = Instance::saying("ok").await;
    let gateway = with_canary(
        &[instance.url()],
        &format!(
            "kind = \"client_credentials\", token_url = \"{}\", username = \"gw\", secret = \"env:WIKI_SECRET\"",
            endpoint.url()
        ),
    )
    .await;
    let replies = [raw(&gateway, "/page").await, raw(&gateway, "/page").await];
    assert!(replies.iter().all(|reply| reply.starts_with("HTTP/1.1 502")), "{replies:?}");
    assert_eq!(endpoint.seen().len(), 1, "not asked again at once");
    assert!(instance.seen().is_empty());
    nothing_kept(gateway, &replies).await;
}

#[tokio::test]
async fn a_token_is_exchanged_for_each_caller() {
    let (endpoint, count) = endpoint(1000).await;
    let instance = talkative().await;
    let gateway = with_canary(
        &[instance.url()],
        &format!(
            "kind = \"token_exchange\", token_url = \"{}/token\", audience = \"wiki-api\"",
            endpoint.url()
        ),
    )
    .await;
    let as_role = async |role: Role| {
        let mut client = RawClient::connect(gateway.addr()).await;
        let token = gateway.token(role);
        client
            .send(format!(
                "GET /quiet HTTP/1.1\r\nHost: wiki.example.com\r\nAuthorization: Bearer {token}\r\n\r\n"
            ))
            .await;
        assert_eq!(client.reply().await.unwrap().status, 200);
        instance.seen().last().unwrap().header("authorization").unwrap().to_owned()
    };
    let (admin, ops) = (as_role(Role::Admin).await, as_role(Role::Ops).await);
    assert_ne!(admin, ops);
    assert_eq!((as_role(Role::Admin).await, as_role(Role::Ops).await), (admin, ops));
    assert_eq!(count.load(Ordering::Relaxed), 2, "kept for each");
    let asked: Vec<(String, String)> =
        form_urlencoded::parse(&endpoint.seen()[0].body).into_owned().collect();
    let of =
        |name: &str| asked.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone()).unwrap();
    assert_eq!(of("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(of("audience"), "wiki-api");
    let payload = of("subject_token").split('.').nth(1).unwrap().to_owned();
    let claims: serde_json::Value =
        serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap();
    assert_eq!(claims["aud"].as_str(), Some(format!("{}/token", endpoint.url()).as_str()));
    assert_eq!(claims.get("htm"), None, "it is for no request, and no service takes it for one");
    let replies =
        [raw(&gateway, "/error").await, raw(&gateway, "/header").await, raw(&gateway, "/echo").await];
    assert!(replies[0].starts_with("HTTP/1.1 502"), "{}", replies[0]);
    nothing_kept(gateway, &replies).await;
}

#[tokio::test]
async fn nothing_of_it_is_logged_at_the_most_talkative_level() {
    let rack = gateway_sim::SimRack::start(gateway_sim::SimOptions::for_tests()).await.unwrap();
    let (instance, (endpoint, _)) = (talkative().await, endpoint(1000).await);
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("rack-gateway.toml");
    let kinds = [
        "kind = \"basic\", username = \"gw\", secret = \"env:WIKI_SECRET\"".to_owned(),
        "kind = \"bearer\", secret = \"env:WIKI_SECRET\"".to_owned(),
        "kind = \"header\", header = \"X-Api-Key\", secret = \"env:WIKI_SECRET\"".to_owned(),
        format!(
            "kind = \"client_credentials\", token_url = \"{}\", username = \"gw\", secret = \"env:WIKI_SECRET\"",
            endpoint.url()
        ),
        format!("kind = \"token_exchange\", token_url = \"{}\"", endpoint.url()),
    ];
    let declared: Vec<String> = kinds
        .iter()
        .enumerate()
        .map(|(index, kind)| {
            wiki(&[instance.url()], &format!("credential = {{ {kind} }}"))
                .replace("\"wiki\"", &format!("\"wiki{index}\""))
                .replace("wiki.example.com", &format!("wiki{index}.example.com"))
        })
        .collect();
    std::fs::write(&path, declared.concat()).unwrap();
    let variables =
        [("RACK_GATEWAY_CONFIG", path.to_str().unwrap()), ("LOG_FILTER", "trace"), ("WIKI_SECRET", CANARY)];
    let child = Child::start(Database::Sqlite, (&rack.url(), rack.password()), &variables).await;
    for index in 0..kinds.len() {
        for target in ["/quiet", "/error", "/header", "/refused", "/echo"] {
            let mut client = RawClient::connect(child.addr).await;
            client
                .send(format!(
                    "GET {target} HTTP/1.1\r\nHost: wiki{index}.example.com\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
                    child.token(Role::Admin)
                ))
                .await;
            let (mut stream, mut bytes) = client.into_parts();
            let _broken_off = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            // A reply that is broken off at once has not even a head.
            assert!(text.starts_with("HTTP/1.1 ") || target == "/echo", "{target}: {text}");
            assert!(!text.contains(CANARY) && !text.contains(&STANDARD.encode(CANARY)), "{text}");
        }
    }
    let sent = instance.seen().iter().filter(|seen| seen.head.contains(CANARY)).count();
    assert!(sent >= 15, "{sent} of the requests had it as it is");
    let (log, files) = child.stop();
    assert!(log.contains("TRACE"), "the log is as talkative as can be");
    let basic = STANDARD.encode(format!("gw:{CANARY}"));
    for secret in [CANARY, &basic] {
        if let Some(at) = log.find(secret) {
            panic!("{}", &log[at.saturating_sub(400)..at + 60]);
        }
    }
    for entry in std::fs::read_dir(files.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(memchr::memmem::find(&bytes, CANARY.as_bytes()).is_none());
    }
}
