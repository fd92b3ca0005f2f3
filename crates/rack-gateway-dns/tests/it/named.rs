//! A real name server (BIND), a process of its own on loopback, and questions to it.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use tempfile::TempDir;
use tokio::time::{Instant, interval};

/// The zone under test.
pub(crate) const ZONE: &str = "corp.test";

/// The TSIG key that the servers know.
pub(crate) const KEY: &str = "cmFjayBnYXRld2F5IGRuczogYSBUU0lHIGtleSBmb3IgdGVzdHM=";

/// Waits for a state, and says which one when it does not come.
pub(crate) async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut ticks = interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} did not come in 30 s");
    }
}

/// A port that nobody uses now, for both TCP and UDP.
pub(crate) fn free_port() -> u16 {
    for _ in 0..100 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

/// A name server with the zone.
pub(crate) struct Named {
    pub(crate) address: SocketAddr,
    pub(crate) place: TempDir,
    process: Option<Child>,
}

impl Drop for Named {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Named {
    /// One that takes updates with the key, and hands the zone out with it.
    pub(crate) async fn updated() -> Self {
        let policy = "allow-transfer { key shim; }; update-policy { grant shim subdomain corp.test. ANY; };";
        let named = Self::prepare(policy);
        // 3,000 names of somebody else: a transfer of several messages.
        let zone = "$TTL 60\n@ IN SOA ns.corp.test. nobody.corp.test. 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\n\
                    foreign IN TXT \"of somebody else\"\n$GENERATE 1-3000 host$.pool A 10.0.0.1\n";
        std::fs::write(named.zone_file(), zone).unwrap();
        named.started().await
    }

    /// One that reads the zone from its file; it does not serve it before there is one.
    pub(crate) async fn of_file() -> Self {
        Self::prepare("").started().await
    }

    fn prepare(policy: &str) -> Self {
        let place = TempDir::new().unwrap();
        let at = place.path().display().to_string();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let port = address.port();
        let config = format!(
            "options {{ directory \"{at}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
             recursion no; dnssec-validation no; pid-file \"{at}/pid\"; session-keyfile \"{at}/session\"; }};\n\
             controls {{ }};\nkey \"shim\" {{ algorithm hmac-sha256; secret \"{KEY}\"; }};\n\
             zone \"{ZONE}\" {{ type primary; file \"{at}/zone\"; {policy} }};\n"
        );
        std::fs::write(place.path().join("named.conf"), config).unwrap();
        Self { address, place, process: None }
    }

    async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    pub(crate) async fn start(&mut self) {
        let log = File::create(self.place.path().join("log")).unwrap();
        let program = ["/usr/sbin/named", "/usr/bin/named"].into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(program.unwrap_or("named"));
        command.args(["-g", "-n", "1", "-c"]).arg(self.place.path().join("named.conf"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().expect("named cannot be run; ./scripts/test installs it"));
        let address = self.address;
        eventually("named", || async { tokio::net::TcpStream::connect(address).await.ok() }).await;
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ended = process.kill();
            let _reaped = process.wait();
        }
    }

    pub(crate) fn zone_file(&self) -> PathBuf {
        self.place.path().join("zone")
    }

    /// The command that makes it read its files again.
    pub(crate) fn reload(&self) -> String {
        let pid = self.process.as_ref().expect("a process").id();
        format!("[\"/bin/kill\", \"-HUP\", \"{pid}\"]")
    }

    /// What it answers, sorted, as zone files write it.
    pub(crate) async fn answers(&self, name: &str, record_type: RecordType) -> Vec<String> {
        let mut name = Name::from_ascii(name).unwrap();
        name.set_fqdn(true);
        let records = gateway_dns_client::query(self.address, &name, record_type).await.unwrap_or_default();
        let mut answers: Vec<String> =
            records.iter().map(|record| format!("{} {}", record.ttl, record.data)).collect();
        answers.sort();
        answers
    }
}
