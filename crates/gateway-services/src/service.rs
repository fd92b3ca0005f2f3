//! A checked service.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_types::{Operation, Rate};
use url::Url;

use crate::RESERVED_PREFIX;
use crate::discovery::{self, Srv};
use crate::fault::{FaultKind, Faults, ServiceFault};
use crate::path::{CanonicalPath, canonical_query};
use crate::raw::{
    RawCredentialKind, RawInstances, RawKind, RawProtocol, RawService, RawTrust, RawUpstream, RawVersion,
};
use crate::registration::Registered;
use crate::route::{self, Route, Tail};
use crate::way::{self, Way};

/// Paths of the gateway's own that no prefix may take.
const GATEWAY_ROOTS: [&str; 11] = [
    "api",
    "app",
    "auth",
    "device",
    "step-up",
    "login",
    "problems",
    ".well-known",
    "openapi.json",
    "log",
    "zone",
];

/// A service's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is spoken with a service.
#[derive(Clone, Debug)]
pub enum Kind {
    /// HTTP.
    Http,
    /// Bytes over TCP: one operation, to connect.
    Tcp {
        /// What policy decides about.
        connect: Arc<Operation>,
    },
}

/// The HTTP that is spoken to upstreams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// How an upstream's certificate is checked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum UpstreamTls {
    /// By the machine's certificate authorities.
    SystemRoots,
    /// By the authorities in this PEM file.
    CaFile(PathBuf),
    /// It must be exactly the certificate with this SHA-256 fingerprint.
    Pinned([u8; 32]),
    /// It must be the member of the trust zone that is called as the service is, at whatever address.
    Zone,
}

/// One address of a service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UpstreamAddress {
    /// Whether TLS is spoken.
    pub secure: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Its share of requests; 0 takes no new ones.
    pub weight: u32,
    /// Of several the lowest number comes first: others take requests only while none of it is well.
    pub priority: u16,
    /// The version that it serves; `None` = all.
    pub version: Option<String>,
}

impl UpstreamAddress {
    /// Whether a URL leads here, whatever its scheme says: proxies tell services another than they are asked with.
    pub(crate) fn is_at(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host == self.host && url.port_or_known_default() == Some(self.port)
    }

    /// `host`, and `:port` when it is not the scheme's own, as URLs and `Host` have it.
    pub fn host_header(&self) -> String {
        let is_usual = self.port == if self.secure { 443 } else { 80 };
        let authority = self.authority();
        match authority.rsplit_once(':') {
            Some((host, _)) if is_usual => host.to_owned(),
            Some(_) | None => authority,
        }
    }

    /// `host:port`, with brackets where they are needed.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// A checked service. Two services of the same declaration are the same.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Its name for people.
    pub title: String,
    /// What is spoken with it.
    pub kind: Kind,
    /// Its own hosts, in lower case.
    pub hosts: Vec<String>,
    /// Decoded segments of its prefix; empty = `/`.
    pub prefix: Vec<String>,
    /// Whether the prefix is taken away.
    pub strip_prefix: bool,
    /// Where it is.
    pub upstreams: Vec<UpstreamAddress>,
    /// The instances that registered themselves or were looked up, in the order of `upstreams`; empty where addresses are
    /// declared.
    pub registered: Vec<Registered>,
    /// Where instances are looked up; `None` where nobody looks.
    pub srv: Option<Srv>,
    /// What is spoken there.
    pub protocol: UpstreamProtocol,
    /// How its certificate is checked.
    pub tls: UpstreamTls,
    /// Routes, most literal first.
    pub routes: Vec<Route>,
    /// What is done with other paths; `None` = they do not exist.
    pub tail: Option<Tail>,
    /// Versions of its API.
    pub versions: Vec<RawVersion>,
    /// The version of requests that name none.
    pub default_version: Option<String>,
    /// How often one caller may ask.
    pub rate: Option<Rate>,
    /// The largest request body, in bytes.
    pub body_size_bytes: Option<u64>,
    /// The audience of request tokens.
    pub audience: String,
    /// How requests go there and what is done with replies.
    pub way: Way,
    /// The declaration: what is shown, and what has no form of its own here.
    pub raw: RawService,
}

