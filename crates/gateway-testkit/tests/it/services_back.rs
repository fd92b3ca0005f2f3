//! What comes back from a service: nothing that speaks for the gateway or for other services, and addresses as the
//! client knows them.

use gateway_testkit::raw::Reply;
use gateway_testkit::{RawClient, TestGateway};
use gateway_types::Role;

use super::service_kit::{Answer, Instance, gateway, get, reply, request, wiki};

/// The reply to one GET at a service whose instance sends these header lines.
async fn through(status: &'static str, headers: &'static str, more: &str) -> Reply {
    let instance = Instance::start(move |_| reply(status, headers, "text")).await;
    let gateway = gateway(&[instance.url()], more).await;
    let reply = get(&gateway, "/page").await;
    gateway.finish().await;
    reply
}

fn all<'a>(reply: &'a Reply, name: &str) -> Vec<&'a str> {
    reply.headers.iter().filter(|(have, _)| have == name).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn b11_a_service_does_not_speak_for_the_host() {
    let reply = through(
        "200 OK",
        "Content-Type: text/plain\r\nETag: \"1\"\r\nX-Frame-Options: SAMEORIGIN\r\nServer: app\r\n\
         Set-Cookie: __Host-rgw=evil; Path=/; Secure\r\nSet-Cookie: __HOST-rgw-x=evil\r\nSet-Cookie: =__Host-rgw=evil\r\n\
         Set-Cookie: sid=1; Path=/; HttpOnly\r\nSet-Cookie: wide=1; Domain=example.com\r\n\
         Strict-Transport-Security: max-age=0\r\nClear-Site-Data: \"*\"\r\nX-Accel-Redirect: /etc/passwd\r\n\
         Service-Worker-Allowed: /\r\nAlt-Svc: h3=\":443\"\r\nPublic-Key-Pins: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\
         Gateway-Token: x\r\nX-Gateway-User: eve\r\nCache-Control: public, max-age=60\r\n",
        "response_headers = { remove = [\"Server\"], set = { \"X-Robots-Tag\" = \"none\" } }",
    )
    .await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "text"));
    assert_eq!(all(&reply, "set-cookie"), ["sid=1; Path=/; HttpOnly"]);
    for gone in [
        "strict-transport-security",
        "clear-site-data",
        "x-accel-redirect",
        "service-worker-allowed",
        "alt-svc",
        "public-key-pins",
        "x-hop",
        "server",
        "gateway-token",
        "x-gateway-user",
    ] {
        assert_eq!(reply.header(gone), None, "{gone}");
    }
    assert_eq!(reply.header("x-frame-options"), Some("SAMEORIGIN"), "how it may be framed is its own matter");
    assert_eq!(reply.header("etag"), Some("\"1\""));
    assert_eq!(reply.header("x-robots-tag"), Some("none"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("private, max-age=60"));
    assert_eq!(reply.header("content-security-policy"), None);
    assert_eq!(all(&reply, "request-id").len(), 1);
    crate::corpus::count("B11", 14);
}

#[tokio::test]
async fn i6_redirects_inside_are_rewritten_or_refused() {
    let instance = Instance::start(|seen| {
        let place = seen.header("host").unwrap_or_default().to_owned();
        let location = match seen.line() {
            "GET /login" => format!("http://{place}/sign-in?next=/"),
            "GET /relative" => "/sign-in".to_owned(),
            "GET /other" => "http://127.0.0.1:1/".to_owned(),
            "GET /metadata" => "http://169.254.169.254/latest/meta-data".to_owned(),
            "GET /service" => "http://10.9.8.7:3000/".to_owned(),
            "GET /public" => "https://login.example.org/a".to_owned(),
            _ => "javascript:alert(1)".to_owned(),
        };
        reply("302 Found", &format!("Location: {location}\r\n"), "")
    })
    .await;
    let gateway = gateway(&[instance.url()], "").await;
    for (path, expected) in [
        ("/login", Some("http://wiki.example.com/sign-in?next=/")),
        ("/relative", Some("/sign-in")),
        ("/public", Some("https://login.example.org/a")),
        ("/other", None),
        ("/metadata", None),
        ("/service", None),
        ("/script", None),
    ] {
        let reply = get(&gateway, path).await;
        assert_eq!(reply.header("location"), expected, "{path}");
        assert_eq!(reply.status, if expected.is_some() { 302 } else { 502 }, "{path}: {}", reply.text());
        assert!(!reply.text().contains("169.254") && !reply.text().contains("10.9.8.7"), "{}", reply.text());
    }
    gateway.finish().await;
    crate::corpus::count("I6", 7);
}

