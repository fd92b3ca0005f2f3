//! What racks answer, as far as commands and pages look at it. Everything may be missing: v2 racks, v3 racks and newer ones differ.

use std::collections::BTreeMap;

use serde::Deserialize;

/// An app.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct App {
    /// Its name.
    pub name: String,
    /// `running`, `updating`, `rollback`, …
    pub status: String,
    /// The release that runs.
    pub release: String,
    /// The generation of its manifest.
    pub generation: String,
    /// Whether it is protected from deletion.
    pub locked: bool,
    /// Where its traffic comes in.
    pub router: String,
    /// Its parameters.
    pub parameters: Option<BTreeMap<String, String>>,
}

/// A process.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Its id.
    pub id: String,
    /// Of which app.
    pub app: String,
    /// What it runs.
    pub command: String,
    /// Where.
    pub instance: String,
    /// Of which service; v3 racks say it in `name`.
    pub name: String,
    /// Its release.
    pub release: String,
    /// Since when.
    pub started: String,
    /// How it stands.
    pub status: String,
}

/// A release.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Release {
    /// Its id.
    pub id: String,
    /// The build that it runs.
    pub build: String,
    /// Since when it is there.
    pub created: String,
    /// What it is.
    pub description: String,
    /// The environment, one `NAME=value` a line. Through a gateway, values that are secret are handles.
    pub env: String,
    /// The manifest.
    pub manifest: String,
}

/// A build.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Build {
    /// Its id.
    pub id: String,
    /// What it is.
    pub description: String,
    /// The release that it made.
    pub release: String,
    /// `created`, `running`, `complete`, `failed`.
    pub status: String,
    /// Why it failed.
    pub reason: String,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// The manifest that was built.
    pub manifest: String,
}

/// A service of an app.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppService {
    /// Its name.
    pub name: String,
    /// How many processes it should have.
    pub count: i64,
    /// CPU units.
    pub cpu: i64,
    /// Memory in MB.
    pub memory: i64,
    /// GPUs.
    pub gpu: i64,
    /// The least processes, where it scales by itself.
    pub min: Option<i64>,
    /// The most processes.
    pub max: Option<i64>,
    /// Where it is reached.
    pub domain: String,
    /// Its ports.
    pub ports: Option<Vec<ServicePort>>,
}

/// What was measured of an app, a service or the rack.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metric {
    /// What: `cpu`, `mem`, `cluster:cpu:utilization`, …
    pub name: String,
    /// The measurements, oldest first.
    pub values: Option<Vec<MetricValue>>,
}

/// Measurements of one span of time, put together.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MetricValue {
    /// When the span began.
    pub time: String,
    /// The average.
    pub avg: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// A port of a service.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServicePort {
    /// Outside.
    pub balancer: i64,
    /// Inside.
    pub container: i64,
    /// The certificate in front of it.
    pub certificate: String,
}

/// The rack itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct System {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub provider: String,
    /// Its region.
    pub region: String,
    /// Where apps are reached.
    pub domain: String,
    /// The domain of the rack itself.
    pub rack_domain: String,
    /// How it stands.
    pub status: String,
    /// Its version.
    pub version: String,
    /// How many instances.
    pub count: i64,
    /// Of which type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters; v2 racks only.
    pub parameters: Option<BTreeMap<String, String>>,
}

/// An instance.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub status: String,
    /// Since when.
    pub started: String,
    /// Processes on it.
    pub processes: i64,
    /// How many of its processors are taken.
    pub cpu: f64,
    /// How many it has.
    pub cpu_capacity: f64,
    /// How much of its memory is taken, in MB.
    pub memory: f64,
    /// How much it has.
    pub memory_capacity: f64,
    /// Its address outside.
    pub public_ip: String,
    /// Its address inside.
    pub private_ip: String,
}

/// A resource of an app or of the rack.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// `postgres`, `redis`, `webhook`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// How it stands; resources of the rack only.
    pub status: String,
    /// Where it is, with its credential: through a gateway, a handle.
    pub url: String,
    /// Its options.
    pub parameters: Option<BTreeMap<String, String>>,
}

/// A kind of resource that a rack can make.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceKind {
    /// The kind.
    pub name: String,
    /// Its options.
    pub parameters: Option<Vec<ResourceOption>>,
}

/// An option of a kind of resource.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceOption {
    /// Its name.
    pub name: String,
    /// What holds when it is not given.
    pub default: String,
    /// What it is.
    pub description: String,
}

/// A certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// Its id.
    pub id: String,
    /// For whom.
    pub domain: String,
    /// Until when.
    pub expiration: String,
    /// How it stands.
    pub status: String,
}

/// A registry of container images.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Registry {
    /// Its address.
    pub server: String,
    /// As whom.
    pub username: String,
}

/// A balancer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Balancer {
    /// Its name.
    pub name: String,
    /// For which service.
    pub service: String,
    /// Where it is reached.
    pub endpoint: String,
}

/// A config of an app; its value only where it was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppConfig {
    /// Its name.
    pub name: String,
    /// Its value: through a gateway, a handle.
    pub value: String,
}

/// An object that was stored.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Where it is: `object://APP/KEY`.
    #[serde(rename = "Url")]
    pub url: String,
}
