//! The one place that reads the process environment and the disk.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gateway_services::Environment;
use gateway_types::Secret;

use crate::config::Config;
use crate::fault::{ConfigFaults, Fault, FaultKind, Origin};
use crate::keys::variables;
use crate::parse::{Flags, Sources, hidden, parse_database, parse_with};
use crate::secret_ref::{SecretFile, SecretFiles};
use crate::sections::storage::Database;

/// The file that is read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "rack-gateway.toml";

/// Reads the file (`config_path`, else the one RACK_GATEWAY_CONFIG names, else `./rack-gateway.toml` if
/// it exists) and the environment, and checks them together with the flags.
///
/// # Errors
/// [`ConfigFaults`]: every fault, not only the first; a named file that cannot be read is one.
pub fn load(config_path: Option<PathBuf>, flags: Flags) -> Result<Config, ConfigFaults> {
    parse_with(sources(config_path, flags)?, &Disk)
}

/// The file that [`load()`] reads, whether or not it exists.
pub fn file_path(config_path: Option<&Path>) -> PathBuf {
    let from_environment = || {
        let (environment, _faults) = environment();
        environment.get(variables::RACK_GATEWAY_CONFIG).map(PathBuf::from)
    };
    config_path.map(Path::to_owned).or_else(from_environment).unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))
}

/// As [`load()`], for the commands that work on the database alone: only `data_dir`, `database_url` and
/// `app_secret_key` are checked.
///
/// # Errors
/// [`ConfigFaults`]: every fault of those keys and of the file's shape.
pub fn load_database(config_path: Option<PathBuf>, flags: Flags) -> Result<Database, ConfigFaults> {
    parse_database(sources(config_path, flags)?, &Disk)
}

/// Every secret of the configuration that [`load()`] reads, for who must take them out of a text; also of one with faults.
pub fn load_hidden(config_path: Option<PathBuf>, flags: Flags) -> Vec<Secret<String>> {
    sources(config_path, flags).map(|sources| hidden(sources, &Disk)).unwrap_or_default()
}

/// The environment alone, for a command that asks others with what is in it.
pub fn load_environment() -> Environment {
    let (environment, _faults) = environment();
    Environment::new(&environment)
}

/// For a program that brings its own parties (`demo`): no file is read, and each variable in `provided`
/// has that value, or none, whatever the environment says.
///
/// # Errors
/// [`ConfigFaults`]: every fault, not only the first.
pub fn load_embedded(
    provided: Vec<(&'static str, Option<String>)>,
    flags: Flags,
) -> Result<Config, ConfigFaults> {
    let (mut environment, faults) = environment();
    if !faults.is_empty() {
        return Err(ConfigFaults(faults));
    }
    for (name, value) in provided {
        match value {
            Some(value) => drop(environment.insert(name.to_owned(), value)),
            None => drop(environment.remove(name)),
        }
    }
    parse_with(Sources { file: None, environment, flags }, &Disk)
}

fn sources(config_path: Option<PathBuf>, flags: Flags) -> Result<Sources, ConfigFaults> {
    let (environment, faults) = environment();
    if !faults.is_empty() {
        return Err(ConfigFaults(faults));
    }
    let named = match config_path {
        Some(path) => Some((path, Origin::Flag("--config"))),
        None => environment
            .get(variables::RACK_GATEWAY_CONFIG)
            .map(|path| (PathBuf::from(path), Origin::Variable(variables::RACK_GATEWAY_CONFIG.to_owned()))),
    };
    let file = match named {
        Some((path, origin)) => Some(read_file(path, origin)?),
        None => match read_file(PathBuf::from(DEFAULT_FILE), Origin::Default) {
            Ok(file) => Some(file),
            Err(faults) if faults.0.iter().all(is_absent) => None,
            Err(faults) => return Err(faults),
        },
    };
    Ok(Sources { file, environment, flags })
}

/// Variables as text. One of the gateway's own that is not UTF-8 is a fault; others are left out.
fn environment() -> (BTreeMap<String, String>, Vec<Fault>) {
    let mut environment = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                environment.insert(name, value);
            }
            Err(_) if is_ours(&name) => faults.push(Fault {
                key: name.clone(),
                origin: Origin::Variable(name),
                kind: FaultKind::MalformedSecret { expected: "UTF-8 text" },
            }),
            Err(_) => {}
        }
    }
    (environment, faults)
}

fn is_ours(name: &str) -> bool {
    variables::ALL.contains(&name)
        || name.starts_with(variables::SETTING_PREFIX)
        || name.starts_with(variables::APP_SETTING_PREFIX)
}

fn read_file(path: PathBuf, origin: Origin) -> Result<(PathBuf, String), ConfigFaults> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => {
            let kind = FaultKind::UnreadableFile { path, reason: error.kind() };
            Err(ConfigFaults(vec![Fault { key: "the file".to_owned(), origin, kind }]))
        }
    }
}

fn is_absent(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::UnreadableFile { reason: io::ErrorKind::NotFound, .. })
}

/// Secrets' files on the disk.
#[derive(Clone, Copy, Debug)]
struct Disk;

impl SecretFiles for Disk {
    fn read(&self, path: &Path) -> Result<SecretFile, io::ErrorKind> {
        use std::os::unix::fs::PermissionsExt;
        let content = std::fs::read_to_string(path).map_err(|error| error.kind())?;
        let mode = std::fs::metadata(path).map_err(|error| error.kind())?.permissions().mode();
        Ok(SecretFile { content: Secret::new(content), mode })
    }
}
