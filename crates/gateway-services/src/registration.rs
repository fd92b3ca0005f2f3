//! What a member of the trust zone says of itself when it wants to be an instance of a service, held to what the
//! operator declared. A member decides about its address, its health and what it understands, and about nothing else:
//! hosts, paths, routes and roles are the declaration's. It must not know how a claim came, or where it is kept.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use crate::raw::RawInstances;
use crate::service::{Service, UpstreamAddress};

/// The longest address, in bytes.
const LONGEST_ADDRESS: usize = 300;

/// The most capabilities of one member.
const MOST_CAPABILITIES: usize = 500;

/// What a member says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Claim {
    /// Where it is reached, `HOST:PORT`.
    pub address: String,
    /// The prefix that it serves; what is declared unless given.
    pub prefix: Option<String>,
    /// The version that it serves; all unless given.
    pub version: Option<String>,
    /// Whether it can take requests.
    pub is_healthy: bool,
    /// The actions that it understands, as `order:read`; all that are declared unless given.
    pub capabilities: Option<BTreeSet<String>>,
}

/// Why a member is no instance.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClaimFault {
    /// Nothing lets members register for the service.
    #[error("no service `{name}` is declared with `instances = \"registered\"`")]
    NotDeclared {
        /// Its name.
        name: String,
    },
    /// The prefix is not the one of the declaration.
    #[error("the declaration gives this service `{declared}`, not `{claimed}`")]
    Prefix {
        /// What is declared.
        declared: String,
        /// What was claimed.
        claimed: String,
    },
    /// The address.
    #[error("an address is HOST:PORT, without scheme, path or user: {found}")]
    Address {
        /// What was given.
        found: String,
    },
    /// The port belongs to no listener for the gateway.
    #[error("port {port} is no listener of this service that is declared `gateway`")]
    Listener {
        /// The port.
        port: u16,
    },
    /// The version.
    #[error("the declaration has no version `{found}`")]
    Version {
        /// What was given.
        found: String,
    },
    /// A capability.
    #[error("the declaration has no action `{found}`")]
    Capability {
        /// What was given.
        found: String,
    },
    /// Too many capabilities.
    #[error("a member names at most {MOST_CAPABILITIES} capabilities")]
    TooMany,
    /// Somebody else is there.
    #[error("a member of `{service}` is registered at {address}")]
    Taken {
        /// Whose it is.
        service: String,
        /// The address.
        address: String,
    },
}

/// An instance that the declaration allows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// Where it is. Its share is 0 while it says that it is not well.
    pub address: UpstreamAddress,
    /// The actions that it understands; all unless given.
    pub capabilities: Option<BTreeSet<String>>,
}

/// Instances that registered, by the name of their service.
pub type RegisteredInstances = BTreeMap<String, Vec<Registered>>;

