//! Instances that a DNS SRV record names (RFC 2782), held to what the operator declared: the record, the networks, what is
//! spoken there. An answer decides about addresses, ports, priorities and weights, and about nothing else. It must not know
//! how an answer came, or how long it holds.
//!
//! # Security
//! An answer of the DNS is nobody's word. What it may lead to is bounded by [`may_be_asked`] and by the declared networks; who is
//! there must be shown by a certificate of the zone, or one that is pinned, wherever the declaration speaks TLS.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use gateway_types::may_be_asked;
use ipnet::IpNet;

use crate::fault::Faults;
use crate::raw::{RawInstances, RawKind, RawScheme, RawService, RawSrv, RawTrust};
use crate::registration::Registered;
use crate::service::UpstreamAddress;

/// The most name servers of one record.
const MOST_NAMESERVERS: usize = 8;

/// The most instances of one answer.
const MOST_INSTANCES: usize = 64;

/// What a weight of 1 counts, so that it can be divided among the addresses of a target, and so that one of 0 is a
/// hundredth of it beside others.
const SHARE: u32 = 1200;

/// What a weight of 0 counts.
const SHARE_OF_NOTHING: u32 = 12;

/// Where the instances of a service are looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    /// The name of the record, `_wiki._tcp.corp.internal`.
    pub name: String,
    /// Who is asked, one after the other until one answers; none = those of the machine.
    pub nameservers: Vec<SocketAddr>,
    /// Whether TLS is spoken with instances.
    secure: bool,
    /// Where instances may be; none = wherever [`may_be_asked`] allows.
    networks: Vec<IpNet>,
}

/// One SRV record with the addresses of its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SrvTarget {
    /// The lower number first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The addresses of the target.
    pub addresses: Vec<IpAddr>,
}

/// What an answer gives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Placed {
    /// Instances, lowest priority first, then by address: the same answer in another order is the same.
    pub instances: Vec<Registered>,
    /// What the answer named and the declaration does not allow, `HOST:PORT`.
    pub refused: BTreeSet<String>,
}

impl Srv {
    /// The instances that an answer gives.
    ///
    /// Weights are shares among instances of one priority. A target with several addresses divides its own among them, and a
    /// weight of 0 is a hundredth of a weight of 1, or, where all are 0, the same as the others.
    pub fn place(&self, targets: &[SrvTarget]) -> Placed {
        let mut placed = Placed::default();
        let mut found: Vec<UpstreamAddress> = Vec::new();
        for target in targets {
            let share = match target.weight {
                0 => SHARE_OF_NOTHING,
                weight => u32::from(weight).saturating_mul(SHARE),
            };
            let count = u32::try_from(target.addresses.len()).unwrap_or(u32::MAX).max(1);
            for address in &target.addresses {
                let address = address.to_canonical();
                let at = SocketAddr::new(address, target.port).to_string();
                if target.port == 0 || !self.allows(address) {
                    placed.refused.insert(at);
                    continue;
                }
                found.push(UpstreamAddress {
                    secure: self.secure,
                    host: address.to_string(),
                    port: target.port,
                    weight: (share / count).max(1),
                    priority: target.priority,
                    version: None,
                });
            }
        }
        found.sort_by(|one, other| {
            let key = |address: &UpstreamAddress| (address.priority, address.host.clone(), address.port);
            key(one).cmp(&key(other))
        });
        // Of one place that stands there twice the first counts.
        let mut places = BTreeSet::new();
        found.retain(|address| places.insert((address.host.clone(), address.port)));
        found.truncate(MOST_INSTANCES);
        reduce(&mut found);
        placed.instances =
            found.into_iter().map(|address| Registered { address, capabilities: None }).collect();
        placed
    }

    fn allows(&self, address: IpAddr) -> bool {
        let is_listed = self.networks.iter().any(|network| network.contains(&address));
        // This machine only when the operator says so; what its link alone reaches never.
        let is_reachable = may_be_asked(address) || (is_listed && address.is_loopback());
        is_reachable && (self.networks.is_empty() || is_listed)
    }
}

/// Divides all shares by what they have in common, so that weights are shown as they were written wherever they can be.
fn reduce(addresses: &mut [UpstreamAddress]) {
    let common = addresses.iter().fold(0, |common, address| divisor(common, address.weight));
    if common > 1 {
        for address in addresses {
            address.weight /= common;
        }
    }
}

/// The greatest common divisor; of 0 and a number that number.
fn divisor(one: u32, other: u32) -> u32 {
    match other {
        0 => one,
        other => divisor(other, one % other),
    }
}

