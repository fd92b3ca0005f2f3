//! Pages of other origins that call a service: only those that it lists, only with a token.

use gateway_testkit::raw::Reply;
use gateway_testkit::{RawClient, TestGateway};
use gateway_types::Role;

use crate::sign_on::echo;

const LISTED: &str = "https://app.example.com";

async fn gateway(url: &str) -> TestGateway {
    TestGateway::builder()
        .file(&format!(
            "[[service]]\nname = \"api\"\nhosts = [\"api.example.com\"]\ncors_origins = [\"{LISTED}\"]\nupstreams = [{{ url = \"{url}\" }}]\n\
             [[service.route]]\nmethod = \"GET\"\npath = \"/orders\"\n\
             [[service.route]]\nmethod = \"PUT\"\npath = \"/orders/{{id}}\"\n\
             [[service]]\nname = \"plain\"\nhosts = [\"plain.example.com\"]\nupstreams = [{{ url = \"{url}\" }}]\n"
        ))
        .start()
        .await
}

async fn ask(gateway: &TestGateway, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut client = RawClient::connect(gateway.addr()).await;
    client.send(format!("{head}\r\n")).await;
    client.reply().await.expect("a reply")
}

#[tokio::test]
async fn e6_only_listed_origins_call_and_only_with_a_token() {
    let service = echo().await;
    let gateway = gateway(&service.url()).await;
    let bearer = format!("Bearer {}", gateway.token(Role::Admin));
    let token = ("Authorization", bearer.as_str());
    let get = async |host: &str, path: &str, headers: &[(&str, &str)]| {
        ask(&gateway, "GET", host, path, headers).await
    };
    let reply =
        get("api.example.com", "/orders", &[token, ("Origin", LISTED), ("Sec-Fetch-Site", "cross-site")])
            .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), Some(LISTED));
    assert_eq!(reply.header("vary"), Some("Origin"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    // A refusal can be read as well.
    let reply = get("api.example.com", "/orders", &[("Origin", LISTED)]).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (401, Some(LISTED)));
    // Nobody's own request needs no header, but caches are told.
    let reply = get("api.example.com", "/orders", &[token]).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    assert_eq!(reply.header("vary"), Some("Origin"));
    for origin in [
        "null",
        "*",
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:444",
        "https://app.example.com.evil.example",
        "https://APP.example.com",
        "https://app.example.com/",
        "file://",
    ] {
        for host in ["api.example.com", "plain.example.com", "gateway.example.com"] {
            let reply = get(host, "/orders", &[token, ("Origin", origin)]).await;
            assert_eq!(reply.status, 403, "{host} {origin}: {}", reply.text());
            assert_eq!(reply.header("access-control-allow-origin"), None, "{host} {origin}");
        }
    }
    for (host, path) in [
        ("plain.example.com", "/orders"),
        ("gateway.example.com", "/api/v1/me"),
        ("gateway.example.com", "/api/v1/rack-proxy/apps"),
        ("api.example.com", "/.rack-gateway/sign-out"),
    ] {
        let reply = get(host, path, &[token, ("Origin", LISTED)]).await;
        assert!(matches!(reply.status, 403 | 404), "{host}{path}: {} {}", reply.status, reply.text());
        assert_eq!(reply.header("access-control-allow-origin"), None, "{host}{path}");
    }
    // Two origins are none, and a call that names none is refused as ever.
    let reply = get("api.example.com", "/orders", &[token, ("Origin", LISTED), ("Origin", LISTED)]).await;
    assert!(matches!(reply.status, 400 | 403), "{}", reply.status);
    let reply = get(
        "api.example.com",
        "/orders",
        &[token, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
    )
    .await;
    assert_eq!(reply.status, 403);
    assert!(gateway.rack.requests().is_empty());
    gateway.finish().await;
}

#[tokio::test]
async fn e6_a_cookie_is_not_taken_for_a_foreign_page() {
    let service = echo().await;
    let gateway = gateway(&service.url()).await;
    let cookie = "__Host-rgw=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; a=b";
    let headers = [("Origin", LISTED), ("Cookie", cookie), ("Sec-Fetch-Site", "same-site")];
    assert_eq!(ask(&gateway, "GET", "api.example.com", "/orders", &headers).await.status, 401);
    // Beside a token it is as if it were not there, and goes nowhere.
    let bearer = format!("Bearer {}", gateway.token(Role::Admin));
    let headers = [("Origin", LISTED), ("Cookie", cookie), ("Authorization", bearer.as_str())];
    let reply = ask(&gateway, "GET", "api.example.com", "/orders", &headers).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(!reply.text().to_ascii_lowercase().contains("cookie"), "{}", reply.text());
    gateway.finish().await;
}

#[tokio::test]
async fn e6_preflights_are_answered_here_for_what_there_is() {
    let service = echo().await;
    let gateway = gateway(&service.url()).await;
    let preflight = async |host: &str, path: &str, origin: &str, method: &str, headers: &str| {
        let sent = [
            ("Origin", origin),
            ("Access-Control-Request-Method", method),
            ("Access-Control-Request-Headers", headers),
        ];
        ask(&gateway, "OPTIONS", host, path, &sent).await
    };
    let reply =
        preflight("api.example.com", "/orders/7", LISTED, "PUT", "authorization,x-gateway-user,cookie").await;
    assert_eq!(reply.status, 204, "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), Some(LISTED));
    assert_eq!(reply.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("authorization"));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert_eq!(reply.header("vary"), Some("Origin"));
    for (path, method, status) in [
        ("/orders/7", "DELETE", 405),
        ("/orders", "PUT", 405),
        ("/nothing", "GET", 404),
        ("/orders/7", "put", 405),
    ] {
        let reply = preflight("api.example.com", path, LISTED, method, "").await;
        assert_eq!(reply.status, status, "{path} {method}: {}", reply.text());
        assert_eq!(reply.header("access-control-allow-methods"), None, "{path} {method}");
    }
    for (host, origin) in [
        ("api.example.com", "https://evil.example"),
        ("api.example.com", "null"),
        ("plain.example.com", LISTED),
        ("gateway.example.com", LISTED),
    ] {
        let reply = preflight(host, "/orders", origin, "GET", "").await;
        assert_eq!(reply.status, 403, "{host} {origin}");
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    // Answered before anybody is known, and no event of its own.
    let events = gateway.events().await;
    assert!(
        events.iter().all(|(_, event)| event.route.as_deref() != Some("PUT api:/orders/{id}")),
        "{events:?}"
    );
    gateway.finish().await;
}
