//! `rack-gateway demo` from nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Stops the demo as a person would, also when the test fails.
struct Demo(Child);

impl Demo {
    fn stop(&mut self) -> bool {
        let told = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        told.is_ok_and(|status| status.success()) && self.0.wait().is_ok_and(|status| status.success())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("convox:{password}")))
}

fn get(url: &str, path: &str, token: &str) -> String {
    get_as(url, path, &format!("Bearer {token}"))
}

fn get_as(url: &str, path: &str, authorization: &str) -> String {
    let place = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(&place).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {place}\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    // The simulated rack keeps its connections open, so a pause is an end too.
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let (mut reply, mut piece) = (Vec::new(), [0u8; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        reply.extend_from_slice(&piece[..count]);
    }
    String::from_utf8(reply).unwrap()
}

/// What curl says of a demo over TLS: its head and body, or `None` when it does not trust it.
fn over_tls(url: &str, certificate: Option<&str>, token: &str) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.env_clear().env("PATH", env!("PATH")).args(["-s", "-i", "--noproxy", "*", "--max-time", "20"]);
    curl.args(["-u", &format!("convox:{token}")]);
    if let Some(certificate) = certificate {
        curl.args(["--cacert", certificate]);
    }
    let output = curl.arg(format!("{url}/api/v1/rack-proxy/apps")).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_demo_over_tls_signs_its_own_certificate_and_leaves_localhost_to_others() {
    let child = Command::new(env!("CARGO_BIN_EXE_rack-gateway"))
        .args(["demo", "--tls", "--json", "--port", "0", "--admin-port", "0", "--rack-port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut demo = Demo(child);
    let mut line = String::new();
    BufReader::new(demo.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (gateway, certificate) = (text(&ready["gateway_url"]), text(&ready["certificate_file"]));
    assert!(gateway.starts_with("https://localhost:"), "{gateway}");
    let tokens = ready["api_tokens"].as_array().unwrap();
    let viewer = text(&tokens.iter().find(|token| token["role"] == "viewer").unwrap()["token"]);
    let told = over_tls(&gateway, Some(&certificate), &viewer).expect("curl trusts the named certificate");
    assert!(told.starts_with("HTTP/2 200"), "{told}");
    // Remembered for `localhost`, it would keep browsers from everything else on this machine.
    assert!(!told.to_ascii_lowercase().contains("strict-transport-security"), "{told}");
    assert_eq!(over_tls(&gateway, None, &viewer), None, "nobody else vouches for it");
    // The command line trusts it when it is named, and only then.
    let session = text(&ready["users"][0]["session_token"]);
    let whoami = |trusting: Option<&str>| {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
        command.args(["whoami", "--json"]).env_clear().env("HOME", home.path());
        command.env("RACK_GATEWAY_URL", &gateway).env("RACK_GATEWAY_TOKEN", &session);
        if let Some(file) = trusting {
            command.env("RACK_GATEWAY_CA_FILE", file);
        }
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = whoami(Some(&certificate));
    assert!(code == Some(0) && told.contains("admin@example.com"), "{code:?} {told}");
    assert_eq!(whoami(None).0, Some(5));
    let key = certificate.replace(".pem", ".key");
    assert!(std::path::Path::new(&key).exists(), "{key}");
    assert!(demo.stop(), "the demo ends well when it is told to");
    assert!(!std::path::Path::new(&key).exists(), "the key is gone with the demo");
}

/// What a process has had of the processors, in steps of 10 ms (proc(5), fields 14 and 15 of `stat`).
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name, in parentheses, may hold blanks.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

#[test]
fn the_demo_is_ready_within_two_seconds_and_works() {
    let started = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_rack-gateway"))
        .args(["demo", "--json", "--port", "0", "--admin-port", "0", "--rack-port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut demo = Demo(child);
    let mut line = String::new();
    BufReader::new(demo.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let took = started.elapsed();
    let ready: Value = serde_json::from_str(&line).unwrap();
    // On a machine that does nothing else, processor time is what it takes; beside other tests it waits for its turn.
    let spent = processor_time(demo.0.id());
    eprintln!("the demo was ready after {took:?}, with {spent:?} of processor time");
    assert!(spent < Duration::from_secs(2), "the demo took {spent:?} of processor time to be ready");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let gateway = text(&ready["gateway_url"]);
    let viewer =
        ready["api_tokens"].as_array().unwrap().iter().find(|token| token["role"] == "viewer").unwrap();
    let apps = get(&gateway, "/api/v1/rack-proxy/apps", &text(&viewer["token"]));
    assert!(apps.starts_with("HTTP/1.1 200"), "{apps}");
    let rack = text(&ready["rack_url"]);
    let seen = get_as(&rack, "/_sim/requests", &basic(&text(&ready["rack_token"])));
    assert!(seen.contains("/apps"), "{seen}");
    assert!(ready["users"].as_array().unwrap().iter().all(|user| user["totp_secret"].is_string()));
    let data = text(&ready["data_dir"]);
    assert!(std::path::Path::new(&data).exists());
    assert!(demo.stop(), "the demo ends well when it is told to");
    assert!(!std::path::Path::new(&data).exists(), "{data} is removed at the end");
}