/// Checks `srv`, and what must stand beside it.
pub(crate) fn srv(raw: &RawService, faults: &mut Faults) -> Option<Srv> {
    let of_srv = match (&raw.srv, raw.instances) {
        (None, RawInstances::Srv) => {
            faults.conflict("instances", "give `srv = { name = \"_wiki._tcp.corp.internal\" }`");
            return None;
        }
        (None, _) => return None,
        (Some(_), RawInstances::Declared | RawInstances::Registered) => {
            faults.conflict("srv", "it is for `instances = \"srv\"`");
            return None;
        }
        (Some(of_srv), RawInstances::Srv) => of_srv,
    };
    if !raw.upstreams.is_empty() {
        faults.conflict(
            "instances",
            "with `srv` the name server says where instances are: leave out `upstreams`",
        );
    }
    if !is_record(&of_srv.name) {
        faults.malformed(
            "srv.name",
            &of_srv.name,
            "the name of an SRV record, such as `_wiki._tcp.corp.internal`",
        );
    }
    let secure = is_secure(raw, of_srv, faults);
    if of_srv.nameservers.len() > MOST_NAMESERVERS {
        faults.conflict("srv.nameservers", format!("at most {MOST_NAMESERVERS} are asked"));
    }
    let nameservers =
        parsed(&of_srv.nameservers, "srv.nameservers", "`ADDRESS:PORT`, as `10.0.0.2:53`", faults);
    let networks = parsed(&of_srv.networks, "srv.networks", "a network, as `10.0.0.0/8`", faults);
    Some(Srv { name: of_srv.name.clone(), nameservers, secure, networks })
}

/// Whether TLS is spoken. With it, somebody else than the DNS must say who is there.
fn is_secure(raw: &RawService, of_srv: &RawSrv, faults: &mut Faults) -> bool {
    let usual = match (raw.kind, raw.trust) {
        (RawKind::Tcp, _) => RawScheme::Tcp,
        (RawKind::Http, RawTrust::Zone) => RawScheme::Https,
        (RawKind::Http, RawTrust::Authorities) => RawScheme::Http,
    };
    let scheme = of_srv.scheme.unwrap_or(usual);
    if (raw.kind == RawKind::Tcp) != (scheme == RawScheme::Tcp) {
        faults.conflict("srv.scheme", "`tcp` is for kind tcp, `http` and `https` for the others");
    }
    let is_shown = raw.trust == RawTrust::Zone || raw.cert_fingerprint.is_some();
    if scheme == RawScheme::Https && !is_shown {
        faults.conflict(
            "srv.scheme",
            "a certificate for a name that the DNS gave shows nothing: give `trust = \"zone\"` or `cert_fingerprint`",
        );
    }
    if raw.trust == RawTrust::Zone && scheme == RawScheme::Http {
        faults.conflict("srv.scheme", "the zone is for `https`");
    }
    scheme == RawScheme::Https
}

fn parsed<T: std::str::FromStr>(
    texts: &[String],
    field: &str,
    wanted: &'static str,
    faults: &mut Faults,
) -> Vec<T> {
    let mut found = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(one) => found.push(one),
            Err(_) => faults.malformed(format!("{field}[{index}]"), text, wanted),
        }
    }
    found
}

