//! The two listeners, and the hosts on which the rack is offered.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gateway_types::NamedNetworks;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::tls;
use crate::config::{Explained, Listener, Networks, Proxy, Tls, Warning};
use crate::document::{NAMED, Raw};
use crate::fault::{Fault, FaultKind, Origin};
use crate::host::canonical_host;
use crate::keys;
use crate::resolver::Resolver;

/// `hosts` = the names that the gateway has besides DOMAIN; `None` = they have faults.
pub(crate) fn listener(resolver: &mut Resolver<'_>, hosts: Option<&[String]>) -> Option<Listener> {
    let addresses = resolver.many(&keys::LISTENER_ADDRESSES, ip_address);
    let port = resolver.integer(&keys::PORT, 0, u16::MAX);
    let domain = resolver.optional(&keys::DOMAIN, host);
    let named = hosts.is_none_or(|hosts| !hosts.is_empty()) || !matches!(domain, Some(None));
    let tls = tls::tls(resolver, domain.as_ref().and_then(Option::as_deref), named);
    let client_certificates = tls::client_certificates(resolver, tls.as_ref());
    let trusted_forwarders = trusted_forwarders(resolver, tls.as_ref());
    let proxy_protocol_from = resolver.many(&keys::PROXY_PROTOCOL_FROM, trusted_network);
    let h2c = resolver.switch(&keys::H2C);
    let (addresses, port, tls) = (addresses?, port?, tls?);
    let is_default = resolver.origin(&keys::PORT) == Origin::Default;
    let port = if is_default && matches!(tls, Tls::Acme(_)) { tls::HTTPS_PORT } else { port };
    resolver.show(&keys::PORT, port.to_string());
    let http_port = tls::http_port(resolver, &tls, port);
    if addresses.is_empty() {
        let origin = resolver.origin(&keys::LISTENER_ADDRESSES);
        resolver.fault(&keys::LISTENER_ADDRESSES, origin, FaultKind::Empty);
        return None;
    }
    let addresses: Vec<SocketAddr> =
        addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
    let reachable = addresses.iter().find(|address| !address.ip().is_loopback());
    if let (Tls::Off, Some(address)) = (&tls, reachable) {
        resolver.warnings.push(Warning::ListenerWithoutTls { address: *address });
        if resolver.origin(&keys::TRUSTED_FORWARDERS) == Origin::Default
            && let Some(networks) = trusted_forwarders.clone()
        {
            resolver.warnings.push(Warning::ForwardersByDefault { networks: joined(&networks) });
        }
    }
    Some(Listener {
        addresses,
        tls,
        domain: domain?,
        trusted_forwarders: trusted_forwarders?,
        proxy_protocol_from: proxy_protocol_from?,
        h2c: h2c?,
        http_port: http_port?,
        client_certificates: client_certificates?,
    })
}

/// Who is believed about clients. When the gateway ends TLS itself, nothing has to be in front of it, so by default
/// nobody is.
///
/// # Security
/// A client in a believed network chooses its own address, and with it passes `network.allow`, the networks of tokens,
/// the limits of addresses, and what the log says of it.
fn trusted_forwarders(resolver: &mut Resolver<'_>, tls: Option<&Tls>) -> Option<Vec<IpNet>> {
    let given = resolver.many(&keys::TRUSTED_FORWARDERS, trusted_network)?;
    if resolver.origin(&keys::TRUSTED_FORWARDERS) != Origin::Default {
        return Some(given);
    }
    let default = match tls? {
        Tls::Off => private_networks(),
        Tls::Acme(_) | Tls::Files(_) => Vec::new(),
    };
    resolver.show(&keys::TRUSTED_FORWARDERS, joined(&default));
    Some(default)
}

/// Loopback (RFC 1122, RFC 4291), private (RFC 1918) and unique local (RFC 4193) networks.
fn private_networks() -> Vec<IpNet> {
    let v4 = |a, b, c, d, length| Ipv4Net::new(Ipv4Addr::new(a, b, c, d), length).map(IpNet::V4);
    let v6 = |address, length| Ipv6Net::new(address, length).map(IpNet::V6);
    let networks = [
        v4(127, 0, 0, 0, 8),
        v6(Ipv6Addr::LOCALHOST, 128),
        v4(10, 0, 0, 0, 8),
        v4(172, 16, 0, 0, 12),
        v4(192, 168, 0, 0, 16),
        v6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    ];
    networks.into_iter().filter_map(Result::ok).collect()
}

