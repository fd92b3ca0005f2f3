//! Certificate files that change while clients connect.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gateway_testkit::eventually;
use gateway_types::Role;

use super::client::{Line, once};
use super::{NAME, Place, notes, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_swapped_under_load() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).start().await;
    let (addr, token) = (gateway.addr(), gateway.token(Role::Viewer).to_owned());
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut load = Vec::new();
    for _ in 0..3 {
        let (stop, sent, token) = (stop.clone(), sent.clone(), token.clone());
        let options = place.client();
        load.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                // A configuration of its own each time: nothing is resumed, the certificate is shown.
                let answer = once(&options.config(), addr, NAME, &token).await;
                assert_eq!(answer.expect("no request fails").status, 200);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let config = || place.client().config();
    let mut kept_open = Line::open(&config(), addr, NAME).await.unwrap();
    let mut leaves = BTreeSet::from([kept_open.met.leaf.to_vec()]);
    for _ in 0..3 {
        place.write("tls", &[NAME]);
        let leaf = eventually("the new certificate", || async {
            let leaf = Line::open(&config(), addr, NAME).await.ok()?.met.leaf.to_vec();
            (!leaves.contains(&leaf)).then_some(leaf)
        })
        .await;
        leaves.insert(leaf);
    }
    assert_eq!(kept_open.apps(&token).await.unwrap().status, 200, "what was open goes on");
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    assert!(sent.load(Ordering::Relaxed) > 20, "{sent:?}");
    gateway.finish().await;
}

/// A client on the same machine, LAN or VPN must not choose its own address.
#[tokio::test]
async fn b4_with_tls_no_network_is_a_router_by_default() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).default_forwarders().start().await;
    let token = gateway.token(Role::Viewer).to_owned();
    let mut line = Line::open(&place.client().config(), gateway.addr(), NAME).await.unwrap();
    let credential = format!("Bearer {token}");
    let headers = [
        ("authorization", credential.as_str()),
        ("x-forwarded-for", "192.0.2.9"),
        ("forwarded", "for=192.0.2.9"),
    ];
    let answer = line.ask("GET", "/api/v1/rack-proxy/apps", &headers, "").await.unwrap();
    assert_eq!(answer.status, 200);
    let event = eventually("the event", || async {
        let of_apps = |event: &gateway_audit::Event| event.action.as_str() == "convox:app:list";
        gateway.events().await.into_iter().map(|(_, event)| event).find(of_apps)
    })
    .await;
    assert_eq!(event.source_ip, Some("127.0.0.1".parse().unwrap()));
    gateway.finish().await;
    crate::corpus::count("B4", 1);
}

#[tokio::test]
async fn a_bad_pair_is_said_and_the_old_one_shown() {
    let place = Place::new();
    place.write("tls", &[NAME]);
    let gateway = place.gateway(&["tls"]).start().await;
    let good = notes(&gateway).await;
    assert!(good.iter().any(|note| note.contains("tls.pem: the certificate is good for")), "{good:?}");
    let leaf = Line::open(&place.client().config(), gateway.addr(), NAME).await.unwrap().met.leaf.clone();
    // Another certificate, and the key before.
    let (chain, _key) = place.authority.issue(&[NAME]);
    put(&place.path("tls.pem"), &chain);
    eventually("the note", || async {
        let notes = notes(&gateway).await;
        notes.iter().any(|note| note.contains("cannot be used together")).then_some(())
    })
    .await;
    let line = Line::open(&place.client().config(), gateway.addr(), NAME).await.unwrap();
    assert_eq!(line.met.leaf, leaf);
    place.write("tls", &[NAME]);
    eventually("the end of the note", || async {
        let notes = notes(&gateway).await;
        notes.iter().all(|note| !note.contains("cannot be used together")).then_some(())
    })
    .await;
    let line = Line::open(&place.client().config(), gateway.addr(), NAME).await.unwrap();
    assert_ne!(line.met.leaf, leaf);
    gateway.finish().await;
}
