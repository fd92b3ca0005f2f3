//! Certificates by ACME from a real server (Caddy's), proved over TLS, over HTTP, and by DNS (BIND).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_store::StoreError;
use gateway_testkit::{Database, TestGateway, TestGatewayBuilder, eventually};
use gateway_types::{Clock as _, Role};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::authority::{Ca, Dns, KEY, ZONE, own_address};
use super::client::{ClientOptions, Line};
use super::notes;

const HOST: &str = "gateway.corp.test";
const RACK: &str = "rack.corp.test";

/// A gateway that gets its certificates from this server.
fn builder(ca: &Ca, address: Ipv4Addr) -> TestGatewayBuilder {
    TestGateway::builder()
        .env("LISTENER_TLS", "acme")
        .env("LISTENER_ADDRESSES", &address.to_string())
        .env("PORT", "443")
        .env("DOMAIN", HOST)
        .env("ACME_ACCEPT_TERMS", "true")
        .env("ACME_DIRECTORY", &ca.directory_url)
        .env("ACME_CA_FILE", &ca.root_file.display().to_string())
        .env("ACME_CONTACT", "ops@corp.test")
}

/// The certificate that the gateway shows for this name, once it has one that the client believes.
async fn leaf(gateway: &TestGateway, ca: &Ca, name: &str) -> CertificateDer<'static> {
    let config = ClientOptions::trusting(&ca.root()).config();
    let line = eventually("a certificate", || async { Line::open(&config, gateway.addr(), name).await.ok() });
    match tokio::time::timeout(Duration::from_secs(50), line).await {
        Ok(line) => line.met.leaf.clone(),
        Err(_) => panic!("no certificate: {:?}\n{}", notes(gateway).await, ca.log()),
    }
}

/// Another certificate than this one.
async fn another_leaf(
    gateway: &TestGateway,
    ca: &Ca,
    name: &str,
    before: &CertificateDer<'static>,
) -> CertificateDer<'static> {
    eventually("the renewed certificate", || async {
        let found = leaf(gateway, ca, name).await;
        (found != *before).then_some(found)
    })
    .await
}

