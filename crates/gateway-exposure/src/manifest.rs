//! The manifest of a deployment: its gateway, its services, their listeners, and who may call whom.

use std::collections::{BTreeMap, BTreeSet};

use gateway_pki::id::is_label;
use gateway_pki::{Exposure, Listener, Transport, TrustDomain};
use serde::Deserialize;

/// The most services of a deployment.
const MOST_SERVICES: usize = 200;
/// The name that callers and networks have for the gateway.
pub(crate) const GATEWAY: &str = "gateway";
/// The image of gateway and sidecars unless the manifest says another.
const IMAGE: &str = "ghcr.io/rack-gateway/rack-gateway:0.1.0";

/// Why a text is no manifest.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ManifestFault {
    /// Not TOML, or a key that is not known.
    #[error("the manifest cannot be read: {0}")]
    Toml(String),
    /// Something about a service.
    #[error("service `{service}`: {what}")]
    Service {
        /// Its name, as given.
        service: String,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// Something about the gateway.
    #[error("gateway: {0}")]
    Gateway(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    trust_domain: String,
    #[serde(default)]
    gateway: WrittenGateway,
    #[serde(default, rename = "service")]
    services: Vec<WrittenService>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct WrittenGateway {
    image: Option<String>,
    ports: Option<Vec<String>>,
    zone_port: Option<u16>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    secrets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenService {
    name: String,
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    secrets: Vec<String>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    listeners: Vec<String>,
    #[serde(default)]
    callers: Vec<String>,
    forward: Option<u16>,
    #[serde(default)]
    raw: bool,
    #[serde(default)]
    pass_token: bool,
    #[serde(default)]
    egress: Vec<String>,
    #[serde(default)]
    outbound: bool,
}

/// A deployment, checked.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its zone.
    pub trust_domain: TrustDomain,
    /// The gateway.
    pub gateway: Gateway,
    /// The services, by name.
    pub services: BTreeMap<String, Service>,
}

/// The gateway of a deployment.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// The image of gateway and sidecars.
    pub image: String,
    /// What is published: the port of the machine and the port of the gateway.
    pub ports: Vec<(u16, u16)>,
    /// The gateway's port at which members join and renew.
    pub zone_port: u16,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Names of secrets, given as files.
    pub secrets: Vec<String>,
}

/// A service of a deployment.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its image.
    pub image: String,
    /// Its command, the image's unless given.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Names of secrets, given as files.
    pub secrets: Vec<String>,
    /// Directories that it keeps.
    pub volumes: Vec<String>,
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// Who may call it: the gateway and services, by name.
    pub callers: BTreeSet<String>,
    /// The port behind its sidecar, on loopback.
    pub forward: Option<u16>,
    /// Whether the sidecar passes bytes on instead of requests.
    pub raw: bool,
    /// Whether the service gets the request token that its sidecar checked.
    pub pass_token: bool,
    /// Its ways out: a port of its own on loopback, and the service that it leads to.
    pub egress: Vec<(u16, String)>,
    /// Whether it reaches what is outside of the deployment.
    pub outbound: bool,
}

impl Service {
    /// The one listener that a sidecar stands before, for the gateway or for members.
    pub fn guarded(&self) -> Option<&Listener> {
        self.listeners.iter().find(|one| one.exposure != Exposure::External)
    }

    /// Its listeners for everybody.
    pub fn external(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(|one| one.exposure == Exposure::External)
    }

