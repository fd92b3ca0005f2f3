//! Client certificates as the credential of machines.

use std::sync::Arc;
use std::time::Duration;

use gateway_identity::ClientCertificate;
use gateway_store::{ApiToken, NewToken, StoreError};
use gateway_testkit::TestGateway;
use gateway_types::{Grant, Role, RoleSet};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, SignatureScheme};
use serde_json::{Value, json};

use super::client::{Answer, ClientOptions, Line, basic, handshake};
use super::{NAME, Place, provider};

/// A machine with a key and a certificate that nobody signed but itself.
struct Machine {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Machine {
    fn new() -> Self {
        Self::with(KeyPair::generate().unwrap(), 2)
    }

    /// With this key and a certificate of this many days.
    fn with(key: KeyPair, days: i64) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, format!("a machine for {days} days"));
        let now = gateway_types::Clock::now(&gateway_types::SystemClock).micros() / 1_000_000;
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap());
        params.not_before = epoch + seconds(now - 3600);
        params.not_after = epoch + seconds(now + days * 86_400);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    /// The certificate of the same key, renewed.
    fn renewed(&self) -> Self {
        let key = KeyPair::try_from(self.key.serialize_der()).unwrap();
        Self::with(key, 3)
    }

    fn presented(&self) -> Arc<dyn ResolvesClientCert> {
        present(&self.certificate, &self.key)
    }

    fn read(&self) -> ClientCertificate {
        ClientCertificate::from_pem(&self.pem).unwrap()
    }
}

/// Presents a certificate with a key, whether they belong together or not.
fn present(certificate: &CertificateDer<'static>, key: &KeyPair) -> Arc<dyn ResolvesClientCert> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider().key_provider.load_private_key(key).unwrap();
    Arc::new(Always(Arc::new(CertifiedKey::new(vec![certificate.clone()], key))))
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

struct World {
    place: Place,
    gateway: TestGateway,
}

impl World {
    async fn start() -> Self {
        let place = Place::new();
        place.write("tls", &[NAME]);
        let gateway = place
            .gateway(&["tls"])
            .env("CLIENT_CERTIFICATES", "true")
            .env("RGW_SETTING_MFA_STEP_UP", "false")
            .start()
            .await;
        Self { place, gateway }
    }

    fn options(&self, certificate: Option<Arc<dyn ResolvesClientCert>>) -> ClientOptions {
        ClientOptions { certificate, ..self.place.client() }
    }

    async fn line(&self, machine: &Machine) -> Line {
        let options = self.options(Some(machine.presented()));
        Line::open(&options.config(), self.gateway.addr(), NAME).await.unwrap()
    }

    async fn apps(&self, machine: &Machine, headers: &[(&str, &str)]) -> Answer {
        self.line(machine).await.ask("GET", "/api/v1/rack-proxy/apps", headers, "").await.unwrap()
    }

    async fn bind(&self, machine: &Machine) -> ApiToken {
        let new = NewToken {
            name: "a machine".to_owned(),
            roles: RoleSet::of(Role::Viewer),
            grants: vec![Grant::everything()],
            creator: self.gateway.person(Role::Admin).id,
            expires: None,
            networks: Vec::new(),
        };
        self.gateway.store().tokens().create_for_certificate(new, machine.read().key).await.unwrap()
    }
}

#[tokio::test]
async fn the_certificate_is_the_token() {
    let world = World::start().await;
    let machine = Machine::new();
    assert_eq!(world.apps(&machine, &[]).await.status, 401, "not bound yet");
    let token = world.bind(&machine).await;
    let reply = world.apps(&machine, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    // Its rights are the token's, not more.
    let mut line = world.line(&machine).await;
    let reply = line.ask("DELETE", "/api/v1/rack-proxy/apps/web", &[], "").await.unwrap();
    assert_eq!(reply.status, 403, "{}", reply.body);
    // The key counts: a renewed certificate is the same machine, another key is nobody.
    assert_eq!(world.apps(&machine.renewed(), &[]).await.status, 200);
    assert_eq!(world.apps(&Machine::new(), &[]).await.status, 401);
    // The log says who it was.
    let events = world.gateway.events().await;
    let own = events.iter().filter(|(_, event)| event.actor.id == Some(token.id.to_string())).count();
    assert!(own >= 3, "{own}");
    // Pages are for people who sign in: there it is sent to do so.
    assert_eq!(line.ask("GET", "/app/users", &[], "").await.unwrap().status, 303);
    world.gateway.store().tokens().revoke(token.id).await.unwrap();
    assert_eq!(line.apps("").await.unwrap().status, 401, "revoked on an open connection");
    assert_eq!(world.apps(&machine, &[]).await.status, 401);
    world.gateway.finish().await;
}

#[tokio::test]
async fn exactly_one_credential() {
    let world = World::start().await;
    let (machine, stranger) = (Machine::new(), Machine::new());
    world.bind(&machine).await;
    let other = world.gateway.token(Role::Admin).to_owned();
    let bearer = format!("Bearer {other}");
    for machine in [&machine, &stranger] {
        for headers in [
            [("authorization", bearer.as_str())],
            [("authorization", basic(&other).as_str())],
            [("cookie", "__Host-rgw=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        ] {
            let reply = world.apps(machine, &headers).await;
            assert_eq!(reply.status, 400, "{headers:?} {}", reply.body);
        }
        // A wrong token beside it is a wrong token.
        let wrong = [("authorization", "Bearer rgw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")];
        assert_eq!(world.apps(machine, &wrong).await.status, 401);
    }
    // A certificate that others speak of in a header is no certificate.
    let mut line = Line::open(&world.options(None).config(), world.gateway.addr(), NAME).await.unwrap();
    for name in ["x-client-cert", "x-forwarded-client-cert", "ssl-client-cert", "client-cert"] {
        let pem = machine.pem.replace('\n', "%0A");
        let reply = line.ask("GET", "/api/v1/rack-proxy/apps", &[(name, pem.as_str())], "").await.unwrap();
        assert_eq!(reply.status, 401, "{name}");
    }
    // Without one the usual credentials work.
    assert_eq!(line.apps(&other).await.unwrap().status, 200);
    world.gateway.finish().await;
}

#[tokio::test]
async fn whoever_has_not_the_key_is_not_heard() {
    let world = World::start().await;
    let (machine, thief) = (Machine::new(), KeyPair::generate().unwrap());
    world.bind(&machine).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut options = world.options(Some(present(&machine.certificate, &thief)));
        options.versions = vec![version];
        // With TLS 1.3 a client is done before the gateway has looked at its certificate.
        let served = match Line::open(&options.config(), world.gateway.addr(), NAME).await {
            Ok(mut line) => line.apps("").await.is_ok(),
            Err(_refused) => false,
        };
        assert!(!served, "{version:?}");
        let mut options = world.options(Some(machine.presented()));
        options.versions = vec![version];
        let config = options.config();
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut line = Line::open(&config, world.gateway.addr(), NAME).await.unwrap();
            kinds.push(line.met.kind);
            assert_eq!(line.apps("").await.unwrap().status, 200, "{version:?}");
        }
        assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed], "the certificate holds on");
    }
    world.gateway.finish().await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let world = World::start().await;
    let machine = Machine::new();
    world.bind(&machine).await;
    let mut open = world.line(&machine).await;
    assert_eq!(open.apps("").await.unwrap().status, 200);
    world.gateway.clock.advance(Duration::from_secs(2 * 86_400 + 60));
    assert_eq!(open.apps("").await.unwrap().status, 401, "also on a connection that was open before");
    assert_eq!(world.apps(&machine, &[]).await.status, 401);
    assert_eq!(world.apps(&machine.renewed(), &[]).await.status, 200);
    world.gateway.finish().await;
}

