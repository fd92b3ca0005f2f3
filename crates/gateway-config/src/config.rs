//! The checked configuration: what the rest of the program is given. Every value here has passed its
//! check; nothing here knows where a value came from except [`Config::sources`], kept for people.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gateway_services::{Environment, RawService, SecretRef};
use gateway_types::{NamedNetworks, Rate, Role, RoleSet, Secret};
use ipnet::IpNet;
use url::Url;

use crate::fault::Origin;
use crate::settings::Settings;
use crate::sinks::AuditSink;

/// Everything the gateway is told before it starts.
#[derive(Clone)]
pub struct Config {
    /// The public listener.
    pub listener: Listener,
    /// From where the gateway is used, and what networks are called.
    pub network: Networks,
    /// The second listener (metrics, readiness). Always loopback or a private address.
    pub admin_listener: SocketAddr,
    /// Where the gateway keeps its own files.
    pub data_dir: PathBuf,
    /// `postgres://…` or `sqlite://…`. May hold a password: print [`masked_database_url`] instead.
    ///
    /// [`masked_database_url`]: crate::masked_database_url
    pub database_url: String,
    /// The rack behind the gateway.
    pub rack: Rack,
    /// Where the rack is offered.
    pub proxy: Proxy,
    /// Changes to the table of rack routes.
    pub routes: Routes,
    /// Directory of further Cedar policies (`*.cedar`).
    pub policy_dir: Option<PathBuf>,
    /// Settings given here; the database's own values come before them.
    pub settings: Settings,
    /// People who get a role when they are first seen.
    pub users: Users,
    /// Identity providers.
    pub identity: Identity,
    /// How people are mailed.
    pub mail: Mail,
    /// Services behind the gateway, each checked and all together.
    pub services: Vec<RawService>,
    /// Where `vault:` references lead; `None` = nowhere.
    pub vault: Option<Vault>,
    /// What of AWS is the gateway's to say; the rest is in the environment.
    pub aws: Aws,
    /// Who checks what YubiKeys type; `None` = nobody, and they are no second factor.
    pub yubico: Option<Yubico>,
    /// Who else is asked about deploys, and told of them.
    pub integrations: Integrations,
    /// Where entries of the audit log go besides the log.
    pub audit_sinks: Vec<AuditSink>,
    /// Where its checkpoints are kept besides the log.
    pub audit_anchors: Anchors,
    /// The compose file whose labels ask for services; `None` = none is watched.
    pub compose_file: Option<PathBuf>,
    /// At what the gateway itself looks, whether it answers past the gateway.
    pub probe: Probe,
    /// Who is told what took how long in a request; `None` = nobody.
    pub traces: Option<Traces>,
    /// The environment, for `env:` references of services, which are followed when they are needed.
    pub environment: Environment,
    /// The key that seals secrets at rest; `None` = make one and keep it.
    pub app_secret_key: Option<Secret<String>>,
    /// What is not secret in an app's environment.
    pub secrets: Secrets,
    /// Sizes, times and rates.
    pub limits: Limits,
    /// The program's own log (not the audit log).
    pub log: Log,
    /// Every key with its value (secrets masked), where it came from and its default.
    pub sources: Vec<Explained>,
    /// What is allowed but should be said at start.
    pub warnings: Vec<Warning>,
}

impl fmt::Debug for Config {
    /// Prints the masked values only: the database URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sources.iter().map(|entry| (&entry.key, &entry.value))).finish()
    }
}

/// Where checkpoints of the audit log are kept besides the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchors {
    /// A directory for small files; `None` = none are kept in files.
    pub directory: Option<PathBuf>,
    /// Whoever is posted to; `None` = nobody.
    pub webhook: Option<AnchorWebhook>,
    /// A bucket of S3 with Object Lock; `None` = none are kept there.
    pub bucket: Option<AnchorBucket>,
    /// How often, besides the start and the stop.
    pub interval: Duration,
}

/// The bucket in which checkpoints are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnchorBucket {
    /// Its name.
    pub bucket: String,
    /// What the names of objects begin with. May be empty.
    pub prefix: String,
    /// Its region; `None` = the gateway's at AWS.
    pub region: Option<String>,
    /// For how long an object cannot be removed.
    pub retention: Duration,
    /// The key of KMS under which objects are sealed; `None` = as the bucket has it.
    pub kms_key: Option<String>,
}

/// Who gets checkpoints.
#[derive(Clone, PartialEq, Eq)]
pub struct AnchorWebhook {
    /// The address. May hold a token.
    pub url: Url,
    /// What posts are signed with.
    pub key: Secret<Vec<u8>>,
}