/// Reads `HOST:PORT`; `None` when it is something else.
pub fn registered_address(text: &str) -> Option<(String, u16)> {
    // A URL without its default port would swallow `:443`, so the port is read apart.
    let (_, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    let url = Url::parse(&format!("https://{text}/")).ok()?;
    let is_bare = text.len() <= LONGEST_ADDRESS
        && !text.contains(['/', '?', '#', '@', '\\'])
        && url.username().is_empty()
        && url.password().is_none();
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    (is_bare && !host.is_empty()).then_some((host, port))
}

/// Holds a claim to the declaration.
///
/// # Errors
/// [`ClaimFault`]: the first reason why it is no instance.
pub fn admit(service: &Service, claim: &Claim) -> Result<Registered, ClaimFault> {
    let short = |text: &str| text.chars().take(100).collect::<String>();
    if service.raw.instances != RawInstances::Registered {
        return Err(ClaimFault::NotDeclared { name: service.name.to_string() });
    }
    let declared = match service.prefix_path() {
        path if path.is_empty() => "/".to_owned(),
        path => path,
    };
    if let Some(claimed) = &claim.prefix
        && *claimed != declared
    {
        return Err(ClaimFault::Prefix { declared, claimed: short(claimed) });
    }
    if let Some(version) = &claim.version
        && !service.versions.iter().any(|known| known.name == *version)
    {
        return Err(ClaimFault::Version { found: short(version) });
    }
    if let Some(capabilities) = &claim.capabilities {
        if capabilities.len() > MOST_CAPABILITIES {
            return Err(ClaimFault::TooMany);
        }
        let known = service.capabilities();
        if let Some(found) = capabilities.iter().find(|one| !known.contains(*one)) {
            return Err(ClaimFault::Capability { found: short(found) });
        }
    }
    let (host, port) = registered_address(&claim.address)
        .ok_or_else(|| ClaimFault::Address { found: short(&claim.address) })?;
    Ok(Registered {
        address: UpstreamAddress {
            secure: true,
            host,
            port,
            weight: u32::from(claim.is_healthy),
            priority: 0,
            version: claim.version.clone(),
        },
        capabilities: claim.capabilities.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::{RawRoute, RawTrust, RawVersion};
    use crate::{RawService, ServiceTable};

    fn raw() -> RawService {
        RawService {
            name: "shop".to_owned(),
            hosts: vec!["shop.example".to_owned()],
            prefix: Some("/api".to_owned()),
            trust: RawTrust::Zone,
            instances: RawInstances::Registered,
            routes: vec![RawRoute {
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
            }],
            tail: Some(true),
            versions: vec![RawVersion { name: "v2".to_owned(), deprecated: None, sunset: None }],
            default_version: Some("v2".to_owned()),
            ..RawService::default()
        }
    }

    fn claim() -> Claim {
        Claim { address: "10.0.0.7:6754".to_owned(), is_healthy: true, ..Claim::default() }
    }

    #[test]
    fn a_claim_is_held_to_the_declaration() {
        let service = Service::check(raw()).unwrap();
        let check = |change: &dyn Fn(&mut Claim), expected: &str| {
            let mut claim = claim();
            change(&mut claim);
            let told = match admit(&service, &claim) {
                Ok(one) => format!("{} {}", one.address.authority(), one.address.weight),
                Err(fault) => fault.to_string(),
            };
            assert_eq!(told, expected, "{claim:?}");
        };
        let capable = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        check(&|_| {}, "10.0.0.7:6754 1");
        check(&|claim| claim.is_healthy = false, "10.0.0.7:6754 0");
        check(&|claim| claim.address = "[::1]:443".to_owned(), "[::1]:443 1");
        check(&|claim| claim.prefix = Some("/api".to_owned()), "10.0.0.7:6754 1");
        check(
            &|claim| claim.prefix = Some("/".to_owned()),
            "the declaration gives this service `/api`, not `/`",
        );
        check(
            &|claim| claim.prefix = Some("/(.*)".to_owned()),
            "the declaration gives this service `/api`, not `/(.*)`",
        );
        check(&|claim| claim.version = Some("v2".to_owned()), "10.0.0.7:6754 1");
        check(&|claim| claim.version = Some("v3".to_owned()), "the declaration has no version `v3`");
        check(&|claim| claim.capabilities = capable(&["order:read"]), "10.0.0.7:6754 1");
        check(
            &|claim| claim.capabilities = capable(&["order:read", "root"]),
            "the declaration has no action `root`",
        );
        for bad in ["", "h", "h:0", "h:99999", "https://h:1", "u@h:1", "h:1/x", ":1", "a b:1"] {
            let fault = format!("an address is HOST:PORT, without scheme, path or user: {bad}");
            check(&|claim| claim.address = bad.to_owned(), &fault);
        }
    }

    #[test]
    fn who_is_declared_by_address_takes_no_registration() {
        let mut declared = raw();
        declared.instances = RawInstances::Declared;
        declared.upstreams =
            vec![crate::RawUpstream { url: "https://10.0.0.1".to_owned(), weight: None, version: None }];
        let service = Service::check(declared).unwrap();
        assert!(matches!(admit(&service, &claim()), Err(ClaimFault::NotDeclared { .. })));
    }

    #[test]
    fn declarations_that_contradict_themselves_are_faults() {
        let check = |change: &dyn Fn(&mut RawService), expected: &[&str]| {
            let mut raw = raw();
            change(&mut raw);
            let faults = Service::check(raw).err().unwrap_or_default();
            let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, expected);
        };
        check(&|_| {}, &[]);
        check(&|raw| raw.trust = RawTrust::Authorities, &["instances"]);
        check(
            &|raw| {
                raw.upstreams =
                    vec![crate::RawUpstream { url: "https://h".to_owned(), weight: None, version: None }];
            },
            &["instances"],
        );
    }

    #[test]
    fn tcp_services_can_be_in_the_zone() {
        let check = |change: &dyn Fn(&mut RawService), expected: &[&str]| {
            let mut raw = RawService {
                name: "db".to_owned(),
                kind: crate::RawKind::Tcp,
                trust: RawTrust::Zone,
                upstreams: vec![crate::RawUpstream {
                    url: "tcp://10.0.0.1:6754".to_owned(),
                    weight: None,
                    version: None,
                }],
                ..RawService::default()
            };
            change(&mut raw);
            let faults = match Service::check(raw) {
                Ok(service) => {
                    assert_eq!(service.tls, crate::UpstreamTls::Zone);
                    Vec::new()
                }
                Err(faults) => faults,
            };
            let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
            assert_eq!(fields, expected);
        };
        check(&|_| {}, &[]);
        check(
            &|raw| {
                raw.instances = RawInstances::Registered;
                raw.upstreams = Vec::new();
            },
            &[],
        );
        check(&|raw| raw.upstreams[0].url = "https://10.0.0.1:6754".to_owned(), &["upstreams[0].url"]);
        check(&|raw| raw.ca_file = Some("/ca.pem".to_owned()), &["trust"]);
    }

    #[test]
    fn instances_join_a_table_and_leave_it() {
        let table = ServiceTable::new(vec![Service::check(raw()).unwrap()]).unwrap();
        let service = table.named("shop").unwrap();
        let (mut one, mut other) = (claim(), claim());
        one.capabilities = Some(["read".to_owned()].into());
        other.address = "10.0.0.8:6754".to_owned();
        let both = vec![admit(service, &one).unwrap(), admit(service, &other).unwrap()];
        let with = table.with_instances(&[("shop".to_owned(), both)].into()).unwrap().unwrap();
        let service = with.named("shop").unwrap();
        assert_eq!(service.upstreams.len(), 2);
        let unfit = |action: &str| -> Vec<String> {
            service.without(action).into_iter().map(|address| address.host).collect()
        };
        assert_eq!(unfit("service:shop:read"), Vec::<String>::new());
        assert_eq!(unfit("service:shop:order:read"), ["10.0.0.7"], "what it does not name it never gets");
        assert_eq!(unfit("service:shop:change"), ["10.0.0.7"]);
        let same = [("shop".to_owned(), service.registered.clone())].into();
        assert!(with.with_instances(&same).unwrap().is_none(), "nothing changed");
        let found = with.find("shop.example", "/api/orders/7").unwrap().unwrap();
        assert_eq!(found.service.upstreams.len(), 2, "what is found is the same");
        let none = with.with_instances(&RegisteredInstances::new()).unwrap().unwrap();
        assert!(none.named("shop").unwrap().upstreams.is_empty(), "the route stays, without instances");
    }
}
