//! Back ends that are away, refuse, or take what they do not keep; and names that nobody should send.

use hickory_proto::rr::RecordType;

use crate::named::{KEY, Named};
use crate::shim::{Shim, body, by_file, by_updates};

#[tokio::test]
async fn a_server_that_is_away_loses_nothing() {
    let mut named = Named::updated().await;
    let shim = Shim::start(&by_updates(&named));
    shim.put("first.corp.test", "?wait=20s", &[("A", &["192.0.2.1"])]).await;
    named.stop();
    let kept = shim.put("second.corp.test", "?wait=1s", &[("A", &["192.0.2.2"])]).await;
    assert_eq!((kept.status.as_u16(), &kept.body["status"]), (202, &"pending".into()));
    let zone = shim.stands("failing").await;
    assert!(
        zone["error"].as_str().unwrap().contains("cannot be reached") && !zone["retry_at"].is_null(),
        "{zone}"
    );
    let health = Shim::get_from(&shim.url, "/healthz").await;
    assert_eq!(health.status(), 200);
    assert!(health.text().await.unwrap().contains("degraded"));
    assert_eq!(shim.delete("first.corp.test", "").await.status, 202);
    named.start().await;
    shim.stands("in_sync").await;
    assert_eq!(named.answers("second.corp.test", RecordType::A).await, ["60 192.0.2.2"]);
    assert_eq!(named.answers("first.corp.test", RecordType::A).await, [""; 0]);
    assert_eq!(shim.get(kept.body["change"].as_str().unwrap()).await.body["status"], "applied");
}

#[tokio::test]
async fn a_wrong_key_is_told_and_never_success() {
    let named = Named::updated().await;
    let mut shim = Shim::start(&by_updates(&named));
    shim.stands("in_sync").await;
    shim.kill();
    std::fs::write(shim.place.path().join("secret"), "d3Jvbmc=").unwrap();
    shim.run();
    let kept = shim.put("www.corp.test", "?wait=2s", &[("A", &["192.0.2.1"])]).await;
    assert_eq!((kept.status.as_u16(), &kept.body["status"]), (202, &"pending".into()), "{kept:?}");
    let zone = shim.stands("failing").await;
    assert!(zone["error"].as_str().unwrap().contains("refused"), "{zone}");
    assert_eq!(named.answers("www.corp.test", RecordType::A).await, [""; 0]);
    shim.kill();
    std::fs::write(shim.place.path().join("secret"), KEY).unwrap();
    shim.run();
    shim.stands("in_sync").await;
    assert_eq!(named.answers("www.corp.test", RecordType::A).await, ["60 192.0.2.1"]);
}

#[tokio::test]
async fn one_name_that_is_refused_holds_up_no_other() {
    let mut named = Named::updated().await;
    named.stop();
    let path = named.place.path().join("named.conf");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("grant shim", "deny shim name bad.corp.test. ANY; grant shim"))
        .unwrap();
    let shim = Shim::start(&by_updates(&named));
    // Both wait, so that both go in one update.
    shim.put("bad.corp.test", "", &[("A", &["192.0.2.1"])]).await;
    shim.put("good.corp.test", "", &[("A", &["192.0.2.2"])]).await;
    named.start().await;
    let good = shim.put("good.corp.test", "?wait=20s", &[("A", &["192.0.2.2"])]).await;
    assert_eq!((good.status.as_u16(), &good.body["status"]), (200, &"applied".into()), "{good:?}");
    let bad = shim.put("bad.corp.test", "?wait=20s", &[("A", &["192.0.2.1"])]).await;
    assert_eq!((bad.status.as_u16(), &bad.body["status"]), (202, &"refused".into()), "{bad:?}");
    let drift = shim.get("/drift").await.body;
    let found = &drift["zones"][0]["drift"][0];
    assert_eq!(
        (&found["name"], &found["actual"]),
        (&"bad.corp.test".into(), &serde_json::Value::Null),
        "{drift}"
    );
    assert_eq!(found["desired"]["values"][0], "192.0.2.1");
}

