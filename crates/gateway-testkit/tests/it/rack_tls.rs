//! TLS to the rack: by pinned fingerprint, CA file, system roots, or trust on first use. A certificate
//! that does not pass is never spoken to: neither a request nor the rack's password goes out.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use gateway_audit::{End, Phase};
use gateway_framing::websocket::Opcode;
use gateway_sim::{SimOptions, SimRack};
use gateway_testkit::{RawClient, Reply, Socket, TestGateway, eventually};
use gateway_types::Role;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

fn openssl(directory: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap_or_else(|error| panic!("the command `openssl` is needed to make certificates: {error}"));
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Certificates made for one test, as files in a directory.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A self-signed certificate, as racks show one.
    fn self_signed(&self, name: &str, subject: &str) {
        openssl(
            self.0.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
                 -addext subjectAltName={subject} -keyout {name}.key -out {name}.pem"
            ),
        );
    }

    /// A certificate for `subject` that the authority `issuer`, made with [`Certificates::self_signed`], signed.
    fn issued(&self, issuer: &str, name: &str, subject: &str) {
        let directory = self.0.path();
        openssl(
            directory,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} \
                 -keyout {name}.key -out {name}.csr"
            ),
        );
        std::fs::write(directory.join("extensions"), format!("subjectAltName={subject}\n")).unwrap();
        openssl(
            directory,
            &format!(
                "x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial -days 2 \
                 -extfile extensions -out {name}.pem"
            ),
        );
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(format!("{name}.pem")).display().to_string()
    }

    fn fingerprint(&self, name: &str) -> String {
        let certificate = CertificateDer::from_pem_file(self.path(name)).unwrap();
        data_encoding::HEXLOWER.encode(digest(&SHA256, &certificate).as_ref())
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_file(self.path(name)).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.0.path().join(format!("{name}.key"))).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }
}

