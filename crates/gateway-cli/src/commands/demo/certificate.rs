//! The certificate of a demo that speaks TLS: signed by itself, for this machine's own names, new at each start.
//!
//! # Security
//! Nothing but `demo` makes one, and a demo listens on loopback only. Its key is readable by its owner alone and is
//! worth nothing beyond this machine.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway_types::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use time::OffsetDateTime;

use crate::failure::{Exit, Failure, Problem};

/// The names under which a demo is reached.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// How long it is good: longer than anybody runs a demo, and within what browsers take.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

/// How much earlier it begins, for clocks that are behind.
const LEEWAY: Duration = Duration::from_secs(3600);

/// Where a demo's certificate is.
#[derive(Debug)]
pub(super) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// Makes one in this directory, in the place of the one before.
    pub(super) fn make(directory: &Path, now: Timestamp) -> Result<Self, Failure> {
        let names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).problem("the demo's certificate cannot be made")?;
        params.distinguished_name.push(DnType::CommonName, "rack-gateway demo");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let seconds = now.micros() / 1_000_000;
        params.not_before = moment(seconds.saturating_sub_unsigned(LEEWAY.as_secs()))?;
        params.not_after = moment(seconds.saturating_add_unsigned(LIFETIME.as_secs()))?;
        let key = KeyPair::generate().problem("the demo's key cannot be made")?;
        let signed = params.self_signed(&key).problem("the demo's certificate cannot be signed")?;
        let made = Self {
            chain: directory.join("demo-certificate.pem"),
            key: directory.join("demo-certificate.key"),
        };
        write(&made.key, &key.serialize_pem())?;
        write(&made.chain, &signed.pem())?;
        Ok(made)
    }

    /// The PEM file of the certificate, which clients are told to trust.
    pub(super) fn chain(&self) -> &Path {
        &self.chain
    }

    /// The PEM file of its key.
    pub(super) fn key(&self) -> &Path {
        &self.key
    }
}

fn moment(seconds: i64) -> Result<OffsetDateTime, Failure> {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_outside| Failure::new(Exit::Failed, "this machine's clock is outside the calendar"))
}

/// Writes a file that only its owner can read. What was there is removed first: it may have other rights.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let what = || format!("{} cannot be written", path.display());
    if path.exists() {
        std::fs::remove_file(path).problem(what())?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).problem(what())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn each_start_makes_another_and_only_its_owner_reads_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let first = Certificate::make(directory.path(), now).unwrap();
        let before = (read(first.chain()), read(first.key()));
        std::fs::set_permissions(first.key(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let second = Certificate::make(directory.path(), now).unwrap();
        assert_eq!(second.key(), first.key());
        assert!(before.0 != read(second.chain()) && before.1 != read(second.key()));
        assert_eq!(std::fs::metadata(second.key()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