#[tokio::test]
async fn a_reload_that_fails_is_no_success() {
    let named = Named::of_file().await;
    let mut shim = Shim::start(&by_file(&named));
    let done = shim.put("www.corp.test", "?wait=20s", &[("A", &["192.0.2.1"])]).await;
    assert_eq!(done.status, 200);
    let path = shim.place.path().join("dns.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    shim.kill();
    std::fs::write(&path, good.replace("/bin/kill", "/bin/false")).unwrap();
    shim.run();
    let kept = shim.put("www.corp.test", "?wait=2s", &[("A", &["192.0.2.2"])]).await;
    assert_eq!((kept.status.as_u16(), &kept.body["status"]), (202, &"pending".into()), "{kept:?}");
    assert!(std::fs::read_to_string(named.zone_file()).unwrap().contains("192.0.2.2"));
    let zone = shim.stands("failing").await;
    assert!(zone["error"].as_str().unwrap().contains("reload"), "{zone}");
    assert_eq!(named.answers("www.corp.test", RecordType::A).await, ["60 192.0.2.1"]);
    // The file is right by now; that the server was not told of it is remembered beside it.
    shim.kill();
    std::fs::write(&path, good).unwrap();
    shim.run();
    shim.stands("in_sync").await;
    assert_eq!(named.answers("www.corp.test", RecordType::A).await, ["60 192.0.2.2"]);
}

#[tokio::test]
async fn hostile_names_and_values_reach_no_back_end() {
    let named = Named::of_file().await;
    let shim = Shim::start(&by_file(&named));
    shim.stands("in_sync").await;
    let before = std::fs::read_to_string(named.zone_file()).unwrap();
    let check = async |name: &str, sets: &[(&str, &[&str])], expected: u16| {
        let answer = shim.put(name, "", sets).await;
        assert_eq!(answer.status.as_u16(), expected, "{name} {sets:?}: {answer:?}");
    };
    let good: &[(&str, &[&str])] = &[("A", &["192.0.2.1"])];
    for name in [
        "a%0Ab.corp.test",
        "a%20IN.corp.test",
        "a%3B.corp.test",
        "%24INCLUDE.corp.test",
        "a%22.corp.test",
        "a%5C.corp.test",
        "a..corp.test",
        ".corp.test",
        "a%00.corp.test",
        "b%C3%BCcher.corp.test",
        "%40",
        "..%2F..%2Fetc",
    ] {
        check(name, good, 400).await;
    }
    check("www.other.test", good, 422).await;
    check("wwwcorp.test", good, 422).await;
    check("ns.corp.test", good, 409).await;
    check("_x.corp.test", good, 409).await;
    check("corp.test", &[("CNAME", &["a.b"])], 409).await;
    check("corp.test", &[("NS", &["a.b"])], 409).await;
    check("w.corp.test", &[("CNAME", &["a.b"]), ("A", &["192.0.2.1"])], 409).await;
    for value in ["a.b\nevil.corp.test. 60 IN A 192.0.2.66", "a.b ; x", "a", ""] {
        check("w.corp.test", &[("CNAME", &[value])], 422).await;
    }
    check("w.corp.test", &[("TXT", &["a\nb"])], 422).await;
    check("w.corp.test", &[("A", &["192.0.2.1\n"])], 422).await;
    check("w.corp.test", &[("A", &[])], 422).await;
    check("w.corp.test", &[], 422).await;
    check("w.corp.test", &[("A", &["192.0.2.1"]), ("A", &["192.0.2.2"])], 422).await;
    check("w.corp.test", &[("SOA", &["x"])], 400).await;
    let path = "/zones/corp.test/names/w.corp.test";
    let put = || shim.request(reqwest::Method::PUT, path);
    let mut low = body(good);
    low["sets"][0]["ttl"] = 1.into();
    assert_eq!(shim.send(put().json(&low)).await.status, 422);
    low["sets"][0]["other"] = 1.into();
    assert_eq!(shim.send(put().json(&low)).await.status, 400);
    assert_eq!(shim.send(put().body("{}")).await.status, 415);
    assert_eq!(
        shim.send(put().header("content-type", "application/json").body("[".repeat(70_000))).await.status,
        413
    );
    assert_eq!(shim.send(put().json(&body(good)).header("if-match", "x")).await.status, 400);
    assert_eq!(shim.send(put().json(&body(good)).header("host", "evil.test")).await.status, 421);
    assert_eq!(shim.get("/zones/corp.test/changes/1").await.status, 404);
    assert_eq!(std::fs::read_to_string(named.zone_file()).unwrap(), before);
}
