//! A real ACME server (Caddy) and a real DNS server (BIND), each a process of its own on loopback.
//!
//! An ACME server checks names on the ports 80 and 443 and nowhere else, so the gateways of these tests listen
//! there, each on an address of its own in 127.0.0.0/8. The server finds them in a file of host names that is
//! its own: it runs in a mount namespace with another `/etc/hosts`. Only TXT records it looks up at a server of
//! our choice.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use gateway_testkit::eventually;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::client::{ClientOptions, Line};

/// The zone of the names under test.
pub(crate) const ZONE: &str = "corp.test";

/// The TSIG key that may write TXT records.
pub(super) const KEY: (&str, &str) = ("gateway", "cmFjayBnYXRld2F5IHRlc3RzOiBhIFRTSUcga2V5ISE=");

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::create(log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{:?} cannot be run ({error}); ./scripts/test installs it", command.get_program())
        });
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A port that nobody uses now, for both TCP and UDP.
fn free_port() -> u16 {
    for _ in 0..100 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// An address in 127.0.0.0/8 at which nobody else listens on the ports 80 and 443.
pub(super) fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed));
    for port in [80, 443] {
        if let Err(error) = TcpListener::bind((address, port)) {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "an ACME server looks at ports 80 and 443 only: run the tests as root, or `sysctl -w net.ipv4.ip_unprivileged_port_start=80`"
                }
                _ => "another program listens on that port of all addresses; stop it for the tests",
            };
            panic!("cannot listen on {address}:{port} ({error}); {advice}");
        }
    }
    address
}

/// A DNS server with the zone.
pub(crate) struct Dns {
    pub(crate) addr: SocketAddr,
    directory: TempDir,
    process: Option<Process>,
}

impl Dns {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// Starts one with these further records of the zone.
    pub(crate) async fn with(records: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let place = directory.path().display().to_string();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let port = addr.port();
        let (key, secret) = KEY;
        let config = format!(
            "options {{ directory \"{place}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             recursion no; dnssec-validation no; pid-file \"{place}/pid\"; session-keyfile \"{place}/session\"; }};\n\
             controls {{ }};\n\
             key \"{key}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n\
             zone \"{ZONE}\" {{ type primary; file \"{place}/zone\"; \
             update-policy {{ grant {key} zonesub TXT; }}; }};\n"
        );
        std::fs::write(directory.path().join("named.conf"), config).unwrap();
        let mut dns = Self { addr, directory, process: None };
        dns.become_one_with(records).await;
        dns
    }

    /// Starts it again, at the same address, with these records instead.
    pub(crate) async fn become_one_with(&mut self, records: &str) {
        self.stop();
        let zone = format!(
            "$TTL 60\n@ IN SOA ns.{ZONE}. nobody.{ZONE}. 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\n{records}"
        );
        std::fs::write(self.directory.path().join("zone"), zone).unwrap();
        let program = ["/usr/sbin/named", "/usr/bin/named"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("named"));
        command.args(["-g", "-n", "1", "-c"]).arg(self.directory.path().join("named.conf"));
        self.process = Some(Process::start(&mut command, &self.directory.path().join("log")));
        answers(self.addr, &self.directory.path().join("log")).await;
    }

    /// Ends it; nobody answers there any more.
    pub(crate) fn stop(&mut self) {
        self.process = None;
    }

    /// What the server wrote about the updates it took.
    pub(super) fn updates(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        log.lines().filter(|line| line.contains("updating zone")).map(str::to_owned).collect()
    }
}

/// An ACME server.
pub(super) struct Ca {
    pub(super) directory_url: String,
    pub(super) root_file: PathBuf,
    place: TempDir,
    process: Option<Process>,
}

impl Ca {
    /// Starts one that issues for 12 hours. It believes that these hosts are there, and looks TXT records up at
    /// this DNS server.
    pub(super) async fn start(hosts: &[(&str, Ipv4Addr)], dns: Option<SocketAddr>) -> Self {
        let place = TempDir::new().unwrap();
        let port = free_port();
        let root = place.path().display().to_string();
        let resolvers = dns.map(|dns| format!("\t\tresolvers udp/{dns}\n")).unwrap_or_default();
        let config = format!(
            "{{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n\tdefault_bind 127.0.0.1\n\
             \tstorage file_system {root}/data\n}}\nhttps://localhost:{port} {{\n\ttls internal\n\tacme_server {{\n\
             {resolvers}\t\tlifetime 12h\n\t}}\n}}\n"
        );
        std::fs::write(place.path().join("Caddyfile"), config).unwrap();
        let mut known = "127.0.0.1 localhost\n".to_owned();
        for (name, address) in hosts {
            known.push_str(&format!("{address} {name}\n"));
        }
        std::fs::write(place.path().join("hosts"), known).unwrap();
        let script = format!(
            "mount --bind {root}/hosts /etc/hosts || {{ echo 'the tests of ACME need root, to give the ACME server \
             an /etc/hosts of its own'; exit 1; }}; exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]).arg(caddy());
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(place.path().join("Caddyfile"));
        command
            .env("HOME", place.path())
            .env("XDG_DATA_HOME", place.path())
            .env("XDG_CONFIG_HOME", place.path());
        let process = Process::start(&mut command, &place.path().join("log"));
        answers(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), &place.path().join("log")).await;
        let root_file = place.path().join("data/pki/authorities/local/root.crt");
        eventually("the root certificate", || async { root_file.exists().then_some(()) }).await;
        // Its own certificate comes a moment after its root; until then it breaks off every handshake.
        let root = CertificateDer::from_pem_file(&root_file).unwrap();
        let (config, addr) = (ClientOptions::trusting(&root).config(), (Ipv4Addr::LOCALHOST, port).into());
        eventually("its own certificate", || async { Line::open(&config, addr, "localhost").await.ok() })
            .await;
        Self {
            directory_url: format!("https://localhost:{port}/acme/local/directory"),
            root_file,
            place,
            process: Some(process),
        }
    }

    pub(super) fn root(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.root_file).unwrap()
    }

    /// Stops it; its files stay.
    pub(super) fn stop(&mut self) {
        self.process = None;
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.place.path().join("log")).unwrap()
    }
}

/// Where `scripts/test` puts it, or in the path.
fn caddy() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let installed = target.join("tools/caddy");
    if installed.exists() { installed } else { PathBuf::from("caddy") }
}

async fn answers(addr: SocketAddr, log: &Path) {
    let begun = std::time::Instant::now();
    eventually("the server", || async {
        let connected = TcpStream::connect(addr).await.ok().map(drop);
        if connected.is_none() && begun.elapsed().as_secs() > 30 {
            panic!("the server does not answer: {}", std::fs::read_to_string(log).unwrap());
        }
        connected
    })
    .await;
}
