//! The trust zone: made, joined, followed, rotated, left; and that the gateway is the only way in. Numbers as in
//! `(6.5 …)` are the cases of the specification.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gateway_audit::{End, Event};
use gateway_framing::websocket::{Opcode, encode_server_frame};
use gateway_pki::{IssuerScope, RootAuthority, TrustDomain};
use gateway_sidecar::{
    Egress, Forward, Join, MemberError, Options, RequestToken, Running, StartError, Surroundings,
};
use gateway_store::EventFilter;
use gateway_testkit::{Database, FakeClock, RawClient, StubConnection, StubRack, TestGateway, eventually};
use gateway_types::{Clock, OsEntropy, Role, Secret, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::service_kit::{Instance, reply};
use crate::tls::client::{Answer, Line, handshake};
use crate::tls::{NAME, Place};

mod discovered;
mod registry;

const PASSPHRASE: &str = "correct horse battery staple";
const WIKI: &str = "wiki.example.com";

/// A clock that is ahead of another, or behind.
#[derive(Debug)]
struct Apart {
    clock: Arc<FakeClock>,
    seconds: i64,
}

impl Clock for Apart {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now().micros() + self.seconds * 1_000_000)
    }
}

/// A gateway that ends TLS, and an admin at it.
pub(crate) struct World {
    place: Place,
    pub(crate) gateway: TestGateway,
    admin: String,
}

impl World {
    async fn start(database: Database, file: &str) -> Self {
        Self::start_with(database, file, &[]).await
    }

    pub(crate) async fn start_with(database: Database, file: &str, variables: &[(&str, &str)]) -> Self {
        let place = Place::new();
        place.write("tls", &[NAME, WIKI]);
        let mut builder = place
            .gateway(&["tls"])
            .database(database)
            .env("RGW_SETTING_MFA_STEP_UP", "false")
            .env("RGW_SETTING_RATE_LIMITS", "off")
            .file(file);
        for (name, value) in variables {
            builder = builder.env(name, value);
        }
        let gateway = builder.start().await;
        let admin = gateway.session(Role::Admin).await;
        Self { place, gateway, admin }
    }

    async fn ask_at(&self, host: &str, method: &str, path: &str, body: &str) -> Answer {
        let config = self.place.client().config();
        let mut line = Line::open(&config, self.gateway.addr(), host).await.expect("TLS with the gateway");
        let bearer = format!("Bearer {}", self.admin);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        line.ask(method, path, &headers, body).await.expect("a reply")
    }

    async fn api(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask_at(NAME, method, &format!("/api/v1{path}"), &body).await
    }