async fn serves(gateway: &TestGateway, ca: &Ca, name: &str) {
    let config = ClientOptions::trusting(&ca.root()).config();
    let mut line = Line::open(&config, gateway.addr(), name).await.unwrap();
    assert_eq!(line.apps(gateway.token(Role::Viewer)).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_proved_over_tls_and_renewed() {
    let address = own_address();
    let hosts = [(HOST, address), (RACK, address), ("later.corp.test", address)];
    let mut ca = Ca::start(&hosts, None).await;
    let mut gateway = builder(&ca, address)
        .env("PROXY_HOSTS", RACK)
        .env("ACME_CHALLENGE", "tls-alpn-01")
        .env("HTTP_PORT", "off")
        .start()
        .await;
    let first = leaf(&gateway, &ca, HOST).await;
    let rack = leaf(&gateway, &ca, RACK).await;
    assert_ne!(first, rack, "one certificate for each name");
    serves(&gateway, &ca, HOST).await;
    // A name that comes while the gateway runs.
    gateway.answer_to(&[HOST, RACK, "later.corp.test"]);
    leaf(&gateway, &ca, "later.corp.test").await;
    gateway.answer_to(&[HOST, RACK]);
    let said = notes(&gateway).await;
    assert!(
        said.iter().any(|note| note.starts_with(&format!("TLS, {HOST}: the certificate is good for 0 days"))),
        "{said:?}"
    );
    // At two thirds of its twelve hours it is renewed; before, it is not.
    gateway.clock.advance(Duration::from_secs(7 * 3600));
    assert_eq!(leaf(&gateway, &ca, HOST).await, first);
    gateway.clock.advance(Duration::from_secs(3600 + 60));
    let second = another_leaf(&gateway, &ca, HOST, &first).await;
    another_leaf(&gateway, &ca, RACK, &rack).await;
    // The change is in the log, with what was before.
    let events = gateway.events().await;
    let renewed: Vec<_> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "gateway:certificate:renew")
        .filter(|(_, event)| event.parameters["name"] == HOST)
        .collect();
    assert!(renewed.len() >= 2 && renewed[0].1.before == Some(serde_json::Value::Null), "{renewed:?}");
    assert!(renewed[1].1.before.as_ref().unwrap()["not_after"].is_string());
    // Everything is in the store: without the server a restart shows it at once. And nothing is left open.
    ca.stop();
    gateway.restart().await;
    let config = ClientOptions::trusting(&ca.root()).config();
    let line = Line::open(&config, gateway.addr(), HOST).await.unwrap();
    assert_eq!(line.met.leaf, second);
    assert!(gateway.store().certificates().answers().await.unwrap().is_empty());
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_proved_over_http() {
    let address = own_address();
    let ca = Ca::start(&[(HOST, address)], None).await;
    let gateway = builder(&ca, address).env("ACME_CHALLENGE", "http-01").start().await;
    assert_eq!(gateway.http_addr().port(), 80);
    leaf(&gateway, &ca, HOST).await;
    serves(&gateway, &ca, HOST).await;
    gateway.finish().await;
}

/// No public address, no port 80 or 443: the name is proved by a TXT record that the gateway writes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_proved_by_dns() {
    let dns = Dns::start().await;
    let ca = Ca::start(&[], Some(dns.addr)).await;
    let gateway = builder(&ca, Ipv4Addr::LOCALHOST)
        .env("PORT", "0")
        .env("HTTP_PORT", "off")
        .env("ACME_DNS_SERVER", &dns.addr.to_string())
        .env("ACME_DNS_ZONE", ZONE)
        .env("ACME_DNS_TSIG_NAME", KEY.0)
        .env("ACME_DNS_TSIG_SECRET", KEY.1)
        .start()
        .await;
    leaf(&gateway, &ca, HOST).await;
    serves(&gateway, &ca, HOST).await;
    let updates = eventually("the removal", || async {
        let updates = dns.updates();
        updates.iter().any(|line| line.contains("deleting an RR")).then_some(updates)
    })
    .await;
    assert!(
        updates.iter().any(|line| line.contains("adding an RR at '_acme-challenge.gateway.corp.test' TXT")),
        "{updates:?}"
    );
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_said_and_tried_again() {
    let dns = Dns::start().await;
    let ca = Ca::start(&[], Some(dns.addr)).await;
    let wrong_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let gateway = builder(&ca, Ipv4Addr::LOCALHOST)
        .env("PORT", "0")
        .env("HTTP_PORT", "off")
        .env("ACME_DNS_SERVER", &dns.addr.to_string())
        .env("ACME_DNS_ZONE", ZONE)
        .env("ACME_DNS_TSIG_NAME", KEY.0)
        .env("ACME_DNS_TSIG_SECRET", wrong_key)
        .start()
        .await;
    let problem = async |expected: &str| {
        eventually(expected, || async {
            let notes = notes(&gateway).await;
            notes.into_iter().find(|note| note.contains(expected))
        })
        .await
    };
    let note = problem("refused with").await;
    assert!(note.contains("there is no certificate yet") && note.contains("it is tried again at"), "{note}");
    let attempts = gateway.store().certificates().attempts().await.unwrap();
    assert_eq!((attempts.len(), attempts[0].failures), (1, 1));
    let order = attempts[0].order.clone().expect("the order is kept: the server did not say no to it");
    // The second try goes on with the same order, and comes as far.
    gateway.clock.advance(Duration::from_secs(200));
    eventually("the second try", || async {
        let attempts = gateway.store().certificates().attempts().await.unwrap();
        (attempts[0].failures == 2).then_some(())
    })
    .await;
    let attempts = gateway.store().certificates().attempts().await.unwrap();
    assert_eq!(attempts[0].order.as_ref(), Some(&order));
    assert!(gateway.store().certificates().answers().await.unwrap().is_empty());
    gateway.finish().await;
}

/// Two instances: one gets the certificate, both show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_what_one_got() {
    let (first, second) = (own_address(), own_address());
    let ca = Ca::start(&[(HOST, first)], None).await;
    let one = builder(&ca, first).database(Database::Postgres).start().await;
    let two = builder(&ca, second).share(&one).start().await;
    let (of_one, of_two) = (leaf(&one, &ca, HOST).await, leaf(&two, &ca, HOST).await);
    assert_eq!(of_one, of_two);
    let now = one.clock.now();
    let issued = one.store().certificates().all().await.unwrap();
    assert!(issued.len() == 1 && issued[0].not_after > now);
    let events = one.events().await;
    let count =
        events.iter().filter(|(_, event)| event.action.as_str() == "gateway:certificate:renew").count();
    assert_eq!(count, 1);
    two.finish().await;
    one.finish().await;
}

/// A directory with renewal information (RFC 9773) in front of a server that has none.
struct Suggestions {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    window: Arc<Mutex<(String, String)>>,
    task: JoinHandle<()>,
}

impl Drop for Suggestions {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Suggestions {
    /// `directory` is the real one, which is handed out with one more entry.
    async fn start(directory: serde_json::Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let far = ("2090-01-01T00:00:00Z".to_owned(), "2090-01-02T00:00:00Z".to_owned());
        let window = Arc::new(Mutex::new(far));
        let mut directory = directory;
        directory["renewalInfo"] = format!("http://{addr}/renewal-info").into();
        let (seen, told) = (asked.clone(), window.clone());
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => break,
                    }
                }
                let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                let body = if line.contains("/renewal-info/") {
                    seen.lock().unwrap().push(line);
                    let (start, end) = told.lock().unwrap().clone();
                    serde_json::json!({ "suggestedWindow": { "start": start, "end": end } }).to_string()
                } else {
                    directory.to_string()
                };
                let reply = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRetry-After: 3600\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _gone = stream.write_all(reply.as_bytes()).await;
            }
        });
        Self { addr, asked, window, task }
    }
}

