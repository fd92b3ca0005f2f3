//! `rack-gateway selfcheck`: the built command line scans a gateway, alone and behind a real nginx.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gateway_testkit::{RawClient, TestGateway, eventually};
use gateway_types::Role;
use serde_json::Value;
use tempfile::TempDir;

fn scan(home: &TempDir, url: &str, token: &str, more: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_rack-gateway"))
        .args(["selfcheck", url])
        .args(more)
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("RACK_GATEWAY_CREDENTIALS", "file")
        .env("RACK_GATEWAY_URL", url)
        .env("RACK_GATEWAY_TOKEN", token)
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
           server {{ listen {address}; {server}\n\
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
