//! A service as an operator writes it: `[[service]]` in the configuration file, or JSON at the API. Both
//! are this one shape; an unknown field is an error.

use std::collections::BTreeMap;

use gateway_types::{Class, Role};
use serde::{Deserialize, Serialize};

/// A service as declared.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawService {
    /// Its name in addresses, actions (`service:NAME:read`) and the log: `[a-z0-9-]`, 1 to 40 characters.
    pub name: String,
    /// Its name for people; the name when it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What is spoken with it.
    pub kind: RawKind,
    /// Host names, without port, that are this service's alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// A path prefix, `/grafana`: on its hosts, or, without hosts, on the gateway's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the prefix is taken away before the request goes on.
    pub strip_prefix: bool,
    /// Where it is: one or more addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<RawUpstream>,
    /// Where the addresses of its instances come from.
    #[serde(skip_serializing_if = "RawInstances::is_declared")]
    pub instances: RawInstances,
    /// The DNS record that names them, for `instances = "srv"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srv: Option<RawSrv>,
    /// What HTTP is spoken to the upstreams.
    pub protocol: RawProtocol,
    /// What the upstreams are told in `Host`.
    pub host: RawHost,
    /// Whose word counts about who the upstreams are.
    #[serde(skip_serializing_if = "RawTrust::is_authorities")]
    pub trust: RawTrust,
    /// PEM file of the only authorities that may have signed the upstreams' certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// SHA-256 fingerprint of the upstreams' certificate, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_fingerprint: Option<String>,
    /// Active health checks; without it only what requests experience counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<RawHealth>,
    /// How long connecting may take, as `5s`; 10 s when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<String>,
    /// How long the head of a reply may take, as `60s`; not limited when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_timeout: Option<String>,
    /// The largest request body, in bytes; not limited when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_size_bytes: Option<u64>,
    /// The lowest role that may use what no route says otherwise.
    pub role: RawRole,
    /// Whether paths that no route names are passed on; when it is not given: only if there is no route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<bool>,
    /// The second factor that unsafe methods of the tail, sockets and tunnels ask of people.
    pub step_up: RawStepUp,
    /// Whether WebSockets may be opened where no route says so.
    pub websocket: bool,
    /// How the service is told who calls.
    pub identity: RawIdentity,
    /// The audience of request tokens; the name when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// What the gateway signs in to the service with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<RawCredential>,
    /// Origins whose pages may call the service from browsers, exactly as browsers send them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cors_origins: Vec<String>,
    /// Issuers whose access tokens are taken beside the gateway's own credentials.
    #[serde(rename = "issuer", skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<RawIssuer>,
    /// The header that names a version, beside the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_header: Option<String>,
    /// The version of requests that name none; without it they are refused when there are versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_version: Option<String>,
    /// Versions of its API.
    #[serde(rename = "version", skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<RawVersion>,
    /// What is done to headers of replies.
    #[serde(skip_serializing_if = "RawHeaderRules::is_empty")]
    pub response_headers: RawHeaderRules,
    /// Requests per second of one caller to this service, beside the gateway's own limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// Requests that one caller may send at once before that rate counts; as many as in a second when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_burst: Option<u32>,
    /// Path of the service's OpenAPI document, below its prefix; shown, and importable as routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openapi: Option<String>,
    /// Routes: what is allowed by name.
    #[serde(rename = "route", skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RawRoute>,
}

/// What is spoken with a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawKind {
    /// HTTP, gRPC and WebSockets among it.
    #[default]
    Http,
    /// Bytes over TCP, through `rack-gateway tunnel`.
    Tcp,
}

/// Where the addresses of a service's instances come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawInstances {
    /// From `upstreams`.
    #[default]
    Declared,
    /// From the members of the trust zone that are registered as the service is called, which say themselves where they
    /// are. Everything else is the declaration's.
    Registered,
    /// From a DNS SRV record, which is looked up again and again (`srv`). Everything else is the declaration's.
    Srv,
}

impl RawInstances {
    fn is_declared(&self) -> bool {
        matches!(self, RawInstances::Declared)
    }
}

/// A DNS SRV record (RFC 2782) that names the instances of a service.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawSrv {
    /// Its name, `_wiki._tcp.corp.internal`.
    pub name: String,
    /// Name servers, `ADDRESS:PORT`, asked over TCP one after the other until one answers; those of the machine when none is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    /// What is spoken with instances; `https` in the zone, `tcp` for kind `tcp`, `http` elsewhere when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<RawScheme>,
    /// Networks that instances may be in, `10.0.0.0/8`; everywhere but this machine and its own link when none is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}