    pub(crate) async fn done(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.api(method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    pub(crate) async fn init(&self) -> Value {
        self.done("POST", "/zone", &json!({ "passphrase": PASSPHRASE, "leaf_life": "5m" })).await
    }

    async fn zone(&self) -> Value {
        self.done("GET", "/zone", &Value::Null).await
    }

    /// A join token for a service that is registered so.
    async fn token(&self, name: &str, what: &Value) -> String {
        self.done("PUT", &format!("/zone/services/{name}"), what).await;
        let made = self.done("POST", &format!("/zone/services/{name}/join-token"), &json!({})).await;
        made["token"].as_str().unwrap().to_owned()
    }

    fn join(&self, name: &str, token: &str) -> Join {
        Join {
            gateway: self.gateway.addr().to_string(),
            service: name.to_owned(),
            token: Some(Secret::new(token.to_owned())),
            state: None,
        }
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings { clock: self.gateway.clock.clone(), entropy: Arc::new(OsEntropy) }
    }

    pub(crate) async fn run(
        &self,
        name: &str,
        what: &Value,
        listen: SocketAddr,
        forward: Forward,
    ) -> Running {
        self.run_with(name, what, listen, forward, Vec::new()).await
    }

    async fn run_with(
        &self,
        name: &str,
        what: &Value,
        listen: SocketAddr,
        forward: Forward,
        egress: Vec<Egress>,
    ) -> Running {
        self.run_apart(name, what, 0, listen, forward, egress).await
    }

    /// On a machine whose clock is so many seconds ahead of the gateway's.
    async fn run_apart(
        &self,
        name: &str,
        what: &Value,
        seconds: i64,
        listen: SocketAddr,
        forward: Forward,
        egress: Vec<Egress>,
    ) -> Running {
        let join = self.join(name, &self.token(name, what).await);
        let options = Options { join, listen, forward, egress, register: None };
        let clock = Arc::new(Apart { clock: self.gateway.clock.clone(), seconds });
        let surroundings = Surroundings { clock, ..self.surroundings() };
        gateway_sidecar::start(options, surroundings).await.expect("a sidecar")
    }

    /// Events of this action.
    pub(crate) async fn events(&self, action: &str) -> Vec<Event> {
        self.gateway.store().audit().flush().await.unwrap();
        // Not the whole log: some of these tests ask for it each moment, under load.
        let filter = EventFilter { action: Some(action.to_owned()), ..EventFilter::default() };
        let found = self.gateway.store().events().search(&filter, None, 1000).await.unwrap();
        found.items.into_iter().rev().map(|(_, event)| event).collect()
    }

    /// Moves the time beyond the life of the gateway's own leaf, and waits for its next one.
    async fn long_after(&self, time: Duration) {
        let before = self.events("gateway:zone:issue").await.len();
        self.gateway.clock.advance(time);
        eventually("the gateway's next leaf", async || {
            (self.events("gateway:zone:issue").await.len() > before).then_some(())
        })
        .await;
    }

    /// Moves the time on until members have reported.
    async fn event_after_report(&self, action: &str, is: impl Fn(&Event) -> bool) -> Event {
        eventually("the event", async || {
            self.gateway.clock.advance(Duration::from_secs(1));
            self.events(action).await.into_iter().find(|event| is(event))
        })
        .await
    }

    async fn rotate(&self, kind: &str, step: &str) -> Answer {
        let passphrase = (step == "prepare").then_some(PASSPHRASE);
        let mut body = json!({ "kind": kind, "step": step });
        if let Some(passphrase) = passphrase {
            body["passphrase"] = json!(passphrase);
        }
        self.api("POST", "/zone/rotate", &body).await
    }
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A port that nobody has.
pub(crate) async fn free() -> SocketAddr {
    TcpListener::bind(any()).await.unwrap().local_addr().unwrap()
}

pub(crate) fn service(at: SocketAddr) -> String {
    format!(
        "[[service]]\nname = \"wiki\"\nhosts = [\"{WIKI}\"]\ntrust = \"zone\"\nupstreams = [{{ url = \"https://{at}\" }}]\n"
    )
}

pub(crate) fn http(to: SocketAddr) -> Forward {
    Forward::Http { to, open: vec!["/healthz".to_owned()], token: RequestToken::TakenAway }
}

#[tokio::test]
async fn a_service_joins_and_is_reached_through_the_gateway_only() {
    for database in Database::BOTH {
        let at = free().await;
        let world = World::start(database, &service(at)).await;
        let zone = world.init().await;
        let domain = zone["trust_domain"].as_str().unwrap().to_owned();
        let again = world.api("POST", "/zone", &json!({ "passphrase": PASSPHRASE })).await;
        assert_eq!(again.status, 409, "{}", again.body);
        let instance = Instance::saying("hello").await;
        let what = json!({ "listeners": ["control:gateway:6754"] });
        let sidecar = world.run("wiki", &what, at, http(instance.addr)).await;
        assert_eq!(sidecar.member.id().to_string(), format!("spiffe://{domain}/svc/wiki"));

        let answer = world.ask_at(WIKI, "GET", "/page?a=1", "").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "hello"));
        let seen = instance.only();
        assert_eq!(seen.line(), "GET /page?a=1");
        // The token was for this member, was checked, and is not passed on.
        assert_eq!(
            (seen.header("gateway-token"), seen.headers("x-gateway-email")),
            (None, vec!["admin@example.com"])
        );

        let zone = world.zone().await;
        let member = &zone["members"][0];
        assert_eq!((member["state"].as_str(), member["service"].as_str()), (Some("live"), Some("wiki")));
        for action in ["init", "register", "join_token", "issue", "enrol"] {
            let events = world.events(&format!("gateway:zone:{action}")).await;
            assert!(!events.is_empty(), "{action}");
            let text = format!("{events:?}");
            assert!(!text.contains("rgj_") && !text.contains(PASSPHRASE), "a secret in the log of {action}");
        }
        let enrolled = &world.events("gateway:zone:enrol").await[0];
        assert_eq!(enrolled.parameters["member"], member["id"].as_str().unwrap());
        // The same certificates serve whoever only looks: the bundle without who is banned.
        let bundle = world.ask_at(NAME, "GET", "/zone/bundle", "").await;
        let bundle: Value = serde_json::from_str(&bundle.body).unwrap();
        assert_eq!(bundle["keys"].as_array().unwrap().len(), 1);
        sidecar.stop().await;
        world.gateway.finish().await;
    }
}

/// A console of a service behind a sidecar.
#[tokio::test]
async fn a_socket_reaches_the_service_and_ends_with_the_sidecar() {
    let at = free().await;
    let world = World::start(Database::Sqlite, &format!("{}websocket = true\n", service(at))).await;
    world.init().await;
    let console = StubRack::start(|mut connection: StubConnection| async move {
        connection.switch().await;
        let told = connection.head.to_ascii_lowercase();
        connection.send(encode_server_frame(Opcode::Text, told.as_bytes())).await;
        connection.until_closed().await;
    })
    .await;
    let address = console.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let what = json!({ "listeners": ["control:gateway:6754"] });
    let sidecar = world.run("wiki", &what, at, http(address)).await;

    let mut line = handshake(&world.place.client().config(), world.gateway.addr(), WIKI).await.unwrap();
    let asked = format!(
        "GET /live HTTP/1.1\r\nHost: {WIKI}\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: xyFruiHDE2gJ8FWBP+rSjw==\r\n\r\n",
        world.admin
    );
    line.write_all(asked.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("x-gateway-email: admin@example.com") {
        let read = tokio::time::timeout(Duration::from_secs(10), line.read_buf(&mut heard)).await;
        let text = String::from_utf8_lossy(&heard);
        assert!(matches!(read, Ok(Ok(1..))) && text.starts_with("HTTP/1.1 101 "), "{read:?} {text}");
    }
    assert!(!String::from_utf8_lossy(&heard).contains("gateway-token"), "the token went no further");

    // It is cut like every connection that the sidecar carries.
    sidecar.stop().await;
    let rest = tokio::time::timeout(Duration::from_secs(10), line.read_to_end(&mut heard)).await;
    assert!(rest.is_ok(), "the socket outlived its sidecar");
    world.gateway.finish().await;
}

#[tokio::test]
async fn a_join_token_is_good_once_and_for_ten_minutes() {
    let world = World::start(Database::Sqlite, "").await;
    world.init().await;
    let token = world.token("wiki", &json!({})).await;
    let options = |token: &str, name: &str| Options {
        join: world.join(name, token),
        listen: any(),
        forward: Forward::Raw { to: any() },
        egress: Vec::new(),
        register: None,
    };
    let first = gateway_sidecar::start(options(&token, "wiki"), world.surroundings()).await.unwrap();
    let again = gateway_sidecar::start(options(&token, "wiki"), world.surroundings()).await.unwrap_err();
    assert!(matches!(again, StartError::Member(MemberError::Ask(_))), "{again:?}");
    // Its leaf would be over too, and it would try its token once more.
    first.stop().await;
    let late = world.token("wiki", &json!({})).await;
    world.long_after(Duration::from_secs(601)).await;
    let late = gateway_sidecar::start(options(&late, "wiki"), world.surroundings()).await.unwrap_err();
    assert!(matches!(late, StartError::Member(MemberError::Ask(_))), "{late:?}");
    let other = world.token("wiki", &json!({})).await;
    let other = gateway_sidecar::start(options(&other, "dns"), world.surroundings()).await.unwrap_err();
    assert!(matches!(other, StartError::Member(MemberError::OtherService { .. })), "{other:?}");
    let tried = world.events("gateway:zone:enrol").await;
    // Beside the outcomes of the requests, which are counted by their source.
    let refused = tried.iter().filter(|event| event.end == Some(End::Refused) && event.status.is_none());
    let reasons: Vec<&str> = refused.filter_map(|event| event.reason.as_deref()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    world.gateway.finish().await;
}

/// (6.5 case 4)
#[tokio::test]
async fn who_asks_for_more_than_its_registration_is_refused_and_seen() {
    let world = World::start(Database::Sqlite, "").await;
    let zone = world.init().await;
    let gateways = zone["gateway"].as_str().unwrap().to_owned();
    for (name, is_authority) in
        [(gateways, false), ("spiffe://other.internal/svc/wiki".to_owned(), false), (String::new(), true)]
    {
        let token = world.token("wiki", &json!({})).await;
        let mut params = rcgen::CertificateParams::default();
        if !name.is_empty() {
            params.subject_alt_names = vec![rcgen::SanType::URI(name.clone().try_into().unwrap())];
        }
        if is_authority {
            // An authority's request: basicConstraints with CA:TRUE (RFC 5280, section 4.2.1.9).
            let constraints =
                rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]);
            params.custom_extensions.push(constraints);
        }
        let csr = params.serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let csr = data_encoding::BASE64.encode(csr.der());
        let asked = json!({ "token": token, "csr": csr }).to_string();
        let answer = world.ask_at(NAME, "POST", "/zone/enrol", &asked).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.body);
        let events = world.events("gateway:zone:enrol").await;
        let last = events.last().unwrap();
        assert_eq!(last.end, Some(End::Refused));
        let reason = last.reason.clone().unwrap();
        assert!(reason.contains(&name) && (!is_authority || reason.contains("authority")), "{reason}");
    }
    assert_eq!(world.zone().await["members"], json!([]));
    world.gateway.finish().await;
}