fn is_record(name: &str) -> bool {
    let labels = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253
        && labels.starts_with('_')
        && labels.split('.').count() >= 3
        && labels.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawUpstream, Service, ServiceTable};

    fn raw() -> RawService {
        RawService {
            name: "wiki".to_owned(),
            hosts: vec!["wiki.example.com".to_owned()],
            instances: RawInstances::Srv,
            srv: Some(RawSrv { name: "_wiki._tcp.corp.internal".to_owned(), ..RawSrv::default() }),
            ..RawService::default()
        }
    }

    fn target(priority: u16, weight: u16, addresses: &[&str]) -> SrvTarget {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        SrvTarget { priority, weight, port: 8080, addresses }
    }

    /// `priority/weight/address` of each instance, then what is refused.
    fn check(networks: &[&str], targets: &[SrvTarget], expected: &[&str]) {
        let mut raw = raw();
        if let Some(srv) = &mut raw.srv {
            srv.networks = networks.iter().map(|network| (*network).to_owned()).collect();
        }
        let placed = Service::check(raw).unwrap().srv.unwrap().place(targets);
        let mut told: Vec<String> = placed
            .instances
            .iter()
            .map(|one| {
                let at = &one.address;
                format!("{}/{}/{}", at.priority, at.weight, at.authority())
            })
            .collect();
        told.extend(placed.refused.iter().map(|refused| format!("no {refused}")));
        assert_eq!(told, expected, "{targets:?}");
    }

    #[test]
    fn priorities_and_weights_are_those_of_the_answer() {
        check(&[], &[], &[]);
        check(&[], &[target(10, 5, &["10.0.0.1"])], &["10/1/10.0.0.1:8080"]);
        check(
            &[],
            &[target(20, 1, &["10.0.0.3"]), target(10, 3, &["10.0.0.2"]), target(10, 1, &["10.0.0.1"])],
            &["10/1/10.0.0.1:8080", "10/3/10.0.0.2:8080", "20/1/10.0.0.3:8080"],
        );
        // Two addresses of one target have its share together.
        check(
            &[],
            &[target(1, 2, &["10.0.0.1", "10.0.0.2"]), target(1, 2, &["10.0.0.3"])],
            &["1/1/10.0.0.1:8080", "1/1/10.0.0.2:8080", "1/2/10.0.0.3:8080"],
        );
        check(
            &[],
            &[target(1, 0, &["10.0.0.1"]), target(1, 1, &["10.0.0.2"])],
            &["1/1/10.0.0.1:8080", "1/100/10.0.0.2:8080"],
        );
        check(
            &[],
            &[target(1, 0, &["10.0.0.1"]), target(1, 0, &["10.0.0.2"])],
            &["1/1/10.0.0.1:8080", "1/1/10.0.0.2:8080"],
        );
        check(
            &[],
            &[target(2, 9, &["10.0.0.1"]), target(1, 1, &["10.0.0.1", "::ffff:10.0.0.1"])],
            &["1/1/10.0.0.1:8080"],
        );
    }

    #[test]
    fn an_answer_leads_nowhere_that_was_not_allowed() {
        let one = |address: &str| [target(1, 1, &[address])];
        let refused = |address: &str| {
            let at = SocketAddr::new(address.parse::<IpAddr>().unwrap().to_canonical(), 8080);
            check(&[], &one(address), &[&format!("no {at}")]);
        };
        for address in ["169.254.169.254", "fd00:ec2::254", "127.0.0.1", "::1", "0.0.0.0", "fe80::1"] {
            refused(address);
        }
        refused("::ffff:169.254.169.254");
        check(&["127.0.0.0/8"], &one("127.0.0.1"), &["1/1/127.0.0.1:8080"]);
        check(&["169.254.0.0/16"], &one("169.254.169.254"), &["no 169.254.169.254:8080"]);
        check(&["10.0.0.0/8"], &one("10.1.2.3"), &["1/1/10.1.2.3:8080"]);
        check(&["10.0.0.0/8"], &one("192.0.2.1"), &["no 192.0.2.1:8080"]);
        let without_port = SrvTarget { port: 0, ..target(1, 1, &["10.0.0.1"]) };
        check(&[], &[without_port], &["no 10.0.0.1:0"]);
    }

    #[test]
    fn declarations_that_contradict_themselves_are_faults() {
        let check = |change: &dyn Fn(&mut RawService, &mut RawSrv), expected: &[&str]| {
            let mut raw = raw();
            let mut srv = raw.srv.take().unwrap();
            change(&mut raw, &mut srv);
            raw.srv = Some(srv);
            let faults = Service::check(raw).err().unwrap_or_default();
            let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, expected);
        };
        check(&|_, _| {}, &[]);
        check(&|raw, _| raw.instances = RawInstances::Registered, &["instances", "srv"]);
        for name in ["wiki.corp.internal", "_wiki._tcp", "", "_a b._tcp.x", "_wiki._tcp..x"] {
            check(&|_, srv| srv.name = name.to_owned(), &["srv.name"]);
        }
        check(&|_, srv| srv.nameservers = vec!["ns.corp".to_owned()], &["srv.nameservers[0]"]);
        check(&|_, srv| srv.networks = vec!["10.0.0.0/99".to_owned()], &["srv.networks[0]"]);
        check(&|_, srv| srv.scheme = Some(RawScheme::Https), &["srv.scheme"]);
        check(&|_, srv| srv.scheme = Some(RawScheme::Tcp), &["srv.scheme"]);
        check(&|raw, _| raw.trust = RawTrust::Zone, &[]);
        check(&|raw, srv| (raw.trust, srv.scheme) = (RawTrust::Zone, Some(RawScheme::Http)), &["srv.scheme"]);
        check(
            &|raw, _| {
                raw.upstreams = vec![RawUpstream { url: "http://h".to_owned(), weight: None, version: None }];
            },
            &["instances"],
        );
        let mut without = raw();
        without.srv = None;
        assert_eq!(Service::check(without).unwrap_err().len(), 1);
    }

    #[test]
    fn in_the_zone_instances_are_spoken_to_by_tls() {
        let mut raw = raw();
        raw.trust = RawTrust::Zone;
        let table = ServiceTable::new(vec![Service::check(raw).unwrap()]).unwrap();
        let service = table.named("wiki").unwrap();
        assert!(service.upstreams.is_empty(), "nobody was asked yet");
        let placed = service.srv.as_ref().unwrap().place(&[target(1, 1, &["10.0.0.1"])]);
        let with = table.with_instances(&[("wiki".to_owned(), placed.instances)].into()).unwrap().unwrap();
        assert!(with.named("wiki").unwrap().upstreams.iter().all(|address| address.secure));
    }
}
