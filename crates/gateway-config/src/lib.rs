//! Raw configuration to checked configuration; every environment variable is one documented constant.
//!
//! [`keys`] is the table of everything that can be configured: start reading there. [`load()`] is the one
//! place that reads the process environment and the disk; [`parse()`] is pure and reports every fault at
//! once. Nothing here opens a socket or a database, and nothing here knows what the values are used for.

pub mod config;
mod document;
pub mod duration;
pub mod email;
pub mod fault;
mod host;
pub mod keys;
pub mod load;
mod nearest;
pub mod parse;
mod providers;
pub mod reference;
mod resolver;
mod routes;
pub mod secret_ref;
mod sections;
pub mod settings;
pub mod sinks;

#[cfg(test)]
mod tests;

pub use config::{
    Acme, AcmeChallenge, AnchorBucket, AnchorWebhook, Anchors, Aws, CertificateFiles, CircleCi, Config,
    DnsUpdate, Explained, ExternalAccount, GitHub, GitHubAccess, Identity, Integrations, Limits, Listener,
    Log, LogFormat, Mail, OidcProvider, Postmark, Probe, ProbedPorts, ProviderKind, Proxy, Rack, Routes,
    Secrets, Slack, SlackAccess, SmtpCredentials, SmtpServer, SmtpTls, Tls, Traces, TsigAlgorithm,
    UpstreamTls, Users, Vault, VaultToken, Warning, Yubico,
};
pub use email::{EmailFault, canonical_email};
pub use fault::{ConfigFaults, Fault, FaultKind, Origin};
pub use ipnet::IpNet;
pub use keys::variables;
pub use load::{file_path, load, load_database, load_embedded, load_environment, load_hidden};
pub use parse::{Flags, Sources, parse, parse_database, parse_with};
pub use secret_ref::{NoSecretFiles, SecretFile, SecretFiles};
pub use sections::storage::{Database, masked_database_url};
pub use settings::{Setting, SettingFault, SettingKey, SettingScope, SettingValue, Settings};
pub use sinks::{
    AuditSink, SampleRule, SinkCompression, SinkFile, SinkStart, SinkTarget, SyslogServer, SyslogTransport,
};
pub use url::Url;