/// (6.5 case 5)
#[tokio::test]
async fn between_a_joining_service_and_the_gateway_nobody_gets_the_token() {
    let world = World::start(Database::Sqlite, "").await;
    let zone = world.init().await;
    let domain: TrustDomain = zone["trust_domain"].as_str().unwrap().parse().unwrap();
    let token = world.token("wiki", &json!({})).await;
    // Somebody with a root of their own, who calls it and the gateway by the right names.
    let now = world.gateway.clock.now();
    let day = Duration::from_secs(86_400);
    let root = RootAuthority::make(&domain, now, day, &OsEntropy).unwrap();
    let issuer = root.issuer(IssuerScope::Zone, now, day, &OsEntropy).unwrap();
    let acceptor = server_of(&issuer, &domain.gateway(), &root, now);
    let listener = TcpListener::bind(any()).await.unwrap();
    let at = listener.local_addr().unwrap();
    let got = Arc::new(AtomicUsize::new(0));
    let counted = got.clone();
    let between = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut tls) = acceptor.accept(stream).await {
            let mut bytes = [0; 1024];
            counted.fetch_add(tls.read(&mut bytes).await.unwrap_or(0), Ordering::SeqCst);
        }
    });
    let join = Join { gateway: at.to_string(), ..world.join("wiki", &token) };
    let options = Options {
        join,
        listen: any(),
        forward: Forward::Raw { to: any() },
        egress: Vec::new(),
        register: None,
    };
    let refused = gateway_sidecar::start(options, world.surroundings()).await.unwrap_err();
    assert!(matches!(refused, StartError::Member(MemberError::Ask(_))), "{refused:?}");
    between.await.unwrap();
    assert_eq!(got.load(Ordering::SeqCst), 0, "the token was sent");
    // It is still good.
    let options = Options {
        join: world.join("wiki", &token),
        listen: any(),
        forward: Forward::Raw { to: any() },
        egress: Vec::new(),
        register: None,
    };
    gateway_sidecar::start(options, world.surroundings()).await.unwrap().stop().await;
    world.gateway.finish().await;
}

