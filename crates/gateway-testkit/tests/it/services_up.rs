//! What goes up to a service: by rule, in the gateway's own words, and never what only the gateway may say.

use std::time::Duration;

use gateway_testkit::{RawClient, TestGateway};
use gateway_types::Role;

use super::service_kit::{Instance, ask, gateway, get, reply, request, wiki};

#[tokio::test]
async fn end_to_end_headers_go_up_and_the_gateway_says_who_asked_where() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "").await;
    let headers = "Accept: text/plain\r\nX-Csrf-Token: t\r\nIf-None-Match: \"1\"\r\nCookie: a=1; b=2\r\n\
                   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    assert_eq!(ask(&gateway, "GET", "/page?q=%20", headers, "").await.text(), "ok");
    let seen = instance.only();
    assert_eq!(seen.line(), "GET /page?q=%20");
    for (name, value) in [
        ("accept", "text/plain"),
        ("x-csrf-token", "t"),
        ("if-none-match", "\"1\""),
        ("cookie", "a=1; b=2"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("host", &instance.addr.to_string()),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "wiki.example.com"),
    ] {
        assert_eq!(seen.headers(name), [value], "{name} in {}", seen.head);
    }
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.headers("x-request-id").len(), 1);
    gateway.finish().await;
}

#[tokio::test]
async fn b1_b3_what_gateways_say_never_goes_up_from_a_client() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "identity = \"headers\"").await;
    let names = [
        "X-Gateway-User",
        "x-gateway-roles",
        "X.Gateway.User",
        "X-Forwarded-Port",
        "X-Forwarded-Uri",
        "X-Forwarded-User",
        "X-Forwarded-Groups",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Envoy-External-Address",
        "X-Client-Cert",
        "X-SSL-Client-DN",
        "X-HTTP-Method-Override",
        "Gateway-Token",
        "Remote-User",
        "X-Webauth-User",
        "Proxy-Authorization",
    ];
    for name in names {
        let reply = ask(&gateway, "GET", "/page", &format!("{name}: eve\r\n"), "").await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    }
    // CVE-2025-64484, CVE-2026-33433: other spellings, of which some are no well-formed request at all.
    for line in ["X_Gateway_User: eve", "X-Gateway-User : eve", "x_forwarded_for: 6.6.6.6"] {
        assert_eq!(ask(&gateway, "GET", "/page", &format!("{line}\r\n"), "").await.status, 400, "{line}");
    }
    let seen = instance.seen();
    assert_eq!(seen.len(), names.len());
    for seen in seen {
        assert!(!seen.head.contains("eve"), "{}", seen.head);
        assert_eq!(seen.headers("x-gateway-user").len(), 1, "{}", seen.head);
        assert_eq!(seen.header("x-gateway-roles"), Some("admin"));
        assert_eq!(seen.header("x-gateway-kind"), Some("api_token"));
    }
    gateway.finish().await;
}

#[tokio::test]
async fn b2_connection_takes_nothing_of_ours_away() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "identity = \"headers\"").await;
    // GHSA-w9mr, CVE-2024-45410, CVE-2026-29054, CVE-2026-6338.
    for line in [
        "Connection: Authorization",
        "connection: x-gateway-user",
        "Connection: close, X-Request-Id",
        "Connection: Content-Length",
        "Connection: Transfer-Encoding, Host",
        "Connection: close\r\nConnection: x-forwarded-for",
    ] {
        assert_eq!(ask(&gateway, "GET", "/page", &format!("{line}\r\n"), "").await.status, 400, "{line}");
    }
    assert_eq!(
        ask(&gateway, "GET", "/page", "Connection: keep-alive, TE\r\nTE: trailers\r\n", "").await.status,
        200
    );
    let seen = instance.only();
    assert_eq!((seen.header("te"), seen.header("keep-alive")), (None, None));
    assert_eq!(seen.headers("x-gateway-user").len(), 1);
    gateway.finish().await;
}

#[tokio::test]
async fn c6_c7_no_other_protocol_is_asked_for_and_no_tunnel_is_made() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "").await;
    // CVE-2022-41721.
    let upgrade =
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let reply = ask(&gateway, "GET", "/page", upgrade, "").await;
    assert!([200, 400].contains(&reply.status), "{}", reply.text());
    for seen in instance.seen() {
        assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None), "{}", seen.head);
    }
    let before = instance.seen().len();
    // CVE-2026-71324.
    let mut client = RawClient::connect(gateway.addr()).await;
    let token = gateway.token(Role::Admin);
    client
        .send(format!("CONNECT wiki.example.com:80 HTTP/1.1\r\nHost: wiki.example.com:80\r\nAuthorization: Bearer {token}\r\n\r\n"))
        .await;
    assert_eq!(client.reply().await.unwrap().status, 405);
    assert_eq!(instance.seen().len(), before);
    gateway.finish().await;
}

