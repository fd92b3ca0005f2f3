//! What a compose file publishes or shares that goes round the gateway.
//!
//! With a manifest it is compared with what that declares; without one everything that is published beside the gateway
//! is a finding. A file that refers to others cannot be judged alone, and that is a finding too: `docker compose
//! config` writes the whole.
//!
//! Source: the Compose Specification (services, networks).

use std::collections::{BTreeMap, BTreeSet};

use gateway_pki::Transport;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::manifest::{GATEWAY, Manifest};

/// The largest file that is read, in bytes.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Capabilities that lead out of a container, or to other containers' traffic.
const STRONG: [&str; 11] = [
    "ALL",
    "BPF",
    "DAC_READ_SEARCH",
    "MKNOD",
    "NET_ADMIN",
    "NET_RAW",
    "PERFMON",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
];
/// Directories of the machine that are the machine.
const MACHINE: [&str; 8] = ["/", "/boot", "/dev", "/etc", "/proc", "/root", "/sys", "/var/lib/docker"];
/// Sockets that start containers.
const ENGINES: [&str; 4] = ["/docker.sock", "/podman.sock", "/containerd.sock", "/crio.sock"];

/// A rule of the lint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A port is published that the manifest declares for the gateway or for members.
    PublishedControlPort,
    /// A port is published that nothing declares.
    PublishedPort,
    /// A port of the machine that the file leaves to chance or to its environment.
    UncertainPort,
    /// An external listener is not published.
    MissingPort,
    /// `privileged: true`.
    Privileged,
    /// A capability, an unconfined profile or a device that leads out of the container.
    StrongCapability,
    /// A namespace of the machine or of another service.
    SharedNamespace,
    /// The engine's socket or a directory that is the machine.
    MountsTheMachine,
    /// A network is shared by two services of which neither may call the other.
    SharedNetwork,
    /// A network or a part of the file is defined elsewhere.
    DefinedElsewhere,
}

/// Something that goes round the gateway.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Where: services or a network.
    pub place: String,
    /// What was found, and what to do.
    pub what: String,
}

/// Why a file cannot be judged.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LintFault {
    /// Not YAML, or a key twice.
    #[error("the compose file cannot be read: {0}")]
    Yaml(String),
    /// Without services.
    #[error("the file is no compose file: it has no map `services`")]
    NoServices,
    /// Parts of it are in other files.
    #[error("the file takes parts from others; give what `docker compose config` writes, which is the whole")]
    Elsewhere,
}

/// Judges a compose file. `gateway` is the name that the gateway has in it.
///
/// # Errors
/// [`LintFault`] when it is none.
pub fn lint(text: &str, gateway: &str, manifest: Option<&Manifest>) -> Result<Vec<Finding>, LintFault> {
    let file = read(text)?;
    let services = file.get("services").and_then(Value::as_object).ok_or(LintFault::NoServices)?;
    let mut lint = Lint { gateway, manifest, findings: Vec::new() };
    for key in ["include", "extends"] {
        if file.get(key).is_some() {
            lint.elsewhere(key, "the file");
        }
    }
    for (name, service) in services {
        lint.service(name, service);
    }
    lint.missing(services);
    lint.networks(services, file.get("networks").and_then(Value::as_object));
    lint.findings.sort_by(|one, other| (one.rule, &one.place).cmp(&(other.rule, &other.place)));
    Ok(lint.findings)
}