impl Service {
    /// Checks a declaration.
    ///
    /// # Errors
    /// Every fault that there is.
    pub fn check(raw: RawService) -> Result<Self, Vec<ServiceFault>> {
        let mut faults = Faults::of(&raw.name);
        if !is_name(&raw.name) {
            faults.malformed(
                "name",
                &raw.name,
                "1 to 40 characters a-z, 0-9 and `-`, beginning with a letter",
            );
        }
        let hosts = hosts(&raw, &mut faults);
        let prefix = prefix(&raw, &mut faults);
        let upstreams = upstreams(&raw, &mut faults);
        let srv = discovery::srv(&raw, &mut faults);
        let tls = tls(&raw, &mut faults);
        let routes = route::routes(&raw, &mut faults);
        versions(&raw, &mut faults);
        let way = way::way(&raw, &mut faults);
        let rate = route::rate(raw.requests_per_second, raw.request_burst, "", &mut faults);
        place(&raw, &mut faults);
        openapi(&raw, &mut faults);
        let has_tail = raw.tail.unwrap_or(raw.routes.is_empty());
        if !faults.is_empty() {
            return Err(faults.into_found());
        }
        Ok(Self {
            name: ServiceName(raw.name.as_str().into()),
            title: if raw.title.is_empty() { raw.name.clone() } else { raw.title.clone() },
            kind: match raw.kind {
                RawKind::Http => Kind::Http,
                RawKind::Tcp => Kind::Tcp { connect: route::tunnel(&raw) },
            },
            hosts,
            prefix,
            strip_prefix: raw.strip_prefix,
            upstreams,
            registered: Vec::new(),
            srv,
            protocol: match raw.protocol {
                RawProtocol::Http1 => UpstreamProtocol::Http1,
                RawProtocol::Http2 => UpstreamProtocol::Http2,
            },
            tls,
            routes,
            tail: (has_tail && raw.kind == RawKind::Http).then(|| route::tail(&raw)),
            versions: raw.versions.clone(),
            default_version: raw.default_version.clone(),
            rate,
            body_size_bytes: raw.body_size_bytes,
            audience: raw.audience.clone().unwrap_or_else(|| raw.name.clone()),
            way,
            raw,
        })
    }

    /// Its prefix as it stands in a path, `/grafana`; empty when there is none.
    pub fn prefix_path(&self) -> String {
        match self.prefix.is_empty() {
            true => String::new(),
            false => CanonicalPath::of(self.prefix.clone()).to_string(),
        }
    }

    /// What its instances may say that they understand: its actions without `service:NAME:`.
    pub fn capabilities(&self) -> BTreeSet<String> {
        self.operations().iter().filter_map(|one| self.capability(one.action.as_str())).collect()
    }

    fn capability(&self, action: &str) -> Option<String> {
        let rest = action.strip_prefix("service:")?.strip_prefix(self.name.as_str())?;
        rest.strip_prefix(':').map(str::to_owned)
    }

    /// The instances that did not say that they understand this action: they never get a request of it.
    pub fn without(&self, action: &str) -> Vec<UpstreamAddress> {
        if self.registered.is_empty() {
            return Vec::new();
        }
        let capability = self.capability(action);
        let understands = |one: &&Registered| match (&one.capabilities, &capability) {
            (None, _) => true,
            (Some(known), Some(capability)) => known.contains(capability),
            (Some(_), None) => false,
        };
        let unfit = self.registered.iter().filter(|one| !understands(one));
        unfit.map(|one| one.address.clone()).collect()
    }

    /// Whether its instances register themselves.
    pub fn takes_registrations(&self) -> bool {
        self.raw.instances == RawInstances::Registered
    }

    /// Whether its instances come and go without a change of the declaration.
    pub fn has_moving_instances(&self) -> bool {
        self.raw.instances != RawInstances::Declared
    }

    /// The same service with these instances.
    pub(crate) fn with_registered(&self, registered: Vec<Registered>) -> Self {
        let upstreams = registered.iter().map(|one| one.address.clone()).collect();
        Self { upstreams, registered, ..self.clone() }
    }

