//! Instances in the zone that a DNS record names: who is there counts by its id, whatever the name server says.

use super::*;
use crate::tls::authority::{Dns, ZONE};

#[tokio::test]
async fn an_answer_that_names_somebody_else_gives_them_no_request() {
    let (at, elsewhere) = (free().await, free().await);
    let records = |addresses: &[SocketAddr]| {
        let of = |at: &SocketAddr| format!("_wiki._tcp 5 IN SRV 1 1 {} here\n", at.port());
        format!("here IN A 127.0.0.1\n{}", addresses.iter().map(of).collect::<String>())
    };
    let mut dns = Dns::with(&records(&[at])).await;
    let file = format!(
        "[[service]]\nname = \"wiki\"\nhosts = [\"{WIKI}\"]\ntrust = \"zone\"\ninstances = \"srv\"\n\
         srv = {{ name = \"_wiki._tcp.{ZONE}\", nameservers = [\"{}\"], networks = [\"127.0.0.0/8\"] }}\n",
        dns.addr
    );
    let world = World::start(Database::Sqlite, &file).await;
    world.init().await;
    let (wiki, thief) = (Instance::saying("wiki").await, Instance::saying("thief").await);
    let what = json!({ "listeners": ["control:gateway:6754"] });
    let sidecar = world.run("wiki", &what, at, http(wiki.addr)).await;
    // Another member of the zone, whose certificate is good for its own name.
    let other = world.run("other", &what, elsewhere, http(thief.addr)).await;
    let count = async |count: usize| {
        eventually("the instances", async || {
            world.gateway.clock.advance(Duration::from_secs(1));
            let service = world.done("GET", "/services/wiki", &Value::Null).await;
            (service["upstreams"].as_array().map(Vec::len) == Some(count)).then_some(())
        })
        .await;
    };
    count(1).await;
    let answer = world.ask_at(WIKI, "GET", "/page", "").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "wiki"));
    dns.become_one_with(&records(&[at, elsewhere])).await;
    count(2).await;
    for _ in 0..6 {
        let answer = world.ask_at(WIKI, "GET", "/page", "").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "wiki"));
    }
    assert!(thief.seen().is_empty(), "no byte of a request: {:?}", thief.seen());
    other.stop().await;
    sidecar.stop().await;
    world.gateway.finish().await;
}