/// What is spoken with instances that were looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawScheme {
    /// HTTP without TLS.
    Http,
    /// HTTP over TLS.
    Https,
    /// Bytes over TCP.
    Tcp,
}

/// Whose word counts about who the upstreams are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawTrust {
    /// Certificate authorities: the machine's, or those of `ca_file`; or `cert_fingerprint`.
    #[default]
    Authorities,
    /// The trust zone's: the upstream is exactly the member `svc/NAME`, wherever it is, and the gateway shows that it
    /// is the gateway. `aud` of request tokens is that member's id.
    Zone,
}

impl RawTrust {
    fn is_authorities(&self) -> bool {
        matches!(self, RawTrust::Authorities)
    }
}

/// The HTTP that is spoken to upstreams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: by prior knowledge without TLS, by ALPN with it. What gRPC needs.
    Http2,
}

/// What upstreams are told in `Host`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawHost {
    /// The upstream's own host and port.
    #[default]
    Upstream,
    /// What the client asked for; `X-Forwarded-Host` says it in either case.
    Keep,
}

/// The role that a service asks for by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawRole(pub Role);

impl Default for RawRole {
    fn default() -> Self {
        Self(Role::Viewer)
    }
}

/// The second factor that is asked of people.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawStepUp {
    /// None.
    #[default]
    None,
    /// One within the window.
    Window,
    /// One for this very request.
    Bound,
}

/// How the service is told who calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawIdentity {
    /// By a signed request token in `Gateway-Token`.
    #[default]
    Token,
    /// By `X-Gateway-User`, `-Email`, `-Roles` and so on, for programs that cannot check a token.
    Headers,
    /// Not at all.
    None,
}

/// One address of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUpstream {
    /// `http://host:port` or `https://host`; `tcp://host:port` for kind `tcp`. Without path.
    pub url: String,
    /// Its share of requests; 1 when it is not given, 0 takes no new ones (drain).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The version that it serves; all when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Active health checks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHealth {
    /// The path that is asked for; any 2xx or 3xx is healthy.
    pub path: String,
    /// How often, as `10s`; 10 s when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
}

/// What the gateway signs in to a service with. Secrets are references: `env:NAME`, `file:/path` or
/// `vault:mount/path#key`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawCredential {
    /// Which kind.
    pub kind: RawCredentialKind,
    /// User name, or client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password, token, header value or client secret: a reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Name of the header, for kind `header`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Token endpoint, for `client_credentials` and `token_exchange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Scope asked for there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Audience asked for there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// PEM file of a client certificate, for kind `certificate`; `secret` is then `file:` and its key's PEM file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// The kind of a service's credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawCredentialKind {
    /// None.
    #[default]
    None,
    /// HTTP Basic.
    Basic,
    /// A bearer token.
    Bearer,
    /// A header of its own.
    Header,
    /// OAuth 2.0 client credentials (RFC 6749, section 4.4).
    ClientCredentials,
    /// OAuth 2.0 token exchange of the request token (RFC 8693).
    TokenExchange,
    /// A TLS client certificate.
    Certificate,
}

/// An issuer whose access tokens are taken (RFC 9068).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawIssuer {
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`, exactly.
    pub audience: String,
    /// Where its keys are; found by discovery when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// The role that such a caller has.
    pub role: Role,
}

/// A version of a service's API.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawVersion {
    /// Its name: the first segment below the prefix (`v1`), or the header's value.
    pub name: String,
    /// Since when it is deprecated: `2026-01-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<String>,
    /// When it ends: `2027-01-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset: Option<String>,
}

/// What is done to headers of replies.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawHeaderRules {
    /// Names that are taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Names and values that are set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
}

impl RawHeaderRules {
    fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }
}

/// One route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    /// `GET`, `POST`, …, or `SOCKET` for a WebSocket.
    pub method: String,
    /// Below the prefix: `/orders/{id}`, `/files/{path*}`.
    pub path: String,
    /// The action's last part: `order:read` becomes `service:NAME:order:read`. `read` or `change` when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Its class; `read` for GET and HEAD, `change` for other methods when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The lowest role that may; the service's when it is not given. Not for class `open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The second factor asked of people; the service's for classes above `read` when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<RawStepUp>,
    /// Whether machines with the `cicd` role may.
    #[serde(default)]
    pub cicd: bool,
    /// Requests per second of one caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u32>,
    /// Requests that one caller may send at once before that rate counts; as many as in a second when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_burst: Option<u32>,
    /// The largest request body, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_size_bytes: Option<u64>,
}
