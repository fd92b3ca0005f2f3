//! From the three sources to a [`Config`], or to everything that is wrong with them. Nothing here
//! reads the process environment or the disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gateway_services::Environment;
use gateway_types::Secret;

use crate::config::Config;
use crate::document::Document;
use crate::fault::{ConfigFaults, Fault};
use crate::keys;
use crate::resolver::Resolver;
use crate::secret_ref::{NoSecretFiles, SecretFiles};
use crate::sections::storage::Database;
use crate::sections::{
    anchors, aws, integrations, mail, network, people, rack, running, services, settings, storage, traces,
    vault, yubico,
};
use crate::sinks;

/// Everything a configuration is made from.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file's path (for messages) and text.
    pub file: Option<(PathBuf, String)>,
    /// Environment variables; those that are not the gateway's are not looked at.
    pub environment: BTreeMap<String, String>,
    /// Command-line flags.
    pub flags: Flags,
}

/// The command-line flags that stand for keys. They come before the environment and the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// `--port`.
    pub port: Option<u16>,
    /// `--admin-port`.
    pub admin_port: Option<u16>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--database-url`.
    pub database_url: Option<String>,
}

impl Flags {
    fn texts(&self) -> BTreeMap<&'static str, String> {
        let texts = [
            (keys::PORT.flag, self.port.map(|port| port.to_string())),
            (keys::ADMIN_PORT.flag, self.admin_port.map(|port| port.to_string())),
            (keys::DATA_DIR.flag, self.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned())),
            (keys::DATABASE_URL.flag, self.database_url.clone()),
        ];
        texts.into_iter().filter_map(|(flag, text)| Some((flag?, text?))).collect()
    }
}

/// Checks the sources. `file:` references to secrets are faults here, because nothing is read from
/// the disk; [`parse_with`] takes a reader for them and [`load`](crate::load()) gives it the disk.
///
/// # Errors
/// [`ConfigFaults`]: every fault, not only the first.
pub fn parse(sources: Sources) -> Result<Config, ConfigFaults> {
    parse_with(sources, &NoSecretFiles)
}

/// Checks the sources, reading the files of secrets through `files`.
///
/// # Errors
/// [`ConfigFaults`]: every fault, not only the first.
pub fn parse_with(sources: Sources, files: &dyn SecretFiles) -> Result<Config, ConfigFaults> {
    resolve(sources, files, config)
}

/// Checks only where the gateway's data are: for the commands that work on the database alone
/// (`migrate`, `audit verify`), which need no rack. The rest of the file must still be valid TOML
/// with known keys.
///
/// # Errors
/// [`ConfigFaults`]: every fault of the keys `data_dir`, `database_url` and `app_secret_key` and of the
/// file's shape.
pub fn parse_database(sources: Sources, files: &dyn SecretFiles) -> Result<Database, ConfigFaults> {
    resolve(sources, files, storage::database)
}

/// Every secret that the sources have, for who must take them out of a text; also of sources with faults.
pub fn hidden(sources: Sources, files: &dyn SecretFiles) -> Vec<Secret<String>> {
    read(sources, files, |resolver| {
        let _whole_or_not = config(resolver);
        std::mem::take(&mut resolver.hidden)
    })
    .0
}

fn resolve<T>(
    sources: Sources,
    files: &dyn SecretFiles,
    section: impl FnOnce(&mut Resolver<'_>) -> Option<T>,
) -> Result<T, ConfigFaults> {
    match read(sources, files, section) {
        (Some(value), faults) if faults.is_empty() => Ok(value),
        (_, faults) => Err(ConfigFaults(faults)),
    }
}

/// What a section makes of the sources, and every fault.
fn read<T>(
    sources: Sources,
    files: &dyn SecretFiles,
    section: impl FnOnce(&mut Resolver<'_>) -> T,
) -> (T, Vec<Fault>) {
    let mut document =
        sources.file.as_ref().map(|(path, text)| Document::read(path, text)).unwrap_or_default();
    let shape_faults: Vec<Fault> = std::mem::take(&mut document.faults);
    let flags = sources.flags.texts();
    let mut resolver = Resolver {
        document: &document,
        environment: &sources.environment,
        flags: &flags,
        files,
        faults: shape_faults,
        warnings: Vec::new(),
        explained: Vec::new(),
        hidden: Vec::new(),
    };
    let value = section(&mut resolver);
    (value, resolver.faults)
}

/// Reads every section before it gives up on any.
fn config(resolver: &mut Resolver<'_>) -> Option<Config> {
    let database = storage::database(resolver);
    let policy_dir = storage::policy_dir(resolver);
    let proxy = network::proxy(resolver);
    let listener = network::listener(resolver, proxy.as_ref().map(|proxy| proxy.hosts.as_slice()));
    let networks = network::networks(resolver);
    let admin_listener = network::admin_listener(resolver);
    let rack = rack::rack(resolver);
    let routes = rack::routes(resolver);
    let users = people::users(resolver);
    let identity = people::identity(resolver);
    let mail = mail::mail(resolver, identity.as_ref());
    let secrets = running::secrets(resolver);
    let limits = running::limits(resolver);
    let log = running::log(resolver);
    let settings = settings::settings(resolver);
    let domain = listener.as_ref().and_then(|listener| listener.domain.as_deref());
    let services = services::services(resolver, domain);
    let vault = vault::vault(resolver);
    let aws = aws::aws(resolver);
    let yubico = yubico::yubico(resolver);
    let integrations = integrations::integrations(resolver);
    let audit_sinks = sinks::sinks(resolver);
    let audit_anchors = anchors::anchors(resolver);
    let compose_file = services::compose_file(resolver);
    let probe = running::probe(resolver);
    let traces = traces::traces(resolver);
    let environment = Environment::new(resolver.environment);
    let (listener, admin_listener, database) = (listener?, admin_listener?, database?);
    network::check_apart(resolver, &listener, admin_listener)?;
    Some(Config {
        listener,
        network: networks?,
        admin_listener,
        data_dir: database.data_dir,
        database_url: database.url,
        rack: rack?,
        proxy: proxy?,
        routes: routes?,
        policy_dir: policy_dir?,
        settings,
        users: users?,
        identity: identity?,
        mail: mail?,
        services: services?,
        vault: vault?,
        aws: aws?,
        yubico: yubico?,
        integrations: integrations?,
        audit_sinks: audit_sinks?,
        audit_anchors: audit_anchors?,
        compose_file: compose_file?,
        probe: probe?,
        traces: traces?,
        environment,
        app_secret_key: database.app_secret_key,
        secrets: secrets?,
        limits: limits?,
        log: log?,
        sources: std::mem::take(&mut resolver.explained),
        warnings: std::mem::take(&mut resolver.warnings),
    })
}
