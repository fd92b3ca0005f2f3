//! From a manifest to a compose file that publishes the gateway and the external listeners, and nothing else.
//!
//! A service shares its sidecar's network namespace and is bound to loopback in it, so that only the sidecar's port
//! is in any network. Each pair of a caller and what it calls has a network of its own, which leads nowhere else.
//!
//! Source: the Compose Specification.

use std::collections::{BTreeMap, BTreeSet};

use gateway_pki::SpiffeId;
use serde_json::{Map, Value, json};

use crate::manifest::{GATEWAY, Manifest, Service};

/// The network in which the gateway's ports are published.
const FRONT: &str = "front";

/// The compose file, YAML.
pub fn compose(manifest: &Manifest) -> String {
    let mut networks: BTreeMap<String, bool> = BTreeMap::from([(FRONT.to_owned(), false)]);
    let mut of: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    of.entry(GATEWAY).or_default().insert(FRONT.to_owned());
    for (one, other) in pairs(manifest) {
        let network = format!("{one}--{other}");
        of.entry(one).or_default().insert(network.clone());
        of.entry(other).or_default().insert(network.clone());
        networks.insert(network, true);
    }
    for (name, service) in &manifest.services {
        if service.outbound || service.external().next().is_some() {
            let network = format!("outside-{name}");
            of.entry(name).or_default().insert(network.clone());
            networks.insert(network, false);
        }
    }
    let mut services = Map::new();
    services.insert(GATEWAY.to_owned(), gateway(manifest, of.get(GATEWAY)));
    let mut volumes: BTreeSet<String> = BTreeSet::from(["gateway-data".to_owned()]);
    let mut secrets: BTreeSet<String> = manifest.gateway.secrets.iter().cloned().collect();
    for (name, service) in &manifest.services {
        if service.has_sidecar() {
            let side = format!("{name}-sidecar");
            services.insert(side.clone(), sidecar(manifest, name, service, of.get(name.as_str())));
            volumes.insert(side);
            secrets.insert(format!("{name}-join-token"));
        }
        services.insert(name.clone(), own(name, service, of.get(name.as_str())));
        volumes.extend((0..service.volumes.len()).map(|number| format!("{name}-{number}")));
        secrets.extend(service.secrets.iter().cloned());
    }
    let mut file = Map::new();
    file.insert("services".to_owned(), Value::Object(services));
    let network = |(name, internal): (String, bool)| match internal {
        true => (name, json!({ "internal": true })),
        false => (name, json!({})),
    };
    file.insert("networks".to_owned(), networks.into_iter().map(network).collect());
    file.insert("volumes".to_owned(), volumes.into_iter().map(|name| (name, json!({}))).collect());
    let secret = |name: String| {
        let place = format!("./secrets/{name}");
        (name, json!({ "file": place }))
    };
    file.insert("secrets".to_owned(), secrets.into_iter().map(secret).collect());
    // Serialising a tree of texts, lists and maps to a string does not fail.
    let text = serde_saphyr::to_string(&Value::Object(file)).unwrap_or_default();
    format!("{}{text}", heading(manifest))
}

/// Who shares a network: a caller and what it calls, and each member and the gateway. The gateway comes first.
fn pairs(manifest: &Manifest) -> BTreeSet<(&str, &str)> {
    let mut pairs = BTreeSet::new();
    for (name, service) in manifest.services.iter().filter(|(_name, service)| service.has_sidecar()) {
        pairs.insert((GATEWAY, name.as_str()));
        for caller in service.callers.iter().filter(|caller| *caller != GATEWAY) {
            // Two that call each other need one network.
            let (one, other) = (caller.as_str().min(name), caller.as_str().max(name));
            pairs.insert((one, other));
        }
    }
    pairs
}

fn heading(manifest: &Manifest) -> String {
    let mut lines = vec![
        "# Made by `rack-gateway zone compose`; change the manifest instead.".to_owned(),
        "# Published are the gateway's ports and the external listeners. Everything else is in networks of two, which"
            .to_owned(),
        "# lead nowhere else; a service listens on loopback, behind its sidecar. With more than about thirty networks"
            .to_owned(),
        "# give the engine larger pools (default-address-pools).".to_owned(),
        "#".to_owned(),
        "# Start the gateway, register the services, and give each its join token, which is good once:".to_owned(),
    ];
    for (name, service) in manifest.services.iter().filter(|(_name, service)| service.has_sidecar()) {
        let listeners: String = service.listeners.iter().map(|one| format!(" --listener {one}")).collect();
        let callers: String = service.callers.iter().map(|one| format!(" --caller {one}")).collect();
        lines.push(format!("#   rack-gateway zone service add {name}{listeners}{callers}"));
        lines.push(format!("#   rack-gateway zone join-token {name} > secrets/{name}-join-token"));
    }
    lines.join("\n") + "\n\n"
}

