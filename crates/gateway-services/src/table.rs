//! All services: which one a host and a path belong to.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_types::Operation;

use crate::path::{CanonicalPath, PathError};
use crate::registration::RegisteredInstances;
use crate::service::Service;

/// Every service there is. It never changes: a new declaration makes a new table.
#[derive(Clone, Debug, Default)]
pub struct ServiceTable {
    /// By name.
    services: BTreeMap<String, Arc<Service>>,
    /// For each host, its services, longest prefix first.
    by_host: BTreeMap<String, Vec<Arc<Service>>>,
    /// Services on the gateway's own hosts, longest prefix first.
    on_own_hosts: Vec<Arc<Service>>,
}

/// Why services do not go together.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TableError {
    /// Two have the same name.
    #[error("two services are called `{name}`")]
    Name {
        /// It.
        name: String,
    },
    /// Two claim the same place.
    #[error("services `{one}` and `{other}` both claim {place}")]
    Place {
        /// The first.
        one: String,
        /// The second.
        other: String,
        /// Host and prefix.
        place: String,
    },
}

/// The service that a host and a path belong to.
#[derive(Clone, Debug)]
pub struct Found {
    /// It.
    pub service: Arc<Service>,
    /// The whole path.
    pub path: CanonicalPath,
    /// What is left below its prefix.
    pub below: CanonicalPath,
}

impl ServiceTable {
    /// A table of these services.
    ///
    /// # Errors
    /// [`TableError`] when two have the same name or claim the same place.
    pub fn new(services: Vec<Service>) -> Result<Self, TableError> {
        let mut table = Self::default();
        for service in services {
            let service = Arc::new(service);
            let name = service.name.to_string();
            if table.services.insert(name.clone(), Arc::clone(&service)).is_some() {
                return Err(TableError::Name { name });
            }
            if matches!(service.kind, crate::Kind::Tcp { .. }) {
                continue;
            }
            if service.hosts.is_empty() {
                claim(&mut table.on_own_hosts, "the gateway's own hosts", &service)?;
            }
            for host in &service.hosts {
                claim(table.by_host.entry(host.clone()).or_default(), host, &service)?;
            }
        }
        Ok(table)
    }

    /// The same services with these instances where they register themselves or are looked up; `None` when they have them already.
    ///
    /// # Errors
    /// Never for services that came out of a table: what a place is does not change.
    pub fn with_instances(&self, instances: &RegisteredInstances) -> Result<Option<Self>, TableError> {
        let none = Vec::new();
        let of = |service: &Service| instances.get(service.name.as_str()).unwrap_or(&none);
        let is_changed = |service: &&Arc<Service>| {
            service.has_moving_instances() && service.registered != *of(service.as_ref())
        };
        if !self.services.values().any(|service| is_changed(&service)) {
            return Ok(None);
        }
        let services = self.services.values().map(|service| match is_changed(&service) {
            true => service.with_registered(of(service).clone()),
            false => service.as_ref().clone(),
        });
        Self::new(services.collect()).map(Some)
    }

    /// Every service, by name.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// The service of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// Every operation of every service.
    pub fn operations(&self) -> Vec<Operation> {
        self.services.values().flat_map(|service| service.operations()).collect()
    }

    /// Whether a host is some service's own. Nothing of the gateway but what is below
    /// [`RESERVED_PREFIX`](crate::RESERVED_PREFIX) answers there.
    pub fn owns_host(&self, host: &str) -> bool {
        self.by_host.contains_key(host)
    }

    /// Every host that is some service's own, for certificates.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.by_host.keys().map(String::as_str)
    }

    /// The service that a host (lower case, without port) and a path belong to; `Ok(None)` when they are no
    /// service's.
    ///
    /// # Errors
    /// [`PathError`] when they could be some service's and the path has no one spelling.
    pub fn find(&self, host: &str, path: &str) -> Result<Option<Found>, PathError> {
        let candidates = match self.by_host.get(host) {
            Some(services) => services,
            None if self.on_own_hosts.is_empty() => return Ok(None),
            None => &self.on_own_hosts,
        };
        let canonical = match CanonicalPath::parse(path) {
            Ok(path) => path,
            Err(fault) if self.owns_host(host) => return Err(fault),
            // On the gateway's own hosts it may be the gateway's, which has rules of its own; but it is no
            // service's.
            Err(_) => return Ok(None),
        };
        Ok(candidates.iter().find_map(|service| {
            let below = canonical.below(&service.prefix)?;
            Some(Found { service: Arc::clone(service), below, path: canonical.clone() })
        }))
    }
}

