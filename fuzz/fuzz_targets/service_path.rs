//! A path and query of a request to a service: what is accepted has one spelling, which reads as itself, and
//! neither it nor what goes upstream holds a dot segment, an empty one or a hidden separator.
#![no_main]

use std::sync::{Arc, LazyLock};

use gateway_services::{Ask, CanonicalPath, RawRoute, RawService, RawUpstream, Service, ServiceTable};
use libfuzzer_sys::fuzz_target;

static TABLE: LazyLock<ServiceTable> = LazyLock::new(|| {
    let upstream = RawUpstream { url: "http://127.0.0.1:1".to_owned(), weight: None, version: None };
    let service = |name: &str, hosts: &[&str], prefix: Option<&str>, strip: bool| {
        let route = RawRoute {
            method: "GET".to_owned(),
            path: "/orders/{id}".to_owned(),
            action: Some("order:read".to_owned()),
            class: None,
            role: None,
            step_up: None,
            cicd: false,
            requests_per_second: None,
            request_burst: None,
            body_size_bytes: None,
        };
        let raw = RawService {
            name: name.to_owned(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            prefix: prefix.map(str::to_owned),
            strip_prefix: strip,
            upstreams: vec![upstream.clone()],
            tail: Some(true),
            routes: vec![route],
            ..RawService::default()
        };
        Service::check(raw).expect("a sound service")
    };
    ServiceTable::new(vec![
        service("whole", &["whole.example"], None, false),
        service("part", &["whole.example"], Some("/part"), true),
        service("own", &[], Some("/own"), true),
    ])
    .expect("a sound table")
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
    for host in ["whole.example", "gateway.example"] {
        let Ok(Some(found)) = TABLE.find(host, path) else { continue };
        let spelled = found.path.to_string();
        assert_eq!(CanonicalPath::parse(&spelled).as_ref(), Ok(&found.path));
        let service = Arc::clone(&found.service);
        let ask = Ask { method: "GET", query, socket: false, version: None };
        let Ok(request) = service.identify(found.path, &found.below, ask) else { continue };
        let upstream = request.target.split('?').next().unwrap_or_default();
        let canonical = CanonicalPath::parse(upstream).expect("what goes upstream is canonical");
        assert_eq!(canonical.to_string(), upstream);
        assert!(!request.target.bytes().any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'\\'));
        // What goes upstream belongs to the same service, seen from the same host.
        let seen = if service.strip_prefix { format!("/{}{upstream}", service.prefix.join("/")) } else { upstream.to_owned() };
        let again = TABLE.find(host, &seen).expect("a spelling").expect("a service");
        assert_eq!(again.service.name, service.name);
    }
});
