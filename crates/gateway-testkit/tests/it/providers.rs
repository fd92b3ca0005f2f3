//! Two certified providers at once (npm `oidc-provider`): sign-in at each, answers that are swapped between them,
//! and a sign-out at one that ends an open socket here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gateway_config::canonical_email;
use gateway_testkit::browser::peers;
use gateway_testkit::visitor::hidden;
use gateway_testkit::{RawClient, Reply, Socket, TestGateway, Visitor};
use gateway_types::Role;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const SECRET: &str = "a secret of some length for the provider";

/// A provider that runs; it ends when this is dropped.
struct Peer {
    issuer: String,
    _child: Child,
}

impl Peer {
    async fn start(name: &str, gateway: &str) -> Self {
        let mut child = Command::new("node")
            .arg("oidc-provider.mjs")
            .args(["--client-id", name, "--client-secret", SECRET])
            .args(["--redirect-uri", &format!("{gateway}/auth/callback/{name}")])
            .args(["--backchannel-logout-uri", &format!("{gateway}/auth/backchannel-logout/{name}")])
            .args(["--post-logout-redirect-uri", &format!("{gateway}/auth/login?signed_out")])
            .current_dir(peers())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node; ./scripts/test installs it");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("a line").expect("its issuer");
        let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        // A pipe that nobody empties stops whoever writes to it.
        tokio::spawn(async move { while let Ok(Some(_line)) = lines.next_line().await {} });
        Self { issuer: said["issuer"].as_str().expect("an issuer").to_owned(), _child: child }
    }

    fn table(&self, name: &str) -> String {
        format!(
            "[[identity.provider]]\nname = \"{name}\"\nissuer = \"{}\"\nclient_id = \"{name}\"\nclient_secret = \"{SECRET}\"\n\n",
            self.issuer
        )
    }
}