#[tokio::test]
async fn a_token_is_bound_by_the_api() {
    let world = World::start().await;
    let (machine, session) = (Machine::new(), world.gateway.session(Role::Admin).await);
    let bearer = format!("Bearer {session}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let mut line = Line::open(&world.options(None).config(), world.gateway.addr(), NAME).await.unwrap();
    let mut create = async |certificate: &str| {
        let body = json!({ "name": "ci", "roles": ["viewer"], "certificate": certificate }).to_string();
        line.ask("POST", "/api/v1/tokens", &headers, &body).await.unwrap()
    };
    let made = create(&machine.pem).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let token: Value = serde_json::from_str(&made.body).unwrap();
    assert_eq!((&token["of_certificate"], token.get("secret")), (&Value::Bool(true), None));
    assert_eq!(world.apps(&machine, &[]).await.status, 200);
    // The same key stands for one token, whatever its certificate.
    assert_eq!(create(&machine.renewed().pem).await.status, 409);
    for bad in ["", "nonsense", &machine.key.serialize_pem(), &machine.pem.repeat(2)] {
        let reply = create(bad).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
    }
    // It has no secret that could be made anew.
    let rotate = format!("/api/v1/tokens/{}/rotate", token["id"].as_str().unwrap());
    let reply = line.ask("POST", &rotate, &headers, "{}").await.unwrap();
    assert_eq!(reply.status, 409, "{}", reply.body);
    let events = world.gateway.events().await;
    let bound = events.iter().find(|(_, event)| event.parameters.contains_key("certificate_key"));
    assert_eq!(bound.unwrap().1.action.as_str(), "gateway:token:create");
    world.gateway.finish().await;
}

#[tokio::test]
async fn nobody_is_asked_unless_the_operator_says_so() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).start().await;
    let machine = Machine::new();
    let new = NewToken {
        name: "a machine".to_owned(),
        roles: RoleSet::of(Role::Viewer),
        grants: vec![Grant::everything()],
        creator: gateway.person(Role::Admin).id,
        expires: None,
        networks: Vec::new(),
    };
    let tokens = gateway.store().tokens();
    tokens.create_for_certificate(new.clone(), machine.read().key).await.unwrap();
    let again = tokens.create_for_certificate(new, machine.read().key).await;
    assert!(matches!(again, Err(StoreError::Exists)));
    let options = ClientOptions { certificate: Some(machine.presented()), ..place.client() };
    let stream = handshake(&options.config(), gateway.addr(), NAME).await.unwrap();
    drop(stream);
    let mut line = Line::open(&options.config(), gateway.addr(), NAME).await.unwrap();
    assert_eq!(line.apps("").await.unwrap().status, 401);
    gateway.finish().await;
}

