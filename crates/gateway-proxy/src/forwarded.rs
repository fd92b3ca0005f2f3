//! Who really calls, and over what, when a listed router stands in front.
//!
//! Only the client's address and whether it came over TLS are believed, and only of listed peers: told by
//! `X-Forwarded-For` and `X-Forwarded-Proto`, or by `Forwarded` (RFC 7239). When both are there they must tell the
//! same. No other forwarding header is ever read.

use std::net::{IpAddr, Ipv6Addr};

use gateway_app::origin::Scheme;
use http::HeaderMap;
use ipnet::IpNet;

mod elements;

use elements::Hop;

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
    /// An element of `X-Forwarded-For` or `Forwarded` is no address.
    #[error("X-Forwarded-For or Forwarded of a listed forwarder holds something that is no address")]
    Address,
    /// There are more hops than there can be.
    #[error("X-Forwarded-For or Forwarded of a listed forwarder holds more than {MOST_HOPS} addresses")]
    TooManyHops,
    /// Something else than one `http` or `https`.
    #[error("X-Forwarded-Proto or Forwarded of a listed forwarder tells neither http nor https")]
    Scheme,
    /// `Forwarded` does not follow its grammar.
    #[error("Forwarded of a listed forwarder is malformed")]
    Malformed,
    /// The two ways of telling tell different things.
    #[error(
        "Forwarded and X-Forwarded-For or X-Forwarded-Proto of a listed forwarder differ; make it send one of them"
    )]
    Contradiction,
}

/// Who calls, when `peer` is at the other end of the connection.
///
/// # Errors
/// [`ForwardedFault`] when a listed forwarder says something that cannot be understood: guessing who
/// calls would be worse than refusing.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Result<Client, ForwardedFault> {
    let peer = peer.to_canonical();
    if !is_listed(peer, trusted) {
        return Ok(Client { ip: peer, scheme: Scheme::Http });
    }
    let told = told_scheme(headers)?;
    let hops = told_hops(headers)?;
    let standard = elements::read(headers)?;
    if headers.contains_key("x-forwarded-for") && !standard.is_empty() {
        let same =
            hops.len() == standard.len() && hops.iter().zip(&standard).all(|(one, two)| *one == two.ip);
        if !same {
            return Err(ForwardedFault::Contradiction);
        }
    }
    let hops = match standard.is_empty() {
        true => hops.into_iter().map(|ip| Hop { ip, scheme: None }).collect(),
        false => standard,
    };
    let outermost = right_most(&hops, trusted)?;
    let scheme = match (told, outermost.and_then(|hop| hop.scheme)) {
        (Some(one), Some(two)) if one != two => return Err(ForwardedFault::Contradiction),
        (one, two) => one.or(two).unwrap_or(Scheme::Http),
    };
    Ok(Client { ip: outermost.map_or(peer, |hop| hop.ip), scheme })
}

/// Whether an address is of a listed network.
pub(crate) fn is_listed(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The right-most hop that is no listed forwarder; the left-most when all are; `None` when there are none.
fn right_most(hops: &[Hop], trusted: &[IpNet]) -> Result<Option<Hop>, ForwardedFault> {
    let mut outermost = None;
    for (count, hop) in hops.iter().rev().enumerate() {
        if count >= MOST_HOPS {
            return Err(ForwardedFault::TooManyHops);
        }
        outermost = Some(*hop);
        if !is_listed(hop.ip, trusted) {
            break;
        }
    }
    Ok(outermost)
}

fn told_scheme(headers: &HeaderMap) -> Result<Option<Scheme>, ForwardedFault> {
    let mut values = headers.get_all("x-forwarded-proto").iter();
    let Some(first) = values.next() else { return Ok(None) };
    match (first.as_bytes(), values.next()) {
        (b"https", None) => Ok(Some(Scheme::Https)),
        (b"http", None) => Ok(Some(Scheme::Http)),
        (_, _) => Err(ForwardedFault::Scheme),
    }
}

fn told_hops(headers: &HeaderMap) -> Result<Vec<IpAddr>, ForwardedFault> {
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

    #[test]
    fn b4_the_standard_header_tells_the_same() {
        let check = |value: &str, expected: &str| check("10.0.0.1", &[("forwarded", value)], expected);
        check("for=192.0.2.9", "http 192.0.2.9");
        check("for=192.0.2.9;proto=https", "https 192.0.2.9");
        check("For=192.0.2.9; Proto=https ;by=10.0.0.1", "https 192.0.2.9");
        check("for=\"192.0.2.9:4711\"", "http 192.0.2.9");
        check("for=\"[2001:db8::1]:4711\";proto=http", "http 2001:db8::1");
        check("for=\"[2001:db8::1]\"", "http 2001:db8::1");
        check("for=\"[::ffff:192.0.2.9]\"", "http 192.0.2.9");
        check(
            "for=203.0.113.1;proto=https, for=192.0.2.9;proto=http, for=10.0.0.3;proto=https",
            "http 192.0.2.9",
        );
        check("for=192.0.2.9;host=\"a,b;c\"", "http 192.0.2.9");
        check("for=10.0.0.7, for=10.0.0.8", "http 10.0.0.7");
        check("", "http 10.0.0.1");
        check("for=unknown", "Address");
        check("for=_hidden", "Address");
        check("for=\"_gazonk\"", "Address");
        check("for=2001:db8::1", "Malformed");
        check("for=\"2001:db8::1", "Malformed");
        check("for=\"192.0.2.9\"x", "Malformed");
        check("for=192.0.2.9;for=192.0.2.8", "Malformed");
        check("for=192.0.2.9;proto=https;proto=http", "Malformed");
        check("for = 192.0.2.9", "Malformed");
        check("for", "Malformed");
        check("=a", "Malformed");
        check("by=10.0.0.1", "Address");
        check("for=192.0.2.9;proto=ftp", "Scheme");
        check(&vec!["for=10.0.0.1"; 17].join(","), "TooManyHops");
    }

    #[test]
    fn b4_two_ways_of_telling_must_agree() {
        let check = |headers: &[(&'static str, &str)], expected: &str| check("10.0.0.1", headers, expected);
        let both =
            |list: &'static str, standard: &'static str| [("x-forwarded-for", list), ("forwarded", standard)];
        check(&both("192.0.2.9", "for=192.0.2.9"), "http 192.0.2.9");
        check(&both("192.0.2.9, 10.0.0.2", "for=192.0.2.9, for=10.0.0.2"), "http 192.0.2.9");
        check(&both("192.0.2.9", "for=192.0.2.8"), "Contradiction");
        check(&both("192.0.2.9", "for=192.0.2.9, for=10.0.0.2"), "Contradiction");
        check(&both("192.0.2.9, 10.0.0.2", "for=10.0.0.2"), "Contradiction");
        check(&[("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.9")], "https 192.0.2.9");
        check(
            &[("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.9;proto=https")],
            "https 192.0.2.9",
        );
        check(&[("x-forwarded-proto", "http"), ("forwarded", "for=192.0.2.9;proto=https")], "Contradiction");
    }

    #[test]
    fn b3_the_standard_header_of_a_stranger_is_not_read() {
        check("192.0.2.9", &[("forwarded", "for=10.1.1.1;proto=https")], "http 192.0.2.9");
        check("192.0.2.9", &[("forwarded", "junk, \"")], "http 192.0.2.9");
    }
}
