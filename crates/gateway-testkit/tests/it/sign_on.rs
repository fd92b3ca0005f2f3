//! Sign-on over hosts: one sign-in opens services at hosts of their own, one sign-out closes them, and no
//! code, cookie or link of one host, browser or moment is worth anything at another.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_app::hosts::BROWSER_COOKIE;
use gateway_testkit::raw::Reply;
use gateway_testkit::stub::StubRack;
use gateway_testkit::visitor::hidden;
use gateway_testkit::{Authenticator, Database, RawClient, TestGateway, TestGatewayBuilder, eventually};
use gateway_types::{Principal, Role};

const SESSION: &str = "__Host-rgw";
const GATEWAY: &str = "gateway.example.com";

/// A service that tells what it was asked, and closes.
pub(crate) async fn echo() -> StubRack {
    StubRack::start(|mut connection| async move {
        let told = connection.head.clone();
        let length = told.len();
        connection
            .send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{told}"
            ))
            .await;
    })
    .await
}

/// Two services at hosts of their own and one below a prefix, behind a front that ends TLS.
fn gateway_of(service: &StubRack) -> TestGatewayBuilder {
    let url = service.url();
    TestGateway::builder()
        .idp()
        .env("DOMAIN", GATEWAY)
        .env("TRUSTED_FORWARDERS", "127.0.0.0/8")
        .file(&format!(
            "[[service]]\nname = \"wiki\"\nhosts = [\"wiki.example.com\"]\nupstreams = [{{ url = \"{url}\" }}]\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/secret\"\nclass = \"reveal\"\nstep_up = \"window\"\n\
             [[service.route]]\nmethod = \"POST\"\npath = \"/pay\"\nrole = \"viewer\"\nstep_up = \"bound\"\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/{{path*}}\"\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/\"\n\
             [[service.route]]\nmethod = \"POST\"\npath = \"/{{path*}}\"\n\
             [[service]]\nname = \"shop\"\nhosts = [\"shop.example.com\"]\nupstreams = [{{ url = \"{url}\" }}]\n\
             [[service]]\nname = \"grafana\"\nprefix = \"/grafana\"\nupstreams = [{{ url = \"{url}\" }}]\n"
        ))
}

/// A browser that keeps each host's cookies apart, before a front that ends TLS.
#[derive(Clone)]
struct Browser {
    gateway: std::net::SocketAddr,
    provider: std::net::SocketAddr,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

impl Browser {
    fn of(gateway: &TestGateway) -> Self {
        let provider = gateway.idp.as_ref().expect("a provider").addr();
        Self { gateway: gateway.addr(), provider, cookies: BTreeMap::new() }
    }

    fn cookie(&self, host: &str, name: &str) -> Option<&String> {
        self.cookies.get(host).and_then(|jar| jar.get(name))
    }

    fn set(&mut self, host: &str, name: &str, value: &str) {
        self.cookies.entry(host.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
    }

    async fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let (host, target) = split(url);
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.9\r\n"
        );
        let jar = self.cookies.entry(host.to_owned()).or_default();
        if !jar.is_empty() {
            let pairs: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            head.push_str(&format!("Cookie: {}\r\n", pairs.join("; ")));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let mut client = RawClient::connect(self.gateway).await;
        client.send(format!("{head}\r\n{body}")).await;
        let reply = client.reply().await.expect("a reply");
        for (name, value) in &reply.headers {
            if name == "set-cookie" {
                let (pair, attributes) = value.split_once(';').expect("attributes");
                let (name, value) = pair.split_once('=').expect("a cookie");
                assert!(attributes.contains("Secure") && attributes.contains("HttpOnly"), "{attributes}");
                assert!(attributes.contains("Path=/") && !attributes.contains("Domain"), "{attributes}");
                match value.is_empty() || attributes.contains("Max-Age=0") {
                    true => drop(jar.remove(name)),
                    false => drop(jar.insert(name.to_owned(), value.to_owned())),
                }
            }
        }
        reply
    }

