//! What YubiKeys type, before a validation server of the test's own (validation protocol 2.0).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use data_encoding::BASE64;
use gateway_testkit::{Database, RawClient, Reply, TestGateway, Visitor};
use gateway_types::Role;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const KEY: &[u8] = b"sixteen bytes!!!";
const ENROL: &str = "/app/account/factors/enrol/yubico";
const RESTART: &str = "/apps/myapp/services/web/restart";

/// How the server lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lie {
    No,
    /// Another nonce than the one that was sent.
    Nonce,
    /// Signed with another key.
    Signature,
    /// A counter that stands still: an old reply for a new password.
    Counter,
    /// It is broken.
    Status,
}

#[derive(Debug)]
struct Server {
    addr: SocketAddr,
    lie: Arc<Mutex<Lie>>,
    asked: Arc<Mutex<usize>>,
}

fn signed(fields: &BTreeMap<&str, String>, key: &[u8]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    BASE64.encode(hmac::sign(&key, pairs.join("&").as_bytes()).as_ref())
}

/// What the server answers to this query.
fn answer(query: &str, lie: Lie, used: &mut BTreeSet<String>) -> String {
    let mut fields: BTreeMap<String, String> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let signature = fields.remove("h").expect("a signature");
    let asked: BTreeMap<&str, String> =
        fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    assert_eq!(signature, signed(&asked, KEY), "the question is signed");
    assert_eq!((fields["id"].as_str(), fields["timestamp"].as_str()), ("87", "1"));
    let otp = fields["otp"].clone();
    let is_new = used.insert(otp.clone());
    let counter = if lie == Lie::Counter { 1 } else { used.len() + 10 };
    let nonce = if lie == Lie::Nonce { "0".repeat(32) } else { fields["nonce"].clone() };
    let status = match (lie, is_new, otp.ends_with("vvvv")) {
        (Lie::Status, _, _) => "BACKEND_ERROR",
        (_, _, true) => "BAD_OTP",
        (_, false, _) => "REPLAYED_OTP",
        (_, true, false) => "OK",
    };
    let reply: BTreeMap<&str, String> = BTreeMap::from([
        ("otp", otp),
        ("nonce", nonce),
        ("t", "2026-11-22T10:00:00Z0123".to_owned()),
        ("status", status.to_owned()),
        ("timestamp", "1000".to_owned()),
        ("sessioncounter", counter.to_string()),
        ("sessionuse", "1".to_owned()),
        ("sl", "100".to_owned()),
    ]);
    let key = if lie == Lie::Signature { b"another key, yes".as_slice() } else { KEY };
    let mut lines = vec![format!("h={}", signed(&reply, key))];
    lines.extend(reply.iter().map(|(name, value)| format!("{name}={value}")));
    lines.join("\r\n") + "\r\n"
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (lie, asked) = (Arc::new(Mutex::new(Lie::No)), Arc::new(Mutex::new(0)));
        let server = Self { addr, lie: lie.clone(), asked: asked.clone() };
        tokio::spawn(async move {
            let mut used = BTreeSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let head = String::from_utf8(head).unwrap();
                let Some(target) = head.split(' ').nth(1) else { continue };
                let query = target.strip_prefix("/verify?").expect("its path");
                let body = answer(query, *lie.lock().unwrap(), &mut used);
                *asked.lock().unwrap() += 1;
                let reply = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _left = stream.write_all(reply.as_bytes()).await;
            }
        });
        server
    }

    fn lies(&self, lie: Lie) {
        *self.lie.lock().unwrap() = lie;
    }
}

/// The password that the key `id` (12 letters) types as its `number`th.
fn otp(id: &str, number: usize) -> String {
    let digits: Vec<char> = "cbdefghijklnrtuv".chars().collect();
    let tail: String = (0..32).map(|place| digits[(number >> (place % 8)) % 15]).collect();
    format!("{id}{tail}")
}

