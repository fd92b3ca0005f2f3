//! Kills, restarts, writers at one time, and state that is damaged.

use hickory_proto::rr::RecordType;

use crate::named::{Named, ZONE};
use crate::shim::{Shim, body, by_file, by_updates};

#[tokio::test]
async fn a_kill_between_the_write_and_the_server_loses_nothing() {
    let mut named = Named::updated().await;
    let mut shim = Shim::start(&by_updates(&named));
    shim.put("old.corp.test", "?wait=20s", &[("A", &["192.0.2.1"])]).await;
    named.stop();
    let kept = shim.put("new.corp.test", "", &[("A", &["192.0.2.2"])]).await;
    assert_eq!(kept.status, 202);
    assert_eq!(shim.delete("old.corp.test", "").await.status, 202);
    shim.kill();
    shim.run();
    let seen = shim.get("/zones/corp.test/names/new.corp.test").await;
    assert_eq!((seen.status.as_u16(), seen.tag), (200, kept.tag));
    assert_eq!(shim.get("/zones/corp.test/names/old.corp.test").await.status, 404);
    assert_eq!(shim.get(kept.body["change"].as_str().unwrap()).await.body["status"], "pending");
    named.start().await;
    shim.stands("in_sync").await;
    assert_eq!(named.answers("new.corp.test", RecordType::A).await, ["60 192.0.2.2"]);
    assert_eq!(named.answers("old.corp.test", RecordType::A).await, [""; 0]);
}

#[tokio::test]
async fn kills_at_any_moment_keep_what_was_answered() {
    let named = Named::updated().await;
    let mut shim = Shim::start(&by_updates(&named));
    for round in 0..5 {
        let mut answered = Vec::new();
        for index in 0..=round * 3 {
            let name = format!("k{round}-{index}.corp.test");
            assert_eq!(shim.put(&name, "", &[("A", &["192.0.2.7"])]).await.status, 202);
            answered.push(name);
        }
        shim.kill();
        shim.run();
        for name in answered {
            assert_eq!(shim.get(&format!("/zones/{ZONE}/names/{name}")).await.status, 200, "{name}");
        }
    }
    shim.stands("in_sync").await;
    assert_eq!(named.answers("k4-12.corp.test", RecordType::A).await, ["60 192.0.2.7"]);
}

#[tokio::test]
async fn of_writers_at_one_time_one_wins_and_the_others_are_told() {
    let named = Named::updated().await;
    let shim = Shim::start(&by_updates(&named));
    let first = shim.put("www.corp.test", "", &[("A", &["192.0.2.1"])]).await;
    let tag = first.tag.unwrap();
    let path = "/zones/corp.test/names/www.corp.test";
    let mut writers = tokio::task::JoinSet::new();
    for index in 10..30 {
        let value = format!("192.0.2.{index}");
        let request = shim.request(reqwest::Method::PUT, path).header("if-match", &tag);
        let request = request.json(&body(&[("A", &[value.as_str()])]));
        writers.spawn(async move { (request.send().await.unwrap().status().as_u16(), value) });
    }
    let ended = writers.join_all().await;
    let won: Vec<_> = ended.iter().filter(|(status, _)| [200, 202].contains(status)).collect();
    assert!(won.len() == 1 && ended.iter().filter(|(status, _)| *status == 412).count() == 19, "{ended:?}");
    shim.stands("in_sync").await;
    assert_eq!(named.answers("www.corp.test", RecordType::A).await, [format!("60 {}", won[0].1)]);

    // Without a condition the last one counts, and every one is a change of its own.
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..20 {
        let path = format!("/zones/{ZONE}/names/n{index}.corp.test");
        let request = shim.request(reqwest::Method::PUT, &path).json(&body(&[("A", &["192.0.2.5"])]));
        writers.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    assert!(writers.join_all().await.iter().all(|status| [200, 202].contains(status)));
    let zone = shim.stands("in_sync").await;
    assert_eq!((&zone["names"], &zone["revision"]), (&21.into(), &22.into()));
    let again = shim.put("n1.corp.test", "", &[("A", &["192.0.2.5"])]).await;
    assert_eq!(
        (again.status.as_u16(), shim.get("/zones/corp.test").await.body["revision"].as_u64()),
        (200, Some(22))
    );
    let create = shim.request(reqwest::Method::PUT, path).header("if-none-match", "*");
    assert_eq!(shim.send(create.json(&body(&[("A", &["192.0.2.5"])]))).await.status, 412);
}

/// Starts it, and says why it did not.
fn refusal(shim: &Shim) -> String {
    let output = Shim::command(shim.place.path()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn damaged_or_lost_state_is_refused_with_what_to_do() {
    let named = Named::of_file().await;
    let mut shim = Shim::start(&by_file(&named));
    shim.put("www.corp.test", "?wait=20s", &[("A", &["192.0.2.1"])]).await;
    let said = refusal(&shim);
    assert!(said.contains("another rack-gateway-dns"), "{said}");
    shim.kill();
    let state = shim.place.path().join("state/corp.test.json");
    let good = std::fs::read(&state).unwrap();
    std::fs::write(&state, &good[..good.len() / 2]).unwrap();
    let said = refusal(&shim);
    assert!(said.contains("damaged") && said.contains("Restore it"), "{said}");
    assert_eq!(std::fs::read(&state).unwrap(), &good[..good.len() / 2]);
    std::fs::remove_file(&state).unwrap();
    let said = refusal(&shim);
    assert!(said.contains("would empty the zone"), "{said}");
    assert!(std::fs::read_to_string(named.zone_file()).unwrap().contains("192.0.2.1"));
    std::fs::write(&state, &good).unwrap();
    shim.run();
    shim.stands("in_sync").await;
}