fn leaf_of(
    issuer: &gateway_pki::Issuer,
    id: &gateway_pki::SpiffeId,
    now: gateway_types::Timestamp,
) -> (gateway_pki::Leaf, Secret<Vec<u8>>) {
    let (private, csr) = gateway_pki::request::make().unwrap();
    let key = gateway_pki::RequestedKey::take(&csr, id).unwrap();
    let member = gateway_types::ZoneMemberId::new(now, &OsEntropy);
    let asked = gateway_pki::LeafRequest { id, member, key: &key, life: Duration::from_secs(3600) };
    (issuer.issue(&asked, now, &OsEntropy).unwrap(), private)
}

fn server_of(
    issuer: &gateway_pki::Issuer,
    id: &gateway_pki::SpiffeId,
    root: &RootAuthority,
    now: gateway_types::Timestamp,
) -> TlsAcceptor {
    let (leaf, key) = leaf_of(issuer, id, now);
    let shown = Arc::new(gateway_pki::tls::LiveLeaf::default());
    let provider = gateway_pki::tls::provider();
    let chain = leaf.chain.into_iter().chain([root.certificate().clone()]).collect();
    shown.show(&provider, chain, &key).unwrap();
    let callers = gateway_pki::tls::Callers::MayShow;
    TlsAcceptor::from(Arc::new(gateway_pki::tls::server_settings(provider, shown, callers).unwrap()))
}

