//! The same calls before BIND by dynamic updates and before a zone file: name servers answer the same.

use hickory_proto::rr::RecordType;

use crate::named::{Named, eventually};
use crate::shim::{Shim, by_file, by_updates};

/// Every type, changes of kind, removals, and long texts.
async fn same_calls(shim: &Shim, named: &Named) {
    let long = "x".repeat(600);
    let texts = ["v=spf1 -all; \"quoted\" \\ $INCLUDE /etc/passwd (", long.as_str()];
    let check = async |name: &str, sets: &[(&str, &[&str])]| {
        let done = shim.put(name, "?wait=20s", sets).await;
        assert_eq!(
            (done.status.as_u16(), &done.body["status"]),
            (200, &"applied".into()),
            "{name}: {done:?}"
        );
    };
    check("www.corp.test", &[("A", &["192.0.2.1", "192.0.2.2"]), ("AAAA", &["2001:db8::1"])]).await;
    // BIND takes no MX record to a host of its zone that has no address.
    check("mail.corp.test", &[("A", &["192.0.2.3"])]).await;
    check("corp.test", &[("MX", &["10 mail.corp.test"]), ("TXT", &texts)]).await;
    check("_ldap._tcp.corp.test", &[("SRV", &["0 5 389 www.corp.test"])]).await;
    check("alias.corp.test", &[("CNAME", &["www.corp.test"])]).await;
    check("1.corp.test", &[("PTR", &["www.corp.test"])]).await;
    check("sub.corp.test", &[("NS", &["ns.sub.corp.test"])]).await;
    check("ns.sub.corp.test", &[("A", &["192.0.2.4"])]).await;
    check("*.wild.corp.test", &[("A", &["192.0.2.5"])]).await;
    let answers = async |name: &str, record_type, expected: &[&str]| {
        assert_eq!(named.answers(name, record_type).await, expected, "{name} {record_type}");
    };
    answers("www.corp.test", RecordType::A, &["60 192.0.2.1", "60 192.0.2.2"]).await;
    answers("www.corp.test", RecordType::AAAA, &["60 2001:db8::1"]).await;
    answers("corp.test", RecordType::MX, &["60 10 mail.corp.test."]).await;
    answers("_ldap._tcp.corp.test", RecordType::SRV, &["60 0 5 389 www.corp.test."]).await;
    answers("alias.corp.test", RecordType::CNAME, &["60 www.corp.test."]).await;
    answers("1.corp.test", RecordType::PTR, &["60 www.corp.test."]).await;
    answers("any.wild.corp.test", RecordType::A, &["60 192.0.2.5"]).await;
    answers("corp.test", RecordType::NS, &named_servers(named).await).await;
    let found = named.answers("corp.test", RecordType::TXT).await.concat();
    assert!(found.contains(&"x".repeat(255)) && found.contains("$INCLUDE /etc/passwd ("), "{found}");

    // A name of addresses becomes an alias, and an alias becomes a name of texts.
    check("www.corp.test", &[("TXT", &["moved"])]).await;
    check("alias.corp.test", &[("A", &["192.0.2.9"])]).await;
    answers("www.corp.test", RecordType::A, &[]).await;
    answers("alias.corp.test", RecordType::A, &["60 192.0.2.9"]).await;
    answers("alias.corp.test", RecordType::CNAME, &[]).await;

    let gone = shim.delete("alias.corp.test", "?wait=20s").await;
    assert_eq!((gone.status.as_u16(), &gone.body["status"]), (200, &"applied".into()), "{gone:?}");
    answers("alias.corp.test", RecordType::A, &[]).await;
    assert_eq!(shim.get("/zones/corp.test/names/alias.corp.test").await.status, 404);
    assert_eq!(shim.get(gone.body["change"].as_str().unwrap()).await.body["status"], "applied");
    assert_eq!(shim.get("/drift").await.body["in_sync"], true);

    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = shim.get(&format!("/zones/corp.test/names?limit=3{after}")).await.body;
        seen.extend(
            page["names"].as_array().unwrap().iter().map(|name| name["name"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (8, &sorted));
}

async fn named_servers(named: &Named) -> Vec<&'static str> {
    // The test's own zone file says 60, the shim's 3600; neither is changed by what stands at the apex.
    let found = named.answers("corp.test", RecordType::NS).await;
    if found == ["60 ns.corp.test."] { vec!["60 ns.corp.test."] } else { vec!["3600 ns.corp.test."] }
}

#[tokio::test]
async fn bind_has_what_is_desired() {
    let named = Named::updated().await;
    let shim = Shim::start(&by_updates(&named));
    same_calls(&shim, &named).await;
    // What somebody else has in the zone stays, and is told.
    assert_eq!(named.answers("foreign.corp.test", RecordType::TXT).await, ["60 of somebody else"]);
    assert_eq!(named.answers("host3000.pool.corp.test", RecordType::A).await, ["60 10.0.0.1"]);
    let drift = shim.get("/drift").await.body;
    assert_eq!(drift["zones"][0]["foreign"]["count"], 3002);
}

#[tokio::test]
async fn a_zone_file_has_what_is_desired() {
    let named = Named::of_file().await;
    let shim = Shim::start(&by_file(&named));
    shim.stands("in_sync").await;
    same_calls(&shim, &named).await;
    let checked = std::process::Command::new("/usr/bin/named-checkzone")
        .arg("corp.test")
        .arg(named.zone_file())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[tokio::test]
async fn what_somebody_else_changes_is_put_back() {
    let named = Named::of_file().await;
    let shim = Shim::start(&by_file(&named));
    shim.put("www.corp.test", "?wait=20s", &[("A", &["192.0.2.1"])]).await;
    let text = std::fs::read_to_string(named.zone_file()).unwrap();
    std::fs::write(named.zone_file(), text.replace("192.0.2.1", "192.0.2.66")).unwrap();
    eventually("the repair", || async {
        let numbers = shim.get("/drift").await.body;
        (numbers["zones"][0]["repaired"] == 1 && numbers["in_sync"] == true).then_some(())
    })
    .await;
    assert_eq!(named.answers("www.corp.test", RecordType::A).await, ["60 192.0.2.1"]);
    let metrics = text_of(&shim, "/metrics").await;
    assert!(metrics.contains("rack_gateway_dns_repaired_total{zone=\"corp.test\"} 1"), "{metrics}");
}

async fn text_of(shim: &Shim, path: &str) -> String {
    let monitor = Shim::get_from(&shim.monitor, path).await;
    monitor.text().await.unwrap()
}
