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
    assert!(took < Duration::from_secs(2), "the demo took {took:?} to be ready");
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