/// (6.5 cases 3 and 10; I2 to I4 of the list of bad inputs)
#[tokio::test]
async fn past_the_gateway_no_byte_reaches_the_service_and_the_try_is_seen() {
    let at = free().await;
    let world = World::start(Database::Sqlite, &service(at)).await;
    world.init().await;
    let instance = Instance::saying("hello").await;
    let wiki = world.run("wiki", &json!({}), at, http(instance.addr)).await;
    // A member of the zone with a way out to the service, which it may not call.
    let out = Egress { listen: any(), to: wiki.member.id(), address: at.to_string() };
    let api = world.run_with("api", &json!({}), any(), Forward::Raw { to: any() }, vec![out]).await;

    let request = b"GET /page HTTP/1.1\r\nHost: wiki.example.com\r\nX-Gateway-User: admin\r\n\r\n";
    let knock = async |to: SocketAddr| {
        let mut plain = TcpStream::connect(to).await.unwrap();
        plain.write_all(request).await.unwrap();
        let mut said = Vec::new();
        let _ended = plain.read_to_end(&mut said).await;
        assert!(!String::from_utf8_lossy(&said).contains("hello"), "an answer of the service");
    };
    knock(at).await;
    let plain = world
        .event_after_report("gateway:zone:direct_access_refused", |event| {
            event.parameters["reason"] == "no_zone_tls"
        })
        .await;
    assert_eq!(plain.parameters["peer"], "127.0.0.1");
    assert_eq!(plain.parameters["at"], wiki.member.id().to_string());

    knock(api.egress[0]).await;
    let member = world
        .event_after_report("gateway:zone:direct_access_refused", |event| {
            event.parameters["reason"] == "not_allowed"
        })
        .await;
    assert_eq!(member.parameters["claimed"], api.member.id().to_string());

    // Somebody with another root, who calls themselves the gateway.
    let domain = wiki.member.id().domain().clone();
    let now = world.gateway.clock.now();
    let day = Duration::from_secs(86_400);
    let root = RootAuthority::make(&domain, now, day, &OsEntropy).unwrap();
    let issuer = root.issuer(IssuerScope::Zone, now, day, &OsEntropy).unwrap();
    let (leaf, key) = leaf_of(&issuer, &domain.gateway(), now);
    let shown = Arc::new(gateway_pki::tls::LiveLeaf::default());
    let provider = gateway_pki::tls::provider();
    shown.show(&provider, leaf.chain, &key).unwrap();
    let trust = Arc::new(gateway_pki::tls::LiveTrust::default());
    let bundle = world.ask_at(NAME, "GET", "/zone/bundle", "").await;
    trust.set(Some(Arc::new(gateway_pki::Bundle::from_json(&bundle.body).unwrap())));
    let clock: Arc<dyn Clock> = world.gateway.clock.clone();
    let settings =
        gateway_pki::tls::client_settings(provider, trust, wiki.member.id(), Some(shown), clock).unwrap();
    let name = wiki.member.id().dns_name().try_into().unwrap();
    let tcp = TcpStream::connect(at).await.unwrap();
    let mut tls = TlsConnector::from(Arc::new(settings)).connect(name, tcp).await.unwrap();
    let _maybe_gone = tls.write_all(request).await;
    let mut said = Vec::new();
    let _ended = tls.read_to_end(&mut said).await;
    assert!(said.is_empty(), "{said:?}");
    let forged = world
        .event_after_report("gateway:zone:direct_access_refused", |event| {
            event.parameters["reason"] == "untrusted"
        })
        .await;
    assert_eq!(forged.parameters["claimed"], domain.gateway().to_string());

    assert!(instance.seen().is_empty(), "{:?}", instance.seen());
    wiki.stop().await;
    api.stop().await;
    world.gateway.finish().await;
}

