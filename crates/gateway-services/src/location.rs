//! Where a service sends its clients on: rewritten to the address that clients use, or refused when it leads
//! inside.

use std::net::IpAddr;

use url::{Host, Url};

use crate::service::Service;
use crate::set_cookie::below;
use crate::table::ServiceTable;

/// What a location is read against.
#[derive(Clone, Copy, Debug)]
pub struct LocationContext<'a> {
    /// The service that answered.
    pub service: &'a Service,
    /// All services.
    pub services: &'a ServiceTable,
    /// Scheme and authority that the client used: `https://wiki.example.com`.
    pub origin: &'a str,
    /// Further hosts that are inside: the rack's.
    pub inside: &'a [String],
}

/// What becomes of a location.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Location {
    /// It is passed on so.
    Passed(String),
    /// It leads inside, or cannot be read.
    Refused,
}

/// Reads a `Location` or `Content-Location`.
///
/// Relative ones gain the prefix that was taken away; absolute ones to the service's own address become ones to
/// the address that the client used. Public hosts pass.
///
/// # Security
/// An address inside is refused and not passed on: it tells what is where, and a client in the same network would
/// go there past the gateway.
pub fn location(value: &str, context: LocationContext<'_>) -> Location {
    let prefix = if context.service.strip_prefix { context.service.prefix_path() } else { String::new() };
    let value = value.trim();
    if value.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\') {
        return Location::Refused;
    }
    let is_relative = !value.starts_with("//") && Url::parse(value).is_err();
    if is_relative {
        if value.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
            // It has a scheme and still is no URL.
            return Location::Refused;
        }
        let passed = match value.starts_with('/') && !prefix.is_empty() {
            true => below(&prefix, value),
            false => value.to_owned(),
        };
        return Location::Passed(passed);
    }
    let scheme = context.origin.split(':').next().unwrap_or("https");
    let absolute = match value.starts_with("//") {
        true => format!("{scheme}:{value}"),
        false => value.to_owned(),
    };
    let Ok(url) = Url::parse(&absolute) else { return Location::Refused };
    absolute_location(&url, value, &prefix, context)
}

fn absolute_location(url: &Url, value: &str, prefix: &str, context: LocationContext<'_>) -> Location {
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        // Apps on a desktop are sent to by schemes of their own (`vscode:`); those name no host of ours.
        let is_web = matches!(url.scheme(), "http" | "https" | "javascript" | "data" | "file" | "ftp");
        return if is_web { Location::Refused } else { Location::Passed(value.to_owned()) };
    }
    let own = Url::parse(context.origin).ok();
    let is_own = own.as_ref().is_some_and(|own| place(own) == place(url))
        || context.service.upstreams.iter().any(|address| address.is_at(url));
    if is_own {
        let path = match prefix.is_empty() {
            true => url.path().to_owned(),
            false => below(prefix, url.path()),
        };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
        return Location::Passed(format!("{}{path}{query}{fragment}", context.origin));
    }
    let host = url.host_str().unwrap_or_default();
    let own_host = own.as_ref().and_then(Url::host_str) == Some(host);
    if own_host || context.services.owns_host(host) {
        return Location::Passed(value.to_owned());
    }
    let is_upstream = context
        .services
        .services()
        .flat_map(|service| &service.upstreams)
        .any(|address| address.host == host);
    if is_upstream || context.inside.iter().any(|inside| inside == host) || is_private(url) {
        return Location::Refused;
    }
    Location::Passed(value.to_owned())
}

fn place(url: &Url) -> (Option<&str>, Option<u16>) {
    (url.host_str(), url.port_or_known_default())
}