/// What every container is given, and not given.
fn hardened(image: &str) -> Map<String, Value> {
    let mut container = Map::new();
    container.insert("image".to_owned(), json!(image));
    container.insert("restart".to_owned(), json!("unless-stopped"));
    container.insert("read_only".to_owned(), json!(true));
    container.insert("tmpfs".to_owned(), json!(["/tmp:size=64m,mode=1777,noexec,nosuid,nodev"]));
    container.insert("cap_drop".to_owned(), json!(["ALL"]));
    container.insert("security_opt".to_owned(), json!(["no-new-privileges:true"]));
    container.insert("pids_limit".to_owned(), json!(512));
    container
}

fn set(container: &mut Map<String, Value>, key: &str, value: Value) {
    let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
    if !empty {
        container.insert(key.to_owned(), value);
    }
}

fn gateway(manifest: &Manifest, networks: Option<&BTreeSet<String>>) -> Value {
    let gateway = &manifest.gateway;
    let mut container = hardened(&gateway.image);
    container.insert("command".to_owned(), json!(["serve"]));
    set(&mut container, "environment", json!(gateway.environment));
    set(&mut container, "secrets", json!(gateway.secrets));
    let ports: Vec<String> =
        gateway.ports.iter().map(|(machine, own)| format!("{machine}:{own}/tcp")).collect();
    set(&mut container, "ports", json!(ports));
    set(&mut container, "networks", json!(networks));
    container.insert("volumes".to_owned(), json!(["gateway-data:/var/lib/rack-gateway"]));
    Value::Object(container)
}

fn sidecar(manifest: &Manifest, name: &str, service: &Service, networks: Option<&BTreeSet<String>>) -> Value {
    let mut container = hardened(&manifest.gateway.image);
    container.insert("command".to_owned(), json!(command(manifest, name, service, Place::Compose)));
    container.insert("secrets".to_owned(), json!([format!("{name}-join-token")]));
    set(&mut container, "ports", published(service));
    set(&mut container, "networks", json!(networks));
    container.insert("volumes".to_owned(), json!([format!("{name}-sidecar:/var/lib/rack-gateway")]));
    container.insert("depends_on".to_owned(), json!([GATEWAY]));
    Value::Object(container)
}

fn own(name: &str, service: &Service, networks: Option<&BTreeSet<String>>) -> Value {
    let mut container = hardened(&service.image);
    set(&mut container, "command", json!(service.command));
    set(&mut container, "environment", json!(service.environment));
    set(&mut container, "secrets", json!(service.secrets));
    let volumes: Vec<String> = service
        .volumes
        .iter()
        .enumerate()
        .map(|(number, directory)| format!("{name}-{number}:{directory}"))
        .collect();
    set(&mut container, "volumes", json!(volumes));
    if service.has_sidecar() {
        // In the sidecar's network namespace: loopback is theirs alone.
        container.insert("network_mode".to_owned(), json!(format!("service:{name}-sidecar")));
        container.insert("depends_on".to_owned(), json!([format!("{name}-sidecar")]));
    } else {
        set(&mut container, "ports", published(service));
        match networks {
            Some(networks) => set(&mut container, "networks", json!(networks)),
            // Without a network nothing reaches it; the default one would be everybody's.
            None => drop(container.insert("network_mode".to_owned(), json!("none"))),
        }
    }
    Value::Object(container)
}

fn published(service: &Service) -> Value {
    let publish = |one: &gateway_pki::Listener| format!("{0}:{0}/{1}", one.port, one.transport.name());
    service.external().map(publish).collect()
}

/// Where a sidecar runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Compose,
    Systemd,
}

/// The arguments of a service's sidecar.
pub(crate) fn command(manifest: &Manifest, name: &str, service: &Service, place: Place) -> Vec<String> {
    let (gateway, token, state) = match place {
        Place::Compose => (
            GATEWAY.to_owned(),
            format!("/run/secrets/{name}-join-token"),
            "/var/lib/rack-gateway/zone.json".to_owned(),
        ),
        Place::Systemd => (
            "${RACK_GATEWAY_HOST}".to_owned(),
            "%d/join-token".to_owned(),
            format!("%S/rack-gateway/{name}/zone.json"),
        ),
    };
    let (listen, forward) = (service.guarded().map_or(0, |one| one.port), service.forward.unwrap_or(0));
    let mut words = vec![
        "sidecar".to_owned(),
        format!("--service={name}"),
        format!("--zone-gateway={gateway}:{}", manifest.gateway.zone_port),
        format!("--listen=0.0.0.0:{listen}"),
        format!("--forward=127.0.0.1:{forward}"),
        format!("--token-file={token}"),
        format!("--state={state}"),
    ];
    if service.raw {
        words.push("--raw".to_owned());
    }
    if service.pass_token {
        words.push("--pass-token".to_owned());
    }
    for (own, to) in &service.egress {
        let target = manifest.services.get(to).and_then(Service::guarded).map_or(0, |one| one.port);
        let id = manifest.trust_domain.service(to).map(|id: SpiffeId| id.to_string()).unwrap_or_default();
        let host = match place {
            Place::Compose => format!("{to}-sidecar"),
            Place::Systemd => format!("${{{}_HOST}}", to.to_uppercase().replace('-', "_")),
        };
        words.push(format!("--egress=127.0.0.1:{own}={id}@{host}:{target}"));
    }
    words
}