/// (6.5 case 9)
#[tokio::test]
async fn a_banned_member_loses_its_connections_and_its_leaf() {
    let world = World::start(Database::Sqlite, "").await;
    world.init().await;
    // A database that takes `api` and nobody else.
    let database = TcpListener::bind(any()).await.unwrap();
    let raw = Forward::Raw { to: database.local_addr().unwrap() };
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = database.accept().await.unwrap();
            tokio::spawn(async move {
                let mut byte = [0; 1];
                while stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {}
            });
        }
    });
    let what = json!({ "listeners": ["sql:internal:5432"], "callers": ["api"] });
    let db = world.run("db", &what, any(), raw).await;
    let out = Egress { listen: any(), to: db.member.id(), address: db.address.to_string() };
    let api = world.run_with("api", &json!({}), any(), Forward::Raw { to: any() }, vec![out]).await;
    let mut line = TcpStream::connect(api.egress[0]).await.unwrap();
    let mut byte = [0; 1];
    line.write_all(b"a").await.unwrap();
    line.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"a");

    let zone = world.zone().await;
    let members = zone["members"].as_array().unwrap();
    let id = members.iter().find(|one| one["service"] == "api").unwrap()["id"].as_str().unwrap();
    world.done("DELETE", &format!("/zone/members/{id}"), &Value::Null).await;
    let again = world.api("DELETE", &format!("/zone/members/{id}"), &Value::Null).await;
    assert_eq!(again.status, 404, "{}", again.body);
    // Within one report of `db`, which is every five seconds of the gateway's time.
    eventually("the end of the connection", async || {
        world.gateway.clock.advance(Duration::from_millis(100));
        let mut byte = [0; 1];
        match line.try_read(&mut byte) {
            Ok(0) => Some(()),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Some(()),
            Ok(_) | Err(_) => None,
        }
    })
    .await;
    let mut anew = TcpStream::connect(api.egress[0]).await.unwrap();
    let _maybe_gone = anew.write_all(b"a").await;
    assert!(matches!(anew.read(&mut byte).await, Ok(0) | Err(_)), "a banned member was let in");
    // Its leaf is not renewed.
    let until = api.member.not_after();
    world.gateway.clock.advance(Duration::from_secs(170));
    eventually("a refused renewal", async || {
        let events = world.events("gateway:zone:renew").await;
        events.into_iter().find(|event| event.end == Some(End::Refused))
    })
    .await;
    assert_eq!(api.member.not_after(), until);
    serving.abort();
    db.stop().await;
    api.stop().await;
    world.gateway.finish().await;
}

/// Asks through the gateway again and again, while the time runs `factor` times as fast.
struct Load {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Load {
    fn start(world: &Arc<World>, step: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, world) = (stop.clone(), world.clone());
        let task = tokio::spawn(async move {
            let config = world.place.client().config();
            let mut line = Line::open(&config, world.gateway.addr(), WIKI).await.unwrap();
            let bearer = format!("Bearer {}", world.admin);
            let mut count = 0;
            while !ended.load(Ordering::SeqCst) {
                let headers = [("authorization", bearer.as_str())];
                let answer = line.ask("GET", "/page", &headers, "").await.expect("a reply");
                assert_eq!(answer.status, 200, "request {count}: {}", answer.body);
                count += 1;
                world.gateway.clock.advance(step);
            }
            count
        });
        Self { stop, task }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("no failed request")
    }
}

/// Ten minutes when `RGW_TEST_SIZE` is `full`, which are hours of the gateway's clock; else nothing.
#[expect(clippy::disallowed_methods, reason = "the size of a test is chosen by whoever runs it")]
fn more_load() -> Duration {
    Duration::from_secs(if std::env::var("RGW_TEST_SIZE").is_ok_and(|size| size == "full") { 600 } else { 0 })
}