    async fn get(&mut self, url: &str) -> Reply {
        let headers =
            [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
        self.send("GET", url, &headers, "").await
    }

    /// Where a page sends the browser.
    async fn sent(&mut self, url: &str) -> String {
        let reply = self.get(url).await;
        assert_eq!(reply.status, 303, "{url}: {}", reply.text());
        absolute(url, reply.header("location").expect("a location"))
    }

    /// Goes where it is sent, over the gateway's own hosts, until a page comes; the address and the page.
    async fn go(&mut self, url: &str) -> (String, Reply) {
        let mut at = url.to_owned();
        for _ in 0..10 {
            let reply = self.get(&at).await;
            if reply.status != 303 {
                return (at, reply);
            }
            at = absolute(&at, reply.header("location").expect("a location"));
        }
        panic!("{url} leads nowhere");
    }

    /// Signs in at the provider's link of this page and goes on where that leads.
    async fn sign_in_at(&mut self, page: &str, role: Role) -> (String, Reply) {
        let (at, reply) = self.go(page).await;
        assert!(at.starts_with(&format!("https://{GATEWAY}/auth/login")), "{at}: {}", reply.text());
        let text = reply.text();
        let (_, link) = text.split_once("href=\"/auth/login?provider=dev").expect("a provider's link");
        let query = link.split('"').next().unwrap_or_default().replace("&amp;", "&").replace("&#38;", "&");
        let away = self.sent(&format!("https://{GATEWAY}/auth/login?provider=dev{query}")).await;
        let (_, target) = split(&away);
        let form = format!("person={role}%40example.com");
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let mut client = RawClient::connect(self.provider).await;
        let chosen = client.ask("POST", &format!("!{target}"), "", &headers, form.as_bytes()).await;
        self.go(chosen.header("location").expect("a way back")).await
    }

    /// Somebody who is signed in at the gateway.
    async fn signed_in(gateway: &TestGateway, role: Role) -> Self {
        let mut browser = Self::of(gateway);
        let (at, reply) = browser.sign_in_at(&format!("https://{GATEWAY}/app"), role).await;
        assert_eq!((at.as_str(), reply.status), ("https://gateway.example.com/app", 200));
        browser
    }

    /// A code for this host, not brought back yet.
    async fn code_for(&mut self, page: &str) -> String {
        let hand_over = self.sent(page).await;
        self.sent(&hand_over).await
    }
}

fn split(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or((rest, "/"), |start| rest.split_at(start))
}

fn absolute(at: &str, location: &str) -> String {
    match location.contains("://") {
        true => location.to_owned(),
        false => format!("https://{}{location}", split(at).0),
    }
}

#[tokio::test]
async fn one_sign_in_opens_two_hosts_and_one_sign_out_closes_both() {
    let service = echo().await;
    for database in Database::BOTH {
        let gateway = gateway_of(&service).database(database).start().await;
        let mut browser = Browser::of(&gateway);
        let page = "https://wiki.example.com/a/page?x=%20&y=1";
        let (at, reply) = browser.sign_in_at(page, Role::Viewer).await;
        assert_eq!((at.as_str(), reply.status), (page, 200), "{}", reply.text());
        assert!(reply.text().starts_with("GET /a/page?x=%20&y=1 "), "{}", reply.text());
        for own in [SESSION, BROWSER_COOKIE] {
            assert!(!reply.text().contains(own), "{}", reply.text());
        }
        // The second host, without a word asked.
        let (at, reply) = browser.go("https://shop.example.com/").await;
        assert_eq!((at.as_str(), reply.status), ("https://shop.example.com/", 200));
        // Each host's cookie is another secret.
        let cookies: Vec<&String> = [GATEWAY, "wiki.example.com", "shop.example.com"]
            .iter()
            .map(|host| browser.cookie(host, SESSION).expect("a cookie"))
            .collect();
        assert!(cookies[0] != cookies[1] && cookies[1] != cookies[2] && cookies[0] != cookies[2]);
        // All are one session, and the gateway's prefix needs none of its own.
        let sessions =
            gateway.store().sessions().list_for_user(gateway.person(Role::Viewer).id).await.unwrap();
        assert_eq!(sessions.len(), 1);
        assert_eq!(browser.get(&format!("https://{GATEWAY}/grafana/d")).await.status, 200);
        // Signing out at one of them.
        let asked = browser.get("https://wiki.example.com/.rack-gateway/sign-out").await;
        assert_eq!(asked.status, 200, "{}", asked.text());
        let token = hidden(&asked.text(), "_csrf").expect("a token");
        let csrf_of_gateway =
            hidden(&browser.get(&format!("https://{GATEWAY}/app")).await.text(), "_csrf").expect("a token");
        assert_ne!(token, csrf_of_gateway, "what a service can read is not the gateway's");
        let form = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", "https://wiki.example.com"),
            ("Accept", "text/html"),
        ];
        let out = "https://wiki.example.com/.rack-gateway/sign-out";
        let refused = browser.send("POST", out, &form, &format!("_csrf={csrf_of_gateway}")).await;
        assert_eq!(refused.status, 403, "{}", refused.text());
        let before = browser.clone();
        let done = browser.send("POST", out, &form, &format!("_csrf={token}")).await;
        assert_eq!(done.status, 200, "{}", done.text());
        assert!(browser.cookie("wiki.example.com", SESSION).is_none());
        for url in
            ["https://wiki.example.com/", "https://shop.example.com/", "https://gateway.example.com/app"]
        {
            assert_eq!(before.clone().get(url).await.status, 303, "{url}");
        }
        let events = gateway.events().await;
        let opened: Vec<_> = events
            .iter()
            .filter(|(_, event)| event.action.as_str() == "gateway:auth:handoff_callback")
            .filter(|(_, event)| event.parameters.contains_key("host") && event.end.is_none())
            .collect();
        assert_eq!(opened.len(), 2);
        assert!(opened.iter().all(|(_, event)| event.actor.name == "viewer@example.com"), "{opened:?}");
        gateway.finish().await;
    }
}

/// The whole of an app that knows nothing of signing in, and the whole of what makes it safe to reach.
#[tokio::test]
async fn a_ten_line_server_gets_sign_on_roles_limits_and_audit_from_one_declaration() {
    let service = echo().await;
    let gateway = TestGateway::builder()
        .idp()
        .env("DOMAIN", GATEWAY)
        .env("TRUSTED_FORWARDERS", "127.0.0.0/8")
        .env("RGW_SETTING_RATE_LIMITS", "on")
        .file(&format!(
            "[[service]]\nname = \"notes\"\nhosts = [\"notes.example.com\"]\nrole = \"ops\"\n\
             requests_per_second = 1\nupstreams = [{{ url = \"{}\" }}]\n",
            service.url()
        ))
        .start()
        .await;
    let page = "https://notes.example.com/mine?day=1";
    // Nobody, by a script: no page of the app, and no way round it.
    let json = [("Accept", "application/json")];
    assert_eq!(Browser::of(&gateway).send("GET", page, &json, "").await.status, 401);
    // Sign-on: a browser is sent to sign in and comes back to the very page. Roles: a viewer may not.
    let mut viewer = Browser::of(&gateway);
    let (at, refused) = viewer.sign_in_at(page, Role::Viewer).await;
    assert_eq!((at.as_str(), refused.status), (page, 403), "{}", refused.text());
    assert!(!refused.text().contains("GET /mine"), "{}", refused.text());
    let mut ops = Browser::of(&gateway);
    let (at, reply) = ops.sign_in_at(page, Role::Ops).await;
    assert_eq!((at.as_str(), reply.status), (page, 200), "{}", reply.text());
    assert!(reply.text().starts_with("GET /mine?day=1 HTTP/1.1\r\n"), "{}", reply.text());
    // Limits: of one caller, told with the time to wait, and not of another.
    let mut slowed = None;
    for _ in 0..20 {
        let reply = ops.get(page).await;
        if reply.status == 429 {
            slowed = Some(reply);
            break;
        }
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let slowed = slowed.expect("a limit");
    assert!(slowed.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok()), "{slowed:?}");
    let admin = format!("Bearer {}", gateway.token(Role::Admin));
    assert_eq!(Browser::of(&gateway).send("GET", page, &[("Authorization", &admin)], "").await.status, 200);
    // Audit: who did what, with what came of it.
    let events = gateway.events().await;
    let told = |name: &str, status: u16| {
        events.iter().any(|(_, event)| {
            event.action.as_str() == "service:notes:read"
                && event.actor.name == name
                && event.status == Some(status)
        })
    };
    for (name, status) in [("viewer@example.com", 403), ("ops@example.com", 200)] {
        assert!(told(name, status), "{name} {status}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn signing_out_at_the_gateway_and_locking_end_the_hosts_too() {
    let service = echo().await;
    let gateway = gateway_of(&service).start().await;
    let mut browser = Browser::signed_in(&gateway, Role::Viewer).await;
    assert_eq!(browser.go("https://wiki.example.com/").await.1.status, 200);
    let token =
        hidden(&browser.get("https://gateway.example.com/app").await.text(), "_csrf").expect("a token");
    let form = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "https://gateway.example.com"),
        ("Accept", "text/html"),
    ];
    let out = browser
        .send("POST", "https://gateway.example.com/auth/logout", &form, &format!("_csrf={token}"))
        .await;
    assert_eq!(out.status, 303, "{}", out.text());
    assert_eq!(browser.get("https://wiki.example.com/").await.status, 303);

    let mut browser = Browser::signed_in(&gateway, Role::Ops).await;
    assert_eq!(browser.go("https://wiki.example.com/").await.1.status, 200);
    // Idle at the host, in use at the gateway: one session, one limit.
    gateway.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(browser.get("https://gateway.example.com/app").await.status, 200);
    eventually("the use is written down", || async {
        let sessions = gateway.store().sessions().list_for_user(gateway.person(Role::Ops).id).await.unwrap();
        (sessions[0].last_seen != sessions[0].created).then_some(())
    })
    .await;
    gateway.clock.advance(Duration::from_secs(20 * 60));
    assert_eq!(browser.get("https://wiki.example.com/").await.status, 200);
    gateway.clock.advance(Duration::from_secs(40 * 60));
    assert_eq!(browser.get("https://wiki.example.com/").await.status, 303);
    gateway.finish().await;
}

#[tokio::test]
async fn e3_a_cookie_of_one_host_is_nothing_at_another() {
    let service = echo().await;
    let gateway = gateway_of(&service).start().await;
    let mut browser = Browser::signed_in(&gateway, Role::Admin).await;
    assert_eq!(browser.go("https://wiki.example.com/").await.1.status, 200);
    let wiki = browser.cookie("wiki.example.com", SESSION).unwrap().clone();
    let own = browser.cookie(GATEWAY, SESSION).unwrap().clone();
    for (cookie, url) in [
        (&wiki, "https://shop.example.com/"),
        (&wiki, "https://gateway.example.com/app"),
        (&wiki, "https://gateway.example.com/grafana/"),
        (&own, "https://wiki.example.com/"),
        (&own, "https://shop.example.com/"),
        (&own, "https://wiki.example.com/.rack-gateway/sign-out"),
    ] {
        let mut thief = Browser::of(&gateway);
        let host = split(url).0.to_owned();
        thief.set(&host, SESSION, cookie);
        let reply = thief.get(url).await;
        assert!(matches!(reply.status, 303 | 401), "{url}: {}", reply.status);
        assert!(!reply.text().starts_with("GET "), "{url}: {}", reply.text());
        // Nor in the place of a token.
        let bearer = format!("Bearer {cookie}");
        let reply = Browser::of(&gateway).send("GET", url, &[("Authorization", &bearer)], "").await;
        assert!(matches!(reply.status, 400 | 401), "{url}: {}", reply.status);
    }
    // With another port in `Host` it is the same host; with another name it is none.
    let mut other = Browser::of(&gateway);
    other.set("wiki.example.com:8443", SESSION, &wiki);
    assert_eq!(other.get("https://wiki.example.com:8443/").await.status, 200);
    gateway.finish().await;
}

#[tokio::test]
async fn d2_codes_are_good_once_in_their_browser_at_their_host_and_soon() {
    let service = echo().await;
    let gateway = gateway_of(&service).start().await;
    let mut browser = Browser::signed_in(&gateway, Role::Viewer).await;
    let refused = async |browser: &mut Browser, url: &str, why: &str| {
        let reply = browser.get(url).await;
        assert_eq!(reply.status, 400, "{why}: {}", reply.text());
        let host = split(url).0;
        assert!(browser.cookie(host, SESSION).is_none(), "{why}");
    };
    // In another browser: with no cookie, and with one of a way of its own.
    let code = browser.code_for("https://wiki.example.com/p").await;
    assert!(code.starts_with("https://wiki.example.com/.rack-gateway/callback?code="), "{code}");
    let mut other = Browser::of(&gateway);
    refused(&mut other, &code, "no cookie").await;
    let _begun = other.get("https://wiki.example.com/p").await;
    assert!(other.cookie("wiki.example.com", BROWSER_COOKIE).is_some());
    refused(&mut other, &code, "a way of its own").await;
    // At another host, with that host's own way begun.
    let _begun = browser.get("https://shop.example.com/").await;
    let moved = code.replace("wiki.example.com", "shop.example.com");
    refused(&mut browser, &moved, "another host").await;
    // Then where it belongs, once.
    let mut twin = browser.clone();
    let (at, reply) = browser.go(&code).await;
    assert_eq!((at.as_str(), reply.status), ("https://wiki.example.com/p", 200));
    refused(&mut twin, &code, "a second time").await;
    // Late.
    let mut late = Browser::signed_in(&gateway, Role::Ops).await;
    let code = late.code_for("https://wiki.example.com/p").await;
    gateway.clock.advance(Duration::from_secs(30));
    refused(&mut late, &code, "late").await;
    // After the session ended.
    let code = late.code_for("https://wiki.example.com/p").await;
    gateway.store().sessions().revoke_all(gateway.person(Role::Ops).id).await.unwrap();
    refused(&mut late, &code, "after sign-out").await;
    // Forged.
    for forged in ["", "code=", "code=x", "code=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "code=a&code=b"]
    {
        let url = format!("https://wiki.example.com/.rack-gateway/callback?{forged}");
        refused(&mut Browser::of(&gateway), &url, forged).await;
    }
    let events = gateway.events().await;
    let reasons: Vec<String> = events
        .iter()
        .filter(|(_, event)| event.action.as_str() == "gateway:auth:handoff_callback")
        .filter_map(|(_, event)| event.reason.clone())
        .collect();
    for reason in ["another browser", "another host", "came late", "used before", "session ended"] {
        assert!(reasons.iter().any(|told| told.contains(reason)), "{reason}: {reasons:?}");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn d1_nothing_says_where_a_way_leads_but_the_request_that_was_refused() {
    let service = echo().await;
    let gateway = gateway_of(&service).start().await;
    let mut browser = Browser::signed_in(&gateway, Role::Viewer).await;
    // Ids that nobody gave out, and parameters that name places.
    for query in [
        "",
        "id=x",
        "id=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "id=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&return_to=https://evil.example",
        "return_to=https://evil.example/",
        "id=%2F%2Fevil.example",
    ] {
        let reply = browser.get(&format!("https://gateway.example.com/auth/handoff?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        assert_eq!(reply.header("location"), None);
    }
    // Targets that a browser could read another host into come back to the very host, or are refused.
    for target in [
        "/\\evil.example",
        "//evil.example",
        "/%5cevil.example",
        "/%2f%2fevil.example",
        "/@evil.example",
        "/x?next=//evil.example",
        "/:80",
    ] {
        let reply = browser.get(&format!("https://wiki.example.com{target}")).await;
        if reply.status == 400 {
            continue;
        }
        let hand_over = reply.header("location").expect("a location").to_owned();
        assert!(hand_over.starts_with("https://gateway.example.com/auth/handoff?id="), "{hand_over}");
        let code = browser.sent(&hand_over).await;
        let reply = browser.get(&code).await;
        let back = reply.header("location").expect("a location").to_owned();
        assert!(back.starts_with(&format!("https://wiki.example.com{target}")), "{target}: {back}");
        browser.cookies.remove("wiki.example.com");
    }
    // A host that is no service's never gets a code, whatever it is called; it is the gateway's own.
    for host in ["evil.example", "wiki.example.com.evil.example", "xwiki.example.com"] {
        let reply = Browser::of(&gateway).get(&format!("https://{host}/.rack-gateway/callback?code=x")).await;
        assert_eq!(reply.status, 404, "{host}: {}", reply.text());
    }
    // Whom no person points at a page is told 401, and nothing is kept.
    for headers in [
        vec![("Accept", "application/json")],
        vec![("Accept", "text/html"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin")],
        vec![("Accept", "text/html"), ("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Mode", "navigate")],
    ] {
        let reply = Browser::of(&gateway).send("GET", "https://wiki.example.com/", &headers, "").await;
        assert_eq!(reply.status, 401, "{headers:?}");
        assert!(reply.header("set-cookie").is_none());
    }
    let post = Browser::of(&gateway)
        .send("POST", "https://wiki.example.com/x", &[("Accept", "text/html")], "a=b")
        .await;
    assert_eq!(post.status, 401);
    // Over plain HTTP nobody is sent anywhere: a secret must not travel so.
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: wiki.example.com\r\nAccept: text/html\r\n\r\n").await;
    assert_eq!(client.reply().await.expect("a reply").status, 401);
    gateway.finish().await;
}

#[tokio::test]
async fn d4_at_a_services_host_nothing_else_of_the_gateway_answers() {
    let service = echo().await;
    let gateway = gateway_of(&service).start().await;
    let mut browser = Browser::signed_in(&gateway, Role::Admin).await;
    assert_eq!(browser.go("https://shop.example.com/").await.1.status, 200);
    // What the gateway has elsewhere is the service's here.
    for path in
        ["/app", "/api/v1/me", "/api/v1/health", "/auth/login", "/openapi.json", "/api/v1/rack-proxy/apps"]
    {
        let reply = browser.get(&format!("https://shop.example.com{path}")).await;
        assert!(reply.text().starts_with(&format!("GET {path} ")), "{path}: {}", reply.text());
    }
    // What is the gateway's here is no service's, in no spelling, and nowhere else the gateway's.
    for path in [
        "/.rack-gateway",
        "/.rack-gateway/",
        "/.rack-gateway/nothing",
        "/%2erack-gateway/sign-out",
        "/.rack%2dgateway/sign-out",
        "/.RACK-GATEWAY/sign-out",
        "/.rack-gateway/app",
    ] {
        let reply = browser.get(&format!("https://shop.example.com{path}")).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    for path in ["/.rack-gateway/sign-out", "/.rack-gateway/callback", "/.rack-gateway/static/style.css"] {
        assert_eq!(browser.get(&format!("https://{GATEWAY}{path}")).await.status, 404, "{path}");
        let mut client = RawClient::connect(gateway.addr()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")).await;
        assert_eq!(client.reply().await.expect("a reply").status, 404, "{path}");
    }
    let style = browser.get("https://shop.example.com/.rack-gateway/static/style.css").await;
    assert_eq!((style.status, style.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn a_service_below_a_prefix_takes_the_gateways_own_cookie_and_comes_back_to_the_page() {
    let service = echo().await;
    let gateway = gateway_of(&service).start().await;
    let mut browser = Browser::of(&gateway);
    let page = "https://gateway.example.com/grafana/d/7?x=1";
    let (at, reply) = browser.sign_in_at(page, Role::Viewer).await;
    assert_eq!((at.as_str(), reply.status), (page, 200), "{}", reply.text());
    assert!(reply.text().starts_with("GET /grafana/d/7?x=1 "), "{}", reply.text());
    gateway.finish().await;
}

#[tokio::test]
async fn a_browser_that_lacks_a_factor_confirms_at_the_gateway_and_comes_back() {
    let service = echo().await;
    let gateway = gateway_of(&service).start().await;
    let authenticator = Authenticator::enrol(&gateway, Role::Viewer).await;
    let mut browser = Browser::signed_in(&gateway, Role::Viewer).await;
    let page = "https://wiki.example.com/secret?x=1";
    let (at, refused) = browser.go(page).await;
    assert_eq!((at.as_str(), refused.status), (page, 401), "{}", refused.text());
    let link = confirm_link(&refused.text());
    // A script is told in a document.
    let fetch = [("Accept", "text/html"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin")];
    let told = browser.send("GET", page, &fetch, "").await;
    assert_eq!((told.status, told.header("content-type")), (401, Some("application/problem+json")));
    assert!(
        told.header("www-authenticate")
            .is_some_and(|value| value.contains("insufficient_user_authentication"))
    );
    let form = browser.get(&link).await;
    assert_eq!(form.status, 200, "{}", form.text());
    let (token, back) = (hidden(&form.text(), "_csrf").unwrap(), hidden(&form.text(), "back").unwrap());
    let code = authenticator.next(&gateway);
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", "https://gateway.example.com"),
        ("Accept", "text/html"),
    ];
    let place = link.split('?').next().unwrap();
    let done = browser.send("POST", place, &headers, &format!("_csrf={token}&back={back}&code={code}")).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(done.text().contains(&format!("href=\"{page}\"")), "{}", done.text());
    // The cookie of this host is older than the factor: another one comes by way of the gateway, unasked.
    let before = browser.cookie("wiki.example.com", SESSION).unwrap().clone();
    let (at, reply) = browser.go(page).await;
    assert_eq!((at.as_str(), reply.status), (page, 200), "{}", reply.text());
    assert_ne!(browser.cookie("wiki.example.com", SESSION), Some(&before));
    assert_eq!(browser.get(page).await.status, 200);
    // A way back that somebody made up leads nowhere.
    let forged = browser.get(&format!("{place}?back=https://evil.example&return_to=//evil.example")).await;
    assert!(!forged.text().contains("href=\"https://evil") && !forged.text().contains("href=\"//evil"));
    gateway.finish().await;
}

/// The link to confirm at, on the page of a refusal.
fn confirm_link(page: &str) -> String {
    let (_, link) =
        page.split_once("href=\"https://gateway.example.com/step-up/").expect("a link to confirm at");
    let link = link.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    format!("https://gateway.example.com/step-up/{link}")
}

/// E1, where the cookie that a step-up would renew is another host's.
#[tokio::test]
async fn e1_a_copied_cookie_of_a_host_does_not_gain_the_factor_that_was_given_since() {
    let service = echo().await;
    for database in Database::BOTH {
        let gateway = gateway_of(&service).database(database).start().await;
        let authenticator = Authenticator::enrol(&gateway, Role::Viewer).await;
        let mut browser = Browser::signed_in(&gateway, Role::Viewer).await;
        assert_eq!(browser.go("https://wiki.example.com/").await.1.status, 200);
        let copied = browser.cookie("wiki.example.com", SESSION).unwrap().clone();
        let mut thief = Browser::of(&gateway);
        thief.set("wiki.example.com", SESSION, &copied);
        let fetch =
            [("Accept", "application/json"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin")];
        let form = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Origin", "https://gateway.example.com"),
            ("Accept", "text/html"),
        ];
        assert_eq!(thief.send("GET", "https://wiki.example.com/a", &fetch, "").await.status, 200);
        // The person confirms something of one moment, and something of that very request.
        for (method, url) in
            [("GET", "https://wiki.example.com/secret"), ("POST", "https://wiki.example.com/pay")]
        {
            let refused = browser.send(method, url, &fetch, "").await;
            assert_eq!(refused.status, 401, "{}", refused.text());
            let link = refused.json()["remedies"][0]["url"].as_str().expect("a page").to_owned();
            gateway.clock.advance(Duration::from_secs(1));
            let page = browser.get(&link).await;
            assert_eq!(page.status, 200, "{link}: {}", page.text());
            let token = hidden(&page.text(), "_csrf").unwrap();
            let code = authenticator.next(&gateway);
            let place = link.split('?').next().unwrap();
            let body = format!("_csrf={token}&code={code}");
            let done = browser.send("POST", place, &form, &body).await;
            assert_eq!(done.status, 200, "{}", done.text());
            // Whoever copied the cookie before has what they had, and nothing that needs the factor.
            assert_eq!(thief.send("GET", "https://wiki.example.com/a", &fetch, "").await.status, 200);
            for (method, url) in
                [("GET", "https://wiki.example.com/secret"), ("POST", "https://wiki.example.com/pay")]
            {
                let told = thief.send(method, url, &fetch, "").await;
                assert_eq!(told.status, 401, "{method} {url}: {}", told.text());
                assert_eq!(told.header("content-type"), Some("application/problem+json"), "{}", told.text());
                assert!(told.text().contains("load the page again"), "{}", told.text());
            }
            let away = thief.clone().get("https://wiki.example.com/").await;
            assert_eq!(away.status, 303, "{}", away.text());
            // The person's own page is told the same, and loading any page of the host is enough.
            let told = browser.send(method, url, &fetch, "").await;
            assert_eq!(told.status, 401, "{}", told.text());
            let (at, reply) = browser.go("https://wiki.example.com/").await;
            assert_eq!((at.as_str(), reply.status), ("https://wiki.example.com/", 200));
            let done = browser.send(method, url, &fetch, "").await;
            assert_eq!(done.status, 200, "{method} {url}: {}", done.text());
        }
        gateway.finish().await;
    }
}

#[tokio::test]
async fn two_instances_share_ways_and_sessions() {
    let service = echo().await;
    let first = gateway_of(&service).database(Database::Postgres).start().await;
    let second = gateway_of(&service).database(Database::Postgres).share(&first).start().await;
    let mut browser = Browser::signed_in(&first, Role::Viewer).await;
    let hand_over = browser.sent("https://wiki.example.com/p").await;
    browser.gateway = second.addr();
    let code = browser.sent(&hand_over).await;
    // Brought to both at once: one session comes of it.
    let mut tasks = tokio::task::JoinSet::new();
    for gateway in [first.addr(), second.addr()].into_iter().cycle().take(10) {
        let (mut twin, code) = (browser.clone(), code.clone());
        twin.gateway = gateway;
        tasks.spawn(async move { (twin.get(&code).await.status, twin) });
    }
    let outcomes = tasks.join_all().await;
    let won: Vec<&Browser> =
        outcomes.iter().filter(|(status, _)| *status == 303).map(|(_, twin)| twin).collect();
    assert_eq!(won.len(), 1);
    let mut winner = won[0].clone();
    for gateway in [first.addr(), second.addr()] {
        winner.gateway = gateway;
        assert_eq!(winner.get("https://wiki.example.com/p").await.status, 200);
    }
    // Ended at one, ended at both.
    let known = first.store().callers();
    let cookie = winner.cookie("wiki.example.com", SESSION).unwrap();
    let caller = known.resolve(cookie, gateway_types::Clock::now(&*first.clock)).await.unwrap();
    let Principal::User { session, .. } = &caller.principal else { panic!("a person") };
    first.store().sessions().revoke(*session).await.unwrap();
    winner.gateway = second.addr();
    eventually("the other instance knows", || async {
        (winner.clone().get("https://wiki.example.com/p").await.status == 303).then_some(())
    })
    .await;
    second.finish().await;
    first.finish().await;
}