impl fmt::Debug for AnchorWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnchorWebhook").finish_non_exhaustive()
    }
}

/// The public listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Addresses to bind, at least one, all with the same port. Port 0 = any free one.
    pub addresses: Vec<SocketAddr>,
    /// How TLS is done.
    pub tls: Tls,
    /// The gateway's public host name, lower-case, without port.
    pub domain: Option<String>,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto`, or `Forwarded`, are believed. May be empty: nobody's.
    pub trusted_forwarders: Vec<IpNet>,
    /// Peers whose connections begin with a PROXY header. May be empty: nobody's.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Whether HTTP/2 is spoken without TLS to whoever begins so.
    pub h2c: bool,
    /// The port, of the same addresses, that answers HTTP-01 challenges and sends everybody else to HTTPS;
    /// `None` = there is none. 0 = any free one.
    pub http_port: Option<u16>,
    /// Clients are asked for a certificate; they need not have one.
    pub client_certificates: bool,
}

/// How the public listener does TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tls {
    /// Not at all: a router in front ends it.
    Off,
    /// With certificates from files, at least one; the first is the default.
    Files(Vec<CertificateFiles>),
    /// With certificates that an ACME server issues.
    Acme(Box<Acme>),
}

/// A certificate and its key, each a PEM file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// The chain, the leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// An ACME server (RFC 8555), and how names are proved to it. Its terms have been accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acme {
    /// Where its directory is; `https`, or `http` on loopback.
    pub directory: Url,
    /// A PEM file of the only authorities that may have signed the server's own certificate.
    pub ca_file: Option<PathBuf>,
    /// An e-mail address that the server may write to.
    pub contact: Option<String>,
    /// The account that the server's operator knows the gateway by already.
    pub external_account: Option<ExternalAccount>,
    /// How names are proved.
    pub challenge: AcmeChallenge,
}

/// External account binding (RFC 8555, section 7.3.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExternalAccount {
    /// The account's key id.
    pub key_id: String,
    /// The account's HMAC key.
    pub key: Secret<Vec<u8>>,
}

/// How names are proved to an ACME server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AcmeChallenge {
    /// TLS-ALPN-01, and HTTP-01 after it failed, in turn.
    InTurn,
    /// Over TLS on port 443 (RFC 8737).
    TlsAlpn01,
    /// Over HTTP on port 80 (RFC 8555, section 8.3).
    Http01,
    /// By TXT records (RFC 8555, section 8.4) that are written by dynamic updates.
    Dns01(DnsUpdate),
}

/// A DNS server that takes dynamic updates (RFC 2136) signed with TSIG (RFC 8945).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsUpdate {
    /// The server, an authority of the zone.
    pub server: SocketAddr,
    /// The zone, without a dot at its end.
    pub zone: String,
    /// The name of the TSIG key.
    pub key_name: String,
    /// The TSIG key's algorithm.
    pub algorithm: TsigAlgorithm,
    /// The TSIG key.
    pub secret: Secret<Vec<u8>>,
}

/// An algorithm of TSIG.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// The rack behind the gateway.
#[derive(Clone, Debug)]
pub struct Rack {
    /// `http` or `https`, host and port; the path is `/`; no credentials, query or fragment.
    pub url: Url,
    /// User name of the rack's Basic credential.
    pub username: String,
    /// The rack's password, which no caller ever sees; empty until Vault or AWS was asked, when it is kept there.
    pub token: Secret<String>,
    /// Where it is kept, when it is somewhere that can change while the gateway runs.
    pub token_from: Option<SecretRef>,
    /// Whether requests are signed with short-lived tokens of the least role in place of the password.
    pub tokens: bool,
    /// How the rack's certificate is checked.
    pub tls: UpstreamTls,
    /// The rack's name for people.
    pub name: String,
}

/// How the rack's certificate is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UpstreamTls {
    /// Against the machine's own list of authorities.
    SystemRoots,
    /// Against the authorities in this PEM file, and no others.
    CaFile(PathBuf),
    /// The leaf certificate must have this fingerprint; names and authorities are not looked at.
    Pinned {
        /// SHA-256 of the DER-encoded leaf certificate.
        sha256: [u8; 32],
    },
    /// The first leaf certificate seen is kept and demanded from then on.
    TrustOnFirstUse,
}

/// Where the rack is offered, besides [`Proxy::PREFIX`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proxy {
    /// Host names (lower-case, without port) on which `/` is the rack.
    pub hosts: Vec<String>,
}

impl Proxy {
    /// The prefix under which every host of the gateway offers the rack.
    pub const PREFIX: &'static str = "/api/v1/rack-proxy";
}

/// Changes to the table of rack routes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routes {
    /// Further rows in the ten tab-separated columns of `routes.tsv`, each ended by a newline, without
    /// a header line; empty when there are none.
    pub extra_rows: String,
    /// Actions of `refused` rows that are switched on, without the `convox:` prefix (`rack:mint_jwt`).
    pub switched_on: Vec<String>,
}

/// People who get a role when they are first seen. The lists never reset a person edited since.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Users {
    /// Canonical addresses of `ADMIN_USERS`.
    pub admin: Vec<String>,
    /// Canonical addresses of `DEPLOYER_USERS`.
    pub deployer: Vec<String>,
    /// Canonical addresses of `OPERATIONS_USERS`.
    pub operations: Vec<String>,
    /// Canonical addresses of `VIEWER_USERS`.
    pub viewer: Vec<String>,
}

impl Users {
    /// Each list with the role it gives.
    pub fn lists(&self) -> [(Role, &[String]); 4] {
        [
            (Role::Admin, &self.admin),
            (Role::Deployer, &self.deployer),
            (Role::Ops, &self.operations),
            (Role::Viewer, &self.viewer),
        ]
    }

    /// The roles the lists give to a canonical address; empty when no list has it.
    pub fn roles_of(&self, canonical_email: &str) -> RoleSet {
        self.lists()
            .into_iter()
            .filter(|(_, list)| list.iter().any(|email| email == canonical_email))
            .map(|(role, _)| role)
            .collect()
    }
}

/// Identity providers.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// OpenID Connect providers, in the order they are offered.
    pub providers: Vec<OidcProvider>,
}

/// What an identity provider speaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProviderKind {
    /// OpenID Connect.
    Oidc,
    /// GitHub's OAuth, beside its API.
    GitHub {
        /// The API's base address, without a slash at its end.
        api_url: String,
    },
}

/// An identity provider.
#[derive(Clone, Debug)]
pub struct OidcProvider {
    /// Its name in URLs (`/auth/callback/NAME`).
    pub name: String,
    /// What people read on its button; `None` = its name.
    pub title: Option<String>,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Its issuer, exactly as it stands in its tokens. Of GitHub, the address of its pages.
    pub issuer: String,
    /// The client id it gave the gateway.
    pub client_id: String,
    /// The client secret it gave the gateway.
    pub client_secret: Secret<String>,
    /// Domains (lower-case) whose people may sign in unlisted; empty = only listed or invited people.
    pub allowed_domains: Vec<String>,
    /// Groups of which one must be a member to sign in, by exact name; empty = nobody need be. Who is may sign in
    /// unlisted. Of GitHub: organizations, and `organization/team`, in lower case.
    pub allowed_groups: Vec<String>,
    /// Whether it is asked again while a person's sessions last.
    pub refresh: bool,
    /// The claim of its ID tokens that says that the address is verified, where it is not `email_verified`.
    pub email_verified_claim: Option<String>,
    /// The claim of its ID tokens that holds a person's groups; `None` = groups are not looked at.
    pub groups_claim: Option<String>,
    /// The role that a group gives, by the group's exact name.
    pub role_map: BTreeMap<String, Role>,
}

/// Who checks the one-time passwords that YubiKeys type.
#[derive(Clone, Debug)]
pub struct Yubico {
    /// The number that the validation server knows this gateway by.
    pub client_id: u64,
    /// What both sign with.
    pub key: Secret<Vec<u8>>,
    /// Address of its `verify`.
    pub url: String,
}

/// Who else is asked about deploys, and told of them. Addresses are known here alone: a credential that somebody gives
/// the gateway while it runs is sent nowhere else.
#[derive(Clone, Debug)]
pub struct Integrations {
    /// GitHub.
    pub github: GitHub,
    /// CircleCI.
    pub circleci: CircleCi,
    /// Slack.
    pub slack: Slack,
    /// Whose attestations are believed; `None` = nobody's.
    pub attestations: Option<Attestations>,
}

/// Whose attestations of builds are believed.
#[derive(Clone, Debug)]
pub struct Attestations {
    /// Certificates of the authority, in PEM.
    pub authority: Secret<String>,
    /// Public key of its transparency log, in PEM.
    pub log_key: Secret<String>,
    /// Who vouches for builders.
    pub issuer: String,
}

/// A CircleCI, and with what it is asked.
#[derive(Clone, Debug)]
pub struct CircleCi {
    /// Where it is.
    pub host: Url,
    /// The token; `None` = none of its jobs is approved.
    pub token: Option<Secret<String>>,
}

/// A Slack, and as which app it is told.
#[derive(Clone, Debug)]
pub struct Slack {
    /// Its web API.
    pub api: Url,
    /// The app's credentials; `None` = nobody is told there.
    pub access: Option<SlackAccess>,
}

/// The credentials of a Slack app.
#[derive(Clone, Debug)]
pub struct SlackAccess {
    /// With what it speaks.
    pub bot_token: Secret<String>,
    /// What shows that a request is Slack's.
    pub signing_secret: Secret<String>,
}

/// A GitHub, and as who it is asked.
#[derive(Clone, Debug)]
pub struct GitHub {
    /// Its API.
    pub api: Url,
    /// As who; `None` = it is not asked, and an app that is bound to a repository cannot be deployed by approval.
    pub access: Option<GitHubAccess>,
}

/// As who GitHub is asked.
#[derive(Clone, Debug)]
pub enum GitHubAccess {
    /// With this token.
    Token(Secret<String>),
    /// As a GitHub App, with tokens of an hour.
    App {
        /// Its number.
        id: u64,
        /// The number of its installation.
        installation: u64,
        /// Its private key, in PEM.
        key: Secret<String>,
    },
}

/// How people are mailed.
#[derive(Clone, Debug, Default)]
pub enum Mail {
    /// Not at all.
    #[default]
    Off,
    /// By an SMTP server.
    Smtp {
        /// Canonical address of the sender.
        from: String,
        /// The server.
        server: SmtpServer,
    },
    /// By Postmark's HTTP API.
    Postmark {
        /// Canonical address of the sender.
        from: String,
        /// The account.
        account: Postmark,
    },
}

/// An SMTP server that takes mail for delivery.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// Host name or IP address (without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is kept private.
    pub tls: SmtpTls,
    /// With what the gateway signs in there; `None` = not at all.
    pub credentials: Option<SmtpCredentials>,
}

/// What the gateway signs in to an SMTP server with.
#[derive(Clone, Debug)]
pub struct SmtpCredentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret<String>,
}

/// How a connection to an SMTP server is kept private.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SmtpTls {
    /// The server must offer STARTTLS before anything is said.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Not at all: for a server on this machine.
    Off,
}

/// An account at Postmark.
#[derive(Clone, Debug)]
pub struct Postmark {
    /// The server token.
    pub token: Secret<String>,
    /// Where the API is; `https`, or `http` on loopback; the path is `/`.
    pub api_base: Url,
    /// The message stream.
    pub stream: String,
}

/// What of AWS is the gateway's to say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Aws {
    /// The region of requests that name none.
    pub region: Option<String>,
    /// A role that is taken on.
    pub assume_role: Option<String>,
    /// What its trust policy asks for.
    pub external_id: Option<String>,
}

/// Where Vault is and how the gateway signs in there.
#[derive(Clone, Debug)]
pub struct Vault {
    /// Scheme, host and port, without a slash at the end.
    pub address: String,
    /// The token.
    pub token: VaultToken,
    /// Namespace in Vault Enterprise.
    pub namespace: Option<String>,
}

/// The token for Vault.
#[derive(Clone, Debug)]
pub enum VaultToken {
    /// It.
    Value(Secret<String>),
    /// The file that holds it now.
    File(PathBuf),
}

/// What is not secret in an app's environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secrets {
    /// Names of environment keys that are shown: exact, or with one `*` at the start or the end.
    pub plain_env_keys: Vec<String>,
}

/// At what the gateway itself looks, whether it answers past the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// How often; zero = never.
    pub interval: Duration,
    /// Whose ports; `None` = only services in the trust zone are looked at.
    pub ports: Option<ProbedPorts>,
}

/// Ports of which only the declared ones may answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbedPorts {
    /// The manifest that declares them.
    pub manifest: PathBuf,
    /// Names or addresses of the machines; at least one.
    pub hosts: Vec<String>,
}

/// A collector of traces.
#[derive(Clone, PartialEq, Eq)]
pub struct Traces {
    /// Its base address; `/v1/traces` follows.
    pub url: Url,
    /// Of how many of a million requests that went well it is told.
    pub per_million: u32,
    /// A header that it wants, and its value.
    pub header: Option<(String, Secret<String>)>,
    /// What its certificate is checked against; `None` = what the operating system trusts.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for Traces {
    /// Prints the share alone: an address may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("per_million", &self.per_million).finish_non_exhaustive()
    }
}

/// Sizes, times and rates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest request head (request line and headers).
    pub head_size_bytes: usize,
    /// Largest form or JSON body that is read into memory.
    pub form_size_bytes: usize,
    /// How long a client may take to send a request head.
    pub head_timeout: Duration,
    /// How long connecting to the rack may take.
    pub rack_connect_timeout: Duration,
    /// How often the rack is compared with the audit log; zero = never.
    pub sentinel_interval: Duration,
    /// How long open requests may go on after the gateway was told to stop.
    pub drain_timeout: Duration,
    /// How long a gateway that is to stop still takes new requests, so that balancers stop sending first.
    pub drain_notice: Duration,
    /// How long open sockets may go on when no supervisor waits: drained by command, or the listener handed over.
    pub hand_over_timeout: Duration,
    /// How long a credential may be answered from memory while the database cannot be asked.
    pub known_callers_timeout: Duration,
    /// How long a client may pause while it sends a body.
    pub body_timeout: Duration,
    /// The least bytes per second of a body; 0 = any.
    pub body_bytes_per_second: u32,
    /// How long a client may leave a reply unread.
    pub send_timeout: Duration,
    /// How long a connection may stay open between two requests.
    pub idle_timeout: Duration,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// TLS handshakes that may be unfinished at one time.
    pub handshakes: usize,
    /// Connections open at one time, all clients together.
    pub connections: usize,
    /// Connections open at one time from one address.
    pub connections_per_address: u32,
    /// Requests that one HTTP/2 connection may have open at one time.
    pub http2_streams: u32,
    /// Requests of one address, whatever its credential.
    pub address: Rate,
    /// Requests of one address to sign in, and about second factors.
    pub sign_in: Rate,
    /// Requests of one caller, of all classes together.
    pub caller: Rate,
    /// Requests of one caller of class *reveal*.
    pub reveal: Rate,
    /// Requests of one caller of class *change* or *critical*.
    pub change: Rate,
    /// Requests of one caller of class *execute*.
    pub execute: Rate,
    /// Requests that one caller may have open at one time.
    pub concurrent_requests: u32,
    /// Requests that one address may have open at one time.
    pub address_concurrent_requests: u32,
    /// Sockets that one caller may have open at one time.
    pub sockets: u32,
}

/// From where the gateway is used, and what networks are called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks {
    /// From here alone; empty = from everywhere.
    pub allow: Vec<IpNet>,
    /// Never from here.
    pub deny: Vec<IpNet>,
    /// Names that policy knows networks by.
    pub named: NamedNetworks,
}

/// The program's own log (not the audit log).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// Which lines are written, in the `tracing` filter syntax.
    pub filter: String,
}

/// How log lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// One key as `config explain` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explained {
    /// Its name in the file, or the variable's for a value that has no place in the file.
    pub key: String,
    /// Its environment variable.
    pub variable: Option<String>,
    /// The value, `(hidden)` for a secret; `None` when there is none.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// The default, when there is one.
    pub default: Option<String>,
}

/// What is allowed but should be said at start.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Warning {
    /// A secret's file can be read by every user of the machine.
    #[error("{key}: every user of this machine can read {path}; run `chmod o-r {path}`", path = path.display())]
    SecretFileWorldReadable {
        /// The key whose value it is.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// The rack is reached without TLS over a network.
    #[error(
        "rack.host: {host} is reached without TLS, so the rack's token crosses the network in the clear; write https://"
    )]
    RackWithoutTls {
        /// The rack's host.
        host: String,
    },
    /// A service shares the origin of the gateway's own pages.
    #[error(
        "service.{service}: at a prefix of the gateway's own host it shares the origin of the gateway's pages, so whoever controls it can read them in its visitors' name; give it `hosts` unless you trust it like the gateway"
    )]
    ServiceSharesOrigin {
        /// The service.
        service: String,
    },
    /// TLS is off on an address other machines can reach.
    #[error(
        "listener.tls: TLS is off on {address}; a router in front must end it and send `X-Forwarded-Proto: https` from one of listener.trusted_forwarders"
    )]
    ListenerWithoutTls {
        /// The address.
        address: SocketAddr,
    },
    /// With TLS off, every neighbour is believed about where clients are.
    #[error(
        "listener.trusted_forwarders: with TLS off and no list given, every address of {networks} is believed about the client's address and about TLS; list the address of the router in front alone, or [] for nobody"
    )]
    ForwardersByDefault {
        /// The networks, joined by commas.
        networks: String,
    },
}