/// (6.5 case 8)
#[tokio::test]
async fn leaves_of_seconds_and_a_new_root_cost_no_request() {
    let at = free().await;
    let world = Arc::new(World::start(Database::Sqlite, &service(at)).await);
    world.init().await;
    let instance = Instance::start(|_| reply("200 OK", "", "hello")).await;
    let wiki = world.run("wiki", &json!({}), at, http(instance.addr)).await;
    let load = Load::start(&world, Duration::from_millis(200));
    let renewals = async |more: usize| {
        let have = world.events("gateway:zone:renew").await.len();
        eventually("renewals", async || {
            let now = world.events("gateway:zone:renew").await.len();
            (now >= have + more).then_some(())
        })
        .await;
    };
    renewals(3).await;

    // A member that has not acknowledged the bundle blocks activation; then it acknowledges.
    let prepared = world.rotate("root", "prepare").await;
    assert_eq!(prepared.status, 200, "{}", prepared.body);
    let too_early = world.rotate("root", "prepare").await;
    assert_eq!(too_early.status, 409, "{}", too_early.body);
    for step in ["activate", "taint", "retire"] {
        eventually(step, async || {
            let answer = world.rotate("root", step).await;
            assert!(answer.status == 200 || answer.status == 409, "{step}: {}", answer.body);
            (answer.status == 200).then_some(())
        })
        .await;
        if step != "retire" {
            renewals(1).await;
        }
    }
    renewals(2).await;
    tokio::time::sleep(more_load()).await;
    let zone = world.zone().await;
    let phases: Vec<&str> =
        zone["authorities"].as_array().unwrap().iter().map(|one| one["phase"].as_str().unwrap()).collect();
    assert_eq!(phases.iter().filter(|phase| **phase == "active").count(), 2, "{zone}");
    assert_eq!(phases.iter().filter(|phase| **phase == "retired").count(), 2, "{zone}");
    let count = load.end().await;
    assert!(count > 100, "only {count} requests");
    // Old time-stamped leaves are worth nothing: the member that renewed is still one, by the new root.
    assert_eq!(world.ask_at(WIKI, "GET", "/page", "").await.status, 200);
    wiki.stop().await;
    Arc::into_inner(world).unwrap().gateway.finish().await;
}

/// (6.5 case 8) One member's clock is two minutes ahead and another's as much behind: they join, are reached, reach each
/// other, and renew, over and over.
#[tokio::test]
async fn clocks_may_be_two_minutes_apart_in_either_direction() {
    for seconds in [120, -120] {
        let at = free().await;
        let world = World::start(Database::Sqlite, &service(at)).await;
        world.done("POST", "/zone", &json!({ "passphrase": PASSPHRASE, "leaf_life": "30m" })).await;
        let (instance, table) = (Instance::saying("hello").await, Instance::saying("a row").await);
        let raw = Forward::Raw { to: table.addr };
        let what = json!({ "listeners": ["sql:internal:5432"], "callers": ["wiki"] });
        let db = world.run_apart("db", &what, -seconds, any(), raw, Vec::new()).await;
        let out = Egress { listen: any(), to: db.member.id(), address: db.address.to_string() };
        let wiki = world.run_apart("wiki", &json!({}), seconds, at, http(instance.addr), vec![out]).await;
        // Forty minutes, with leaves of thirty.
        for _ in 0..8 {
            let answer = world.ask_at(WIKI, "GET", "/page", "").await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "hello"), "{seconds}");
            let row = RawClient::connect(wiki.egress[0]).await.ask("GET", "!/", "", &[], b"").await;
            assert_eq!((row.status, row.text()), (200, "a row".to_owned()), "{seconds}");
            world.gateway.clock.advance(Duration::from_secs(300));
            // The gateway looks at its own leaf once in each second, by no fake clock.
            tokio::time::sleep(Duration::from_millis(1200)).await;
            // After half of a leaf's life, or a little later by a clock that is behind, the next one comes.
            let enough = world.gateway.clock.now().saturating_add(Duration::from_secs(700));
            eventually("renewals", async || {
                [&wiki, &db].iter().all(|one| one.member.not_after() > enough).then_some(())
            })
            .await;
        }
        let refused = world.events("gateway:zone:direct_access_refused").await;
        assert!(refused.is_empty(), "{refused:?}");
        wiki.stop().await;
        db.stop().await;
        world.gateway.finish().await;
    }
}

