//! The configuration: one TOML file, read once. All faults are told at once.

mod raw;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access::Access;
use crate::backend::{Backend, ZoneFileOptions};
use crate::name::{DnsName, NameFault};
use crate::record::TtlLimits;
use crate::rules::ZoneRules;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or has other keys.
    #[error("the configuration {path} is not in order")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// What it says cannot be.
    #[error("the configuration has {} fault(s):{}", .0.len(), .0.iter().map(|fault| format!("\n  {fault}")).collect::<String>())]
    Faults(Vec<Fault>),
}

/// A thing that the configuration says and that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A name is none.
    #[error("{at}: `{text}`: {fault}")]
    Name {
        /// Where.
        at: String,
        /// The text.
        text: String,
        /// Why.
        fault: NameFault,
    },
    /// A duration is none.
    #[error("{0}: a duration is a number above 0 and ms, s, m or h, such as \"30s\"")]
    Duration(&'static str),
    /// There is no zone.
    #[error("there is no [[zone]]")]
    NoZone,
    /// A zone is there twice.
    #[error("the zone {0} is there twice")]
    ZoneTwice(DnsName),
    /// A zone has none or both of the back ends.
    #[error("zone {0}: give it one of [zone.rfc2136] and [zone.file]")]
    Backends(DnsName),
    /// Nobody reads a zone.
    #[error("zone {0}: nobody is in `read` or `write`, so that nobody could use it")]
    Nobody(DnsName),
    /// A permit is none.
    #[error("zone {zone}: `{text}` is no permit; write role:NAME or subject:ID")]
    Permit {
        /// The zone.
        zone: DnsName,
        /// The text.
        text: String,
    },
    /// The TSIG algorithm is another.
    #[error("zone {0}: `algorithm` is hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm(DnsName),
    /// The secret cannot be used.
    #[error("zone {zone}: `secret_file`: {what}")]
    Secret {
        /// The zone.
        zone: DnsName,
        /// Why.
        what: String,
    },
    /// The name servers of a zone file are not in order.
    #[error(
        "zone {0}: a name server in the zone needs `addresses`, one elsewhere must have none, and there must be one"
    )]
    NameServers(DnsName),
    /// The reload program has no place.
    #[error("zone {0}: `reload` begins with the absolute path of a program")]
    Reload(DnsName),
    /// The bounds of TTLs are none.
    #[error("[ttl]: `least` must not be above `most`, nor `most` above 2147483647")]
    Ttl,
    /// How callers are known is not said once.
    #[error(
        "say who is let in: either [gateway], or trust_loopback = true where only this machine can connect"
    )]
    Trust,
    /// Loopback is trusted and others can connect.
    #[error("trust_loopback = true lets everybody in, so `listen` must be a loopback address")]
    TrustBeyondLoopback,
    /// Others can read along.
    #[error(
        "`listen` is beyond loopback, and it is plain HTTP: put a sidecar in front, or say plain_http = \"private_network\" where only the gateway reaches it"
    )]
    PlainHttp,
    /// `plain_http` is something else.
    #[error("plain_http is \"loopback\" or \"private_network\"")]
    PlainHttpWord,
    /// The keys are nowhere.
    #[error("gateway.keys is an https:// URL, an http:// URL on this machine, or file:/path")]
    Keys,
}

/// Where the gateway's public keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// At a URL, with the authorities of a file or the machine's.
    Url(String, Option<PathBuf>),
    /// In a file.
    File(PathBuf),
}

/// Whose word counts for who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The gateway's.
    Gateway {
        /// What its tokens name as their issuer.
        issuer: String,
        /// What they name as their audience.
        audience: String,
        /// Its keys.
        keys: KeySource,
    },
    /// Everybody on this machine is let in.
    Loopback,
}

/// When the back ends are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// How long after a first failure.
    pub retry_first: Duration,
    /// How long after many.
    pub retry_longest: Duration,
    /// How often, if nothing happens.
    pub sweep: Duration,
}