    /// Whether it has a sidecar: something calls it in the zone, or it calls something.
    pub fn has_sidecar(&self) -> bool {
        self.guarded().is_some()
    }
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestFault`]: the first fault, and what would be right.
    pub fn parse(text: &str) -> Result<Self, ManifestFault> {
        let written: Written =
            toml::from_str(text).map_err(|error| ManifestFault::Toml(error.message().to_owned()))?;
        let trust_domain = written.trust_domain.parse().map_err(|error: gateway_pki::IdFault| {
            ManifestFault::Gateway(format!("trust_domain: {error}"))
        })?;
        let gateway = gateway(written.gateway)?;
        let mut services = BTreeMap::new();
        if written.services.len() > MOST_SERVICES {
            return Err(ManifestFault::Gateway(format!("a manifest has at most {MOST_SERVICES} services")));
        }
        for service in written.services {
            let name = service.name.clone();
            let read = read(service).map_err(|what| fault(&name, what))?;
            if services.insert(name.clone(), read).is_some() {
                return Err(fault(&name, "there are two of that name".to_owned()));
            }
        }
        let manifest = Self { trust_domain, gateway, services };
        manifest.check_calls()?;
        manifest.check_ports()?;
        Ok(manifest)
    }

    /// Each caller and each way out leads to something that is there and allows it.
    fn check_calls(&self) -> Result<(), ManifestFault> {
        for (name, service) in &self.services {
            for caller in service.callers.iter().filter(|caller| *caller != GATEWAY) {
                let Some(calling) = self.services.get(caller) else {
                    return Err(fault(name, format!("its caller `{caller}` is no service of the manifest")));
                };
                if !calling.has_sidecar() {
                    return Err(fault(
                        name,
                        format!("its caller `{caller}` has no identity: give it a listener for the gateway"),
                    ));
                }
            }
            for (_port, to) in &service.egress {
                let allowed = self.services.get(to).is_some_and(|target| target.callers.contains(name));
                if !allowed {
                    return Err(fault(
                        name,
                        format!(
                            "its way out leads to `{to}`, which does not have `{name}` among its callers"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// No port of the machine is published twice.
    fn check_ports(&self) -> Result<(), ManifestFault> {
        let mut taken: BTreeMap<(u16, Transport), &str> =
            self.gateway.ports.iter().map(|(port, _inner)| ((*port, Transport::Tcp), GATEWAY)).collect();
        for (name, service) in &self.services {
            for listener in service.external() {
                if let Some(other) = taken.insert((listener.port, listener.transport), name) {
                    return Err(fault(
                        name,
                        format!("port {} is published by `{other}` already", listener.port),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether the manifest lets one of the two call the other.
    pub fn may_meet(&self, one: &str, other: &str) -> bool {
        let calls = |caller: &str, called: &str| {
            self.services.get(called).is_some_and(|service| service.callers.contains(caller))
        };
        // Every member meets the gateway, to join and to renew.
        let joins = |name: &str| self.services.get(name).is_some_and(Service::has_sidecar);
        calls(one, other)
            || calls(other, one)
            || (one == GATEWAY && joins(other))
            || (other == GATEWAY && joins(one))
    }
}

fn fault(service: &str, what: String) -> ManifestFault {
    ManifestFault::Service { service: service.chars().take(100).collect(), what }
}

fn gateway(written: WrittenGateway) -> Result<Gateway, ManifestFault> {
    let ports = match written.ports {
        None => vec![(443, 443), (80, 80)],
        Some(ports) => ports
            .iter()
            .map(|text| {
                let (machine, own) = text.split_once(':').unwrap_or((text, text));
                port(machine).zip(port(own)).ok_or_else(|| {
                    ManifestFault::Gateway(format!("ports: `{text}` is not PORT or PORT:PORT"))
                })
            })
            .collect::<Result<_, _>>()?,
    };
    if ports.is_empty() {
        return Err(ManifestFault::Gateway("ports: the way in publishes at least one".to_owned()));
    }
    let zone_port = written.zone_port.unwrap_or(ports.first().map_or(443, |(_machine, own)| *own));
    names(&written.secrets).map_err(ManifestFault::Gateway)?;
    let image = image(written.image.as_deref().unwrap_or(IMAGE)).map_err(ManifestFault::Gateway)?;
    Ok(Gateway { image, ports, zone_port, environment: written.environment, secrets: written.secrets })
}

fn read(written: WrittenService) -> Result<Service, String> {
    if !is_label(&written.name) || written.name == GATEWAY || written.name.ends_with("-sidecar") {
        return Err("a name is a label a-z, 0-9 and -, and neither `gateway` nor ends in -sidecar".to_owned());
    }
    let listeners = written
        .listeners
        .iter()
        .map(|text| text.parse::<Listener>().map_err(|error| format!("`{text}`: {error}")))
        .collect::<Result<Vec<_>, _>>()?;
    let distinct: BTreeSet<&str> = listeners.iter().map(|one| one.name.as_str()).collect();
    if distinct.len() < listeners.len() || !Listener::are_apart(&listeners) {
        return Err("each name and each port of its listeners is there once".to_owned());
    }
    let guarded: Vec<&Listener> = listeners.iter().filter(|one| one.exposure != Exposure::External).collect();
    let forward = match (guarded.as_slice(), written.forward) {
        ([], None) => None,
        ([], Some(_)) => {
            return Err("forward is where a sidecar leads to; without a gateway or internal listener \
                        there is none"
                .to_owned());
        }
        ([_one], None) => {
            return Err(
                "forward = PORT says where the service listens on loopback, behind its sidecar".to_owned()
            );
        }
        ([one], Some(forward)) if forward == 0 || forward == one.port => {
            return Err(format!("forward is another port than the sidecar's {}", one.port));
        }
        ([_one], Some(forward)) if listeners.iter().any(|one| one.port == forward) => {
            return Err(format!("forward: port {forward} is an external listener's"));
        }
        ([_one], Some(forward)) => Some(forward),
        (_several, _) => {
            return Err("a sidecar stands before one listener: split the service, or let one listener \
                        do for both callers"
                .to_owned());
        }
    };
    if written.pass_token && (written.raw || forward.is_none()) {
        return Err(
            "pass_token is for requests that a sidecar passes on: not beside raw, and with a gateway or \
                    internal listener"
                .to_owned(),
        );
    }
    let mut callers: BTreeSet<String> = written.callers.into_iter().collect();
    if callers.is_empty() && forward.is_some() {
        callers.insert(GATEWAY.to_owned());
    }
    let others = callers.iter().any(|caller| caller != GATEWAY);
    if others && guarded.first().is_none_or(|one| one.exposure != Exposure::Internal) {
        return Err("other callers than the gateway need a listener that is `internal`".to_owned());
    }
    if callers.contains(&written.name) {
        return Err("it needs no permission to call itself".to_owned());
    }
    names(&written.secrets)?;
    for volume in &written.volumes {
        let plain = volume.starts_with('/') && volume.len() > 1 && !volume.contains([':', '$', '\n']);
        if !plain {
            return Err(format!(
                "volumes: `{volume}` is not a directory of the container, such as /var/lib/x"
            ));
        }
    }
    let egress = written.egress.iter().map(|text| way(text)).collect::<Result<Vec<_>, _>>()?;
    let own: BTreeSet<u16> = egress
        .iter()
        .map(|(port, _to)| *port)
        .chain(forward)
        .chain(listeners.iter().map(|one| one.port))
        .collect();
    let all = egress.len()
        + usize::from(forward.is_some())
        + listeners.iter().map(|one| one.port).collect::<BTreeSet<_>>().len();
    if own.len() < all {
        return Err("egress: a port of its own for each way out".to_owned());
    }
    if !egress.is_empty() && forward.is_none() {
        return Err("egress goes through a sidecar: give it a listener for the gateway".to_owned());
    }
    Ok(Service {
        image: image(&written.image)?,
        command: written.command,
        environment: written.environment,
        secrets: written.secrets,
        volumes: written.volumes,
        listeners,
        callers,
        forward,
        raw: written.raw,
        pass_token: written.pass_token,
        egress,
        outbound: written.outbound,
    })
}

/// Reads `5432=db`.
fn way(text: &str) -> Result<(u16, String), String> {
    text.split_once('=')
        .and_then(|(own, to)| Some((port(own)?, to.to_owned())))
        .ok_or_else(|| format!("egress: `{text}` is not PORT=SERVICE"))
}

fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_port| plain)
}

fn image(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte));
    match plain && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err(format!("image: `{text}` is no name of an image")),
    }
}

fn names(names: &[String]) -> Result<(), String> {
    match names.iter().find(|name| !is_label(name)) {
        None => Ok(()),
        Some(name) => Err(format!("secrets: `{name}` is not a label a-z, 0-9 and -")),
    }
}