async fn gateway(database: Database, server: &Server) -> TestGateway {
    TestGateway::builder()
        .database(database)
        .env("YUBICO_CLIENT_ID", "87")
        .env("YUBICO_SECRET_KEY", &BASE64.encode(KEY))
        .env("YUBICO_VALIDATION_URL", &format!("http://{}/verify", server.addr))
        .idp()
        .start()
        .await
}

async fn restart(gateway: &TestGateway, credential: &str) -> Reply {
    RawClient::connect(gateway.addr()).await.ask("POST", RESTART, credential, &[], b"").await
}

#[tokio::test]
async fn what_a_yubikey_types_confirms_once() {
    for database in Database::BOTH {
        let server = Server::start().await;
        let gateway = gateway(database, &server).await;
        let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
        let id = "cccccccfhcbe";
        let enrolled = person.post(ENROL, &[("name", "blue"), ("otp", &otp(id, 1))]).await;
        assert_eq!(enrolled.status, 200, "{}", enrolled.text());
        assert!(enrolled.text().contains("Backup codes"));

        let (session, other) = (gateway.session(Role::Ops).await, gateway.session(Role::Ops).await);
        let with = |session: &str, code: &str| format!("{session}.yubico.{code}");
        // Somebody else's key is not even asked about; a wrong password is.
        let asked = *server.asked.lock().unwrap();
        assert_eq!(restart(&gateway, &with(&session, &otp("ccccccccccce", 2))).await.status, 401);
        assert_eq!(*server.asked.lock().unwrap(), asked);
        let wrong = format!("{id}{}", "v".repeat(32));
        assert_eq!(restart(&gateway, &with(&session, &wrong)).await.status, 401);

        let code = otp(id, 3);
        let reply = restart(&gateway, &with(&session, &code)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(restart(&gateway, &with(&session, &code)).await.status, 200, "it rides its own window");
        assert_eq!(restart(&gateway, &with(&other, &code)).await.status, 401, "used");

        // On the page of a refusal, as a person types it.
        let url = restart(&gateway, &other).await.json()["remedies"][0]["url"].as_str().unwrap().to_owned();
        let page = url[url.find("/step-up/").unwrap()..].to_owned();
        let confirmed = person.post(&page, &[("code", &otp(id, 5).to_uppercase())]).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text());
        assert_eq!(restart(&gateway, &other).await.status, 200);
        gateway.finish().await;
    }
}

#[tokio::test]
async fn a_server_that_lies_is_not_believed() {
    let server = Server::start().await;
    let gateway = gateway(Database::Sqlite, &server).await;
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    let id = "cccccccfhcbe";
    assert_eq!(person.post(ENROL, &[("name", "blue"), ("otp", &otp(id, 1))]).await.status, 200);
    // What cannot be checked is no wrong try.
    server.lies(Lie::Status);
    let patient = gateway.session(Role::Ops).await;
    for number in [29, 31, 37, 41, 43, 47, 53] {
        let reply = restart(&gateway, &format!("{patient}.yubico.{}", otp(id, number))).await;
        assert_eq!(reply.status, 503, "{}", reply.text());
    }
    let cases = [
        (Lie::Nonce, 503, 11),
        (Lie::Signature, 503, 13),
        (Lie::Status, 503, 17),
        (Lie::Counter, 401, 19),
        (Lie::No, 200, 23),
    ];
    for (lie, status, number) in cases {
        server.lies(lie);
        let session = gateway.session(Role::Ops).await;
        let reply = restart(&gateway, &format!("{session}.yubico.{}", otp(id, number))).await;
        assert_eq!(reply.status, status, "{lie:?}: {}", reply.text());
    }
    gateway.finish().await;
}

#[tokio::test]
async fn without_a_server_what_a_yubikey_types_is_no_factor() {
    let gateway = TestGateway::builder().idp().start().await;
    let mut person = Visitor::signed_in(&gateway, Role::Ops).await;
    assert!(!person.get("/app/account/factors").await.text().contains("YubiKey"));
    let reply = person.post(ENROL, &[("name", "blue"), ("otp", &otp("cccccccfhcbe", 1))]).await;
    assert_eq!(reply.status, 409, "{}", reply.text());
    gateway.finish().await;
}