/// A compose file with its merge keys followed.
///
/// # Errors
/// [`LintFault::Yaml`].
pub(crate) fn read(text: &str) -> Result<Value, LintFault> {
    if text.len() > MOST_BYTES {
        return Err(LintFault::Yaml("it has more than 4 MiB".to_owned()));
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    let mut file: Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| LintFault::Yaml(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
    merge(&mut file);
    Ok(file)
}

/// A published port.
struct Published {
    /// Of the machine; none when the engine chooses.
    machine: Option<String>,
    /// Of the container.
    own: String,
    transport: String,
}

struct Lint<'a> {
    gateway: &'a str,
    manifest: Option<&'a Manifest>,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn find(&mut self, rule: Rule, place: &str, what: impl Into<String>) {
        self.findings.push(Finding { rule, place: place.to_owned(), what: what.into() });
    }

    fn elsewhere(&mut self, key: &str, place: &str) {
        self.find(
            Rule::DefinedElsewhere,
            place,
            format!("`{key}` takes something from another file: lint what `docker compose config` writes"),
        );
    }

    fn service(&mut self, name: &str, service: &Value) {
        let Some(service) = service.as_object() else {
            return self.find(Rule::DefinedElsewhere, name, "the service is no map");
        };
        for key in ["extends", "provider"] {
            if service.contains_key(key) {
                self.elsewhere(key, name);
            }
        }
        self.ports(name, service);
        if service.get("privileged").is_some_and(|value| !is_no(value)) {
            self.find(
                Rule::Privileged,
                name,
                "a privileged container is root on the machine: give it the one capability that it needs",
            );
        }
        for capability in texts(service.get("cap_add")) {
            let plain = capability.trim_start_matches("CAP_").to_ascii_uppercase();
            if STRONG.contains(&plain.as_str()) {
                self.find(
                    Rule::StrongCapability,
                    name,
                    format!("capability {plain} leads out of the container, or to other containers' traffic"),
                );
            }
        }
        for option in texts(service.get("security_opt")) {
            if option.replace('=', ":").ends_with(":unconfined") || option.ends_with("label:disable") {
                self.find(Rule::StrongCapability, name, format!("{option} takes a confinement away"));
            }
        }
        for key in ["devices", "device_cgroup_rules"] {
            if service.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
                self.find(Rule::StrongCapability, name, format!("`{key}` gives it devices of the machine"));
            }
        }
        self.namespaces(name, service);
        self.mounts(name, service);
    }

    fn namespaces(&mut self, name: &str, service: &Map<String, Value>) {
        for key in ["network_mode", "net", "pid", "ipc", "uts", "userns_mode", "cgroup"] {
            let Some(mode) = service.get(key).and_then(Value::as_str) else { continue };
            let own_sidecar = key == "network_mode"
                && mode.strip_prefix("service:") == Some(format!("{name}-sidecar").as_str());
            if mode == "host" {
                self.find(
                    Rule::SharedNamespace,
                    name,
                    format!("{key}: host is the machine's: every port that it opens is published, and nothing here says which"),
                );
            } else if (mode.starts_with("service:") || mode.starts_with("container:")) && !own_sidecar {
                self.find(
                    Rule::SharedNamespace,
                    name,
                    format!("{key}: {mode} is another's, whose loopback it then reaches; only NAME-sidecar is its own"),
                );
            }
        }
        if service.get("use_api_socket").is_some_and(|value| !is_no(value)) {
            self.find(
                Rule::MountsTheMachine,
                name,
                "use_api_socket gives it the engine: it can start any container",
            );
        }
    }

    fn mounts(&mut self, name: &str, service: &Map<String, Value>) {
        for volume in list(service.get("volumes")) {
            let source = match volume {
                Value::String(text) => text.split(':').next().unwrap_or_default(),
                other => other.get("source").and_then(Value::as_str).unwrap_or_default(),
            };
            let plain = match source.trim_end_matches('/') {
                "" if source.starts_with('/') => "/",
                plain => plain,
            };
            if ENGINES.iter().any(|socket| plain.ends_with(socket)) {
                self.find(
                    Rule::MountsTheMachine,
                    name,
                    format!("{plain} starts containers: whoever has it is root on the machine"),
                );
            } else if MACHINE.contains(&plain) {
                self.find(Rule::MountsTheMachine, name, format!("{plain} of the machine is mounted"));
            }
        }
    }

    fn ports(&mut self, name: &str, service: &Map<String, Value>) {
        for port in list(service.get("ports")) {
            match published(port) {
                Some(published) => self.port(name, &published),
                None => self.find(Rule::UncertainPort, name, format!("the port {port} cannot be read")),
            }
        }
    }

    fn port(&mut self, name: &str, published: &Published) {
        let Published { machine, own, transport } = published;
        let Some(machine) = machine else {
            return self.find(
                Rule::UncertainPort,
                name,
                format!(
                    "port {own} is published at a port that the engine chooses: no declaration can name it"
                ),
            );
        };
        if machine.contains('$') || own.contains('$') {
            return self.find(
                Rule::UncertainPort,
                name,
                format!("port {machine}:{own} depends on the environment: lint what `docker compose config` writes"),
            );
        }
        if name == self.gateway {
            return self.gateway_port(name, machine, own);
        }
        let service = name.strip_suffix("-sidecar").unwrap_or(name);
        let declared = self.manifest.and_then(|manifest| manifest.services.get(service));
        let is_external = declared.is_some_and(|service| {
            service.external().any(|one| {
                one.port.to_string() == *own && own == machine && one.transport.name() == transport
            })
        });
        if is_external {
            return;
        }
        let control = declared.is_some_and(|service| {
            service
                .guarded()
                .is_some_and(|one| one.port.to_string() == *own && *transport == Transport::Tcp.name())
                || service.forward.is_some_and(|port| port.to_string() == *own)
        });
        match control {
            true => self.find(
                Rule::PublishedControlPort,
                name,
                format!("port {own}/{transport} is for the gateway or for members and is published at {machine}: take it out of `ports`"),
            ),
            false if self.manifest.is_some() => self.find(
                Rule::PublishedPort,
                name,
                format!("port {own}/{transport} is published at {machine} and is no external listener of the manifest"),
            ),
            false => self.find(
                Rule::PublishedPort,
                name,
                format!("port {own}/{transport} is published at {machine}, beside the gateway; declare it `external` in a manifest, or take it out"),
            ),
        }
    }

    /// The gateway's own ports: those of the manifest; without one, all but the second listener.
    fn gateway_port(&mut self, name: &str, machine: &str, own: &str) {
        let declared = self.manifest.map(|manifest| {
            manifest
                .gateway
                .ports
                .iter()
                .any(|(one, other)| one.to_string() == machine && other.to_string() == own)
        });
        if own == "9443" && declared != Some(true) {
            self.find(
                Rule::PublishedControlPort,
                name,
                "9443 is the gateway's listener for metrics and probes, which is never public",
            );
        } else if declared == Some(false) {
            self.find(Rule::PublishedPort, name, format!("port {machine}:{own} is not among the manifest's"));
        }
    }

    /// What the manifest declares and the file does not publish.
    fn missing(&mut self, services: &Map<String, Value>) {
        let Some(manifest) = self.manifest else { return };
        for (name, declared) in &manifest.services {
            let side = format!("{name}-sidecar");
            let holders = [name.as_str(), side.as_str()];
            let there: Vec<Published> = holders
                .iter()
                .filter_map(|holder| services.get(*holder))
                .flat_map(|service| list(service.get("ports")))
                .filter_map(published)
                .collect();
            for listener in declared.external() {
                let port = listener.port.to_string();
                let found = there.iter().any(|one| {
                    one.own == port
                        && one.machine.as_ref() == Some(&port)
                        && one.transport == listener.transport.name()
                });
                if !found {
                    self.find(
                        Rule::MissingPort,
                        name,
                        format!("the external listener {listener} is not published: nobody reaches it"),
                    );
                }
            }
        }
    }

    fn networks(&mut self, services: &Map<String, Value>, networks: Option<&Map<String, Value>>) {
        for (name, network) in networks.into_iter().flatten() {
            let outside = network.get("external").is_some_and(|value| !is_no(value));
            let driver = network.get("driver").and_then(Value::as_str).unwrap_or("bridge");
            if outside {
                self.find(
                    Rule::DefinedElsewhere,
                    name,
                    "the network is external: who else is in it is not said here",
                );
            } else if driver == "host" || driver == "macvlan" || driver == "ipvlan" {
                self.find(
                    Rule::SharedNamespace,
                    name,
                    format!("driver {driver} puts its services into the machine's own network"),
                );
            }
        }
        let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, service) in services {
            for network in joined(service) {
                // A sidecar stands for its service.
                let who = name.strip_suffix("-sidecar").unwrap_or(name).to_owned();
                members.entry(network).or_default().insert(who);
            }
        }
        for (network, members) in members {
            let strangers: Vec<String> = members
                .iter()
                .enumerate()
                .flat_map(|(index, one)| members.iter().skip(index + 1).map(move |other| (one, other)))
                .filter(|(one, other)| !self.may_meet(one, other))
                .map(|(one, other)| format!("{one} and {other}"))
                .collect();
            if let Some(first) = strangers.first() {
                let more = match strangers.len() - 1 {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                self.find(
                    Rule::SharedNetwork,
                    &network,
                    format!("{first}{more} reach each other in it past the gateway: give each pair that talks a network of its own"),
                );
            }
        }
    }

    fn may_meet(&self, one: &str, other: &str) -> bool {
        let called = |name: &str| if name == self.gateway { GATEWAY.to_owned() } else { name.to_owned() };
        match self.manifest {
            Some(manifest) => manifest.may_meet(&called(one), &called(other)),
            None => one == self.gateway || other == self.gateway,
        }
    }
}