/// One zone.
#[derive(Clone, Debug)]
pub struct ZoneConfig {
    /// What holds in it.
    pub rules: ZoneRules,
    /// Who may what.
    pub access: Access,
    /// Where its records live.
    pub backend: Arc<dyn Backend>,
    /// The zone file, if it is one.
    pub file: Option<ZoneFileOptions>,
}

/// Everything.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the control API is.
    pub listen: SocketAddr,
    /// Where metrics are.
    pub monitor: Option<SocketAddr>,
    /// Where the state is.
    pub state: PathBuf,
    /// Who is let in.
    pub trust: Trust,
    /// When back ends are asked.
    pub pace: Pace,
    /// The bounds of TTLs.
    pub ttl: TtlLimits,
    /// The zones.
    pub zones: Vec<ZoneConfig>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], with all faults.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let raw: raw::RawConfig = toml::from_str(&text)
            .map_err(|source| ConfigError::Malformed { path: path.to_owned(), source })?;
        raw.check().map_err(ConfigError::Faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults of a configuration, each by a part of its text; none when it is good.
    fn check(text: &str, expected: &[&str]) {
        let place = tempfile::tempdir().unwrap();
        let secret = place.path().join("secret");
        std::fs::write(&secret, "c2VjcmV0\n").unwrap();
        let path = place.path().join("dns.toml");
        std::fs::write(&path, text.replace("SECRET", secret.to_str().unwrap())).unwrap();
        let found = match Config::read(&path) {
            Ok(_) => String::new(),
            Err(error) => format!("{error}"),
        };
        assert_eq!(found.is_empty(), expected.is_empty(), "{found}");
        for part in expected {
            assert!(found.contains(part), "{part:?} is not in {found}");
        }
    }

    const HEAD: &str = "listen = \"127.0.0.1:0\"\nstate = \"/tmp/x\"\ntrust_loopback = true\n";
    const ZONE: &str = "[[zone]]\nname = \"corp.test\"\nread = [\"role:ops\"]\n[zone.rfc2136]\n\
                        server = \"127.0.0.1:53\"\nkey_name = \"shim\"\nsecret_file = \"SECRET\"\n";

    #[test]
    fn faults_are_told_all_at_once() {
        check(&format!("{HEAD}{ZONE}"), &[]);
        check(HEAD, &["no [[zone]]"]);
        check(&format!("{HEAD}other = 1\n{ZONE}"), &["not in order"]);
        check(&format!("{HEAD}{ZONE}{ZONE}"), &["corp.test is there twice"]);
        check(&format!("{HEAD}{}", ZONE.replace("role:ops", "name:ops")), &["no permit", "nobody"]);
        check(&format!("{HEAD}{}", ZONE.replace("corp.test", "corp test")), &["corp test"]);
        check(&format!("{HEAD}{}", ZONE.replace("SECRET", "/nowhere")), &["secret_file"]);
        check(&format!("{HEAD}{ZONE}algorithm = \"hmac-md5\"\n"), &["algorithm"]);
        check(
            &format!("{HEAD}{ZONE}[zone.file]\npath = \"x\"\ncontact = \"a.b\"\n"),
            &["one of", "name server"],
        );
        check(
            &format!("{}{ZONE}", HEAD.replace("127.0.0.1", "0.0.0.0")),
            &["loopback address", "plain HTTP"],
        );
        check(&format!("{}{ZONE}", HEAD.replace("trust_loopback = true", "")), &["who is let in"]);
        let gateway = "[gateway]\nissuer = \"i\"\naudience = \"dns\"\nkeys = \"http://gw.test/\"\n";
        check(&format!("{}{gateway}{ZONE}", HEAD.replace("trust_loopback = true", "")), &["gateway.keys"]);
        check(&format!("{HEAD}{gateway}{ZONE}"), &["who is let in"]);
        check(&format!("{HEAD}[reconcile]\nsweep = \"1d\"\n{ZONE}"), &["reconcile.sweep"]);
        check(&format!("{HEAD}[ttl]\nleast = 9\nmost = 8\n{ZONE}"), &["[ttl]"]);
    }
}
