//! `rack-gateway selfcheck`: the built command line scans a gateway, alone and behind a real nginx.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gateway_testkit::{RawClient, TestGateway, eventually};
use gateway_types::Role;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn scan(home: &TempDir, url: &str, token: &str, more: &[&str]) -> (i32, String, String) {
    scan_trusting(None, home, url, token, more)
}

/// The same, with the authority of a gateway that has one of its own.
fn scan_trusting(
    authority: Option<&Path>,
    home: &TempDir,
    url: &str,
    token: &str,
    more: &[&str],
) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    let output = command
        .args(["selfcheck", url])
        .args(more)
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("RACK_GATEWAY_CREDENTIALS", "file")
        .env("RACK_GATEWAY_URL", url)
        .env("RACK_GATEWAY_TOKEN", token)
        .envs(authority.map(|file| ("RACK_GATEWAY_CA_FILE", file)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn labels(report: &Value, outcome: &str) -> Vec<String> {
    let checks = report["checks"].as_array().unwrap();
    let named = checks.iter().filter(|check| check["outcome"] == outcome);
    named
        .map(|check| format!("{} {}", check["label"].as_str().unwrap(), check["title"].as_str().unwrap()))
        .collect()
}

/// What was found about one check.
fn detail(report: &Value, title: &str) -> String {
    let checks = report["checks"].as_array().unwrap();
    let one = checks.iter().find(|check| check["title"] == title);
    let one = one.unwrap_or_else(|| panic!("no check `{title}` in {report:#}"));
    format!("{} {}", one["outcome"].as_str().unwrap(), one["detail"].as_str().unwrap())
}

/// A certificate for this machine, signed by itself, as `cert.pem` and `cert.key` in this directory.
fn certificate(directory: &Path) -> (PathBuf, PathBuf) {
    let (chain, key) = (directory.join("cert.pem"), directory.join("cert.key"));
    let pair = rcgen::KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let signed = rcgen::CertificateParams::new(names).unwrap().self_signed(&pair).unwrap();
    std::fs::write(&chain, signed.pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    (chain, key)
}

/// An nginx that ends with the test.
struct Nginx(Child, SocketAddr);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone_already = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ended = self.0.wait();
    }
}

/// nginx on a free port with these lines in its `server` and `location`.
async fn nginx(directory: &Path, server: &str, location: &str) -> Nginx {
    nginx_on(directory, "", server, location).await
}

/// The same, with these words behind its address.
async fn nginx_on(directory: &Path, listen: &str, server: &str, location: &str) -> Nginx {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = directory.display();
    let configuration = format!(
        "pid {place}/nginx.pid; error_log {place}/error.log; worker_processes 1; daemon off;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off;\n\
           map $http_upgrade $socket_upgrade {{ default ''; websocket websocket; }}\n\
           map $socket_upgrade $connection_upgrade {{ default upgrade; '' close; }}\n\
           client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/f;\n\
           uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
           server {{ listen {address} {listen}; {server}\n\
             location / {{ proxy_http_version 1.1; proxy_set_header Host $http_host;\n{location} }} }} }}\n"
    );
    std::fs::write(directory.join("nginx.conf"), configuration).unwrap();
    let child = Command::new("nginx")
        .args(["-p", &directory.display().to_string(), "-c", "nginx.conf", "-e", "error.log"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("nginx", || async { tokio::net::TcpStream::connect(address).await.ok() }).await;
    Nginx(child, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_by_itself_is_clean() {
    let gateway = TestGateway::start().await;
    let home = TempDir::new().unwrap();
    let token = gateway.critical_token().await;
    let url = format!("http://{}", gateway.addr());
    let (code, out, err) = scan(&home, &url, &token, &["--yes", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} {out} {err}"));
    assert_eq!((code, &report["findings"]), (0, &0.into()), "{out}");
    assert_eq!(labels(&report, "unknown"), Vec::<String>::new(), "{out}");
    assert_eq!(report["behind_a_front"], false);
    assert!(labels(&report, "clean").len() > 35, "{out}");
    assert!(report["requests"].as_u64() < Some(100), "{}", report["requests"]);
    assert!(!format!("{out}{err}").contains(&token), "the token is in no report");

    let (code, out, err) = scan(&home, &url, &token, &["--yes"]);
    assert!(code == 0 && out.trim_end().ends_with("nothing found"), "{out} {err}");
    let (code, _, err) = scan(&home, &url, &token, &[]);
    assert!(code == 2 && err.contains("--yes"), "nobody was there to ask: {err}");
    let (code, _, err) = scan(&home, &url, gateway.token(Role::Admin), &["--yes"]);
    assert_eq!(code, 4, "a token without the grant gets no permit: {err}");
    let (code, _, err) = scan(&home, &url, gateway.token(Role::Viewer), &["--yes"]);
    assert_eq!(code, 4, "{err}");
    let (code, _, err) = scan(&home, "http://127.0.0.1:9", &token, &["--yes"]);
    assert_eq!(code, 5, "{err}");
    let events = gateway.events().await;
    let permits = events.iter().filter(|(_, event)| event.action.as_str() == "gateway:selfcheck:permit");
    assert!(permits.clone().any(|(_, event)| event.parameters.contains_key("host")), "the host is recorded");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_careless_front_end_lets_through_is_named() {
    let gateway = TestGateway::builder().env("TRUSTED_FORWARDERS", "127.0.0.0/8").start().await;
    let (home, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let front = nginx(
        place.path(),
        "merge_slashes on; underscores_in_headers on;",
        &format!(
            "proxy_pass http://{}/; proxy_set_header X-Forwarded-For $http_x_forwarded_for;\n\
             proxy_set_header X-Forwarded-Proto $http_x_forwarded_proto;",
            gateway.addr()
        ),
    )
    .await;
    let token = gateway.critical_token().await;
    let url = format!("http://{}", front.1);
    let (code, out, err) = scan(&home, &url, &token, &["--yes", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} {out} {err}"));
    assert_eq!(code, 1, "{out}");
    assert_eq!(report["behind_a_front"], true);
    let found = labels(&report, "finding");
    for expected in [
        "A1 a path with two slashes within",
        "A1 a path with a dot-dot segment",
        "A2 a path with an escaped letter",
        "B1 a header name with underscores",
        "B3 X-Forwarded-For of a client's own",
        "B3 X-Forwarded-Proto of a client's own",
        "C5 a WebSocket",
    ] {
        assert!(found.iter().any(|label| label == expected), "{expected} in {found:?}\n{out}");
    }
    let (code, out, _) = scan(&home, &url, &token, &["--yes"]);
    assert!(code == 1 && out.contains("FINDING") && out.contains("change: "), "{out}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_careful_front_end_is_clean() {
    let gateway = TestGateway::builder().env("TRUSTED_FORWARDERS", "127.0.0.1/32").start().await;
    let (home, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // The client is on an address of its own, so that the gateway can tell it from the front end.
    let front = nginx(
        place.path(),
        "merge_slashes off;",
        &format!(
            "proxy_pass http://{}; proxy_set_header X-Forwarded-For 192.0.2.7; proxy_set_header X-Forwarded-Proto http;\n\
             proxy_set_header Forwarded \"\"; proxy_set_header Upgrade $socket_upgrade; proxy_set_header Connection $connection_upgrade;",
            gateway.addr()
        ),
    )
    .await;
    let token = gateway.critical_token().await;
    let (code, out, err) = scan(&home, &format!("http://{}", front.1), &token, &["--yes", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} {out} {err}"));
    assert_eq!(report["behind_a_front"], true);
    assert_eq!((labels(&report, "finding"), code), (Vec::new(), 0), "{out}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_is_for_one_scan_of_one_host_of_one_gateway() {
    let gateway = TestGateway::start().await;
    let other = TestGateway::builder()
        .env("APP_SECRET_KEY", "another key of at least thirty-two characters")
        .start()
        .await;
    let token = gateway.critical_token().await;
    let json = [("Content-Type", "application/json")];
    let ask = async |to: &TestGateway, path: &str, token: &str, headers: &[(&str, &str)], body: &str| {
        let method = if body.is_empty() { "GET" } else { "POST" };
        RawClient::connect(to.addr()).await.ask(method, path, token, headers, body.as_bytes()).await
    };
    let permit = async |host: &str| {
        let body = format!("{{\"host\":\"{host}\"}}");
        let reply = ask(&gateway, "!/api/v1/selfcheck/permit", &token, &json, &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        format!("{{\"permit\":\"{}\"}}", reply.json()["permit"].as_str().unwrap())
    };
    let begin =
        async |to: &TestGateway, body: &str| ask(to, "!/api/v1/selfcheck/scan", "", &json, body).await;
    let host = gateway.addr().to_string();

    let refused = ask(&gateway, "!/api/v1/selfcheck/probe", "", &[], "").await;
    assert_eq!(refused.status, 403, "without a permit: {}", refused.text());
    let refused = begin(&gateway, "{\"permit\":\"made.up\"}").await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let elsewhere = permit("other.example.com").await;
    let refused = begin(&gateway, &elsewhere).await;
    assert!(refused.status == 403 && refused.text().contains("other.example.com"), "{}", refused.text());
    let mine = permit(&host).await;
    assert_eq!(begin(&other, &mine).await.status, 403, "another gateway takes it not");
    // Of many that begin at once one does.
    let begun = begin(&gateway, &mine).await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    let again = begin(&gateway, &mine).await;
    assert!(again.status == 403 && again.text().contains("was used"), "{}", again.text());
    let key = begun.json()["permit"].as_str().unwrap().to_owned();
    let seen = ask(
        &gateway,
        "!/api/v1/selfcheck/probe",
        "",
        &[("Selfcheck-Key", &key), ("X-Secret-Of-A-Front", "s3cret")],
        "",
    )
    .await;
    assert_eq!(seen.status, 200, "{}", seen.text());
    assert!(!seen.text().contains("s3cret") && !seen.text().contains(&key), "{}", seen.text());
    assert_eq!(seen.json()["client"], "127.0.0.1");
    let permit_as_key = mine.split('"').nth(3).unwrap().to_owned();
    let refused =
        ask(&gateway, "!/api/v1/selfcheck/probe", "", &[("Selfcheck-Key", &permit_as_key)], "").await;
    assert_eq!(refused.status, 403, "a permit is no key");
    gateway.clock.advance(Duration::from_secs(601));
    let late = ask(&gateway, "!/api/v1/selfcheck/probe", "", &[("Selfcheck-Key", &key)], "").await;
    assert_eq!(late.status, 403, "{}", late.text());
    other.finish().await;
    gateway.finish().await;
}

/// The checks of HTTP/2, as a report names them.
const STREAMS: [&str; 9] = [
    "a line break in a value over HTTP/2",
    "a line break in a name over HTTP/2",
    "a line break in the path over HTTP/2",
    "a request line in the method over HTTP/2",
    "two paths over HTTP/2",
    "Transfer-Encoding over HTTP/2",
    "a length without a body over HTTP/2",
    "Connection over HTTP/2",
    "CONNECT for a WebSocket over HTTP/2",
];

/// A gateway that ends TLS itself, with a certificate that it made in this place, and that certificate.
async fn with_tls(place: &Path) -> (TestGateway, PathBuf) {
    let (chain, key) = certificate(place);
    let gateway = TestGateway::builder()
        .env("LISTENER_TLS", "files")
        .env("TLS_CERTIFICATE_FILES", &chain.display().to_string())
        .env("TLS_KEY_FILES", &key.display().to_string())
        .start()
        .await;
    (gateway, chain)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_ends_tls_itself_is_clean_over_both_versions() {
    let (home, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (gateway, chain) = with_tls(place.path()).await;
    let token = gateway.critical_token().await;
    let url = format!("https://127.0.0.1:{}", gateway.addr().port());
    let (code, out, err) = scan_trusting(Some(&chain), &home, &url, &token, &["--yes", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} {out} {err}"));
    assert_eq!((code, labels(&report, "finding")), (0, Vec::new()), "{out}");
    assert_eq!(labels(&report, "unknown"), Vec::<String>::new(), "{out}");
    assert_eq!(detail(&report, "a plain request over HTTP/2"), "clean arrived");
    for title in STREAMS {
        assert!(detail(&report, title).starts_with("clean"), "{out}");
    }
    for version in ["TLS 1.0", "TLS 1.1"] {
        assert_eq!(detail(&report, version), "clean it is refused");
    }
    assert_eq!(detail(&report, "Strict-Transport-Security"), "clean max-age=63072000");
    assert!(report["requests"].as_u64() < Some(110), "{}", report["requests"]);
    gateway.finish().await;
}

/// Who is not vouched for gets no credential, and there is no switch for it: the system's authorities, or a file of one's own.
#[tokio::test(flavor = "multi_thread")]
async fn m6_a_certificate_of_nobody_known_is_refused() {
    let (home, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (gateway, chain) = with_tls(place.path()).await;
    let ask = async |authorities: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
        command.args(["whoami", "--json"]).env_clear().env("HOME", home.path()).stdin(Stdio::null());
        command.env("RACK_GATEWAY_URL", format!("https://127.0.0.1:{}", gateway.addr().port()));
        command.env("RACK_GATEWAY_TOKEN", gateway.token(Role::Viewer));
        command.envs(authorities.map(|path| ("RACK_GATEWAY_CA_FILE", path)));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    let refused = ask(None).await;
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(5), "{words}");
    assert!(words.contains("certificate") && words.contains("RACK_GATEWAY_CA_FILE"), "{words}");
    let taken = ask(Some(&chain)).await;
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    let elsewhere = TempDir::new().unwrap();
    let (other, _) = certificate(elsewhere.path());
    assert_eq!(ask(Some(&other)).await.status.code(), Some(5));
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_of_tls_and_a_swallowed_hsts_are_named() {
    let gateway = TestGateway::builder().env("TRUSTED_FORWARDERS", "127.0.0.0/8").start().await;
    let (home, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (chain, key) = certificate(place.path());
    let server = format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0; merge_slashes off;",
        chain.display(),
        key.display()
    );
    let location = format!(
        "proxy_pass http://{}; proxy_set_header X-Forwarded-For 192.0.2.7; proxy_set_header X-Forwarded-Proto https;\n\
         proxy_set_header Forwarded \"\"; proxy_set_header Upgrade $socket_upgrade; proxy_set_header Connection $connection_upgrade;\n",
        gateway.addr()
    );
    let token = gateway.critical_token().await;
    {
        let hiding = format!("{location} proxy_hide_header Strict-Transport-Security;");
        let front = nginx_on(place.path(), "ssl http2", &server, &hiding).await;
        let url = format!("https://{}", front.1);
        let (code, out, err) = scan_trusting(Some(&chain), &home, &url, &token, &["--yes", "--json"]);
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} {out} {err}"));
        let mut of_tls = labels(&report, "finding");
        of_tls.retain(|label| label.starts_with('T'));
        of_tls.sort();
        assert_eq!(code, 1, "{out}");
        assert_eq!(of_tls, ["T1 TLS 1.0", "T1 TLS 1.1", "T3 Strict-Transport-Security"], "{out}");
        assert_eq!(detail(&report, "a plain request over HTTP/2"), "clean arrived", "through nginx");
    }
    let strict = server.replace("TLSv1 TLSv1.1 TLSv1.2", "TLSv1.2 TLSv1.3");
    let front = nginx_on(place.path(), "ssl", &strict, &location).await;
    let url = format!("https://{}", front.1);
    let (code, out, err) = scan_trusting(Some(&chain), &home, &url, &token, &["--yes", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} {out} {err}"));
    assert_eq!((code, labels(&report, "finding")), (0, Vec::new()), "{out}");
    assert_eq!(detail(&report, "a plain request over HTTP/2"), "clean HTTP/2 is not spoken here");
    gateway.finish().await;
}

/// A front end that turns HTTP/2 into HTTP/1.1 without looking at what it turns, as some did (CVE-2021-33193): each
/// field becomes a line. It takes HTTP/2 by prior knowledge, and passes HTTP/1.1 on as it is.
async fn careless(gateway: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut upstream = tokio::net::TcpStream::connect(gateway).await.unwrap();
                let mut first = [0; 3];
                while client.peek(&mut first).await.is_ok_and(|count| (1..3).contains(&count)) {}
                match &first {
                    b"PRI" => translate(client, upstream).await,
                    _ => drop(tokio::io::copy_bidirectional(&mut client, &mut upstream).await),
                }
            });
        }
    });
    address
}

async fn translate(mut client: tokio::net::TcpStream, mut upstream: tokio::net::TcpStream) {
    // Our own scan writes every string as it stands, so no table is needed to read it.
    let string = |block: &mut &[u8]| {
        let (mut length, mut shift) = (usize::from(block[0] & 0x7f), 0);
        *block = &block[1..];
        while length >= 127 {
            let byte = block[0];
            *block = &block[1..];
            length += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (text, rest) = block.split_at(length);
        *block = rest;
        String::from_utf8(text.to_vec()).unwrap()
    };
    let mut preface = [0; 24];
    client.read_exact(&mut preface).await.unwrap();
    client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let block = loop {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        client.read_exact(&mut payload).await.unwrap();
        if head[3] == 1 {
            break payload;
        }
    };
    let (mut rest, mut line, mut lines) = (block.as_slice(), [String::new(), String::new()], String::new());
    while !rest.is_empty() {
        rest = &rest[1..];
        let (name, value) = (string(&mut rest), string(&mut rest));
        match name.as_str() {
            ":method" => line[0] = value,
            ":path" => line[1] = value,
            ":authority" => lines.push_str(&format!("Host: {value}\r\n")),
            ":scheme" | ":protocol" => {}
            _ => lines.push_str(&format!("{name}: {value}\r\n")),
        }
    }
    let [method, path] = line;
    // The front end's own word about the client, which a `Connection` of the client's can take away.
    let head =
        format!("{method} {path} HTTP/1.1\r\n{lines}X-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n");
    upstream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let _ended = upstream.read_to_end(&mut reply).await;
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n").map_or(reply.len(), |end| end + 4);
    let status = reply.get(9..12).map_or([b'5', b'0', b'2'], |digits| digits.try_into().unwrap());
    let body = &reply[end..];
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut frames = vec![0, 0, 5, 1, 4, 0, 0, 0, 1, 0x08, 3];
    frames.extend(status);
    frames.extend([length[1], length[2], length[3], 0, 1, 0, 0, 0, 1]);
    frames.extend(body);
    let _gone = client.write_all(&frames).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_that_writes_down_what_http_2_must_not_hold_is_named() {
    let gateway = TestGateway::builder().env("TRUSTED_FORWARDERS", "127.0.0.0/8").start().await;
    let home = TempDir::new().unwrap();
    let front = careless(gateway.addr()).await;
    let token = gateway.critical_token().await;
    let (code, out, err) = scan(&home, &format!("http://{front}"), &token, &["--yes", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} {out} {err}"));
    assert_eq!(code, 1, "{out}");
    assert_eq!(detail(&report, "a plain request over HTTP/2"), "clean arrived", "{out}");
    for title in [
        "a line break in a value over HTTP/2",
        "a line break in a name over HTTP/2",
        "a line break in the path over HTTP/2",
        "a request line in the method over HTTP/2",
        "Transfer-Encoding over HTTP/2",
        "a length without a body over HTTP/2",
    ] {
        assert!(detail(&report, title).starts_with("finding"), "{title}: {out}");
    }
    gateway.finish().await;
}