#[tokio::test]
async fn below_a_prefix_cookies_and_locations_are_the_prefixs() {
    let instance = Instance::start(|_| {
        reply("302 Found", "Location: /login\r\nContent-Location: /d/1\r\nSet-Cookie: sid=1; Path=/\r\n", "")
    })
    .await;
    let file = format!(
        "[[service]]\nname = \"grafana\"\nprefix = \"/grafana\"\nstrip_prefix = true\nupstreams = [{{ url = \"{}\" }}]\n",
        instance.url()
    );
    let gateway = TestGateway::builder().file(&file).start().await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let reply = client.ask("GET", "!/grafana/d/1", gateway.token(Role::Admin), &[], b"").await;
    assert_eq!(reply.header("location"), Some("/grafana/login"));
    assert_eq!(reply.header("content-location"), Some("/grafana/d/1"));
    assert_eq!(reply.header("set-cookie"), Some("sid=1; Path=/grafana"));
    gateway.finish().await;
}

#[tokio::test]
async fn versions_reach_instances_of_their_own_and_old_ones_say_so() {
    let (old, new) = (Instance::saying("old").await, Instance::saying("new").await);
    let upstreams = [
        format!("{{ url = \"{}\", version = \"v1\" }}", old.url()),
        format!("{{ url = \"{}\", version = \"v2\" }}", new.url()),
    ];
    let more = "version_header = \"X-Api-Version\"\ndefault_version = \"v2\"\n\
                [[service.version]]\nname = \"v1\"\ndeprecated = \"2026-01-31\"\nsunset = \"2027-01-31\"\n\
                [[service.version]]\nname = \"v2\"\n";
    let gateway = gateway(&upstreams, more).await;
    let check = async |path: &str, headers: &str, text: &str| {
        let mut client = RawClient::connect(gateway.addr()).await;
        client.send(request(&gateway, "GET", path, headers, "")).await;
        let reply = client.reply().await.unwrap();
        assert_eq!(reply.text(), text, "{path}");
        let is_old = text == "old";
        assert_eq!(reply.header("deprecation"), is_old.then_some("@1769817600"), "{path}");
        assert_eq!(reply.header("sunset"), is_old.then_some("Sun, 31 Jan 2027 00:00:00 GMT"), "{path}");
    };
    check("/v1/orders", "", "old").await;
    check("/v2/orders", "", "new").await;
    check("/orders", "", "new").await;
    check("/orders", "X-Api-Version: v1\r\n", "old").await;
    gateway.finish().await;
}

#[tokio::test]
async fn a_challenge_of_the_service_passes_and_an_unasked_upgrade_does_not() {
    let challenge = "WWW-Authenticate: Basic realm=\"wiki\"\r\n";
    let reply = through("401 Unauthorized", challenge, "").await;
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Basic realm=\"wiki\"")));
    assert_eq!(
        through("407 Proxy Authentication Required", "Proxy-Authenticate: Basic\r\n", "").await.status,
        502
    );
    assert_eq!(
        through("101 Switching Protocols", "Connection: Upgrade\r\nUpgrade: x\r\n", "").await.status,
        502
    );
}

#[tokio::test]
async fn informational_replies_are_dropped_and_bodies_without_one_stay_so() {
    let instance = Instance::start(|seen| match seen.line() {
        "GET /hints" => Answer::Keep(
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                .to_vec(),
        ),
        "HEAD /page" => Answer::Keep(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n".to_vec()),
        // C4: a body where there can be none. The connection must not be used again.
        "GET /none" => Answer::Keep(
            b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison".to_vec(),
        ),
        _ => reply("200 OK", "", "plain"),
    })
    .await;
    let gateway = gateway(&[instance.url()], "").await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let mut check = async |method: &str, path: &str| {
        client.send(request(&gateway, method, path, "", "")).await;
        client.reply_to(method).await.unwrap()
    };
    assert_eq!(check("GET", "/hints").await.text(), "ok");
    let head = check("HEAD", "/page").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("5000")));
    assert_eq!(check("GET", "/none").await.status, 204);
    for _ in 0..3 {
        assert_eq!(check("GET", "/plain").await.text(), "plain");
    }
    gateway.finish().await;
}

#[tokio::test]
async fn config_check_says_on_which_line_a_service_is_wrong() {
    let file = format!(
        "# one\n{}[[service]]\nname = \"shop\"\nhosts = [\"shop.example.com\"]\nupstreams = [{{ url = \"http://h\" }}]\n\
         credential = {{ kind = \"bearer\", secret = \"hunter2-hunter2\" }}\nreply_timeout = \"soon\"\n",
        wiki(&["http://127.0.0.1:1".to_owned()], "")
    );
    let line = 1 + file.lines().position(|line| line.contains("shop")).unwrap();
    let sources = gateway_config::Sources {
        file: Some(("rack-gateway.toml".into(), file)),
        environment: [("RACK_HOST", "rack.example.com"), ("RACK_TOKEN", "t")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        flags: gateway_config::Flags::default(),
    };
    let said = gateway_config::parse(sources).unwrap_err().to_string();
    for field in ["service.shop.credential.secret", "service.shop.reply_timeout"] {
        assert!(said.contains(field), "{said}");
    }
    // A table begins on the line of its header.
    assert!(
        said.contains(&format!("line {}", line - 1)) || said.contains(&format!(":{}", line - 1)),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
}