fn claim(place: &mut Vec<Arc<Service>>, host: &str, service: &Arc<Service>) -> Result<(), TableError> {
    if let Some(other) = place.iter().find(|other| other.prefix == service.prefix) {
        return Err(TableError::Place {
            one: other.name.to_string(),
            other: service.name.to_string(),
            place: format!("{host}/{}", service.prefix.join("/")),
        });
    }
    place.push(Arc::clone(service));
    place.sort_by_key(|service| std::cmp::Reverse(service.prefix.len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Ask;
    use crate::{RawRoute, RawService, RawUpstream};

    fn service(name: &str, hosts: &[&str], prefix: Option<&str>) -> RawService {
        RawService {
            name: name.to_owned(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            prefix: prefix.map(str::to_owned),
            upstreams: vec![RawUpstream {
                url: "http://127.0.0.1:1".to_owned(),
                weight: None,
                version: None,
            }],
            ..RawService::default()
        }
    }

    fn table(services: Vec<RawService>) -> Result<ServiceTable, TableError> {
        ServiceTable::new(services.into_iter().map(|raw| Service::check(raw).unwrap()).collect())
    }

    #[test]
    fn the_longest_prefix_of_the_host_wins() {
        let table = table(vec![
            service("wiki", &["wiki.example.com"], None),
            service("wiki-api", &["wiki.example.com"], Some("/api")),
            service("grafana", &[], Some("/grafana")),
        ])
        .unwrap();
        let check = |host: &str, path: &str, expected: Option<(&str, &str)>| {
            let found = table.find(host, path).unwrap();
            let told = found.map(|found| (found.service.name.to_string(), found.below.to_string()));
            assert_eq!(told, expected.map(|(a, b)| (a.to_owned(), b.to_owned())), "{host}{path}");
        };
        check("wiki.example.com", "/page", Some(("wiki", "/page")));
        check("wiki.example.com", "/api/page", Some(("wiki-api", "/page")));
        check("wiki.example.com", "/apix", Some(("wiki", "/apix")));
        check("gateway.example.com", "/grafana", Some(("grafana", "/")));
        check("gateway.example.com", "/grafana/d/1", Some(("grafana", "/d/1")));
        check("gateway.example.com", "/%67rafana/d", Some(("grafana", "/d")));
        check("gateway.example.com", "/other", None);
        check("wiki.example.com", "/grafana", Some(("wiki", "/grafana")));
        assert_eq!(table.find("wiki.example.com", "/a/../api").unwrap_err(), PathError::DotSegment);
        assert!(table.find("gateway.example.com", "/grafana/../x").unwrap().is_none());
    }

    #[test]
    fn two_services_cannot_claim_one_place() {
        let error =
            table(vec![service("a", &["h.example"], None), service("b", &["h.example"], None)]).unwrap_err();
        assert_eq!(error.to_string(), "services `a` and `b` both claim h.example/");
        assert!(table(vec![service("a", &["h.example"], None), service("a", &["i.example"], None)]).is_err());
    }

    #[test]
    fn routes_come_before_the_tail_and_methods_count() {
        let mut raw = service("shop", &["shop.example"], None);
        raw.tail = Some(true);
        raw.routes = vec![RawRoute {
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
        }];
        let table = table(vec![raw]).unwrap();
        let check = |method: &str, path: &str, expected: &str| {
            let found = table.find("shop.example", path).unwrap().unwrap();
            let ask = Ask { method, query: Some("a=1"), socket: false, version: None };
            let told = match found.service.identify(found.path, &found.below, ask) {
                Ok(request) => format!("{} {}", request.operation.action, request.target),
                Err(fault) => fault.to_string(),
            };
            assert_eq!(told, expected, "{method} {path}");
        };
        check("GET", "/orders/7", "service:shop:order:read /orders/7?a=1");
        check("HEAD", "/orders/7", "service:shop:order:read /orders/7?a=1");
        check("DELETE", "/orders/7", "this path takes only GET");
        check("GET", "/x", "service:shop:read /x?a=1");
        check("POST", "/x", "service:shop:change /x?a=1");
    }

    #[test]
    fn every_fault_of_a_declaration_is_said() {
        let raw = RawService {
            name: "Bad Name".to_owned(),
            prefix: Some("/api".to_owned()),
            ..RawService::default()
        };
        let faults = Service::check(raw).unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["name", "prefix", "upstreams"]);
    }
}
