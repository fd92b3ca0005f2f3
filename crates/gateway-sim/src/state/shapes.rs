//! The JSON shapes of a rack, field for field in the order a rack writes them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// Numbers as Go writes them: no `.0`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
#[expect(clippy::cast_possible_truncation, reason = "only whole numbers of small size get there")]
fn go_number<S: Serializer>(number: &f64, to: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        to.serialize_i64(*number as i64)
    } else {
        to.serialize_f64(*number)
    }
}

/// A release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Release {
    /// `R` and ten capitals.
    pub id: String,
    /// The app it belongs to.
    pub app: String,
    /// The build it runs; empty for none.
    pub build: String,
    /// `NAME=value` lines.
    pub env: String,
    /// The manifest, as text.
    pub manifest: String,
    /// Free text.
    pub description: String,
    /// RFC 3339.
    pub created: String,
}

/// A build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Build {
    /// `B` and ten capitals.
    pub id: String,
    /// The app it belongs to.
    pub app: String,
    /// Free text.
    pub description: String,
    /// Entry point of the image.
    pub entrypoint: String,
    /// The commit, when the client told it.
    pub git_sha: String,
    /// Where the log lies.
    pub logs: String,
    /// The manifest, as text.
    pub manifest: String,
    /// The process that builds.
    pub process: String,
    /// The release it became; empty until complete.
    pub release: String,
    /// Why it failed.
    pub reason: String,
    /// Where an external build is pushed: **with the rack password**.
    pub repository: String,
    /// `created`, `running`, `complete` or `failed`.
    pub status: String,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339; year 1 while it runs.
    pub ended: String,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Process {
    /// Pod name.
    pub id: String,
    /// The app it belongs to.
    pub app: String,
    /// Its command line.
    pub command: String,
    /// Share of a CPU.
    #[serde(serialize_with = "go_number")]
    pub cpu: f64,
    /// GPUs.
    pub gpu: i64,
    /// Address.
    pub host: String,
    /// Image.
    pub image: String,
    /// The instance it runs on.
    pub instance: String,
    /// Share of the memory.
    #[serde(serialize_with = "go_number")]
    pub memory: f64,
    /// The service's name.
    pub name: String,
    /// Open ports.
    pub ports: Vec<String>,
    /// The release it runs.
    pub release: String,
    /// RFC 3339.
    pub started: String,
    /// `running`.
    pub status: String,
    /// The service's name, only for processes the scheduler made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// On the balancer.
    pub balancer: u16,
    /// Its certificate's id.
    pub certificate: String,
    /// In the container.
    pub container: u16,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// Processes wanted.
    pub count: i64,
    /// Thousandths of a CPU.
    pub cpu: i64,
    /// Public name.
    pub domain: String,
    /// GPUs.
    pub gpu: i64,
    /// Who made them.
    pub gpu_vendor: String,
    /// MiB.
    pub memory: i64,
    /// Name.
    pub name: String,
    /// Network balancers: none here.
    pub nlb: Option<Value>,
    /// Public ports.
    pub ports: Vec<Port>,
    /// Lower bound of scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// Upper bound of scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// A resource of an app (a database).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Name.
    pub name: String,
    /// `running`.
    pub status: String,
    /// `postgres`, `redis`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// With user and password.
    pub url: String,
}

/// A resource of the rack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RackResource {
    /// Name.
    pub name: String,
    /// What it was made with.
    pub parameters: BTreeMap<String, String>,
    /// `running`.
    pub status: String,
    /// `webhook`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is, with its secret.
    pub url: String,
    /// Apps it is linked to (v2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<Value>,
}

/// A private image registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registry {
    /// Name, may hold slashes.
    pub server: String,
    /// User.
    pub username: String,
    /// In clear.
    pub password: String,
}

/// A TLS certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// `cert-N`.
    pub id: String,
    /// First name in it.
    pub domain: String,
    /// All names in it.
    pub domains: Vec<String>,
    /// RFC 3339.
    pub expiration: String,
    /// `Ready` or empty.
    pub status: String,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Instance {
    /// Has an agent (v2).
    pub agent: bool,
    /// Load.
    pub cpu: f64,
    /// CPUs.
    pub cpu_capacity: i64,
    /// CPUs for processes.
    pub cpu_allocatable: i64,
    /// GPUs.
    pub gpu_capacity: i64,
    /// GPUs for processes.
    pub gpu_allocatable: i64,
    /// Node name.
    pub id: String,
    /// Load.
    pub memory: f64,
    /// MiB.
    pub memory_capacity: i64,
    /// MiB for processes.
    pub memory_allocatable: i64,
    /// Inner address.
    pub private_ip: String,
    /// Processes on it.
    pub processes: i64,
    /// Outer address.
    pub public_ip: String,
    /// `running`.
    pub status: String,
    /// RFC 3339.
    pub started: String,
}

/// An object, as tests see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// An event that was posted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Such as `build:create`.
    pub action: String,
    /// Free pairs.
    pub data: BTreeMap<String, String>,
    /// What went wrong.
    pub error: String,
    /// `success`, `error`, …
    pub status: String,
}