/// Puts in what merge keys stand for, as Compose does. Source: <https://yaml.org/type/merge.html>.
fn merge(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(merge),
        Value::Object(map) => {
            let merged = match map.shift_remove("<<") {
                Some(Value::Array(list)) => list,
                Some(one) => vec![one],
                None => Vec::new(),
            };
            for (key, value) in merged.into_iter().filter_map(|one| one.as_object().cloned()).flatten() {
                map.entry(key).or_insert(value);
            }
            map.values_mut().for_each(merge);
        }
        _ => {}
    }
}

/// The networks that a service is in; the default one unless it says otherwise.
fn joined(service: &Value) -> Vec<String> {
    if service.get("network_mode").is_some() {
        return Vec::new();
    }
    match service.get("networks") {
        Some(Value::Array(_)) => texts(service.get("networks")),
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        _ => vec!["default".to_owned()],
    }
}

/// Reads a port in its short form, `[ADDRESS:][PORT:]PORT[/PROTOCOL]`, or its long form.
fn published(port: &Value) -> Option<Published> {
    if let Some(long) = port.as_object() {
        return Some(Published {
            machine: long.get("published").and_then(text),
            own: long.get("target").and_then(text)?,
            transport: long.get("protocol").and_then(text).unwrap_or_else(|| "tcp".to_owned()),
        });
    }
    let short = text(port)?;
    // A variable may have a colon of its own: `${PORT:-80}`.
    if short.contains('$') {
        return Some(Published { machine: Some(short), own: String::new(), transport: "tcp".to_owned() });
    }
    let (ports, transport) = short.split_once('/').unwrap_or((&short, "tcp"));
    let (machine, own) = match ports.rsplit_once(':') {
        None => (None, ports),
        Some((machine, own)) => {
            (Some(machine.rsplit_once(':').map_or(machine, |(_address, port)| port)), own)
        }
    };
    let machine = machine.filter(|machine| !machine.is_empty()).map(str::to_owned);
    Some(Published { machine, own: own.to_owned(), transport: transport.to_owned() })
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn texts(value: Option<&Value>) -> Vec<String> {
    list(value).filter_map(text).collect()
}

/// A word, however it was read: `[5432]` and `["5432"]` name the same.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value says no. What is no boolean, such as a variable, may say yes.
fn is_no(value: &Value) -> bool {
    matches!(value, Value::Bool(false) | Value::Null) || value.as_str() == Some("false")
}
