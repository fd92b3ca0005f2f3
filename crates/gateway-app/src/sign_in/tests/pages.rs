//! D1: where a sign-in may lead.

use gateway_policy::OwnTable;
use gateway_services::{RawService, RawUpstream, Service, ServiceTable};
use url::Url;

use super::super::{HOME, return_to};

/// What an attacker puts before a host so that a browser, or a check, reads it otherwise.
const STARTS: &[&str] = &[
    "//",
    "///",
    "////",
    "/\\",
    "\\\\",
    "\\/",
    "\\",
    "/\\/\\",
    "/%5c",
    "/%5C%5C",
    "/%2f",
    "/%2F%2F",
    "%2f%2f",
    "/%09/",
    "/%0a/",
    "/%0d%0a/",
    "/%00/",
    "/\t/",
    "/\n/",
    "/\r/",
    "/\u{b}/",
    "/\u{c}/",
    "/\0/",
    " //",
    "\t//",
    "/ /",
    "/app//",
    "/app/..//",
    "/app/../..//",
    "/app/%2e%2e//",
    "/./",
    "/../",
    "/.//",
    "/..//",
    "..//",
    ".//",
    "/%2e%2e/",
    "/app/%2f",
    "/app\\",
    "/app/\\",
    "/app;//",
    "/app#//",
    "#//",
    "?//",
    "/?//",
    "https:",
    "https:/",
    "https://",
    "https:///",
    "https:\\\\",
    "HtTpS://",
    "http://",
    "//a@",
    "https://a@",
    "https://a:b@",
    "https://gw.example.com@",
    "https://gw.example.com.",
    "//gw.example.com@",
    "//a%00.",
    "//%61.",
    "javascript:",
    "javascript://",
    "data:text/html,",
    "vbscript:",
    "file:///",
    "ftp://",
    "blob:https://",
    "view-source:https://",
    "／／",
    "/／",
    "／",
    "〳〳",
    "/。",
    "。。//",
    "//[",
    "/@",
    "@",
    "/;@",
    "/:",
    ":",
    "/*/",
    "/~//",
    "/app/@//",
    "/auth/login?return_to=//",
    "/auth/callback/corp?",
    "/api/v1/users?",
    "/app/static/",
    "/problems/",
    "app/",
    "app?",
    "/APP/",
    "/App//",
    "/app./",
    "/app%2f",
    "/appx/",
    "/device/",
    "/step-up//",
    "/login/",
];

const TARGETS: &[&str] = &[
    "evil.example",
    "evil.example/app",
    "evil.example:443/app",
    "@evil.example",
    "evil.example%2fapp",
    "evil。example",
    "2130706433",
    "[::1]/app",
    "%65vil.example",
    "evil.example\\app",
    "evil.example?/app",
    "alert(1)",
];

#[test]
fn d1_a_sign_in_leads_to_the_gateways_own_pages_only() {
    let own = OwnTable::builtin().unwrap();
    let gateway = Url::parse("https://gw.example.com/auth/callback/corp").unwrap();
    let mut count = 0;
    for start in STARTS {
        for target in TARGETS {
            let wish = format!("{start}{target}");
            let page = return_to(&own, &ServiceTable::default(), Some(&wish));
            // What a browser makes of it (WHATWG URL): the same place, whatever the check thought.
            let read = gateway.join(&page).unwrap();
            assert_eq!(read.origin(), gateway.origin(), "{wish:?} → {page:?}");
            assert_eq!(page, HOME, "{wish:?}");
            count += 1;
        }
    }
    assert!(count >= 500, "{count}");
}

#[test]
fn d1_what_is_no_page_for_people_leads_home() {
    let own = OwnTable::builtin().unwrap();
    let long = format!("/app?q={}", "a".repeat(2048));
    for wish in [
        "",
        "/",
        "/app/",
        "/app/nothing",
        "/app/users/",
        "/app/static/style.css",
        "/auth/login",
        "/auth/logout",
        "/problems/refused",
        "/api/v1/users",
        "/openapi.json",
        "/app/users#x",
        "/app?a=b?c",
        "/app/users?a=\u{e9}",
        "/app/users?q=a b",
        "/app/users?q=\"",
        "/app/users?q=<",
        "/app/users/../tokens",
        "/app/%75sers",
        "/device/x",
        "/step-up",
        "/step-up/",
        "/login/u2fx",
        &long,
    ] {
        assert_eq!(return_to(&own, &ServiceTable::default(), Some(wish)), HOME, "{wish:?}");
    }
    assert_eq!(return_to(&own, &ServiceTable::default(), None), HOME);
}

#[test]
fn d1_pages_are_kept_with_their_query() {
    let own = OwnTable::builtin().unwrap();
    for wish in [
        "/app",
        "/app?done=saved",
        "/app/users",
        "/app/users?q=a%20b&cursor=c%2Fd",
        "/app/audit/12",
        "/app/users/0197c6b8-7b5e-7000-8000-000000000000",
        "/device",
        "/device?user_code=BCDF-GHJK",
        "/step-up/0197c6b8-7b5e-7000-8000-000000000000",
        "/login/u2f?token=YWJj%2B&callback_url=http://localhost:49152",
    ] {
        assert_eq!(return_to(&own, &ServiceTable::default(), Some(wish)), wish);
    }
}

#[test]
fn d1_a_sign_in_leads_back_to_a_service_on_the_gateways_own_hosts() {
    let own = OwnTable::builtin().unwrap();
    let upstream = RawUpstream { url: "http://127.0.0.1:1".to_owned(), weight: None, version: None };
    let service = |name: &str, hosts: &[&str], prefix: Option<&str>| {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let prefix = prefix.map(str::to_owned);
        let upstreams = vec![upstream.clone()];
        Service::check(RawService {
            name: name.to_owned(),
            hosts,
            prefix,
            upstreams,
            ..RawService::default()
        })
        .unwrap()
    };
    let services =
        vec![service("grafana", &[], Some("/grafana")), service("wiki", &["wiki.example.com"], None)];
    let services = ServiceTable::new(services).unwrap();
    for wish in ["/grafana", "/grafana/d/1?x=%20&y=a?b", "/grafana/", "/auth/handoff?id=abc"] {
        assert_eq!(return_to(&own, &services, Some(wish)), wish);
    }
    for wish in [
        "/grafana//evil.example",
        "/grafana/../app",
        "/grafana/%2e%2e/x",
        "/%67rafana",
        "/grafanax",
        "/grafana\\x",
        "/grafana/#x",
        "//grafana",
        "/page",
        "/auth/handoffs",
        "/auth/handoff/x",
    ] {
        assert_eq!(return_to(&own, &services, Some(wish)), HOME, "{wish}");
    }
}