#[tokio::test]
async fn c4_safe_methods_with_a_body_keep_their_framing() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "").await;
    let mut client = RawClient::connect(gateway.addr()).await;
    let inner = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for method in ["GET", "OPTIONS", "DELETE"] {
        client.send(request(&gateway, method, "/page", "", inner)).await;
        assert_eq!(client.reply().await.unwrap().status, 200);
    }
    for seen in instance.seen() {
        assert!(seen.line().ends_with(" /page"), "{}", seen.head);
        assert_eq!(seen.body, inner.as_bytes());
    }
    assert_eq!(instance.seen().len(), 3);
    gateway.finish().await;
}

#[tokio::test]
async fn a_prefix_is_taken_away_or_kept_and_host_is_kept_when_it_is_said() {
    let instance = Instance::saying("ok").await;
    let url = instance.url();
    let file = format!(
        "[[service]]\nname = \"grafana\"\nprefix = \"/grafana\"\nstrip_prefix = true\nhost = \"keep\"\nupstreams = [{{ url = \"{url}\" }}]\n\
         [[service]]\nname = \"docs\"\nprefix = \"/docs\"\nupstreams = [{{ url = \"{url}\" }}]\n"
    );
    let gateway = TestGateway::builder().file(&file).start().await;
    let token = gateway.token(Role::Admin).to_owned();
    let mut client = RawClient::connect(gateway.addr()).await;
    for path in ["!/grafana/d/1?x=y", "!/grafana", "!/docs/a"] {
        assert_eq!(client.ask("GET", path, &token, &[], b"").await.status, 200, "{path}");
    }
    let seen = instance.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line()).collect();
    assert_eq!(lines, ["GET /d/1?x=y", "GET /", "GET /docs/a"]);
    let own = gateway.addr().to_string();
    assert_eq!(seen[0].header("host"), Some(own.as_str()));
    assert_eq!(seen[0].header("x-forwarded-prefix"), Some("/grafana"));
    assert_eq!(seen[2].header("host"), Some(instance.addr.to_string().as_str()));
    assert_eq!(seen[2].header("x-forwarded-prefix"), None);
    gateway.finish().await;
}

#[tokio::test]
async fn bodies_are_bounded_and_100_continue_is_answered_here() {
    let instance = Instance::saying("ok").await;
    let gateway = gateway(&[instance.url()], "body_size_bytes = 10").await;
    assert_eq!(ask(&gateway, "POST", "/page", "", "0123456789").await.status, 200);
    assert_eq!(ask(&gateway, "POST", "/page", "", "0123456789a").await.status, 413);
    assert_eq!(instance.seen().len(), 1, "a body that says that it is too large is not even begun");
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(format!(
            "{}6\r\nabcdef\r\n6\r\nghijkl\r\n0\r\n\r\n",
            request(&gateway, "POST", "/page", "Transfer-Encoding: chunked\r\n", "")
        ))
        .await;
    let reply = client.reply().await.unwrap();
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert_eq!(instance.seen().len(), 1, "no complete request reached the instance");
    let mut client = RawClient::connect(gateway.addr()).await;
    client
        .send(request(&gateway, "POST", "/page", "Expect: 100-continue\r\nContent-Length: 3\r\n", ""))
        .await;
    assert_eq!(client.reply().await.unwrap().status, 100);
    client.send("abc").await;
    assert_eq!(client.reply().await.unwrap().status, 200);
    let seen = instance.seen();
    assert_eq!(seen.last().unwrap().header("expect"), None);
    assert_eq!(seen.last().unwrap().body, b"abc");
    gateway.finish().await;
}

#[tokio::test]
async fn a_declared_rate_holds_for_each_caller() {
    let instance = Instance::saying("ok").await;
    let file = wiki(&[instance.url()], "requests_per_second = 2\nrequest_burst = 5");
    let gateway = TestGateway::builder().env("RGW_SETTING_RATE_LIMITS", "on").file(&file).start().await;
    for left in (0..5).rev() {
        let reply = get(&gateway, "/page").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let told = reply.header("ratelimit").unwrap_or_default().to_owned();
        assert!(told.contains(&format!("\"service\";r={left}")), "{told}");
    }
    let reply = get(&gateway, "/page").await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")), "{}", reply.text());
    assert!(reply.text().contains("requests to this service"), "{}", reply.text());
    gateway.clock.advance(Duration::from_secs(1));
    for status in [200, 200, 429] {
        assert_eq!(get(&gateway, "/page").await.status, status);
    }
    assert_eq!(instance.seen().len(), 7);
    gateway.finish().await;
}

#[tokio::test]
async fn a_second_header_of_what_there_is_one_of_is_refused() {
    let instance = Instance::start(|_| reply("200 OK", "", "")).await;
    let gateway = gateway(&[instance.url()], "").await;
    for name in ["Range", "Referer", "If-Modified-Since", "User-Agent"] {
        let reply = ask(&gateway, "GET", "/page", &format!("{name}: a\r\n{name}: b\r\n"), "").await;
        assert_eq!(reply.status, 400, "{name}");
    }
    assert!(instance.seen().is_empty());
    gateway.finish().await;
}