/// A browser at a provider: it keeps cookies and fills in the development pages.
struct AtProvider {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

impl AtProvider {
    fn new(peer: &Peer) -> Self {
        let address = peer.issuer.trim_start_matches("http://").parse().expect("an address");
        Self { address, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Reply {
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let jar = jar.join("; ");
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let body: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
        if !jar.is_empty() {
            headers.push(("Cookie", &jar));
        }
        let mut client = RawClient::connect(self.address).await;
        let reply = client.ask(method, &format!("!{path}"), "", &headers, body.join("&").as_bytes()).await;
        for (name, value) in &reply.headers {
            if name == "set-cookie" {
                let pair = value.split(';').next().expect("a cookie");
                let (name, value) = pair.split_once('=').expect("a cookie");
                if value.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        reply
    }

    /// Signs in at the address to which the gateway sent the browser; the path with which it is sent back.
    async fn sign_in(&mut self, location: &str, email: &str) -> String {
        let mut place = path_of(location);
        for _step in 0..12 {
            let reply = self.send("GET", &place, &[]).await;
            place = match reply.header("location") {
                Some(next) if next.contains("/auth/callback/") => return path_of(next),
                Some(next) => path_of(next),
                None => {
                    assert_eq!(reply.status, 200, "{place}: {}", reply.text());
                    let page = reply.text();
                    let prompt = hidden(&page, "prompt").unwrap_or_else(|| panic!("{page}"));
                    let form = [("prompt", prompt.as_str()), ("login", email), ("password", "any")];
                    let sent = self.send("POST", &place, &form).await;
                    path_of(sent.header("location").unwrap_or_else(|| panic!("{}", sent.text())))
                }
            };
        }
        panic!("the provider does not come to an end: {place}")
    }

    /// Signs out there, at the address that the gateway's page leads to; where the browser is sent then.
    async fn sign_out(&mut self, location: &str) -> String {
        let page = self.send("GET", &path_of(location), &[]).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let xsrf = hidden(&page.text(), "xsrf").unwrap_or_else(|| panic!("{}", page.text()));
        let done = self.send("POST", "/session/end/confirm", &[("xsrf", &xsrf), ("logout", "yes")]).await;
        done.header("location").unwrap_or_else(|| panic!("{}", done.text())).to_owned()
    }
}

fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or_else(|| "/".to_owned(), |start| rest[start..].to_owned())
}

/// A gateway that knows both providers by their names.
async fn start() -> (TestGateway, Peer, Peer) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let origin = format!("http://127.0.0.1:{port}");
    let (one, two) = (Peer::start("one", &origin).await, Peer::start("two", &origin).await);
    let gateway = TestGateway::builder()
        .env("PORT", &port.to_string())
        .file(&format!("{}{}", one.table("one"), two.table("two")))
        .start()
        .await;
    (gateway, one, two)
}

async fn begin(visitor: &mut Visitor, provider: &str) -> String {
    let begun = visitor.get(&format!("/auth/login?provider={provider}")).await;
    begun.header("location").unwrap_or_else(|| panic!("{}", begun.text())).to_owned()
}

async fn signed_in(gateway: &TestGateway, peer: &Peer, provider: &str, email: &str) -> (Visitor, AtProvider) {
    let (mut visitor, mut there) = (Visitor::of(gateway), AtProvider::new(peer));
    let location = begin(&mut visitor, provider).await;
    let back = there.sign_in(&location, email).await;
    let reply = visitor.get(&back).await;
    assert_eq!(reply.status, 303, "{}", reply.text());
    assert!(visitor.cookies.contains_key("__Host-rgw"), "{reply:?}");
    (visitor, there)
}

/// A session of the command line beside this browser: a device that the person lets in.
async fn command_line(gateway: &TestGateway, visitor: &mut Visitor) -> String {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = b"client_id=rack-gateway-cli&device=laptop";
    let started =
        RawClient::connect(gateway.addr()).await.ask("POST", "!/auth/device", "", &form, body).await;
    let started: serde_json::Value = serde_json::from_slice(&started.body).unwrap();
    let code = started["user_code"].as_str().unwrap();
    let let_in = visitor.post("/device", &[("user_code", code), ("decision", "approve")]).await;
    assert_eq!(let_in.status, 200, "{}", let_in.text());
    let body = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=rack-gateway-cli&device_code={}",
        started["device_code"].as_str().unwrap()
    );
    let given = RawClient::connect(gateway.addr())
        .await
        .ask("POST", "!/auth/token", "", &form, body.as_bytes())
        .await;
    let given: serde_json::Value = serde_json::from_slice(&given.body).unwrap();
    given["access_token"].as_str().unwrap_or_else(|| panic!("{given}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_two_providers_at_once_and_a_sign_out_at_one_ends_an_open_socket() {
    let (gateway, one, two) = start().await;
    let choice = Visitor::of(&gateway).get("/auth/login").await.text();
    assert!(choice.contains("provider=one") && choice.contains("provider=two"), "{choice}");
    let ops = format!("{}@example.com", Role::Ops);
    assert!(canonical_email(&ops).is_ok());
    let (mut first, mut at_one) = signed_in(&gateway, &one, "one", &ops).await;
    let (mut other, _) = signed_in(&gateway, &two, "two", "viewer@example.com").await;

    // The answer of one brought to the address of the other.
    let (mut mixed, mut there) = (Visitor::of(&gateway), AtProvider::new(&two));
    let location = begin(&mut mixed, "two").await;
    let back = there.sign_in(&location, "viewer@example.com").await;
    let swapped = mixed.get(&back.replace("/auth/callback/two", "/auth/callback/one")).await;
    assert!(swapped.status >= 400 && !mixed.cookies.contains_key("__Host-rgw"), "{}", swapped.text());
    let late = mixed.get(&back).await;
    assert!(late.status >= 400, "what was swapped is spent");

    // A command line that this browser let in, with a socket that goes on.
    let token = command_line(&gateway, &mut first).await;
    let follow = [("Follow", "true")];
    let mut socket = Socket::open(gateway.addr(), "/apps/myapp/logs", &token, &follow)
        .await
        .unwrap_or_else(|reply| panic!("{}", reply.text()));
    let mut others = command_line(&gateway, &mut other).await;
    assert_eq!(first.get("/app/account/sessions").await.status, 200);

    // The person signs out at the provider itself: it tells the gateway behind the browser's back.
    let end = format!(
        "{}/session/end?client_id=one&post_logout_redirect_uri={}",
        one.issuer,
        utf8_percent_encode(&format!("http://{}/auth/login?signed_out", gateway.addr()), NON_ALPHANUMERIC)
    );
    let began = Instant::now();
    let gone = at_one.sign_out(&end).await;
    assert!(gone.contains("/auth/login?signed_out"), "{gone}");
    let left = Duration::from_secs(5).saturating_sub(began.elapsed());
    let ended = async { while socket.frame().await.is_some() {} };
    assert!(tokio::time::timeout(left, ended).await.is_ok(), "the socket is still open");
    let page = first.get("/app/account/sessions").await;
    assert_eq!(page.status, 303, "the browser is signed out too");
    // Nobody else is.
    assert_eq!(other.get("/app/account/sessions").await.status, 200);
    let authorization = format!("Bearer {others}");
    let headers = [("Authorization", authorization.as_str())];
    let whoever = RawClient::connect(gateway.addr()).await.ask("GET", "!/api/v1/me", "", &headers, b"").await;
    assert_eq!(whoever.status, 200, "{}", whoever.text());
    others.clear();

    // Signing out here leads to the provider of the session, by a link.
    let page = other.post("/auth/logout", &[]).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains(&format!("{}/session/end?client_id=two", two.issuer)), "{}", page.text());
    let events = gateway.events().await;
    let told = events.iter().filter(|(_, event)| {
        event.action.as_str() == "gateway:auth:backchannel_logout" && event.reason.is_none()
    });
    assert_eq!(told.filter(|(_, event)| event.parameters.contains_key("provider_session")).count(), 1);
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_what_is_no_logout_token_ends_nothing() {
    let (gateway, one, _two) = start().await;
    let (mut first, _) = signed_in(&gateway, &one, "one", "ops@example.com").await;
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for (provider, body) in [
        ("one", "logout_token=a.b.c"),
        ("one", "logout_token="),
        ("one", ""),
        ("one", "logout_token=x&logout_token=y"),
        ("nobody", "logout_token=a.b.c"),
    ] {
        let path = format!("!/auth/backchannel-logout/{provider}");
        let reply =
            RawClient::connect(gateway.addr()).await.ask("POST", &path, "", &form, body.as_bytes()).await;
        assert_eq!(reply.status, 400, "{provider} {body}: {}", reply.text());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    let mut client = RawClient::connect(gateway.addr()).await;
    let get = client.ask("GET", "!/auth/backchannel-logout/one", "", &[], b"").await;
    assert!(matches!(get.status, 404 | 405), "{}", get.text());
    assert_eq!(first.get("/app/account/sessions").await.status, 200);
    gateway.finish().await;
}