/// The directory as the server has it.
async fn directory_of(ca: &Ca) -> serde_json::Value {
    let url: http::Uri = ca.directory_url.parse().unwrap();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, url.port_u16().unwrap()));
    let config = ClientOptions::trusting(&ca.root()).config();
    // At first it has no certificate for itself.
    let line = eventually("the server", || async { Line::open(&config, addr, "localhost").await.ok() });
    let mut line = line.await;
    // Its directory names the host that it was asked as.
    let reply = line.ask_as(&format!("localhost:{}", addr.port()), "GET", url.path()).await.unwrap();
    serde_json::from_str(&reply.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_suggestion_decides_when() {
    let address = own_address();
    let ca = Ca::start(&[(HOST, address)], None).await;
    let suggestions = Suggestions::start(directory_of(&ca).await).await;
    let gateway = builder(&ca, address)
        .env("ACME_DIRECTORY", &format!("http://{}/directory", suggestions.addr))
        .env("ACME_CHALLENGE", "http-01")
        .start()
        .await;
    let first = leaf(&gateway, &ca, HOST).await;
    eventually("the question", || async { (suggestions.asked.lock().unwrap().len() == 1).then_some(()) })
        .await;
    // The suggestion is far away: at two thirds nothing is renewed.
    gateway.clock.advance(Duration::from_secs(9 * 3600));
    eventually("the second question", || async {
        (suggestions.asked.lock().unwrap().len() >= 2).then_some(())
    })
    .await;
    assert_eq!(leaf(&gateway, &ca, HOST).await, first);
    // The authority wants it replaced now.
    let past = ("2026-01-01T00:00:00Z".to_owned(), "2026-01-02T00:00:00Z".to_owned());
    *suggestions.window.lock().unwrap() = past;
    gateway.clock.advance(Duration::from_secs(3600 + 60));
    another_leaf(&gateway, &ca, HOST, &first).await;
    gateway.finish().await;
}

/// A run that was cut off after it had made an order: the next one goes on with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_half_way() {
    let address = own_address();
    let ca = Ca::start(&[(HOST, address)], None).await;
    // Without a DNS server that takes updates the order stays open.
    let open = builder(&ca, Ipv4Addr::LOCALHOST)
        .env("PORT", "0")
        .env("HTTP_PORT", "off")
        .env("ACME_DNS_SERVER", "127.0.0.1:1")
        .env("ACME_DNS_ZONE", ZONE)
        .env("ACME_DNS_TSIG_NAME", KEY.0)
        .env("ACME_DNS_TSIG_SECRET", KEY.1)
        .database(Database::Postgres)
        .start()
        .await;
    let order = eventually("an open order", || async {
        let attempts = open.store().certificates().attempts().await.unwrap();
        attempts.into_iter().find(|attempt| attempt.failures == 1)?.order
    })
    .await;
    let resumed =
        builder(&ca, address).env("ACME_CHALLENGE", "tls-alpn-01").env("HTTP_PORT", "off").share(&open);
    // It is gone before the next try is due, or it would be the one that tries, in vain.
    let clock = open.clock.clone();
    open.finish().await;
    clock.advance(Duration::from_secs(200));
    let resumed = resumed.start().await;
    leaf(&resumed, &ca, HOST).await;
    let issued = resumed.store().certificates().all().await.unwrap();
    assert_eq!(issued[0].key, order.key, "the certificate is for the key of the first order");
    let lost = resumed.store().certificates().account("https://elsewhere.test/").await;
    assert!(matches!(lost, Ok::<_, StoreError>(None)));
    resumed.finish().await;
}
