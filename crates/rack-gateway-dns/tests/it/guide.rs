//! The worked example of the guide is in order, and names every operation that there is.

use std::collections::BTreeSet;
use std::path::Path;

use gateway_services::{RawService, Service};
use rack_gateway_dns::config::Config;

#[derive(serde::Deserialize)]
struct Gateway {
    service: Vec<RawService>,
}

/// The TOML of the guide that has this text.
fn example(with: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dns-shim.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let mut blocks = guide.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.find(|block| block.contains(with)).unwrap().to_owned()
}

#[test]
fn the_gateway_takes_the_service_and_every_operation_has_a_route() {
    let gateway: Gateway = toml::from_str(&example("[[service]]")).unwrap();
    let [raw] = <[RawService; 1]>::try_from(gateway.service).unwrap();
    let route = |route: &gateway_services::RawRoute| (route.method.clone(), route.path.clone());
    let declared: BTreeSet<_> = raw.routes.iter().map(route).collect();
    Service::check(raw).unwrap();
    let imported = gateway_services::openapi::import(&rack_gateway_dns::api::document()).unwrap();
    assert_eq!(imported.skipped, Vec::<String>::new());
    assert_eq!(imported.routes.iter().map(route).collect::<BTreeSet<_>>(), declared);
}

#[test]
fn the_shim_takes_its_configuration() {
    let place = tempfile::tempdir().unwrap();
    let secret = place.path().join("secret");
    std::fs::write(&secret, crate::named::KEY).unwrap();
    let path = place.path().join("dns.toml");
    let text = example("[[zone]]").replace("/run/secrets/dns-shim", secret.to_str().unwrap());
    std::fs::write(&path, text).unwrap();
    assert_eq!(Config::read(&path).unwrap().zones.len(), 2);
}
