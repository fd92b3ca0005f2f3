//! Who really calls, and over what, when a listed router stands in front.
//!
//! Only the client's address (`X-Forwarded-For`) and whether it came over TLS (`X-Forwarded-Proto`) are
//! believed, and only of listed peers. No other forwarding header is ever read.

use std::net::{IpAddr, Ipv6Addr};

use gateway_app::origin::Scheme;
use http::HeaderMap;
use ipnet::IpNet;

/// The most hops that are looked at. A longer list is not a list of routers.
const MOST_HOPS: usize = 16;

/// A client, as far as it can be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Client {
    /// Its address: the right-most one that is not a listed forwarder.
    pub(crate) ip: IpAddr,
    /// How it reached the outermost listed forwarder, or the gateway itself.
    pub(crate) scheme: Scheme,
}

/// Why a listed forwarder's headers cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ForwardedFault {
    /// An element of `X-Forwarded-For` is no address.
    #[error("X-Forwarded-For of a listed forwarder holds something that is no address")]
    Address,
    /// There are more hops than there can be.
    #[error("X-Forwarded-For of a listed forwarder holds more than {MOST_HOPS} addresses")]
    TooManyHops,
    /// Something else than one `http` or `https`.
    #[error("X-Forwarded-Proto of a listed forwarder is neither http nor https")]
    Scheme,
}

/// Who calls, when `peer` is at the other end of the connection.
///
/// # Errors
/// [`ForwardedFault`] when a listed forwarder says something that cannot be understood: guessing who
/// calls would be worse than refusing.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Result<Client, ForwardedFault> {
    let peer = peer.to_canonical();
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    if !is_trusted(peer) {
        return Ok(Client { ip: peer, scheme: Scheme::Http });
    }
    let scheme = match one(headers, "x-forwarded-proto") {
        None => Scheme::Http,
        Some(Some("https")) => Scheme::Https,
        Some(Some("http")) => Scheme::Http,
        Some(_) => return Err(ForwardedFault::Scheme),
    };
    let mut ip = peer;
    for (count, hop) in hops(headers)?.into_iter().rev().enumerate() {
        if count >= MOST_HOPS {
            return Err(ForwardedFault::TooManyHops);
        }
        ip = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    Ok(Client { ip, scheme })
}

/// The value of a header that is there: `None` inside when it is there twice or holds no text.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { None } else { first.to_str().ok() })
}

fn hops(headers: &HeaderMap) -> Result<Vec<IpAddr>, ForwardedFault> {
    let mut hops = Vec::new();
    for value in headers.get_all("x-forwarded-for") {
        let text = value.to_str().map_err(|_bytes| ForwardedFault::Address)?;
        for element in text.split(',').map(str::trim).filter(|element| !element.is_empty()) {
            hops.push(address(element).ok_or(ForwardedFault::Address)?);
        }
    }
    Ok(hops)
}

/// `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:443`. A zone is dropped, and an
/// IPv4 address in IPv6 clothes is an IPv4 address.
fn address(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        let port_is_plain =
            after.is_empty() || after.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        return if port_is_plain { v6(inside) } else { None };
    }
    if let Some((host, port)) = text.split_once(':')
        && !port.contains(':')
    {
        port.parse::<u16>().ok()?;
        return host.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4);
    }
    text.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4).or_else(|| v6(text))
}

fn v6(text: &str) -> Option<IpAddr> {
    let plain = text.split_once('%').map_or(text, |(address, _zone)| address);
    plain.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn check(peer: &str, headers: &[(&'static str, &str)], expected: &str) {
        let trusted: Vec<IpNet> = ["127.0.0.0/8", "10.0.0.0/8"].map(|net| net.parse().unwrap()).to_vec();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let told = match client(peer.parse().unwrap(), &map, &trusted) {
            Ok(Client { ip, scheme }) => format!("{} {ip}", scheme.name()),
            Err(fault) => format!("{fault:?}"),
        };
        assert_eq!(told, expected, "{peer} {headers:?}");
    }

    #[test]
    fn b3_nobody_but_a_listed_forwarder_is_believed() {
        let lies = [("x-forwarded-for", "10.1.1.1"), ("x-forwarded-proto", "https")];
        check("192.0.2.9", &lies, "http 192.0.2.9");
        check("::ffff:192.0.2.9", &lies, "http 192.0.2.9");
    }

    #[test]
    fn b4_the_right_most_hop_that_is_not_listed_counts() {
        let check = |list: &str, expected: &str| check("127.0.0.1", &[("x-forwarded-for", list)], expected);
        check("192.0.2.9", "http 192.0.2.9");
        check("203.0.113.1, 192.0.2.9, 10.0.0.3", "http 192.0.2.9");
        check("203.0.113.1,  192.0.2.9:1234", "http 192.0.2.9");
        check("[2001:db8::1]:443", "http 2001:db8::1");
        check("fe80::1%eth0", "http fe80::1");
        check("::ffff:192.0.2.9", "http 192.0.2.9");
        check("10.0.0.1, 10.0.0.2", "http 10.0.0.1");
        check("junk, 192.0.2.9", "Address");
        check("192.0.2.9, ", "http 192.0.2.9");
        check("192.0.2.9:x", "Address");
        check("unknown", "Address");
        check(&vec!["10.0.0.1"; 17].join(","), "TooManyHops");
    }

    #[test]
    fn tls_is_what_the_forwarder_says() {
        let check = |headers: &[(&'static str, &str)], expected: &str| check("10.0.0.1", headers, expected);
        check(&[], "http 10.0.0.1");
        check(&[("x-forwarded-proto", "https")], "https 10.0.0.1");
        check(&[("x-forwarded-proto", "https,http")], "Scheme");
        check(&[("x-forwarded-proto", "HTTPS")], "Scheme");
        check(&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")], "Scheme");
    }
}