/// What ends TLS in front of the simulated rack.
struct TlsRack {
    rack: SimRack,
    addr: SocketAddr,
    shown: Arc<Mutex<Arc<ServerConfig>>>,
    tried: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl TlsRack {
    async fn start(shown: Arc<ServerConfig>) -> Self {
        let rack = SimRack::start(SimOptions::for_tests()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, behind) = (listener.local_addr().unwrap(), rack.addr());
        let shown = Arc::new(Mutex::new(shown));
        let (tried, accepted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (config, counters) = (shown.clone(), (tried.clone(), accepted.clone()));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(config.lock().unwrap().clone());
                let (tried, accepted) = counters.clone();
                tokio::spawn(async move {
                    let handshake = acceptor.accept(stream).await;
                    if let Ok(mut client) = handshake {
                        accepted.fetch_add(1, Ordering::SeqCst);
                        let mut rack = TcpStream::connect(behind).await.unwrap();
                        // Either side may end it at any time.
                        let _ended = copy_bidirectional(&mut client, &mut rack).await;
                    }
                    tried.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { rack, addr, shown, tried, accepted, task }
    }

    /// A gateway in front of it, with these variables.
    async fn gateway(&self, variables: &[(&str, &str)]) -> TestGateway {
        let host = format!("https://{}", self.addr);
        let builder = TestGateway::builder().env("RACK_HOST", &host).env("RACK_TOKEN", self.rack.password());
        variables.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start().await
    }

    /// Shows another certificate from now on, and ends the connections of before.
    fn show(&self, config: Arc<ServerConfig>) {
        *self.shown.lock().unwrap() = config;
        self.rack.sever();
    }

    /// Nobody spoke to it.
    fn check_untouched(&self) {
        assert_eq!(self.accepted.load(Ordering::SeqCst), 0, "a handshake was completed");
        assert!(self.rack.requests().is_empty());
    }
}

impl Drop for TlsRack {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn list(gateway: &TestGateway) -> Reply {
    let mut client = RawClient::connect(gateway.addr()).await;
    client.ask("GET", "/apps", gateway.token(Role::Ops), &[], b"").await
}

/// Reads, changes and sockets all work.
async fn check_works(gateway: &TestGateway) {
    let reply = list(gateway).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let mut client = RawClient::connect(gateway.addr()).await;
    let body = vec![b'x'; 300_000];
    let headers = [("Content-Type", "application/octet-stream")];
    let token = gateway.token(Role::Admin);
    let stored = client.ask("POST", "/apps/myapp/objects/tmp/tls.tgz", token, &headers, &body).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let read = client.ask("GET", "/apps/myapp/objects/tmp/tls.tgz", token, &[], b"").await;
    assert!(read.body == body, "{}", read.status);
    let mut socket = exec(gateway, "exit 3").await;
    assert_eq!(socket.until_end().await[0].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:3\n");
}

async fn exec(gateway: &TestGateway, command: &str) -> Socket {
    let path = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";
    Socket::open(gateway.addr(), path, gateway.token(Role::Ops), &[("Command", command)]).await.unwrap()
}

/// Nothing works, and nothing says why but the log.
async fn check_refused(gateway: &TestGateway) {
    let reply = list(gateway).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert_eq!(reply.json()["type"], "/problems/upstream-unreachable");
    let mut client = RawClient::connect(gateway.addr()).await;
    let path = "/apps/myapp/services/web/restart";
    let reply = client.ask("POST", path, gateway.token(Role::Ops), &[], b"").await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    let mut socket = exec(gateway, "exit 0").await;
    let frames = socket.until_end().await;
    assert!(frames[0].payload.starts_with(b"ERROR: the rack cannot be reached"), "{frames:?}");
    assert_eq!(frames[1].payload, b"F1E49A85-0AD7-4AEF-A618-C249C6E6568D:1\n");
    assert_eq!((frames[2].opcode, frames[2].payload.len()), (Opcode::Binary, 0));
}

#[tokio::test]
async fn a_pinned_certificate_is_the_only_one() {
    let certificates = Certificates::new();
    certificates.self_signed("rack", "DNS:rack.internal");
    certificates.self_signed("other", "IP:127.0.0.1");
    let rack = TlsRack::start(certificates.server("rack")).await;

    let pinned = certificates.fingerprint("rack");
    let gateway = rack.gateway(&[("RACK_CERT_FINGERPRINT", &pinned)]).await;
    check_works(&gateway).await;
    gateway.finish().await;

    let rack = TlsRack::start(certificates.server("other")).await;
    let gateway = rack.gateway(&[("RACK_CERT_FINGERPRINT", &pinned)]).await;
    check_refused(&gateway).await;
    eventually("three tries", || async { (rack.tried.load(Ordering::SeqCst) >= 3).then_some(()) }).await;
    rack.check_untouched();
    let events = gateway.events().await;
    let outcome = |action: &str| {
        let of = |(_, event): &&(u64, gateway_audit::Event)| {
            event.action.as_str() == action && event.phase != Phase::Intent
        };
        events.iter().find(of).unwrap().1.clone()
    };
    assert_eq!(outcome("convox:service:restart").status, Some(502));
    assert_ne!(outcome("convox:service:restart").end, Some(End::Completed));
    gateway.finish().await;
}

#[tokio::test]
async fn a_ca_file_vouches_for_its_own_certificates_and_names() {
    let certificates = Certificates::new();
    certificates.self_signed("authority", "DNS:authority");
    certificates.self_signed("stranger", "DNS:stranger");
    certificates.issued("authority", "rack", "IP:127.0.0.1");
    certificates.issued("authority", "elsewhere", "DNS:elsewhere.internal,IP:10.0.0.1");
    certificates.issued("stranger", "foreign", "IP:127.0.0.1");
    let authority = certificates.path("authority");
    let rack = TlsRack::start(certificates.server("rack")).await;
    let gateway = rack.gateway(&[("RACK_CA_FILE", &authority)]).await;
    check_works(&gateway).await;
    gateway.finish().await;
    // Another name of the right authority; the right name of another authority.
    for wrong in ["elsewhere", "foreign"] {
        let rack = TlsRack::start(certificates.server(wrong)).await;
        let gateway = rack.gateway(&[("RACK_CA_FILE", &authority)]).await;
        check_refused(&gateway).await;
        rack.check_untouched();
        gateway.finish().await;
    }
}

#[tokio::test]
async fn system_roots_refuse_a_self_signed_certificate() {
    let certificates = Certificates::new();
    certificates.self_signed("rack", "IP:127.0.0.1");
    let rack = TlsRack::start(certificates.server("rack")).await;
    let gateway = rack.gateway(&[]).await;
    check_refused(&gateway).await;
    rack.check_untouched();
    gateway.finish().await;
}

#[tokio::test]
async fn trust_on_first_use_is_given_once() {
    let certificates = Certificates::new();
    certificates.self_signed("first", "DNS:rack.internal");
    certificates.self_signed("second", "DNS:rack.internal");
    let rack = TlsRack::start(certificates.server("first")).await;
    let mut gateway = rack.gateway(&[("RACK_TRUST_ON_FIRST_USE", "true")]).await;
    check_works(&gateway).await;

    rack.show(certificates.server("second"));
    rack.rack.clear_requests();
    rack.accepted.store(0, Ordering::SeqCst);
    eventually("a refusal", || async { (list(&gateway).await.status == 502).then_some(()) }).await;
    check_refused(&gateway).await;
    rack.check_untouched();

    // The first one is still trusted.
    rack.show(certificates.server("first"));
    check_works(&gateway).await;

    // Trust is not kept over a restart: what is shown then is a first use again.
    rack.show(certificates.server("second"));
    gateway.restart().await;
    check_works(&gateway).await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_rack_that_speaks_no_tls_is_not_spoken_to() {
    let rack = SimRack::start(SimOptions::for_tests()).await.unwrap();
    let host = format!("https://{}", rack.addr());
    let gateway = TestGateway::builder()
        .env("RACK_HOST", &host)
        .env("RACK_TOKEN", rack.password())
        .env("RACK_TRUST_ON_FIRST_USE", "true")
        .start()
        .await;
    check_refused(&gateway).await;
    assert!(rack.requests().is_empty());
    gateway.finish().await;
}