/// A certificate for clients that `authority` signed, with these names.
fn certified(authority: &rcgen::CertifiedIssuer<'_, KeyPair>, names: Vec<rcgen::SanType>) -> Machine {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names;
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, authority).unwrap();
    Machine { certificate: certificate.der().clone(), pem: certificate.pem(), key }
}

fn authority(name: &str) -> rcgen::CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn uri(text: &str) -> rcgen::SanType {
    rcgen::SanType::URI(text.try_into().unwrap())
}

#[tokio::test]
async fn a_certificate_signs_a_workload_in_by_a_trust_rule() {
    let world = World::start().await;
    let (zone, other) = (authority("the zone"), authority("another zone"));
    let rule = |name: &str, claim: &str, value: &str, pem: Option<String>| gateway_store::NewTrustRule {
        name: name.to_owned(),
        kind: "certificate".to_owned(),
        issuer: String::new(),
        claims: std::collections::BTreeMap::from([(claim.to_owned(), vec![value.to_owned()])]),
        authority: pem,
        roles: RoleSet::of(Role::Viewer),
        grants: vec![Grant::everything()],
        networks: Vec::new(),
        lifetime: Duration::from_secs(900),
    };
    let rules = world.gateway.store().trust_rules();
    let api = certified(&zone, vec![uri("spiffe://zone/api")]);
    assert_eq!(world.apps(&api, &[]).await.status, 401, "no rule yet");
    let written = rules
        .set(rule("api", "spiffe_id", "spiffe://zone/api", Some(zone.pem())), None, "tester")
        .await
        .unwrap();
    let reply = world.apps(&api, &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let events = world.gateway.events().await;
    let actor =
        &events.iter().rfind(|(_, event)| event.actor.name == "workload:api").expect("an event").1.actor;
    assert_eq!(actor.on_behalf_of.as_deref(), Some("spiffe://zone/api"));
    let mut line = world.line(&api).await;
    let refused = line.ask("DELETE", "/api/v1/rack-proxy/apps/web", &[], "").await.unwrap();
    assert_eq!(refused.status, 403, "its rights are the rule's: {}", refused.body);
    assert_eq!(line.ask("GET", "/app/users", &[], "").await.unwrap().status, 303, "no pages");
    // Another name, two names, another zone's word for it, nobody's word for it.
    for (machine, why) in [
        (certified(&zone, vec![uri("spiffe://zone/apis")]), "another name"),
        (certified(&zone, vec![uri("spiffe://zone/api"), uri("spiffe://zone/web")]), "two names"),
        (certified(&zone, vec![rcgen::SanType::DnsName("spiffe://zone/api".try_into().unwrap())]), "no URI"),
        (certified(&other, vec![uri("spiffe://zone/api")]), "another zone"),
        (Machine::new(), "itself"),
    ] {
        assert_eq!(world.apps(&machine, &[]).await.status, 401, "{why}");
    }
    // Two rules that take it: none does.
    let second = rules
        .set(rule("also", "spiffe_id", "spiffe://zone/api", Some(zone.pem())), None, "tester")
        .await
        .unwrap();
    assert_eq!(world.apps(&api, &[]).await.status, 401);
    rules.remove("also", second.version).await.unwrap();
    assert_eq!(line.apps("").await.unwrap().status, 200);
    rules.remove("api", written.version).await.unwrap();
    assert_eq!(line.apps("").await.unwrap().status, 401, "removed on an open connection");
    // A whole certificate needs nobody's word.
    let own = Machine::new();
    let fingerprint = own.read().names().fingerprint;
    rules.set(rule("own", "fingerprint", &fingerprint, None), None, "tester").await.unwrap();
    assert_eq!(world.apps(&own, &[]).await.status, 200);
    assert_eq!(world.apps(&own.renewed(), &[]).await.status, 401, "the same key in another certificate");
    world.gateway.finish().await;
}

#[tokio::test]
async fn f6_a_token_goes_to_another_certificate_with_an_overlap() {
    let world = World::start().await;
    let (old, new) = (Machine::new(), Machine::new());
    let token = world.bind(&old).await;
    let tokens = world.gateway.store().tokens();
    let hour = Duration::from_secs(3600);
    let rotated = tokens.rotate_to_certificate(token.id, new.read().key, hour, token.version).await.unwrap();
    let status = async |machine| world.apps(machine, &[]).await.status.as_u16();
    assert_eq!((status(&old).await, status(&new).await), (200, 200));
    let again = tokens.rotate_to_certificate(token.id, old.read().key, hour, rotated.version).await;
    assert!(matches!(again, Err(StoreError::Exists)), "a key stands for one token, once");
    world.gateway.clock.advance(hour);
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    world.gateway.finish().await;
}