fn joined(networks: &[IpNet]) -> String {
    networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

pub(crate) fn networks(resolver: &mut Resolver<'_>) -> Option<Networks> {
    let allow = resolver.many(&keys::NETWORK_ALLOW, network);
    let deny = resolver.many(&keys::NETWORK_DENY, network);
    let document = resolver.document;
    let mut named = BTreeMap::new();
    for (name, located) in &document.networks {
        match named_network(name, &located.raw) {
            Ok(networks) => drop(named.insert(name.clone(), networks)),
            Err(kind) => {
                let key = format!("{NAMED}.{name}");
                resolver.faults.push(Fault { key, origin: located.origin.clone(), kind });
            }
        }
        let value = match &located.raw {
            Raw::List(items) => Some(items.join(",")),
            Raw::Text(_) | Raw::Integer(_) | Raw::Switch(_) | Raw::Other(_) => None,
        };
        resolver.explained.push(Explained {
            key: format!("{NAMED}.{name}"),
            variable: None,
            value,
            origin: located.origin.clone(),
            default: None,
        });
    }
    Some(Networks { allow: allow?, deny: deny?, named: NamedNetworks::new(named) })
}

fn named_network(name: &str, raw: &Raw) -> Result<Vec<IpNet>, FaultKind> {
    let well_formed = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !well_formed {
        let expected = "a name of small letters, digits and hyphens, such as office";
        return Err(FaultKind::Malformed { value: name.to_owned(), expected });
    }
    match raw {
        Raw::List(items) => items.iter().map(|text| network(text.trim())).collect(),
        other => {
            let expected = "an array of networks, such as [\"203.0.113.0/24\"]";
            Err(FaultKind::WrongType { expected, found: other.type_name() })
        }
    }
}

pub(crate) fn admin_listener(resolver: &mut Resolver<'_>) -> Option<SocketAddr> {
    let address = resolver.one(&keys::ADMIN_ADDRESS, |text| {
        let address = ip_address(text)?;
        if is_private(address) {
            Ok(address)
        } else {
            Err(FaultKind::NotPrivate { address: address.to_string() })
        }
    });
    let port = resolver.integer(&keys::ADMIN_PORT, 0, u16::MAX);
    Some(SocketAddr::new(address?, port?))
}

/// The two listeners must not want the same port of the same address.
pub(crate) fn check_apart(resolver: &mut Resolver<'_>, listener: &Listener, admin: SocketAddr) -> Option<()> {
    let same = |address: &SocketAddr| {
        address.port() == admin.port() && (address.ip() == admin.ip() || address.ip().is_unspecified())
    };
    if admin.port() != 0 && listener.addresses.iter().any(same) {
        let origin = resolver.origin(&keys::ADMIN_PORT);
        resolver.fault(
            &keys::ADMIN_PORT,
            origin,
            FaultKind::Conflict { other: "the same port in listener.port" },
        );
        return None;
    }
    Some(())
}

pub(crate) fn proxy(resolver: &mut Resolver<'_>) -> Option<Proxy> {
    resolver.many(&keys::PROXY_HOSTS, host).map(|hosts| Proxy { hosts })
}

fn host(text: &str) -> Result<String, FaultKind> {
    canonical_host(text).ok_or_else(|| FaultKind::Malformed {
        value: text.to_owned(),
        expected: "a host name without scheme, port or path, such as gateway.example.com",
    })
}

fn ip_address(text: &str) -> Result<IpAddr, FaultKind> {
    text.parse().map_err(|_| FaultKind::Malformed {
        value: text.to_owned(),
        expected: "an IP address without port, such as 127.0.0.1 or ::1",
    })
}

fn network(text: &str) -> Result<IpNet, FaultKind> {
    let network: IpNet = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        FaultKind::Malformed { value: text.to_owned(), expected: "a network, such as 10.0.0.0/8 or fd00::/8" }
    })?;
    Ok(network.trunc())
}

fn trusted_network(text: &str) -> Result<IpNet, FaultKind> {
    let network = network(text)?;
    let narrowest_allowed = match network {
        IpNet::V4(_) => 8,
        IpNet::V6(_) => 7,
    };
    if network.prefix_len() < narrowest_allowed {
        return Err(FaultKind::TooWide { network: network.to_string() });
    }
    Ok(network)
}

/// Loopback, private, link-local, and the shared range that overlay networks use; never a wildcard.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_loopback() || is_unique_local(v6) || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10 (RFC 6598), which Tailscale gives to its machines.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, _, _] = address.octets();
    first == 100 && second & 0b1100_0000 == 0b0100_0000
}

/// fc00::/7 (RFC 4193).
fn is_unique_local(address: Ipv6Addr) -> bool {
    let [first, ..] = address.octets();
    first & 0xfe == 0xfc
}
