//! What goes on without the rack or the identity provider, and what a restart keeps.

use gateway_testkit::{RawClient, Reply, Visitor};

use super::site::{Instance, PERSON, Site};

const SIGN_IN: &str = "/auth/login?provider=dev";

fn visitor(site: &Site, instance: &Instance) -> Visitor {
    Visitor::at(instance.addr, site.provider.addr())
}

fn is_signed_in(visitor: &Visitor) -> bool {
    visitor.cookies.contains_key(gateway_app::cookies::SESSION)
}

/// N7: people stay signed in, and whoever is at the provider meanwhile comes back to a gateway that knows them.
#[tokio::test(flavor = "multi_thread")]
async fn n7_a_kill_keeps_sessions_and_sign_ins_that_were_begun() {
    let site = Site::on_sqlite().await;
    let mut instance = site.instance("gateway").await;
    let mut first = visitor(&site, &instance);
    assert_eq!(first.sign_in(PERSON).await.status, 303);
    let mut second = visitor(&site, &instance);
    let back = second.callback_for(PERSON, SIGN_IN).await;
    instance.kill().await;
    instance.start(&site, &[]).await;
    assert_eq!(first.get("/app").await.status, 200, "the session is there");
    assert_eq!(second.get(&back).await.status, 303);
    assert!(is_signed_in(&second));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_identity_provider_sessions_go_on_and_signing_in_says_why() {
    let site = Site::on_sqlite().await;
    let instance = site.instance("gateway").await;
    let mut known = visitor(&site, &instance);
    assert_eq!(known.sign_in(PERSON).await.status, 303);
    let mut new = visitor(&site, &instance);
    let back = new.callback_for(PERSON, SIGN_IN).await;
    site.provider.stop().await;
    assert_eq!(known.get("/app").await.status, 200);
    let refused = new.get(&back).await;
    assert!(refused.status >= 400, "{}", refused.text());
    assert!(refused.text().contains("The identity provider does not answer"), "{}", refused.text());
    assert!(!is_signed_in(&new));
    instance.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_rack_its_operations_say_so_and_everything_else_works() {
    let site = Site::on_sqlite().await;
    let instance = site.instance("gateway").await;
    let (_, token) = site.token("reader").await;
    assert_eq!(instance.ask("/apps", &token).await.status, 200);
    site.rack.stop().await;
    let lost = instance.ask("/apps", &token).await;
    assert!(matches!(lost.status, 502 | 504), "{lost:?}");
    assert!(lost.json()["type"].as_str().unwrap().starts_with("/problems/"), "{}", lost.text());
    assert_eq!(instance.ask("!/api/v1/tokens", &token).await.status, 200);
    assert_eq!(instance.ask("!/api/v1/health", "").await.status, 200);
    let ready: Reply = RawClient::connect(instance.admin).await.ask("GET", "!/readyz", "", &[], b"").await;
    assert_eq!(ready.status, 200, "it stays ready");
    assert_eq!(ready.json()["rack"]["ok"], false, "{}", ready.text());
    instance.stop().await;
}