    /// Every operation there is, each once.
    pub fn operations(&self) -> Vec<Operation> {
        let mut operations: Vec<Operation> =
            self.routes.iter().map(|route| route.operation.as_ref().clone()).collect();
        if let Some(tail) = &self.tail {
            operations.extend([tail.read.as_ref().clone(), tail.change.as_ref().clone()]);
            operations.extend(tail.socket.iter().map(|socket| socket.as_ref().clone()));
        }
        if let Kind::Tcp { connect } = &self.kind {
            operations.push(connect.as_ref().clone());
        }
        operations
    }
}

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn hosts(raw: &RawService, faults: &mut Faults) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for (index, host) in raw.hosts.iter().enumerate() {
        let lower = host.to_ascii_lowercase();
        let is_host = (1..=253).contains(&lower.len())
            && lower.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            });
        if !is_host {
            faults.malformed(format!("hosts[{index}]"), host, "a host name without scheme or port");
        } else if hosts.contains(&lower) {
            faults.add(format!("hosts[{index}]"), FaultKind::Twice { found: lower });
        } else {
            hosts.push(lower);
        }
    }
    hosts
}

fn prefix(raw: &RawService, faults: &mut Faults) -> Vec<String> {
    let Some(text) = &raw.prefix else { return Vec::new() };
    let wanted = "a path such as `/grafana`, without a slash at its end";
    match CanonicalPath::parse(text) {
        Ok(path) if path.to_string() == *text && !path.has_trailing_slash() => {
            let first = path.segments().first().map(String::as_str).unwrap_or_default();
            if path.segments().is_empty() && raw.hosts.is_empty() {
                faults.conflict(
                    "prefix",
                    "`/` of the gateway's own hosts is the gateway's: give `hosts`, or a longer prefix",
                );
            }
            if raw.hosts.is_empty() && GATEWAY_ROOTS.contains(&first) {
                faults.conflict(
                    "prefix",
                    format!("`/{first}` is the gateway's own: choose another prefix, or give `hosts`"),
                );
            }
            if text.starts_with(RESERVED_PREFIX) {
                faults.conflict("prefix", format!("`{RESERVED_PREFIX}` is the gateway's own on every host"));
            }
            path.segments().to_vec()
        }
        Ok(_) | Err(_) => {
            faults.malformed("prefix", text, wanted);
            Vec::new()
        }
    }
}

fn place(raw: &RawService, faults: &mut Faults) {
    match raw.kind {
        RawKind::Http if raw.hosts.is_empty() && raw.prefix.is_none() => {
            faults.add("hosts", FaultKind::Missing { wanted: "`hosts`, a `prefix`, or both" });
        }
        RawKind::Tcp if !raw.hosts.is_empty() || raw.prefix.is_some() || !raw.routes.is_empty() => {
            faults
                .conflict("kind", "a TCP service has no hosts, prefix or routes: it is reached by its name");
        }
        RawKind::Http | RawKind::Tcp => {}
    }
    if raw.strip_prefix && raw.prefix.is_none() {
        faults.conflict("strip_prefix", "there is no prefix to take away");
    }
}

fn openapi(raw: &RawService, faults: &mut Faults) {
    let Some(text) = &raw.openapi else { return };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let path = format!("/{}", path.trim_start_matches('/'));
    let is_path = CanonicalPath::parse(&path).is_ok_and(|parsed| parsed.to_string() == path);
    if !is_path || canonical_query(query).is_err() {
        faults.malformed("openapi", text, "a path below the service's prefix, such as `/openapi.json`");
    }
    if raw.kind == RawKind::Tcp {
        faults.conflict("openapi", "a TCP service has no OpenAPI document");
    }
}

