use crate::github::{Branch, Commit, GitHub, Repository};
use gateway_types::Secret;

use super::{SHA, TOKEN};

#[test]
fn repositories() {
    let check = |text: &str, good: bool| assert_eq!(text.parse::<Repository>().is_ok(), good, "{text:?}");
    check("acme/shop", true);
    check("Acme-2/shop.web_x", true);
    check("octo_acme/shop", true);
    check("acme", false);
    check("acme/", false);
    check("/shop", false);
    check("acme/shop/x", false);
    check("acme/..", false);
    check("acme/.", false);
    check("../shop", false);
    check("-acme/shop", false);
    check("acme/sh op", false);
    check("acme/shop?x", false);
    check("acme/shop%2f", false);
    check("https://github.com/acme/shop", false);
    assert_eq!("Acme/Shop".parse::<Repository>(), "acme/shop".parse());
}

#[test]
fn commits() {
    let check = |text: &str, good: bool| assert_eq!(text.parse::<Commit>().is_ok(), good, "{text:?}");
    check(SHA, true);
    check(&"a".repeat(64), true);
    check("6dcb09b", false);
    check("", false);
    check("main", false);
    check(&"g".repeat(40), false);
    check(&"a".repeat(41), false);
    check(&format!("{SHA} "), false);
    assert_eq!(SHA.to_uppercase().parse::<Commit>().unwrap().as_str(), SHA);
}

#[test]
fn branches() {
    let check = |text: &str, good: bool| assert_eq!(text.parse::<Branch>().is_ok(), good, "{text:?}");
    check("main", true);
    check("release/1.2", true);
    check("feature/ünïcode-#1&x", true);
    for bad in [
        "", "@", "/main", "main/", "a//b", "a..b", ".a", "a/.b", "a.lock", "a.lock/b", "a b", "a~1", "a^",
        "a:b",
    ] {
        check(bad, false);
    }
    for bad in ["a?", "a*", "a[b", "a\\b", "a@{1}", "a.", "-a", "refs/heads/main", "a\nb", &"a".repeat(256)] {
        check(bad, false);
    }
}

#[test]
fn endpoints() {
    let check = |api: &str, token: &str, good: bool| {
        let made = GitHub::new(api.parse().unwrap(), Secret::new(token.to_owned()));
        assert_eq!(made.is_ok(), good, "{api} {token:?}");
        assert!(!format!("{made:?}").contains("canary"));
    };
    check("https://api.github.com", TOKEN, true);
    check("https://github.example.com/api/v3", TOKEN, true);
    check("http://127.0.0.1:9", TOKEN, true);
    check("http://github.example.com", TOKEN, false);
    check("ftp://github.example.com", TOKEN, false);
    check("https://me@github.example.com", TOKEN, false);
    check("https://github.example.com?x", TOKEN, false);
    check("https://github.example.com#x", TOKEN, false);
    check("https://api.github.com", "", false);
    check("https://api.github.com", "a\r\nb", false);
    check("https://api.github.com", "a b", false);
}
