//! The example of the project's first document: its variables and a database are all that `serve` needs,
//! behind a router that ends TLS; the listed admin signs in with a browser, and nobody else does.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gateway_sim::{SimOptions, SimRack};
use gateway_testkit::browser::peers;
use gateway_testkit::{Journey, RawClient, eventually};
use serde_json::Value;
use tempfile::TempDir;

/// The example as the document has it: its line breaks are lost there.
const DOCUMENT: &str = "services: gateway: domain: gateway.example.com port: 8443 resources: - database environment: - RACK_HOST=rack.example.com - RACK_TOKEN # From Convox resources - GOOGLE_CLIENT_ID - GOOGLE_CLIENT_SECRET - ADMIN_USERS=admin@example.com\nresources: database: type: postgres";

/// The same as a file that Convox reads.
const CONVOX_YML: &str = include_str!("../../../../packaging/convox.yml");

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ended = self.0.wait();
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// The names below `environment:`, with the values that the file gives.
fn environment() -> BTreeMap<String, Option<String>> {
    CONVOX_YML
        .lines()
        .skip_while(|line| line.trim() != "environment:")
        .skip(1)
        .map_while(|line| line.trim().strip_prefix("- "))
        .map(|entry| {
            let entry = entry.split(" #").next().unwrap_or_default().trim();
            match entry.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (entry.to_owned(), None),
            }
        })
        .collect()
}

#[test]
fn the_file_is_the_documents_example() {
    assert_eq!(words(CONVOX_YML), words(DOCUMENT));
    let expected = ["ADMIN_USERS", "GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET", "RACK_HOST", "RACK_TOKEN"];
    assert_eq!(environment().keys().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// nginx as the router that ends TLS, on a free port.
fn router(directory: &Path, port: u16) -> Running {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=gateway.example.com", "-keyout", "key.pem", "-out", "cert.pem"])
        .args(["-addext", "subjectAltName=DNS:gateway.example.com"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let place = directory.display();
    let configuration = format!(
        "pid {place}/nginx.pid; error_log {place}/error.log; worker_processes 1; daemon off;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off;\n\
           client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/f;\n\
           uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
           server {{ listen 127.0.0.1:{port} ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;\n\
             location / {{ proxy_pass http://127.0.0.1:8443; proxy_http_version 1.1;\n\
               proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https;\n\
               proxy_set_header X-Forwarded-For $remote_addr; }} }} }}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
    let nginx = Command::new("nginx")
        .args(["-e", "stderr", "-p"])
        .arg(directory)
        .args(["-c", "nginx.conf"])
        .spawn()
        .unwrap_or_else(|error| panic!("nginx; ./scripts/test installs it: {error}"));
    Running(nginx)
}

/// The certified provider, and its issuer.
fn provider(client_id: &str, client_secret: &str, redirect: &str) -> (Running, String) {
    let mut child = Command::new("node")
        .args(["oidc-provider.mjs", "--client-id", client_id, "--client-secret", client_secret])
        .args(["--redirect-uri", redirect])
        .current_dir(peers())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    // A provider that nobody listens to would end with its next word.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    let ready: Value = serde_json::from_str(&line).unwrap();
    (Running(child), ready["issuer"].as_str().unwrap().to_owned())
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// `serve`, with the document's variables, a PostgreSQL URL, and a provider in Google's place.
fn serve(directory: &Path, rack: &SimRack, database_url: &str) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command.arg("serve").env_clear().env("PATH", env!("PATH"));
    for (name, given) in environment() {
        let value = match (name.as_str(), given) {
            ("RACK_HOST", _) => rack.url(),
            ("RACK_TOKEN", None) => rack.password().to_owned(),
            ("GOOGLE_CLIENT_ID", None) => "google-client".to_owned(),
            ("GOOGLE_CLIENT_SECRET", None) => "google-secret-of-some-length".to_owned(),
            (_, Some(value)) => value,
            (other, None) => panic!("nobody gives {other}"),
        };
        command.env(name, value);
    }
    let log = std::fs::File::create(directory.join("serve.log")).unwrap();
    let child = command
        .env("DATABASE_URL", database_url)
        .env("RACK_GATEWAY_CONFIG", directory.join("rack-gateway.toml"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    Running(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn its_variables_and_a_database_are_enough() {
    let directory = TempDir::new().unwrap();
    let rack = SimRack::start(SimOptions::for_tests()).await.unwrap();
    let server = gateway_testdb::postgres().unwrap();
    let database_url = gateway_testdb::fresh_database(server).unwrap();
    let port = free_port();
    let origin = format!("https://gateway.example.com:{port}");
    let callback = format!("{origin}/auth/callback/google");
    let (_provider, issuer) = provider("google-client", "google-secret-of-some-length", &callback);
    std::fs::write(
        directory.path().join("rack-gateway.toml"),
        format!("[[identity.provider]]\nname = \"google\"\nissuer = \"{issuer}\"\n"),
    )
    .unwrap();
    let _router = router(directory.path(), port);
    let gateway = serve(directory.path(), &rack, &database_url);
    let said = || std::fs::read_to_string(directory.path().join("serve.log")).unwrap_or_default();
    eventually("a gateway on 8443", async || {
        tokio::net::TcpStream::connect("127.0.0.1:8443").await.ok().map(drop)
    })
    .await;
    let health = RawClient::connect("127.0.0.1:8443".parse().unwrap())
        .await
        .ask("GET", "!/api/v1/health", "", &[], b"")
        .await;
    assert_eq!(health.status, 200, "{}", said());
    let told = Journey::begin(
        &origin,
        "admin@example.com",
        "convox-yml",
        &["--refused", "stranger@example.org", "--provider", "certified", "--insecure", "--only-sign-in"],
    );
    told.end(async |question, _| panic!("signing in asks for no {question}")).await;
    assert!(!said().contains("google-secret-of-some-length"), "no secret in the program's log");
    drop(gateway);
    tokio::time::timeout(Duration::from_secs(10), rack.stop()).await.unwrap();
}