fn upstreams(raw: &RawService, faults: &mut Faults) -> Vec<UpstreamAddress> {
    if raw.instances == RawInstances::Registered {
        if raw.trust != RawTrust::Zone || !raw.upstreams.is_empty() {
            faults.conflict(
                "instances",
                "members of the zone register: give `trust = \"zone\"` and no `upstreams`",
            );
        }
        return Vec::new();
    }
    if raw.instances == RawInstances::Srv {
        return Vec::new();
    }
    if raw.upstreams.is_empty() {
        faults.add(
            "upstreams",
            FaultKind::Missing { wanted: "at least one address, `{ url = \"http://10.0.0.5:3000\" }`" },
        );
    }
    let mut found: Vec<UpstreamAddress> = Vec::new();
    for (index, upstream) in raw.upstreams.iter().enumerate() {
        match address(raw.kind, upstream) {
            Some(address) => found.push(address),
            None => faults.malformed(
                format!("upstreams[{index}].url"),
                &upstream.url,
                "`http://host:port` or `https://host` (`tcp://host:port` for kind tcp) without path, user or query",
            ),
        }
        if let Some(version) = &upstream.version
            && !raw.versions.iter().any(|known| known.name == *version)
        {
            faults.conflict(
                format!("upstreams[{index}].version"),
                format!("there is no [[service.version]] `{version}`"),
            );
        }
    }
    found
}

fn address(kind: RawKind, upstream: &RawUpstream) -> Option<UpstreamAddress> {
    let url = Url::parse(&upstream.url).ok()?;
    let secure = match (kind, url.scheme()) {
        (RawKind::Http, "http") | (RawKind::Tcp, "tcp") => false,
        (RawKind::Http, "https") => true,
        (RawKind::Http | RawKind::Tcp, _) => return None,
    };
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default()?;
    is_bare.then_some(UpstreamAddress {
        secure,
        host,
        port,
        weight: upstream.weight.unwrap_or(1),
        priority: 0,
        version: upstream.version.clone(),
    })
}

fn tls(raw: &RawService, faults: &mut Faults) -> UpstreamTls {
    if raw.trust == RawTrust::Zone {
        let is_secure = raw.upstreams.iter().all(|upstream| upstream.url.starts_with("https://"));
        // What is spoken within TCP is not the gateway's business; around it is the zone's TLS.
        if raw.kind == RawKind::Http && !is_secure {
            faults.conflict("trust", "the zone is for upstreams with `https://`, or `tcp://` for kind tcp");
        }
        if raw.ca_file.is_some() || raw.cert_fingerprint.is_some() {
            faults.conflict(
                "trust",
                "the zone says who the upstream is; leave out `ca_file` and `cert_fingerprint`",
            );
        }
        let shows = raw
            .credential
            .as_ref()
            .is_some_and(|credential| credential.kind == RawCredentialKind::Certificate);
        if shows {
            faults.conflict("trust", "in the zone the gateway shows its own leaf; leave out the certificate");
        }
        return UpstreamTls::Zone;
    }
    match (&raw.ca_file, &raw.cert_fingerprint) {
        (None, None) => UpstreamTls::SystemRoots,
        (Some(path), None) => UpstreamTls::CaFile(path.into()),
        (None, Some(text)) => {
            let digits: String = text.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
            let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap_or_default();
            <[u8; 32]>::try_from(bytes).map_or_else(
                |_| {
                    faults.malformed("cert_fingerprint", text, "64 hexadecimal digits, colons allowed");
                    UpstreamTls::SystemRoots
                },
                UpstreamTls::Pinned,
            )
        }
        (Some(_), Some(_)) => {
            faults.conflict("cert_fingerprint", "give either `ca_file` or `cert_fingerprint`");
            UpstreamTls::SystemRoots
        }
    }
}

fn versions(raw: &RawService, faults: &mut Faults) {
    let mut seen: Vec<&str> = Vec::new();
    for (index, version) in raw.versions.iter().enumerate() {
        let is_name = (1..=32).contains(&version.name.len())
            && version.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !version.name.starts_with('.');
        if !is_name {
            faults.malformed(format!("version[{index}].name"), &version.name, "a name such as `v1`");
        }
        if seen.contains(&version.name.as_str()) {
            faults.add(format!("version[{index}].name"), FaultKind::Twice { found: version.name.clone() });
        }
        seen.push(&version.name);
    }
    if let Some(name) = &raw.default_version
        && !seen.contains(&name.as_str())
    {
        faults.conflict("default_version", format!("there is no [[service.version]] `{name}`"));
    }
}
