//! Names of networks, and the rate of a limit: what configuration says and policy or the data plane goes by.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// What networks are called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NamedNetworks(BTreeMap<String, Vec<IpNet>>);

impl NamedNetworks {
    /// These names, each with its networks.
    pub fn new(networks: BTreeMap<String, Vec<IpNet>>) -> Self {
        Self(networks)
    }

    /// The names of all networks that hold this address. An IPv4 address in IPv6 clothes is an IPv4 address.
    pub fn of(&self, address: IpAddr) -> BTreeSet<String> {
        let address = address.to_canonical();
        let holds = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        self.0.iter().filter(|(_, networks)| holds(networks)).map(|(name, _)| name.clone()).collect()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// How often something may be done: a token bucket that holds `burst` and is filled with `count` in each `period`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many in each period, in the long run; at least 1.
    pub count: u32,
    /// The period; more than zero.
    pub period: Duration,
    /// How many at once; at least 1.
    pub burst: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: &[&str]) {
        let networks = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        let named = NamedNetworks::new(BTreeMap::from([
            ("office".to_owned(), networks(&["203.0.113.0/24", "2001:db8:1::/48"])),
            ("vpn".to_owned(), networks(&["10.8.0.0/16"])),
            ("all-private".to_owned(), networks(&["10.0.0.0/8", "192.168.0.0/16"])),
        ]));
        let names: Vec<String> = named.of(address.parse().unwrap()).into_iter().collect();
        assert_eq!(names, expected, "{address}");
    }

    #[test]
    fn an_address_has_the_names_of_all_its_networks() {
        check("203.0.113.7", &["office"]);
        check("203.0.114.7", &[]);
        check("10.8.1.1", &["all-private", "vpn"]);
        check("2001:db8:1:2::3", &["office"]);
        check("::ffff:203.0.113.7", &["office"]);
        check("::1", &[]);
    }
}
