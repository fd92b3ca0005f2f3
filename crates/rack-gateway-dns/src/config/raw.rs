//! The configuration as it is written.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use gateway_dns_client::{DnsClient, TsigAlgorithm, TsigKey};
use gateway_types::{Secret, SystemClock};
use serde::Deserialize;

use super::{Config, Fault, KeySource, Pace, Trust, ZoneConfig};
use crate::access::{Access, Permit};
use crate::backend::{Backend, NameServer, Rfc2136, ZoneFile, ZoneFileOptions};
use crate::name::DnsName;
use crate::record::TtlLimits;
use crate::rules::ZoneRules;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    listen: SocketAddr,
    monitor: Option<SocketAddr>,
    state: PathBuf,
    #[serde(default = "loopback")]
    plain_http: String,
    #[serde(default)]
    trust_loopback: bool,
    gateway: Option<RawGateway>,
    #[serde(default)]
    reconcile: RawPace,
    #[serde(default)]
    ttl: RawTtl,
    #[serde(default)]
    zone: Vec<RawZone>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGateway {
    issuer: String,
    audience: String,
    keys: String,
    ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPace {
    retry_first: String,
    retry_longest: String,
    sweep: String,
}

impl Default for RawPace {
    fn default() -> Self {
        Self { retry_first: "1s".into(), retry_longest: "5m".into(), sweep: "5m".into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTtl {
    least: u32,
    most: u32,
}

impl Default for RawTtl {
    fn default() -> Self {
        Self { least: 30, most: 86_400 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawZone {
    name: String,
    #[serde(default)]
    read: Vec<String>,
    #[serde(default)]
    write: Vec<String>,
    rfc2136: Option<RawUpdate>,
    file: Option<RawFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUpdate {
    server: SocketAddr,
    key_name: String,
    #[serde(default = "sha256")]
    algorithm: String,
    secret_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: PathBuf,
    #[serde(default)]
    name_servers: Vec<RawServer>,
    contact: String,
    #[serde(default)]
    reload: Vec<String>,
    server: Option<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    name: String,
    #[serde(default)]
    addresses: Vec<IpAddr>,
}

fn loopback() -> String {
    "loopback".to_owned()
}

fn sha256() -> String {
    "hmac-sha256".to_owned()
}

impl RawConfig {
    pub(super) fn check(self) -> Result<Config, Vec<Fault>> {
        let mut faults = Vec::new();
        let is_local = self.listen.ip().is_loopback();
        match self.plain_http.as_str() {
            "loopback" if !is_local => faults.push(Fault::PlainHttp),
            "loopback" | "private_network" => {}
            _ => faults.push(Fault::PlainHttpWord),
        }
        let trust = match (self.gateway, self.trust_loopback) {
            (Some(gateway), false) => gateway.check(&mut faults),
            (None, true) if !is_local => {
                faults.push(Fault::TrustBeyondLoopback);
                Trust::Loopback
            }
            (None, true) => Trust::Loopback,
            (Some(_), true) | (None, false) => {
                faults.push(Fault::Trust);
                Trust::Loopback
            }
        };
        let ttl = TtlLimits { least: self.ttl.least, most: self.ttl.most };
        if ttl.least > ttl.most || ttl.most > 0x7fff_ffff {
            faults.push(Fault::Ttl);
        }
        let pace = self.reconcile.check(&mut faults);
        let zones = zones(self.zone, &mut faults);
        if faults.is_empty() {
            Ok(Config {
                listen: self.listen,
                monitor: self.monitor,
                state: self.state,
                trust,
                pace,
                ttl,
                zones,
            })
        } else {
            Err(faults)
        }
    }
}

impl RawGateway {
    fn check(self, faults: &mut Vec<Fault>) -> Trust {
        let is_local = |url: &str| {
            let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
            host.is_some_and(|host| {
                let host = host.trim_matches(['[', ']']);
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            })
        };
        let is_url = self.keys.starts_with("https://") && reqwest::Url::parse(&self.keys).is_ok();
        let keys = if let Some(path) = self.keys.strip_prefix("file:") {
            KeySource::File(path.into())
        } else {
            let is_near = self.keys.starts_with("http://") && is_local(&self.keys);
            if !(is_url || is_near) {
                faults.push(Fault::Keys);
            }
            KeySource::Url(self.keys, self.ca_file)
        };
        Trust::Gateway { issuer: self.issuer, audience: self.audience, keys }
    }
}

impl RawPace {
    fn check(&self, faults: &mut Vec<Fault>) -> Pace {
        let mut read = |at, text: &str| {
            duration(text).unwrap_or_else(|| {
                faults.push(Fault::Duration(at));
                Duration::ZERO
            })
        };
        Pace {
            retry_first: read("reconcile.retry_first", &self.retry_first),
            retry_longest: read("reconcile.retry_longest", &self.retry_longest),
            sweep: read("reconcile.sweep", &self.sweep),
        }
    }
}

/// A number and its unit; zero and more than a year are none.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?);
    (!duration.is_zero() && duration <= Duration::from_secs(31_536_000)).then_some(duration)
}

fn name(at: &str, text: &str, faults: &mut Vec<Fault>) -> Option<DnsName> {
    let parsed = DnsName::parse_host(text);
    parsed.map_err(|fault| faults.push(Fault::Name { at: at.to_owned(), text: text.to_owned(), fault })).ok()
}

fn zones(raw: Vec<RawZone>, faults: &mut Vec<Fault>) -> Vec<ZoneConfig> {
    if raw.is_empty() {
        faults.push(Fault::NoZone);
    }
    let names: Vec<DnsName> = raw.iter().filter_map(|zone| DnsName::parse_host(&zone.name).ok()).collect();
    let mut seen = BTreeSet::new();
    let mut zones = Vec::new();
    for zone in raw {
        let Some(name) = name("zone.name", &zone.name, faults) else { continue };
        if !seen.insert(name.clone()) {
            faults.push(Fault::ZoneTwice(name.clone()));
        }
        let below = names.iter().filter(|other| other.is_below(&name)).cloned().collect();
        let access = access(&name, &zone.read, &zone.write, faults);
        let options = zone.file.and_then(|file| file.check(&name, faults));
        let update = zone.rfc2136.map(|update| update.check(&name, faults));
        let reserved = options.iter().flat_map(|options| &options.name_servers);
        let reserved = reserved.map(|server| server.name.clone()).filter(|server| server.is_within(&name));
        let rules = ZoneRules { zone: name.clone(), below, reserved: reserved.collect() };
        let backend: Option<Arc<dyn Backend>> = match (update, &options) {
            (Some(client), None) => client.map(|client| Arc::new(Rfc2136::new(client)) as Arc<dyn Backend>),
            (None, Some(options)) => Some(Arc::new(ZoneFile::new(options.clone()))),
            (Some(_), Some(_)) | (None, None) => {
                faults.push(Fault::Backends(name));
                None
            }
        };
        if let Some(backend) = backend {
            zones.push(ZoneConfig { rules, access, backend, file: options });
        }
    }
    zones
}

fn access(zone: &DnsName, read: &[String], write: &[String], faults: &mut Vec<Fault>) -> Access {
    let mut permits = |texts: &[String]| -> Vec<Permit> {
        let mut found = Vec::new();
        for text in texts {
            match Permit::parse(text) {
                Some(permit) => found.push(permit),
                None => faults.push(Fault::Permit { zone: zone.clone(), text: text.clone() }),
            }
        }
        found
    };
    let access = Access { read: permits(read), write: permits(write) };
    if access.read.is_empty() && access.write.is_empty() {
        faults.push(Fault::Nobody(zone.clone()));
    }
    access
}

impl RawUpdate {
    fn check(&self, zone: &DnsName, faults: &mut Vec<Fault>) -> Option<DnsClient> {
        let algorithm = match self.algorithm.as_str() {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            _ => {
                faults.push(Fault::Algorithm(zone.clone()));
                return None;
            }
        };
        let mut bad = |what: String| {
            faults.push(Fault::Secret { zone: zone.clone(), what });
            None
        };
        let secret = match secret(&self.secret_file) {
            Ok(secret) => secret,
            Err(what) => return bad(what),
        };
        let key = TsigKey { name: &self.key_name, algorithm, secret: &secret };
        match DnsClient::new(self.server, zone.as_str(), key, Arc::new(SystemClock)) {
            Ok(client) => Some(client),
            Err(error) => bad(error.to_string()),
        }
    }
}

/// The key in a file that only its owner can write.
fn secret(path: &Path) -> Result<Secret<Vec<u8>>, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(format!("{} can be written by everybody", path.display()));
    }
    let text = Secret::new(std::fs::read_to_string(path).map_err(unreadable)?);
    match BASE64.decode(text.expose().trim().as_bytes()) {
        Ok(bytes) if !bytes.is_empty() => Ok(Secret::new(bytes)),
        Ok(_) | Err(_) => Err(format!("{} does not hold a key in base64", path.display())),
    }
}

impl RawFile {
    fn check(self, zone: &DnsName, faults: &mut Vec<Fault>) -> Option<ZoneFileOptions> {
        let at = format!("zone {zone}");
        let mut name_servers = Vec::new();
        for server in self.name_servers {
            if let Some(name) = name(&at, &server.name, faults) {
                name_servers.push(NameServer { name, addresses: server.addresses });
            }
        }
        let is_bad = |server: &NameServer| server.name.is_within(zone) == server.addresses.is_empty();
        if name_servers.is_empty() || name_servers.iter().any(is_bad) {
            faults.push(Fault::NameServers(zone.clone()));
        }
        if self.reload.first().is_some_and(|program| !program.starts_with('/')) {
            faults.push(Fault::Reload(zone.clone()));
        }
        let contact = name(&at, &self.contact, faults)?;
        let (path, reload, server) = (self.path, self.reload, self.server);
        Some(ZoneFileOptions { path, zone: zone.clone(), name_servers, contact, reload, server })
    }
}