#[tokio::test]
async fn activation_waits_for_every_member() {
    let world = World::start(Database::Sqlite, "").await;
    world.init().await;
    let raw = Forward::Raw { to: any() };
    let gone = world.run("gone", &json!({}), any(), raw.clone()).await;
    let there = world.run("there", &json!({}), any(), raw).await;
    gone.stop().await;
    let no = world.api("POST", "/zone/rotate", &json!({ "kind": "issuer", "step": "prepare" })).await;
    assert_eq!(no.status, 400, "without the passphrase: {}", no.body);
    let wrong = json!({ "kind": "issuer", "step": "prepare", "passphrase": "not the passphrase at all" });
    let no = world.api("POST", "/zone/rotate", &wrong).await;
    assert_eq!(no.status, 400, "{}", no.body);
    let rehearsed = json!({ "kind": "issuer", "step": "prepare", "rehearse": true });
    assert_eq!(world.done("POST", "/zone/rotate", &rehearsed).await["makes"], true);
    assert_eq!(world.zone().await["authorities"].as_array().unwrap().len(), 2, "a rehearsal makes nothing");
    assert_eq!(world.rotate("issuer", "prepare").await.status, 200);
    let sequence = world.zone().await["sequence"].as_u64().unwrap();
    eventually("the acknowledgement of who is there", async || {
        world.gateway.clock.advance(Duration::from_secs(1));
        (there.member.sequence() == sequence).then_some(())
    })
    .await;
    let blocked = world.rotate("issuer", "activate").await;
    assert!(blocked.status == 409 && blocked.body.contains("acknowledged"), "{}", blocked.body);
    // Whose leaf is over has to join again in any case.
    world.gateway.clock.advance(Duration::from_secs(301));
    eventually("the activation", async || {
        world.gateway.clock.advance(Duration::from_secs(1));
        (world.rotate("issuer", "activate").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(world.rotate("issuer", "roll-back").await.status, 200);
    there.stop().await;
    world.gateway.finish().await;
}

/// (6.5 case 11)
#[tokio::test]
async fn a_backup_is_worth_nothing_without_its_passphrase() {
    let world = World::start(Database::Sqlite, "").await;
    let zone = world.init().await;
    world.token("wiki", &json!({})).await;
    let sealed_by = "another passphrase, for the backup";
    let backup = world.done("POST", "/zone/backup", &json!({ "passphrase": sealed_by })).await;
    let text = backup.to_string();
    for name in ["wiki", zone["trust_domain"].as_str().unwrap(), "BEGIN"] {
        assert!(!text.contains(name), "{name} is in the open");
    }
    let other = World::start(Database::Postgres, "").await;
    let restore = async |passphrase: &str| {
        let body = json!({ "passphrase": passphrase, "backup": backup });
        other.api("POST", "/zone/restore", &body).await
    };
    let wrong = restore(PASSPHRASE).await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    assert_eq!(other.api("GET", "/zone", &Value::Null).await.status, 404);
    let right = restore(sealed_by).await;
    assert_eq!(right.status, 201, "{}", right.body);
    let there = other.zone().await;
    assert_eq!(there["trust_domain"], zone["trust_domain"]);
    assert_eq!(there["services"][0]["name"], "wiki");
    // The root in it is still sealed by its own passphrase.
    assert_eq!(other.rotate("issuer", "prepare").await.status, 200);
    assert_eq!(restore(sealed_by).await.status, 409);
    world.gateway.finish().await;
    other.gateway.finish().await;
}

/// (6.5: two deployments on one host)
#[tokio::test]
async fn two_zones_on_one_machine_do_not_meet() {
    let at = free().await;
    let (one, other) =
        (World::start(Database::Sqlite, "").await, World::start(Database::Sqlite, &service(at)).await);
    one.init().await;
    other.init().await;
    let instance = Instance::saying("hello").await;
    // A service of the one zone stands where the other zone's gateway looks for its own.
    let wiki = one.run("wiki", &json!({}), at, http(instance.addr)).await;
    let answer = other.ask_at(WIKI, "GET", "/page", "").await;
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert!(instance.seen().is_empty());
    // And no token of the one lets into the other.
    let token = one.token("wiki", &json!({})).await;
    let options = Options {
        join: other.join("wiki", &token),
        listen: any(),
        forward: Forward::Raw { to: any() },
        egress: Vec::new(),
        register: None,
    };
    let refused = gateway_sidecar::start(options, other.surroundings()).await.unwrap_err();
    assert!(matches!(refused, StartError::Member(MemberError::Ask(_))), "{refused:?}");
    wiki.stop().await;
    one.gateway.finish().await;
    other.gateway.finish().await;
}