/// Whether a URL's host is an address that is not of the public Internet, or a name that only an inside
/// network knows.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_private_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_private_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let last = name.rsplit('.').next().unwrap_or_default();
            !name.contains('.')
                || ["localhost", "local", "internal", "lan", "intranet", "svc", "consul", "home"]
                    .contains(&last)
                || name.ends_with(".home.arpa")
        }
        None => true,
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || first == 0
                || first >= 224
                // Shared address space (RFC 6598), which overlay networks use.
                || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(address) => {
            let [first, second, .., high, low] = address.segments();
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            // NAT64 (RFC 6052) reaches what the address in its last 32 bits reaches.
            let is_nat64 = first == 0x64 && second == 0xff9b;
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
                || (is_nat64 && is_private_address(IpAddr::from([a, b, c, d])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawService, RawUpstream};

    fn service(name: &str, host: Option<&str>, prefix: Option<&str>, url: &str) -> Service {
        Service::check(RawService {
            name: name.to_owned(),
            hosts: host.map(str::to_owned).into_iter().collect(),
            prefix: prefix.map(str::to_owned),
            strip_prefix: prefix.is_some(),
            upstreams: vec![RawUpstream { url: url.to_owned(), weight: None, version: None }],
            ..RawService::default()
        })
        .unwrap()
    }

    fn check(value: &str, expected: Option<&str>) {
        let grafana = service("grafana", None, Some("/grafana"), "http://grafana.corp.example:3000");
        let wiki = service("wiki", Some("wiki.example.com"), None, "http://10.0.0.7:80");
        let services = ServiceTable::new(vec![grafana.clone(), wiki]).unwrap();
        let context = LocationContext {
            service: &grafana,
            services: &services,
            origin: "https://gw.example.com",
            inside: &["rack.corp.example".to_owned()],
        };
        let expected = expected.map_or(Location::Refused, |text| Location::Passed(text.to_owned()));
        assert_eq!(location(value, context), expected, "{value}");
    }

    #[test]
    fn relative_locations_gain_the_prefix() {
        check("/login", Some("/grafana/login"));
        check("/", Some("/grafana"));
        check("/?a=1", Some("/grafana/?a=1"));
        check("/grafana/login", Some("/grafana/login"));
        check("/grafana?x", Some("/grafana?x"));
        check("/grafanax", Some("/grafana/grafanax"));
        check("login", Some("login"));
        check("?page=2", Some("?page=2"));
        check("/\\evil.example", None);
        check("/a b", None);
        check(":x", None);
    }

    #[test]
    fn i6_locations_inside_are_rewritten_or_refused() {
        check(
            "http://grafana.corp.example:3000/login?x=1#f",
            Some("https://gw.example.com/grafana/login?x=1#f"),
        );
        check("http://GRAFANA.corp.example:3000/", Some("https://gw.example.com/grafana"));
        check("//grafana.corp.example:3000/x", Some("https://gw.example.com/grafana/x"));
        check("https://gw.example.com/grafana/x", Some("https://gw.example.com/grafana/x"));
        check("https://gw.example.com/x", Some("https://gw.example.com/grafana/x"));
        check("http://grafana.corp.example/other-port", None);
        check("http://10.0.0.7/x", None);
        check("https://rack.corp.example/apps", None);
        check("http://127.0.0.1:8080/", None);
        check("http://127.1/", None);
        check("http://2130706433/", None);
        check("http://0x7f.1/", None);
        check("http://169.254.169.254/latest", None);
        check("http://100.100.100.200/", None);
        check("http://0.0.0.0/", None);
        check("http://[::1]/", None);
        check("http://[::ffff:10.0.0.1]/", None);
        check("http://[64:ff9b::a9fe:a9fe]/", None);
        check("http://[fd00::1]/", None);
        check("http://[fe80::1]/", None);
        check("http://grafana/", None);
        check("http://x.internal/", None);
        check("http://localhost./", None);
        check("http://user@login.example.org/", None);
        check("javascript:alert(1)", None);
        check("data:text/html,x", None);
    }

    #[test]
    fn public_locations_pass() {
        check("https://login.example.org/a?b=c", Some("https://login.example.org/a?b=c"));
        check("https://wiki.example.com/page", Some("https://wiki.example.com/page"));
        check("http://8.8.8.8/", Some("http://8.8.8.8/"));
        check("vscode://x/y", Some("vscode://x/y"));
    }
}
