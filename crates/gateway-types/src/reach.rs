//! Which addresses may be dialled when somebody else named them: an operator's document, a provider's, a name server's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The metadata service of one cloud, which has a private address instead of a link-local one.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether an address may be asked that somebody else named: a document, a name server. Never are this machine itself, and
/// what only the link it stands on answers, the metadata services of clouds among them; private networks are.
pub fn may_be_asked(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => v4(inner),
            None => v6(address),
        },
    }
}

fn v4(address: Ipv4Addr) -> bool {
    let is_this_network = matches!(address.octets(), [0, ..]);
    let is_of_no_host = address.is_broadcast() || address.is_multicast() || is_this_network;
    !(address.is_loopback() || address.is_link_local() || is_of_no_host)
}

fn v6(address: Ipv6Addr) -> bool {
    let is_link_local = matches!(address.segments(), [first, ..] if first & 0xffc0 == 0xfe80);
    let is_of_no_host = address.is_unspecified() || address.is_multicast();
    !(address.is_loopback() || is_link_local || is_of_no_host || address == METADATA_V6)
}

/// The IPv4 address inside one that leads to it: NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i1_what_is_never_dialled_for_an_address_that_somebody_wrote_down() {
        let check = |address: &str, is_asked: bool| {
            assert_eq!(may_be_asked(address.parse().unwrap()), is_asked, "{address}");
        };
        for never in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
        ] {
            check(never, false);
        }
        for asked in ["192.0.2.7", "10.1.2.3", "192.168.0.1", "2001:db8::1", "fd12::1", "64:ff9b::808:808"] {
            check(asked, true);
        }
    }
}
